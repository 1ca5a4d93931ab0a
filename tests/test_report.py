import json
import os
import pickle
from dataclasses import FrozenInstanceError, replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.present.made import (
    ABSENT,
    AT_1_PERCENT,
    COPIES,
    FACE,
    FAILURE,
    REPORT,
    SMALL,
    SPOKEN,
    VERDICT,
    explanation,
    judged,
    report,
)
from veridical.box import Box
from veridical.report import (
    Decision,
    Estimate,
    Failure,
    Reading,
    Reason,
    Report,
    Stability,
    path_of,
)

BOX = Box(left=1.0, top=2.0, width=3.0, height=4.0)
ANY = st.floats(-0.5, 1.5) | st.sampled_from([0.0, 1.0, nan, inf, -inf])
FULL = report(
    replace(
        FACE,
        verdict=replace(VERDICT, stability=COPIES),
        readings=(SPOKEN, ABSENT),
        explanation=explanation(),
    ),
    SMALL,
    at_prior=AT_1_PERCENT,
)


# --- what cannot be ----------------------------------------------------------------------------


@given(ANY, ANY, ANY)
def test_a_verdict_has_probabilities_in_order_or_is_not_born(p: float, a: float, b: float) -> None:
    if 0 <= p <= 1 and 0 <= a <= b <= 1:
        assert replace(VERDICT, p_ai=p, interval=(a, b)).interval == (a, b)
    else:
        with pytest.raises(ValueError, match=r"needs probabilities in \[0, 1\] and low <= high"):
            replace(VERDICT, p_ai=p, interval=(a, b))


@given(st.floats(), st.floats())
def test_a_box_has_a_size_or_is_not_born(width: float, height: float) -> None:
    if width > 0 and height > 0:
        made = replace(BOX, width=width, height=height)
        assert made.size_px == max(width, height)
    else:
        with pytest.raises(ValueError, match="needs a positive size"):
            replace(BOX, width=width, height=height)


@given(ANY, ANY, ANY)
def test_an_estimate_lies_within_its_interval_or_is_not_born(
    value: float, low: float, high: float
) -> None:
    if low <= value <= high:
        assert Estimate(value, low, high).value == value
    else:
        with pytest.raises(ValueError, match="lies within its interval"):
            Estimate(value, low, high)


def test_a_stability_has_a_number_for_each_copy_or_is_not_born() -> None:
    answers = (Decision.AI, Decision.REAL)
    found = Stability(perturbations=("a", "b"), p_ai=(0.7, 0.2), answers=answers)
    assert (found.low, found.high) == (0.2, 0.7)
    for names, numbers in ((("a",), (0.1, 0.2)), ((), ()), (("a",), (1.5,)), (("a",), (nan,))):
        with pytest.raises(ValueError, match=r"stability|copy"):
            Stability(perturbations=names, p_ai=numbers, answers=answers[: len(numbers)])
    with pytest.raises(ValueError, match="one answer"):
        Stability(perturbations=("a",), p_ai=(0.7,), answers=())


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_a_reading_is_finite_or_is_not_born(number: float) -> None:
    for wrong in ({"statistics": {"level": number}}, {"llr": number}):
        with pytest.raises(ValueError, match="finite numbers"):
            replace(SPOKEN, **wrong)


def test_a_face_s_decision_is_its_verdict_s() -> None:
    assert SMALL.decision is Decision.UNDECIDED
    with pytest.raises(ValueError, match="A face's decision is its verdict's"):
        replace(FACE, decision=Decision.REAL)
    with pytest.raises(ValueError, match="A face's decision is its verdict's"):
        replace(SMALL, decision=Decision.AI)


@pytest.mark.parametrize(
    "wrong",
    [
        {"decision": Decision.REAL},
        {"p_ai": 0.5},
        {"p_ai": None},
        {"interval": (0.0, 1.0)},
        {"lead_index": None},
        {"lead_index": 1},
    ],
)
def test_a_report_s_answer_is_that_of_its_lead(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="that of its lead face"):
        replace(FULL, **wrong)  # type: ignore[arg-type]


# --- reports -----------------------------------------------------------------------------------


def test_the_lead_is_the_face_that_the_decision_rests_on() -> None:
    real = judged(Decision.REAL, p_ai=0.02, interval=(0.01, 0.04))
    both = report(real, FACE)
    assert both.lead is FACE
    assert report(SMALL).lead is None
    assert report().lead is None


def test_equal_fields_are_equal_answers_and_stay_so() -> None:
    assert replace(VERDICT) == VERDICT
    assert hash(replace(VERDICT)) == hash(VERDICT)
    assert replace(VERDICT, distance=0.6) != VERDICT
    assert replace(FULL) == FULL
    assert replace(FULL, width=1) != FULL
    with pytest.raises(FrozenInstanceError):
        VERDICT.p_ai = 0.1  # type: ignore[misc]


def test_drawings_and_maps_do_not_make_another_answer() -> None:
    """Arrays have no single truth value; every number that they show is elsewhere."""
    assert replace(SPOKEN, drawing=None) == SPOKEN
    assert replace(FACE, explanation=explanation()) == FACE


def test_a_report_pickles() -> None:
    again = pickle.loads(pickle.dumps(FULL))
    assert again == FULL
    assert again.to_json() == FULL.to_json()


def test_a_verdict_s_promise_is_that_of_the_class_it_would_wrong() -> None:
    known = replace(REPORT, coverage=0.9, coverage_of_reals=0.97, coverage_of_ai=0.92)
    assert known.promise(Decision.AI) == 0.97
    assert known.promise(Decision.REAL) == 0.92
    assert known.promise(Decision.UNDECIDED) == 0.9


def test_words_are_plain_strings_for_programs() -> None:
    assert f"{Decision.UNDECIDED}" == "undecided"
    assert Reason("no_face") is Reason.NO_FACE


# --- JSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [FULL, REPORT, report(), FAILURE], ids=["full", "", "no face", "failure"]
)
def test_json_is_one_line_of_ascii_and_holds_the_dict(value: Report | Failure) -> None:
    line = value.to_json()
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == value.to_dict()


def test_a_report_as_a_dict_holds_every_number_unrounded() -> None:
    made = FULL.to_dict()
    assert made["schema"] == "veridical.report/4"
    assert (made["p_ai"], made["interval"]) == (FULL.p_ai, list(FULL.interval or ()))
    face, small = made["faces"]
    assert face["verdict"]["std"] == VERDICT.std
    assert face["verdict"]["stability"]["p_ai"] == list(COPIES.p_ai)
    assert [one["cue"] for one in face["readings"]] == ["noise", "light"]
    assert "drawing" not in face["readings"][0]
    assert face["explanation"]["method"] == "contributions"
    assert small["verdict"] is None
    assert made["at_prior"]["prior"] == 0.01
    assert (made["claims"], made["lead_index"], "lead" in made) == ([], 0, False)


def test_an_infinite_evidence_is_null() -> None:
    made = replace(FULL, at_prior=replace(AT_1_PERCENT, evidence=inf)).to_dict()
    assert made["at_prior"]["evidence"] is None


def test_a_failure_as_a_dict_says_what_to_do() -> None:
    assert FAILURE.to_dict() == {
        "schema": "veridical.failure/1",
        "path": "b.jpg",
        "error": "b.jpg: zero bytes came.",
        "hint": "Get the file again.",
        "bug": None,
    }


@given(st.binary(min_size=1, max_size=12).filter(lambda name: b"\0" not in name))
def test_a_path_comes_back_to_the_byte(name: bytes) -> None:
    path = os.fsdecode(name)
    for value in (replace(REPORT, path=path), replace(FAILURE, path=path)):
        entry = json.loads(value.to_json())
        assert path_of(entry) == path
        assert ("path_bytes" in entry) == (not path.isprintable() and entry["path"] != path)


def test_without_a_path_there_is_none() -> None:
    assert path_of(replace(REPORT, path=None).to_dict()) is None
    lone = replace(REPORT, path="\ud800.jpg").to_dict()  # no name of a file, but a str all the same
    assert (lone["path"], "path_bytes" in lone) == ("\\ud800.jpg", False)


def test_a_reading_is_told_from_a_cue_that_did_not_apply() -> None:
    reading, absent = FULL.to_dict()["faces"][0]["readings"]
    assert isinstance(SPOKEN, Reading)
    assert set(reading) == {"cue", "statistics", "llr", "plain", "technical"}
    assert set(absent) == {"cue", "why"}
