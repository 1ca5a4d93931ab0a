"""Out-of-distribution scores that noticed fewer odd pictures than what ships (docs/doubt.md)."""

from dataclasses import dataclass

import numpy as np

from veridical.arrays import Float, Float32, ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """Distance to the k-th nearest training picture, on features of length 1.

    Sun et al., "Out-of-Distribution Detection with Deep Nearest Neighbors", ICML 2022, section 3.

    Attributes:
        mean: Subtracted from the features.
        scale: The features are divided by it after that.
        known: Standardised training features, of length 1.
        k: Which neighbour.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    known: Float32[ndarray, "n features"]
    k: int = 50

    @classmethod
    def of(
        cls,
        features: Float32[ndarray, "n features"],
        mean: Float32[ndarray, " features"],
        scale: Float32[ndarray, " features"],
    ) -> "Neighbours":
        """Remember training features."""
        x = (features - mean) / scale
        known = x / np.linalg.norm(x, axis=1, keepdims=True)
        return cls(mean=mean, scale=scale, known=known, k=min(50, len(known)))

    def distance(self, features: Float32[ndarray, " features"]) -> float:
        """Return how far the k-th neighbour is."""
        x = (features - self.mean) / self.scale
        x = x / max(float(np.linalg.norm(x)), 1e-12)
        squares = np.maximum(0, 2 - 2 * self.known @ x)
        return float(np.sqrt(np.partition(squares, self.k - 1)[self.k - 1]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VirtualLogit:
    """ViM: the length outside the principal subspace, as the logit of a class of its own.

    Wang et al., "ViM: Out-Of-Distribution with Virtual-logit Matching", CVPR 2022, equations 5 to
    7: score = alpha |rest of x| - ln sum exp(logits), with alpha such that on training pictures
    the virtual logit is as large as the largest real one. Our head has one logit z; as two classes
    it has +z / 2 and -z / 2. The origin is the mean of the training features, from where the
    subspace was found.

    Attributes:
        mean: Subtracted from the features.
        scale: The features are divided by it after that.
        basis: Orthonormal principal directions.
        alpha: Of the virtual logit.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    basis: Float32[ndarray, "directions features"]
    alpha: float

    @classmethod
    def of(
        cls,
        features: Float32[ndarray, "n features"],
        logits: Float[ndarray, " n"],
        mean: Float32[ndarray, " features"],
        scale: Float32[ndarray, " features"],
        basis: Float32[ndarray, "directions features"],
    ) -> "VirtualLogit":
        """Fit `alpha` on training features and their logits."""
        whole = cls(mean=mean, scale=scale, basis=basis, alpha=1.0)
        rests = [whole.rest(one) for one in features]
        alpha = float(np.abs(logits / 2).sum() / max(sum(rests), 1e-12))
        return cls(mean=mean, scale=scale, basis=basis, alpha=alpha)

    def rest(self, features: Float32[ndarray, " features"]) -> float:
        """Return the length outside the principal subspace."""
        x = ((features - self.mean) / self.scale).astype(np.float64)
        inside = self.basis @ x
        return float(np.sqrt(max(0.0, x @ x - inside @ inside)))

    def distance(self, features: Float32[ndarray, " features"], logit: float) -> float:
        """Return the score; higher is less like training."""
        return self.alpha * self.rest(features) - float(np.logaddexp(logit / 2, -logit / 2))
