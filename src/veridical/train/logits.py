"""The logits of many pictures, kept on disk until a calibration is fitted to them."""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from veridical._version import VERSION
from veridical.arrays import Float, ndarray
from veridical.detector import Detector
from veridical.engines import Engine, outcomes
from veridical.io.kept import Kept
from veridical.report import Failure

SCHEMA = "veridical.logits/1"
NAME = "logits.part.jsonl"

Logits = Float[ndarray, "faces samples"]


def kept_in(folder: Path, detector: Detector) -> Kept:
    """Return the logits that are kept in a folder; those of another model are dropped."""
    settings = {
        "model": detector.model,
        "version": VERSION,
        "crops": [branch.name for branch in detector.parts.branches],
        "samples": detector.parts.samples,
        "limits": asdict(detector.limits),
    }
    return Kept(folder / NAME, SCHEMA, json.loads(json.dumps(settings)))


def logits_of(
    detector: Detector,
    paths: Sequence[Path | Failure],
    engine: Engine,
    kept: Kept,
    say: Callable[[str], None],
) -> Iterator[Logits | Failure]:
    """Yield what `Detector.logits` gives for each picture, in order.

    Args:
        detector: Gives them.
        paths: Pictures; failures are passed on.
        engine: Runs it.
        kept: Asked first, and told each answer. Failures are not kept: they are tried again.
        say: Told how many are known.
    """
    files = [path for path in paths if isinstance(path, Path)]
    known = {path: found for path in files if (found := _array(kept.get(path))) is not None}
    if known:
        say(f"Going on from an earlier run: {len(known):,} of {len(files):,} pictures are judged")
    answers = outcomes(detector.logits, [one for one in paths if one not in known], engine)
    for path in paths:
        if isinstance(path, Path) and path in known:
            yield known[path]
            continue
        answer = next(answers)
        if isinstance(path, Path) and not isinstance(answer, Failure):
            kept.put(path, [*answer.shape, b64encode(answer.astype("<f8").tobytes()).decode()])
        yield answer


def _array(answer: Any) -> Logits | None:
    try:
        *shape, packed = answer
        return np.frombuffer(b64decode(packed), "<f8").reshape(shape).astype(np.float64)
    except (TypeError, ValueError):
        return None
