"""The JSON Schema of the output, generated from the types of `report.py` and their docstrings.

`Report.to_dict` writes every field of a dataclass under its own name; `schema` says the same to
other programs, and `tables` to people (docs/json.md).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from veridical.arrays import ndarray
from veridical.report import FAILURE, REPORT, VIDEO, Failure, Report
from veridical.video import VideoReport

Kind = type[Any]
Schema = dict[str, Any]

_TOP: dict[Kind, str] = {Report: REPORT, VideoReport: VIDEO, Failure: FAILURE}
_PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_SHARE: Schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
# By the name of a field: a name means the same in every type. All other numbers of type float may
# be null, because JSON cannot write one that is not finite.
_KNOWN: dict[str, Schema] = {
    **dict.fromkeys(("p_ai", "interval", "confidence", "value", "low", "high"), _PROBABILITY),
    **dict.fromkeys(("ppv", "ppv_interval", "npv", "npv_interval"), _PROBABILITY),
    **dict.fromkeys(("coverage", "coverage_of_reals", "coverage_of_ai", "level", "prior"), _SHARE),
    "statistics": {"type": "number"},
    "llr": {"type": "number"},
    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    "model": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
}
_NUMBER: Schema = {"type": ["number", "null"]}
_PATH_BYTES: Schema = {
    "type": "string",
    "pattern": "^([0-9a-f]{2})+$",
    "description": (
        "Only there if the path is not Unicode: its bytes, in hexadecimal. `path` then holds "
        "backslash escapes."
    ),
}


def schema() -> Schema:
    """Return the JSON Schema (draft 2020-12) of a line of `inspect --json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:veridical:report:4",
        "title": "Veridical's answer about one picture or clip",
        "description": "A Report, a VideoReport of a clip, or a Failure of what could not be "
        "judged.",
        "oneOf": [_ref(kind) for kind in _TOP],
        "$defs": {kind.__name__: _definition(kind) for kind in _kinds()},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What docs/json.md says of one type.

    Attributes:
        title: Name of the type.
        description: What it is.
        rows: Of each field its name, its type in words, and its meaning.
    """

    title: str
    description: str
    rows: tuple[tuple[str, str, str], ...]


def tables() -> tuple[Table, ...]:
    """Return a table of every type: Report and Failure, then their parts in order of use."""
    definitions = ((kind, _definition(kind)) for kind in _kinds())
    return tuple(
        Table(
            title=kind.__name__,
            description=entry["description"],
            rows=tuple(
                (name, _in_words(each), each.get("description", ""))
                for name, each in entry["properties"].items()
            ),
        )
        for kind, entry in definitions
        if "properties" in entry
    )


# --- types -------------------------------------------------------------------------------------


def _kinds() -> Iterator[Kind]:
    """Return the dataclasses and word lists of the output, each before what it is made of."""
    waiting, seen = list(_TOP), set(_TOP)
    while waiting:
        yield (kind := waiting.pop(0))
        if is_dataclass(kind):
            for hint in _hints(kind).values():
                new = [one for one in _named(hint) if one not in seen]
                waiting += new
                seen |= set(new)


def _named(hint: Any) -> list[Kind]:
    if isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, Enum)):
        return [hint]
    return [kind for part in get_args(hint) for kind in _named(part)]


def _hints(kind: Kind) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in _written(kind)}


def _written(kind: Kind) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.metadata.get("json", True)]


def _definition(kind: Kind) -> Schema:
    text, meanings = _documented(kind)
    if issubclass(kind, Enum):
        return {"description": text, "enum": [word.value for word in kind]}
    properties: Schema = {}
    if kind in _TOP:
        properties["schema"] = {
            "const": _TOP[kind],
            "description": "Name and version of this shape.",
        }
    for name, hint in _hints(kind).items():
        properties[name] = {**_type(hint, name), "description": meanings[name]}
    needed = list(properties)
    if kind in _TOP:
        properties["path_bytes"] = _PATH_BYTES
    return {
        "description": text,
        "type": "object",
        "additionalProperties": False,
        "required": needed,
        "properties": properties,
    }


def _type(hint: Any, name: str) -> Schema:
    """Return the schema of a type hint; see `encode.plain` for what becomes of the values."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _either([_type(part, name) for part in args])
    if origin is tuple or hint == tuple[()]:
        if args[1:] == (Ellipsis,):
            return {"type": "array", "items": _type(args[0], name)}
        every = {"items": _type(args[0], name)} if args else {}
        return {"type": "array", **every, "minItems": len(args), "maxItems": len(args)}
    if origin is Literal:
        return {"enum": list(args)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _type(args[1], name)}
    if getattr(hint, "array_type", hint) is ndarray:  # every array that is written is a grid
        return {"type": "array", "items": {"type": "array", "items": _NUMBER}}
    if hint is float:
        return _KNOWN.get(name, _NUMBER)
    if hint is str:
        return _KNOWN.get(name, {"type": "string"})
    if hint is bool:
        return {"type": "boolean"}
    if hint is int:
        return {"type": "integer", "minimum": 0}
    if hint is NoneType:
        return {"type": "null"}
    return _ref(hint)


def _either(parts: list[Schema]) -> Schema:
    """Return a union; null is written into a plain type where that is possible."""
    others = [part for part in parts if part != {"type": "null"}]
    if len(others) == 1 and len(parts) == 2 and isinstance(others[0].get("type"), str):
        return {**others[0], "type": [others[0]["type"], "null"]}
    return {"anyOf": parts}


def _ref(kind: Kind) -> Schema:
    return {"$ref": f"#/$defs/{kind.__name__}"}


# --- words -------------------------------------------------------------------------------------


def _documented(kind: Kind) -> tuple[str, dict[str, str]]:
    """Return a class's description and, from its `Attributes:`, that of every field."""
    text, _, attributes = (kind.__doc__ or "").partition("Attributes:")
    entries = re.split(r"\n {8}(?=\w+: )", attributes.rstrip())[1:]
    meanings = dict(entry.split(": ", 1) for entry in entries)
    return _joined(text), {name: _joined(meaning) for name, meaning in meanings.items()}


def _joined(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _in_words(entry: Schema) -> str:
    """Return a schema's type in words."""
    if "const" in entry:
        return f'"{entry["const"]}"'
    if "$ref" in entry:
        return str(entry["$ref"]).rsplit("/", 1)[1]
    if "enum" in entry:
        return " or ".join(f'"{word}"' for word in entry["enum"])
    if "anyOf" in entry:
        return " or ".join(map(_in_words, entry["anyOf"]))
    kinds = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
    return " or ".join(_kind_in_words(kind, entry) for kind in kinds)


def _kind_in_words(kind: str, entry: Schema) -> str:
    if kind == "array":
        if entry.get("maxItems") == 0:
            return "empty list"
        count = f" of {entry['minItems']}" if "minItems" in entry else ""
        return f"list{count}: {_in_words(entry['items'])}"
    if kind == "number" and "maximum" in entry:
        return "number in [0, 1]"
    if kind == "number" and "exclusiveMaximum" in entry:
        return "number in (0, 1)"
    return kind
