"""Write the parts of the documentation that the program itself knows best.

    python scripts/make_docs.py

docs/cli.md comes from the help of every command, docs/json.md from the types of the output, the
table of recipes in docs/training.md from `veridical.train.recipes`, the tables of headlines in
docs/provenance.md from `veridical.provenance.headline`, and the signatures in docs/api.md from the
code, for those who read it as a file. The tests fail if one of them is stale.
"""

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from veridical.box import Box
from veridical.claims import Claim, ClaimSource, Declared, Says, Standing
from veridical.cli.main import main as cli
from veridical.infer.calibration import Calibration
from veridical.infer.decision import together
from veridical.io.formats import Limits
from veridical.present.records import Table, tables
from veridical.present.table import COLUMNS
from veridical.provenance.headline import BROKEN, DECLARED, LEADS, MADE, PIXELS, SILENT, headline
from veridical.report import (
    CropEvidence,
    Decision,
    FaceResult,
    Failure,
    Reason,
    Report,
    Stability,
    Verdict,
)
from veridical.train.recipes import DEFAULT, REFERENCE, Recipe

DOCS = Path(__file__).parent.parent / "docs"
_NOTE = "<!-- Written by scripts/make_docs.py; do not edit by hand. -->"
_COLUMNS = 88  # of the help texts

_STATUSES = (
    ("0", "the work is done; for `inspect`: every picture was judged, `undecided` included"),
    ("1", "something stopped the work: no model, unusable data, a missing extra, a closed pipe"),
    ("2", "a wrong command line"),
    ("3", "`inspect`: some pictures could not be read; a folder without any counts as one"),
    ("4", "`inspect`: no picture could be read"),
    ("5", "`verify`: something differs"),
    ("6", "`verify`: something could not be checked"),
    ("130", "Ctrl-C"),
)
_OF_DESCENT = (  # choices that mean nothing to a discriminant
    *("hidden", "dropout", "optimiser", "learning_rate", "weight_decay"),
    *("epochs", "patience", "batch"),
)
_VARIABLES = (
    ("`VERIDICAL_CACHE`", "the folder of `train --cache`, if the option is not given"),
    ("`XDG_CACHE_HOME`", "holds the cache in `veridical/` if neither is given"),
)


def pages() -> dict[str, str]:
    """Return the text of every page that is written here, whole or in part, by its name."""
    training = (DOCS / "training.md").read_text(encoding="utf-8")
    return {
        "cli.md": "\n\n".join(_cli()) + "\n",
        "json.md": "\n\n".join(_json()) + "\n",
        "training.md": filled(training, "recipes", _recipes()),
        "api.md": signed((DOCS / "api.md").read_text(encoding="utf-8")),
        "provenance.md": filled(_text("provenance.md"), "headlines", _headlines()),
    }


def _text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def filled(page: str, mark: str, text: str) -> str:
    """Return the page with `text` between `<!-- begin mark -->` and `<!-- end mark -->`."""
    begin, end = f"<!-- begin {mark} -->", f"<!-- end {mark} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise SystemExit(f"The page needs {begin} and {end}, each once.")
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"


# --- the command line --------------------------------------------------------------------------


def commands() -> dict[str, click.Command]:
    """Return every command by its name; they are imported when they are asked for."""
    context = click.Context(cli)
    found = ((name, cli.get_command(context, name)) for name in cli.list_commands(context))
    return {name: command for name, command in found if command}


def _cli() -> Iterator[str]:
    yield "# Command line"
    yield _NOTE
    yield "Help of every command. [Using it](using.md) and [Training](training.md) have examples."
    for name, command in commands().items():
        yield f"## veridical {name}"
        yield f"```text\n{_help(command, f'veridical {name}')}\n```"
    yield "## Exit status"
    yield _table(("status", "meaning"), _STATUSES)
    yield "The status does not tell real from AI-generated pictures."
    yield "## Environment"
    yield _table(("variable", "meaning"), _VARIABLES)


def _help(command: click.Command, name: str) -> str:
    # A command keeps the help option that it is first asked for: it has to be the right one.
    names = cli.context_settings["help_option_names"]
    context = click.Context(
        command, info_name=name, terminal_width=_COLUMNS, help_option_names=names
    )
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    text = re.sub(r"\n  (?:-h, )?--help +Show this message and exit\.", "", text)
    return re.sub(r"\n\n  Example:\n(?: {6}.*\n?)+", "\n", text)  # other pages have examples


# --- the JSON output ---------------------------------------------------------------------------


def _json() -> Iterator[str]:
    yield "# JSON output"
    yield _NOTE
    yield (
        "`veridical inspect --json` writes one line of ASCII JSON per picture: a Report, or a "
        "Failure where the picture could not be judged; `schema` tells which. `report.to_json()` "
        "gives the same line. Numbers have full precision."
    )
    yield (
        "Here is each type with its fields. A `?` after a type: it may be null. `[0, 1]` is a "
        "number in that range. `veridical schema` prints the JSON Schema (draft 2020-12), which "
        "says more; [What the numbers mean](numbers.md) has the definitions."
    )
    for table in tables():
        yield f"## {table.title}"
        yield _first(table.description)
        yield _fields(table)
    yield "## The table"
    columns = (f"`{name}`{f' ({note})' if note else ''}" for name, (note, *_) in COLUMNS.items())
    yield (
        "`--csv FILE` writes a row per picture, failures too, with the numbers of the lead face: "
        f"{', '.join(columns)}. Text that a spreadsheet would run begins with an apostrophe."
    )
    yield "## Examples"
    yield "The numbers are invented."
    for outcome in (_sample_report(), _sample_failure()):
        yield f"```json\n{_pretty(outcome)}\n```"


def _fields(table: Table) -> str:
    rows = ((name, _short(kind), _first(meaning)) for name, kind, meaning in table.rows)
    return "\n".join(f"- `{name}` {kind}: {meaning}" for name, kind, meaning in rows)


def _first(text: str) -> str:
    """Return the first sentence, without when it is null: the schema has the rest."""
    text = re.sub(r"; (?:null|None)\b[^.;]*", "", text)
    return re.split(r"(?<=[.?])\s+(?=[A-Z`])", text, maxsplit=1)[0]


def _short(kind: str) -> str:
    """Return a type in fewer words."""
    kind = re.sub(r"list( of \d)?: list( of \d)?: ", "grid of ", kind)
    for word, shorter in (("list of 2: ", "pair of "), ("list: ", "list of "), ("number in ", "")):
        kind = kind.replace(word, shorter)
    return kind.replace(" or null", "?")


def _pretty(outcome: Report | Failure) -> str:
    """Return JSON with a line per entry; what fits on one line stays on it."""
    return _nested(outcome.to_dict(), "")


def _nested(value: object, indent: str) -> str:
    flat = json.dumps(value)
    if len(indent) + len(flat) <= _COLUMNS or not isinstance(value, dict | list):
        return flat
    inner = f"{indent}  "
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(k)}: {_nested(v, inner)}" for k, v in value.items()]
    else:
        lines = [f"{inner}{_nested(v, inner)}" for v in value]
    first, last = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{first}\n" + ",\n".join(lines) + f"\n{indent}{last}"


def _sample_report() -> Report:
    verdict = Verdict(
        decision=Decision.AI,
        p_ai=0.9,
        interval=(0.85, 0.95),
        std=0.03,
        total=0.325,
        aleatoric=0.32,
        epistemic=0.005,
        distance=0.5,
        stability=Stability(
            perturbations=("jpeg-60", "screenshot-0.8"),
            p_ai=(0.88, 0.91),
            answers=(Decision.AI, Decision.AI),
        ),
    )
    marks = ((260.0, 210.0), (340.0, 210.0), (300.0, 250.0), (268.0, 300.0), (332.0, 300.0))
    face = FaceResult(
        box=Box(left=200.0, top=120.0, width=200.0, height=250.0),
        landmarks=marks,
        confidence=0.9,
        decision=verdict.decision,
        reasons=(Reason.WITHIN_COVERAGE,),
        verdict=verdict,
        crops=(
            CropEvidence(
                crop="face",
                area=Box(left=137.5, top=82.5, width=325.0, height=325.0),
                evidence=1.5,
            ),
            CropEvidence(
                crop="context",
                area=Box(left=0.0, top=0.0, width=600.0, height=600.0),
                evidence=0.7,
            ),
        ),
    )
    calibration = Calibration(
        slope=1.0,
        intercept=0.0,
        coverage_of_reals=0.97,
        coverage_of_ai=0.9,
        threshold_real=0.8,
        threshold_ai=0.6,
        real=1000,
        ai=1000,
        typical_real=-2.0,
    )
    decision, lead, reasons = together((face,), (calibration,))
    claim = Claim(
        source=ClaimSource.XMP,
        says=Says.AI,
        standing=Standing.UNSIGNED,
        by="Made with Google AI",
        plain="The file's description says: a trained model generated it. Anyone can write that.",
        technical="XMP digital source type: trainedAlgorithmicMedia.",
        raw={"DigitalSourceType": "trainedAlgorithmicMedia"},
    )
    told = headline((claim,), decision)
    return Report(
        path="portraits/one.jpg",
        sha256="0" * 64,
        decision=decision,
        p_ai=verdict.p_ai,
        interval=verdict.interval,
        reasons=reasons,
        lead_index=lead,
        faces=(face,),
        claims=(claim,),
        headline=told.text,
        declared=told.declared,
        coverage=0.9,
        coverage_of_reals=0.97,
        coverage_of_ai=0.9,
        level=0.9,
        prior=0.5,
        width=600,
        height=800,
        steps=("EXIF orientation 6 applied",),
        model="0" * 12,
        version="0.1.0",
    )


def _sample_failure() -> Failure:
    return Failure(
        path="portraits/two.jpg",
        error="portraits/two.jpg: zero bytes came.",
        hint="Get the file again.",
    )


# --- the API -----------------------------------------------------------------------------------

_DIRECTIVE = re.compile(r"^::: (veridical\.[\w.]+)$(?:\n    .*$)*", re.MULTILINE)


def signed(page: str) -> str:
    """Return the page of the API with the signatures of each section below its title."""
    head, *sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return head + "".join(map(_signed, sections))


def _signed(section: str) -> str:
    title, rest = re.sub(r"^```py\n.*?^```\n\n", "", section, flags=re.M | re.S).split("\n\n", 1)
    lines = [line for name in _DIRECTIVE.findall(rest) for line in _signatures(name)]
    block = "```py\n" + "\n".join(lines) + "\n```\n\n" if lines else ""
    return f"{title}\n\n{block}{rest}"


def _signatures(name: str) -> Iterator[str]:
    """Yield how to call what a directive names: a function, or a class that people make."""
    module, _, own = name.rpartition(".")
    thing = getattr(import_module(module), own, None)  # None: a module
    if inspect.isfunction(thing):
        yield _signature(own, thing)
    elif name in _MADE:
        if not _MADE[name]:
            yield _signature(own, thing)
        for method in _MADE[name]:
            yield _signature(f"{own}.{method}", getattr(thing, method))


_MADE: dict[str, tuple[str, ...]] = {  # of classes: these methods, or what makes one
    "veridical.detector.Detector": ("load", "inspect", "inspect_many", "logits"),
    "veridical.io.formats.Limits": (),
    "veridical.explain.face.ExplainConfig": (),
    "veridical.train.gradients.Network": ("of",),
}


def _signature(name: str, call: Any) -> str:
    """Return a call with the names of its arguments and their defaults, on one line."""
    parts, keyword = [], False
    for one in inspect.signature(call).parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not keyword:
            parts.append("*")
            keyword = True
        value = "" if one.default is one.empty else f"={_default(one.default)}"
        parts.append(f"{one.name}{value}")
    gives = inspect.signature(call).return_annotation
    ours = getattr(gives, "__module__", "").startswith("veridical.")
    return f"{name}({', '.join(parts)})" + (f" -> {gives.__name__}" if ours else "")


def _default(value: Any) -> str:
    """Return a default in one word."""
    if value == Limits():
        return "Limits()"
    return repr(value) if isinstance(value, bool | int | float | str | None) else "..."


# --- headlines ---------------------------------------------------------------------------------


def _headlines() -> str:
    """Return the two halves of the table: how a headline begins, and how it ends."""
    names = {
        "by": "NAME",
        "made": MADE[Says.AI],
        "broken": BROKEN["bytes"].format(by="NAME"),
        "with": " (NAME)",
        "unread": "A C2PA credential is in this file and cannot be read",
        "silent": SILENT[0],
    }
    declared = {origin: DECLARED.get(origin, Declared.NONE) for origin in LEADS}
    begins = (
        (f"{text.format(**names)} ...", f"`{declared[origin].value}`")
        for origin, text in LEADS.items()
    )
    ends = (
        (
            {Says.AI: "AI-generated", Says.CAPTURE: "a camera took it", None: "neither"}[said],
            *(PIXELS[said, decision] for decision in Decision),
        )
        for said in (Says.AI, Says.CAPTURE, None)
    )
    return "\n\n".join(
        (
            _table(("the headline begins", "`declared`"), begins),
            _table(("the file says", *(f"pixels `{one.value}`" for one in Decision)), ends),
        )
    )


# --- recipes -----------------------------------------------------------------------------------


def _recipes() -> str:
    pairs = (
        (one.name, getattr(DEFAULT, one.name), getattr(REFERENCE, one.name))
        for one in fields(Recipe)
    )
    return _table(
        ("choice", "`default`", "`reference`"),
        (
            (f"`{name}`", _shown(ours), _shown(theirs))
            for name, ours, theirs in pairs
            if ours != theirs and name not in ("name", *_OF_DESCENT)
        ),
    )


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_joined(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _joined(part: object) -> str:
    return " / ".join(map(_shown, part)) if isinstance(part, tuple) else _shown(part)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = (" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows)
    return "\n".join(
        [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {c} |" for c in cells)]
    )


def main() -> None:
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
