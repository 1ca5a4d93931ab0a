from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import calibration
from veridical.box import Box
from veridical.infer.decision import combine, judge, recheck
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


def stability(*p_ai: float) -> Stability:
    return Stability(perturbations=tuple(f"copy {n}" for n in range(len(p_ai))), p_ai=p_ai)


@given(st.lists(SHARES, min_size=1, max_size=3), st.tuples(SHARES, SHARES))
def test_a_decision_stays_only_if_no_copy_contradicts_it(
    copies: list[float], thresholds: tuple[float, float]
) -> None:
    fitted = calibration(*thresholds)
    judged = judge(summary(0.9, 0.8, 0.95), 0.3, calibration())
    verdict, reasons = recheck(judged, stability(*copies), fitted)
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
    assert verdict == replace(judged[0], decision=verdict.decision, stability=stability(*copies))


@pytest.mark.parametrize(
    ("thresholds", "withdrawn"),
    [((0.02, 0.99), True), ((0.005, 0.99), False), ((0.02, 1.0), False)],
)
def test_a_copy_that_fits_the_other_label_alone_contradicts_on_either_side_of_one_half(
    thresholds: tuple[float, float], withdrawn: bool
) -> None:
    judged = judge(summary(0.018, 0.01, 0.03), 0.3, calibration(0.0, 1.0))
    assert judged[0].decision is Decision.AI
    verdict, _ = recheck(judged, stability(0.009), calibration(*thresholds))
    assert (verdict.decision is Decision.UNDECIDED) is withdrawn
    across, _ = recheck(judged, stability(0.6), calibration(*thresholds))
    assert across.decision is Decision.UNDECIDED


def test_the_warning_about_the_frame_stays_with_a_verdict_that_is_withdrawn() -> None:
    judged = judge(summary(0.9, 0.8, 0.95), 0.3, calibration(), whole_image=True)
    _, reasons = recheck(judged, stability(0.2), calibration())
    assert reasons == (Reason.CHANGES_UNDER_RECOMPRESSION, Reason.WHOLE_IMAGE)


# --- faces taken together ----------------------------------------------------------------------


def face_of(decision: Decision | None, p_ai: float) -> FaceResult:
    verdict = decision and replace(
        judge(summary(p_ai, p_ai, p_ai), 0.5, calibration())[0], decision=decision
    )
    return FaceResult(
        box=Box(left=0.0, top=0.0, width=10.0, height=10.0),
        landmarks=(),
        confidence=0.9,
        decision=decision or Decision.UNDECIDED,
        reasons=(Reason.WITHIN_COVERAGE if decision else Reason.FACE_TOO_SMALL,),
        verdict=verdict or None,
    )


faces_of = st.lists(
    st.builds(face_of, st.none() | st.sampled_from(Decision), SHARES), min_size=1, max_size=4
)


@settings(max_examples=50)
@given(faces_of)
def test_a_picture_is_called_real_only_if_every_judged_face_is(faces: list[FaceResult]) -> None:
    decision, lead, reasons = combine(faces)
    found = {face.verdict.decision for face in faces if face.verdict}
    ranks = [Decision.AI, Decision.UNDECIDED, Decision.REAL]
    assert decision is next((one for one in ranks if one in found), Decision.UNDECIDED)
    if lead is None:
        assert not found
        assert reasons == (Reason.FACE_TOO_SMALL,)
    else:
        verdict = faces[lead].verdict
        assert verdict is not None
        same = [f.verdict.p_ai for f in faces if f.verdict and f.decision is decision]
        assert (verdict.decision, verdict.p_ai) == (decision, max(same))
        assert (Reason.FACES_DISAGREE in reasons) == (len(found) > 1)


@settings(max_examples=50)
@given(faces_of)
def test_neither_the_order_of_faces_nor_a_bystander_matters(faces: list[FaceResult]) -> None:
    def answer(order: tuple[FaceResult, ...]) -> tuple[object, ...]:
        decision, lead, reasons = combine(order)
        return decision, None if lead is None else order[lead], reasons

    first = answer(tuple(faces))
    assert all(answer(order) == first for order in permutations(faces))
    if first[1] is not None:
        assert answer((*faces, face_of(None, 0.0))) == first


def test_of_equal_faces_the_first_leads() -> None:
    faces = [face_of(Decision.REAL, 0.1), face_of(Decision.AI, 0.9), face_of(Decision.AI, 0.9)]
    assert combine(faces)[1] == 1


def test_no_face_at_all_is_undecided() -> None:
    assert combine(()) == (Decision.UNDECIDED, None, (Reason.NO_FACE,))
