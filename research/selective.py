"""Does it know when it is wrong? The errors that are left when doubtful pictures are put aside.

`wrong` says which answers are; `doubt` is any number that is higher where the answer should be
trusted less. Pictures are accepted from the least doubted on, and the *risk* is the share of wrong
answers among those accepted. Equal doubts are no order: all figures are their average over all
orders of pictures that are doubted alike, in closed form.

Only numpy is needed, as in `metrics`.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from veridical.arrays import Float, ndarray
from veridical.report import Estimate
from veridical.stats.intervals import (
    Draws,
    Labels,
    Mask,
    Resampling,
    Weights,
    holding,
    labels_of,
    percentiles,
    wilson,
)
from veridical.stats.ranking import Ranked, area

Doubts: TypeAlias = Float[ndarray, " pictures"]

COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.5)

SELECTIVE = ("aurc", *(f"risk_at_{c:.0%}" for c in COVERAGES), "error_auroc")
"""What `bootstrap` measures, in this order."""


def aurc(wrong: Labels, doubt: Doubts) -> float:
    """Return the area under the risk-coverage curve: the mean risk of the first 1, 2, ... n.

    References:
        Y. Geifman, G. Uziel, R. El-Yaniv, "Bias-reduced uncertainty estimation for deep neural
        classifiers", ICLR 2019, section 3.
    """
    return float(_aurc(*_curve(wrong, doubt))[0])


def risk_at(wrong: Labels, doubt: Doubts, coverage: float) -> float:
    """Return the risk among the least doubted pictures, the smallest share not below `coverage`.

    References:
        Y. Geifman, R. El-Yaniv, "Selective classification for deep neural networks", NIPS 2017,
        section 2: their empirical selective risk.

    Raises:
        ValueError: If `coverage` is outside (0, 1].
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"A coverage lies in (0, 1]; got {coverage}.")
    return float(_risk(*_curve(wrong, doubt), coverage)[0])


def error_auroc(wrong: Labels, doubt: Doubts) -> float:
    """Return P(doubt of a wrong answer > doubt of a right one) + P(they are equal) / 2.

    References:
        D. Hendrycks, K. Gimpel, "A baseline for detecting misclassified and out-of-distribution
        examples in neural networks", ICLR 2017, section 3.

    Raises:
        ValueError: If all answers are right, or all wrong.
    """
    errors, right = _curve(wrong, doubt)
    if not (errors[0, -1] and right[0, -1]):
        only = "right" if right[0, -1] else "wrong"
        raise ValueError(f"Right and wrong answers are both needed; all are {only}.")
    return float(area(right, errors)[0])


def bootstrap(
    truth: Labels,
    wrong: Labels,
    doubt: Doubts,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate | None]:
    """Measure all of SELECTIVE, each with a 95 % percentile interval; see `Resampling`.

    An interval always holds its value. A risk that does not vary (no error, or one answer for all)
    gets Wilson's interval, with groups for pictures. Resamples without an error, or with
    nothing else, have no `error_auroc` and are left out of its interval; where the data are such,
    it is None.

    Args:
        truth: 1 for AI-generated pictures; what the draws are stratified by.
        wrong: Whether the answer about each picture is wrong.
        doubt: Higher where the answer should be trusted less.
        groups: For each picture, who or what it may depend on; None if all are independent.
        resamples: How many.
        seed: Equal seeds and data, equal intervals.

    Raises:
        ValueError: If `resamples` is not positive, or the lengths differ.
    """
    ranked = _ranked(wrong, doubt)
    plan = Resampling.of(_paired(truth, wrong), groups)
    values = _kernel(ranked, np.ones((1, len(ranked.order))))
    drawn = [_kernel(ranked, weights) for weights in plan.resamples(resamples, seed)]
    units = len(np.unique(plan.unit))
    measured: dict[str, Estimate | None] = {}
    for name, value in values.items():
        draws = np.concatenate([part[name] for part in drawn])
        draws = draws[np.isfinite(draws)]
        at = float(value[0])
        if not np.isfinite(at):
            measured[name] = None
        elif name.startswith("risk") and not np.ptp(draws):
            # Of a part of the units only: coverage times as many.
            count = max(1, round(COVERAGES[SELECTIVE.index(name) - 1] * units))
            wide = wilson(round(at * count), count)
            measured[name] = holding(at, wide.low, wide.high)
        else:
            measured[name] = percentiles(at, draws) if len(draws) else holding(at, at, at)
    return measured


def bootstrap_gap(
    truth: Labels,
    one: tuple[Labels, Doubts],
    other: tuple[Labels, Doubts],
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Return how much larger the `aurc` of one is than that of another, on the same pictures.

    Both are measured on every resample, so what makes pictures hard for both cancels.

    Args:
        truth: 1 for AI-generated pictures; what the draws are stratified by.
        one: Which answers are wrong, and their doubts.
        other: Likewise.
        groups: For each picture, who or what it may depend on; None if all are independent.
        resamples: How many.
        seed: Equal seeds and data, equal intervals.

    Raises:
        ValueError: If `resamples` is not positive, or the lengths differ.
    """
    first, second = _ranked(*one), _ranked(*other)
    plan = Resampling.of(_paired(truth, one[0]), groups)
    _paired(truth, other[0])

    def gap(weights: Weights) -> Draws:
        return np.asarray(_aurc(*first.curve(weights)) - _aurc(*second.curve(weights)))

    value = float(gap(np.ones((1, len(first.order))))[0])
    return percentiles(
        value, np.concatenate([gap(weights) for weights in plan.resamples(resamples, seed)])
    )


# ---------------------------------------------------------------------------- kernels


def _kernel(ranked: Ranked, weights: Weights) -> Mapping[str, Draws]:
    errors, right = ranked.curve(weights)
    both = (errors[:, -1] > 0) & (right[:, -1] > 0)
    found = np.full(len(weights), np.nan)
    if both.any():
        found[both] = area(right[both], errors[both])
    return {
        "aurc": _aurc(errors, right),
        **{f"risk_at_{c:.0%}": _risk(errors, right, c) for c in COVERAGES},
        "error_auroc": found,
    }


def _aurc(
    errors: Float[ndarray, "resamples distinct"], right: Float[ndarray, "resamples distinct"]
) -> Draws:
    """Sum the risk over every picture accepted, one by one.

    Within a run of m equal doubts that starts after n pictures and E errors, and holds e errors,
    the j-th picture makes the expected risk (E + j e / m) / (n + j). Summed over j that is
    e + (E - n e / m) (H(n + m) - H(n)), with H the harmonic numbers.
    """
    accepted = errors + right
    total = accepted[:, -1]
    harmonic = np.append(0.0, np.cumsum(1 / np.arange(1, total.max() + 1)))
    before, size = _runs(accepted)
    errors_before, inside = _runs(errors)
    rate = np.divide(inside, size, out=np.zeros_like(inside), where=size > 0)
    span = harmonic[accepted.astype(int)] - harmonic[before.astype(int)]
    return np.asarray((inside + (errors_before - before * rate) * span).sum(axis=1) / total)


def _risk(
    errors: Float[ndarray, "resamples distinct"],
    right: Float[ndarray, "resamples distinct"],
    coverage: float,
) -> Draws:
    accepted = errors + right
    # Less a little: 0.7 of 10 is 7, whatever the product rounds to.
    wanted = np.maximum(1, np.ceil(coverage * accepted[:, -1] - 1e-9))[:, None]
    before, size = _runs(accepted)
    errors_before, inside = _runs(errors)
    last = (accepted < wanted).sum(axis=1)[:, None]
    n, m, e_before, e = (
        np.take_along_axis(part, last, axis=1) for part in (before, size, errors_before, inside)
    )
    return np.asarray(((e_before + (wanted - n) * e / m) / wanted)[:, 0])


def _runs(
    cumulated: Float[ndarray, "resamples distinct"],
) -> tuple[Float[ndarray, "resamples distinct"], Float[ndarray, "resamples distinct"]]:
    """Return what there was before each run, and what the run adds."""
    inside = np.diff(cumulated, axis=1, prepend=0)
    return cumulated - inside, inside


# ---------------------------------------------------------------------------- what came in


def _ranked(wrong: ndarray, doubt: ndarray) -> Ranked:
    """From the least doubted to the most."""
    is_wrong, doubts = labels_of(wrong), np.asarray(doubt, dtype=float)
    if doubts.shape != is_wrong.shape:
        raise ValueError(f"Each answer needs one doubt; got {is_wrong.shape} and {doubts.shape}.")
    if not np.isfinite(doubts).all():
        raise ValueError(f"Doubts must be finite; got {doubts[~np.isfinite(doubts)][0]}.")
    return Ranked.of(is_wrong, -doubts)


def _curve(wrong: ndarray, doubt: ndarray) -> tuple[ndarray, ndarray]:
    ranked = _ranked(wrong, doubt)
    return ranked.curve(np.ones((1, len(ranked.order))))


def _paired(truth: ndarray, wrong: ndarray) -> Mask:
    is_ai = labels_of(truth)
    if len(is_ai) != len(wrong):
        raise ValueError(f"Each picture needs one answer; got {len(is_ai)} and {len(wrong)}.")
    return is_ai
