"""The sentences of a report that is filed, beside those of `words.py`.

The conclusion is worded for two propositions that exclude each other, as the guideline of the
European forensic institutes asks (ENFSI, "Guideline for evaluative reporting in forensic science",
2015, sections 2.4 and 4.1). How strongly the result supports one of them is a likelihood ratio, and
it comes from what was measured: how often the model gives this answer to AI-generated pictures,
over how often to real ones.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from veridical.infer.priors import SPLITS, evidence
from veridical.present.numbers import percent, ratio, share, span
from veridical.present.words import NAME, assumption, printable
from veridical.report import Decision, Estimate, Reason, Report

REDACTED = "[redacted]"
NONE_GIVEN = "not given"

TITLE = "Report on the examination of a picture"
PROPOSITIONS = (
    "Proposition 1: a generative model made the picture (AI-generated).",
    "Proposition 2: the picture is a photograph of a person, taken with a camera (real).",
)
SUPPORTS, DOES_NOT, NOTHING = "supports", "does_not_support", "no_conclusion"
SCALE = {Decision.AI: SUPPORTS, Decision.REAL: DOES_NOT, Decision.UNDECIDED: NOTHING}
"""The answer on the scale of support for proposition 1, for programs."""

_CONCLUSION = {
    SUPPORTS: (
        "The examination supports the proposition that a generative model made the picture, "
        "against the proposition that it is a photograph."
    ),
    DOES_NOT: (
        "The examination does not support the proposition that a generative model made the "
        "picture. It supports the proposition that it is a photograph."
    ),
    NOTHING: (
        "The examination gives no conclusion. It supports neither of the two propositions. "
        "This is a result, and no sign that something is wrong with the picture."
    ),
}
WHAT_IS_ASKED = (
    "The conclusion is one of three: the examination supports proposition 1, it does not support "
    "proposition 1, or it gives no conclusion. It rests on the pixels alone."
)
MANY_FACES = (
    "The conclusion is about the picture as a whole. Each face has a section of its own below."
)

REDACTION = (
    "This copy is redacted. Faces are covered in every picture that is shown, and names and values "
    "that stand in the file are replaced. Hashes and measurements are not changed. The answer was "
    "computed from the picture as it came. A face that was not found cannot be covered: look at "
    "the pictures before you pass them on."
)
WITHHELD = (
    "The picture is withheld: this copy is redacted, and no face was found that could be covered."
)
CLAIMS = (
    "What a file says about its own origin is kept apart from the examination of the pixels, and "
    "moves no number in this report."
)
NO_CLAIMS = "No statement of the file about its own origin was read."
NO_RATES = (
    "The error rates of this model, used in this way, were not measured. How often such a "
    "conclusion is wrong is not known."
)
RATES = (
    "How often the answers were wrong when the model was tested. A rate is followed by how many "
    "pictures it comes from and by its 95 % interval; intervals are from resampling groups of "
    "pictures that belong together (bootstrap). The rates hold for pictures like those of the set, "
    "and may be worse for others, such as those of new generators."
)
WHOLE_IMAGE = (
    "The frame was judged as a whole, as asked. The error rates below were measured on faces, and "
    "say nothing about this."
)
CHARACTERS = (
    r"Characters that cannot be shown safely, or that the fonts of the PDF do not have, are "
    r"written as an escape, such as \u202e."
)
REPEAT = (
    "The first command, in the folder of this report, says whether its files are unchanged. The "
    "second also examines the picture again and compares every number. Keep the picture as it "
    "came: its SHA-256 was taken before it was decoded."
)
COPY = "A copy of the picture, the same to the byte, is in the folder of this report."
COMMANDS = (
    ("To check the files", "sha256sum -c sha256sums.txt"),
    ("To repeat it", "veridical verify FOLDER --photo PICTURE"),
)
FILE_ELSEWHERE = (
    "Note these hashes somewhere else: whoever can change the files can change their hashes, too."
)
FORGERY = (
    "A log that holds together can still be a forgery: whoever can rewrite the whole file can make "
    "a new chain. Compare its head with the one that was noted elsewhere (--head)."
)
SIGN = ("Name", "Place and date", "Signature")


def conclusion(report: Report) -> str:
    """Return the conclusion on the scale of support."""
    return _CONCLUSION[SCALE[report.decision]]


# --- error rates ---------------------------------------------------------------------------------

_RATE_ROWS = (
    ("real_called_ai", "Real pictures called AI-generated", "n_real"),
    ("ai_called_real", "AI-generated pictures called real", "n_ai"),
    ("real_undecided", "Real pictures left undecided", "n_real"),
    ("ai_undecided", "AI-generated pictures left undecided", "n_ai"),
    ("error_when_decided", "Errors among the decided", ""),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a model card says of one set of pictures that the model was tested on.

    Attributes:
        name: Of the set.
        pictures: What they are; empty where the card does not say.
        n_real: Real pictures; None where the card does not say.
        n_ai: AI-generated pictures, likewise.
        n_groups: Groups of pictures that belong together, likewise.
        rates: By name.
    """

    name: str
    pictures: str
    n_real: int | None
    n_ai: int | None
    n_groups: int | None
    rates: Mapping[str, Estimate]


def measured(card: Mapping[str, Any]) -> tuple[Measured, ...]:
    """Return the sets that a model was tested on, `test` first, if their error rates are there."""
    entries = card.get("measured", {})
    found = []
    for name in (*SPLITS, *sorted(entries.keys() - set(SPLITS))):
        one = entries.get(name, {})
        rates = {
            key: Estimate(*value)
            for key, value in one.items()
            if isinstance(value, list) and len(value) == 3
        }
        if {"real_called_ai", "ai_called_real"} <= rates.keys():
            found.append(
                Measured(
                    name=name,
                    pictures=str(one.get("pictures", "")),
                    n_real=one.get("n_real"),
                    n_ai=one.get("n_ai"),
                    n_groups=one.get("n_groups"),
                    rates=rates,
                )
            )
    return tuple(found)


def of_set(one: Measured) -> str:
    """Say on what pictures rates were measured."""
    if one.n_real is None or one.n_ai is None:
        return f'Set "{one.name}": the model card does not say how many pictures it has.'
    groups = f" in {one.n_groups} groups" if one.n_groups else ""
    what = f", {one.pictures}" if one.pictures else ""
    return f'Set "{one.name}": {one.n_real} real and {one.n_ai} AI-generated{groups}{what}.'


def rate_rows(sets: tuple[Measured, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the rows of the table of error rates: a name, then a cell for each set."""
    return tuple(
        (label, *(_rate(one, key, number) for one in sets)) for key, label, number in _RATE_ROWS
    )


def _rate(one: Measured, key: str, number: str) -> str:
    rate = one.rates.get(key)
    if rate is None:
        return "not measured"
    of = {"n_real": one.n_real, "n_ai": one.n_ai}.get(number)
    if key == "error_when_decided" and one.n_real is not None and one.n_ai is not None:
        decided = one.rates.get("coverage")
        of = round(decided.value * (one.n_real + one.n_ai)) if decided else None
    told = f"{round(rate.value * of)} of {of}; " if of else ""
    return f"{share(rate.value)} ({told}{span((rate.low, rate.high))})"


# --- strength ------------------------------------------------------------------------------------

# The verbal scale of the guideline (its section 2.4 and its table of examples), by the least ratio.
_STRENGTH = (
    (1e6, "extremely strong support"),
    (1e4, "very strong support"),
    (1e3, "strong support"),
    (1e2, "moderately strong support"),
    (1e1, "moderate support"),
    (2.0, "weak support"),
)
TRUSTED_ECE = 0.05
"""Largest expected calibration error, with its whole interval, at which P(ai) is read as odds."""


def strength(report: Report, sets: tuple[Measured, ...]) -> Iterator[str]:
    """Say how strongly the answer supports one proposition; nothing where there is no answer.

    In words by the rates of the decision, at their conservative ends. P(ai) itself is not read as
    odds: see `of_odds`.
    """
    if report.decision is Decision.UNDECIDED:
        return
    least = conservative_ratio(report.decision, sets)
    if least is None or Reason.WHOLE_IMAGE in report.reasons:
        yield "How strong the support is cannot be said: it was not measured for such an answer."
        return
    word = next((word for limit, word in _STRENGTH if least >= limit), "none that can be named")
    mine, other = _sides(report.decision)
    yield (
        f"Strength: {word}. In the tests this answer was at least {ratio_of(least)} times as "
        f"frequent for {mine} pictures as for {other} ones."
    )


def of_strength(report: Report, sets: tuple[Measured, ...]) -> Iterator[str]:
    """Say where the strength of the support comes from; nothing where none is named."""
    least = conservative_ratio(report.decision, sets)
    if least is None:
        return
    mine, other = _sides(report.decision)
    yield (
        f"The ratio of {ratio_of(least)} behind the strength of the support is conservative: the "
        f"lower 95 % end of how often the answer was given to {mine} pictures, over the upper end "
        f"of how often to {other} ones; of {_sets(sets)} the smallest. Its words are those of the "
        "ENFSI guideline of 2015: weak from 2, moderate from 10, moderately strong from 100, "
        "strong from 1,000, very strong from 10,000."
    )


def _sides(decision: Decision) -> tuple[str, str]:
    real, ai = NAME[Decision.REAL], NAME[Decision.AI]
    return (ai, real) if decision is Decision.AI else (real, ai)


def conservative_ratio(decision: Decision, sets: tuple[Measured, ...]) -> float | None:
    """Return how many times as frequent an answer is where it is right, at least; None if unknown.

    The lower end of the 95 % interval of the one rate, over the upper end of the other's: the least
    over all sets.
    """
    names = {
        Decision.AI: ("ai_called_ai", "real_called_ai"),
        Decision.REAL: ("real_called_real", "ai_called_real"),
    }.get(decision)
    if names is None or not sets:
        return None
    found = []
    for one in sets:
        right, wrong = (one.rates.get(name) for name in names)
        if right is None or wrong is None or wrong.high <= 0:
            return None
        found.append(right.low / wrong.high)
    return min(found)


def ratio_of(value: float) -> str:
    """Return a ratio, rounded down: it is a lower end."""
    return f"{int(value):,}" if value >= 10 else f"{int(value * 10) / 10:g}"


def _sets(sets: tuple[Measured, ...]) -> str:
    names = [f'"{one.name}"' for one in sets]
    return f"the set {names[0]}" if len(names) == 1 else f"the sets {' and '.join(names)}"


def of_odds(report: Report, sets: tuple[Measured, ...]) -> Iterator[str]:
    """Say whether P(ai) can be read as a likelihood ratio: only where it was calibrated."""
    if report.p_ai is None:
        return
    odds = evidence(report.p_ai, report.prior)
    if not isfinite(odds):
        yield "P(ai) is 0 or 1 to the precision of the numbers: no ratio is read from it."
        return
    told = f"P(ai) {share(report.p_ai)} would be a likelihood ratio of {ratio(odds)}"
    errors = {one.name: one.rates["ece"] for one in sets if "ece" in one.rates}
    if errors and len(errors) == len(sets) and max(e.high for e in errors.values()) <= TRUSTED_ECE:
        yield f"{told}: P(ai) was measured to be calibrated, to {TRUSTED_ECE:g}."
        return
    each = ", ".join(f'{one.value:.3f} on "{name}"' for name, one in errors.items())
    why = f"its calibration error was {each}" if each else "its calibration was not measured"
    yield (
        f"{told}. No strength is read from that: {why}, and at most {TRUSTED_ECE:g} was wanted, "
        "with the whole interval."
    )


def assumptions(report: Report, sets: tuple[Measured, ...]) -> Iterator[str]:
    """Say what the numbers of an answer assume."""
    yield (
        f"P(ai) assumes that {assumption(report.prior)} where the picture came from, before it was "
        "examined. With another share it is another number; the conclusion stays."
    )
    yield (
        f"The interval is the middle {percent(report.level)} of what the model's posterior holds "
        "possible. It knows nothing of generators that are unlike all the training pictures."
    )
    yield (
        "A conclusion is given only where one answer alone is plausible: the answers that are left "
        f"hold the truth for {percent(report.coverage_of_reals)} of the real pictures and for "
        f"{percent(report.coverage_of_ai)} of the AI-generated ones like those that the model was "
        "calibrated on."
    )
    yield from of_odds(report, sets)


def lines(text: str) -> tuple[str, ...]:
    """Return a note's lines, each made safe to show."""
    return tuple(printable(line) for line in text.splitlines() if line.strip())
