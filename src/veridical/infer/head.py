"""The Bayesian head: features (pooled tokens) in, posterior samples of the logit of P(ai) out.

Two posteriors of one shape. `SampledHead` holds T linear heads, each one plausible set of weights.
`DropoutHead` is Monte Carlo dropout: each of T fixed dropout masks is one (Gal and Ghahramani,
"Dropout as a Bayesian Approximation", ICML 2016, eq. 6); the masks are drawn once from the head's
seed. All samples are shared by all pictures, so that the same bytes give the same numbers, alone or
in any batch.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from veridical.arrays import Float, Float32, ndarray

_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """Dropout on the input, a linear map, and a ReLU if asked for, in this order.

    Attributes:
        weight: Of the linear map.
        bias: Of the linear map.
        relu: Whether max(0, .) follows.
        dropout: Probability that an input is dropped, in [0, 1).
    """

    weight: Float32[ndarray, "out in"]
    bias: Float32[ndarray, " out"]
    relu: bool
    dropout: float

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"Dropout is a probability in [0, 1); got {self.dropout}.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forward:
    """One pass of one picture's features through all samples of the head.

    Attributes:
        features: What went in.
        logits: Posterior samples of the logit of P(ai).
        outputs: What each layer gave; one row where all samples agree.
    """

    features: Float32[ndarray, " features"]
    logits: Float32[ndarray, " samples"]
    outputs: tuple[Float32[ndarray, "_ _"], ...]


@runtime_checkable
class Posterior(Protocol):
    """A distribution over weights, the same for all pictures: features in, logit samples out."""

    @property
    def mean(self) -> Float32[ndarray, " features"]:
        """Of the training features."""
        ...

    @property
    def scale(self) -> Float32[ndarray, " features"]:
        """Standard deviations of the training features; positive."""
        ...

    @property
    def samples(self) -> int:
        """T, the number of samples."""
        ...

    def forward(self, features: Float32[ndarray, " features"]) -> Forward:
        """Return T samples of the logit, and what `gradient` needs of the way there."""
        ...

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return T samples of the logit."""
        ...

    def gradient(self, at: Forward) -> tuple[Float32[ndarray, " features"], float]:
        """Return the gradient of the mean logit, and the rest that belongs to no feature."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class DropoutHead:
    """A small network with dropout, seen as a distribution over networks.

    Attributes:
        mean: Subtracted from the features.
        scale: The features are divided by it after that; positive.
        layers: From features to one logit, log P(ai) / P(real).
        samples: T, the number of dropout masks.
        seed: The masks are a function of it and of the layers' shapes alone.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    layers: tuple[Layer, ...]
    samples: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError(f"A posterior needs at least 2 samples; got {self.samples}.")
        if self.mean.shape != self.scale.shape or not (self.scale > 0).all():
            raise ValueError("Mean and scale must be of one length, and every scale positive.")
        for number, layer in enumerate(self.layers):
            if not (np.isfinite(layer.weight).all() and np.isfinite(layer.bias).all()):
                raise ValueError(f"The weights of layer {number} are not all finite.")
        widths = [len(self.mean), *(len(layer.bias) for layer in self.layers)]
        inputs = [layer.weight.shape[1] for layer in self.layers]
        if inputs != widths[:-1] or widths[-1] != 1:
            raise ValueError(
                f"Layers do not fit: inputs {inputs}, widths {widths}, last must be 1."
            )

    @cached_property
    def _masks(self) -> tuple[Float32[ndarray, "samples in"] | None, ...]:
        """One mask per layer with dropout: 0, or 1 / (1 - dropout) (inverted dropout)."""
        return tuple(
            _mask(self.seed, index, self.samples, layer.weight.shape[1], layer.dropout)
            if layer.dropout
            else None
            for index, layer in enumerate(self.layers)
        )

    def forward(self, features: Float32[ndarray, " features"]) -> Forward:
        """Send features through all T samples in one pass.

        Raises:
            ValueError: If a feature is not finite.
        """
        values = standardised(features, self.mean, self.scale)[None]
        outputs = []
        for layer, mask in zip(self.layers, self._masks, strict=True):
            if mask is not None and len(values) == 1:
                # The same input for every sample: (mask * x) @ W.T = mask @ (W * x).T, and there
                # are fewer outputs to scale than samples.
                values = mask @ (layer.weight * values).T + layer.bias
            else:
                values = (values if mask is None else values * mask) @ layer.weight.T + layer.bias
            if layer.relu:
                values = np.maximum(values, 0)
            outputs.append(values)
        return Forward(
            features=features,
            logits=np.broadcast_to(values[:, 0], self.samples),
            outputs=tuple(outputs),
        )

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return T posterior samples of the logit of P(ai), in one pass.

        Raises:
            ValueError: If a feature is not finite.
        """
        return self.forward(features).logits

    def gradient(self, at: Forward) -> tuple[Float32[ndarray, " features"], float]:
        """Linearise the posterior mean of the logit; exact, not an approximation.

        The network is piecewise linear, so every sample's logit is g_t . x + c_t on the piece that
        x lies in. The return value is the mean of g_t and of c_t over the samples: their sum
        `gradient @ features + rest` *is* the mean logit (tested to rounding).

        Args:
            at: The pass whose features the linear pieces are taken at; not computed again.

        Returns:
            The gradient of the mean logit by feature, and the rest (logit units) that belongs to
            no feature: biases and centring.
        """
        slope: Float32[ndarray, "_ out"] = np.ones((1, 1), dtype=np.float32)
        steps = list(zip(self.layers, self._masks, at.outputs, strict=True))
        for layer, mask, output in reversed(steps[1:]):
            slope = slope * (output > 0) if layer.relu else slope
            slope = slope @ layer.weight
            slope = slope if mask is None else slope * mask
        layer, mask, output = steps[0]
        slope = slope * (output > 0) if layer.relu else slope
        # At the input only the mean over the samples is wanted: mean_t(slope_t @ W * mask_t), with
        # the sum over t taken first, so that no array of samples x features is ever made.
        if mask is None:
            sums = slope.mean(axis=0) @ layer.weight
        else:
            paired = np.broadcast_to(slope, (len(mask), slope.shape[1])).T @ mask
            sums = np.einsum("of,of->f", paired, layer.weight) / len(mask)
        mean = (sums / self.scale).astype(np.float32)
        logit = at.logits.mean(dtype=np.float64)
        return mean, float(logit - mean.astype(np.float64) @ at.features)


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledHead:
    """T linear heads: samples of a posterior over weights that was drawn when it was fitted.

    All of them lie in the span of a few directions, which keeps them small and quick.

    Attributes:
        mean: Subtracted from the features.
        scale: The features are divided by it after that; positive.
        directions: In the standardised features.
        weight: Of every direction, one row per sample.
        bias: One per sample.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    directions: Float32[ndarray, "directions features"]
    weight: Float32[ndarray, "samples directions"]
    bias: Float32[ndarray, " samples"]

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ValueError(f"A posterior needs at least 2 samples; got {self.samples}.")
        if self.mean.shape != self.scale.shape or not (self.scale > 0).all():
            raise ValueError("Mean and scale must be of one length, and every scale positive.")
        wanted = (self.samples, len(self.directions)), (len(self.directions), len(self.mean))
        if (self.weight.shape, self.directions.shape) != wanted:
            raise ValueError(
                f"Weights and directions are {self.weight.shape} and {self.directions.shape}; "
                f"{self.samples} biases and {len(self.mean)} features want {wanted}."
            )
        if not all(np.isfinite(part).all() for part in (self.directions, self.weight, self.bias)):
            raise ValueError("The weights of a head must be finite.")

    @property
    def samples(self) -> int:
        """T, the number of samples."""
        return len(self.bias)

    def forward(self, features: Float32[ndarray, " features"]) -> Forward:
        """Send features through all T samples in one pass.

        Raises:
            ValueError: If a feature is not finite.
        """
        values = standardised(features, self.mean, self.scale)
        logits = self.weight @ (self.directions @ values) + self.bias
        return Forward(features=features, logits=logits, outputs=())

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return T posterior samples of the logit of P(ai), in one pass.

        Raises:
            ValueError: If a feature is not finite.
        """
        return self.forward(features).logits

    def gradient(self, at: Forward) -> tuple[Float32[ndarray, " features"], float]:
        """Return gradient and rest of the mean logit, as `DropoutHead.gradient` does."""
        mean = self.weight.mean(axis=0) @ self.directions / self.scale
        logit = at.logits.mean(dtype=np.float64)
        return mean, float(logit - mean.astype(np.float64) @ at.features)


def standardised(
    features: Float32[ndarray, " features"],
    mean: Float32[ndarray, " features"],
    scale: Float32[ndarray, " features"],
) -> Float32[ndarray, " features"]:
    """Return (features - mean) / scale.

    Raises:
        ValueError: If a feature is not finite.
    """
    if not np.isfinite(features).all():
        bad = np.flatnonzero(~np.isfinite(features))
        raise ValueError(f"Features must be finite; {bad[:5].tolist()} are not.")
    scaled: ndarray = (features - mean) / scale
    return scaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What T samples of P(ai) add up to.

    Attributes:
        p_ai: Posterior predictive, the mean over the samples (Gal and Ghahramani, eq. 6).
        std: Standard deviation over the samples.
        interval: Central credible interval of P(ai): equal-tailed quantiles of the samples.
        total: Entropy of the predictive, nats.
        aleatoric: Mean entropy of the samples, nats.
        epistemic: Mutual information of label and weights, nats (BALD; Houlsby et al.,
            arXiv:1112.5745, eq. 2): total - aleatoric.
    """

    p_ai: float
    std: float
    interval: tuple[float, float]
    total: float
    aleatoric: float
    epistemic: float


def summarise(logits: Float[ndarray, " samples"], level: float = 0.9) -> Summary:
    """Sum up posterior samples of the logit.

    Args:
        logits: One per sample, already calibrated.
        level: Mass of the central credible interval, in (0, 1).
    """
    p = sigmoid(np.asarray(logits, dtype=np.float64))
    mean = float(p.mean())
    low, high = np.quantile(p, [(1 - level) / 2, (1 + level) / 2])
    total, aleatoric = float(_entropy(np.array([mean]))[0]), float(_entropy(p).mean())
    # Jensen: total >= aleatoric. Rounding may say otherwise by 1e-17.
    aleatoric = min(aleatoric, total)
    return Summary(
        p_ai=mean,
        std=float(p.std()),
        interval=(float(low), float(high)),
        total=total,
        aleatoric=aleatoric,
        epistemic=total - aleatoric,
    )


def sigmoid(logits: Float[ndarray, "*n"]) -> Float[ndarray, "*n"]:
    """1 / (1 + exp(-x)), in a form that cannot overflow."""
    return 0.5 * (1 + np.tanh(logits / 2))


def _mask(
    seed: int, index: int, samples: int, width: int, dropout: float
) -> Float32[ndarray, "samples width"]:
    # Raw bits of a named generator, since NumPy promises their stream for good and that of
    # Generator.random only within a version (NEP 19): a verdict must not change with an upgrade.
    bits = np.random.PCG64(np.random.SeedSequence([seed, index])).random_raw(samples * width)
    keep = bits.reshape(samples, width) >= np.uint64(int(dropout * 2**64))
    return keep.astype(np.float32) / np.float32(1 - dropout)


def _entropy(p: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Entropy of a coin, nats; 0 log 0 = 0."""
    q = 1 - p
    # The smallest positive number stands for 0: its logarithm is finite, and times 0 it is 0.
    nats: ndarray = -(p * np.log(np.maximum(p, _TINY)) + q * np.log(np.maximum(q, _TINY)))
    return nats
