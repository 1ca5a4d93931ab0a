"""The command of docs/doubt.md: every part runs, goes on where it was, and writes what it says."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks import doubt, posteriors
from benchmarks.decisions import Answers
from benchmarks.doubt import PAGE, PARTS, Bench, some, told_apart
from benchmarks.doubt_pages import (
    CLEAN,
    Odd,
    abstained,
    calls,
    decided_page,
    depth_page,
    fairness_page,
    posteriors_page,
    stability_page,
    why,
)
from benchmarks.generalisation import AS_DELIVERED, between
from benchmarks.posteriors import SHIPPED
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.detector import Detector
from veridical.infer.calibration import Calibration
from veridical.io.samples import Label, Sample
from veridical.report import Estimate
from veridical.stats.intervals import wilson

pytest.importorskip("torch")
pytest.importorskip("scipy")
pytest.importorskip("imagehash")

CALIBRATION = Calibration(
    slope=1.0, intercept=0.0, coverage=0.9, threshold_real=0.4, threshold_ai=0.4, real=9, ai=9
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


@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_alone_and_goes_on_from_what_it_kept(
    part: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posteriors, "WAVES", 50)
    inside = PARTS[part](bench)
    assert "| --- |" in inside
    assert "nan" not in inside

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("It should remember this.")

    monkeypatch.setattr(Detector, "inspect", refuse)
    monkeypatch.setattr(doubt, "ask", refuse)
    monkeypatch.setattr(type(bench.detector.backbone), "tokens", refuse)
    assert PARTS[part](bench) == inside


def test_the_page_has_a_place_for_every_part() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for part in PARTS:
        assert "new table" in between(text, part, "new table", PAGE)
    with pytest.raises(SystemExit, match="no place for weather"):
        between(text, "weather", "", PAGE)


def sample(name: str, label: Label, source: str, generator: str = "") -> Sample:
    return Sample(path=Path(name), label=label, source=source, generator=generator, group=name)


def test_a_smoke_run_takes_some_of_everything() -> None:
    many = [sample(f"{s}{i}", "real", s) for s in "abc" for i in range(9)]
    assert [s.source for s in some(many)] == ["a", "a", "b", "b", "c", "c"]


# --- pages -------------------------------------------------------------------------------------


def judgement(decision: str | None, *reasons: str) -> dict[str, Any]:
    return {"decision": decision, "reasons": list(reasons)}


def test_depth_counts_abstentions_verdicts_and_reasons() -> None:
    told = [
        judgement("ai", "within_coverage"),
        judgement("undecided", "unlike_training", "both_plausible"),
        judgement("undecided", "no_face"),
        judgement(None, "Unreadable"),
    ]
    assert abstained(told) == wilson(3, 4)
    assert calls(told) == "1 `ai`"
    assert calls(told[1:]) == "none"
    assert "within_coverage" not in why(told)
    assert why([told[1], told[1], told[2]]).startswith("`unlike_training` 2")


def test_depth_says_how_many_ordinary_photos_are_turned_away() -> None:
    odd = [Odd(path=Path(str(i)), kind=CLEAN, family="clean") for i in range(4)]
    told = {
        (str(i), False): judgement(*said)
        for i, said in enumerate(
            [("real",), ("undecided", "unlike_training"), ("undecided", "both_plausible"), ("ai",)]
        )
    }
    page = depth_page(odd, told)
    assert page.endswith("unlike the training pictures: 0.250 [0.046, 0.699].")


def test_gauges_are_held_against_the_same_ordinary_photos() -> None:
    odd = [Odd(path=Path(f"odd {i}"), kind="noise", family="patterns") for i in range(3)]
    reals = [Odd(path=Path(f"real {i}"), kind=CLEAN, family="clean") for i in range(5)]
    good = {one.path: 2.0 for one in odd} | {one.path: 1.0 for one in reals}
    blind = dict.fromkeys(good, 1.0)
    found = told_apart({"good": good, "blind": blind}, odd, reals)
    assert found["good"]["noise"] == (3, 1.0, 1.0)
    assert found["blind"]["noise"] == (3, 0.5, 0.0)
    assert found["good"]["all of these"] == (3, 1.0, 1.0)


def answer(p: float, decision: str) -> dict[str, Any]:
    return {"p_ai": p, "decision": decision}


PHOTOS = [sample("a", "ai", "web", "sd"), sample("b", "real", "studio"), sample("c", "real", "x")]
WAYS: dict[str, Answers] = {
    "one look": {
        AS_DELIVERED: {
            "a": answer(0.9, "ai"),
            "b": answer(0.1, "real"),
            "c": answer(0.9, "ai"),
        },
        "JPEG 30": {
            "a": answer(0.1, "real"),
            "b": answer(0.2, "real"),
            "c": answer(0.5, "undecided"),
        },
    },
    "second look": {
        AS_DELIVERED: {
            "a": answer(0.9, "undecided"),
            "b": answer(0.1, "real"),
            "c": answer(0.9, "undecided"),
        },
        "JPEG 30": {
            "a": answer(0.1, "undecided"),
            "b": answer(0.2, "real"),
            "c": answer(0.5, "undecided"),
        },
    },
}


def cells(page: str, first: str) -> list[str]:
    """The cells of the row that begins with `first`."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_decided_errors_are_shares_of_the_decided() -> None:
    told = WAYS["one look"]
    page = decided_page(PHOTOS, told[AS_DELIVERED], PHOTOS, told, CALIBRATION)
    assert cells(page, "**all real**")[1:4] == ["2", "1.000 [0.342, 1.000]", "0.500 [0.095, 0.905]"]
    assert cells(page, "studio")[3].startswith("0.000")
    assert cells(page, "x")[3].startswith("1.000")
    row = cells(page, "JPEG 30")
    assert row[2].startswith("1.000")  # the AI picture is now called real
    assert row[-1].startswith("0.333")


def test_stability_compares_both_ways_of_judging() -> None:
    page = stability_page(PHOTOS, WAYS)
    one, two = cells(page, "one look"), cells(page, "second look")
    assert one[4].startswith("0.333")
    assert two[4].startswith("0.000")
    assert one[6] == two[6]
    assert cells(page, "JPEG 30")[1:] == ["0.333 [0.061, 0.792]", "0.000 [0.000, 0.561]"]


def test_fairness_counts_alarms_by_group_and_claims_nothing_on_few() -> None:
    facts = {
        name: {"angle": angle, "face_px": 200.0, "side_px": 512, "colour": "colour"}
        for name, angle in (("a", 60.0), ("b", 60.0), ("c", -50.0))
    }
    page = fairness_page(PHOTOS, WAYS["one look"][AS_DELIVERED], facts)
    assert cells(page, "very light")[1:3] == ["1", "0.000 [0.000, 0.793]"]
    assert cells(page, "dark")[1:3] == ["1", "1.000 [0.207, 1.000]"]
    assert cells(page, "dark")[4:6] == ["0", "–"]
    assert page.index("very light") < page.index("| dark |")
    assert "nothing is claimed about parity" in page


def test_the_best_posterior_is_marked_column_by_column_and_by_the_stated_criterion() -> None:
    def row(value: float) -> dict[str, Estimate | None]:
        one = Estimate(value, value - 0.01, value + 0.01)
        return {column[1]: one for column in doubt_columns()} | {"nll": None}

    rows = {
        SHIPPED: {"delivered": row(0.2)},
        "L": {"delivered": row(0.1)},
    }
    ahead = {"L": {"delivered": Estimate(-0.1, -0.2, 0.01)}}
    odd = {name: {"hard": {"total": 0.5, "epistemic": 0.6}} for name in rows}
    page = posteriors_page(rows, ahead, odd, {"delivered": (3, 9)})
    best = cells(page, "L")
    assert best[1].startswith("**0.100**")  # AURC: less is better
    assert best[8] == "0.100 [0.090, 0.110]"  # finding errors: more is better
    assert best[13] == "–"
    assert "-0.1000 [-0.2000, +0.0100]" in page
    assert page.endswith("**L**.")


def doubt_columns() -> tuple[Any, ...]:
    from benchmarks.doubt_pages import _COLUMNS

    return _COLUMNS


def test_numbers_of_odd_pictures_are_the_same_in_every_run(bench: Bench) -> None:
    first, again = doubt.oddities(bench), doubt.oddities(bench)
    assert first == again
    assert {one.family for one in first} == {"patterns", "filters", "hard"}
    features = doubt.odd_features(bench, first)
    assert set(features) == {one.path for one in first}
    assert all(np.isfinite(row).all() for row in features.values())
