"""The protocol leaves out what it says, and cannot be flattered by a shortcut."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.fitting import PSEUDO
from benchmarks.generalisation import FAMILIES, family, holdout, holdout_page, judged

from benchmarks import generalisation
from tests.benchmarks.made import cells
from veridical.arrays import ndarray
from veridical.infer.head import Posterior
from veridical.io.samples import Sample
from veridical.train.features import FeatureSet
from veridical.train.fit import refits
from veridical.train.recipes import DEFAULT, Recipe

pytest.importorskip("torch")
pytest.importorskip("scipy")

RECIPE = replace(DEFAULT, pseudo=PSEUDO, views=1, epochs=6, learning_rate=5e-3, batch=32)
MAKERS = ("stylegan1", "sd2.1", "sd3", "gemini-3-pro-image", "taef2")
CAMERAS = ("kaggle140k-zoya2244", "faceshq-roeishc", "studio", "street")
EACH = 24


def features_of(trace: float, place: float, seed: int = 0) -> FeatureSet:
    """Features with a trace shared by all generators, and one direction for each source."""
    draw = np.random.default_rng(seed)
    samples, rows, hashes = [], [], []
    for number, name in enumerate((*MAKERS, *CAMERAS)):
        for i in range(EACH):
            ai = name in MAKERS
            path = Path(f"{name}-{i}.png")
            # A pseudo-fake belongs to the real picture that it was made from.
            group = f"studio-{i}" if name == "taef2" else f"{name}-{i}"
            samples.append(
                Sample(
                    path=path,
                    label="ai" if ai else "real",
                    source=f"{name}-web" if ai else name,
                    generator=name if ai else "",
                    group=group,
                )
            )
            row = draw.normal(size=16)
            row[0] += trace if ai else -trace
            row[1 + number] += place
            rows.append(row)
            hashes.append(int(draw.integers(2**62)))
    return FeatureSet(
        samples=tuple(samples),
        features=np.array(rows, dtype=np.float32)[:, None, None],
        sizes_px=np.full((len(rows), 1), 150.0),
        hashes=tuple(hashes),
        faceless=(),
        too_small=(),
        unreadable=(),
    )


def test_families_and_relatives_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[Sample]] = []

    def spy(found: FeatureSet, recipe: Recipe, *, seed: int) -> Callable[[ndarray], Posterior]:
        fit_without = refits(found, recipe, seed=seed)

        def fit(out: ndarray) -> Posterior:
            seen.append({s for s, gone in zip(found.samples, out, strict=True) if not gone})
            return fit_without(out)

        return fit

    monkeypatch.setattr(generalisation, "refits", spy)
    found = holdout(features_of(2, 0), RECIPE)
    families = {family(s) for s in features_of(2, 0).samples if s.generator not in PSEUDO}
    assert families == {*FAMILIES.values(), "FFHQ", "studio", "street"}
    assert len(found) == 4 * 3
    for held, fitted in zip(found, seen, strict=True):
        judged_ = set(held.samples)
        assert {family(s) for s in judged_} == {held.family, held.real}
        assert not judged_ & fitted
        assert not {s.group for s in judged_} & {s.group for s in fitted}
        assert not any(s.generator in PSEUDO for s in judged_)
        # The reconstructions of a real source that is left out go with it; the others help.
        assert any(s.generator == "taef2" for s in fitted) == (held.real != "studio")


def test_a_shared_trace_is_found_and_a_shortcut_is_not_rewarded() -> None:
    honest = judged(holdout(features_of(2, 0), RECIPE))
    assert set(honest) == {*MAKERS} - {*PSEUDO}
    assert all(cell["auroc"] > 0.8 for cells in honest.values() for cell in cells)
    shortcut = judged(holdout(features_of(0, 6), RECIPE))
    mean = np.mean([cell["auroc"] for cells in shortcut.values() for cell in cells])
    assert 0.3 < mean < 0.7


def test_generators_with_few_pictures_are_shown_and_not_averaged() -> None:
    def cell(count: int, auroc: float) -> dict[str, object]:
        return {
            "real": "studio",
            "n_ai": count,
            "n_real": 2,
            "auroc": auroc,
            "auroc_views": None,
            "balanced_accuracy": 0.5,
            "tpr_at_1pct_fpr": 0.5,
            "tpr_at_5pct_fpr": 0.5,
            "ece": 0.25,
            "p_ai": [0.9] * count,
            "p_real": [0.1, 0.2],
        }

    page = holdout_page({"sd": [cell(20, 1.0)], "rare": [cell(3, 0.0)]})
    assert cells(page, "rare (few)")[1:3] == ["3", "0.000 [0.000, 1.000]"]
    assert cells(page, "**mean**")[2].startswith("**1.000")
