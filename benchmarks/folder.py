"""A folder of pictures against the bare encoder on the same faces, already decoded and cropped.

The encoder gets the first crop of each face.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.common import Record, crops_of
from benchmarks.pages import figure, percent, table, target
from benchmarks.speed import Benchmark, Setting, model_of, portraits
from benchmarks.timing import in_turns, median_of, range_of, ratios, seconds
from veridical.detector import Detector
from veridical.engines import cores, engine_of
from veridical.io.source import read_photo
from veridical.report import Failure
from veridical.vision.backbone import tokens_of

TARGET = 0.85
ROWS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "int8, as shipped": ("int8", {}),
    "int8, no re-check": ("int8", {"recheck": False}),
    "int8, fast, no re-check": ("int8", {"recheck": False, "fast": True}),
    "fp32, fast, no re-check": ("fp32", {"recheck": False, "fast": True}),
}
HELD = [name for name, (_, options) in ROWS.items() if "fast" in options]
"""Rows that look at each face once, as the bare encoder does."""


def measure(setting: Setting) -> Record:
    """Judge and encode in turns, with the same engine and threads: one picture per core."""
    paths = portraits(setting, setting.size(64, 4))
    rounds = setting.size(4, 1)
    found = {
        name: _one(Detector.load(model_of(setting, precision), threads=1, **options), paths, rounds)
        for name, (precision, options) in ROWS.items()
    }
    return {"pictures": len(paths), "jobs": cores(), "rows": found}


def _one(detector: Detector, paths: list[Path], rounds: int) -> Record:
    faces = [crops for path in paths for crops in crops_of(detector, path)]
    photos = [read_photo(path) for path in paths]

    def whole(_turn: int) -> None:
        for found in detector.inspect_many(paths):
            if isinstance(found, Failure):
                raise SystemExit(f"{found.path}: {found.error}")

    def bare(_turn: int) -> None:
        for _ in engine_of(cores()).map(lambda face: detector.backbone.tokens(face[:1]), faces):
            pass

    taken = in_turns({"inspect": whole, "encoder": bare}, range(rounds))
    parts = {
        "read and decode": lambda: [read_photo(path) for path in paths],
        "find the faces": lambda: [detector.finder.find(photo.image) for photo in photos],
        "encoder": lambda: [tokens_of(detector.backbone, face) for face in faces],
        "all": lambda: [detector.inspect(path) for path in paths],
    }
    return {
        "faces": len(faces),
        "per_second": {
            name: median_of([len(paths) / t for t in found]) for name, found in taken.items()
        },
        "share": ratios(taken["encoder"], taken["inspect"]),
        "parts": {name: seconds(work) / len(paths) for name, work in parts.items()},
    }


def page(found: Record) -> str:
    """Return throughputs, and where the rest of the time goes."""
    rows = found["rows"]
    lines = [
        [
            name,
            *(figure(one["per_second"][what]["median"]) for what in ("inspect", "encoder")),
            f"{percent(one['share']['median'])} ({range_of(one['share'], 100)})",
        ]
        for name, one in rows.items()
    ]
    parts = [
        [part, *(figure(1e3 * one["parts"][part]) for one in rows.values())]
        for part in next(iter(rows.values()))["parts"]
    ]
    faces = next(iter(rows.values()))["faces"]
    return "\n\n".join(
        [
            table(
                ["", "inspect, pictures/s", "bare encoder, pictures/s", "inspect / encoder"],
                lines,
                numbers=True,
            ),
            f"{found['pictures']} test pictures with {faces} faces, {found['jobs']} at a time, one "
            "thread each. The encoder gets the first crop of all their faces.",
            *(
                target(
                    f"at least {percent(TARGET)} of the encoder's throughput, {name}",
                    rows[name]["share"]["median"] >= TARGET,
                )
                for name in HELD
            ),
            table(["ms per picture, one at a time, one thread", *rows], parts, numbers=True),
        ]
    )


BENCHMARK = Benchmark(name="folder", measure=measure, table=page)
