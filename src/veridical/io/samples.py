"""A labelled picture: what folders are read into, splits deal out, and training learns from."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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


def composition(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Return how many pictures there are of each label, source and generator, as JSON values."""
    cells = Counter((one.label, one.source, one.generator) for one in samples)
    return [
        {"label": label, "source": source, "generator": generator, "pictures": count}
        for (label, source, generator), count in sorted(cells.items())
    ]
