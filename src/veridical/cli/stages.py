"""What is being done, at standard error: how much of it, how fast, and the time left.

On a terminal one line moves. Elsewhere (a file, a pipe, the log of a job) a line is added whenever
a stage begins, and then every few seconds, also while one item takes long.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from veridical.cli.deputy import Deputy

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

T = TypeVar("T")

EVERY_S = 3.0  # between two lines where there is no terminal
_RECENT_S = 30.0  # that a rate is measured over: what a cache holds goes by much faster
_KEY, _TOLD = "veridical.stages", "veridical.told"
_FIRST, _NEXT = "Starting", "Going on"  # shown where long nothing is said of what is being done


class Stages:
    """Shows the stages of a command, one at a time; use it in a `with` statement.

    Attributes:
        kept: What becomes of the work if it is stopped, as a sentence; set by the command.
    """

    def __init__(self) -> None:
        self.kept = ""
        self._what, self._done, self._total = "", 0, 0
        self._began = self._spoke = monotonic()
        self._seen: deque[tuple[float, int]] = deque()
        self._lock, self._over = Lock(), Event()
        self._thread: Thread | None = None
        self._deputy: Deputy | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    # --- for commands --------------------------------------------------------------------------

    def say(self, what: str) -> None:
        """Begin a stage that has no count."""
        self._begin(what)

    def track(self, items: Iterable[T], what: str, total: int) -> Iterator[T]:
        """Pass items on, as a stage of so many."""
        self._begin(what, total)
        for item in items:
            yield item
            self._advance()
        self._begin(_NEXT)

    def stopped(self) -> str:
        """Return what was done when the work was stopped, as sentences."""
        count = f", {self._done:,} of {self._total:,} done" if self._total else ""
        where = "." if self._what in (_FIRST, _NEXT) else f" at: {self._what}{count}."
        return f"Stopped{where} {self.kept}".rstrip()

    def close(self) -> None:
        """Show nothing more."""
        self._over.set()
        if self._bar:
            self._bar.stop()
        if self._thread:
            self._thread.join()

    def __enter__(self) -> "Stages":
        from rich.console import Console

        console = Console(stderr=True)
        if console.is_terminal:
            self._bar = _bar(console)
            self._bar.start()
        self._begin(_FIRST)
        self._thread = Thread(target=self._speak, daemon=True)
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

    def _begin(self, what: str, total: int = 0) -> None:
        self._finish()
        with self._lock:
            self._what, self._done, self._total = what, 0, total
            self._began = monotonic()
            self._seen = deque([(self._began, 0)])
        if self._bar:
            self._task = self._bar.add_task(_escaped(what), total=total or None, rate="")
        elif what not in (_FIRST, _NEXT):
            self._line()
        self._brief()

    def _advance(self) -> None:
        now = monotonic()
        with self._lock:
            self._done += 1
            if now - self._seen[-1][0] > 1:
                self._seen.append((now, self._done))
            while len(self._seen) > 2 and now - self._seen[0][0] > _RECENT_S:
                self._seen.popleft()
        if self._bar and self._task is not None:
            rate = f"{speed:.2g}/s, left" if (speed := self._speed()) else ""
            self._bar.update(self._task, completed=self._done, rate=rate)

    def _finish(self) -> None:
        """End a stage; one that took long, or was counted, leaves a line."""
        took = monotonic() - self._began
        with self._lock:
            line, what = f"{self._counted()}: done in {_span(took)}", self._what
        shown = what not in ("", _FIRST, _NEXT)
        if self._bar and self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
            if shown:
                self._bar.console.print(line, markup=False, highlight=False)
        elif shown and (self._total or took >= EVERY_S):
            self._echo(line)

    def _speak(self) -> None:
        born = monotonic()
        while not self._over.wait(0.25):
            now = monotonic()
            if self._bar:
                self._spoke = now  # it moves as long as we live
            elif now - self._spoke >= EVERY_S:
                self._line()
            if not self._deputy and now - born > 1 and (stream := _stream()) is not None:
                self._deputy = Deputy(stream, "\r\x1b[2K" if self._bar else "")
            self._brief()
        if self._deputy:
            self._deputy.close()

    def _brief(self) -> None:
        """Tell the deputy what it would have to say."""
        if self._deputy:
            now = monotonic()
            self._deputy.hear(self._counted(), now - self._began, now - self._spoke)

    def _line(self) -> None:
        with self._lock:
            after = monotonic() - self._began
            line = self._counted()
            if self._total and (speed := self._speed()):
                left = _span((self._total - self._done) / speed)
                line += f", {speed:.2g}/s, about {left} left"
            elif after >= 1:
                line += f", {_span(after)}"
        self._echo(line)

    def _echo(self, line: str) -> None:
        self._spoke = monotonic()
        click.echo(line, err=True)

    def _counted(self) -> str:
        count = f": {self._done:,} of {self._total:,}" if self._total else ""
        return f"{self._what}{count}"

    def _speed(self) -> float:
        """Return items per second of late; 0 before one is known."""
        if not self._seen:
            return 0.0
        since, before = self._seen[0]
        span = monotonic() - since
        return (self._done - before) / span if span > 0.5 else 0.0


def _bar(console: Any) -> "Progress":
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    class Left(TimeRemainingColumn):
        """Time left of what is counted; time gone of what is not."""

        def render(self, task: Any) -> Any:
            return TimeElapsedColumn().render(task) if task.total is None else super().render(task)

    class Count(TextColumn):
        """How many, where it is known of how many."""

        def render(self, task: Any) -> Any:
            from rich.text import Text

            return Text("" if task.total is None else f"{task.completed:,.0f}/{task.total:,.0f}")

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        Count(""),
        TextColumn("{task.fields[rate]}"),
        Left(),
        console=console,
        redirect_stdout=False,  # results go to standard output, never through the display
    )


def _stream() -> int | None:
    """Return the descriptor of standard error; None where it has none, as in tests."""
    with suppress(OSError, ValueError, AttributeError):
        return sys.stderr.fileno()
    return None


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _span(seconds: float) -> str:
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


def track(items: Iterable[T], task: str, total: int) -> Iterator[T]:
    """Pass items on and show at standard error how many there were, how fast, and the time left."""
    with stages() as shown:
        yield from shown.track(items, task, total)


def _meta() -> dict[str, Any]:
    context = click.get_current_context(silent=True)
    return {} if context is None else context.meta
