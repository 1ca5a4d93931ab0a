"""How often is it wrong, does it know, and what does it not judge at all?

    python -m benchmarks.doubt DATA/manifest.csv --work DIR [--more RECONSTRUCTIONS/manifest.csv]
                               [--splits val] [--parts posteriors decided ...] [--quick]

**posteriors**: posteriors over heads (`research.posteriors`), each fitted on `train`, calibrated on
sources left out in turn, and asked about `val` and about copies of it.

**decided**: how often the prediction sets of the model in the package hold the truth.

**depth**: patterns, filtered portraits and the split `hard`: what gets a verdict although nobody
can give one, and which out-of-distribution scores notice.

**fairness**: errors by apparent skin tone and by the size of the face.

Posteriors and scores are compared on the first crop alone.
Everything that was computed is kept in DIR (`posterior-*.npz`; delete one to fit it again), and
each part runs alone. The tables go into docs/doubt.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import depth, fairness, posteriors
from benchmarks.common import AS_DELIVERED, JOBS, Record, track
from benchmarks.fitting import RECIPE, asked_of, extractor_of, training_pictures
from benchmarks.laundering import laundered
from benchmarks.pages import DOCS, publish, share
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.infer.fusion import Fusion
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.splits import subsample
from veridical.report import Decision
from veridical.train.features import FeatureSet
from veridical.train.fit import of_crop

PAGE = DOCS / "doubt.md"
FEW = 2  # pictures of a source and generator in a smoke run


@dataclass(frozen=True, kw_only=True, eq=False)
class Bench:
    """What all parts work with.

    Attributes:
        detector: The model that is judged, and whose backbone gives the features.
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

    def pictures(self) -> tuple[Sample, ...]:
        """Return the pictures that are judged; some of each source in a smoke run."""
        found = [s for split in self.splits for s in read_samples(self.manifest, split=split)]
        return subsample(found, FEW, 0) if self.quick else tuple(found)

    def train(self) -> FeatureSet:
        """Return features of what posteriors are fitted on."""
        found = training_pictures(self.detector, self.manifest, self.more)
        return self.features(subsample(found, FEW, 0) if self.quick else found, RECIPE.views)

    def features(self, samples: Sequence[Sample], views: int = 1) -> FeatureSet:
        """Return features of pictures' first crop, from the cache where it has them."""
        extractor = extractor_of(self.detector, self.work / "cache", views)
        return of_crop(extractor.extract(samples, Threads(JOBS), track), 0)

    def told(self) -> Mapping[str, Record]:
        """Return what the detector said of the pictures as delivered, by path."""
        kept = self.work / f"told-{'-'.join(self.splits)}-{self.detector.model}.jsonl"
        return laundered(self.pictures(), self.detector, kept, [AS_DELIVERED])[AS_DELIVERED]


def posteriors_part(bench: Bench) -> str:
    """Return how well each posterior ranks its errors."""
    return posteriors.compared(bench.train(), bench.pictures(), bench.features, bench.work)


def decided_part(bench: Bench) -> str:
    """Say how often the prediction sets hold the truth."""
    page = covered(bench.pictures(), bench.told(), bench.detector.parts.fusion)
    return f"On `{'`, `'.join(bench.splits)}` {page}"


def covered(samples: Sequence[Sample], told: Mapping[str, Record], fusion: Fusion) -> str:
    """Say how often the prediction sets of each class hold the truth: those of the lead faces."""
    held: dict[str, list[bool]] = {"ai": [], "real": []}
    for sample in samples:
        one = told[str(sample.path)]
        if one["p_ai"] is not None:
            calibration = fusion.calibration(fusion.place(one["face_px"]))
            plausible = calibration.prediction_set(one["p_ai"])
            held[sample.label].append(Decision(sample.label) in plausible)
    ai, real = (share(sum(own), len(own)) for own in held.values())
    return (
        f"the prediction sets held the truth for {ai} of the AI-generated and {real} of the real "
        "pictures."
    )


def depth_part(bench: Bench) -> str:
    """Return what gets a verdict that should not, and which scores notice."""
    odd = depth.oddities(bench.manifest, bench.work / "oddities", bench.quick)
    reals = [
        depth.Odd(path=s.path, kind="", family="clean")
        for s in bench.pictures()
        if s.label == "real"
    ]
    name = f"{bench.detector.model}.jsonl"
    judgements = depth.judged(bench.detector, odd, reals, bench.work / f"depth-{name}")
    kept = bench.work / f"scores-{name}"
    scores = depth.scored(bench.detector, bench.train(), [*odd, *reals], kept)
    return (
        f"{depth.page([*odd, *reals], judgements)}\n\n"
        f"{depth.scores_page(depth.told_apart(scores, odd, reals))}"
    )


def fairness_part(bench: Bench) -> str:
    """Return error rates between groups."""
    samples = bench.pictures()
    facts = fairness.appearances(samples, bench.detector.finder, bench.work / "faces.jsonl")
    return fairness.page(samples, bench.told(), facts)


PARTS: dict[str, Callable[[Bench], str]] = {
    "posteriors": posteriors_part,
    "decided": decided_part,
    "depth": depth_part,
    "fairness": fairness_part,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = asked_of(__doc__)
    parser.add_argument("--splits", nargs="+", default=["val"])
    parser.add_argument("--parts", nargs="+", default=[*PARTS], choices=[*PARTS])
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        detector=Detector.load(threads=1),
        manifest=given.manifest,
        more=tuple(given.more),
        work=given.work,
        splits=tuple(given.splits),
        quick=given.quick,
    )
    for name in given.parts:
        publish(PAGE, name, PARTS[name](bench), quick=given.quick)


if __name__ == "__main__":
    main()
