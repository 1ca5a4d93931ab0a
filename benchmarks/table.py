"""Turn result files into the tables of docs/benchmarks.md, between their markers.

python -m benchmarks.table results [docs/benchmarks.md]
"""

import argparse
import json
import re
from pathlib import Path

from benchmarks.common import Benchmark, Record
from benchmarks.run import BENCHMARKS

_PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("page", type=Path, nargs="?", default=_PAGE)
    told = parser.parse_args()
    text = told.page.read_text(encoding="utf-8")
    for benchmark in BENCHMARKS:
        path = told.results / f"{benchmark.name}.json"
        if path.is_file():
            result = json.loads(path.read_text(encoding="utf-8"))
            text = filled(text, benchmark.name, section(benchmark, result))
        else:
            print(f"{path.name} is not there; its table stays as it is")
    told.page.write_text(text, encoding="utf-8")


def filled(page: str, name: str, body: str) -> str:
    """Return the page with what stands between the markers of `name` replaced."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"The page has no place for {name}: {begin} ... {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{body}\n\n{end}", page)


def section(benchmark: Benchmark, result: Record) -> str:
    """Return a benchmark's tables, how to make them, and on what they were made."""
    known = result["facts"]
    warning = "**A smoke run: these numbers mean nothing.**\n\n" if known["quick"] else ""
    return (
        f"{warning}{benchmark.table(result['found'])}\n\n"
        f"`python -m benchmarks.run {benchmark.name} --backbone FOLDER --out results` "
        f"({result['took_seconds'] / 60:.1f} min). {_machine(known)} {_versions(known)}"
    )


def _machine(known: Record) -> str:
    extras = f" with {', '.join(known['instructions'])}" if known["instructions"] else ""
    memory = f", {known['memory_gib']} GiB of memory" if known["memory_gib"] else ""
    load = known["load_before"]
    busy = f"; load before the run {load:.1f}" if load is not None else ""
    plural = "s" if known["cores"] > 1 else ""
    return (
        f"{known['cores']} {known['machine']} core{plural}{extras}{memory}, {known['system']}, no "
        f"GPU{busy}."
    )


def _versions(known: Record) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    return (
        f"Backbone `{known['backbone']}`, model {known['model']} ({known['precision']}); "
        f"Python {known['python']}, {packages}."
    )


if __name__ == "__main__":
    main()
