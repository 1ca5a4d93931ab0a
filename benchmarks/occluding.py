"""An occlusion map with windows of an eighth of the picture's side, half a window apart.

The reference covers 16 px of a picture of 128 px in steps of 8, and then enlarges it to 224 px for
its network: 14 x 14 windows, the last row and column unreached. Ours covers 28 px of the crop of
224 px in steps of 14, the same share of the face, edges included: 15 x 15 windows, and one look at
the whole crop. So a map of ours has more windows; both times are given.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

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
    sec,
    spread,
    target,
    times,
)
from veridical.detector import Detector
from veridical.explain.attribution import occlusion

TARGET = 4.0
_PX, _WINDOW, _STRIDE = 128, 16, 8  # the reference's


def measure(setting: Setting) -> Record:
    """Draw maps of the same pictures on both sides."""
    reference = Reference.load(setting)
    reference.head.eval()
    starts = range(0, _PX - _WINDOW, 2 * _STRIDE if setting.quick else _STRIDE)
    together = {p: Detector.load(model_of(setting, p)) for p in ("int8", "fp32")}
    size = together["int8"].crop_config.size_px
    window, stride = size * _WINDOW // _PX, size * _STRIDE // _PX
    stride = window if setting.quick else stride
    windows = (len(range(0, size - window + 1, stride))) ** 2 + 1
    crops: dict[Path, Any] = {}
    for path in portraits(setting, 40):
        explanations = together["int8"].explain(path, faithfulness=False)[1]
        if len(explanations) == 1:
            crops[path] = explanations[0].crop
        if len(crops) == 1:
            break

    def ours(score: Callable[[Any], Any], path: Path) -> object:
        return occlusion(crops[path], score, window=window, stride=stride, fill="black")

    works: dict[str, Callable[[Path], object]] = {
        "reference": partial(_reference_map, reference, starts)
    }
    for precision in ("int8", "fp32"):
        works[precision] = partial(ours, together[precision].p_ai)
    for path in crops:  # warm
        for detector in together.values():
            detector.p_ai(crops[path][None])
    taken = in_turns(works, crops)
    count = dict.fromkeys(works, windows) | {"reference": len(starts) ** 2}
    rates = {name: [t / count[name] for t in found] for name, found in taken.items()}
    return {
        "pictures": len(crops),
        "window_px": window,
        "stride_px": stride,
        "looks": count,
        "map_seconds": {name: spread(found) for name, found in taken.items()},
        "look_seconds": {name: spread(found) for name, found in rates.items()},
        "map_ratio": {name: ratios(taken["reference"], taken[name]) for name in works},
        "look_ratio": {name: ratios(rates["reference"], rates[name]) for name in works},
    }


def _reference_map(reference: Reference, starts: Sequence[int], path: Path) -> None:
    """Draw the reference's map: the body of the loop in its `main` that times occlusion."""
    import torch

    image, sensitivity = reference.code.load(path)[None], np.zeros((_PX, _PX))
    for i in starts:
        for j in starts:
            occluded = image.clone()
            occluded[:, :, i : i + _WINDOW, j : j + _WINDOW] = 0
            with torch.no_grad():
                features = reference.code.features(reference.vit, occluded)
                prob = torch.softmax(reference.head(features), 1)
            sensitivity[i : i + _WINDOW, j : j + _WINDOW] = prob[0, 1]


def table(found: Record) -> str:
    """Return times per map and per window."""
    lines = []
    for name, value in found["map_seconds"].items():
        ours = name != "reference"
        lines.append(
            [
                f"Ours, {name}" if ours else "Reference",
                str(found["looks"][name]),
                sec(value),
                times(found["map_ratio"][name]) if ours else "",
                ms(found["look_seconds"][name]),
                times(found["look_ratio"][name]) if ours else "",
            ]
        )
    delivered = found["map_ratio"]["int8"]["median"]
    return "\n\n".join(
        [
            grid(
                ["", "looks", "s per map", "reference / ours", "ms per look", "reference / ours"],
                lines,
            ),
            f"{found['pictures']} test pictures; ours covers {found['window_px']} px of the crop "
            f"in steps of {found['stride_px']} px.",
            target(f"at least {TARGET:.0f}x per map, as delivered", delivered >= TARGET),
        ]
    )


BENCHMARK = Benchmark(name="occluding", measure=measure, table=table)
