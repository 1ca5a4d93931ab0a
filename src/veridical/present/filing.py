"""File a report: examine a picture, write the three forms and their hashes, add a line to a log.

    case-17/report.pdf  report.html  report.json  sha256sums.txt  [original.jpg]

The folder appears whole or not at all, and one that is there is never written into.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from veridical._version import VERSION
from veridical.detector import Detector
from veridical.errors import CaseExists, LogBroken
from veridical.io import chain
from veridical.io.formats import SUFFIXES
from veridical.io.machine import this_machine
from veridical.io.model import read_model
from veridical.io.source import File
from veridical.present.dossier import Basis, Dossier, Filing
from veridical.present.dossier_forms import to_html, to_json
from veridical.present.dossier_parts import dossier
from veridical.present.pdf import to_pdf
from veridical.report import Report

PDF, HTML, JSON, SUMS = "report.pdf", "report.html", "report.json", "sha256sums.txt"
FORMS = (PDF, HTML, JSON)
THREADS = 1  # sums round alike whatever the number of cores


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """A report that was filed.

    Attributes:
        report: The answer, unredacted.
        conclusion: In words, as in the report.
        sums: SHA-256 of sha256sums.txt, which holds the hashes of the others.
        entry: The line of the log; None without a log.
    """

    report: Report
    conclusion: str
    sums: str
    entry: Mapping[str, Any] | None


def examiner(model: Path, prior: float | None) -> tuple[Detector, Basis]:
    """Load a model for reports that are filed, and return it with what a report names of it.

    Raises:
        ModelError: If it cannot be used.
    """
    detector = Detector.load(model, threads=THREADS, prior=prior)
    folder = read_model(model)
    basis = Basis(
        model=folder.identity, card=detector.card, version=VERSION, machine=this_machine()
    )
    return detector, basis


def examine(detector: Detector, file: File, filing: Filing) -> Report:
    """Judge a picture the way a filed report is made."""
    return detector.inspect(file, whole_image=filing.whole_image, cues=True, explain=True)


def render(made: Dossier) -> dict[str, bytes]:
    """Return the three forms by the names of their files."""
    return {PDF: to_pdf(made), HTML: to_html(made), JSON: to_json(made)}


def original_name(file: File) -> str:
    """Return the name of the copy of a picture: its own may be anything."""
    kind = file.header.format if file.header else ""
    return f"original{next((end for end, of in SUFFIXES.items() if of == kind), '')}"


def file_report(
    detector: Detector,
    basis: Basis,
    file: File,
    filing: Filing,
    folder: Path,
    log: Path | None = None,
) -> Filed:
    """Examine a picture and file the report.

    Raises:
        CaseExists: If the folder is there already.
        LogBroken: If the log does not hold together. No folder is left.
        MissingExtra: If Typst is not installed.
        PhotoError: If the picture cannot be examined. No folder is left.
        OSError: If something cannot be written. No folder is left.
    """
    refuse_existing(folder)
    if log:  # asked before the work
        _refuse_broken(log)
    report = examine(detector, file, filing)
    made = dossier(report, file, filing, basis)
    files = render(made)
    if filing.original:
        assert file.data is not None
        files[filing.original] = file.data
    hashes = {name: sha256(data).hexdigest() for name, data in files.items()}
    files[SUMS] = "".join(f"{digest}  {name}\n" for name, digest in hashes.items()).encode()
    sums = sha256(files[SUMS]).hexdigest()
    _write(folder, files)
    entry = None
    if log:
        line = {
            "written": datetime.now(UTC).isoformat(timespec="seconds"),
            "at": filing.at.isoformat(),
            "case": filing.case,
            "exhibit": filing.exhibit,
            "examiner": filing.examiner,
            "redacted": filing.redact,
            "photo": report.sha256,
            "model": basis.model,
            "files": hashes,
            "sums": sums,
        }
        try:
            entry = chain.append(log, line)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    told = str(made.record["conclusion_in_words"])
    return Filed(report=report, conclusion=told, sums=sums, entry=entry)


def refuse_existing(folder: Path) -> None:
    """Refuse a folder that is there.

    Raises:
        CaseExists: If it is.
    """
    if os.path.lexists(folder):
        raise CaseExists(
            f"{folder}: is there already; a filed report is never overwritten.",
            hint="Name a folder that is not there yet.",
        )


def _refuse_broken(log: Path) -> None:
    if not log.exists():
        list(log.parent.iterdir())  # raises where there is no such folder
    elif fault := chain.read_chain(log).fault:
        raise LogBroken(
            f"{log}: {fault} No report was made.",
            hint="Find out what happened to the log; begin a new one with another name.",
        )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder beside its place, and put it there in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    draft.mkdir()
    try:
        for name, data in files.items():
            with (draft / name).open("xb") as into:
                into.write(data)
                into.flush()
                os.fsync(into.fileno())
        refuse_existing(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
