"""The fusion of network and cues: does it weigh evidence as it should, and say what it found?"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.fusion import (
    ALONE,
    COPY,
    CUES,
    FITTED,
    MEASURES,
    SUMMED,
    USED,
    Fusion,
    Said,
    conclusion,
    even,
    figures,
    fitted,
    fuse,
    joins,
    measured,
    page,
    related,
    shipped,
    within,
)
from benchmarks.generalisation import AS_DELIVERED, Held

from veridical.arrays import Bool, Float, ndarray
from veridical.io.samples import Label, Sample
from veridical.report import Estimate

from veridical.stats.metrics import auroc, tpr_at_fpr


def crowd(count: int = 4000) -> tuple[Bool[ndarray, " n"], Float[ndarray, "n 2"]]:
    """Two independent log-likelihood ratios: of unit Gaussians at -1 and 1, x has the ratio 2x."""
    draw = np.random.default_rng(0)
    ai = np.arange(count) % 2 == 1
    x = draw.normal(size=(count, 2)) + np.where(ai, 1, -1)[:, None]
    return ai, 2 * x


def cllr(ratios: Float[ndarray, " n"], ai: Bool[ndarray, " n"]) -> float:
    return float(figures(ratios, ai, np.ones((1, len(ai))))[2, 0])


def test_independent_evidence_adds_up() -> None:
    ai, lines = crowd()
    fused = fuse(lines, ai, even(ai), [1])
    np.testing.assert_allclose(fused.weights, 1, atol=0.1)
    assert fused.intercept == pytest.approx(0, abs=0.1)
    assert cllr(fused.of(lines), ai) < cllr(lines[:, 0], ai) - 0.05


def test_evidence_that_comes_twice_counts_once() -> None:
    ai, lines = crowd()
    twice = lines[:, [0, 0]]
    fused = fuse(twice, ai, even(ai), [1])
    assert fused.weights.sum() == pytest.approx(1, abs=0.1)
    # The naive sum boasts, and pays for it; the fitted one does not.
    assert cllr(twice.sum(axis=1), ai) > cllr(fused.of(twice), ai) + 0.01
    assert cllr(fused.of(twice), ai) == pytest.approx(cllr(lines[:, 0], ai), abs=0.005)


def test_a_cue_that_would_count_against_itself_is_not_asked() -> None:
    ai, lines = crowd()
    wrong = np.column_stack([lines[:, 0], -lines[:, 1], lines[:, 1]])
    fused = fuse(wrong, ai, even(ai), [1, 2])
    assert fused.weights[1] == 0
    assert fused.weights[2] > 0.8
    assert fuse(wrong, ai, even(ai), [1]).weights[1] == 0


def test_a_network_that_is_wrong_is_not_turned_round() -> None:
    ai, lines = crowd()
    fused = fuse(np.column_stack([-lines[:, 0], lines[:, 1]]), ai, even(ai), [1])
    assert fused.weights[0] == 0
    assert fused.weights[1] == pytest.approx(1, abs=0.1)


def test_only_the_weight_of_the_pictures_counts() -> None:
    ai, lines = crowd(400)
    twice = fuse(np.tile(lines, (2, 1)), np.tile(ai, 2), np.tile(even(ai), 2), [1])
    np.testing.assert_allclose(twice.weights, fuse(lines, ai, even(ai), [1]).weights, atol=1e-4)


def test_silence_adds_nothing() -> None:
    fusion = Fusion(weights=np.array([1.0, 0.5]), intercept=0.2)
    np.testing.assert_allclose(fusion.of(np.array([[3.0, 0.0], [3.0, 2.0]])), [3.2, 4.2])
    told: list[dict[str, Any]] = [
        {"cues": {}},
        {"cues": {"noise": {"llr": 0.5}, "light": {"llr": None}}},
    ]
    assert shipped(told).tolist() == [0.0, 0.5]


def test_figures_are_those_of_the_library() -> None:
    ai, lines = crowd(300)
    found = figures(lines[:, 0], ai, np.ones((1, 300)))[:, 0]
    assert found[0] == pytest.approx(auroc(ai, lines[:, 0]))
    p = 1 / (1 + np.exp(-lines[:, 0]))
    assert found[1] == pytest.approx(tpr_at_fpr(ai, p, 0.01))
    assert figures(np.zeros(300), ai, np.ones((1, 300)))[2, 0] == pytest.approx(1)


def test_differences_are_taken_on_the_same_resamples() -> None:
    ai, lines = crowd(300)
    groups = [str(i // 2) for i in range(300)]
    ratios = {"a": lines[:, 0], "b": lines[:, 0] + 1e-9, "c": lines.sum(axis=1)}
    found = measured(ratios, ai, groups, resamples=200)
    for measure in MEASURES[:2]:
        same = found["b"][measure][1]
        assert (same.low, same.value, same.high) == (0, 0, 0)
    value, difference = found["c"]["AUROC"]
    assert difference.value == pytest.approx(value.value - found["a"]["AUROC"][0].value)
    assert difference.low > 0
    # Paired, the difference is known better than either value.
    assert difference.high - difference.low < value.high - found["a"]["AUROC"][0].low


def said(count: int = 400) -> Said:
    ai, lines = crowd(count)
    labels: list[Label] = ["ai" if one else "real" for one in ai]
    return Said(
        samples=tuple(
            Sample(path=Path(str(i)), label=label, source="", generator="", group=str(i))
            for i, label in enumerate(labels)
        ),
        lines=np.column_stack([lines, np.zeros((count, len(CUES) - 1))]),
    )


def test_each_variant_asks_whom_it_names() -> None:
    one = said()
    assert [cue.name for cue in CUES] == ["spectrum", "noise", "symmetry", "light"]
    assert fitted((), [one]).weights[1:].tolist() == [0, 0, 0, 0]
    everything = fitted([cue.name for cue in CUES], [one, one])
    assert everything.weights[1] > 0.5
    assert np.abs(everything.weights[2:]).max() < 1e-6  # always silent
    assert FITTED["network + noise, fitted"] == ("noise",)


def test_a_pair_is_judged_by_those_that_share_nothing_with_it() -> None:
    one = said()
    turned = Said(samples=one.samples, lines=-one.lines)

    def pair(family: str, real: str) -> Held:
        return Held(family=family, real=real, samples=one.samples, logits=np.zeros((1, 1, 1)))

    pairs = [pair("a", "x"), pair("b", "y"), pair("a", "y"), pair("b", "x")]
    found = within(pairs[:2], [one, one])
    assert found[ALONE] == auroc(one.ai, one.lines[:, 0])
    assert found["network + all cues, fitted"] > found[ALONE]  # the spectrum column helps
    # a beside x learns from b beside y alone, which is turned round: weights of 0, and no order.
    alone = within(pairs, [one, turned, turned, one])
    below = auroc(one.ai, turned.lines[:, 0])
    assert alone["network + noise, fitted"] == pytest.approx((0.5 + below) / 2)


def test_dependence_is_a_correlation() -> None:
    lines = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [3.0, 6.0, 0.0]])
    assert related(lines, 1) == pytest.approx(1)
    assert related(lines, 2) == 0


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
        ((0.02, 0.02), (0.1, 0.1), 0.01, False),  # dearer
    ],
)
def test_the_rule_decides_and_the_page_says_so(
    plain: tuple[float, float], copied: tuple[float, float], cost: float, joined: bool
) -> None:
    def of(changes: tuple[float, float]) -> dict[str, Any]:
        return dict(zip(MEASURES, [*map(figure, changes), figure(cost)], strict=True))

    assert joins(of(plain), of(copied)) is joined
    still = of((0.0, 0.0))
    winner = "network + noise, fitted"
    steps = {
        AS_DELIVERED: dict.fromkeys((ALONE, SUMMED, *FITTED), still) | {winner: of(plain)},
        COPY: dict.fromkeys((ALONE, SUMMED, *FITTED), still) | {winner: of(copied)},
    }
    said_ = conclusion(steps)
    assert (f"**Met the rule:** {winner}." == said_) is joined
    assert ("the cues stay beside the verdict" in said_) is not joined
    text = page(
        steps,
        {AS_DELIVERED: (5, 6), COPY: (4, 6)},
        {USED: {ALONE: 0.75, winner: 0.5}},
        {USED: {winner: Fusion(weights=np.array([0.9, 0.0, 0.4, 0.0, 0.0]), intercept=0.0)}},
        {"noise": (0.25, -0.5)},
    )
    assert "`val`, as delivered: 5 real, 6 AI-generated pictures." in text
    assert f"| {USED} | {ALONE} | 0.750 | 1 (as is) |" in text
    assert f"| {USED} | {winner} | 0.500 | 0.90 | 0.00 | 0.40 | 0.00 | 0.00 |" in text
    assert "| noise | +0.25 | -0.50 |" in text
    assert text.endswith(said_)
