"""The tables of speed: each has a place in its page, and says what it should."""

import pytest
from benchmarks.pages import DOCS, between
from benchmarks.run import BENCHMARKS, machine_page, section, summary
from benchmarks.speed import Benchmark

from benchmarks import cold_start, detecting, folder, inspecting
from tests.benchmarks.made import cells


def spread(middle: float) -> dict[str, float]:
    return {"median": middle, "low": middle / 2, "high": middle * 2}


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda one: one.name)
def test_every_table_has_a_place(benchmark: Benchmark) -> None:
    text = (DOCS / benchmark.page).read_text(encoding="utf-8")
    assert "new table" in between(text, benchmark.name, "new table")


def test_speeds_are_those_of_the_default_as_shipped() -> None:
    names = ("int8", "no re-check", "fp32")
    found = {
        "pictures": 24,
        "side_px": 739,
        "samples": 200,
        "seconds": {name: spread(0.1) for name in ("reference", *names)},
        "ratio": {name: spread(ratio) for name, ratio in zip(names, (2.5, 3.0, 1.5), strict=True)},
    }
    page = inspecting.page(found)
    assert cells(page, "`Detector.inspect`, int8, as shipped")[2] == "2.50x (1.25 to 5.00)"
    assert "at least 2x, fp32. **Not met.**" in page
    cold = {"runs": 7, "ratio": spread(6.0), "ratio_no_recheck": spread(7.0)}
    seconds = ("reference", "ours", "no re-check", "reference's imports", "our imports", "python")
    cold["seconds"] = {name: spread(1.0) for name in seconds}
    assert cells(cold_start.page(cold), "the same with `--no-recheck`")[2].startswith("7.00x")
    text = summary({"inspecting": {"found": found}, "cold_start": {"found": cold}})
    assert "2.5 x as fast [1.2, 5.0]" in text
    assert "6.0 x as fast [3.0, 12.0]" in text


def test_a_folder_is_held_against_the_encoder_without_recheck() -> None:
    one = {
        "faces": 70,
        "per_second": {"inspect": spread(9.0), "encoder": spread(10.0)},
        "share": spread(0.9),
        "parts": {"all": 0.1},
    }
    slow = {**one, "share": spread(0.5)}
    names = list(folder.ROWS)
    page = folder.page(
        {"pictures": 64, "jobs": 2, "rows": dict(zip(names, (slow, slow, one, one), strict=True))}
    )
    assert page.count("Met.") == 2
    assert cells(page, "int8, as shipped")[3] == "50.0 % (25.0 to 100)"


def test_found_faces_are_counted_with_an_interval() -> None:
    found = {
        "recall": {"val": [99, 100], "test": [5, 5], "hard": [0, 0]},
        "alarms": {"all": [0, 10]},
        "second": [1, 100],
        "missed": {"web": 1},
        "sizes": {"40–48 px": {"before": [1, 4], "now": [3, 4]}},
        "scene_seconds": {"24": 3.0},
        "enlarged": [0, 20],
        "turned": {
            "0": {"found": [10, 10], "right": [10, 10]},
            "90": {"found": [9, 10], "right": [8, 9]},
            "180": {"found": [8, 10], "right": [7, 8]},
        },
        "tight": {"-0.10": [9, 10], "+0.10": [10, 10]},
        "ratio": {"as they are": {"pictures": 2, "before_ms": 20.0, "ratio": 1.1}},
    }
    page = detecting.page(found)
    assert cells(page, "val")[1:] == ["99/100", "99.0 [94.6–99.8]"]
    assert cells(page, "hard")[1:] == ["0/0", "none"]
    assert cells(page, "40–48 px")[1] == "3/4"
    assert "two copies alone: 25 %" in page
    assert cells(page, "turned")[1] == "17/20"
    assert cells(page, "turned: way up")[1] == "15/17"
    assert cells(page, "cut tight")[1] == "19/20"
    assert "1.10 as they are" in page


def test_a_section_says_how_it_was_made_and_the_page_on_what() -> None:
    facts = {
        "machine": "2 cores.",
        "load_before": 0.5,
        "python": "3.11",
        "versions": {"veridical": "0.2"},
        "backbone": "clip",
        "model": "0123",
        "precision": "int8",
    }
    benchmark = Benchmark(name="weather", measure=lambda _: {}, table=lambda _: "| sun |")
    text = section(benchmark, {"facts": facts, "took_seconds": 90, "found": {}})
    assert text.startswith("| sun |\n\n`python -m benchmarks.run weather")
    assert text.endswith("(1.5 min).")
    text = machine_page(facts)
    assert text.startswith("2 cores. Load before the run: 0.5. Backbone `clip`, model 0123 (int8)")
    assert "new facts" in between((DOCS / "benchmarks.md").read_text(), "machine", "new facts")
