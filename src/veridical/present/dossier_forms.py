"""A dossier as plain blocks, as JSON and as one HTML page; `pdf.py` makes the PDF of the blocks."""

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from veridical.present.dossier import (
    Block,
    Dossier,
    Figure,
    Paragraph,
    Points,
    Rows,
    Signature,
    Table,
)
from veridical.present.words import printable

_KIND: dict[type[Any], str] = {
    Paragraph: "paragraph",
    Rows: "rows",
    Table: "table",
    Points: "points",
    Figure: "figure",
    Signature: "signature",
}


def blocks(dossier: Dossier) -> list[dict[str, Any]]:
    """Return the sections as plain values; of a figure its name and hash instead of its bytes."""
    return [
        {"title": section.title, "blocks": [_block(one) for one in section.blocks]}
        for section in dossier.sections
    ]


def _block(block: Block) -> dict[str, Any]:
    found = asdict(block)
    if isinstance(block, Figure):
        del found["data"]
        found["sha256"] = sha256(block.data).hexdigest()
    return {"kind": _KIND[type(block)], **found}


def figures(dossier: Dossier) -> tuple[Figure, ...]:
    """Return all figures, in order."""
    every = (block for section in dossier.sections for block in section.blocks)
    return tuple(block for block in every if isinstance(block, Figure))


def to_json(dossier: Dossier) -> bytes:
    """Return the dossier as ASCII JSON: the record for programs, then what the page and PDF say."""
    whole = {**dossier.record, "title": dossier.title, "sections": blocks(dossier)}
    return json.dumps(whole, indent=1, allow_nan=False).encode("ascii") + b"\n"


def to_html(dossier: Dossier) -> bytes:
    """Return the dossier as one page, complete in itself."""
    shown = {one.name: one.data for one in figures(dossier)}
    return page_of(dossier, blocks(dossier), shown)


def page_of(frame: Dossier, sections: list[dict[str, Any]], shown: Mapping[str, bytes]) -> bytes:
    """Return the page of sections as plain values.

    Args:
        frame: What stands around them.
        sections: As from `blocks`.
        shown: The figures' bytes by their names.
    """
    every = (block for section in sections for block in section["blocks"])
    urls = {
        one["name"]: f"data:{one['media']};base64,{b64encode(shown[one['name']]).decode()}"
        for one in every
        if one["kind"] == "figure"
    }
    template = _environment().get_template("dossier.html.j2")
    text = template.render(
        title=frame.title,
        header=frame.header,
        footer=frame.footer,
        author=frame.author,
        at=frame.time,
        sections=sections,
        urls=urls,
    )
    return text.encode("utf-8")


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("veridical.present"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["css"] = css
    return made


def css(text: str) -> str:
    """Return a text for a string in a style sheet: all but ASCII letters and digits is escaped."""
    plain = (c if c.isascii() and c.isalnum() else f"\\{ord(c):06x}" for c in printable(text))
    return "".join(plain)


def _printable(value: object) -> object:
    """Make every string of the page printable, whatever was forgotten before."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return printable(value)
    return value
