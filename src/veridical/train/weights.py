"""How much each picture counts: large sources less than their size, both classes the same."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from veridical.arrays import Float, ndarray
from veridical.io.samples import Sample

Cell = tuple[str, str, str]
"""Label, source and generator: what a set of similar pictures is known by."""


def cell_of(sample: Sample) -> Cell:
    """Return the cell that a picture belongs to."""
    return sample.label, sample.source, sample.generator


def of_cells(sizes: Float[ndarray, " cells"]) -> Float[ndarray, " cells"]:
    """Return the weight of whole cells: the square root of their size."""
    weights: ndarray = np.sqrt(sizes)
    return weights


def of_pictures(cells: Sequence[Cell]) -> Float[ndarray, " n"]:
    """Return the weight of each picture; their mean is 1, and both classes add up to the same.

    Args:
        cells: The cell of each picture.
    """
    count = Counter(cells)
    sizes = np.array([count[cell] for cell in cells], dtype=float)
    weights: ndarray = of_cells(sizes) / sizes
    ai = np.array([label == "ai" for label, _, _ in cells], dtype=bool)
    for mask in (ai, ~ai):
        weights[mask] *= len(cells) / 2 / weights[mask].sum()
    return weights
