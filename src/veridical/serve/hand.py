"""A worker, as the event loop of the service sees it."""

import asyncio
import multiprocessing
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from veridical.serve.orders import Heard, Progress
from veridical.workers import Worker

STOP = getattr(signal, "SIGUSR1", None)
"""Asks a worker to stop what it is doing; None where there are no such signals."""

GONE = object()
"""Comes out of the inbox of a worker that has ended."""


@dataclass(frozen=True)
class Bound:
    """Makes a worker whose life is bound to the service, and to nothing else.

    A signal to the whole group of processes, such as Ctrl-C or what a supervisor sends, is the
    service's to answer: what was begun is to end. The worker ends when the service ends it, or is
    gone itself.

    Attributes:
        make: What the worker makes first.
    """

    make: Any

    def __call__(self) -> Any:
        """Return what the worker works with."""
        for one in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            signal.signal(one, signal.SIG_IGN)
        Thread(target=_follow, name="follow", daemon=True).start()
        return self.make()


def _follow() -> None:
    """End with the parent, whatever is being done."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


class Hand:
    """A worker whose words arrive in an inbox. To be made, told and ended outside the loop.

    Args:
        make: What the worker makes first.
        loop: Of the inbox.
    """

    def __init__(self, make: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.worker: Worker[Any, Any] = Worker(Bound(make))
        self.inbox: asyncio.Queue[Any] = asyncio.Queue()
        self.heard: Heard = _nobody
        """Hears how far the worker is."""
        self._loop = loop
        self._ear = Thread(target=self._listen, name="ear", daemon=True)
        self._ear.start()

    def send(self, what: object) -> bool:
        """Give it something to do; return whether it was there to take it. Blocks meanwhile."""
        try:
            self.worker.pipe.send(what)
        except OSError:  # it is dead, and the inbox says so
            return False
        return True

    def kill(self) -> None:
        """End it at once."""
        self.worker.process.kill()
        self._ear.join()  # nobody may close a pipe that is being read
        self.worker.kill()

    def nudge(self) -> bool:
        """Ask it to stop what it is doing; return whether that can be asked."""
        pid = self.worker.process.pid
        if STOP is None or pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(pid, STOP)
        return True

    def mbytes(self) -> float:
        """Return its memory, MiB; 0 where that is not told."""
        with suppress(OSError, ValueError, IndexError):
            statm = Path(f"/proc/{self.worker.process.pid}/statm").read_bytes()
            return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        return 0.0

    def _listen(self) -> None:
        said: object = None
        while said is not GONE:
            try:
                said = self.worker.pipe.recv()
            except Exception:  # the end, or what is left of a word that was cut off by it
                said = GONE
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._take, said)

    def _take(self, said: object) -> None:
        if isinstance(said, Progress):
            self.heard(said)
        else:
            self.inbox.put_nowait(said)


def _nobody(_progress: Progress) -> None: ...
