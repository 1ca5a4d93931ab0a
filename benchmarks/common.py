"""What the benchmarks share: work that can be interrupted, classes, and crops."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from veridical.arrays import Bool, Float, UInt8, ndarray
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.io.samples import Sample
from veridical.io.source import File, Source, open_source
from veridical.vision import prepare

T = TypeVar("T")
Record = dict[str, Any]
"""What goes into a file of results: numbers, names and lists of them."""

JOBS = 2
AS_DELIVERED = "as delivered"


def track(items: Iterable[T], what: str, total: int) -> Iterator[T]:
    """Say from time to time how far a part is."""
    for done, item in enumerate(items):
        if done % 100 == 0:
            print(f"{what}: {done} of {total}", flush=True)
        yield item


def remembered(
    path: Path, items: Sequence[T], work: Callable[[T], Record], key: Callable[[T], str]
) -> list[Record]:
    """Return the record of every item; those of an interrupted run are read from `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, Record] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            one = json.loads(line)
            known[one["key"]] = one
    todo = [item for item in items if key(item) not in known]
    with path.open("a", encoding="utf-8") as file:
        done = track(Threads(JOBS).map(work, todo), path.stem, len(todo))
        for item, found in zip(todo, done, strict=True):
            known[key(item)] = {"key": key(item), **found}
            file.write(json.dumps(known[key(item)]) + "\n")
            file.flush()
    return [known[key(item)] for item in items]


def path_of(sample: Sample) -> str:
    """Return what a picture is remembered by."""
    return str(sample.path)


def is_ai(samples: Sequence[Sample]) -> Bool[ndarray, " n"]:
    """Return which pictures are AI-generated."""
    return np.array([sample.label == "ai" for sample in samples], dtype=bool)


def even(ai: Bool[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Weigh the classes alike; the weights add up to one."""
    weights: ndarray = np.where(ai, 0.5 / max(1, ai.sum()), 0.5 / max(1, (~ai).sum()))
    return weights


def crops_of(
    detector: Detector, source: Source | File
) -> list[UInt8[ndarray, "crops size size 3"]]:
    """Return all crops of each face of a picture that a detector judges, largest first."""
    image, configs = open_source(source, detector.limits).photo.image, detector.parts.configs
    return [
        prepare.crops_of(image, prepare.areas_of(face.box, configs, image), configs, face.turn)
        for face in detector.finder.find(image)
        if face.size_px >= detector.parts.min_face_px
    ]
