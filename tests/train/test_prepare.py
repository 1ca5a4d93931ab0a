"""What is kept of a picture is the same as when it is decoded again."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FakeFinder
from veridical.arrays import ndarray
from veridical.box import Box
from veridical.errors import DataError, PhotoError
from veridical.io.source import open_source
from veridical.train.prepare import Prepared, opened
from veridical.train.store import Store
from veridical.train.views import face_px, views
from veridical.vision.crop import CropConfig
from veridical.vision.prepare import Finder

pytest.importorskip("imagehash")

Painter = Callable[..., ndarray]
FACE = (10.0, 10.0, 40.0, 40.0)
BOX = Box(left=10.0, top=10.0, width=40.0, height=40.0)
CROP = CropConfig(size_px=32)
BOTH = (CROP, CropConfig(size_px=32, margin=2.4, least_px=59))


@pytest.fixture
def picture(painter: Painter, tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(painter(64, 60, FACE)).save(path)
    return path


def same(one: Prepared, other: Prepared) -> bool:
    plain = [
        (p.sha256, p.hash, p.face_px, p.sizes_px, repr(sorted(p.facts.items())))
        for p in (one, other)
    ]
    return plain[0] == plain[1] and np.array_equal(one.crops, other.crops)


def test_what_is_kept_is_what_was_decoded(
    picture: Path, fake_finder: Callable[..., Finder], tmp_path: Path, decoded: Counter[str]
) -> None:
    with opened(fake_finder(FACE), BOTH, None) as pictures:
        fresh = pictures.of(open_source(picture), 3)
    for _ in range(2):
        with opened(fake_finder(FACE), BOTH, tmp_path) as pictures:
            assert same(pictures.of(open_source(picture), 3), fresh)
    assert fresh.crops.shape == (3, 2, 32, 32, 3)
    assert fresh.sizes_px[0] == fresh.face_px == 40.0
    assert fresh.sizes_px == tuple(face_px(BOX, fresh.sha256, n) for n in range(3))
    assert np.isnan(float(fresh.facts["raw", "file"]["JPEG quality"]))
    assert decoded == {"a.png": 2}  # once without a cache, once with one
    image = open_source(picture).photo.image
    for number, crops in enumerate(fresh.crops):
        assert np.array_equal(crops, views(image, BOX, BOTH, fresh.sha256, number))


def test_a_picture_without_a_face_is_kept_too(
    picture: Path, fake_finder: Callable[..., Finder], tmp_path: Path, decoded: Counter[str]
) -> None:
    for _ in range(2):
        with opened(fake_finder(), BOTH, tmp_path) as pictures:
            found = pictures.of(open_source(picture), 3)
            assert (found.face_px, found.facts, len(found.crops)) == (None, {}, 0)
            assert (found.sizes_px, found.crops.shape) == ((), (0, 2, 32, 32, 3))
    assert decoded == {"a.png": 1}


def test_more_views_than_were_kept_are_made_again(
    picture: Path, fake_finder: Callable[..., Finder], tmp_path: Path, decoded: Counter[str]
) -> None:
    with opened(fake_finder(FACE), BOTH, tmp_path) as pictures:
        three = pictures.of(open_source(picture), 3)
        pictures.keep(three, 1)
        one = pictures.of(open_source(picture), 1)
        assert np.array_equal(one.crops, three.crops[:1])
        assert one.sizes_px == three.sizes_px[:1]
        assert pictures.of(open_source(picture), 0, to_make=3).facts.keys() == three.facts.keys()
        assert decoded == {"a.png": 1}
        assert np.array_equal(pictures.of(open_source(picture), 3).crops, three.crops)
        assert decoded == {"a.png": 2}


def test_another_finder_or_crop_is_another_cache(
    picture: Path, fake_finder: Callable[..., Finder], tmp_path: Path, decoded: Counter[str]
) -> None:
    other = (12.0, 10.0, 40.0, 40.0)
    for finder, configs in (
        (fake_finder(FACE), [CROP]),
        (fake_finder(other), [CROP]),
        (fake_finder(FACE), [replace(CROP, margin=1.5)]),
        (fake_finder(FACE), [replace(CROP, least_px=50)]),
        (fake_finder(FACE), BOTH),
        (fake_finder(FACE), BOTH[::-1]),
    ):
        with opened(finder, configs, tmp_path) as pictures:
            pictures.of(open_source(picture), 1)
    assert decoded == {"a.png": 6}
    assert len(list(tmp_path.glob("pictures-*.sqlite"))) == 6


def test_a_face_that_lies_is_kept_upright(picture: Path, tmp_path: Path) -> None:
    with opened(FakeFinder((FACE,), turn=90), BOTH, tmp_path) as pictures:
        found = pictures.of(open_source(picture), 2)
    image = open_source(picture).photo.image
    for number, crops in enumerate(found.crops):
        assert np.array_equal(crops, views(image, BOX, BOTH, found.sha256, number, turn=90))


def test_a_picture_that_cannot_be_decoded_is_tried_again(
    fake_finder: Callable[..., Finder], tmp_path: Path
) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with opened(fake_finder(FACE), BOTH, tmp_path) as pictures:
        for _ in range(2):
            with pytest.raises(PhotoError):
                pictures.of(open_source(path), 1)


def test_a_cache_that_is_something_else_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match=r"rows\.sqlite cannot be used") as caught:
        Store(path, ("value",))
    assert "Delete that file" in caught.value.hint
