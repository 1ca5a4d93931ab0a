"""What is each map worth?

    python -m benchmarks.explanations DATA/manifest.csv --work DIR [--backbone FOLDER]
        [--parts faithful decided composites randomised labels] [--quick]

**faithful**: some decided and undecided pictures of `val`. Every method's map against 9 random
orders and an edge detector: deletion and insertion with three removals, sensitivity-n, and the time
that a map takes, in looks of the encoder.

**decided**: the map that is drawn, on every decided picture of `val`, by the package's own test.
What is drawn is the map that the rule reads off tokens, posterior_update by the looks of that test. Where
these would cost too much, *rule* is the map before it was posterior_update.

**composites**: faces of which a region was replaced (`benchmarks.composites`): does the map point
at it?

**randomised**: does a map change when the head's weights and the network's, from its end on, are
drawn anew?

**labels**: does it change when the labels of the sources that the head learns from are shuffled?

FOLDER is the backbone as a Hugging Face folder (`python scripts/make_backbone.py FOLDER`): the
methods that go through the whole network need it and `veridical[train]`; without it they are left
out. What was found is kept in DIR, picture by picture; an interrupted run goes on. Tables are
written into docs/explanations.md.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.composites import KINDS, REGIONS, Kind, Part, composite, misfit
from benchmarks.explanations_pages import (
    composites_page,
    decided_page,
    faithful_page,
    labels_page,
    randomised_page,
)
from benchmarks.generalisation import publish
from benchmarks.maps import (
    REMOVALS,
    curves,
    edges,
    hit,
    mixed,
    order_of,
    removed,
    sensitivity,
    spearman,
    subsets,
)
from veridical.arrays import Float, Float32, UInt8, ndarray
from veridical.detector import Detector, Explanation, Posterior
from veridical.engines import Threads
from veridical.explain.attribution import (
    occlusion,
    posterior_update,
    random_orders,
    relative_map,
    token_map,
)
from veridical.io.dataset import read_samples
from veridical.io.images import Photo, read_photo
from veridical.io.samples import Sample
from veridical.io.splits import subsample
from veridical.report import Decision
from veridical.tokens import Tokens, pool
from veridical.train.discriminant import Cell, discriminant
from veridical.train.explainer import fit_surrogate, measure
from veridical.train.features import FeatureExtractor
from veridical.train.gradients import METHODS, Network
from veridical.train.recipes import DEFAULT

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanations.md"
JOBS = 2
RIVALS = 9  # random orders, as in the package
SUBSETS = 8  # of each size
PICTURES = {Decision.AI: 8, Decision.REAL: 8, Decision.UNDECIDED: 4}
OF_EACH = 40  # bases of a kind of composite
LEARNT = 20  # pictures of a source that heads learn from
MENDED = 8  # every eighth composite's map is posterior_update as those that are drawn are
THOROUGH = 20  # every twentieth composite is shown to the dear methods, too
LEVELS = (0, 2, 11)  # blocks drawn anew; 0 is the head alone
SANITY = 3  # pictures whose model is drawn anew
SHUFFLES = 2
REFITTED, SETS = 4, 8  # pictures of a source that a head's rule is fitted to, and sets of each

Map = Float[ndarray, "grid grid"]
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """What all parts work with.

    Attributes:
        detector: Whose maps are measured; without a second look, which no map is about.
        manifest: Of the data.
        backbone: Hugging Face folder of its network; None leaves the dear gradients out.
        work: Where everything is kept.
        quick: A handful of pictures; the numbers mean nothing.
    """

    detector: Detector
    manifest: Path
    backbone: str | None
    work: Path
    quick: bool

    @cached_property
    def network(self) -> Network | None:
        """The network in PyTorch, if there is one."""
        return Network.of(self.detector, self.backbone) if self.backbone else None

    @cached_property
    def pictures(self) -> tuple[Sample, ...]:
        """The pictures of `val`."""
        return tuple(read_samples(self.manifest, split="val"))

    def few(self, full: int, quick: int) -> int:
        """Return how many, by the kind of run."""
        return quick if self.quick else full

    def logit(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, " batch"]:
        """Return the mean calibrated logit."""
        return self.detector.mean_logit(crops)


# --- maps ----------------------------------------------------------------------------------------


def maps_of(bench: Bench, seen: Explanation, *, dear: bool) -> tuple[dict[str, Map], Record]:
    """Return the maps of one face by name, and the seconds that each took."""
    detector = bench.detector
    tokens = detector.backbone.tokens(seen.crop[None])[0]
    forward = detector.head.forward(pool(tokens, detector.pooling))
    start = time.perf_counter()
    gradient, rest = detector.head.gradient(forward)
    plain = token_map(tokens, detector.pooling, gradient, rest)
    took: Record = {"gradient x token": time.perf_counter() - start}
    relative_map(plain, tokens, detector.pooling, gradient, detector.head.mean)
    took["contributions"] = time.perf_counter() - start
    found: dict[str, Map] = {}
    if seen.evidence.looks:
        found["drawn"] = seen.evidence.patches
    if detector.rule is not None:
        start = time.perf_counter()
        found["rule"] = by_rule(detector, tokens, seen.gradient_x_token.patches)
        took["rule"] = took["gradient x token"] + time.perf_counter() - start
    found["contributions"] = seen.contributions.patches
    found["gradient x token"] = seen.gradient_x_token.patches
    if dear:
        if "rule" in found:
            start = time.perf_counter()
            posterior_update(found["rule"], random_orders(seen.crop, tokens.grid, bench.logit))
            took["drawn"] = took["rule"] + time.perf_counter() - start
        for name, method in methods(bench).items():
            start = time.perf_counter()
            found[name] = method(seen.crop)
            took[name] = time.perf_counter() - start
    return found, took


def methods(bench: Bench) -> dict[str, Callable[[UInt8[ndarray, "size size 3"]], Map]]:
    """Return the dear methods by name."""
    grid = bench.detector.backbone.spec.grid
    found: dict[str, Callable[[UInt8[ndarray, "size size 3"]], Map]] = {
        "occlusion": lambda crop: per_patch(
            occlusion(crop, bench.logit, window=32, stride=32), grid
        )
    }
    if bench.network is not None:
        for name, method in METHODS.items():
            found[name] = lambda crop, method=method: method(bench.network, crop)  # type: ignore[misc]
    return found


def per_patch(pixels: Float[ndarray, "size size"], grid: int) -> Map:
    """Return the mean per patch."""
    edge = pixels.shape[0] // grid
    inner = pixels[: edge * grid, : edge * grid]
    mean: ndarray = inner.reshape(grid, edge, grid, edge).mean(axis=(1, 3))
    return mean


def explained(
    bench: Bench, photo: Photo, *, faithfulness: bool = False
) -> tuple[Explanation, float] | None:
    """Judge a picture and explain its largest face; also the seconds of one look of the encoder.

    Only with `trust` is the map the one that is drawn: the looks of its test mend it.
    """
    _, faces = bench.detector.explain(photo, faithfulness=trust)
    if not faces or faces[0].face.verdict is None:
        return None
    start = time.perf_counter()
    bench.detector.backbone.tokens(faces[0].crop[None])
    return faces[0], time.perf_counter() - start


# --- faithful ------------------------------------------------------------------------------------


def faithful(bench: Bench) -> list[Record]:
    """Measure all maps of some pictures."""
    return kept(bench, "faithful", chosen(bench), lambda s: measured(bench, s))


def chosen(bench: Bench) -> list[Sample]:
    """Return decided and undecided pictures, in an order that a run can be stopped in."""
    told = {r["path"]: r["decision"] for r in kept(bench, "judged", bench.pictures, judge(bench))}
    draw = np.random.default_rng(0)
    by: dict[str, list[Sample]] = {}
    for sample in bench.pictures:
        by.setdefault(told.get(str(sample.path), ""), []).append(sample)
    picked = []
    for decision, count in PICTURES.items():
        own = by.get(decision.value, [])
        order = draw.permutation(len(own))[: bench.few(count, 1)]
        picked += [(rank / max(1, len(order)), own[i]) for rank, i in enumerate(order)]
    return [sample for _, sample in sorted(picked, key=lambda one: one[0])]


def judge(bench: Bench) -> Callable[[Sample], Record]:
    """Return what judges one picture, as the record that is kept."""

    def one(sample: Sample) -> Record:
        report = bench.detector.inspect(sample.path)
        lead = report.faces[0] if report.faces else None
        return {
            "path": str(sample.path),
            "decision": lead.decision.value if lead and lead.verdict else "none",
        }

    return one


def measured(bench: Bench, sample: Sample) -> Record:
    """Hold the maps of one picture against what the model does."""
    found = explained(bench, read_photo(sample.path), faithfulness=True)
    if found is None:
        return {"path": str(sample.path), "maps": {}}
    seen, look = found
    crop, grid = seen.crop, seen.evidence.patches.shape[0]
    own = float(bench.logit(crop[None])[0])
    sign = 1.0 if own >= 0 else -1.0
    maps, took = maps_of(bench, seen, dear=True)
    draw = np.random.default_rng(int(read_seed(sample)))
    maps["edges"] = sign * edges(crop, grid)
    maps["random"] = draw.normal(size=(grid, grid))
    orders = [order_of(values, sign) for values in maps.values()]
    orders += [draw.permutation(grid * grid) for _ in range(RIVALS)]
    n_random = range(len(maps), len(orders))
    masks = subsets(SUBSETS, grid, seed=int(read_seed(sample)))
    scores: Record = {name: {} for name in maps}
    for kind in REMOVALS:
        cover = removed(crop, grid, kind)
        lines = curves(crop, cover, orders, bench.logit, sign)
        gains, n_beaten = lines.gains(n_random), lines.n_beaten(n_random)
        covered = bench.logit(mixed(crop, cover, masks.reshape(-1, grid * grid)))
        logit_drops = own - covered.reshape(masks.shape[:2])
        for number, (name, values) in enumerate(maps.items()):
            scores[name][kind] = {
                "deletion": float(gains[number, 0]),
                "insertion": float(gains[number, 1]),
                "n_beaten": int(n_beaten[number]),
                "sensitivity": sensitivity(values, masks, logit_drops),
            }
    return {
        "path": str(sample.path),
        "decision": seen.face.decision.value,
        "sign": sign,
        "maps": scores,
        "seconds": took,
        "look": look,
    }


def read_seed(sample: Sample) -> int:
    """Return a number that is the same for the same picture."""
    return sum(map(ord, sample.path.name)) % 2**31


# --- decided -------------------------------------------------------------------------------------


def decided(bench: Bench) -> list[Record]:
    """Ask the package's own test about every decided picture."""
    told = {r["path"]: r["decision"] for r in kept(bench, "judged", bench.pictures, judge(bench))}
    sides = (Decision.AI.value, Decision.REAL.value)
    mine = [s for s in bench.pictures if told.get(str(s.path)) in sides][: bench.few(10**6, 2)]

    def one(sample: Sample) -> Record:
        _, faces = bench.detector.explain(sample.path, faithfulness=True)
        trust = faces[0].faithfulness
        assert trust is not None
        return {
            "path": str(sample.path),
            "decision": faces[0].face.decision.value,
            **asdict(trust),
            "holds": trust.passed,
        }

    return kept(bench, "decided", mine, one)


# --- composites ----------------------------------------------------------------------------------


def composites(bench: Bench) -> list[Record]:
    """Hold maps against regions that we replaced."""
    parts = {
        label: [
            (sample, part)
            for sample in bench.pictures
            if sample.label == label and (part := part_of(bench, sample)) is not None
        ]
        for label in ("real", "ai")
    }
    jobs = []
    for kind in KINDS:
        theirs, own = kind.split(" in ")
        bases, donors = (parts[{"generated": "ai", "real": "real"}[w]] for w in (own, theirs))
        draw = np.random.default_rng(0)
        for rank, i in enumerate(draw.permutation(len(bases))[: bench.few(OF_EACH, 1)]):
            jobs.append((kind, rank, bases[int(i)], donors))
    # The dear ones last: a run that is stopped has the cheap maps of all kinds.
    jobs.sort(key=lambda job: shown(job[0], job[1], THOROUGH))
    return kept(
        bench,
        "composites",
        jobs,
        lambda job: {"found": list(pointed(bench, *job))},
        key=lambda job: f"{job[0]}/{job[1]}",
    )


def shown(kind: Kind, rank: int, every: int) -> bool:
    """Whether a composite is one of those that take many looks."""
    return rank % every == 0 and kind != "real in real"


def part_of(bench: Bench, sample: Sample) -> Part | None:
    """Return a picture's largest face, if it is large enough."""
    photo = read_photo(sample.path)
    faces = bench.detector.finder.find(photo.pixels)
    if not faces:
        return None
    part = Part(pixels=photo.pixels, face=faces[0], crop_config=bench.detector.crop_config)
    return part if part.large_enough else None


def pointed(
    bench: Bench,
    kind: Kind,
    rank: int,
    base: tuple[Sample, Part],
    donors: Sequence[tuple[Sample, Part]],
) -> Iterator[Record]:
    """Make the composites of one face, and hold its maps against them."""
    sample, part = base
    others = [
        other
        for giver, other in donors
        if giver.path != sample.path and (not sample.group or giver.group != sample.group)
    ]
    donor = min(others, key=lambda other: misfit(part, other))
    if not np.isfinite(misfit(part, donor)):
        return
    for region in REGIONS:
        made = composite(part, donor, region, seed=rank)
        found = explained(bench, read_photo(made.data), faithfulness=shown(kind, rank, MENDED))
        if found is None:
            continue
        seen, _ = found
        verdict = seen.face.verdict
        assert verdict is not None
        mask = made.mask_in(seen.area, bench.detector.backbone.spec.grid)
        grid = mask.shape[0]
        maps, _ = maps_of(bench, seen, dear=shown(kind, rank, THOROUGH))
        sign = -1.0 if kind == "real in generated" else 1.0
        maps["edges"] = sign * edges(seen.crop, grid)
        maps["random"] = np.random.default_rng(rank).normal(size=(grid, grid))
        yield {
            "kind": kind,
            "region": region,
            "rank": rank,
            "decision": seen.face.decision.value,
            "p_ai": verdict.p_ai,
            "logit": float(bench.logit(seen.crop[None])[0]),
            "hits": {name: asdict(hit(values, mask, sign)) for name, values in maps.items()},
            # Where a generated face got a real region, what is left speaks for its makers.
            "rest": {name: asdict(hit(values, 1 - mask, 1.0)) for name, values in maps.items()},
        }


# --- sanity --------------------------------------------------------------------------------------


def randomised(bench: Bench) -> list[Record]:
    """Compare maps of the model with those of models whose weights were drawn anew."""
    if bench.network is None:
        raise SystemExit("The part `randomised` needs --backbone.")
    drawn = [(level, bench.network.randomised(level, seed=level)) for level in LEVELS]

    def one(sample: Sample) -> Record:
        found = explained(bench, read_photo(sample.path))
        if found is None:
            return {"path": str(sample.path), "levels": {}}
        crop = found[0].crop
        assert bench.network is not None
        own = through(bench, bench.network, crop)
        return {
            "path": str(sample.path),
            "levels": {
                str(level): {
                    name: spearman(values, own[name])
                    for name, values in through(bench, network, crop).items()
                    # The rule reads tokens, and these are still the same.
                    if level or name != "rule"
                }
                for level, network in drawn
            },
            "maps": {name: values.round(5).tolist() for name, values in own.items()},
        }

    return kept(bench, "randomised", chosen(bench)[: bench.few(SANITY, 1)], one)


def through(bench: Bench, network: Network, crop: UInt8[ndarray, "size size 3"]) -> dict[str, Map]:
    """Return all maps of a network in PyTorch; the rule stays what it was."""
    tokens = network.tokens(crop)
    found = {name: method(network, crop) for name, method in METHODS.items()}
    gradient, _ = network.linear(pool(tokens, network.pooling))
    return found | of_tokens(bench.detector, tokens, gradient)


def of_tokens(
    detector: Detector, tokens: Tokens, gradient: Float32[ndarray, " features"]
) -> dict[str, Map]:
    """Return the maps that tokens alone make."""
    plain = token_map(tokens, detector.pooling, gradient, 0.0).patches
    found = {"gradient x token": plain}
    if detector.rule is not None:
        found["rule"] = by_rule(detector, tokens, plain)
    return found


def by_rule(detector: Detector, tokens: Tokens, plain: Map) -> Map:
    """Return the map that the detector's rule reads off tokens, in calibrated logits."""
    assert detector.rule is not None
    slope = detector.calibration.slope
    return slope * detector.rule.read(tokens, plain / slope)


def labels(bench: Bench) -> list[Record]:
    """Compare the maps of heads that learnt right labels, shuffled ones, or nothing.

    Each head gets a rule of its own for its maps: one that was fitted to another head's logit_drops would
    go on telling about that head.
    """
    detector = bench.detector
    samples = read_samples(bench.manifest, split="train")
    few = subsample(samples, bench.few(REFITTED, 2), seed=1)
    taught = []
    for name, head in heads(bench, samples).items():
        other = replace(detector, head=head)
        logit_drops = measure(
            other, few, sets=SETS, engine=Threads(JOBS), cache=bench.work / "cache", track=track
        )
        rule = fit_surrogate(logit_drops, len(detector.backbone.spec.layers)).rule
        taught.append((name, replace(other, rule=rule)))

    def one(sample: Sample) -> Record:
        found = explained(bench, read_photo(sample.path))
        if found is None:
            return {"path": str(sample.path), "alike": {}}
        tokens = detector.backbone.tokens(found[0].crop[None])[0]
        features = pool(tokens, detector.pooling)
        own = {
            "rule": found[0].evidence.patches,
            "gradient x token": found[0].gradient_x_token.patches,
        }
        return {
            "path": str(sample.path),
            "alike": {
                name: {
                    method: spearman(values, own[method])
                    for method, values in of_tokens(
                        other, tokens, other.linear(features)[0]
                    ).items()
                }
                for name, other in taught
            },
        }

    return kept(bench, "labels", chosen(bench)[: bench.few(40, 1)], one)


def heads(bench: Bench, samples: Sequence[Sample]) -> dict[str, Posterior]:
    """Fit heads to right labels and to labels shuffled between sources; shuffle weights, too."""
    detector = bench.detector
    extractor = FeatureExtractor(
        finder=detector.finder,
        backbone=detector.backbone,
        backbone_hash=detector.card["files"]["backbone.onnx"],
        crop_config=detector.crop_config,
        pooling=detector.pooling,
        views=1,
        min_face_px=detector.min_face_px,
        cache=bench.work / "cache",
    )
    looks = extractor.look(subsample(samples, bench.few(LEARNT, 3), seed=0), Threads(JOBS), track)
    cells: list[Cell] = [(s.label, s.source, s.generator) for s in looks.samples]
    names = sorted(set(cells))
    again = discriminant(looks.features, cells, DEFAULT, seed=1)
    order = np.random.default_rng(0).permutation(len(again.mean))
    found: dict[str, Posterior] = {
        "again": again,
        "weights": replace(again, directions=again.directions[:, order]),
    }
    for number in range(bench.few(SHUFFLES, 1)):
        told = np.random.default_rng(number).permutation([cell[0] for cell in names])
        anew = {cell: (str(t), *cell[1:]) for cell, t in zip(names, told, strict=True)}
        found[f"labels {number}"] = discriminant(
            looks.features, [anew[cell] for cell in cells], DEFAULT, seed=1
        )
    return found


def track(items: Iterable[Sample], what: str, total: int) -> Iterable[Sample]:
    """Say from time to time how far a part is."""
    for number, item in enumerate(items):
        if number % 50 == 0:
            print(f"{what}: {number} of {total}", flush=True)
        yield item


# --- keeping -------------------------------------------------------------------------------------


def kept(
    bench: Bench,
    part: str,
    items: Sequence[Any],
    work: Callable[[Any], Record],
    key: Callable[[Any], str] = lambda sample: str(sample.path),
) -> list[Record]:
    """Return the record of every item, those of an interrupted run as they were."""
    kind = "quick-" if bench.quick else ""
    rule = bench.detector.card.get("explainer", {}).get("sha256", "none")[:8]
    path = bench.work / f"maps-{kind}{part}-{bench.detector.model}-{rule}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, Record] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            known[one["key"]] = one
    todo = [item for item in items if key(item) not in known]
    with path.open("a", encoding="utf-8") as file:
        for number, (item, told) in enumerate(
            zip(todo, Threads(JOBS).map(work, todo), strict=True)
        ):
            known[key(item)] = {"key": key(item), **told}
            file.write(json.dumps(known[key(item)]) + "\n")
            file.flush()
            if number % 10 == 0:
                print(f"{part}: {number} of {len(todo)}", flush=True)
    return [known[key(item)] for item in items]


PARTS: dict[str, tuple[Callable[[Bench], list[Record]], Callable[[list[Record]], str]]] = {
    "faithful": (faithful, faithful_page),
    "decided": (decided, decided_page),
    "composites": (composites, composites_page),
    "randomised": (randomised, randomised_page),
    "labels": (labels, labels_page),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--backbone")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    bench = Bench(
        detector=Detector.load(stability=False, threads=1),
        manifest=given.manifest,
        backbone=given.backbone,
        work=given.work,
        quick=given.quick,
    )
    for name in given.parts:
        make, page = PARTS[name]
        text = page(make(bench))
        print(text, flush=True)
        publish(name, text, given.quick, PAGE)


if __name__ == "__main__":
    main()
