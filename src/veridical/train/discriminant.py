"""A linear head in closed form, which counts what differs between sources as noise.

Fisher's linear discriminant (Fisher, "The Use of Multiple Measurements in Taxonomic Problems",
1936; regularised as in Friedman, JASA 84(405), 1989, eq. 18): w = S^-1 (m_ai - m_real). A class is
a set of sources here, and S holds the scatter *within* sources and that *between* the sources of a
class: what tells one camera, studio or website from another must not tell real from AI-generated
(as within-class covariance normalisation does for speakers and their microphones; Hatch, Kajarekar
and Stolcke, Interspeech 2006).

In the coordinates in which S is the identity, every coordinate adds an independent piece of
evidence to the logit. The pieces are dealt into shares of about equal worth, and dropout on the
shares is the posterior: would the verdict stand, had some of the evidence not been there?
"""

from collections.abc import Sequence

import numpy as np

from veridical.arrays import Float32, ndarray
from veridical.head import BayesianHead, Layer
from veridical.train.recipes import Recipe

Cell = tuple[str, str, str]
"""Label, source and generator: what a set of alike pictures is known by."""


def discriminant(
    features: Float32[ndarray, "n views features"],
    cells: Sequence[Cell],
    recipe: Recipe,
    seed: int,
) -> BayesianHead:
    """Fit the head.

    Sources count by the square root of their size in the mean of their class, and alike in the
    scatter; pseudo-fakes count `recipe.pseudo_weight` of that.

    Args:
        features: Pooled tokens, by picture and view; pictures of both classes.
        cells: Of each picture.
        recipe: `standardise`, `shrinkage`, `shares_of_evidence`, `pseudo`, `pseudo_weight` and the
            last `dropout` are read.
        seed: Of the head's masks.
    """
    width = features.shape[2]
    flat = features.reshape(-1, width)
    centre, spread = np.zeros(width, np.float32), np.ones(width, np.float32)
    if recipe.standardise:
        centre = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = np.maximum(flat.std(axis=0, dtype=np.float64), 1e-4).astype(np.float32)
    names = sorted(set(cells))
    worth = np.array([recipe.pseudo_weight if name[2] in recipe.pseudo else 1.0 for name in names])
    size, means = np.zeros(len(names)), np.zeros((len(names), width), np.float32)
    scatter = np.zeros((width, width), np.float32)
    of = np.array([names.index(cell) for cell in cells])
    for number in range(len(names)):
        x = (features[of == number].reshape(-1, width) - centre) / spread
        size[number], means[number] = (of == number).sum(), x.mean(axis=0)
        x -= means[number]
        scatter += np.float32(worth[number] / worth.sum() / len(x)) * (x.T @ x)
    middle = np.zeros((2, width))
    for side, label in enumerate(("real", "ai")):
        own = np.array([name[0] == label for name in names])
        share = np.where(own, worth * np.sqrt(size), 0)
        share /= share.sum()
        middle[side] = share @ means
        apart = (means - middle[side]) * np.sqrt(share)[:, None]
        scatter += (apart.T @ apart / 2).astype(np.float32)
    scatter[np.diag_indices(width)] += np.float32(recipe.shrinkage * np.trace(scatter) / width)
    variance, axes = np.linalg.eigh(scatter)
    # Shrinkage keeps every variance positive; rounding may not.
    variance = np.maximum(variance, 1e-6 * variance.max())
    gap = (axes.T @ (middle[1] - middle[0])) / np.sqrt(variance)
    weight = ((gap / np.sqrt(variance))[:, None] * axes.T).astype(np.float32)
    # Dealt out like cards, the strongest first: no share has much more to say than another.
    shares = min(recipe.shares_of_evidence, width)
    place = np.empty(width, dtype=np.int64)
    place[np.argsort(-np.abs(gap), kind="stable")] = np.arange(width) % shares
    dealt = np.zeros((shares, width), np.float32)
    np.add.at(dealt, place, weight)
    halfway = middle.mean(axis=0).astype(np.float32)
    return BayesianHead(
        centre=centre,
        spread=spread,
        layers=(
            Layer(weight=dealt, bias=-(dealt @ halfway), relu=False, dropout=0.0),
            Layer(
                weight=np.ones((1, shares), np.float32),
                bias=np.zeros(1, np.float32),
                relu=False,
                dropout=recipe.dropout[1],
            ),
        ),
        seed=seed,
    )
