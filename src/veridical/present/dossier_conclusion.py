"""How the conclusion of a filed report is worded, and the measures behind it.

It is worded for two propositions that exclude each other, as the guideline of the European forensic
institutes asks (ENFSI, "Guideline for evaluative reporting in forensic science", 2015, sections 2.4
and 4.1). How strongly the result supports one of them is a likelihood ratio, and it comes from what
was measured: how often the model gives this answer to AI-generated pictures, over how often to real
ones. It is the only measure that the conclusion rests on.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Protocol, runtime_checkable

from veridical.infer.priors import evidence
from veridical.present import words
from veridical.present.dossier import Row
from veridical.present.dossier_words import Measured
from veridical.present.numbers import percent, ratio, share, span
from veridical.present.words import NAME
from veridical.provenance.headline import against
from veridical.report import Decision, Reason, Report

SCALE = {
    Decision.AI: "supports_ai",
    Decision.REAL: "supports_real",
    Decision.UNDECIDED: "no_conclusion",
}
"""Which proposition the answer supports, for programs."""

_PROPOSED = {
    Decision.AI: (
        "proposition 1, that a generative model made the picture, against proposition 2, that it "
        "is a photograph taken with a camera"
    ),
    Decision.REAL: (
        "proposition 2, that the picture is a photograph taken with a camera, against proposition "
        "1, that a generative model made it"
    ),
}
_NOTHING = (
    "The examination gives no conclusion. It supports neither of the two propositions. This is a "
    "result about the pixels, and no sign that something is wrong with them."
)
_NOT_EXAMINED = "The pixels could not be examined: {why}. There is no conclusion."
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


@runtime_checkable
class Answer(Protocol):
    """What a conclusion rests on, beside the model's error rates: a `Report` has it."""

    @property
    def decision(self) -> Decision:
        """About the picture."""

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why."""

    @property
    def p_ai(self) -> float | None:
        """None where nothing could be examined."""


def strength(report: Answer, sets: tuple[Measured, ...]) -> str | None:
    """Return the strength of the support in words; None where it cannot be named."""
    least = _measured(report, sets)
    if least is None:
        return None
    return next((word for limit, word in _STRENGTH if least >= limit), None)


def conclusion(report: Answer, sets: tuple[Measured, ...]) -> str:
    """Return the conclusion on the scale of support, with its strength."""
    if report.p_ai is None:
        return _NOT_EXAMINED.format(why=words.plainly(report.reasons[0]))
    if report.decision is Decision.UNDECIDED:
        return _NOTHING
    proposed = _PROPOSED[report.decision]
    if word := strength(report, sets):
        return f"The examination gives {word} for {proposed}."
    if _measured(report, sets) is None:
        return (
            f"The examination points to {proposed}. How strong that support is cannot be said: it "
            "was not measured for such an answer."
        )
    return f"The examination points to {proposed}, but so weakly that the scale has no word for it."


def meaning(report: Answer, sets: tuple[Measured, ...]) -> Iterator[str]:
    """Say what the strength means; nothing where none was measured."""
    least = _measured(report, sets)
    if least is None:
        return
    mine, other = _sides(report.decision)
    one = worst(report.decision, sets)
    counts = [one.count(name) for name in _RATES[report.decision]] if one else []
    told = f"allowing for chance, {mine} pictures get this answer at least {ratio_of(least)} times "
    told += f"as often as {other} ones do"
    if one and counts[0] and counts[1]:
        (right, mine_of), (wrong, other_of) = counts[0], counts[1]
        yield (
            f"This strength is that of the answer: every picture that gets it has the same. In the "
            f'tests (set "{one.name}"), {right} of {mine_of} {mine} pictures and {wrong} of '
            f"{other_of} {other} ones got it; {told}."
        )
    else:
        yield f"This strength is that of the answer: {told}."


def conflict(report: Report) -> Iterator[str]:
    """Say that the file's own words contradict the pixels, where they do."""
    if told := against(report.claims, report.decision):
        yield (
            f"The file and the pixels disagree. {told}. The conclusion is about the pixels alone "
            "and does not weigh these words. Find out why they disagree before anybody relies on "
            "either."
        )


def _measured(report: Answer, sets: tuple[Measured, ...]) -> float | None:
    if Reason.WHOLE_IMAGE in report.reasons:
        return None
    return conservative_ratio(report.decision, sets)


# --- the numbers behind it -----------------------------------------------------------------------

THREE_MEASURES = (
    "These measures answer different questions, so they need not agree: the ratio says how much "
    "more often this answer was given to pictures of one kind than of the other in the tests, "
    "P(ai) is the model's own probability for this one picture, and the coverage guarantee is an "
    "upper limit for mistakes that was promised before the picture came. The conclusion rests on "
    "the ratio alone."
)


def measures(report: Report, sets: tuple[Measured, ...]) -> Iterator[Row]:
    """Return each measure of an answer under its name."""
    least = _measured(report, sets)
    if least is not None:
        mine, other = _sides(report.decision)
        yield Row(
            "Ratio (tests)",
            f"at least {ratio_of(least)}: how often {mine} pictures get this answer, over how "
            f"often {other} ones do",
        )
    if report.p_ai is not None and report.interval is not None:
        interval = f"{percent(report.level)} credible interval {span(report.interval)}"
        yield Row("P(ai)", f"{share(report.p_ai)}, {interval}{of_face(report)}")
    if report.at_prior:
        yield Row(f"At {percent(report.at_prior.prior)}", words.at_share(report.at_prior))
    if report.decision is not Decision.UNDECIDED and Reason.WITHIN_COVERAGE in report.reasons:
        yield guarantee(report.decision, report, sets)


def guarantee(decision: Decision, report: Report, sets: tuple[Measured, ...]) -> Row:
    """Return what is promised about a decision and what was measured, under its name."""
    promised = words.sentence(words.promised(decision, report.promise(decision)))
    one = worst(decision, sets)
    count = one.count(_RATES[decision][1]) if one else None
    measured = f' Measured: {count[0]} of {count[1]} (set "{one.name}").' if one and count else ""
    return Row("Coverage guarantee", f"{promised}{measured}")


def of_face(report: Report) -> str:
    """Say which face a number is about; empty where there is but one."""
    if report.lead_index is None or len(report.faces) < 2:
        return ""
    return f" (of face {report.lead_index + 1} of {len(report.faces)})"


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
        "strong from 1,000, very strong from 10,000, extremely strong from 1,000,000."
    )


def _sides(decision: Decision) -> tuple[str, str]:
    real, ai = NAME[Decision.REAL], NAME[Decision.AI]
    return (ai, real) if decision is Decision.AI else (real, ai)


def conservative_ratio(decision: Decision, sets: tuple[Measured, ...]) -> float | None:
    """Return how many times as frequent an answer is where it is right, at least; None if unknown.

    The lower end of the 95 % interval of the one rate, over the upper end of the other's: the least
    over all sets.
    """
    found = [_ratio(decision, one) for one in sets]
    known = [ratio for ratio in found if ratio is not None]
    return min(known) if known and len(known) == len(found) else None


def worst(decision: Decision, sets: tuple[Measured, ...]) -> Measured | None:
    """Return the set whose ratio is the smallest: all that is said of a decision is of this set."""
    if conservative_ratio(decision, sets) is None:
        return None
    return min(sets, key=lambda one: _ratio(decision, one) or 0.0)


_RATES = {  # where the answer is right, where it is wrong
    Decision.AI: ("ai_called_ai", "real_called_ai"),
    Decision.REAL: ("real_called_real", "ai_called_real"),
}


def _ratio(decision: Decision, one: Measured) -> float | None:
    right, wrong = (one.rates.get(name) for name in _RATES.get(decision, ("", "")))
    if right is None or wrong is None or wrong.high <= 0:
        return None
    return right.low / wrong.high


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
        f"with the whole interval.{_leaning(sets)}"
    )


def _leaning(sets: tuple[Measured, ...]) -> str:
    """Say on which side of 1/2 P(ai) errs; empty where that is not known."""
    sides = [(one.name, one.rates.get("fpr"), one.rates.get("tpr")) for one in sets]
    told = [
        f"{percent(round(fpr.value, 2))} of the real and {percent(round(1 - tpr.value, 2))} of the "
        f'AI-generated pictures of "{name}"'
        for name, fpr, tpr in sides
        if fpr and tpr
    ]
    if not told:
        return ""
    return f" P(ai) was on the wrong side of 1/2 for {', for '.join(told)}."
