"""What `veridical calibrate` promises about real pictures called `ai`, simulated.

Vovk, "Conditional validity of inductive conformal predictors" (2012): the expected rate is at most
the one asked for, and the rate of one set of pictures follows a Beta distribution.
"""

import numpy as np
import pytest

from veridical.arrays import ndarray
from veridical.infer.calibration import Calibration
from veridical.infer.head import sigmoid
from veridical.train.recalibrate import Pictures, Recalibration, recalibrate

ROUNDS, FRESH, SAMPLES = 300, 4000, 4
OLD = Calibration(
    slope=0.4,
    intercept=-0.3,
    coverage_of_reals=0.9,
    coverage_of_ai=0.9,
    threshold_real=0.5,
    threshold_ai=0.5,
    real=500,
    ai=500,
    typical_real=-2.0,
)


def logits(generator: np.random.Generator, mean: float, count: int) -> ndarray:
    """Skewed and heavy-tailed, far from what the old calibration was fitted on."""
    own = mean + 2 * generator.standard_t(4, count) + generator.exponential(1.5, count)
    doubt = generator.uniform(0.1, 1.5, (count, 1))
    drawn: ndarray = own[:, None] + doubt * generator.normal(0, 1, (count, SAMPLES))
    return drawn


def pictures(drawn: ndarray) -> Pictures:
    return Pictures(folder="", logits=tuple(drawn[:, None]), failures=(), faceless=())


def simulated(count: int, fpr: float, *, ai: int = 0, digits: int | None = None) -> ndarray:
    """For each round: the true share beyond the threshold, and whether the interval holds it."""
    generator = np.random.default_rng(11)
    fresh = logits(generator, 2.0, FRESH)
    rows = []
    for _ in range(ROUNDS):
        drawn = logits(generator, 2.0, count)
        others = pictures(logits(generator, 6.0, ai)) if ai else None
        if digits is not None:
            drawn, fresh = np.round(drawn, digits), np.round(fresh, digits)
        made = recalibrate(OLD, pictures(drawn), others, fpr=fpr)
        rate = beyond(made, fresh)
        # A rate measured on FRESH pictures is itself known to this only.
        slack = 2 * np.sqrt(max(rate, 1 / FRESH) / FRESH)
        rows.append((rate, made.reached.low - slack <= rate <= made.reached.high + slack))
    return np.array(rows)


def beyond(made: Recalibration, fresh: ndarray) -> float:
    p = sigmoid(made.calibration.logits(fresh)).mean(axis=1)
    return float((p > made.calibration.threshold_real).mean())


@pytest.mark.parametrize(
    ("count", "fpr", "ai"), [(99, 0.01, 0), (150, 0.05, 0), (60, 0.1, 0), (60, 0.1, 30)]
)
def test_on_average_no_more_real_pictures_are_beyond_the_threshold_than_asked(
    count: int, fpr: float, ai: int
) -> None:
    rates, held = simulated(count, fpr, ai=ai).T
    expected = (count + 1 - np.ceil((count + 1) * (1 - fpr) - 1e-9)) / (count + 1)
    error = 4 * rates.std() / np.sqrt(ROUNDS) + 4 * np.sqrt(fpr / FRESH)
    assert rates.mean() <= fpr + error
    assert rates.mean() == pytest.approx(expected, abs=error)  # and it is not overdone
    assert held.mean() >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / ROUNDS)


def test_it_holds_where_scores_tie() -> None:
    rates, _ = simulated(99, 0.05, digits=0).T
    assert rates.mean() <= 0.05 + 4 * rates.std() / np.sqrt(ROUNDS) + 4 * np.sqrt(0.05 / FRESH)


def test_nothing_is_promised_for_real_pictures_of_another_kind() -> None:
    generator = np.random.default_rng(0)
    made = recalibrate(OLD, pictures(logits(generator, -4.0, 200)), fpr=0.01)
    assert beyond(made, logits(generator, 2.0, FRESH)) > 0.05
