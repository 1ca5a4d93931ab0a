"""Signs of life at standard error: how far the work is, while nothing else is printed.

Work that takes longer than three seconds, or has more than three items, shows itself: at a terminal
by a bar; in a pipe, a log or CI by one plain line every few seconds. Answers go to standard output
and never share a line with a bar.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOBase
from threading import Event, RLock, Thread
from typing import Any

FEW = 3  # items that need no sign if they are fast
PATIENCE = 3.0  # s, without any sign
EVERY = 4.0  # s, between plain lines


class Progress:
    """Shows how far the work is, from a thread of its own. Use it in a `with`.

    Args:
        stream: Where to; None for standard error.
        patience: Seconds before the first sign of work on few items.
        every: Seconds between plain lines.
    """

    def __init__(
        self, stream: TextIOBase | None = None, *, patience: float = PATIENCE, every: float = EVERY
    ) -> None:
        self._stream: Any = stream or sys.stderr
        self._every, self._patience = every, patience
        self._lock, self._woken, self._over = RLock(), Event(), Event()
        self._what, self._done = "Starting", 0
        self._total: int | None = None
        self._since = time.monotonic()
        self._visible = False
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._woken.set()
        self._thread.join()
        with self._lock:
            if self._bar:
                self._bar.stop()

    def begin(self, what: str, total: int | None = None, *, counted: bool = False) -> None:
        """Say what is being done now.

        Args:
            what: Such as "Judging pictures".
            total: Items, if that is known.
            counted: Whether `advance` will tell of each item; many are a reason to show them.
        """
        with self._lock:
            self._what, self._total, self._done = what, total, 0
            self._since = time.monotonic()
            if self._task is not None:
                self._bar.reset(self._task, description=what, total=total, of=total or "?")
        if counted and (total is None or total > FEW):
            self._show()

    def advance(self) -> None:
        """Count an item."""
        with self._lock:
            self._done += 1
            if self._task is not None:
                self._bar.advance(self._task)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bar off the terminal while something else is printed."""
        with self._lock:
            if self._bar:
                self._bar.stop()
            try:
                yield
            finally:
                if self._bar and not self._over.is_set():
                    self._bar.start()

    # --- what is shown -------------------------------------------------------------------------

    def _watch(self) -> None:
        self._woken.wait(self._patience)
        while not self._over.is_set():
            self._show()
            self._over.wait(self._every)
            with self._lock:
                if not self._bar and not self._over.is_set():
                    self._line()

    def _show(self) -> None:
        with self._lock:
            if self._visible or self._over.is_set():
                return
            self._visible = True
            self._woken.set()
            if self._stream.isatty():
                self._open_bar()
            if not self._bar:
                self._line()

    def _line(self) -> None:
        # This runs beside the import of everything else, so it comes from a module without imports.
        from veridical.present.numbers import progress

        passed = time.monotonic() - self._since
        with suppress(OSError, ValueError):  # nobody listens any more
            self._stream.write(f"{progress(self._what, self._done, self._total, passed)}\n")
            self._stream.flush()

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = Console(file=self._stream)
        if console.is_dumb_terminal:
            return
        columns = (
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed:.0f} of {task.fields[of]}"),
            TimeRemainingColumn(),
        )
        # Redirecting would send answers, which belong to standard output, to standard error.
        self._bar = Bar(
            *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._task = self._bar.add_task(
            self._what, total=self._total, completed=self._done, of=self._total or "?"
        )
        self._bar.start()
