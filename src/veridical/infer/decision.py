"""The decision policy: what is claimed of a face, what of a picture, and why."""

from collections.abc import Sequence
from dataclasses import replace

from veridical.infer.calibration import Calibration
from veridical.infer.head import Summary
from veridical.report import Decision, FaceResult, Reason, Stability, Verdict

Judged = tuple[Verdict, tuple[Reason, ...]]
"""A verdict and its reasons, most important first."""


def judge(
    summary: Summary,
    distance: float,
    calibration: Calibration,
    *,
    whole_image: bool = False,
    faceless: bool = False,
) -> Judged:
    """Decide about one face: the prediction set's one label, in the absence of other doubts.

    Args:
        summary: Of the calibrated posterior samples.
        distance: Out-of-distribution score; above 1 there is no decision.
        calibration: Knows the prediction set.
        whole_image: The frame was judged as if it were a face, by a model of faces.
        faceless: No face was found in it.
    """
    plausible = calibration.prediction_set(summary.p_ai)
    low, high = summary.interval
    doubts = [Reason.NO_FACE] if faceless else []
    if distance > 1:
        doubts.append(Reason.UNLIKE_TRAINING)
    if len(plausible) == 2:
        doubts.append(Reason.BOTH_PLAUSIBLE)
    if not plausible:
        doubts.append(Reason.NEITHER_PLAUSIBLE)
    if low < 0.5 < high:
        doubts.append(Reason.INTERVAL_TOO_WIDE)
    reasons = doubts or [Reason.WITHIN_COVERAGE]
    verdict = Verdict(
        decision=Decision.UNDECIDED if doubts else plausible[0],
        p_ai=summary.p_ai,
        interval=summary.interval,
        std=summary.std,
        total=summary.total,
        aleatoric=summary.aleatoric,
        epistemic=summary.epistemic,
        distance=distance,
    )
    return verdict, (*reasons, *([Reason.WHOLE_IMAGE] if whole_image else []))


def recheck(judged: Judged, stability: Stability, calibration: Calibration) -> Judged:
    """Keep a decision only if it is the same for perturbed copies of the face.

    The numbers stay those of the picture as delivered.
    """
    verdict, reasons = judged
    tested = replace(verdict, stability=stability)
    if not any(_changes(verdict, p, calibration) for p in stability.p_ai):
        return tested, reasons
    kept = (reason for reason in reasons if reason is not Reason.WITHIN_COVERAGE)
    withdrawn = replace(tested, decision=Decision.UNDECIDED)
    return withdrawn, (Reason.CHANGES_UNDER_RECOMPRESSION, *kept)


def _changes(verdict: Verdict, p_ai: float, calibration: Calibration) -> bool:
    """Return whether a copy's P(ai) is on the other side of 1/2, or fits the other label only.

    The second matters where both thresholds of a calibration lie on one side of 1/2.
    """
    crosses = (p_ai - 0.5) * (verdict.p_ai - 0.5) < 0
    plausible = calibration.prediction_set(p_ai)
    return crosses or (len(plausible) == 1 and plausible[0] is not verdict.decision)


def combine(faces: Sequence[FaceResult]) -> tuple[Decision, int | None, tuple[Reason, ...]]:
    """Return a picture's decision, the place of the face that it rests on, and why; see `Report`.

    Faces too small to judge do not count beside one that was judged: a bystander's head of twenty
    pixels must not silence the verdict on a portrait.
    """
    judged = {at: face.verdict for at, face in enumerate(faces) if face.verdict}
    if not faces:
        return Decision.UNDECIDED, None, (Reason.NO_FACE,)
    if not judged:
        return Decision.UNDECIDED, None, (Reason.FACE_TOO_SMALL,)
    decisions = {verdict.decision for verdict in judged.values()}
    decision = next(
        one for one in (Decision.AI, Decision.UNDECIDED, Decision.REAL) if one in decisions
    )
    of_it = (at for at, verdict in judged.items() if verdict.decision is decision)
    lead = max(of_it, key=lambda at: judged[at].p_ai)
    disagree = (Reason.FACES_DISAGREE,) if len(decisions) > 1 else ()
    return decision, lead, (*faces[lead].reasons, *disagree)
