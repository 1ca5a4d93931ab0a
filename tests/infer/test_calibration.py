from dataclasses import replace
from fractions import Fraction
from math import ceil, inf, log, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.conftest import calibration
from veridical.arrays import ndarray
from veridical.infer.calibration import (
    HALVINGS,
    conformal_quantile,
    conformal_rank,
    tail_of,
)
from veridical.infer.head import sigmoid
from veridical.report import Decision

FITTED = calibration(0.4, 0.3, slope=1.5, intercept=-0.5)
SHARES = st.floats(0, 1)


@given(
    arrays(np.float64, st.integers(0, 60), elements=SHARES),
    st.sampled_from(["0.5", "0.8", "0.9", "0.95", "0.99"]),
)
def test_the_threshold_is_the_smallest_score_that_keeps_the_promise(
    scores: ndarray, coverage: str
) -> None:
    needed = ceil((len(scores) + 1) * Fraction(coverage))
    enough = [score for score in scores if (scores <= score).sum() >= needed]
    assert conformal_quantile(scores, float(coverage)) == min(enough, default=1.0)


@given(arrays(np.float64, st.integers(1, 40), elements=SHARES), SHARES, SHARES)
def test_a_higher_coverage_is_never_a_lower_threshold(scores: ndarray, a: float, b: float) -> None:
    low, high = sorted((0.01 + 0.98 * a, 0.01 + 0.98 * b))
    assert conformal_quantile(scores, low) <= conformal_quantile(scores, high)


@given(st.integers(0, 5000), st.integers(1, 999))
def test_the_rank_is_not_rounded_up_by_the_computer_s_fractions(count: int, permille: int) -> None:
    exact = ceil((count + 1) * (1 - Fraction(permille, 1000)))
    assert conformal_rank(count, 1 - permille / 1000) == exact


def test_too_few_pictures_promise_nothing_and_exclude_nothing() -> None:
    assert conformal_quantile(np.zeros(8), 0.9) == 1.0
    assert conformal_quantile(np.zeros(9), 0.9) == 0.0
    assert conformal_quantile(np.zeros(0), 0.9) == 1.0


def test_platt_scaling_is_affine_in_the_logit() -> None:
    np.testing.assert_allclose(FITTED.logits(np.array([-2.0, 0.0, 3.0])), [-3.5, -0.5, 4.0])
    # A head twice too sure, half of whose pictures are AI, is put right by a slope of one half.
    halved = replace(FITTED, slope=0.5, intercept=0.0)
    p = sigmoid(halved.logits(np.array([2 * log(3)])))
    np.testing.assert_allclose(p, 0.75)


@pytest.mark.parametrize(
    ("p_ai", "threshold_real", "threshold_ai", "expected"),
    [
        (0.1, 0.4, 0.3, (Decision.REAL,)),
        (0.4, 0.4, 0.3, (Decision.REAL,)),
        (0.9, 0.4, 0.3, (Decision.AI,)),
        (0.5, 0.4, 0.3, ()),
        (0.5, 0.5, 0.5, (Decision.REAL, Decision.AI)),
        (0.0, 0.0, 0.0, (Decision.REAL,)),
        (1.0, 0.0, 0.0, (Decision.AI,)),
    ],
)
def test_a_label_belongs_to_the_set_while_it_conforms(
    p_ai: float, threshold_real: float, threshold_ai: float, expected: tuple[Decision, ...]
) -> None:
    fitted = replace(FITTED, threshold_real=threshold_real, threshold_ai=threshold_ai)
    assert fitted.prediction_set(p_ai) == expected


@given(SHARES, SHARES, SHARES, SHARES)
def test_rising_p_takes_real_out_and_brings_ai_in(a: float, b: float, c: float, d: float) -> None:
    fitted = replace(FITTED, threshold_real=c, threshold_ai=d)
    before, after = (fitted.prediction_set(p) for p in sorted((a, b)))
    assert (Decision.REAL in before) >= (Decision.REAL in after)
    assert (Decision.AI in before) <= (Decision.AI in after)


@given(SHARES, SHARES, SHARES, SHARES, SHARES)
def test_looser_thresholds_never_take_a_label_out(
    p: float, a: float, b: float, c: float, d: float
) -> None:
    (low, high), (lower, higher) = sorted((a, b)), sorted((c, d))
    tight = replace(FITTED, threshold_real=low, threshold_ai=lower).prediction_set(p)
    loose = replace(FITTED, threshold_real=high, threshold_ai=higher).prediction_set(p)
    assert set(tight) <= set(loose)


@pytest.mark.parametrize(
    "wrong",
    [
        {"slope": 0.0},
        {"slope": -1.0},
        {"slope": nan},
        {"coverage_of_reals": 0.0},
        {"coverage_of_reals": 1.0},
        {"coverage_of_ai": 1.0},
        {"coverage_of_ai": 90.0},
        {"coverage_of_ai": -0.1},
    ],
)
def test_a_calibration_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"slope > 0 and coverages in \(0, 1\)"):
        calibration(**wrong)


@pytest.mark.parametrize("wrong", [{"threshold_real": 1.1}, {"threshold_ai": -0.1}])
def test_a_threshold_that_is_no_probability_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"Conformal thresholds are in \[0, 1\]"):
        calibration(**wrong)


def test_what_is_promised_within_each_class_is_the_smaller_coverage() -> None:
    for one, other in ((0.97, 0.9), (0.9, 0.97)):
        fitted = calibration(coverage_of_reals=one, coverage_of_ai=other)
        assert (fitted.coverage, fitted.most) == (0.9, 0.97)


def test_the_smallest_slope_still_keeps_the_order() -> None:
    logits = replace(FITTED, slope=1e-6).logits(np.array([-1.0, 0.0, 1.0]))
    assert np.all(np.diff(logits) > 0)
    assert np.all(np.abs(logits) < inf)


# --- one face among several --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faces", "wanted"),
    [(1, 0.2), (2, 0.4), (3, 0.6), (4, 0.6), (5, 0.8), (8, 0.8), (9, 1.0), (500, 1.0)],
)
def test_so_many_faces_share_what_may_be_missed(faces: int, wanted: float) -> None:
    """Rounded down to a half, a quarter, an eighth; beyond, nothing is promised."""
    assert calibration(0.2, tail=(0.4, 0.6, 0.8)).threshold_among(faces) == wanted


def test_without_a_tail_only_a_face_alone_can_stand_out() -> None:
    assert [calibration(0.2).threshold_among(n) for n in (1, 2, 3)] == [0.2, 1.0, 1.0]


@given(arrays(np.float64, st.integers(0, 400), elements=SHARES), st.integers(1, 70))
def test_each_further_halving_is_the_quantile_of_half_as_much_missed(
    scores: ndarray, faces: int
) -> None:
    tail, reals = tail_of(scores, 0.9), conformal_quantile(scores, 0.9)
    assert len(tail) == HALVINGS
    for n, threshold in enumerate(tail, start=1):
        assert threshold == conformal_quantile(scores, 1 - 0.1 / 2**n)
    assert [reals, *tail] == sorted([reals, *tail])
    # Never less than an exact n-th would ask for.
    among = calibration(reals, tail=tail).threshold_among(faces)
    assert among >= conformal_quantile(scores, 1 - 0.1 / faces) or among == 1.0


def test_with_a_part_of_what_may_be_missed_the_real_keep_a_margin() -> None:
    made = calibration(0.2, tail=(0.4, 0.6, 0.8)).stricter(4)
    assert made.threshold_real == 0.6
    assert [made.threshold_among(faces) for faces in (1, 2, 3)] == [0.6, 0.8, 1.0]
    assert made.coverage_of_reals == calibration(0.2).coverage_of_reals
    assert made.threshold_ai == calibration(0.2).threshold_ai


def test_too_few_pictures_to_say_promise_nothing() -> None:
    assert tail_of(np.zeros(18), 0.9) == (1.0,) * HALVINGS
    assert tail_of(np.zeros(19), 0.9) == (0.0,) + (1.0,) * (HALVINGS - 1)


# --- another implementation --------------------------------------------------------------------


def test_the_sets_are_those_of_another_implementation() -> None:
    """Class-conditional (Mondrian) split conformal classification, as crepes computes it."""
    crepes = pytest.importorskip("crepes")

    class Stated:
        """Its features are what it says."""

        classes_ = np.array([0, 1])

        def predict_proba(self, p: ndarray) -> ndarray:
            return np.column_stack([1 - p[:, 0], p[:, 0]])

    draw = np.random.default_rng(0)
    truth = draw.random(157) < 0.4
    p = sigmoid(np.where(truth, 0.8, -0.8) + draw.normal(size=157))
    theirs = crepes.WrapClassifier(Stated())
    theirs.calibrate(p[:, None], truth.astype(int), class_cond=True)
    fresh = draw.random(300)
    for coverage in (0.8, 0.9, 0.97):
        ours = calibration(
            conformal_quantile(p[~truth], coverage), conformal_quantile(1 - p[truth], coverage)
        )
        sets = theirs.predict_set(fresh[:, None], confidence=coverage, smoothing=False)
        for value, labels in zip(fresh, sets, strict=True):
            names = {0: Decision.REAL, 1: Decision.AI}
            assert set(ours.prediction_set(float(value))) == {names[int(n)] for n in labels}
