from dataclasses import replace

import numpy as np
import pytest
from research.ratios import (
    MOST,
    Table,
    Worth,
    caps,
    fit_ratio,
    judged,
    measure_ratio,
    ratios_of,
)

from research import ratios
from veridical.arrays import Bool, Float, ndarray
from veridical.report import Estimate

NAMES = ("a", "b")


def table(
    apart: float, n: int = 400, seed: int = 0, *, sources: int = 4, quirk: float = 0.0
) -> Table:
    """Two normals `apart` standard deviations from each other in `a`; `b` is chance.

    Args:
        apart: Between the classes.
        n: Pictures.
        seed: Of all of it.
        sources: Of each class.
        quirk: Standard deviation of what each source adds of its own.
    """
    draw = np.random.default_rng(seed)
    ai = np.arange(n) % 2 == 1
    source = (np.arange(n) // 2) % sources
    own = draw.normal(0, quirk, (2, sources)) if quirk else np.zeros((2, sources))
    a = draw.normal(0, 1, n) + np.where(ai, apart / 2, -apart / 2) + own[ai.astype(int), source]
    return Table(
        values=np.stack([5 + 2 * a, draw.normal(0, 1, n)], axis=1),
        ai=ai,
        cells=tuple(
            ("ai" if one else "real", f"{'ai' if one else 'real'}-{s}", f"g{s}" if one else "")
            for one, s in zip(ai, source, strict=True)
        ),
        groups=tuple(map(str, range(n))),
    )


def measured(fit_on: Table, on: Table) -> Worth:
    worth = measure_ratio(fit_ratio("made", NAMES, fit_on), on, 0.0, resamples=50)
    assert worth is not None
    return worth


def test_the_ratio_of_two_normals_is_the_one_in_the_book() -> None:
    """N(+d/2, 1) against N(-d/2, 1) has the log ratio d x."""
    fit = fit_ratio("made", NAMES, table(1.5, 6000))
    for x in (-1.0, 0.0, 0.8):
        found = fit.weights.ratio({"a": 5 + 2 * x, "b": 0.0})
        assert found == pytest.approx(1.5 * x, abs=0.12)


def test_what_holds_elsewhere_is_measured_as_such() -> None:
    worth = measured(table(1.5, 1200), table(1.5, 800, seed=1))
    assert worth.auroc.low > 0.8
    assert worth.cllr.high < 0.8
    assert worth.slope == pytest.approx(1, abs=0.25)
    assert (worth.n_real, worth.n_ai) == (400, 400)


def test_chance_is_worth_nothing_and_says_nothing() -> None:
    fit = fit_ratio("made", NAMES, table(0.0, 600))
    assert max(fit.weights.cap_real, fit.weights.cap_ai) < 0.5
    worth = measured(table(0.0, 600), table(0.0, 800, seed=1))
    assert worth.auroc.low < 0.5 < worth.auroc.high
    assert worth.cllr.value > 0.98


def test_what_only_tells_sources_apart_is_scaled_down_by_leaving_them_out() -> None:
    steady = fit_ratio("made", NAMES, table(1.0, 800))
    fickle = fit_ratio("made", NAMES, table(1.0, 800, quirk=2.0, seed=3))
    assert steady.slope == pytest.approx(1, abs=0.3)
    assert fickle.slope < 0.7


def test_a_value_that_is_missing_changes_neither_fit_nor_answer_much() -> None:
    whole = table(1.5, 1200)
    values = whole.values.copy()
    values[::5, 1] = np.nan
    holes = replace(whole, values=values)
    one, two = (fit_ratio("made", NAMES, t).weights for t in (whole, holes))
    assert np.allclose(one.coefficients, two.coefficients, atol=0.1)
    assert two.ratio({"a": 7.0}) == pytest.approx(one.ratio({"a": 7.0, "b": 0.0}), abs=0.1)


def test_a_crowded_source_counts_by_the_root_of_its_size() -> None:
    one = table(1.0, 40, sources=2)
    many = replace(
        one,
        values=np.concatenate([one.values] + [one.values[:1]] * 300),
        ai=np.concatenate([one.ai, [False] * 300]),
        cells=one.cells + (one.cells[0],) * 300,
        groups=one.groups + ("x",) * 300,
    )
    weights = many.weights()
    sizes = {cell: many.cells.count(cell) for cell in set(many.cells)}
    total = {
        cell: sum(w for w, c in zip(weights, many.cells, strict=True) if c == cell)
        for cell in sizes
    }
    big, small = (total[c] / sizes[c] ** 0.5 for c in (many.cells[0], many.cells[2]))
    assert big == pytest.approx(small)
    assert weights[many.ai].sum() == pytest.approx(weights[~many.ai].sum())


def test_the_caps_are_what_the_tails_support() -> None:
    scores = np.linspace(-1, 1, 1000)
    ai = np.arange(1000) % 2 == 1
    ones = np.ones(1000)
    assert caps(scores, ai, ones) == pytest.approx((0, 0), abs=0.05)
    sorted_: Bool[ndarray, " n"] = scores > 0
    assert caps(scores, sorted_, ones) == (MOST, MOST)
    flipped: Float[ndarray, " n"] = -scores
    assert caps(flipped, sorted_, ones) == (0, 0)


def test_the_ratios_are_those_that_the_package_computes() -> None:
    data = table(1.5)
    fit = fit_ratio("made", NAMES, data)
    for row, value in zip(data.values[:20], ratios_of(fit.weights, data)[:20], strict=True):
        assert fit.weights.ratio(dict(zip(NAMES, map(float, row), strict=True))) == value
        assert -fit.weights.cap_real <= value <= fit.weights.cap_ai


def test_two_sources_of_each_class_are_needed() -> None:
    with pytest.raises(ValueError, match="two sources of each class"):
        fit_ratio("made", NAMES, table(1.0, sources=1))


def test_one_class_alone_measures_nothing() -> None:
    data = table(1.0)
    fit = fit_ratio("made", NAMES, data)
    assert measure_ratio(fit, data.where(data.ai), 0.0) is None


def test_a_generator_is_measured_against_all_real_pictures() -> None:
    worth = measured(table(2.0, 800), table(2.0, 800, seed=1))
    assert [name for name, _ in worth.by_generator] == ["g0", "g1", "g2", "g3"]
    assert all(value > 0.8 for _, value in worth.by_generator)


def test_a_cue_weighs_only_if_every_hurdle_is_taken() -> None:
    good = measured(table(1.5, 800), table(1.5, 800, seed=1))
    chance = measured(table(1.5, 800), table(0.0, 800, seed=1))
    dear = replace(good, cllr=Estimate(1.01, 0.9, 1.1))
    assert judged(good, {"a copy": good}, evidence=True)[0]
    assert not judged(good, {"a copy": good}, evidence=False)[0]
    assert not judged(None, {}, evidence=True)[0]
    assert not judged(chance, {"a copy": chance}, evidence=True)[0]
    assert not judged(dear, {"a copy": good}, evidence=True)[0]
    for copy in (chance, None, dear):
        weighs, because = judged(good, {"one": good, "another": copy}, evidence=True)
        assert not weighs
        assert because.endswith("after another")


def test_the_regression_agrees_with_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    data = table(1.0)
    weights = data.weights()
    z = (data.values - data.values.mean(axis=0)) / data.values.std(axis=0)
    ours = ratios.logistic(z, data.ai, weights, 10.0)
    theirs = linear.LogisticRegression(C=0.1, tol=1e-10).fit(z, data.ai, sample_weight=weights)
    assert np.allclose(ours[:-1], theirs.coef_[0], atol=1e-4)
    assert ours[-1] == pytest.approx(theirs.intercept_[0], abs=1e-4)
