"""Faces of which we know what was generated. Maps do not find it (docs/explanations.md).

One region of a face is replaced by the same region of another face, turned, scaled and moved so
that eyes, nose and mouth lie upon each other, with its colours matched and a soft edge. Base and
donor are resampled once each, and the composite is encoded once, so that neither resampling nor
compression tells the region from the rest. A real face with another real face's region is made in
the same way: what a map says there is about the seam and not about generation.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from veridical.arrays import Float, UInt8, ndarray
from veridical.box import Box
from veridical.vision.crop import CropConfig, crop_box
from veridical.vision.faces import Face

Region = Literal["eyes", "mouth", "patch", "half face", "face"]
REGIONS: tuple[Region, ...] = ("eyes", "mouth", "patch", "half face", "face")

Kind = Literal["generated in real", "real in generated", "real in real"]
KINDS: tuple[Kind, ...] = ("generated in real", "real in generated", "real in real")

SIDE = 448  # px of a composite: twice the side of what the backbone takes
_SMALLEST = 200  # px; a smaller crop would have to be enlarged
_EDGE = 0.012  # standard deviation of the soft edge, as a share of the side
_MOST = 0.03  # root mean square distance of landmarks after alignment, as a share of the side
_QUALITY = 92


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """A face that a composite can be made of.

    Attributes:
        pixels: Of the photo.
        face: In it.
        crop: How the detector crops it.
    """

    pixels: UInt8[ndarray, "height width 3"]
    face: Face
    crop: CropConfig

    @property
    def corner(self) -> tuple[float, float, float]:
        """Left, top and side of the detector's crop, px of the photo."""
        height, width = self.pixels.shape[:2]
        area = crop_box(self.face.box, self.crop, width, height)
        return area.left, area.top, area.width

    @property
    def large_enough(self) -> bool:
        """Whether its crop need not be enlarged much."""
        return self.corner[2] >= _SMALLEST

    @cached_property
    def tone(self) -> Float[ndarray, "3"]:
        """Mean colour between the eyes and the mouth, in [0, 1]."""
        x, y = np.array(self.face.landmarks).T
        left, right, top, bottom = (max(0, round(v)) for v in (x.min(), x.max(), y.min(), y.max()))
        area = self.pixels[top : bottom + 1, left : right + 1].reshape(-1, 3)
        tone: ndarray = area.mean(axis=0) / 255
        return tone

    @property
    def marks(self) -> Float[ndarray, "5 2"]:
        """Landmarks in the crop, as shares of its side."""
        left, top, side = self.corner
        marks: ndarray = (np.array(self.face.landmarks) - [left, top]) / side
        return marks


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Composite:
    """A face with a region from elsewhere.

    Attributes:
        data: The file.
        mask: Share of every pixel that comes from elsewhere, in [0, 1].
    """

    data: bytes
    mask: Float[ndarray, "side side"]

    def mask_in(self, area: Box, grid: int) -> Float[ndarray, "grid grid"]:
        """Return the share of every patch of a crop that comes from elsewhere.

        Args:
            area: What the crop shows, px of the composite.
            grid: Patches along one side of the crop.
        """
        image = Image.fromarray(self.mask.astype(np.float32))
        box = (area.left, area.top, area.left + area.width, area.top + area.height)
        small = image.resize((grid, grid), Image.Resampling.BOX, box)
        return np.asarray(small, dtype=np.float64)


def misfit(base: Part, donor: Part) -> float:
    """Return how badly two faces lie upon each other; inf if too badly.

    The root mean square distance of their landmarks after alignment, as a share of the side, and
    a tenth of the distance of their colours, white being at 1 from black.
    """
    matrix = similarity(donor.marks, base.marks)
    moved = donor.marks @ matrix[:, :2].T + matrix[:, 2]
    distance = float(np.sqrt(((moved - base.marks) ** 2).sum(axis=1).mean()))
    tones = float(np.abs(base.tone - donor.tone).mean())
    return distance + tones / 10 if distance <= _MOST else np.inf


def composite(base: Part, donor: Part, region: Region, seed: int) -> Composite:
    """Replace a region of `base` by that of `donor`.

    Args:
        base: The face that stays.
        donor: Where the region is from.
        region: Which one.
        seed: Of the side of half a face, and of a patch's place.
    """
    marks = base.marks
    mask = soft_mask(marks, region, seed)
    under = _warped(base, np.array([[1.0, 0, 0], [0, 1.0, 0]]))
    over = _warped(donor, similarity(marks, donor.marks))
    over = _matched(over, under, mask)
    pixels = under + mask[..., None] * (over - under)
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels.round(), 0, 255).astype(np.uint8)).save(
        stream, "JPEG", quality=_QUALITY, subsampling=0
    )
    return Composite(data=stream.getvalue(), mask=mask)


def similarity(
    source: Float[ndarray, "n 2"], target: Float[ndarray, "n 2"]
) -> Float[ndarray, "2 3"]:
    """Return the turn, scale and shift that bring `source` upon `target` with least squares.

    Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns",
    IEEE TPAMI 13(4), 1991, eq. 40 to 43; points with reflections are not mirrored.
    """
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    u, d, vt = np.linalg.svd(b.T @ a / len(a))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / max((a**2).sum() / len(a), 1e-12)
    shift = target.mean(axis=0) - scale * turn @ source.mean(axis=0)
    matrix: ndarray = np.column_stack([scale * turn, shift])
    return matrix


def soft_mask(
    marks: Float[ndarray, "5 2"], region: Region, seed: int
) -> Float[ndarray, "side side"]:
    """Return the share of every pixel that is replaced.

    Args:
        marks: Landmarks of the base, as shares of the side.
        region: Which one.
        seed: Of the side of half a face, and of a patch's place.
    """
    draw = np.random.default_rng(seed)
    right, left, nose, mouth_right, mouth_left = marks * SIDE
    eyes, mouth = (right + left) / 2, (mouth_right + mouth_left) / 2
    across, down = left - right, mouth - eyes
    image = Image.new("L", (SIDE, SIDE), 0)
    pen = ImageDraw.Draw(image)
    if region in ("face", "half face"):
        centre = eyes + 0.45 * down
        pen.polygon(_points(_oval(centre, 1.02 * across, 1.45 * down)), fill=255)
    if region == "half face":
        # What lies on one side of the line from the brow through the chin stays as it was.
        side = draw.choice([-1.0, 1.0])
        far = 3 * side * across
        line = [eyes - 3 * down, eyes + 4 * down]
        pen.polygon(_points([line[0], line[1], line[1] - far, line[0] - far]), fill=0)
    if region == "patch":
        centre = nose + draw.uniform(-0.6, 0.6) * across + draw.uniform(-0.6, 0.6) * down
        half = 0.38 * across, 0.38 * down
        pen.polygon(_points([centre + i * half[0] + j * half[1] for i, j in _CORNERS]), fill=255)
    if region in ("eyes", "mouth"):
        centre, wide, high = {
            "eyes": (eyes, 0.95 * across, 0.42 * down),
            "mouth": (mouth, 0.62 * across, 0.40 * down),
        }[region]
        pen.polygon(_points(_oval(centre, wide, high)), fill=255)
    soft = image.filter(ImageFilter.GaussianBlur(_EDGE * SIDE))
    return np.asarray(soft, dtype=np.float64) / 255


_CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))


def _oval(
    centre: Float[ndarray, "2"], across: Float[ndarray, "2"], down: Float[ndarray, "2"]
) -> list[Float[ndarray, "2"]]:
    turns = np.linspace(0, 2 * np.pi, 73)[:-1]
    return [centre + np.cos(t) * across + np.sin(t) * down for t in turns]


def _points(points: Sequence[Float[ndarray, "2"]]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points]


def _warped(part: Part, matrix: Float[ndarray, "2 3"]) -> Float[ndarray, "side side 3"]:
    """Return the square whose point p shows the part's point matrix(p), both as shares."""
    left, top, side = part.corner
    step = side / SIDE  # px of the photo per px of the composite
    turn = matrix[:, :2] * step
    shift = matrix[:, 2] * side + [left, top]
    # Pillow asks for pixel centres: (x + 1/2, y + 1/2) are the points meant.
    image = Image.fromarray(part.pixels)
    scale = float(np.sqrt(abs(np.linalg.det(turn))))
    if scale > 1:  # shrink first with a wide filter, so that nothing aliases
        smaller = tuple(max(1, round(n / scale)) for n in image.size)
        ratio = np.array([smaller[0] / image.width, smaller[1] / image.height])
        image = image.resize((smaller[0], smaller[1]), Image.Resampling.LANCZOS)
        turn, shift = ratio[:, None] * turn, ratio * shift
    data = (*turn[0], shift[0], *turn[1], shift[1])
    warped = image.transform((SIDE, SIDE), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
    return np.asarray(warped, dtype=np.float64)


def _matched(
    over: Float[ndarray, "side side 3"],
    under: Float[ndarray, "side side 3"],
    mask: Float[ndarray, "side side"],
) -> Float[ndarray, "side side 3"]:
    """Give `over` the mean and standard deviation of each channel that `under` has in the mask.

    Reinhard et al., "Color Transfer between Images", IEEE CG&A 21(5), 2001, eq. 10 and 11, in RGB.
    """
    weight = mask / mask.sum()
    out = np.empty_like(over)
    for channel in range(3):
        a, b = over[..., channel], under[..., channel]
        means = float((weight * a).sum()), float((weight * b).sum())
        spreads = [
            max(float(np.sqrt((weight * (x - m) ** 2).sum())), 1e-6)
            for x, m in zip((a, b), means, strict=True)
        ]
        # Contrast may change by a third at most: more would change the detail with the colour.
        gain = float(np.clip(spreads[1] / spreads[0], 0.75, 1.33))
        out[..., channel] = (a - means[0]) * gain + means[1]
    return out
