"""Train the model that ships in the package, measure it, and write docs/accuracy.md.

The audit of the training pictures goes into docs/audit.md and the card. Most sources hold one class
only, so it refuses them, and we train all the same: docs/audit.md says why.

    python -m scripts.make_default_model DATA/manifest.csv [--more RECONSTRUCTIONS/manifest.csv]
        [--work DIR] [--fresh-backbone] [--quick --out DIR]

DATA is a manifest (path, label, source, generator, group, split) with the splits `train`, `val`
and `test`; `--more` names manifests that add to `train` alone, such as the pseudo-fakes of
scripts/make_reconstructions.py. The head is fitted by the same function as `veridical train` runs,
on the frozen backbone that is in the repository already, so that retraining replaces small files
only; `--fresh-backbone` makes that file anew (scripts/make_backbone.py). An interrupted run goes on
where it stopped. Needs `veridical[train]`; about an hour on two cores. `--quick` goes
through all of it on a few pictures and writes neither pages nor the package: a smoke test.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from benchmarks.common import JOBS, track
from benchmarks.fitting import PSEUDO
from benchmarks.pages import DOCS, ROOT, number, publish, table

from veridical.detector import Detector
from veridical.engines import Threads
from veridical.evaluate.files import write
from veridical.evaluate.measure import Evaluation, Outcome, Scorecard, evaluate
from veridical.io.dataset import read_samples
from veridical.io.model import CARD, read_model, write_model
from veridical.io.samples import Sample, composition
from veridical.report import Report
from veridical.train.audit_files import section
from veridical.train.make import Trained, train
from veridical.train.recipes import DEFAULT

MODEL = ROOT / "src" / "veridical" / "models" / "default"
PAGE, AUDIT, README = DOCS / "accuracy.md", DOCS / "audit.md", ROOT / "README.md"
MOST = 120  # pictures of a source and generator: more teach little, and each costs time
RECIPE = replace(DEFAULT, pseudo=PSEUDO)
QUICK = replace(RECIPE, name="quick", views=2, out_of_source=False, explained=12)
NOTES = {
    "pictures": "Public face collections, real and AI-generated. Their licences are mostly for "
    "research, or not stated, so no picture of them is part of this package; the model's weights "
    "are ours. The sources are listed under trained_on.",
    "backbone": "CLIP ViT-B/16 image tower (OpenAI, MIT), frozen, cut off behind block 11.",
    "intended_use": "To help a person judge whether a photographed face was generated. Never as "
    "the only ground for a decision about anyone.",
    "pseudo_fakes": "Some of the real pictures, sent through a decoder, each a generator of its "
    "own: `taef2`, the tiny autoencoder of FLUX.2's latent space (madebyollin/taesd, MIT); "
    "`RealESRGAN_General_x4_v3` (BSD-3-Clause); `4xLSDIRCompactC3` (CC BY 4.0); waifu2x's "
    "`upconv_7_photo` (MIT). They count little (see the recipe's pseudo_weight), and do not "
    "calibrate.",
    "known_failures": "Generators with no relative among those listed, some of which are taken for "
    "real; portraits from conferences and from FFHQ, which are called `ai` more often than others; "
    "faces that were swapped or edited locally; heavy filters and retouching; drawings and "
    "renderings. Error rates between groups of people are in docs/doubt.md, on few pictures.",
}


def backbone(work: Path, fresh: bool) -> str:
    if (MODEL / CARD).is_file() and not fresh:
        return str(MODEL)
    folder = work / "clip-vit-base-patch16"
    if not (folder / "config.json").is_file():
        script = str(Path(__file__).with_name("make_backbone.py"))
        subprocess.run([sys.executable, script, str(folder)], check=True)
    return str(folder)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What was measured on one split.

    Attributes:
        outcomes: What was said of each picture.
        whole: On all pictures.
        by_size: On those with faces of some size.
        fast: On all pictures, by the face alone; None on other splits than `val`.
    """

    outcomes: Sequence[Outcome]
    whole: Evaluation
    by_size: Mapping[str, Evaluation]
    fast: Evaluation | None


SIZES = {"under 120 px": 120.0, "120 to 220 px": 220.0, "220 to 400 px": 400.0, "larger": inf}


def by_size(outcomes: Sequence[Outcome]) -> dict[str, Evaluation]:
    """Measure pictures by the longer side of their lead face."""
    found, least = {}, 0.0
    for name, most in SIZES.items():
        some = [
            one
            for one in outcomes
            if isinstance(one.answer, Report)
            and one.answer.lead
            and least <= one.answer.lead.box.size_px < most
        ]
        if some:
            found[name] = evaluate(some)
        least = most
    return found


def measure(model: Path, samples: Sequence[Sample], split: str, work: Path) -> Measured:
    outcomes = told(model, samples, split, fast=False)
    evaluation = evaluate(outcomes)
    write(evaluation, outcomes, work / f"evaluation-{split}")
    return Measured(
        outcomes=outcomes,
        whole=evaluation,
        by_size=by_size(outcomes),
        fast=evaluate(told(model, samples, split, fast=True)) if split == "val" else None,
    )


def told(model: Path, samples: Sequence[Sample], split: str, *, fast: bool) -> list[Outcome]:
    detector = Detector.load(model, threads=1, fast=fast)
    answers = detector.inspect_many((sample.path for sample in samples), jobs=JOBS)
    shown = track(answers, f"Measuring on {split}{', fast' if fast else ''}", len(samples))
    return [
        Outcome(sample=sample, answer=answer) for sample, answer in zip(samples, shown, strict=True)
    ]


def of_card(found: Evaluation, outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return what a card says of an evaluation: on what it was measured, then every measure."""
    whole = found.overall
    judged = [outcome.sample for outcome in outcomes if outcome.p_ai is not None]
    return {
        "pictures": "pictures of sources that the model was not trained on",
        "n_real": whole.said_of_real.judged,
        "n_ai": whole.said_of_ai.judged,
        "n_groups": found.groups,
        "sources": composition(judged),
        **{
            key: None if value is None else [value.value, value.low, value.high]
            for key, value in whole.metrics.items()
        },
    }


OVERALL = {
    "auroc": "AUROC",
    "tpr_at_1pct_fpr": "TPR at 1 % FPR",
    "accuracy": "accuracy at P(ai) = 0.5",
    "fpr": "FPR at P(ai) = 0.5",
    "ece": "ECE (15 bins)",
    "coverage": "share decided (not `undecided`)",
    "error_when_decided": "errors among the decided",
    "real_called_ai": "real pictures called `ai`",
    "ai_called_real": "AI pictures called `real`",
}


def chapter(split: str, measured: Measured) -> str:
    found = measured.whole
    whole = found.overall
    reals = [card for card in found.by_source if card.n_real and not card.n_ai]
    reals += [card for card in found.by_source if card.n_real and card.n_ai]
    return "\n\n".join(
        [
            f"## On `{split}`: {whole.n_real} real, {whole.n_ai} AI-generated pictures",
            table(
                ("measure", "value, 95 % interval"),
                ((says, number(whole.metrics[name])) for name, says in OVERALL.items()),
            ),
            "By size of the face:",
            table(
                (
                    "pictures",
                    "real + AI",
                    "AUROC",
                    "decided",
                    "real called `ai`",
                    "AI called `real`",
                ),
                [
                    *(size_row(name, one) for name, one in measured.by_size.items()),
                    *([size_row("all, with `--fast`", measured.fast)] if measured.fast else ()),
                ],
            ),
            "By generator, each against all real pictures of the set:",
            table(
                ("generator", "pictures", "AUROC", "TPR at 1 % FPR", "called `ai`"),
                (generator_row(card) for card in found.by_generator),
            ),
            "Real pictures by source:",
            table(
                ("source", "pictures", "called `ai`", "`undecided`"),
                (real_row(card) for card in reals),
            ),
        ]
    )


def size_row(name: str, found: Evaluation) -> tuple[object, ...]:
    m, whole = found.overall.metrics, found.overall
    rates = (number(m[key]) for key in ("coverage", "real_called_ai", "ai_called_real"))
    return (name, f"{whole.n_real} + {whole.n_ai}", number(m["auroc"]), *rates)


def generator_row(card: Scorecard) -> tuple[object, ...]:
    m = card.metrics
    return (
        card.name,
        card.n_ai,
        number(m["auroc"]),
        number(m["tpr_at_1pct_fpr"]),
        number(m["ai_called_ai"]),
    )


def real_row(card: Scorecard) -> tuple[object, ...]:
    m = card.metrics
    called, open_ = m["real_called_ai"], m["real_undecided"]
    return (card.name, card.n_real, number(called), number(open_))


def summary(found: Mapping[str, Measured]) -> str:
    rows = []
    for split, measured in found.items():
        evaluation = measured.whole
        m = evaluation.overall.metrics
        rows.append(
            (
                split,
                f"{evaluation.overall.n_real} + {evaluation.overall.n_ai}",
                number(m["auroc"]),
                number(m["tpr_at_1pct_fpr"]),
                number(m["coverage"]),
                number(m["real_called_ai"]),
                number(m["ai_called_real"]),
            )
        )
    header = ("pictures from other sources", "real + AI", "AUROC", "TPR at 1 % FPR")
    return table((*header, "decided", "real called `ai`", "AI called `real`"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="added to `train`")
    parser.add_argument("--work", type=Path, default=ROOT / "model-work")
    parser.add_argument("--out", type=Path, default=MODEL, help="the model's folder")
    parser.add_argument("--fresh-backbone", action="store_true")
    parser.add_argument("--splits", nargs="+", default=["val", "test"], help="to measure on")
    parser.add_argument("--quick", action="store_true", help="a smoke test, not a model")
    asked = parser.parse_args()
    if asked.quick and asked.out == MODEL:
        parser.error("--quick makes no model worth keeping: name another folder with --out")
    name = backbone(asked.work, asked.fresh_backbone)
    ours = name == str(MODEL)
    trained = train(
        [
            s
            for m in (asked.manifest, *asked.more)
            for s in read_samples(m, split="train", one_class=m in asked.more)
        ],
        asked.out,
        backbone=name,
        recipe=QUICK if asked.quick else RECIPE,
        engine=Threads(JOBS),
        cache=asked.work / "cache",
        precision=None if ours else "int8",
        threads=1,
        track=track,
        say=print,
        notes=NOTES,
        allow_confounds=True,
        per_source=MOST,
    )
    found = {
        split: measure(asked.out, read_samples(asked.manifest, split=split), split, asked.work)
        for split in asked.splits
    }
    measured = {split: of_card(one.whole, one.outcomes) for split, one in found.items()}
    folder = read_model(asked.out)
    card = {key: value for key, value in folder.card.items() if key not in ("schema", "files")}
    write_model(
        asked.out, {**card, "measured": measured}, folder.tensors, folder.backbone, folder.explainer
    )
    print(json.dumps(measured, indent=1))
    if asked.out == MODEL:
        publish_all(trained, found)


def publish_all(trained: Trained, found: Mapping[str, Measured]) -> None:
    chapters = (chapter(split, one) for split, one in found.items())
    publish(PAGE, "results", "\n\n".join(chapters), quick=False)
    publish(AUDIT, "audit", section(trained.audit), quick=False)
    publish(README, "accuracy-summary", summary(found), quick=False)


if __name__ == "__main__":
    main()
