"""The same photo in other bytes: does a verdict outlive being saved again, or made smaller?

Whoever passes a picture on saves it again: messengers, web sites and screenshots all do, and
detectors that rest on fine detail are known to change their minds then (Gragnaniello et al., "Are
GAN generated images easy to detect?", arXiv:2104.02617). So a verdict is asked for again, of a
small fixed set of copies.

A copy is made of the face's crops alone, not of the whole photo. The piece starts on the
grid of blocks that JPEG would lay over the photo, and goes a little beyond what is looked at, so
that it holds what saving the whole photo would have left there. Copies are a function of the
pixels: no chance, and no other picture, has a part in them.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from veridical.box import Box

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]

# px; JPEG's blocks of colour are 16 px wide under 4:2:0. At half size 160 is 5 of them, and at
# four fifths it is 8: the grid of a copy is the grid that the whole photo would have had.
_GRID = 160
# What the edge of a piece changes reaches one such block, 32 px at half size; and the bicubic crop
# to 224 px or more reads up to side / 56 px beyond its area, and a few where it enlarges.
_BEYOND, _BEYOND_PX = 1 / 56, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """One way to save a picture again.

    Attributes:
        name: For people and programs.
        scale: Side of the copy over that of the original, in (0, 1]; resampled bicubically, with
            antialiasing.
        quality: Of the JPEG that the copy is saved as, 1 to 95 on the scale of libjpeg; None where
            it is saved without loss, as a screenshot is.
        subsampling: How coarse the JPEG's colours are.
    """

    name: str
    scale: float = 1.0
    quality: int | None = None
    subsampling: Subsampling = "4:2:0"

    def __post_init__(self) -> None:
        if not (0 < self.scale <= 1 and (self.quality is None or 1 <= self.quality <= 95)):
            raise ValueError(
                "A perturbation needs a scale in (0, 1] and a JPEG quality in 1 to 95, or none; "
                f"got {self.scale} and {self.quality}."
            )


PERTURBATIONS = (
    Perturbation(name="jpeg-60", quality=60),
    Perturbation(name="half-size-jpeg-75", scale=0.5, quality=75),
    Perturbation(name="screenshot-0.8", scale=0.8),
)
"""Copies in which the verdict `ai` has to stay."""


def apply(
    image: Image.Image, areas: Sequence[Box], how: Perturbation
) -> tuple[Image.Image, tuple[Box, ...]]:
    """Return what a perturbed copy of a photo holds around `areas`, and where these are in it.

    Args:
        image: Upright sRGB photo.
        areas: What will be judged, px of the photo.
        how: What is done to the photo.
    """
    first = min(one.left for one in areas), min(one.top for one in areas)
    last = max(one.left + one.width for one in areas), max(one.top + one.height for one in areas)
    longer = max(last[0] - first[0], last[1] - first[1])
    beyond = _BEYOND_PX + ceil(_BEYOND * longer)
    left, right = _span(first[0], last[0], beyond, image.width)
    top, bottom = _span(first[1], last[1], beyond, image.height)
    piece = image.crop((left, top, right, bottom))
    small = tuple(max(1, round(side * how.scale)) for side in piece.size)
    across, down = small[0] / piece.width, small[1] / piece.height
    if small != piece.size:
        piece = piece.resize((small[0], small[1]), Image.Resampling.BICUBIC)
    if how.quality is not None:
        piece = _jpeg(piece, how.quality, how.subsampling)
    return piece, tuple(
        Box(
            left=(one.left - left) * across,
            top=(one.top - top) * down,
            width=one.width * across,
            height=one.height * down,
        )
        for one in areas
    )


def _span(start: float, end: float, beyond: int, side: int) -> tuple[int, int]:
    """Widen an interval to the grid, within a photo of `side` px."""
    low = max(0, floor((start - beyond) / _GRID) * _GRID)
    high = min(side, ceil((end + beyond) / _GRID) * _GRID)
    return low, high


def _jpeg(image: Image.Image, quality: int, subsampling: Subsampling) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    file.seek(0)
    # Past Image.open, which would warn of large pictures; the photo is within our limits already.
    with JpegImageFile(file) as saved:
        return saved.convert("RGB")
