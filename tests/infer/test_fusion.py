"""From the logits of a face's crops to one, in a few classes of quality."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import calibration
from veridical.infer.fusion import Fusion

SMALL, MIDDLE, LARGE = calibration(0.1), calibration(0.2), calibration(0.3)
FUSION = Fusion(
    edges_px=(100.0, 200.0),
    weights=((0.2, 0.9), (0.5, 0.5), (0.8, 0.0)),
    intercepts=(0.1, -0.2, 0.3),
    calibrations=(SMALL, MIDDLE, LARGE),
    overall=calibration(),
)


@pytest.mark.parametrize(
    ("face_px", "place"), [(1.0, 0), (99.9, 0), (100.0, 1), (199.9, 1), (200.0, 2), (5000.0, 2)]
)
def test_a_class_begins_at_its_edge(face_px: float, place: int) -> None:
    assert FUSION.place(face_px) == place
    assert FUSION.calibration(place) is (SMALL, MIDDLE, LARGE)[place]


def test_without_edges_there_is_one_class() -> None:
    one = Fusion(calibrations=(SMALL,), overall=SMALL)
    assert {one.place(px) for px in (1.0, 100.0, 5000.0)} == {0}
    assert one.crops == 1
    logits = np.random.default_rng(0).normal(size=(1, 7))
    np.testing.assert_array_equal(one.logits(logits, 0), logits[0])


def test_one_calibration_serves_all_classes() -> None:
    one = replace(FUSION, calibrations=(MIDDLE,))
    assert [one.calibration(place) for place in range(3)] == [MIDDLE] * 3
    # The weights remain those of the class.
    logits = np.array([[1.0, -2.0], [3.0, 0.5]])
    for place in range(3):
        np.testing.assert_array_equal(one.logits(logits, place), FUSION.logits(logits, place))


@given(st.integers(0, 2), st.integers(0, 10**6))
def test_each_sample_of_the_fused_logit_is_the_weighted_sum_of_that_sample(
    place: int, seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (2, 5))
    weights, intercept = FUSION.weights[place], FUSION.intercepts[place]
    wanted = [weights[0] * a + weights[1] * b + intercept for a, b in logits.T]
    np.testing.assert_allclose(FUSION.logits(logits, place), wanted)


def test_a_crop_without_weight_has_no_say() -> None:
    logits = np.array([[1.0, 2.0], [3.0, 4.0]])
    other = np.array([[1.0, 2.0], [-30.0, 40.0]])
    np.testing.assert_array_equal(FUSION.logits(logits, 2), FUSION.logits(other, 2))
    assert FUSION.crops == 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"edges_px": (200.0, 100.0)}, "Edges of classes ascend"),
        ({"edges_px": (100.0,)}, "2 classes of quality need as many weights"),
        ({"edges_px": ()}, "1 classes of quality need as many weights"),
        ({"intercepts": (0.0, 0.0)}, "as many weights and intercepts"),
        ({"weights": ((0.5, 0.5),)}, "as many weights and intercepts"),
        ({"calibrations": (SMALL, LARGE)}, "one calibration, or one each"),
        ({"calibrations": ()}, "one calibration, or one each"),
        ({"weights": ((1.0,), (0.5, 0.5), (1.0, 0.0))}, "weights for the same crops"),
        ({"weights": ((1.0, 0.0), (0.5, -0.1), (1.0, 0.0))}, "not negative"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(FUSION, **wrong)
