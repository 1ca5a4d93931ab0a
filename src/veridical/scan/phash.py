"""A perceptual hash: 64 bits that stay nearly the same when a picture is resized or saved again.

The DCT hash of Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
section 3.2.1, as the package ImageHash computes it, but for one shortcut: a large picture is
first averaged down, which changes a few bits at most.
"""

from functools import cache

import numpy as np
from PIL import Image

from veridical.arrays import Float, ndarray

_SIDE, _KEPT = 32, 8  # px of the small copy; frequencies of it along each side


def phash(image: Image.Image) -> str:
    """Return the hash of an upright picture: 16 hex digits."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    waves = _waves()
    low: ndarray = waves @ np.asarray(small.convert("L"), np.float64) @ waves.T
    return np.packbits(low > np.median(low)).tobytes().hex()


@cache
def _waves() -> Float[ndarray, "8 32"]:
    """The first rows of a DCT of type II."""
    wave, at = np.arange(_KEPT)[:, None], np.arange(_SIDE)[None]
    return 2 * np.cos(np.pi * wave * (2 * at + 1) / (2 * _SIDE))
