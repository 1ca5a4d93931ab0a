"""Every sentence that people read about a verdict.

The terminal, the page, the figure and the notebook card take their words from here.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from veridical.claims import Declared
from veridical.infer.priors import EVEN, posterior
from veridical.present.numbers import chances, nats, percent, pictures, ratio, share, span
from veridical.report import (
    AtPrior,
    CropEvidence,
    Damage,
    Decision,
    FaceResult,
    NotApplicable,
    PredictiveValues,
    Reading,
    Reason,
    Report,
    Stability,
    Verdict,
)
from veridical.video import Answer

WORD = {Decision.REAL: "REAL", Decision.AI: "AI-GENERATED", Decision.UNDECIDED: "UNDECIDED"}
NAME = {Decision.REAL: "real", Decision.AI: "AI-generated"}
NOT_JUDGED = "NOT JUDGED"
NOTHING_KNOWN = "Nothing is known about this picture. This supports neither answer."

OPINION = "A verdict is one opinion with an error rate. It is no proof."
_NOT_TRUE = "Real does not mean true: a photo can be staged, old, or shown in a wrong context."
_NOT_WHO = "AI-generated does not say who made the picture, or why."
LIMITS = (
    f"{OPINION} Check the source, the context and other copies, and never accuse a person because "
    "of it.",
    f"{_NOT_TRUE} {_NOT_WHO}",
    "New generators may pass as real. The numbers hold for pictures like those that the model was "
    "tested on.",
    "Only photographs of whole faces are judged. Face swaps, local edits, filters, drawings and "
    "3D renderings are out of scope.",
    "A map shows what the model used. It does not show what is wrong with the picture.",
)
"""What no verdict can mean."""

NOT_MEANT = {
    Decision.REAL: f"{_NOT_TRUE} It is no proof.",
    Decision.AI: f"{_NOT_WHO} It is no proof: never accuse a person because of it.",
    Decision.UNDECIDED: (
        "Undecided supports neither answer. It is no sign that something is wrong with the picture."
    ),
}
"""The most important of them beside each answer."""

# --- reasons -----------------------------------------------------------------------------------

_SAYS = {
    Reason.WITHIN_COVERAGE: "only one answer is plausible at this coverage",
    Reason.BOTH_PLAUSIBLE: "both answers are plausible at this coverage",
    Reason.NEITHER_PLAUSIBLE: "neither answer is plausible at this coverage",
    Reason.INTERVAL_TOO_WIDE: "the credible interval includes 1/2",
    Reason.UNLIKE_TRAINING: "the out-of-distribution score is above 1",
    Reason.CHANGES_UNDER_RECOMPRESSION: "the verdict changes in perturbed copies",
    Reason.FACE_TOO_SMALL: "the face has fewer pixels than the model needs",
    Reason.DAMAGED: "the file is damaged",
    Reason.FEW_LOOKS: "the face was seen in too few frames",
    Reason.NO_FACE: "no face was found",
    Reason.WHOLE_IMAGE: "the whole frame was judged as asked; its error rate was not measured",
    Reason.FACES_DISAGREE: "the faces in the picture have different verdicts",
    Reason.ONE_OF_MANY: (
        "one face of several is called ai, not beyond the threshold for so many faces"
    ),
}
_PLAINLY = {
    Reason.WITHIN_COVERAGE: "few pictures of the other kind looked like this in our tests",
    Reason.BOTH_PLAUSIBLE: (
        "real and AI-generated pictures both looked like this to the model in our tests"
    ),
    Reason.NEITHER_PLAUSIBLE: "few pictures of either kind looked like this in our tests",
    Reason.INTERVAL_TOO_WIDE: "the model's own estimate leaves both answers open",
    Reason.UNLIKE_TRAINING: "this is too unlike the pictures that the model was trained on",
    Reason.CHANGES_UNDER_RECOMPRESSION: (
        "the answer changes when the picture is saved again or made smaller"
    ),
    Reason.FACE_TOO_SMALL: "the face has too few pixels to be judged",
    Reason.DAMAGED: "the file is damaged, and what is missing or wrong is not judged",
    Reason.FEW_LOOKS: "the face is seen too briefly to be judged",
    Reason.NO_FACE: "no face was found, and only faces are judged",
    Reason.WHOLE_IMAGE: (
        "the whole frame was judged as asked, and how often that is wrong was not measured"
    ),
    Reason.FACES_DISAGREE: "the faces in the picture have different verdicts",
    Reason.ONE_OF_MANY: (
        "one face looks AI-generated; of a picture with several faces more is asked before it is "
        "called so"
    ),
}
_SHORT = {
    Reason.WITHIN_COVERAGE: "clear enough",
    Reason.BOTH_PLAUSIBLE: "both plausible",
    Reason.NEITHER_PLAUSIBLE: "neither plausible",
    Reason.INTERVAL_TOO_WIDE: "interval too wide",
    Reason.UNLIKE_TRAINING: "unlike training",
    Reason.CHANGES_UNDER_RECOMPRESSION: "changes in copies",
    Reason.FACE_TOO_SMALL: "face too small",
    Reason.DAMAGED: "damaged file",
    Reason.FEW_LOOKS: "seen too briefly",
    Reason.NO_FACE: "no face found",
    Reason.WHOLE_IMAGE: "whole frame",
    Reason.FACES_DISAGREE: "faces disagree",
    Reason.ONE_OF_MANY: "one of many faces",
}
_NEXT = {
    Reason.WITHIN_COVERAGE: "Check the source and the context too.",
    Reason.BOTH_PLAUSIBLE: "Look for an earlier copy, or a larger one if the face is small.",
    Reason.NEITHER_PLAUSIBLE: (
        "If many of your photos get this answer, fit the thresholds to them{calibrate}."
    ),
    Reason.INTERVAL_TOO_WIDE: (
        "Let a person look at the face, first at the places in the map{explain}."
    ),
    Reason.UNLIKE_TRAINING: (
        "Check what the file says about its own origin, and the source: the model does not know "
        "such pictures."
    ),
    Reason.CHANGES_UNDER_RECOMPRESSION: "Look for the original file, or an earlier copy.",
    Reason.FACE_TOO_SMALL: "Look for a larger copy of the picture.",
    Reason.DAMAGED: "Get the file again, or look for an undamaged copy.",
    Reason.FEW_LOOKS: "Look at more frames{frames}.",
    Reason.NO_FACE: (
        "Crop the picture to the face, if there is one; if it is small, look for a larger copy."
    ),
    Reason.WHOLE_IMAGE: "Judge the faces instead, if there are any.",
    Reason.FACES_DISAGREE: "Read the answer about each face before you act.",
    Reason.ONE_OF_MANY: "Let a person look at that face, and check the source.",
}
_NEXT_WITHIN = {
    Decision.AI: "Check the source. Never accuse a person because of this.",
    Decision.REAL: "Check the source too: a real photo can be staged or old.",
}
_SIGNED = "Begin with the signed credential: it says that the file is AI-generated."
_COMMANDS = {
    "{calibrate}": ": `veridical calibrate`",
    "{explain}": " (`--explain`)",
    "{frames}": ": a smaller --every, or --from and --to",
}
_BESIDE = (
    Reason.WHOLE_IMAGE,
    Reason.FACES_DISAGREE,
    Reason.DAMAGED,
)  # said even where they are not the first


DECLARED = "What the files say of their origin"
_DECLARED = {
    Declared.AI_SIGNED: "AI, signed",
    Declared.AI_UNVERIFIED: "AI, unverified",
    Declared.CAPTURE_SIGNED: "camera, signed",
    Declared.CAPTURE_UNVERIFIED: "camera, unverified",
    Declared.TAMPERED: "broken credential",
    Declared.NONE: "-",
}


def declares(declared: Declared) -> str:
    """Return what a file says of its own origin, in a few words."""
    return _DECLARED[declared]


def says(reason: Reason) -> str:
    """Return a reason as a phrase for experts."""
    return _SAYS[reason]


def plainly(reason: Reason) -> str:
    """Return a reason for somebody who has never read about statistics."""
    return _PLAINLY[reason]


def shortly(reason: Reason) -> str:
    """Return a reason in a few words, for one line per picture."""
    return _SHORT[reason]


def because(reasons: Iterable[Reason], report: Report) -> Iterator[str]:
    """Return each reason for experts, and the coverage in numbers where it is one.

    Args:
        reasons: Of the report, or of one of its faces.
        report: Says what is promised.
    """
    given = list(reasons)
    yield from map(says, given)
    if any("this coverage" in says(reason) for reason in given):
        yield (
            f"coverage: {percent(report.coverage_of_reals)} for real pictures, "
            f"{percent(report.coverage_of_ai)} for AI-generated ones"
        )


def promised(decision: Decision, coverage: float, what: str = "pictures") -> str:
    """Say how many (of `what`) of the other kind may get this decision, as a phrase."""
    other = NAME[Decision.REAL if decision is Decision.AI else Decision.AI]
    crowd = 100
    while (wrong := (1 - coverage) * crowd) < 1 - 1e-6 and crowd < 10**6:
        crowd *= 10
    return (
        f"of {crowd:,} {other} {what} like those in our tests, at most about {wrong:.2g} "
        f"would be called {NAME[decision]} by mistake (the promised limit)"
    )


def why(decision: Decision, reasons: Sequence[Reason], coverage: float | None) -> str:
    """Say why in a sentence or two, for somebody who has to act on the answer.

    Args:
        decision: Of a picture, or of one face.
        reasons: Its reasons, the most important first.
        coverage: Promised within the class about which the decision would be a mistake; see
            `Report.promise`. None to say it without numbers.
    """
    told = [plainly(reason) for reason in reasons[:1]]
    if (
        Reason.WITHIN_COVERAGE in reasons[:1]
        and decision is not Decision.UNDECIDED
        and coverage is not None
    ):
        told = [promised(decision, coverage)]
    told += [plainly(reason) for reason in _BESIDE if reason in reasons[1:]]
    return " ".join(map(sentence, told))


def next_step(decision: Decision, reasons: Sequence[Reason], *, commands: bool = True) -> str:
    """Say what to do about an answer, in one sentence for each reason that is told.

    Args:
        decision: Of a picture, or of one face.
        reasons: Its reasons.
        commands: Name the program's commands; on paper they help nobody.
    """
    first = reasons[:1]
    told = [_NEXT[reason] for reason in (*first, *(one for one in _BESIDE if one in reasons[1:]))]
    if Reason.WITHIN_COVERAGE in first and decision in _NEXT_WITHIN:
        told[0] = _NEXT_WITHIN[decision]
    return with_commands(" ".join(told), commands)


def with_commands(text: str, commands: bool) -> str:
    """Put the program's commands into a sentence, or leave them out."""
    for place, command in _COMMANDS.items():
        text = text.replace(place, command if commands else "")
    return text


def what_to_do(report: Report, *, commands: bool = True) -> str:
    """Say what to do about the answer to a picture.

    Args:
        report: The answer.
        commands: Name the program's commands.
    """
    step = next_step(report.decision, report.reasons, commands=commands)
    return after_declared(report.declared, report.decision, step)


def after_declared(declared: Declared, decision: Decision, step: str) -> str:
    """Return a next step; behind what a checked signature says, where the pixels do not say it."""
    if declared is Declared.AI_SIGNED and decision is not Decision.AI:
        return f"{_SIGNED} {step}"
    return step


# --- uncertainty -------------------------------------------------------------------------------

SURENESS = (  # nats: the entropy of a coin that shows one side in 99, 95 and 80 of 100 throws
    (0.056, "sure"),
    (0.199, "fairly sure"),
    (0.500, "not very sure"),
)
_NEARLY_ALL = 0.9  # share of the uncertainty above which the other part is not named
_ALIKE = "real and AI-generated pictures like this one look alike to it"
_SOME = "some pictures of the other kind look like this one to it"
_UNKNOWN = "it was trained on too few pictures like this one"


def in_words(verdict: Verdict, reasons: Sequence[Reason] = ()) -> str:
    """Say how sure the model is, and why it is not.

    How sure goes by the entropy of the predictive: below that of a coin that shows one side in 99
    of 100 throws (0.056 nats) the model is "sure", below 95 (0.199) "fairly sure", below 80
    (0.500) "not very sure", else "unsure". A cause is named from "not very sure" on, and goes by
    the parts of the entropy: with nine tenths or more in one part the other is not named. That the
    kinds look alike is said of an undecided face that the model is unsure about, and of no other:
    a decided one is more like one kind. This is the model's own view: about a face unlike its
    training pictures it says little, and the sentence says so.

    Args:
        verdict: On one face.
        reasons: Of the same face.
    """
    total, aleatoric, epistemic = verdict.total, verdict.aleatoric, verdict.epistemic
    if not all(map(math.isfinite, (total, aleatoric, epistemic))):
        return "the model's uncertainty is not a number; please report this"
    sure = next((word for limit, word in SURENESS if total < limit), "unsure")
    part = epistemic / total if total > 0 else 0.0
    undecided = verdict.decision is Decision.UNDECIDED and total >= SURENESS[2][0]
    kinds = _ALIKE if undecided else _SOME
    if total < SURENESS[1][0]:
        cause = ""
    elif part <= 1 - _NEARLY_ALL:
        cause = f": {kinds}"
    elif part < 0.5:
        cause = f", mostly because {kinds}, partly because {_UNKNOWN}"
    elif part < _NEARLY_ALL:
        cause = f", mostly because {_UNKNOWN}, partly because {kinds}"
    else:
        cause = f": {_UNKNOWN}"
    numbers = f"aleatoric {nats(aleatoric)}, epistemic {nats(epistemic)}"
    if Reason.UNLIKE_TRAINING in reasons:
        cause += "; about a face unlike its training pictures this says little"
    return f"the model is {sure}{cause} ({numbers})"


def no_suspicion(verdict: Verdict) -> str:
    """Keep people from taking the model's uncertainty for a suspicion; empty where it is sure."""
    unsure = verdict.total >= SURENESS[1][0] and verdict.aleatoric > verdict.epistemic
    return "This is no sign that something is wrong with the picture." if unsure else ""


def of_copies(stability: Stability, reasons: Sequence[Reason] = ()) -> str:
    """Say what became of P(ai) in perturbed copies of the picture, and of the verdict."""
    copies = zip(stability.perturbations, stability.p_ai, stability.answers, strict=True)
    each = ", ".join(
        f"{name} {share(p)} ({NAME.get(answer, answer.value)})" for name, p, answer in copies
    )
    told = f"P(ai) and answer of copies, saved again or made smaller: {each}. "
    # Only what would be called `ai` is tried in copies.
    if Reason.CHANGES_UNDER_RECOMPRESSION in reasons:
        return f"{told}The answer is withdrawn: a copy has P(ai) below 1/2, or is called real"
    return f"{told}The answer is kept: no copy has P(ai) below 1/2, and none is called real"


def distance(verdict: Verdict) -> str:
    """Say how far a face is from the training pictures."""
    side = "above 1: too unlike them to decide" if verdict.distance > 1 else "at most 1: like them"
    return f"{verdict.distance:.2f} from the training pictures ({side})"


_CROPS = {"face": "the face itself", "context": "the face with what is around it"}


def of_crop(crop: CropEvidence) -> str:
    """Say what a crop shows."""
    return _CROPS.get(crop.crop, crop.crop)


def of_crops(face: FaceResult) -> str:
    """Say what each crop of a face adds to its verdict."""
    told = (
        f"{of_crop(one)} supports "
        f"{NAME[Decision.AI if one.evidence > 0 else Decision.REAL]} ({one.evidence:+.2f} nats)"
        for one in face.crops
    )
    return ", ".join(told)


_LIES = {90: "on its side", 180: "upside down", 270: "on its side"}


def of_turn(face: FaceResult) -> str:
    """Say that a face was turned to be judged; empty where it was upright."""
    return f"lies {_LIES[face.turn]}, was judged upright" if face.turn else ""


# --- the file ----------------------------------------------------------------------------------

_DAMAGE = {
    "cut_off": "the data end early: {} of the picture is missing",
    "corrupt": "the data contradict themselves: at least {} of the picture is wrong",
    "scans_missing": "passes are missing: {} of the detail or colour did not come",
}


_ALL = 0.995  # of the picture: then a coarse version of it may be there
_COARSE = "the data end early: at best a coarse version of the picture came"


def of_damage(damage: Damage, height: int) -> str:
    """Say what is wrong with a file's data, how much of the picture that costs, and where.

    Args:
        damage: Of the picture.
        height: Of the picture, px.
    """
    part = "a little" if damage.share < 0.01 else percent(round(damage.share, 2))
    missing = damage.kind == "cut_off" and damage.share > _ALL
    told = _COARSE if missing else _DAMAGE[damage.kind].format(part)
    if damage.kind != "scans_missing" and damage.area.height == height and damage.share < 1:
        told += "; the rest may be wrong too"
    return told


def of_frames(report: Report) -> str:
    """Say that a file holds more than was judged; empty where it does not."""
    told = [step for step in report.steps if step.endswith(" passed over")]
    if report.frames > 1:
        took = [step for step in report.steps if step.endswith(" taken") and " of " in step]
        which = f" ({took[0]})" if took else ""
        told.insert(0, f"only one of {report.frames} was judged{which}; the others may differ")
    return "; ".join(told)


def of_frames_shortly(report: Answer) -> str:
    """The same in a few words, for one line per picture."""
    if not isinstance(report, Report) or report.frames == 1:
        return ""
    return f"1 of {report.frames} frames"


# --- base rates --------------------------------------------------------------------------------


def assumption(prior: float) -> str:
    """Return what a P(ai) assumes about the share of AI-generated pictures."""
    return f"{_part(prior)} of the pictures are AI-generated"


def assumed(prior: float) -> str:
    """Say once for many pictures what their P(ai) assume."""
    return f"P(ai) assumes that {assumption(prior)}."


def _part(prior: float) -> str:
    return "half" if prior == EVEN else percent(prior)


def at_share(at: AtPrior) -> str:
    """Return what a P(ai) becomes at another share of AI-generated pictures."""
    return f"P(ai) {share(at.p_ai)}, {span(at.interval)}"


def weight(at: AtPrior) -> str:
    """Return the evidence of a picture, whatever the share of AI-generated pictures."""
    low, high = map(ratio, at.evidence_interval)
    side = "AI-generated" if at.evidence > 0 else "real"
    return (
        f"likelihood ratio {ratio(at.evidence)}, {low} to {high}: "
        f"{abs(at.evidence):.2f} nats in support of {side}"
    )


_RARE = 0.01  # share of AI-generated pictures that a probability is also told for


def in_chances(verdict: Verdict, prior: float, what: str = "this face") -> str:
    """Say P(ai) of a picture or face in whole chances, also where AI-generated ones are rare."""
    told = f"if {_part(prior)} of all pictures are AI-generated, the model gives {what} "
    told += f"{chances(verdict.p_ai)} to be AI-generated"
    if prior > _RARE:
        told += f"; if {percent(_RARE)} are, {chances(posterior(verdict.p_ai, _RARE, prior))}"
    undecided = verdict.decision is Decision.UNDECIDED
    return f"{told}. The answer is undecided: do not rely on this number" if undecided else told


_QUOTIENT = 0.0005  # largest difference that rounding may make


def in_numbers(prior: float, values: PredictiveValues | None) -> str:
    """Say what the decisions are worth at a share of AI-generated pictures, in whole pictures.

    Natural frequencies are read rightly by far more people than percentages of percentages
    (Gigerenzer and Hoffrage, "How to improve Bayesian reasoning without instruction",
    Psychological Review 102(4), 1995).
    """
    if values is None:
        return (
            "How many of the photos called ai are AI-generated is not known: the error rates of "
            "this model were not measured."
        )
    crowd = 1000
    while min(prior, 1 - prior) * crowd < 10 - 1e-6 and crowd < 10**9:
        crowd *= 10
    alarms = values.called_ai
    called, right = alarms.value * crowd, values.rightly_ai.value * crowd
    # Whole pictures, unless their quotient would then be another than the PPV that follows.
    rounded = round(right) / max(1, round(called))
    whole = values.ppv is None or abs(rounded - values.ppv) < _QUOTIENT
    about, rightly = (
        f"about {pictures(called)}" if whole else f"about {called:,.1f}",
        pictures(right) if whole else f"{right:,.1f}",
    )
    if values.ppv is None:  # no real one was called ai when that was measured: no certainty
        about = f"{pictures(alarms.value * crowd)} to {pictures(alarms.high * crowd)}"
    return (
        f"Of {crowd:,} photos of which {pictures(prior * crowd)} are AI-generated, {about} would "
        f"be called ai; about {rightly} of those would really be AI-generated.\n"
        f"Right among those called ai (PPV): {_value(values.ppv, values.ppv_interval)}. "
        f"Right among those called real (NPV): {_value(values.npv, values.npv_interval)}. "
        f"The ranges combine the worst and the best ends of the error rates' 95 % intervals. "
        f'The rates were measured on the set "{values.split}", and hold for photos like those.'
    )


def _value(value: float | None, interval: tuple[float, float]) -> str:
    ends = f"at least {share(interval[0])}" if interval[1] == 1 else span(interval)
    return ends if value is None else f"{share(value)}, {ends}"


# --- forensic cues -----------------------------------------------------------------------------

ABOUT_CUES = (
    "Forensic cues measure the pixels and the file without the network. They do not move the "
    "verdict: on other pictures they did not make it better."
)


def of_cues(report: Report, *, technical: bool = False) -> Iterator[tuple[str, str]]:
    """Say what forensic cues saw, as (label, line): one line for each that speaks.

    Args:
        report: Its faces hold the readings.
        technical: Say it for experts, and also which cues could not be measured, and why.
    """
    for number, face in enumerate(report.faces, start=1):
        if face.readings is None:
            continue
        lines = [line for one in face.readings if (line := _of_cue(one, technical))]
        label = "Cues" if len(report.faces) == 1 else f"Cues, face {number}"
        for line in lines or ["No cue could be measured on this face."]:
            yield label, line
            label = ""


def _of_cue(answer: Reading | NotApplicable, technical: bool) -> str:
    if isinstance(answer, Reading):
        return f"{answer.cue}: {answer.technical}" if technical else answer.plain
    return f"{answer.cue}: not measured. {answer.why}" if technical else ""


# --- what was not judged -----------------------------------------------------------------------

_PASSED_OVER = {  # one, several
    "hidden": ("hidden", "hidden"),
    "link": ("broken or repeated link", "broken or repeated links"),
    "special": ("pipe, socket or device", "pipes, sockets or devices"),
    "raw": ("camera raw", "camera raw"),
    "other format": ("in a format that is not read", "in formats that are not read"),
    "empty": ("empty", "empty"),
    "unreadable": ("unreadable", "unreadable"),
    "no picture": ("not a picture", "not pictures"),
    "no class": ("beside the class folders", "beside the class folders"),
}


def passed_over(counts: Counter[str], *, listed: bool) -> str:
    """Say how many files and folders below the given folders were passed over, and why."""
    parts = "; ".join(
        f"{counts[why]} {one if counts[why] == 1 else several}"
        for why, (one, several) in _PASSED_OVER.items()
        if counts[why]
    )
    more = "" if listed else " (--list-skipped names them)"
    return f"{counts.total()} passed over in folders{more}: {parts}."


# --- text --------------------------------------------------------------------------------------


def sentence(text: str) -> str:
    """Return a phrase as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def printable(text: str) -> str:
    r"""Escape every character that does not show as itself: ESC becomes ``\x1b``.

    Control characters can drive a terminal, and turned writing direction can disguise a name.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
