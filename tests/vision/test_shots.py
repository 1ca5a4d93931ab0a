"""Cuts are found; who moves, and a camera that moves, is no cut."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from veridical.vision.shots import best_shift, is_cut, thumbnail

WIDE, SHOWN = (1280, 720), (960, 540)
SEEDS = range(12)


def scene(seed: int) -> Image.Image:
    """Paint a place larger than what a frame shows: soft ground, things, in colours of its own."""
    draw = np.random.default_rng(seed)
    ground = draw.integers(0, 255, 3) * draw.uniform(0.2, 1.0, (9, 16, 1))
    image = Image.fromarray(ground.astype(np.uint8)).resize(WIDE, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(25):
        x, y = draw.uniform(0, WIDE[0]), draw.uniform(0, WIDE[1])
        w, h = draw.uniform(40, 260, 2)
        pen.rectangle((x, y, x + w, y + h), fill=tuple(int(c) for c in draw.integers(0, 255, 3)))
    return image


def shown(image: Image.Image, x: float = 0.5, y: float = 0.5, zoom: float = 1.0) -> Image.Image:
    """Return what a camera sees of a scene, from its left or upper rim (0) to the other (1)."""
    width, height = SHOWN[0] / zoom, SHOWN[1] / zoom
    left, top = x * (WIDE[0] - width), y * (WIDE[1] - height)
    box = (left, top, left + width, top + height)
    return image.resize(SHOWN, Image.Resampling.BILINEAR, box=box)


def with_person(image: Image.Image, x: int) -> Image.Image:
    """Return a frame with somebody in it."""
    own = image.copy()
    pen = ImageDraw.Draw(own)
    pen.rectangle((x - 130, 290, x + 130, 540), fill=(60, 40, 110))
    pen.ellipse((x - 80, 90, x + 80, 310), fill=(205, 160, 135))
    return own


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pan_is_no_cut(seed: int) -> None:
    place = scene(seed)

    assert not is_cut(thumbnail(shown(place, 0, 0)), thumbnail(shown(place, 1, 1)))
    assert not is_cut(thumbnail(shown(place, 1, 0.5)), thumbnail(shown(place, 0, 0.5)))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_zoom_is_no_cut(seed: int) -> None:
    place = scene(seed)

    assert not is_cut(thumbnail(shown(place)), thumbnail(shown(place, zoom=1.25)))
    assert not is_cut(thumbnail(shown(place, zoom=1.2)), thumbnail(shown(place, 0.6)))


@pytest.mark.parametrize("seed", SEEDS)
def test_who_sways_across_the_frame_makes_no_cut(seed: int) -> None:
    place = shown(scene(seed))

    assert not is_cut(thumbnail(with_person(place, 200)), thumbnail(with_person(place, 760)))


def test_another_place_is_a_cut_even_with_the_same_person() -> None:
    places = [shown(scene(seed)) for seed in SEEDS]

    for at, one in enumerate(places):
        for other in places[:at]:
            assert is_cut(thumbnail(one), thumbnail(other))
            if at % 3 == 0:
                pair = with_person(one, 300), with_person(other, 660)
                assert is_cut(*map(thumbnail, pair))


def test_the_same_shapes_in_other_colours_are_a_cut() -> None:
    place = shown(scene(1))
    red, green, blue = place.split()

    assert is_cut(thumbnail(place), thumbnail(Image.merge("RGB", (blue, red, green))))


def test_to_black_is_a_cut_and_black_to_black_is_none() -> None:
    black = thumbnail(Image.new("RGB", (64, 36)))

    assert is_cut(thumbnail(shown(scene(1))), black)
    assert is_cut(black, thumbnail(shown(scene(1))))
    assert not is_cut(black, black)


@pytest.mark.parametrize(("down", "across"), [(0, 0), (3, -7), (-5, 9), (4, 12)])
def test_the_best_shift_is_found(down: int, across: int) -> None:
    large = np.random.default_rng(0).uniform(0, 255, (40, 70))
    a = large[10:28, 20:52]
    b = large[10 + down : 28 + down, 20 + across : 52 + across]

    alike, *shift = best_shift(a, b)

    assert alike == pytest.approx(1, abs=1e-6)
    assert shift == [down, across]


def test_plain_areas_fit_nothing() -> None:
    plain = np.full((18, 32), 9.0)

    assert best_shift(plain, plain)[0] == -1


def test_a_plain_wall_does_not_make_one_shot_of_two() -> None:
    wall = Image.new("RGB", SHOWN, (20, 20, 20))
    one, other = with_person(wall, 250), wall.copy()
    pen = ImageDraw.Draw(other)
    pen.rectangle((520, 330, 960, 540), fill=(230, 225, 220))
    pen.ellipse((640, 120, 820, 340), fill=(90, 60, 45))

    assert is_cut(thumbnail(one), thumbnail(other))
