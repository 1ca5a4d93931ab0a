"""The measures that maps are held to, and the tables made of them."""

from typing import Any

import numpy as np
import pytest
from benchmarks.explanations_pages import composites_page, decided_page, faithful_page
from benchmarks.maps import (
    REMOVALS,
    curves,
    edges,
    first,
    hit,
    mixed,
    order_of,
    removed,
)

from tests.benchmarks.made import cells
from veridical.arrays import Float, UInt8, ndarray

GRID, EDGE = 4, 8
WORTH = np.arange(16.0).reshape(GRID, GRID) - 5  # what each patch adds to the logit


def additive(crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, " batch"]:
    """Add up the worth of every patch that is white."""
    white = crops[:, ::EDGE, ::EDGE, 0] > 127
    found: ndarray = (white * WORTH).sum(axis=(1, 2))
    return found


WHITE = np.full((GRID * EDGE, GRID * EDGE, 3), 255, np.uint8)
BLACK = np.zeros_like(WHITE)


# --- measures that ask the model ---------------------------------------------------------------


def test_no_order_beats_that_of_the_truth() -> None:
    draw = np.random.default_rng(0)
    truth = order_of(WORTH, 1.0)
    orders = [truth, truth[::-1], *(draw.permutation(16) for _ in range(30))]
    found = curves(WHITE, BLACK, orders, additive, 1.0)
    assert found.deletion[0] == found.deletion.min()
    assert found.insertion[0] == found.insertion.max()
    assert found.deletion[1] == found.deletion.max()
    assert found.n_beaten(range(2, 32)).tolist()[:2] == [30, 0]
    gains = found.gains(range(2, 32))
    assert (gains[0] > 0).all()
    assert (gains[1] < 0).all()


def test_curves_are_read_at_quarters() -> None:
    """By hand: 16 patches, of which the first 4, 8 and 12 of the order are covered."""
    order = np.arange(16)
    found = curves(WHITE, BLACK, [order], additive, -1.0)
    worth = WORTH.ravel()
    assert found.deletion[0] == pytest.approx(-np.mean([worth[n:].sum() for n in (4, 8, 12)]))
    assert found.insertion[0] == pytest.approx(-np.mean([worth[:n].sum() for n in (4, 8, 12)]))


def test_what_is_removed_is_gone_and_the_rim_stays() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (34, 34, 3), dtype=np.uint8)
    made = {kind: removed(crop, GRID, kind) for kind in REMOVALS}
    assert made["blur"].std() < crop.std() / 2
    assert (made["mean"] == made["mean"][0, 0]).all()
    assert sorted(made["shuffle"].ravel()) == sorted(crop.ravel())
    assert not np.array_equal(made["shuffle"], crop)
    assert np.array_equal(made["shuffle"][32:], crop[32:])
    with pytest.raises(ValueError, match="blur"):
        removed(crop, GRID, "black")


def test_patches_are_mixed_where_they_are_marked() -> None:
    marked = np.zeros((1, 16), bool)
    marked[0, [1, 15]] = True
    made = mixed(WHITE, BLACK, marked)[0]
    assert (made[:EDGE, EDGE : 2 * EDGE] == 0).all()
    assert (made[-EDGE:, -EDGE:] == 0).all()
    assert (made == 0).sum() == 2 * EDGE * EDGE * 3
    assert first(np.arange(16), 0.25).sum() == 4


def test_edges_are_where_the_picture_has_them() -> None:
    crop = BLACK.copy()
    crop[:, 13:] = 255  # an edge in the second column of patches
    found = edges(crop, GRID)
    assert (found[:, 1] > 0).all()
    assert (found[:, [0, 2, 3]] == 0).all()


# --- measures that ask a truth -----------------------------------------------------------------


def test_a_map_points_at_a_region_with_its_strongest_patch() -> None:
    mask = np.zeros((GRID, GRID))
    mask[:2, :2] = 1
    mask[0, 2] = 0.4  # less than half: outside
    truth = hit(mask, mask, 1.0)
    assert (truth.pointed, truth.area) == (True, 0.25)
    assert hit(-mask, mask, -1.0) == truth
    assert not hit(-mask, mask, 1.0).pointed
    half = np.zeros((GRID, GRID))
    half[0, :2], half[3, :2] = 2, 3  # two strongest inside, two outside
    assert not hit(half, mask, 1.0).pointed


# --- pages -------------------------------------------------------------------------------------


def test_the_table_of_faithfulness_says_what_was_kept() -> None:
    def record(n_beaten: int, passes: float, decision: str) -> dict[str, Any]:
        scores = {"deletion": 0.5, "insertion": 1.5, "n_beaten": n_beaten}
        maps = {"surrogate": scores, "random": {**scores, "n_beaten": 0}}
        return {
            "decision": decision,
            "passes": {"surrogate": passes},
            "maps": {name: dict.fromkeys(REMOVALS, one) for name, one in maps.items()},
        }

    text = faithful_page([record(9, 0.01, "ai"), record(8, 0.02, "real")])
    assert "2 pictures of `val` (1 ai, 1 real, 0 undecided)" in text
    assert cells(text, "surrogate")[1:] == ["+0.50 / +1.50", "50 % / 50 % / 50 %", "0.015"]
    assert cells(text, "random")[2:] == ["0 % / 0 % / 0 %", ""]


def test_the_share_of_maps_that_pass_decides_the_target() -> None:
    good = {"decision": "ai", "gain": 2.0, "passed": True}
    weak = {"decision": "real", "gain": 0.5, "passed": False}
    bad = {"decision": "real", "gain": -0.5, "passed": False}
    text = decided_page([good] * 8 + [weak, bad])
    assert "it beats on 90.0 %: met" in text
    assert "on 80.0 %: **not met**" in text
    assert cells(text, "real")[1:3] == ["2", "50.0 % [9, 91]"]


def test_composites_are_counted_by_kind_and_region() -> None:
    def one(kind: str, region: str, rank: int, pointed: bool) -> dict[str, Any]:
        found = {"pointed": pointed, "area": 0.1}
        maps = {"surrogate": found, "edges": {**found, "pointed": False}}
        if rank == 0:  # not every map is updated
            maps["drawn"] = found
        logit = 0.5 if kind == "generated in real" else 0.2
        return {
            "kind": kind,
            "region": region,
            "rank": rank,
            "logit": logit,
            "hits": maps,
        }

    records = [
        {"found": [one("generated in real", "eyes", 0, True)]},
        {"found": [one("generated in real", "eyes", 1, False)]},
        {"found": [one("real in real", "eyes", n, False) for n in (0, 1)]},
    ]
    text = composites_page(records)
    assert cells(text, "chance")[1:] == ["0.10", "–", "0.10"]
    assert cells(text, "surrogate")[1:] == ["0.50 (2)", "–", "0.00 (2)"]
    assert cells(text, "drawn")[1] == "1.00 (1)"
    assert "| eyes | 2 | +0.30 |" in text
