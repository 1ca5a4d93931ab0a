from dataclasses import replace
from math import cos, radians, sin

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.cues.made import clouds, cue_input, grey, read
from veridical.arrays import UInt8, ndarray
from veridical.cues import symmetry
from veridical.cues.pixels import level, luma
from veridical.cues.protocol import CueInput
from veridical.cues.symmetry import compare_eyes, measure
from veridical.report import NotApplicable


def mirrored(side: int = 256, seed: int = 5) -> UInt8[ndarray, "side side 3"]:
    values = clouds(side, seed)
    return grey((values + values[:, ::-1]) / 2)


def eye(
    shine: tuple[float, float] | None = (-2.0, -3.0),
    iris: tuple[int, int, int] = (90, 60, 40),
    at: tuple[float, float] = (24.0, 24.0),
) -> UInt8[ndarray, "side side 3"]:
    """An iris of 9 px on white, perhaps with a highlight, drawn four times as large."""
    image = Image.new("RGB", (192, 192), (225, 220, 215))
    draw = ImageDraw.Draw(image)

    def disc(x: float, y: float, radius: float, fill: tuple[int, int, int]) -> None:
        draw.ellipse([4 * (x - radius), 4 * (y - radius), 4 * (x + radius), 4 * (y + radius)], fill)

    disc(*at, 9, iris)
    disc(*at, 3.5, (15, 12, 10))
    if shine:
        disc(at[0] + shine[0], at[1] + shine[1], 2, (255, 255, 255))
    return np.asarray(image.resize((48, 48), Image.Resampling.BOX))


def turned(made: CueInput, degrees: float) -> CueInput:
    """The same face, rolled."""
    height, width = made.pixels.shape[:2]
    image = Image.fromarray(made.pixels).rotate(degrees, Image.Resampling.BICUBIC)
    c, s = cos(radians(degrees)), sin(radians(degrees))
    marks = tuple(
        (
            width / 2 + c * (x - width / 2) + s * (y - height / 2),
            height / 2 - s * (x - width / 2) + c * (y - height / 2),
        )
        for x, y in made.landmarks
    )
    return replace(made, pixels=np.asarray(image), landmarks=marks)


# --- halves ------------------------------------------------------------------------------------


def test_a_mirrored_face_is_symmetric_in_everything() -> None:
    found = read(measure(cue_input(mirrored())))
    for name in ("nose", "mouth", "tilt", "sides", "texture", "brightness", "detail"):
        assert found[name] == pytest.approx(0, abs=0.02), name


def test_another_face_is_not() -> None:
    assert read(measure(cue_input(grey(clouds(256, 5)))))["texture"] > 0.7


def test_mirroring_a_face_changes_nothing_but_the_sides() -> None:
    made = cue_input(grey(clouds(256, 5)))
    swapped = tuple((256 - x, y) for x, y in made.landmarks)
    marks = (swapped[1], swapped[0], swapped[2], swapped[4], swapped[3])
    other = replace(made, pixels=np.ascontiguousarray(made.pixels[:, ::-1]), landmarks=marks)
    one, two = read(measure(made)), read(measure(other))
    for name in ("nose", "mouth", "tilt", "sides", "texture", "brightness", "detail"):
        assert one[name] == pytest.approx(two[name], abs=0.02), name


def test_a_tilted_mouth_and_a_longer_side_are_measured() -> None:
    made = cue_input(mirrored())
    lower = made.landmarks[3][0], made.landmarks[3][1] + 20
    found = read(measure(replace(made, landmarks=(*made.landmarks[:3], lower, made.landmarks[4]))))
    assert found["tilt"] > 10
    assert found["sides"] > 0.1


@pytest.mark.parametrize("degrees", [-25, 12])
def test_roll_does_not_count_as_asymmetry(degrees: float) -> None:
    face = turned(cue_input(mirrored()), degrees)
    found = read(measure(face))
    assert found["texture"] < 0.1
    assert found["nose"] < 0.01
    assert found["tilt"] < 0.5


def test_a_levelled_face_has_its_eyes_where_they_were_asked_for() -> None:
    pixels = np.zeros((200, 300, 3), np.uint8)
    marks = ((100.5, 80.5), (180.5, 120.5), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    for (x, y), value in zip(marks[:2], (100, 250), strict=True):
        pixels[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = value
    made = replace(cue_input(pixels), landmarks=marks)
    out = luma(level(made, size=64, between=32.0, at=(32.0, 20.0)))
    assert out[19:21, 15:17].max() > 80
    assert out[19:21, 47:49].max() > 200
    assert out.sum() > 0
    blank = out.copy()
    blank[16:24, 12:20] = blank[16:24, 44:52] = 0
    assert blank.max() == 0


def test_a_face_of_many_megapixels_looks_like_its_small_copy() -> None:
    small = cue_input(grey(clouds(64, 1, power=2)))
    huge = replace(
        small,
        pixels=small.pixels.repeat(50, axis=0).repeat(50, axis=1),
        landmarks=tuple((50 * x, 50 * y) for x, y in small.landmarks),
    )
    one, two = (luma(level(s, size=32, between=12.0, at=(16.0, 12.0))) for s in (small, huge))
    assert np.abs(one - two).mean() < 3


# --- eyes --------------------------------------------------------------------------------------


def test_two_like_eyes_agree() -> None:
    colour, overlap = compare_eyes(eye(), eye(at=(27.0, 22.0)))
    assert colour == pytest.approx(0, abs=1.5)
    assert overlap == pytest.approx(1, abs=0.3)


def test_irises_of_two_colours_are_told_apart() -> None:
    colour, _ = compare_eyes(eye(), eye(iris=(60, 80, 120)))
    assert colour is not None
    assert colour > 20


def test_highlights_at_different_places_do_not_overlap() -> None:
    _, overlap = compare_eyes(eye(), eye(shine=(4.0, 3.0)))
    assert overlap is not None
    assert overlap < 0.1


def test_a_highlight_in_one_eye_only_overlaps_nothing_and_none_says_nothing() -> None:
    assert compare_eyes(eye(), eye(shine=None))[1] == 0
    assert compare_eyes(eye(shine=None), eye(shine=None))[1] is None


def test_where_there_is_no_iris_there_is_nothing_to_compare() -> None:
    blank = np.full((48, 48, 3), 120, np.uint8)
    assert compare_eyes(eye(), blank) == (None, None)


# --- where it does not apply -------------------------------------------------------------------


def test_a_turned_face_is_not_applicable() -> None:
    made = cue_input(mirrored())
    nose = made.landmarks[2][0] + 30, made.landmarks[2][1]
    found = measure(replace(made, landmarks=(*made.landmarks[:2], nose, *made.landmarks[3:])))
    assert isinstance(found, NotApplicable)
    assert "turned" in found.why


def test_eyes_too_close_and_unknown_landmarks_are_not_applicable() -> None:
    small = measure(cue_input(mirrored(96)))
    unknown = measure(replace(cue_input(mirrored()), landmarks=()))
    assert isinstance(small, NotApplicable)
    assert f"{symmetry.LEAST_PX} px are needed" in small.why
    assert isinstance(unknown, NotApplicable)
    assert "not known" in unknown.why


def test_small_eyes_are_not_compared_and_the_rest_is() -> None:
    found = read(measure(cue_input(mirrored(160))))  # eyes 58 px apart
    assert "texture" in found
    assert "iris" not in found
