"""Several ways to see one training picture, so that the head cannot learn how it was delivered.

Format, size, compression and framing differ between the classes of any collection. Every view but
the first is the photo as it might have come by another way: resized, so that faces of all sizes
occur, its skin smoothed, blurred, sharpened, made noisy or grey, and encoded again, perhaps twice.
It is cropped a little differently, perhaps mirrored. Both classes draw from the same distribution.
A view is a function of the picture's hash and the view's number: the same bytes give the same
views.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil, floor

import numpy as np
from PIL import Image, ImageFilter

from veridical.arrays import Float, UInt8, ndarray
from veridical.box import Box
from veridical.vision.crop import CropConfig, crop_box, extract_crop

VERSION = 3  # part of the cache key: raise it with any change below

_FACES_PX = (40, 700)  # that a face is shrunk to, if it is larger; some larger ones stay
_ENLARGED, _MOST = 0.15, 2.0  # share of the views that are enlarged, and by how much at most
_ZOOMS = (0.75, 1.12)  # of the margin
_SHIFT = 0.2  # of the face's longer side, at most, either way: aligned faces sit low in their crops
_BEYOND = 1.1  # what is treated, over what may be shown: the edge of a piece is no picture's edge
_QUALITIES = (30, 96)
_FILTERS = (Image.Resampling.BICUBIC, Image.Resampling.BILINEAR, Image.Resampling.LANCZOS)
# Shares of the views.
_SMOOTHED, _BLURRED, _SHARPENED, _NOISY, _GREY = 0.15, 0.25, 0.15, 0.15, 0.1
_ENCODED, _ENCODED_AGAIN, _JPEG = 0.92, 0.2, 0.85


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """How a photo came, and how it is cropped.

    Attributes:
        scale: Its size over the original's.
        filter: That it was resized with.
        moved: The face, moved a little, px of the original.
        zoom: Of the margin.
        mirrored: Whether left and right are swapped.
        draw: Goes on to how it was treated and encoded.
    """

    scale: float
    filter: Image.Resampling
    moved: Box
    zoom: float
    mirrored: bool
    draw: np.random.Generator


def window(
    box: Box, crop_config: CropConfig, width: int, height: int, picture: str, number: int
) -> Window:
    """Return what one crop of `views` shows of a photo of `width` x `height` px."""
    if number == 0:
        area = crop_box(box, crop_config, width, height)
        side = crop_config.through_px or crop_config.size_px
        return Window(area=area, side_px=side, mirrored=False)
    way = _way(box, picture, number)
    scaled = way.moved.scaled(way.scale)
    seen = crop_box(scaled, crop_config, width * way.scale, height * way.scale, zoom=way.zoom)
    return Window(
        area=seen.scaled(1 / way.scale),
        side_px=min(crop_config.size_px, max(1, round(seen.width))),
        mirrored=way.mirrored,
    )


def views(
    image: Image.Image,
    box: Box,
    configs: Sequence[CropConfig],
    picture: str,
    number: int,
    *,
    turn: int = 0,
) -> UInt8[ndarray, "crops size size 3"]:
    """Return the crops of a face in one view of its photo, as the backbone would see them.

    Args:
        image: Upright sRGB photo.
        box: The face, px of the photo; the whole frame under `CropConfig.whole`.
        configs: How faces are cropped at inspection, one per crop.
        picture: SHA-256 of the file.
        number: 0 is the picture as delivered, cropped exactly as at inspection.
        turn: Of the face; see `extract_crop`.
    """
    if number == 0:
        return np.stack(
            [
                extract_crop(image, crop_box(box, one, image.width, image.height), one, turn=turn)
                for one in configs
            ]
        )
    way = _way(box, picture, number)
    shown = _shown(way, configs, image.width, image.height)
    piece = image.crop(shown)
    size = max(1, round(piece.width * way.scale)), max(1, round(piece.height * way.scale))
    across, down = size[0] / piece.width, size[1] / piece.height
    if size != piece.size:
        piece = piece.resize(size, way.filter)
    piece = _treated(piece, way.draw)
    inside = Box(
        left=way.moved.left - shown[0],
        top=way.moved.top - shown[1],
        width=way.moved.width,
        height=way.moved.height,
    )
    crops = []
    for one in configs:
        area = crop_box(inside.scaled(across, down), one, *piece.size, zoom=way.zoom)
        crop = extract_crop(piece, area, one, turn=turn)
        crops.append(crop[:, ::-1] if way.mirrored else crop)
    return np.stack(crops)


def face_px(box: Box, picture: str, number: int) -> float:
    """Return the longer side of the face in a view, px."""
    return box.size_px * (_way(box, picture, number).scale if number else 1.0)


def _way(box: Box, picture: str, number: int) -> _Way:
    """Draw how a photo came."""
    seed = sha256(f"{VERSION}/{picture}/{number}".encode()).digest()
    draw = np.random.default_rng(int.from_bytes(seed[:8], "big"))
    side = max(box.width, box.height)
    scale = min(1.0, float(np.exp(draw.uniform(*np.log(_FACES_PX)))) / side)
    if draw.random() < _ENLARGED:
        scale = float(min(draw.uniform(1.0, _MOST), max(1.0, _FACES_PX[1] / side)))
    right, down = (float(one) * side for one in draw.uniform(-_SHIFT, _SHIFT, size=2))
    return _Way(
        scale=scale,
        filter=_FILTERS[draw.integers(len(_FILTERS))],
        moved=replace(box, left=box.left + right, top=box.top + down),
        zoom=float(draw.uniform(*_ZOOMS)),
        mirrored=bool(draw.random() < 0.5),
        draw=draw,
    )


def _shown(
    way: _Way, configs: Sequence[CropConfig], width: int, height: int
) -> tuple[int, int, int, int]:
    """Return what the widest crop may show, and some more, whole px of the original."""
    if any(one.whole for one in configs):
        return 0, 0, width, height
    box = way.moved
    sides = (
        max(one.margin * way.zoom * max(box.width, box.height), one.least_px / way.scale)
        for one in configs
    )
    reach = _BEYOND * max(sides)
    across, down = box.left + box.width / 2, box.top + box.height / 2
    # A crop near an edge moves inwards, so that it may reach as far as its whole side.
    return (
        max(0, floor(min(across - reach / 2, width - reach))),
        max(0, floor(min(down - reach / 2, height - reach))),
        min(width, ceil(max(across + reach / 2, reach))),
        min(height, ceil(max(down + reach / 2, reach))),
    )


def _treated(piece: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Do what phones, editors and websites do; each only to some."""
    if draw.random() < _SMOOTHED:
        piece = _smoothed(piece, draw)
    if draw.random() < _BLURRED:
        piece = piece.filter(ImageFilter.GaussianBlur(draw.uniform(0.3, 1.8)))
    if draw.random() < _SHARPENED:
        radius, percent = draw.uniform(0.6, 2.0), int(draw.integers(40, 180))
        piece = piece.filter(ImageFilter.UnsharpMask(radius, percent, threshold=2))
    if draw.random() < _NOISY:
        piece = _noisy(piece, draw)
    if draw.random() < _GREY:
        piece = piece.convert("L").convert("RGB")
    if draw.random() < _ENCODED:
        piece = _encoded(piece, draw)
    if draw.random() < _ENCODED_AGAIN:
        piece = _encoded(piece, draw)
    return piece


def _smoothed(piece: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Take faint detail away and keep edges, as denoising and skin filters do."""
    values = np.asarray(piece, dtype=np.float32)
    blurred = piece.filter(ImageFilter.GaussianBlur(draw.uniform(1.0, 3.0)))
    detail = values - np.asarray(blurred, dtype=np.float32)
    kept = np.minimum(np.abs(detail).max(axis=2, keepdims=True) / draw.uniform(8, 24), 1) ** 2
    return _pixels(values - draw.uniform(0.4, 1.0) * (1 - kept) * detail)


def _noisy(piece: Image.Image, draw: np.random.Generator) -> Image.Image:
    """Add white noise, the same in all channels or not."""
    values = np.asarray(piece, dtype=np.float32)
    channels = 1 if draw.random() < 0.5 else 3
    return _pixels(values + draw.normal(0, draw.uniform(1, 8), size=(*values.shape[:2], channels)))


def _pixels(values: Float[ndarray, "height width 3"]) -> Image.Image:
    return Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))


def _encoded(piece: Image.Image, draw: np.random.Generator) -> Image.Image:
    quality = int(draw.integers(*_QUALITIES))
    stream = io.BytesIO()
    if draw.random() < _JPEG:
        piece.save(stream, "JPEG", quality=quality, subsampling=int(draw.integers(0, 3)))
    else:
        piece.save(stream, "WEBP", quality=quality, method=2)
    with Image.open(stream) as again:
        return again.convert("RGB")
