"""Would a crop at native resolution help, beside the face and the context?

    python -m benchmarks.details DATA/manifest.csv --work DIR
                                 [--more RECONSTRUCTIONS/manifest.csv] [--quick]

Rounds are those of `benchmarks.tuning`. A head of its own is fitted to the middle of the face, as
many pixels as the network takes, as they were delivered: neither resized nor moved by part of a
pixel. Logits are added: to those of the two crops that are judged, everywhere or for large faces
alone. Pictures are judged as delivered, and in the other views of training: rescaled, filtered and
encoded again. The table goes into docs/accuracy.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import JOBS, track
from benchmarks.fitting import RECIPE, asked_of, extractor_of, training_pictures
from benchmarks.generalisation import PAGE
from benchmarks.pages import publish, table
from benchmarks.tuning import rounds, told
from veridical.arrays import Bool, Float, ndarray
from veridical.box import Box
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.io.samples import Sample
from veridical.train.features import FeatureSet
from veridical.train.fit import of_crop, refits
from veridical.vision.crop import CropConfig
from veridical.vision.faces import Face
from veridical.vision.prepare import Finder

LARGE_PX = 220
WAYS = ("two crops", "native alone", "all three", f"all three from {LARGE_PX} px, else two")


@dataclass(frozen=True, slots=True)
class OnWholePixels:
    """Finds faces as `finder` does, and lays them on whole pixels, with even sides.

    A crop around the middle of such a face, of an even number of pixels, cuts through none.
    """

    finder: Finder

    @property
    def name(self) -> str:
        """Tells one way of finding faces from another."""
        return f"{self.finder.name}, on whole pixels"

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        """Return the faces."""
        return tuple(replace(face, box=_even(face.box)) for face in self.finder.find(image))


def _even(box: Box) -> Box:
    return Box(
        left=float(round(box.left)),
        top=float(round(box.top)),
        width=2.0 * max(1, round(box.width / 2)),
        height=2.0 * max(1, round(box.height / 2)),
    )


def extracted(
    detector: Detector, samples: Sequence[Sample], cache: Path
) -> tuple[FeatureSet, FeatureSet]:
    """Return the features of the crops that are judged, and of the native one, same pictures."""
    extractor = extractor_of(detector, cache)
    size = detector.backbone.spec.image_px
    native = CropConfig(size_px=size, margin=1e-3, least_px=size)
    whole = replace(extractor, finder=OnWholePixels(extractor.finder), configs=(native,))
    found, detail = (one.extract(samples, Threads(JOBS), track) for one in (extractor, whole))
    assert found.samples == detail.samples
    return found, detail


def measure(
    found: FeatureSet, detail: FeatureSet, *, quick: bool
) -> dict[tuple[str, str], list[float]]:
    """Return the mean AUROC per generator by way and set: one value per round."""
    chosen = rounds(found.samples)[: 1 if quick else None]
    crops = [of_crop(found, n) for n in range(found.features.shape[2])] + [detail]
    said: dict[tuple[int, int], Float[ndarray, "m views"]] = {}
    for n, own in enumerate(crops):  # one after the other: their sums are large
        fit_without = refits(own, RECIPE, seed=0)
        for one in track(chosen, f"Crop {n + 1}", len(chosen)):
            out = np.ones(len(own.samples), dtype=bool)
            out[one.learnt] = False
            head = fit_without(out)
            said[one.number, n] = np.array(
                [[head.logits(view[0]).mean() for view in own.features[i]] for i in one.judged]
            )
    result: dict[tuple[str, str], list[float]] = {}
    for one in chosen:
        *judged, native = (said[one.number, n] for n in range(len(crops)))
        large = found.sizes_px[one.judged] >= LARGE_PX
        for way, logits in added(np.stack(judged).sum(axis=0), native, large).items():
            for where, value in by_set(logits, large, [found.samples[i] for i in one.judged]):
                result.setdefault((way, where), []).append(value)
    return result


def added(
    two: Float[ndarray, "m views"],
    native: Float[ndarray, "m views"],
    large: Bool[ndarray, "m views"],
) -> dict[str, Float[ndarray, "m views"]]:
    """Return the logits of each way, from those of the two crops and of the native one."""
    ways = two, native, two + native, np.where(large, two + native, two)
    return dict(zip(WAYS, ways, strict=True))


def by_set(
    logits: Float[ndarray, "m views"], large: Bool[ndarray, "m views"], samples: Sequence[Sample]
) -> list[tuple[str, float]]:
    """Return the mean AUROC per generator of each set of pictures."""

    def mean(view: int, kept: Bool[ndarray, " m"]) -> float:
        some = [sample for sample, one in zip(samples, kept, strict=True) if one]
        return float(np.mean(list(told(logits[kept, view], some).values())))

    every = np.ones(len(samples), dtype=bool)
    others = range(1, logits.shape[1])
    return [
        ("as delivered", mean(0, every)),
        (f"faces from {LARGE_PX} px", mean(0, large[:, 0])),
        ("rescaled and re-encoded", float(np.mean([mean(n, every) for n in others]))),
    ]


def page(found: Mapping[tuple[str, str], Sequence[float]]) -> str:
    """Return the table: a row per way, a column per set, and the rounds apart."""
    sets = list(dict.fromkeys(where for _, where in found))
    rows = [
        (
            way,
            *(f"{np.mean(found[way, where]):.3f}" for where in sets),
            ", ".join(f"{value:.3f}" for value in found[way, sets[0]]),
        )
        for way in WAYS
    ]
    return table(("logits added", *sets, "as delivered, by round"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    given = asked_of(__doc__).parse_args(arguments)
    detector = Detector.load(threads=1)
    samples = training_pictures(detector, given.manifest, given.more)
    samples = samples[::10] if given.quick else samples
    found = measure(*extracted(detector, samples, given.work / "cache"), quick=given.quick)
    publish(PAGE, "details", page(found), quick=given.quick)


if __name__ == "__main__":
    main()
