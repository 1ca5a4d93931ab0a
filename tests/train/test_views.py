from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from veridical.arrays import ndarray
from veridical.box import Box
from veridical.train.views import view
from veridical.vision.crop import CropConfig, crop_box, extract_crop

Painter = Callable[..., ndarray]
FACE = (10.0, 10.0, 40.0, 40.0)
BOX = Box(left=10.0, top=10.0, width=40.0, height=40.0)
CROP = CropConfig(size_px=32)


def views(pixels: ndarray, picture: str, crop_config: CropConfig = CROP) -> list[ndarray]:
    image = Image.fromarray(pixels)
    return [view(image, BOX, crop_config, picture, number) for number in range(6)]


def test_the_same_picture_has_the_same_views_and_another_has_others(
    painter: Painter,
) -> None:
    pixels = painter(64, 60, FACE)
    first, again, other = (views(pixels, name) for name in ("aa", "aa", "bb"))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0], other[0])  # as delivered
    assert not any(np.array_equal(a, b) for a, b in zip(first[1:], other[1:], strict=True))
    assert len({one.tobytes() for one in first}) == 6
    assert {one.shape for one in first} == {(32, 32, 3)}


def test_the_view_as_delivered_is_cropped_as_at_inspection(painter: Painter) -> None:
    pixels = painter(64, 60, FACE)
    for config in (CROP, replace(CROP, through_px=12), replace(CROP, whole=True)):
        area = crop_box(BOX, config, 60, 64)
        wanted = extract_crop(Image.fromarray(pixels), area, config)
        assert np.array_equal(views(pixels, "aa", config)[0], wanted)


def test_a_view_stays_close_to_what_it_is_a_view_of(painter: Painter) -> None:
    image = Image.fromarray(painter(200, 200, (50.0, 50.0, 100.0, 100.0)))
    box = Box(left=50.0, top=50.0, width=100.0, height=100.0)
    for number in range(1, 8):
        seen = view(image, box, CROP, "aa", number).astype(float)
        # The face is symmetric: mirrored or not, its middle keeps the colour of skin.
        middle = seen[14:18, 14:18].mean(axis=(0, 1))
        assert np.abs(middle - (210, 156, 125)).max() < 60


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_the_smallest_and_narrowest_pictures_have_views_too(size: tuple[int, int]) -> None:
    image = Image.fromarray(np.full((*size, 3), 128, np.uint8))
    box = Box(left=0.0, top=0.0, width=float(size[1]), height=float(size[0]))
    for number in range(4):
        assert view(image, box, CROP, "aa", number).shape == (32, 32, 3)
