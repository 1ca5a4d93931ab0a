import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from tests.present.made import (
    AT_1_PERCENT,
    COPIES,
    FACE,
    FAILURE,
    INFORMS,
    REPORT,
    SMALL,
    SPOKEN,
    judged,
    report,
)
from veridical.box import Box
from veridical.claims import Declared
from veridical.present.tally import Tally
from veridical.present.terminal import assumption, show, summary
from veridical.report import Damage, Decision, Failure, Reason, Report

HOSTILE = "[red]\x1b[31m\x07\u202egpj.:smile:\udce9\n.jpg"


def console(**options: Any) -> Console:
    return Console(**{"file": io.StringIO(), "width": 80, **options})


def shown(outcome: Report | Failure, *, details: bool = False, **options: Any) -> str:
    into = console(**options)
    show(outcome, into, details=details)
    assert isinstance(into.file, io.StringIO)
    return into.file.getvalue()


def lines(outcome: Report | Failure) -> list[str]:
    text = shown(outcome)
    assert text.endswith("\n\n")
    return text[:-2].splitlines()


# --- one photo ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason != Reason.WHOLE_IMAGE])
@pytest.mark.parametrize("decision", Decision)
def test_one_photo_fits_in_seven_lines_of_80_columns(decision: Decision, reason: Reason) -> None:
    found = lines(report(judged(decision, reason)))
    assert len(found) <= 7
    assert max(map(len, found)) <= 80


def test_the_seven_lines_say_the_answer_why_and_what_to_do() -> None:
    text = " ".join(shown(REPORT).split())
    for part in (
        "portraits/anna.jpg",
        "AI-GENERATED P(ai) 0.973, 90 % credible interval 0.912 to 0.994",
        "Why Of 100 real pictures like those in our tests, at most about 3 would be called",
        "What to do Check the source. Never accuse a person because of this.",
        "Assumption half of the pictures are AI-generated (change with --prior)",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        (Decision.AI, "of 100 real pictures like those in our tests, at most about 3 would"),
        (Decision.REAL, "of 100 AI-generated pictures like those in our tests, at most about 10"),
    ],
)
def test_the_mistakes_counted_are_those_of_the_class_that_would_be_wronged(
    decision: Decision, says: str
) -> None:
    text = " ".join(shown(report(judged(decision))).split())
    assert says in text.replace("Of 100", "of 100")


def test_another_prior_is_one_line_more() -> None:
    at = replace(REPORT, at_prior=AT_1_PERCENT)
    assert len(lines(at)) == len(lines(REPORT)) + 1
    text = " ".join(shown(at).split())
    assert "At 1 % P(ai) 0.267, 0.095 to 0.626; likelihood ratio 36" in text
    assert "--prior" not in text
    assert "10.4 to 166: 3.58 nats in support of AI-generated." in " ".join(
        shown(at, details=True).split()
    )


def test_cues_are_one_line_each() -> None:
    face = replace(FACE, readings=(SPOKEN, INFORMS))
    assert len(lines(report(face))) == len(lines(REPORT)) + 2


@pytest.mark.parametrize("decision", Decision)
def test_the_decision_is_a_word_without_any_colour(decision: Decision) -> None:
    words = {"real": "REAL", "ai": "AI-GENERATED", "undecided": "UNDECIDED"}
    text = shown(report(judged(decision)))
    assert text.splitlines()[1].split()[0] == words[decision]
    assert "\x1b" not in text


def test_details_add_the_numbers_the_steps_the_hash_and_the_model() -> None:
    made = report(judged(stability=COPIES))
    text, short = (" ".join(shown(made, details=more).split()) for more in (True, False))
    for part in (
        "EXIF orientation 6 applied",
        "ab" * 32,
        "0123456789ab",
        "120 x 100 px",
        "aleatoric 0.12 nats",
        "Distance 0.40 from the training pictures",
        "Copies P(ai) and answer of copies, saved again or made smaller: jpeg-60 0.950 (AI-",
        "Only one answer is plausible at this coverage.",
        "50 x 60 px at 30, 20, confidence 0.90",
    ):
        assert part in text
        assert part not in short


def test_each_of_several_faces_has_its_line() -> None:
    made = report(FACE, judged(Decision.REAL, p_ai=0.0001, interval=(0.0, 0.001)), SMALL)
    rows = shown(made).splitlines()
    at = next(i for i, line in enumerate(rows) if line.strip().startswith("Faces"))
    first, second, third = (line.split() for line in rows[at : at + 3])
    assert first[1:4] == ["1", "AI-GENERATED", "0.973"]
    assert second[:3] == ["2", "REAL", "<0.001"]
    assert third[:5] == ["3", "not", "judged", "-", "-"]
    assert "fewer pixels than the model needs" in shown(made, details=True)


def test_a_picture_without_a_judged_face_shows_no_number() -> None:
    text = shown(report(path=None))
    assert "a picture without a file name" in text
    assert "P(ai) could not be estimated" in text
    assert "No face was found" in text
    assert "Assumption" not in text


# --- failures -----------------------------------------------------------------------------------


def test_a_failure_says_what_came_and_what_to_do_and_names_the_file_once() -> None:
    text = shown(FAILURE)
    assert text.count("b.jpg") == 1
    assert "NOT JUDGED" in text
    assert "Zero bytes came." in text
    assert "Get the file again." in text


def test_a_traceback_is_shown_only_on_request() -> None:
    failure = replace(FAILURE, bug="Traceback\n  File x\nKeyError: \x1b[2J")
    assert "KeyError" not in shown(failure)
    assert r"KeyError: \x1b[2J" in shown(failure, details=True)


# --- any terminal, any name ---------------------------------------------------------------------


def test_a_file_name_is_never_read_as_markup_or_emoji() -> None:
    made = replace(REPORT, path="[red]x[/red] :smile: [link=http://a]y.jpg")
    text = shown(made, force_terminal=True, color_system="truecolor")
    assert "[red]x[/red] :smile: [link=http://a]y.jpg" in text


@pytest.mark.parametrize("details", [False, True])
def test_nothing_from_outside_reaches_the_terminal_with_control_characters(details: bool) -> None:
    reading = replace(SPOKEN, plain=HOSTILE, technical=HOSTILE)
    made = report(replace(FACE, readings=(reading,)), path=HOSTILE, steps=(HOSTILE,))
    failure = Failure(path=HOSTILE, error=f"{HOSTILE}: {HOSTILE}", hint=HOSTILE, bug=HOSTILE)
    for outcome in (made, failure):
        text = shown(outcome, details=details)
        assert all(c.isprintable() for c in text.replace("\n", ""))
        assert text.splitlines()[0] == r"[red]\x1b[31m\x07\u202egpj.:smile:\udce9\n.jpg"


def test_every_line_fits_80_columns_and_no_colour_leaves_no_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = replace(FACE, box=Box(left=9120.0, top=8288.0, width=1412.0, height=1.0))
    made = report(far, SMALL, reasons=tuple(Reason), at_prior=AT_1_PERCENT)
    assert all(len(line) <= 80 for line in shown(made, details=True).splitlines())
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(made, force_terminal=True)
    assert not any(f"\x1b[{code}m" in text for code in ("1;31", "31", "32", "33"))


def test_a_long_path_stays_in_one_piece() -> None:
    path = "folder/" * 20 + "a.jpg"
    assert path in shown(replace(REPORT, path=path))


def test_a_terminal_without_unicode_gets_ascii() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    show(replace(REPORT, path="é.jpg"), console(file=file))
    file.flush()
    assert rb"\xe9.jpg" in raw.getvalue()
    assert re.search(rb"=o=", raw.getvalue())


# --- many photos --------------------------------------------------------------------------------


def told(*outcomes: Report | Failure) -> str:
    into, tally = console(), Tally()
    for outcome in outcomes:
        tally.add(outcome)
    summary(into, tally)
    assert isinstance(into.file, io.StringIO)
    return into.file.getvalue()


def test_the_summary_counts_every_kind_and_all() -> None:
    real, unsure = judged(Decision.REAL), judged(Decision.UNDECIDED, Reason.BOTH_PLAUSIBLE)
    outcomes = [report(real)] * 1200 + [REPORT] * 31 + [report(unsure)] * 7 + [FAILURE] * 2
    rows = [line.split() for line in told(*outcomes).splitlines()]
    assert ["REAL", "1,200", "96.8", "%"] in rows
    assert ["AI-GENERATED", "31", "2.5", "%"] in rows
    assert ["UNDECIDED", "7", "0.6", "%"] in rows
    assert ["NOT", "JUDGED", "2", "0.2", "%"] in rows
    assert ["pictures", "in", "all", "1,240"] in rows
    signed = replace(REPORT, declared=Declared.AI_SIGNED)
    text = " ".join(told(signed, signed, REPORT).split())
    assert "What the files say of their origin 2 AI, signed" in text
    assert "say of their origin" not in told(REPORT)


def test_the_summary_says_why_pictures_got_no_answer_and_what_to_do_the_commonest_first() -> None:
    unsure = report(judged(Decision.UNDECIDED, Reason.BOTH_PLAUSIBLE, Reason.INTERVAL_TOO_WIDE))
    other = replace(FAILURE, hint="Ask \x1b[31mfor it.")
    text = " ".join(told(unsure, report(), unsure, FAILURE, other, FAILURE).split())
    for part in (
        "Why undecided, and what to do next 2 Real and AI-generated pictures both looked like",
        "Look for an earlier copy, or a larger one if the face is small. 1 No face was found",
        "Not judged, and what to do next 2 Get the file again. 1 Ask \\x1b[31mfor it.",
    ):
        assert part in text
    assert "interval" not in text  # the first reason alone counts
    assert "next" not in told(REPORT)


def test_the_summary_of_nothing_divides_by_nothing() -> None:
    assert "nan" not in told()


def test_of_many_pictures_the_assumption_is_said_once() -> None:
    into = console(width=200)
    for _ in range(3):
        show(REPORT, into, alone=False)
    assumption(into, 0.5)
    assert isinstance(into.file, io.StringIO)
    text = into.file.getvalue()
    assert text.count("half of the pictures") == 1
    assert text.endswith(
        "P(ai) assumes that half of the pictures are AI-generated (change with --prior).\n"
    )


def test_damage_and_further_frames_are_said_without_details() -> None:
    whole = Box(left=0.0, top=0.0, width=120.0, height=100.0)
    below = Box(left=0.0, top=60.0, width=120.0, height=40.0)
    for damage, says in (
        (Damage(kind="cut_off", share=0.4, area=below), "40 % of the picture is missing."),
        (Damage(kind="cut_off", share=0.4, area=whole), "missing; the rest may be wrong too."),
        (
            Damage(kind="corrupt", share=0.001, area=whole),
            "at least a little of the picture is wrong",
        ),
        (Damage(kind="scans_missing", share=0.5, area=whole), "50 % of the detail or colour"),
    ):
        made = replace(REPORT, damage=damage)
        assert says in " ".join(shown(made).split())
        assert len(lines(made)) > len(lines(REPORT))
    steps = ("frame 1 of 12 taken",)
    text = " ".join(shown(replace(REPORT, frames=12, steps=steps)).split())
    assert "Frames Only one of 12 was judged (frame 1 of 12 taken); the others may differ." in text
    hidden = replace(REPORT, steps=("default image of the PNG, which viewers hide, passed over",))
    assert "Frames Default image of the PNG" in " ".join(shown(hidden).split())
    assert "Frames" not in shown(REPORT)
