"""Examples for documentation, made of the types themselves. The numbers are invented."""

from veridical.box import Box
from veridical.claims import Claim, ClaimSource, Says, Standing
from veridical.infer.calibration import Calibration
from veridical.infer.decision import together
from veridical.provenance.headline import headline
from veridical.report import (
    CropEvidence,
    Decision,
    FaceResult,
    Failure,
    Reason,
    Report,
    Stability,
    Verdict,
)


def sample_report() -> Report:
    """Return the report of a picture that is not there."""
    verdict = Verdict(
        decision=Decision.AI,
        p_ai=0.9,
        interval=(0.85, 0.95),
        std=0.03,
        total=0.325,
        aleatoric=0.32,
        epistemic=0.005,
        distance=0.5,
        stability=Stability(
            perturbations=("jpeg-60", "screenshot-0.8"),
            p_ai=(0.88, 0.91),
            answers=(Decision.AI, Decision.AI),
        ),
    )
    marks = ((260.0, 210.0), (340.0, 210.0), (300.0, 250.0), (268.0, 300.0), (332.0, 300.0))
    face = FaceResult(
        box=Box(left=200.0, top=120.0, width=200.0, height=250.0),
        landmarks=marks,
        confidence=0.9,
        decision=verdict.decision,
        reasons=(Reason.WITHIN_COVERAGE,),
        verdict=verdict,
        crops=(
            CropEvidence(
                crop="face",
                area=Box(left=137.5, top=82.5, width=325.0, height=325.0),
                evidence=1.5,
            ),
            CropEvidence(
                crop="context",
                area=Box(left=0.0, top=0.0, width=600.0, height=600.0),
                evidence=0.7,
            ),
        ),
    )
    calibration = Calibration(
        slope=1.0,
        intercept=0.0,
        coverage_of_reals=0.97,
        coverage_of_ai=0.9,
        threshold_real=0.8,
        threshold_ai=0.6,
        real=1000,
        ai=1000,
        typical_real=-2.0,
    )
    decision, lead, reasons = together((face,), (calibration,))
    claim = Claim(
        source=ClaimSource.XMP,
        says=Says.AI,
        standing=Standing.UNSIGNED,
        by="Made with Google AI",
        plain="The file's description says: a trained model generated it. Anyone can write that.",
        technical="XMP digital source type: trainedAlgorithmicMedia.",
        raw={"DigitalSourceType": "trainedAlgorithmicMedia"},
    )
    told = headline((claim,), decision)
    return Report(
        path="portraits/one.jpg",
        sha256="0" * 64,
        decision=decision,
        p_ai=verdict.p_ai,
        interval=verdict.interval,
        reasons=reasons,
        lead_index=lead,
        faces=(face,),
        claims=(claim,),
        headline=told.text,
        declared=told.declared,
        coverage=0.9,
        coverage_of_reals=0.97,
        coverage_of_ai=0.9,
        level=0.9,
        prior=0.5,
        width=600,
        height=800,
        steps=("EXIF orientation 6 applied",),
        model="0" * 12,
        version="0.1.0",
    )


def sample_failure() -> Failure:
    """Return what is said of an empty file."""
    return Failure(
        path="portraits/two.jpg",
        error="portraits/two.jpg: zero bytes came.",
        hint="Get the file again.",
    )
