"""Would the verdict be better if the forensic cues joined it?

    python -m benchmarks.fusion DATA/manifest.csv --work DIR [--quick]

Log-likelihood ratios are fused by logistic regression, which takes their dependence into account
(Morrison, "Tutorial on logistic-regression calibration and fusion", Australian Journal of Forensic
Sciences 45(2), 2013; Brümmer and du Preez, Computer Speech and Language 20, 2006). Fitted on
`train`: generators and a family of real sources are left out at a time, as in
`benchmarks.generalisation`, and what the network and the cues, all fitted without them, say of the
left-out pictures is what the fusion learns from. Estimate on those, by a fusion of the pairs that
share nothing with them, and on `val`, with the model and the cues of the package; also on copies at
half size and JPEG 50.

Generators are left out one by one, or with all their family. Beside a whole family left out the
network of the few sources at hand knows next to nothing, and no weight can be read off there. So
the fusion that is held against `val` comes from single generators; the page has both.

What was found is kept in DIR, picture by picture; an interrupted run goes on. Tables are written
into docs/cues.md. `--quick` goes through all of it on a few pictures and writes nothing.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import grid
from benchmarks.generalisation import AS_DELIVERED, Held, family, holdout, publish
from benchmarks.laundering import launder
from veridical._optional import need
from veridical.arrays import Bool, Float, ndarray
from veridical.cues import DEFAULT_CUES
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.errors import PhotoError
from veridical.forensics import ask
from veridical.infer.head import sigmoid
from veridical.io.dataset import read_samples
from veridical.io.images import read_bytes, read_photo
from veridical.io.samples import Sample
from veridical.io.splits import subsample
from veridical.report import Reading
from veridical.report import Estimate
from veridical.stats.intervals import Resampling, percentiles
from veridical.stats.metrics import auroc
from veridical.stats.ranking import Ranked, area
from veridical.train.features import FeatureExtractor
from veridical.train.fit import platt
from veridical.train.ratios import MOST, Table, fit_ratio, ratios_of
from veridical.train.recipes import DEFAULT

PAGE = Path(__file__).parent.parent / "docs" / "cues.md"
JOBS = 2
OF_EACH = 24  # pictures of a source and generator that the fusion learns from
COPY = "half size, JPEG 50"
CUES = tuple(cue for cue in DEFAULT_CUES if cue.evidence)
RIDGE = 0.01  # prior precision per weight, as a share of the pictures
FPR = 0.01
RESAMPLES = 1000
THINNED = 10  # every tenth posterior sample fixes two numbers well enough

Record = dict[str, Any]
Lines = Float[ndarray, "n columns"]
"""What was said of each picture: the network first, then the cues; nats, 0 for silence."""

ALONE = "network alone"
SUMMED = "network + cues that weigh, summed"
FITTED: Mapping[str, tuple[str, ...]] = {
    "network + noise, fitted": ("noise",),
    "network + all cues, fitted": tuple(cue.name for cue in CUES),
}
"""Cues that may join the network, by variant."""
HOLDOUTS = {"families": True, "single generators": False}
USED = "single generators"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
    """What was said of labelled pictures.

    Attributes:
        samples: The pictures.
        lines: What network and cues said of each.
    """

    samples: tuple[Sample, ...]
    lines: Lines

    @property
    def ai(self) -> Bool[ndarray, " n"]:
        """Which are AI-generated."""
        return np.array([sample.label == "ai" for sample in self.samples], dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fusion:
    """A weighted sum of the network's ratio and those of some cues.

    Attributes:
        weights: Of every line; 0 for a cue that is not asked.
        intercept: Nats.
    """

    weights: Float[ndarray, " columns"]
    intercept: float

    def of(self, lines: Lines) -> Float[ndarray, " n"]:
        """Return the fused ratio of every picture, nats."""
        fused: ndarray = lines @ self.weights + self.intercept
        return fused


def fuse(
    lines: Lines, ai: Bool[ndarray, " n"], weights: Float[ndarray, " n"], cues: Sequence[int]
) -> Fusion:
    """Fit the weights, none of them below 0: evidence does not count against itself.

    Args:
        lines: What was said.
        ai: Which pictures are AI-generated.
        weights: Of the pictures.
        cues: Columns that may join the network, which is column 0.
    """
    optimize = need("scipy.optimize", extra="train", to="fuse evidence")
    asked = [0, *cues]
    x = np.column_stack([lines[:, asked], np.ones(len(lines))])
    share = weights / weights.sum()
    ridge = np.array([RIDGE] * len(asked) + [0.0])

    def loss(at: Float[ndarray, " k"]) -> tuple[float, Float[ndarray, " k"]]:
        logit = x @ at
        cost = share @ np.logaddexp(0, np.where(ai, -logit, logit)) + ridge @ at**2 / 2
        return float(cost), x.T @ (share * (sigmoid(logit) - ai)) + ridge * at

    start = np.zeros(x.shape[1])
    bounds = [(0, None)] * len(asked) + [(None, None)]
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, tol=1e-12)
    full = np.zeros(lines.shape[1])
    full[asked] = found.x[:-1]
    return Fusion(weights=full, intercept=float(found.x[-1]))


def even(ai: Bool[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Weigh the classes alike; the weights add up to one."""
    weights: ndarray = np.where(ai, 0.5 / max(1, ai.sum()), 0.5 / max(1, (~ai).sum()))
    return weights


# --- looking -------------------------------------------------------------------------------------


def answers(
    samples: Sequence[Sample], step: str, detector: Detector, work: Path
) -> dict[Path, Record]:
    """Ask the model and all cues about each picture, or a copy of it; pictures with a face only."""
    kept = work / f"fusion-{step.replace(' ', '-').replace(',', '')}-{detector.model}.jsonl"
    known: dict[str, Record] = {}
    if kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            known[told["path"]] = told
    todo = [sample for sample in samples if str(sample.path) not in known]
    with kept.open("a", encoding="utf-8") as stream:
        for number, told in enumerate(
            Threads(JOBS).map(partial(asked, step=step, detector=detector), todo)
        ):
            known[told["path"]] = told
            stream.write(json.dumps(told) + "\n")
            stream.flush()
            if number % 100 == 0:
                print(f"{step}: {number} of {len(todo)}", flush=True)
    found = {sample.path: known[str(sample.path)] for sample in samples}
    return {path: one for path, one in found.items() if one["logit"] is not None}


def asked(sample: Sample, step: str, detector: Detector) -> Record:
    """Ask about the largest face of a picture, as delivered or copied."""
    nothing: Record = {"path": str(sample.path), "logit": None, "cues": {}}
    try:
        data = read_bytes(sample.path)
        if step != AS_DELIVERED:
            data = launder(read_photo(data).pixels, step)
        photo = read_photo(data)
        _, faces = detector.explain(photo, faithfulness=False)
    except PhotoError:
        return nothing
    if not faces:
        return nothing
    told = (one.answer for one in ask(photo, faces[0].face, data, cues=CUES))
    cues = {
        one.cue: {"statistics": dict(one.statistics), "llr": one.llr}
        for one in told
        if isinstance(one, Reading)
    }
    return nothing | {"logit": faces[0].contributions.logit, "cues": cues}


def tables(
    samples: Sequence[Sample], told: Mapping[Path, Record]
) -> dict[str, tuple[Table, list[int]]]:
    """Return what each cue measured, and on which of the pictures it was not silent."""
    found = {}
    for cue in CUES:
        speaking = [i for i, s in enumerate(samples) if cue.name in told[s.path]["cues"]]
        rows = [told[samples[i].path]["cues"][cue.name]["statistics"] for i in speaking]
        values = [[row.get(name, np.nan) for name in cue.statistics] for row in rows]
        own = [samples[i] for i in speaking]
        found[cue.name] = (
            Table(
                values=np.array(values, dtype=float).reshape(-1, len(cue.statistics)),
                ai=np.array([s.label == "ai" for s in own], dtype=bool),
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
    """Return what cues fitted on some pictures say of others; 0 where they are silent."""
    found = np.zeros((count, len(CUES)))
    for number, cue in enumerate(CUES):
        table, speaking = fitted_on[cue.name]
        fit = fit_ratio(cue.name, cue.statistics, table.where(keep[speaking]))
        other, where = of[cue.name]
        if where:
            found[where, number] = np.clip(ratios_of(fit.raw, other), -MOST, MOST)
    return found


# --- fitting and measuring -----------------------------------------------------------------------


def left_out(pairs: Sequence[Held], told: Mapping[Path, Record], *, kin: bool) -> list[Said]:
    """Return what network and cues say of each pair that none of them has seen.

    The network's ratio is calibrated on the pairs that share nothing with this one.

    Args:
        pairs: What the network said.
        told: What the cues measured.
        kin: Whether families of generators were left out, or single generators.
    """
    samples = tuple({s.path: s for pair in pairs for s in pair.samples if s.path in told}.values())
    place = {sample.path: i for i, sample in enumerate(samples)}
    every = tables(samples, told)
    of = np.array([family(s) if kin or s.label == "real" else s.generator for s in samples])
    groups = np.array([sample.group for sample in samples])
    found = []
    for pair in pairs:
        others = [o for o in pairs if o.family != pair.family and o.real != pair.real]
        if not others:
            continue
        slope, intercept = platt(
            np.concatenate([o.logits[:, 0, ::THINNED] for o in others]),
            np.array([s.label == "ai" for o in others for s in o.samples]),
            np.concatenate([even(np.array([s.label == "ai" for s in o.samples])) for o in others]),
        )
        own = [i for i, sample in enumerate(pair.samples) if sample.path in place]
        at = [place[pair.samples[i].path] for i in own]
        out = np.isin(of, [pair.family, pair.real])
        out |= np.isin(groups, groups[out])
        cues = columns(every, ~out, every, len(samples))[at]
        network = slope * pair.logits[own, 0].mean(axis=1) + intercept
        found.append(
            Said(
                samples=tuple(pair.samples[i] for i in own),
                lines=np.column_stack([network, cues]),
            )
        )
    return found


def shipped(told: Sequence[Record]) -> Float[ndarray, " n"]:
    """Return the sum of the ratios that cues weigh in the package, nats."""
    return np.array([sum(cue["llr"] or 0.0 for cue in one["cues"].values()) for one in told])


def fitted(cues: Sequence[str], learnt: Sequence[Said]) -> Fusion:
    """Fuse the network and some cues; pairs count alike, and classes within a pair."""
    names = [cue.name for cue in CUES]
    return fuse(
        np.concatenate([one.lines for one in learnt]),
        np.concatenate([one.ai for one in learnt]),
        np.concatenate([even(one.ai) for one in learnt]),
        [1 + names.index(cue) for cue in cues],
    )


def within(pairs: Sequence[Held], said: Sequence[Said]) -> dict[str, float]:
    """Return the mean AUROC within pairs, each judged by a fusion of those that share nothing."""
    found: dict[str, list[float]] = {variant: [] for variant in (ALONE, *FITTED)}
    for pair, own in zip(pairs, said, strict=True):
        others = [
            other
            for held, other in zip(pairs, said, strict=True)
            if held.family != pair.family and held.real != pair.real
        ]
        if not others or own.ai.all() or not own.ai.any():
            continue
        found[ALONE].append(auroc(own.ai, own.lines[:, 0]))
        for variant, cues in FITTED.items():
            found[variant].append(auroc(own.ai, fitted(cues, others).of(own.lines)))
    return {variant: float(np.mean(values)) for variant, values in found.items()}


def measured(
    ratios: Mapping[str, Float[ndarray, " n"]],
    ai: Bool[ndarray, " n"],
    groups: Sequence[str],
    resamples: int = RESAMPLES,
) -> dict[str, Record]:
    """Measure each variant, and how it differs from the first on the same resamples."""
    draws: dict[str, list[Float[ndarray, "measures resamples"]]] = {name: [] for name in ratios}
    for weights in Resampling.of(ai, groups).resamples(resamples, 0):
        for name, one in ratios.items():
            draws[name].append(figures(one, ai, weights))
    whole = {name: figures(one, ai, np.ones((1, len(ai))))[:, 0] for name, one in ratios.items()}
    joined = {name: np.concatenate(parts, axis=1) for name, parts in draws.items()}
    base = next(iter(ratios))
    return {
        name: {
            measure: (
                percentiles(float(whole[name][i]), joined[name][i]),
                percentiles(
                    float(whole[name][i] - whole[base][i]), joined[name][i] - joined[base][i]
                ),
            )
            for i, measure in enumerate(MEASURES)
        }
        for name in ratios
    }


MEASURES = ("AUROC", "TPR at 1 % FPR", "Cllr, bits")


def figures(
    ratios: Float[ndarray, " n"], ai: Bool[ndarray, " n"], weights: Float[ndarray, "resamples n"]
) -> Float[ndarray, "measures resamples"]:
    """Return AUROC, TPR at 1 % FPR, and Cllr (Brümmer and du Preez, eq. 22), by resample."""
    tp, fp = Ranked.of(ai, ratios).curve(weights)
    reached = np.where(fp <= FPR * fp[:, -1:], tp, 0).max(axis=1) / tp[:, -1]
    cost = np.logaddexp(0, np.where(ai, -ratios, ratios)) / np.log(2)
    cllr = sum(weights @ (cost * own) / (weights @ own.astype(float)) for own in (ai, ~ai)) / 2
    return np.stack([area(tp, fp), reached, cllr])


def joins(plain: Mapping[str, Any], copied: Mapping[str, Any]) -> bool:
    """Apply the rule: clearly better as delivered, no worse on copies, no dearer in Cllr.

    Args:
        plain: A variant's figures, by measure, on pictures as delivered.
        copied: On their copies.
    """
    better = any(plain[name][1].low > 0 for name in MEASURES[:2])
    holds = all(copied[name][1].value >= 0 for name in MEASURES[:2])
    return bool(better and holds and plain[MEASURES[2]][1].value <= 0)


# --- the page ------------------------------------------------------------------------------------


def page(
    steps: Mapping[str, Mapping[str, Record]],
    counts: Mapping[str, tuple[int, int]],
    inside: Mapping[str, Mapping[str, float]],
    fusions: Mapping[str, Mapping[str, Fusion]],
    dependence: Mapping[str, tuple[float, float]],
) -> str:
    """Return tables and conclusion.

    Args:
        steps: Figures by variant, as delivered and copied.
        counts: Real and AI-generated pictures of each step.
        inside: Mean AUROC within left-out pairs, by what was left out and variant.
        fusions: The fitted ones, by what was left out and variant.
        dependence: Correlation of each cue with the network, among real and AI-generated pictures.
    """
    parts = []
    for step, found in steps.items():
        rows = [
            [
                variant,
                *(
                    cell(*one[name]) if variant != ALONE else number(one[name][0])
                    for name in MEASURES
                ),
            ]
            for variant, one in found.items()
        ]
        real, ai = counts[step]
        parts.append(
            f"`val`, {step}: {real} real, {ai} AI-generated pictures. In brackets the 95 % "
            "interval; after the stroke the difference to the network alone, on the same "
            "resamples.\n\n" + grid(["variant", *MEASURES], rows)
        )
    names = [cue.name for cue in CUES]
    rows = [
        [
            out,
            variant,
            f"{value:.3f}",
            *(
                ["1 (as is)", *("" for _ in names)]
                if variant == ALONE
                else [f"{weight:.2f}" for weight in fusions[out][variant].weights]
            ),
        ]
        for out, each in inside.items()
        for variant, value in each.items()
    ]
    parts.append(
        "Fitted on `train`: the mean AUROC within left-out pairs, each judged by a fusion of pairs "
        "that share nothing with it, and the weights of a fusion of all pairs. The fusion of "
        f"{USED} is the one above. The sum is not here: the cues of the package learnt from these "
        "pictures.\n\n" + grid(["left out", "variant", "AUROC", "network", *names], rows)
    )
    parts.append(
        "Dependence on the network on `val`, Pearson's correlation within a class:\n\n"
        + grid(
            ["cue", "real", "AI-generated"],
            [[name, f"{real:+.2f}", f"{ai:+.2f}"] for name, (real, ai) in dependence.items()],
        )
    )
    return "\n\n".join([*parts, conclusion(steps)])


def conclusion(steps: Mapping[str, Mapping[str, Record]]) -> str:
    """Say what follows from the figures by the rule."""
    plain, copied = (steps[step] for step in (AS_DELIVERED, COPY))
    winners = [v for v in plain if v != ALONE and joins(plain[v], copied[v])]
    if not winners:
        return (
            "**No variant meets the rule: the cues stay beside the verdict**, and none of them "
            "moves it."
        )
    return f"**Met the rule:** {'; '.join(winners)}."


def cell(value: Estimate, difference: Estimate) -> str:
    return (
        f"{number(value)} / {difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"
    )


def number(measured: Estimate) -> str:
    return f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"


# --- main ----------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    detector = Detector.load(stability=False, threads=1)
    train = subsample(
        read_samples(given.manifest, split="train"), 12 if given.quick else OF_EACH, seed=0
    )
    val = read_samples(given.manifest, split="val")
    val = subsample(val, 4, seed=0) if given.quick else val
    told = answers(train, AS_DELIVERED, detector, given.work)
    extractor = FeatureExtractor(
        finder=detector.finder,
        backbone=detector.backbone,
        backbone_hash=detector.card["files"]["backbone.onnx"],
        crop_config=detector.crop_config,
        pooling=detector.pooling,
        views=DEFAULT.views,
        min_face_px=detector.min_face_px,
        cache=given.work,
    )
    looks = extractor.look(train, Threads(JOBS))
    fusions, inside = {}, {}
    for out, kin in HOLDOUTS.items():
        pairs = holdout(looks, DEFAULT, kin=kin)
        said = left_out(pairs, told, kin=kin)
        pairs = [p for p in pairs if any(p.family != o.family and p.real != o.real for o in pairs)]
        fusions[out] = {variant: fitted(cues, said) for variant, cues in FITTED.items()}
        inside[out] = within(pairs, said)
    learnt = [sample for sample in train if sample.path in told]
    cues = tables(learnt, told)
    steps, counts = {}, {}
    for step in (AS_DELIVERED, COPY):
        heard = answers(val, step, detector, given.work)
        samples = tuple(sample for sample in val if sample.path in heard)
        network = np.array([heard[sample.path]["logit"] for sample in samples])
        spoken = columns(cues, np.ones(len(learnt), bool), tables(samples, heard), len(samples))
        one = Said(
            samples=samples,
            lines=np.column_stack([network, spoken]),
        )
        ratios = {
            ALONE: network,
            SUMMED: network + shipped([heard[sample.path] for sample in samples]),
            **{variant: fusion.of(one.lines) for variant, fusion in fusions[USED].items()},
        }
        steps[step] = measured(ratios, one.ai, [sample.group for sample in samples])
        counts[step] = int((~one.ai).sum()), int(one.ai.sum())
        if step == AS_DELIVERED:
            dependence = {
                cue.name: (related(one.lines[~one.ai], 1 + i), related(one.lines[one.ai], 1 + i))
                for i, cue in enumerate(CUES)
            }
    text = page(steps, counts, inside, fusions, dependence)
    print(text, flush=True)
    publish("fusion", text, given.quick, PAGE)


def related(lines: Lines, cue: int) -> float:
    """Return the correlation of a cue with the network."""
    if lines[:, cue].std() == 0:
        return 0.0
    return float(np.asarray(np.corrcoef(lines[:, 0], lines[:, cue]))[0, 1])


if __name__ == "__main__":
    main()
