from dataclasses import replace
from itertools import permutations, product
from math import exp, log

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import calibration
from tests.present.made import report as reported
from veridical.box import Box
from veridical.infer.calibration import Calibration
from veridical.infer.decision import COMPARABLE, judge, recheck, stability_of, together
from veridical.infer.head import Summary
from veridical.report import Decision, FaceResult, Reason, Stability, Verdict

SHARES = st.integers(0, 20).map(lambda n: n / 20)


def summary(p_ai: float, low: float, high: float) -> Summary:
    return Summary(
        p_ai=p_ai, interval=(low, high), std=0.1, total=0.6, aleatoric=0.5, epistemic=0.1
    )


# --- one face ----------------------------------------------------------------------------------


@given(
    p=SHARES,
    ends=st.tuples(SHARES, SHARES).map(sorted),
    distance=st.sampled_from([0.0, 0.5, 1.0, 1.001, 9.0]),
    thresholds=st.tuples(SHARES, SHARES),
    whole=st.booleans(),
    faceless=st.booleans(),
)
def test_we_stand_behind_one_answer_only_if_nothing_speaks_against_it(
    p: float,
    ends: list[float],
    distance: float,
    thresholds: tuple[float, float],
    whole: bool,
    faceless: bool,
) -> None:
    low, high = ends
    verdict, reasons = judge(
        summary(p, low, high),
        distance,
        calibration(*thresholds),
        whole_image=whole,
        faceless=faceless,
    )
    real_fits, ai_fits = p <= thresholds[0], 1 - p <= thresholds[1]
    wanted = {
        Reason.NO_FACE: faceless,
        Reason.UNLIKE_TRAINING: distance > 1,
        Reason.BOTH_PLAUSIBLE: real_fits and ai_fits,
        Reason.NEITHER_PLAUSIBLE: not real_fits and not ai_fits,
        Reason.INTERVAL_TOO_WIDE: low < 0.5 < high,
    }
    doubts = tuple(reason for reason, there in wanted.items() if there)
    frame = (Reason.WHOLE_IMAGE,) * whole
    if doubts:
        assert (verdict.decision, reasons) == (Decision.UNDECIDED, (*doubts, *frame))
    else:
        assert verdict.decision is (Decision.REAL if real_fits else Decision.AI)
        assert reasons == (Reason.WITHIN_COVERAGE, *frame)


def test_a_verdict_holds_the_numbers_that_it_was_made_of() -> None:
    verdict, _ = judge(summary(0.9, 0.8, 0.95), 0.3, calibration())
    assert verdict == Verdict(
        decision=Decision.AI,
        p_ai=0.9,
        interval=(0.8, 0.95),
        std=0.1,
        total=0.6,
        aleatoric=0.5,
        epistemic=0.1,
        distance=0.3,
    )


# --- the same face in perturbed copies ---------------------------------------------------------


def stability(fitted: Calibration, *p_ai: float) -> Stability:
    names = [f"copy {n}" for n in range(len(p_ai))]
    return stability_of(names, p_ai, [fitted] * len(p_ai))


@given(st.lists(SHARES, min_size=1, max_size=3), st.tuples(SHARES, SHARES))
def test_a_decision_stays_only_if_no_copy_contradicts_it(
    copies: list[float], thresholds: tuple[float, float]
) -> None:
    fitted = calibration(*thresholds)
    judged = judge(summary(0.9, 0.8, 0.95), 0.3, calibration())
    verdict, reasons = recheck(judged, stability(fitted, *copies))
    contradicts = [
        p < 0.5 or fitted.prediction_set(p) == (Decision.REAL,)  # P(ai) itself is 0.9
        for p in copies
    ]
    if any(contradicts):
        assert verdict.decision is Decision.UNDECIDED
        assert reasons == (Reason.CHANGES_UNDER_RECOMPRESSION,)
    else:
        assert (verdict.decision, reasons) == (Decision.AI, (Reason.WITHIN_COVERAGE,))
    # The numbers stay those of the picture as delivered.
    found = stability(fitted, *copies)
    assert verdict == replace(judged[0], decision=verdict.decision, stability=found)


@pytest.mark.parametrize(
    ("thresholds", "withdrawn"),
    [((0.02, 0.99), True), ((0.005, 0.99), False), ((0.02, 1.0), False)],
)
def test_a_copy_that_fits_the_other_label_alone_contradicts_on_either_side_of_one_half(
    thresholds: tuple[float, float], withdrawn: bool
) -> None:
    judged = judge(summary(0.018, 0.01, 0.03), 0.3, calibration(0.0, 1.0))
    assert judged[0].decision is Decision.AI
    verdict, _ = recheck(judged, stability(calibration(*thresholds), 0.009))
    assert (verdict.decision is Decision.UNDECIDED) is withdrawn
    across, _ = recheck(judged, stability(calibration(*thresholds), 0.6))
    assert across.decision is Decision.UNDECIDED


def test_a_copy_has_the_answer_that_its_p_ai_alone_would_get() -> None:
    fitted = calibration(0.3, 0.2)  # real up to 0.3, ai from 0.8
    found = stability(fitted, 0.9, 0.69, 0.1)
    assert found.answers == (Decision.AI, Decision.UNDECIDED, Decision.REAL)
    judged = judge(summary(0.9, 0.8, 0.95), 0.3, fitted)
    verdict, _ = recheck(judged, stability(fitted, 0.69))
    assert verdict.decision is Decision.AI  # undecided in the copy does not contradict


def test_the_warning_about_the_frame_stays_with_a_verdict_that_is_withdrawn() -> None:
    judged = judge(summary(0.9, 0.8, 0.95), 0.3, calibration(), whole_image=True)
    _, reasons = recheck(judged, stability(calibration(), 0.2))
    assert reasons == (Reason.CHANGES_UNDER_RECOMPRESSION, Reason.WHOLE_IMAGE)


def test_each_copy_is_held_to_the_thresholds_of_its_own_class() -> None:
    """In a smaller copy the face may be of another class of quality."""
    judged = judge(summary(0.9, 0.8, 0.95), 0.3, calibration())
    loose, strict = calibration(0.9, 0.1), calibration(0.1, 0.9)
    for first, second, withdrawn in (
        (strict, strict, False),
        (loose, strict, True),
        (strict, loose, True),
    ):
        verdict, _ = recheck(judged, stability_of(["a", "b"], [0.8, 0.8], [first, second]))
        assert (verdict.decision is Decision.UNDECIDED) is withdrawn
    with pytest.raises(ValueError, match="zip"):
        stability_of(["a", "b"], [0.8, 0.8], [strict])


# --- faces taken together ----------------------------------------------------------------------

# `real` up to 0.3, `ai` from 0.7; among two faces `ai` takes more than 0.9, among four 0.97.
FITTED = calibration(0.3, 0.3, tail=(0.9, 0.97))
TOO_SMALL = None


def face_of(decision: Decision | None, p_ai: float, side: float = 60.0) -> FaceResult:
    verdict = decision and replace(
        judge(summary(p_ai, p_ai, p_ai), 0.5, FITTED)[0], decision=decision
    )
    return FaceResult(
        box=Box(left=0.0, top=0.0, width=side, height=side / 2),
        landmarks=(),
        confidence=0.9,
        decision=decision or Decision.UNDECIDED,
        reasons=(Reason.WITHIN_COVERAGE if decision else Reason.FACE_TOO_SMALL,),
        verdict=verdict or None,
    )


def judged_at(p_ai: float, side: float = 60.0) -> FaceResult:
    """A face whose decision follows from its P(ai)."""
    plausible = FITTED.prediction_set(p_ai)
    return face_of(plausible[0] if len(plausible) == 1 else Decision.UNDECIDED, p_ai, side)


def said(
    *faces: FaceResult, fitted: Calibration = FITTED
) -> tuple[Decision, int | None, tuple[Reason, ...]]:
    return together(faces, [fitted] * len(faces))


REAL, DOUBT, AI = judged_at(0.05), judged_at(0.5), judged_at(0.95)


def test_no_face_at_all_is_undecided() -> None:
    assert said() == (Decision.UNDECIDED, None, (Reason.NO_FACE,))


def test_faces_too_small_to_judge_are_undecided() -> None:
    small = face_of(TOO_SMALL, 0.0)
    assert said(small, small) == (Decision.UNDECIDED, None, (Reason.FACE_TOO_SMALL,))


@pytest.mark.parametrize("face", [REAL, DOUBT, AI])
def test_of_one_face_the_picture_s_decision_is_the_face_s(face: FaceResult) -> None:
    assert said(face) == (face.decision, 0, face.reasons)


def test_one_undecided_bystander_does_not_silence_a_clear_picture() -> None:
    clear, bystander = judged_at(0.02), judged_at(0.5, side=20.0)
    decision, lead, reasons = said(clear, bystander)
    assert (decision, lead) == (Decision.REAL, 0)
    assert reasons == (Reason.WITHIN_COVERAGE, Reason.FACES_DISAGREE)
    # But if all together are as well AI-generated as real, nothing is claimed.
    shaky = judged_at(0.3)
    decision, lead, reasons = said(shaky, bystander)
    assert (decision, lead) == (Decision.UNDECIDED, 1)
    assert reasons == (*bystander.reasons, Reason.FACES_DISAGREE)


def test_one_ai_among_many_reals_is_one_of_many_unless_it_passes_the_threshold() -> None:
    reals = [judged_at(0.02)] * 3
    among = FITTED.threshold_among(4)
    for p_ai, wanted in ((0.75, Decision.UNDECIDED), (among, Decision.UNDECIDED), (0.98, "ai")):
        decision, lead, reasons = said(*reals, judged_at(p_ai))
        assert (decision, lead) == (wanted, 3)
        own = () if decision is Decision.AI else (Reason.ONE_OF_MANY,)
        assert reasons == (*own, Reason.WITHIN_COVERAGE, Reason.FACES_DISAGREE)
    # Alone, it would be called `ai` at once.
    assert said(judged_at(0.75))[0] is Decision.AI


def test_faces_that_are_ai_together_need_no_face_that_stands_out() -> None:
    assert FITTED.threshold_among(2) > 0.8
    assert said(judged_at(0.8), judged_at(0.8))[0] is Decision.AI
    assert said(judged_at(0.8), judged_at(0.69))[0] is Decision.AI
    # The face that the reason speaks of leads, not the undecided one beside it.
    _, lead, reasons = said(judged_at(0.4), judged_at(0.8))
    assert (lead, reasons[0]) == (1, Reason.ONE_OF_MANY)


def test_the_common_logit_is_the_mean_of_theirs() -> None:
    """Just under and just over what the thresholds ask of the mean."""
    wanted = log(0.7 / 0.3)
    for nudge, decision in ((-1e-6, Decision.UNDECIDED), (1e-6, Decision.AI)):
        second = 1 / (1 + exp(-(2 * (wanted + nudge) - log(0.85 / 0.15))))
        assert said(judged_at(0.85), judged_at(second))[0] is decision


def test_what_all_faces_say_together_is_held_to_the_class_of_the_largest() -> None:
    faces = [judged_at(0.8, side=80.0), judged_at(0.8, side=20.0)]
    lax = calibration(0.95, 0.3)  # 0.8 is `real` or `ai`
    for order in (1, -1):  # wherever it comes
        assert together(faces[::order], [FITTED, lax][::order])[0] is Decision.AI
        found = together(faces[::order], [lax, FITTED][::order])
        assert found[2][0] is Reason.ONE_OF_MANY


def test_a_face_that_stands_out_is_held_to_the_threshold_of_its_own_class() -> None:
    faces = [judged_at(0.02, side=80.0), judged_at(0.95, side=20.0)]
    lax = calibration(0.3, 0.3, tail=(0.96,))
    assert together(faces, [lax, FITTED])[0] is Decision.AI
    assert together(faces, [FITTED, lax])[0] is Decision.UNDECIDED


@pytest.mark.parametrize(
    ("side", "decision"),
    [
        (60.0 * COMPARABLE - 1, Decision.REAL),
        (60.0 * COMPARABLE, Decision.UNDECIDED),
        (59.0, Decision.UNDECIDED),
    ],
)
def test_a_comparable_face_too_small_to_judge_blocks_real_and_a_much_smaller_one_does_not(
    side: float, decision: Decision
) -> None:
    found, lead, reasons = said(REAL, face_of(TOO_SMALL, 0.0, side))
    assert (found, lead) == (decision, 0)
    doubt = () if found is Decision.REAL else (Reason.FACE_TOO_SMALL,)
    assert reasons == (*doubt, Reason.WITHIN_COVERAGE)
    # `ai` takes one face, whatever else there is to see.
    assert said(AI, face_of(TOO_SMALL, 0.0, side))[0] is Decision.AI


def test_a_face_too_small_is_not_one_of_many() -> None:
    assert said(judged_at(0.8), *[face_of(TOO_SMALL, 0.0, 10.0)] * 5)[0] is Decision.AI


def test_of_equal_faces_the_first_leads() -> None:
    assert said(judged_at(0.1), judged_at(0.99), judged_at(0.99))[1] == 1


KINDS = [
    face_of(decision, p_ai, side)
    for decision, p_ai in (
        (Decision.REAL, 0.02),
        (Decision.REAL, 0.3),
        (Decision.UNDECIDED, 0.01),  # unlike the training pictures, say
        (Decision.UNDECIDED, 0.5),
        (Decision.UNDECIDED, 0.99),
        (Decision.AI, 0.75),
        (Decision.AI, 0.98),
        (TOO_SMALL, 0.0),
    )
    for side in (60.0, 15.0)
]


def test_every_outcome_is_a_report_and_claims_no_more_than_its_faces() -> None:
    outcomes = set()
    for faces in (one for n in range(4) for one in product(KINDS, repeat=n)):
        report = reported(*faces, calibration=FITTED)  # it checks its invariants
        found = [face.decision for face in faces if face.verdict]
        outcomes.add((report.decision, report.reasons[0]))
        assert (report.lead is None) is (not found)
        assert report.decision in (*found, Decision.UNDECIDED)
        assert (Reason.FACES_DISAGREE in report.reasons) is (len(set(found)) > 1)
        if report.decision is Decision.REAL:
            assert Decision.AI not in found
        if Decision.AI in found:
            told = Reason.ONE_OF_MANY in report.reasons
            assert told is (report.decision is Decision.UNDECIDED)
        if report.lead and report.lead.decision is report.decision:
            same = [f.verdict.p_ai for f in faces if f.verdict and f.decision is report.decision]
            assert report.p_ai == max(same)
    assert outcomes >= {
        (Decision.AI, Reason.WITHIN_COVERAGE),
        (Decision.REAL, Reason.WITHIN_COVERAGE),
        (Decision.UNDECIDED, Reason.ONE_OF_MANY),
        (Decision.UNDECIDED, Reason.FACE_TOO_SMALL),
        (Decision.UNDECIDED, Reason.NO_FACE),
    }


faces_of = st.lists(
    st.builds(
        face_of, st.none() | st.sampled_from(Decision), SHARES, st.sampled_from([60.0, 30.0, 15.0])
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=50)
@given(faces_of)
def test_neither_the_order_of_faces_nor_a_much_smaller_bystander_matters(
    faces: list[FaceResult],
) -> None:
    def answer(order: tuple[FaceResult, ...]) -> tuple[object, ...]:
        decision, lead, reasons = said(*order)
        return decision, None if lead is None else order[lead].verdict, reasons

    first = answer(tuple(faces))
    assert all(answer(order) == first for order in permutations(faces))
    if first[1] is not None:
        assert answer((*faces, face_of(TOO_SMALL, 0.0, 4.0))) == first


def test_damage_is_said_beside_a_verdict_and_before_the_lack_of_one() -> None:
    assert together([], [], damaged=True)[2] == (Reason.DAMAGED, Reason.NO_FACE)
    assert together([], [])[2] == (Reason.NO_FACE,)
