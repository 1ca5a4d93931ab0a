"""A labelled picture: what folders are read into, splits deal out, and training learns from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Label = Literal["real", "ai"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled picture.

    Attributes:
        path: Where it is.
        label: What it is; never a number.
        source: The collection that it came from; splits keep each source's share.
        generator: What made it; "" for real pictures, or where nobody knows.
        group: Pictures of one group (a person, a shoot, one photo and its edits) stay together.
    """

    path: Path
    label: Label
    source: str
    generator: str
    group: str
