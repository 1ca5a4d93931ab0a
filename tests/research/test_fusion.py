"""Fused log-likelihood ratios: evidence is weighed as it should be."""

from typing import Any

import numpy as np
import pytest
from benchmarks.common import even
from research.fusion import MEASURES, Fusion, figures, fuse, joins, measured

from veridical.arrays import Bool, Float, ndarray
from veridical.report import Estimate
from veridical.stats.metrics import auroc, tpr_at_fpr

pytest.importorskip("scipy")


def crowd(count: int = 4000) -> tuple[Bool[ndarray, " n"], Float[ndarray, "n 2"]]:
    """Two independent log-likelihood ratios: of unit Gaussians at -1 and 1, x has the ratio 2x."""
    draw = np.random.default_rng(0)
    ai = np.arange(count) % 2 == 1
    x = draw.normal(size=(count, 2)) + np.where(ai, 1, -1)[:, None]
    return ai, 2 * x


def cllr(ratios: Float[ndarray, " n"], ai: Bool[ndarray, " n"]) -> float:
    return float(figures(ratios, ai, np.ones((1, len(ai))))[2, 0])


def test_independent_evidence_adds_up() -> None:
    ai, ratios = crowd()
    fused = fuse(ratios, ai, even(ai), [1])
    np.testing.assert_allclose(fused.weights, 1, atol=0.1)
    assert fused.intercept == pytest.approx(0, abs=0.1)
    assert cllr(fused.of(ratios), ai) < cllr(ratios[:, 0], ai) - 0.05


def test_evidence_that_comes_twice_counts_once() -> None:
    ai, ratios = crowd()
    twice = ratios[:, [0, 0]]
    fused = fuse(twice, ai, even(ai), [1])
    assert fused.weights.sum() == pytest.approx(1, abs=0.1)
    # The naive sum boasts, and pays for it; the fitted one does not.
    assert cllr(twice.sum(axis=1), ai) > cllr(fused.of(twice), ai) + 0.01
    assert cllr(fused.of(twice), ai) == pytest.approx(cllr(ratios[:, 0], ai), abs=0.005)


def test_a_cue_that_would_count_against_itself_is_not_asked() -> None:
    ai, ratios = crowd()
    wrong = np.column_stack([ratios[:, 0], -ratios[:, 1], ratios[:, 1]])
    fused = fuse(wrong, ai, even(ai), [1, 2])
    assert fused.weights[1] == 0
    assert fused.weights[2] > 0.8
    assert fuse(wrong, ai, even(ai), [1]).weights[1] == 0


def test_a_network_that_is_wrong_is_not_turned_round() -> None:
    ai, ratios = crowd()
    fused = fuse(np.column_stack([-ratios[:, 0], ratios[:, 1]]), ai, even(ai), [1])
    assert fused.weights[0] == 0
    assert fused.weights[1] == pytest.approx(1, abs=0.1)


def test_only_the_weight_of_the_pictures_counts() -> None:
    ai, ratios = crowd(400)
    twice = fuse(np.tile(ratios, (2, 1)), np.tile(ai, 2), np.tile(even(ai), 2), [1])
    np.testing.assert_allclose(twice.weights, fuse(ratios, ai, even(ai), [1]).weights, atol=1e-4)


def test_figures_are_those_of_the_library() -> None:
    ai, ratios = crowd(300)
    found = figures(ratios[:, 0], ai, np.ones((1, 300)))[:, 0]
    assert found[0] == pytest.approx(auroc(ai, ratios[:, 0]))
    p = 1 / (1 + np.exp(-ratios[:, 0]))
    assert found[1] == pytest.approx(tpr_at_fpr(ai, p, 0.01))
    assert figures(np.zeros(300), ai, np.ones((1, 300)))[2, 0] == pytest.approx(1)


def test_differences_are_taken_on_the_same_resamples() -> None:
    ai, both = crowd(300)
    groups = [str(i // 2) for i in range(300)]
    ratios = {"a": both[:, 0], "b": both[:, 0] + 1e-9, "c": both.sum(axis=1)}
    found = measured(ratios, ai, groups, resamples=200)
    for measure in MEASURES[:2]:
        same = found["b"][measure][1]
        assert (same.low, same.value, same.high) == (0, 0, 0)
    value, difference = found["c"]["AUROC"]
    assert difference.value == pytest.approx(value.value - found["a"]["AUROC"][0].value)
    assert difference.low > 0
    # Paired, the difference is known better than either value.
    assert difference.high - difference.low < value.high - found["a"]["AUROC"][0].low


def test_a_cue_that_is_not_applicable_adds_nothing() -> None:
    fusion = Fusion(weights=np.array([1.0, 0.5]), intercept=0.2)
    np.testing.assert_allclose(fusion.of(np.array([[3.0, 0.0], [3.0, 2.0]])), [3.2, 4.2])


def figure(change: float, sure: float = 0.01) -> tuple[Estimate, Estimate]:
    return (
        Estimate(value=0.9, low=0.8, high=1.0),
        Estimate(value=change, low=change - sure, high=change + sure),
    )


@pytest.mark.parametrize(
    ("plain", "copied", "cost", "joined"),
    [
        ((0.02, 0.0), (0.0, 0.0), -0.1, True),
        ((0.0, 0.02), (0.0, 0.01), 0.0, True),
        ((0.005, 0.005), (0.1, 0.1), -0.1, False),  # not clearly better
        ((0.02, 0.02), (-0.01, 0.1), -0.1, False),  # worse on copies
        ((0.02, 0.02), (0.1, 0.1), 0.01, False),  # costlier
    ],
)
def test_a_cue_joins_only_if_it_is_better_and_never_worse(
    plain: tuple[float, float], copied: tuple[float, float], cost: float, joined: bool
) -> None:
    def of(changes: tuple[float, float]) -> dict[str, Any]:
        return dict(zip(MEASURES, [*map(figure, changes), figure(cost)], strict=True))

    assert joins(of(plain), of(copied)) is joined
