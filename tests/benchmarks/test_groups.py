"""Groups of people: the colour arithmetic, and that nothing is guessed where there is no colour."""

import numpy as np
import pytest
from benchmarks.groups import TONES, lab, size, skin, tone, typology_angle

from veridical.box import Box
from veridical.vision.faces import Face


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        # B. Lindbloom's calculator, sRGB and D65.
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((255, 255, 255), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_cielab_is_what_the_tables_say(
    rgb: tuple[int, int, int], expected: tuple[float, float, float]
) -> None:
    np.testing.assert_allclose(lab(np.array([rgb], np.uint8))[0], expected, atol=0.05)


def patch(rgb: tuple[int, int, int]) -> np.ndarray:
    return np.full((30, 3), rgb, dtype=np.uint8)


def test_the_angle_is_the_formula() -> None:
    lightness, _, yellow = lab(np.array([[200, 150, 120]], np.uint8))[0]
    expected = np.degrees(np.arctan((lightness - 50) / yellow))
    assert typology_angle(patch((200, 150, 120))) == pytest.approx(expected)


def test_darker_skin_has_a_smaller_angle() -> None:
    faces = [(250, 220, 200), (230, 185, 160), (200, 150, 120), (150, 105, 80), (70, 45, 35)]
    angles = [typology_angle(patch(rgb)) for rgb in faces]
    assert None not in angles
    assert angles == sorted(angles, key=lambda a: -(a or 0))
    assert tone(angles[0]) == "very light"
    assert tone(angles[-1]) == "dark"


def test_the_classes_meet_at_the_usual_angles() -> None:
    assert [tone(a) for a in (55.1, 55, 41, 28, 10, -30, -90)] == [
        "very light",
        *(name for _, name in TONES[1:]),
        "dark",
    ]


def test_without_colour_there_is_no_tone() -> None:
    assert typology_angle(patch((120, 120, 120))) is None
    assert typology_angle(np.zeros((0, 3), np.uint8)) is None
    assert tone(None) == "no colour"


def test_a_bluish_light_does_not_turn_the_scale_round() -> None:
    assert (typology_angle(patch((40, 40, 70))) or 0) < -80
    assert (typology_angle(patch((200, 200, 240))) or 0) > 80


def test_skin_lies_between_eyes_and_mouth() -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[45:60, 30:70] = 200
    face = Face(
        box=Box(left=20, top=20, width=60, height=60),
        landmarks=((35, 40), (65, 40), (50, 55), (40, 65), (60, 65)),
        score=0.9,
    )
    found = skin(pixels, face)
    assert len(found)
    assert (found == 200).all()
    # A face cut by the frame has landmarks outside of it.
    outside = Face(
        box=Box(left=-60, top=20, width=60, height=60),
        landmarks=((-45, 40), (-15, 40), (-30, 55), (-40, 65), (-20, 65)),
        score=0.9,
    )
    assert len(skin(pixels, outside)) == 0


def test_sizes_have_names_in_order() -> None:
    assert [size(px) for px in (10, 64, 200, 511.9, 512, 4000)] == [
        "under 64 px",
        "under 128 px",
        "under 256 px",
        "under 512 px",
        "512 px and more",
        "512 px and more",
    ]
