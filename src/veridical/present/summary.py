"""What many results say, for people: a table at the terminal, JSON, and a page."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from os import fsdecode
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from veridical.claims import Declared
from veridical.encode import plain
from veridical.present import scan_words
from veridical.present.html import render
from veridical.present.numbers import share
from veridical.present.scan_words import KINDS
from veridical.present.words import declares, printable

SCHEMA = "veridical.summary/1"
_BAR, _SHOWN = 30, 12  # columns of the histogram; folders and days at the terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A picture that awaits a person.

    Attributes:
        path: Of the picture.
        p_ai: Of its lead face; None where there is none.
        reasons: Why it is undecided, with spaces between.
        path_bytes: The path to the byte, in hex, where `path` had to be escaped.
    """

    path: str
    p_ai: float | None
    reasons: str
    path_bytes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A picture that could not be judged.

    Attributes:
        path: Of the picture.
        kind: Of the error.
    """

    path: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """What seems to be one picture in several files.

    Attributes:
        paths: Of the files.
        decisions: Of each.
        p_ai: Of each.
        files: How many of them differ in their bytes.
    """

    paths: tuple[str, ...]
    decisions: tuple[str, ...]
    p_ai: tuple[float | None, ...]
    files: int

    @property
    def differ(self) -> bool:
        """Whether they have several decisions."""
        return len(set(self.decisions)) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What the results of a scan say; of each path the latest row.

    Attributes:
        model: First 12 hex digits of the SHA-256 of the model's card.
        decisions: Pictures by decision; `failed` too.
        folders: The same by folder.
        days: The same by the day (UTC) on which the file was changed.
        histogram: Pictures by P(ai), in bins of equal width from 0 to 1.
        failures: Pictures that could not be judged, by kind of error.
        hints: What to do about each kind.
        failed: Some of these pictures.
        waiting: Undecided pictures: those with the P(ai) farthest from one half first.
        declared: Judged pictures by what their files say of their origin, where they say something.
        gone: Files with an answer that are no longer there; not counted above.
        copies: Groups of copies, those with several decisions first; None where not asked for.
        differing: Groups of copies with several decisions.
    """

    model: str
    decisions: Mapping[str, int]
    folders: Mapping[str, Mapping[str, int]]
    days: Mapping[str, Mapping[str, int]]
    histogram: tuple[int, ...]
    failures: Mapping[str, int]
    hints: Mapping[str, str] = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    declared: Mapping[str, int] = field(default_factory=dict)
    gone: int = 0
    copies: tuple[Copies, ...] | None = None
    differing: int = 0

    @property
    def total(self) -> int:
        """All pictures that are there."""
        return sum(self.decisions.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        found = plain(self)
        assert isinstance(found, dict)
        return {"schema": SCHEMA, "total": self.total, **found}


def show(console: Console, summary: Summary) -> None:
    """Print a summary."""

    def printed(title: str) -> None:
        console.print(Text(f"\n{title}", style="bold"))

    for line in scan_words.total(summary.total, summary.model, summary.gone):
        console.print(line, highlight=False)
    _counts(console, "", {scan_words.ALL: summary.decisions})
    for title, counted in (
        (scan_words.BY_FOLDER, summary.folders),
        (scan_words.BY_DAY, summary.days),
    ):
        if len(counted) > 1:
            printed(title)
            shown = dict(list(counted.items())[-_SHOWN:])
            _counts(console, "", shown)
            if len(counted) > _SHOWN:
                console.print(scan_words.more(len(counted) - _SHOWN))
    if summary.declared:
        printed(scan_words.DECLARED)
        for name, count in summary.declared.items():
            console.print(f"{count:>7,}  {declares(Declared(name))}", highlight=False)
    if most := max(summary.histogram, default=0):
        printed("P(ai)")
        width = 1 / len(summary.histogram)
        for at, count in enumerate(summary.histogram):
            bar = "#" * round(_BAR * count / most) or ("." if count else "")
            console.print(f"{at * width:.2f}  {bar:<{_BAR}} {count:,}", highlight=False)
    if summary.failures:
        printed(scan_words.FAILED)
        for kind, count in sorted(summary.failures.items(), key=lambda one: -one[1]):
            text = f"{count:>7,}  {kind}: {printable(summary.hints.get(kind, ''))}"
            console.print(text, markup=False, highlight=False)
            for lost in summary.failed:
                if lost.kind == kind:
                    text = f"{'':>9}{printable(lost.path)}"
                    console.print(text, markup=False, highlight=False, soft_wrap=True)
        if left := summary.decisions.get("failed", 0) - len(summary.failed):
            console.print(scan_words.unnamed(left))
    if summary.waiting:
        printed(scan_words.WAITING)
        for one in summary.waiting:
            p = "    -" if one.p_ai is None else share(one.p_ai)
            text = f"{p:>6}  {printable(one.path)}  ({scan_words.why(one.reasons)})"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        if left := summary.decisions.get("undecided", 0) - len(summary.waiting):
            console.print(scan_words.unnamed(left))
    if summary.copies is not None:
        printed(f"{scan_words.COPIES}: {scan_words.differing(summary.differing)}")
        for group in summary.copies:
            console.print("differ" if group.differ else "agree")
            for path, decision in zip(group.paths, group.decisions, strict=True):
                text = f"  {decision:<10} {printable(path)}"
                console.print(text, markup=False, highlight=False, soft_wrap=True)


def _counts(console: Console, title: str, counted: Mapping[str, Mapping[str, int]]) -> None:
    table = Table(box=None, padding=(0, 2), header_style="bold")
    table.add_column(title, overflow="fold")
    for kind in KINDS:
        table.add_column(kind, justify="right")
    for name, counts in counted.items():
        numbers = (f"{counts.get(kind, 0):,}" for kind in KINDS)
        table.add_row(Text(printable(name)), *numbers)
    console.print(table)


def page(summary: Summary, *, thumbnails: bool = False) -> str:
    """Return one HTML file that needs nothing else; encode it as UTF-8.

    Args:
        summary: What to show.
        thumbnails: Whether to put small copies of the pictures that await a person into the page.
            They are read from their paths.
    """
    shown = [(one, _thumbnail(one) if thumbnails else "") for one in summary.waiting]
    return render(
        "summary",
        summary=summary,
        kinds=KINDS,
        most=max(summary.histogram, default=0),
        width=1 / max(1, len(summary.histogram)),
        waiting=shown,
        declared=[(n, declares(Declared(one))) for one, n in summary.declared.items()],
        share=share,
        words=scan_words,
    )


def _thumbnail(one: Waiting) -> str:
    """Return a small copy as the text of an address; empty where the picture cannot be read."""
    from veridical.errors import PhotoError
    from veridical.io.source import read_photo

    path = fsdecode(bytes.fromhex(one.path_bytes)) if one.path_bytes else one.path
    try:
        image = read_photo(path).smaller().copy()
    except PhotoError:
        return ""
    image.thumbnail((72, 72))
    into = BytesIO()
    image.save(into, format="JPEG", quality=70)
    return f"data:image/jpeg;base64,{b64encode(into.getvalue()).decode()}"
