"""A model's reports about labelled pictures, turned into measures with intervals.

Two things are measured apart. The *score* P(ai) is measured over the pictures that have one, called
"ai" at a threshold of 1/2. The *decision* is real, ai, or undecided; its worst mistake is a real
picture called AI-generated, so that comes first. A picture without P(ai), because it shows no face
or because it failed, is counted and listed, and is in no measure.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from veridical.arrays import Bool, Float, ndarray
from veridical.errors import DataError, TooFewPhotos
from veridical.io.samples import Sample
from veridical.report import Decision, Estimate, Failure, Report, Verdict
from veridical.stats import metrics
from veridical.stats.intervals import bootstrap_shares
from veridical.stats.metrics import Confusion, ReliabilityBin

THRESHOLD = 0.5
SMALLEST_GROUP = 5  # pictures; fewer say nothing about a group

# "Few (five to thirty) clusters": A. C. Cameron, J. Gelbach, D. Miller, "Bootstrap-based
# improvements for inference with clustered errors", Review of Economics and Statistics 90(3), 2008.
_FEW = 30

SHARES = (
    "real_called_ai",
    "ai_called_real",
    "coverage",
    "error_when_decided",
    "real_called_real",
    "real_undecided",
    "ai_called_ai",
    "ai_undecided",
)
"""What a scorecard measures about decisions, after `metrics.METRICS`; worst mistake first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A labelled picture, and its report or failure."""

    sample: Sample
    answer: Report | Failure

    @property
    def is_ai(self) -> bool:
        """Whether the picture is AI-generated."""
        return self.sample.label == "ai"

    @property
    def p_ai(self) -> float | None:
        """The report's P(ai); None where there is no face, or no report."""
        return self.answer.p_ai if isinstance(self.answer, Report) else None

    @property
    def verdict(self) -> Verdict | None:
        """The verdict that the decision rests on; None where there is none."""
        lead = self.answer.lead if isinstance(self.answer, Report) else None
        return lead.verdict if lead else None

    @property
    def said(self) -> str:
        """What was said of the picture: the name of a field of `Said`."""
        if isinstance(self.answer, Failure):
            return "failed"
        return "no_face" if self.p_ai is None else self.answer.decision.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said about the pictures of one true class; the five add up to all of them.

    Attributes:
        real: Called real.
        ai: Called AI-generated.
        undecided: With a P(ai), and no decision.
        no_face: Without a P(ai): no face in it, or none large enough.
        failed: Not read, or not judged.
    """

    real: int
    ai: int
    undecided: int
    no_face: int
    failed: int

    @property
    def judged(self) -> int:
        """Pictures with a P(ai)."""
        return self.real + self.ai + self.undecided


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """All that is measured about some of the pictures.

    Attributes:
        name: Name of the source, generator or group.
        n_real: Real pictures, judged or not.
        n_ai: AI-generated pictures, judged or not.
        said_of_real: What was said of the real ones.
        said_of_ai: What was said of the AI-generated ones.
        confusion: The judged pictures at the threshold; None if there are none.
        metrics: `metrics.METRICS` and `SHARES`, over the judged pictures; None if undefined.
    """

    name: str
    n_real: int
    n_ai: int
    said_of_real: Said
    said_of_ai: Said
    confusion: Confusion | None
    metrics: dict[str, Estimate | None]

    @property
    def pictures(self) -> int:
        """Judged or not."""
        return self.n_real + self.n_ai

    @property
    def judged(self) -> int:
        """Pictures with a P(ai)."""
        return self.said_of_real.judged + self.said_of_ai.judged

    @property
    def no_face(self) -> int:
        """Pictures with a report without a P(ai)."""
        return self.said_of_real.no_face + self.said_of_ai.no_face

    @property
    def failures(self) -> int:
        """Pictures without a report."""
        return self.said_of_real.failed + self.said_of_ai.failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one model is worth on one set of pictures.

    Attributes:
        model: First 12 hex digits of the SHA-256 of the model's card.
        version: Version of this program.
        threshold: From which P(ai) a picture counts as called "ai" in the score metrics.
        seed: Random seed, for the intervals.
        resamples: Behind each interval.
        groups: How many groups there are among all pictures.
        overall: All pictures.
        by_source: One card a source, by name.
        by_generator: One card a generator, by name: its pictures against all real ones.
        by_group: One card a group of at least SMALLEST_GROUP pictures, by name; their intervals
            are about this group's pictures only, drawn one by one.
        reliability: The bins of the reliability diagram, lowest first; none with one class only.
        notes: What limits these measures, as sentences.
    """

    model: str
    version: str
    threshold: float
    seed: int
    resamples: int
    groups: int
    overall: Scorecard
    by_source: tuple[Scorecard, ...]
    by_generator: tuple[Scorecard, ...]
    by_group: tuple[Scorecard, ...]
    reliability: tuple[ReliabilityBin, ...]
    notes: tuple[str, ...]


# --- measuring ---------------------------------------------------------------------------------


def evaluate(outcomes: Sequence[Outcome], *, seed: int = 0, resamples: int = 1000) -> Evaluation:
    """Measure one model's reports: overall, by source, by generator and by group.

    One class is enough for what one class can show (a set of real pictures shows how often they
    are called AI-generated); all else is then None.

    Args:
        outcomes: One for each picture.
        seed: Equal seeds and outcomes, equal evaluations.
        resamples: For the intervals; see `metrics.bootstrap`.

    Raises:
        TooFewPhotos: If no picture has a P(ai).
        DataError: If the reports are of more than one model.
    """
    judged = [outcome for outcome in outcomes if outcome.p_ai is not None]
    if not judged:
        raise _nothing_judged(outcomes)
    model, version = _model_of(judged)
    scored = _Scored.of(judged)
    both = bool(scored.is_ai.any() and not scored.is_ai.all())
    reals = [outcome for outcome in outcomes if not outcome.is_ai]
    groups = _sliced(outcomes, _group)
    generators = _sliced((o for o in outcomes if o.is_ai), lambda o: o.sample.generator)

    def card(name: str, some: Sequence[Outcome], *, alone: bool = False) -> Scorecard:
        return _card(name, some, alone=alone, seed=seed, resamples=resamples)

    overall = card("all", outcomes)
    return Evaluation(
        model=model,
        version=version,
        threshold=THRESHOLD,
        seed=seed,
        resamples=resamples,
        groups=len(groups),
        overall=overall,
        by_source=tuple(
            card(name, some) for name, some in _sliced(outcomes, lambda o: o.sample.source).items()
        ),
        by_generator=tuple(
            card(name or "(not named)", [*some, *reals]) for name, some in generators.items()
        ),
        by_group=tuple(
            card(name, some, alone=True)
            for name, some in groups.items()
            if len(some) >= SMALLEST_GROUP
        ),
        reliability=metrics.reliability_bins(scored.is_ai, scored.p_ai) if both else (),
        notes=tuple(_notes(overall, outcomes)),
    )


def _nothing_judged(outcomes: Sequence[Outcome]) -> TooFewPhotos:
    failures = [o.answer for o in outcomes if isinstance(o.answer, Failure)]
    faceless = len(outcomes) - len(failures)
    first = f" The first failure: {failures[0].error}" if failures else ""
    return TooFewPhotos(
        f"None of {len(outcomes)} pictures has a P(ai), so there is nothing to measure: "
        f"{len(failures)} failed, and in {faceless} there is no face to judge.{first}",
        hint=failures[0].hint
        if failures
        else "Evaluate on pictures of people whose faces are large enough to judge.",
    )


def _model_of(judged: Sequence[Outcome]) -> tuple[str, str]:
    """Return the one model and version that made the reports."""
    makers = {(o.answer.model, o.answer.version) for o in judged if isinstance(o.answer, Report)}
    if len(makers) > 1:
        names = ", ".join(f"{model} ({version})" for model, version in sorted(makers))
        raise DataError(
            f"An evaluation is about one model; these reports are from several: {names}.",
            hint="Evaluate each model, and each version of the program, on its own.",
        )
    return makers.pop()


def _group(outcome: Outcome) -> str:
    """Return its group; a picture without one is a group of its own."""
    return outcome.sample.group or str(outcome.sample.path)


def _sliced(outcomes: Iterable[Outcome], key: Callable[[Outcome], str]) -> dict[str, list[Outcome]]:
    slices: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        slices[key(outcome)].append(outcome)
    return dict(sorted(slices.items()))


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """The judged pictures as arrays."""

    is_ai: Bool[ndarray, " pictures"]
    p_ai: Float[ndarray, " pictures"]
    called: dict[Decision, Bool[ndarray, " pictures"]]
    groups: list[str]

    @classmethod
    def of(cls, judged: Sequence[Outcome]) -> "_Scored":
        decisions = [o.answer.decision for o in judged if isinstance(o.answer, Report)]
        return cls(
            is_ai=np.array([o.is_ai for o in judged], dtype=bool),
            p_ai=np.array([o.p_ai for o in judged], dtype=float),
            called={d: np.array([said == d for said in decisions], dtype=bool) for d in Decision},
            groups=[_group(o) for o in judged],
        )

    def shares(self) -> dict[str, tuple[Bool[ndarray, " _"], Bool[ndarray, " _"]]]:
        """For each of SHARES: the hits, and what they are counted among."""
        real, ai = self.called[Decision.REAL], self.called[Decision.AI]
        undecided = self.called[Decision.UNDECIDED]
        decided = real | ai
        return {
            "real_called_ai": (ai, ~self.is_ai),
            "ai_called_real": (real, self.is_ai),
            "coverage": (decided, np.ones_like(decided)),
            "error_when_decided": (np.where(self.is_ai, real, ai), decided),
            "real_called_real": (real, ~self.is_ai),
            "real_undecided": (undecided, ~self.is_ai),
            "ai_called_ai": (ai, self.is_ai),
            "ai_undecided": (undecided, self.is_ai),
        }


def _card(
    name: str, outcomes: Sequence[Outcome], *, alone: bool, seed: int, resamples: int
) -> Scorecard:
    """Measure some outcomes; `alone` takes each picture as independent of the others."""
    reals = [outcome for outcome in outcomes if not outcome.is_ai]
    fakes = [outcome for outcome in outcomes if outcome.is_ai]
    judged = [outcome for outcome in outcomes if outcome.p_ai is not None]
    table, measured = None, dict[str, Estimate | None].fromkeys((*metrics.METRICS, *SHARES))
    if judged:
        scored = _Scored.of(judged)
        groups = None if alone else scored.groups
        table = metrics.confusion(scored.is_ai, scored.p_ai, threshold=THRESHOLD)
        measured |= metrics.bootstrap(
            scored.is_ai,
            scored.p_ai,
            groups=groups,
            threshold=THRESHOLD,
            resamples=resamples,
            seed=seed,
        )
        measured |= bootstrap_shares(
            scored.shares(), scored.is_ai, groups=groups, resamples=resamples, seed=seed
        )
    return Scorecard(
        name=name,
        n_real=len(reals),
        n_ai=len(fakes),
        said_of_real=_said(reals),
        said_of_ai=_said(fakes),
        confusion=table,
        metrics=measured,
    )


def _said(outcomes: Iterable[Outcome]) -> Said:
    count = Counter(outcome.said for outcome in outcomes)
    return Said(**{field.name: count[field.name] for field in fields(Said)})


def of_one_class(card: Scorecard) -> str:
    """Warn that pictures of one class alone were judged; empty where both were."""
    reals, fakes = card.said_of_real.judged, card.said_of_ai.judged
    if reals and fakes:
        return ""
    only, other = ("real", "AI-generated") if reals else ("AI-generated", "real")
    return (
        f"All judged pictures are {only}: how the model does on {other} ones is not known from "
        "them. What needs both classes (AUROC, average precision, TPR at a given FPR, calibration, "
        "balanced accuracy) is undefined here, which is not zero."
    )


def _notes(overall: Scorecard, outcomes: Sequence[Outcome]) -> Iterator[str]:
    reals, fakes = overall.said_of_real.judged, overall.said_of_ai.judged
    if told := of_one_class(overall):
        yield told
    for needed, percent in ((1000, "0.1 %"), (100, "1 %")):
        if fakes and 0 < reals < needed:
            yield (
                f"TPR at {percent} FPR cannot be resolved with {reals} real pictures; it takes at "
                f"least {needed}. The figure given is the share of AI-generated pictures that "
                "score above every real one."
            )
    ranking = ("auroc", "average_precision")
    found = (overall.metrics[name] for name in ranking)
    if any(m and m.low == m.high for m in found):
        yield (
            "AUROC or average precision has an interval without width: no resample differed. That "
            "is what easy or few pictures look like; it is not certainty."
        )
    for label, many in (("real", reals), ("ai", fakes)):
        names = {_group(o) for o in outcomes if o.sample.label == label and o.p_ai is not None}
        if many > 1 and len(names) == 1:
            yield (
                f"All judged pictures of the class {label!r} belong to one group; intervals about "
                "them are about that group only."
            )
        elif 0 < len(names) < _FEW:
            yield (
                f"There are {len(names)} groups of judged pictures of the class {label!r}; with "
                f"fewer than {_FEW}, intervals tend to be too narrow."
            )
    bugs = sum(isinstance(o.answer, Failure) and o.answer.bug is not None for o in outcomes)
    if bugs:
        yield f"{bugs} of the failures are faults of this program; please report them."
