"""Answers as a table in a CSV file, for spreadsheets and data frames.

One row per picture: people count pictures, and with a row per face a group would count many times
and a picture without a face not at all. The numbers are those of the lead face, on which the
decision rests; JSON has every face. Failures are rows too.

The file is CSV as RFC 4180 has it, in UTF-8; numbers have a point and full precision. Spreadsheets
run what looks like a formula, so text that could be one gets an apostrophe before it (OWASP, "CSV
Injection"). Text that begins with an apostrophe gets one more, so that taking one away always
restores it.
"""

import csv
from collections.abc import Callable
from contextlib import suppress
from io import TextIOBase, TextIOWrapper
from pathlib import Path
from typing import TypeAlias

from veridical.present import clip_words
from veridical.present.tally import FAILED, kind
from veridical.present.words import printable, what_to_do
from veridical.report import Failure
from veridical.video import Answer, VideoReport

Cell: TypeAlias = str | float | int | None

BOM = "\ufeff"  # without it Excel takes UTF-8 for the code page of the machine
_GUARDED = "=+-@\t\r＝＋－＠'"  # Japanese Excel reads the full-width signs, too

COLUMNS: dict[str, tuple[str, Callable[[Answer], Cell], Callable[[Failure], Cell]]] = {
    "path": ("a line break in it stands as `\\n`", lambda r: r.path, lambda f: f.path),
    "decision": (f"`real`, `ai`, `undecided` or `{FAILED}`", kind, kind),
    "p_ai": ("", lambda r: r.p_ai, lambda _: None),
    "interval_low": (
        "",
        lambda r: r.interval[0] if r.interval else None,
        lambda _: None,
    ),
    "interval_high": ("", lambda r: r.interval[1] if r.interval else None, lambda _: None),
    "prior": ("", lambda r: r.prior, lambda _: None),
    "p_ai_at_prior": (
        "",
        lambda r: r.at_prior.p_ai if r.at_prior else None,
        lambda _: None,
    ),
    "reasons": (
        "",
        lambda r: " ".join(reason.value for reason in r.reasons),
        lambda _: None,
    ),
    "declared": ("what the file says", lambda r: r.declared.value, lambda _: None),
    "headline": ("", lambda r: r.headline, lambda _: None),
    "faces": ("how many; of a clip, people who were judged", lambda r: _faces(r), lambda _: None),
    "lead_face": (
        "the largest is 1; of a clip, the person",
        lambda r: None if r.lead_index is None else r.lead_index + 1,
        lambda _: None,
    ),
    "lead_face_px": (
        "",
        lambda r: _size_px(r),
        lambda _: None,
    ),
    "seconds": (
        "of a clip",
        lambda r: r.footage.duration_s if isinstance(r, VideoReport) else None,
        lambda _: None,
    ),
    "frames": ("in the file; of a picture, one was judged", lambda r: _frames(r), lambda _: None),
    "error": ("", lambda _: None, lambda f: f.error),
    "next_step": (
        "",
        lambda r: _step(r),
        lambda f: f.hint,
    ),
    "sha256": ("", lambda r: r.sha256, lambda _: None),
    "model": ("", lambda r: r.model, lambda _: None),
    "version": ("", lambda r: r.version, lambda _: None),
}
"""Of each column what its name does not say, and how to get it; always in this order."""


def _faces(answer: Answer) -> int:
    if isinstance(answer, VideoReport):
        return len(clip_words.people(answer.tracks))
    return len(answer.faces)


def _frames(answer: Answer) -> int | None:
    return answer.footage.n_frames if isinstance(answer, VideoReport) else answer.frames


def _size_px(answer: Answer) -> int | None:
    if isinstance(answer, VideoReport):
        return round(answer.lead.size_px) if answer.lead else None
    return round(answer.lead.box.size_px) if answer.lead else None


def _step(answer: Answer) -> str:
    if isinstance(answer, VideoReport):
        return clip_words.next_step(answer)
    return what_to_do(answer)


class TableTaken(ValueError):
    """The file is there, and is no table of ours."""


class Writer:
    """Writes a table row by row, so that an interrupted run leaves what was known.

    Args:
        file: Where to; text, without translation of line ends.
        bom: Whether to begin with a byte order mark.
    """

    def __init__(self, file: TextIOBase, *, bom: bool) -> None:
        self._file = file
        self._rows = csv.writer(file, lineterminator="\r\n")
        file.write(BOM if bom else "")
        self._write(list(COLUMNS))

    def add(self, outcome: Answer | Failure) -> None:
        """Write the row of one picture."""
        self._write([cell(value) for value in values(outcome)])

    def _write(self, row: list[str]) -> None:
        try:
            self._rows.writerow(row)
            self._file.flush()
        except OSError as error:  # such as a full disk, which does not say of which file
            raise OSError(error.errno, error.strerror, getattr(self._file, "name", None)) from error


def values(outcome: Answer | Failure) -> list[Cell]:
    """Return what the columns hold for one picture, before it is made safe."""
    if isinstance(outcome, Failure):
        return [of_failure(outcome) for _, _, of_failure in COLUMNS.values()]
    return [of_report(outcome) for _, of_report, _ in COLUMNS.values()]


def cell(value: Cell) -> str:
    """Return a value as the text of a cell: numbers as they are, text that no program runs."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return repr(value) if isinstance(value, int) else repr(float(value))
    text = printable(value)
    begins = value.lstrip()[:1]
    return f"'{text}" if (begins and begins in _GUARDED) or _is_number(text) else text


def _is_number(text: str) -> bool:
    """Return whether a spreadsheet would read the text as a number, and change it."""
    with suppress(ValueError):
        float(text)
        return True
    return False


def open_table(path: Path) -> TextIOWrapper:
    """Open a file for a table.

    Raises:
        TableTaken: If it holds something else: nobody wants a photo overwritten by a slip.
        OSError: If it cannot be written.
    """
    begins = f"{BOM}{','.join(list(COLUMNS)[:3])}".encode()
    if path.exists() and (size := path.stat().st_size):
        with path.open("rb") as old:
            if old.read(min(size, len(begins))) != begins:
                raise TableTaken(path)
    return path.open("w", encoding="utf-8", newline="")
