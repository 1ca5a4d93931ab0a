"""The PDF of a dossier, set by Typst: tagged, for archives (PDF/A-2a), the same bytes every time.

Nothing of the system takes part: fonts are those in Typst's own package, and the document's date is
the report's. Text reaches Typst as JSON strings, so nothing in it can be markup.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from veridical._optional import need
from veridical.present.dossier import Dossier
from veridical.present.dossier_forms import blocks, figures
from veridical.present.dossier_words import DATE_GIVEN
from veridical.present.words import printable

STANDARDS = ("a-2a", "ua-1")
# Characters that both fonts have, serif and monospaced, in all weights that are used.
_SHOWN = (
    *((0x20, 0x7E), (0xA1, 0x17F), (0x218, 0x21B)),
    *((0x384, 0x38A), (0x38C, 0x38C), (0x38E, 0x3A1), (0x3A3, 0x3CE), (0x400, 0x45F)),
    *((0x2010, 0x2015), (0x2018, 0x2022), (0x2026, 0x2026), (0x2030, 0x2033)),
    *((0x20AC, 0x20AC), (0x2122, 0x2122), (0x2190, 0x2193), (0x2212, 0x2212)),
    *((0x2248, 0x2248), (0x2260, 0x2260), (0x2264, 0x2265)),
)


def typesetter() -> ModuleType:
    """Return Typst.

    Raises:
        MissingExtra: If it is not installed.
    """
    return need("typst", extra="report", to="write a report as PDF")


def to_pdf(dossier: Dossier) -> bytes:
    """Return the dossier as a PDF.

    Raises:
        MissingExtra: If Typst is not installed.
    """
    shown = {one.name: one.data for one in figures(dossier)}
    return paper_of(dossier, blocks(dossier), shown)


def paper_of(frame: Dossier, sections: list[dict[str, Any]], shown: Mapping[str, bytes]) -> bytes:
    """Return the PDF of sections as plain values.

    Args:
        frame: What stands around them.
        sections: As from `dossier_forms.blocks`.
        shown: The figures' bytes by their names.

    Raises:
        MissingExtra: If Typst is not installed.
    """
    typst = typesetter()
    with TemporaryDirectory() as folder:
        main = _write(frame, sections, shown, Path(folder))
        made = typst.compile(
            str(main),
            root=folder,
            format="pdf",
            ignore_system_fonts=True,
            timestamp=frame.at,
            pdf_standards=list(STANDARDS),
        )
    assert isinstance(made, bytes)
    return made


def write_sources(dossier: Dossier, folder: Path) -> Path:
    """Write into a folder all that Typst needs, and return the main file."""
    shown = {one.name: one.data for one in figures(dossier)}
    return _write(dossier, blocks(dossier), shown, folder)


def _write(
    frame: Dossier, sections: list[dict[str, Any]], shown: Mapping[str, bytes], folder: Path
) -> Path:
    told = {
        "title": frame.title,
        "header": frame.header,
        "footer": frame.footer,
        "author": frame.author,
        "at": frame.time,
        "dated": DATE_GIVEN if frame.at_given else None,
        "sections": sections,
    }
    (folder / "dossier.json").write_text(json.dumps(_legible(told)), encoding="utf-8")
    for name, data in shown.items():
        (folder / name).write_bytes(data)
    main = folder / "main.typ"
    template = files("veridical.present").joinpath("templates", "dossier.typ")
    main.write_bytes(template.read_bytes())
    return main


def legible(text: str) -> str:
    r"""Return a text in characters that the fonts have; the others become escapes (``\u4e2d``)."""
    return "".join(
        c if any(low <= ord(c) <= high for low, high in _SHOWN) else _escaped(c)
        for c in printable(text)
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _legible(value: Any) -> Any:
    if isinstance(value, str):
        return legible(value)
    if isinstance(value, dict):
        return {key: _legible(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_legible(one) for one in value]
    return value
