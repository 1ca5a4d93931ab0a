"""Frozen values as plain ones, for JSON, and back: nothing is rounded, nothing is written twice."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from veridical.arrays import ndarray


def plain(value: object) -> object:
    """Return a value as dicts, lists, strings, numbers and None.

    Fields of a dataclass whose metadata say `json: False` are left out. A number that is not
    finite becomes None: JSON has no word for it. Text that is no Unicode (bytes of a file name
    that cannot be decoded) is written with backslash escapes.

    Raises:
        TypeError: If there is something else in it.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if is_dataclass(value):
        shown = (field for field in fields(value) if field.metadata.get("json", True))
        return {field.name: plain(getattr(value, field.name)) for field in shown}
    raise TypeError(f"A {type(value).__name__} has no place in JSON.")


def restored(kind: Any, value: object) -> Any:
    """Return the value that `plain` made `value` of; what it left out has its default.

    A number that was not finite is NaN again, or None where that may stand in its place.

    Args:
        kind: Its type: a dataclass, or what stands in a dataclass's annotations.
        value: Plain.

    Raises:
        ValueError: If it is not of that type.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in inner:
            return None
        for one in inner:
            with suppress(ValueError):
                return restored(one, value)
    elif origin is Literal and value in inner:
        return value
    elif origin is tuple and isinstance(value, list):
        kinds = inner[:1] * len(value) if inner[1:] == (...,) else inner
        return tuple(restored(one, item) for one, item in _pairs(kinds, value))
    elif origin is not None and isinstance(value, Mapping):
        return {key: restored(inner[1], item) for key, item in value.items()}
    elif isinstance(kind, type) and is_dataclass(kind) and isinstance(value, Mapping):
        return _dataclass(kind, value)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    elif kind is float and (value is None or isinstance(value, int | float)):
        return math.nan if value is None else float(value)
    elif kind in (str, int, bool, NoneType) and type(value) is kind:
        return value
    elif hasattr(kind, "array_type") and isinstance(value, list):
        return np.asarray(value, dtype=float)
    raise ValueError(f"A {getattr(kind, '__name__', kind)} was wanted; got {str(value)[:60]!r}.")


def _pairs(kinds: tuple[Any, ...], items: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(kinds, items, strict=True))


def _dataclass(kind: type, value: Mapping[str, Any]) -> Any:
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.metadata.get("json", True)]
    if not set(names) <= value.keys():
        raise ValueError(f"A {kind.__name__} was wanted; {set(names) - value.keys()} are absent.")
    try:
        return kind(**{name: restored(hints[name], value[name]) for name in names})
    except TypeError as foreign:
        raise ValueError(f"A {kind.__name__} cannot be made of this: {foreign}") from foreign
