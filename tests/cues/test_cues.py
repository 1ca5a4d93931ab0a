"""What holds for every cue: one shape, the same answer twice, no crash."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.cues.made import EYES, camera, cue_input, grey, jpeg
from veridical.box import Box
from veridical.cues import DEFAULT_CUES, examine, examine_all
from veridical.cues.protocol import Cue, CueInput, Measurement
from veridical.cues.weights import LIMIT, Weights, fitted, read_weights
from veridical.encode import plain
from veridical.explanation import Curve, Map, Marked
from veridical.io.source import File, fingerprint, open_source
from veridical.report import NotApplicable, Reading

EVERY = pytest.mark.parametrize("cue", DEFAULT_CUES, ids=lambda cue: cue.name)


def weights(**changes: object) -> Weights:
    made = Weights(
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
    return replace(made, **changes)  # type: ignore[arg-type]


def always(evidence: bool = True, **values: float | None) -> Cue:
    """A cue that always says the same."""

    def measure(_: CueInput) -> Measurement:
        return Measurement(
            statistics=dict(values), plain="Something was seen", technical="a.", drawing=None
        )

    return Cue(name="made", statistics=("a", "b"), measure=measure, evidence=evidence)


BOX = Box(left=20.0, top=10.0, width=200.0, height=230.0)
MARKS = tuple((20 + 200 * x, 10 + 230 * y) for x, y in EYES)
BLANK = cue_input(np.zeros((9, 9, 3), np.uint8))


def portrait() -> File:
    return open_source(jpeg(grey(camera(256, 3)), 90))


def asked(cue: Cue) -> Reading | NotApplicable:
    (answer,) = examine_all(portrait(), BOX, MARKS, cues=(cue,))
    return answer


# --- every cue ---------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize(
    "size", [(1, 1), (1, 500), (500, 1), (9, 9), (64, 64), (65, 64), (300, 200)]
)
@pytest.mark.parametrize("fill", ["black", "white", "noise", "camera", "checks"])
def test_extremes_are_not_applicable_or_give_finite_numbers(
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
    answer = examine(cue_input(pixels, data=jpeg(pixels, 80)), cue, fitted()[cue.name])
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
    odd = replace(cue_input(pixels, box), landmarks=tuple(marks))
    assert examine(odd, cue, fitted()[cue.name]).cue == cue.name


@EVERY
def test_a_huge_picture_costs_no_more_than_its_middle(cue: Cue) -> None:
    pixels = np.zeros((4000, 6000, 3), np.uint8)
    pixels[1000:3000, 2000:4000] = np.tile(grey(camera(250, 0)), (8, 8, 1))
    answer = examine(cue_input(pixels, (2000.0, 1000.0, 2000.0, 2000.0)), cue, None)
    if isinstance(answer, Reading) and isinstance(answer.drawing, Map):
        assert max(answer.drawing.values.shape) <= 64


@EVERY
def test_the_same_face_twice_gives_the_same_answer(cue: Cue) -> None:
    assert asked(cue) == asked(cue)


@EVERY
def test_nothing_is_written_into_the_photo(cue: Cue) -> None:
    file = portrait()
    before = fingerprint(file.photo.pixels)
    examine_all(file, BOX, MARKS, cues=(cue,))
    assert fingerprint(np.asarray(file.photo.image)) == before


@EVERY
def test_what_is_measured_is_among_what_is_weighed(cue: Cue) -> None:
    answer = asked(cue)
    assert isinstance(answer, Reading)
    assert answer.statistics.keys() <= set(cue.statistics)
    assert answer.plain.endswith(".")
    assert answer.technical.endswith(".")


@EVERY
def test_readings_go_through_json(cue: Cue) -> None:
    answer = asked(cue)
    assert isinstance(answer, Reading)
    assert {type(value) for value in answer.statistics.values()} == {float}
    entry = plain(answer)
    assert isinstance(entry, dict)
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
    assert entry.keys() == {"cue", "statistics", "llr", "plain", "technical"}  # and no drawing


@EVERY
def test_every_reading_can_be_drawn(cue: Cue) -> None:
    answer = asked(cue)
    assert isinstance(answer, Reading)
    assert isinstance(answer.drawing, Curve | Map | Marked)


# --- all cues ----------------------------------------------------------------------------------


def test_every_cue_is_asked_once_and_in_order() -> None:
    answers = examine_all(portrait(), BOX, MARKS)
    assert [one.cue for one in answers] == [cue.name for cue in DEFAULT_CUES]


def test_a_whole_frame_without_landmarks_is_no_obstacle() -> None:
    answers = examine_all(portrait(), BOX)
    assert {type(one) for one in answers} == {Reading, NotApplicable}


@pytest.mark.parametrize("source", ["pillow", "array"])
def test_a_picture_without_a_file_is_examined_by_its_pixels(source: str) -> None:
    image = portrait().photo.image
    file = open_source(image if source == "pillow" else np.asarray(image))
    of_file, of_pixels = (examine_all(one, BOX, MARKS) for one in (portrait(), file))
    assert of_pixels[:-1] == of_file[:-1]
    assert isinstance(of_pixels[-1], NotApplicable) or "quality" not in of_pixels[-1].statistics


@pytest.mark.parametrize("error", [ValueError, FloatingPointError, MemoryError])
def test_a_cue_that_breaks_costs_its_own_answer_and_says_so(error: type[Exception]) -> None:
    def broken(_: CueInput) -> NotApplicable:
        raise error("as if")

    cue = replace(DEFAULT_CUES[0], name="broken", measure=broken)
    cues = (DEFAULT_CUES[0], cue, DEFAULT_CUES[1])
    first, middle, last = examine_all(portrait(), BOX, MARKS, cues=cues)
    assert isinstance(middle, NotApplicable)
    assert middle.cue == "broken"
    assert f"internal error ({error.__name__})" in middle.why
    assert (first, last) == examine_all(portrait(), BOX, MARKS, cues=DEFAULT_CUES[:2])


# --- what they are worth -----------------------------------------------------------------------


def test_the_ratio_is_the_linear_form_within_its_caps() -> None:
    known = {"a": 2.0, "b": 0.5}
    assert weights().ratio(known) == pytest.approx(0.2 + 0.5 - 0.25)
    assert weights().ratio({"a": 1e9}) == 1.0
    assert weights(cap_ai=9.0).ratio({"a": 1e9}) == pytest.approx(0.2 + LIMIT)
    assert weights().ratio({"a": -1e9}) == -2.0


def test_what_could_not_be_measured_adds_nothing() -> None:
    cue, partly = always(a=2.0), always(a=2.0, b=None)
    assert examine(BLANK, cue, weights()) == examine(BLANK, partly, weights())


@pytest.mark.parametrize(
    ("cue", "worth"),
    [
        (always(a=2.0), None),
        (always(a=2.0), weights(weighs=False)),
        (always(evidence=False, a=2.0), weights()),
    ],
)
def test_without_measured_worth_a_reading_is_information(cue: Cue, worth: Weights | None) -> None:
    answer = examine(BLANK, cue, worth)
    assert isinstance(answer, Reading)
    assert answer.llr is None
    assert "information only" in answer.plain


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2.0, "times as common among AI"),
        (-3.0, "times as common among real"),
        (0.6, "neither answer"),
    ],
)
def test_a_ratio_is_said_in_plain_words(value: float, says: str) -> None:
    answer = examine(BLANK, always(a=value), weights())
    assert isinstance(answer, Reading)
    assert says in answer.plain


def test_what_lies_outside_most_real_pictures_is_named() -> None:
    answer = examine(BLANK, always(a=5.0, b=0.0), weights())
    assert isinstance(answer, Reading)
    assert re.search(r"1 of its \d numbers outside the middle 90 % of our real", answer.technical)


def test_a_reading_cannot_be_made_of_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="finite"):
        Reading(cue="x", statistics={"a": math.nan}, llr=None, plain="", technical="")
    with pytest.raises(ValueError, match="finite"):
        Reading(cue="x", statistics={}, llr=math.inf, plain="", technical="")


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
    with pytest.raises(ValueError, match="one mean"):
        weights(mean=(1.0,))
