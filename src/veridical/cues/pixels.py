"""What several cues do with pixels: windows, brightness, local means, residuals, a level face."""

from math import hypot

import numpy as np
from PIL import Image

from veridical.arrays import Float, UInt8, ndarray
from veridical.cues.protocol import CueInput
from veridical.explanation import Point

_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114  # ITU-R BT.601, the luma of JPEG (JFIF 1.02)
_AVERAGED = 16  # px in each direction that one pixel of a shrunken face is the mean of, at most
_STRIDE = 1.5  # px; a picture is first shrunk by whole pixels where a warp would skip more


def luma(pixels: UInt8[ndarray, "rows columns 3"]) -> Float[ndarray, "rows columns"]:
    """Return the brightness in levels of 0 to 255."""
    one: ndarray = pixels @ np.array([_RED, _GREEN, _BLUE])
    return one


def face_window(
    given: CueInput, *, most: int, least: int, multiple: int = 1
) -> UInt8[ndarray, "side side 3"] | None:
    """Return the middle of the face, square, with its pixels untouched; None if it is too small.

    Args:
        given: The photo and the face.
        most: Longest side, px: the cost of a cue is bounded here, not by resampling.
        least: Shortest side, px.
        multiple: What the side is rounded down to, px.
    """
    height, width = given.pixels.shape[:2]
    box = given.box
    left, top = max(0.0, box.left), max(0.0, box.top)
    right, bottom = (
        min(float(width), box.left + box.width),
        min(float(height), box.top + box.height),
    )
    side = int(min(right - left, bottom - top, most)) // multiple * multiple
    if side < least:
        return None
    x, y = int((left + right - side) / 2), int((top + bottom - side) / 2)
    return given.pixels[y : y + side, x : x + side]


def local_mean(values: Float[ndarray, "rows columns"], size: int) -> Float[ndarray, "rows columns"]:
    """Return the mean over an odd square around each pixel; edges are mirrored."""
    reach = size // 2
    padded = np.pad(values, ((reach + 1, reach), (reach + 1, reach)), mode="symmetric")
    padded[0], padded[:, 0] = 0, 0
    total = padded.cumsum(axis=0).cumsum(axis=1)
    around = (
        total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]
    )
    one: ndarray = around / size**2
    return one


def residual(
    values: Float[ndarray, "rows columns"], size: int = 5
) -> Float[ndarray, "rows columns"]:
    """Return what a local Wiener filter takes away: noise, and what is as fine as noise.

    Lee, "Digital Image Enhancement and Noise Filtering by Use of Local Statistics", IEEE TPAMI
    2(2), 1980; the noise's variance is the median of the local variances.
    """
    mean = local_mean(values, size)
    variance = np.maximum(local_mean(values**2, size) - mean**2, 0)
    noise = float(np.median(variance))
    kept = np.maximum(variance - noise, 0) / np.maximum(np.maximum(variance, noise), 1e-12)
    one: ndarray = (1 - kept) * (values - mean)
    return one


def blocks(values: Float[ndarray, "rows columns"], size: int) -> Float[ndarray, "down across"]:
    """Return the means of whole blocks of `size` x `size` pixels, from the upper left corner."""
    down, across = values.shape[0] // size, values.shape[1] // size
    cut = values[: down * size, : across * size]
    means: ndarray = cut.reshape(down, size, across, size).mean(axis=(1, 3))
    return means


def eye_distance(given: CueInput) -> float:
    """Return the distance between the eyes, px; 0 where there are no landmarks."""
    if len(given.landmarks) != 5:
        return 0.0
    (x0, y0), (x1, y1) = given.landmarks[:2]
    return hypot(x1 - x0, y1 - y0)


def level(
    given: CueInput, *, size: int, between: float, at: Point, eye: int | None = None
) -> UInt8[ndarray, "size size 3"]:
    """Return the face turned so that its eyes are level, at a set distance between them.

    What lies outside the photo repeats its edge.

    Args:
        given: With landmarks, the eyes at different places.
        size: Side of what comes out, px.
        between: Distance between the eyes in it, px.
        at: Where the middle between the eyes goes, (x, y) px; or the eye, if one is named.
        eye: 0 or 1 to put that eye at `at`.
    """
    # The person's right eye is on the left of the picture.
    (x0, y0), (x1, y1) = given.landmarks[:2]
    scale = eye_distance(given) / between  # px of the photo per px of the result
    cos, sin = (x1 - x0) / between, (y1 - y0) / between  # already times the scale
    cx, cy = ((x0 + x1) / 2, (y0 + y1) / 2) if eye is None else given.landmarks[eye]
    corners = [
        (cx + cos * (u - at[0]) - sin * (v - at[1]), cy + sin * (u - at[0]) + cos * (v - at[1]))
        for u in (0, size)
        for v in (0, size)
    ]
    height, width = given.pixels.shape[:2]
    left = int(np.clip(min(x for x, _ in corners) - 2, 0, width - 1))
    top = int(np.clip(min(y for _, y in corners) - 2, 0, height - 1))
    right = int(np.clip(max(x for x, _ in corners) + 3, left + 1, width))
    bottom = int(np.clip(max(y for _, y in corners) + 3, top + 1, height))
    # Of a face of many megapixels, every n-th pixel is enough to average over.
    skip = max(1, int(scale / _STRIDE) // _AVERAGED)
    image = Image.fromarray(np.ascontiguousarray(given.pixels[top:bottom:skip, left:right:skip]))
    reduced = max(1, min(int(scale / skip / _STRIDE), *image.size))
    image = image.reduce(reduced) if reduced > 1 else image
    factor = skip * reduced
    u0 = (cx - cos * at[0] + sin * at[1] - left) / factor
    v0 = (cy - sin * at[0] - cos * at[1] - top) / factor
    # Pillow's own warp would fill with black what lies outside.
    pixels = np.asarray(image)
    grid = np.arange(size) + 0.5
    u = u0 + (cos * grid[None, :] - sin * grid[:, None]) / factor
    v = v0 + (sin * grid[None, :] + cos * grid[:, None]) / factor
    return _sampled(pixels, u - 0.5, v - 0.5)


def _sampled(
    pixels: UInt8[ndarray, "height width 3"],
    x: Float[ndarray, "rows columns"],
    y: Float[ndarray, "rows columns"],
) -> UInt8[ndarray, "rows columns 3"]:
    """Interpolate bilinearly; coordinates beyond the edge are moved onto it."""
    height, width = pixels.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    x0, y0 = (
        np.minimum(x.astype(int), max(0, width - 2)),
        np.minimum(y.astype(int), max(0, height - 2)),
    )
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    a, b = (x - x0)[..., None], (y - y0)[..., None]
    upper = pixels[y0, x0] * (1 - a) + pixels[y0, x1] * a
    lower = pixels[y1, x0] * (1 - a) + pixels[y1, x1] * a
    one: ndarray = np.rint(upper * (1 - b) + lower * b).astype(np.uint8)
    return one


def small(pixels: UInt8[ndarray, "rows columns 3"], most: int) -> UInt8[ndarray, "down across 3"]:
    """Return a copy with sides of at most `most` px, for drawings."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((most, most))
    return np.asarray(image)
