"""The one protocol of all cues: what they may use, and what they answer."""

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

from veridical.arrays import UInt8, ndarray
from veridical.box import Box
from veridical.explanation import Drawing, Point
from veridical.io.source import File
from veridical.report import NotApplicable


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CueInput:
    """What a cue may use.

    Attributes:
        pixels: The photo, upright, sRGB.
        file: Where it came from: header and luma are parsed and decoded once for all its faces.
            None where there is no file.
        box: Of the face, px of the photo.
        landmarks: Person's right eye, left eye, nose tip, right and left mouth corner, (x, y) px of
            the photo; empty where they are not known.
    """

    pixels: UInt8[ndarray, "height width 3"]
    file: File | None
    box: Box
    landmarks: tuple[Point, ...]


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

    def known(self) -> dict[str, float]:
        """Return the statistics that are finite numbers."""
        pairs = ((name, value) for name, value in self.statistics.items() if value is not None)
        return {name: float(value) for name, value in pairs if isfinite(value)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A forensic cue.

    Attributes:
        name: What it is called.
        statistics: Names of what it measures, in the order in which they are weighed.
        measure: Measure one face; not applicable, with a reason, where that is impossible.
        evidence: Whether it may weigh at all. False where what it measures tells the way of the
            file, not who made the picture: then no measurement on our data could prove its worth.
    """

    name: str
    statistics: tuple[str, ...]
    measure: Callable[[CueInput], Measurement | NotApplicable]
    evidence: bool = True
