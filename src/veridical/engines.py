"""How many pictures at a time: an engine maps one function over many items, in order.

Scale is an argument (docs/architecture.md, decision 9): what is done to one picture never knows
how many others there are. An engine keeps the order of its input and holds only a few items in
flight, so that a folder of millions needs no more memory than a folder of ten.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

A = TypeVar("A")
B = TypeVar("B")


@runtime_checkable
class Engine(Protocol):
    """Maps a function over items: lazily, one result per item, in the items' order."""

    def map(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """Yield `work(item)` for each item, in order. What `work` raises is raised here."""
        ...


@dataclass(frozen=True)
class Serial:
    """One item after the other, in the calling thread."""

    def map(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """Yield `work(item)` for each item, in order."""
        for item in items:
            yield work(item)


@dataclass(frozen=True)
class Threads:
    """A pool of threads. Decoders, ONNX Runtime and BLAS let go of the interpreter lock.

    Attributes:
        jobs: Items worked on at the same time.
        ahead: Finished or running items held per job while the first of them is awaited.
    """

    jobs: int
    ahead: int = 2

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise ValueError(f"An engine needs at least one job; got {self.jobs}.")

    def map(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """Yield `work(item)` for each item, in order; `jobs` items are worked on at a time."""
        pending: deque[Future[B]] = deque()
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                for item in items:
                    pending.append(pool.submit(work, item))
                    if len(pending) >= self.jobs * (1 + self.ahead):
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()


def cores() -> int:
    """Return how many cores this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1
