"""A folder of pictures against the bare encoder on the same faces, already decoded and cut out."""

from pathlib import Path
from typing import Any

from benchmarks.common import (
    Benchmark,
    Record,
    Setting,
    cores,
    engine,
    figure,
    grid,
    in_turns,
    model_of,
    percent,
    portraits,
    ratios,
    seconds,
    spread,
    target,
)
from veridical.detector import Detector
from veridical.io.images import read_photo
from veridical.report import Failure
from veridical.scan import scan

TARGET = 0.85


def measure(setting: Setting) -> Record:
    """Scan and encode in turns, the same engine and threads: one picture per core."""
    paths = portraits(setting, setting.size(64, 4))
    return {
        "pictures": len(paths),
        "jobs": cores(),
        **{precision: _one(setting, precision, paths) for precision in ("int8", "fp32")},
    }


def _one(setting: Setting, precision: str, paths: list[Path]) -> Record:
    detector = Detector.load(model_of(setting, precision), threads=1, stability=False)
    crops: list[Any] = [
        explanation.crop
        for path in paths
        for explanation in detector.explain(path, faithfulness=False)[1]
    ]

    def whole(_turn: int) -> None:
        for outcome in scan(paths, detector.inspect, engine()):
            if isinstance(outcome, Failure):
                raise SystemExit(f"{outcome.path}: {outcome.error}")

    def bare(_turn: int) -> None:
        for _ in engine().map(lambda crop: detector.backbone.tokens(crop[None]), crops):
            pass

    taken = in_turns({"scan": whole, "encoder": bare}, range(setting.size(4, 1)))
    return {
        "faces": len(crops),
        "per_second": {
            name: spread([len(paths) / t for t in found]) for name, found in taken.items()
        },
        "share": ratios(taken["encoder"], taken["scan"]),
        "parts": _parts(detector, paths, crops),
    }


def _parts(detector: Detector, paths: list[Path], crops: list[Any]) -> Record:
    """Return mean seconds per picture of the steps, one picture at a time on one core."""
    photos = [read_photo(path) for path in paths]
    works = {
        "read and decode": lambda: [read_photo(path) for path in paths],
        "find the faces": lambda: [detector.finder.find(photo.pixels) for photo in photos],
        "encoder": lambda: [detector.backbone.tokens(crop[None]) for crop in crops],
        "all": lambda: [detector.inspect(path) for path in paths],
    }
    return {name: seconds(work) / len(paths) for name, work in works.items()}


def table(found: Record) -> str:
    """Return throughputs, and where the rest of the time goes."""
    both = [(precision, found[precision]) for precision in ("int8", "fp32")]
    lines = [
        [
            precision,
            *(figure(one["per_second"][name]["median"]) for name in ("scan", "encoder")),
            f"{percent(one['share']['median'])} ({figure(100 * one['share']['low'])} to "
            f"{figure(100 * one['share']['high'])})",
        ]
        for precision, one in both
    ]
    parts = [
        [name, *(figure(1e3 * one["parts"][name]) for _, one in both)]
        for name in found["int8"]["parts"]
    ]
    return "\n\n".join(
        [
            grid(["", "scan, pictures/s", "bare encoder, pictures/s", "scan / encoder"], lines),
            f"{found['pictures']} test pictures with {found['int8']['faces']} faces, "
            f"{found['jobs']} at a time, one thread each. The encoder gets all their faces.",
            *(
                target(
                    f"at least {percent(TARGET)} of the encoder's throughput, {precision}",
                    one["share"]["median"] >= TARGET,
                )
                for precision, one in both
            ),
            grid(["ms per picture, one at a time, one thread", "int8", "fp32"], parts),
        ]
    )


BENCHMARK = Benchmark(name="folder", measure=measure, table=table)
