"""A linear head of Gaussian weights; it ranked errors worse than what ships (docs/doubt.md)."""

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np

from veridical.arrays import Float32, ndarray
from veridical.infer.head import Forward, standardised


@dataclass(frozen=True, kw_only=True, eq=False)
class GaussianHead:
    """One linear head whose weights, bias last, are Gaussian: the Laplace approximation of a fit.

    The covariance is known by its principal axes: `variance` along each of `axes`, and the same
    `remainder` along everything at right angles to them (the prior's, where no training picture
    has a say). So the logit of a picture is Gaussian, too, with a mean and a variance in closed
    form (MacKay, "The Evidence Framework Applied to Classification Networks", Neural Computation
    4(5), 1992, eq. 4; Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 4.149 and
    4.150). Its samples are not drawn but placed: T quantiles of that Gaussian, each in the middle
    of 1 / T of its mass. They are the same quantiles for all pictures.

    Attributes:
        mean: Subtracted from the features.
        scale: The features are divided by it after that; positive.
        weight: Mean of the weights, on the standardised features.
        bias: Mean of the bias.
        axes: Orthonormal; the last column belongs to the bias.
        variance: Along each axis; positive.
        remainder: Along all that is at right angles to the axes; not negative.
        samples: T, the number of quantiles.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    weight: Float32[ndarray, " features"]
    bias: float
    axes: Float32[ndarray, "axes _"]
    variance: Float32[ndarray, " axes"]
    remainder: float
    samples: int = 200

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError(f"A posterior needs at least 2 samples; got {self.samples}.")
        if self.mean.shape != self.scale.shape or not (self.scale > 0).all():
            raise ValueError("Mean and scale must be of one length, and every scale positive.")
        width = len(self.mean)
        if len(self.weight) != width or self.axes.shape != (len(self.variance), width + 1):
            raise ValueError(
                f"{width} features and a bias do not fit {len(self.weight)} weights, axes of shape "
                f"{self.axes.shape} and {len(self.variance)} variances."
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.axes).all()):
            raise ValueError("The weights and axes of a head must be finite.")
        if not ((self.variance > 0).all() and self.remainder >= 0):
            raise ValueError("Variances must be positive, and the remainder not negative.")

    @cached_property
    def _points(self) -> Float32[ndarray, " samples"]:
        """Quantiles of the standard normal, in the middle of each of T equal masses."""
        normal = NormalDist()
        masses = [(i + 0.5) / self.samples for i in range(self.samples)]
        return np.array([normal.inv_cdf(mass) for mass in masses], dtype=np.float32)

    def moments(self, features: Float32[ndarray, " features"]) -> tuple[float, float]:
        """Return mean and standard deviation of the logit.

        Raises:
            ValueError: If a feature is not finite.
        """
        values = np.append(standardised(features, self.mean, self.scale), np.float32(1))
        along = (self.axes @ values).astype(np.float64)
        across = max(0.0, float(np.square(values, dtype=np.float64).sum() - along @ along))
        variance = float(along**2 @ self.variance) + self.remainder * across
        return float(self.weight @ values[:-1]) + self.bias, float(np.sqrt(variance))

    def forward(self, features: Float32[ndarray, " features"]) -> Forward:
        """Return the quantiles of the logit.

        Raises:
            ValueError: If a feature is not finite.
        """
        mean, deviation = self.moments(features)
        logits = np.float32(mean) + np.float32(deviation) * self._points
        return Forward(features=features, logits=logits, outputs=())

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return T quantiles of the logit of P(ai), lowest first.

        Raises:
            ValueError: If a feature is not finite.
        """
        return self.forward(features).logits

    def gradient(self, at: Forward) -> tuple[Float32[ndarray, " features"], float]:
        """Return gradient and rest of the mean logit, as `DropoutHead.gradient` does."""
        mean = self.weight / self.scale
        logit = at.logits.mean(dtype=np.float64)
        return mean, float(logit - mean.astype(np.float64) @ at.features)
