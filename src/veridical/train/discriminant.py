"""A linear head in closed form, which counts what differs between sources as noise.

Fisher's linear discriminant (Fisher, "The Use of Multiple Measurements in Taxonomic Problems",
1936; regularised as in Friedman, JASA 84(405), 1989, eq. 18): w = S^-1 (m_ai - m_real). A class is
a set of sources here, and S holds the scatter *within* sources and that *between* the sources of a
class: what tells one camera, studio or website from another must not tell real from AI-generated
(as within-class covariance normalisation does for speakers and their microphones; Hatch, Kajarekar
and Stolcke, Interspeech 2006).

How the next source differs is not known, and the sources that were given are the only sample of
that. So the posterior is the Bayesian bootstrap over them (Rubin, "The Bayesian Bootstrap", Annals
of Statistics 9(1), 1981, eq. 2.1): each sample weighs the sources by a draw from a flat Dirichlet
distribution and is the discriminant under these weights. Where the samples disagree, the verdict
rests on few sources.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veridical.arrays import Float, Float32, ndarray
from veridical.infer.head import SampledHead
from veridical.train.recipes import Recipe
from veridical.train.weights import Cell, of_cells

_BLOCK = 512  # rows that are solved at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellStatistics:
    """All that the discriminant needs to know of a set of similar pictures.

    Attributes:
        cell: What they are known by.
        pictures: How many there are.
        mean: Mean of their features, over all views.
        deviations: From it, one row per picture and view.
    """

    cell: Cell
    pictures: int
    mean: Float32[ndarray, " features"]
    deviations: Float32[ndarray, "rows features"]


def statistics(
    features: Float32[ndarray, "n views features"], cells: Sequence[Cell]
) -> tuple[CellStatistics, ...]:
    """Sum up pictures cell by cell, in the cells' order.

    Args:
        features: Pooled tokens, by picture and view.
        cells: The cell of each picture.
    """
    found = []
    for cell in sorted(set(cells)):
        own = np.array([other == cell for other in cells])
        x = features[own].reshape(-1, features.shape[2])
        mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        found.append(
            CellStatistics(cell=cell, pictures=int(own.sum()), mean=mean, deviations=x - mean)
        )
    return tuple(found)


def discriminant(
    features: Float32[ndarray, "n views features"],
    cells: Sequence[Cell],
    recipe: Recipe,
    seed: int,
) -> SampledHead:
    """Fit the head to pictures; see `posterior_over_sources`."""
    return posterior_over_sources(statistics(features, cells), recipe, seed)


def posterior_over_sources(
    found: Sequence[CellStatistics], recipe: Recipe, seed: int
) -> SampledHead:
    """Draw discriminants from the Bayesian bootstrap over cells.

    Before the draw, cells count by the square root of their size in the mean of their class, and
    alike in the scatter within; pseudo-fakes count `recipe.pseudo_weight` of that.

    With V = W^-1 M', W the scatter within cells and M their means (one per row), the scatter
    between them, times `recipe.between`, is M' E M, and w = (W + M' E M)^-1 M' d = V a with
    (I + E M V) a = d (the push-through identity): W is inverted once, all samples lie in the span
    of V, and one costs no more than a system of as many equations as there are cells. A class's
    share of the weights sums to one; d holds the shares of the cells, negative for real ones.

    Args:
        found: Statistics of the cells of both classes.
        recipe: `standardise`, `shrinkage`, `between`, `samples`, `pseudo` and `pseudo_weight` are
            read.
        seed: Random seed, for the draws.
    """
    size = np.array([one.pictures for one in found], dtype=np.float64)
    mean, scale = _scaling(found, size, recipe)
    worth = np.array(
        [recipe.pseudo_weight if one.cell[2] in recipe.pseudo else 1.0 for one in found]
    )
    ai = np.array([one.cell[0] == "ai" for one in found])
    means = np.stack([(one.mean - mean) / scale for one in found]).astype(np.float64)
    rows = np.concatenate(
        [
            one.deviations * (np.sqrt(np.float32(share / len(one.deviations))) / scale)
            for one, share in zip(found, worth / worth.sum(), strict=True)
        ]
    )
    within = rows.T @ rows
    within[np.diag_indices_from(within)] += np.float32(
        recipe.shrinkage * np.trace(within) / len(within)
    )
    basis = _solved(within, means.T.astype(np.float32)).astype(np.float64)
    gram = means @ basis
    draw = np.random.default_rng(seed)
    weight, bias = [], []
    for _ in range(recipe.samples):
        shares = _shares(worth * of_cells(size) * draw.standard_exponential(len(found)), ai)
        apart = np.eye(len(found)) - shares[ai.astype(int)]  # of each cell, from its class's mean
        between = (apart.T * (recipe.between * np.where(ai, *shares[::-1]) / 2)) @ apart
        parts = np.linalg.solve(
            np.eye(len(found)) + between @ gram,
            shares[1] - shares[0],
        )
        weight.append(parts)
        bias.append(-parts @ gram @ shares.sum(axis=0) / 2)  # halfway between the classes
    return SampledHead(
        mean=mean,
        scale=scale,
        directions=np.ascontiguousarray(basis.T, dtype=np.float32),
        weight=np.stack(weight).astype(np.float32),
        bias=np.array(bias, dtype=np.float32),
    )


def _solved(
    matrix: Float32[ndarray, "n n"], right: Float32[ndarray, "n columns"]
) -> Float32[ndarray, "n columns"]:
    """Solve a positive definite system, of which nothing is left: by Cholesky, block by block.

    As `scipy.linalg.cho_solve`, which would keep the interpreter's lock all the while; and faster
    than `numpy.linalg.cholesky`, for nearly all of it are products.
    """
    lower, found = matrix, right.copy()
    blocks = [slice(at, at + _BLOCK) for at in range(0, len(right), _BLOCK)]
    for one in blocks:  # the columns of L, and L y = b
        before, below = slice(one.start), slice(one.start, None)
        lower[below, one] -= lower[below, before] @ lower[one, before].T
        own = lower[one, one] = np.linalg.cholesky(lower[one, one])
        lower[one.stop :, one] = np.linalg.solve(own, lower[one.stop :, one].T).T
        found[one] = np.linalg.solve(own, found[one] - lower[one, before] @ found[before])
    for one in reversed(blocks):  # L' x = y
        found[one] -= lower[one.stop :, one].T @ found[one.stop :]
        found[one] = np.linalg.solve(lower[one, one].T, found[one])
    return found


def _shares(weights: Float[ndarray, " cells"], ai: ndarray) -> Float[ndarray, "2 cells"]:
    """Share the weights out within each class: real first, then AI-generated."""
    shares = np.stack([np.where(ai, 0.0, weights), np.where(ai, weights, 0.0)])
    divided: ndarray = shares / shares.sum(axis=1, keepdims=True)
    return divided


def _scaling(
    found: Sequence[CellStatistics], size: Float[ndarray, " cells"], recipe: Recipe
) -> tuple[Float32[ndarray, " features"], Float32[ndarray, " features"]]:
    """Return mean and standard deviation of all features, or what leaves them alone."""
    width = len(found[0].mean)
    if not recipe.standardise:
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    share = size / size.sum()
    means = np.stack([one.mean for one in found]).astype(np.float64)
    mean = share @ means
    own = np.stack([np.mean(one.deviations**2, axis=0, dtype=np.float64) for one in found])
    variance = share @ (own + (means - mean) ** 2)
    scale = np.maximum(np.sqrt(variance), 1e-4)
    return mean.astype(np.float32), scale.astype(np.float32)
