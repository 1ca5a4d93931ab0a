"""Odd pictures are what they say, the same every time; scores do the arithmetic of their papers."""

from dataclasses import replace

import numpy as np
import pytest
from research.oddities import FILTERS, PATTERNS, filtered, patterns
from research.ood_scorers import Neighbours, VirtualLogit

from veridical.arrays import UInt8, ndarray
from veridical.stats.metrics import auroc


def test_every_pattern_is_drawn_the_same_every_time() -> None:
    once, again = list(patterns(2)), list(patterns(2))
    assert [kind for kind, _ in once] == [kind for kind in PATTERNS for _ in range(2)]
    for (_, one), (_, other) in zip(once, again, strict=True):
        assert one.dtype == np.uint8
        assert one.shape == (320, 320, 3)
        assert np.array_equal(one, other)


def test_patterns_of_a_kind_differ() -> None:
    for kind in set(PATTERNS) - {"black, white, one colour"}:
        one, other = (pixels for name, pixels in patterns(2) if name == kind)
        assert not np.array_equal(one, other)


def test_every_filter_changes_the_picture_and_keeps_its_shape(
    face_picture: UInt8[ndarray, "height width 3"],
) -> None:
    made = dict(filtered(face_picture))
    assert list(made) == list(FILTERS)
    for name, pixels in made.items():
        assert pixels.shape == face_picture.shape
        change = np.abs(pixels.astype(int) - face_picture).mean()
        assert change > 2, name
    assert np.ptp(made["infrared-like"].astype(int), axis=2).max() == 0


def features(count: int, seed: int = 0, width: int = 20) -> ndarray:
    """In four directions, but for a little noise."""
    plane = np.random.default_rng(99).normal(size=(4, width))
    draw = np.random.default_rng(seed)
    inside = draw.normal(size=(count, 4)) @ plane
    return (inside + 0.1 * draw.normal(size=(count, width))).astype(np.float32)


FLAT = np.zeros(20, np.float32), np.ones(20, np.float32)


def test_the_neighbour_is_the_kth_by_brute_force() -> None:
    known, asked = features(120), features(5, seed=1)
    scorer = Neighbours.of(known, *FLAT)
    unit = known / np.linalg.norm(known, axis=1, keepdims=True)
    for one in asked:
        apart = np.sort(np.linalg.norm(unit - one / np.linalg.norm(one), axis=1))
        assert scorer.distance(one) == pytest.approx(apart[49], abs=1e-3)


def test_the_virtual_logit_is_that_of_the_paper() -> None:
    """Equations 5 to 7, with the complement of the subspace spelled out."""
    known, asked = features(200), features(5, seed=1)
    _, _, axes = np.linalg.svd(known.astype(np.float64))
    basis, rest = axes[:4], axes[4:]
    logits = known[:, 0].astype(np.float64)
    scorer = VirtualLogit.of(known, logits, *FLAT, basis.astype(np.float32))
    both = np.column_stack([logits / 2, -logits / 2])
    alpha = both.max(axis=1).sum() / np.linalg.norm(known @ rest.T, axis=1).sum()
    assert scorer.alpha == pytest.approx(alpha, rel=1e-3)
    for one in asked:
        z = float(one[0])
        virtual = alpha * np.linalg.norm(rest @ one)
        expected = virtual - np.log(np.exp(z / 2) + np.exp(-z / 2))
        assert scorer.distance(one, z) == pytest.approx(expected, rel=1e-2, abs=1e-2)


def test_what_lies_outside_the_plane_is_farther_by_either_score() -> None:
    known = features(200)
    _, _, axes = np.linalg.svd(known.astype(np.float64))
    near = replace(Neighbours.of(known, *FLAT), k=3)
    virtual = VirtualLogit.of(known, known[:, 0].astype(float), *FLAT, axes[:4].astype(np.float32))
    like = features(50, seed=2)
    unlike = like + 5 * axes[10].astype(np.float32)
    truth = np.repeat([False, True], 50)
    both = [*like, *unlike]
    assert auroc(truth, np.array([near.distance(x) for x in both])) > 0.9
    assert auroc(truth, np.array([virtual.distance(x, 0.0) for x in both])) > 0.99
