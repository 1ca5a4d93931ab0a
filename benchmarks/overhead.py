"""What a verdict and its map cost beside the encoder, face by face."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.common import (
    Benchmark,
    Record,
    Setting,
    figure,
    grid,
    model_of,
    ms,
    percent,
    portraits,
    seconds,
    spread,
    target,
)
from veridical.detector import Detector
from veridical.explain.attribution import channel_importance, relative_map, token_map
from veridical.infer.head import summarise
from veridical.tokens import pool

TARGET = 0.05


def measure(setting: Setting) -> Record:
    """Time the encoder and then each part, as `Detector.explain` has them, without a rest."""
    rounds = setting.size(40, 3)
    return {
        "rounds": rounds,
        **{precision: _one(setting, precision, rounds) for precision in ("int8", "fp32")},
    }


def _one(setting: Setting, precision: str, rounds: int) -> Record:
    detector = Detector.load(model_of(setting, precision))
    crop = _crop(setting, detector)
    tokens = detector.backbone.tokens(crop[None])[0]
    features = pool(tokens, detector.pooling)
    forward = detector.head.forward(features)
    gradient, rest = detector.head.gradient(forward)
    parts: dict[str, Callable[[], object]] = {
        "encoder": lambda: detector.backbone.tokens(crop[None]),
        "pool the tokens": lambda: pool(tokens, detector.pooling),
        "posterior samples of the logit": lambda: detector.head.forward(features),
        "sum them up": lambda: summarise(
            detector.calibration.logits(forward.logits), detector.level
        ),
        "distance from the training data": lambda: detector.outlier.distance(features),
        "gradient": lambda: detector.head.gradient(forward),
        "two token maps": lambda: relative_map(
            token_map(tokens, detector.pooling, gradient, rest),
            tokens,
            detector.pooling,
            gradient,
            detector.head.mean,
        ),
        "channel importance": lambda: channel_importance(gradient),
    }
    if detector.rule is not None:
        rule = detector.rule
        plain = token_map(tokens, detector.pooling, gradient, rest).patches
        parts["the rule's map"] = lambda: rule.read(tokens, plain)
    for work in parts.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(rounds):
        for name, work in parts.items():
            taken[name].append(seconds(work))
    extra = np.sum([found for name, found in taken.items() if name != "encoder"], axis=0)
    shares = extra / np.array(taken["encoder"])
    return {
        "features": len(features),
        "samples": detector.head.samples,
        "seconds": {name: spread(found) for name, found in taken.items()},
        "share": spread(shares.tolist()),
    }


def _crop(setting: Setting, detector: Detector) -> Any:
    for path in portraits(setting, 40):
        for explanation in detector.explain(path, faithfulness=False)[1]:
            return explanation.crop
    raise SystemExit("No face was found in 40 test pictures.")


def table(found: Record) -> str:
    """Return the parts at both precisions of the encoder."""
    lines = []
    for name in found["int8"]["seconds"]:
        both = [found[precision]["seconds"][name] for precision in ("int8", "fp32")]
        lines.append([name, *(ms(value) for value in both)])
    shares = {precision: found[precision]["share"] for precision in ("int8", "fp32")}
    lines.append(
        [
            "all but the encoder / the encoder",
            *(
                f"{percent(share['median'])} ({figure(100 * share['low'])} to "
                f"{figure(100 * share['high'])})"
                for share in shares.values()
            ),
        ]
    )
    one = found["int8"]
    return "\n\n".join(
        [
            grid(["ms per face", "int8", "fp32"], lines),
            f"{found['rounds']} rounds on one face, all cores; {one['samples']} samples of a head "
            f"on {one['features']} features.",
            *(
                target(
                    f"at most {percent(TARGET)} of the encoder, {precision}",
                    share["median"] <= TARGET,
                )
                for precision, share in shares.items()
            ),
        ]
    )


BENCHMARK = Benchmark(name="overhead", measure=measure, table=table)
