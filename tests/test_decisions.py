"""Errors among the decided: counted by hand on few pictures."""

from math import isnan
from pathlib import Path
from typing import Any

import pytest
from benchmarks.decisions import by, cell, steadiness, steps
from benchmarks.generalisation import AS_DELIVERED

from veridical.infer.calibration import Calibration
from veridical.io.samples import Label, Sample
from veridical.stats.intervals import wilson

CALIBRATION = Calibration(
    slope=1.0, intercept=0.0, coverage=0.9, threshold_real=0.4, threshold_ai=0.4, real=9, ai=9
)


def sample(name: str, label: Label, source: str = "web") -> Sample:
    made = "sd" if label == "ai" else ""
    return Sample(path=Path(name), label=label, source=source, generator=made, group=name)


SAMPLES = [
    sample("a", "ai"),
    sample("b", "ai"),
    sample("c", "real", "studio"),
    sample("d", "real", "street"),
    sample("e", "real", "street"),
]


def describe(**answers: tuple[float | None, str | None]) -> dict[str, Any]:
    return {name: {"p_ai": p, "decision": decision} for name, (p, decision) in answers.items()}


ANSWERS = {
    AS_DELIVERED: told(
        a=(0.9, "ai"), b=(0.1, "real"), c=(0.2, "real"), d=(0.5, "undecided"), e=(None, None)
    ),
    "JPEG 30": told(
        a=(0.2, "real"), b=(0.1, "real"), c=(0.9, "ai"), d=(0.9, "ai"), e=(None, "undecided")
    ),
}


def test_a_cell_counts_what_was_decided_and_how_much_of_it_wrongly() -> None:
    first = ANSWERS[AS_DELIVERED]
    found = cell("all", SAMPLES, first, first, CALIBRATION)
    assert found.decided == wilson(3, 5)
    assert found.errors == wilson(1, 3)
    # Sets: a {ai}, b {real}, c {real}, d {}; e has no P(ai).
    assert found.covered == wilson(2, 4)
    assert found.contradictions == wilson(0, 5)


def test_what_was_not_decided_has_no_error_rate() -> None:
    first = ANSWERS[AS_DELIVERED]
    found = cell("e", SAMPLES[4:], first, first, CALIBRATION)
    assert (found.decided.value, found.errors, found.covered) == (0, None, None)


def test_cells_by_source_and_generator() -> None:
    real = [s for s in SAMPLES if s.label == "real"]
    assert [(c.name, c.count) for c in by(lambda s: s.source, real, ANSWERS, CALIBRATION)] == [
        ("street", 2),
        ("studio", 1),
    ]
    makers = by(lambda s: s.generator, SAMPLES, ANSWERS, CALIBRATION)
    assert [(c.name, c.count) for c in makers] == [("sd", 2)]


def test_a_copy_contradicts_only_with_the_opposite_verdict() -> None:
    (_, _), (ai, real) = steps(SAMPLES, ANSWERS, CALIBRATION)
    assert (ai.name, real.name) == ("JPEG 30", "JPEG 30")
    assert ai.contradictions == wilson(1, 2)  # a; b is as wrong as before
    assert real.contradictions == wilson(1, 3)  # c; d had no verdict to contradict
    assert real.errors == wilson(2, 2)


def test_steadiness_is_counted_over_photos_and_over_copies() -> None:
    found = steadiness("one look", SAMPLES, ANSWERS)
    assert found.contradicted == wilson(2, 5)
    assert found.flipped == wilson(2, 5)
    assert found.decided == wilson(7, 10)
    assert found.errors == wilson(5, 7)
    assert found.scale == pytest.approx((0.35 + 0 + 0.35 + 0.2) / 4)
    still = steadiness("still", SAMPLES, {AS_DELIVERED: ANSWERS[AS_DELIVERED]})
    assert (still.flipped.value, still.contradicted.value) == (0, 0)
    assert isnan(still.scale)
