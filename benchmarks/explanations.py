"""What is each map worth?

    python -m benchmarks.explanations DATA/manifest.csv --work DIR [--backbone FOLDER]
        [--parts faithful decided short composites] [--quick]

**faithful**: some decided and undecided pictures of `val`. The map of every method against 9 random
orders and an edge detector: deletion and insertion with three removals, and the time that a map
takes, in forward passes of the encoder.

**decided**: the map that is drawn, on every decided picture of `val`, by the package's thorough
test.

**short**: the same by its short test, on some pictures of `val` of any decision.

**composites**: faces of which a region was replaced (`research.composites`): does the map point
at it?

*Drawn* is the map of the thorough test: what the surrogate reads off tokens, updated by the forward
passes of the test. *Surrogate* is the map before the update: the short test draws this one, and it
stands where the passes would cost too much. Maps are of the crop that spoke most for the verdict,
while the others stay. FOLDER is the backbone as a Hugging Face folder (`python
scripts/make_backbone.py FOLDER`): the methods that go through the whole network need it and
`veridical[train]`; without it they are left out. They know the first crop only, and *faithful* is
then about it. What was found is kept in DIR, picture by picture; an interrupted run goes on. The
tables go into docs/explanations.md.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from research.composites import KINDS, REGIONS, Kind, Part, composite, misfit

from benchmarks.common import Record, path_of, remembered
from benchmarks.explanations_pages import (
    composites_page,
    decided_page,
    faithful_page,
    short_page,
)
from benchmarks.maps import REMOVALS, curves, edges, hit, order_of, per_patch, removed
from benchmarks.pages import DOCS, publish
from veridical.arrays import Float, UInt8, ndarray
from veridical.detector import Detector
from veridical.explain.face import ExplainConfig
from veridical.explain.faithfulness import THOROUGH, random_orders
from veridical.explain.occlusion import occlusion
from veridical.explain.surrogate import posterior_update
from veridical.explanation import Explanation
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import File, open_source
from veridical.io.splits import subsample
from veridical.report import Decision, FaceResult
from veridical.scoring import CropScore, score
from veridical.tokens import Tokens
from veridical.train.gradients import METHODS, Network, Through
from veridical.vision.backbone import tokens_of
from veridical.vision.prepare import crops_of

N_RANDOM = THOROUGH.n_random

PAGE = DOCS / "explanations.md"
PICTURES = {Decision.AI: 8, Decision.REAL: 8, Decision.UNDECIDED: 4}
OF_EACH = 40  # bases of a kind of composite
TESTED = 100  # pictures that get the short test
UPDATED = 8  # every eighth composite has the map that is drawn

Crop = UInt8[ndarray, "size size 3"]
Map = Float[ndarray, "grid grid"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """What all parts work with.

    Attributes:
        detector: Whose maps are measured; without re-check, which no map is about.
        manifest: Of the data.
        backbone: Hugging Face folder of its network; None leaves out maps through the network.
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
        """The pictures of `val`; some of each source in a smoke run."""
        found = read_samples(self.manifest, split="val")
        return subsample(found, 2, 0) if self.quick else tuple(found)

    def few(self, full: int, quick: int) -> int:
        """Return how many, by the kind of run."""
        return quick if self.quick else full

    def kept(
        self,
        part: str,
        items: Sequence[Any],
        work: Callable[[Any], Record],
        key: Callable[[Any], str] = path_of,
    ) -> list[Record]:
        """Return the record of every item, those of an interrupted run as they were."""
        surrogate = self.detector.card.get("explainer", {}).get("sha256", "none")[:8]
        kind = "quick-" if self.quick else ""
        name = f"maps-{kind}{part}-{self.detector.model}-{surrogate}.jsonl"
        return remembered(self.work / name, items, work, key)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """The largest face of a picture.

    Attributes:
        face: What was said of it.
        explanation: Its maps.
        crop: What they are about, upright.
        own: The face's logit as a function of that crop.
    """

    face: FaceResult
    explanation: Explanation
    crop: Crop
    own: CropScore

    def upright(self, values: Map) -> Map:
        """Turn a map of the photo as the crop is turned."""
        return np.rot90(values, self.face.turn // 90)


def explained(
    bench: Bench,
    file: File,
    *,
    faithfulness: bool,
    thorough: bool = True,
    network: Network | None = None,
) -> Seen | None:
    """Judge a picture and explain its largest face; None where there is nothing to explain.

    With `faithfulness` and `thorough` the forward passes of its test update the map. With a network
    the first crop is explained.
    """
    detector, parts = bench.detector, bench.detector.parts
    further = (Through(name="grad-cam", network=network),) if network else ()
    config = ExplainConfig(faithfulness=faithfulness, thorough=thorough, explainers=further)
    report = detector.inspect(file, explain=config)
    if not report.faces or (explanation := report.faces[0].explanation) is None:
        return None
    face = report.faces[0]
    areas = [one.area for one in face.crops]
    crops = crops_of(file.photo.image, areas, parts.configs, face.turn)
    scored = score(parts, tokens_of(detector.backbone, crops), face.box.size_px)
    at = [branch.name for branch in parts.branches].index(explanation.crop)
    own = scored.crop(at, detector.backbone)
    return Seen(face=face, explanation=explanation, crop=crops[at], own=own)


# --- maps ----------------------------------------------------------------------------------------


def maps_of(bench: Bench, seen: Seen) -> dict[str, Map]:
    """Return the maps of one face that cost next to nothing, and the one that is drawn."""
    found: dict[str, Map] = {}
    if seen.explanation.forward_passes:
        found["drawn"] = seen.upright(seen.explanation.patches)
    if seen.own.branch.surrogate is not None:
        tokens = bench.detector.backbone.tokens(seen.crop[None])[0]
        found["surrogate"] = by_surrogate(seen, tokens)
    found["contributions"] = seen.upright(seen.explanation.contributions.patches)
    found["gradient x token"] = seen.upright(seen.explanation.gradient_x_token.patches)
    return found


def by_surrogate(seen: Seen, tokens: Tokens) -> Map:
    """Return the map that the surrogate reads off tokens, in calibrated logits."""
    surrogate, slope = seen.own.branch.surrogate, seen.own.slope
    assert surrogate is not None
    plain = seen.upright(seen.explanation.gradient_x_token.patches)
    return slope * surrogate.read(tokens, plain / slope)


def costly(bench: Bench, seen: Seen) -> dict[str, Callable[[], Map]]:
    """Return the methods that take many forward passes, or go through the whole network."""
    crop, grid = seen.crop, bench.detector.backbone.spec.grid

    def occluded() -> Map:
        return per_patch(occlusion(crop, seen.own.mean_logit, window=32, stride=32), grid)

    found: dict[str, Callable[[], Map]] = {"occlusion": occluded}
    if (network := bench.network) is not None:
        found |= {name: partial(method, network, crop) for name, method in METHODS.items()}
    return found


# --- faithful ------------------------------------------------------------------------------------


def faithful(bench: Bench) -> list[Record]:
    """Measure all maps of some decided and some undecided pictures."""
    told = decisions(bench)
    draw = np.random.default_rng(0)
    picked = []
    for decision, count in PICTURES.items():
        own = [s for s in bench.pictures if told[path_of(s)] == decision.value]
        picked += [own[i] for i in draw.permutation(len(own))[: bench.few(count, 1)]]
    return bench.kept("faithful", picked, lambda sample: measured(bench, sample))


def decisions(bench: Bench) -> dict[str, str]:
    """Return the decision about the largest face of each picture, by path."""

    def judge(sample: Sample) -> Record:
        faces = bench.detector.inspect(sample.path).faces
        judged = bool(faces) and faces[0].verdict is not None
        return {"decision": faces[0].decision.value if judged else "none"}

    found = bench.kept("judged", bench.pictures, judge)
    return {path_of(s): one["decision"] for s, one in zip(bench.pictures, found, strict=True)}


def measured(bench: Bench, sample: Sample) -> Record:
    """Hold the maps of one picture against what the model does."""
    file = open_source(sample.path)
    seen = explained(bench, file, faithfulness=True, network=bench.network)
    assert seen is not None
    logit, crop, grid = seen.own.mean_logit, seen.crop, bench.detector.backbone.spec.grid
    sign = 1.0 if float(logit(crop[None])[0]) >= 0 else -1.0
    maps, seconds = maps_of(bench, seen), dict[str, float]()
    timed = costly(bench, seen)
    start = time.perf_counter()
    tokens = bench.detector.backbone.tokens(crop[None])[0]
    one_pass = time.perf_counter() - start
    if "surrogate" in maps:
        timed["surrogate"] = lambda: by_surrogate(seen, tokens)
        timed["drawn"] = lambda: posterior_update(
            by_surrogate(seen, tokens), random_orders(crop, grid, logit, rule=THOROUGH)
        )
    for name, make in timed.items():
        start = time.perf_counter()
        made = make()
        seconds[name] = time.perf_counter() - start
        maps.setdefault(name, made)
    draw = np.random.default_rng(sum(map(ord, sample.path.name)))
    maps["edges"] = sign * edges(crop, grid)
    maps["random"] = draw.normal(size=(grid, grid))
    orders = [order_of(values, sign) for values in maps.values()]
    orders += [draw.permutation(grid * grid) for _ in range(THOROUGH.orders)]
    at_random = range(len(maps), len(orders))
    scores: Record = {name: {} for name in maps}
    for kind in REMOVALS:
        lines = curves(crop, removed(crop, grid, kind), orders, logit, sign)
        gains, beaten = lines.gains(at_random), lines.n_beaten(at_random)
        for row, name in enumerate(maps):
            scores[name][kind] = {
                "deletion": float(gains[row, 0]),
                "insertion": float(gains[row, 1]),
                "n_beaten": int(beaten[row]),
            }
    return {
        "decision": seen.face.decision.value,
        "maps": scores,
        "passes": {name: took / one_pass for name, took in seconds.items()},
    }


# --- decided -------------------------------------------------------------------------------------


def decided(bench: Bench) -> list[Record]:
    """Ask the package's own test about every decided picture."""
    told, sides = decisions(bench), (Decision.AI.value, Decision.REAL.value)
    own = [s for s in bench.pictures if told[path_of(s)] in sides][: bench.few(10**6, 2)]

    def test(sample: Sample) -> Record:
        seen = explained(bench, open_source(sample.path), faithfulness=True)
        assert seen is not None
        found = seen.explanation.faithfulness
        assert found is not None
        return {
            "decision": seen.face.decision.value,
            "gain": found.deletion + found.insertion,
            "passed": found.passed,
        }

    return bench.kept("decided", own, test)


def short(bench: Bench) -> list[Record]:
    """Ask the package's short test about some pictures, whatever the decision."""
    draw = np.random.default_rng(1)
    picked = [bench.pictures[i] for i in draw.permutation(len(bench.pictures))]

    def test(sample: Sample) -> Record:
        seen = explained(bench, open_source(sample.path), faithfulness=True, thorough=False)
        if seen is None or (found := seen.explanation.faithfulness) is None:
            return {"decision": "none"}
        return {
            "decision": seen.face.decision.value,
            "gain": found.deletion + found.insertion,
            "passed": found.passed,
        }

    return bench.kept("short", picked[: bench.few(TESTED, 3)], test)


# --- composites ----------------------------------------------------------------------------------

Base = tuple[Sample, Part]


def composites(bench: Bench) -> list[Record]:
    """Hold maps against regions that we replaced."""
    parts: dict[str, list[Base]] = {"real": [], "ai": []}
    for sample in bench.pictures:
        pixels = open_source(sample.path).photo
        for face in bench.detector.finder.find(pixels.image)[:1]:
            part = Part(pixels=pixels.pixels, face=face, crop=bench.detector.parts.configs[0])
            if part.large_enough:
                parts[sample.label].append((sample, part))
    jobs = []
    for kind in KINDS:
        theirs, own = kind.split(" in ")
        bases, donors = (parts[{"generated": "ai", "real": "real"}[w]] for w in (own, theirs))
        draw = np.random.default_rng(0)
        for rank, i in enumerate(draw.permutation(len(bases))[: bench.few(OF_EACH, 1)]):
            jobs.append((kind, rank, bases[int(i)], donors))
    return bench.kept(
        "composites",
        jobs,
        lambda job: {"found": list(pointed(bench, *job))},
        key=lambda job: f"{job[0]}/{job[1]}",
    )


def pointed(
    bench: Bench, kind: Kind, rank: int, base: Base, donors: Sequence[Base]
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
    # The strongest patch for `real` is asked where a real region stands in a generated face.
    sign = -1.0 if kind == "real in generated" else 1.0
    updated = rank % UPDATED == 0 and kind != "real in real"
    for region in REGIONS:
        made = composite(part, donor, region, seed=rank)
        seen = explained(bench, open_source(made.data), faithfulness=updated)
        if seen is None:
            continue
        grid = bench.detector.backbone.spec.grid
        mask = seen.upright(made.mask_in(seen.explanation.area, grid))
        maps = maps_of(bench, seen)
        maps["edges"] = sign * edges(seen.crop, grid)
        maps["random"] = np.random.default_rng(rank).normal(size=(grid, grid))
        yield {
            "kind": kind,
            "region": region,
            "rank": rank,
            "logit": float(seen.own.mean_logit(seen.crop[None])[0]),
            "hits": {name: asdict(hit(values, mask, sign)) for name, values in maps.items()},
        }


PARTS: dict[str, tuple[Callable[[Bench], list[Record]], Callable[[list[Record]], str]]] = {
    "faithful": (faithful, faithful_page),
    "decided": (decided, decided_page),
    "short": (short, short_page),
    "composites": (composites, composites_page),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--backbone")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    given = parser.parse_args(arguments)
    bench = Bench(
        detector=Detector.load(recheck=False, threads=1),
        manifest=given.manifest,
        backbone=given.backbone,
        work=given.work,
        quick=given.quick,
    )
    for name in given.parts:
        make, page = PARTS[name]
        publish(PAGE, name, page(make(bench)), quick=given.quick)


if __name__ == "__main__":
    main()
