"""Platt scaling of a predictive: the affine map of the logit that calibration begins with."""

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

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999, with the posterior samples
    averaged after the sigmoid, as they are at inspection. Newton's method with the expected
    Hessian (Fisher scoring; McCullagh and Nelder, "Generalized Linear Models", 1989, section 2.5),
    which is never indefinite; steps are halved until the loss falls. It begins where all pictures
    get the same P(ai): no slope, and nothing is saturated.

    Args:
        logits: Posterior samples of each picture.
        target: Probability of AI-generated that is asked for, in [0, 1].
        weights: Of the pictures; not negative.
    """
    logits = np.asarray(logits, dtype=np.float64)
    share = weights / weights.sum()
    base = float(share @ target)

    def predictive(point: Float[ndarray, "2"]) -> Float[ndarray, "n samples"]:
        return sigmoid(float(point[0]) * logits + float(point[1]))

    def loss(p: Float[ndarray, " n"]) -> float:
        return float(-(share * (target * np.log(p) + (1 - target) * np.log1p(-p))).sum())

    def mean(each: Float[ndarray, "n samples"]) -> Float[ndarray, " n"]:
        clipped: ndarray = np.clip(each.mean(axis=1), 1e-12, 1 - 1e-12)
        return clipped

    point = np.array([0.0, np.log(base) - np.log1p(-base)])
    each = predictive(point)
    now = loss(mean(each))
    for _ in range(_STEPS):
        p, slopes = mean(each), each * (1 - each)
        # d p / d (slope, intercept)
        turns = np.stack([(slopes * logits).mean(axis=1), slopes.mean(axis=1)], axis=1)
        variance = p * (1 - p)
        gradient = turns.T @ (share * (p - target) / variance)
        fisher = (turns * (share / variance)[:, None]).T @ turns
        step = np.linalg.lstsq(fisher, gradient, rcond=None)[0]
        size = 1.0
        while size > 1e-4:
            tried = predictive(point - size * step)
            if (then := loss(mean(tried))) < now:
                break
            size /= 2
        else:
            break
        point, each, fell, now = point - size * step, tried, now - then, then
        if fell < 1e-15:
            break
    return float(point[0]), float(point[1])
