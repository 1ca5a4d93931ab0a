"""Verdicts on disk, from which an evaluation that was stopped goes on.

See `io.kept`. A report is kept only if it can be read back as the same value.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from types import NoneType, TracebackType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from veridical._version import VERSION
from veridical.detector import Detector
from veridical.io.kept import Kept
from veridical.io.samples import Sample
from veridical.report import Failure, Report

SCHEMA = "veridical.judged/1"
NAME = "judged.part.jsonl"


class Verdicts:
    """The verdicts in one folder; use it in a `with` statement.

    Args:
        folder: Where they are kept.
        detector: Whose they are. What another detector said is dropped.
    """

    def __init__(self, folder: Path, detector: Detector) -> None:
        self._kept = Kept(folder / NAME, SCHEMA, _settings(detector))

    def __enter__(self) -> "Verdicts":
        self._kept.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kept.__exit__(kind, error, trace)

    def get(self, sample: Sample) -> Report | None:
        """Return what was said of a picture; None if nothing, or if its file has changed."""
        try:
            return _report(self._kept.get(sample.path) or {}, sample)
        except (KeyError, TypeError, ValueError):
            return None

    def put(self, sample: Sample, answer: Report | Failure) -> None:
        """Keep a report. A failure is not kept: the picture is tried again."""
        if isinstance(answer, Failure):
            return
        try:
            plain = json.loads(answer.to_json())
            if _report(plain, sample) != answer:
                return
        except (KeyError, TypeError, ValueError):
            return
        self._kept.put(sample.path, plain)

    def remove(self) -> None:
        """Remove the file: the evaluation is whole."""
        self._kept.remove()


def _settings(detector: Detector) -> dict[str, Any]:
    """Return what a verdict depends on, as JSON has it."""
    parts = detector.parts
    settings = {
        "model": detector.model,
        "version": VERSION,
        "crops": [branch.name for branch in parts.branches],
        "samples": parts.samples,
        "recheck": [one.name for one in detector.perturbations],
        "limits": asdict(detector.limits),
    }
    return dict(json.loads(json.dumps(settings)))


def _report(plain: Mapping[str, Any], sample: Sample) -> Report:
    found = _built(Report, {k: v for k, v in plain.items() if k not in ("schema", "path_bytes")})
    assert isinstance(found, Report)
    return found if found.path is None else replace(found, path=str(sample.path))


def _built(kind: Any, value: Any) -> Any:
    """Return the value of a type that `encode.plain` made into plain values.

    Raises:
        TypeError: If it is no such value, or the type is one that this does not know.
    """
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _one_of(inside, value)
    if origin is tuple:
        return _tuple(inside, value)
    if origin is Literal and value in inside:
        return value
    if origin is Mapping and isinstance(value, Mapping):
        return {_built(inside[0], key): _built(inside[1], own) for key, own in value.items()}
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        hints = get_type_hints(kind)
        names = {field.name for field in fields(kind)}
        if not value.keys() <= names:
            raise TypeError(f"A {kind.__name__} has no {sorted(value.keys() - names)}.")
        return kind(**{name: _built(hints[name], own) for name, own in value.items()})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    if kind is float and isinstance(value, int | float):
        return float(value)
    if kind in (int, str, bool) and type(value) is kind:
        return value
    if kind in (None, NoneType) and value is None:
        return None
    raise TypeError(f"{value!r} is no {kind}.")


def _one_of(kinds: Sequence[Any], value: Any) -> Any:
    for kind in kinds:
        with suppress(TypeError, ValueError):
            return _built(kind, value)
    raise TypeError(f"{value!r} is none of {kinds}.")


def _tuple(kinds: Sequence[Any], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list.")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_built(kinds[0], one) for one in value)
    return tuple(_built(kind, one) for kind, one in zip(kinds, value, strict=True))
