import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.report import Estimate
from veridical.stats.intervals import (
    Resampling,
    bootstrap_shares,
    exact,
    no_narrower_than_exact,
    share_beyond,
    wilson,
)


def test_wilsons_interval_is_as_published() -> None:
    # R. Newcombe, Statistics in Medicine 17, 1998, table I, method 3: 15 of 148; 0 of 20.
    some, none = wilson(15, 148), wilson(0, 20)
    ends = [some.low, some.high, none.low, none.high]
    assert ends == pytest.approx([0.0624, 0.1605, 0, 0.1611], abs=5e-5)


@pytest.mark.parametrize(
    ("count", "rank"), [(99, 99), (300, 295), (1, 1), (12, 1), (1000, 500), (40_000, 39_600)]
)
def test_the_share_beyond_a_threshold_has_the_interval_of_its_beta(count: int, rank: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    found = share_beyond(count, rank)
    law = stats.beta(count + 1 - rank, rank)
    assert (found.low, found.high) == pytest.approx(law.ppf([0.025, 0.975]), rel=1e-7)
    assert found.value == pytest.approx(law.mean())
    # Its upper end is Clopper and Pearson's for as many as were counted beyond the threshold.
    exact = stats.binomtest(count - rank, count).proportion_ci(method="exact")
    assert found.high == pytest.approx(exact.high, rel=1e-7)


@pytest.mark.parametrize(
    ("hits", "total"), [(0, 218), (1, 183), (2, 196), (3, 231), (113, 196), (9, 9), (4900, 5000)]
)
def test_the_exact_interval_is_clopper_and_pearsons(hits: int, total: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    found = exact(hits, total)
    ends = stats.binomtest(hits, total).proportion_ci(method="exact")
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high), rel=1e-7)


def test_the_exact_ends_of_rare_counts_are_as_printed_in_tables() -> None:
    ends = [exact(hits, total).high for hits, total in ((1, 183), (2, 196), (3, 231))]
    assert ends == pytest.approx([0.0301, 0.0364, 0.0375], abs=5e-5)


@given(st.integers(0, 4), st.integers(30, 60))
@settings(max_examples=20)
def test_more_errors_never_get_a_lower_upper_end(hits: int, total: int) -> None:
    """The percentiles of a bootstrap alone gave 2 of 196 a lower one than 0 of 218."""
    truth = np.arange(total) % 2
    ends = []
    for count in (hits, hits + 1):
        event = np.arange(total) < count
        found = bootstrap_shares({"a": (event, event | True)}, truth, resamples=50)["a"]
        assert found is not None
        assert found.high >= exact(count, total).high
        assert found.low <= exact(count, total).low
        ends.append(found.high)
    assert ends[0] <= ends[1] or hits == 0  # none at all has Wilson's, by groups


def test_an_interval_that_is_wide_already_stays() -> None:
    wide = Estimate(0.5, 0.1, 0.9)
    assert no_narrower_than_exact(wide, 100) == wide


@pytest.mark.parametrize(("count", "rank"), [(10, 0), (10, 11), (0, 0)])
def test_a_threshold_that_is_no_score_has_no_share(count: int, rank: int) -> None:
    with pytest.raises(ValueError, match="within 1 and the count of scores"):
        share_beyond(count, rank)


def coverage(*, per_group: int, grouped: bool, trials: int = 250) -> float:
    """How often the interval holds the true accuracy, 0.8, if a group is right or wrong as one."""
    rng, held = np.random.default_rng(0), 0
    for trial in range(trials):
        truth = np.repeat(np.arange(120) % 2, per_group)
        right = np.repeat(rng.random(120) < 0.8, per_group)
        groups = [str(i // per_group) for i in range(len(truth))] if grouped else None
        shares = {"accuracy": (right, np.ones(len(right), dtype=bool))}
        measured = bootstrap_shares(shares, truth, groups=groups, resamples=300, seed=trial)[
            "accuracy"
        ]
        assert measured is not None
        held += measured.low <= 0.8 <= measured.high
    return held / trials


def test_the_interval_holds_a_known_accuracy_as_often_as_it_says() -> None:
    assert 0.91 <= coverage(per_group=1, grouped=False) <= 0.985


def test_groups_move_together_and_not_knowing_them_is_costly() -> None:
    assert 0.91 <= coverage(per_group=4, grouped=True) <= 0.985
    assert coverage(per_group=4, grouped=False) < 0.8


@given(
    st.lists(st.booleans(), max_size=40),
    st.lists(st.sampled_from("abc"), min_size=42, max_size=42),
)
@settings(max_examples=50)
def test_every_resample_holds_every_class_and_whole_groups(
    labels: list[bool], names: list[str]
) -> None:
    truth = np.array([*labels, True, False])
    plan = Resampling.of(truth, names[: len(truth)])
    for weights in plan.resamples(20, 0):
        assert (weights @ truth > 0).all()
        assert (weights @ ~truth > 0).all()
        for unit in np.unique(plan.unit):
            assert np.ptp(weights[:, plan.unit == unit], axis=1).max() == 0


def test_a_share_of_nothing_is_none() -> None:
    none, truth = np.zeros(4, dtype=bool), np.array([0, 0, 1, 1])
    measured = bootstrap_shares({"a": (~none, none), "b": (none, ~none)}, truth)
    assert measured == {"a": None, "b": no_narrower_than_exact(wilson(0, 4), 4)}


def test_a_number_outside_its_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="lies within its interval"):
        Estimate(0.5, 0.6, 0.7)


def test_odd_arguments_are_refused() -> None:
    truth, shares = np.array([0, 1]), {"a": (np.ones(1, bool), np.ones(2, bool))}
    with pytest.raises(ValueError, match="got 3 of 2"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="got 3 of 2"):
        exact(3, 2)
    with pytest.raises(ValueError, match="each of the 2 pictures; got 1 and 2"):
        inspect.unwrap(bootstrap_shares)(shares, truth)  # as users call it: unchecked shapes
    with pytest.raises(ValueError, match="at least one resample; got 0"):
        bootstrap_shares({"a": (truth == 1, truth == 1)}, truth, resamples=0)
