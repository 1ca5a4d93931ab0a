"""Write the parts of the documentation that the program itself knows best.

    python scripts/make_docs.py

docs/cli.md comes from the help of every command, docs/json.md from the JSON Schema of the output,
and the table of recipes in docs/training.md from `veridical.train.recipes`. The tests fail if one
of them is stale.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from veridical.cli import main as cli
from veridical.present import records
from veridical.report import Box, Decision, FaceResult, Failure, Reason, Report, Stability, Verdict
from veridical.train.recipes import DEFAULT, REFERENCE, Recipe

DOCS = Path(__file__).parent.parent / "docs"
_NOTE = "<!-- Written by scripts/make_docs.py; do not edit by hand. -->"
_COLUMNS = 88  # of the help texts

_STATUSES = {
    "0": "the work was done; for `inspect`: every picture was judged, `undecided` included",
    "1": "something stopped the work: no model, unusable data, an extra is missing",
    "2": "a wrong command line",
    "3": "`inspect` only: some pictures could not be read; a folder without any counts as one",
    "4": "`inspect` only: no picture could be read",
}


def pages() -> dict[str, str]:
    """Return the text of every page that is written here, whole or in part, by its name."""
    training = (DOCS / "training.md").read_text(encoding="utf-8")
    return {
        "cli.md": "\n\n".join(_cli()) + "\n",
        "json.md": "\n\n".join(_json()) + "\n",
        "training.md": filled(training, "recipes", _recipes()),
    }


def filled(page: str, mark: str, text: str) -> str:
    """Return the page with `text` between `<!-- begin mark -->` and `<!-- end mark -->`."""
    begin, end = f"<!-- begin {mark} -->", f"<!-- end {mark} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise SystemExit(f"The page needs {begin} and {end}, each once.")
    before, rest = page.split(begin)
    return f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}"


# --- the command line --------------------------------------------------------------------------


def _cli() -> Iterator[str]:
    yield "# Command line"
    yield _NOTE
    yield (
        "This page is the program's own help. [Using it](using.md) and "
        "[Training and measuring](training.md) explain the commands with examples."
    )
    yield f"```text\n{_help(cli, 'veridical')}\n```"
    for name in sorted(cli.commands):
        yield f"## veridical {name}"
        yield f"```text\n{_help(cli.commands[name], f'veridical {name}')}\n```"
    yield "## Exit status"
    yield _table(("status", "meaning"), ((code, says) for code, says in _STATUSES.items()))
    yield "## Environment"
    yield _table(
        ("variable", "meaning"),
        (
            ("`VERIDICAL_CACHE`", "the folder of `train --cache`, if the option is not given"),
            ("`XDG_CACHE_HOME`", "where `veridical/` is put as the cache if neither is given"),
        ),
    )


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=_COLUMNS)
    return "\n".join(line.rstrip() for line in command.get_help(context).splitlines())


# --- the JSON output ---------------------------------------------------------------------------


def _json() -> Iterator[str]:
    schema = records.schema()
    kinds: Mapping[str, Any] = schema["$defs"]
    yield "# JSON output"
    yield _NOTE
    yield (
        "`veridical inspect --json` writes one JSON object per picture, each on a line of its "
        "own. The lines are ASCII. Numbers have full precision; rounding is for people. "
        "The line is a report, or a failure where the picture could not be judged; its `schema` "
        "tells which. Programs get the JSON Schema (draft 2020-12) from `veridical schema`. "
        "[What the numbers mean](numbers.md) explains the fields."
    )
    for name, entry in kinds.items():
        if "properties" in entry:
            yield f"## {entry.get('title', name.capitalize())}"
            yield entry["description"]
            yield _properties(entry, kinds)
    yield "## Words"
    yield f"`decision` is one of {_listed(kinds['decision']['enum'])}."
    yield f"`reasons` holds words of this list: {_listed(kinds['reasons']['items']['enum'])}."
    yield "## Examples"
    yield "The numbers are invented: they show the shape. A picture that was judged:"
    yield f"```json\n{_pretty(_sample_report())}\n```"
    yield "A picture that could not be read:"
    yield f"```json\n{_pretty(_sample_failure())}\n```"


def _properties(entry: Mapping[str, Any], kinds: Mapping[str, Any]) -> str:
    required = entry.get("required", [])
    rows = (
        (
            f"`{name}`",
            _type(value, kinds),
            "always" if name in required else "sometimes",
            value.get("description") or _resolved(value, kinds).get("description", ""),
        )
        for name, value in entry["properties"].items()
    )
    return _table(("field", "type", "there", "meaning"), rows)


def _resolved(value: Mapping[str, Any], kinds: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in value:
        found: Mapping[str, Any] = kinds[value["$ref"].removeprefix("#/$defs/")]
        return found
    return value


def _type(value: Mapping[str, Any], kinds: Mapping[str, Any]) -> str:
    if "oneOf" in value:
        return " or ".join(_type(one, kinds) for one in value["oneOf"])
    if "$ref" in value and "properties" in _resolved(value, kinds):
        name = value["$ref"].removeprefix("#/$defs/")
        return f"[{name}](#{name})"
    value = _resolved(value, kinds)
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return "a word"
    kind = value["type"]
    if kind == "array":
        inner = _type(value["items"], kinds)
        return f"list of {'words' if inner == 'a word' else inner}"
    if isinstance(kind, list):
        return " or ".join(kind)
    if "maximum" in value:
        return f"{kind} in [{value['minimum']}, {value['maximum']}]"
    if "exclusiveMaximum" in value:
        return f"{kind} in ({value['exclusiveMinimum']}, {value['exclusiveMaximum']})"
    return str(kind)


def _listed(words: list[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _pretty(outcome: Report | Failure) -> str:
    return json.dumps(records.record(outcome), indent=2)


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
        reasons=(Reason.WITHIN_COVERAGE,),
        stability=Stability(
            copies=("jpeg-60", "half-size-jpeg-75", "screenshot-0.8"), p_ai=(0.88, 0.8, 0.91)
        ),
    )
    marks = ((260.0, 210.0), (340.0, 210.0), (300.0, 250.0), (268.0, 300.0), (332.0, 300.0))
    face = FaceResult(
        box=Box(left=200.0, top=120.0, width=200.0, height=250.0),
        landmarks=marks,
        confidence=0.9,
        verdict=verdict,
        reasons=verdict.reasons,
    )
    return Report(
        path="portraits/one.jpg",
        sha256="0" * 64,
        width=600,
        height=800,
        steps=("EXIF orientation 6 applied",),
        faces=(face,),
        decision=verdict.decision,
        p_ai=verdict.p_ai,
        interval=verdict.interval,
        reasons=verdict.reasons,
        coverage=0.9,
        coverage_of_reals=0.97,
        coverage_of_ai=0.9,
        level=0.9,
        model="0" * 12,
        version="0.1.0",
    )


def _sample_failure() -> Failure:
    return Failure(
        path="portraits/two.jpg",
        error="portraits/two.jpg: zero bytes came.",
        hint="Get the file again.",
    )


# --- recipes -----------------------------------------------------------------------------------


def _recipes() -> str:
    meanings = _attributes(Recipe.__doc__ or "")
    return _table(
        ("choice", "meaning", "`default`", "`reference`"),
        (
            (
                f"`{field.name}`",
                meanings[field.name],
                _shown(getattr(DEFAULT, field.name)),
                _shown(getattr(REFERENCE, field.name)),
            )
            for field in fields(Recipe)
        ),
    )


def _attributes(docstring: str) -> dict[str, str]:
    """Return what the Attributes section of a Google docstring says of each name."""
    section = docstring.split("Attributes:\n")[1]
    found = re.findall(r"^ {8}(\w+): (.+(?:\n {12}.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(_joined(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _joined(part: object) -> str:
    return " / ".join(map(_shown, part)) if isinstance(part, tuple) else _shown(part)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | tuple[Any, ...]) -> str:
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
