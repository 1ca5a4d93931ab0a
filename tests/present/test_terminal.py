import io
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.present.made import REPORT as SHARED
from tests.present.made import VERDICT
from veridical.infer.priors import at_prior, predictive_values
from veridical.present.terminal import (
    bar,
    because,
    in_numbers,
    in_short,
    in_words,
    nats,
    percent,
    printable,
    ratio,
    share,
    show,
    summary,
)
from veridical.report import (
    Box,
    Decision,
    FaceResult,
    Failure,
    NotApplicable,
    Reading,
    Reason,
    Report,
    Stability,
)

FACE = FaceResult(
    box=Box(left=120.4, top=88.0, width=300.0, height=412.0),
    landmarks=(),
    confidence=0.9,
    verdict=VERDICT,
    reasons=VERDICT.reasons,
)
SMALL = replace(FACE, verdict=None, reasons=(Reason.FACE_TOO_SMALL,))
REPORT = replace(
    SHARED,
    path="portraits/anna.jpg",
    width=1024,
    height=768,
    steps=("EXIF orientation 6 applied",),
    faces=(FACE,),
)
FAILURE = Failure(path="b.jpg", error="b.jpg: zero bytes came.", hint="Get the file again.")
HOSTILE = "[red]\x1b[31m\x07\u202egpj.:smile:\udce9\n.jpg"


def console(**options: Any) -> Console:
    return Console(**{"file": io.StringIO(), "width": 80, **options})


def shown(outcome: Report | Failure, *, verbose: bool = False, **options: Any) -> str:
    into = console(**options)
    show(outcome, into, verbose=verbose)
    assert isinstance(into.file, io.StringIO)
    return into.file.getvalue()


def test_a_block_says_what_is_believed_and_why() -> None:
    text = " ".join(shown(REPORT).split())
    for part in (
        "portraits/anna.jpg",
        "AI-GENERATED",
        "P(ai) 0.973, 90 % credible interval 0.912 to 0.994",
        "aleatoric 0.12 nats",
        "One answer alone fits at 95 % coverage.",
    ):
        assert part in text
    assert "stated" not in text
    assert "EXIF" not in text
    assert "Faces" not in text


@pytest.mark.parametrize(
    ("p_ai", "says"),
    [
        (None, None),
        ((0.2,), "P(ai) 0.200 in a copy that was saved again."),
        ((0.9, 0.31, 0.5), "P(ai) 0.310 to 0.900 in 3 copies, saved again or made smaller."),
        ((0.9, 0.9001), "P(ai) 0.900 in 2 copies, saved again or made smaller."),
    ],
)
def test_what_became_of_copies_is_said_if_there_were_any(
    p_ai: tuple[float, ...] | None, says: str | None
) -> None:
    tried = p_ai and Stability(copies=("a", "b", "c")[: len(p_ai)], p_ai=p_ai)
    face = replace(FACE, verdict=replace(VERDICT, stability=tried or None))
    text = " ".join(shown(replace(REPORT, faces=(face,))).split())
    assert (f"Copies {says}" in text) if says else ("Copies" not in text)


def test_cues_that_speak_get_a_line_each_below_their_face() -> None:
    spoken = Reading(cue="noise", statistics=(), llr=None, plain="It is grainy.", technical="")
    silent = NotApplicable(cue="light", why="It is dark.")

    def describe(*cues: list[Reading | NotApplicable] | None) -> list[str]:
        into = console()
        show(replace(REPORT, faces=(FACE,) * len(cues)), into, cues=cues)
        assert isinstance(into.file, io.StringIO)
        lines = [" ".join(line.split()) for line in into.file.getvalue().splitlines()]
        return [line for line in lines if re.search("Cue|cue|grain|dark", line)]

    assert told([spoken, silent, spoken]) == ["Cues It is grainy.", "It is grainy."]
    assert told([silent]) == ["Cues No cue has anything to say of this face."]
    assert told(None) == told() == []
    assert told([spoken], None, [silent]) == [
        "Cues, face 1 It is grainy.",
        "Cues, face 3 No cue has anything to say of this face.",
    ]


# --- base rates ---------------------------------------------------------------------------------


def test_which_share_of_ai_a_number_presumes_is_always_said() -> None:
    text = " ".join(shown(REPORT).split())
    assert "P(ai) presumes 50 % AI-generated pictures (--prior for another)." in text
    at = at_prior(REPORT, 0.01)
    into = console()
    show(REPORT, into, at=at)
    assert isinstance(into.file, io.StringIO)
    text = " ".join(into.file.getvalue().split())
    assert "P(ai) presumes 50 % AI-generated pictures. At 1 % it is 0.267, 0.095 to 0.626." in text
    assert "Likelihood ratio 36, 10.4 to 166: 3.58 nats for AI." in text


@pytest.mark.parametrize(
    ("evidence", "says"),
    [(0.0, "1"), (-2.0, "0.135"), (9.0, "8,103"), (math.inf, ">1,000,000"), (-99, "<0.000001")],
)
def test_a_likelihood_ratio_is_short(evidence: float, says: str) -> None:
    assert ratio(evidence) == says


def rates(*values: tuple[float, float, float]) -> dict[str, Any]:
    names = ("real_called_ai", "ai_called_ai", "ai_called_real", "real_called_real")
    return {"measured": {"test": dict(zip(names, values, strict=True))}}


RATES = (0.02, 0.01, 0.04), (0.6, 0.5, 0.7), (0.05, 0.02, 0.1), (0.5, 0.4, 0.6)


@pytest.mark.parametrize(
    ("prior", "says"),
    [
        (0.01, "Of 1,000 photos of which 10 are AI-generated, about 26 would be called ai; "
               "about 6 of those would really be AI-generated."),
        (0.9, "Of 1,000 photos of which 900 are AI-generated, about 542 would be called ai; "
              "about 540 of those"),
        (0.0001, "Of 100,000 photos of which 10 are AI-generated, about 2,006 would be called"),
    ],
)  # fmt: skip
def test_what_alarms_are_worth_is_said_in_whole_photos(prior: float, says: str) -> None:
    told = in_numbers(prior, predictive_values(rates(*RATES), prior))
    assert told.startswith(says)
    assert "measured on test" in told


def test_a_rate_of_zero_never_reads_as_always_right() -> None:
    never = (0.0, 0.0, 0.04)
    told = in_numbers(0.01, predictive_values(rates(never, RATES[1], never, RATES[3]), 0.01))
    assert "6 to 47 would be called ai; about 6 of those" in told
    assert "(PPV): at least 0.112." in told
    assert "(NPV): at least 0.999." in told
    assert "1.000" not in told


def test_without_measured_rates_none_are_made_up() -> None:
    assert "not measured" in in_numbers(0.01, None)


@pytest.mark.parametrize("decision", Decision)
def test_the_decision_is_a_word_without_any_colour(decision: Decision) -> None:
    words = {"real": "REAL", "ai": "AI-GENERATED", "undecided": "UNDECIDED"}
    text = shown(replace(REPORT, decision=decision))
    assert text.splitlines()[1].split()[0] == words[decision]
    assert "\x1b" not in text


def test_verbose_adds_the_steps_the_hash_and_the_model() -> None:
    text = shown(REPORT, verbose=True)
    for part in ("EXIF orientation 6 applied", "ab" * 32, "0123456789ab", "1024 x 768 px"):
        assert part in text


def test_each_of_several_faces_has_its_line() -> None:
    other = replace(FACE, verdict=replace(VERDICT, decision=Decision.REAL, p_ai=0.0001))
    report = replace(REPORT, faces=(FACE, other, SMALL))
    lines = shown(report).splitlines()
    at = next(i for i, line in enumerate(lines) if line.strip().startswith("Faces"))
    first, second, third = (line.split() for line in lines[at : at + 3])
    assert first[1:4] == ["1", "AI-GENERATED", "0.973"]
    assert second[:3] == ["2", "REAL", "<0.001"]
    assert third[:5] == ["3", "UNDECIDED", "-", "not", "judged"]
    assert "too few pixels of the face" in shown(report, verbose=True)


def test_a_picture_without_a_judged_face_shows_no_number() -> None:
    report = replace(
        REPORT,
        path=None,
        faces=(),
        decision=Decision.UNDECIDED,
        p_ai=None,
        interval=None,
        reasons=(Reason.NO_FACE,),
    )
    text = shown(report)
    assert "P(ai) could not be estimated" in text
    assert "No face found." in text
    assert "Doubt" not in text


def test_a_failure_says_what_came_and_what_to_do_and_names_the_file_once() -> None:
    text = shown(FAILURE)
    assert text.count("b.jpg") == 1
    assert "FAILED" in text
    assert "Zero bytes came." in text
    assert "Get the file again." in text


def test_a_traceback_is_shown_only_on_request() -> None:
    failure = replace(FAILURE, bug="Traceback\n  File x\nKeyError: \x1b[2J")
    assert "KeyError" not in shown(failure)
    assert r"KeyError: \x1b[2J" in shown(failure, verbose=True)


def test_a_file_name_is_never_read_as_markup_or_emoji() -> None:
    report = replace(REPORT, path="[red]x[/red] :smile: [link=http://a]y.jpg")
    text = shown(report, force_terminal=True, color_system="truecolor")
    assert "[red]x[/red] :smile: [link=http://a]y.jpg" in text


@pytest.mark.parametrize("verbose", [False, True])
def test_nothing_from_outside_reaches_the_terminal_with_control_characters(verbose: bool) -> None:
    report = replace(REPORT, path=HOSTILE, steps=(HOSTILE,))
    failure = Failure(path=HOSTILE, error=f"{HOSTILE}: {HOSTILE}", hint=HOSTILE, bug=HOSTILE)
    for outcome in (report, failure):
        text = shown(outcome, verbose=verbose)
        assert all(c.isprintable() for c in text.replace("\n", ""))
        assert text.splitlines()[0] == r"[red]\x1b[31m\x07\u202egpj.:smile:\udce9\n.jpg"


@given(st.text())
def test_printable_text_is_printable_and_leaves_the_rest_alone(text: str) -> None:
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text


def test_every_line_fits_80_columns_and_no_colour_leaves_no_colour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    far = replace(FACE, box=Box(left=9120.0, top=8288.0, width=1412.0, height=1.0))
    report = replace(REPORT, faces=(far, SMALL), reasons=tuple(Reason))
    assert all(len(line) <= 80 for line in shown(report, verbose=True).splitlines())
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(report, force_terminal=True)
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
    assert b"o" in raw.getvalue()


def test_the_bar_marks_the_point_the_interval_and_the_middle() -> None:
    assert bar(0.9, (0.8, 1.0), 11) == "─────┼──━●━"
    assert bar(0.0, (0.0, 0.2), 11, ascii_only=True) == "o==--+-----"


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=3).map(sorted),
    st.integers(3, 99),
)
def test_the_bar_always_has_its_width_and_one_point(ends: list[float], width: int) -> None:
    low, p, high = ends
    drawn = bar(p, (low, high), width)
    assert len(drawn) == width
    assert drawn.count("●") == 1


@pytest.mark.parametrize(
    ("throws", "sure"),
    [
        (0.995, "the model is sure;"),
        (0.97, "the model is fairly sure;"),
        (0.9, "the model is not very sure;"),
        (0.6, "the model is unsure;"),
    ],
)
def test_how_sure_goes_by_the_entropy_of_a_coin(throws: float, sure: str) -> None:
    entropy = -throws * math.log(throws) - (1 - throws) * math.log(1 - throws)
    verdict = replace(VERDICT, total=entropy, aleatoric=entropy, epistemic=0.0)
    assert in_words(verdict).startswith(sure)


@pytest.mark.parametrize(
    ("epistemic", "where"),
    [
        (0.0, "the doubt is in the picture (aleatoric 0.40 nats), not in the model"),
        (0.1, "the doubt is more in the picture (aleatoric 0.30 nats) than in the model"),
        (0.3, "the doubt is more in the model (epistemic 0.30 nats) than in the picture"),
        (0.4, "the doubt is in the model (epistemic 0.40 nats), not in the picture"),
    ],
)
def test_where_the_doubt_lies_goes_by_its_larger_part(epistemic: float, where: str) -> None:
    verdict = replace(VERDICT, total=0.4, aleatoric=0.4 - epistemic, epistemic=epistemic)
    assert where in in_words(verdict)


def test_words_claim_little_for_a_face_unlike_the_training_data_and_nothing_for_a_nan() -> None:
    stranger = replace(VERDICT, reasons=(Reason.UNLIKE_TRAINING,))
    assert in_words(stranger).endswith("of a face unlike its training data that says little")
    assert "not a number" in in_words(replace(VERDICT, total=math.nan))


def test_only_certainty_reads_as_certainty() -> None:
    assert [share(p) for p in (0.0, 0.0004, 0.0005, 0.9994, 0.9996, 1.0)] == [
        "0.000",
        "<0.001",
        "0.001",
        "0.999",
        ">0.999",
        "1.000",
    ]
    assert [nats(x) for x in (-1e-17, 0.0, 0.004, 0.12)] == [
        "0.00 nats",
        "0.00 nats",
        "<0.01 nats",
        "0.12 nats",
    ]


@pytest.mark.parametrize(
    ("decision", "reasons", "says"),
    [
        (
            Decision.AI,
            (Reason.WITHIN_COVERAGE,),
            "AI-generated: of 100 real pictures like those in our tests, at most about 10 would be "
            "called this by mistake.",
        ),
        (
            Decision.REAL,
            (Reason.WITHIN_COVERAGE, Reason.FACES_DISAGREE),
            "Real: of 100 AI-generated pictures like those in our tests, at most about 10 would be "
            "called this by mistake; the faces in the picture have different verdicts.",
        ),
        (
            Decision.UNDECIDED,
            (Reason.BOTH_PLAUSIBLE, Reason.INTERVAL_TOO_WIDE),
            "Undecided: in our tests, real and AI-generated pictures both looked like this to the "
            "model.",
        ),
        (
            Decision.UNDECIDED,
            (Reason.UNLIKE_TRAINING,),
            "Undecided: too unlike the pictures that the model learnt from.",
        ),
        (
            Decision.UNDECIDED,
            (Reason.CHANGES_UNDER_RECOMPRESSION,),
            "Undecided: the verdict changes when the picture is saved again or made smaller.",
        ),
        (Decision.UNDECIDED, (), "Undecided."),
    ],
)
def test_a_decision_and_its_doubt_are_one_sentence(
    decision: Decision, reasons: tuple[Reason, ...], says: str
) -> None:
    assert in_short(decision, reasons, 0.9) == says
    verdict = replace(VERDICT, decision=decision, reasons=reasons)
    report = replace(
        REPORT,
        faces=(replace(FACE, verdict=verdict, reasons=reasons),),
        decision=decision,
        reasons=reasons,
        coverage=0.9,
    )
    assert f"In short {says}" in " ".join(shown(report).split())


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
    report = replace(
        REPORT, decision=decision, coverage=0.9, coverage_of_reals=0.97, coverage_of_ai=0.9
    )
    assert says in " ".join(shown(report).split())


@pytest.mark.parametrize(
    ("coverage", "says"),
    [
        (0.95, "of 100 real"),
        (0.99, "at most about 1 "),
        (0.995, "of 1,000 real"),
        (1.0, "about 0 "),
    ],
)
def test_mistakes_are_counted_in_whole_pictures(coverage: float, says: str) -> None:
    assert says in in_short(Decision.AI, (Reason.WITHIN_COVERAGE,), coverage)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_said_plainly(reason: Reason) -> None:
    assert not re.search(
        r"coverage|credible|interval|calibrat|nats|logit|saliency|P\(ai\)", reason.plainly
    )
    assert in_short(Decision.UNDECIDED, (reason,), 0.9).count(".") == 1


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_says_its_number_or_needs_none(reason: Reason) -> None:
    (says,) = because([reason], replace(REPORT, coverage=0.995))
    assert "stated" not in says
    assert says == reason.says.replace("the stated coverage", "99.5 % coverage")


def test_two_promises_are_both_said() -> None:
    two = replace(REPORT, coverage=0.9, coverage_of_reals=0.97, coverage_of_ai=0.9)
    assert list(because([Reason.WITHIN_COVERAGE, Reason.BOTH_PLAUSIBLE], two)) == [
        "one answer alone fits at 97 % (real) and 90 % (AI) coverage",
        "both answers fit at 97 % (real) and 90 % (AI) coverage",
    ]
    same = replace(two, coverage_of_reals=0.9)
    assert list(because([Reason.BOTH_PLAUSIBLE], same)) == ["both answers fit at 90 % coverage"]


def test_a_promise_is_not_rounded() -> None:
    assert [percent(part) for part in (0.5, 0.9, 0.95, 0.99999)] == [
        "50 %",
        "90 %",
        "95 %",
        "99.999 %",
    ]


def test_the_summary_counts_every_kind_and_all() -> None:
    into = console()
    summary(into, real=1200, ai=31, undecided=7, failed=2)
    assert isinstance(into.file, io.StringIO)
    rows = [line.split() for line in into.file.getvalue().splitlines()]
    assert ["REAL", "1,200", "96.8", "%"] in rows
    assert ["AI-GENERATED", "31", "2.5", "%"] in rows
    assert ["UNDECIDED", "7", "0.6", "%"] in rows
    assert ["FAILED", "2", "0.2", "%"] in rows
    assert ["pictures", "in", "all", "1,240"] in rows


def test_the_summary_of_nothing_divides_by_nothing() -> None:
    into = console()
    summary(into, real=0, ai=0, undecided=0, failed=0)
    assert isinstance(into.file, io.StringIO)
    assert "nan" not in into.file.getvalue()
