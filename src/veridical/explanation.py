"""Nouns of an explanation: maps over one face, how far they can be trusted, what can be drawn."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from veridical.arrays import Float, UInt8, ndarray
from veridical.box import Box

Point: TypeAlias = tuple[float, float]

# --- maps ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenMap:
    """The posterior mean of the logit of P(ai), divided over places.

    `patches.sum() + prefix + rest` is the logit, to rounding.

    Attributes:
        patches: What each patch token added, logit units; positive supports `ai`.
        prefix: What class token and registers added; they belong to no place.
        rest: What belongs to no token: biases, and centring if a baseline was subtracted.
    """

    patches: Float[ndarray, "grid grid"]
    prefix: float
    rest: float

    @property
    def logit(self) -> float:
        """The logit that was divided."""
        return float(self.patches.sum()) + self.prefix + self.rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Faithfulness:
    """Does the map point at what the verdict rests on?

    Patches are covered in the map's order, the most important first (deletion), or uncovered on a
    blurred crop in that order (insertion); Petsiuk et al., "RISE", BMVC 2018, section 4.3. A
    score is the mean of the logit along the curve, signed towards the verdict.

    Attributes:
        deletion: Random order's mean minus the map's, logit units; positive is better than chance.
        insertion: The map's mean minus random order's, logit units; positive is better than chance.
        n_random: Random orders that the map was compared with.
        n_beaten: How many of them it beat, deletion and insertion together.
    """

    deletion: float
    insertion: float
    n_random: int
    n_beaten: int

    @property
    def passed(self) -> bool:
        """Whether the map beats every random order; if not, it is withheld."""
        return self.n_beaten == self.n_random


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedMap:
    """A map by another method, shown beside the default one.

    Attributes:
        name: Of the method.
        patches: Positive supports `ai`; the unit is the method's.
        faithfulness: Against random orders; None if it was not scored.
    """

    name: str
    patches: Float[ndarray, "grid grid"]
    faithfulness: Faithfulness | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Occlusion:
    """How much P(ai) drops when the neighbourhood of a pixel is covered.

    Attributes:
        drop: Mean drop of P(ai) over all windows that cover a pixel of the crop.
        largest: The largest drop.
        at: Where in the photo it is, (x, y) px.
    """

    drop: Float[ndarray, "size size"] = field(metadata={"json": False})
    largest: float
    at: Point


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One channel of the pooled features.

    Attributes:
        index: Its place in the features, from 0.
        importance: |d logit / d feature|.
    """

    index: int
    importance: float


Method = Literal["surrogate", "contributions"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """What in one face supported its verdict.

    Attributes:
        crop: Name of the crop that is explained: the one that spoke most for the verdict.
        area: The part of the photo that the crop shows, px of the photo.
        covered: Share of the crop's width and height that patches cover: where its side is no
            multiple of a patch, the right and lower rim belong to none.
        method: What the map was made by: a fitted `surrogate` of covering, or, where a model has
            none, the `contributions`.
        patches: The map that is drawn, logit units; positive supports `ai`.
        forward_passes: Covered copies of this face that updated the map.
        faithfulness: How the map did against random orders; None if it was not scored.
        contributions: Every patch's part of the logit, relative to an average training picture.
        gradient_x_token: The same without a baseline.
        channels: The channels of the features with the largest gradients, largest first.
        occlusion: Drop of P(ai) when a place is covered; None unless asked for.
        maps: Maps by other methods that were asked for.
    """

    crop: str
    area: Box
    covered: float
    method: Method
    patches: Float[ndarray, "grid grid"]
    forward_passes: int
    faithfulness: Faithfulness | None
    contributions: TokenMap
    gradient_x_token: TokenMap
    channels: tuple[Channel, ...]
    occlusion: Occlusion | None = None
    maps: tuple[NamedMap, ...] = ()


# --- drawings of forensic cues -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """A line to draw.

    Attributes:
        x: Horizontal.
        y: Vertical, as many.
        fit: A reference line over the same x, or None.
        marks: Values of x to mark.
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
    """A small picture with marks.

    Attributes:
        image: What the marks are on.
        points: (x, y), px of `image`.
        arrows: From (x, y) to (x, y), px of `image`.
        insets: Smaller pictures to show beside it, such as the eyes.
    """

    image: UInt8[ndarray, "rows columns 3"]
    points: tuple[Point, ...] = ()
    arrows: tuple[tuple[Point, Point], ...] = ()
    insets: tuple[UInt8[ndarray, "_ _ 3"], ...] = ()


Drawing: TypeAlias = Curve | Map | Marked
