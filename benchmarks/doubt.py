"""How often is it wrong, does it know, and what does it not judge at all?

    python -m benchmarks.doubt DATA/manifest.csv --work DIR [--more TWINS/manifest.csv]
                               [--splits val] [--parts posteriors decided ...] [--quick]

**posteriors**: ways to be unsure about a head (`benchmarks.posteriors`), each fitted on `train`,
calibrated on sources left out in turn, and asked about `val`, about copies of it, and
about pictures that are like nothing in `train`.

**decided**: the model in the package on `val` and its copies: how many are decided, and how many of
those wrongly, by generator, by real source and by copy.

**depth**: patterns, filtered portraits and the split `hard`: what gets a verdict although nobody
can give one, which gauges notice, and how many ordinary photos are turned away with them.

**stability**: the answers about one photo over its copies, with and without a second look.

**fairness**: errors by apparent skin tone, by group where the data say so, by size and by colour.

Every look is kept in DIR, and so are the answers of every posterior (`posterior-*.npz`; delete one
to fit it again). An interrupted run goes on; each part runs alone. The copies of `decided` are
those that `benchmarks.generalisation` keeps there. Tables are written into docs/doubt.md.
"""

import argparse
import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import groups
from benchmarks.decisions import Answers
from benchmarks.doubt_pages import (
    CLEAN,
    Judgement,
    Odd,
    decided_page,
    depth_page,
    fairness_page,
    gauges_page,
    posteriors_page,
    stability_page,
)
from benchmarks.generalisation import (
    AS_DELIVERED,
    JOBS,
    laundered,
    of_the_grid,
    publish,
    track,
    training_pictures,
)
from benchmarks.laundering import GRID, launder
from benchmarks.oddities import Neighbours, VirtualLogit, filtered, patterns
from benchmarks.posteriors import (
    POSTERIORS,
    SHIPPED,
    Fit,
    Told,
    ask,
    is_ai,
    lead,
    measured,
    unlike,
)
from veridical.arrays import Float32, UInt8, ndarray
from veridical.detector import Detector, Finder
from veridical.engines import Threads
from veridical.errors import PhotoError
from veridical.io.dataset import read_samples
from veridical.io.images import read_photo
from veridical.io.samples import Sample
from veridical.stats import metrics
from veridical.train.features import FeatureExtractor, FeatureSet
from veridical.train.recipes import DEFAULT

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "doubt.md"
PERTURBATIONS = ("half size, JPEG 50",)  # that the posteriors are asked about


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """What all parts work with.

    Attributes:
        detector: The model that is judged, and whose backbone looks.
        manifest: Of the data.
        more: Further manifests, for fitting only.
        work: Where everything is kept.
        splits: That are judged.
        quick: A handful of pictures; the numbers mean nothing.
    """

    detector: Detector
    manifest: Path
    more: tuple[Path, ...]
    work: Path
    splits: tuple[str, ...]
    quick: bool

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """FeatureSet as training does, and keeps what it saw."""
        return FeatureExtractor(
            finder=self.detector.finder,
            backbone=self.detector.backbone,
            backbone_hash=self.detector.card["files"]["backbone.onnx"],
            crop_config=self.detector.crop_config,
            pooling=self.detector.pooling,
            views=DEFAULT.views,
            min_face_px=self.detector.min_face_px,
            cache=self.work / "cache",
        )

    def pictures(self, split: str) -> tuple[Sample, ...]:
        """Return the pictures of a split; some of each cell in a smoke run."""
        found = read_samples(self.manifest, split=split)
        return some(found) if self.quick else found

    def train(self) -> tuple[Sample, ...]:
        """Return what posteriors are fitted on."""
        found = training_pictures(self.detector, self.manifest, self.more)
        return some(found) if self.quick else found

    def look(self, samples: Sequence[Sample], **changes: Any) -> FeatureSet:
        """Look at pictures, or remember having looked."""
        return replace(self.extractor, **changes).look(samples, Threads(JOBS), track)

    def grid(self, split: str) -> tuple[tuple[Sample, ...], Answers]:
        """Return pictures of a split, and what the detector said of them and of their copies."""
        samples = of_the_grid(self.pictures(split))
        steps = [AS_DELIVERED, *GRID]
        steps = steps[:2] if self.quick else steps
        return samples, laundered(samples, self.detector, self.kept(split), steps)

    def delivered(self, split: str) -> Mapping[str, Mapping[str, Any]]:
        """Return what the detector said of all pictures of a split, as delivered."""
        told = laundered(self.pictures(split), self.detector, self.kept(split), [AS_DELIVERED])
        return told[AS_DELIVERED]

    def kept(self, split: str) -> Path:
        """Return where answers are kept; `benchmarks.generalisation` shares them."""
        return self.work / f"copies-{split}-{self.detector.model}.jsonl"


def some(samples: Sequence[Sample], most: int = 2) -> tuple[Sample, ...]:
    """Return the first few pictures of every source and generator."""
    seen: Counter[tuple[str, str, str]] = Counter()
    kept = []
    for sample in samples:
        cell = (sample.label, sample.source, sample.generator)
        seen[cell] += 1
        if seen[cell] <= most:
            kept.append(sample)
    return tuple(kept)


# --- odd pictures --------------------------------------------------------------------------------


def oddities(bench: Bench) -> list[Odd]:
    """Draw what has to be drawn into the work folder, and name it with the split `hard`."""
    folder = bench.work / "oddities"
    folder.mkdir(parents=True, exist_ok=True)
    found = []

    def keep(kind: str, family: str, number: int, pixels: UInt8[ndarray, "h w 3"]) -> None:
        path = folder / f"{family}-{kind.replace(' ', '-').replace(',', '')}-{number}.png"
        if not path.is_file():
            Image.fromarray(pixels).save(path)
        found.append(Odd(path=path, kind=kind, family=family))

    for number, (kind, pixels) in enumerate(patterns(1 if bench.quick else 6)):
        keep(kind, "patterns", number, pixels)
    portraits = sorted((ROOT / "examples").glob("*.jpg"))
    for number, path in enumerate(portraits[:1] if bench.quick else portraits):
        for kind, pixels in filtered(read_photo(path).pixels):
            keep(kind, "filters", number, pixels)
    with bench.manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "hard"]
    found += [
        Odd(path=bench.manifest.parent / row["path"], kind=row["kind"], family="hard")
        for row in (rows[::15] if bench.quick else rows)
    ]
    return found


def odd_features(bench: Bench, odd: Sequence[Odd]) -> dict[Path, Float32[ndarray, " features"]]:
    """Return features of the face where one is found, else of the whole frame."""
    samples = [
        Sample(path=one.path, label="real", source=one.family, generator="", group=str(one.path))
        for one in odd
    ]
    faces = bench.look(samples, views=1)
    rest = [*faces.faceless, *faces.too_small]
    whole = replace(bench.detector.crop_config, whole=True)
    frames = bench.look(rest, views=1, crop_config=whole, min_face_px=0.0)
    return {
        sample.path: row[0]
        for looks in (faces, frames)
        for sample, row in zip(looks.samples, looks.features, strict=True)
    }


# --- posteriors ----------------------------------------------------------------------------------


def copied(bench: Bench, samples: Sequence[Sample], step: str) -> tuple[Sample, ...]:
    """Write a copy of every picture into the work folder; the copies' samples."""
    folder = bench.work / "copies" / step.replace(" ", "-").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for sample in samples:
        path = folder / sha256(str(sample.path).encode()).hexdigest()[:16]
        if not path.is_file():
            path.write_bytes(launder(read_photo(sample.path).pixels, step))
        made.append(replace(sample, path=path))
    return tuple(made)


def posteriors(bench: Bench, ways: Mapping[str, Fit] = POSTERIORS) -> str:
    """Fit every posterior, ask all of them the same, and return the tables."""
    looks = bench.look(bench.train())
    pictures = [sample for split in bench.splits for sample in bench.pictures(split)]
    seen = {AS_DELIVERED: bench.look(pictures, views=1)}
    for step in PERTURBATIONS:
        seen[step] = bench.look(copied(bench, pictures, step), views=1)
    odd = oddities(bench)
    features = odd_features(bench, odd)
    families = {
        family: np.stack(
            [features[o.path] for o in odd if o.family == family and o.path in features]
        )
        for family in ("patterns", "filters", "hard")
    }
    asked = {name: one.features[:, 0] for name, one in seen.items()} | families
    facts = [bench.extractor.fingerprint, asdict(DEFAULT), [str(s.path) for s in looks.samples]]
    facts += [[name, rows.shape[0]] for name, rows in asked.items()]
    mark = sha256(json.dumps(facts).encode()).hexdigest()[:12]
    told = {
        name: _remembered(
            bench.work / f"posterior-{_slug(name)}-{mark}.npz", name, fit, looks, asked
        )
        for name, fit in ways.items()
    }
    rows = {
        name: {step: measured(seen[step].samples, said[step]) for step in seen}
        for name, said in told.items()
    }
    ahead = {
        name: {step: lead(seen[step].samples, said[step], told[SHIPPED][step]) for step in seen}
        for name, said in told.items()
        if name != SHIPPED and SHIPPED in told
    }
    odd_rows = {
        name: {family: unlike(said[AS_DELIVERED], said[family]) for family in families}
        for name, said in told.items()
    }
    counts = {step: (int(is_ai(one.samples).sum()), len(one.samples)) for step, one in seen.items()}
    return posteriors_page(rows, ahead, odd_rows, counts)


def _remembered(
    path: Path, name: str, fit: Fit, looks: FeatureSet, asked: Mapping[str, Float32[ndarray, "_ _"]]
) -> dict[str, Told]:
    if not path.is_file():

        def say(what: str) -> None:
            print(f"{name}: {what}", flush=True)

        found = ask(looks, fit, DEFAULT, 0, asked, say)
        flat = {
            f"{of}/{key}": value
            for of, said in found.items()
            for key, value in asdict(said).items()
        }
        part = path.with_suffix(".part.npz")
        np.savez(part, **flat)
        part.replace(path)
    with np.load(path) as kept:
        return {
            of: Told(**{key: kept[f"{of}/{key}"] for key in ("p_ai", "total", "epistemic")})
            for of in asked
        }


def _slug(name: str) -> str:
    return "-".join(name.lower().split())


# --- decided -------------------------------------------------------------------------------------


def decided(bench: Bench) -> str:
    """Return how often decisions are wrong, by generator, by source and by copy."""
    parts = []
    for split in bench.splits:
        pictures, (copied_, answers) = bench.pictures(split), bench.grid(split)
        page = decided_page(
            pictures, bench.delivered(split), copied_, answers, bench.detector.calibration
        )
        parts.append(f"On `{split}`:\n\n{page}")
    return "\n\n".join(parts)


# --- depth ---------------------------------------------------------------------------------------


def depth(bench: Bench) -> str:
    """Return what gets a verdict that should not, and which gauges notice."""
    odd = oddities(bench)
    reals = [
        Odd(path=s.path, kind=CLEAN, family="clean")
        for split in bench.splits
        for s in bench.pictures(split)
        if s.label == "real"
    ]
    kept = bench.work / f"depth-{bench.detector.model}.jsonl"
    asked = [(one, whole) for one in odd for whole in (False, True)]
    asked += [(one, False) for one in reals]
    told = judged(bench.detector, asked, kept)
    gauges = gauged(bench, odd, reals)
    return f"{depth_page([*odd, *reals], told)}\n\n{gauges_page(gauges)}"


def judged(
    detector: Detector, asked: Sequence[tuple[Odd, bool]], kept: Path
) -> dict[tuple[str, bool], Judgement]:
    """Judge pictures, their faces or the whole frame; goes on where it was."""
    known: dict[tuple[str, bool], Judgement] = {}
    if kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            known[one["path"], one["whole"]] = one
    todo = [(odd, whole) for odd, whole in asked if (str(odd.path), whole) not in known]

    def work(one: tuple[Odd, bool]) -> dict[str, Any]:
        odd, whole = one
        try:
            report = detector.inspect(odd.path, whole_image=whole)
        except PhotoError as error:
            found: dict[str, Any] = {"decision": None, "reasons": [type(error).__name__]}
        else:
            found = {
                "decision": report.decision.value,
                "reasons": [reason.value for reason in report.reasons],
            }
        return {"path": str(odd.path), "whole": whole, **found}

    with kept.open("a", encoding="utf-8") as stream:
        for one in track(Threads(JOBS).map(work, todo), "Odd pictures", len(todo)):
            stream.write(json.dumps(one) + "\n")
            stream.flush()
            known[one["path"], one["whole"]] = one
    return known


def gauged(bench: Bench, odd: Sequence[Odd], reals: Sequence[Odd]) -> dict[str, Any]:
    """Measure how well three gauges tell odd pictures from ordinary ones, on the same features."""
    looks = bench.look(bench.train())
    detector = bench.detector
    features = odd_features(bench, [*odd, *reals])
    head, gauge = detector.head, detector.ood
    first = looks.features[:, 0]
    near = Neighbours.of(first, head.mean, head.scale)
    logits = np.array([float(head.logits(one).mean()) for one in first], dtype=np.float64)
    logits *= detector.calibration.slope
    virtual = VirtualLogit.of(first, logits, head.mean, head.scale, gauge.basis)

    def vim(one: Float32[ndarray, " features"]) -> float:
        logit = detector.calibration.slope * float(head.logits(one).mean())
        return virtual.distance(one, logit)

    ways: dict[str, Callable[[Float32[ndarray, " features"]], float]] = {
        "Mahalanobis and residual (ships)": gauge.raw,
        "50th nearest neighbour": near.distance,
        "virtual logit (ViM)": vim,
    }
    scores = {
        name: {path: measure(one) for path, one in features.items()}
        for name, measure in ways.items()
    }
    return told_apart(scores, odd, reals)


def told_apart(
    scores: Mapping[str, Mapping[Path, float]], odd: Sequence[Odd], reals: Sequence[Odd]
) -> dict[str, dict[str, tuple[int, float, float]]]:
    """Return gauge -> kind -> pictures, AUROC, and share noticed with 1 in 20 reals turned away."""
    found: dict[str, dict[str, tuple[int, float, float]]] = {}
    for name, of in scores.items():
        clean = [of[one.path] for one in reals if one.path in of]
        found[name] = {}
        names = [*dict.fromkeys(one.kind for one in odd)]
        kinds = {k: [of[o.path] for o in odd if o.kind == k and o.path in of] for k in names}
        kinds["all of these"] = [value for values in kinds.values() for value in values]
        for kind, values in kinds.items():
            if values and clean:
                truth = np.repeat([False, True], [len(clean), len(values)])
                both = np.array([*clean, *values], dtype=float)
                found[name][kind] = (
                    len(values),
                    metrics.auroc(truth, both),
                    metrics.tpr_at_fpr(truth, both, 0.05),
                )
    return found


# --- stability -----------------------------------------------------------------------------------


def stability(bench: Bench) -> str:
    """Return how the answers about one photo differ over its copies, both ways of judging."""
    parts = []
    for split in bench.splits:
        samples, answers = bench.grid(split)
        once = {
            step: {path: {**one, "decision": one["one_look"]} for path, one in told.items()}
            for step, told in answers.items()
        }
        ways = {"one look": once, "second look (ships)": answers}
        parts.append(f"On {len(samples)} photos of `{split}`:\n\n{stability_page(samples, ways)}")
    return "\n\n".join(parts)


# --- fairness ------------------------------------------------------------------------------------


def fairness(bench: Bench) -> str:
    """Return error rates at the working point, between groups; all splits together."""
    samples: list[Sample] = []
    told: dict[str, Mapping[str, Any]] = {}
    for split in bench.splits:
        samples += bench.pictures(split)
        told |= bench.delivered(split)
    finder = bench.detector.finder
    kept = bench.work / f"faces-{_slug(finder.name)}.jsonl"
    facts = appearances(samples, finder, kept)
    return fairness_page(samples, told, facts)


def appearances(
    samples: Sequence[Sample], finder: Finder, kept: Path
) -> dict[str, Mapping[str, Any]]:
    """Return what there is to see of each largest face; goes on where it was."""
    known: dict[str, Mapping[str, Any]] = {}
    if kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            known[one["path"]] = one
    todo = [sample for sample in samples if str(sample.path) not in known]

    def work(sample: Sample) -> dict[str, Any]:
        pixels = read_photo(sample.path).pixels
        faces = finder.find(pixels)
        return {
            "path": str(sample.path),
            "side_px": max(pixels.shape[:2]),
            "colour": groups.colour(pixels),
            "face_px": faces[0].size_px if faces else None,
            "angle": groups.typology_angle(groups.skin(pixels, faces[0])) if faces else None,
        }

    with kept.open("a", encoding="utf-8") as stream:
        for one in track(Threads(JOBS).map(work, todo), "Faces", len(todo)):
            stream.write(json.dumps(one) + "\n")
            known[one["path"]] = one
    return known


# --- main ----------------------------------------------------------------------------------------

PARTS: dict[str, Callable[[Bench], str]] = {
    "posteriors": posteriors,
    "decided": decided,
    "depth": depth,
    "stability": stability,
    "fairness": fairness,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="manifests for fitting")
    parser.add_argument("--splits", nargs="+", default=["val"])
    parser.add_argument("--parts", nargs="+", default=[*PARTS], choices=[*PARTS])
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        detector=Detector.load(threads=1),
        manifest=asked.manifest,
        more=tuple(asked.more),
        work=asked.work,
        splits=tuple(asked.splits),
        quick=asked.quick,
    )
    for name in asked.parts:
        inside = PARTS[name](bench)
        publish(name, inside, asked.quick, PAGE)
        if asked.quick:
            print(f"\n{inside}\n", flush=True)


if __name__ == "__main__":
    main()
