"""What the tests of several maps share."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from veridical.arrays import Float, Float32, UInt8, ndarray
from veridical.tokens import Tokens

DIM = 6
GRID, EDGE = 6, 8
Logit = Callable[[ndarray], ndarray]


def tokens(layers: int, prefix: int, grid: int, seed: int) -> Tokens:
    """Random tokens of `DIM` channels."""
    states = np.random.default_rng(seed).normal(0.5, 2, (layers, prefix + grid * grid, DIM))
    split: Float32[ndarray, "layers sequence dim"] = states.astype(np.float32)
    return Tokens(prefix=split[:, :prefix], patches=split[:, prefix:], grid=grid, has_cls=True)


def noise(size: int, seed: int = 0) -> UInt8[ndarray, "size size 3"]:
    """A crop of noise."""
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def case(
    seed: int, shift: float
) -> tuple[UInt8[ndarray, "size size 3"], Logit, Float[ndarray, "grid grid"]]:
    """A crop, a logit that is linear in its cells' brightness, and the true map."""
    generator = np.random.default_rng(seed)
    weights = generator.normal(0, 1, (GRID, GRID))
    side = GRID * EDGE

    def bright(crops: ndarray) -> ndarray:
        cells = crops[:, :side, :side].reshape(len(crops), GRID, EDGE, GRID, EDGE, 3)
        return np.asarray(cells.mean(axis=(2, 4, 5)) / 255)

    colours = generator.integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    crop = np.kron(colours, np.ones((EDGE, EDGE, 1), dtype=np.uint8))
    blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(side / 14)))
    truth = weights * (bright(crop[None])[0] - bright(blurred[None])[0])
    start = float((bright(crop[None])[0] * weights).sum())

    def logit(crops: ndarray) -> ndarray:
        return np.asarray((bright(crops) * weights).sum(axis=(1, 2)) - start + shift)

    return crop, logit, truth
