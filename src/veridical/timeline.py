"""From the looks at one person to a verdict, and from the people of a clip to its answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from statistics import median

import numpy as np

from veridical.arrays import UInt8, ndarray
from veridical.infer.calibration import Calibration
from veridical.infer.decision import Judged, judge, recheck, stability_of, together
from veridical.infer.head import summarise
from veridical.infer.track import TrackLogits, pool_looks, shortest
from veridical.judging import FaceJudge, unjudged
from veridical.report import Decision, FaceResult, Reason
from veridical.scoring import FaceScore
from veridical.video import Look, Sighting, Span, Track
from veridical.vision.perturb import Perturbation
from veridical.vision.prepare import Seen

STRICTER = 4  # parts of what photos may be missed: the model was calibrated on no clip
FEWEST = 5  # searched frames that a person must be seen in to be judged
LOOKS = 8  # at one person, at most: more cost time, and resemble those there are
IN_ALL = 32  # at all people of a clip, unless that would leave one fewer than FEWEST

Copies = tuple[tuple[Perturbation, FaceScore], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """One frame of a track, with what the heads said of it.

    Attributes:
        time: When the frame is shown, seconds, exactly.
        seen: The face.
        score: Of its crops.
        crop: The widest of them.
    """

    time: Fraction
    seen: Seen
    score: FaceScore
    crop: UInt8[ndarray, "size size 3"]

    @property
    def time_s(self) -> float:
        """The same as a float."""
        return float(self.time)


def spread(count: int, most: int) -> list[int]:
    """Return at most `most` of `count` places, evenly spread."""
    if count <= most:
        return list(range(count))
    return [int((2 * at + 1) * count / (2 * most)) for at in range(most)]


def looks_each(people: int) -> int:
    """Return how many looks each of so many people gets, at most."""
    return max(FEWEST, min(LOOKS, IN_ALL // max(people, 1)))


def unjudged_track(sightings: Sequence[Sighting], min_face_px: float, looked: int) -> Track | None:
    """Return the track of somebody who was seen too briefly, or too small; None of others.

    Args:
        sightings: In the frames that were searched.
        min_face_px: Longer side of the smallest face that is judged, px.
        looked: In how many of these frames the face can be judged.
    """
    size = median(one.box.size_px for one in sightings)
    if size < min_face_px and len(sightings) >= FEWEST:
        reason = Reason.FACE_TOO_SMALL
    elif looked < FEWEST:
        reason = Reason.FEW_LOOKS
    else:
        return None
    return Track(
        sightings=tuple(sightings),
        looks=(),
        size_px=size,
        decision=Decision.UNDECIDED,
        reasons=(reason,),
        verdict=None,
    )


def judged_track(
    sightings: Sequence[Sighting],
    looks: Sequence[Scored],
    model: FaceJudge,
    copies: Callable[[Scored], Copies],
) -> Track:
    """Judge one person by all looks together.

    Args:
        sightings: In the frames that were searched.
        looks: The frames that were looked at, in order of time.
        model: What judges.
        copies: Scores one frame in perturbed copies; asked before a person is called `ai`.
    """
    size = median(one.box.size_px for one in sightings)
    logits = np.stack([one.score.logits for one in looks])
    pooled = pool_looks(logits)
    verdict, reasons = _judged(pooled, looks, model, size)
    if verdict.decision is Decision.AI:
        middle = int(np.argsort(logits.mean(axis=1))[len(looks) // 2])
        shifts = [
            (how, one.logits - logits[middle], one.calibration)
            for how, one in copies(looks[middle])
        ]
        if shifts:
            stability = stability_of(
                [how.name for how, _, _ in shifts],
                [summarise(pooled.logits + shift).p_ai for _, shift, _ in shifts],
                [calibration for _, _, calibration in shifts],
            )
            verdict, reasons = recheck((verdict, reasons), stability)
    return Track(
        sightings=tuple(sightings),
        looks=tuple(
            Look(time_s=one.time_s, face=_alone(one, model), crop=one.crop) for one in looks
        ),
        size_px=size,
        decision=verdict.decision,
        reasons=reasons,
        verdict=verdict,
        effective_looks=pooled.effective,
        span=_span(looks, model, size, verdict.decision),
    )


def of_clip(
    tracks: Sequence[Track], model: FaceJudge, *, damaged: bool = False
) -> tuple[Decision, int | None, tuple[Reason, ...]]:
    """Return a clip's decision, the place of the track that it rests on, and why.

    The rule is that of the faces of a picture (`infer.decision.together`). Who was seen too briefly
    to be judged does not count.

    Args:
        tracks: Judged one by one.
        model: What judged them.
        damaged: Whether a part of the clip could not be read.
    """
    counted = [at for at, one in enumerate(tracks) if Reason.FEW_LOOKS not in one.reasons]
    if not counted:
        reasons = tracks[0].reasons if tracks else (Reason.NO_FACE,)
        return Decision.UNDECIDED, None, (Reason.DAMAGED, *reasons) if damaged else reasons
    faces = [_face(tracks[at]) for at in counted]
    calibrations = [_calibration(model, tracks[at].size_px) for at in counted]
    decision, lead, reasons = together(faces, calibrations, damaged=damaged)
    return decision, None if lead is None else counted[lead], reasons


def _judged(
    pooled: TrackLogits, looks: Sequence[Scored], model: FaceJudge, size_px: float
) -> Judged:
    return judge(
        summarise(pooled.logits, model.level),
        median(one.score.distance for one in looks),
        _calibration(model, size_px),
    )


def _calibration(model: FaceJudge, size_px: float) -> Calibration:
    return model.calibration(size_px).stricter(STRICTER)


def _span(
    looks: Sequence[Scored], model: FaceJudge, size_px: float, decision: Decision
) -> Span | None:
    if decision is Decision.UNDECIDED:
        return None
    count, logits = len(looks), np.stack([one.score.logits for one in looks])

    def gives(first: int, last: int) -> bool:
        own = pool_looks(logits[first:last])
        return _judged(own, looks[first:last], model, size_px)[0].decision is decision

    found = shortest(
        [[gives(first, last) for last in range(first + 1, count + 1)] for first in range(count)]
    )
    if found is None:
        return None
    return Span(start_s=looks[found[0]].time_s, end_s=looks[found[1]].time_s)


def _alone(one: Scored, model: FaceJudge) -> FaceResult:
    """Return the answer about one frame as if it were a photo, without a test in copies."""
    verdict, reasons = judge(
        summarise(one.score.logits, model.level), one.score.distance, one.score.calibration
    )
    return replace(
        unjudged(one.seen, *reasons),
        decision=verdict.decision,
        verdict=verdict,
        crops=model.evidence(one.seen, one.score),
    )


def _face(track: Track) -> FaceResult:
    """Return a track as a face, for the rule that puts the faces of a picture together."""
    middle = min(track.sightings, key=lambda one: abs(one.box.size_px - track.size_px))
    return FaceResult(
        box=middle.box,
        turn=middle.turn,
        landmarks=(),
        confidence=middle.confidence,
        decision=track.decision,
        reasons=track.reasons,
        verdict=track.verdict,
    )
