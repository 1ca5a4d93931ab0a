"""What is being done, at standard error: how much of it, and the time left.

On a terminal one line moves. Elsewhere (a file, a pipe, the log of a job) a line is added every few
seconds, also while one item takes long. Commands that take minutes say each stage; `inspect` is
quiet: it shows nothing until its work turns out long, and leaves nothing on a terminal.

Calls that keep the interpreter's lock for long would silence it: numpy's linear algebra lets go of
the lock, and scipy's does not.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, RLock, Thread
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from veridical.present.numbers import progress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")

EVERY_S = 3.0  # between two lines where there is no terminal; a quiet command waits so long first
FEW = 3  # items that are no reason for a quiet command to speak
_KEY, _TOLD = "veridical.stages", "veridical.told"
_FIRST, _NEXT = "Starting", "Going on"  # shown where long nothing is said of what is being done


class Pace:
    """How long an item takes of late, smoothed: what a cache holds goes by much faster.

    It forgets by items, not by seconds: one clip among photos is one item, however long it takes.
    """

    CHUNK_S, SMOOTH = 1.0, 12  # items are timed so many seconds at a time; half-life in items

    def __init__(self, now: float) -> None:
        self._begin, self._items, self._seen = now, 0, 0
        self.item_s: float | None = None

    def count(self, now: float, items: int = 1) -> None:
        """Count items that are done."""
        self._items += items
        took = now - self._begin
        if took < self.CHUNK_S and self.item_s is not None:
            return
        self._seen += self._items
        # A mean of all at first, then one that forgets.
        share = max(self._items / self._seen, 1 - 2 ** (-self._items / self.SMOOTH))
        own = took / self._items
        self.item_s = own if self.item_s is None else self.item_s + share * (own - self.item_s)
        self._begin, self._items = now, 0

    def left(self, items: int, now: float) -> float | None:
        """Return the seconds that so many items take; None before one is done."""
        if self.item_s is None:
            return None
        return max(items * self.item_s - (now - self._begin) + self._items * self.item_s, 0.0)


class Stages:
    """Shows the stages of a command, one at a time; use it in a `with` statement.

    Args:
        quiet: Show nothing of what is soon over.
        stream: Where to; None for standard error.

    Attributes:
        kept: What becomes of the work if it is stopped, as a sentence; set by the command.
    """

    def __init__(self, *, quiet: bool = False, stream: Any = None) -> None:
        self.kept = ""
        self._quiet, self._stream = quiet, stream or sys.stderr
        self._what, self._done, self._total = "", 0, 0
        self._born = self._began = self._spoke = monotonic()
        self._pace = Pace(self._began)
        self._shown = False
        self._lock, self._over = RLock(), Event()
        self._thread: Thread | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    # --- for commands --------------------------------------------------------------------------

    def say(self, what: str, total: int | None = None, *, counted: bool = False) -> None:
        """Begin a stage.

        Args:
            what: Such as "Judging pictures".
            total: Items, if that is known.
            counted: Whether `advance` will tell of each item; many are a reason to show them.
        """
        self._finish()
        with self._lock:
            self._what, self._done, self._total = what, 0, total or 0
            self._began = monotonic()
            self._pace = Pace(self._began)
            many = counted and (total is None or total > FEW)
            if not self._shown and (many or not self._quiet):
                self._show()
            elif self._bar:
                self._renew()
            elif self._shown and not self._quiet and what not in (_FIRST, _NEXT):
                self._line()

    def advance(self) -> None:
        """Count an item."""
        with self._lock:
            self._done += 1
            self._pace.count(monotonic())
            if self._bar and self._task is not None:
                self._bar.update(self._task, completed=self._done)

    def reach(self, what: str, done: int, total: int | None) -> None:
        """Say how far a stage is whose items are counted elsewhere.

        Args:
            what: The stage, as it may be named by now.
            done: Items that are done.
            total: Items in all, if that is known by now.
        """
        with self._lock:
            if done > self._done:
                self._pace.count(monotonic(), done - self._done)
            self._what, self._done, self._total = what, done, total or 0
            if self._bar and self._task is not None:
                self._bar.update(self._task, description=what, completed=done, total=total)
            elif not self._shown and done > FEW:
                self._show()

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """Pass items on, as a stage of so many."""
        self.say(what, total, counted=True)
        for item in items:
            yield item
            self.advance()
        self.say(_NEXT)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the moving line off the terminal while something else is printed."""
        with self._lock:
            if self._bar:
                self._bar.stop()
            try:
                yield
            finally:
                if self._bar and not self._over.is_set():
                    self._bar.start()

    def stopped(self) -> str:
        """Return what was done when the work was stopped, as sentences."""
        count = f", {self._done:,} of {self._total:,} done" if self._total else ""
        where = "." if self._what in (_FIRST, _NEXT) else f" at: {self._what}{count}."
        return f"Stopped{where} {self.kept}".rstrip()

    def close(self) -> None:
        """Show nothing more."""
        self._over.set()
        if self._thread:
            self._thread.join()
        with self._lock:
            if self._bar:
                self._bar.stop()

    def __enter__(self) -> "Stages":
        self.say(_FIRST)
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._finish()
        self.close()

    # --- what is shown -------------------------------------------------------------------------

    def _watch(self) -> None:
        while not self._over.wait(min(0.25, EVERY_S / 4)):
            now = monotonic()
            with self._lock:
                if not self._shown:
                    if now - self._born >= EVERY_S:
                        self._show()
                elif not self._bar and now - self._spoke >= EVERY_S:
                    self._line()

    def _show(self) -> None:
        """Show something from now on."""
        self._shown = True
        if self._stream.isatty():
            self._open_bar()
        if not self._bar and (self._quiet or self._what not in (_FIRST, _NEXT)):
            self._line()

    def _finish(self) -> None:
        """End a stage; one that took long, or was counted, leaves a line unless all is quiet."""
        with self._lock:
            if self._quiet or self._what in ("", _FIRST, _NEXT):
                return
            took = monotonic() - self._began
            line = f"{progress(self._what, self._done, self._total)}: done in {span(took)}"
            if self._bar:
                self._bar.console.print(line, markup=False, highlight=False)
            elif self._total or took >= EVERY_S:
                self._write(line)

    def _line(self) -> None:
        now = monotonic()
        left = self._pace.left(self._total - self._done, now) if self._total else None
        line = progress(self._what, self._done, self._total)
        if left is not None:
            line += f", about {span(left)} left"
        elif now - self._began >= 1:
            line += f", {span(now - self._began)}"
        self._write(f"{line} ...")

    def _write(self, line: str) -> None:
        self._spoke = monotonic()
        with suppress(OSError, ValueError):  # nobody listens any more
            click.echo(line, file=self._stream)
            self._stream.flush()

    def _left(self) -> str:
        """Return what stands at the end of the moving line."""
        now = monotonic()
        left = self._pace.left(self._total - self._done, now) if self._total else None
        return span(now - self._began) if left is None else f"about {span(left)} left"

    def _open_bar(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
        from rich.text import Text

        stages = self

        class Count(TextColumn):
            """How many, where that is counted."""

            def render(self, _task: Any) -> Text:
                of = f" of {stages._total:,}" if stages._total else ""
                return Text(f"{stages._done:,}{of}" if of or stages._done else "")

        class Left(TextColumn):
            """Our own time left: rich's has its own ideas of a rate."""

            def render(self, _task: Any) -> Text:
                return Text(stages._left())

        console = Console(file=self._stream)
        if console.is_dumb_terminal:
            return
        # Redirecting would send answers, which belong to standard output, to standard error.
        self._bar = Progress(
            SpinnerColumn("line"),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            Count(""),
            Left(""),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._renew()
        self._bar.start()

    def _renew(self) -> None:
        """Begin the moving line of another stage."""
        assert self._bar
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(self._what, total=self._total or None, completed=self._done)


def span(seconds: float) -> str:
    """Return a time in whole seconds, minutes or tenths of hours."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    return f"{round(seconds / 60)} min" if whole < 100 * 60 else f"{seconds / 3600:.1f} h"


# --- the stages of the command that runs ---------------------------------------------------------


@contextmanager
def stages() -> Iterator[Stages]:
    """Return the stages of the command that runs; begin to show them if nobody has."""
    meta = _meta()
    if isinstance(known := meta.get(_KEY), Stages):
        yield known
        return
    with Stages() as own:
        meta[_KEY] = own
        yield own
    del meta[_KEY]  # not where the work was stopped: `stopped` is asked then


def on_stop(told: Callable[[], str]) -> None:
    """Say what a command without stages had done, should it be stopped."""
    _meta()[_TOLD] = told


def stopped() -> str:
    """Return what a command had done when it was stopped; see `Stages.stopped`."""
    known, told = _meta().get(_KEY), _meta().get(_TOLD)
    if callable(told):
        return str(told())
    if not isinstance(known, Stages):
        return "Stopped."
    known.close()
    return known.stopped()


def _meta() -> dict[str, Any]:
    context = click.get_current_context(silent=True)
    return {} if context is None else context.meta
