import numpy as np
import pytest

from tests.explain.made import EDGE, GRID, case, noise
from veridical.arrays import ndarray
from veridical.explain.faithfulness import N_RANDOM, N_STEPS, faithfulness, random_orders


@pytest.mark.parametrize("shift", [2.0, -2.0], ids=["ai", "real"])
@pytest.mark.parametrize("seed", range(4))
def test_a_map_that_knows_the_truth_passes_and_its_opposite_does_not(
    seed: int, shift: float
) -> None:
    crop, logit, truth = case(seed, shift)
    orders = random_orders(crop, GRID, logit)
    found = faithfulness(truth, logit, orders)
    assert found.passed
    assert found.n_beaten == found.n_random
    assert found.deletion > 0
    assert found.insertion > 0
    inverted = faithfulness(-truth, logit, orders)
    assert not inverted.passed
    assert inverted.n_beaten == 0
    assert inverted.deletion < 0
    assert inverted.insertion < 0


def test_maps_that_know_nothing_seldom_pass() -> None:
    generator = np.random.default_rng(0)
    crop, logit, _ = case(0, 2.0)
    passed = sum(
        faithfulness(
            generator.normal(size=(GRID, GRID)),
            logit,
            random_orders(crop, GRID, logit, seed=seed),
        ).passed
        for seed in range(60)
    )
    assert passed <= 15  # one in ten by chance: it would have to be the best of ten random orders


def test_where_no_patch_matters_no_map_passes() -> None:
    side = GRID * EDGE + 3  # a rim of 3 px belongs to no patch

    def rim(crops: ndarray) -> ndarray:
        return np.asarray(crops[:, -3:].mean(axis=(1, 2, 3)) / 255)

    found = faithfulness(
        np.random.default_rng(0).normal(size=(GRID, GRID)),
        rim,
        random_orders(noise(side), GRID, rim),
    )
    assert (found.deletion, found.insertion, found.n_beaten) == (0, 0, 0)
    assert not found.passed


def test_the_same_seed_gives_the_same_score() -> None:
    crop, logit, truth = case(1, 2.0)
    one, same = (faithfulness(truth, logit, random_orders(crop, GRID, logit)) for _ in range(2))
    other = faithfulness(truth, logit, random_orders(crop, GRID, logit, seed=1))
    assert one == same
    assert one != other


def test_random_orders_cost_as_many_passes_as_is_said() -> None:
    """`ExplainConfig` says 55 passes for the orders and 6 for each map."""
    crop, logit, truth = case(0, 2.0)
    asked: list[int] = []

    def counted(crops: ndarray) -> ndarray:
        asked.append(len(crops))
        return logit(crops)

    orders = random_orders(crop, GRID, counted)
    assert sum(asked) == 1 + 2 * N_STEPS * N_RANDOM == 55
    assert len(orders.sets) == len(orders.logit_drops) == 54
    asked.clear()
    faithfulness(truth, counted, orders)
    assert sum(asked) == 6


def test_a_drop_is_the_crop_s_own_logit_minus_the_covered_one_s() -> None:
    crop, logit, truth = case(2, -2.0)
    orders = random_orders(crop, GRID, logit)
    # The logit is nearly linear in the cells: what is covered is what drops, but for their edges.
    wanted = orders.sets @ truth.ravel()
    assert np.corrcoef(wanted, orders.logit_drops)[0, 1] > 0.98
