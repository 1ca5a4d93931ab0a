"""Very large pictures: searched small, judged in native pixels, turned in pieces."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import exif_of, noise_image, paint_faces, saved
from veridical.box import Box
from veridical.io import decode
from veridical.io.decode import Photo, cut_out, placed, turned
from veridical.io.source import read_photo

WIDTH, HEIGHT = 700, 500
PIXELS = paint_faces(HEIGHT, WIDTH, (300, 200, 90, 110))


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "SEARCHED_PIXELS", WIDTH * HEIGHT // 4)


def large(orientation: int) -> Photo:
    return read_photo(saved(Image.fromarray(PIXELS), "PNG", exif=exif_of(orientation)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_large_picture_is_kept_as_stored_and_is_upright_when_asked_for(orientation: int) -> None:
    photo = large(orientation)
    assert photo.large
    assert photo.stored.size == (WIDTH, HEIGHT)
    assert photo.orientation == orientation
    assert photo.steps == ((f"EXIF orientation {orientation} applied",) * (orientation > 1))
    assert (photo.width, photo.height) == photo.image.size
    wanted = turned(Image.fromarray(PIXELS), orientation)
    np.testing.assert_array_equal(np.asarray(photo.image), np.asarray(wanted))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_is_cut_out_has_the_very_pixels_of_the_upright_picture(orientation: int) -> None:
    photo = large(orientation)
    for area in (
        Box(left=300.5, top=200.25, width=90.0, height=90.0),
        Box(left=0.0, top=0.0, width=20.0, height=30.0),
        Box(left=photo.width - 40.0, top=photo.height - 40.0, width=40.0, height=40.0),
    ):
        image, (moved,) = photo.around([area])
        assert image.width < photo.width or image.height < photo.height
        left, top = round(area.left - moved.left), round(area.top - moved.top)
        assert (left % 160, top % 160) == (0, 0)
        box = (left, top, left + image.width, top + image.height)
        np.testing.assert_array_equal(np.asarray(image), np.asarray(photo.image.crop(box)))
        assert (moved.width, moved.height) == (area.width, area.height)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_picture_is_searched_in_a_smaller_copy(orientation: int) -> None:
    photo = large(orientation)
    small = photo.smaller()
    assert small.size == (photo.width // 2, photo.height // 2)
    ordinary = dataclasses.replace(photo)
    assert ordinary.smaller().size == small.size


def test_an_ordinary_picture_is_searched_and_cropped_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(decode, "SEARCHED_PIXELS", WIDTH * HEIGHT)
    photo = large(6)
    assert (photo.large, photo.orientation) == (False, 1)
    area = Box(left=3.0, top=4.0, width=50.0, height=50.0)
    assert photo.smaller() is photo.image
    assert photo.around([area]) == (photo.image, (area,))


@given(st.integers(1, 8), st.integers(0, 40), st.integers(0, 25), st.integers(1, 9))
def test_an_area_is_placed_where_its_pixels_go(
    orientation: int, left: int, top: int, side: int
) -> None:
    image = noise_image(60).crop((0, 0, 50, 35))
    area = Box(left=float(left), top=float(top), width=float(side), height=float(side))
    there = placed(area, 50.0, 35.0, orientation)
    a = turned(image.crop((left, top, left + side, top + side)), orientation)
    np.testing.assert_array_equal(
        np.asarray(a), np.asarray(cut_out(turned(image, orientation), there))
    )
