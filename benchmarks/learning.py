"""What would make it better: more generators, more sources of photos, or more pictures of each?

    python -m benchmarks.learning DATA/manifest.csv --work DIR
                                  [--more RECONSTRUCTIONS/manifest.csv] [--draws 2] [--quick]

Rounds are those of `benchmarks.tuning`: a quarter of the generators and one family of real sources
are left out. The head is fitted to part of the rest, and judges what was left out; logits of both
crops are added. Relatives of what was left out are left out, too, so that numbers are lower than
for single generators. The table goes into docs/accuracy.md.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.common import JOBS, track
from benchmarks.fitting import PSEUDO, RECIPE, asked_of, extractor_of, training_pictures
from benchmarks.generalisation import PAGE
from benchmarks.pages import publish, table
from benchmarks.tuning import rounds, told
from veridical.arrays import Bool, Float, ndarray
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.io.samples import Sample
from veridical.train.features import FeatureSet
from veridical.train.fit import of_crop, refits

SHARES = (0.25, 0.5)
AXES = ("generators", "real sources", "pictures of each source")


def parts(samples: Sequence[Sample], share: float, axis: str, seed: int) -> Bool[ndarray, " n"]:
    """Return which pictures are in a share of the generators, of the real sources, or of each.

    Reconstructions are no generators: they stay with the photo that they were made from.
    """
    draw = np.random.default_rng(seed)
    if axis == AXES[2]:
        groups = sorted({sample.group for sample in samples})
        kept = {name for name in groups if draw.uniform() < share}
        return np.array([sample.group in kept for sample in samples])
    label = "ai" if axis == AXES[0] else "real"
    own = [_name(s) if s.label == label and s.generator not in PSEUDO else None for s in samples]
    names = sorted({name for name in own if name})
    count = max(1, round(share * len(names)))
    chosen = set(draw.permutation(names)[:count])
    gone = {
        sample.group
        for sample, name in zip(samples, own, strict=True)
        if name and name not in chosen and label == "real"
    }
    return np.array(
        [
            (name is None or name in chosen) and sample.group not in gone
            for sample, name in zip(samples, own, strict=True)
        ]
    )


def _name(sample: Sample) -> str:
    return sample.generator if sample.label == "ai" else sample.source


def settings(draws: int) -> Iterator[tuple[str, float, int]]:
    """Return axis, share and seed of every fit of a round; the first one has everything."""
    yield AXES[0], 1.0, 0
    for axis in AXES:
        for share in SHARES:
            for seed in range(draws):
                yield axis, share, seed


def measure(found: FeatureSet, draws: int, *, quick: bool) -> dict[tuple[str, float], list[float]]:
    """Return the mean AUROC per generator by axis and share: one value per round and draw."""
    samples = found.samples
    chosen = rounds(samples)[: 1 if quick else None]
    ways = list(settings(1 if quick else draws))
    keep = {way: parts(samples, way[1], way[0], way[2]) for way in ways}
    said: dict[tuple[int, tuple[str, float, int]], Float[ndarray, " m"]] = {}
    for crop in range(found.features.shape[2]):  # one after the other: their sums are large
        own = of_crop(found, crop)
        fit_without = refits(own, RECIPE, seed=0)
        for one in chosen:
            out = np.ones(len(samples), dtype=bool)
            out[one.learnt] = False
            for way in track(ways, f"Crop {crop + 1}, round {one.number + 1}", len(ways)):
                head = fit_without(out | ~keep[way])
                logits = np.array(
                    [head.logits(own.features[i, 0, 0]).mean() for i in one.judged], np.float64
                )
                said[one.number, way] = said.get((one.number, way), 0.0) + logits
    result: dict[tuple[str, float], list[float]] = {}
    for one in chosen:
        judged = [samples[i] for i in one.judged]
        for way in ways:
            mean = np.mean(list(told(said[one.number, way], judged).values()))
            result.setdefault(way[:2], []).append(float(mean))
    return result


def page(found: dict[tuple[str, float], list[float]]) -> str:
    """Return the table: a row per axis, a column per share."""
    whole = np.mean(found[AXES[0], 1.0])
    rows = [
        (axis, *(f"{np.mean(found[axis, share]):.3f}" for share in SHARES), f"{whole:.3f}")
        for axis in AXES
    ]
    return table(("share of the", *(f"{share:.0%}" for share in SHARES), "100%"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = asked_of(__doc__)
    parser.add_argument("--draws", type=int, default=2, help="of each share")
    given = parser.parse_args(arguments)
    detector = Detector.load(threads=1)
    samples = training_pictures(detector, given.manifest, given.more)
    samples = samples[::10] if given.quick else samples
    features = extractor_of(detector, given.work / "cache").extract(samples, Threads(JOBS), track)
    found = measure(features, given.draws, quick=given.quick)
    publish(PAGE, "learning", page(found), quick=given.quick)


if __name__ == "__main__":
    main()
