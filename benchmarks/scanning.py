"""What a scan costs beside judging, and what it saves.

    python -m benchmarks.scanning WORK [BLOCK ...]

Each block prints one JSON object; ratios are of turns within one run, so that other work on the
machine weighs on both sides. Times are of the clock and of the processor, in seconds: the second is
hardly longer on a machine that has other work. `overhead`, `rate`, `judging` and `elsewhere` judge
pictures of VERIDICAL_DATA with the model in the package, `kills` those of `examples`; `elsewhere`
needs moto and s3fs. In the other blocks judges that cost nothing, or a known time, stand in for the
model.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import active_children
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common import Record
from veridical.arrays import ndarray
from veridical.detector import Detector
from veridical.io.source import open_source
from veridical.report import Failure, Report
from veridical.scan.engines import InProcesses, InThreads, ScanEngine
from veridical.scan.judge import DetectorMaker, Judge, Judged
from veridical.scan.ledger import Identity, Ledger, Pace
from veridical.scan.phash import phash
from veridical.scan.plan import Item, plan
from veridical.scan.results import read
from veridical.scan.run import Scanned, identity_of, run

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


def chosen(count: int, *folders: str) -> list[str]:
    """Return pictures of the data, those of all sources in turn."""
    root = Path(os.environ["VERIDICAL_DATA"])
    found = sorted(path for folder in folders for path in root.glob(f"{folder}/*.jpg"))
    return [str(path) for path in random.Random(0).sample(found, count)]


def seconds(work: Callable[[], object]) -> ndarray:
    """Return what a piece of work takes: by the clock, and of the processor."""
    began = np.array([time.perf_counter(), time.process_time()])
    work()
    taken: ndarray = np.array([time.perf_counter(), time.process_time()]) - began
    return taken


def with_model(work: Path, sources: list[str], detector: Detector, engine: ScanEngine) -> ndarray:
    """Scan into a new folder; return the seconds."""
    rmtree(work / "out", ignore_errors=True)
    identity = identity_of(detector, whole_image=False, format_="parquet")

    def whole() -> None:
        done = run(plan(sources), work / "out", DetectorMaker(detector), identity, engine)
        assert done.judged
        assert not done.failed

    return seconds(whole)


def ratios(turns: Sequence[tuple[ndarray, ndarray]]) -> Record:
    """Return the first over the second, turn by turn, by the clock and of the processor."""
    clock, processor = np.array([above / below for above, below in turns]).T.tolist()
    return {
        "clock": {"median": median(clock), "turns": clock},
        "processor": {"median": median(processor), "turns": processor},
    }


def overhead(work: Path) -> Record:
    """A scan against bare inspection of the same pictures, one at a time."""
    pictures, detector = chosen(12, "test/*/*"), Detector.load(threads=1)
    detector.inspect(pictures[0])

    def bare() -> None:
        for one in pictures:
            detector.inspect(one)

    turns = [(with_model(work, pictures, detector, InThreads(1)), seconds(bare)) for _ in range(3)]
    judge, count = Busy()(), 20_000
    began = time.perf_counter()
    for one in items(count):
        judge(one)
    own = time.perf_counter() - began
    rmtree(work / "stub", ignore_errors=True)
    began = time.perf_counter()
    scan(work / "stub", count, Busy(), InThreads(1))
    return {
        "scan_over_bare": ratios(turns),
        "bare_ms_per_picture": median(1e3 * bare[1] / len(pictures) for _, bare in turns),
        "ms_of_the_scan_alone": 1e3 * (time.perf_counter() - began - own) / count,
    }


def rate(work: Path) -> Record:
    """A folder of portraits, pictures without a face, and copies: `inspect` against a scan.

    Shares of the time of what is done to the pictures, and rates two at a time, also without the
    copies.
    """
    portraits = chosen(6, "test/*/*")
    empty = chosen(6, "hard/hard/textures*", "hard/hard/scenes*")
    copies = work / "copies"
    rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    for path in portraits[::2] + empty[::2]:
        (copies / f"again-{Path(path).name}").write_bytes(Path(path).read_bytes())
    detector = Detector.load(threads=1)
    detector.inspect(portraits[0])
    unlike = portraits + empty
    alike = [*unlike, *map(str, sorted(copies.iterdir()))]
    found: Record = {
        "share_of_time": {
            "portraits": _shares(detector, portraits),
            "without a face": _shares(detector, empty),
        }
    }
    for name, pictures in (("a third are copies", alike), ("no copies", unlike)):
        turns, reports = [], list[Report | Failure]()

        def today(pictures: list[str] = pictures, into: list[Any] = reports) -> None:
            into[:] = detector.inspect_many(pictures, jobs=2)

        for _ in range(2):
            today_s = seconds(today)
            turns.append((today_s, with_model(work, pictures, detector, InThreads(2))))
            _same_verdicts(work / "out", reports)
        found[name] = {
            "pictures": len(pictures),
            "inspect_s": [one.tolist() for one, _ in turns],
            "scan_s": [one.tolist() for _, one in turns],
            "times_the_rate": ratios(turns),
        }
    return found


def _shares(detector: Detector, pictures: list[str]) -> Record:
    """Return ms per picture for each step of an inspection."""
    steps = ("read and decode", "hash", "fingerprint", "find and crop", "encode", "judge")
    taken = dict.fromkeys(steps, 0.0)
    for path in pictures:
        file, clock = open_source(path, detector.limits), [time.perf_counter()]

        def lap(clock: list[float] = clock) -> None:
            clock.append(time.perf_counter())

        photo = file.photo
        lap()
        assert file.sha256
        lap()
        phash(photo.smaller())
        lap()
        prepared = detector._prepare(file, False)
        lap()
        tokens = detector._tokens(prepared.crops)
        lap()
        detector._finish(prepared, tokens, (), None)
        lap()
        for step, (begin, end) in zip(steps, pairwise(clock), strict=True):
            taken[step] += 1e3 * (end - begin) / len(pictures)
    return taken


def _same_verdicts(out: Path, reports: Sequence[Report | Failure]) -> None:
    """Refuse a scan whose rows are not, to the bit, those of the reports."""
    rows = {}
    for batch in read(out, ("path", "decision", "p_ai", "interval_low", "sha256")):
        for path, *row in zip(*batch.values(), strict=True):
            rows[path] = row
    for one in reports:
        assert isinstance(one, Report)
        low = one.interval[0] if one.interval else None
        assert rows[one.path] == [one.decision.value, one.p_ai, low, one.sha256], one.path


def processes(work: Path) -> Record:
    """Two processes against one, from the first answer on: 50 ms of a core per item."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for jobs, found in taken.items():
            rmtree(work / "processes", ignore_errors=True)
            answered: list[float] = []

            def hear(_done: Scanned, answered: list[float] = answered) -> None:
                answered.append(time.perf_counter())

            run(
                items(200),
                work / "processes",
                Busy(0.05),
                IDENTITY,
                InProcesses(jobs),
                hear=hear,
            )
            found.append((len(answered) - 1) / (answered[-1] - answered[0]))
    ratios = [two / one for one, two in zip(taken[1], taken[2], strict=True)]
    return {"per_second": taken, "times_faster": ratios, "median": median(ratios)}


def judging(work: Path) -> Record:
    """Two processes against one with the model, from the first answer on, and their memory.

    The engine alone, without a ledger. Memory is what each process holds when all are at work: Pss,
    where a page that two processes map counts half for each.
    """
    pictures, detector = chosen(24, "test/*/*"), Detector.load(threads=1)
    make = DetectorMaker(detector)
    taken: dict[int, list[float]] = {1: [], 2: []}
    pss: dict[str, list[float]] = {}
    for _ in range(3):
        for jobs, found in taken.items():
            answered: list[float] = []
            for _one in InProcesses(jobs, scratch=work).run(make, plan(pictures)):
                answered.append(time.perf_counter())
                if len(answered) == len(pictures) // 2:
                    pss[f"{jobs} at work"] = [_pss(one.pid) for one in active_children()]
            # The last answer may be of a worker that was alone.
            found.append((len(answered) - jobs) / (answered[-jobs] - answered[0]))
    ratios = [two / one for one, two in zip(taken[1], taken[2], strict=True)]
    return {
        "per_second": taken,
        "times_faster": ratios,
        "median": median(ratios),
        "pss_mbytes": pss,
    }


def _pss(pid: int | None) -> float:
    """Return the memory of a process, MiB, each page by how many share it (Linux)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line[:4] == "Pss:") / 1024


def kills(work: Path) -> Record:
    """2,000 inputs with the model in the package, by two processes, killed at 50 random moments.

    A kill comes after a random number of answers, which the scan says itself: each meets it at
    work, however fast the machine is. The pictures are those of the package in 2,000 sizes.
    """
    count, times = int(os.environ.get("VERIDICAL_KILLS_OF", "2000")), 50
    rmtree(work / "kills", ignore_errors=True)
    (work / "kills" / "in").mkdir(parents=True)
    sources = sorted((Path(__file__).parents[1] / "examples").glob("*.jpg"))
    for n in range(count):
        with Image.open(sources[n % len(sources)]) as image:
            small = image.convert("RGB").resize((160 + n // len(sources) % 64, 200))
        # The comment makes each of them another file: copies are judged once.
        small.save(work / "kills" / "in" / f"{n:05d}.jpg", comment=f"{n}".encode())
    draw, parts_after = random.Random(0), list[int]()
    for _ in range(times):
        answers = draw.randint(1, max(1, 2 * count // times - 10))
        with _scanning(work / "kills") as scanning:
            assert scanning.stdout
            for _answer in range(answers):
                line = scanning.stdout.readline()
                assert line.strip() == "answer", "it ended before it was killed"
            scanning.kill()
        assert scanning.returncode == -signal.SIGKILL
        parts_after.append(len(list((work / "kills" / "out" / "pictures").glob("part-*"))))
    with _scanning(work / "kills") as scanning:
        told, _ = scanning.communicate()
    assert scanning.returncode == 0
    assert "answer" in told, "some of it was left"
    paths = [path for batch in read(work / "kills" / "out", ("path",)) for path in batch["path"]]
    assert sorted(Path(path).name for path in paths) == [f"{n:05d}.jpg" for n in range(count)]
    assert parts_after == sorted(parts_after)
    assert len(set(parts_after)) > times / 4
    return {"inputs": count, "kills": times, "rows": len(paths), "parts_after": parts_after}


def _scanning(folder: Path) -> subprocess.Popen[str]:
    """Begin a scan in another process that says `answer` after each."""
    code = (
        "import sys; from pathlib import Path; from benchmarks import scanning as s\n"
        "if __name__ == '__main__':\n"
        "    d = s.Detector.load(threads=1); work = Path(sys.argv[1])\n"
        "    s.run(s.plan([str(work / 'in')]), work / 'out', s.DetectorMaker(d),\n"
        "          s.identity_of(d, whole_image=False, format_='parquet'), s.InProcesses(2),\n"
        "          pace=s.Pace(rows=24, least_s=2.0), hear=lambda _: print('answer', flush=True))"
    )
    command = [sys.executable, "-c", code, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def elsewhere(work: Path) -> Record:
    """Pictures on an S3 server of this machine against the same ones in a folder."""
    pictures, album = chosen(16, "test/*/*"), work / "album"
    rmtree(album, ignore_errors=True)
    album.mkdir(parents=True)
    for path in pictures:
        (album / Path(path).name).write_bytes(Path(path).read_bytes())
    code = (
        "import sys, os, time; from pathlib import Path; from tests.scan.elsewhere import begin_s3;"
        "begin_s3(Path(sys.argv[1])); print(os.environ['AWS_ENDPOINT_URL'], flush=True);"
        "time.sleep(3600)"
    )
    command = [sys.executable, "-c", code, str(album)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        os.environ |= {
            "AWS_ENDPOINT_URL": server.stdout.readline().strip(),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        detector = Detector.load(threads=1)
        detector.inspect(pictures[0])
        turns = [
            (
                with_model(work, [str(album)], detector, InThreads(2)),
                with_model(work, ["s3://album/"], detector, InThreads(2)),
            )
            for _ in range(3)
        ]
        server.kill()
    return {"pictures": len(pictures), "rate_over_local": ratios(turns)}


def memory(work: Path) -> Record:
    """Peak memory, MiB, of a scan of so many items by a process that holds the model."""
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
        "held = s.Detector.load(threads=1) if sys.argv[3] == 'scan' else None; "
        "done = s.scan(Path(sys.argv[1]), int(sys.argv[2]), s.Busy(), s.InThreads(1)); "
        "assert done.done == int(sys.argv[2]); "
        # Of this program alone: what `getrusage` tells begins with the parent's.
        "print(next(line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line))"
    )
    command = [sys.executable, "-c", code, str(work / name), str(count), name]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(found.stdout) / 1024


BLOCKS: dict[str, Callable[[Path], Record]] = {
    one.__name__: one
    for one in (overhead, rate, processes, judging, kills, elsewhere, memory, resume)
}

if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    for block in sys.argv[2:] or BLOCKS:
        print(json.dumps({block: BLOCKS[block](place)}), flush=True)
