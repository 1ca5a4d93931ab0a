"""What the service costs beside judging, and what becomes of it under too much work.

    python -m benchmarks.serving [BLOCK ...] [--quick]

A service runs on this machine, with the model in the package and a worker for each core, and is
asked over loopback by this very program: what the client costs is on the service's account. The
pictures are the examples.

**throughput**: pictures a second, against `inspect_many` without a service; in turns.

**overload**: requests at random times (a Poisson process), four times as many as it can answer; the
time of those it accepted and of those it refused, against one request at a time.

**memory**: of all its processes together, after so many requests.

Each block prints a JSON object; with all of them, the table goes into docs/serving.md.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles

import httpx
import numpy as np
from PIL import Image

from benchmarks.common import Record
from benchmarks.pages import DOCS, ROOT, figure, publish, table, target
from benchmarks.timing import machine
from veridical.detector import Detector
from veridical.engines import cores

PAGE = DOCS / "serving.md"
OVER = 4
BYTES = {"Content-Type": "application/octet-stream"}
PICTURES = [path.read_bytes() for path in sorted((ROOT / "examples").glob("*.jpg"))]


@dataclass(frozen=True)
class Service:
    """One that runs.

    Attributes:
        url: Of it.
        pid: Of its first process.
    """

    url: str
    pid: int

    def client(self) -> httpx.AsyncClient:
        """Return a client without a limit on connections."""
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(base_url=self.url, timeout=120, limits=limits)

    def mbytes(self) -> float:
        """Return the memory of all its processes, MiB; what they share counts once."""
        return sum(map(_proportional, [self.pid, *_children(self.pid)])) / 1024


@contextmanager
def running() -> Iterator[Service]:
    """Run the service until it is no longer needed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    service = subprocess.Popen(
        [sys.executable, "-m", "veridical", "serve", "--port", str(port)],
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"{url}/readyz").raise_for_status()
                break
            except httpx.HTTPError:
                assert service.poll() is None
                assert time.monotonic() < until
                time.sleep(0.2)
        yield Service(url, service.pid)
    finally:
        service.terminate()
        service.wait()


async def _asked(client: httpx.AsyncClient, data: bytes) -> tuple[int, float]:
    """Return the status of an answer, and its seconds."""
    begun = time.perf_counter()
    answer = await client.post("/v1/inspect", content=data, headers=BYTES)
    return answer.status_code, time.perf_counter() - begun


async def _all(service: Service, pictures: Sequence[bytes], at_a_time: int) -> list[float]:
    """Ask for all of them, so many at a time; return the seconds of each."""
    waiting, taken = iter(pictures), []

    async def work(client: httpx.AsyncClient) -> None:
        for data in waiting:
            status, seconds = await _asked(client, data)
            assert status in (200, 422), status
            taken.append(seconds)

    async with service.client() as client:
        await asyncio.gather(*(work(client) for _ in range(at_a_time)))
    return taken


def throughput(service: Service, quick: bool) -> Record:
    """Pictures a second, with and without the service, in turns."""
    detector = Detector.load(threads=1)
    many = [*islice(cycle(PICTURES), 6 if quick else 18)]
    turns: list[tuple[float, float]] = []
    for _ in range(1 if quick else 4):
        begun = time.perf_counter()
        assert len(list(detector.inspect_many(many, jobs=cores()))) == len(many)
        bare = len(many) / (time.perf_counter() - begun)
        begun = time.perf_counter()
        asyncio.run(_all(service, many, 2 * cores()))
        turns.append((bare, len(many) / (time.perf_counter() - begun)))
    ratios = [served / bare for bare, served in turns]
    return {
        "pictures": len(many),
        "turns": len(turns),
        "bare_per_s": median(bare for bare, _ in turns),
        "served_per_s": median(served for _, served in turns),
        "ratio": median(ratios),
        "low": min(ratios),
        "high": max(ratios),
    }


def overload(service: Service, quick: bool) -> Record:
    """Times of requests that come `OVER` times as often as they can be answered."""
    begun = time.perf_counter()
    capacity_of = [*islice(cycle(PICTURES), 6 if quick else 24)]
    asyncio.run(_all(service, capacity_of, 2 * cores()))
    capacity = len(capacity_of) / (time.perf_counter() - begun)
    alone = asyncio.run(_all(service, [*islice(cycle(PICTURES), 6 if quick else 36)], 1))
    seconds = 5.0 if quick else 60.0
    begun = time.perf_counter()
    found = asyncio.run(_poured(service, OVER * capacity, seconds))
    elapsed = time.perf_counter() - begun  # until the last of them was answered
    accepted = [took for status, took in found if status == 200]
    refused = [took for status, took in found if status == 429]
    return {
        "capacity_per_s": capacity,
        "seconds": seconds,
        "statuses": {str(status): n for status, n in Counter(one for one, _ in found).items()},
        "alone_p95_s": _p95(alone),
        "accepted_p95_s": _p95(accepted),
        "refused_p95_s": _p95(refused),
        "ratio": _p95(accepted) / _p95(alone),
        "goodput": len(accepted) / elapsed / capacity,
    }


async def _poured(service: Service, rate: float, seconds: float) -> list[tuple[int, float]]:
    dice, asked = random.Random(0), []
    async with service.client() as client, asyncio.TaskGroup() as group:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            asked.append(group.create_task(_asked(client, dice.choice(PICTURES))))
            await asyncio.sleep(dice.expovariate(rate))
    return [one.result() for one in asked]


def memory(service: Service, quick: bool) -> Record:
    """Memory after so many requests: of examples, small pictures, and files that break off."""
    small = [_landscape(seed) for seed in range(50)]
    marks = (50, 100, 200) if quick else (500, 1000, 2000, 3000, 4000, 5000)
    found, done = {}, 0
    for mark in marks:
        pictures = [_nth(n, small) for n in range(done, mark)]
        asyncio.run(_all(service, pictures, 2 * cores()))
        found[str(mark)], done = service.mbytes(), mark
    first, last = found[str(marks[0])], found[str(marks[-1])]
    return {"mbytes": found, "growth": last / first - 1}


def _nth(n: int, small: Sequence[bytes]) -> bytes:
    """Return an example, a small picture, or most often the beginning of one: that is quick."""
    if n % 250 == 0:
        return PICTURES[n // 250 % len(PICTURES)]
    own = small[n % len(small)]
    return own if n % 25 == 0 else own[:150]


def _landscape(seed: int) -> bytes:
    from io import BytesIO

    across, down = np.meshgrid(np.linspace(0, 6, 96), np.linspace(0, 6, 64))
    dice = np.random.default_rng(seed)
    waves = [np.sin(across * a + down * b) for a, b in dice.uniform(-2, 2, (3, 2))]
    pixels = (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for one in tasks for child in (one / "children").read_text().split()]


def _proportional(pid: int) -> float:
    """Return the memory of a process, KiB; a page that n share counts for 1/n."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _p95(values: Sequence[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else float("nan")


def page(found: dict[str, Record]) -> str:
    """Return the table."""
    through, over, kept = found["throughput"], found["overload"], found["memory"]
    first, *_, last = kept["mbytes"].items()
    total = sum(over["statuses"].values())
    rows = [
        ("pictures a second, bare", figure(through["bare_per_s"])),
        ("pictures a second, served", figure(through["served_per_s"])),
        (
            "served / bare",
            f"{through['ratio']:.2f} ({through['low']:.2f} to {through['high']:.2f})",
        ),
        ("95th percentile, one request at a time", f"{over['alone_p95_s']:.2f} s"),
        (f"the same at {OVER} times the capacity, accepted", f"{over['accepted_p95_s']:.2f} s"),
        ("the same, refused", f"{1000 * over['refused_p95_s']:.0f} ms"),
        ("accepted / alone", f"{over['ratio']:.1f}"),
        (f"answers at {OVER} times the capacity / capacity", f"{over['goodput']:.2f}"),
        *((f"memory after {int(mark):,} requests", f"{kept['mbytes'][mark]:.0f} MiB")
          for mark in (first[0], last[0])),
    ]  # fmt: skip
    failed = total - over["statuses"].get("200", 0) - over["statuses"].get("429", 0)
    return "\n\n".join(
        [
            table(["", ""], rows, numbers=True),
            f"{machine()} A worker per core; the client runs on the same cores. {total} requests "
            f"in {over['seconds']:.0f} s of overload, {failed} of them failed.",
            target("served at least 0.9 of bare", through["ratio"] >= 0.9),
            target(f"accepted at most {OVER} times alone", over["ratio"] <= OVER and not failed),
            target("memory flat (within 5 %)", kept["growth"] <= 0.05),
        ]
    )


BLOCKS: dict[str, Callable[[Service, bool], Record]] = {
    one.__name__: one for one in (throughput, overload, memory)
}


def main() -> None:
    """Measure the blocks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("blocks", nargs="*", choices=[*BLOCKS, []], default=[])
    parser.add_argument("--quick", action="store_true", help="a smoke run")
    given = parser.parse_args()
    found: dict[str, Record] = {}
    for name in given.blocks or BLOCKS:
        with running() as service:
            found[name] = BLOCKS[name](service, given.quick)
        print(json.dumps({name: found[name]}), flush=True)
    if found.keys() == BLOCKS.keys():
        publish(PAGE, "serving", page(found), quick=given.quick)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
