from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from veridical.arrays import ndarray
from veridical.box import Box
from veridical.vision.crop import CropConfig, crop_box, extract_crop

SIDES = st.integers(1, 5000)
SHARES = st.floats(0, 1)
CONFIG = CropConfig(size_px=64)


@st.composite
def photos(draw: st.DrawFn) -> tuple[Box, int, int]:
    """A face inside a photo."""
    width, height = draw(SIDES), draw(SIDES)
    across, down = (max(0.5, n * draw(st.floats(0.001, 1))) for n in (width, height))
    left, top = (width - across) * draw(SHARES), (height - down) * draw(SHARES)
    return Box(left=left, top=top, width=across, height=down), width, height


# --- which part ---------------------------------------------------------------------------------


@given(photos(), st.floats(0.5, 5))
def test_the_square_is_inside_the_photo_and_holds_the_face(
    photo: tuple[Box, int, int], margin: float
) -> None:
    box, width, height = photo
    area = crop_box(box, replace(CONFIG, margin=margin), width, height)
    slack = 1e-9 * max(width, height)
    assert area.width == area.height
    assert area.width <= min(width, height)
    assert area.left >= 0
    assert area.top >= 0
    assert area.left + area.width <= width + slack
    assert area.top + area.height <= height + slack
    wanted = margin * max(box.width, box.height)
    assert area.width == pytest.approx(min(wanted, width, height))
    for start, length, low, side in (
        (box.left, box.width, area.left, area.width),
        (box.top, box.height, area.top, area.height),
    ):
        assert low - slack <= start + length / 2 <= low + side + slack  # its centre, always
        if side >= length:
            assert low - slack <= start
            assert start + length <= low + side + slack


@given(photos())
def test_away_from_the_edges_the_face_is_in_the_middle(photo: tuple[Box, int, int]) -> None:
    box, width, height = photo
    area = crop_box(box, CONFIG, width, height)
    side = 1.3 * max(box.width, box.height)
    x, y = box.left + box.width / 2, box.top + box.height / 2
    if side / 2 <= x <= width - side / 2 and side / 2 <= y <= height - side / 2:
        assert area.left + area.width / 2 == pytest.approx(x)
        assert area.top + area.height / 2 == pytest.approx(y)


def test_a_zoom_is_a_factor_on_the_configured_margin() -> None:
    box = Box(left=40.0, top=40.0, width=20.0, height=10.0)
    assert crop_box(box, CONFIG, 100, 100).width == pytest.approx(26)
    assert crop_box(box, CONFIG, 100, 100, zoom=2.0).width == pytest.approx(52)


def test_the_whole_frame_is_taken_where_that_was_asked_for() -> None:
    box = Box(left=40.0, top=40.0, width=20.0, height=10.0)
    whole = replace(CONFIG, whole=True)
    assert crop_box(box, whole, 100, 80) == Box(left=0.0, top=0.0, width=100.0, height=80.0)


def test_a_fingerprint_changes_whenever_a_crop_would() -> None:
    others = {"size_px": 65, "margin": 1.4, "least_px": 64, "through_px": 32, "whole": True}
    assert others.keys() == {field.name for field in fields(CropConfig)}
    changed = [replace(CONFIG, **{name: value}) for name, value in others.items()]  # type: ignore[arg-type]
    prints = [config.fingerprint for config in (CONFIG, *changed)]
    assert len(set(prints)) == len(prints)
    assert CropConfig(size_px=64, margin=1.3).fingerprint == CONFIG.fingerprint
    assert all(len(one) == 12 and int(one, 16) >= 0 for one in prints)


NATIVE = replace(CONFIG, least_px=64)


@given(photos())
def test_around_a_small_face_the_crop_widens_instead_of_blowing_pixels_up(
    photo: tuple[Box, int, int],
) -> None:
    box, width, height = photo
    plain, native = (crop_box(box, one, width, height) for one in (CONFIG, NATIVE))
    assert native.width == pytest.approx(min(max(plain.width, NATIVE.least_px), width, height))
    if min(width, height) >= NATIVE.size_px:
        assert native.width >= NATIVE.size_px  # a pixel of the crop is one of the photo, or more
    if plain.width >= NATIVE.least_px:
        assert native == plain
    # The face stays in it.
    x, y = box.left + box.width / 2, box.top + box.height / 2
    slack = 1e-9 * max(width, height)
    assert native.left - slack <= x <= native.left + native.width + slack
    assert native.top - slack <= y <= native.top + native.height + slack


def test_a_small_face_keeps_its_own_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    box = Box(left=90.0, top=80.0, width=16.0, height=20.0)
    area = crop_box(box, NATIVE, 200, 200)
    assert (area.left, area.top, area.width) == (66.0, 58.0, 64.0)
    np.testing.assert_array_equal(
        extract_crop(Image.fromarray(pixels), area, NATIVE), pixels[58:122, 66:130]
    )


@given(st.floats(0.1, 4))
def test_a_zoom_never_goes_below_the_photo_s_own_pixels(zoom: float) -> None:
    box = Box(left=90.0, top=80.0, width=40.0, height=20.0)
    area = crop_box(box, NATIVE, 400, 400, zoom=zoom)
    assert area.width == pytest.approx(max(1.3 * zoom * 40, 64))


# --- the crop ------------------------------------------------------------------------------------


@given(
    photos(),
    st.sampled_from([0, 90, 180, 270]),
    st.sampled_from([CONFIG, NATIVE, replace(CONFIG, size_px=33, through_px=12)]),
    st.integers(0, 99),
)
def test_the_crop_of_a_turned_photo_is_to_the_bit_that_of_the_upright_one(
    photo: tuple[Box, int, int], turn: int, config: CropConfig, seed: int
) -> None:
    """Where the area lies between pixels, too."""
    box, width, height = photo
    # In sixteenths of a pixel, turning a box costs no rounding.
    sides = [max(1, round(side * 300 / 5000)) for side in (width, height)]
    across, down = (max(1, round(16 * 0.06 * side)) / 16 for side in (box.width, box.height))
    left, top = (round(16 * 0.06 * start) / 16 for start in (box.left, box.top))
    upright = Box(left=left, top=top, width=across, height=down)
    pixels = np.random.default_rng(seed).integers(0, 256, (sides[1], sides[0], 3), dtype=np.uint8)
    # The photo lies: turned by `turn` counter-clockwise, it is upright.
    lying = np.rot90(pixels, -turn // 90)
    place = turned_box(upright, turn, sides[0], sides[1])
    there = crop_box(place, config, lying.shape[1], lying.shape[0])
    here = crop_box(upright, config, sides[0], sides[1])
    found = extract_crop(Image.fromarray(np.ascontiguousarray(lying)), there, config, turn=turn)
    wanted = extract_crop(Image.fromarray(pixels), here, config)
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, wanted)


def turned_box(box: Box, turn: int, width: int, height: int) -> Box:
    """Where a box is in a photo that was turned by `turn` degrees clockwise."""
    right, bottom = width - box.left - box.width, height - box.top - box.height
    left, top, across, down = {
        0: (box.left, box.top, box.width, box.height),
        90: (bottom, box.left, box.height, box.width),
        180: (right, bottom, box.width, box.height),
        270: (box.top, right, box.height, box.width),
    }[turn]
    return Box(left=left, top=top, width=across, height=down)


@given(photos(), st.integers(1, 40), st.none() | st.integers(1, 40), st.integers(0, 255))
def test_a_crop_of_one_colour_has_that_colour(
    photo: tuple[Box, int, int], size: int, through: int | None, value: int
) -> None:
    box, width, height = photo
    width, height = min(width, 300), min(height, 300)
    config = CropConfig(size_px=size, through_px=through)
    pixels = np.full((height, width, 3), value, dtype=np.uint8)
    left, top = min(box.left, width - 0.5), min(box.top, height - 0.5)
    inside = Box(left=left, top=top, width=min(box.width, width), height=min(box.height, height))
    crop = extract_crop(Image.fromarray(pixels), crop_box(inside, config, width, height), config)
    assert crop.shape == (size, size, 3)
    assert (crop == value).all()


def test_the_whole_of_a_picture_of_the_right_size_is_the_picture(face_picture: ndarray) -> None:
    square = face_picture[:100, :100]
    whole = Box(left=0.0, top=0.0, width=100.0, height=100.0)
    np.testing.assert_array_equal(
        extract_crop(Image.fromarray(square), whole, CropConfig(size_px=100)), square
    )


@given(
    left=st.floats(0, 40),
    top=st.floats(0, 40),
    side=st.floats(4, 60),
    size=st.integers(8, 50),
    seed=st.integers(0, 9),
)
def test_nothing_from_far_outside_of_the_area_leaks_in(
    left: float, top: float, side: float, size: int, seed: int
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    area = Box(left=left, top=top, width=side, height=side)
    reach = 2 * max(1.0, side / size) + 1  # of a bicubic filter, px
    rows, columns = (
        slice(max(0, int(start - reach)), int(start + side + reach) + 1) for start in (top, left)
    )
    other = 255 - pixels
    other[rows, columns] = pixels[rows, columns]
    config = CropConfig(size_px=size)
    np.testing.assert_array_equal(
        extract_crop(Image.fromarray(pixels), area, config),
        extract_crop(Image.fromarray(other), area, config),
    )


@given(st.integers(0, 40), st.integers(0, 40), st.integers(2, 6), st.integers(4, 10))
def test_shrinking_keeps_the_mean_of_the_area(left: int, top: int, times: int, size: int) -> None:
    y, x = np.mgrid[0:100, 0:100]
    pixels = np.stack([2 * x, 2 * y, x + y], axis=-1).astype(np.uint8)
    side = times * size
    area = Box(left=float(left), top=float(top), width=float(side), height=float(side))
    expected = pixels[top : top + side, left : left + side].mean(axis=(0, 1))
    crop = extract_crop(Image.fromarray(pixels), area, CropConfig(size_px=size))
    np.testing.assert_allclose(crop.mean(axis=(0, 1)), expected, atol=1.5)


def test_a_crop_is_upright_and_not_mirrored() -> None:
    pixels = np.zeros((60, 60, 3), dtype=np.uint8)
    pixels[:30, 30:] = (255, 0, 0)  # red, above on the right
    crop = extract_crop(
        Image.fromarray(pixels),
        Box(left=10.0, top=10.0, width=40.0, height=40.0),
        CropConfig(size_px=20),
    )
    assert crop[2, 17].tolist() == [255, 0, 0]
    assert not crop[17].any()
    assert not crop[2, 2].any()


def test_going_through_a_smaller_size_costs_detail() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = Box(left=0.0, top=0.0, width=64.0, height=64.0)
    sharp, soft = (
        extract_crop(Image.fromarray(pixels), whole, CropConfig(size_px=64, through_px=px))
        for px in (None, 16)
    )
    assert soft.shape == sharp.shape
    assert soft.std() < 0.6 * sharp.std()
