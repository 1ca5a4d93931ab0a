"""How well can the class be guessed from facts alone? A small classifier per probe and stage."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from veridical._optional import need
from veridical.arrays import Bool, Float, Int, ndarray
from veridical.io.samples import Sample
from veridical.io.splits import clusters, split_groups
from veridical.report import Estimate
from veridical.stats import metrics
from veridical.train.facts import Facts, Observed, Probe, Stage

WARN = 0.6  # AUROC above which a probe is worth a warning
REFUSE = 0.8  # AUROC that the whole interval must exceed for training to refuse
# Independent groups of pictures per class. With fewer the interval is too narrow to be held against
# anyone: see `evaluate.measure`.
FEWEST = 30
FOLDS = 5
_RESAMPLES = 1000
_NAMED = 3  # facts named per finding
_REPEATS = 0.8  # rank correlation from which a fact adds nothing new
_MEASURABLE = 10  # pictures per class that must have a number for it to be compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """What the pictures of a class mostly are.

    Attributes:
        value: The most frequent word; the median of a number, or its mean if both classes have
            the same median.
        share: Share of pictures that have this word; None for a number.
    """

    value: float | str
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact, and how far it alone gives the class away.

    Attributes:
        name: As in `facts.KNOWN`, which says what to do about it.
        auroc: AUROC of the fact as a score, reversed where needed: at least 0.5. Words are scored
            by the share of AI-generated pictures among those that have them. In sample, without an
            interval: it serves to rank facts.
        real: What real pictures mostly are.
        ai: What AI-generated pictures mostly are.
    """

    name: str
    auroc: float
    real: Typical
    ai: Typical


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How well one probe guesses the class at one stage.

    Attributes:
        probe: What it is given.
        stage: The state of the pictures.
        auroc: Out of fold, with a 95 % interval from a bootstrap that draws whole clusters.
        real: Real pictures it was measured on.
        ai: AI-generated pictures it was measured on.
        facts: The most telling ones, best first.
    """

    probe: Probe
    stage: Stage
    auroc: Estimate
    real: int
    ai: int
    facts: tuple[Fact, ...]

    @property
    def warns(self) -> bool:
        """Whether the class can be guessed: above WARN, and above chance beyond doubt."""
        return self.auroc.value > WARN and self.auroc.low > 0.5

    @property
    def refuses(self) -> bool:
        """Whether training stops: see REFUSE."""
        return self.stage == "raw" and self.auroc.low > REFUSE


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMeasured:
    """A probe that could not be measured at one stage, and why."""

    probe: Probe
    stage: Stage
    because: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """The pictures that probes are fitted and measured on.

    Attributes:
        pictures: Their facts.
        is_ai: Which pictures are AI-generated.
        kin: Name of the cluster of each.
        fold: The fold in which each is left out; None where there are too few clusters.
        seed: Random seed.
    """

    pictures: tuple[Observed, ...]
    is_ai: Bool[ndarray, " pictures"]
    kin: tuple[str, ...]
    fold: Int[ndarray, " pictures"] | None
    seed: int

    @classmethod
    def of(cls, seen: Sequence[tuple[Sample, Observed]], seed: int) -> "Case":
        """Deal the pictures out over folds; groups and near-duplicates stay together."""
        samples = [sample for sample, _ in seen]
        hashes = {sample.path: observed.hash for sample, observed in seen}
        joined = clusters(samples, hashes)
        kin = {s.path: name for name, members in joined.items() for s in members}
        is_ai = np.array([sample.label == "ai" for sample in samples], dtype=bool)
        names = tuple(kin[sample.path] for sample in samples)
        fold = None
        if min(_groups(names, is_ai)) >= FEWEST:
            parts = split_groups(
                samples,
                shares={str(n): 1 / FOLDS for n in range(FOLDS)},
                seed=seed,
                hashes=hashes,
            )
            number = {s.path: int(n) for n, part in parts.items() for s in part}
            fold = np.array([number[sample.path] for sample in samples])
        return cls(
            pictures=tuple(observed for _, observed in seen),
            is_ai=is_ai,
            kin=names,
            fold=fold,
            seed=seed,
        )


def _groups(kin: Sequence[str], is_ai: Bool[ndarray, " pictures"]) -> tuple[int, int]:
    """Count the clusters that hold real pictures, and those that hold AI-generated ones."""
    ai = {name for name, one in zip(kin, is_ai, strict=True) if one}
    real = {name for name, one in zip(kin, is_ai, strict=True) if not one}
    return len(real), len(ai)


def ask(probe: Probe, stage: Stage, case: Case) -> Finding | NotMeasured:
    """Measure how well a probe guesses the class at one stage."""
    rows = [i for i, one in enumerate(case.pictures) if (stage, probe) in one.facts]
    is_ai, kin = case.is_ai[rows], [case.kin[i] for i in rows]
    real_groups, ai_groups = _groups(kin, is_ai)
    if case.fold is None or min(real_groups, ai_groups) < FEWEST:
        where = " with enough background" if probe == "background" and case.fold is not None else ""
        return NotMeasured(
            probe=probe,
            stage=stage,
            because=f"too few to audit: pictures{where} are of {real_groups} real and {ai_groups} "
            f"AI-generated independent groups; at least {FEWEST} of each are needed",
        )
    facts = [case.pictures[i].facts[stage, probe] for i in rows]
    p = _guess(_columns(facts), is_ai, case.fold[rows], case.seed)
    found = metrics.bootstrap(is_ai, p, groups=kin, resamples=_RESAMPLES, seed=case.seed)["auroc"]
    assert found is not None  # both classes are there
    return Finding(
        probe=probe,
        stage=stage,
        auroc=found,
        real=int((~is_ai).sum()),
        ai=int(is_ai.sum()),
        facts=_telling(facts, is_ai),
    )


def _columns(facts: Sequence[Facts]) -> Float[ndarray, "pictures columns"]:
    """A column for each number, lower than all where it is absent, and one for each word."""
    columns = []
    for name, first in facts[0].items():
        values = [one[name] for one in facts]
        if isinstance(first, str):
            columns += [
                np.array([v == word for v in values], float) for word in sorted(set(values))
            ]
        else:
            numbers = np.array(values, dtype=float)
            known = numbers[np.isfinite(numbers)]
            absent = known.min() - 1 - np.ptp(known) if known.size else 0.0
            columns.append(np.where(np.isfinite(numbers), numbers, absent))
    return np.column_stack(columns)


def _guess(
    columns: Float[ndarray, "pictures columns"],
    is_ai: Bool[ndarray, " pictures"],
    fold: Int[ndarray, " pictures"],
    seed: int,
) -> Float[ndarray, " pictures"]:
    """Return P(ai) of every picture, by a classifier that was fitted on the other folds.

    Boosted trees: facts are of any scale, few are linear, and what gives the class away is often
    two of them together. Shallow and few, so that thirty pictures do not overfit them.
    """
    ensemble = need("sklearn.ensemble", extra="train", to="audit pictures")
    p = np.full(len(is_ai), float(is_ai.mean()))
    for number in range(FOLDS):
        asked = fold == number
        if not asked.any() or len(set(is_ai[~asked])) < 2:
            continue
        trees = ensemble.HistGradientBoostingClassifier(
            max_iter=60,
            max_leaf_nodes=8,
            min_samples_leaf=5,
            early_stopping=False,
            random_state=seed,
        )
        with threadpool_limits(1, "openmp"):  # with so few rows, threads only wait for each other
            fitted = trees.fit(columns[~asked], is_ai[~asked])
            p[asked] = fitted.predict_proba(columns[asked])[:, 1]
    return p


def _telling(facts: Sequence[Facts], is_ai: Bool[ndarray, " pictures"]) -> tuple[Fact, ...]:
    """Return the most telling facts, without those that only repeat a better one."""
    found = [_alone(name, [one[name] for one in facts], is_ai) for name in facts[0]]
    kept: list[tuple[Fact, Float[ndarray, " pictures"]]] = []
    for fact, score in sorted((one for one in found if one), key=lambda one: -one[0].auroc):
        if all(abs(_correlation(score, other)) < _REPEATS for _, other in kept):
            kept.append((fact, score))
    return tuple(fact for fact, _ in kept[:_NAMED])


def _alone(
    name: str, values: Sequence[float | str], is_ai: Bool[ndarray, " pictures"]
) -> tuple[Fact, Float[ndarray, " pictures"]] | None:
    """Measure one fact, and return it with its score; None where too few pictures have it."""
    if isinstance(values[0], str):
        words = [str(value) for value in values]
        every, ai = Counter(words), Counter(w for w, one in zip(words, is_ai, strict=True) if one)
        score = np.array([ai[word] / every[word] for word in words])
        real, generated = _mostly(words, ~is_ai), _mostly(words, is_ai)
        area = metrics.auroc(is_ai, score)
        return Fact(name=name, auroc=area, real=real, ai=generated), score
    score = np.array(values, dtype=float)
    known = np.isfinite(score)
    numbers, truth = score[known], is_ai[known]
    if min(int(truth.sum()), int((~truth).sum())) < _MEASURABLE:
        return None
    area = metrics.auroc(truth, numbers)
    middle = [float(np.median(numbers[which])) for which in (~truth, truth)]
    if middle[0] == middle[1]:
        middle = [float(np.mean(numbers[which])) for which in (~truth, truth)]
    real, generated = (Typical(value=value) for value in middle)
    return Fact(name=name, auroc=max(area, 1 - area), real=real, ai=generated), score


def _mostly(words: Sequence[str], among: Bool[ndarray, " pictures"]) -> Typical:
    counts = Counter(word for word, counted in zip(words, among, strict=True) if counted)
    word, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
    return Typical(value=word, share=count / counts.total())


def _correlation(one: Float[ndarray, " pictures"], other: Float[ndarray, " pictures"]) -> float:
    """Correlate ranks, equal values sharing one, over pictures that have both; 0 if equal."""
    both = np.isfinite(one) & np.isfinite(other)
    ranks = [np.unique(x[both], return_inverse=True)[1].astype(float) for x in (one, other)]
    if not all(len(x) and np.ptp(x) for x in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
