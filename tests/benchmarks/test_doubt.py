"""The command of docs/doubt.md: every part runs, goes on where it was, and writes what it says."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.depth import GROUPS, Odd, abstained, calls, told_apart
from benchmarks.doubt import PAGE, PARTS, Bench, covered
from benchmarks.fairness import page as fairness_page
from benchmarks.pages import between
from benchmarks.posteriors import COLUMNS
from PIL import Image
from research.posteriors import SHIPPED

from benchmarks import depth
from benchmarks import posteriors as posteriors_page
from research import posteriors
from tests.benchmarks.made import cells, sample
from tests.conftest import calibration
from veridical.arrays import UInt8, ndarray
from veridical.detector import Detector
from veridical.infer.fusion import Fusion
from veridical.report import Estimate

pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("imagehash")

FUSION = Fusion(
    edges_px=(100.0,),
    weights=((1.0,), (1.0,)),
    intercepts=(0.0, 0.0),
    calibrations=(calibration(1.0, 1.0), calibration(0.4, 0.4)),
    overall=calibration(),
)


@pytest.fixture(scope="module")
def data(
    tmp_path_factory: pytest.TempPathFactory,
    painter: Callable[..., UInt8[ndarray, "height width 3"]],
) -> Path:
    """A manifest of painted faces: four sources a class to fit on, two to judge, and odd ones."""
    folder = tmp_path_factory.mktemp("data")
    rows: list[list[str]] = []

    def paint(name: str, split: str, label: str, source: str, made: str, kind: str) -> None:
        seed = len(rows)
        pixels = painter(64, 64, (12, 12, 40, 40), seed=seed).copy()
        if label == "ai":
            pixels[::2] = pixels[1::2]
        Image.fromarray(pixels).save(folder / f"{name}.png")
        rows.append([f"{name}.png", split, label, source, made, kind, name])

    for split, sources in (("train", 4), ("val", 2)):
        for number in range(sources):
            for i in range(4):
                at = f"{split}-{number}-{i}"
                paint(f"ai-{at}", split, "ai", f"site {split} {number}", f"maker {number}", "")
                paint(f"real-{at}", split, "real", f"camera {split} {number}", "", "")
    for i in range(2):
        paint(f"odd-{i}", "hard", "hard", "odd", "", "clay")
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "split", "label", "source", "generator", "kind", "group"])
        writer.writerows(rows)
    return folder / "manifest.csv"


@pytest.fixture
def bench(data: Path, tiny_detector: Detector, tmp_path: Path) -> Bench:
    return Bench(
        detector=replace(tiny_detector, card={"files": {"backbone.onnx": "0"}}),
        manifest=data,
        more=(),
        work=tmp_path,
        splits=("val",),
        quick=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_alone_and_goes_on_from_what_it_kept(
    part: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posteriors, "WAVES", 50)
    inside = PARTS[part](bench)
    assert ("| --- |" in inside) is (part != "decided")
    assert "nan" not in inside

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("It should remember this.")

    monkeypatch.setattr(Detector, "inspect", refuse)
    monkeypatch.setattr(posteriors_page, "ask", refuse)
    monkeypatch.setattr(type(bench.detector.backbone), "tokens", refuse)
    assert PARTS[part](bench) == inside


def test_the_page_has_a_place_for_every_part() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for part in PARTS:
        assert "new table" in between(text, part, "new table")


# --- pages -------------------------------------------------------------------------------------


def judgement(decision: str | None, *reasons: str) -> dict[str, Any]:
    return {"decision": decision, "reasons": list(reasons)}


def test_depth_counts_abstentions_and_verdicts() -> None:
    told = [
        judgement("ai", "within_coverage"),
        judgement("undecided", "unlike_training", "both_plausible"),
        judgement("undecided", "no_face"),
        judgement(None, "PhotoDamaged"),
    ]
    assert abstained(told).startswith("0.750")
    assert calls(told) == "1 `ai`"
    assert calls(told[1:]) == "none"


def test_depth_says_how_many_ordinary_photos_are_turned_away() -> None:
    odd = [Odd(path=Path(str(i)), kind="", family="clean") for i in range(4)]
    told = {
        (str(i), False): judgement(*said)
        for i, said in enumerate(
            [("real",), ("undecided", "unlike_training"), ("undecided", "both_plausible"), ("ai",)]
        )
    }
    page = depth.page(odd, told)
    assert page.endswith("unlike the training pictures: 0.250 [0.046, 0.699].")


@pytest.mark.parametrize(
    ("family", "kind", "group"),
    [
        ("patterns", "page of text", "patterns, pages of text, drawn faces"),
        ("filters", "negative", "portraits under a filter"),
        ("hard", "texture (DTD), no face", "places and textures without a face"),
        ("hard", "ai-nonphoto (3D cartoon)", "drawings, paintings, 3D, toys"),
        ("hard", "face swap", "faces that were swapped or restored"),
        ("hard", "real scanned old photo", "real faces, old or degraded"),
        ("clean", "", "ordinary photo of a face, unseen source"),
    ],
)
def test_every_odd_picture_has_a_row(family: str, kind: str, group: str) -> None:
    odd = Odd(path=Path("x"), kind=kind, family=family)
    assert next(name for name, fits in GROUPS.items() if fits(odd)) == group


def test_scores_are_held_against_the_same_ordinary_photos() -> None:
    odd = [Odd(path=Path(f"odd {i}"), kind="noise", family="patterns") for i in range(3)]
    reals = [Odd(path=Path(f"real {i}"), kind="", family="clean") for i in range(5)]
    good = {one.path: 2.0 for one in odd} | {one.path: 1.0 for one in reals}
    blind = dict.fromkeys(good, 1.0)
    found = told_apart({"good": good, "blind": blind}, odd, reals)
    assert found == {"good": (3, 1.0, 1.0), "blind": (3, 0.5, 0.0)}
    assert cells(depth.scores_page(found), "all of these")[1:] == [
        "3",
        "1.000 (1.00)",
        "0.500 (0.00)",
    ]


PHOTOS = [sample("a", "ai"), sample("b", "real", "studio"), sample("c", "real", "x")]
TOLD: dict[str, dict[str, Any]] = {
    "a": {"p_ai": 0.9, "decision": "ai", "face_px": 200.0},
    "b": {"p_ai": 0.1, "decision": "real", "face_px": 200.0},
    "c": {"p_ai": 0.9, "decision": "ai", "face_px": 200.0},
}


def test_prediction_sets_are_held_against_the_truth() -> None:
    told = {**TOLD, "d": {"p_ai": None}}
    text = covered(PHOTOS, told, FUSION)
    assert "1.000 [0.207, 1.000] of the AI-generated and 0.500 [0.095, 0.905] of the real" in text
    text = covered([*PHOTOS, sample("d", "real")], told, FUSION)
    assert "0.500 [0.095, 0.905] of the real" in text


def test_a_face_is_held_to_the_thresholds_of_its_class() -> None:
    small = {name: {**one, "face_px": 99.0} for name, one in TOLD.items()}
    assert "1.000 [0.342, 1.000] of the real" in covered(PHOTOS, small, FUSION)


def test_fairness_counts_alarms_by_group_and_claims_nothing_on_few() -> None:
    facts = {
        name: {"angle": angle, "face_px": 200.0}
        for name, angle in (("a", 60.0), ("b", 60.0), ("c", -50.0))
    }
    page = fairness_page(PHOTOS, TOLD, facts)
    assert cells(page, "very light")[1:3] == ["1", "0.000 [0.000, 0.793]"]
    assert cells(page, "dark")[1:3] == ["1", "1.000 [0.207, 1.000]"]
    assert cells(page, "dark")[4:6] == ["0", "–"]
    assert page.index("very light") < page.index("| dark |")
    assert "nothing is claimed about parity" in page


def test_the_best_posterior_is_marked_column_by_column_and_by_the_stated_criterion() -> None:
    def row(value: float) -> dict[str, Estimate | None]:
        one = Estimate(value, value - 0.01, value + 0.01)
        return {column[1]: one for column in COLUMNS} | {"auroc": None}

    rows = {SHIPPED: {"delivered": row(0.2)}, "L": {"delivered": row(0.1)}}
    ahead = {"L": {"delivered": Estimate(-0.1, -0.2, 0.01)}}
    page = posteriors_page.page(rows, ahead, {"delivered": (3, 9)})
    best = cells(page, "L")
    assert best[1] == "**0.100** [0.090, 0.110]"  # AURC: less is better
    assert best[4] == "0.100 [0.090, 0.110]"  # finding errors: more is better
    assert best[6] == "–"
    assert "-0.1000 [-0.2000, +0.0100]" in page
    assert page.endswith("**L**.")


def test_odd_pictures_and_their_features_are_the_same_in_every_run(
    bench: Bench, tmp_path: Path
) -> None:
    first, again = (depth.oddities(bench.manifest, tmp_path, True) for _ in range(2))
    assert first == again
    assert {one.family for one in first} == {"patterns", "filters", "hard"}
    for one in first[:3]:
        features = depth.features_of(bench.detector, one.path)
        assert np.isfinite(features).all()
        assert np.array_equal(features, depth.features_of(bench.detector, one.path))
