"""Where one shot of a clip ends and the next begins.

Frames are searched some seconds apart. Between two of them a camera may pan or zoom and people may
cross the frame, so two frames of one shot need not agree place by place. They are compared as a
whole; then by what stood still; then where they fit best: by the correlation of what overlaps, over
all shifts at once (Padfield, "Masked object registration in the Fourier domain", 2012), and over a
few zooms.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from veridical.arrays import Float, Int, ndarray

_SIZE, _HALF = (64, 36), (32, 18)
_SAME_GREY, _SAME_COLOURS = 0.3, 0.87  # of two frames of one shot, place by place, at least
# Of what overlaps after a shift. The best of many shifts is higher for strangers, too: see
# docs/video.md for how often either is mistaken.
_FITS_GREY, _FITS_COLOURS = 0.7, 0.8
_OVERLAP = 0.4  # share of the frame that has to overlap
_ZOOM = 1.25
_STILL = 16  # levels by which a place that stood still differs, at most
_STOOD, _STRUCTURE = 0.5, 24.0  # share of such places, and their spread in levels: no plain wall


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thumbnail:
    """A frame, small, for finding cuts.

    Attributes:
        image: sRGB, 64 x 36.
        grey: Levels.
        colours: Which of 6 x 6 x 6 colours each place has.
    """

    image: Image.Image
    grey: Float[ndarray, "18 32"]
    colours: Int[ndarray, "36 64"]


def thumbnail(image: Image.Image) -> Thumbnail:
    """Return an upright sRGB frame, small."""
    return _described(image.resize(_SIZE, Image.Resampling.BOX, reducing_gap=2.0))


def is_cut(before: Thumbnail, after: Thumbnail) -> bool:
    """Return whether two frames are of different shots: other shapes, or other colours."""
    a, b = before.grey - before.grey.mean(), after.grey - after.grey.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    alike = float((a * b).sum()) / scale if scale > 1e-6 else 1.0
    if alike >= _SAME_GREY and _shared(before.colours, after.colours) >= _SAME_COLOURS:
        return False
    if _same_ground(before, after):
        return False
    pairs = ((before, after), (_nearer(before), after), (before, _nearer(after)))
    return not any(_fit(one, other) for one, other in pairs)


def _described(small: Image.Image) -> Thumbnail:
    levels = np.asarray(small).astype(int) // 43
    return Thumbnail(
        image=small,
        grey=np.asarray(small.convert("L").resize(_HALF, Image.Resampling.BOX), np.float64),
        colours=levels[..., 0] * 36 + levels[..., 1] * 6 + levels[..., 2],
    )


def _nearer(one: Thumbnail) -> Thumbnail:
    """Return what a camera that zooms in sees of a frame."""
    width, height = _SIZE
    x, y = width * (1 - 1 / _ZOOM) / 2, height * (1 - 1 / _ZOOM) / 2
    box = (x, y, width - x, height - y)
    return _described(one.image.resize(_SIZE, Image.Resampling.BILINEAR, box=box))


def _same_ground(a: Thumbnail, b: Thumbnail) -> bool:
    """Return whether much of the frame stood still, such as the room behind who moves."""
    own, other = (np.asarray(one.image, np.int16) for one in (a, b))
    still = np.abs(own - other).max(axis=-1) <= _STILL
    levels = own.mean(axis=-1)[still]
    return bool(still.mean() >= _STOOD and levels.std() >= _STRUCTURE)


def _fit(a: Thumbnail, b: Thumbnail) -> bool:
    """Return whether two frames are alike where they overlap after the best shift."""
    alike, down, across = best_shift(a.grey, b.grey)
    if alike < _FITS_GREY:
        return False
    own, other = _overlap(a.colours, b.colours, 2 * down, 2 * across)
    return _shared(own, other) >= _FITS_COLOURS


def best_shift(
    a: Float[ndarray, "rows columns"], b: Float[ndarray, "rows columns"]
) -> tuple[float, int, int]:
    """Return the highest correlation of what overlaps, and the shift that gives it.

    Args:
        a: Levels.
        b: Others.

    Returns:
        Correlation in [-1, 1]; rows and columns by which `b` has to be moved to lie on `a`. A
        shift that leaves nothing but a plain area does not count.
    """
    rows, columns = a.shape
    size = 2 * rows, 2 * columns
    ones = np.ones_like(a)
    a, b = a - a.mean(), b - b.mean()
    own = [np.fft.rfft2(one, size) for one in (ones, a, a * a)]
    other = [np.fft.rfft2(one, size).conj() for one in (ones, b, b * b)]

    def sums(i: int, k: int) -> Float[ndarray, "downs acrosses"]:
        found: Float[ndarray, "downs acrosses"] = np.fft.irfft2(own[i] * other[k], size)
        return found

    places = np.maximum(np.round(sums(0, 0)), 1)
    of_a, of_b = sums(1, 0), sums(0, 1)
    spread = (sums(2, 0) - of_a**2 / places) * (sums(0, 2) - of_b**2 / places)
    counts = (places >= _OVERLAP * a.size) & (spread > (1e-3 * places) ** 2)
    alike = np.full(size, -1.0)
    product = sums(1, 1) - of_a * of_b / places
    alike[counts] = product[counts] / np.sqrt(spread[counts])
    down, across = (int(at) for at in np.unravel_index(int(alike.argmax()), size))
    best = float(min(alike[down, across], 1.0))
    return best, down - size[0] * (down >= rows), across - size[1] * (across >= columns)


def _overlap(
    a: Int[ndarray, "rows columns"], b: Int[ndarray, "rows columns"], down: int, across: int
) -> tuple[Int[ndarray, "some others"], Int[ndarray, "some others"]]:
    rows, columns = a.shape
    own = a[max(0, down) : rows + min(0, down), max(0, across) : columns + min(0, across)]
    other = b[max(0, -down) : rows + min(0, -down), max(0, -across) : columns + min(0, -across)]
    return own, other


def _shared(a: Int[ndarray, "some others"], b: Int[ndarray, "some others"]) -> float:
    """Return the share of two pictures' colours that they have in common."""
    own, other = (np.bincount(one.ravel(), minlength=216) / one.size for one in (a, b))
    return float(np.minimum(own, other).sum())
