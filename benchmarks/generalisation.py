"""Does it hold on generators, cameras and copies that it has not seen?

    python -m benchmarks.generalisation DATA/manifest.csv --work DIR [--more TWINS/manifest.csv]
                                        [--splits val] [--parts holdout laundering] [--quick]

**holdout**: leave one family of generators *and* one family of real sources out of `train`, fit
the head on the rest, and judge what was left out; for every pair of families. Relatives by group
stay out with them. The calibration of a pair comes from the other pairs, those that share neither
its generators nor its real sources. Once more with single generators left out, whose relatives
stay.

**laundering**: the model in the package on copies of `val` (or `test`), each made by a step of
`benchmarks.laundering.GRID`, read, searched for faces and judged from its bytes, as delivered.

Answers are kept in DIR; an interrupted run goes on. Tables are written into docs/accuracy.md.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.laundering import GRID, launder
from veridical.arrays import Float, ndarray
from veridical.detector import Detector, together
from veridical.engines import Threads
from veridical.errors import PhotoError
from veridical.infer.head import sigmoid
from veridical.io.dataset import read_samples
from veridical.io.images import read_photo
from veridical.io.samples import Sample
from veridical.io.splits import subsample
from veridical.report import Decision, Reason, Report
from veridical.stats import intervals, metrics
from veridical.train.features import FeatureExtractor, FeatureSet
from veridical.train.fit import platt, refits
from veridical.train.recipes import DEFAULT, Recipe
from veridical.vision.faces import FaceFinder

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"
JOBS = 2
THINNED = 10
DRAWS = 1000  # of a bootstrap
GRID_MOST = 24  # pictures of a source and generator that are copied
GRID_FEWEST = 15  # of a generator, to count in the mean over generators of their table
FEWEST = 15  # pictures of a generator below which its row is shown and not averaged

# Who is related to whom. A family is left out as a whole.
FAMILIES = {
    "stylegan1": "StyleGAN",
    "stylegan-undocumented": "StyleGAN",
    "stylegan2-web-undocumented": "StyleGAN",
    "stylegan2-like-undocumented": "StyleGAN",
    "sd2.1": "Stable Diffusion",
    "sdxl": "Stable Diffusion",
    "stable-diffusion-or-dall-e": "Stable Diffusion",
    "gemini-3-pro-image": "2025 assistants",
    "gpt-4o-or-nano-banana": "2025 assistants",
    "grok-imagine": "2025 assistants",
    "z-image-turbo": "2025 assistants",
}
REALS = {"kaggle140k-zoya2244": "FFHQ", "faceshq-roeishc": "FFHQ"}  # others stand alone
HELPERS = ("taef2",)  # pseudo-fakes: for fitting only, never judged

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """What the heads said of pictures that they, their makers and their sources never saw.

    Attributes:
        family: Of the generators left out.
        real: Family of real sources left out.
        samples: The pictures left out.
        logits: Posterior samples of the logit, by view.
    """

    family: str
    real: str
    samples: tuple[Sample, ...]
    logits: Float[ndarray, "pictures views samples"]


def family(sample: Sample) -> str:
    """Return the family of a picture's generator, or of its source if it is real."""
    if sample.label == "ai":
        return FAMILIES.get(sample.generator, sample.generator)
    return REALS.get(sample.source, sample.source)


def holdout(
    looks: FeatureSet, recipe: Recipe, seed: int = 0, *, kin: bool = True, quick: bool = False
) -> list[Held]:
    """Judge generators beside a family of reals, both unseen.

    Args:
        looks: Features of all pictures.
        recipe: What to fit.
        seed: Of the fits.
        kin: Leave families of generators out, or single generators.
        quick: The first two pairs only.
    """
    of = np.array([family(s) if kin or s.label == "real" else s.generator for s in looks.samples])
    ai = np.array([sample.label == "ai" for sample in looks.samples])
    helper = np.array([sample.generator in HELPERS for sample in looks.samples])
    groups = np.array([sample.group for sample in looks.samples])
    enough = [
        made for made in sorted(set(of[ai & ~helper])) if kin or ((of == made) & ai).sum() >= FEWEST
    ]
    pairs = list(product(enough, sorted(set(of[~ai]))))
    found = []
    fit_without = refits(looks, recipe, seed=seed)
    for made, taken in pairs[:2] if quick else pairs:
        out = ((of == made) & ai) | ((of == taken) & ~ai)
        head = fit_without(np.isin(groups, groups[out]))  # relatives go with them
        judged_ = np.flatnonzero(out & ~helper)
        found.append(
            Held(
                family=made,
                real=taken,
                samples=tuple(looks.samples[i] for i in judged_),
                logits=np.stack([[head.logits(v) for v in looks.features[i]] for i in judged_]),
            )
        )
        print(f"{made} beside {taken}: AUROC {auroc_of(found[-1]):.3f}", flush=True)
    return found


def auroc_of(held: Held, view: int = 0) -> float:
    """Return the AUROC of the mean logit."""
    truth = np.array([sample.label == "ai" for sample in held.samples])
    return metrics.auroc(truth, sigmoid(held.logits[:, view].mean(axis=1)))


def judged(found: Sequence[Held]) -> dict[str, list[dict[str, Any]]]:
    """Calibrate each pair on the others, and measure generator by generator."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for held in found:
        others = [o for o in found if o.family != held.family and o.real != held.real]
        if not others:
            continue
        # A tenth of the posterior samples fixes two numbers well enough, in a tenth of the time.
        logits = np.concatenate([o.logits[:, 0, ::THINNED] for o in others])
        truth = np.array([s.label == "ai" for o in others for s in o.samples])
        # Each class counts alike, and so does each pair within its class.
        weights = np.concatenate([_evenly(o.samples) for o in others])
        slope, intercept = platt(logits, truth, weights)
        p = sigmoid(slope * held.logits.astype(np.float64) + intercept).mean(axis=2)
        ai = np.array([s.label == "ai" for s in held.samples])
        for name in sorted({s.generator for s in held.samples if s.label == "ai"}):
            mine = ~ai | np.array([s.generator == name for s in held.samples])
            rows[name].append(
                {
                    "real": held.real,
                    "n_ai": int((mine & ai).sum()),
                    "n_real": int((~ai).sum()),
                    "auroc": metrics.auroc(ai[mine], p[mine, 0]),
                    "auroc_views": float(
                        np.mean([metrics.auroc(ai[mine], p[mine, v]) for v in range(1, p.shape[1])])
                    )
                    if p.shape[1] > 1
                    else None,
                    "balanced_accuracy": metrics.balanced_accuracy(ai[mine], p[mine, 0]),
                    "tpr_at_1pct_fpr": metrics.tpr_at_fpr(ai[mine], p[mine, 0], 0.01),
                    "tpr_at_5pct_fpr": metrics.tpr_at_fpr(ai[mine], p[mine, 0], 0.05),
                    "ece": metrics.expected_calibration_error(ai[mine], p[mine, 0]),
                    "p_ai": p[mine & ai, 0].tolist(),
                    "p_real": p[mine & ~ai, 0].tolist(),
                }
            )
    return dict(rows)


def _evenly(samples: Sequence[Sample]) -> Float[ndarray, " n"]:
    ai = np.array([sample.label == "ai" for sample in samples])
    weights: ndarray = np.where(ai, 0.5 / max(1, ai.sum()), 0.5 / max(1, (~ai).sum()))
    return weights


# ------------------------------------------------------------------------------- laundering


def laundered(
    samples: Sequence[Sample], detector: Detector, kept: Path, steps: Sequence[str]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Judge every picture and its copies; return step -> path -> answer. Goes on where it was."""
    known: dict[tuple[str, str], dict[str, Any]] = {}
    if kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            known[told["step"], told["path"]] = told
    todo = [(s, step) for step in steps for s in samples if (step, str(s.path)) not in known]

    def work(one: tuple[Sample, str]) -> dict[str, Any]:
        sample, step = one
        report: Report | None
        try:
            photo = read_photo(sample.path)
            data = photo if step == AS_DELIVERED else launder(photo.pixels, step)
            report = detector.inspect(data)
        except PhotoError:
            report = None
        return {
            "step": step,
            "path": str(sample.path),
            "p_ai": report.p_ai if report else None,
            "decision": report.decision.value if report else None,
            "one_look": one_look(report, detector).value if report else None,
        }

    with kept.open("a", encoding="utf-8") as stream:
        for number, told in enumerate(Threads(JOBS).map(work, todo)):
            stream.write(json.dumps(told) + "\n")
            stream.flush()
            known[told["step"], told["path"]] = told
            if number % 200 == 0:
                print(f"Copies: {number} of {len(todo)}", flush=True)
    return {step: {str(s.path): known[step, str(s.path)] for s in samples} for step in steps}


AS_DELIVERED = "as delivered"


def one_look(report: Report, detector: Detector) -> Decision:
    """Return the decision as it would be without the second look at copies."""
    said = []
    for face in report.faces:
        if Reason.CHANGES_UNDER_RECOMPRESSION in face.reasons and face.verdict:
            (decision,) = detector.calibration.prediction_set(face.verdict.p_ai)
            face = replace(face, verdict=replace(face.verdict, decision=decision))
        said.append(face)
    return together(said)[0]


def of_the_grid(samples: Sequence[Sample]) -> tuple[Sample, ...]:
    """Return the pictures whose copies are judged: a dozen copies of each take their time."""
    return subsample(samples, GRID_MOST, 0)


def copies(
    samples: Sequence[Sample], answers: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> list[dict[str, Any]]:
    """Measure step by step: the score against the truth, and what was decided."""
    rows = []
    first = answers[AS_DELIVERED]
    for step, told in answers.items():
        scored = [s for s in samples if told[str(s.path)]["p_ai"] is not None]
        ai = np.array([s.label == "ai" for s in scored])
        p = np.array([told[str(s.path)]["p_ai"] for s in scored])
        decided = np.array([told[str(s.path)]["decision"] for s in scored])
        makers = [s.generator for s in scored]
        each = [
            metrics.auroc(ai[mine], p[mine])
            for name in sorted({m for m in makers if makers.count(m) >= GRID_FEWEST and m})
            for mine in [~ai | np.array([m == name for m in makers])]
        ]
        flips = [
            {first[str(s.path)]["decision"], told[str(s.path)]["decision"]} == {"real", "ai"}
            for s in samples
        ]
        measured = metrics.bootstrap(ai, p, groups=[s.group for s in scored])
        rows.append(
            {
                "step": step,
                "auroc": measured["auroc"],
                "mean_auroc": float(np.mean(each)) if each else None,
                "tpr_at_1pct_fpr": measured["tpr_at_1pct_fpr"],
                "real_called_ai": intervals.wilson(
                    int((decided[~ai] == "ai").sum()), int((~ai).sum())
                ),
                "ai_called_real": intervals.wilson(
                    int((decided[ai] == "real").sum()), int(ai.sum())
                ),
                "decided": float((decided != "undecided").mean()),
                "contradictions": float(np.mean(flips)),
                "without_score": len(samples) - len(scored),
            }
        )
    return rows


# ------------------------------------------------------------------------------- the page


def number(measured: intervals.Estimate | None) -> str:
    if measured is None:
        return "–"
    return f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def curve(
    looks: FeatureSet, others: FeatureSet, recipe: Recipe, seed: int = 0, *, draws: int = 3
) -> list[dict[str, Any]]:
    """Fit on fewer and fewer generators, drawn at random, and judge those that were not drawn.

    Args:
        looks: Features of `train`. One family of reals is left out in turn, to be judged too.
        others: Features of pictures from elsewhere.
        recipe: What to fit.
        seed: Of the draws and fits.
        draws: Sets of generators of each size.
    """
    made = np.array([s.generator for s in looks.samples])
    ai = np.array([s.label == "ai" for s in looks.samples])
    of = np.array(["" if s.label == "ai" else family(s) for s in looks.samples])
    groups = np.array([s.group for s in looks.samples])
    judged_ = ai & ~np.isin(made, HELPERS)
    names = [n for n in sorted(set(made[judged_])) if (made == n).sum() >= FEWEST]
    reals = sorted(set(of[~ai]))
    fit_without = refits(looks, recipe, seed=seed)
    draw = np.random.default_rng(seed)
    rows = []
    for count in [n for n in (1, 2, 4, 6, 8) if n < len(names)]:
        unseen, elsewhere = [], []
        for number in range(draws):
            kept = draw.choice(names, count, replace=False)
            out = (judged_ & ~np.isin(made, kept)) | (of == reals[number % len(reals)])
            head = fit_without(np.isin(groups, groups[out]))
            score = np.array([head.logits(v[0]).mean() for v in looks.features[out]])
            left = [looks.samples[i] for i in np.flatnonzero(out)]
            unseen.append(_over_generators(left, score))
            score = np.array([head.logits(v[0]).mean() for v in others.features])
            elsewhere.append(_over_generators(others.samples, score))
        rows.append({"generators": count, "unseen": unseen, "elsewhere": elsewhere})
        print(f"{count} generators: {np.mean(unseen):.3f}, {np.mean(elsewhere):.3f}", flush=True)
    return rows


def _over_generators(samples: Sequence[Sample], logit: Float[ndarray, " n"]) -> float:
    """Return the mean over generators of the AUROC beside all reals."""
    ai = np.array([s.label == "ai" for s in samples])
    made = np.array([s.generator for s in samples])
    found = [
        metrics.auroc(ai[mine], logit[mine])
        for name in sorted(set(made[ai]))
        if (made == name).sum() >= FEWEST
        for mine in [~ai | (made == name)]
    ]
    return float(np.mean(found))


def curve_page(rows: Sequence[Mapping[str, Any]], target: float = 0.93) -> str:
    """Return the table, and where a straight line over the doublings would reach the target."""
    lines = [
        (
            row["generators"],
            *(
                f"{np.mean(row[key]):.3f} ({min(row[key]):.3f} to {max(row[key]):.3f})"
                for key in ("unseen", "elsewhere")
            ),
        )
        for row in rows
    ]
    doublings = np.log2([row["generators"] for row in rows])
    slope, start = np.polyfit(doublings, [np.mean(row["unseen"]) for row in rows], 1)
    said = "More generators did not help here"
    if slope > 0:
        count = 2 ** ((target - start) / slope)
        said = (
            f"Every doubling of the generators adds {slope:.3f} to the first column. A straight "
            f"line over doublings reaches {target} at about {count:,.0f} generators"
        )
    header = ("generators in training", "AUROC, generators not drawn", "AUROC on `val`")
    return f"{table(header, lines)}\n\n{said}."


def resampled(cells: Sequence[Mapping[str, Any]], seed: int = 0) -> Float[ndarray, " draws"]:
    """Return bootstrap draws of a generator's AUROC, the mean over the families of reals.

    AI-generated pictures are drawn once per draw, for all families alike; real ones family by
    family.
    """
    draw = np.random.default_rng(seed)
    ai = draw.multinomial(len(p := cells[0]["p_ai"]), np.full(len(p), 1 / len(p)), size=DRAWS)
    total = np.zeros(DRAWS)
    for cell in cells:
        above, real = np.array(cell["p_ai"])[:, None], np.array(cell["p_real"])[None]
        wins = (above > real) + 0.5 * (above == real)
        count = real.shape[1]
        own = draw.multinomial(count, np.full(count, 1 / count), size=DRAWS)
        total += ((ai @ wins) * own).sum(axis=1) / ai.sum(axis=1) / count
    drawn: ndarray = total / len(cells)
    return drawn


def holdout_page(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the table by generator: means over the families of reals, and the spread."""
    lines, means, draws = [], [], []
    for name, cells in rows.items():
        auroc = np.array([cell["auroc"] for cell in cells])
        few = cells[0]["n_ai"] < FEWEST
        average = {
            key: float(np.mean([cell[key] for cell in cells]))
            for key in ("balanced_accuracy", "tpr_at_1pct_fpr", "tpr_at_5pct_fpr", "ece")
        }
        views = [cell["auroc_views"] for cell in cells if cell["auroc_views"] is not None]
        worst = min(cells, key=lambda cell: float(cell["auroc"]))
        drawn = resampled(cells)
        lines.append(
            (
                f"{name}{' (few)' if few else ''}",
                cells[0]["n_ai"],
                number(intervals.percentiles(float(auroc.mean()), drawn)),
                f"{auroc.min():.3f} ({worst['real']})",
                f"{np.mean(views):.3f}" if views else "–",
                *(f"{value:.3f}" for value in average.values()),
            )
        )
        if not few:
            means.append((auroc.mean(), np.mean(views) if views else np.nan, *average.values()))
            draws.append(drawn)
    if means:
        mean = np.mean(means, axis=0)
        # Other generators would have given another mean: they are drawn anew, too.
        picked = np.random.default_rng(1).integers(len(draws), size=(DRAWS, len(draws)))
        overall = np.stack(draws)[picked, np.arange(DRAWS)[:, None]].mean(axis=1)
        lines.append(
            (
                "**mean**",
                "",
                f"**{number(intervals.percentiles(float(mean[0]), overall))}**",
                "",
                *(f"**{value:.3f}**" for value in mean[1:]),
            )
        )
    header = (
        "generator, unseen",
        "pictures",
        "AUROC",
        "lowest (beside)",
        "AUROC, shrunk and re-encoded",
        "balanced accuracy",
        "TPR at 1 % FPR",
        "TPR at 5 % FPR",
        "ECE",
    )
    return table(header, lines)


def copies_page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table by step."""
    header = (
        "copy",
        "AUROC",
        "mean over generators",
        "TPR at 1 % FPR",
        "decided",
        "real called `ai`",
        "AI called `real`",
        "contradicts the original",
        "no score",
    )
    return table(
        header,
        (
            (
                row["step"],
                number(row["auroc"]),
                "–" if row["mean_auroc"] is None else f"{row['mean_auroc']:.3f}",
                number(row["tpr_at_1pct_fpr"]),
                f"{row['decided']:.2f}",
                number(row["real_called_ai"]),
                number(row["ai_called_real"]),
                f"{row['contradictions']:.3f}",
                row["without_score"],
            )
            for row in rows
        ),
    )


def between(text: str, name: str, inside: str, page: Path = PAGE) -> str:
    start, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    head, found, rest = text.partition(start)
    if not found:
        raise SystemExit(f"{page} has no place for {name}: {start} ... {end}")
    return f"{head}{start}\n{inside}\n{end}{rest.partition(end)[2]}"


# ------------------------------------------------------------------------------- main


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    for done, item in enumerate(items):
        if done % 200 == 0:
            print(f"{what}: {done} of {total}", flush=True)
        yield item


def training_pictures(
    detector: Detector, manifest: Path, more: Sequence[Path]
) -> tuple[Sample, ...]:
    """Return what the model was trained on: the same pictures, drawn the same way."""
    samples = [
        s for m in (manifest, *more) for s in read_samples(m, split="train", one_class=m in more)
    ]
    most = detector.card.get("trained_on", {}).get("most_of_a_source")
    return tuple(samples) if most is None else subsample(samples, most, detector.card["seed"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="manifests for fitting")
    parser.add_argument("--splits", nargs="+", default=["val"])
    parser.add_argument("--parts", nargs="+", default=["holdout", "laundering"])
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    detector = Detector.load(threads=1)
    if "holdout" in asked.parts:
        samples = training_pictures(detector, asked.manifest, asked.more)
        extractor = FeatureExtractor(
            finder=FaceFinder(1),
            backbone=detector.backbone,
            backbone_hash=detector.card["files"]["backbone.onnx"],
            crop_config=detector.crop_config,
            pooling=detector.pooling,
            views=DEFAULT.views,
            min_face_px=detector.min_face_px,
            cache=asked.work / "cache",
        )
        looks = extractor.look(samples[::40] if asked.quick else samples, Threads(JOBS), track)
        facts = json.dumps([extractor.fingerprint, asdict(DEFAULT), len(samples)])
        mark = sha256(facts.encode()).hexdigest()[:12]
        path = asked.work / f"curve-{mark}.json"
        if asked.quick or not path.is_file():
            val = read_samples(asked.manifest, split="val")
            others = extractor.look(val[::20] if asked.quick else val, Threads(JOBS), track)
            found = curve(looks, others, DEFAULT, draws=1 if asked.quick else 3)
            path.write_text(json.dumps(found, indent=1), encoding="utf-8")
        publish("curve", curve_page(json.loads(path.read_text("utf-8"))), asked.quick)
        for kin, name in ((True, "holdout"), (False, "holdout-single")):
            path = asked.work / f"{name}-{mark}.json"
            if asked.quick or not path.is_file():
                rows = judged(holdout(looks, DEFAULT, kin=kin, quick=asked.quick))
                path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
            publish(name, holdout_page(json.loads(path.read_text("utf-8"))), asked.quick)
    if "laundering" in asked.parts:
        steps = [AS_DELIVERED, *GRID]
        pages = []
        for split in asked.splits:
            pictures = of_the_grid(read_samples(asked.manifest, split=split))
            pictures = pictures[::20] if asked.quick else pictures
            kept = asked.work / f"copies-{split}-{detector.model}.jsonl"
            answers = laundered(pictures, detector, kept, steps[:2] if asked.quick else steps)
            page = copies_page(copies(pictures, answers))
            pages.append(f"On {len(pictures)} pictures of `{split}`:\n\n{page}")
        publish("laundering", "\n\n".join(pages), asked.quick)


def publish(name: str, inside: str, quick: bool, page: Path = PAGE) -> None:
    """Write one table into a page; a smoke run leaves it alone."""
    text = between(page.read_text(encoding="utf-8"), name, inside, page)
    if not quick:
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
