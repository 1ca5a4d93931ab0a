"""One picture, everything loaded: its verdict, 200 posterior samples and what they rest on."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.common import Record
from benchmarks.pages import table, target
from benchmarks.speed import Benchmark, Reference, Setting, model_of, portraits
from benchmarks.timing import in_turns, median_of, ms, ratios, times
from veridical.detector import Detector
from veridical.explain.face import ExplainConfig
from veridical.io.source import read_photo

TARGET = 2.0
QUICK = ExplainConfig(faithfulness=False)
NAMES = {
    "int8": "`Detector.inspect`, int8, as shipped",
    "no re-check": "the same with `recheck=False`",
    "fp32": "`Detector.inspect`, fp32 (equal precision)",
}


def measure(setting: Setting) -> Record:
    """Time both sides on the same files, one after the other."""
    reference = Reference.load(setting)
    detectors = {
        "int8": Detector.load(model_of(setting, "int8")),
        "no re-check": Detector.load(model_of(setting, "int8"), recheck=False),
        "fp32": Detector.load(model_of(setting, "fp32")),
    }

    def inspect(name: str, path: Path) -> object:
        return detectors[name].inspect(path.read_bytes(), explain=QUICK)

    works: dict[str, Callable[[Path], object]] = {
        "reference": reference.predict,
        **{name: partial(inspect, name) for name in detectors},
    }
    paths = portraits(setting, setting.size(24, 2))
    in_turns(works, paths[:2])  # the first pass of all pays for buffers and dropout masks
    taken = in_turns(works, paths)
    photos = map(read_photo, paths)
    return {
        "pictures": len(paths),
        "side_px": median(max(photo.width, photo.height) for photo in photos),
        "samples": detectors["int8"].parts.samples,
        "seconds": {name: median_of(found) for name, found in taken.items()},
        "ratio": {name: ratios(taken["reference"], taken[name]) for name in detectors},
    }


def page(found: Record) -> str:
    """Return the comparison."""
    lines = [
        ["Reference: load, features, 200 passes, gradient", ms(found["seconds"]["reference"]), ""]
    ]
    lines += [
        [text, ms(found["seconds"][key]), times(found["ratio"][key])] for key, text in NAMES.items()
    ]
    return "\n\n".join(
        [
            table(["", "ms per picture", "reference / ours"], lines, numbers=True),
            f"{found['pictures']} test pictures, median long side {found['side_px']:.0f} px, "
            f"{found['samples']} posterior samples on both sides; medians, with lowest to highest.",
            *(
                target(f"at least {TARGET:.0f}x, {key}", found["ratio"][key]["median"] >= TARGET)
                for key in ("int8", "fp32")
            ),
        ]
    )


BENCHMARK = Benchmark(name="inspecting", measure=measure, table=page)
