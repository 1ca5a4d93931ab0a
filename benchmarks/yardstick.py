"""What a face costs beside one forward pass of a plain ViT-S/16 in fp32, the usual yardstick.

CPU time, not time on the clock, and one thread each: what a face costs is then the same whatever
else the machine does. The ViT-S/16 has random weights, on which no time depends.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from benchmarks.common import (
    Benchmark,
    Record,
    Setting,
    figure,
    grid,
    ms,
    portraits,
    ratios,
    spread,
    target,
    times,
)
from veridical.detector import Detector
from veridical.io.images import read_photo
from veridical.train.export import export

TARGET = 2.5
WIDTH, BLOCKS, HEADS, PATCH, SIDE = 384, 12, 6, 16, 224  # Touvron et al., DeiT-S; DINO ViT-S/16


def measure(setting: Setting) -> Record:
    """Time a face from decoded pixels to its verdict, in turns with the yardstick."""
    small = _yardstick(setting.work)
    detector = Detector.load(setting.model, threads=1, stability=False)
    stable = replace(detector, copies=Detector.load(setting.model, threads=1).copies)
    pixels = np.zeros((1, 3, SIDE, SIDE), dtype=np.float32)
    taken: dict[str, list[float]] = {name: [] for name in ("yardstick", "one look", "as it comes")}
    decided = 0
    for path in portraits(setting, setting.size(24, 2)):
        photo = read_photo(path)
        report = stable.inspect(photo)
        if len(report.faces) != 1:
            continue
        decided += report.faces[0].verdict is not None and (
            report.faces[0].verdict.stability is not None
        )
        works: dict[str, Callable[[], object]] = {
            "yardstick": lambda: small.run(None, {"pixels": pixels}),
            "one look": lambda photo=photo: detector.inspect(photo),  # type: ignore[misc]
            "as it comes": lambda photo=photo: stable.inspect(photo),  # type: ignore[misc]
        }
        for name, work in works.items():
            rounds = []
            for _ in range(3):
                start = time.process_time()
                work()
                rounds.append(time.process_time() - start)
            taken[name].append(median(rounds))
    return {
        "faces": len(taken["yardstick"]),
        "looked_again": decided,
        "seconds": {name: spread(values) for name, values in taken.items()},
        "ratio": {
            name: ratios(taken[name], taken["yardstick"]) for name in ("one look", "as it comes")
        },
        "mean_ratio": float(np.mean(taken["as it comes"]) / np.mean(taken["yardstick"])),
    }


def _yardstick(work: Path) -> InferenceSession:
    from transformers import ViTConfig, ViTModel

    folder = work / "vit-small-patch16-random"
    if not (folder / "config.json").is_file():
        config = ViTConfig(
            hidden_size=WIDTH,
            num_hidden_layers=BLOCKS,
            num_attention_heads=HEADS,
            intermediate_size=4 * WIDTH,
            image_size=SIDE,
            patch_size=PATCH,
        )
        ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    options = SessionOptions()
    options.intra_op_num_threads = 1
    graph = export(str(folder), work / "backbones").path
    return InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def table(found: Record) -> str:
    """Return the costs and their ratios."""
    names = {
        "yardstick": "ViT-S/16, fp32, one forward pass",
        "one look": "a face, `--no-stability`",
        "as it comes": "a face, as the program comes",
    }
    lines = [
        [
            says,
            ms(found["seconds"][name]),
            times(found["ratio"][name]) if name in found["ratio"] else "1x",
        ]
        for name, says in names.items()
    ]
    return "\n\n".join(
        [
            grid(["CPU time", "ms", "of the yardstick"], lines),
            f"{found['faces']} pictures with one face, decoded before; the face is searched, cut "
            f"out, looked at and judged. {found['looked_again']} of them got a verdict and were "
            f"looked at again in copies; the mean over all, as the program comes, is "
            f"{figure(found['mean_ratio'])} times the yardstick.",
            target(
                f"one look at most {TARGET} times the yardstick",
                found["ratio"]["one look"]["median"] <= TARGET,
            ),
        ]
    )


BENCHMARK = Benchmark(name="yardstick", measure=measure, table=table)
