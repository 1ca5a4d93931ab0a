import numpy as np
import pytest
from PIL import Image

from tests.present.made import AREA, BAD, GOOD, explanation, image, spot
from veridical.arrays import Float, ndarray
from veridical.box import Box
from veridical.present import maps
from veridical.present.maps import (
    SIDE,
    colours,
    comparison_in_words,
    fitting,
    method_in_words,
    over_face,
    overlaid,
    place,
    places_in_words,
    portrait,
    score_in_words,
    shown,
    sign,
)


def test_the_scale_is_symmetric() -> None:
    values = np.linspace(-2, 2, 9)[None]
    alpha = colours(values, 2.0)[0, :, 3].astype(int)
    assert np.array_equal(alpha, alpha[::-1])
    assert (np.diff(alpha[4:]) > 0).all()
    assert alpha[4] == 0


def test_the_colour_bar_is_symmetric_and_as_strong_as_the_map() -> None:
    canvas = Image.new("RGB", (200, SIDE), "white")
    maps.draw_bar(canvas, (0, 0), SIDE, 0.5, "logit")
    column = np.asarray(canvas)[:, maps.BAR // 2].astype(int)[1:-1]
    middle = column[len(column) // 2]

    def alpha(hue: tuple[int, int, int]) -> Float[ndarray, " rows"]:
        away = middle - np.array(hue)
        return np.asarray((middle - column) @ away / (away @ away))

    assert np.allclose(alpha(maps.AI)[:200], alpha(maps.REAL)[::-1][:200], atol=0.02)
    assert alpha(maps.AI)[0] == pytest.approx(maps.STRONGEST, abs=0.02)


def test_what_supports_ai_and_real_turns_towards_its_own_hue() -> None:
    plain = portrait(image(), AREA)
    cell = SIDE // 4
    for value, hue in ((3.0, maps.AI), (-3.0, maps.REAL)):
        drawn, limit = over_face(plain, spot(1, 1, value))
        middle = np.asarray(drawn)[cell + cell // 2, cell + cell // 2].astype(int)
        assert limit == 3.0
        assert np.abs(middle - np.array(hue)).sum() < 120


def test_a_picture_under_a_map_is_grey_where_the_map_is_zero() -> None:
    plain = portrait(image(), AREA)
    grey = np.asarray(Image.fromarray(plain).convert("L")).astype(float)
    drawn, limit = over_face(plain, np.zeros((4, 4)))
    shown_ = np.asarray(drawn)
    assert np.array_equal(overlaid(plain, np.zeros(plain.shape[:2]), 1.0), shown_)
    assert (shown_ == shown_[..., :1]).all()  # no hue
    assert np.corrcoef(shown_[..., 0].ravel(), grey.ravel())[0, 1] > 0.999
    assert limit == 1.0


@pytest.mark.parametrize("tone", [0, 60, 128, 190, 255])
def test_a_grey_print_tells_what_supports_ai_from_what_supports_real(tone: int) -> None:
    """Whatever is under the map: skin, hair, a wall."""
    plain = np.full((SIDE, SIDE, 3), tone, dtype=np.uint8)

    def printed(value: float) -> int:
        drawn = Image.fromarray(overlaid(plain, np.full((SIDE, SIDE), value), 1.0))
        return int(np.asarray(drawn.convert("L"))[0, 0])

    for size in (0.5, 1.0):
        assert printed(size) > printed(0.0) > printed(-size)
    assert printed(1.0) - printed(-1.0) > 80


def test_the_strongest_places_have_signs_that_survive_grey() -> None:
    drawn = Image.new("RGB", (SIDE, SIDE), "grey")
    sign(drawn, spot(0, 0, 2.0) + spot(3, 3, -1.0) + spot(0, 3, 0.5))
    grey, cell = np.asarray(drawn.convert("L")).astype(int), SIDE // 4
    plus, minus, faint = grey[:cell, :cell], grey[-cell:, -cell:], grey[:cell, -cell:]
    for mark in (plus, minus):
        assert mark[cell // 2, cell // 2] == 255
        assert mark[cell // 2, cell // 2 - 6] == 255
    assert plus[cell // 2 - 6, cell // 2] == 255
    assert minus[cell // 2 - 6, cell // 2] != 255
    assert (faint == faint[0, 0]).all()


def test_the_portrait_shows_the_area_in_its_proportions() -> None:
    wide = portrait(image(), Box(left=0.0, top=0.0, width=120.0, height=60.0))
    assert wide.shape == (SIDE // 2, SIDE, 3)
    # Red is 120 + x: the middle of the area is at x = 60.
    assert wide[100, SIDE // 2, 0] == pytest.approx(180, abs=1)


def test_an_area_a_rounding_error_outside_the_photo_is_no_problem() -> None:
    area = Box(left=-1e-9, top=0.0, width=120.00001, height=100.0)
    assert portrait(image(), area).shape[1] == SIDE


def test_places_have_names() -> None:
    assert place(0.1, 0.9) == "upper right"
    assert place(0.5, 0.5) == "middle"
    assert place(0.5, 0.9) == "middle right"
    assert place(1.0, 0.0) == "lower left"
    assert places_in_words(np.array([[3.0, 1.0], [0.0, -2.0]])) == (
        "2 of 4 places support AI-generated, the strongest in the upper left; "
        "1 of 4 places support real, the strongest in the lower right."
    )
    assert places_in_words(np.zeros((2, 2))) == "No place supports either answer."


def test_only_a_map_that_lost_to_a_random_one_is_withheld() -> None:
    assert [shown(tested) for tested in (None, GOOD, BAD)] == [True, True, False]
    assert score_in_words(BAD).endswith("withheld.")
    assert score_in_words(None) == "The map was not scored."
    assert "It won 9 of 9" in comparison_in_words(GOOD)
    assert comparison_in_words(BAD).startswith("No map is shown: it won only 2 of 9")


def test_the_method_says_what_the_values_are() -> None:
    parts = method_in_words(explanation(spot(1, 1, 3.0)))
    assert "Of the logit +3.31, +0.31 belongs to no place" in parts
    assert parts.endswith("The map divides the other +3.00 over the places.")
    estimate = method_in_words(explanation(spot(1, 1, 3.0), method="surrogate", forward_passes=54))
    assert "sigmoid). The map estimates, from tokens and 54 forward passes" in estimate
    assert "values do not add up to the logit" in estimate
    assert "belongs to no place" not in estimate


@pytest.mark.parametrize("text", ["猫é.jpg", "long " * 100, ""])
def test_a_title_fits_and_has_only_what_the_font_has(text: str) -> None:
    found = fitting(text, 26, 300)
    assert found.isascii()
    assert maps.font(26).getlength(found) <= 300


def test_the_rim_of_a_crop_that_no_patch_covers_stays_plain() -> None:
    plain = np.full((70, 140, 3), 90, np.uint8)
    drawn, _ = over_face(plain, np.ones((4, 4)), 68 / 70)  # 4 patches of 17 px leave a rim of 2
    pixels = np.asarray(drawn)
    assert (pixels[:68, :136] != 90).any(axis=2).all()
    bare = np.asarray(over_face(plain, np.zeros((4, 4)))[0])
    assert (pixels[68:] == bare[68:]).all()
    assert (pixels[:, 136:] == bare[:, 136:]).all()
