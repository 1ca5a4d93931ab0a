import time

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
            for number in stages.track(range(3000), "Judging pictures", 3000):
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
