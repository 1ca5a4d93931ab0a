"""Fuse the network's log-likelihood ratio with those of the cues; it gained nothing (docs/cues.md).

Logistic regression takes the dependence of the ratios into account: Morrison, "Tutorial on
logistic-regression calibration and fusion", Australian Journal of Forensic Sciences 45(2), 2013;
Brümmer and du Preez, Computer Speech and Language 20, 2006.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from veridical._optional import need
from veridical.arrays import Bool, Float, ndarray
from veridical.infer.head import sigmoid
from veridical.report import Estimate
from veridical.stats.intervals import Resampling, percentiles
from veridical.stats.ranking import Ranked, area

MEASURES = ("AUROC", "TPR at 1 % FPR", "Cllr, bits")
FPR = 0.01
RESAMPLES = 1000
RIDGE = 0.01  # prior precision per weight, as a share of the pictures

Ratios = Float[ndarray, "n columns"]
"""Of each picture: the network's first, then the cues'; nats, 0 where a cue is not applicable."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fusion:
    """A weighted sum of the network's ratio and those of some cues.

    Attributes:
        weights: Of every column; 0 for a cue that is not asked.
        intercept: Nats.
    """

    weights: Float[ndarray, " columns"]
    intercept: float

    def of(self, ratios: Ratios) -> Float[ndarray, " n"]:
        """Return the fused ratio of every picture, nats."""
        fused: ndarray = ratios @ self.weights + self.intercept
        return fused


def fuse(
    ratios: Ratios, ai: Bool[ndarray, " n"], weights: Float[ndarray, " n"], cues: Sequence[int]
) -> Fusion:
    """Fit the weights, none of them below 0: evidence does not count against itself.

    Args:
        ratios: Of the pictures.
        ai: Which pictures are AI-generated.
        weights: Of the pictures.
        cues: Columns that may join the network, which is column 0.
    """
    optimize = need("scipy.optimize", extra="train", to="fuse evidence")
    asked = [0, *cues]
    x = np.column_stack([ratios[:, asked], np.ones(len(ratios))])
    share = weights / weights.sum()
    ridge = np.array([RIDGE] * len(asked) + [0.0])

    def loss(at: Float[ndarray, " k"]) -> tuple[float, Float[ndarray, " k"]]:
        logit = x @ at
        cost = share @ np.logaddexp(0, np.where(ai, -logit, logit)) + ridge @ at**2 / 2
        return float(cost), x.T @ (share * (sigmoid(logit) - ai)) + ridge * at

    start = np.zeros(x.shape[1])
    bounds = [(0, None)] * len(asked) + [(None, None)]
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-12)
    full = np.zeros(ratios.shape[1])
    full[asked] = found.x[:-1]
    return Fusion(weights=full, intercept=float(found.x[-1]))


# --- is it worth it? -----------------------------------------------------------------------------

Compared = Mapping[str, tuple[Estimate, Estimate]]
"""By measure: its value, and the difference to the network alone."""


def measured(
    ratios: Mapping[str, Float[ndarray, " n"]],
    ai: Bool[ndarray, " n"],
    groups: Sequence[str],
    resamples: int = RESAMPLES,
) -> dict[str, Compared]:
    """Measure each variant, and how it differs from the first on the same resamples."""
    draws: dict[str, list[Float[ndarray, "measures resamples"]]] = {name: [] for name in ratios}
    for weights in Resampling.of(ai, groups).resamples(resamples, 0):
        for name, one in ratios.items():
            draws[name].append(figures(one, ai, weights))
    whole = {name: figures(one, ai, np.ones((1, len(ai))))[:, 0] for name, one in ratios.items()}
    joined = {name: np.concatenate(parts, axis=1) for name, parts in draws.items()}
    base = next(iter(ratios))
    return {
        name: {
            measure: (
                percentiles(float(whole[name][i]), joined[name][i]),
                percentiles(
                    float(whole[name][i] - whole[base][i]), joined[name][i] - joined[base][i]
                ),
            )
            for i, measure in enumerate(MEASURES)
        }
        for name in ratios
    }


def figures(
    ratios: Float[ndarray, " n"], ai: Bool[ndarray, " n"], weights: Float[ndarray, "resamples n"]
) -> Float[ndarray, "measures resamples"]:
    """Return AUROC, TPR at 1 % FPR, and Cllr (Brümmer and du Preez, eq. 22), by resample."""
    tp, fp = Ranked.of(ai, ratios).curve(weights)
    reached = np.where(fp <= FPR * fp[:, -1:], tp, 0).max(axis=1) / tp[:, -1]
    cost = np.logaddexp(0, np.where(ai, -ratios, ratios)) / np.log(2)
    cllr = sum(weights @ (cost * own) / (weights @ own.astype(float)) for own in (ai, ~ai)) / 2
    return np.stack([area(tp, fp), reached, cllr])


def joins(plain: Compared, copied: Compared) -> bool:
    """Apply the rule: clearly better as delivered, no worse on copies, no costlier in Cllr.

    Args:
        plain: A variant's figures, by measure, on pictures as delivered.
        copied: On their copies.
    """
    better = any(plain[name][1].low > 0 for name in MEASURES[:2])
    holds = all(copied[name][1].value >= 0 for name in MEASURES[:2])
    return bool(better and holds and plain[MEASURES[2]][1].value <= 0)
