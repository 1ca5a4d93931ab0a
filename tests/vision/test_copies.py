from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from veridical.box import Box
from veridical.vision.copies import TURNS, Copy, close_up, framed, tiles, upright

turns = pytest.mark.parametrize("turn", TURNS)


def spotted(width: int, height: int, x: int, y: int) -> Image.Image:
    """A black picture with a white square of 8 px around a point."""
    image = Image.new("RGB", (width, height))
    image.paste((255, 255, 255), (x - 4, y - 4, x + 4, y + 4))
    return image


def spot(copy: Copy, image: Image.Image) -> tuple[float, float]:
    """Where the middle of what is white in a copy lies in the photo."""
    light = copy.pixels(image)[0].mean(axis=0)
    rows, columns = np.nonzero(light > 128)
    return copy.to_photo(
        (columns.mean() + 0.5) * copy.scale[0], (rows.mean() + 0.5) * copy.scale[1]
    )


@turns
@pytest.mark.parametrize("border", [(0, 0), (16, 4)])
@pytest.mark.parametrize("piece", [(0.0, 0.0, 240.0, 160.0), (80.0, 20.0, 200.0, 140.0)])
def test_a_place_in_a_copy_is_found_in_the_photo(
    turn: int, border: tuple[int, int], piece: tuple[float, float, float, float]
) -> None:
    copy = Copy(piece=piece, size=(120, 60), border=border, turn=turn)
    x, y = spot(copy, spotted(240, 160, 150, 64))
    assert (x, y) == pytest.approx((150, 64), abs=1.5)


@turns
def test_a_turned_copy_is_that_of_the_turned_photo(turn: int) -> None:
    image = spotted(64, 32, 48, 8)
    copy = Copy(piece=(0.0, 0.0, 64.0, 32.0), size=(64, 32), turn=turn)
    turned = np.asarray(image.rotate(turn, expand=True), dtype=np.float32)  # counter-clockwise
    assert np.array_equal(copy.pixels(image)[0].transpose(1, 2, 0), turned)


def test_a_copy_as_it_is_has_the_pixels_of_the_resized_photo() -> None:
    image = spotted(200, 100, 120, 40)
    copy = Copy(piece=(0.0, 0.0, 200.0, 100.0), size=(64, 32))
    assert copy.as_is
    resized = np.asarray(image.resize((64, 32), Image.Resampling.BILINEAR), dtype=np.float32)
    assert np.array_equal(copy.pixels(image)[0].transpose(1, 2, 0), resized)


@turns
@given(width=st.floats(1, 9000), height=st.floats(1, 9000), side=st.sampled_from([None, 64, 128]))
def test_a_frame_has_sides_that_the_network_takes(
    turn: int, width: float, height: float, side: int | None
) -> None:
    scale = (side or 256) / 2 / max(width, height)
    copy = framed((0.0, 0.0, width, height), scale, multiple=32, turn=turn, side=side)
    for inner, strip in zip(copy.size, copy.border, strict=True):
        assert strip >= 0
        assert (inner + 2 * strip) % 32 == 0
        assert side is None or inner + 2 * strip == side


def test_a_close_up_shows_the_face_in_the_middle_or_moves_inwards() -> None:
    box = Box(left=400.0, top=300.0, width=60.0, height=80.0)
    copy = close_up(box, 1000, 900, around=2.0, side=128, turn=0)
    assert copy.piece == (350.0, 260.0, 510.0, 420.0)
    assert (copy.size, copy.border) == ((128, 128), (0, 0))
    corner = close_up(
        Box(left=0.0, top=0.0, width=60.0, height=80.0), 1000, 100, around=2.0, side=128, turn=0
    )
    assert corner.piece == (0.0, 0.0, 160.0, 100.0)
    assert (corner.size, corner.border) == ((128, 80), (0, 24))


@given(
    width=st.integers(1, 12000),
    height=st.integers(1, 12000),
    scale=st.floats(0.05, 0.55),
)
def test_tiles_cover_a_photo_and_each_place_has_one_that_answers(
    width: int, height: int, scale: float
) -> None:
    covering = tiles(width, height, scale=scale, side=896, overlap=96, multiple=32)
    area = 0.0
    for copy, (left, top, right, bottom) in covering:
        x0, y0, x1, y1 = copy.piece
        assert 0 <= x0 <= left < right <= x1 + 1e-6
        assert 0 <= y0 <= top < bottom <= y1 + 1e-6
        assert (x1, y1) <= (width, height)
        assert all(32 <= side <= 896 and side % 32 == 0 for side in copy.size)
        area += (right - left) * (bottom - top)
    assert area == pytest.approx(width * height)
    columns = sorted({(copy.piece[0], copy.piece[2], copy.size[0]) for copy, _ in covering})
    for (_, end, px), (begin, last, _) in pairwise(columns):  # a face fits into the overlap
        assert (end - begin) * px / (last - begin) >= 95


FACE = ((0.32, 0.4), (0.68, 0.4), (0.5, 0.58), (0.38, 0.78), (0.62, 0.78))


@turns
@pytest.mark.parametrize("needed", TURNS)
def test_a_face_is_most_upright_the_way_up_it_has(turn: int, needed: int) -> None:
    """The turn by which it becomes upright is counter-clockwise."""
    lying = {
        0: FACE,
        90: [(1 - y, x) for x, y in FACE],  # the photo had been turned clockwise
        180: [(1 - x, 1 - y) for x, y in FACE],
        270: [(y, 1 - x) for x, y in FACE],
    }
    assert upright(lying[needed], turn) == pytest.approx(
        {0: 2.0, 90: 0.0, 180: -2.0, 270: 0.0}[(turn - needed) % 360]
    )


def test_landmarks_in_one_place_have_no_way_up() -> None:
    assert upright(((3.0, 3.0),) * 5, 0) == -2
