"""Does a filed report say what follows from its own numbers, the same in all forms?

Neither the picture nor a new judgement is needed for that: the words are made again from
report.json and the model's card, page and PDF from the words in report.json.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from hashlib import sha256
from html import unescape
from pathlib import Path
from typing import Any

from veridical.encode import plain, restored
from veridical.errors import MissingExtra
from veridical.io.machine import Machine
from veridical.present.checks import Check
from veridical.present.dossier import Basis, Filing
from veridical.present.dossier_forms import blocks, page_of
from veridical.present.dossier_parts import THE_FILE, concluded, framed, sections_of
from veridical.present.dossier_words import WITHHELD, measured
from veridical.present.filing import HTML, PDF
from veridical.present.pdf import paper_of
from veridical.report import Report

_NAMED = 5  # differences that are named
_SHOWN = 90  # characters of a text that differs
_IMAGE = re.compile(r'<img src="data:[a-z/]+;base64,([A-Za-z0-9+/=]*)"')
_MARKUP = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What report.json says, read back.

    Attributes:
        record: All of it.
        filing: What the examiner gave.
        alike: Whether this program and these libraries made it.
    """

    record: Mapping[str, Any]
    filing: Filing
    alike: bool


def words(told: Told, basis: Basis) -> Check:
    """Check the conclusion, its strength and every text that follows from the numbers.

    Args:
        told: The report.
        basis: The model to check it with: where it is another one, its error rates are not those.
    """
    record = told.record
    if basis.model != record["model"]:
        return Check("words", "unchecked", "The error rates behind them are in the model's card.")
    report: Report = restored(Report, record["report"])
    sets = () if told.filing.whole_image else measured(basis.card)
    wrong = [
        f"{name} is {_short(record[name])}, {_short(value)} follows"
        for name, value in concluded(report, sets).items()
        if record[name] != value
    ]
    if not told.alike and not wrong:
        says = "The conclusion follows; other words were not compared: another version made them."
        return Check("words", "note", says)
    old = Basis(
        model=basis.model,
        card=basis.card,
        version=record["version"],
        machine=restored(Machine, record["machine"]),
    )
    first, rest = sections_of(report, None, told.filing, old)
    frame = framed(told.filing, report.sha256, old.version, sections=(first, *rest), record=record)
    wrong += changes(_texts(_without_pictures(record["sections"])), _texts(blocks(frame)))
    if wrong:
        return Check("words", "differs", f"{_listed(wrong)}.")
    return Check(
        "words",
        "same",
        "The conclusion, its strength and the texts of report.json follow from its numbers and the "
        f'model\'s error rates; "{THE_FILE}" and pictures need the picture.',
    )


def forms(folder: Path, told: Told) -> Check:
    """Check that page and PDF say what report.json says."""
    if not told.alike:
        return Check("forms", "note", "Not compared: another version or machine made them.")
    absent = [name for name in (HTML, PDF) if not (folder / name).is_file()]
    if absent:
        return Check("forms", "differs", f"{' and '.join(absent)}: absent.")
    record = told.record
    frame = framed(told.filing, record["photo"]["sha256"], record["version"], record=record)
    page = (folder / HTML).read_bytes().decode("utf-8", "replace")
    found = {sha256(data).hexdigest(): data for data in map(b64decode, _IMAGE.findall(page))}
    every = (block for section in record["sections"] for block in section["blocks"])
    wanted = {one["name"]: one["sha256"] for one in every if one["kind"] == "figure"}
    if lost := [name for name, digest in wanted.items() if digest not in found]:
        says = f"{HTML} does not have the pictures that report.json names: {', '.join(lost)}."
        return Check("forms", "differs", says)
    shown = {name: found[digest] for name, digest in wanted.items()}
    made = page_of(frame, record["sections"], shown).decode()
    wrong = []
    if made != page:
        told_ = changes(_lines(page), _lines(made)) or ["something that is not text differs"]
        wrong.append(f"{HTML}: {_listed(told_)}")
    try:
        paper = paper_of(frame, record["sections"], shown)
    except MissingExtra as error:
        return Check("forms", "differs" if wrong else "unchecked", _listed([*wrong, str(error)]))
    if paper != (folder / PDF).read_bytes():
        wrong.append(f"{PDF} is not the PDF of what report.json says")
    if wrong:
        return Check("forms", "differs", f"{'; '.join(wrong)}.")
    return Check("forms", "same", "PDF and HTML say what report.json says.")


def changes(found: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Name the texts that are not as they should be: what stands there, and what should."""
    told = []
    for kind, a, b, c, d in SequenceMatcher(None, found, wanted, autojunk=False).get_opcodes():
        if kind != "equal":
            pairs = zip(_padded(found[a:b], d - c), _padded(wanted[c:d], b - a), strict=True)
            told += [_change(one, other) for one, other in pairs]
    return told


def _padded(texts: Sequence[str], count: int) -> list[str | None]:
    return [*texts, *[None] * max(0, count - len(texts))]


def _change(found: str | None, wanted: str | None) -> str:
    if found is None or wanted is None:
        return f"{_short(wanted)} is absent" if found is None else f"{_short(found)} was added"
    at = next((n for n, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), 0)
    return f"{_short(found, at)} stands where {_short(wanted, at)} follows"


def _short(value: object, around: int = 0) -> str:
    """Return a value in quotes, cut around the place that matters."""
    if not isinstance(value, str):
        text = str(value)
        return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    start = max(0, min(around - 30, len(value) - _SHOWN))
    cut = value[start : start + _SHOWN]
    return f'"{"..." if start else ""}{cut}{"..." if start + _SHOWN < len(value) else ""}"'


def _listed(told: Sequence[str]) -> str:
    more = [f"{len(told) - _NAMED} more"] if len(told) > _NAMED else []
    return "; ".join([*told[:_NAMED], *more])


def _without_pictures(sections: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out what only the picture itself can confirm."""
    return [
        {**section, "blocks": [one for one in section["blocks"] if one["kind"] != "figure"]}
        for section in sections
        if section["title"] != THE_FILE
    ]


def _texts(value: Any) -> list[str]:
    """Return every text of sections, in order."""
    if isinstance(value, str):
        return [] if value == WITHHELD else [value]  # stands in a picture's place
    if isinstance(value, Mapping):
        kept = (one for key, one in value.items() if key not in ("kind", "weight"))
        return [text for one in kept for text in _texts(one)]
    if isinstance(value, list | tuple):
        return [text for one in value for text in _texts(one)]
    return []


def _lines(page: str) -> list[str]:
    body = page.partition("<body>")[2]
    return [
        text for line in _MARKUP.sub("\n", body).split("\n") if (text := unescape(line.strip()))
    ]


def remade(folder: Path, made: Mapping[str, bytes], sections: tuple[Any, Any]) -> Iterator[str]:
    """Say in what the forms made again from the picture are others than those in the folder.

    Args:
        folder: Of the report.
        made: The three forms by the names of their files.
        sections: Those that report.json has, and those that were made again.
    """
    for name, data in made.items():
        path = folder / name
        if not path.is_file():
            yield f"{name} is absent"
        elif path.read_bytes() != data:
            yield f"{name} has other bytes"
    yield from changes(*map(_texts, map(plain, sections)))
