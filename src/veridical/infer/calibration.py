"""From the head's logits to probabilities that mean what they say, and to a claim with a coverage.

Two steps, both fitted on pictures that the head was not: an affine map of the logit (Platt,
"Probabilistic Outputs for Support Vector Machines", 1999), and one conformal threshold per class
(Mondrian conformal prediction; Vovk et al., "Algorithmic Learning in a Random World", 2005,
section 4.5).
"""

from dataclasses import dataclass, replace
from math import ceil, log2

import numpy as np

from veridical.arrays import Float, ndarray
from veridical.report import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What held-out pictures taught about the head's numbers.

    Attributes:
        slope: Of the affine map of the logit; positive.
        intercept: Of the same map.
        coverage_of_reals: Promised share of real pictures whose prediction set holds `real`, for
            pictures like those it was fitted on.
        coverage_of_ai: Promised share of AI-generated pictures whose prediction set holds `ai`.
        threshold_real: Conformal threshold: the largest P(ai) at which `real` still belongs to the
            prediction set.
        threshold_ai: The largest P(real) at which `ai` still belongs to it.
        real: Real pictures it was fitted on.
        ai: AI-generated pictures it was fitted on.
        tail: The same as `threshold_real` where the part left out is halved once, twice, ...: what
            one face among several has to pass; 1 where there are too few pictures to say.
        typical_real: Median calibrated logit of these real pictures, each the mean of its samples,
            nats. What another domain is compared with.
    """

    slope: float
    intercept: float
    coverage_of_reals: float
    coverage_of_ai: float
    threshold_real: float
    threshold_ai: float
    real: int
    ai: int
    typical_real: float
    tail: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not (self.slope > 0 and self.coverage > 0 and self.most < 1):
            raise ValueError(
                "A calibration needs slope > 0 and coverages in (0, 1); "
                f"got {self.slope}, {self.coverage_of_reals} and {self.coverage_of_ai}."
            )
        if not (0 <= self.threshold_real <= 1 and 0 <= self.threshold_ai <= 1):
            raise ValueError(
                "Conformal thresholds are in [0, 1]; "
                f"got {self.threshold_real} and {self.threshold_ai}."
            )

    @property
    def coverage(self) -> float:
        """What is promised within each class: the smaller of the two coverages."""
        return min(self.coverage_of_reals, self.coverage_of_ai)

    @property
    def most(self) -> float:
        """The larger of the two coverages."""
        return max(self.coverage_of_reals, self.coverage_of_ai)

    def logits(self, raw: Float[ndarray, "*n"]) -> Float[ndarray, "*n"]:
        """Map the head's logits to calibrated ones."""
        return self.slope * raw + self.intercept

    def threshold_among(self, faces: int) -> float:
        """Return the P(ai) that one of so many faces of a real picture is promised to stay below.

        The promise is the picture's: each of n faces gets an n-th of what may be missed
        (Bonferroni), rounded down to a half, a quarter, an eighth, ...
        """
        halvings = ceil(log2(faces))
        if not halvings:
            return self.threshold_real
        return self.tail[halvings - 1] if halvings <= len(self.tail) else 1.0

    def stricter(self, parts: int) -> "Calibration":
        """Return the same, with one of so many parts of what real pictures may be missed.

        The coverage that is promised stays: it is kept with a margin, for pictures that come in a
        way that the calibration has not seen.

        Args:
            parts: A power of two.
        """
        return replace(
            self, threshold_real=self.threshold_among(parts), tail=self.tail[ceil(log2(parts)) :]
        )

    def prediction_set(self, p_ai: float) -> tuple[Decision, ...]:
        """Return the labels that conform at the stated coverage: none, one or both."""
        plausible = []
        if p_ai <= self.threshold_real:
            plausible.append(Decision.REAL)
        if 1 - p_ai <= self.threshold_ai:
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


HALVINGS = 6  # of what a calibration may miss: pictures of up to 64 faces


def tail_of(
    nonconformity: Float[ndarray, " n"], coverage: float, halvings: int = HALVINGS
) -> tuple[float, ...]:
    """Return thresholds at 1 - (1 - coverage) / 2, / 4, ...; see `conformal_quantile`."""
    parts = (2.0**-n for n in range(1, halvings + 1))
    return tuple(conformal_quantile(nonconformity, 1 - (1 - coverage) * part) for part in parts)


def conformal_rank(count: int, coverage: float) -> int:
    """Return which of `count` sorted scores promises a coverage; above `count` if none does.

    Args:
        count: Scores.
        coverage: In (0, 1).
    """
    # 1 - 0.01 is no multiple of 0.01 to a computer: what is whole but for rounding is whole.
    return ceil((count + 1) * coverage - 1e-9)
