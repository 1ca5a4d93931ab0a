"""How the encoder is best kept busy: batches, threads, or one picture per core.

The table is the reason why pictures go one per core, each alone and with one thread: a batch keeps
a picture waiting for others, and would have to win something for it.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.common import Record
from benchmarks.pages import table
from benchmarks.speed import Benchmark, Setting, model_of
from benchmarks.timing import in_turns, median_of, ms
from veridical.detector import Detector
from veridical.engines import cores, engine_of
from veridical.vision.backbone import OnnxBackbone


def measure(setting: Setting) -> Record:
    """Time eight pictures each way, in turns."""
    size = Detector.load(setting.model).parts.spec.image_px
    crops = np.random.default_rng(0).integers(0, 256, (8, size, size, 3), dtype=np.uint8)

    def batched(backbone: OnnxBackbone, batch: int, _turn: int) -> None:
        for start in range(0, len(crops), batch):
            backbone.tokens(crops[start : start + batch])

    def per_core(backbone: OnnxBackbone, _turn: int) -> None:
        for _ in engine_of(cores()).map(lambda crop: backbone.tokens(crop[None]), crops):
            pass

    works: dict[str, Callable[[int], object]] = {}
    for precision in ("int8", "fp32"):
        for threads in sorted({1, cores()}):
            backbone = Detector.load(model_of(setting, precision), threads=threads).backbone
            assert isinstance(backbone, OnnxBackbone)
            for batch in (1, 8):
                works[f"{precision}/{threads}/{batch}"] = partial(batched, backbone, batch)
            if threads == 1:
                works[f"{precision}/per core"] = partial(per_core, backbone)
    in_turns(works, range(1))
    taken = in_turns(works, range(setting.size(5, 1)))
    return {
        "cores": cores(),
        "seconds": {
            name: median_of([t / len(crops) for t in found]) for name, found in taken.items()
        },
    }


def page(found: Record) -> str:
    """Return milliseconds per picture."""
    cell, n = found["seconds"], found["cores"]
    lines = [
        [
            f"batches of {batch}, {threads} thread{'s' if threads > 1 else ''}",
            *(ms(cell[f"{precision}/{threads}/{batch}"]) for precision in ("int8", "fp32")),
        ]
        for threads in sorted({1, n})
        for batch in (1, 8)
    ]
    lines.append(
        [
            f"{n} pictures at a time, one thread each",
            *(ms(cell[f"{precision}/per core"]) for precision in ("int8", "fp32")),
        ]
    )
    return table(["Encoder alone, ms per picture", "int8", "fp32"], lines, numbers=True)


BENCHMARK = Benchmark(name="batching", measure=measure, table=page)
