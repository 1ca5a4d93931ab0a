"""The nouns that leave the program: small frozen values. Equal fields, equal answers."""

from dataclasses import dataclass
from enum import StrEnum
from math import isfinite


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
    NO_FACE = "no_face"
    WHOLE_IMAGE = "whole_image"
    FACES_DISAGREE = "faces_disagree"

    @property
    def says(self) -> str:
        """The reason as a sentence for people."""
        return _SAYS[self]

    @property
    def plainly(self) -> str:
        """The reason for somebody who has never read about statistics."""
        return _PLAINLY[self]


_SAYS = {
    Reason.WITHIN_COVERAGE: "one answer alone fits at the stated coverage",
    Reason.BOTH_PLAUSIBLE: "both answers fit at the stated coverage",
    Reason.NEITHER_PLAUSIBLE: "neither answer fits at the stated coverage",
    Reason.INTERVAL_TOO_WIDE: "the credible interval is too wide to stand behind",
    Reason.UNLIKE_TRAINING: "unlike anything the model was trained on",
    Reason.CHANGES_UNDER_RECOMPRESSION: (
        "the verdict changes when the picture is saved again or made smaller"
    ),
    Reason.FACE_TOO_SMALL: "too few pixels of the face to judge",
    Reason.NO_FACE: "no face found",
    Reason.WHOLE_IMAGE: "the whole frame was judged as asked; its error rate was not measured",
    Reason.FACES_DISAGREE: "the faces in the picture have different verdicts",
}

# WITHIN_COVERAGE means nothing without the decision and the coverage; see `render.terminal`.
_PLAINLY = {
    Reason.WITHIN_COVERAGE: "in our tests, few pictures of the other kind looked like this",
    Reason.BOTH_PLAUSIBLE: (
        "in our tests, real and AI-generated pictures both looked like this to the model"
    ),
    Reason.NEITHER_PLAUSIBLE: (
        "in our tests, few pictures of either kind looked like this to the model"
    ),
    Reason.INTERVAL_TOO_WIDE: "the model's own estimate leaves both answers open",
    Reason.UNLIKE_TRAINING: "too unlike the pictures that the model learnt from",
    Reason.CHANGES_UNDER_RECOMPRESSION: (
        "the verdict changes when the picture is saved again or made smaller"
    ),
    Reason.FACE_TOO_SMALL: "the face has too few pixels to be judged",
    Reason.NO_FACE: "no face was found, and only faces are judged",
    Reason.WHOLE_IMAGE: (
        "the whole frame was judged as asked, and how often that goes wrong was not measured"
    ),
    Reason.FACES_DISAGREE: "the faces in the picture have different verdicts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An upright rectangle in the pixels of the photo after EXIF orientation.

    Attributes:
        left: Distance of the left edge from the photo's left edge, px.
        top: Distance of the upper edge from the photo's upper edge, px.
        width: px.
        height: px.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"A box needs a positive size; got {self.width} x {self.height} px.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """What was said of one face when its picture was saved again or made smaller.

    Attributes:
        copies: Names of the copies.
        p_ai: Calibrated P(ai) of each of them.
    """

    copies: tuple[str, ...]
    p_ai: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.copies) != len(self.p_ai) or not self.copies:
            raise ValueError(
                "A stability needs one P(ai) for each copy, and a copy; "
                f"got {len(self.p_ai)} for {len(self.copies)}."
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
    """What the detector believes about one face.

    Attributes:
        decision: The claim we stand behind at the report's coverage; may be UNDECIDED.
        p_ai: Calibrated posterior predictive P(ai).
        interval: Central credible interval of P(ai), low then high.
        std: Posterior standard deviation of P(ai).
        total: Entropy of the predictive, nats.
        aleatoric: Expected entropy under the posterior, nats.
        epistemic: Mutual information of label and weights, nats; total = aleatoric + epistemic.
        distance: Distance from the training features; 1 is the limit beyond which we abstain.
        reasons: Why the decision is what it is, most telling first.
        stability: What copies of the picture got; None where none were looked at, as where the
            original is undecided already. All numbers above are of the picture as delivered.
    """

    decision: Decision
    p_ai: float
    interval: tuple[float, float]
    std: float
    total: float
    aleatoric: float
    epistemic: float
    distance: float
    reasons: tuple[Reason, ...]
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
        statistics: What was measured, as (name, value), in the cue's order; what could not be
            measured on this face is left out. Units are told by the cue.
        llr: Log-likelihood ratio of `ai` against `real`, nats; positive speaks for `ai`. None where
            the cue has no measured worth: then it informs, and weighs nothing.
        plain: One sentence for anybody.
        technical: One sentence for an expert, with numbers and units.
    """

    cue: str
    statistics: tuple[tuple[str, float], ...]
    llr: float | None
    plain: str
    technical: str

    def __post_init__(self) -> None:
        values = [value for _, value in self.statistics]
        if not all(map(isfinite, [*values, self.llr or 0.0])):
            raise ValueError(f"A reading needs finite numbers; got {self.statistics}, {self.llr}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A forensic cue that has nothing to say about one face. Silence is no evidence.

    Attributes:
        cue: Its name.
        why: What was wanted and what came, as a sentence.
    """

    cue: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceReport:
    """One face and what is believed about it.

    Attributes:
        box: Where the detector saw the face; the whole frame under `whole_image`.
        landmarks: Eyes, nose tip and mouth corners as (x, y) px, the person's right eye first;
            empty under `whole_image`.
        detection: The face detector's confidence in [0, 1].
        verdict: The belief, or None where there is nothing to judge (a face too small).
        reasons: The verdict's reasons, or why there is none.
    """

    box: Box
    landmarks: tuple[tuple[float, float], ...]
    detection: float
    verdict: Verdict | None
    reasons: tuple[Reason, ...]

    @property
    def decision(self) -> Decision:
        """The verdict's decision; UNDECIDED where there is none."""
        return self.verdict.decision if self.verdict else Decision.UNDECIDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The answer about one picture.

    The picture's decision is that of its faces taken together: `ai` if any face is `ai`, else
    `undecided` if any face is (or there is none), else `real`. `p_ai` and `interval` are those of
    the face that the decision rests on: among the faces with that decision, the one with the
    highest P(ai). Faces too small to judge have no say beside one that was judged.

    Attributes:
        path: The path as it was given; None for pictures that came as bytes or arrays.
        sha256: Of the bytes before decoding (of the raw pixels where no bytes came).
        width: px, after EXIF orientation.
        height: px, after EXIF orientation.
        steps: What was done to the picture on the way in ("EXIF orientation 6 applied", ...).
        faces: Largest first.
        decision: See above.
        p_ai: None where nothing could be judged.
        interval: None where nothing could be judged.
        reasons: Why, most telling first.
        coverage: Share of prediction sets promised to hold the truth, within each class: the
            smaller of `coverage_of_reals` and `coverage_of_ai`.
        level: Mass of the credible intervals.
        model: First 12 hex digits of the SHA-256 of the model that spoke.
        version: Of this program.
        prior: Share of AI-generated pictures that every P(ai) here presumes: one half where the
            classes weighed alike in calibration. `veridical.prior.at_prior` answers for another.
        coverage_of_reals: Share of the prediction sets of real pictures promised to hold `real`.
            None where the model does not say; then `coverage` is what is promised.
        coverage_of_ai: Share of those of AI-generated pictures promised to hold `ai`, likewise.
    """

    path: str | None
    sha256: str
    width: int
    height: int
    steps: tuple[str, ...]
    faces: tuple[FaceReport, ...]
    decision: Decision
    p_ai: float | None
    interval: tuple[float, float] | None
    reasons: tuple[Reason, ...]
    coverage: float
    level: float
    model: str
    version: str
    prior: float = 0.5
    coverage_of_reals: float | None = None
    coverage_of_ai: float | None = None

    def promise(self, decision: Decision) -> float:
        """Return the coverage within the class about which a decision would be a mistake.

        To say `ai` of a real picture, its prediction set has to leave `real` out, which happens to
        at most 1 - `coverage_of_reals` of them; `real` likewise. For `undecided`, `coverage`.
        """
        own = {Decision.AI: self.coverage_of_reals, Decision.REAL: self.coverage_of_ai}
        known = own.get(decision)
        return self.coverage if known is None else known


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A picture that could not be judged. In a batch a failure is a result like any other.

    Attributes:
        path: The path as it was given; None for pictures that came as bytes or arrays.
        error: What came and what was wanted.
        hint: What to do.
        bug: A traceback if the fault is ours, else None.
    """

    path: str | None
    error: str
    hint: str
    bug: str | None = None
