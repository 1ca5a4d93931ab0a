"""Fit how the crops of a face are put together, and what is claimed then."""

from dataclasses import dataclass

import numpy as np

from veridical.arrays import Bool, Float, Float32, Int, ndarray
from veridical.errors import TooFewPhotos
from veridical.infer.calibration import Calibration, conformal_quantile, tail_of
from veridical.infer.fusion import Fusion
from veridical.infer.head import sigmoid
from veridical.infer.platt import stack
from veridical.train.recipes import Recipe

FEWEST = 60  # pictures of each kind in a class of quality: fewer promise little
PENALTY = 1e-3  # on squared weights, in units of the mean log loss: keeps them finite
_FLAT = 1e-6  # weight where no crop knows anything


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """What heads said of pictures that they were not fitted on.

    Attributes:
        logits: Posterior samples.
        truth: Which pictures are AI-generated.
        weights: How much each picture counts.
        sizes_px: Longer side of the face in each view, px.
    """

    logits: Float32[ndarray, "n views crops samples"]
    truth: Bool[ndarray, " n"]
    weights: Float[ndarray, " n"]
    sizes_px: Float[ndarray, "n views"]

    def first(self) -> "LeftOut":
        """Return the same of the first crop alone."""
        return LeftOut(
            logits=self.logits[:, :, :1],
            truth=self.truth,
            weights=self.weights,
            sizes_px=self.sizes_px,
        )


def fit_fusion(given: LeftOut, recipe: Recipe) -> Fusion:
    """Fit weights and intercept by the log loss of the predictive, then thresholds, by class.

    Every view counts: pictures come small and compressed, too, and their class should know. Where
    the recipe balances, both kinds of pictures weigh the same in each class.

    Args:
        given: Logits of pictures that the heads were not fitted on.
        recipe: `edges_px`, `out_of_source`, `balance` and the coverages are read.

    Raises:
        TooFewPhotos: If there are fewer than two real or two AI-generated pictures.
    """
    truth = given.truth
    if min(int(truth.sum()), int((~truth).sum())) < 2:
        raise TooFewPhotos(
            f"Calibration has {int(truth.sum())} AI-generated and {int((~truth).sum())} real "
            "pictures; it needs at least 2 of each.",
            hint="Add pictures; some hundred of each class give useful thresholds.",
        )
    edges = _edges(given, recipe)
    place = np.searchsorted(edges, given.sizes_px, side="right")
    weights, intercepts, calibrations = [], [], []
    fused = np.zeros((*place.shape, given.logits.shape[3]))
    for at in range(len(edges) + 1):
        own = place == at
        logits, picture = given.logits[own].astype(np.float64), np.nonzero(own)[0]
        slopes, intercept = _weights(logits, truth[picture], given.weights[picture], recipe)
        fused[own] = np.einsum("c,ncs->ns", slopes, logits) + intercept
        weights.append(tuple(map(float, slopes)))
        intercepts.append(float(intercept))
        calibrations.append(_calibration(fused[own], picture, truth, recipe))
    everything = np.ones(place.shape, bool)
    return Fusion(
        edges_px=edges,
        weights=tuple(weights),
        intercepts=tuple(intercepts),
        calibrations=tuple(calibrations),
        overall=_calibration(fused[everything], np.nonzero(everything)[0], truth, recipe),
    )


def _edges(given: LeftOut, recipe: Recipe) -> tuple[float, ...]:
    """Return the recipe's edges, without those that leave too few pictures on a side."""
    kept: list[float] = []
    for edge in recipe.edges_px:
        below = given.sizes_px < edge
        between = below & (given.sizes_px >= kept[-1]) if kept else below
        if min(_count(given, between), _count(given, ~below)) >= FEWEST:
            kept.append(edge)
    return tuple(kept)


def _count(given: LeftOut, views: Bool[ndarray, "n views"]) -> int:
    """Return how many pictures have such a view, of the class that has fewer."""
    seen = views.any(axis=1)
    return min(int((seen & given.truth).sum()), int((seen & ~given.truth).sum()))


def _weights(
    logits: Float[ndarray, "m crops samples"],
    truth: Bool[ndarray, " m"],
    weights: Float[ndarray, " m"],
    recipe: Recipe,
) -> tuple[Float[ndarray, " crops"], float]:
    """Return weights of the crops and the intercept of one class of quality."""
    if not recipe.out_of_source:
        return np.full(logits.shape[1], 1 / logits.shape[1]), 0.0
    counts = weights.copy()
    if recipe.balance:  # or P(ai) would assume another prior than `infer.priors.assumed` says
        for kind in (truth, ~truth):
            counts[kind] /= counts[kind].sum()
    return _stacked(logits, truth, counts)


def _calibration(
    fused: Float[ndarray, "m samples"],
    picture: Int[ndarray, " m"],
    truth: Bool[ndarray, " n"],
    recipe: Recipe,
) -> Calibration:
    """Fit the thresholds of one class of quality, on views of pictures."""
    ai = truth[picture]
    p = sigmoid(fused).mean(axis=1)
    return Calibration(
        slope=1.0,
        intercept=0.0,
        coverage_of_reals=recipe.coverage_of_reals,
        coverage_of_ai=recipe.coverage_of_ai,
        threshold_real=conformal_quantile(p[~ai], recipe.coverage_of_reals),
        threshold_ai=conformal_quantile(1 - p[ai], recipe.coverage_of_ai),
        real=len(np.unique(picture[~ai])),
        ai=len(np.unique(picture[ai])),
        tail=tail_of(p[~ai], recipe.coverage_of_reals),
        typical_real=float(np.median(fused.mean(axis=1)[~ai])),
    )


def _stacked(
    logits: Float[ndarray, "n crops samples"],
    truth: Bool[ndarray, " n"],
    counts: Float[ndarray, " n"],
) -> tuple[Float[ndarray, " crops"], float]:
    """Stack without negative weights: a crop is never evidence for the opposite of what it says."""
    weights = np.zeros(logits.shape[1])
    left = np.arange(logits.shape[1])
    while len(left):
        found, intercept = stack(logits[:, left], truth, counts, PENALTY)
        if (found > 0).all():
            weights[left] = found
            return weights, intercept
        left = left[found > 0]
    # Pictures from other sources are ranked no better than by chance.
    ai = float(counts[truth].sum() / counts.sum())
    return np.full(len(weights), _FLAT), float(np.log(ai) - np.log1p(-ai))
