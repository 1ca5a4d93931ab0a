"""Crop every face the same way, for every class and every purpose."""

from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps

import numpy as np
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.box import Box


@dataclass(frozen=True, slots=True, kw_only=True)
class CropConfig:
    """How a face is cropped: part of the preprocessing, hashed into every model card.

    Attributes:
        size_px: Side of the square that comes out.
        margin: Side of the square crop over the longer side of the face's box.
        through_px: If set, the crop is first shrunk to this side (as the reference does).
        whole: Take the whole frame instead of a face (as the reference does).
    """

    size_px: int
    margin: float = 1.3
    through_px: int | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if not (self.size_px >= 1 and self.margin > 0 and (self.through_px or 1) >= 1):
            raise ValueError(f"A crop needs positive sizes and margin; got {self}.")

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change whenever a crop would."""
        return sha256(dumps({"cut": 1, **asdict(self)}, sort_keys=True).encode()).hexdigest()[:12]


def crop_box(
    box: Box, config: CropConfig, width: int, height: int, *, margin: float | None = None
) -> Box:
    """Return the part of a photo of `width` x `height` px that the crop of a face shows.

    The square keeps its size near an edge by moving inwards, and shrinks only where the photo is
    smaller than the square: padding would tell tightly framed pictures from the rest.

    Args:
        box: The face, px of the photo.
        config: How faces are cropped.
        width: Of the photo, px.
        height: Of the photo, px.
        margin: Instead of the configured one.
    """
    if config.whole:
        return Box(left=0.0, top=0.0, width=float(width), height=float(height))
    side = float(min((margin or config.margin) * max(box.width, box.height), width, height))
    left = min(max(box.left + (box.width - side) / 2, 0.0), width - side)
    top = min(max(box.top + (box.height - side) / 2, 0.0), height - side)
    return Box(left=left, top=top, width=side, height=side)


def extract_crop(
    image: Image.Image, area: Box, config: CropConfig
) -> UInt8[ndarray, "size size 3"]:
    """Crop `area` and resample it (bicubic, antialiased) to the configured size.

    Args:
        image: Upright sRGB photo.
        area: px of the photo: `crop_box` of a face, or the whole frame.
        config: The size of the result; its margin is not applied again.
    """
    box = (area.left, area.top, area.left + area.width, area.top + area.height)
    size = config.through_px or config.size_px
    crop = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    if size != config.size_px:
        crop = crop.resize((config.size_px, config.size_px), Image.Resampling.BILINEAR)
    return np.asarray(crop)
