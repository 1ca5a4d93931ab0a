"""Is this version as fast and as small as the one before?

    python -m benchmarks.before DATA/manifest.csv --before FOLDER [--pictures 300] [--quick]

FOLDER is a checkout of the older version (`git worktree add FOLDER COMMIT`). Both run in processes
of their own, in turns, on the same pictures of `val`: one picture with everything loaded, one from
a cold start, and a folder with `--json` and the default number of jobs, whose peak memory is the
largest resident set of the process. Each is measured as shipped, and without the re-check of
verdicts (`--no-stability` before, `--no-recheck` now). The table goes into docs/benchmarks.md.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from benchmarks.pages import DOCS, ROOT, publish, table
from benchmarks.timing import REST_SECONDS, machine, median_of, ratios, sec, times
from veridical.io.dataset import read_samples

PAGE = DOCS / "benchmarks.md"
OLD, NEW = "before", "now"
SWITCH = {OLD: "stability", NEW: "recheck"}  # turns the re-check of verdicts off
HOW = {True: "as shipped", False: "without re-check"}

WORKER = """
import sys, time
from veridical.detector import Detector
detector = Detector.load(**({} if sys.argv[2] == "True" else {sys.argv[1]: False}))
for line in sys.stdin:
    start = time.perf_counter()
    detector.inspect(line.rstrip("\\n"))
    print(time.perf_counter() - start, flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One of the two.

    Attributes:
        name: `OLD` or `NEW`.
        root: Its checkout.
    """

    name: str
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """Where Python finds it."""
        # The older version asked its users to set the second one; the newer one needs no help.
        blas = {"OPENBLAS_NUM_THREADS": "1"} if self.name == OLD else {}
        return os.environ | blas | {"PYTHONPATH": str(self.root / "src")}

    def inspect(self, target: Path, recheck: bool) -> list[str]:
        """Return the command that judges a picture or a folder."""
        command = [sys.executable, "-m", "veridical", "inspect", str(target), "--json"]
        return command if recheck else [*command, f"--no-{SWITCH[self.name]}"]


@contextmanager
def worker(version: Version, recheck: bool) -> Iterator[Callable[[Path], float]]:
    """Start a process that has everything loaded; give it a path, and get the seconds back."""
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, SWITCH[version.name], str(recheck)],
        env=version.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield partial(_ask, process.stdin, process.stdout)
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _ask(into: IO[str], out: IO[str], path: Path) -> float:
    time.sleep(REST_SECONDS)
    into.write(f"{path}\n")
    into.flush()
    return float(out.readline())


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a process to its end; return its seconds and its peak memory in MiB.

    The peak is never below what this process holds, which is far less than a detector takes.
    """
    time.sleep(REST_SECONDS)
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}.")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return took, used.ru_maxrss / unit


# --- measuring -----------------------------------------------------------------------------------

Taken = dict[str, list[float]]
"""What was taken by each version, turn by turn."""


def warm(versions: Sequence[Version], paths: Sequence[Path], recheck: bool) -> Taken:
    """Return milliseconds per picture with everything loaded, in turns."""
    taken: Taken = {version.name: [] for version in versions}
    with worker(versions[0], recheck) as one, worker(versions[1], recheck) as other:
        pairs = list(zip(versions, (one, other), strict=True))
        for _, ask in pairs:
            ask(paths[0])  # the first picture pays for buffers
        for turn, path in enumerate(paths):
            for version, ask in pairs if turn % 2 else pairs[::-1]:
                taken[version.name].append(1e3 * ask(path))
    return taken


def cold(versions: Sequence[Version], path: Path, recheck: bool, rounds: int) -> Taken:
    """Return the milliseconds of whole processes that judge one picture, in turns."""
    taken: Taken = {version.name: [] for version in versions}
    for turn in range(rounds + 1):
        for version in versions if turn % 2 else versions[::-1]:
            seconds, _ = run(version.inspect(path, recheck), version.environment)
            if turn:  # the first start fills the page cache
                taken[version.name].append(1e3 * seconds)
    return taken


def folder(
    versions: Sequence[Version], where: Path, recheck: bool, rounds: int
) -> tuple[Taken, Taken]:
    """Return seconds and peak MiB of processes that judge a folder, in turns."""
    seconds: Taken = {version.name: [] for version in versions}
    memory: Taken = {version.name: [] for version in versions}
    for turn in range(rounds):
        for version in versions if turn % 2 else versions[::-1]:
            took, peak = run(version.inspect(where, recheck), version.environment)
            seconds[version.name].append(took)
            memory[version.name].append(peak)
    return seconds, memory


# --- the page ------------------------------------------------------------------------------------


def row(what: str, how: str, taken: Mapping[str, Sequence[float]]) -> tuple[str, ...]:
    """Return both versions and their ratio, turn by turn: below 1, this version needs less."""
    both = (sec(median_of(taken[name])) for name in (OLD, NEW))
    return (what, how, *both, times(ratios(taken[NEW], taken[OLD])))


def page(rows: Sequence[tuple[str, ...]], pictures: int, warm_pictures: int) -> str:
    """Return the table, and on what it was made."""
    return "\n\n".join(
        [
            table(("", "re-check", OLD, NEW, "now / before"), rows, numbers=True),
            f"{warm_pictures} pictures one by one and a folder of {pictures}, both of `val`; both "
            f"versions in turns; medians, with lowest to highest. {machine()}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--before", type=Path, required=True, help="checkout of the older version")
    parser.add_argument("--pictures", type=int, default=300, help="in the folder")
    parser.add_argument("--rounds", type=int, default=3, help="of the folder")
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    given = parser.parse_args(arguments)
    versions = (
        Version(name=OLD, root=given.before.resolve()),
        Version(name=NEW, root=ROOT),
    )
    samples = [s.path.resolve() for s in read_samples(given.manifest, split="val")]
    count, few, starts, rounds = (
        (4, 2, 1, 1) if given.quick else (given.pictures, 24, 7, given.rounds)
    )
    paths = random.Random(0).sample(samples, min(count, len(samples)))
    rows = []
    with TemporaryDirectory() as place:
        for number, path in enumerate(paths):
            (Path(place) / f"{number}{path.suffix}").symlink_to(path)
        for recheck, how in HOW.items():
            one_by_one = warm(versions, paths[:few], recheck)
            rows.append(row("one picture, everything loaded, ms", how, one_by_one))
            started = cold(versions, paths[0], recheck, starts)
            rows.append(row("one picture, from a cold start, ms", how, started))
            seconds, memory = folder(versions, Path(place), recheck, rounds)
            rows.append(row(f"a folder of {len(paths)}, s", how, seconds))
            rows.append(row("its peak memory, MiB", how, memory))
    publish(PAGE, "before", page(rows, len(paths), few), quick=given.quick)


if __name__ == "__main__":
    main()
