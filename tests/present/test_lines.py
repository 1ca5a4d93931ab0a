import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tests.present.made import FAILURE, REPORT, SMALL, judged, report
from veridical.present.lines import header, line
from veridical.present.words import WORD, shortly
from veridical.report import Decision, Failure, Reason, Report


def shown(*outcomes: Report | Failure, **options: Any) -> list[str]:
    into = Console(**{"file": io.StringIO(), "width": 80, **options})
    header(into, 0.9)
    for outcome in outcomes:
        line(outcome, into)
    assert isinstance(into.file, io.StringIO)
    return into.file.getvalue().splitlines()


def test_one_picture_is_one_line_with_its_path_in_one_piece_at_the_end() -> None:
    path = "folder/" * 30 + "猫 é.jpg"
    made = replace(REPORT, path=path)
    head, told = shown(made)
    assert head.split()[5:] == ["WHY", "FILE", "SAYS", "FACES", "PICTURE"]
    assert told.startswith("AI-GENERATED   0.973  0.912 to 0.994    clear enough        -")
    assert told.endswith(f"    1  {path}")


def test_frames_that_were_not_judged_are_counted_behind_the_path() -> None:
    assert shown(replace(REPORT, frames=12))[1].endswith(f"{REPORT.path} (1 of 12 frames)")


def test_columns_stand_below_each_other() -> None:
    certain = judged(Decision.REAL, p_ai=0.0001, interval=(0.0001, 0.9999))
    outcomes: list[Report | Failure] = [
        REPORT,
        report(SMALL),
        report(),
        report(certain, SMALL),
        FAILURE,
    ]
    outcomes += [report(judged(Decision.UNDECIDED, reason)) for reason in Reason]
    head, *rows = shown(*outcomes)
    for row in rows:
        assert row.index("b.jpg" if "NOT JUDGED" in row else "portraits/") == head.index("PICTURE")
        assert row[head.index("WHY") - 1] == " "
        assert row[head.index("WHY")] != " "
        assert row[head.index("FACES") - 1] == " "
    assert max(len(shortly(reason)) for reason in Reason) <= 18


def test_a_failure_stands_in_the_same_list_and_says_what_came() -> None:
    _, told = shown(FAILURE)
    assert told.split()[:2] == ["NOT", "JUDGED"]
    assert told.endswith("b.jpg: zero bytes came.")


@pytest.mark.parametrize("decision", Decision)
def test_the_decision_is_a_word_and_only_a_terminal_gets_colours(decision: Decision) -> None:
    made = report(judged(decision))
    assert shown(made)[1].split()[0] == WORD[decision]
    assert "\x1b[1;" in shown(made, force_terminal=True, color_system="standard")[1]


def test_nothing_from_outside_drives_the_terminal() -> None:
    hostile = "[red]\x1b[31m\x07\u202egpj.:smile:\udce9\n.jpg"
    made = replace(REPORT, path=hostile)
    failed = Failure(path=hostile, error=f"{hostile}: bad.", hint="")
    _, *rows = shown(made, failed, replace(REPORT, path=None))
    assert len(rows) == 3
    assert all(row.isprintable() for row in rows)
    assert rows[0].endswith(r"[red]\x1b[31m\x07\u202egpj.:smile:\udce9\n.jpg")
    assert rows[2].endswith("a picture without a file name")
    ascii_only = Console(file=io.TextIOWrapper(raw := io.BytesIO(), encoding="ascii"), width=80)
    line(replace(REPORT, path="é.jpg"), ascii_only)
    ascii_only.file.flush()
    assert rb"\xe9.jpg" in raw.getvalue()
