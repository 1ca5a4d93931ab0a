"""Can the class be guessed without looking at the face? Then a model may learn to do the same.

For each probe and stage of `facts`, a small classifier is fitted on these facts alone and measured
on pictures that it was not fitted on. An AUROC of 0.5 is chance. Above WARN there is a warning.
Where even the lower end of the interval of a probe on the pictures as delivered is above REFUSE,
`veridical train` stops unless told otherwise.

The idea is an old one: a baseline that is given only what it should not need. S. Gururangan et al.,
"Annotation artifacts in natural language inference data", NAACL 2018, guess the relation of two
sentences from the second alone; A. Torralba, A. Efros, "Unbiased look at dataset bias", CVPR 2011,
guess the data set from the picture.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from veridical.engines import Engine
from veridical.errors import Confounded, OneClassOnly, PhotoError, VeridicalError
from veridical.io import preflight
from veridical.io.formats import Limits
from veridical.io.preflight import refuse
from veridical.io.samples import Label, Sample
from veridical.io.source import open_source
from veridical.train import prepare
from veridical.train.facts import KNOWN, PROBES, STAGES, Observed, Probe
from veridical.train.prepare import Say, Track, unsaid, untracked
from veridical.train.probes import (
    FEWEST,
    REFUSE,
    WARN,
    Case,
    Fact,
    Finding,
    NotMeasured,
    Typical,
    ask,
)
from veridical.vision.crop import CropConfig
from veridical.vision.prepare import Finder

CLASSES: tuple[Label, Label] = ("real", "ai")
PACKAGES = ("sklearn", "imagehash")
_KEPT = 5000  # bytes of the facts of one picture
MOST = 1000  # pictures drawn: the standard error of an AUROC is then below 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What all probes found.

    Attributes:
        findings: By stage, then probe.
        not_applicable: What could not be measured, in the same order.
        given: Pictures there are.
        real: Real pictures that were drawn and show a face.
        ai: AI-generated ones.
        faceless: Drawn pictures without a face; training leaves them out too.
        unreadable: Drawn pictures that cannot be read.
        seed: Random seed, for the draw, the folds and the intervals.
    """

    findings: tuple[Finding, ...]
    not_applicable: tuple[NotMeasured, ...]
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
    configs: Sequence[CropConfig],
    views: int,
    engine: Engine,
    seed: int = 0,
    sample: int = MOST,
    limits: Limits = Limits(),
    track: Track[Sample] = untracked,
    say: Say = unsaid,
    cache: Path | None = None,
    to_keep: int | None = None,
) -> Audit:
    """Measure every probe at every stage.

    The folds keep groups and near-duplicates together, as all splits do. They do not keep sources
    together: the question is whether these pictures can be sorted without the face, not whether the
    same would work on others.

    Args:
        samples: Labelled pictures.
        finder: Finds the faces.
        configs: How the face is cropped for the backbone, one per crop.
        views: In training; with one there is no stage "view".
        engine: How many pictures at a time.
        seed: Random seed, for the draw, the folds and the intervals.
        sample: Pictures to draw, half of them of each class, if there are as many.
        limits: On what is decoded.
        track: Shows progress.
        say: Told what is being done.
        cache: Folder that keeps what was decoded, for the steps that follow and for another run;
            None for none.
        to_keep: Views of each picture whose crops are kept, too; None for all.

    Raises:
        MissingExtra: If the extra `train` is not installed.
        DataError: If the cache cannot be used.
    """
    drawn = _draw(samples, sample, seed)
    refuse(lacking(drawn, cache=cache))
    groups = {label: len({s.group for s in drawn if s.label == label}) for label in CLASSES}
    if min(groups.values()) < FEWEST:
        say(
            f"The pictures are of {groups['real']} real and {groups['ai']} AI-generated groups; "
            f"with fewer than {FEWEST} of each nothing can be measured"
        )
    with prepare.opened(finder, configs, cache) as pictures:
        if pictures.known:
            say(f"Going on from earlier runs: {cache} has {pictures.known:,} pictures prepared")

        def observe(one: Sample) -> Observed | str | None:
            """Return the facts; None without a face; why a picture cannot be read."""
            try:
                found = pictures.of(
                    open_source(one.path, limits), 0, to_make=views, to_keep=to_keep
                )
            except PhotoError as error:
                return error.message
            if found.face_px is None:
                return None
            return Observed(hash=found.hash, facts=found.facts)

        tracked = track(drawn, "Auditing pictures", len(drawn))
        observed = list(zip(tracked, engine.map(observe, drawn), strict=True))
    seen = [(one, found) for one, found in observed if isinstance(found, Observed)]
    say("Asking what gives the class away")
    case = Case.of(seen, seed)
    asked = [ask(probe, stage, case) for stage in STAGES[: 1 + min(views, 2)] for probe in PROBES]
    return Audit(
        findings=tuple(one for one in asked if isinstance(one, Finding)),
        not_applicable=tuple(one for one in asked if isinstance(one, NotMeasured)),
        given=len(samples),
        real=int((~case.is_ai).sum()),
        ai=int(case.is_ai.sum()),
        faceless=sum(found is None for _, found in observed),
        unreadable=sum(isinstance(found, str) for _, found in observed),
        seed=seed,
    )


def lacking(samples: Sequence[Sample] | None, *, cache: Path | None) -> list[VeridicalError]:
    """Return an error about everything that is known to be missing for an audit.

    Args:
        samples: The pictures that are drawn; None where they are not known, and not checked.
        cache: Folder of the cache; None for none.
    """
    found = preflight.packages(PACKAGES, extra="train", to="audit pictures")
    if samples:
        why = preflight.unusable(sample.path for sample in samples)
        counts = Counter(sample.label for sample in samples if sample.path not in why)
        if not (counts["real"] and counts["ai"]):
            found.append(
                OneClassOnly(
                    f"An audit compares two classes; {counts['real']} real and {counts['ai']} "
                    f"AI-generated pictures can be read.{preflight.said(why)}",
                    hint="Add the other class, or check --real, --ai and --split.",
                )
            )
    if cache is not None:
        found += preflight.folders({cache: len(samples or ()) * _KEPT})
    return found


def refuse_confounded(found: Audit) -> None:
    """Stop where the pictures as delivered can be sorted without looking at a face.

    Raises:
        Confounded: If a finding refuses.
    """
    if not found.refusals:
        return
    reasons = "; ".join(map(describe, found.refusals))
    raise Confounded(
        f"The class can be guessed without looking at a face: {reasons}. An AUROC of 0.5 is "
        f"chance; the interval must begin at {REFUSE} or below.",
        hint="Correct the data (`veridical audit` says what gives the class away), or train "
        "anyway with --allow-confounds.",
    )


NAMES: Mapping[Probe, str] = {
    "file": "the file",
    "framing": "the framing",
    "background": "the background",
}
"""What each probe is given."""


def describe(finding: Finding) -> str:
    """Say how well a probe guesses, and what gives the class away most."""
    m = finding.auroc
    stage = {"raw": "as delivered", "cut": "in the crop", "view": "in the crop, encoded again"}
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


def _draw(samples: Sequence[Sample], most: int, seed: int) -> list[Sample]:
    """Draw at most half of `most` from each class."""
    order = np.random.default_rng(seed).permutation(len(samples))
    return [
        sample
        for label in CLASSES
        for sample in [samples[i] for i in order if samples[i].label == label][: most // 2]
    ]
