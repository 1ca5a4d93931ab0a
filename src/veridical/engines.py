"""How many items at a time: an engine maps one function over many items, in order.

Scale is an argument (docs/architecture.md, decision 9): what is done to one picture never knows
how many others there are. An engine keeps the order of its input and holds only a few items in
flight, so that a folder of millions needs no more memory than a folder of ten.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from traceback import format_exc
from typing import Protocol, TypeVar, runtime_checkable

from veridical.errors import VeridicalError
from veridical.report import Failure

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


def engine_of(jobs: int) -> Engine:
    """Return the engine that works on so many items at a time."""
    return Serial() if jobs == 1 else Threads(jobs)


def outcomes(
    work: Callable[[A], B], items: Iterable[A | Failure], engine: Engine
) -> Iterator[B | Failure]:
    """Yield one outcome per item, in order: what `work` returns, or why there is nothing.

    What failed before it could be worked on keeps its place among the others.
    """
    return engine.map(partial(outcome, work), items)


def outcome(work: Callable[[A], B], item: A | Failure, *, path: str | None = None) -> B | Failure:
    """Work on one item; what goes wrong with it becomes a `Failure` that names it.

    Args:
        work: What to do.
        item: With what. A `Failure` is returned as it is.
        path: Of the picture; None to take the item's own, if it is or has one.
    """
    if isinstance(item, Failure):
        return item
    if path is None and isinstance(item, str | os.PathLike):
        path = os.fsdecode(item)
    elif path is None:
        path = getattr(item, "path", None)
    try:
        return work(item)
    except VeridicalError as error:  # raised on purpose: the file's fault
        return Failure(path=path, error=error.message, hint=error.hint, cli_hint=error.cli_hint)
    except Exception as error:  # our fault, and the one broad catch: it costs this item, says so
        return Failure(
            path=path,
            error=f"internal error ({type(error).__name__})",
            hint="This is a fault of veridical; please report it with the traceback.",
            bug=format_exc(),
        )
