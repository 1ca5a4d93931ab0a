"""Cover a crop, in windows or in chosen patches, and see what a score does."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from veridical.arrays import Bool, Float, UInt8, ndarray

Fill = Literal["mean", "blur"]
"""What covers: the crop's mean colour, or a blurred copy."""

Score = Callable[[UInt8[ndarray, "batch size size 3"]], Float[ndarray, " batch"]]
"""Crops in, one number each out: P(ai), or a logit."""

_BLUR = 1 / 14  # radius over the crop's side: wide enough to wipe out an eye


def occlusion(
    crop: UInt8[ndarray, "size size 3"],
    score: Score,
    *,
    window: int = 16,
    stride: int = 8,
    batch: int = 8,
) -> Float[ndarray, "size size"]:
    """Return how much P(ai) drops when the neighbourhood of a pixel is covered.

    Each window's change is p(whole) - p(covered): positive where the picture supported `ai`. A
    pixel gets the mean over all windows that cover it (Zeiler and Fergus, ECCV 2014, section 4.2,
    who keep one value per position). The last row and column are always reached.

    Args:
        crop: What the backbone takes.
        score: P(ai) of a batch of crops.
        window: Side of the covered square, px.
        stride: Step between squares, px.
        batch: Windows scored at a time.

    Raises:
        ValueError: If window or stride do not fit the crop.
    """
    size = crop.shape[0]
    if not (1 <= window <= size and stride >= 1):
        raise ValueError(
            f"Occlusion needs 1 <= window <= {size} px and stride >= 1 px; got {window}, {stride}."
        )
    covering = cover(crop, "mean")
    starts = _starts(size, window, stride)
    places = [(top, left) for top in starts for left in starts]
    whole = float(score(crop[None])[0])
    total, times = np.zeros((size, size)), np.zeros((size, size))
    for first in range(0, len(places), batch):
        chunk = places[first : first + batch]
        covered = np.repeat(crop[None], len(chunk), axis=0)
        for copy, (top, left) in zip(covered, chunk, strict=True):
            copy[top : top + window, left : left + window] = covering[
                top : top + window, left : left + window
            ]
        for (top, left), p in zip(chunk, score(covered), strict=True):
            total[top : top + window, left : left + window] += whole - float(p)
            times[top : top + window, left : left + window] += 1
    # With a stride wider than the window some pixels are never covered: they keep a change of 0.
    return total / np.maximum(times, 1)


def swapped(
    under: UInt8[ndarray, "size size 3"],
    over: UInt8[ndarray, "size size 3"],
    chosen: Bool[ndarray, " patches"],
) -> UInt8[ndarray, "size size 3"]:
    """Return `under` with the chosen patches, row by row over the grid, taken from `over`."""
    grid = round(len(chosen) ** 0.5)
    edge = under.shape[0] // grid
    mask = np.kron(chosen.reshape(grid, grid), np.ones((edge, edge), dtype=bool))
    # A crop whose side is no multiple of the patch has a rim that belongs to no patch.
    rim = under.shape[0] - mask.shape[0]
    mask = np.pad(mask, ((0, rim), (0, rim)))
    return np.where(mask[..., None], over, under)


def cover(crop: UInt8[ndarray, "size size 3"], fill: Fill) -> UInt8[ndarray, "size size 3"]:
    """Return what a crop looks like where all of it is covered."""
    if fill == "blur":
        image = Image.fromarray(crop).filter(ImageFilter.GaussianBlur(crop.shape[0] * _BLUR))
        return np.asarray(image)
    colour = crop.reshape(-1, 3).mean(axis=0)
    return np.broadcast_to(colour.round().astype(np.uint8), crop.shape)


def _starts(size: int, window: int, stride: int) -> list[int]:
    """Return where windows begin, the last one flush with the edge."""
    starts = list(range(0, size - window + 1, stride))
    if starts[-1] != size - window:
        starts.append(size - window)
    return starts
