"""Several ways to see one training picture, so that the head cannot learn how it was delivered.

Format, size, compression and framing differ between the classes of any collection. Every view but
the first is shrunk by a random factor, cropped a little differently, perhaps mirrored, blurred,
made noisy or grey, and encoded again. Both classes draw from the same distribution. A view is a
function of the picture's hash and the view's number: the same bytes give the same views.
"""

import io
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from PIL import Image, ImageFilter

from veridical.arrays import UInt8, ndarray
from veridical.box import Box
from veridical.vision.crop import CropConfig, crop_box, extract_crop

VERSION = 2  # part of the cache key: raise it with any change below

_MARGINS = (0.9, 1.45)  # around the usual 1.3
_SHIFT = 0.2  # of the face's longer side, at most, either way: aligned faces sit low in their crops
_SIDES_PX = (56, 288)
_QUALITIES = (30, 96)
_BLURRED, _NOISY, _GREY = 0.25, 0.15, 0.1  # shares of the views


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of a photo a view shows, and how much of its detail.

    Attributes:
        area: px of the photo.
        side_px: The smallest side that it passes through; no finer detail is left.
        mirrored: Whether left and right are swapped.
    """

    area: Box
    side_px: int
    mirrored: bool


def window(
    box: Box, crop_config: CropConfig, width: int, height: int, picture: str, number: int
) -> Window:
    """Return what `view` shows of a photo of `width` x `height` px; the arguments are its own."""
    return _drawn(box, crop_config, width, height, picture, number)[0]


def view(
    image: Image.Image,
    box: Box,
    crop_config: CropConfig,
    picture: str,
    number: int,
) -> UInt8[ndarray, "size size 3"]:
    """Return one view of a face, as the backbone would see it.

    Args:
        image: Upright sRGB photo.
        box: The face, px of the photo; the whole frame under `crop_config.whole`.
        crop_config: How faces are cropped at inspection.
        picture: SHA-256 of the file.
        number: 0 is the picture as delivered, cropped exactly as at inspection.
    """
    shown, filter_, draw = _drawn(box, crop_config, image.width, image.height, picture, number)
    area, side = shown.area, shown.side_px
    if number == 0:
        return extract_crop(image, area, crop_config)
    crop = image.resize(
        (side, side),
        filter_,
        box=(area.left, area.top, area.left + area.width, area.top + area.height),
    )
    if shown.mirrored:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if draw.random() < _BLURRED:
        crop = crop.filter(ImageFilter.GaussianBlur(draw.uniform(0.3, 2.0) * side / 224))
    if draw.random() < _NOISY:
        crop = _noisy(crop, draw)
    if draw.random() < _GREY:
        crop = crop.convert("L").convert("RGB")
    crop = _encoded(crop, draw)
    return np.asarray(
        crop.resize((crop_config.size_px, crop_config.size_px), Image.Resampling.BICUBIC),
        dtype=np.uint8,
    )


def _drawn(
    box: Box, crop_config: CropConfig, width: int, height: int, picture: str, number: int
) -> tuple[Window, Image.Resampling, np.random.Generator]:
    """Draw what a view shows; the generator goes on to how it is encoded."""
    seed = sha256(f"{VERSION}/{picture}/{number}".encode()).digest()
    draw = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    if number == 0:
        area = crop_box(box, crop_config, width, height)
        side = crop_config.through_px or crop_config.size_px
        return Window(area=area, side_px=side, mirrored=False), Image.Resampling.BICUBIC, draw
    right, down = draw.uniform(-_SHIFT, _SHIFT, size=2) * max(box.width, box.height)
    moved = replace(box, left=box.left + float(right), top=box.top + float(down))
    area = crop_box(moved, crop_config, width, height, margin=draw.uniform(*_MARGINS))
    side = min(round(np.exp(draw.uniform(*np.log(_SIDES_PX)))), round(area.width))
    filter_ = draw.choice(
        [Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS]
    )
    mirrored = bool(draw.random() < 0.5)
    window = Window(area=area, side_px=side, mirrored=mirrored)
    return window, Image.Resampling(filter_), draw


def _noisy(crop: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Add white noise, the same in all channels or not."""
    values = np.asarray(crop, dtype=np.float32)
    channels = 1 if draw.random() < 0.5 else 3
    noise = draw.normal(0, draw.uniform(1, 8), size=(*values.shape[:2], channels))
    return Image.fromarray(np.clip(np.round(values + noise), 0, 255).astype(np.uint8))


def _encoded(crop: Image.Image, draw: np.random.Generator) -> Image.Image:
    quality = int(draw.integers(*_QUALITIES))
    stream = io.BytesIO()
    if draw.random() < 0.85:
        crop.save(stream, "JPEG", quality=quality, subsampling=int(draw.integers(0, 3)))
    else:
        crop.save(stream, "WEBP", quality=quality, method=2)
    with Image.open(stream) as again:
        return again.convert("RGB")
