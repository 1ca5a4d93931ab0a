"""Can the class be guessed without looking at the face? Then a model may learn to do the same.

For each probe and stage of `facts`, a small classifier is fitted on these facts alone and asked
about pictures it was not fitted on. An AUROC of 0.5 is chance; above WARN the data deserves a
look; and where even the lower end of the interval of a probe on the pictures as they came is above
REFUSE, `veridical train` stops unless told otherwise.

The idea is an old one: a baseline that sees what it should not need. S. Gururangan et al.,
"Annotation artifacts in natural language inference data", NAACL 2018, guess the relation of two
sentences from the second alone; A. Torralba, A. Efros, "Unbiased look at dataset bias", CVPR 2011,
guess the data set from the picture.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from veridical._optional import need
from veridical.arrays import Bool, Float, Int, ndarray
from veridical.detector import Finder
from veridical.engines import Engine
from veridical.errors import Confounded, PhotoError
from veridical.io.images import Limits, read_bytes
from veridical.io.samples import Label, Sample
from veridical.io.splits import clusters, split_groups
from veridical.stats import metrics
from veridical.report import Estimate

from veridical.train.facts import KNOWN, PROBES, STAGES, Facts, Probe, Sighting, Stage, examine
from veridical.train.features import Track, untracked
from veridical.vision.faces import CropConfig

WARN = 0.6  # AUROC above which a probe is worth a warning
REFUSE = 0.8  # AUROC that the whole interval must exceed for training to refuse
MOST = 1000  # pictures looked at: the standard error of an AUROC is then below 0.02
# Independent groups of pictures per class. With fewer the interval is too narrow to be held against
# anyone: see `evaluate._FEW`.
FEWEST = 30
FOLDS = 5
_RESAMPLES = 1000
_TOLD = 3  # facts named per finding
_REPEATS = 0.8  # rank correlation from which a fact says nothing new
_MEASURABLE = 10  # pictures per class that must have a number for it to be compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Typical:
    """What the pictures of a class mostly are.

    Attributes:
        value: The most frequent word; the median of a number, or its mean if both classes have
            the same median.
        share: Of the pictures that have this word; None for a number.
    """

    value: float | str
    share: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact, and how far it alone gives the class away.

    Attributes:
        name: As in `facts.KNOWN`, which says what to do about it.
        auroc: Of the fact as a score, turned round where needed: at least 0.5. Words are scored by
            the share of AI-generated pictures among those that have them. In sample, without an
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
        probe: What it looks at.
        stage: In which state of the pictures.
        auroc: Out of fold, with a 95 % interval from a bootstrap that draws whole clusters.
        real: Real pictures it was asked about.
        ai: AI-generated pictures it was asked about.
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
        """Whether training should not go on without a word: see REFUSE."""
        return self.stage == "raw" and self.auroc.low > REFUSE


@dataclass(frozen=True, slots=True, kw_only=True)
class NotApplicable:
    """A probe that does not speak about one stage, and why."""

    probe: Probe
    stage: Stage
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What all probes found.

    Attributes:
        findings: By stage, then probe.
        not_applicable: Likewise.
        given: Pictures there are.
        real: Real pictures looked at.
        ai: AI-generated pictures looked at.
        faceless: Of those drawn, pictures without a face: training leaves them out too.
        unreadable: Of those drawn, pictures that cannot be read.
        seed: Of the draw, the folds and the intervals.
    """

    findings: tuple[Finding, ...]
    not_applicable: tuple[NotApplicable, ...]
    given: int
    real: int
    ai: int
    faceless: int
    unreadable: int
    seed: int

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that stop training, worst first."""
        found = [finding for finding in self.findings if finding.refuses]
        return tuple(sorted(found, key=lambda finding: -finding.auroc.value))


def audit(
    samples: Sequence[Sample],
    *,
    finder: Finder,
    crop_config: CropConfig,
    views: int,
    engine: Engine,
    seed: int = 0,
    most: int = MOST,
    limits: Limits = Limits(),
    track: Track[Sample] = untracked,
) -> Audit:
    """Ask every probe at every stage.

    The folds keep groups and near-duplicates together, as all splits do. They do not keep sources
    together: the question is whether these pictures can be sorted without a look at the face, not
    whether the same trick would work on others.

    Args:
        samples: Labelled pictures.
        finder: Finds the faces.
        crop_config: How the face is cut out for the backbone.
        views: In training; with one there is no stage "view".
        engine: Pictures looked at at a time.
        seed: Of the draw, the folds and the intervals.
        most: Pictures to look at; at most half of them of each class.
        limits: On what is decoded.
        track: Shows progress.

    Raises:
        MissingExtra: If the extra `train` is not installed.
    """
    for module in ("sklearn", "imagehash"):  # before the work, not after it
        need(module, extra="train", to="audit pictures")
    drawn = _draw(samples, most, seed)
    work = partial(_look, finder=finder, crop_config=framing, views=views, limits=limits)
    looked = list(
        zip(
            track(drawn, "Auditing pictures", len(drawn)),
            engine.map(work, drawn),
            strict=True,
        )
    )
    seen = [(sample, found) for sample, found in looked if isinstance(found, Sighting)]
    case = _Case.of(seen, seed)
    spoken = [_ask(probe, stage, case) for stage in STAGES[: 1 + min(views, 2)] for probe in PROBES]
    return Audit(
        findings=tuple(one for one in spoken if isinstance(one, Finding)),
        not_applicable=tuple(one for one in spoken if isinstance(one, NotApplicable)),
        given=len(samples),
        real=int((~case.is_ai).sum()),
        ai=int(case.is_ai.sum()),
        faceless=sum(found is None for _, found in looked),
        unreadable=sum(isinstance(found, str) for _, found in looked),
        seed=seed,
    )


def refuse_confounded(found: Audit) -> None:
    """Stop where the pictures as they came can be sorted without looking at a face.

    Raises:
        Confounded: If a finding refuses.
    """
    if not found.refusals:
        return
    all_told = "; ".join(map(told, found.refusals))
    raise Confounded(
        f"The class can be guessed without looking at a face: {all_told}. An AUROC of 0.5 is "
        f"chance; an interval that begins above {REFUSE} was not wanted.",
        hint="Mend the data (`veridical audit` says what gives it away, before and after our "
        "preprocessing), or train all the same with --allow-confounds.",
    )


NAMES: Mapping[Probe, str] = {
    "file": "the file",
    "framing": "the framing",
    "background": "the background",
}
"""What the probes look at."""


def describe(finding: Finding) -> str:
    """Say how well a probe guesses, and what gives the class away most."""
    m = finding.auroc
    stage = {"raw": "as it came", "cut": "in the crop", "view": "in the crop encoded anew"}
    lead = "".join(f" ({sentence(fact)})" for fact in finding.facts[:1] if fact.auroc > WARN)
    return (
        f"{NAMES[finding.probe]} {stage[finding.stage]} tells the classes apart with an AUROC "
        f"of {m.value:.2f} [{m.low:.2f}, {m.high:.2f}]{lead}"
    )


def sentence(fact: Fact) -> str:
    """Say what tells the classes apart, and what to do about it."""
    known = KNOWN[fact.name]
    ai, real = known.says.format(_said(fact.ai)), _said(fact.real)
    return f"AI pictures {ai}, real ones {real}: {known.fix}"


def _said(typical: Typical) -> str:
    if isinstance(typical.value, str):
        return f"{typical.value} ({100 * (typical.share or 0):.0f} %)"
    size = abs(typical.value)
    return f"{typical.value:,.0f}" if size >= 100 else f"{typical.value:.3g}"


# --- looking ------------------------------------------------------------------------------------


def _draw(samples: Sequence[Sample], most: int, seed: int) -> list[Sample]:
    """Draw at most half of `most` from each class."""
    order = np.random.default_rng(seed).permutation(len(samples))
    classes: tuple[Label, Label] = ("real", "ai")
    return [
        sample
        for label in classes
        for sample in [samples[i] for i in order if samples[i].label == label][: most // 2]
    ]


def _look(
    sample: Sample, *, finder: Finder, crop_config: CropConfig, views: int, limits: Limits
) -> Sighting | str | None:
    """Return what is there; None without a face; why a picture cannot be read."""
    try:
        data = read_bytes(sample.path, limits)
        return examine(data, finder, framing, views=views, limits=limits)
    except PhotoError as error:
        return error.message


# --- asking -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Case:
    """The pictures that were looked at.

    Attributes:
        sightings: One a picture.
        is_ai: Which of them are AI-generated.
        kin: The name of each one's cluster.
        fold: The fold in which it is asked about; None where there are too few clusters.
        seed: Of everything random.
    """

    sightings: tuple[Sighting, ...]
    is_ai: Bool[ndarray, " pictures"]
    kin: tuple[str, ...]
    fold: Int[ndarray, " pictures"] | None
    seed: int

    @classmethod
    def of(cls, seen: Sequence[tuple[Sample, Sighting]], seed: int) -> "_Case":
        samples = [sample for sample, _ in seen]
        hashes = {sample.path: sighting.hash for sample, sighting in seen}
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
            sightings=tuple(sighting for _, sighting in seen),
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


def _ask(probe: Probe, stage: Stage, case: _Case) -> Finding | NotApplicable:
    rows = [i for i, one in enumerate(case.sightings) if (stage, probe) in one.facts]
    is_ai, kin = case.is_ai[rows], [case.kin[i] for i in rows]
    real_groups, ai_groups = _groups(kin, is_ai)
    if case.fold is None or min(real_groups, ai_groups) < FEWEST:
        where = " with enough background" if probe == "background" and case.fold is not None else ""
        return NotApplicable(
            probe=probe,
            stage=stage,
            because=f"too few to audit: pictures{where} are of {real_groups} real and {ai_groups} "
            f"AI-generated independent groups; at least {FEWEST} of each are needed",
        )
    facts = [case.sightings[i].facts[stage, probe] for i in rows]
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
        p[asked] = trees.fit(columns[~asked], is_ai[~asked]).predict_proba(columns[asked])[:, 1]
    return p


def _telling(facts: Sequence[Facts], is_ai: Bool[ndarray, " pictures"]) -> tuple[Fact, ...]:
    """Return the most telling facts, without those that only repeat a better one."""
    found = [_alone(name, [one[name] for one in facts], is_ai) for name in facts[0]]
    told: list[tuple[Fact, Float[ndarray, " pictures"]]] = []
    for fact, score in sorted((one for one in found if one), key=lambda one: -one[0].auroc):
        if all(abs(_correlation(score, other)) < _REPEATS for _, other in told):
            told.append((fact, score))
    return tuple(fact for fact, _ in told[:_TOLD])


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
    """Correlate ranks, equal values sharing one, over pictures that have both; 0 without spread."""
    both = np.isfinite(one) & np.isfinite(other)
    ranks = [np.unique(x[both], return_inverse=True)[1].astype(float) for x in (one, other)]
    if not all(len(x) and np.ptp(x) for x in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
