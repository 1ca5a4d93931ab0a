"""Perturbed copies: judged before a face is called `ai`, and nowhere else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import (
    Colour,
    Eye,
    FakeFinder,
    Loupe,
    calibration,
    see_through,
    with_parts,
)
from veridical.arrays import UInt8, ndarray
from veridical.detector import Detector
from veridical.report import Decision, Reason, Verdict
from veridical.vision.perturb import PERTURBATIONS

IN_FRONT = FakeFinder(((8.0, 8.0, 16.0, 16.0),))


def grainy(seed: int, colour: Colour = (0.5, 0.5, 0.5)) -> UInt8[ndarray, "64 64 3"]:
    """One colour with noise from pixel to pixel, alike in all channels."""
    noise = np.random.default_rng(seed).uniform(-0.45, 0.45, (64, 64, 1))
    return np.rint(255 * np.clip(np.array(colour) + noise, 0, 1)).astype(np.uint8)


def loupe() -> Detector:
    """Sees AI in noise, and crops at the native resolution, so that noise is all it sees."""
    return with_parts(see_through(IN_FRONT, Loupe()), min_face_px=8.0)


def verdict_of(detector: Detector, seed: int = 1) -> Verdict:
    (face,) = detector.inspect(grainy(seed)).faces
    assert face.verdict is not None
    return face.verdict


def passes(detector: Detector) -> list[int]:
    assert isinstance(detector.backbone, Eye)
    return detector.backbone.runs


# --- what becomes of a verdict -----------------------------------------------------------------


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_a_verdict_that_rests_on_fine_detail_is_withdrawn(seed: int) -> None:
    careful = loupe()
    hasty = replace(careful, perturbations=())
    trusting, doubting = (one.inspect(grainy(seed)) for one in (hasty, careful))
    assert trusting.decision is Decision.AI
    assert doubting.decision is Decision.UNDECIDED
    assert doubting.reasons == (Reason.CHANGES_UNDER_RECOMPRESSION,)
    assert (doubting.p_ai, doubting.interval) == (trusting.p_ai, trusting.interval)
    before, after = trusting.faces[0].verdict, doubting.faces[0].verdict
    assert before is not None
    assert after is not None
    assert after.stability is not None
    assert after.stability.low < 0.5 < after.p_ai
    assert after == replace(before, decision=Decision.UNDECIDED, stability=after.stability)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_a_verdict_that_rests_on_colour_stays(seed: int) -> None:
    detector = see_through(FakeFinder(((2.0, 2.0, 60.0, 60.0),)))
    detector = with_parts(detector, calibration=calibration(0.4, 0.4))
    report = detector.inspect(grainy(seed, (0.9, 0.1, 0.1)))
    assert (report.decision, report.reasons) == (Decision.AI, (Reason.WITHIN_COVERAGE,))
    verdict = report.faces[0].verdict
    assert verdict is not None
    assert verdict.stability is not None
    assert verdict.stability.perturbations == tuple(one.name for one in PERTURBATIONS)
    assert verdict.stability.low == pytest.approx(verdict.stability.high, abs=0.05)


def test_the_warning_about_the_frame_stays_with_a_verdict_that_is_withdrawn() -> None:
    report = loupe().inspect(grainy(3)[:16, :16], whole_image=True)
    assert report.reasons == (Reason.CHANGES_UNDER_RECOMPRESSION, Reason.WHOLE_IMAGE)


# --- what it costs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("thresholds", "decision"),
    [
        ((1.0, 0.0), Decision.REAL),
        ((1.0, 1.0), Decision.UNDECIDED),
        ((0.0, 0.0), Decision.UNDECIDED),
    ],
)
def test_a_face_that_is_not_called_ai_costs_exactly_one_forward_pass(
    thresholds: tuple[float, float], decision: Decision
) -> None:
    detector = with_parts(loupe(), calibration=calibration(*thresholds))
    verdict = verdict_of(detector)
    assert (verdict.decision, verdict.stability) == (decision, None)
    assert passes(detector) == [1]


def test_a_face_that_would_be_called_ai_costs_one_more_for_each_perturbation() -> None:
    detector = loupe()
    assert verdict_of(detector).stability is not None
    assert passes(detector) == [1] * (1 + len(PERTURBATIONS))


def test_only_the_faces_that_would_be_called_ai_are_judged_again() -> None:
    boxes = ((0.0, 0.0, 30.0, 30.0), (32.0, 0.0, 28.0, 28.0), (0.0, 36.0, 26.0, 26.0))
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:28, 32:, 0] = 255  # the second is red
    detector = see_through(FakeFinder(boxes))
    report = detector.inspect(pixels)
    assert [face.decision for face in report.faces] == ["real", "ai", "real"]
    found = [face.verdict and face.verdict.stability for face in report.faces]
    assert [one is not None for one in found] == [False, True, False]
    # At half size the red face would be too small.
    assert sum(passes(detector)) == 3 + 2


def test_without_a_recheck_nothing_is_judged_twice(tiny_model: Path) -> None:
    assert Detector.load(tiny_model, recheck=False).perturbations == ()
    assert Detector.load(tiny_model).perturbations == PERTURBATIONS
    hasty = replace(loupe(), perturbations=())
    assert verdict_of(hasty).decision is Decision.AI
    assert passes(hasty) == [1]


def test_copies_in_which_the_face_is_too_small_are_not_made() -> None:
    def tried(min_face_px: float) -> tuple[str, ...]:
        found = verdict_of(with_parts(loupe(), min_face_px=min_face_px)).stability
        assert found is not None
        return found.perturbations

    assert tried(8.0) == ("jpeg-60", "half-size-jpeg-75", "screenshot-0.8")
    assert tried(12.0) == ("jpeg-60", "screenshot-0.8")
    assert tried(16.0) == ("jpeg-60",)
    only_half = replace(with_parts(loupe(), min_face_px=12.0), perturbations=PERTURBATIONS[1:2])
    verdict = verdict_of(only_half)
    assert (verdict.decision, verdict.stability) == (Decision.AI, None)


# --- in company --------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3])
def test_a_verdict_is_as_stable_alone_as_in_company(batch: int, tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.png" for seed in range(4)]
    for seed, path in enumerate(paths):
        Image.fromarray(grainy(seed)).save(path)
    alone: list[Any] = [loupe().inspect(path) for path in paths]
    many = [paths[(3 * n) % 4] for n in range(12)]
    together = replace(loupe(), backbone=Loupe(batch))
    for path, report in zip(many, together.inspect_many(many, jobs=2), strict=True):
        assert report == alone[paths.index(path)]  # every copy, to the bit
