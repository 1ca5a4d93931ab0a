from dataclasses import replace

import numpy as np
import pytest

from tests.cues.made import cue_input, grey, head, read
from veridical.cues.light import measure
from veridical.cues.protocol import Measurement
from veridical.explanation import Marked
from veridical.report import NotApplicable

LIGHTS = [(0.8, -0.3), (-0.7, 0.0), (0.3, -0.9), (0.0, -0.6)]


@pytest.mark.parametrize("light", LIGHTS)
def test_the_halves_of_a_head_under_one_light_agree(light: tuple[float, float]) -> None:
    found = read(measure(cue_input(head(light))))
    assert found["halves"] < 0.2
    assert found["unexplained"] < 0.1


@pytest.mark.parametrize(
    ("light", "other"),
    [((-0.8, -0.3), (0.8, -0.3)), ((0.8, -0.3), (-0.8, -0.3)), ((0.5, -0.8), (0.5, 0.8))],
)
def test_halves_lit_from_opposite_sides_disagree(
    light: tuple[float, float], other: tuple[float, float]
) -> None:
    assert read(measure(cue_input(head(light, other))))["halves"] > 0.5


@pytest.mark.parametrize("light", LIGHTS)
def test_the_direction_is_that_of_the_light(light: tuple[float, float]) -> None:
    found = measure(cue_input(head(light)))
    assert isinstance(found, Measurement)
    assert isinstance(found.drawing, Marked)
    (x0, y0), (x1, y1) = found.drawing.arrows[0]
    towards = np.array([x1 - x0, y1 - y0])
    alike = towards @ np.array(light) / np.linalg.norm(towards) / np.linalg.norm(light)
    assert alike > np.cos(np.radians(20))


def test_more_light_is_more_strength_and_brightness_is_not() -> None:
    dim, strong = (read(measure(cue_input(head((x, 0.0))))) for x in (0.3, 0.9))
    darker = read(measure(cue_input((head((0.9, 0.0)) * 0.7).astype(np.uint8))))
    assert strong["strength"] > 2 * dim["strength"]
    assert darker["strength"] == pytest.approx(strong["strength"], rel=0.05)


def test_a_neck_that_is_lit_from_the_other_side_disagrees() -> None:
    pixels = np.full((400, 256, 3), 60, np.uint8)
    pixels[:256] = head((0.8, 0.0))
    x = np.linspace(-1, 1, 120)
    box = (0.0, 0.0, 256.0, 256.0)
    differences = []
    for side in (1, -1):
        pixels[256:, 68:188] = np.clip(120 + side * 60 * x, 0, 255)[None, :, None]
        differences.append(read(measure(cue_input(pixels, box)))["neck"])
    assert differences[0] < differences[1] / 2


def test_a_neck_out_of_sight_is_not_compared() -> None:
    assert "neck" not in read(measure(cue_input(head((0.8, 0.0)))))


@pytest.mark.parametrize(
    ("values", "why"),
    [(255.0, "black or white"), (2.0, "black or white"), (128.0, "evenly bright")],
)
def test_clipped_and_flat_faces_are_not_applicable(values: float, why: str) -> None:
    found = measure(cue_input(grey(np.full((256, 256), values))))
    assert isinstance(found, NotApplicable)
    assert why in found.why


def test_small_faces_and_unknown_landmarks_are_not_applicable() -> None:
    small = measure(cue_input(head((0.5, 0.0), side=48)))
    unknown = measure(replace(cue_input(head((0.5, 0.0))), landmarks=()))
    assert isinstance(small, NotApplicable)
    assert "px apart" in small.why
    assert isinstance(unknown, NotApplicable)
    assert "not known" in unknown.why
