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
        least_px: Smallest side of the crop, px of the photo: around a small face it shows more of
            the photo, instead of blowing its pixels up. 0 sets none.
        through_px: If set, the crop is first shrunk to this side (as the reference does).
        whole: Take the whole frame instead of a face (as the reference does).
    """

    size_px: int
    margin: float = 1.3
    least_px: int = 0
    through_px: int | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        sizes = self.size_px, self.through_px or 1, self.least_px + 1
        if not (min(sizes) >= 1 and self.margin > 0):
            raise ValueError(f"A crop needs positive sizes and margin; got {self}.")

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change whenever a crop would."""
        return sha256(dumps({"cut": 2, **asdict(self)}, sort_keys=True).encode()).hexdigest()[:12]


def crop_box(
    box: Box, config: CropConfig, width: float, height: float, *, zoom: float = 1.0
) -> Box:
    """Return the part of a photo of `width` x `height` px that the crop of a face shows.

    The square keeps its size near an edge by moving inwards, and shrinks only where the photo is
    smaller than the square: padding would tell tightly framed pictures from the rest.

    Args:
        box: The face, px of the photo.
        config: How faces are cropped.
        width: Of the photo, px.
        height: Of the photo, px.
        zoom: Factor on the configured margin.
    """
    if config.whole:
        return Box(left=0.0, top=0.0, width=float(width), height=float(height))
    wanted = max(config.margin * zoom * max(box.width, box.height), config.least_px)
    side = float(min(wanted, width, height))
    left = min(max(box.left + (box.width - side) / 2, 0.0), width - side)
    top = min(max(box.top + (box.height - side) / 2, 0.0), height - side)
    return Box(left=left, top=top, width=side, height=side)


def extract_crop(
    image: Image.Image, area: Box, config: CropConfig, *, turn: int = 0
) -> UInt8[ndarray, "size size 3"]:
    """Crop `area` and resample it (bicubic, antialiased) to the configured size.

    Args:
        image: Upright sRGB photo.
        area: px of the photo: `crop_box` of a face, or the whole frame.
        config: The size of the result; its margin is not applied again.
        turn: Degrees by which the crop is turned counter-clockwise: 0, 90, 180 or 270.
    """
    size = config.through_px or config.size_px
    if turn:
        # Turned before resampling, and the photo as a whole: Pillow's passes go by rows and by the
        # size of the picture, and a turned face is to have the very pixels of the upright one.
        area = _turned(area, image.width, image.height, turn)
        image = image.transpose(_TURNS[turn])
    box = (area.left, area.top, area.left + area.width, area.top + area.height)
    crop = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    if size != config.size_px:
        crop = crop.resize((config.size_px, config.size_px), Image.Resampling.BILINEAR)
    return np.asarray(crop)


_TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


def _turned(area: Box, width: int, height: int, turn: int) -> Box:
    """Return where an area of a photo of `width` x `height` px is when the photo was turned."""
    right, below = width - area.left - area.width, height - area.top - area.height
    left, top = {90: (area.top, right), 180: (right, below), 270: (below, area.left)}[turn]
    across, down = (area.width, area.height) if turn == 180 else (area.height, area.width)
    return Box(left=max(left, 0.0), top=max(top, 0.0), width=across, height=down)
