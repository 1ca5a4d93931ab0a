import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from veridical.arrays import ndarray
from veridical.box import Box
from veridical.train import views as module
from veridical.train.views import face_px, views, window
from veridical.vision.crop import CropConfig, crop_box, extract_crop

Painter = Callable[..., ndarray]
FACE = (10.0, 10.0, 40.0, 40.0)
BOX = Box(left=10.0, top=10.0, width=40.0, height=40.0)
CROP = CropConfig(size_px=32)
WIDE = CropConfig(size_px=32, margin=2.4, least_px=59)
BOTH = (replace(CROP, least_px=32), WIDE)


def seen(pixels: ndarray, picture: str, *configs: CropConfig) -> list[ndarray]:
    image = Image.fromarray(pixels)
    return [views(image, BOX, configs or BOTH, picture, number) for number in range(6)]


# --- the same bytes, the same views ------------------------------------------------------------


def test_the_same_picture_has_the_same_views_and_another_has_others(
    painter: Painter,
) -> None:
    pixels = painter(64, 60, FACE)
    first, again, other = (seen(pixels, name) for name in ("aa", "aa", "bb"))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0], other[0])  # as delivered
    assert not any(np.array_equal(a, b) for a, b in zip(first[1:], other[1:], strict=True))
    assert len({one.tobytes() for one in first}) == 6
    assert {one.shape for one in first} == {(2, 32, 32, 3)}


def test_a_view_does_not_go_by_the_order_in_which_views_are_made(painter: Painter) -> None:
    image = Image.fromarray(painter(64, 60, FACE))
    forwards = [views(image, BOX, BOTH, "aa", n) for n in range(4)]
    backwards = [views(image, BOX, BOTH, "aa", n) for n in (3, 2, 1, 0)]
    assert all(map(np.array_equal, forwards, reversed(backwards)))


def test_how_a_photo_came_is_drawn_from_its_hash_its_number_and_nothing_else() -> None:
    """Of 400 pictures, the draws do not know where a face is, how large, nor its class."""
    small, large = BOX, Box(left=300.0, top=80.0, width=90.0, height=120.0)
    for number in range(1, 20):
        one, other = (module._way(box, "ab", number) for box in (small, large))
        assert (one.filter, one.zoom, one.mirrored) == (other.filter, other.zoom, other.mirrored)
        shifts = [
            ((way.moved.left - box.left) / box.size_px, (way.moved.top - box.top) / box.size_px)
            for way, box in ((one, small), (other, large))
        ]
        assert shifts[0] == pytest.approx(shifts[1])
        assert max(map(abs, shifts[0])) <= 0.2


def test_classes_draw_from_one_distribution() -> None:
    """A class enters by the bytes alone, so two sets of hashes differ by chance only."""
    box = Box(left=0.0, top=0.0, width=300.0, height=400.0)

    def drawn(prefix: str) -> ndarray:
        names = [hashlib.sha256(f"{prefix}{n}".encode()).hexdigest() for n in range(400)]
        ways = [module._way(box, name, 1) for name in names]
        return np.array([[way.scale, way.zoom, way.mirrored, way.moved.left] for way in ways])

    real, ai = drawn("real"), drawn("ai")
    assert not np.isin(real[:, 1], ai[:, 1]).any()
    spread = np.sqrt((real.var(axis=0) + ai.var(axis=0)) / 400)
    assert (np.abs(real.mean(axis=0) - ai.mean(axis=0)) < 4 * spread).all()


# --- what a view shows -------------------------------------------------------------------------


def test_the_view_as_delivered_is_cropped_as_at_inspection(painter: Painter) -> None:
    pixels = painter(64, 60, FACE)
    for config in (CROP, WIDE, replace(CROP, through_px=12), replace(CROP, whole=True)):
        area = crop_box(BOX, config, 60, 64)
        for turn in (0, 90, 180):
            wanted = extract_crop(Image.fromarray(pixels), area, config, turn=turn)
            (found,) = views(Image.fromarray(pixels), BOX, [config], "aa", 0, turn=turn)
            assert np.array_equal(found, wanted)


def test_every_crop_of_a_view_is_of_the_photo_that_came_in_that_way(painter: Painter) -> None:
    """A crop does not depend on the other crops, but for what is treated around them."""
    image = Image.fromarray(painter(400, 400, (150.0, 150.0, 100.0, 100.0)))
    box = Box(left=150.0, top=150.0, width=100.0, height=100.0)
    for number in range(1, 6):
        face, context = views(image, box, BOTH, "aa", number).astype(float)
        way = module._way(box, "aa", number)
        sides = [
            crop_box(
                way.moved.scaled(way.scale), one, 400 * way.scale, 400 * way.scale, zoom=way.zoom
            ).width
            for one in BOTH
        ]
        # The middle of the context is the face: the same colours, smaller.
        share = sides[0] / sides[1] / 2
        low, high = round(32 * (0.5 - share)), round(32 * (0.5 + share))
        inner = context[low:high, low:high].mean(axis=(0, 1))
        assert np.abs(inner - face.mean(axis=(0, 1))).max() < 25


def test_a_view_stays_close_to_what_it_is_a_view_of() -> None:
    """A disc of skin on dark blue: however it came, most of what is shown is one or the other."""
    y, x = np.mgrid[0:200, 0:200]
    inside = (x - 100) ** 2 + (y - 100) ** 2 < 50**2
    pixels = np.where(inside[..., None], (210, 156, 125), (20, 30, 90)).astype(np.uint8)
    box = Box(left=50.0, top=50.0, width=100.0, height=100.0)
    for number in range(1, 12):
        (crop,) = views(Image.fromarray(pixels), box, [CROP], "aa", number).astype(int)
        # Grey, too: 167 and 34 of 255.
        bright = crop.mean(axis=2) > 100
        assert 0.25 < bright.mean() < 0.9
        middle = crop[12:20, 12:20].mean(axis=(0, 1))
        assert np.abs(middle - (210, 156, 125)).max() < 60


@settings(max_examples=30)
@given(st.floats(4, 3000), st.floats(4, 3000), st.integers(0, 10**6))
def test_faces_of_a_view_have_40_to_700_px(across: float, down: float, seed: int) -> None:
    box = Box(left=5.0, top=7.0, width=across, height=down)
    size = box.size_px
    assert face_px(box, f"{seed:x}", 0) == size
    for number in range(1, 12):
        found = face_px(box, f"{seed:x}", number)
        # A small face is not blown up to fit, beyond what some photos are.
        assert min(size, 40.0) - 1e-9 <= found
        assert found <= max(size, 700.0) + 1e-9 if size <= 700 else found <= size + 1e-9
        assert found <= 2 * size + 1e-9


def test_faces_of_all_sizes_occur_as_often_as_their_logarithm() -> None:
    box = Box(left=0.0, top=0.0, width=1000.0, height=1400.0)
    found = np.array([face_px(box, f"{n:x}", 1) for n in range(1500)])
    shrunk = found[found < 1400]
    assert 40 <= shrunk.min() < 45
    assert 650 < shrunk.max() <= 700
    middle = np.sqrt(40 * 700)
    assert (shrunk < middle).mean() == pytest.approx(0.5, abs=0.06)
    # Those that would be enlarged are large already, and stay as they are.
    assert (found == 1400).mean() == pytest.approx(0.15, abs=0.04)


def test_small_faces_are_enlarged_sometimes_and_at_most_twice() -> None:
    box = Box(left=0.0, top=0.0, width=60.0, height=80.0)
    found = np.array([face_px(box, f"{n:x}", 1) for n in range(1500)])
    larger = found > 80
    assert larger.mean() == pytest.approx(0.15, abs=0.04)
    assert found.max() <= 160
    assert found[larger].max() > 140


@pytest.mark.parametrize("config", [*BOTH, CropConfig(size_px=32, margin=1.3, least_px=120)])
@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (120, 500)])
def test_a_window_says_which_part_of_the_photo_a_view_shows(
    config: CropConfig, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every pixel is painted with its own place; the crop tells where it came from."""
    monkeypatch.setattr(module, "_treated", lambda piece, draw: piece)
    height, width = shape
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * x / width, 255 * y / height, 0 * x], axis=-1)
    image = Image.fromarray(np.rint(pixels).astype(np.uint8))
    box = Box(left=0.55 * width, top=0.2 * height, width=70.0, height=90.0)
    mirrors = set()
    for number in range(12):
        crop = views(image, box, [config], "cd", number)[0].astype(float)
        shown = window(box, config, width, height, "cd", number)
        mirrors.add(shown.mirrored)
        across = crop[..., 0].mean(axis=0)[::-1] if shown.mirrored else crop[..., 0].mean(axis=0)
        down = crop[..., 1].mean(axis=1)
        for found, start, length, side in (
            (across, shown.area.left, shown.area.width, width),
            (down, shown.area.top, shown.area.height, height),
        ):
            edges = start + length * (np.arange(32) + 0.5) / 32
            wanted = 255 * (edges - 0.5) / side
            # A pixel of the resized photo, and one level, either way; not where filters end.
            slack = 1.5 + 255 / side / min(1.0, module._way(box, "cd", number).scale)
            np.testing.assert_allclose(found[2:-2], wanted[2:-2], atol=slack)
        assert shown.side_px <= 32
        least = config.least_px / (module._way(box, "cd", number).scale if number else 1.0)
        assert shown.area.width > min(least, width, height) - 1e-6
        if number:
            way = module._way(box, "cd", number)
            assert shown.side_px == min(32, round(shown.area.width * way.scale))
    assert mirrors == {False, True}


@settings(max_examples=40)
@given(
    st.integers(8, 900),
    st.integers(8, 900),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.integers(1, 50),
)
def test_a_window_lies_within_the_photo(
    width: int, height: int, shares: tuple[float, ...], number: int
) -> None:
    across, down = (
        max(4.0, share * side) for share, side in zip(shares, (width, height), strict=False)
    )
    left, top = shares[2] * (width - across), shares[3] * (height - down)
    box = Box(left=left, top=top, width=across, height=down)
    for config in BOTH:
        area = window(box, config, width, height, "ef", number).area
        assert min(area.left, area.top) >= -1e-6
        assert area.left + area.width <= width + 1e-6
        assert area.top + area.height <= height + 1e-6


def test_a_mirrored_view_is_the_view_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_treated", lambda piece, draw: piece)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))
    box = Box(left=60.0, top=60.0, width=80.0, height=80.0)
    way_of = module._way
    number = next(n for n in range(1, 20) if way_of(box, "aa", n).mirrored)
    mirrored = views(image, box, BOTH, "aa", number)

    def straight(*arguments: Any) -> Any:
        return replace(way_of(*arguments), mirrored=False)

    monkeypatch.setattr(module, "_way", straight)
    assert not window(box, CROP, 200, 200, "aa", number).mirrored
    np.testing.assert_array_equal(mirrored, views(image, box, BOTH, "aa", number)[:, :, ::-1])


def test_a_face_that_lies_is_upright_in_every_view(painter: Painter) -> None:
    upright = painter(200, 200, (50.0, 50.0, 100.0, 100.0))
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(upright, -1)))
    box = Box(left=50.0, top=50.0, width=100.0, height=100.0)
    for number in range(6):
        (crop,) = views(lying, box, [replace(CROP, margin=1.1)], "aa", number, turn=90)
        # The mouth is below the eyes: red, and not white.
        shifted = [
            crop[rows].astype(float).mean(axis=(0, 1)) for rows in (slice(8, 16), slice(20, 28))
        ]
        assert shifted[0][1] > shifted[1][1]


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_the_smallest_and_narrowest_pictures_have_views_too(size: tuple[int, int]) -> None:
    image = Image.fromarray(np.full((*size, 3), 128, np.uint8))
    box = Box(left=0.0, top=0.0, width=float(size[1]), height=float(size[0]))
    for number in range(4):
        assert views(image, box, BOTH, "aa", number).shape == (2, 32, 32, 3)
