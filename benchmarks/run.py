"""Measure everything, or what is named, and write one JSON file per benchmark.

    python -m benchmarks.run --out results --backbone FOLDER --data FOLDER --reference FILE
    python -m benchmarks.run inspecting folder --out results ...
    python -m benchmarks.table results

Each benchmark has a process of its own. What is in the results folder already is not measured
again unless it is named.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from benchmarks import (
    batching,
    cold_start,
    detecting,
    folder,
    inspecting,
    occluding,
    overhead,
    training,
    yardstick,
)
from benchmarks.common import Benchmark, Record, Setting, facts
from veridical.detector import default_model

BENCHMARKS: tuple[Benchmark, ...] = (
    inspecting.BENCHMARK,
    cold_start.BENCHMARK,
    overhead.BENCHMARK,
    folder.BENCHMARK,
    batching.BENCHMARK,
    occluding.BENCHMARK,
    training.BENCHMARK,
    detecting.BENCHMARK,
    yardstick.BENCHMARK,
)


def main() -> None:
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
    parser.add_argument("--work", type=Path, help="for exports  [default: OUT/work]")
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    told = parser.parse_args()
    if unknown := set(told.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: no such benchmark; there are {names}")
    if told.data is None or told.reference is None:
        parser.error("set VERIDICAL_DATA and VERIDICAL_REFERENCE, or give --data and --reference")
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    work = told.work or told.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    setting = Setting(
        backbone=told.backbone.resolve(),
        model=told.model.resolve(),
        data=told.data.resolve(),
        reference=told.reference.resolve(),
        work=work.resolve(),
        quick=told.quick,
    )
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None  # before our own
    for benchmark in BENCHMARKS:
        path = told.out / f"{benchmark.name}.json"
        if benchmark.name in told.names or (not told.names and not path.is_file()):
            print(f"{benchmark.name} ...", end=" ", flush=True, file=sys.stderr)
            found = _alone(benchmark, setting)
            found["facts"]["load_before"] = load
            path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"{found['took_seconds']:.0f} s", file=sys.stderr)


def _alone(benchmark: Benchmark, setting: Setting) -> Record:
    """Measure in a fresh process, so that no benchmark inherits another's threads and memory."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, benchmark, setting).result()


def _measure(benchmark: Benchmark, setting: Setting) -> Record:
    known = facts(setting)
    start = perf_counter()
    found = benchmark.measure(setting)
    return {"facts": known, "took_seconds": perf_counter() - start, "found": found}


if __name__ == "__main__":
    main()
