"""How often decided pictures are decided wrongly, how many are decided, and what copies change.

Answers are as `benchmarks.generalisation.laundered` keeps them: step -> path -> P(ai) and decision.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.generalisation import AS_DELIVERED
from veridical.infer.calibration import Calibration
from veridical.io.samples import Sample
from veridical.report import Decision
from veridical.report import Estimate
from veridical.stats.intervals import wilson

Answer = Mapping[str, Any]
Answers = Mapping[str, Mapping[str, Answer]]

DECIDED = (Decision.AI.value, Decision.REAL.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What was decided about some pictures.

    Attributes:
        name: Of the pictures.
        count: How many.
        decided: Share with a decision.
        errors: Share of wrong ones among the decisions; None if there is no decision.
        covered: Share of prediction sets that hold the truth, among pictures with a P(ai).
        contradictions: Share called the opposite of what the picture as delivered was called.
    """

    name: str
    count: int
    decided: Estimate
    errors: Estimate | None
    covered: Estimate | None
    contradictions: Estimate


def cell(
    name: str,
    samples: Sequence[Sample],
    told: Mapping[str, Answer],
    first: Mapping[str, Answer],
    calibration: Calibration,
) -> Cell:
    """Count what was decided about `samples`; intervals are Wilson's, picture by picture.

    Args:
        name: Of the pictures.
        samples: The pictures; at least one.
        told: The answers, by path.
        first: The answers about the pictures as delivered.
        calibration: From P(ai) to a prediction set.
    """
    answers = [told[str(sample.path)] for sample in samples]
    decisions = [answer["decision"] for answer in answers]
    called = [(d, s.label) for d, s in zip(decisions, samples, strict=True) if d in DECIDED]
    sets = [
        (calibration.prediction_set(answer["p_ai"]), sample.label)
        for answer, sample in zip(answers, samples, strict=True)
        if answer["p_ai"] is not None
    ]
    opposite = sum(
        {decision, first[str(sample.path)]["decision"]} == set(DECIDED)
        for decision, sample in zip(decisions, samples, strict=True)
    )
    return Cell(
        name=name,
        count=len(samples),
        decided=wilson(len(called), len(samples)),
        errors=wilson(sum(d != label for d, label in called), len(called)) if called else None,
        covered=wilson(sum(Decision(label) in s for s, label in sets), len(sets)) if sets else None,
        contradictions=wilson(opposite, len(samples)),
    )


def by(
    key: Callable[[Sample], str],
    samples: Sequence[Sample],
    answers: Answers,
    calibration: Calibration,
    step: str = AS_DELIVERED,
) -> list[Cell]:
    """Return one cell per value of `key`, in the order of the alphabet; "" is left out."""
    return [
        cell(
            name,
            [s for s in samples if key(s) == name],
            answers[step],
            answers[AS_DELIVERED],
            calibration,
        )
        for name in sorted({key(s) for s in samples} - {""})
    ]


def steps(
    samples: Sequence[Sample], answers: Answers, calibration: Calibration
) -> list[tuple[Cell, Cell]]:
    """Return for each step the cell of the AI pictures and that of the real ones."""
    ai = [s for s in samples if s.label == "ai"]
    real = [s for s in samples if s.label == "real"]
    first = answers[AS_DELIVERED]
    return [
        (cell(step, ai, told, first, calibration), cell(step, real, told, first, calibration))
        for step, told in answers.items()
    ]


# --- the same photo in other bytes ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Steadiness:
    """How the answers about one photo differ over its copies.

    Attributes:
        name: Of the way of judging.
        photos: How many.
        decided: Share of all copies with a decision.
        errors: Share of wrong ones among these decisions.
        contradicted: Share of photos of which some copy is called real and some copy AI.
        flipped: Share of copies called the opposite of what the photo as delivered was called.
        spread: Mean over the photos of the standard deviation of P(ai) over the copies.
        range: 90 % quantile over the photos of largest - smallest P(ai) of the copies.
    """

    name: str
    photos: int
    decided: Estimate
    errors: Estimate | None
    contradicted: Estimate
    flipped: Estimate
    spread: float
    range: float


def steadiness(name: str, samples: Sequence[Sample], answers: Answers) -> Steadiness:
    """Compare the answers about each photo over the steps; the first step is the photo itself."""
    copies = [step for step in answers if step != AS_DELIVERED]
    contradicted = flipped = 0
    spreads, ranges = [], []
    called: list[bool] = []
    for sample in samples:
        told = [answers[step][str(sample.path)] for step in (AS_DELIVERED, *copies)]
        decisions = [answer["decision"] for answer in told]
        contradicted += set(DECIDED) <= set(decisions)
        flipped += sum({decisions[0], d} == set(DECIDED) for d in decisions[1:])
        called += [d != sample.label for d in decisions if d in DECIDED]
        p = [answer["p_ai"] for answer in told if answer["p_ai"] is not None]
        if len(p) > 1:
            spreads.append(float(np.std(p)))
            ranges.append(max(p) - min(p))
    return Steadiness(
        name=name,
        photos=len(samples),
        decided=wilson(len(called), len(samples) * len(answers)),
        errors=wilson(sum(called), len(called)) if called else None,
        contradicted=wilson(contradicted, len(samples)),
        flipped=wilson(flipped, max(1, len(samples) * len(copies))),
        scale=float(np.mean(spreads)) if spreads else float("nan"),
        range=float(np.quantile(ranges, 0.9)) if ranges else float("nan"),
    )


# --- pages ---------------------------------------------------------------------------------------


def share(measured: Estimate | None) -> str:
    """Return a share with its interval."""
    if measured is None:
        return "–"
    return f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"


def lines(cells: Iterable[Cell]) -> list[tuple[object, ...]]:
    """Return a row of a table for each cell."""
    return [(c.name, c.count, share(c.decided), share(c.errors), share(c.covered)) for c in cells]


def signed(measured: Estimate) -> str:
    """Return a difference with its interval."""
    return f"{measured.value:+.4f} [{measured.low:+.4f}, {measured.high:+.4f}]"
