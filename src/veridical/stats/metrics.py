"""How good are the probabilities? Each metric has an address; each number, an interval.

`truth` is 1 (or True) for AI-generated pictures and 0 for real ones; `p_ai` is P(ai). A picture is
called "ai" at `threshold` if P(ai) >= threshold.

Every metric is written once, for pictures that carry a weight: the number of times a bootstrap
resample drew them. The plain functions give each picture the weight 1, so what the tests hold
against scikit-learn is what the intervals are made of.

What cannot be measured is a ValueError that says what came: no pictures, labels other than 0 and
1, unequally many labels and scores, a score that is not finite, P(ai) outside [0, 1]. `Raises`
below names what is refused beyond that.

Only numpy is needed: the base install has neither scipy nor scikit-learn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from veridical.arrays import Float, Int, ndarray
from veridical.report import Estimate
from veridical.stats.intervals import (
    Draws,
    Labels,
    Mask,
    Resampling,
    Weights,
    bootstrap_shares,
    holding,
    labels_of,
    percentiles,
    wilson,
)
from veridical.stats.ranking import Ranked, area

Scores: TypeAlias = Float[ndarray, " pictures"]

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "tpr",
    "fpr",
    "auroc",
    "average_precision",
    "tpr_at_1pct_fpr",
    "tpr_at_0.1pct_fpr",
    "ece",
    "ece_adaptive",
    "brier",
    "nll",
)
"""What `bootstrap` measures, in this order. `tpr` and `fpr` are those at the threshold."""

_NLL_FLOOR = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Pictures by truth and by what they were called at a threshold.

    Attributes:
        tn: Real, called real.
        fp: Real, called ai.
        fn: AI-generated, called real.
        tp: AI-generated, called ai.
    """

    tn: int
    fp: int
    fn: int
    tp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """The pictures whose P(ai) falls into one bin; there is at least one.

    Attributes:
        low: Lower edge of the bin; the least P(ai) in it if the bins hold equal numbers.
        high: Upper edge of the bin; the greatest P(ai) in it if the bins hold equal numbers.
        count: Pictures in it.
        mean_p_ai: What was claimed, on average.
        share_ai: What is true, with Wilson's 95 % interval.
    """

    low: float
    high: float
    count: int
    mean_p_ai: float
    share_ai: Estimate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Roc:
    """The ROC curve: one corner for every distinct score, highest first, after (0, 0).

    Attributes:
        fpr: Share of real pictures with a score >= threshold.
        tpr: Share of AI-generated pictures with a score >= threshold.
        threshold: The first is infinite.
    """

    fpr: Float[ndarray, " corners"]
    tpr: Float[ndarray, " corners"]
    threshold: Float[ndarray, " corners"]


# ---------------------------------------------------------------------------- ranking


def roc_curve(truth: Labels, score: Scores) -> Roc:
    """Return every corner of the empirical ROC curve; equal scores share one corner.

    References:
        T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27(8), 2006,
        algorithm 1. Corners on straight lines are kept.

    Raises:
        ValueError: If there is one class only.
    """
    ranked = Ranked.of(*_both_classes(truth, score))
    tp, fp = ranked.curve(np.ones((1, len(score))))
    return Roc(
        fpr=np.append(0.0, fp[0] / fp[0, -1]),
        tpr=np.append(0.0, tp[0] / tp[0, -1]),
        threshold=np.append(np.inf, ranked.score[ranked.ends]),
    )


def auroc(truth: Labels, score: Scores) -> float:
    """Return P(score of an AI picture > score of a real one) + P(they are equal) / 2.

    References:
        J. Hanley, B. McNeil, "The meaning and use of the area under a receiver operating
        characteristic (ROC) curve", Radiology 143(1), 1982.

    Raises:
        ValueError: If there is one class only.
    """
    return float(area(*_curve_of(truth, score))[0])


def average_precision(truth: Labels, score: Scores) -> float:
    """Return the sum over thresholds of (rise in recall) x (precision there); no interpolation.

    References:
        M. Zhu, "Recall, precision and average precision", University of Waterloo, 2004. For why
        not to interpolate: J. Davis, M. Goadrich, "The relationship between Precision-Recall and
        ROC curves", ICML 2006.

    Raises:
        ValueError: If there is one class only.
    """
    return float(_average_precision(*_curve_of(truth, score))[0])


def tpr_at_fpr(truth: Labels, score: Scores, fpr: float) -> float:
    """Return the largest TPR among the thresholds whose empirical FPR is at most `fpr`.

    Conservative: there is no interpolation between thresholds, and pictures with equal scores
    are caught together or not at all. With fewer than 1 / fpr real pictures this is the TPR
    without any false alarm.

    References:
        Fawcett 2006 (see `roc_curve`): his step function, read from below.

    Raises:
        ValueError: If `fpr` is outside [0, 1], or there is one class only.
    """
    if not 0 <= fpr <= 1:
        raise ValueError(f"A false positive rate lies in [0, 1]; got {fpr}.")
    return float(_tpr_at_fpr(*_curve_of(truth, score), fpr)[0])


# ---------------------------------------------------------------------------- decisions


def confusion(truth: Labels, p_ai: Scores, *, threshold: float = 0.5) -> Confusion:
    """Count the pictures by truth and by what they are called at `threshold`.

    References:
        Fawcett 2006 (see `roc_curve`), figure 1.
    """
    is_ai, p = _probabilities(truth, p_ai)
    tn, fp, fn, tp = np.bincount(2 * is_ai + (p >= threshold), minlength=4).tolist()
    return Confusion(tn=tn, fp=fp, fn=fn, tp=tp)


def accuracy(truth: Labels, p_ai: Scores, *, threshold: float = 0.5) -> float:
    """Return the share of pictures called what they are: (TP + TN) / all (see `confusion`)."""
    is_ai, p = _probabilities(truth, p_ai)
    return float(np.mean((p >= threshold) == is_ai))


def balanced_accuracy(truth: Labels, p_ai: Scores, *, threshold: float = 0.5) -> float:
    """Return (TPR + TNR) / 2: the accuracy if both classes were equally many.

    References:
        K. Brodersen et al., "The balanced accuracy and its posterior distribution", ICPR 2010:
        the plain average, not their posterior mean.

    Raises:
        ValueError: If there is one class only.
    """
    is_ai, p = _probabilities(*_both_classes(truth, p_ai))
    called = p >= threshold
    return float((called[is_ai].mean() + (~called[~is_ai]).mean()) / 2)


# ---------------------------------------------------------------------------- probabilities


def brier(truth: Labels, p_ai: Scores) -> float:
    """Return the mean of (P(ai) - truth)^2.

    References:
        G. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather
        Review 78(1), 1950; half of his sum, which runs over both classes.
    """
    return float(_squared(*_probabilities(truth, p_ai)).mean())


def nll(truth: Labels, p_ai: Scores) -> float:
    """Return the mean of -ln P(truth), nats.

    P(truth) is raised to 1e-12 where it is less, so that one certain mistake costs 27.6 nats and
    not infinitely many.

    References:
        I. Good, "Rational decisions", Journal of the Royal Statistical Society B 14(1), 1952.
    """
    return float(_surprise(*_probabilities(truth, p_ai)).mean())


def expected_calibration_error(
    truth: Labels, p_ai: Scores, *, bins: int = 15, adaptive: bool = False
) -> float:
    """Return the mean over pictures of |mean P(ai) - share of AI pictures| in their bin.

    The bins are over P(ai) in [0, 1], not over the confidence in [1/2, 1] of Guo et al.: errors
    towards "real" and towards "ai" do not hide each other. The estimate is biased upwards, the
    more so the fewer pictures there are in a bin.

    Args:
        truth: 1 for AI-generated pictures.
        p_ai: P(ai).
        bins: How many; 15 as in Guo et al.
        adaptive: Bins that hold equally many pictures (equal P(ai) stays together, so some hold
            more) instead of bins of equal width.

    References:
        M. Naeini, G. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using
        Bayesian binning", AAAI 2015. C. Guo et al., "On calibration of modern neural networks",
        ICML 2017, equation 3. Adaptive: K. Nguyen, B. O'Connor, "Posterior calibration and
        exploratory analysis for natural language processing models", EMNLP 2015.

    Raises:
        ValueError: If `bins` is not positive, or there is one class only (a calibrated P(ai) is
            not calibrated within a class).
    """
    is_ai, p = _probabilities(*_both_classes(truth, p_ai))
    weights = np.ones((1, len(p)))
    return float(_ece(weights, _membership(p, bins, adaptive=adaptive), p - is_ai)[0])


def reliability_bins(
    truth: Labels, p_ai: Scores, *, bins: int = 15, adaptive: bool = False
) -> tuple[ReliabilityBin, ...]:
    """Return the bins behind the calibration error, lowest first; empty ones are left out.

    References:
        J. Bröcker, L. Smith, "Increasing the reliability of reliability diagrams", Weather and
        Forecasting 22(3), 2007; the intervals are Wilson's (see `wilson`) about what is true,
        not theirs about what is claimed.

    Raises:
        ValueError: If `bins` is not positive.
    """
    is_ai, p = _probabilities(truth, p_ai)
    index = _bin_index(p, bins, adaptive=adaptive)
    edges = np.linspace(0, 1, bins + 1)
    found = []
    for b in np.unique(index).tolist():
        inside = index == b
        found.append(
            ReliabilityBin(
                low=float(p[inside].min() if adaptive else edges[b]),
                high=float(p[inside].max() if adaptive else edges[b + 1]),
                count=int(inside.sum()),
                mean_p_ai=float(p[inside].mean()),
                share_ai=wilson(int(is_ai[inside].sum()), int(inside.sum())),
            )
        )
    return tuple(found)


# ---------------------------------------------------------------------------- intervals


def bootstrap(
    truth: Labels,
    p_ai: Scores,
    *,
    groups: Sequence[str] | None = None,
    threshold: float = 0.5,
    bins: int = 15,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate | None]:
    """Measure all METRICS, each with a 95 % percentile interval. What is undefined is None.

    Whole groups are drawn; see `intervals.Resampling`.

    Three departures. An interval always holds its value: the calibration errors are biased
    upwards once more in every resample, so that the percentiles may miss it. A share without
    spread (no error at all) gets Wilson's interval, with groups for pictures: percentiles would
    say "0, certainly". The bins of the adaptive calibration error stay those of the data.

    Args:
        truth: 1 for AI-generated pictures.
        p_ai: P(ai).
        groups: For each picture, who or what it may depend on; None if all are independent.
        threshold: From which P(ai) a picture is called "ai".
        bins: For the calibration errors.
        resamples: How many.
        seed: Equal seeds and data, equal intervals.

    Returns:
        One entry per name in METRICS. With one class only, all but accuracy, Brier score, negative
        log likelihood, and that class's rate are None.

    Raises:
        ValueError: If `resamples` or `bins` is not positive, or not every picture has a group.
    """
    is_ai, p = _probabilities(truth, p_ai)
    called = p >= threshold
    measured: dict[str, Estimate | None] = dict.fromkeys(METRICS)
    measured |= bootstrap_shares(
        {
            "accuracy": (called == is_ai, np.ones(len(p), dtype=bool)),
            "tpr": (called, is_ai),
            "fpr": (called, ~is_ai),
        },
        is_ai,
        groups=groups,
        resamples=resamples,
        seed=seed,
    )
    kernel = _kernel(is_ai, p, called, bins=bins)
    values = kernel(np.ones((1, len(p))))
    plan = Resampling.of(is_ai, groups)
    drawn = [kernel(weights) for weights in plan.resamples(resamples, seed)]
    for name, value in values.items():
        draws = np.concatenate([part[name] for part in drawn])
        measured[name] = percentiles(float(value[0]), draws)
    measured["balanced_accuracy"] = _at_least_its_rates(measured)
    return measured


def _at_least_its_rates(measured: Mapping[str, Estimate | None]) -> Estimate | None:
    """Balanced accuracy; where neither rate has spread, from the ends of Wilson's intervals."""
    whole, tpr, fpr = (measured[name] for name in ("balanced_accuracy", "tpr", "fpr"))
    if not (whole and tpr and fpr) or not {tpr.value, fpr.value} <= {0, 1}:
        return whole
    low, high = (tpr.low + 1 - fpr.high) / 2, (tpr.high + 1 - fpr.low) / 2
    return holding(whole.value, low, high)


# ---------------------------------------------------------------------------- kernels


def _kernel(
    is_ai: Mask, p: Scores, called: Mask, *, bins: int
) -> Callable[[Weights], dict[str, Draws]]:
    """The metrics that are no shares, as one function of the pictures' weights."""
    squared, surprise = _squared(is_ai, p), _surprise(is_ai, p)
    ranked, gap = Ranked.of(is_ai, p), p - is_ai
    wide, equal = _membership(p, bins, adaptive=False), _membership(p, bins, adaptive=True)
    classes = np.column_stack([called & is_ai, is_ai, ~called & ~is_ai, ~is_ai]).astype(float)
    both = bool(is_ai.any() and not is_ai.all())

    def measure(weights: Weights) -> dict[str, Draws]:
        total = weights.sum(axis=1)
        found = {"brier": weights @ squared / total, "nll": weights @ surprise / total}
        if not both:
            return found
        tp, fp = ranked.curve(weights)
        caught, ai, spared, real = (weights @ classes).T
        return found | {
            "balanced_accuracy": (caught / ai + spared / real) / 2,
            "auroc": area(tp, fp),
            "average_precision": _average_precision(tp, fp),
            "tpr_at_1pct_fpr": _tpr_at_fpr(tp, fp, 0.01),
            "tpr_at_0.1pct_fpr": _tpr_at_fpr(tp, fp, 0.001),
            "ece": _ece(weights, wide, gap),
            "ece_adaptive": _ece(weights, equal, gap),
        }

    return measure


def _curve_of(truth: ndarray, score: ndarray) -> tuple[ndarray, ndarray]:
    ranked = Ranked.of(*_both_classes(truth, score))
    return ranked.curve(np.ones((1, len(score))))


def _average_precision(tp: ndarray, fp: ndarray) -> Draws:
    rise = np.diff(tp, axis=1, prepend=0)
    precision = tp / np.maximum(tp + fp, 1)  # weights are counts: less than 1 is 0, and so is rise
    return np.asarray((rise * precision).sum(axis=1) / tp[:, -1])


def _tpr_at_fpr(tp: ndarray, fp: ndarray, fpr: float) -> Draws:
    allowed = fp / fp[:, -1:] <= fpr
    return np.asarray((tp * allowed).max(axis=1) / tp[:, -1])


def _squared(is_ai: Mask, p: Scores) -> Scores:
    return np.asarray((p - is_ai) ** 2)


def _surprise(is_ai: Mask, p: Scores) -> Scores:
    return np.asarray(-np.log(np.maximum(np.where(is_ai, p, 1 - p), _NLL_FLOOR)))


def _ece(weights: Weights, membership: Float[ndarray, "pictures bins"], gap: Scores) -> Draws:
    # A bin's share of the pictures x |mean P(ai) - share of ai| is |sum of gaps| / all pictures.
    return np.asarray(np.abs(weights @ (membership * gap[:, None])).sum(1) / weights.sum(1))


def _membership(p: Scores, bins: int, *, adaptive: bool) -> Float[ndarray, "pictures bins"]:
    return np.asarray(np.eye(bins)[_bin_index(p, bins, adaptive=adaptive)])


def _bin_index(p: Scores, bins: int, *, adaptive: bool) -> Int[ndarray, " pictures"]:
    if bins < 1:
        raise ValueError(f"At least one bin is needed; got {bins}.")
    if adaptive:
        edges = np.quantile(p, np.arange(1, bins) / bins, method="inverted_cdf")
        return np.asarray(np.searchsorted(edges, p, side="left"))
    return np.asarray(np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], p, side="right"))


# ---------------------------------------------------------------------------- what came in


def _scored(truth: ndarray, score: ndarray) -> tuple[Mask, Scores]:
    is_ai, s = labels_of(truth), np.asarray(score, dtype=float)
    if s.shape != is_ai.shape:
        raise ValueError(f"Each label needs one score; got {is_ai.shape} and {s.shape}.")
    bad = np.flatnonzero(~np.isfinite(s))
    if bad.size:
        raise ValueError(f"Scores must be finite; got {s[bad[0]]} at {bad[:5].tolist()}.")
    return is_ai, s


def _probabilities(truth: ndarray, p_ai: ndarray) -> tuple[Mask, Scores]:
    is_ai, p = _scored(truth, p_ai)
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"P(ai) lies in [0, 1]; got values from {p.min()} to {p.max()}.")
    return is_ai, p


def _both_classes(truth: ndarray, score: ndarray) -> tuple[Mask, Scores]:
    is_ai, s = _scored(truth, score)
    if is_ai.all() or not is_ai.any():
        only = "ai" if is_ai.all() else "real"
        raise ValueError(f"Both classes are needed; all {len(s)} pictures are {only}.")
    return is_ai, s
