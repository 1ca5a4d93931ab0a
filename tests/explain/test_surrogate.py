import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.explain.made import DIM, GRID, case, tokens
from veridical.arrays import ndarray
from veridical.explain.faithfulness import THOROUGH, faithfulness, random_orders
from veridical.explain.occlusion import cover
from veridical.explain.surrogate import Surrogate, posterior_update


@given(layers=st.integers(1, 3), grid=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_a_surrogate_reads_each_patch_by_itself(layers: int, grid: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    seen = tokens(layers, 1, grid, seed)
    surrogate = Surrogate(
        share=0.7,
        weight=draw.normal(size=(layers, DIM)).astype(np.float32),
        base=draw.normal(size=(grid, grid)),
    )
    added = draw.normal(size=(grid, grid))
    found = surrogate.read(seen, added)
    for row in range(grid):
        for column in range(grid):
            wanted = 0.7 * added[row, column] + surrogate.base[row, column]
            for layer in range(layers):
                wanted += float(surrogate.weight[layer] @ seen.patches[layer, row * grid + column])
            assert found[row, column] == pytest.approx(wanted, abs=1e-4)


def alike(a: ndarray, b: ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("shift", [2.0, -2.0], ids=["ai", "real"])
@pytest.mark.parametrize("seed", range(4))
def test_forward_passes_improve_a_map_that_knows_little(seed: int, shift: float) -> None:
    crop, logit, truth = case(seed, shift)
    orders = random_orders(crop, GRID, logit, rule=THOROUGH, seed=seed)
    poor = truth + 2 * truth.std() * np.random.default_rng(seed).normal(size=truth.shape)
    better = posterior_update(poor, orders)
    assert alike(better, truth) > alike(poor, truth) + 0.05
    assert alike(posterior_update(np.zeros_like(truth), orders), truth) > 0.3
    # What is known already is not unlearnt; the edges of the blur are all that is left to learn.
    assert alike(posterior_update(truth, orders), truth) > 0.98


def test_how_much_is_covered_teaches_nothing_about_places() -> None:
    """Of a logit that falls with the covered area alone."""
    crop, _, _ = case(0, 2.0)
    blurred = cover(crop, "blur")

    def amount(crops: ndarray) -> ndarray:
        same = (crops == blurred).all(axis=-1) & (crop != blurred).any(axis=-1)
        return np.asarray(1.0 - same.mean(axis=(1, 2)))

    before = np.random.default_rng(0).normal(size=(GRID, GRID))
    flat = np.zeros((GRID, GRID))
    orders = random_orders(crop, GRID, amount, rule=THOROUGH)
    assert np.ptp(posterior_update(flat, orders)) < 1e-3
    assert alike(posterior_update(before, orders), before) < 1  # what it predicted did not happen


def test_an_updated_map_of_a_model_without_places_seldom_passes() -> None:
    """Drops that are pure chance must not teach a map to pass the test they are part of."""
    crop, _, _ = case(0, 2.0)

    def chance(crops: ndarray) -> ndarray:
        return np.array([np.random.default_rng(zlib.crc32(c.tobytes())).normal() for c in crops])

    passed = 0
    for seed in range(60):
        orders = random_orders(crop, GRID, chance, rule=THOROUGH, seed=seed)
        start = np.random.default_rng(seed).normal(size=(GRID, GRID))
        passed += faithfulness(posterior_update(start, orders), chance, orders).passed
    assert passed <= 15
