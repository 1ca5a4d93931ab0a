"""The one shape of all cues: what they may look at, what they answer, what can be drawn of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isfinite
from typing import TypeAlias

from veridical.arrays import Float, UInt8, ndarray
from veridical.report import Box, Reading, Silence

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """What a cue may look at.

    Attributes:
        pixels: The photo, upright, sRGB.
        data: The file's bytes; None where there are none.
        box: Of the face, px of the photo.
        landmarks: Person's right eye, left eye, nose tip, right and left mouth corner, (x, y) px of
            the photo; empty where they are not known.
    """

    pixels: UInt8[ndarray, "height width 3"]
    data: bytes | None
    box: Box
    landmarks: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A line to draw.

    Attributes:
        x: Across.
        y: Upwards, as many.
        fit: A reference line over the same x, or None.
        marks: Values of x to point at.
        x_label: What x is, with its unit.
        y_label: What y is, with its unit.
    """

    x: Float[ndarray, " points"]
    y: Float[ndarray, " points"]
    fit: Float[ndarray, " points"] | None
    marks: tuple[float, ...]
    x_label: str
    y_label: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Map:
    """Values to draw as a picture: zero is the least.

    Attributes:
        values: Not negative.
        unit: Of the values.
    """

    values: Float[ndarray, "rows columns"]
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Marked:
    """A small picture with things to point at.

    Attributes:
        image: What they are on.
        points: (x, y), px of `image`.
        arrows: From (x, y) to (x, y), px of `image`.
        insets: Smaller pictures to show beside it, such as the eyes.
    """

    image: UInt8[ndarray, "rows columns 3"]
    points: tuple[Point, ...] = ()
    arrows: tuple[tuple[Point, Point], ...] = ()
    insets: tuple[UInt8[ndarray, "_ _ 3"], ...] = ()


Drawing: TypeAlias = Curve | Map | Marked


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measurement:
    """What a cue measured, before anything is known of its worth.

    Attributes:
        statistics: Values by name; None for what could not be measured on this face.
        plain: What was seen, for anybody: a sentence without its full stop.
        technical: The same for an expert, with numbers and units: a whole sentence.
        drawing: What can be drawn of it.
    """

    statistics: dict[str, float | None]
    plain: str
    technical: str
    drawing: Drawing | None

    def known(self) -> tuple[tuple[str, float], ...]:
        """Return the statistics that are finite numbers."""
        pairs = ((name, value) for name, value in self.statistics.items() if value is not None)
        return tuple((name, float(value)) for name, value in pairs if isfinite(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A forensic cue.

    Attributes:
        name: What it is called.
        statistics: Names of what it measures, in the order in which they are weighed.
        measure: Look at one face. Silent, with a reason, where there is nothing to go by.
        evidence: Whether it may weigh at all. False where what it measures tells the way of the
            file, not who made the picture: then no measurement on our data could prove its worth.
    """

    name: str
    statistics: tuple[str, ...]
    measure: Callable[[Scene], Measurement | Silence]
    evidence: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A cue's answer, and what can be drawn of it. Equal answers are equal, however drawn.

    Attributes:
        answer: What goes into a report.
        drawing: For `render.cues`; None where there is nothing to draw.
    """

    answer: Reading | Silence
    drawing: Drawing | None = field(default=None, compare=False, repr=False)
