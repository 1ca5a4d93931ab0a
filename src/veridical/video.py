"""The nouns of an answer about a clip: small frozen values, like those of `report.py`.

VideoReport › Track › Look › FaceResult
"""

import json
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from veridical.arrays import UInt8, ndarray
from veridical.box import Box
from veridical.claims import Claim, Declared
from veridical.report import (
    VIDEO,
    AtPrior,
    Decision,
    FaceResult,
    Reason,
    Report,
    Verdict,
    told,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """What a clip is, as its container and its decoder say.

    Attributes:
        container: Such as `mp4`.
        codec: Such as `h264`.
        width: px, as a player shows it: turned, and with square pixels.
        height: px, likewise.
        fps: Mean frames per second; null of a single frame.
        duration_s: Seconds, until the last frame ends.
        n_frames: How many there are to see; null where that is not known.
        audio: Whether there is sound. It is not judged.
        tags: What the container says of itself, such as `encoder`; anybody can write that.
    """

    container: str
    codec: str
    width: int
    height: int
    fps: float | None
    duration_s: float
    n_frames: int | None
    audio: bool
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A part of a clip that could not be read.

    Attributes:
        start_s: Where it begins, seconds.
        end_s: Where it ends, seconds; null for the end of the clip.
        why: What is wrong there.
    """

    start_s: float
    end_s: float | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A face of a track in one of the frames that were searched.

    Attributes:
        time_s: When that frame is shown, seconds from the beginning of the clip.
        box: Where the face is, px of the frame.
        turn: See `FaceResult`.
        confidence: The face detector's confidence in [0, 1].
    """

    time_s: float
    box: Box
    turn: int
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One frame of a track that was judged.

    Attributes:
        time_s: When that frame is shown, seconds from the beginning of the clip.
        face: The answer about this frame alone, as if it were a photo; never tested in copies.
        crop: What the widest crop shows, or the one that was explained; upright, and not part of
            JSON.
    """

    time_s: float
    face: FaceResult
    crop: UInt8[ndarray, "size size 3"] | None = field(
        default=None, compare=False, repr=False, metadata={"json": False}
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From here to there.

    Attributes:
        start_s: Seconds from the beginning of the clip.
        end_s: Seconds from the beginning of the clip.
    """

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One person, from where they come into sight to where they leave it, or to the next cut.

    Attributes:
        sightings: In the frames that were searched, in order of time; never empty.
        looks: The frames of it that were judged, in order of time.
        size_px: Median longer side of the face, px.
        decision: The verdict's decision; `undecided` where there is no verdict.
        reasons: Why, most important first.
        verdict: Of all looks together; null where there are too few, or the face is too small.
        effective_looks: How many independent looks these are worth; frames of one shot resemble
            each other. 0 where there is no verdict.
        span: The shortest part of the track whose looks alone give the same decision; null where
            nothing was decided.
    """

    sightings: tuple[Sighting, ...]
    looks: tuple[Look, ...]
    size_px: float
    decision: Decision
    reasons: tuple[Reason, ...]
    verdict: Verdict | None
    effective_looks: float = 0.0
    span: Span | None = None

    def __post_init__(self) -> None:
        if self.decision is not (self.verdict.decision if self.verdict else Decision.UNDECIDED):
            raise ValueError(f"A track's decision is its verdict's; got {self.decision}.")
        times = [one.time_s for one in self.sightings]
        if not times or times != sorted(times):
            raise ValueError("A track has sightings, in order of time.")

    @property
    def start_s(self) -> float:
        """When it is first seen, seconds."""
        return self.sightings[0].time_s

    @property
    def end_s(self) -> float:
        """When it is last seen, seconds."""
        return self.sightings[-1].time_s


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoReport:
    """The answer about one clip.

    Attributes:
        path: The path as it was given; null for clips that came as bytes.
        sha256: Of the file's bytes.
        decision: Of all tracks together, by the rule for the faces of a picture.
        p_ai: P(ai) of the lead track; null where nothing could be judged.
        interval: Credible interval of `p_ai`, low then high; null where nothing could be judged.
        reasons: Why, most important first.
        lead_index: Place in `tracks` of the one that the decision rests on; null where nothing
            could be judged.
        tracks: People: judged ones first; in order of time, the largest face first.
        claims: What the file says about its own origin. They move no other number of this report.
        headline: What is known of the origin, in a sentence or two.
        declared: What the file says, in one word.
        coverage: See `Report`; so are the next four.
        coverage_of_reals: The promise to real people.
        coverage_of_ai: The same for AI-generated ones.
        level: Mass of the credible intervals.
        prior: Share of AI-generated clips that every P(ai) here assumes.
        at_prior: The answer at another share; null unless asked for, and where nothing could be
            judged.
        footage: What the clip is.
        searched_s: When the frames that were searched for faces are shown, seconds.
        cuts_s: Searched frames that begin another shot, seconds.
        lost: What could not be read.
        steps: What was done to the frames on the way in ("turned by 90 degrees", ...).
        model: First 12 hex digits of the SHA-256 of the model that was used.
        version: Of this program.
    """

    path: str | None
    sha256: str
    decision: Decision
    p_ai: float | None
    interval: tuple[float, float] | None
    reasons: tuple[Reason, ...]
    lead_index: int | None
    tracks: tuple[Track, ...]
    claims: tuple[Claim, ...] = ()
    headline: str = ""
    declared: Declared = Declared.NONE
    coverage: float
    coverage_of_reals: float
    coverage_of_ai: float
    level: float
    prior: float
    at_prior: AtPrior | None = None
    footage: Footage
    searched_s: tuple[float, ...]
    cuts_s: tuple[float, ...] = ()
    lost: tuple[Lost, ...] = ()
    steps: tuple[str, ...] = ()
    model: str
    version: str

    @property
    def lead(self) -> Track | None:
        """The track that the decision rests on; None where nothing could be judged."""
        return None if self.lead_index is None else self.tracks[self.lead_index]

    def promise(self, decision: Decision) -> float:
        """Return the coverage within the class about which a decision would be a mistake."""
        own = {Decision.AI: self.coverage_of_reals, Decision.REAL: self.coverage_of_ai}
        return own.get(decision, self.coverage)

    def without_explanations(self) -> "VideoReport":
        """Return the same answer without what explains it."""
        tracks = tuple(
            replace(
                track,
                looks=tuple(
                    replace(look, face=replace(look.face, explanation=None)) for look in track.looks
                ),
            )
            for track in self.tracks
        )
        return replace(self, tracks=tracks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, of the published shape (`veridical schema`)."""
        return told(VIDEO, self)

    def to_json(self) -> str:
        """Return the report as one line of ASCII JSON, at full precision."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def _repr_html_(self) -> str:
        """Return a card for notebooks."""
        return str(import_module("veridical.present.html").card(self))


Answer = Report | VideoReport
"""About a picture, or about a clip."""
