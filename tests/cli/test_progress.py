import io
import re
import time
from collections.abc import Callable

import pytest

from veridical.cli.progress import FEW, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("It never happened.")


def test_little_work_that_is_fast_says_nothing() -> None:
    into = io.StringIO()
    with Progress(into) as progress:
        progress.begin("Loading")
        progress.begin("Judging", FEW, counted=True)
        for _ in range(FEW):
            progress.advance()
    assert into.getvalue() == ""


@pytest.mark.parametrize("total", [FEW + 1, None])
def test_many_items_say_at_once_what_is_done(total: int | None) -> None:
    into = io.StringIO()
    with Progress(into) as progress:
        progress.begin("Judging", total, counted=True)
        assert into.getvalue() == ("Judging: 0 of 4 ...\n" if total else "Judging ...\n")


def test_slow_work_says_so_and_goes_on_saying_how_far_it_is() -> None:
    into = io.StringIO()
    with Progress(into, patience=0.02, every=0.02) as progress:
        progress.begin("Loading")
        until(lambda: into.getvalue().count("Loading ...\n") >= 2)
        progress.begin("Judging", 3, counted=True)
        progress.advance()
        until(lambda: "Judging: 1 of 3, about " in into.getvalue())
    said = into.getvalue()
    time.sleep(0.1)
    assert into.getvalue() == said
    assert "\x1b" not in said


def test_a_terminal_gets_a_bar_that_makes_way_for_answers_and_leaves_nothing() -> None:
    into = Terminal()
    with Progress(into) as progress:
        progress.begin("Judging", 60, counted=True)
        for _ in range(12):
            progress.advance()
        until(lambda: "12 of 60" in into.getvalue())
        with progress.aside():
            cleared = into.getvalue()
            assert cleared.endswith("\x1b[2K")
            time.sleep(0.3)
            assert into.getvalue() == cleared  # nothing is drawn over an answer
        until(lambda: len(into.getvalue()) > len(cleared))
    assert re.search(r"\x1b\[2K$", into.getvalue())
    assert into.getvalue().count("\x1b[?25l") == into.getvalue().count("\x1b[?25h")  # the cursor


def test_a_terminal_that_can_do_nothing_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    into = Terminal()
    with Progress(into) as progress:
        progress.begin("Judging", 60, counted=True)
    assert into.getvalue() == "Judging: 0 of 60 ...\n"


def test_a_reader_that_has_gone_stops_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with Progress(Gone(), patience=0.01, every=0.01) as progress:
        progress.begin("Judging", 60, counted=True)
        time.sleep(0.05)
        progress.advance()
