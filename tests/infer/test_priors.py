from fractions import Fraction
from math import exp, inf, isclose, log, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.conftest import calibration
from veridical.infer.head import sigmoid
from veridical.infer.priors import (
    assumed,
    at_prior,
    checked,
    evidence,
    posterior,
    predictive_values,
)

P = st.floats(0, 1)
INSIDE = st.floats(1e-6, 1 - 1e-6)


def logit(p: float) -> float:
    return log(p) - log(1 - p)


# --- Bayes' rule --------------------------------------------------------------------------------


@given(P, INSIDE)
def test_the_prior_that_is_assumed_changes_nothing(p: float, prior: float) -> None:
    assert posterior(p, prior, prior) == p
    assert posterior(p, 0.5) == p


@given(INSIDE, INSIDE, INSIDE, INSIDE)
def test_the_odds_form_is_bayes_rule_on_the_two_likelihoods(
    if_ai: float, if_real: float, before: float, prior: float
) -> None:
    def direct(share: float) -> float:
        return if_ai * share / (if_ai * share + if_real * (1 - share))

    p = direct(before)
    assume(1e-9 < p < 1 - 1e-6)  # nearer to 1, a float forgets how near
    assert posterior(p, prior, before) == pytest.approx(direct(prior), rel=1e-6)
    assert exp(evidence(p, before)) == pytest.approx(if_ai / if_real, rel=1e-6)


@given(P, P, INSIDE, INSIDE)
def test_more_evidence_or_a_higher_prior_never_lowers_the_posterior(
    a: float, b: float, one: float, other: float
) -> None:
    (weak, strong), (rare, common) = sorted((a, b)), sorted((one, other))
    assert posterior(weak, rare) <= posterior(strong, rare) + 1e-12
    assert posterior(weak, rare) <= posterior(weak, common) + 1e-12
    assert evidence(weak) <= evidence(strong) + 1e-12


@given(INSIDE, INSIDE)
def test_evidence_adds_to_the_log_odds_of_the_prior(p: float, prior: float) -> None:
    after = posterior(p, prior)
    assume(1e-9 < after < 1 - 1e-9)
    assert logit(after) == pytest.approx(logit(prior) + evidence(p), rel=1e-6, abs=1e-6)


@given(P, INSIDE, INSIDE)
def test_there_and_back_again(p: float, before: float, prior: float) -> None:
    assert posterior(posterior(p, prior, before), before, prior) == pytest.approx(p, rel=1e-5)


def test_certainty_stays_certain() -> None:
    assert [posterior(p, 0.01) for p in (0.0, 1.0)] == [0.0, 1.0]
    assert [evidence(p) for p in (0.0, 0.5, 1.0)] == [-inf, 0.0, inf]


@pytest.mark.parametrize("prior", [0.01, 0.2, 0.9])
def test_the_posterior_is_calibrated_among_pictures_with_that_share(prior: float) -> None:
    generator = np.random.default_rng(0)
    ai = generator.random(20_000) < prior
    z = generator.normal(np.where(ai, 1.0, -1.0), 1.0)  # log likelihood ratio: 2 z
    p = sigmoid(2 * z)
    said = np.array([posterior(one, prior) for one in p])
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = (said >= low) & (said < low + 0.25)
        error = 4 * np.sqrt(0.25 / inside.sum())
        assert said[inside].mean() == pytest.approx(ai[inside].mean(), abs=error)


# --- an answer at a prior -----------------------------------------------------------------------


def test_an_answer_is_read_at_another_prior() -> None:
    found = at_prior(0.9, (0.8, 0.95), 0.01)
    assert found.p_ai == pytest.approx(9 * 0.01 / (9 * 0.01 + 0.99))  # docs/numbers.md
    assert exp(found.evidence) == pytest.approx(9)
    assert np.exp(found.evidence_interval) == pytest.approx((4, 19))
    assert found.interval[0] < found.p_ai < found.interval[1]
    assert (found.prior, found.predictive) == (0.01, None)


def test_at_the_prior_that_is_assumed_an_answer_stays_as_it_is() -> None:
    same = at_prior(0.9, (0.8, 0.95), 0.5)
    assert (same.p_ai, same.interval) == (0.9, (0.8, 0.95))
    skewed = at_prior(0.9, (0.8, 0.95), 0.9, 0.9)
    assert skewed.p_ai == 0.9
    assert exp(skewed.evidence) == pytest.approx(1)


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 1.5, nan, inf, 50.0])
def test_a_prior_that_is_no_share_is_refused(prior: float) -> None:
    for ask in (
        lambda: checked(prior),
        lambda: posterior(0.5, prior),
        lambda: at_prior(0.9, (0.8, 0.95), prior),
        lambda: predictive_values({}, prior),
    ):
        with pytest.raises(ValueError, match="more than 0 and less than 1; got"):
            ask()


# --- what decisions are worth -------------------------------------------------------------------


def card(split: str = "test", **rates: tuple[float, float, float] | None) -> dict[str, Any]:
    given: dict[str, Any] = {
        "real_called_ai": (0.02, 0.01, 0.04),
        "ai_called_ai": (0.6, 0.5, 0.7),
        "ai_called_real": (0.05, 0.02, 0.1),
        "real_called_real": (0.5, 0.4, 0.6),
    }
    return {"measured": {split: {name: r and list(r) for name, r in (given | rates).items()}}}


def test_predictive_values_are_what_counting_photos_gives() -> None:
    found = predictive_values(card(), 0.01)
    assert found is not None
    # Of 100,000 photos, 1,000 are AI-generated: 600 of them and 1,980 real ones are called ai.
    assert found.ppv == pytest.approx(float(Fraction(600, 600 + 1980)))
    assert found.npv == pytest.approx(float(Fraction(49_500, 49_500 + 50)))
    assert found.called_ai.value == pytest.approx(0.0258)
    assert found.rightly_ai.value == pytest.approx(0.006)
    assert found.ppv_interval == pytest.approx((500 / (500 + 3960), 700 / (700 + 990)))


triples = st.tuples(P, P, P).map(sorted).map(lambda t: (t[1], t[0], t[2]))


@given(triples, triples, INSIDE, P, P)
def test_whatever_the_rates_are_within_their_intervals_the_value_is_within_its_own(
    right: tuple[float, float, float],
    wrong: tuple[float, float, float],
    prior: float,
    a: float,
    b: float,
) -> None:
    measured = card(ai_called_ai=right, real_called_ai=wrong)
    found = predictive_values(measured, prior)
    assert found is not None
    low, high = found.ppv_interval
    tpr, fpr = (r[1] + x * (r[2] - r[1]) for r, x in ((right, a), (wrong, b)))
    if total := tpr * prior + fpr * (1 - prior):
        assert low - 1e-9 <= tpr * prior / total <= high + 1e-9
    if found.ppv is not None:
        assert low - 1e-9 <= found.ppv <= high + 1e-9
    assert (found.ppv is None) == (wrong[0] == 0)


@given(INSIDE, INSIDE)
def test_alarms_are_worth_more_where_ai_is_common(a: float, b: float) -> None:
    rare, common = (predictive_values(card(), prior) for prior in sorted((a, b)))
    assert rare is not None
    assert common is not None
    assert rare.ppv is not None
    assert common.ppv is not None
    assert rare.ppv <= common.ppv + 1e-12


def test_no_false_alarm_among_few_pictures_is_not_taken_for_never() -> None:
    found = predictive_values(card(real_called_ai=(0.0, 0.0, 0.04)), 0.01)
    assert found is not None
    assert found.ppv is None
    assert found.ppv_interval[0] == pytest.approx(0.005 / (0.005 + 0.04 * 0.99))
    assert found.ppv_interval[1] == 1.0


def test_nothing_called_ai_at_all_says_nothing() -> None:
    found = predictive_values(card(real_called_ai=(0, 0, 0), ai_called_ai=(0, 0, 0)), 0.3)
    assert found is not None
    assert (found.ppv, found.ppv_interval) == (None, (0.0, 1.0))


def test_test_comes_before_val_and_what_was_not_measured_is_not_made_up() -> None:
    both = {"measured": {**card("val")["measured"], **card("test")["measured"]}}
    assert [predictive_values(c, 0.1).split for c in (both, card("val"))] == ["test", "val"]  # type: ignore[union-attr]
    unmeasured: list[dict[str, Any]] = [{}, {"measured": {}}, card("else"), card(ai_called_ai=None)]
    assert [predictive_values(one, 0.1) for one in unmeasured] == [None] * len(unmeasured)


# --- what is assumed ----------------------------------------------------------------------------


def test_a_model_assumes_the_share_that_its_probabilities_were_learnt_from() -> None:
    counts = {"fusion": {"overall": {"real": 300, "ai": 100}}}
    sources = [{"label": "real", "pictures": 10}, {"label": "ai", "pictures": 30}]
    learnt = {"trained_on": {"sources": sources}}

    def recipe(balance: bool, out_of_source: bool) -> dict[str, Any]:
        flags = {"balance": balance, "out_of_source": out_of_source}
        return {"recipe": flags, **counts, **learnt}

    assert assumed({}) == assumed(recipe(True, True)) == assumed(recipe(True, False)) == 0.5
    assert assumed(recipe(False, True)) == 0.25
    assert assumed(recipe(False, False)) == 0.75
    assert assumed({**recipe(False, True), "recalibrated": {}}) == 0.5


def test_where_classes_weigh_alike_the_logit_is_the_log_likelihood_ratio() -> None:
    """The claim behind the default: balance in calibration, and odds are likelihood ratios."""
    generator = np.random.default_rng(1)
    real, ai = generator.normal(-1, 1, 4000), generator.normal(1, 1, 4000)
    even = calibration(slope=2.0)
    p = sigmoid(even.logits(np.concatenate([real, ai])))
    near = (p > 0.7) & (p < 0.8)
    ratio = near[4000:].sum() / near[:4000].sum()
    assert isclose(log(ratio), evidence(float(p[near].mean())), abs_tol=0.15)
