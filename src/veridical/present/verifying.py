"""Check a filed report: its files and words, the picture, the model, and the judgement again."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import file_digest, sha256
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from veridical.claims import InTime
from veridical.encode import plain
from veridical.errors import CaseUnreadable, PhotoError
from veridical.infer.priors import checked
from veridical.io.source import File, open_source
from veridical.present.checks import Check, counted
from veridical.present.dossier import SCHEMA, Basis, Dossier, Filing
from veridical.present.dossier_forms import blocks
from veridical.present.dossier_parts import (
    claims_hash,
    dossier,
    findings,
    judgement_hash,
    stated,
)
from veridical.present.filing import FORMS, JSON, SUMS, examine, examiner, render
from veridical.present.redaction import redacted
from veridical.present.verifying_log import in_log
from veridical.present.verifying_words import Told, forms, remade, words
from veridical.report import Report, path_of

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9_-][A-Za-z0-9._-]*)")
_OTHER_SCHEMA = re.compile(r"veridical\.case/[0-9]+")
_NAMED = 5  # differences that are named


# --- the folder ----------------------------------------------------------------------------------


def verify_case(
    folder: Path, model: Path, photo: Path | None = None, log: Path | None = None
) -> Iterator[Check]:
    """Check a filed report, one thing after the other.

    Args:
        folder: Of the report.
        model: Folder of the model to repeat the judgement with.
        photo: The picture; None for the copy in the folder, else the file of the same hash in the
            folder, beside it, or at the path that the report names.
        log: A log that should have the report.

    Raises:
        CaseUnreadable: If there is no report that can be read.
        ModelError: If the model cannot be used.
    """
    if not (folder / JSON).is_file():
        raise CaseUnreadable(
            f"{folder}: has no {JSON}; the folder of a filed report was wanted.",
            hint="Give the folder that `veridical report --out` wrote.",
        )
    yield from _files(folder)
    record = _record(folder)
    if log:
        yield from in_log(folder, log, record)
    try:
        filing, entry = _filing(record), record["report"]
        told = path_of(entry)
        known = {"sha256": str(record["photo"]["sha256"]), "bytes": int(record["photo"]["bytes"])}
        recorded = _Recorded(
            model=record["model"],
            version=record["version"],
            machine=record["machine"],
            judgement=record["judgement_sha256"],
            claims=record["claims_sha256"],
            findings=findings(entry),
            stated=stated(entry),
            redacted=filing.redact,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as foreign:
        raise CaseUnreadable(
            f"{folder / JSON}: has not the shape of a filed report ({foreign!r}).",
            hint="Compare it with the copy that was filed.",
        ) from foreign
    file, check = _photo(folder, filing, told, known, photo)
    yield check
    detector, basis = examiner(model, filing.prior)
    yield from _basis(recorded, basis)
    alike = basis.version == recorded.version and plain(basis.machine) == recorded.machine
    said = Told(record=record, filing=filing, alike=alike)
    try:
        yield words(said, basis)
        yield forms(folder, said)
    except (AttributeError, KeyError, TypeError, ValueError) as foreign:
        yield Check("words", "differs", f"{JSON} has not the shape of a filed report ({foreign}).")
    if file is None or basis.model != recorded.model:
        why = "the picture" if file is None else "the model"
        for name in ("judgement", "claims", "made again"):
            yield Check(name, "unchecked", f"Not repeated: {why} is another, or absent.")
        return
    try:
        report = examine(detector, file, filing)
    except PhotoError as error:
        yield Check("judgement", "differs", f"The picture cannot be examined here: {error}")
        return
    judgement, claims = _judgement(report, recorded), _claims(report, recorded, alike)
    yield judgement
    yield claims
    if {judgement.state, claims.state} == {"same"} and alike:
        yield _made_again(folder, record, dossier(report, file, filing, basis))
    else:
        yield Check("made again", "note", "Not tried: something above is another.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """What a filed report says that can be compared."""

    model: str
    version: str
    machine: Mapping[str, Any]
    judgement: str
    claims: str
    findings: Mapping[str, Any]
    stated: Mapping[str, Any]
    redacted: bool


def _files(folder: Path) -> Iterator[Check]:
    """Compare the files with their sums."""
    try:
        text = (folder / SUMS).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        yield Check("files", "differs", f"{SUMS} is absent, or cannot be read.")
        return
    lines = text.splitlines()
    sums = {m[2]: m[1] for line in lines if (m := _LINE.fullmatch(line))}
    wrong = [f"{name} is not in {SUMS}" for name in FORMS if name not in sums]
    if len(sums) != len(lines):
        wrong.append(f"{SUMS} has lines of another kind")
    for name, digest in sums.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is absent")
        elif sha256(path.read_bytes()).hexdigest() != digest:
            wrong.append(f"{name} was changed")
    if wrong:
        yield Check("files", "differs", f"{'; '.join(wrong)}.")
    else:
        own = sha256((folder / SUMS).read_bytes()).hexdigest()
        yield Check(
            "files", "same", f"{len(sums)} files have the hashes in {SUMS} (its own: {own})."
        )
    other = sorted(p.name for p in folder.iterdir() if p.name not in {*sums, SUMS})
    if other:
        yield Check("other files", "note", f"Not part of the report: {', '.join(other)}.")


def _record(folder: Path) -> Any:
    try:
        record = json.loads((folder / JSON).read_bytes())
        schema = record["schema"]
        if schema != SCHEMA and not _OTHER_SCHEMA.fullmatch(schema):
            raise ValueError(f"its schema is {schema!r}, {SCHEMA!r} was wanted")
    except (ValueError, KeyError, TypeError, RecursionError) as foreign:
        raise CaseUnreadable(
            f"{folder / JSON}: is not a filed report ({foreign}).",
            hint="Compare it with the copy that was filed.",
        ) from foreign
    if schema != SCHEMA:
        made_by = record.get("version", "a version it does not name")
        raise CaseUnreadable(
            f"{folder / JSON}: was filed in the shape {schema}; this program checks {SCHEMA}.",
            hint=f"Verify it with the version of veridical that made it: {made_by}.",
        )
    return record


def _filing(record: Mapping[str, Any]) -> Filing:
    options, original = record["options"], record["original"]
    texts = {name: record[name] for name in ("case", "exhibit", "examiner", "note")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"case, exhibit, examiner and note are texts; got {texts}")
    return Filing(
        at=datetime.fromisoformat(record["at"]),
        at_given=bool(record["at_given"]),
        **texts,
        redact=bool(record["redacted"]),
        whole_image=bool(options["whole_image"]),
        prior=None if options["prior"] is None else checked(float(options["prior"])),
        original=None if original is None else Path(original).name,
    )


def _photo(
    folder: Path, filing: Filing, told: str | None, known: Mapping[str, Any], photo: Path | None
) -> tuple[File | None, Check]:
    """Return the picture under the name it was examined by, if it is the same, and the check."""
    path = photo or (folder / filing.original if filing.original else None)
    if path is None:
        path = _beside(folder, None if filing.redact else told, known)
    if path is None:
        says = "It is neither in the folder of the report nor beside it: name it by --photo."
        return None, Check("picture", "unchecked", says)
    try:
        file = open_source(path)
    except PhotoError as error:
        return None, Check("picture", "unchecked", f"{error.message} Name it by --photo.")
    if file.sha256 != known["sha256"]:
        says = f"{path} has the SHA-256 {file.sha256}, not that of the report."
        return None, Check("picture", "differs", says)
    # Under the name in the report: a name that does not fit the format is told as a step.
    return replace(file, path=told), Check("picture", "same", f"{path} has the hash of the report.")


_MOST_FILES = 10_000  # of a folder that are looked at


def _beside(folder: Path, told: str | None, known: Mapping[str, Any]) -> Path | None:
    """Return the picture in the folder of the report, beside it, or where the report says.

    By size and hash, whatever its name: a file that only has the name is another picture.
    """
    home = folder.resolve()
    places = [home.parent / told] if told else []  # an absolute path is taken as it is
    for path in (*_files_of(home), *_files_of(home.parent), *places):
        try:
            if path.is_file() and path.stat().st_size == known["bytes"]:
                with path.open("rb") as file:
                    if file_digest(file, "sha256").hexdigest() == known["sha256"]:
                        return path
        except OSError:
            continue
    return None


def _files_of(place: Path) -> list[Path]:
    try:
        return sorted(islice(place.iterdir(), _MOST_FILES))
    except OSError:
        return []


def _basis(recorded: _Recorded, basis: Basis) -> Iterator[Check]:
    """Compare model, program and machine."""
    if basis.model == recorded.model:
        yield Check("model", "same", f"Its identity is {basis.model}.")
    else:
        yield Check(
            "model",
            "unchecked",
            f"The report was made with {recorded.model}, this model is {basis.model}. It cannot be "
            "repeated with this model: name the other by --model.",
        )
    same = basis.version == recorded.version
    says = f"veridical {basis.version}" if same else f"{recorded.version}, now {basis.version}"
    yield Check("version", "same" if same else "note", f"{says}.")
    told = list(differences(recorded.machine, plain(basis.machine)))
    if told:
        yield Check("machine", "note", f"Others: {_listed(told)}.")
    else:
        yield Check("machine", "same", "Processor flags and versions of libraries are the same.")


def _judgement(report: Report, recorded: _Recorded) -> Check:
    """Compare what was found out, to the bit."""
    own = findings((redacted(report) if recorded.redacted else report).to_dict())
    told = list(differences(recorded.findings, own))
    if not told and judgement_hash(report) == recorded.judgement:
        says = "Judged again, all that was found out about the pixels is the same to the bit."
        return Check("judgement", "same", says)
    if not told:
        return Check("judgement", "differs", "Something that is redacted differs.")
    sizes = [(abs(a - b), name) for name, a, b in told if _number(a) and _number(b)]
    largest = ""
    if sizes:
        size, name = max(sizes)
        largest = f" The largest difference of a number is {size:.3g}, at {name}."
    return Check(
        "judgement", "differs", f"{counted(len(told), 'difference')}: {_listed(told)}.{largest}"
    )


def _claims(report: Report, recorded: _Recorded, alike: bool) -> Check:
    """Compare what the file says about its origin, as it can be known now."""
    own = stated((redacted(report) if recorded.redacted else report).to_dict())
    told = list(differences(recorded.stated, own))
    if not told and claims_hash(report) == recorded.claims:
        return Check("claims", "same", "What the file says about its origin is the same.")
    says = f"{_listed(told)}." if told else "Something that is redacted differs."
    # A certificate without a time stamp is checked as of today, by the lists of this version.
    dated = any(
        one.credential and one.credential.in_time is not InTime.STAMPED for one in report.claims
    )
    if dated or not alike:
        return Check("claims", "note", f"Checked today, and by this program: {says}")
    return Check("claims", "differs", says)


def _made_again(folder: Path, record: Mapping[str, Any], made: Dossier) -> Check:
    """Compare the three forms, made again, with those in the folder."""
    wrong = list(remade(folder, render(made), (record["sections"], blocks(made))))
    if wrong:
        says = f"Against those made again from the picture: {'; '.join(wrong[:_NAMED])}."
        return Check("made again", "differs", says)
    return Check("made again", "same", "PDF, HTML and JSON made again are the same bytes.")


# --- differences ---------------------------------------------------------------------------------

Difference = tuple[str, Any, Any]


def differences(before: Any, now: Any, where: str = "") -> Iterator[Difference]:
    """Return every leaf in which two JSON values differ: its place, and both values."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            yield from differences(before.get(key), now.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(now, list):
        for at, (a, b) in enumerate(zip_longest(before, now)):
            yield from differences(a, b, f"{where}[{at}]")
    elif before != now or type(before) is not type(now):
        yield where, before, now


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(told: list[Difference]) -> str:
    shown = [f"{name}: {_short(a)}, now {_short(b)}" for name, a, b in told[:_NAMED]]
    more = [f"{len(told) - _NAMED} more"] if len(told) > _NAMED else []
    return "; ".join([*shown, *more])


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
