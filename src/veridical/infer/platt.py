"""Logistic regression of a predictive on logits: what fusion and calibration begin with."""

import numpy as np

from veridical.arrays import Bool, Float, ndarray
from veridical.infer.head import sigmoid

_STEPS = 200  # of Newton's method; a dozen are the rule


def platt(
    logits: Float[ndarray, "n samples"],
    target: Float[ndarray, " n"] | Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
) -> tuple[float, float]:
    """Return slope and intercept of the logit that minimise the log loss of the predictive.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999; see `stack`.

    Args:
        logits: Posterior samples of each picture.
        target: Probability of AI-generated that is asked for, in [0, 1].
        weights: Of the pictures; not negative.
    """
    slopes, intercept = stack(np.asarray(logits)[:, None], target, weights)
    return float(slopes[0]), intercept


def stack(
    logits: Float[ndarray, "n crops samples"],
    target: Float[ndarray, " n"] | Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
    penalty: float = 0.0,
) -> tuple[Float[ndarray, " crops"], float]:
    """Return slopes and intercept of summed logits that minimise the log loss of the predictive.

    Stacking (Wolpert, "Stacked Generalization", Neural Networks 5(2), 1992) by logistic regression,
    which for one logit is Platt scaling. The posterior samples are averaged after the sigmoid, as
    they are at inspection. Newton's method with the expected Hessian (Fisher scoring; McCullagh and
    Nelder, "Generalized Linear Models", 1989, section 2.5), which is never indefinite; steps are
    halved until the loss falls. It begins where all pictures get the same P(ai): no slope, and
    nothing is saturated.

    Args:
        logits: Posterior samples of each picture's crops.
        target: Probability of AI-generated that is asked for, in [0, 1].
        weights: Of the pictures; not negative.
        penalty: On half the squared slopes, in units of the mean log loss.
    """
    logits = np.asarray(logits, dtype=np.float64)
    crops = logits.shape[1]
    share = weights / weights.sum()
    base = float(share @ target)
    ridge = np.append(np.full(crops, penalty), 0.0)

    def predictive(point: Float[ndarray, " n_crops_and_1"]) -> Float[ndarray, "n samples"]:
        return sigmoid(np.einsum("c,ncs->ns", point[:-1], logits) + float(point[-1]))

    def loss(p: Float[ndarray, " n"], point: Float[ndarray, " n_crops_and_1"]) -> float:
        fit = -(share * (target * np.log(p) + (1 - target) * np.log1p(-p))).sum()
        return float(fit + 0.5 * ridge @ point**2)

    def mean(each: Float[ndarray, "n samples"]) -> Float[ndarray, " n"]:
        clipped: ndarray = np.clip(each.mean(axis=1), 1e-12, 1 - 1e-12)
        return clipped

    point = np.append(np.zeros(crops), np.log(base) - np.log1p(-base))
    each = predictive(point)
    now = loss(mean(each), point)
    for _ in range(_STEPS):
        p, slopes = mean(each), each * (1 - each)
        # d p / d (slopes, intercept)
        by_crop = np.einsum("ns,ncs->nc", slopes, logits) / slopes.shape[1]
        turns = np.column_stack([by_crop, slopes.mean(axis=1)])
        variance = p * (1 - p)
        gradient = turns.T @ (share * (p - target) / variance) + ridge * point
        fisher = (turns * (share / variance)[:, None]).T @ turns + np.diag(ridge)
        step = np.linalg.lstsq(fisher, gradient, rcond=None)[0]
        size = 1.0
        while size > 1e-4:
            tried = predictive(point - size * step)
            if (then := loss(mean(tried), point - size * step)) < now:
                break
            size /= 2
        else:
            break
        point, each, fell, now = point - size * step, tried, now - then, then
        if fell < 1e-15:
            break
    return point[:-1], float(point[-1])
