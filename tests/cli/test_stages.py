import io
import re
import time
from collections.abc import Callable
from itertools import pairwise

import click
import pytest
from click.testing import CliRunner, Result

from veridical.cli import stages
from veridical.cli.main import STOPPED, ErrorGroup
from veridical.errors import DataError, MissingExtra, NotReady


def run(work: "click.Command") -> Result:
    group = ErrorGroup("group")
    group.get_command = lambda *_: work  # type: ignore[method-assign]
    return CliRunner().invoke(group, ["work"])


def test_a_stage_is_renewed_while_one_item_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "EVERY_S", 0.2)

    @click.command()
    def work() -> None:
        with stages.stages() as shown:
            time.sleep(0.6)
            shown.say("Fitting")
            time.sleep(0.6)
            for _ in shown.track(range(2), "Judging", 2):
                time.sleep(0.6)
        click.echo("result")

    done = run(work)
    assert done.stdout == "result\n"
    lines = done.stderr.splitlines()
    for line in ("Starting", "Fitting", "Judging: 0 of 2", "Judging: 1 of 2"):
        assert sum(one.startswith(line) for one in lines) >= 2, lines
    assert lines[-1].startswith("Judging: 2 of 2: done in")


def test_what_is_done_when_it_is_stopped_is_said_in_one_line() -> None:
    @click.command()
    def work() -> None:
        with stages.stages() as shown:
            shown.kept = "It is kept in a\x1b[31m."
            for number in shown.track(range(3000), "Judging pictures", 3000):
                if number == 1200:
                    raise KeyboardInterrupt

    stopped = run(work)
    assert stopped.exit_code == STOPPED == 130
    last = stopped.stderr.splitlines()[-1]
    said = r"Stopped at: Judging pictures, 1,200 of 3,000 done. It is kept in a\x1b[31m."
    assert last == said
    assert "Aborted" not in stopped.output


def test_a_command_that_shows_nothing_can_be_stopped_too() -> None:
    @click.command()
    def work() -> None:
        raise KeyboardInterrupt

    stopped = run(work)
    assert (stopped.exit_code, stopped.stderr.strip()) == (STOPPED, "Stopped.")


def test_every_problem_is_shown_with_what_to_do() -> None:
    @click.command()
    def work() -> None:
        problems = (DataError("a\nb: no rows.", hint="Add."), MissingExtra("x.", hint="Get x."))
        raise NotReady("two", hint="both", problems=problems)

    told = run(work)
    assert told.exit_code == 1
    assert told.stderr.splitlines() == [r"error: a\nb: no rows.", "  Add.", "error: x.", "  Get x."]


# --- a command that is quiet ---------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def quiet(into: io.StringIO) -> stages.Stages:
    return stages.Stages(quiet=True, stream=into)


def until(true: Callable[[], bool]) -> None:
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("It never happened.")


def test_little_work_that_is_fast_says_nothing() -> None:
    into = io.StringIO()
    with quiet(into) as shown:
        shown.say("Loading")
        shown.say("Judging", stages.FEW, counted=True)
        for _ in range(stages.FEW):
            shown.advance()
    assert into.getvalue() == ""


@pytest.mark.parametrize("total", [stages.FEW + 1, None])
def test_many_items_say_at_once_what_is_done(total: int | None) -> None:
    into = io.StringIO()
    with quiet(into) as shown:
        shown.say("Judging", total, counted=True)
        assert into.getvalue() == ("Judging: 0 of 4 ...\n" if total else "Judging ...\n")


def test_slow_work_says_so_and_goes_on_saying_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stages, "EVERY_S", 0.02)
    into = io.StringIO()
    with quiet(into) as shown:
        shown.say("Loading")
        until(lambda: into.getvalue().count("Loading ...\n") >= 2)
        shown.say("Judging", 3, counted=True)
        shown.advance()
        until(lambda: "Judging: 1 of 3, about " in into.getvalue())
    said = into.getvalue()
    time.sleep(0.1)
    assert into.getvalue() == said
    assert "\x1b" not in said


def test_a_terminal_gets_a_bar_that_makes_way_for_answers_and_leaves_nothing() -> None:
    into = Terminal()
    with quiet(into) as shown:
        shown.say("Judging", 60, counted=True)
        for _ in range(12):
            shown.advance()
        until(lambda: "12 of 60" in into.getvalue())
        assert "left" in into.getvalue()
        with shown.aside():
            cleared = into.getvalue()
            assert cleared.endswith("\x1b[2K")
            time.sleep(0.3)
            assert into.getvalue() == cleared  # nothing is drawn over an answer
        until(lambda: len(into.getvalue()) > len(cleared))
    assert re.search(r"\x1b\[2K$", into.getvalue())
    assert into.getvalue().count("\x1b[?25l") == into.getvalue().count("\x1b[?25h")  # the cursor


def test_on_a_terminal_the_stages_of_long_work_leave_a_line_each() -> None:
    into = Terminal()
    with stages.Stages(stream=into) as shown:
        for _ in shown.track(range(3), "Judging", 3):
            pass
        shown.say("Writing")
    for line in ("Judging: 3 of 3: done in 0 s", "Writing: done in 0 s"):
        assert line in into.getvalue()


def test_a_terminal_that_can_do_nothing_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    into = Terminal()
    with quiet(into) as shown:
        shown.say("Judging", 60, counted=True)
    assert into.getvalue() == "Judging: 0 of 60 ...\n"


def test_a_reader_that_has_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(stages, "EVERY_S", 0.01)
    with quiet(Gone()) as shown:
        shown.say("Judging", 60, counted=True)
        time.sleep(0.05)
        shown.advance()


# --- how long it will take -----------------------------------------------------------------------


def lefts(durations: list[float]) -> list[float]:
    """The time left before each item but the first, of work whose items take these seconds."""
    now, told, pace = 0.0, [], stages.Pace(0.0)
    for done, took in enumerate(durations):
        left = pace.left(len(durations) - done, now)
        told += [] if left is None else [left]
        now += took
        pace.count(now)
    return told


def test_the_time_left_of_even_work_is_right_and_goes_down() -> None:
    told = lefts([0.5] * 200)
    for at, left in enumerate(told, start=1):
        assert left == pytest.approx(0.5 * (200 - at), abs=1)


def test_the_time_left_does_not_jump_where_items_come_in_pairs_or_vary() -> None:
    for durations in ([0.001, 1.999] * 200, [1.0, 1.0, 1.0, 5.0] * 100):
        told = lefts(durations)
        early = told[: len(told) // 2]
        for before, after in pairwise(early[20:]):
            assert abs(after - before) < 0.2 * before


@pytest.mark.parametrize("slow", [{10}, {26}, {10, 20, 30, 40}])
def test_a_clip_among_photos_does_not_upset_the_time_left(slow: set[int]) -> None:
    durations = [60.0 if at in slow else 3.0 for at in range(57)]
    for at, left in enumerate(lefts(durations), start=1):
        rest = sum(durations[at:])
        if at > 10 and rest > 20:
            assert rest / 3.5 < left < 3.5 * rest, (at, left, rest)


def test_what_went_fast_at_first_is_forgotten() -> None:
    told = lefts([0.001] * 500 + [2.0] * 300)
    assert told[500 + 60] == pytest.approx(2.0 * 240, rel=0.3)


def test_no_linear_algebra_of_ours_keeps_the_interpreter() -> None:
    """Else nothing could be said meanwhile."""
    from pathlib import Path

    import veridical

    named = re.compile(r"scipy\.linalg|from scipy import .*linalg")
    for path in Path(veridical.__file__).parent.rglob("*.py"):
        code = path.read_text("utf-8").replace(
            "`scipy.linalg.cho_solve`", ""
        )  # named in a docstring
        assert not named.search(code), path
