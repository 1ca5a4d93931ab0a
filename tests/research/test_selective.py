"""Selective risk: held against brute force over every order of the pictures."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from research.selective import COVERAGES, SELECTIVE, aurc, error_auroc, risk_at

from research import selective
from veridical.arrays import ndarray
from veridical.stats import metrics
from veridical.stats.intervals import wilson


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """As users call it: without the shape checks that the tests switch on."""
    original: Callable[..., Any] = inspect.unwrap(function)
    return original


def few(least: int = 1, most: int = 6) -> st.SearchStrategy[tuple[ndarray, ndarray]]:
    """Some answers, wrong or not, and doubts that are often equal."""
    rows = st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=least, max_size=most)
    return rows.map(
        lambda pairs: (np.array([w for w, _ in pairs]), np.array([float(d) for _, d in pairs]))
    )


def simulated(count: int, seed: int = 0) -> tuple[ndarray, ndarray, ndarray]:
    """Truth, errors and doubts; what is doubted more is wrong more often."""
    draw = np.random.default_rng(seed)
    doubt = draw.random(count)
    return draw.random(count) < 0.4, draw.random(count) < 0.4 * doubt, doubt


def risks(wrong: ndarray, doubt: ndarray) -> ndarray:
    """Risk of the first 1, 2, ... n, averaged over all orders that the doubts allow."""
    orders = [
        order
        for order in permutations(range(len(wrong)))
        if all(doubt[a] <= doubt[b] for a, b in pairwise(order))
    ]
    each = [np.cumsum(wrong[list(o)]) / np.arange(1, len(wrong) + 1) for o in orders]
    return np.asarray(np.mean(each, axis=0))


@given(few())
def test_the_area_is_the_mean_risk_over_all_orders(answers: tuple[ndarray, ndarray]) -> None:
    assert aurc(*answers) == pytest.approx(risks(*answers).mean())


@given(few(), st.sampled_from(COVERAGES))
def test_the_risk_at_a_coverage_is_that_of_the_first_ones(
    answers: tuple[ndarray, ndarray], coverage: float
) -> None:
    count = len(answers[0])
    first = next(k for k in range(1, count + 1) if k / count >= coverage - 1e-12)
    assert risk_at(*answers, coverage) == pytest.approx(risks(*answers)[first - 1])


@given(few(2), st.data())
def test_a_resample_is_measured_as_if_its_pictures_were_there_so_often(
    answers: tuple[ndarray, ndarray], data: st.DataObject
) -> None:
    wrong, doubt = answers
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(wrong), max_size=len(wrong)))
    if not sum(times):
        return
    ranked = selective._ranked(wrong, doubt)
    told = selective._kernel(ranked, np.array([times], dtype=float))
    w, d = np.repeat(wrong, times), np.repeat(doubt, times)
    assert told["aurc"][0] == pytest.approx(aurc(w, d))
    for coverage in COVERAGES:
        assert told[f"risk_at_{coverage:.0%}"][0] == pytest.approx(risk_at(w, d, coverage))


@given(few(2, 30))
def test_detecting_errors_is_ranking_them_by_doubt(answers: tuple[ndarray, ndarray]) -> None:
    wrong, doubt = answers
    if wrong.all() or not wrong.any():
        with pytest.raises(ValueError, match="both needed"):
            error_auroc(wrong, doubt)
        return
    pairs = [np.sign(a - b) for a in doubt[wrong] for b in doubt[~wrong]]
    assert error_auroc(wrong, doubt) == pytest.approx((1 + np.mean(pairs)) / 2)
    assert error_auroc(wrong, doubt) == pytest.approx(metrics.auroc(wrong, doubt))


def test_good_doubts_keep_the_risk_down_and_bad_ones_do_not() -> None:
    _, wrong, doubt = simulated(2000)
    assert aurc(wrong, doubt) < wrong.mean() - 0.05
    assert aurc(wrong, -doubt) > wrong.mean() + 0.05
    assert aurc(wrong, np.zeros(2000)) == pytest.approx(wrong.mean())
    assert risk_at(wrong, doubt, 1.0) == pytest.approx(wrong.mean())


def test_what_the_bootstrap_measures_is_what_the_plain_functions_measure() -> None:
    truth, wrong, doubt = simulated(200)
    told = selective.bootstrap(truth, wrong, doubt, resamples=50)
    assert tuple(told) == SELECTIVE
    plain = {"aurc": aurc(wrong, doubt), "error_auroc": error_auroc(wrong, doubt)}
    plain |= {f"risk_at_{c:.0%}": risk_at(wrong, doubt, c) for c in COVERAGES}
    for name, measured in told.items():
        assert measured is not None
        assert measured.value == pytest.approx(plain[name])
        assert measured.low < measured.value < measured.high
    assert told == selective.bootstrap(truth, wrong, doubt, resamples=50)


def test_no_error_among_few_is_not_certainty() -> None:
    truth = np.arange(20) % 2
    told = selective.bootstrap(truth, np.zeros(20, bool), np.linspace(0, 1, 20))
    assert told["risk_at_100%"] == wilson(0, 20)
    assert told["risk_at_50%"] == wilson(0, 10)
    assert told["error_auroc"] is None
    # One answer for all: in every resample just the real ones are wrong.
    same = selective.bootstrap(truth, truth == 0, np.zeros(20))["risk_at_100%"]
    assert same is not None
    assert (same.low, same.value, same.high) == pytest.approx(
        (wilson(10, 20).low, 0.5, wilson(10, 20).high)
    )


def test_the_gap_of_two_is_sharper_than_their_intervals() -> None:
    truth, wrong, doubt = simulated(400)
    blurred = doubt + 0.05 * np.random.default_rng(1).normal(size=400)
    gap = selective.bootstrap_gap(truth, (wrong, blurred), (wrong, doubt))
    assert gap.value == pytest.approx(aurc(wrong, blurred) - aurc(wrong, doubt))
    alone = selective.bootstrap(truth, wrong, doubt)["aurc"]
    assert alone is not None
    assert gap.high - gap.low < (alone.high - alone.low) / 2
    same = selective.bootstrap_gap(truth, (wrong, doubt), (wrong, doubt))
    assert (same.low, same.value, same.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("wrong", "doubt", "said"),
    [
        ([], [], "at least one"),
        ([0, 1], [0.5], r"got \(2,\) and \(1,\)"),
        ([0, 1], [0.5, np.nan], "finite; got nan"),
        ([0, 2], [0.5, 0.5], r"got \[2\]"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    wrong: list[int], doubt: list[float], said: str
) -> None:
    for measure in (aurc, error_auroc):
        with pytest.raises(ValueError, match=said):
            bare(measure)(np.array(wrong, dtype=int), np.array(doubt))


@pytest.mark.parametrize("coverage", [0.0, -1.0, 1.1])
def test_odd_coverages_are_refused(coverage: float) -> None:
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        risk_at(np.array([True, False]), np.array([0.1, 0.2]), coverage)


def test_answers_for_other_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="got 3 and 2"):
        bare(selective.bootstrap)(
            np.array([0, 1, 1]), np.array([True, False]), np.array([0.1, 0.2])
        )


def test_the_base_install_is_enough() -> None:
    code = "import sys, research.selective; print({'scipy', 'sklearn', 'torch'} & {*sys.modules})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
