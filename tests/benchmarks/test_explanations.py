"""The command of docs/explanations.md: every part runs, and goes on where it was."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.explanations import PAGE, PARTS, Bench, by_surrogate, costly, explained, maps_of
from benchmarks.pages import between
from PIL import Image

from tests.conftest import FakeFinder, Painter, calibration, with_parts
from veridical.detector import Detector
from veridical.explain.surrogate import Surrogate
from veridical.io.source import open_source

pytest.importorskip("torch")


@pytest.fixture(params=[("tiny_detector", 0), ("wide_detector", 90)], ids=["one crop", "two"])
def bench(request: pytest.FixtureRequest, painter: Painter, tmp_path: Path) -> Bench:
    """Painted faces of 240 px, two of each class, and a detector with a surrogate per crop.

    With two crops the faces lie, too.
    """
    fixture, turn = request.param
    detector = request.getfixturevalue(fixture)
    rows = []
    for number, label in enumerate(("ai", "ai", "real", "real")):
        name = f"{number}.png"
        pixels = painter(400, 400, (80, 80, 240, 240), seed=number)
        Image.fromarray(pixels).save(tmp_path / name)
        rows.append((name, "val", label, f"source {number}", label, name))
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        header = ("path", "split", "label", "source", "generator", "group")
        csv.writer(file).writerows([header, *rows])
    spec = detector.backbone.spec
    draw = np.random.default_rng(0)
    branches = tuple(
        replace(
            branch,
            ood=replace(branch.ood, limit=1e9),
            surrogate=Surrogate(
                share=0.5,
                weight=draw.normal(size=(len(spec.layers), spec.dim)).astype(np.float32),
                base=np.zeros((spec.grid, spec.grid)),
            ),
        )
        for branch in detector.parts.branches
    )
    fitted = calibration(0.5, 0.5, intercept=5.0)  # all are decided
    finder = FakeFinder(((80, 80, 240, 240),), turn=turn)
    return Bench(
        detector=replace(
            with_parts(detector, branches=branches, calibration=fitted),
            finder=finder,
            perturbations=(),
        ),
        manifest=tmp_path / "manifest.csv",
        backbone=None,
        work=tmp_path,
        quick=True,
    )


def test_maps_are_those_of_the_explanation(bench: Bench) -> None:
    seen = explained(bench, open_source(bench.pictures[0].path), faithfulness=False)
    assert seen is not None
    maps = maps_of(bench, seen)
    assert list(maps) == ["surrogate", "contributions", "gradient x token"]
    np.testing.assert_allclose(maps["surrogate"], seen.upright(seen.explanation.patches))
    logit = float(seen.own.mean_logit(seen.crop[None])[0])
    assert logit == pytest.approx(sum(one.evidence for one in seen.face.crops), abs=1e-4)
    assert logit == pytest.approx(seen.explanation.contributions.logit, abs=1e-4)
    updated = explained(bench, open_source(bench.pictures[0].path), faithfulness=True)
    assert updated is not None
    assert next(iter(maps_of(bench, updated))) == "drawn"
    tokens = bench.detector.backbone.tokens(updated.crop[None])[0]
    np.testing.assert_allclose(by_surrogate(updated, tokens), maps["surrogate"])
    assert list(costly(bench, updated)) == ["occlusion"]


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_and_goes_on_from_what_it_kept(
    part: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, page = PARTS[part]
    inside = page(make(bench))
    assert "| --- | ---: |" in inside
    assert "nan" not in inside
    monkeypatch.setattr(Detector, "inspect", None)
    monkeypatch.setattr(type(bench.detector.backbone), "tokens", None)
    assert page(make(bench)) == inside


def test_the_page_has_a_place_for_every_part() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for part in PARTS:
        assert "new table" in between(text, part, "new table")
