"""What can be known of a picture without looking at the face in it.

There are three kinds of facts, about three states of the picture. The kinds, called probes, are how
the file was delivered, how the face is framed, and what the background is. The states, called
stages, are the picture as delivered ("raw"); the crop as at inspection, which is also the first
view in training ("cut"); and a crop that was encoded again, as all further views are ("view").
Facts of the later stages are taken from the same pixels that the backbone gets.

A fact is a number or a word. A number that a picture does not have, such as the quality of a PNG,
is NaN.
"""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from veridical.arrays import Bool, Float, UInt8, ndarray
from veridical.box import Box
from veridical.io.header import Header
from veridical.io.source import File
from veridical.train.views import Window, window
from veridical.vision.crop import CropConfig, crop_box

Probe = Literal["file", "framing", "background"]
Stage = Literal["raw", "cut", "view"]
Facts = Mapping[str, float | str]

PROBES: tuple[Probe, ...] = ("file", "framing", "background")
STAGES: tuple[Stage, ...] = ("raw", "cut", "view")

VERSION = 1  # part of the cache key: raise it with any change of a fact
THUMBNAIL_PX = 32  # side of the copy that shows the background: too coarse for a generator's traces
LEAST_SHOWN = 0.1  # of the frame: with less around the face there is no background
_QUALITY = 90  # of the JPEG by whose size a crop is measured
_DARK, _BRIGHT = 32, 224  # of 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """How messages speak about a fact.

    Attributes:
        says: A phrase about pictures, with {} for the typical value.
        fix: What to do if it gives the class away.
    """

    says: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """What the audit knows of one picture.

    Attributes:
        hash: Its 64-bit perceptual hash, for near-duplicates.
        facts: By stage and probe; without an entry where there is no background.
    """

    hash: int
    facts: Mapping[tuple[Stage, Probe], Facts]


def examine(
    file: File,
    boxes: Sequence[Box],
    box: Box,
    crop_config: CropConfig,
    crops: Sequence[UInt8[ndarray, "size size 3"]],
) -> dict[tuple[Stage, Probe], Facts]:
    """Return the facts of a picture, by stage and probe; without an entry where none can be taken.

    Args:
        file: The picture.
        boxes: Its faces, largest first.
        box: What was cropped: the largest face, or the whole frame.
        crop_config: How faces are cropped for the backbone.
        crops: The first two views of `box`, for the stages "cut" and "view".

    Raises:
        PhotoError: If the picture cannot be decoded.
    """
    image, header = file.photo.image, file.header
    assert file.data is not None, "pictures of a training set are files"
    assert header is not None
    width, height = image.size
    # The background begins where the usual crop of a face ends.
    close = CropConfig(size_px=crop_config.size_px, margin=crop_config.margin)
    hidden = [crop_box(one, close, width, height) for one in boxes]
    facts: dict[tuple[Stage, Probe], Facts | None] = {
        ("raw", "file"): delivery(len(file.data), header, width, height),
        ("raw", "framing"): placement(boxes, width, height),
        ("raw", "background"): scenery(image, hidden),
    }
    side = crop_config.size_px
    for number, (stage, crop) in enumerate(zip(STAGES[1:], crops, strict=True)):
        shown = window(box, crop_config, width, height, file.sha256, number)
        inside = _through(boxes, shown, side)
        facts[stage, "file"] = traces(crop, shown)
        facts[stage, "framing"] = placement(inside, side, side)
        facts[stage, "background"] = scenery(Image.fromarray(crop), inside)
    return {place: found for place, found in facts.items() if found is not None}


def _through(boxes: Sequence[Box], shown: Window, size_px: int) -> list[Box]:
    """Return the boxes, px of a photo, in px of its crop; without those that lie outside."""
    area = shown.area
    across, down = size_px / area.width, size_px / area.height
    inside = []
    for box in boxes:
        left, width = (box.left - area.left) * across, box.width * across
        top, height = (box.top - area.top) * down, box.height * down
        if shown.mirrored:
            left = size_px - left - width
        if 0 < left + width / 2 < size_px and 0 < top + height / 2 < size_px:
            inside.append(Box(left=left, top=top, width=width, height=height))
    return inside


# --- the file, and what is left of it in a crop -----------------------------------------------


def delivery(size_bytes: int, header: Header, width: int, height: int) -> Facts:
    """Return how a file of `size_bytes`, of `width` x `height` px when upright, was delivered."""
    jpeg = header.format == "JPEG"
    scan = "progressive" if header.progressive else "baseline"
    return {
        "format": header.format,
        "bytes per pixel": size_bytes / (width * height),
        "width": float(width),
        "height": float(height),
        "width over height": width / height,
        "megapixels": width * height / 1e6,
        "channels": header.mode,
        "EXIF": "EXIF" if header.exif else "no EXIF",
        "colour profile": "a colour profile" if header.profile else "no colour profile",
        "JPEG quality": float(header.quality[0]) if header.quality else math.nan,
        "JPEG mean quantiser": float(np.mean(header.tables[0])) if header.tables else math.nan,
        "JPEG chroma": header.subsampling or "none",
        "JPEG scan": scan if jpeg else "none",
    }


def traces(crop: UInt8[ndarray, "size size 3"], shown: Window) -> Facts:
    """Return what a crop still shows of how its picture was delivered: sharpness, mainly.

    Detail is the RMS difference, in levels of 255, between the grey crop and its means over
    blocks of 2 x 2 px ("fine"), and between those and means over 4 x 4 ("coarse").
    """
    size = len(crop)
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "JPEG", quality=_QUALITY)
    once = _grey(crop)[: size // 4 * 4, : size // 4 * 4]
    twice = _halved(once)
    detail = min(shown.area.width, shown.area.height, shown.side_px, size) / size
    return {
        f"bytes per pixel at JPEG {_QUALITY}": stream.tell() / size**2,
        "fine detail": _difference(once, twice),
        "coarse detail": _difference(twice, _halved(twice)),
        "true px per px": detail,
    }


def _grey(pixels: UInt8[ndarray, "height width 3"]) -> Float[ndarray, "height width"]:
    """Luma of ITU-R BT.601, in [0, 255]."""
    grey: Float[ndarray, "height width"] = pixels.astype(float) @ np.array([0.299, 0.587, 0.114])
    return grey


def _halved(grey: Float[ndarray, "rows columns"]) -> Float[ndarray, "fewer narrower"]:
    rows, columns = grey.shape
    means: Float[ndarray, "fewer narrower"] = grey.reshape(rows // 2, 2, columns // 2, 2).mean(
        axis=(1, 3)
    )
    return means


def _difference(
    grey: Float[ndarray, "rows columns"], half: Float[ndarray, "fewer narrower"]
) -> float:
    return float(np.sqrt(np.mean((grey - half.repeat(2, axis=0).repeat(2, axis=1)) ** 2)))


# --- the frame ----------------------------------------------------------------------------------


def placement(boxes: Sequence[Box], width: int, height: int) -> Facts:
    """Return where in a frame of `width` x `height` px the first of the faces is.

    All but the box's aspect and the number of faces are shares of the frame's width or height;
    edges are where the box ends, and may lie outside.
    """
    count = {"faces": float(len(boxes))}
    if not boxes:
        return count | dict.fromkeys(_PLACES, math.nan)
    box = boxes[0]
    left, across = box.left / width, box.width / width
    top, down = box.top / height, box.height / height
    places = (
        across,
        down,
        box.width / box.height,
        left + across / 2,
        top + down / 2,
        left,
        1 - left - across,
        top,
        1 - top - down,
    )
    return count | dict(zip(_PLACES, places, strict=True))


_PLACES = (
    "face width",
    "face height",
    "face width over height",
    "face centre, across",
    "face centre, down",
    "space on the left",
    "space on the right",
    "space above",
    "space below",
)

_PLACED = (
    "have faces {} of the frame wide",
    "have faces {} of the frame high",
    "have faces {} times as wide as high",
    "have the face's centre {} of the frame from the left",
    "have the face's centre {} of the frame from the top",
    "leave {} of the frame to the left of the face",
    "leave {} of the frame to the right of the face",
    "leave {} of the frame above the face",
    "leave {} of the frame below the face",
)


# --- the background ---------------------------------------------------------------------------

_SIDES = ("left", "right", "top", "bottom")


def scenery(image: Image.Image, hidden: Sequence[Box]) -> Facts | None:
    """Return coarse statistics of a picture without what is hidden; None if too little is left.

    The picture is shrunk to THUMBNAIL_PX squared by means over its cells, and every cell that a
    hidden box touches is left out. Levels are of 255.
    """
    width, height = image.size
    side = (THUMBNAIL_PX, THUMBNAIL_PX)
    small = np.asarray(image.resize(side, Image.Resampling.BOX))
    shown = np.ones(side, dtype=bool)
    for box in hidden:
        rows = _cells(box.top, box.height, height)
        shown[rows, _cells(box.left, box.width, width)] = False
    if shown.mean() < LEAST_SHOWN:
        return None
    return dict(_statistics(small, shown))


def _cells(start: float, length: float, whole: int) -> slice:
    scale = THUMBNAIL_PX / whole
    return slice(max(0, math.floor(start * scale)), max(0, math.ceil((start + length) * scale)))


def _statistics(
    small: UInt8[ndarray, "rows columns 3"], shown: Bool[ndarray, "rows columns"]
) -> Iterator[tuple[str, float]]:
    grey = _grey(small)
    colour = small.astype(float)
    slope, known = _slopes(grey, shown)
    chroma = colour.max(axis=2) - colour.min(axis=2)
    yield "brightness", float(grey[shown].mean())
    yield "spread of brightness", float(grey[shown].std())
    yield "dark part", float((grey[shown] < _DARK).mean())
    yield "bright part", float((grey[shown] > _BRIGHT).mean())
    yield "red cast", float((colour[..., 0] - grey)[shown].mean())
    yield "blue cast", float((colour[..., 2] - grey)[shown].mean())
    yield "colourfulness", float(chroma[shown].mean())
    yield "spread of colourfulness", float(chroma[shown].std())
    yield "steps", _mean(slope, known)
    band = THUMBNAIL_PX // 4
    bands = (np.s_[:, :band], np.s_[:, -band:], np.s_[:band, :], np.s_[-band:, :])
    for name, part in zip(_SIDES, bands, strict=True):
        yield f"brightness, {name}", _mean(grey[part], shown[part])
        yield f"steps, {name}", _mean(slope[part], known[part])


def _slopes(
    grey: Float[ndarray, "rows columns"], shown: Bool[ndarray, "rows columns"]
) -> tuple[Float[ndarray, "rows columns"], Bool[ndarray, "rows columns"]]:
    """Mean size of the steps to the next cell on the right and below, where all three are shown."""
    slope, known = np.zeros_like(grey), np.zeros_like(shown)
    right, below = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    slope[:-1, :-1] = (right[:-1] + below[:, :-1]) / 2
    known[:-1, :-1] = shown[:-1, :-1] & shown[:-1, 1:] & shown[1:, :-1]
    return slope, known


def _mean(values: Float[ndarray, "rows columns"], among: Bool[ndarray, "rows columns"]) -> float:
    return float(values[among].mean()) if among.any() else math.nan


# --- in words -----------------------------------------------------------------------------------

_ENCODE = "re-encode both classes alike"
_RESIZE = "resize both classes alike"
_STRIP = "strip both classes of what is not pixels"
_FRAME = "crop both classes alike"
_SHARP = "take both classes from the same range of sizes and qualities"
_PLACE = "add pictures with the background of the other class"


def _known() -> Iterator[tuple[str, str, str]]:
    yield "format", "are {}", _ENCODE
    yield "bytes per pixel", "take {} bytes per pixel", _ENCODE
    yield "width", "are {} px wide", _RESIZE
    yield "height", "are {} px high", _RESIZE
    yield "width over height", "are {} times as wide as high", _RESIZE
    yield "megapixels", "have {} megapixels", _RESIZE
    yield "channels", "are stored as {}", _ENCODE
    yield "EXIF", "have {}", _STRIP
    yield "colour profile", "have {}", _STRIP
    yield "JPEG quality", "are JPEGs of quality {}", _ENCODE
    yield "JPEG mean quantiser", "are JPEGs with a mean quantiser of {}", _ENCODE
    yield "JPEG chroma", "have JPEG chroma {}", _ENCODE
    yield "JPEG scan", "have a JPEG scan: {}", _ENCODE
    yield f"bytes per pixel at JPEG {_QUALITY}", "take {} bytes per pixel of the crop", _SHARP
    yield "fine detail", "have fine detail of {} levels in the crop", _SHARP
    yield "coarse detail", "have coarse detail of {} levels in the crop", _SHARP
    yield "true px per px", "have {} px of the photo behind each px of the crop", _SHARP
    yield "faces", "show {} faces", _FRAME
    for name, says in zip(_PLACES, _PLACED, strict=True):
        yield name, says, _FRAME
    yield "brightness", "have a background of brightness {}", _PLACE
    yield "spread of brightness", "have a background whose brightness spreads by {}", _PLACE
    yield "dark part", "have a background that is dark in a share of {}", _PLACE
    yield "bright part", "have a background that is bright in a share of {}", _PLACE
    yield "red cast", "have a background with {} more red than grey", _PLACE
    yield "blue cast", "have a background with {} more blue than grey", _PLACE
    yield "colourfulness", "have a background of colourfulness {}", _PLACE
    yield "spread of colourfulness", "have a background whose colourfulness spreads by {}", _PLACE
    yield "steps", "have a background with steps of {} levels", _PLACE
    for side in _SIDES:
        yield f"brightness, {side}", f"have brightness {{}} at the {side}", _PLACE
        yield f"steps, {side}", f"have steps of {{}} levels at the {side}", _PLACE


KNOWN: Mapping[str, Known] = {name: Known(says=says, fix=fix) for name, says, fix in _known()}
"""What to say about each fact, by its name."""
