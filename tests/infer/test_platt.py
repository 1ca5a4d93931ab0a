import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.arrays import ndarray
from veridical.infer.head import sigmoid
from veridical.infer.platt import platt, stack


def loss(
    slope: float, intercept: float, logits: ndarray, target: ndarray, weights: ndarray
) -> float:
    """Log loss of the predictive, picture by picture."""
    total = 0.0
    for own, wanted, weight in zip(logits, target, weights, strict=True):
        p = float(np.mean([1 / (1 + np.exp(-(slope * one + intercept))) for one in own]))
        total -= weight * (wanted * np.log(p) + (1 - wanted) * np.log(1 - p))
    return float(total / weights.sum())


def case(seed: int, count: int = 60, samples: int = 5) -> tuple[ndarray, ndarray, ndarray]:
    """Pictures whose logits say something of their class, with soft targets and weights."""
    draw = np.random.default_rng(seed)
    truth = draw.random(count) < draw.uniform(0.3, 0.7)
    means = draw.uniform(0.3, 2) * np.where(truth, 1, -1) + draw.normal(0, 1.5, count)
    logits = means[:, None] + draw.uniform(0.1, 1.5) * draw.normal(size=(count, samples))
    target = np.where(truth, 1 - 1 / (truth.sum() + 2), 1 / ((~truth).sum() + 2))
    return logits + draw.normal(), target, draw.uniform(0.2, 3, count)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("samples", [1, 7])
def test_another_optimiser_finds_the_same_minimum(seed: int, samples: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    given = case(seed, samples=samples)
    slope, intercept = platt(*given)
    theirs = optimize.minimize(
        lambda point: loss(point[0], point[1], *given),
        x0=[1.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-13, "maxiter": 2000},
    )
    assert loss(slope, intercept, *given) <= theirs.fun + 1e-9
    assert (slope, intercept) == pytest.approx(tuple(theirs.x), abs=1e-3)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(-3, 3), st.floats(-3, 3))
def test_no_other_slope_and_intercept_is_better(seed: int, along: float, up: float) -> None:
    given = case(seed, count=30, samples=3)
    slope, intercept = platt(*given)
    best = loss(slope, intercept, *given)
    assert best <= loss(slope + along, intercept + up, *given) + 1e-9
    assert best <= loss(slope + along / 100, intercept + up / 100, *given) + 1e-9


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.3, -1.2), (4.0, 2.0)])
def test_what_was_miscalibrated_by_an_affine_map_is_put_right(
    slope: float, intercept: float
) -> None:
    """The targets are the truth's own probabilities, so the map is recovered exactly."""
    logits = np.random.default_rng(0).normal(0, 2, (200, 1))
    target = sigmoid(slope * logits[:, 0] + intercept)
    assert platt(logits, target, np.ones(200)) == pytest.approx((slope, intercept), abs=1e-5)


def test_a_weight_of_two_is_the_picture_twice() -> None:
    logits, target, _ = case(3)
    weights = np.ones(len(target))
    weights[:20] = 2
    twice = np.concatenate([logits, logits[:20]]), np.concatenate([target, target[:20]])
    assert platt(logits, target, weights) == pytest.approx(platt(*twice, np.ones(80)), abs=1e-6)
    zero = np.where(np.arange(60) < 20, 0.0, 1.0)
    assert platt(logits, target, zero) == pytest.approx(
        platt(logits[20:], target[20:], np.ones(40)), abs=1e-6
    )


def test_logits_that_say_nothing_get_no_slope_and_the_share_of_the_classes() -> None:
    logits = np.ones((40, 3))
    target = np.arange(40) < 10
    slope, intercept = platt(logits, target, np.ones(40))
    assert sigmoid(np.array([slope + intercept]))[0] == pytest.approx(0.25)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_logits_of_any_size_are_fitted(scale: float) -> None:
    logits, target, weights = case(5)
    slope, intercept = platt(logits, target, weights)
    assert platt(scale * logits, target, weights) == pytest.approx(
        (slope / scale, intercept), rel=1e-3
    )


def test_classes_that_are_apart_end_in_finite_numbers() -> None:
    logits = np.concatenate([np.full((20, 2), -3.0), np.full((20, 2), 3.0)])
    slope, intercept = platt(logits, np.arange(40) >= 20, np.ones(40))
    assert np.isfinite([slope, intercept]).all()
    assert slope > 1


# --- several logits ----------------------------------------------------------------------------


def correlated(
    seed: int, slopes: tuple[float, ...], count: int = 4000, samples: int = 1
) -> tuple[ndarray, ndarray]:
    """Logits of crops that largely say the same; classes drawn from the weighted sum of them."""
    draw = np.random.default_rng(seed)
    shared = draw.normal(0, 1.5, (count, 1))
    means = shared + draw.normal(0, 1.0, (count, len(slopes)))
    truth = draw.random(count) < sigmoid(means @ np.array(slopes) - 0.4)
    noise = 0.3 * draw.normal(size=(count, len(slopes), samples)) if samples > 1 else 0.0
    return means[:, :, None] + noise, truth


def loss_of(
    slopes: ndarray,
    intercept: float,
    logits: ndarray,
    target: ndarray,
    weights: ndarray,
    penalty: float = 0.0,
) -> float:
    """Log loss of the predictive, picture by picture, and what slopes cost."""
    summed = np.array([[slopes @ crops for crops in own.T] for own in logits])
    fit = loss(1.0, intercept, summed, target, weights)
    return fit + penalty / 2 * float((np.asarray(slopes) ** 2).sum())


@pytest.mark.parametrize("slopes", [(0.7, 0.3), (0.2, 1.0), (1.0, 0.0), (0.5, 0.4, 0.3)])
def test_the_weights_of_correlated_logits_are_recovered(slopes: tuple[float, ...]) -> None:
    found = []
    for seed in range(6):
        logits, truth = correlated(seed, slopes)
        found.append([*(one := stack(logits, truth, np.ones(len(truth))))[0], one[1]])
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0)
    assert (np.abs(mean - (*slopes, -0.4)) < 4 * spread / np.sqrt(6) + 0.02).all()
    assert spread.max() < 0.12


def test_targets_that_are_the_truth_s_own_probabilities_give_its_weights_exactly() -> None:
    logits, _ = correlated(0, (1.0, 1.0), count=300)
    target = sigmoid(logits[:, :, 0] @ np.array([0.6, 0.2]) + 0.7)
    slopes, intercept = stack(logits, target, np.ones(300))
    assert (*slopes, intercept) == pytest.approx((0.6, 0.2, 0.7), abs=1e-5)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_of_one_logit_stacking_is_platt_scaling(seed: int, samples: int) -> None:
    logits, target, weights = case(seed, count=30, samples=samples)
    slopes, intercept = stack(logits[:, None], target, weights)
    assert (float(slopes[0]), intercept) == platt(logits, target, weights)


@settings(max_examples=20)
@given(
    st.integers(0, 10**6),
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.sampled_from([0.0, 1e-3, 0.1]),
)
def test_no_other_weights_are_better(
    seed: int, step: tuple[float, float, float], penalty: float
) -> None:
    logits, truth = correlated(seed, (0.7, 0.3), count=60, samples=3)
    if truth.all() or not truth.any():
        return
    weights = np.random.default_rng(seed).uniform(0.2, 3, len(truth))
    slopes, intercept = stack(logits, truth, weights, penalty)
    best = loss_of(slopes, intercept, logits, truth, weights, penalty)
    for size in (1.0, 0.01):
        moved = slopes + size * np.array(step[:2])
        there = loss_of(moved, intercept + size * step[2], logits, truth, weights, penalty)
        assert best <= there + 1e-9


def test_a_penalty_draws_weights_together_and_the_intercept_is_free() -> None:
    logits, truth = correlated(1, (0.7, 0.3), count=400)
    ones = np.ones(400)
    sizes = [float(np.abs(stack(logits, truth, ones, p)[0]).max()) for p in (0.0, 0.1, 1.0, 100.0)]
    assert sizes == sorted(sizes, reverse=True)
    slopes, intercept = stack(logits, truth, ones, 1e6)
    assert slopes == pytest.approx([0, 0], abs=1e-4)
    assert sigmoid(np.array([intercept]))[0] == pytest.approx(truth.mean(), abs=1e-3)


def test_a_logit_twice_is_counted_once() -> None:
    logits, truth = correlated(2, (0.8,), count=500)
    ones = np.ones(500)
    (alone,), intercept = stack(logits, truth, ones, 1e-3)
    twice, again = stack(np.repeat(logits, 2, axis=1), truth, ones, 1e-3)
    assert twice[0] == pytest.approx(twice[1], rel=1e-4)
    assert twice.sum() == pytest.approx(alone, abs=0.02)
    assert again == pytest.approx(intercept, abs=0.02)
