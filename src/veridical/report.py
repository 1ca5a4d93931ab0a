"""The nouns that leave the program: small frozen values. Equal fields, equal answers.

    Report › FaceResult › Verdict, readings, explanation

JSON, its schema and docs/json.md are generated from these types and their docstrings
(`present/records.py`).
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from math import isfinite
from typing import Any, Literal, Protocol, runtime_checkable

from veridical.box import Box
from veridical.claims import Claim, Declared
from veridical.encode import plain
from veridical.explanation import Drawing, Explanation, Point

Kind = Literal["veridical.report/4", "veridical.video/1", "veridical.failure/1"]
REPORT: Kind = "veridical.report/4"
VIDEO: Kind = "veridical.video/1"
FAILURE: Kind = "veridical.failure/1"


class Decision(StrEnum):
    """What we stand behind. `UNDECIDED` is an answer, not a failure."""

    REAL = "real"
    AI = "ai"
    UNDECIDED = "undecided"


class Reason(StrEnum):
    """Why a verdict is what it is; a fixed list, so that programs can count them."""

    WITHIN_COVERAGE = "within_coverage"
    BOTH_PLAUSIBLE = "both_plausible"
    NEITHER_PLAUSIBLE = "neither_plausible"
    INTERVAL_TOO_WIDE = "interval_too_wide"
    UNLIKE_TRAINING = "unlike_training"
    CHANGES_UNDER_RECOMPRESSION = "changes_under_recompression"
    FACE_TOO_SMALL = "face_too_small"
    DAMAGED = "damaged"
    FEW_LOOKS = "few_looks"
    NO_FACE = "no_face"
    WHOLE_IMAGE = "whole_image"
    FACES_DISAGREE = "faces_disagree"
    ONE_OF_MANY = "one_of_many"


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What is wrong with a file's data, and what that costs.

    Attributes:
        kind: `cut_off`: the data end early. `corrupt`: they contradict themselves. `scans_missing`:
            a JPEG lacks some of the passes that make it sharp, or a colour.
        share: Of the picture, missing or wrong. In [0, 1], and at least that; with `scans_missing`
            of its coefficients.
        area: Where it may be, px of the photo. No face that is looked at there gets a verdict.
    """

    kind: Literal["cut_off", "corrupt", "scans_missing"]
    share: float
    area: Box

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"The share of a picture is in [0, 1]; got {self.share}.")

    def touches(self, area: Box) -> bool:
        """Return whether something of an area, px of the photo, may be wrong."""
        own = self.area
        across = min(own.left + own.width, area.left + area.width) - max(own.left, area.left)
        down = min(own.top + own.height, area.top + area.height) - max(own.top, area.top)
        return across > 0 and down > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """What one face got when its picture was saved again or made smaller.

    Attributes:
        perturbations: Names of the copies.
        p_ai: Calibrated P(ai) of each of them.
        answers: What P(ai) alone would make each of them: the one label in its prediction set,
            else `undecided`.
    """

    perturbations: tuple[str, ...]
    p_ai: tuple[float, ...]
    answers: tuple[Decision, ...]

    def __post_init__(self) -> None:
        counts = {len(self.perturbations), len(self.p_ai), len(self.answers)}
        if len(counts) > 1 or not self.perturbations:
            raise ValueError(
                "A stability needs one P(ai) and one answer for each perturbation, and a "
                f"perturbation; got {len(self.p_ai)} and {len(self.answers)} for "
                f"{len(self.perturbations)}."
            )
        if not all(0 <= p <= 1 for p in self.p_ai):
            raise ValueError(f"P(ai) of a copy is in [0, 1]; got {self.p_ai}.")

    @property
    def low(self) -> float:
        """The lowest P(ai) of the copies."""
        return min(self.p_ai)

    @property
    def high(self) -> float:
        """The highest P(ai) of the copies."""
        return max(self.p_ai)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer about one face.

    Attributes:
        decision: What we stand behind at the report's coverage; may be `undecided`.
        p_ai: Calibrated posterior predictive P(ai), in [0, 1].
        interval: Central credible interval of P(ai), low then high.
        std: Posterior standard deviation of P(ai).
        total: Entropy of the predictive, nats.
        aleatoric: Expected entropy under the posterior, nats.
        epistemic: Mutual information of label and weights, nats; total = aleatoric + epistemic.
        distance: Out-of-distribution score: distance from the training features; above 1 the
            answer is `undecided`.
        stability: P(ai) of perturbed copies. Null where none were tried: they are tried only
            before a face is called `ai`. All other numbers are of the picture as delivered.
    """

    decision: Decision
    p_ai: float
    interval: tuple[float, float]
    std: float
    total: float
    aleatoric: float
    epistemic: float
    distance: float
    stability: Stability | None = None

    def __post_init__(self) -> None:
        low, high = self.interval
        if not (0 <= low <= high <= 1 and 0 <= self.p_ai <= 1):
            raise ValueError(
                "A verdict needs probabilities in [0, 1] and low <= high; "
                f"got p_ai={self.p_ai}, interval={self.interval}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a forensic cue measured on one face, and what that is worth.

    Attributes:
        cue: Its name.
        statistics: What was measured, by name; docs/cues.md gives the units. What could not be
            measured on this face is left out.
        llr: Log-likelihood ratio of `ai` against `real`, nats; positive supports `ai`. Null where
            the cue has no measured worth: then it informs only.
        plain: One sentence for anybody.
        technical: One sentence for an expert, with numbers and units.
        drawing: For `present.cue_panels`; not part of JSON.
    """

    cue: str
    statistics: Mapping[str, float]
    llr: float | None
    plain: str
    technical: str
    drawing: Drawing | None = field(
        default=None, compare=False, repr=False, metadata={"json": False}
    )

    def __post_init__(self) -> None:
        if not all(map(isfinite, [*self.statistics.values(), self.llr or 0.0])):
            raise ValueError(f"A reading needs finite numbers; got {self.statistics}, {self.llr}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """A forensic cue that could not be measured on one face. This is no evidence.

    Attributes:
        cue: Its name.
        why: What was wanted and what came, as a sentence.
    """

    cue: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CropEvidence:
    """What one crop of a face has to do with its verdict.

    Attributes:
        crop: Its name: `face`, or `context` for the face with what is around it.
        area: What it shows, px of the photo.
        evidence: What it adds to the mean logit of P(ai), nats; positive supports `ai`. The sum
            over the crops of a face is that logit.
    """

    crop: str
    area: Box
    evidence: float

    def __post_init__(self) -> None:
        if not isfinite(self.evidence):
            raise ValueError(f"The evidence of a crop is finite; got {self.evidence}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceResult:
    """One face and what is known about it.

    Attributes:
        box: Where the face is; the whole frame under `whole_image`.
        turn: Degrees by which the photo would have to be turned counter-clockwise for the face to
            be upright, a multiple of 90. It was judged upright.
        landmarks: Eyes, nose tip and mouth corners as (x, y) px, the person's right eye first;
            empty under `whole_image`.
        confidence: The face detector's confidence in [0, 1]; 0 under `whole_image`.
        decision: The verdict's decision; `undecided` where there is no verdict.
        reasons: Why, most important first.
        verdict: Null where there is nothing to judge. So it is of a face too small, or damaged.
        crops: What was looked at, and what each look has to do with the verdict; empty where there
            is none.
        readings: One answer per forensic cue, in the order asked; null where none was asked.
        explanation: Null unless asked for.
    """

    box: Box
    turn: int = 0
    landmarks: tuple[Point, ...]
    confidence: float
    decision: Decision
    reasons: tuple[Reason, ...]
    verdict: Verdict | None
    crops: tuple[CropEvidence, ...] = ()
    readings: tuple[Reading | NotApplicable, ...] | None = None
    explanation: Explanation | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.decision is not (self.verdict.decision if self.verdict else Decision.UNDECIDED):
            raise ValueError(f"A face's decision is its verdict's; got {self.decision}.")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number and how far to trust it.

    Attributes:
        value: Of the pictures as they are.
        low: Lower end of the 95 % interval; never above `value`.
        high: Upper end of the 95 % interval; never below `value`.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(
                "An estimate lies within its interval; "
                f"got {self.value} and [{self.low}, {self.high}]."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictiveValues:
    """How often the decisions `ai` and `real` are right at a share of AI-generated pictures.

    Intervals combine the worst and the best ends of the error rates' 95 % intervals, so they are
    wider than 95 % intervals of their own. A value is null where the error that would lower it was
    never seen: the lower end of its interval then says how much is known.

    Attributes:
        split: Name of the pictures that the error rates were measured on.
        called_ai: Share of all pictures that are called `ai`.
        rightly_ai: Share of all pictures that are called `ai` and are.
        ppv: Positive predictive value: share of AI-generated pictures among those called `ai`.
        ppv_interval: Low, then high.
        npv: Negative predictive value: share of real pictures among those called `real`.
        npv_interval: Low, then high.
    """

    split: str
    called_ai: Estimate
    rightly_ai: Estimate
    ppv: float | None
    ppv_interval: tuple[float, float]
    npv: float | None
    npv_interval: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtPrior:
    """What the picture's P(ai) becomes at another share of AI-generated pictures.

    The decision stays: coverage is promised within each class, whatever the classes' shares.

    Attributes:
        prior: Share of AI-generated pictures where this one came from, in (0, 1).
        p_ai: Posterior P(ai) at `prior`, by Bayes' rule.
        interval: The credible interval at `prior`, low then high.
        evidence: Logarithm of the likelihood ratio, nats: above 0 supports AI-generated. Does not
            depend on `prior`; null in JSON where it is infinite.
        evidence_interval: The same of the ends of the credible interval.
        predictive: What the model's decisions are worth at `prior`; null where its card has no
            measured error rates.
    """

    prior: float
    p_ai: float
    interval: tuple[float, float]
    evidence: float
    evidence_interval: tuple[float, float]
    predictive: PredictiveValues | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The answer about one picture.

    Attributes:
        path: The path as it was given; null for pictures that came as bytes or arrays.
        sha256: Of the bytes before decoding (of the raw pixels where no bytes came).
        decision: Of all faces together. `ai` if one is, or, where there are several, if one stands
            out or all together do. `real` if one is, none is `ai`, all together are, and no face
            of a comparable size was too small to judge. Else `undecided`.
        p_ai: P(ai) of the lead face; null where nothing could be judged.
        interval: Credible interval of `p_ai`, low then high; null where nothing could be judged.
        reasons: Why, most important first.
        lead_index: Place in `faces` of the face that the decision rests on: of the faces with that
            decision, the one with the highest P(ai); where none has it, or under `one_of_many`, the
            one whose decision the picture as a whole does not bear out. Null where nothing could be
            judged.
        faces: Largest first.
        claims: What the file says about its own origin. They move no other number of this report.
        headline: What is known of the origin, in a sentence or two: the file's words, and the
            pixels' verdict where both speak.
        declared: What the file says, in one word.
        coverage: Promised share of prediction sets that hold the truth, within each class: the
            smaller of the two below.
        coverage_of_reals: The same for real pictures: at most 1 minus this share of them are
            called `ai`.
        coverage_of_ai: The same for AI-generated pictures, called `real`.
        level: Mass of the credible intervals.
        prior: Share of AI-generated pictures that every P(ai) here assumes.
        at_prior: The answer at another share; null unless asked for, and where nothing could be
            judged.
        width: px, after EXIF orientation.
        height: px, after EXIF orientation.
        steps: What was done to the picture on the way in ("EXIF orientation 6 applied", ...).
        frames: Pictures in the file; one was judged. Or pages; as far as they can be counted,
            and without reduced copies. `steps` says which one it was.
        damage: Null where there is none.
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
    faces: tuple[FaceResult, ...]
    claims: tuple[Claim, ...] = ()
    headline: str = ""
    declared: Declared = Declared.NONE
    coverage: float
    coverage_of_reals: float
    coverage_of_ai: float
    level: float
    prior: float
    at_prior: AtPrior | None = None
    width: int
    height: int
    steps: tuple[str, ...]
    frames: int = 1
    damage: Damage | None = None
    model: str
    version: str

    def __post_init__(self) -> None:
        lead = self.lead
        verdict = lead.verdict if lead else None
        told = None if self.p_ai is None else (self.p_ai, self.interval)
        own = {verdict.decision if verdict else Decision.UNDECIDED, Decision.UNDECIDED}
        if (verdict and (verdict.p_ai, verdict.interval)) != told or self.decision not in own:
            raise ValueError(
                "A report's P(ai) is that of its lead face, and so is its decision, or `undecided`."
            )

    @property
    def lead(self) -> FaceResult | None:
        """The face that the decision rests on; None where nothing could be judged."""
        return None if self.lead_index is None else self.faces[self.lead_index]

    def promise(self, decision: Decision) -> float:
        """Return the coverage within the class about which a decision would be a mistake.

        To say `ai` of a real picture, its prediction set has to leave `real` out, which happens to
        at most 1 - `coverage_of_reals` of them; `real` likewise. For `undecided`, `coverage`.
        """
        own = {Decision.AI: self.coverage_of_reals, Decision.REAL: self.coverage_of_ai}
        return own.get(decision, self.coverage)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, of the published shape (`veridical schema`)."""
        return told(REPORT, self)

    def to_json(self) -> str:
        """Return the report as one line of ASCII JSON, at full precision."""
        return json.dumps(self.to_dict(), allow_nan=False)

    def _repr_html_(self) -> str:
        """Return a card for notebooks."""
        # The one look upwards: a notebook asks the value, and the words are in `present`.
        return str(import_module("veridical.present.html").card(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A picture that could not be judged. In a batch a failure is a result like any other.

    Attributes:
        path: The path as it was given; null for pictures that came as bytes or arrays.
        error: What came and what was wanted.
        hint: What to do.
        bug: A traceback if the fault is ours, else null.
        cli_hint: What to do at the command line, where `hint` speaks of Python.
    """

    path: str | None
    error: str
    hint: str
    bug: str | None = None
    cli_hint: str | None = field(default=None, metadata={"json": False})

    def to_dict(self) -> dict[str, Any]:
        """Return the failure as plain values, of the published shape (`veridical schema`)."""
        return told(FAILURE, self)

    def to_json(self) -> str:
        """Return the failure as one line of ASCII JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


@runtime_checkable
class _Located(Protocol):
    @property
    def path(self) -> str | None: ...


def told(schema: Kind, value: _Located) -> dict[str, Any]:
    """Return plain values; `path_bytes` holds a name that is no Unicode, to the byte, in hex."""
    found = plain(value)
    assert isinstance(found, dict)
    if value.path is not None and found["path"] != value.path:
        with suppress(UnicodeEncodeError):  # no file of this system can have that name
            found["path_bytes"] = os.fsencode(value.path).hex()
    return {"schema": schema, **found}


def path_of(entry: dict[str, Any]) -> str | None:
    """Return the path that a JSON record was made for, to the byte; None if there was none."""
    if "path_bytes" in entry:
        return os.fsdecode(bytes.fromhex(entry["path_bytes"]))
    path: str | None = entry["path"]
    return path
