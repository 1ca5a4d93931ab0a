"""Turn result files into the tables of docs/benchmarks.md, docs/faces.md and the README.

python -m benchmarks.table results [docs/benchmarks.md]
"""

import argparse
import json
import re
from pathlib import Path

from benchmarks.common import Benchmark, Record
from benchmarks.run import BENCHMARKS

_ROOT = Path(__file__).parent.parent
_PAGE = _ROOT / "docs" / "benchmarks.md"


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
    _elsewhere(told.results)


def _elsewhere(results: Path) -> None:
    """Fill the README's summary, and the table of docs/faces.md."""
    found = {
        benchmark.name: json.loads(path.read_text(encoding="utf-8"))["found"]
        for benchmark in BENCHMARKS
        if (path := results / f"{benchmark.name}.json").is_file()
    }
    lines = ["| on two cores, no GPU, same network | against the reference pipeline |", "|---|---|"]
    for name, says, ratio in (
        ("inspecting", "one picture, warm: faces, 200 samples, map", ("ratio", "int8")),
        ("cold_start", "one picture, from a cold process", ("ratio",)),
        ("occluding", "an occlusion map", ("map_ratio", "int8")),
    ):
        if name in found:
            value = found[name]
            for key in ratio:
                value = value[key]
            lines.append(
                f"| {says} | {value['median']:.1f} x as fast "
                f"[{value['low']:.1f}, {value['high']:.1f}] |"
            )
    _replace(_ROOT / "README.md", "speed-summary", "\n".join(lines))
    if "detecting" in found:
        detecting = next(b for b in BENCHMARKS if b.name == "detecting")
        _replace(_ROOT / "docs" / "faces.md", "detecting", detecting.table(found["detecting"]))


def _replace(page: Path, name: str, body: str) -> None:
    page.write_text(filled(page.read_text(encoding="utf-8"), name, body), encoding="utf-8")


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
