"""How unlike the training pictures is this one? Far away, the head's numbers mean nothing.

Dropout in a head on frozen features is known to stay sure off the training distribution, so the
distance is measured in the feature space itself: Mahalanobis distance within the principal subspace
of the training features (Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution
Samples", NeurIPS 2018, eq. 2, with one class-independent Gaussian), plus the energy outside of it
(the residual of ViM, Wang et al., CVPR 2022, section 4), each in units of its training mean.
"""

from dataclasses import dataclass

import numpy as np

from veridical.arrays import Float32, ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class OodScorer:
    """A Gaussian picture of the training features.

    Attributes:
        mean: Subtracted from the features.
        scale: The features are divided by it after that; positive.
        basis: Orthonormal principal directions of the standardised training features.
        variance: Training variance along each direction.
        residual: Mean squared length outside the subspace on training pictures; positive.
        limit: Raw distance beyond which we abstain: a high quantile on held-out pictures.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    basis: Float32[ndarray, "directions features"]
    variance: Float32[ndarray, " directions"]
    residual: float
    limit: float

    def __post_init__(self) -> None:
        if self.basis.shape != (len(self.variance), len(self.mean)):
            raise ValueError(
                f"The basis is {self.basis.shape}; {len(self.variance)} variances and "
                f"{len(self.mean)} features want it ({len(self.variance)}, {len(self.mean)})."
            )
        if not (self.limit > 0 and self.residual > 0 and (self.variance > 0).all()):
            raise ValueError("Limit, residual and variances of an OOD scorer must be positive.")

    def raw(self, features: Float32[ndarray, " features"]) -> float:
        """Return the mean squared Mahalanobis coordinate plus the relative residual energy."""
        x = (features - self.mean) / self.scale
        inside = self.basis @ x
        outside = max(0.0, float(x @ x) - float(inside @ inside))
        return float(np.mean(inside**2 / self.variance)) + outside / self.residual

    def distance(self, features: Float32[ndarray, " features"]) -> float:
        """Return `raw` over the limit: above 1 the picture is unlike anything trained on."""
        return self.raw(features) / self.limit
