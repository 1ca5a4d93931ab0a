"""The fusion of network and cues: who is asked, and what the page says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.common import AS_DELIVERED
from benchmarks.fusion import (
    ALONE,
    COPY,
    CUES,
    FITTED,
    SUMMED,
    Said,
    conclusion,
    fitted,
    page,
    shipped,
)
from research.fusion import MEASURES

from veridical.io.samples import Label, Sample
from veridical.report import Estimate

pytest.importorskip("scipy")


def said(count: int = 400) -> Said:
    draw = np.random.default_rng(0)
    labels: list[Label] = ["ai" if i % 2 else "real" for i in range(count)]
    side = np.array([1 if label == "ai" else -1 for label in labels])
    ratios = 2 * (draw.normal(size=(count, 2)) + side[:, None])
    return Said(
        samples=tuple(
            Sample(path=Path(str(i)), label=label, source="", generator="", group=str(i))
            for i, label in enumerate(labels)
        ),
        ratios=np.column_stack([ratios, np.zeros((count, len(CUES) - 1))]),
    )


def test_each_variant_asks_whom_it_names() -> None:
    one = said()
    assert [cue.name for cue in CUES] == ["spectrum", "noise", "symmetry", "light"]
    assert fitted((), [one]).weights[1:].tolist() == [0, 0, 0, 0]
    everything = fitted([cue.name for cue in CUES], [one, one])
    assert everything.weights[1] > 0.5
    assert np.abs(everything.weights[2:]).max() < 1e-6  # never applicable
    assert FITTED["network + noise, fitted"] == ("noise",)


def test_cues_that_do_not_weigh_add_nothing_to_the_sum() -> None:
    told: list[dict[str, Any]] = [
        {"cues": {}},
        {"cues": {"noise": {"llr": 0.5}, "light": {"llr": None}}},
    ]
    assert shipped(told).tolist() == [0.0, 0.5]


@pytest.mark.parametrize("change", [0.02, 0.0])
def test_the_page_says_which_variant_meets_the_rule(change: float) -> None:
    def of(value: float) -> dict[str, Any]:
        same = Estimate(value=0.9, low=0.8, high=1.0)
        difference = Estimate(value=value, low=value - 0.01, high=value + 0.01)
        return dict.fromkeys(MEASURES[:2], (same, difference)) | {
            MEASURES[2]: (same, Estimate(value=0.0, low=0.0, high=0.0))
        }

    winner = "network + noise, fitted"
    steps = {
        step: dict.fromkeys((ALONE, SUMMED, *FITTED), of(0.0)) | {winner: of(change)}
        for step in (AS_DELIVERED, COPY)
    }
    text = page(steps, 5, 6)
    assert "`val`, as delivered: 5 real, 6 AI-generated pictures." in text
    assert f"| {winner} | 0.900 [0.800, 1.000] / {change:+.3f} [" in text
    assert text.endswith(conclusion(steps))
    assert (f"**Met the rule:** {winner}." in text) is (change > 0)
    assert ("the cues stay beside the verdict" in text) is (change == 0)
