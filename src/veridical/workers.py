"""Processes that each keep a model and work on one item at a time: for scans and for the service.

A worker is another program with memory of its own: what a stranger's file does to it, it does to
nobody else. Who uses it decides what is tried again, and who waits how long.
"""

import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from veridical.errors import VeridicalError

Item = TypeVar("Item")
Found = TypeVar("Found")

STARTS = 3
"""Workers in a row that may end before one is ready."""


@runtime_checkable
class Tells(Protocol):
    """Work that also tells how far it is.

    Attributes:
        say: To be called with each word on the way; it is set in the worker.
    """

    say: Callable[[Any], None]


class Worker(Generic[Item, Found]):
    """A process that was started and may not be ready yet.

    It first says None when it is ready, or the `VeridicalError` for which it cannot be; then it
    says what came of each item that it is given.

    Args:
        make: Called in the process; returns what is called with each item. It pickles.
    """

    def __init__(self, make: Callable[[], Callable[[Item], Found]]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=live, args=(make, other), daemon=True)
        self.process.start()
        other.close()  # or we would not notice its death

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.join()
        self.pipe.close()

    @property
    def end(self) -> str:
        """How it ended: the name of a signal, or its exit status."""
        code = self.process.exitcode
        if code is not None and code < 0:
            with suppress(ValueError):
                return signal.Signals(-code).name
        return f"status {code}"


def live(make: Callable[[], Callable[[Any], Any]], pipe: "Connection[Any, Any]") -> None:
    """Work on what comes through a pipe, until it is closed: the life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    with suppress(EOFError, OSError):  # the parent is gone
        try:
            work = make()
        except VeridicalError as error:
            pipe.send(error)
            return
        pipe.send(None)
        if isinstance(work, Tells):
            work.say = pipe.send
        while True:
            pipe.send(work(pipe.recv()))
