import inspect
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from veridical.arrays import ndarray
from veridical.stats import metrics
from veridical.stats.intervals import no_narrower_than_exact, wilson


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """As users call it: without the shape checks that the tests may switch on."""
    original: Callable[..., Any] = inspect.unwrap(function)
    return original


@st.composite
def labelled(draw: st.DrawFn) -> tuple[ndarray, ndarray]:
    """Both classes, and often equal scores: some scales have as few as three values."""
    steps = draw(st.sampled_from([2, 8, 1000]))
    rows = st.tuples(st.booleans(), st.integers(0, steps))
    pairs = draw(st.lists(rows, max_size=40))
    pairs += [(True, draw(st.integers(0, steps))), (False, draw(st.integers(0, steps)))]
    truth, score = zip(*pairs, strict=True)
    return np.array(truth), np.array(score) / steps


def simulated(count: int, *, seed: int = 0, ties: bool = False) -> tuple[ndarray, ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.4
    p = 1 / (1 + np.exp(-rng.normal(4 * truth - 2, 1.5)))
    return truth, np.round(p, 1) if ties else p


# --- held against scikit-learn -----------------------------------------------------------------


@given(labelled())
def test_ranking_is_as_scikit_learn_has_it(data: tuple[ndarray, ndarray]) -> None:
    truth, p = data
    assert metrics.auroc(truth, p) == pytest.approx(oracle.roc_auc_score(truth, p), abs=1e-12)
    assert metrics.average_precision(truth, p) == pytest.approx(
        oracle.average_precision_score(truth, p), abs=1e-12
    )


@given(labelled())
def test_the_roc_curve_is_as_scikit_learn_has_it(data: tuple[ndarray, ndarray]) -> None:
    truth, p = data
    fpr, tpr, threshold = oracle.roc_curve(truth, p, drop_intermediate=False)
    ours = metrics.roc_curve(truth, p)
    np.testing.assert_allclose(ours.fpr, fpr)
    np.testing.assert_allclose(ours.tpr, tpr)
    np.testing.assert_array_equal(ours.threshold, threshold)


@given(labelled(), st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.5, 1.0]))
def test_tpr_at_fpr_is_the_best_corner_that_keeps_the_promise(
    data: tuple[ndarray, ndarray], limit: float
) -> None:
    truth, p = data
    fpr, tpr, _ = oracle.roc_curve(truth, p, drop_intermediate=False)
    assert metrics.tpr_at_fpr(truth, p, limit) == pytest.approx(tpr[fpr <= limit].max())


@given(labelled())
def test_decisions_and_probabilities_are_as_scikit_learn_has_them(
    data: tuple[ndarray, ndarray],
) -> None:
    truth, p = data
    called = p >= 0.5
    assert metrics.accuracy(truth, p) == pytest.approx(oracle.accuracy_score(truth, called))
    assert metrics.balanced_accuracy(truth, p) == pytest.approx(
        oracle.balanced_accuracy_score(truth, called)
    )
    assert metrics.brier(truth, p) == pytest.approx(oracle.brier_score_loss(truth, p))
    clipped = np.clip(p, 1e-12, 1 - 1e-12)
    assert metrics.nll(truth, p) == pytest.approx(oracle.log_loss(truth, clipped))
    table = metrics.confusion(truth, p)
    tn, fp, fn, tp = oracle.confusion_matrix(truth, called).ravel()
    assert (table.tn, table.fp, table.fn, table.tp) == (tn, fp, fn, tp)


@pytest.mark.parametrize("ties", [False, True])
def test_every_resample_is_measured_as_scikit_learn_measures_weighted_pictures(ties: bool) -> None:
    truth, p = simulated(60, ties=ties)
    weights = np.random.default_rng(1).integers(0, 4, size=(5, 60)).astype(float)
    measured = metrics._kernel(truth, p, p >= 0.5, bins=15)(weights)
    for row, w in enumerate(weights):
        assert measured["auroc"][row] == pytest.approx(
            oracle.roc_auc_score(truth, p, sample_weight=w)
        )
        assert measured["average_precision"][row] == pytest.approx(
            oracle.average_precision_score(truth, p, sample_weight=w)
        )
        assert measured["brier"][row] == pytest.approx(
            oracle.brier_score_loss(truth, p, sample_weight=w)
        )
        assert measured["nll"][row] == pytest.approx(oracle.log_loss(truth, p, sample_weight=w))
        assert measured["balanced_accuracy"][row] == pytest.approx(
            oracle.balanced_accuracy_score(truth, p >= 0.5, sample_weight=w)
        )
        repeated = w.astype(int)
        assert measured["ece"][row] == pytest.approx(
            metrics.expected_calibration_error(np.repeat(truth, repeated), np.repeat(p, repeated))
        )


@given(labelled())
def test_what_the_bootstrap_measures_is_what_the_plain_functions_measure(
    data: tuple[ndarray, ndarray],
) -> None:
    truth, p = data
    measured = metrics.bootstrap(truth, p, resamples=2)
    assert tuple(measured) == metrics.METRICS
    plain = {
        "accuracy": metrics.accuracy(truth, p),
        "balanced_accuracy": metrics.balanced_accuracy(truth, p),
        "auroc": metrics.auroc(truth, p),
        "average_precision": metrics.average_precision(truth, p),
        "tpr_at_1pct_fpr": metrics.tpr_at_fpr(truth, p, 0.01),
        "tpr_at_0.1pct_fpr": metrics.tpr_at_fpr(truth, p, 0.001),
        "ece": metrics.expected_calibration_error(truth, p),
        "ece_adaptive": metrics.expected_calibration_error(truth, p, adaptive=True),
        "brier": metrics.brier(truth, p),
        "nll": metrics.nll(truth, p),
        "tpr": metrics.confusion(truth, p).tp / truth.sum(),
        "fpr": metrics.confusion(truth, p).fp / (~truth).sum(),
    }
    assert {name: m.value if m else None for name, m in measured.items()} == pytest.approx(plain)


# --- calibration -------------------------------------------------------------------------------


def test_by_hand_the_calibration_error_is_the_weighted_gap() -> None:
    truth = np.array([0, 1, 1, 1])
    p = np.array([0.1, 0.1, 0.9, 0.9])
    # Two bins of two pictures: |0.1 - 0.5| and |0.9 - 1|, each with half the pictures.
    assert metrics.expected_calibration_error(truth, p, bins=10) == pytest.approx(0.25)
    assert metrics.expected_calibration_error(truth, p, bins=2, adaptive=True) == pytest.approx(
        0.25
    )


@given(labelled(), st.booleans(), st.integers(1, 20))
def test_the_calibration_error_is_the_one_that_the_bins_show(
    data: tuple[ndarray, ndarray], adaptive: bool, bins: int
) -> None:
    truth, p = data
    shown = metrics.reliability_bins(truth, p, bins=bins, adaptive=adaptive)
    error = sum(b.count * abs(b.mean_p_ai - b.share_ai.value) for b in shown) / len(p)
    assert metrics.expected_calibration_error(
        truth, p, bins=bins, adaptive=adaptive
    ) == pytest.approx(error, abs=1e-12)
    assert sum(b.count for b in shown) == len(p)
    # Up to rounding: the mean of three times 0.7 is not 0.7.
    assert all(b.low - 1e-12 <= b.mean_p_ai <= b.high + 1e-12 for b in shown)


def test_adaptive_bins_hold_equally_many_pictures_and_keep_equal_ones_together() -> None:
    truth, p = np.arange(60) % 2, np.linspace(0, 1, 60) ** 3
    assert [b.count for b in metrics.reliability_bins(truth, p, adaptive=True)] == [4] * 15
    p = np.round(p, 1)
    shown = metrics.reliability_bins(truth, p, adaptive=True)
    assert all(low.high < high.low for low, high in pairwise(shown))


@pytest.mark.parametrize("adaptive", [False, True])
def test_a_perfectly_calibrated_claim_has_next_to_no_calibration_error(adaptive: bool) -> None:
    rng = np.random.default_rng(0)
    p = rng.random(200_000)
    truth = rng.random(200_000) < p
    assert metrics.expected_calibration_error(truth, p, adaptive=adaptive) < 0.005
    assert metrics.expected_calibration_error(truth, p**2, adaptive=adaptive) > 0.1


def test_a_certain_mistake_costs_no_more_than_the_floor_says() -> None:
    assert metrics.nll(np.array([1]), np.array([0.0])) == pytest.approx(-np.log(1e-12))
    assert metrics.nll(np.array([0]), np.array([1.0])) == pytest.approx(-np.log(1e-12))


def test_tpr_at_fpr_never_reads_between_two_corners() -> None:
    truth = np.array([1, 0, 1, 0])
    p = np.array([0.9, 0.8, 0.7, 0.1])
    assert metrics.tpr_at_fpr(truth, p, 0.49) == 0.5
    assert metrics.tpr_at_fpr(truth, p, 0.5) == 1.0
    assert metrics.tpr_at_fpr(truth, np.full(4, 0.5), 0.99) == 0.0


# --- intervals ---------------------------------------------------------------------------------


def test_a_group_of_its_own_for_each_picture_changes_nothing_but_the_draws() -> None:
    truth, p = simulated(300)
    alone = metrics.bootstrap(truth, p, groups=[str(i) for i in range(300)])["auroc"]
    free = metrics.bootstrap(truth, p, groups=None)["auroc"]
    assert alone is not None
    assert free is not None
    assert (alone.low, alone.high) == pytest.approx((free.low, free.high), abs=0.01)


def test_a_lone_group_is_drawn_picture_by_picture() -> None:
    truth, p = simulated(200)
    lone = metrics.bootstrap(truth, p, groups=["one person"] * 200)["auroc"]
    assert lone is not None
    assert lone.low < lone.value < lone.high


def test_no_error_among_few_is_not_certainty() -> None:
    truth, p = np.array([0, 0, 1, 1] * 5), np.array([0.1, 0.2, 0.8, 0.9] * 5)
    measured = metrics.bootstrap(truth, p)
    assert measured["accuracy"] == no_narrower_than_exact(wilson(20, 20), 20)
    assert measured["fpr"] == no_narrower_than_exact(wilson(0, 10), 10)
    balanced = measured["balanced_accuracy"]
    assert balanced is not None
    assert 0.6 < balanced.low < balanced.value == balanced.high == 1
    grouped = metrics.bootstrap(truth, p, groups=[str(i // 4) for i in range(20)])
    assert grouped["accuracy"] == no_narrower_than_exact(wilson(5, 5), 20)


def test_equal_seeds_give_equal_intervals() -> None:
    truth, p = simulated(100)
    assert metrics.bootstrap(truth, p, seed=3) == metrics.bootstrap(truth, p, seed=3)
    assert metrics.bootstrap(truth, p, seed=3) != metrics.bootstrap(truth, p, seed=4)


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_what_needs_two_is_none_and_never_zero(label: int) -> None:
    truth, p = np.full(30, label), np.linspace(0.1, 0.9, 30)
    measured = metrics.bootstrap(truth, p)
    defined = {name: m.value for name, m in measured.items() if m is not None}
    rate = ("fpr", "tpr")[label]
    assert set(defined) == {"accuracy", "brier", "nll", rate}
    assert defined[rate] == 0.5


# --- what is refused ---------------------------------------------------------------------------

RANKING = [metrics.auroc, metrics.average_precision, metrics.roc_curve]
CLAIMS = [
    metrics.accuracy,
    metrics.brier,
    metrics.nll,
    metrics.confusion,
    metrics.reliability_bins,
    metrics.bootstrap,
]
TWO_CLASSES = [*RANKING, metrics.balanced_accuracy, metrics.expected_calibration_error]


@pytest.mark.parametrize("metric", TWO_CLASSES)
@pytest.mark.parametrize(("label", "name"), [(0, "real"), (1, "ai")])
def test_one_class_only_is_refused_by_its_name(
    metric: Callable[..., Any], label: int, name: str
) -> None:
    with pytest.raises(ValueError, match=f"all 3 pictures are {name}"):
        bare(metric)(np.full(3, label), np.array([0.1, 0.5, 0.9]))


@pytest.mark.parametrize("metric", [*TWO_CLASSES, *CLAIMS])
@pytest.mark.parametrize(
    ("truth", "p", "said"),
    [
        ([], [], "at least one"),
        ([0, 1], [0.5, np.nan], r"got nan at \[1\]"),
        ([0, 1], [0.5, np.inf], r"got inf at \[1\]"),
        ([0, 1, 1], [0.5, 0.5], r"got \(3,\) and \(2,\)"),
        ([0, 2], [0.5, 0.5], r"got \[2\]"),
        ([[0, 1]], [[0.5, 0.5]], r"shape \(1, 2\)"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_what_came(
    metric: Callable[..., Any], truth: list[Any], p: list[Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        bare(metric)(np.array(truth, dtype=int), np.array(p, dtype=float))


@pytest.mark.parametrize("metric", CLAIMS)
def test_a_probability_over_one_is_refused(metric: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"from 0.5 to 1.5"):
        metric(np.array([0, 1]), np.array([0.5, 1.5]))


def test_odd_arguments_are_refused() -> None:
    truth, p = np.array([0, 1]), np.array([0.2, 0.8])
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]; got 2"):
        metrics.tpr_at_fpr(truth, p, 2.0)
    with pytest.raises(ValueError, match="at least one resample; got 0"):
        metrics.bootstrap(truth, p, resamples=0)
    with pytest.raises(ValueError, match="got 1 for 2 pictures"):
        metrics.bootstrap(truth, p, groups=["a"])
    with pytest.raises(ValueError, match="got 0"):
        metrics.reliability_bins(truth, p, bins=0)


def test_the_base_install_is_enough() -> None:
    code = (
        "import sys, veridical.stats.metrics; "
        "print({'scipy', 'sklearn', 'torch'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
