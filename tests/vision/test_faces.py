from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, fields, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from veridical.arrays import ndarray
from veridical.report import Box
from veridical.vision.faces import (
    CropConfig,
    Face,
    FaceFinder,
    _decode,
    _overlap,
    _without_doubles,
    crop_box,
)

Picture = Callable[..., ndarray]

SIDES = st.integers(1, 5000)
SHARES = st.floats(0, 1)
FRAMING = CropConfig(size_px=64)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Box, int, int]:
    """A face inside a photo."""
    width, height = draw(SIDES), draw(SIDES)
    across, down = (max(0.5, n * draw(st.floats(0.001, 1))) for n in (width, height))
    left, top = (width - across) * draw(SHARES), (height - down) * draw(SHARES)
    return Box(left=left, top=top, width=across, height=down), width, height


def boxes(low: float = -20, high: float = 20) -> st.SearchStrategy[Box]:
    return st.builds(
        Box,
        left=st.floats(low, high),
        top=st.floats(low, high),
        width=st.floats(0.1, 20),
        height=st.floats(0.1, 20),
    )


def face(box: Box, score: float) -> Face:
    return Face(box=box, landmarks=(), score=score)


# --- where to cut ------------------------------------------------------------------------------


@given(scenes(), st.floats(0.5, 5))
def test_the_square_is_inside_the_photo_and_holds_the_face(
    scene: tuple[Box, int, int], margin: float
) -> None:
    box, width, height = scene
    area = crop_box(box, replace(FRAMING, margin=margin), width, height)
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


@given(scenes())
def test_away_from_the_edges_the_face_is_in_the_middle(scene: tuple[Box, int, int]) -> None:
    box, width, height = scene
    area = crop_box(box, FRAMING, width, height)
    side = 1.3 * max(box.width, box.height)
    x, y = box.left + box.width / 2, box.top + box.height / 2
    if side / 2 <= x <= width - side / 2 and side / 2 <= y <= height - side / 2:
        assert area.left + area.width / 2 == pytest.approx(x)
        assert area.top + area.height / 2 == pytest.approx(y)


def test_a_margin_of_its_own_stands_for_the_framings() -> None:
    box = Box(left=40.0, top=40.0, width=20.0, height=10.0)
    assert crop_box(box, FRAMING, 100, 100).width == pytest.approx(26)
    assert crop_box(box, FRAMING, 100, 100, margin=2.0).width == pytest.approx(40)


def test_the_whole_frame_is_taken_where_that_was_asked_for() -> None:
    box = Box(left=40.0, top=40.0, width=20.0, height=10.0)
    whole = replace(FRAMING, whole=True)
    assert crop_box(box, whole, 100, 80) == Box(left=0.0, top=0.0, width=100.0, height=80.0)


def test_a_fingerprint_changes_whenever_a_crop_would() -> None:
    others = {"size_px": 65, "margin": 1.4, "through_px": 32, "whole": True}
    assert others.keys() == {field.name for field in fields(CropConfig)}
    changed = [replace(FRAMING, **{name: value}) for name, value in others.items()]  # type: ignore[arg-type]
    prints = [framing.fingerprint for framing in (FRAMING, *changed)]
    assert len(set(prints)) == len(prints)
    assert CropConfig(size_px=64, margin=1.3).fingerprint == FRAMING.fingerprint
    assert all(len(one) == 12 and int(one, 16) >= 0 for one in prints)


# --- cutting -----------------------------------------------------------------------------------


@given(scenes(), st.integers(1, 40), st.none() | st.integers(1, 40), st.integers(0, 255))
def test_what_is_cut_from_one_colour_is_of_that_colour(
    scene: tuple[Box, int, int], size: int, through: int | None, value: int
) -> None:
    box, width, height = scene
    width, height = min(width, 300), min(height, 300)
    framing = CropConfig(size_px=size, through_px=through)
    pixels = np.full((height, width, 3), value, dtype=np.uint8)
    left, top = min(box.left, width - 0.5), min(box.top, height - 0.5)
    inside = Box(left=left, top=top, width=min(box.width, width), height=min(box.height, height))
    crop = extract_crop(pixels, crop_box(inside, framing, width, height), framing)
    assert crop.shape == (size, size, 3)
    assert (crop == value).all()


def test_the_whole_of_a_picture_of_the_right_size_is_the_picture(face_picture: ndarray) -> None:
    square = face_picture[:100, :100]
    whole = Box(left=0.0, top=0.0, width=100.0, height=100.0)
    np.testing.assert_array_equal(extract_crop(square, whole, CropConfig(size_px=100)), square)


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
    framing = CropConfig(size_px=size)
    np.testing.assert_array_equal(
        extract_crop(pixels, area, framing), extract_crop(other, area, framing)
    )


@given(st.integers(0, 40), st.integers(0, 40), st.integers(2, 6), st.integers(4, 10))
def test_shrinking_keeps_the_mean_of_the_area(left: int, top: int, times: int, size: int) -> None:
    y, x = np.mgrid[0:100, 0:100]
    pixels = np.stack([2 * x, 2 * y, x + y], axis=-1).astype(np.uint8)
    side = times * size
    area = Box(left=float(left), top=float(top), width=float(side), height=float(side))
    expected = pixels[top : top + side, left : left + side].mean(axis=(0, 1))
    crop = extract_crop(pixels, area, CropConfig(size_px=size))
    np.testing.assert_allclose(crop.mean(axis=(0, 1)), expected, atol=1.5)


def test_a_crop_is_upright_and_not_mirrored() -> None:
    pixels = np.zeros((60, 60, 3), dtype=np.uint8)
    pixels[:30, 30:] = (255, 0, 0)  # red, above on the right
    crop = extract_crop(
        pixels, Box(left=10.0, top=10.0, width=40.0, height=40.0), CropConfig(size_px=20)
    )
    assert crop[2, 17].tolist() == [255, 0, 0]
    assert not crop[17].any()
    assert not crop[2, 2].any()


def test_going_through_a_smaller_size_costs_detail() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = Box(left=0.0, top=0.0, width=64.0, height=64.0)
    sharp, soft = (
        extract_crop(pixels, whole, CropConfig(size_px=64, through_px=px)) for px in (None, 16)
    )
    assert soft.shape == sharp.shape
    assert soft.std() < 0.6 * sharp.std()


# --- one face, one box -------------------------------------------------------------------------


@given(boxes(), boxes())
def test_overlap_is_a_share_and_mutual(a: Box, b: Box) -> None:
    assert 0 <= _overlap(a, b) <= 1 + 1e-9
    assert _overlap(a, b) == pytest.approx(_overlap(b, a))
    assert _overlap(a, a) == pytest.approx(1)


def test_overlap_is_intersection_over_union() -> None:
    a = Box(left=0.0, top=0.0, width=4.0, height=4.0)
    assert _overlap(a, Box(left=2.0, top=0.0, width=4.0, height=4.0)) == pytest.approx(8 / 24)
    assert _overlap(a, Box(left=4.0, top=0.0, width=4.0, height=4.0)) == 0
    assert _overlap(a, Box(left=5.0, top=5.0, width=4.0, height=4.0)) == 0
    assert _overlap(a, Box(left=1.0, top=1.0, width=2.0, height=2.0)) == pytest.approx(4 / 16)


@given(st.lists(st.builds(face, boxes(), SHARES), max_size=12))
def test_every_face_is_kept_once(found: list[Face]) -> None:
    kept = _without_doubles(found)
    for i, one in enumerate(kept):
        assert one in found
        assert all(_overlap(one.box, other.box) < 0.3 for other in kept[:i])
    for one in found:  # what was dropped lies on a face that the detector was surer of
        n_random = [other for other in kept if _overlap(one.box, other.box) >= 0.3 or other == one]
        assert n_random
        assert max(rival.score for rival in n_random) >= one.score
    assert _without_doubles(kept) == kept


def test_neighbours_stay_two_and_ties_go_to_the_first() -> None:
    left = face(Box(left=0.0, top=0.0, width=10.0, height=10.0), 0.6)
    right = face(Box(left=8.0, top=0.0, width=10.0, height=10.0), 0.9)
    assert set(_without_doubles([left, right])) == {left, right}
    again = face(Box(left=1.0, top=0.0, width=10.0, height=10.0), 0.6)
    assert _without_doubles([left, again]) == [left]


def test_a_peak_of_the_heat_map_is_a_face_in_the_photo() -> None:
    rows, columns = 6, 10
    heat = np.zeros((rows, columns), dtype=np.float32)
    size, offset = (np.zeros((2, rows, columns), dtype=np.float32) for _ in range(2))
    marks = np.zeros((10, rows, columns), dtype=np.float32)
    heat[2, 5] = 0.8
    heat[0, 0] = 0.4  # not sure enough
    size[:, 2, 5] = np.log([3.0, 2.0])  # height and width in cells of 4 px
    offset[:, 2, 5] = 0.25, -0.5  # down and across, in cells
    marks[:, 2, 5] = 0.4, 0.3, 0.4, 0.7, 0.6, 0.5, 0.8, 0.3, 0.8, 0.7  # y, x as shares of the box
    (found,) = _decode(heat, size, offset, marks, (2.0, 3.0))
    assert found.score == pytest.approx(0.8)
    left, top = ((5 - 0.5 + 0.5) * 4 - 4) * 2, ((2 + 0.25 + 0.5) * 4 - 6) * 3
    assert found.box.left == pytest.approx(left)
    assert found.box.top == pytest.approx(top)
    assert (found.box.width, found.box.height) == pytest.approx((16, 36))
    assert found.size_px == found.box.height
    assert found.landmarks[0] == pytest.approx((left + 0.3 * 16, top + 0.4 * 36))
    assert found.landmarks[4] == pytest.approx((left + 0.7 * 16, top + 0.8 * 36))


def test_a_face_at_the_edge_is_clipped_and_one_outside_dropped() -> None:
    heat = np.zeros((4, 4), dtype=np.float32)
    size, offset = (np.zeros((2, 4, 4), dtype=np.float32) for _ in range(2))
    heat[0, 0], heat[3, 3] = 0.9, 0.9
    size[:, 0, 0] = np.log(3.0)
    offset[:, 3, 3] = 9.0
    (found,) = _decode(heat, size, offset, np.zeros((10, 4, 4), dtype=np.float32), (1.0, 1.0))
    assert (found.box.left, found.box.top) == (0, 0)
    assert (found.box.width, found.box.height) == pytest.approx((8, 8))


# --- the detector itself -----------------------------------------------------------------------

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.jpg"))
real = pytest.mark.skipif(
    not files("veridical").joinpath("models", "centerface.onnx").is_file(),
    reason="this checkout has no face detector",
)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(threads=1)


def pixels(path: Path) -> ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@real
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_portrait_has_one_face_with_everything_in_its_place(
    finder: FaceFinder, path: Path
) -> None:
    photo = pixels(path)
    height, width = photo.shape[:2]
    (found,) = finder.find(photo)
    box = found.box
    assert 0.5 < found.score <= 1
    assert 0 <= box.left < box.left + box.width <= width + 1e-6
    assert 0 <= box.top < box.top + box.height <= height + 1e-6
    for x, y in found.landmarks:
        assert box.left < x < box.left + box.width
        assert box.top < y < box.top + box.height
    right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks
    assert right_eye[0] < nose[0] < left_eye[0]  # the person's right is on our left
    assert right_mouth[0] < left_mouth[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


@real
def test_a_face_is_made_of_plain_numbers(finder: FaceFinder) -> None:
    (found,) = finder.find(pixels(EXAMPLES[0]))
    numbers = [*astuple(found.box), *(n for point in found.landmarks for n in point), found.score]
    assert {type(number) for number in numbers} == {float}


@real
def test_companions_are_found_largest_first(finder: FaceFinder) -> None:
    one = pixels(EXAMPLES[0])
    half = np.asarray(Image.fromarray(one).reduce(2))
    group = np.zeros((640, 429 + half.shape[1], 3), dtype=np.uint8)
    group[: len(one), : one.shape[1]] = one[:640, :429]
    group[: len(half), 429:] = half
    found = finder.find(group)
    assert len(found) == 2
    assert all(a.size_px >= b.size_px for a, b in pairwise(found))
    assert found[0].box.left + found[0].box.width < 429 < found[1].box.left


@real
def test_a_small_face_is_found_at_the_second_look(finder: FaceFinder) -> None:
    small = np.asarray(Image.fromarray(pixels(EXAMPLES[0])).resize((107, 160)))
    photo = np.full((1000, 1000, 3), 90, dtype=np.uint8)
    photo[700:860, 800:907] = small
    (found,) = finder.find(photo)
    assert found.size_px < 0.06 * 1000
    assert 800 < found.box.left < found.box.left + found.box.width < 907
    assert 700 < found.box.top < found.box.top + found.box.height < 860


@real
@pytest.mark.parametrize("size", [(96, 128), (1, 1), (1, 300), (300, 7), (33, 65)])
def test_where_nobody_is_nobody_is_found(
    finder: FaceFinder, painter: Picture, size: tuple[int, int]
) -> None:
    assert finder.find(painter(*size)) == ()


@real
def test_a_finder_is_shared_between_threads_and_says_the_same_with_any_number_of_them(
    finder: FaceFinder,
) -> None:
    photo = pixels(EXAMPLES[2])
    alone = finder.find(photo)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(finder.find, [photo] * 3)) == [alone] * 3
    assert FaceFinder(threads=2).find(photo) == alone
