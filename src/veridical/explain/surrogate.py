"""A surrogate of covering: reads the map that is drawn off the tokens, without forward passes."""

from dataclasses import dataclass

import numpy as np

from veridical.arrays import Float, Float32, ndarray
from veridical.explain.faithfulness import RandomOrders
from veridical.tokens import Tokens

_NOISE = 1 / 8  # variance of a drop over that of all effects together; predicts best on `train`


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surrogate:
    """Predicts from the tokens by how much the logit drops when a patch is covered.

    Patch i gets share * contribution_i + sum over blocks of weight . token_i + base_i. The sum over
    a set of patches predicts the drop when all of them are covered. Contributions are what a patch
    adds directly; the surrogate has also learnt what it adds through the class token and other
    patches. `veridical.train.explainer` fits it.

    Attributes:
        share: Of the contributions (`token_map`).
        weight: Per channel of each block that is read.
        base: Per place.
    """

    share: float
    weight: Float32[ndarray, "layers dim"]
    base: Float[ndarray, "grid grid"]

    def read(
        self, tokens: Tokens, contributions: Float[ndarray, "grid grid"]
    ) -> Float[ndarray, "grid grid"]:
        """Return the drop that each patch accounts for, in the unit of the contributions.

        Args:
            tokens: Of one crop.
            contributions: Of its patches to the logit, without a baseline.
        """
        read = np.einsum("lpd,ld->p", tokens.patches, self.weight, dtype=np.float64)
        found: ndarray = self.share * contributions + read.reshape(self.base.shape) + self.base
        return found


def posterior_update(
    patches: Float[ndarray, "grid grid"], against: RandomOrders
) -> Float[ndarray, "grid grid"]:
    """Update a map by what covering did to this crop.

    Bayesian linear regression (Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 3.50
    and 3.51): the drop of a pass is the sum of the effects of the covered patches and noise; the
    effects have the map as their prior mean, and are independent. A constant and the number of
    covered patches are left free: they say nothing about places.

    Args:
        patches: By how much the logit would drop if a patch were covered.
        against: Of the same crop.
    """
    sets = against.sets.astype(np.float64)
    free = np.column_stack([np.ones(len(sets)), sets.sum(axis=1)])
    placed = np.eye(len(sets)) - free @ np.linalg.pinv(free)
    missed = placed @ (against.logit_drops - sets @ patches.ravel())
    sets = placed @ sets
    noise = _NOISE * patches.size
    learnt = sets.T @ np.linalg.solve(sets @ sets.T + noise * np.eye(len(sets)), missed)
    found: ndarray = patches + learnt.reshape(patches.shape)
    return found
