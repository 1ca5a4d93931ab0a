"""Pictures in the order of a score, each with a weight: what areas under curves are made of.

A weight is the number of times that a bootstrap resample drew the picture.
"""

from dataclasses import dataclass

import numpy as np

from veridical.arrays import Bool, Float, Int, ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """Pictures from the highest score to the lowest.

    Attributes:
        order: Where each was.
        hit: Which are what the score looks for.
        score: Highest first.
        ends: The last picture of each run of equal scores.
    """

    order: Int[ndarray, " pictures"]
    hit: Bool[ndarray, " pictures"]
    score: Float[ndarray, " pictures"]
    ends: Int[ndarray, " distinct"]

    @classmethod
    def of(cls, hit: Bool[ndarray, " pictures"], score: Float[ndarray, " pictures"]) -> "Ranked":
        """Rank pictures; equal scores keep their order."""
        order = np.argsort(-score, kind="stable")
        sorted_ = score[order]
        ends = np.append(np.flatnonzero(np.diff(sorted_)), len(sorted_) - 1)
        return cls(order=order, hit=hit[order], score=sorted_, ends=ends)

    def curve(
        self, weights: Float[ndarray, "resamples pictures"]
    ) -> tuple[Float[ndarray, "resamples distinct"], Float[ndarray, "resamples distinct"]]:
        """Weight of the hits, and of the others, at or above each distinct score."""
        sorted_ = weights[:, self.order]
        tp = np.cumsum(sorted_ * self.hit, axis=1)[:, self.ends]
        return tp, np.cumsum(sorted_, axis=1)[:, self.ends] - tp


def area(
    tp: Float[ndarray, "resamples distinct"], fp: Float[ndarray, "resamples distinct"]
) -> Float[ndarray, " resamples"]:
    """Return the area under the ROC curve, of what `Ranked.curve` gives."""
    before = np.pad(tp, ((0, 0), (1, 0)))[:, :-1]
    width = np.diff(fp, axis=1, prepend=0)
    area = (width * (before + tp)).sum(axis=1) / 2
    return np.asarray(area / (tp[:, -1] * fp[:, -1]))
