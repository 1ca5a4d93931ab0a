"""The Laplace head: the arithmetic of its sources, and doubt that grows with distance."""

from dataclasses import replace

import numpy as np
import pytest
from research.laplace import laplace, principal, regress

from veridical.arrays import ndarray
from veridical.infer.head import sigmoid, summarise
from veridical.train.recipes import DEFAULT

PLAIN = replace(DEFAULT, standardise=False)


def problem(
    count: int = 80, width: int = 5, strength: float = 1.5, seed: int = 0
) -> tuple[ndarray, ndarray, ndarray]:
    """Rows with a bias column, labels that follow the first two columns, and uneven weights."""
    draw = np.random.default_rng(seed)
    x = np.column_stack([draw.normal(size=(count, width)), np.ones(count)])
    truth = draw.random(count) < sigmoid(strength * (x[:, 0] - x[:, 1]) + 0.3)
    return x, truth, draw.uniform(0.2, 2, count)


def numerical_hessian(x: ndarray, truth: ndarray, weights: ndarray, at: ndarray) -> ndarray:
    """Of the negative log likelihood, by differences of its gradient."""

    def slope(point: ndarray) -> ndarray:
        return np.asarray(x.T @ (weights * (1 / (1 + np.exp(-x @ point)) - truth)))

    step = 1e-5 * np.eye(len(at))
    return np.array([(slope(at + e) - slope(at - e)) / 2e-5 for e in step])


def test_the_mode_and_the_covariance_are_those_of_a_dense_reference() -> None:
    optimize = pytest.importorskip("scipy.optimize")
    x, truth, weights = problem()
    posterior = regress(x, truth, weights, precision=0.7)

    def objective(at: ndarray) -> float:
        z = np.where(truth, 1, -1) * (x @ at)
        return float(weights @ np.log1p(np.exp(-z)) + 0.35 * at @ at)

    found = optimize.minimize(objective, np.zeros(x.shape[1]), method="BFGS", tol=1e-10).x
    np.testing.assert_allclose(posterior.mean, found, atol=1e-5)
    covariance = posterior.axes.T @ np.diag(posterior.variance) @ posterior.axes
    dense = np.linalg.inv(numerical_hessian(x, truth, weights, found) + 0.7 * np.eye(len(found)))
    np.testing.assert_allclose(covariance, dense, rtol=1e-4, atol=1e-7)


def test_the_evidence_is_near_the_integral_it_stands_for() -> None:
    """One parameter: the integral of likelihood times prior, done on a grid."""
    draw = np.random.default_rng(3)
    x = draw.normal(size=(60, 1))
    truth = draw.random(60) < sigmoid(x[:, 0])
    weights = np.ones(60)
    grid = np.linspace(-12, 12, 40_001)
    z = np.where(truth, 1, -1)[:, None] * (x @ grid[None])
    for precision in (0.1, 1.0, 10.0):
        prior = np.sqrt(precision / (2 * np.pi)) * np.exp(-precision * grid**2 / 2)
        exact = np.log(np.exp(-np.log1p(np.exp(-z)).sum(0)) @ prior * (grid[1] - grid[0]))
        told = regress(x, truth, weights, precision=precision).log_marginal
        assert told == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("strength", [0.5, 1.5, 4.0])
def test_no_other_prior_is_much_more_plausible_than_the_chosen_one(strength: float) -> None:
    x, truth, weights = problem(count=200, strength=strength)
    chosen = regress(x, truth, weights)
    for factor in (0.2, 0.5, 2.0, 5.0):
        other = regress(x, truth, weights, precision=factor * chosen.precision)
        assert chosen.log_marginal > other.log_marginal - 0.05


def test_labels_that_a_line_parts_have_a_posterior_all_the_same() -> None:
    x, _, weights = problem()
    posterior = regress(x, x[:, 0] > 0, weights)
    assert np.isfinite(posterior.mean).all()
    assert np.isfinite(posterior.variance).all()
    assert ((x @ posterior.mean > 0) == (x[:, 0] > 0)).mean() > 0.95


@pytest.mark.filterwarnings("ignore")  # theirs, on import
def test_it_is_what_laplace_torch_says() -> None:
    """Their two class scores, and our one logit: its prior is the difference of two of theirs.

    Not among the extras: it asks for torchvision, and so for another torch than the CPU's.
    """
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("laplace")
    data = torch.utils.data
    x, truth, _ = problem()
    posterior = regress(x, truth, np.ones(len(x)), precision=1.3)
    net = torch.nn.Linear(5, 2).double()
    half = torch.from_numpy(posterior.mean / 2)
    with torch.no_grad():
        net.weight.copy_(torch.stack([-half[:-1], half[:-1]]))
        net.bias.copy_(torch.stack([-half[-1], half[-1]]))
    rows = torch.from_numpy(x[:, :-1])
    reference = theirs.Laplace(
        net,
        "classification",
        subset_of_weights="all",
        hessian_structure="full",
        prior_precision=2.6,
    )
    labels = torch.from_numpy(truth.astype(np.int64))
    reference.fit(data.DataLoader(data.TensorDataset(rows, labels), batch_size=len(x)))
    assert float(reference.log_marginal_likelihood()) == pytest.approx(
        posterior.log_marginal, rel=1e-6
    )
    mean, variance = (
        part.detach().numpy() for part in reference._glm_predictive_distribution(rows)
    )
    np.testing.assert_allclose(mean[:, 1] - mean[:, 0], x @ posterior.mean, rtol=1e-6)
    spread = variance[:, 0, 0] + variance[:, 1, 1] - 2 * variance[:, 0, 1]
    np.testing.assert_allclose(spread, (x @ posterior.axes.T) ** 2 @ posterior.variance, rtol=1e-5)


# --- the head ----------------------------------------------------------------------------------


def pictures(width: int = 30, count: int = 150, seed: int = 0) -> tuple[ndarray, ndarray, ndarray]:
    """Two views of each picture, in ten of the dimensions; the rest is next to nothing."""
    draw = np.random.default_rng(seed)
    truth = np.arange(count) % 2 == 0
    x = draw.normal(size=(count, 2, width)) * np.where(np.arange(width) < 10, 1, 1e-5)
    x[:, :, 0] += np.where(truth, 1, -1)[:, None]
    return x.astype(np.float32), truth, np.ones(count)


@pytest.mark.parametrize("directions", [30, 512])
def test_with_all_directions_the_head_is_the_regression_itself(directions: int) -> None:
    x, truth, weights = pictures(width=8)
    head = laplace(x, truth, weights, PLAIN, directions=directions)
    rows = np.column_stack([x.reshape(-1, 8), np.ones(2 * len(x))]).astype(np.float64)
    dense = regress(rows, np.repeat(truth, 2), np.full(len(rows), 0.5))
    for row in rows[:20]:
        mean, deviation = head.moments(row[:-1].astype(np.float32))
        assert mean == pytest.approx(row @ dense.mean, rel=1e-3, abs=1e-3)
        assert deviation**2 == pytest.approx((dense.axes @ row) ** 2 @ dense.variance, rel=1e-3)


def test_what_was_not_fitted_keeps_the_prior() -> None:
    x, truth, weights = pictures()
    head = laplace(x, truth, weights, PLAIN, directions=10)
    off = np.zeros(30, np.float32)
    off[20] = 100
    _, at_home = head.moments(np.zeros(30, np.float32))
    _, away = head.moments(off)
    assert away**2 - at_home**2 == pytest.approx(100**2 * head.remainder, rel=1e-2)
    assert head.remainder > head.variance.max()


def test_doubt_grows_with_the_distance_from_the_data() -> None:
    """Along random rays, which is where a head of dropout alone stays sure."""
    x, truth, weights = pictures()
    head = laplace(x, truth, weights, DEFAULT)
    draw = np.random.default_rng(1)
    for _ in range(20):
        ray = (draw.normal(size=30) * head.scale).astype(np.float32)
        steps = [head.mean + np.float32(size) * ray for size in (0.5, 2, 8, 32)]
        deviations = [head.moments(step)[1] for step in steps]
        assert deviations == sorted(deviations)
        assert deviations[-1] > 10 * deviations[0]
        # The mean grows along a ray, too; at a mean of 0 the mutual information tells it all.
        at_rest = [step - _height(head.moments(step)[0], head) for step in steps]
        told = [summarise(head.logits(step.astype(np.float32))).epistemic for step in at_rest]
        assert told == sorted(told)
        assert told[-1] > told[0] + 0.05


def _height(logit: float, head: object) -> ndarray:
    """What to take from the features for a mean logit of 0."""
    slope = head.weight / head.scale  # type: ignore[attr-defined]
    return np.asarray(logit * slope / (slope @ slope))


@pytest.mark.parametrize("rows", [300, 20])
def test_principal_directions_are_orthonormal_and_hold_the_energy(rows: int) -> None:
    x, _, _ = pictures()
    flat = x.reshape(-1, 30)[:rows]
    axes = principal(flat, np.ones(len(flat)), 10)
    np.testing.assert_allclose(axes @ axes.T, np.eye(10), atol=1e-5)
    assert np.square(flat @ axes.T).sum() == pytest.approx(np.square(flat).sum(), rel=1e-4)
    assert len(principal(flat, np.ones(len(flat)), 30)) == 10  # the others hold rounding alone


def test_the_same_pictures_give_the_same_head() -> None:
    x, truth, weights = pictures()
    one, other = (laplace(x, truth, weights, DEFAULT) for _ in range(2))
    assert np.array_equal(one.logits(x[0, 0]), other.logits(x[0, 0]))
