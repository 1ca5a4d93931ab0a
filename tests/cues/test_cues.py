"""What holds for every cue: one shape, silence with a reason, the same answer twice, no crash."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.cues.made import EYES, camera, grey, jpeg, scene
from veridical.cues import DEFAULT_CUES, examine, examine_all
from veridical.cues.protocol import Cue, CueInput, Examined, Map, Measurement
from veridical.cues.weights import LIMIT, Weights, fitted, read_weights
from veridical.io.images import Photo, fingerprint, read_photo
from veridical.report import Box, FaceResult, NotApplicable, Reading

EVERY = pytest.mark.parametrize("cue", DEFAULT_CUES, ids=lambda cue: cue.name)


def weights(**changes: object) -> Weights:
    plain = Weights(
        cue="made",
        statistics=("a", "b"),
        mean=(1.0, 0.0),
        scale=(2.0, 1.0),
        usual=((0.0, 4.0), (-1.0, 1.0)),
        coefficients=(1.0, -0.5),
        intercept=0.2,
        cap_real=2.0,
        cap_ai=1.0,
        weighs=True,
        because="made",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def made(evidence: bool = True, **values: float | None) -> Cue:
    """A cue that always says the same."""

    def measure(_: CueInput) -> Measurement:
        return Measurement(
            statistics=dict(values), plain="Something was seen", technical="a.", drawing=None
        )

    return Cue(name="made", statistics=("a", "b"), measure=measure, evidence=evidence)


def portrait() -> tuple[Photo, FaceResult, bytes]:
    data = jpeg(grey(camera(256, 3)), 90)
    face = FaceResult(
        box=Box(left=20.0, top=10.0, width=200.0, height=230.0),
        landmarks=tuple((20 + 200 * x, 10 + 230 * y) for x, y in EYES),
        confidence=0.9,
        verdict=None,
        reasons=(),
    )
    return read_photo(data), face, data


# --- every cue ---------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 500), (500, 1), (9, 9), (64, 64), (65, 64), (300, 200)]
)
@pytest.mark.parametrize("fill", ["black", "white", "noise", "camera", "checks"])
def test_extremes_end_in_silence_or_in_finite_numbers(
    cue: Cue, size: tuple[int, int], fill: str
) -> None:
    height, width = size
    pixels = {
        "black": np.zeros((height, width), np.uint8),
        "white": np.full((height, width), 255, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8),
        "camera": grey(camera(max(64, *size), 0))[:height, :width, 0],
        "checks": (np.indices(size).sum(axis=0) % 2 * 255).astype(np.uint8),
    }[fill][..., None].repeat(3, axis=2)
    answer = examine(scene(pixels, data=jpeg(pixels, 80)), cue, fitted()[cue.name]).answer
    assert isinstance(answer, Reading | NotApplicable)  # a reading is finite, or cannot be made
    assert answer.cue == cue.name


@EVERY
@settings(max_examples=40)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90), st.just(3))),
    box=st.tuples(*[st.floats(-50, 150)] * 2, *[st.floats(0.1, 300)] * 2),
    marks=st.lists(st.tuples(*[st.floats(-200, 300)] * 2), min_size=5, max_size=5),
)
def test_no_face_however_placed_breaks_a_cue(
    cue: Cue,
    pixels: np.ndarray,
    box: tuple[float, float, float, float],
    marks: list[tuple[float, float]],
) -> None:
    odd = replace(scene(pixels, box), landmarks=tuple(marks))
    assert isinstance(examine(odd, cue, fitted()[cue.name]), Examined)


@EVERY
def test_a_huge_picture_costs_no_more_than_its_middle(cue: Cue) -> None:
    pixels = np.zeros((4000, 6000, 3), np.uint8)
    pixels[1000:3000, 2000:4000] = np.tile(grey(camera(250, 0)), (8, 8, 1))
    answer = examine(scene(pixels, (2000.0, 1000.0, 2000.0, 2000.0)), cue, None)
    assert isinstance(answer, Examined)
    if isinstance(answer.drawing, Map):
        assert max(answer.drawing.values.shape) <= 64


@EVERY
def test_the_same_face_twice_gives_the_same_answer(cue: Cue) -> None:
    photo, face, data = portrait()
    one, two = (
        examine_all(photo, face, data, cues=(cue,), weights={cue.name: fitted()[cue.name]})[0]
        for _ in range(2)
    )
    assert one == two
    assert one.answer == two.answer


@EVERY
def test_nothing_is_written_into_the_photo(cue: Cue) -> None:
    photo, face, data = portrait()
    before = fingerprint(photo.pixels)
    examine_all(photo, face, data, cues=(cue,))
    assert fingerprint(photo.pixels) == before


@EVERY
def test_what_is_measured_is_among_what_is_weighed(cue: Cue) -> None:
    photo, face, data = portrait()
    answer = examine_all(photo, face, data, cues=(cue,))[0].answer
    assert isinstance(answer, Reading)
    assert {name for name, _ in answer.statistics} <= set(cue.statistics)
    assert answer.plain.endswith(".")
    assert answer.technical.endswith(".")


@EVERY
def test_readings_go_through_json(cue: Cue) -> None:
    photo, face, data = portrait()
    answer = examine_all(photo, face, data, cues=(cue,))[0].answer
    assert isinstance(answer, Reading)
    assert all(type(value) is float for _, value in answer.statistics)
    json.dumps([*answer.statistics, answer.llr], allow_nan=False)


# --- all cues ----------------------------------------------------------------------------------


def test_every_cue_is_asked_once_and_in_order() -> None:
    photo, face, data = portrait()
    answers = examine_all(photo, face, data)
    assert [one.answer.cue for one in answers] == [cue.name for cue in DEFAULT_CUES]


def test_a_whole_frame_without_landmarks_is_no_obstacle() -> None:
    photo, face, data = portrait()
    answers = examine_all(photo, replace(face, landmarks=()), data)
    assert {type(one.answer) for one in answers} == {Reading, NotApplicable}


# --- what they are worth -----------------------------------------------------------------------


def test_the_ratio_is_the_linear_form_within_its_caps() -> None:
    known = (("a", 2.0), ("b", 0.5))
    assert weights().ratio(known) == pytest.approx(0.2 + 0.5 - 0.25)
    assert weights().ratio((("a", 1e9),)) == 1.0
    assert weights(cap_ai=9.0).ratio((("a", 1e9),)) == pytest.approx(0.2 + LIMIT)
    assert weights().ratio((("a", -1e9),)) == -2.0


def test_what_could_not_be_measured_adds_nothing() -> None:
    cue, silent = made(a=2.0), made(a=2.0, b=None)
    assert examine(scene(np.zeros((9, 9, 3), np.uint8)), cue, weights()) == examine(
        scene(np.zeros((9, 9, 3), np.uint8)), silent, weights()
    )


@pytest.mark.parametrize(
    ("cue", "worth"),
    [
        (made(a=2.0), None),
        (made(a=2.0), weights(weighs=False)),
        (made(evidence=False, a=2.0), weights()),
    ],
)
def test_without_measured_worth_a_reading_is_information(cue: Cue, worth: Weights | None) -> None:
    answer = examine(scene(np.zeros((9, 9, 3), np.uint8)), cue, worth).answer
    assert isinstance(answer, Reading)
    assert answer.llr is None
    assert "information only" in answer.plain


@pytest.mark.parametrize(
    ("value", "says"),
    [(2.0, "times as common among AI"), (-3.0, "times as common among real"), (0.6, "neither way")],
)
def test_a_ratio_is_said_in_plain_words(value: float, says: str) -> None:
    answer = examine(scene(np.zeros((9, 9, 3), np.uint8)), made(a=value), weights()).answer
    assert isinstance(answer, Reading)
    assert says in answer.plain


def test_what_lies_outside_most_real_pictures_is_named() -> None:
    answer = examine(scene(np.zeros((9, 9, 3), np.uint8)), made(a=5.0, b=0.0), weights()).answer
    assert isinstance(answer, Reading)
    assert answer.technical.endswith("Outside 9 in 10 of our real photographs: a.")


def test_a_reading_cannot_be_made_of_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="finite"):
        Reading(cue="x", statistics=(("a", math.nan),), llr=None, plain="", technical="")
    with pytest.raises(ValueError, match="finite"):
        Reading(cue="x", statistics=(), llr=math.inf, plain="", technical="")


def test_the_weights_of_the_package_are_those_of_its_cues() -> None:
    for cue in DEFAULT_CUES:
        assert fitted()[cue.name].statistics == cue.statistics
        assert fitted()[cue.name].because
    assert fitted().keys() == {cue.name for cue in DEFAULT_CUES}


def test_a_cue_that_only_informs_has_no_weight_in_the_package() -> None:
    assert not any(fitted()[cue.name].weighs for cue in DEFAULT_CUES if not cue.evidence)


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"veridical\.cues/1"):
        read_weights({"schema": "other"})
    with pytest.raises(ValueError, match="one centre"):
        weights(mean=(1.0,))
