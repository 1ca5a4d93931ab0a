"""What is kept of a picture is the same as when it is decoded again."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from veridical.arrays import ndarray
from veridical.errors import DataError, PhotoError
from veridical.io.source import open_source
from veridical.train.prepare import Prepared, opened
from veridical.train.store import Store
from veridical.vision.crop import CropConfig
from veridical.vision.prepare import Finder

pytest.importorskip("imagehash")

Painter = Callable[..., ndarray]
FACE = (10.0, 10.0, 40.0, 40.0)
CROP = CropConfig(size_px=32)


@pytest.fixture
def picture(painter: Painter, tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(painter(64, 60, FACE)).save(path)
    return path


def same(one: Prepared, other: Prepared) -> bool:
    plain = [(p.sha256, p.hash, p.face_px, repr(sorted(p.facts.items()))) for p in (one, other)]
    return plain[0] == plain[1] and np.array_equal(one.crops, other.crops)


def test_what_is_kept_is_what_was_decoded(
    picture: Path, fake_finder: Callable[..., Finder], tmp_path: Path, decoded: Counter[str]
) -> None:
    with opened(fake_finder(FACE), CROP, None) as pictures:
        fresh = pictures.of(open_source(picture), 3)
    for _ in range(2):
        with opened(fake_finder(FACE), CROP, tmp_path) as pictures:
            assert same(pictures.of(open_source(picture), 3), fresh)
    assert fresh.crops.shape == (3, 32, 32, 3)
    assert np.isnan(float(fresh.facts["raw", "file"]["JPEG quality"]))
    assert decoded == {"a.png": 2}  # once without a cache, once with one


def test_a_picture_without_a_face_is_kept_too(
    picture: Path, fake_finder: Callable[..., Finder], tmp_path: Path, decoded: Counter[str]
) -> None:
    for _ in range(2):
        with opened(fake_finder(), CROP, tmp_path) as pictures:
            found = pictures.of(open_source(picture), 3)
            assert (found.face_px, found.facts, len(found.crops)) == (None, {}, 0)
    assert decoded == {"a.png": 1}


def test_more_views_than_were_kept_are_made_again(
    picture: Path, fake_finder: Callable[..., Finder], tmp_path: Path, decoded: Counter[str]
) -> None:
    with opened(fake_finder(FACE), CROP, tmp_path) as pictures:
        three = pictures.of(open_source(picture), 3)
        pictures.keep(three, 1)
        assert np.array_equal(pictures.of(open_source(picture), 1).crops, three.crops[:1])
        assert pictures.of(open_source(picture), 0, to_make=3).facts.keys() == three.facts.keys()
        assert decoded == {"a.png": 1}
        assert np.array_equal(pictures.of(open_source(picture), 3).crops, three.crops)
        assert decoded == {"a.png": 2}


def test_another_finder_or_crop_is_another_cache(
    picture: Path, fake_finder: Callable[..., Finder], tmp_path: Path, decoded: Counter[str]
) -> None:
    other = (12.0, 10.0, 40.0, 40.0)
    for finder, crop in (
        (fake_finder(FACE), CROP),
        (fake_finder(other), CROP),
        (fake_finder(FACE), replace(CROP, margin=1.5)),
    ):
        with opened(finder, crop, tmp_path) as pictures:
            pictures.of(open_source(picture), 1)
    assert decoded == {"a.png": 3}
    assert len(list(tmp_path.glob("pictures-*.sqlite"))) == 3


def test_a_picture_that_cannot_be_decoded_is_tried_again(
    fake_finder: Callable[..., Finder], tmp_path: Path
) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with opened(fake_finder(FACE), CROP, tmp_path) as pictures:
        for _ in range(2):
            with pytest.raises(PhotoError):
                pictures.of(open_source(path), 1)


def test_a_cache_that_is_something_else_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match=r"rows\.sqlite cannot be used") as caught:
        Store(path, ("value",))
    assert "Delete that file" in caught.value.hint
