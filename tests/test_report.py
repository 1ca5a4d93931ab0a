from dataclasses import FrozenInstanceError, replace
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.report import Box, Decision, FaceResult, Reason, Report, Stability, Verdict

VERDICT = Verdict(
    decision=Decision.AI,
    p_ai=0.9,
    interval=(0.8, 0.95),
    std=0.04,
    total=0.33,
    aleatoric=0.3,
    epistemic=0.03,
    distance=0.5,
    reasons=(Reason.WITHIN_COVERAGE,),
)
BOX = Box(left=1.0, top=2.0, width=3.0, height=4.0)
ANY = st.floats(-0.5, 1.5) | st.sampled_from([0.0, 1.0, nan, inf, -inf])


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
        assert replace(BOX, width=width, height=height).width == width
    else:
        with pytest.raises(ValueError, match="needs a positive size"):
            replace(BOX, width=width, height=height)


def test_equal_fields_are_equal_answers_and_stay_so() -> None:
    assert replace(VERDICT) == VERDICT
    assert hash(replace(VERDICT)) == hash(VERDICT)
    assert replace(VERDICT, distance=0.6) != VERDICT
    with pytest.raises(FrozenInstanceError):
        VERDICT.p_ai = 0.1  # type: ignore[misc]


def test_a_stability_has_a_number_for_each_copy_or_is_not_born() -> None:
    found = Stability(copies=("a", "b"), p_ai=(0.7, 0.2))
    assert (found.low, found.high) == (0.2, 0.7)
    for names, numbers in ((("a",), (0.1, 0.2)), ((), ()), (("a",), (1.5,)), (("a",), (nan,))):
        with pytest.raises(ValueError, match="cop"):
            Stability(copies=names, p_ai=numbers)


def test_a_verdict_s_promise_is_that_of_the_class_it_would_wrong() -> None:
    report = Report(
        path=None,
        sha256="0" * 64,
        width=1,
        height=1,
        steps=(),
        faces=(),
        decision=Decision.UNDECIDED,
        p_ai=None,
        interval=None,
        reasons=(Reason.NO_FACE,),
        coverage=0.9,
        level=0.9,
        model="0" * 12,
        version="0",
    )
    assert {report.promise(decision) for decision in Decision} == {0.9}  # nothing more is known
    known = replace(report, coverage_of_reals=0.97, coverage_of_ai=0.92)
    assert known.promise(Decision.AI) == 0.97
    assert known.promise(Decision.REAL) == 0.92
    assert known.promise(Decision.UNDECIDED) == 0.9


def test_every_reason_has_its_own_sentence() -> None:
    sentences = [reason.says for reason in Reason]
    assert all(sentence and not sentence.endswith(".") for sentence in sentences)
    assert len(set(sentences)) == len(sentences)


def test_a_face_without_a_verdict_is_undecided() -> None:
    small = (Reason.FACE_TOO_SMALL,)
    face = FaceResult(box=BOX, landmarks=(), confidence=0.9, verdict=None, reasons=small)
    assert face.decision is Decision.UNDECIDED
    assert replace(face, verdict=VERDICT).decision is Decision.AI


def test_words_are_plain_strings_for_programs() -> None:
    assert f"{Decision.UNDECIDED}" == "undecided"
    assert Reason("no_face") is Reason.NO_FACE
