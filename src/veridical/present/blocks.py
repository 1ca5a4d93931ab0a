"""What a page for people is made of, before it is HTML or a picture."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from PIL import Image

from veridical.report import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A heading; 1 is that of the page."""

    level: Literal[1, 2, 3]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A paragraph. An answer is large, and in the colour of its decision if it is one."""

    text: str
    role: Literal["plain", "answer", "lead"] = "plain"
    decision: Decision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Labels, and what there is to say under each."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figure:
    """A picture with words.

    Attributes:
        image: RGB.
        says: What it shows, for those who do not see it.
        caption: What stands below it, perhaps nothing.
        detail: What an expert may want to read below that, perhaps nothing.
        width: Widest that it is shown, px.
        photo: Whether it is mostly a photograph.
    """

    image: Image.Image
    says: str
    caption: str = ""
    detail: str = ""
    width: int = 448
    photo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Figures side by side where there is room."""

    figures: tuple[Figure, ...]


Block: TypeAlias = Heading | Words | Facts | Items | Figure | Gallery


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a person gets to see of one photo.

    Attributes:
        title: Of the window.
        blocks: From top to bottom; the first is the heading of level 1.
    """

    title: str
    blocks: tuple[Block, ...]
