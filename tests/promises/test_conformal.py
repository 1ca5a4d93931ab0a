"""The coverage that a verdict states, simulated: Vovk et al. (2005), section 4.5."""

from collections.abc import Callable

import numpy as np
import pytest

from tests.conftest import calibration
from veridical.arrays import ndarray
from veridical.infer.calibration import conformal_quantile
from veridical.infer.head import sigmoid
from veridical.report import Decision

ROUNDS = 1500
Draw = Callable[[np.random.Generator, int], ndarray]


def overlapping(mean: float, std: float, digits: int | None = None) -> Draw:
    """P(ai) of pictures of one class."""

    def draw(generator: np.random.Generator, count: int) -> ndarray:
        p = sigmoid(generator.normal(mean, std, count))
        return p if digits is None else np.round(p, digits)

    return draw


def covered(
    real: Draw, ai: Draw, fresh: dict[Decision, Draw], count: int, coverage: float
) -> dict[Decision, float]:
    """Share of fresh pictures of each class whose prediction set holds the truth."""
    generator = np.random.default_rng(7)
    hits = dict.fromkeys(fresh, 0)
    for _ in range(ROUNDS):
        fitted = calibration(
            conformal_quantile(real(generator, count), coverage),
            conformal_quantile(1 - ai(generator, count), coverage),
        )
        for label, draw in fresh.items():
            hits[label] += label in fitted.prediction_set(float(draw(generator, 1)[0]))
    return {label: hit / ROUNDS for label, hit in hits.items()}


REAL, AI = overlapping(-1.0, 1.5), overlapping(0.7, 1.0)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("count", [19, 57])
def test_within_each_class_the_promise_holds_and_is_not_overdone(
    count: int, coverage: float
) -> None:
    shares = covered(REAL, AI, {Decision.REAL: REAL, Decision.AI: AI}, count, coverage)
    error = 4 * np.sqrt(coverage * (1 - coverage) / ROUNDS)  # Monte Carlo: one in 16,000
    for share in shares.values():
        assert share >= coverage - error
        assert share <= coverage + 1 / (count + 1) + error  # Angelopoulos and Bates, theorem D.2


def test_a_mistake_is_as_rare_as_its_own_class_was_promised() -> None:
    """`ai` is a mistake about a real picture, `real` about an AI-generated one; Report.promise."""
    generator, count = np.random.default_rng(3), 99
    promised = {Decision.REAL: 0.97, Decision.AI: 0.9}
    mistakes = dict.fromkeys(promised, 0)
    for _ in range(ROUNDS):
        fitted = calibration(
            conformal_quantile(REAL(generator, count), 0.97),
            conformal_quantile(1 - AI(generator, count), 0.9),
        )
        for truth, draw in ((Decision.REAL, REAL), (Decision.AI, AI)):
            said = fitted.prediction_set(float(draw(generator, 1)[0]))
            mistakes[truth] += len(said) == 1 and said[0] is not truth
    for truth, coverage in promised.items():
        error = 4 * np.sqrt(coverage * (1 - coverage) / ROUNDS)
        assert mistakes[truth] / ROUNDS <= 1 - coverage + error
        # These classes overlap: whoever loses one label keeps the other, and nothing is given away.
        assert mistakes[truth] / ROUNDS >= 1 - coverage - 1 / (count + 1) - error
    assert mistakes[Decision.REAL] < mistakes[Decision.AI] / 2


def test_it_holds_where_scores_tie() -> None:
    real, ai = overlapping(-1.0, 1.5, digits=1), overlapping(0.7, 1.0, digits=1)
    shares = covered(real, ai, {Decision.REAL: real, Decision.AI: ai}, 40, 0.9)
    assert min(shares.values()) >= 0.9 - 4 * np.sqrt(0.09 / ROUNDS)


def test_it_holds_for_a_head_that_knows_nothing() -> None:
    same = overlapping(0.0, 1.0)
    shares = covered(same, same, {Decision.REAL: same, Decision.AI: same}, 40, 0.9)
    assert min(shares.values()) >= 0.9 - 4 * np.sqrt(0.09 / ROUNDS)


def test_too_few_pictures_cover_everything() -> None:
    shares = covered(REAL, AI, {Decision.REAL: REAL, Decision.AI: AI}, 8, 0.9)
    assert set(shares.values()) == {1.0}


def test_nothing_is_promised_for_pictures_unlike_those_it_was_fitted_on() -> None:
    shares = covered(REAL, AI, {Decision.AI: overlapping(-1.0, 1.0)}, 57, 0.9)
    assert shares[Decision.AI] < 0.7
