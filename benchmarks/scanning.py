"""What a scan costs beside judging: its overhead, its memory, and a finished one asked again.

    python -m benchmarks.scanning WORK [BLOCK ...]

Judges that cost nothing, or a known time, stand in for a model: what is measured is the scan. Each
block prints one JSON object; ratios are of turns within one run, so that other work on the machine
weighs on both sides.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from statistics import median

from benchmarks.common import Record
from veridical.scan.engines import InProcesses, InThreads, ScanEngine
from veridical.scan.judge import Judge, Judged
from veridical.scan.ledger import Identity, Ledger, Pace
from veridical.scan.plan import Item
from veridical.scan.run import Scanned, run

IDENTITY = Identity(model="0" * 12, version="benchmark", options={}, format="parquet")


@dataclass(frozen=True)
class Busy:
    """Judges by keeping a core busy for so many seconds."""

    seconds: float = 0.0

    def __call__(self) -> Judge:
        """Return a judge."""
        return self.judge

    def judge(self, item: Item) -> Judged:
        """Keep busy, and give an answer like a picture with one face."""
        until = time.thread_time() + self.seconds
        while self.seconds and time.thread_time() < until:
            pass
        row = {"decision": "real", "p_ai": 0.1, "sha256": "0" * 64, "faces": 1, "phash": "0" * 16}
        return Judged(item=item, picture=row, faces=({"face": 1, "decision": "real", "p_ai": 0.1},))


def items(count: int) -> Iterator[Item]:
    """Yield items with names of usual length."""
    for n in range(count):
        yield Item(path=f"/pictures/2026/{n // 1000:04d}/portrait-{n:08d}.jpg", size=n, mtime_ns=n)


def scan(out: Path, count: int, make: Busy, engine: ScanEngine) -> Scanned:
    return run(items(count), out, make, IDENTITY, engine)


def overhead(work: Path) -> Record:
    """Time per item that is not judging, in threads and in processes."""

    def per_item(engine: ScanEngine, count: int) -> float:
        out = work / "overhead"
        rmtree(out, ignore_errors=True)
        began = time.perf_counter()
        scan(out, count, Busy(), engine)
        return (time.perf_counter() - began) / count

    def bare(count: int) -> float:
        judge, began = Busy()(), time.perf_counter()
        for one in items(count):
            judge(one)
        return (time.perf_counter() - began) / count

    turns = [(bare(20_000), per_item(InThreads(1), 20_000)) for _ in range(5)]
    return {"ms_per_item": median(1e3 * (whole - own) for own, whole in turns), "turns": 5}


def processes(work: Path) -> Record:
    """Two processes against one, on work that keeps a core busy for 20 ms an item."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for jobs, found in taken.items():
            rmtree(work / "processes", ignore_errors=True)
            began = time.perf_counter()
            scan(work / "processes", 500, Busy(0.02), InProcesses(jobs))
            found.append(time.perf_counter() - began)
    ratios = [one / two for one, two in zip(taken[1], taken[2], strict=True)]
    return {"seconds": taken, "times_faster": median(ratios)}


def memory(work: Path) -> Record:
    """Peak memory of a scan of so many items, each in a process of its own."""
    return {str(count): _peak(work, "scan", count) for count in (1_000, 10_000, 100_000)}


def resume(work: Path) -> Record:
    """A finished scan of a million rows, asked again: nothing to do but to find that out."""
    count, out = 1_000_000, work / "million"
    rmtree(out, ignore_errors=True)
    judge = Busy()()
    with Ledger(out, IDENTITY, pace=Pace(rows=50_000, least_s=1e9, most_s=1e9)) as ledger:
        for one in ledger.wanted(items(count)):
            ledger.add(judge(one))
    return {"rows": count, **_again(work, count)}


def _again(work: Path, count: int) -> Record:
    began = time.perf_counter()
    peak = _peak(work, "million", count)
    return {"seconds": time.perf_counter() - began, "peak_mbytes": peak}


def _peak(work: Path, name: str, count: int) -> float:
    """Scan in another process; return its peak memory, MiB."""
    if name == "scan":
        rmtree(work / name, ignore_errors=True)
    code = (
        "import sys; from pathlib import Path; from benchmarks import scanning as s; "
        "done = s.scan(Path(sys.argv[1]), int(sys.argv[2]), s.Busy(), s.InThreads(1)); "
        "assert done.done == int(sys.argv[2]); "
        # Of this program alone: what `getrusage` tells begins with the parent's.
        "print(next(line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line))"
    )
    command = [sys.executable, "-c", code, str(work / name), str(count)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(found.stdout) / 1024


BLOCKS: dict[str, Callable[[Path], Record]] = {
    one.__name__: one for one in (overhead, processes, memory, resume)
}

if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for block in sys.argv[2:] or BLOCKS:
        print(json.dumps({block: BLOCKS[block](place)}), flush=True)
