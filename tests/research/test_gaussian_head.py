"""A head of Gaussian weights: the arithmetic of its sources."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from research.gaussian_head import GaussianHead

from veridical.infer.head import sigmoid, summarise


def gaussian(seed: int = 0, width: int = 7, axes: int = 4) -> GaussianHead:
    draw = np.random.default_rng(seed)
    return GaussianHead(
        mean=draw.normal(size=width).astype(np.float32),
        scale=draw.uniform(0.5, 2, width).astype(np.float32),
        weight=draw.normal(size=width).astype(np.float32),
        bias=0.4,
        axes=np.linalg.qr(draw.normal(size=(width + 1, axes)))[0].T.astype(np.float32),
        variance=draw.uniform(0.1, 1, axes).astype(np.float32),
        remainder=2.0,
    )


@given(st.integers(0, 50), st.integers(1, 8))
def test_the_logit_is_as_gaussian_as_its_weights(seed: int, axes: int) -> None:
    """Held against the whole covariance matrix."""
    head = gaussian(seed, axes=axes)
    x = np.random.default_rng(seed + 1).normal(0, 2, 7).astype(np.float32)
    z = np.append((x - head.mean) / head.scale, 1).astype(np.float64)
    axis = head.axes.astype(np.float64)
    across = np.eye(8) - axis.T @ axis
    covariance = axis.T @ np.diag(head.variance) @ axis + head.remainder * across
    mean, deviation = head.moments(x)
    assert mean == pytest.approx(head.weight @ z[:-1] + head.bias, rel=1e-4, abs=1e-4)
    assert deviation == pytest.approx(np.sqrt(z @ covariance @ z), rel=1e-3)


def test_the_samples_are_quantiles_of_the_gaussian() -> None:
    stats = pytest.importorskip("scipy.stats")
    head = gaussian()
    x = np.ones(7, dtype=np.float32)
    mean, deviation = head.moments(x)
    logits = head.logits(x)
    masses = (np.arange(200) + 0.5) / 200
    np.testing.assert_allclose(logits, stats.norm.ppf(masses, mean, deviation), rtol=1e-4)
    # So the predictive is the integral of the sigmoid against the Gaussian.
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    exact = weights @ sigmoid(mean + deviation * nodes) / weights.sum()
    assert summarise(logits).p_ai == pytest.approx(exact, abs=1e-3)


def test_gradient_and_rest_of_a_gaussian_add_up_to_the_mean_logit() -> None:
    head = gaussian()
    at = head.forward(np.linspace(-3, 3, 7, dtype=np.float32))
    gradient, rest = head.gradient(at)
    assert gradient @ at.features + rest == pytest.approx(head.moments(at.features)[0], abs=1e-5)
    other = head.moments(at.features + np.float32(0.5))[0]
    assert other - head.moments(at.features)[0] == pytest.approx(0.5 * gradient.sum(), rel=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 1},
        {"scale": np.zeros(7, np.float32)},
        {"weight": np.full(7, np.inf, np.float32)},
        {"axes": np.zeros((4, 7), np.float32)},
        {"variance": np.zeros(4, np.float32)},
        {"remainder": -1.0},
    ],
)
def test_gaussians_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"posterior|positive|finite|fit"):
        replace(gaussian(), **change)


def test_not_finite_features_are_refused_by_a_gaussian() -> None:
    with pytest.raises(ValueError, match="finite"):
        gaussian().logits(np.full(7, np.nan, np.float32))
