"""Measure the speed, or what is named of it: one JSON file and one table per benchmark.

    python -m benchmarks.run --out results --backbone FOLDER --data FOLDER --reference FILE
    python -m benchmarks.run inspecting folder --out results ...

Each benchmark has a process of its own. What is in the results folder already is not measured
again unless it is named. All tables go into docs/ and the README.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from benchmarks import batching, cold_start, detecting, folder, inspecting
from benchmarks.common import Record
from benchmarks.pages import DOCS, ROOT, publish, table
from benchmarks.speed import Benchmark, Setting, facts
from veridical.assembly import default_model

BENCHMARKS: tuple[Benchmark, ...] = (
    inspecting.BENCHMARK,
    cold_start.BENCHMARK,
    folder.BENCHMARK,
    batching.BENCHMARK,
    detecting.BENCHMARK,
)


def main(arguments: Sequence[str] | None = None) -> None:
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--out", type=Path, required=True, help="results folder")
    parser.add_argument("--backbone", type=Path, required=True, help="Hugging Face folder")
    parser.add_argument("--model", type=Path, default=default_model(), help="if not our own")
    parser.add_argument("--data", type=Path, default=os.environ.get("VERIDICAL_DATA"))
    parser.add_argument("--reference", type=Path, default=os.environ.get("VERIDICAL_REFERENCE"))
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    given = parser.parse_args(arguments)
    if unknown := set(given.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: no such benchmark; there are {names}")
    if given.data is None or given.reference is None:
        parser.error("set VERIDICAL_DATA and VERIDICAL_REFERENCE, or give --data and --reference")
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    work = given.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    setting = Setting(
        backbone=given.backbone.resolve(),
        model=given.model.resolve(),
        data=given.data.resolve(),
        reference=given.reference.resolve(),
        work=work.resolve(),
        quick=given.quick,
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # before our own
    found: dict[str, Record] = {}
    for benchmark in BENCHMARKS:
        path = given.out / f"{benchmark.name}.json"
        if benchmark.name in given.names or (not given.names and not path.is_file()):
            print(f"{benchmark.name} ...", end=" ", flush=True, file=sys.stderr)
            result = _alone(benchmark, setting)
            result["facts"]["load_before"] = load
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(f"{result['took_seconds']:.0f} s", file=sys.stderr)
        if path.is_file():
            found[benchmark.name] = result = json.loads(path.read_text(encoding="utf-8"))
            body = section(benchmark, result)
            publish(DOCS / benchmark.page, benchmark.name, body, quick=result["facts"]["quick"])
    if "inspecting" in found and "cold_start" in found:
        quick = found["inspecting"]["facts"]["quick"]
        publish(ROOT / "README.md", "speed-summary", summary(found), quick=quick)
        facts_page = machine_page(found["inspecting"]["facts"])
        publish(DOCS / "benchmarks.md", "machine", facts_page, quick=quick)


def _alone(benchmark: Benchmark, setting: Setting) -> Record:
    """Measure in a fresh process, so that no benchmark inherits another's threads and memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, benchmark, setting).result()


def _measure(benchmark: Benchmark, setting: Setting) -> Record:
    known = facts(setting)
    start = perf_counter()
    found = benchmark.measure(setting)
    return {"facts": known, "took_seconds": perf_counter() - start, "found": found}


# --- the pages -----------------------------------------------------------------------------------


def summary(found: dict[str, Record]) -> str:
    """Return the README's table."""
    ratios = {
        "one picture, warm: faces, 200 samples, map": found["inspecting"]["found"]["ratio"]["int8"],
        "one picture, from a cold process": found["cold_start"]["found"]["ratio"],
    }
    return table(
        ("on two cores, no GPU, same network", "against the reference pipeline"),
        (
            (what, f"{one['median']:.1f} x as fast [{one['low']:.1f}, {one['high']:.1f}]")
            for what, one in ratios.items()
        ),
    )


def section(benchmark: Benchmark, result: Record) -> str:
    """Return a benchmark's tables, and how to make them."""
    return (
        f"{benchmark.table(result['found'])}\n\n"
        f"`python -m benchmarks.run {benchmark.name} --backbone FOLDER --out results` "
        f"({result['took_seconds'] / 60:.1f} min)."
    )


def machine_page(known: Record) -> str:
    """Say on what it was measured."""
    load = known.get("load_before")
    busy = f" Load before the run: {load:.1f}." if load is not None else ""
    packages = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    return (
        f"{known['machine']}{busy} Backbone `{known['backbone']}`, model {known['model']} "
        f"({known['precision']}); Python {known['python']}, {packages}."
    )


if __name__ == "__main__":
    main()
