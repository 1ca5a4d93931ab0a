"""What is promised of single photos is kept by clips, and would not be if looks were added up."""

import numpy as np

from veridical.arrays import Float, ndarray
from veridical.infer.calibration import conformal_quantile
from veridical.infer.head import sigmoid
from veridical.infer.track import pool_looks

COVERAGE = 0.97
BETWEEN, WITHIN, CORRELATED = 1.2, 0.5, 0.7  # nats: people, frames of one, neighbours
LOOKS, SAMPLES = 12, 30


def tracks(count: int, mean: float, seed: int) -> Float[ndarray, "tracks looks"]:
    """Logits of real people: what they share over time, and a scatter that hangs together."""
    draw = np.random.default_rng(seed)
    scatter = np.empty((count, LOOKS))
    scatter[:, 0] = draw.normal(0, WITHIN, count)
    for at in range(1, LOOKS):
        scatter[:, at] = CORRELATED * scatter[:, at - 1]
        scatter[:, at] += draw.normal(0, WITHIN * np.sqrt(1 - CORRELATED**2), count)
    shared: ndarray = draw.normal(mean, BETWEEN, (count, 1))
    return shared + scatter


def threshold(seed: int) -> float:
    """Fitted on single looks at other people, as a model's is."""
    stills = tracks(1500, -1.0, seed)[:, 0]
    return conformal_quantile(sigmoid(stills), COVERAGE)


def test_a_track_keeps_the_promise_of_single_photos() -> None:
    fresh = tracks(3000, -1.0, 1)
    head = np.random.default_rng(5).normal(0, 0.2, SAMPLES)
    pooled = np.array([sigmoid(pool_looks(one[:, None] + head).logits).mean() for one in fresh])

    assert (pooled <= threshold(2)).mean() >= COVERAGE - 0.005


def test_adding_looks_up_would_break_it() -> None:
    fresh = tracks(3000, -1.0, 3)

    assert (sigmoid(fresh.sum(axis=1)) <= threshold(4)).mean() < 0.9
