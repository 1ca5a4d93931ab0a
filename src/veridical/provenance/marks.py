"""Marks of generators: a table of where each writes what (`marks.csv`), and their claims.

A mark that photographs also carry is not in the table. Each row has an example that the tests hold
it to, and the source that it was taken from.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from veridical.claims import Claim, ClaimSource, Says, Standing, bounded, cut
from veridical.provenance.fields import Fields
from veridical.provenance.generators import READERS

_LOOK = 2**20  # characters of a text that patterns see
_SOURCES = {
    "text": ClaimSource.TEXT,
    "exif": ClaimSource.EXIF,
    "xmp": ClaimSource.XMP,
    "iptc": ClaimSource.IPTC,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One row of the table.

    Attributes:
        id: Its name.
        field: Where it stands, such as `text:parameters`.
        pattern: What has to be found there.
        also: What has to be found in another field, as `field=pattern`; empty for nothing.
        generator: Whose mark it is; empty where the text itself names it.
        says: What it claims.
        reader: Who reads details out of the text; empty for nobody.
        example: A text that has the mark.
        source: How we know.
    """

    id: str
    field: str
    pattern: str
    also: str
    generator: str
    says: str
    reader: str
    example: str
    source: str

    def found_in(self, fields: Fields) -> str | None:
        """Return the text that has the mark; None where there is none."""
        if self.also:
            place, _, pattern = self.also.partition("=")
            if not any(re.search(pattern, text[:_LOOK]) for text in fields.get(place)):
                return None
        for text in fields.get(self.field):
            if re.search(self.pattern, text[:_LOOK], re.DOTALL):
                return text
        return None


@cache
def table() -> tuple[Mark, ...]:
    """Return the table of marks."""
    text = files("veridical.provenance").joinpath("marks.csv").read_text(encoding="utf-8")
    return tuple(Mark(**row) for row in csv.DictReader(text.splitlines(keepends=True)))


def read_marks(fields: Fields) -> Iterator[Claim]:
    """Give one claim per generator that has left marks, with what they say together."""
    found: dict[str, list[tuple[Mark, str]]] = {}
    for mark in table():
        text = mark.found_in(fields)
        if text is not None:
            found.setdefault(mark.generator or cut(text, 80), []).append((mark, text))
    # A field is read by the row that knows more: SwarmUI and Fooocus write into `parameters` too.
    for generator, marks in found.items():
        yield _claim(generator, marks)


def _claim(generator: str, marks: list[tuple[Mark, str]]) -> Claim:
    values: dict[str, str] = {}
    for mark, text in marks:
        if mark.reader:
            values = {**READERS[mark.reader](text), **values}
    program = values.pop("program", generator)
    first = marks[0][0]
    places = ", ".join(dict.fromkeys(mark.field for mark, _ in marks))
    part = all(mark.says == Says.AI_PART for mark, _ in marks)
    what = "edited with" if part else "made with"
    told = ("model", "model hash", "sampler", "seed", "steps", "version")
    details = "; ".join(f"{name} {cut(values[name], 80)}" for name in told if name in values)
    return Claim(
        source=_SOURCES[first.field.partition(":")[0]],
        says=Says.AI_PART if part else Says.AI,
        standing=Standing.UNSIGNED,
        by=program,
        forgeable=True,
        plain=f"A text in the file says that it was {what} {program}. Anyone can write that.",
        technical=f"Unsigned mark in {places}{f': {details}' if details else ''}.",
        raw=bounded({**values, **{mark.field: text for mark, text in marks}}),
    )
