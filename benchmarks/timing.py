"""How the benchmarks of speed take time, and what a reader has to know of the machine.

Ours and theirs are timed in one run, in turns (A B A B ...), since a machine is not equally fast
all day. A short rest before every turn lets the thread pools of the other runtime fall asleep:
both keep their threads spinning for a while after their work is done.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.common import Record
from benchmarks.pages import figure
from veridical.engines import cores

T = TypeVar("T")

REST_SECONDS = 0.25


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(
    works: Mapping[str, Callable[[T], object]], items: Iterable[T]
) -> dict[str, list[float]]:
    """Return each work's seconds for each item: all works do the first item, then the second."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for item in items:
        for name, work in works.items():
            time.sleep(REST_SECONDS)
            start = time.perf_counter()
            work(item)
            taken[name].append(time.perf_counter() - start)
    return taken


def median_of(values: Sequence[float]) -> Record:
    """Return median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> Record:
    """Return theirs / ours, turn by turn: above 1 we are faster."""
    return median_of([a / b for a, b in zip(theirs, ours, strict=True)])


def ms(value: Record) -> str:
    """Return seconds as milliseconds."""
    return f"{figure(1e3 * value['median'])} ({range_of(value, 1e3)})"


def sec(value: Record) -> str:
    """Return seconds."""
    return f"{figure(value['median'])} ({range_of(value)})"


def times(value: Record) -> str:
    """Return ratios."""
    return f"{figure(value['median'])}x ({range_of(value)})"


def range_of(value: Record, factor: float = 1) -> str:
    """Return lowest and highest."""
    return f"{figure(factor * value['low'])} to {figure(factor * value['high'])}"


# --- the machine ---------------------------------------------------------------------------------


def machine() -> str:
    """Say what this machine is, in one sentence."""
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "amx_int8": "AMX"}
    processor = Path("/proc/cpuinfo")
    flags = set(processor.read_text("utf-8").split()) if processor.is_file() else set()
    extras = ", ".join(name for flag, name in known.items() if flag in flags)
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{cores()} {platform.machine()} core{'s' if cores() > 1 else ''}"
        f"{' with ' if extras else ''}{extras}, {gib:.0f} GiB of memory, {platform.system()}, "
        "no GPU."
    )
