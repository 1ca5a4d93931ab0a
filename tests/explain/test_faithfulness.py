import zlib

import numpy as np
import pytest

from tests.explain.made import EDGE, GRID, case, noise
from veridical.arrays import ndarray
from veridical.explain.faithfulness import SHORT, THOROUGH, Rule, faithfulness, random_orders
from veridical.explain.occlusion import cover, swapped

RULES = pytest.mark.parametrize("rule", [SHORT, THOROUGH], ids=["short", "thorough"])


@RULES
@pytest.mark.parametrize("shift", [2.0, -2.0], ids=["ai", "real"])
@pytest.mark.parametrize("seed", range(4))
def test_a_map_that_knows_the_truth_passes_and_its_opposite_does_not(
    seed: int, shift: float, rule: Rule
) -> None:
    crop, logit, truth = case(seed, shift)
    orders = random_orders(crop, GRID, logit, rule=rule)
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


@pytest.mark.parametrize(("rule", "wanted"), [(SHORT, 1 / 6), (THOROUGH, 1 / 10)])
@pytest.mark.parametrize("seed", range(2))
def test_a_map_that_knows_nothing_passes_as_often_as_is_said(
    rule: Rule, wanted: float, seed: int
) -> None:
    """Of a logit that is linear in the cells, and of one that is chance."""
    assert rule.by_chance == pytest.approx(wanted)
    crop, linear, _ = case(seed, 2.0)

    def chance(crops: ndarray) -> ndarray:
        return np.array([np.random.default_rng(zlib.crc32(c.tobytes())).normal() for c in crops])

    generator, tries = np.random.default_rng(seed), 300
    for logit in (linear, chance):
        passed = sum(
            faithfulness(
                generator.normal(size=(GRID, GRID)),
                logit,
                random_orders(crop, GRID, logit, rule=rule, own=1.0, seed=seed + 2 * n),
            ).passed
            for n in range(tries)
        )
        spread = (wanted * (1 - wanted) / tries) ** 0.5
        # Where all is chance, deletion and insertion are no mirror images: it is harder then.
        assert passed / tries < wanted + 3.5 * spread
        assert logit is chance or passed / tries > wanted - 3.5 * spread


def test_a_reversed_order_is_what_it_would_be_if_it_were_covered() -> None:
    """On a grid with a middle patch too."""
    for grid in (GRID, 5):
        side = grid * EDGE
        crop = noise(side)

        def logit(crops: ndarray) -> ndarray:
            return np.asarray(crops[:, : EDGE * 2].mean(axis=(1, 2, 3)) / 255)

        orders = random_orders(crop, grid, logit, rule=SHORT, seed=3)
        covering, draw = cover(crop, "blur"), np.random.default_rng(3)
        for at in range(SHORT.orders):
            order = draw.permutation(grid**2)
            for place, one in ((at, order), (at + SHORT.orders, order[::-1])):
                first, last = np.zeros(grid**2, bool), np.zeros(grid**2, bool)
                first[one[: grid**2 // 2]] = last[one[::-1][: grid**2 // 2]] = True
                covered = np.stack([swapped(crop, covering, marked) for marked in (first, last)])
                wanted = orders.sign * logit(covered)
                assert orders.deletion[place] == wanted[0]
                assert orders.insertion[place] == wanted[1]


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


@pytest.mark.parametrize(
    ("rule", "orders_take", "map_takes", "against"), [(SHORT, 4, 2, 4), (THOROUGH, 54, 6, 9)]
)
def test_random_orders_cost_as_many_passes_as_is_said(
    rule: Rule, orders_take: int, map_takes: int, against: int
) -> None:
    """`ExplainConfig` says how many for the orders and for each map."""
    crop, logit, truth = case(0, 2.0)
    asked: list[int] = []

    def counted(crops: ndarray) -> ndarray:
        asked.append(len(crops))
        return logit(crops)

    orders = random_orders(crop, GRID, counted, rule=rule, own=2.0)
    assert sum(asked) == rule.passes == orders_take
    assert len(orders.sets) == len(orders.logit_drops) == orders_take
    asked.clear()
    found = faithfulness(truth, counted, orders)
    assert sum(asked) == map_takes
    assert found.n_random == rule.n_random == against


def test_the_crop_s_own_logit_is_asked_for_unless_it_is_known() -> None:
    crop, logit, _ = case(0, 2.0)
    asked, known = (random_orders(crop, GRID, logit, own=own) for own in (None, 2.0))
    np.testing.assert_allclose(asked.logit_drops, known.logit_drops)


def test_a_drop_is_the_crop_s_own_logit_minus_the_covered_one_s() -> None:
    crop, logit, truth = case(2, -2.0)
    orders = random_orders(crop, GRID, logit, rule=THOROUGH)
    # The logit is nearly linear in the cells: what is covered is what drops, but for their edges.
    wanted = orders.sets @ truth.ravel()
    assert np.corrcoef(wanted, orders.logit_drops)[0, 1] > 0.98
