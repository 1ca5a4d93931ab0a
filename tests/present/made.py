"""What the tests of several renderers show: a photo, a verdict, an explanation, reports."""

from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from veridical.arrays import Float, ndarray
from veridical.box import Box
from veridical.explanation import Channel, Explanation, Faithfulness, Map, Occlusion, TokenMap
from veridical.infer.calibration import Calibration
from veridical.infer.decision import together
from veridical.infer.priors import at_prior
from veridical.io.decode import Photo
from veridical.report import (
    Decision,
    FaceResult,
    Failure,
    NotApplicable,
    Reading,
    Reason,
    Report,
    Stability,
    Verdict,
)

GRID = 4
AREA = Box(left=20.0, top=10.0, width=80.0, height=80.0)
GOOD = Faithfulness(deletion=0.8, insertion=0.5, n_random=9, n_beaten=9)
BAD = Faithfulness(deletion=-0.1, insertion=0.1, n_random=9, n_beaten=2)
VERDICT = Verdict(
    decision=Decision.AI,
    p_ai=0.973,
    interval=(0.912, 0.994),
    std=0.02,
    total=0.13,
    aleatoric=0.12,
    epistemic=0.01,
    distance=0.4,
)
CALIBRATION = Calibration(
    slope=1.0,
    intercept=0.0,
    coverage_of_reals=0.97,
    coverage_of_ai=0.9,
    threshold_real=0.8,
    threshold_ai=0.7,
    real=100,
    ai=100,
    typical_real=-2.0,
    tail=(0.85, 0.9, 0.95),
)
COPIES = Stability(
    perturbations=("jpeg-60", "screenshot-0.8"),
    p_ai=(0.95, 0.69),
    answers=(Decision.AI, Decision.UNDECIDED),
)
FACE = FaceResult(
    box=Box(left=30.0, top=20.0, width=50.0, height=60.0),
    landmarks=(),
    confidence=0.9,
    decision=Decision.AI,
    reasons=(Reason.WITHIN_COVERAGE,),
    verdict=VERDICT,
)
SMALL = replace(
    FACE,
    box=Box(left=90.0, top=70.0, width=10.0, height=12.0),
    decision=Decision.UNDECIDED,
    reasons=(Reason.FACE_TOO_SMALL,),
    verdict=None,
)
FAILURE = Failure(path="b.jpg", error="b.jpg: zero bytes came.", hint="Get the file again.")
SPOKEN = Reading(
    cue="noise",
    statistics={"level": 1.5},
    llr=0.4,
    plain="The grain is fine; it supports neither much.",
    technical="Noise of 1.5 levels.",
    drawing=Map(values=np.random.default_rng(0).uniform(0, 3, (20, 20)), unit="levels"),
)
INFORMS = Reading(
    cue="jpeg",
    statistics={},
    llr=None,
    plain="The file is a JPEG; information only.",
    technical="Quality 90.",
)
ABSENT = NotApplicable(cue="light", why="The face is nearly black.")


def judged(decision: Decision = Decision.AI, *reasons: Reason, **changes: Any) -> FaceResult:
    """A face with that decision and those reasons, and a verdict with those changes."""
    verdict = replace(VERDICT, decision=decision, **changes)
    return replace(FACE, decision=decision, reasons=reasons or FACE.reasons, verdict=verdict)


def report(*faces: FaceResult, calibration: Calibration = CALIBRATION, **changes: Any) -> Report:
    """A report on a photo with these faces."""
    decision, lead, reasons = together(faces, [calibration] * len(faces))
    verdict = faces[lead].verdict if lead is not None else None
    made = Report(
        path="portraits/anna.jpg",
        sha256="ab" * 32,
        decision=decision,
        p_ai=verdict.p_ai if verdict else None,
        interval=verdict.interval if verdict else None,
        reasons=reasons,
        lead_index=lead,
        faces=faces,
        coverage=0.9,
        coverage_of_reals=0.97,
        coverage_of_ai=0.9,
        level=0.9,
        prior=0.5,
        width=120,
        height=100,
        steps=("EXIF orientation 6 applied",),
        model="0123456789ab",
        version="0.1.0",
    )
    return replace(made, **changes)


REPORT = report(FACE)
AT_1_PERCENT = at_prior(VERDICT.p_ai, VERDICT.interval, 0.01)


def explanation(patches: Float[ndarray, "grid grid"] | None = None, **changes: Any) -> Explanation:
    """An explanation by contributions whose map beats random ones."""
    grid = np.zeros((GRID, GRID)) if patches is None else patches
    tokens = TokenMap(patches=grid, prefix=0.21, rest=0.1)
    made = Explanation(
        crop="face",
        area=AREA,
        covered=1.0,
        method="contributions",
        patches=grid,
        forward_passes=0,
        faithfulness=GOOD,
        contributions=tokens,
        gradient_x_token=replace(tokens, rest=-0.5),
        channels=(Channel(index=7, importance=1.5),),
    )
    return replace(made, **changes)


def spot(row: int, column: int, value: float) -> Float[ndarray, "grid grid"]:
    """A map of one place."""
    patches = np.zeros((GRID, GRID))
    patches[row, column] = value
    return patches


def covered(value: float) -> Occlusion:
    """An occlusion map whose upper left quarter of a quarter matters."""
    drop = np.zeros((64, 64))
    drop[:16, :16] = value
    return Occlusion(drop=drop, largest=value, at=(22.0, 12.0))


def image() -> Image.Image:
    """A gradient of 120 x 100 px with a warm hue, so that plain and grey differ."""
    y, x = np.mgrid[:100, :120]
    pixels = np.stack([120 + x, 60 + y, 40 + x // 2], axis=-1).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels)


PHOTO = Photo(stored=image(), steps=())
