"""Laundered copies are what they say, and the same every time."""

import io

import numpy as np
import pytest
from benchmarks.laundering import GRID, launder
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.io.images import read_photo


@pytest.mark.parametrize("step", GRID)
def test_a_step_always_gives_the_same_readable_file(
    step: str, face_picture: UInt8[ndarray, "height width 3"]
) -> None:
    data = launder(face_picture, step)
    assert data == launder(face_picture, step)
    photo = read_photo(data)
    assert not np.array_equal(photo.pixels, face_picture)


@pytest.mark.parametrize(
    ("step", "kind", "share"),
    [
        ("JPEG 50", "JPEG", 1.0),
        ("WebP 60", "WEBP", 1.0),
        ("half size and back", "PNG", 1.0),
        ("half size, JPEG 50", "JPEG", 0.5),
        ("screenshot", "PNG", 0.77),
        ("crop", "PNG", 0.8),
    ],
)
def test_format_and_size(step: str, kind: str, share: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(launder(pixels, step))) as image:
        assert image.format == kind
        assert image.width == pytest.approx(200 * share, abs=2)
        assert image.height == pytest.approx(300 * share, abs=2)


def test_detail_is_gone_after_a_quarter_of_the_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)

    def detail(data: bytes) -> float:
        return float(np.abs(np.diff(read_photo(data).pixels.astype(float), axis=0)).mean())

    sharp, half, quarter = (
        detail(launder(pixels, step))
        for step in ("JPEG 95", "half size and back", "quarter size and back")
    )
    assert sharp > 2 * half > 4 * quarter


def test_no_such_step() -> None:
    with pytest.raises(KeyError):
        launder(np.zeros((8, 8, 3), dtype=np.uint8), "magic")
