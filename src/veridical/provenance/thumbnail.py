"""Whether the thumbnail in EXIF shows the picture: information, with no likelihood ratio.

A program that changes a picture may leave the thumbnail of before in the file. Both are shrunk,
brought to one aspect ratio and correlated. Some cameras crop the thumbnail, add black bars to it,
or store it upright, so the best of these ways counts.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from veridical.errors import PhotoError
from veridical.io.formats import open_image, photo_errors_only
from veridical.io.header import orientation_of
from veridical.io.source import File

SAME = 0.8
"""Least correlation at which both show the same picture; measured, see docs/provenance.md."""

_SIDE = 48  # px: both are shrunk to a square of this
_DARK = 24  # of 255: the most in a black bar
_LIT = 0.05  # share of a row or column that is brighter, at least, outside of a bar
_TURNS = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_270,
    8: Image.Transpose.ROTATE_90,
}


def correlation(file: File, exif: bytes, thumbnail: bytes) -> float | None:
    """Return the normalised correlation of a JPEG and its thumbnail, in [-1, 1].

    Args:
        file: The picture.
        exif: Its EXIF block, for the orientation.
        thumbnail: The JPEG in it.

    Returns:
        None if one of them cannot be decoded, or has one grey only.
    """
    assert file.data is not None
    whole, small = _grey(file, file.data), _grey(file, thumbnail)
    if whole is None or small is None:
        return None
    turn = _TURNS.get(orientation_of(exif))
    found = [
        value
        for one in (whole, *([whole.transpose(turn)] if turn is not None else ()))
        for other in (small, _without_bars(small))
        for value in _correlations(one, other)
    ]
    return max(found, default=None)


def _grey(file: File, data: bytes) -> Image.Image | None:
    try:
        image = open_image(data, "JPEG", file.name, file.limits)
        with photo_errors_only(file.name, "JPEG"):
            image.draft("L", (4 * _SIDE, 4 * _SIDE))  # decodes down to an eighth of its size
            shrunk = image.convert("L")
            shrunk.thumbnail((8 * _SIDE, 8 * _SIDE))
            return shrunk
    except PhotoError:
        return None


def _without_bars(image: Image.Image) -> Image.Image:
    lit = np.asarray(image) > _DARK
    rows, columns = (np.flatnonzero(lit.mean(axis=axis) > _LIT) for axis in (1, 0))
    if min(len(rows), len(columns)) < 8:
        return image
    return image.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


def _correlations(one: Image.Image, other: Image.Image) -> Iterator[float]:
    """Correlate two pictures: either cropped to the aspect of the other, and both whole."""
    for first, second in (
        (_cropped(one, other.width / other.height), other),
        (one, _cropped(other, one.width / one.height)),
        (one, other),
    ):
        x, y = (
            np.asarray(each.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
            for each in (first, second)
        )
        x, y = x - x.mean(), y - y.mean()
        spread = float(np.linalg.norm(x) * np.linalg.norm(y))
        if spread > 0:
            yield float((x * y).sum() / spread)


def _cropped(image: Image.Image, aspect: float) -> Image.Image:
    width = max(1, min(image.width, round(image.height * aspect)))
    height = max(1, min(image.height, round(image.width / aspect)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
