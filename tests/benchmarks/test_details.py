"""A crop of native pixels beside those that are judged: what is added where, and the table."""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from benchmarks.details import WAYS, OnWholePixels, added, by_set, page

from tests.benchmarks.test_tuning import pictures
from veridical.box import Box
from veridical.vision.crop import CropConfig, crop_box, extract_crop
from veridical.vision.faces import Face


class Between:
    """A finder whose face lies between pixels."""

    name = "between"

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        return (Face(box=Box(left=20.4, top=31.7, width=17.3, height=24.9), landmarks=(), score=1),)


def test_the_native_crop_is_cut_out_and_not_resampled() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8)
    photo, native = Image.fromarray(pixels), CropConfig(size_px=16, margin=1e-3, least_px=16)
    crops = []
    for finder in (OnWholePixels(Between()), Between()):
        (face,) = finder.find(photo)
        area = crop_box(face.box, native, *photo.size)
        crops.append(extract_crop(photo, area, native))
    left, top = 20 + 9 - 8, 32 + 12 - 8
    assert np.array_equal(crops[0], pixels[top : top + 16, left : left + 16])
    assert not np.array_equal(crops[0], crops[1])


def test_the_native_crop_counts_everywhere_alone_or_for_large_faces() -> None:
    two, native = np.array([[1.0], [2.0]]), np.array([[10.0], [20.0]])
    found = added(two, native, np.array([[True], [False]]))
    assert [found[way].ravel().tolist() for way in WAYS] == [
        [1.0, 2.0],
        [10.0, 20.0],
        [11.0, 22.0],
        [11.0, 2.0],
    ]


def test_sets_are_pictures_as_delivered_large_ones_and_the_other_views() -> None:
    samples = pictures()
    ai = np.array([sample.label == "ai" for sample in samples])
    large = np.arange(len(samples)) % 2 == 0
    right, wrong = ai.astype(float), (~ai).astype(float)
    # Right as delivered where a face is large, wrong elsewhere; right in one of the other views.
    logits = np.stack([np.where(large, right, wrong), right, wrong], axis=1)
    found = dict(by_set(logits, np.repeat(large[:, None], 3, axis=1), samples))
    assert found["faces from 220 px"] == 1.0
    assert 0 < found["as delivered"] < 1
    assert found["rescaled and re-encoded"] == 0.5


def test_the_table_has_a_row_per_way_and_shows_the_rounds() -> None:
    lines = page({(way, "as delivered"): [0.5, 0.7] for way in WAYS}).splitlines()
    assert lines[2:] == [f"| {way} | 0.600 | 0.500, 0.700 |" for way in WAYS]
