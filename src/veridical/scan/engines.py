"""Where items are judged: in threads, in processes, or on the machines of a Ray cluster.

Each gives the same rows, to the bit; the order is that in which they are done. Few items are held.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol, runtime_checkable

from veridical.engines import Serial, Threads, cores
from veridical.errors import ScanError, VeridicalError
from veridical.report import Failure
from veridical.scan.judge import Judge, Judged, Maker, Sharing, failed
from veridical.scan.plan import Item
from veridical.scan.sinks import ASIDE
from veridical.workers import STARTS, Worker

DIED, HUNG = "WorkerDied", "WorkerHung"
"""Instead of the name of an error: the item took its worker with it."""

_SUSPECTS = 16  # that wait before the others pause for them


@runtime_checkable
class ScanEngine(Protocol):
    """Judges many items."""

    def run(self, make: Maker, items: Iterable[Item]) -> Iterator[Judged]:
        """Yield what came of each item, as it is done.

        Raises:
            VeridicalError: If no judge can be made.
        """
        ...


@dataclass(frozen=True)
class InThreads:
    """All in this process, with one model.

    Attributes:
        jobs: Items at a time.
    """

    jobs: int = field(default_factory=cores)

    def run(self, make: Maker, items: Iterable[Item]) -> Iterator[Judged]:
        """Yield what came of each item, in order."""
        judge = make()
        engine = Serial() if self.jobs == 1 else Threads(self.jobs)
        yield from engine.map(judge, items)


@dataclass(frozen=True)
class InProcesses:
    """Each worker a process, on one thread; the network lies in memory once for all of them.

    A worker that dies (the system killed it for its memory, a decoder crashed) or takes too long
    costs no other item anything. What it was judging is tried once more, alone on the machine; if
    that fails too, the item has failed.

    Attributes:
        jobs: Processes.
        deadline_s: Seconds for one item; then its worker is killed.
        start_s: Seconds for a worker to load its model.
        scratch: Where a folder for the shared network is made; None for that of the system.
    """

    jobs: int = field(default_factory=cores)
    deadline_s: float = 600.0
    start_s: float = 300.0
    scratch: Path | None = None

    def run(self, make: Maker, items: Iterable[Item]) -> Iterator[Judged]:
        """Yield what came of each item, as it is done."""
        items = iter(items)
        if (first := next(items, None)) is None:  # no model is loaded for nothing
            return
        with ExitStack() as stack:
            if self.jobs > 1 and isinstance(make, Sharing):
                make = self._shared(make, stack)
            crew = _Crew(make, self)
            stack.callback(crew.close)  # before the folder goes
            yield from crew.run(chain((first,), items))

    def _shared(self, make: Sharing, stack: ExitStack) -> Maker:
        """Return a maker whose judges share the network, if that can be."""
        aside = TemporaryDirectory(
            prefix=f"{ASIDE}model-", dir=self.scratch, ignore_cleanup_errors=True
        )
        return make.shared(Path(stack.enter_context(aside))) or make


class _Worker(Worker[Item, Judged]):
    """A process, and what it is judging."""

    def __init__(self, make: Maker, start_s: float) -> None:
        super().__init__(make)
        self.ready = False
        self.item: Item | None = None
        self.until = time.monotonic() + start_s

    def give(self, item: Item, deadline_s: float) -> None:
        """Let it judge an item."""
        self.item, self.until = item, time.monotonic() + deadline_s
        with suppress(OSError):  # it is dead, and that will be noticed
            self.pipe.send(item)


class _Crew:
    """The workers of one scan."""

    def __init__(self, make: Maker, engine: InProcesses) -> None:
        self._make, self._engine = make, engine
        self._workers: list[_Worker] = []
        self._suspects: deque[Item] = deque()
        self._tried: set[str] = set()  # paths of suspects that are tried alone
        self._starts = 0  # that failed, in a row

    def run(self, items: Iterator[Item]) -> Iterator[Judged]:
        exhausted = False
        while True:
            while len(self._workers) < self._engine.jobs:
                self._workers.append(_Worker(self._make, self._engine.start_s))
            pausing = exhausted or len(self._suspects) >= _SUSPECTS
            busy = [one for one in self._workers if one.item]
            while not pausing and len(busy) < self._engine.jobs:
                if (worker := self._idle()) is None:
                    break
                if (item := next(items, None)) is None:
                    exhausted = pausing = True
                    break
                worker.give(item, self._engine.deadline_s)
                busy.append(worker)
            if pausing and not busy:
                if not self._suspects:
                    if exhausted:
                        return
                    continue
                if worker := self._idle():
                    item = self._suspects.popleft()
                    self._tried.add(item.path)
                    worker.give(item, self._engine.deadline_s)
            yield from self._hear()

    def close(self) -> None:
        for one in self._workers:
            one.kill()

    def _idle(self) -> _Worker | None:
        """Return a worker that waits."""
        return next((one for one in self._workers if one.ready and not one.item), None)

    def _hear(self) -> Iterator[Judged]:
        """Wait until some worker has something to say, dies or is late."""
        now = time.monotonic()
        pending = [one for one in self._workers if one.item or not one.ready]
        if not pending:
            return
        patience = max(0.0, min(one.until for one in pending) - now)
        heard = wait([one.pipe for one in pending], timeout=patience)
        for worker in pending:
            if worker.pipe in heard:
                yield from self._told(worker)
            elif time.monotonic() > worker.until:
                yield from self._lost(worker, HUNG)

    def _told(self, worker: _Worker) -> Iterator[Judged]:
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._lost(worker, DIED)
            return
        if isinstance(said, VeridicalError):
            raise said
        if said is None:
            worker.ready, self._starts = True, 0
        else:
            self._tried.discard(said.item.path)
            worker.item = None
            yield said

    def _lost(self, worker: _Worker, why: str) -> Iterator[Judged]:
        self._workers.remove(worker)
        worker.kill()
        if (item := worker.item) is None:
            self._starts += 1
            if self._starts >= STARTS:
                raise ScanError(
                    f"Workers end before they are ready ({worker.end}).",
                    hint="Use fewer --jobs, or --engine threads, which says more.",
                )
        elif item.path in self._tried:
            self._tried.discard(item.path)
            yield failed(item, _failure(item, why, worker.end, self._engine.deadline_s), why)
        else:
            self._suspects.append(item)


def _failure(item: Item, why: str, end: str, deadline_s: float) -> Failure:
    what = f"takes longer than {deadline_s:g} s" if why == HUNG else f"ends its worker ({end})"
    return Failure(
        path=item.path,
        error=f"{item.path}: {what}, also when it is judged alone.",
        hint="Look at the file with other tools; it may be made to do harm.",
    )


# --- Ray -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OnRay:
    """Workers on the machines of a Ray cluster, all of which can read the same paths.

    When a machine is lost, its items are judged elsewhere; one that is lost again and again has
    failed.

    Attributes:
        jobs: Workers; None for one per CPU of the cluster.
        address: Of the cluster; `auto` finds one that runs here, None begins one.
        tries: How often an item is given to a worker.
    """

    jobs: int | None = None
    address: str | None = None
    tries: int = 3

    def run(self, make: Maker, items: Iterable[Item]) -> Iterator[Judged]:
        """Yield what came of each item, as it is done."""
        from veridical._optional import need

        ray: Any = need("ray", extra="ray", to="scan with the engine ray")
        ours = not ray.is_initialized()
        if ours:
            try:
                ray.init(address=self.address, log_to_driver=False, configure_logging=False)
            except ConnectionError as error:
                raise ScanError(
                    f"No Ray cluster at {self.address!r} ({error}).",
                    hint="Start one with `ray start --head`, or leave --address out.",
                ) from error
        try:
            yield from self._judged(ray, make, iter(items))
        finally:
            if ours:
                ray.shutdown()

    def _judged(self, ray: Any, make: Maker, items: Iterator[Item]) -> Iterator[Judged]:
        jobs = self.jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        made = ray.put(make)
        hire = partial(ray.remote(num_cpus=1, max_restarts=0)(_RayWorker).remote, made)
        starting: dict[Any, Any] = {}
        idle: list[Any] = []
        running: dict[Any, tuple[Any, Item, int]] = {}
        again: deque[tuple[Item, int]] = deque()
        failures, exhausted = 0, False

        def start() -> None:
            worker = hire()
            starting[worker.ready.remote()] = worker

        for _ in range(jobs):
            start()
        while True:
            while idle and (again or not exhausted):
                item, tries = again.popleft() if again else (next(items, None), 1)
                if item is None:
                    exhausted = True
                    break
                worker = idle.pop()
                running[worker.judge.remote(item)] = worker, item, tries
            if exhausted and not running and not again:
                return
            # A worker for which the cluster has no room any more keeps nobody waiting.
            (done, *_), _ = ray.wait([*running, *starting])
            if done in starting:
                worker = starting.pop(done)
                try:
                    ray.get(done)
                except ray.exceptions.RayError as error:
                    failures += 1
                    _raise_ours(error)
                    if failures >= STARTS + jobs:
                        raise ScanError(
                            f"Workers end before they are ready ({error}).",
                            hint="Is veridical installed on all machines?",
                        ) from error
                    start()
                else:
                    idle.append(worker)
                continue
            worker, item, tries = running.pop(done)
            try:
                found = ray.get(done)
            except ray.exceptions.RayTaskError as error:  # the judge raised, which it never should
                _raise_ours(error)
                raise
            except ray.exceptions.RayError:  # the worker, or its machine, is gone
                start()
                if tries < self.tries:
                    again.append((item, tries + 1))
                    continue
                found = failed(item, _failure(item, DIED, "it or its machine is lost", 0), DIED)
            else:
                idle.append(worker)
            yield found


def _raise_ours(error: BaseException) -> None:
    """Raise what a worker raised on purpose."""
    told = getattr(error, "cause", None)
    if isinstance(told, VeridicalError):
        raise told from None
    # An actor whose making failed says so in text only.
    if "veridical.errors." in str(error):
        raise ScanError(
            f"No worker can be made: {str(error).strip().splitlines()[-1]}",
            hint="Check that all machines have the model and the packages.",
        ) from error


class _RayWorker:
    """A worker on some machine."""

    def __init__(self, make: Maker) -> None:
        self._judge: Judge = make()

    def ready(self) -> bool:
        """Answer when the model is loaded."""
        return True

    def judge(self, item: Item) -> Judged:
        """Judge one item."""
        return self._judge(item)
