"""From the head's logits to probabilities that mean what they say, and to a claim with a coverage.

Two steps, both fitted on pictures that the head was not: an affine map of the logit (Platt,
"Probabilistic Outputs for Support Vector Machines", 1999), and one conformal threshold per class
(Mondrian conformal prediction; Vovk et al., "Algorithmic Learning in a Random World", 2005,
section 4.5).
"""

from dataclasses import dataclass
from math import ceil

import numpy as np

from veridical.arrays import Float, ndarray
from veridical.report import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What held-out pictures taught about the head's numbers.

    Attributes:
        slope: Of the affine map of the logit; positive.
        intercept: Of the same map.
        coverage: Promised share of prediction sets that hold the truth, within each class, for
            pictures like those it was fitted on: the smaller of the two below.
        allowed_real: Largest P(ai) at which `real` still belongs to the prediction set.
        allowed_ai: Largest P(real) at which `ai` still belongs to it.
        real: Real pictures it was fitted on.
        ai: AI-generated pictures it was fitted on.
        typical_real: Median calibrated logit of the real pictures it was fitted on, each the mean
            of its samples, nats; None where it was not noted. What another domain is compared with.
        coverage_of_reals: What `allowed_real` was fitted for: the same share of real pictures'
            sets. None where it was not noted; then no more is promised than `coverage`.
        coverage_of_ai: What `allowed_ai` was fitted for, likewise.
    """

    slope: float
    intercept: float
    coverage: float
    allowed_real: float
    allowed_ai: float
    real: int
    ai: int
    typical_real: float | None = None
    coverage_of_reals: float | None = None
    coverage_of_ai: float | None = None

    def __post_init__(self) -> None:
        if not (self.slope > 0 and 0 < self.coverage < 1):
            raise ValueError(
                "A calibration needs slope > 0 and coverage in (0, 1); "
                f"got {self.slope} and {self.coverage}."
            )
        for own in (self.coverage_of_reals, self.coverage_of_ai):
            if own is not None and not self.coverage <= own < 1:
                raise ValueError(
                    f"The coverage of a class is in [{self.coverage}, 1), for the other one is "
                    f"promised within each class; got {own}."
                )
        if not (0 <= self.allowed_real <= 1 and 0 <= self.allowed_ai <= 1):
            raise ValueError(
                "The largest allowed P(ai) and P(real) are in [0, 1]; "
                f"got {self.allowed_real} and {self.allowed_ai}."
            )

    def logits(self, raw: Float[ndarray, "*n"]) -> Float[ndarray, "*n"]:
        """Map the head's logits to calibrated ones."""
        return self.slope * raw + self.intercept

    def prediction_set(self, p_ai: float) -> tuple[Decision, ...]:
        """Return the labels that conform at the stated coverage: none, one or both."""
        plausible = []
        if p_ai <= self.allowed_real:
            plausible.append(Decision.REAL)
        if 1 - p_ai <= self.allowed_ai:
            plausible.append(Decision.AI)
        return tuple(plausible)


def conformal_quantile(nonconformity: Float[ndarray, " n"], coverage: float) -> float:
    """Return the threshold that a fresh exchangeable score stays under with P >= coverage.

    It is the ceil((n + 1) * coverage)-th smallest score (Vovk et al.; Angelopoulos and Bates,
    arXiv:2107.07511, section 1); infinite, here 1, where n is too small to promise anything.

    Args:
        nonconformity: 1 - p of the true label, in [0, 1].
        coverage: In (0, 1).
    """
    rank = conformal_rank(len(nonconformity), coverage)
    if rank > len(nonconformity):
        return 1.0
    return float(np.sort(nonconformity)[rank - 1])


def conformal_rank(count: int, coverage: float) -> int:
    """Return which of `count` sorted scores promises a coverage; above `count` if none does.

    Args:
        count: Scores.
        coverage: In (0, 1).
    """
    # 1 - 0.01 is no multiple of 0.01 to a computer: what is whole but for rounding is whole.
    return ceil((count + 1) * coverage - 1e-9)
