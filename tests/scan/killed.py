"""Scans that are killed: each in a fork of this process, so that no Python has to start.

python -m tests.scan.killed every OUT ITEMS          at each moment that matters, one by one
python -m tests.scan.killed random OUT ITEMS KILLS   at random moments
"""

import json
import os
import random
import signal
import stat
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.scan.doubles import ByName, identity
from veridical.scan.engines import InThreads
from veridical.scan.ledger import Pace
from veridical.scan.plan import Item
from veridical.scan.run import Scanned, run

FORMAT: Any = "parquet" if find_spec("pyarrow") else "jsonl"


def scan(out: Path, count: int, pace: Pace, hear: Callable[[Scanned], object]) -> Scanned:
    items = (Item(path=f"{n:06d}.jpg", size=n) for n in range(count))
    return run(items, out, ByName(), identity(FORMAT), InThreads(1), pace=pace, hear=hear)


def forked(child: Callable[[], object]) -> int:
    """Run this in a fork, and return the fork's number."""
    if pid := os.fork():
        return pid
    try:
        child()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def status_of(pid: int) -> int:
    """Wait for a fork; return its status, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# --- at each moment ------------------------------------------------------------------------------


class Moments:
    """Kills this process at the n-th moment at which something of a folder changes on the disk.

    The moment is before a file or folder is made, renamed or deleted, and before bytes are sure to
    be on the disk: then the file loses its second half, as in a power cut.
    """

    def __init__(self, folder: Path, at: int) -> None:
        self._folder, self._at, self._passed = os.fspath(folder), at, 0
        self._sync: Any = os.fsync
        setattr(os, "fsync", self._synced)  # noqa: B010 (mypy would want its type)
        sys.addaudithook(self._heard)

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        changing = event in ("os.mkdir", "os.rename", "os.remove") or (
            event == "open" and isinstance(arguments[1], str) and arguments[1][0] in "wa"
        )
        if changing and str(arguments[0]).startswith(self._folder):
            self._moment(f"{event} {Path(os.fsdecode(arguments[0])).name}")

    def _synced(self, descriptor: Any) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self._moment(f"fsync {name}", descriptor)
        self._sync(descriptor)

    def _moment(self, name: str, descriptor: int | None = None) -> None:
        self._passed += 1
        if self._passed != self._at:
            return
        if descriptor is not None and stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.truncate(descriptor, os.fstat(descriptor).st_size // 2)
        print(name, flush=True)  # noqa: T201
        os.kill(os.getpid(), signal.SIGKILL)


def every(out: Path, count: int) -> int:
    """Kill a scan at each moment, and then while it goes on; return how many moments there are."""
    pace, at = Pace(rows=8, least_s=1e9, most_s=1e9), 0
    while True:
        at += 1
        folder = out / str(at)

        def once(at: int, folder: Path = folder) -> None:
            Moments(folder, at)
            scan(folder, count, pace, lambda _done: None)

        if status_of(forked(partial(once, at))) == 0:  # there are no more
            return at - 1
        for later in range(3, 8):  # in these it cleans up
            assert status_of(forked(partial(once, later))) in (0, -signal.SIGKILL)
        assert scan(folder, count, pace, lambda _done: None).rows == count


# --- at random moments ---------------------------------------------------------------------------


def at_random(out: Path, count: int, kills: int) -> dict[str, Any]:
    """Kill a scan at random moments of loading and judging, then let it end; say what was found."""
    if FORMAT == "parquet":  # or each fork would spend its time on this import
        import pyarrow.parquet  # noqa: F401
    draw, found = random.Random(0), Counter[str]()
    # A run that has done its share waits for its kill: none of them meets a scan that has ended.
    ration = count // (kills + 1)
    pace = Pace(rows=max(8, ration // 4), least_s=0.02)
    written = []
    for _ in range(kills):
        reader, writer = os.pipe()

        def once(writer: int = writer) -> None:
            before = None

            def hear(done: Scanned) -> None:
                nonlocal before
                if before is None:
                    before = done.rows
                elif 0 <= before < done.rows:  # it has written, however slow the disk is
                    before = -1
                    os.write(writer, b"x")
                if done.judged >= ration:
                    signal.pause()

            os.write(writer, b"x")
            scan(out, count, pace, hear)

        scanning = forked(once)
        os.close(writer)
        os.read(reader, 1)
        if draw.random() < 0.8:  # most of them while it judges, the others before
            os.read(reader, 1)
        time.sleep(draw.uniform(0, 0.05))
        os.kill(scanning, signal.SIGKILL)
        found["killed" if status_of(scanning) == -signal.SIGKILL else "ended"] += 1
        os.close(reader)
        written.append(len(list((out / "pictures").glob("part-*"))))
        found["cut off"] += len(list(out.rglob(".aside-*")))
        faces = {path.name for path in (out / "faces").glob("part-*")}
        found["cut off"] += len(faces - {one.name for one in (out / "pictures").glob("part-*")})
    done = scan(out, count, pace, lambda _done: None)
    return {**found, "parts_after": written, "judged_last": done.judged, "rows": done.rows}


if __name__ == "__main__":
    way, place, items = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if way == "every":
        print(every(place, items))  # noqa: T201
    else:
        print(json.dumps(at_random(place, items, int(sys.argv[4]))))  # noqa: T201
