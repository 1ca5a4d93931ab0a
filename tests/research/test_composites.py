"""Composites: the region is replaced, and nothing else."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from research.composites import REGIONS, SIDE, Part, composite, misfit, similarity, soft_mask

from veridical.box import Box
from veridical.vision.crop import CropConfig
from veridical.vision.faces import Face


def part(seed: int, turn: float = 0.0, painter: Any = None) -> Part:
    """A painted face of 240 px in a photo of 400; its landmarks are turned by `turn` rad."""
    pixels = painter(400, 400, (80.0, 80.0, 240.0, 240.0), seed=seed)
    points = np.array([(-48, -30), (48, -30), (0, 20), (-36, 64), (36, 64)], dtype=float)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    marks = points @ spin.T + 200
    face = Face(
        box=Box(left=80.0, top=80.0, width=240.0, height=240.0),
        score=0.9,
        landmarks=tuple((float(x), float(y)) for x, y in marks),
    )
    return Part(pixels=pixels, face=face, crop=CropConfig(size_px=224))


@given(
    scale=st.floats(0.3, 3),
    turn=st.floats(-3, 3),
    shift=st.tuples(st.floats(-2, 2), st.floats(-2, 2)),
)
def test_a_similarity_is_found_again(scale: float, turn: float, shift: tuple[float, float]) -> None:
    points = np.random.default_rng(0).normal(size=(5, 2))
    spin = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = similarity(points, points @ spin.T + shift)
    np.testing.assert_allclose(matrix, np.column_stack([spin, shift]), atol=1e-9)


@pytest.mark.parametrize("region", REGIONS)
def test_only_the_region_is_replaced(region: Any, painter: Any) -> None:
    base = part(0, painter=painter)
    noise = np.random.default_rng(0).integers(0, 256, base.pixels.shape, dtype=np.uint8)
    donor = replace(base, pixels=noise)
    own = composite(base, base, region, seed=3)
    made = composite(base, donor, region, seed=3)
    assert np.array_equal(own.mask, made.mask)
    before, after = (
        np.asarray(Image.open(io.BytesIO(one.data))).astype(float) for one in (own, made)
    )
    apart = np.abs(before - after).mean(axis=2)
    far = made.mask == 0
    assert far.any()
    # JPEG's blocks carry a little of the change over the edge of the mask.
    assert apart[far].mean() < 1
    assert apart[made.mask > 0.9].mean() > 3 * apart[far].mean()


@pytest.mark.parametrize("region", REGIONS)
def test_masks_lie_where_their_region_is(region: Any, painter: Any) -> None:
    marks = part(0, painter=painter).marks
    mask = soft_mask(marks, region, seed=0)
    assert mask.shape == (SIDE, SIDE)
    at = [tuple((mark * SIDE).astype(int)[::-1]) for mark in marks]
    inside = {
        "eyes": [1, 1, 0, 0, 0],
        "mouth": [0, 0, 0, 1, 1],
        "face": [1, 1, 1, 1, 1],
    }.get(region)
    if inside:
        assert [mask[place] > 0.5 for place in at] == [bool(one) for one in inside]
    if region == "half face":
        assert (mask[at[0]] > 0.5) != (mask[at[1]] > 0.5)
        whole = soft_mask(marks, "face", seed=0)
        assert mask.sum() == pytest.approx(whole.sum() / 2, rel=0.05)


def test_faces_that_do_not_lie_upon_each_other_are_not_mixed(painter: Any) -> None:
    base = part(0, painter=painter)
    turned = part(0, turn=0.6, painter=painter)
    assert misfit(base, turned) < 1e-3  # a turn is undone; colours differ a little
    points = np.array(base.face.landmarks)
    points[2] += (70, 0)  # a nose beside the face
    bent = replace(base.face, landmarks=tuple((float(x), float(y)) for x, y in points))
    assert misfit(base, replace(base, face=bent)) == np.inf


def test_a_mask_is_cut_like_its_crop(painter: Any) -> None:
    base = part(0, painter=painter)
    made = composite(base, base, "face", seed=0)
    whole = made.mask_in(Box(left=0.0, top=0.0, width=SIDE, height=SIDE), 2)
    quarter = made.mask.reshape(2, SIDE // 2, 2, SIDE // 2).mean(axis=(1, 3))
    np.testing.assert_allclose(whole, quarter, atol=1e-3)
