"""What a filed report says, as one frozen value that PDF, HTML and JSON are rendered from.

    Dossier › Section › blocks: Paragraph, Rows, Table, Points, Figure, Signature

The three forms cannot say different things, because none of them decides what to say: that is done
in `dossier_parts.py`, once. Here are the nouns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from veridical.io.machine import Machine

SCHEMA = "veridical.case/2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """What an examiner says about a report, beside the picture and the model.

    Attributes:
        at: When the report was made, to the second, with its zone.
        at_given: Whether the examiner gave that time; else it is of the computer's clock.
        case: Number of the case; empty where none was given.
        exhibit: Number of the exhibit, likewise.
        examiner: Who made the report, likewise.
        note: Remarks, likewise.
        redact: Hide faces, and values that stand in the file, in all that is shown.
        whole_image: Judge the frame instead of the faces in it.
        prior: Share of AI-generated pictures that the report also answers for.
        original: Name of the copy of the picture in the folder; None for no copy.
    """

    at: datetime
    at_given: bool = False
    case: str = ""
    exhibit: str = ""
    examiner: str = ""
    note: str = ""
    redact: bool = False
    whole_image: bool = False
    prior: float | None = None
    original: str | None = None

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"The time of a report has a zone; got {self.at.isoformat()}.")

    @property
    def time(self) -> str:
        """When the report was made, and by whose word."""
        told = " (given by the examiner)" if self.at_given else ""
        return f"{self.at.isoformat(' ')}{told}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a report rests on.

    Attributes:
        model: SHA-256 of the model's card, hex; see `io.model`.
        card: The model card.
        version: Of this program.
        machine: What it computed with.
    """

    model: str
    card: Mapping[str, Any]
    version: str
    machine: Machine


# --- blocks --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph.

    Attributes:
        text: One or more sentences.
        weight: `strong` for what has to be read first, `small` for what supports it.
    """

    text: str
    weight: Literal["strong", "plain", "small"] = "plain"


@dataclass(frozen=True, slots=True)
class Row:
    """A label and what stands beside it.

    Attributes:
        label: What it is.
        text: The value.
        code: Whether every character counts, as in hashes and names of files.
    """

    label: str
    text: str
    code: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """Labels with values."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        head: Names of the columns.
        rows: As many cells each.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Points:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture, coded as it is shown.

    Attributes:
        name: Of its file in the PDF's sources, such as `face-1-map.jpeg`.
        data: JPEG or PNG.
        media: Its type, such as `image/jpeg`.
        width: px.
        height: px.
        shown: Widest that it is shown, px of a screen (96 to an inch).
        says: What it shows, for those who do not see it.
        caption: What stands below it.
    """

    name: str
    data: bytes
    media: str
    width: int
    height: int
    shown: int
    says: str
    caption: str


@dataclass(frozen=True, slots=True)
class Signature:
    """Lines to be filled in by hand.

    Attributes:
        labels: What belongs on them.
        by: Who signs: stands on the first line already; may be empty.
    """

    labels: tuple[str, ...]
    by: str = ""


Block: TypeAlias = Paragraph | Rows | Table | Points | Figure | Signature


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """A report that can be filed.

    Attributes:
        title: Of the document.
        header: On every page: case, exhibit.
        footer: On every page: which picture, which program.
        author: The examiner; may be empty.
        at: When it was made.
        at_given: Whether the examiner gave that time: the PDF says so of its date, too.
        time: The same in words, and by whose word.
        sections: What it says.
        record: The same for programs, without the sections: JSON values.
    """

    title: str
    header: str
    footer: str
    author: str
    at: datetime
    at_given: bool
    time: str
    sections: tuple[Section, ...]
    record: Mapping[str, Any]
