"""One picture, everything loaded: its verdict, 200 posterior samples and what they rest on."""

from pathlib import Path
from statistics import median

from benchmarks.common import (
    Benchmark,
    Record,
    Reference,
    Setting,
    grid,
    in_turns,
    model_of,
    ms,
    portraits,
    ratios,
    spread,
    target,
    times,
)
from veridical.detector import Detector
from veridical.io.images import Photo, read_photo

TARGET = 2.0


def measure(setting: Setting) -> Record:
    """Time both sides on the same files, one after the other."""
    reference = Reference.load(setting)
    detectors = {
        precision: Detector.load(model_of(setting, precision), stability=False)
        for precision in ("int8", "fp32")
    }

    def explain(precision: str, path: Path) -> None:
        detectors[precision].explain(path.read_bytes(), faithfulness=False)

    works = {
        "reference": reference.predict,
        "int8": lambda path: explain("int8", path),
        "fp32": lambda path: explain("fp32", path),
    }
    paths = portraits(setting, setting.size(24, 2))
    in_turns(works, paths[:2])  # the first look of all pays for buffers and dropout masks
    taken = in_turns(works, paths)
    photos = [read_photo(path) for path in paths]
    return {
        "pictures": len(paths),
        "side_px": median(max(photo.pixels.shape[:2]) for photo in photos),
        "samples": detectors["int8"].head.samples,
        "seconds": {name: spread(found) for name, found in taken.items()},
        "ratio": {name: ratios(taken["reference"], taken[name]) for name in detectors},
        "parts": _parts(detectors["int8"], paths, photos),
    }


def _parts(detector: Detector, paths: list[Path], photos: list[Photo]) -> Record:
    """Time decoding, finding faces and all the rest apart."""
    of = dict(zip(paths, photos, strict=True))
    taken = in_turns(
        {
            "read the file and decode it": read_photo,
            "find the faces": lambda path: detector.finder.find(of[path].pixels),
            "encoder, samples, verdict, maps, and finding the faces": lambda path: detector.explain(
                of[path], faithfulness=False
            ),
        },
        paths,
    )
    return {name: spread(found) for name, found in taken.items()}


def table(found: Record) -> str:
    """Return the comparison and its parts."""
    names = {
        "int8": "`Detector.explain`, int8 (as delivered)",
        "fp32": "`Detector.explain`, fp32 (equal precision)",
    }
    lines = [
        ["Reference: load, features, 200 passes, gradient", ms(found["seconds"]["reference"]), ""]
    ]
    lines += [
        [text, ms(found["seconds"][key]), times(found["ratio"][key])] for key, text in names.items()
    ]
    parts = [[name, ms(value)] for name, value in found["parts"].items()]
    return "\n\n".join(
        [
            grid(["", "ms per picture", "reference / ours"], lines),
            f"{found['pictures']} test pictures, median long side {found['side_px']:.0f} px, "
            f"{found['samples']} posterior samples on both sides; medians, with lowest to highest.",
            *(
                target(f"at least {TARGET:.0f}x, {key}", found["ratio"][key]["median"] >= TARGET)
                for key in names
            ),
            grid(["Of ours, int8", "ms"], parts),
        ]
    )


BENCHMARK = Benchmark(name="inspecting", measure=measure, table=table)
