"""The decision policy: what is claimed of a face, what of a picture, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log, log1p

import numpy as np

from veridical.infer.calibration import Calibration
from veridical.infer.head import Summary, sigmoid
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


def stability_of(
    perturbations: Sequence[str], p_ai: Sequence[float], calibrations: Sequence[Calibration]
) -> Stability:
    """Return what copies of a face got.

    Args:
        perturbations: Names of the copies.
        p_ai: Of each copy.
        calibrations: One per copy: a smaller face may be of another class.
    """
    sets = (own.prediction_set(p) for p, own in zip(p_ai, calibrations, strict=True))
    return Stability(
        perturbations=tuple(perturbations),
        p_ai=tuple(p_ai),
        answers=tuple(one[0] if len(one) == 1 else Decision.UNDECIDED for one in sets),
    )


def recheck(judged: Judged, stability: Stability) -> Judged:
    """Keep a decision unless a perturbed copy of the face contradicts it.

    A copy contradicts it whose P(ai) is on the other side of 1/2, or whose answer is the other
    label; one that is `undecided` does not. The numbers stay those of the picture as delivered.

    Args:
        judged: The decision.
        stability: What the copies got.
    """
    verdict, reasons = judged
    tested = replace(verdict, stability=stability)
    copies = zip(stability.p_ai, stability.answers, strict=True)
    if not any(_contradicts(verdict, p, answer) for p, answer in copies):
        return tested, reasons
    kept = (reason for reason in reasons if reason is not Reason.WITHIN_COVERAGE)
    withdrawn = replace(tested, decision=Decision.UNDECIDED)
    return withdrawn, (Reason.CHANGES_UNDER_RECOMPRESSION, *kept)


def _contradicts(verdict: Verdict, p_ai: float, answer: Decision) -> bool:
    """Return whether a copy's P(ai) is on the other side of 1/2, or its answer the other label.

    The second matters where both thresholds of a calibration lie on one side of 1/2.
    """
    crosses = (p_ai - 0.5) * (verdict.p_ai - 0.5) < 0
    return crosses or answer not in (verdict.decision, Decision.UNDECIDED)


COMPARABLE = 1 / 3
"""Size of a face too small to judge, over that of the largest judged one, from which it counts."""


def together(
    faces: Sequence[FaceResult],
    calibrations: Sequence[Calibration],
    *,
    damaged: bool = False,
) -> tuple[Decision, int | None, tuple[Reason, ...]]:
    """Return a picture's decision, the place of the face that it rests on, and why; see `Report`.

    Real pictures are called `ai` at most about as often as promised, whatever the number of people
    in them: one face among n has to pass the threshold of 1 - (1 - coverage) / n (Bonferroni), or
    the faces together have to conform to `ai` alone. Their common logit is the mean of theirs: a
    picture of one scene is generated as a whole, or not at all, and what its faces share is counted
    once. `real` takes one face that is, none that is `ai`, and faces that together conform to
    `real` alone: an undecided bystander does not silence a clear picture.

    A face too small or too damaged to judge does not count beside a much larger one that was
    judged. One of a size that compares was not looked at, and such a picture is not called `real`.

    Args:
        faces: Judged one by one.
        calibrations: Of each face's class.
        damaged: Whether something of the picture is missing or wrong.
    """
    decision, lead, reasons = _together(faces, calibrations)
    if damaged and Reason.DAMAGED not in reasons:
        # What was lost may be what was looked for; beside a verdict it is said, and takes nothing.
        reasons = (*reasons, Reason.DAMAGED) if lead is not None else (Reason.DAMAGED, *reasons)
    return decision, lead, reasons


def _together(
    faces: Sequence[FaceResult], calibrations: Sequence[Calibration]
) -> tuple[Decision, int | None, tuple[Reason, ...]]:
    judged = {at: face.verdict for at, face in enumerate(faces) if face.verdict}
    if not faces:
        return Decision.UNDECIDED, None, (Reason.NO_FACE,)
    if not judged:
        return Decision.UNDECIDED, None, faces[0].reasons
    decisions = {verdict.decision for verdict in judged.values()}
    decision, doubts = _of_picture(faces, judged, calibrations)
    # Where no face has the picture's decision, or one of many is told of, it rests on what was
    # taken back.
    own = () if Reason.ONE_OF_MANY in doubts else (decision,)
    wanted = next(one for one in (*own, Decision.AI, Decision.REAL) if one in decisions)
    of_it = (at for at, verdict in judged.items() if verdict.decision is wanted)
    lead = max(of_it, key=lambda at: judged[at].p_ai)
    disagree = (Reason.FACES_DISAGREE,) if len(decisions) > 1 else ()
    return decision, lead, (*doubts, *faces[lead].reasons, *disagree)


def _of_picture(
    faces: Sequence[FaceResult],
    judged: Mapping[int, Verdict],
    calibrations: Sequence[Calibration],
) -> tuple[Decision, tuple[Reason, ...]]:
    """Return the decision about all faces, and doubts that are not those of one face."""
    decisions = {verdict.decision for verdict in judged.values()}
    largest = max(judged, key=lambda at: faces[at].box.size_px)
    common = np.mean([_logit(verdict.p_ai) for verdict in judged.values()], keepdims=True)
    plausible = calibrations[largest].prediction_set(float(sigmoid(common)[0]))
    if Decision.AI in decisions:
        alone = any(
            verdict.decision is Decision.AI
            and verdict.p_ai > calibrations[at].threshold_among(len(judged))
            for at, verdict in judged.items()
        )
        if alone or plausible == (Decision.AI,):
            return Decision.AI, ()
        return Decision.UNDECIDED, (Reason.ONE_OF_MANY,)
    if Decision.REAL not in decisions:
        return Decision.UNDECIDED, ()
    least = COMPARABLE * faces[largest].box.size_px
    for face in faces:
        if not face.verdict and face.box.size_px >= least:
            return Decision.UNDECIDED, face.reasons
    if decisions == {Decision.REAL} or plausible == (Decision.REAL,):
        return Decision.REAL, ()
    return Decision.UNDECIDED, ()


def _logit(p: float) -> float:
    p = min(max(p, 1e-12), 1 - 1e-12)
    return log(p) - log1p(-p)
