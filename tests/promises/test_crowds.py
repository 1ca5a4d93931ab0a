"""What is promised of a real picture, however many people are in it, simulated.

Each of n faces gets an n-th of what may be missed (Bonferroni), however they depend on each other.
"""

from math import sqrt

import numpy as np
import pytest

from tests.conftest import calibration
from tests.infer.test_decision import face_of
from veridical.arrays import ndarray
from veridical.infer.calibration import Calibration, conformal_quantile, tail_of
from veridical.infer.decision import together
from veridical.infer.head import sigmoid
from veridical.report import Decision

COVERAGE = 0.9


def crowds(generator: np.random.Generator, count: int, faces: int, shared: float) -> ndarray:
    """P(ai) of the faces of real pictures; what `shared` of the variance is the picture's."""
    picture = np.sqrt(shared) * generator.normal(size=(count, 1))
    own = np.sqrt(1 - shared) * generator.normal(size=(count, faces))
    found: ndarray = sigmoid(1.5 * (picture + own) - 1)
    return found


def fitted(generator: np.random.Generator, count: int, shared: float) -> Calibration:
    """A calibration on one face of each picture, as in training."""
    p = crowds(generator, count, 1, shared)[:, 0]
    return calibration(
        conformal_quantile(p, COVERAGE),
        conformal_quantile(1 - sigmoid(1.5 * generator.normal(size=count) + 1), COVERAGE),
        tail=tail_of(p, COVERAGE),
    )


def limit(count: int) -> float:
    """What a share of 1 - COVERAGE may reach by chance in so many draws, one time in 30,000."""
    return 1 - COVERAGE + 4 * sqrt(COVERAGE * (1 - COVERAGE) / count)


@pytest.mark.parametrize("faces", [1, 2, 3, 8])
@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_no_more_real_pictures_than_promised_have_a_face_that_stands_out(
    faces: int, shared: float
) -> None:
    generator, rounds, fresh = np.random.default_rng(5), 300, 40
    beyond = []
    for _ in range(rounds):
        threshold = fitted(generator, 250, shared).threshold_among(faces)
        p = crowds(generator, fresh, faces, shared)
        beyond.append((p > threshold).any(axis=1).mean())
    spread = 4 * np.std(beyond) / np.sqrt(rounds)
    assert np.mean(beyond) <= 1 - COVERAGE + spread
    # And it is not given away: independent faces use what they get.
    if not shared:
        halved = 2 ** np.ceil(np.log2(faces))
        assert np.mean(beyond) >= 0.7 * (1 - COVERAGE) * faces / halved - spread


def test_without_the_correction_the_promise_would_not_hold() -> None:
    generator = np.random.default_rng(5)
    made = fitted(generator, 2000, 0.0)
    p = crowds(generator, 2000, 8, 0.0)
    assert (p > made.threshold_real).any(axis=1).mean() > 4 * (1 - COVERAGE)
    assert (p > made.threshold_among(8)).any(axis=1).mean() <= limit(2000)


@pytest.mark.parametrize("faces", [2, 4])
@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_real_pictures_of_several_people_are_called_ai_about_as_rarely_as_promised(
    faces: int, shared: float
) -> None:
    """The common logit is a second way to `ai`, which Bonferroni does not pay for: it costs little.

    Where faces have nothing in common their mean hardly ever is beyond, and where they have, it is
    beyond together with the largest.
    """
    generator, count = np.random.default_rng(8), 1500
    made = fitted(generator, 20_000, shared)
    called = 0
    for row in crowds(generator, count, faces, shared):
        judged = []
        for p in map(float, row):
            plausible = made.prediction_set(p)
            alone = len(plausible) == 1
            judged.append(face_of(plausible[0] if alone else Decision.UNDECIDED, p))
        called += together(judged, [made] * faces)[0] is Decision.AI
    assert called / count <= 1.05 * limit(count)
