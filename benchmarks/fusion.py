"""Would the verdict be better if the forensic cues joined it?

    python -m benchmarks.fusion DATA/manifest.csv --work DIR [--quick]

Log-likelihood ratios are fused by logistic regression (`research.fusion`). It is fitted on `train`:
a generator and a family of real sources are left out at a time, as in `benchmarks.generalisation`,
and the fusion learns from what the network and the cues, all fitted without them, say of the
left-out pictures. It is measured on `val`, with the model and the cues of the package, and on
copies at half size and JPEG 50. The network judges by the first crop alone.

What was found is kept in DIR, picture by picture; an interrupted run goes on. The tables go into
docs/cues.md. `--quick` goes through all of it on a few pictures and writes nothing.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from research.fusion import MEASURES, Compared, Fusion, Ratios, fuse, joins, measured
from research.ratios import MOST, Table, fit_ratio, ratios_of

from benchmarks.common import AS_DELIVERED, JOBS, Record, even, is_ai, path_of, remembered, track
from benchmarks.fitting import RECIPE, extractor_of
from benchmarks.generalisation import Held, family, holdout
from benchmarks.laundering import launder
from benchmarks.pages import DOCS, number, publish, signed, table
from veridical.arrays import Bool, Float, ndarray
from veridical.cues import DEFAULT_CUES
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.errors import PhotoError
from veridical.infer.platt import platt
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import open_source
from veridical.io.splits import subsample
from veridical.report import Reading

PAGE = DOCS / "cues.md"
OF_EACH = 24  # pictures of a source and generator that the fusion learns from
COPY = "half size, JPEG 50"
CUES = tuple(cue for cue in DEFAULT_CUES if cue.evidence)

ALONE = "network alone"
SUMMED = "network + cues that weigh, summed"
FITTED: Mapping[str, tuple[str, ...]] = {
    "network + noise, fitted": ("noise",),
    "network + all cues, fitted": tuple(cue.name for cue in CUES),
}
"""Cues that may join the network, by variant."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What was said of labelled pictures.

    Attributes:
        samples: The pictures.
        ratios: Of each, by the network and the cues.
    """

    samples: tuple[Sample, ...]
    ratios: Ratios


# --- asking --------------------------------------------------------------------------------------


def answers(
    samples: Sequence[Sample], step: str, detector: Detector, work: Path
) -> dict[Path, Record]:
    """Ask the model and all cues about each picture, or a copy of it; pictures with a face only."""

    def ask(sample: Sample) -> Record:
        nothing: Record = {"logit": None, "cues": {}}
        try:
            file = open_source(sample.path)
            if step != AS_DELIVERED:
                file = open_source(launder(file.photo.pixels, step))
            faces = detector.inspect(file, cues=CUES).faces
        except PhotoError:
            return nothing
        if not faces or not faces[0].crops:
            return nothing
        cues = {
            one.cue: {"statistics": dict(one.statistics), "llr": one.llr}
            for one in faces[0].readings or ()
            if isinstance(one, Reading)
        }
        return {"logit": sum(one.evidence for one in faces[0].crops), "cues": cues}

    name = step.replace(" ", "-").replace(",", "")
    found = remembered(work / f"fusion-{name}-{detector.model}.jsonl", samples, ask, path_of)
    return {
        sample.path: one
        for sample, one in zip(samples, found, strict=True)
        if one["logit"] is not None
    }


def tables(
    samples: Sequence[Sample], told: Mapping[Path, Record]
) -> dict[str, tuple[Table, list[int]]]:
    """Return what each cue measured, and on which of the pictures it was applicable."""
    found = {}
    for cue in CUES:
        speaking = [i for i, s in enumerate(samples) if cue.name in told[s.path]["cues"]]
        rows = [told[samples[i].path]["cues"][cue.name]["statistics"] for i in speaking]
        values = [[row.get(name, np.nan) for name in cue.statistics] for row in rows]
        own = [samples[i] for i in speaking]
        found[cue.name] = (
            Table(
                values=np.array(values, dtype=float).reshape(-1, len(cue.statistics)),
                ai=is_ai(own),
                cells=tuple((s.label, s.source, s.generator) for s in own),
                groups=tuple(s.group for s in own),
            ),
            speaking,
        )
    return found


def columns(
    fitted_on: Mapping[str, tuple[Table, list[int]]],
    keep: Bool[ndarray, " fitted"],
    of: Mapping[str, tuple[Table, list[int]]],
    count: int,
) -> Float[ndarray, "n cues"]:
    """Return what cues fitted on some pictures say of others; 0 where they are not applicable."""
    found = np.zeros((count, len(CUES)))
    for column, cue in enumerate(CUES):
        known, speaking = fitted_on[cue.name]
        fit = fit_ratio(cue.name, cue.statistics, known.where(keep[speaking]))
        other, where = of[cue.name]
        if where:
            found[where, column] = np.clip(ratios_of(fit.raw, other), -MOST, MOST)
    return found


# --- fitting and measuring -----------------------------------------------------------------------


def left_out(pairs: Sequence[Held], told: Mapping[Path, Record]) -> list[Said]:
    """Return what network and cues say of each pair of sources that none of them has seen.

    The network's ratio is calibrated on the pairs that share nothing with this one.

    Args:
        pairs: What the network said.
        told: What the cues measured.
    """
    samples = tuple({s.path: s for pair in pairs for s in pair.samples if s.path in told}.values())
    place = {sample.path: i for i, sample in enumerate(samples)}
    every = tables(samples, told)
    of = np.array([family(s) if s.label == "real" else s.generator for s in samples])
    groups = np.array([sample.group for sample in samples])
    found = []
    for pair in pairs:
        others = [o for o in pairs if o.family != pair.family and o.real != pair.real]
        if not others:
            continue
        slope, intercept = platt(
            np.concatenate([o.logits[:, 0, 0] for o in others]).astype(np.float64),
            np.concatenate([is_ai(o.samples) for o in others]),
            np.concatenate([even(is_ai(o.samples)) for o in others]),
        )
        own = [i for i, sample in enumerate(pair.samples) if sample.path in place]
        at = [place[pair.samples[i].path] for i in own]
        out = np.isin(of, [pair.family, pair.real])
        out |= np.isin(groups, groups[out])
        cues = columns(every, ~out, every, len(samples))[at]
        network = slope * pair.logits[own, 0, 0].mean(axis=1) + intercept
        ratios = np.column_stack([network, cues])
        found.append(Said(samples=tuple(pair.samples[i] for i in own), ratios=ratios))
    return found


def shipped(told: Sequence[Record]) -> Float[ndarray, " n"]:
    """Return the sum of the ratios that cues weigh in the package, nats."""
    return np.array([sum(cue["llr"] or 0.0 for cue in one["cues"].values()) for one in told])


def fitted(cues: Sequence[str], learnt: Sequence[Said]) -> Fusion:
    """Fuse the network and some cues; pairs count alike, and classes within a pair."""
    names = [cue.name for cue in CUES]
    return fuse(
        np.concatenate([one.ratios for one in learnt]),
        np.concatenate([is_ai(one.samples) for one in learnt]),
        np.concatenate([even(is_ai(one.samples)) for one in learnt]),
        [1 + names.index(cue) for cue in cues],
    )


# --- the page ------------------------------------------------------------------------------------


def page(steps: Mapping[str, Mapping[str, Compared]], n_real: int, n_ai: int) -> str:
    """Return the table of pictures as delivered, and the conclusion.

    Args:
        steps: Figures by variant, as delivered and copied.
        n_real: Real pictures.
        n_ai: AI-generated pictures.
    """
    rows = [
        [
            variant,
            *(
                number(one[name][0]) + ("" if variant == ALONE else f" / {signed(one[name][1], 3)}")
                for name in MEASURES
            ),
        ]
        for variant, one in steps[AS_DELIVERED].items()
    ]
    return (
        f"`val`, as delivered: {n_real} real, {n_ai} AI-generated pictures. In brackets the 95 % "
        "interval; after the stroke the difference to the network alone, on the same resamples."
        f"\n\n{table(['variant', *MEASURES], rows, numbers=True)}\n\n{conclusion(steps)}"
    )


def conclusion(steps: Mapping[str, Mapping[str, Compared]]) -> str:
    """Say what follows from the figures by the rule."""
    plain, copied = (steps[step] for step in (AS_DELIVERED, COPY))
    winners = [v for v in plain if v != ALONE and joins(plain[v], copied[v])]
    if winners:
        return f"**Met the rule:** {'; '.join(winners)}."
    return (
        "**No variant meets the rule: the cues stay beside the verdict**, and none of them moves "
        "it."
    )


# --- main ----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    detector = Detector.load(recheck=False, fast=True, threads=1)
    train = subsample(
        read_samples(given.manifest, split="train"), 12 if given.quick else OF_EACH, seed=0
    )
    val = read_samples(given.manifest, split="val")
    val = subsample(val, 4, seed=0) if given.quick else val
    told = answers(train, AS_DELIVERED, detector, given.work)
    features = extractor_of(detector, given.work).extract(train, Threads(JOBS), track)
    said = left_out(holdout(features, RECIPE, kin=False), told)
    fusions = {variant: fitted(cues, said) for variant, cues in FITTED.items()}
    learnt = [sample for sample in train if sample.path in told]
    cues = tables(learnt, told)
    steps: dict[str, dict[str, Compared]] = {}
    for step in (AS_DELIVERED, COPY):
        heard = answers(val, step, detector, given.work)
        samples = tuple(sample for sample in val if sample.path in heard)
        network = np.array([heard[sample.path]["logit"] for sample in samples])
        spoken = columns(cues, np.ones(len(learnt), bool), tables(samples, heard), len(samples))
        both, ai = np.column_stack([network, spoken]), is_ai(samples)
        ratios = {
            ALONE: network,
            SUMMED: network + shipped([heard[sample.path] for sample in samples]),
            **{variant: fusion.of(both) for variant, fusion in fusions.items()},
        }
        steps[step] = measured(ratios, ai, [sample.group for sample in samples])
    publish(PAGE, "fusion", page(steps, int((~ai).sum()), int(ai.sum())), quick=given.quick)


if __name__ == "__main__":
    main()
