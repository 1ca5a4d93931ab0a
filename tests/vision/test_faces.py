from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from veridical.arrays import ndarray
from veridical.box import Box
from veridical.vision.faces import Face, FaceFinder, _decode, _inside, _overlap, _without_doubles

Picture = Callable[..., ndarray]

SHARES = st.floats(0, 1)


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
        assert not any(_inside(one.box, other.box) for other in kept)
    assert _without_doubles(kept) == kept


@given(st.lists(st.builds(face, boxes(), SHARES), max_size=12))
def test_what_is_dropped_lies_on_a_surer_face_or_in_a_larger_one(found: list[Face]) -> None:
    kept = _without_doubles(found)
    for one in found:
        assert one in kept or any(
            (_overlap(one.box, other.box) >= 0.3 and other.score >= one.score)
            or _inside(one.box, other.box)
            for other in found
            if other != one
        )


def test_neighbours_stay_two_and_ties_go_to_the_first() -> None:
    left = face(Box(left=0.0, top=0.0, width=10.0, height=10.0), 0.6)
    right = face(Box(left=8.0, top=0.0, width=10.0, height=10.0), 0.9)
    assert set(_without_doubles([left, right])) == {left, right}
    again = face(Box(left=1.0, top=0.0, width=10.0, height=10.0), 0.6)
    assert _without_doubles([left, again]) == [left]


def test_a_part_of_a_face_is_no_face_and_a_face_half_behind_another_is_one() -> None:
    whole = face(Box(left=0.0, top=0.0, width=100.0, height=120.0), 0.6)
    eye = face(Box(left=20.0, top=30.0, width=30.0, height=40.0), 0.9)
    assert _overlap(whole.box, eye.box) < 0.3
    assert _without_doubles([eye, whole]) == [whole]
    half = face(Box(left=80.0, top=30.0, width=40.0, height=40.0), 0.9)
    assert set(_without_doubles([half, whole])) == {half, whole}


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

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))
real = pytest.mark.skipif(
    not files("veridical").joinpath("models", "centerface.onnx").is_file(),
    reason="this checkout has no face detector",
)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(threads=1)


def photo_of(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


@real
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_portrait_has_one_face_with_everything_in_its_place(
    finder: FaceFinder, path: Path
) -> None:
    photo = photo_of(path)
    width, height = photo.size
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
    (found,) = finder.find(photo_of(EXAMPLES[0]))
    numbers = [*astuple(found.box), *(n for point in found.landmarks for n in point), found.score]
    assert {type(number) for number in numbers} == {float}


@real
def test_companions_are_found_largest_first(finder: FaceFinder) -> None:
    one = photo_of(EXAMPLES[0]).crop((0, 0, 429, 640))
    half = photo_of(EXAMPLES[0]).reduce(2)
    group = Image.new("RGB", (429 + half.width, 640))
    group.paste(one, (0, 0))
    group.paste(half, (429, 0))
    found = finder.find(group)
    assert len(found) == 2
    assert all(a.size_px >= b.size_px for a, b in pairwise(found))
    assert found[0].box.left + found[0].box.width < 429 < found[1].box.left


@real
def test_a_small_face_is_found_in_the_larger_copy(finder: FaceFinder) -> None:
    photo = Image.new("RGB", (1000, 1000), (90, 90, 90))
    photo.paste(photo_of(EXAMPLES[0]).resize((107, 160)), (800, 700))
    (found,) = finder.find(photo)
    assert found.size_px < 0.06 * 1000
    assert 800 < found.box.left < found.box.left + found.box.width < 907
    assert 700 < found.box.top < found.box.top + found.box.height < 860


@real
@pytest.mark.parametrize("size", [(96, 128), (1, 1), (1, 300), (300, 7), (33, 65)])
def test_where_nobody_is_nobody_is_found(
    finder: FaceFinder, painter: Picture, size: tuple[int, int]
) -> None:
    assert finder.find(Image.fromarray(painter(*size))) == ()


@real
def test_a_finder_is_shared_between_threads_and_says_the_same_with_any_number_of_them(
    finder: FaceFinder,
) -> None:
    photo = photo_of(EXAMPLES[2])
    alone = finder.find(photo)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(finder.find, [photo] * 3)) == [alone] * 3
    assert FaceFinder(threads=2).find(photo) == alone
