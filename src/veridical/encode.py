"""Frozen values as plain ones, for JSON: nothing is rounded, nothing is written twice."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum

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
