from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.arrays import ndarray
from veridical.infer.ood import OodScorer

FEATURES, DIRECTIONS = 24, 4


def trained(count: int, seed: int = 0) -> ndarray:
    """Features that live in four directions, but for a little noise."""
    plane = np.random.default_rng(99).normal(size=(DIRECTIONS, FEATURES))
    generator = np.random.default_rng(seed)
    inside = generator.normal(size=(count, DIRECTIONS)) * [4, 3, 2, 1]
    noise = generator.normal(size=(count, FEATURES)) * 0.1
    return (5 + inside @ plane + noise).astype(np.float32)


def fitted() -> OodScorer:
    features = trained(2000)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    x = (features - mean) / scale
    _, strength, basis = np.linalg.svd(x, full_matrices=False)
    inside = x @ basis[:DIRECTIONS].T
    scorer = OodScorer(
        mean=mean,
        scale=scale,
        basis=basis[:DIRECTIONS],
        variance=strength[:DIRECTIONS] ** 2 / len(x),
        residual=float(((x**2).sum(axis=1) - (inside**2).sum(axis=1)).mean()),
        limit=1.0,
    )
    return replace(scorer, limit=float(np.quantile([scorer.raw(x) for x in trained(500, 1)], 0.99)))


SCORER = fitted()


def test_pictures_like_the_training_pictures_stay_under_the_limit() -> None:
    far = [SCORER.distance(one) > 1 for one in trained(500, seed=2)]
    assert 0 < sum(far) < 20  # 5 of 500 are expected


def test_each_part_is_one_on_average_over_the_training_pictures() -> None:
    assert np.mean([SCORER.raw(one) for one in trained(2000)]) == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_pictures_far_off_are_over_the_limit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    like = trained(1, seed)[0]
    outside = generator.normal(size=FEATURES).astype(np.float32)
    outside -= SCORER.basis.T @ (SCORER.basis @ outside)
    assert SCORER.distance(like + 10 * SCORER.scale * outside) > 1
    inside = 8 * np.sqrt(SCORER.variance) @ SCORER.basis
    assert SCORER.distance(SCORER.mean + SCORER.scale * inside) > 1


@given(st.integers(0, 50), st.floats(1, 100), st.floats(1, 100))
def test_the_distance_grows_with_the_square_of_the_way(seed: int, a: float, b: float) -> None:
    step = trained(1, seed)[0] - SCORER.mean
    near, far = sorted((a, b))
    one, other = (SCORER.raw((SCORER.mean + k * step).astype(np.float32)) for k in (near, far))
    assert one <= other * (1 + 1e-3)
    assert other == pytest.approx(one * (far / near) ** 2, rel=1e-2)


def test_nothing_is_nearer_than_the_mean() -> None:
    assert SCORER.distance(SCORER.mean) == 0


def test_with_every_direction_it_is_the_textbook_mahalanobis_distance() -> None:
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(500, 6)) @ generator.normal(size=(6, 6))).astype(np.float32)
    mean = features.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(features.T, bias=True))
    scorer = OodScorer(
        mean=mean,
        scale=np.ones(6, dtype=np.float32),
        basis=vectors.T.astype(np.float32),
        variance=values.astype(np.float32),
        residual=1e9,
        limit=1.0,
    )
    inverse = np.linalg.inv(np.cov(features.astype(np.float64).T, bias=True))
    for one in features[:20]:
        exact = (one - mean) @ inverse @ (one - mean) / 6
        assert scorer.raw(one) == pytest.approx(exact, rel=1e-3)
