"""Logistic regression with a Gaussian posterior over its weights, under a prior the data chose.

The Laplace approximation of the last layer (MacKay, "The Evidence Framework Applied to
Classification Networks", Neural Computation 4(5), 1992; for networks of today, Daxberger et al.,
"Laplace Redux", arXiv:2106.14806, section 2): the posterior of the weights is taken to be the
Gaussian at its mode whose precision is the curvature there. The backbone is frozen and its last
layer is linear, so the generalised Gauss-Newton matrix *is* the Hessian.

Along the principal directions of the features the covariance is full and exact. What lies at right
angles to them is left at the prior: weights there have mean 0 and the prior's variance, so that a
picture unlike the training pictures is doubted more, and not less.
"""

from dataclasses import dataclass

import numpy as np

from research.gaussian_head import GaussianHead
from veridical._optional import need
from veridical.arrays import Bool, Float, Float32, ndarray
from veridical.infer.head import sigmoid
from veridical.train.recipes import Recipe

DIRECTIONS = 512  # of the features; the rest keeps the prior
_ROUNDS = 30  # of the evidence's fixed point, at most
_STEPS = 60  # of Newton's method, at most
_PRECISIONS = (1e-6, 1e8)  # of the prior: past these nothing changes but rounding


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightPosterior:
    """The Gaussian posterior of a logistic regression.

    Attributes:
        mean: The mode.
        precision: Of the prior, the same for all weights: w ~ N(0, 1 / precision).
        axes: Orthonormal eigenvectors of the log likelihood's curvature, one per row.
        curvature: Along each of them; not negative.
        log_marginal: Log marginal likelihood, nats (Bishop, "Pattern Recognition and Machine
            Learning", 2006, eq. 4.137).
    """

    mean: Float[ndarray, " params"]
    precision: float
    axes: Float[ndarray, "params params"]
    curvature: Float[ndarray, " params"]
    log_marginal: float

    @property
    def variance(self) -> Float[ndarray, " params"]:
        """Of the posterior, along each of the axes."""
        return np.asarray(1 / (self.curvature + self.precision))


def laplace(
    features: Float32[ndarray, "n views features"],
    truth: Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
    recipe: Recipe,
    *,
    directions: int = DIRECTIONS,
    samples: int = 200,
) -> GaussianHead:
    """Fit the head.

    A picture counts once, however many views it has: each view is one of `views`-th weight.

    Args:
        features: Pooled tokens, by picture and view; pictures of both classes.
        truth: Whether each picture is AI-generated.
        weights: Of the pictures, as many pictures' worth of evidence each.
        recipe: `standardise` is read.
        directions: Principal directions of the features that are fitted.
        samples: Quantiles that the head will give.
    """
    views, width = features.shape[1:]
    mean, scale = standard(features, recipe)
    x = ((features - mean) / scale).reshape(-1, width)
    counted = np.repeat(weights / views, views)
    basis = principal(x, counted, directions)
    inside = np.column_stack([x @ basis.T, np.ones(len(x))]).astype(np.float64)
    posterior = regress(inside, np.repeat(truth, views), counted)
    # Back to where the features live: the bias is a direction of its own.
    turned = np.column_stack([posterior.axes[:, :-1] @ basis, posterior.axes[:, -1]])
    return GaussianHead(
        mean=mean,
        scale=scale,
        weight=(posterior.mean[:-1] @ basis).astype(np.float32),
        bias=float(posterior.mean[-1]),
        axes=turned.astype(np.float32),
        variance=posterior.variance.astype(np.float32),
        remainder=1 / posterior.precision,
        samples=samples,
    )


def standard(
    features: Float32[ndarray, "n views features"], recipe: Recipe
) -> tuple[Float32[ndarray, " features"], Float32[ndarray, " features"]]:
    """Return mean and scale of the features; 0 and 1 if the recipe leaves them as they are."""
    width = features.shape[2]
    if not recipe.standardise:
        return np.zeros(width, np.float32), np.ones(width, np.float32)
    flat = features.reshape(-1, width)
    mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean, np.maximum(flat.std(axis=0, dtype=np.float64), 1e-4).astype(np.float32)


def principal(
    x: Float32[ndarray, "rows features"], weights: Float[ndarray, " rows"], count: int
) -> Float32[ndarray, "directions features"]:
    """Return orthonormal principal directions around the origin, strongest first.

    At most `count`, and none without any energy: rounding is no direction.
    """
    weighed = x * np.sqrt(weights / weights.sum()).astype(np.float32)[:, None]
    if min(x.shape) > 4 * count:
        # Most directions are not wanted, and all of them would cost minutes.
        extmath = need("sklearn.utils.extmath", extra="train", to="find principal directions")
        _, size, axes = extmath.randomized_svd(weighed, count, n_iter=4, random_state=0)
    else:
        _, size, axes = np.linalg.svd(weighed, full_matrices=False)
    return np.ascontiguousarray(axes[:count][size[:count] > 1e-3 * size[0]], dtype=np.float32)


def regress(
    x: Float[ndarray, "rows params"],
    truth: Bool[ndarray, " rows"],
    weights: Float[ndarray, " rows"],
    *,
    precision: float | None = None,
) -> WeightPosterior:
    """Fit a logistic regression and the Gaussian around it.

    Args:
        x: One column per parameter; a column of ones, if there is to be a bias.
        truth: Whether each row is AI-generated.
        weights: Of the rows, as many rows' worth of evidence each.
        precision: Of the prior; None to let the evidence choose it, by MacKay's fixed point
            (Bishop, eq. 3.91 and 3.92): precision = well-determined parameters / |mean|^2.
    """
    at = 1.0 if precision is None else precision
    mean = np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        mean = mode(x, truth, weights, at, mean)
        curvature, axes = np.linalg.eigh(_curvature(x, weights, mean))
        curvature = np.maximum(curvature, 0)
        determined = float((curvature / (curvature + at)).sum())
        better = float(np.clip(determined / (float(mean @ mean) + 1e-12), *_PRECISIONS))
        if precision is not None or abs(np.log(better / at)) < 0.01:
            break
        at = better
    else:
        mean = mode(x, truth, weights, at, mean)
        curvature, axes = np.linalg.eigh(_curvature(x, weights, mean))
        curvature = np.maximum(curvature, 0)
    log_marginal = -_loss(x, truth, weights, at, mean) - 0.5 * float(np.log1p(curvature / at).sum())
    return WeightPosterior(
        mean=mean, precision=at, axes=axes.T, curvature=curvature, log_marginal=log_marginal
    )


def mode(
    x: Float[ndarray, "rows params"],
    truth: Bool[ndarray, " rows"],
    weights: Float[ndarray, " rows"],
    precision: float,
    start: Float[ndarray, " params"],
) -> Float[ndarray, " params"]:
    """Return the most probable weights, by Newton's method (Bishop, eq. 4.92, with a prior).

    The arguments are those of `regress`; the loss is strictly convex, so `start` only saves time.
    """
    at, loss = start, _loss(x, truth, weights, precision, start)
    for _ in range(_STEPS):
        gradient = x.T @ (weights * (sigmoid(x @ at) - truth)) + precision * at
        hessian = _curvature(x, weights, at)
        hessian[np.diag_indices(len(at))] += precision
        step = np.linalg.solve(hessian, gradient)
        gain = float(gradient @ step)  # twice what a whole step should win
        if gain < 1e-9 * (1 + abs(loss)):
            return at
        size = 1.0
        # Halved until it wins: far from the mode a whole step may overshoot.
        while (found := _loss(x, truth, weights, precision, at - size * step)) > loss:
            size /= 2
            if size < 1e-6:
                return at
        at, loss = at - size * step, found
    return at


def _loss(
    x: Float[ndarray, "rows params"],
    truth: Bool[ndarray, " rows"],
    weights: Float[ndarray, " rows"],
    precision: float,
    at: Float[ndarray, " params"],
) -> float:
    """Return -log likelihood - log prior, but for the constant 0.5 params log(precision / 2 pi)."""
    logits = x @ at
    wrong_way = np.where(truth, -logits, logits)
    return float(weights @ np.logaddexp(0, wrong_way) + 0.5 * precision * (at @ at))


def _curvature(
    x: Float[ndarray, "rows params"],
    weights: Float[ndarray, " rows"],
    at: Float[ndarray, " params"],
) -> Float[ndarray, "params params"]:
    """Return the Hessian of the negative log likelihood (Bishop, eq. 4.97)."""
    p = sigmoid(x @ at)
    return np.asarray((x * (weights * p * (1 - p))[:, None]).T @ x)
