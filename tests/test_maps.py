"""The measures that maps are held to, and the composites with a known truth."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from benchmarks.composites import (
    REGIONS,
    SIDE,
    Part,
    composite,
    misfit,
    similarity,
    soft_mask,
)
from benchmarks.explanations_pages import (
    composites_page,
    decided_page,
    faithful_page,
    labels_page,
    randomised_page,
)
from benchmarks.maps import (
    REMOVALS,
    curves,
    edges,
    first,
    hit,
    mixed,
    order_of,
    pearson,
    removed,
    sensitivity,
    spearman,
    subsets,
)
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from veridical.arrays import Float, UInt8, ndarray
from veridical.report import Box
from veridical.vision.faces import CropConfig, Face

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


def test_a_map_that_is_the_truth_is_perfectly_sensitive() -> None:
    masks = subsets(20, GRID, seed=0)
    logit_drops = (masks @ WORTH.ravel()).reshape(masks.shape[:2])
    assert sensitivity(WORTH, masks, logit_drops) == pytest.approx(1)
    assert sensitivity(-WORTH, masks, logit_drops) == pytest.approx(-1)
    assert sensitivity(np.ones((GRID, GRID)), masks, logit_drops) == 0


@given(share=st.sampled_from([0.1, 0.3, 0.6]), grid=st.integers(3, 14), seed=st.integers(0, 99))
def test_subsets_of_one_size_have_that_size(share: float, grid: int, seed: int) -> None:
    found = subsets(3, grid, seed, sizes=(share,))
    assert (found.sum(axis=2) == round(share * grid * grid)).all()


@given(seed=st.integers(0, 999))
def test_correlations_are_those_of_numpy(seed: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, 12))
    assert pearson(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])
    ranks = [[sorted(x).index(value) for value in x] for x in (a, b)]
    assert spearman(a, b) == pytest.approx(float(np.asarray(np.corrcoef(ranks))[0, 1]))


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


def test_the_pointing_game_and_the_overlap() -> None:
    mask = np.zeros((GRID, GRID))
    mask[:2, :2] = 1
    mask[0, 2] = 0.4  # less than half: outside
    truth = hit(mask, mask, 1.0)
    assert (truth.pointed, truth.iou, truth.area) == (True, 1.0, 0.25)
    assert hit(-mask, mask, -1.0) == truth
    wrong = hit(-mask, mask, 1.0)
    assert (wrong.pointed, wrong.iou) == (False, 0.0)
    half = np.zeros((GRID, GRID))
    half[0, :2], half[3, :2] = 2, 3  # two strongest inside, two outside
    assert hit(half, mask, 1.0).iou == pytest.approx(2 / 6)
    assert not hit(half, mask, 1.0).pointed


# --- composites --------------------------------------------------------------------------------


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
    return Part(pixels=pixels, face=face, crop_config=CropConfig(size_px=224))


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


# --- pages -------------------------------------------------------------------------------------


def test_the_table_of_faithfulness_says_what_was_kept() -> None:
    def record(n_beaten: int, seconds: float, decision: str) -> dict[str, Any]:
        scores = {"deletion": 0.5, "insertion": 1.5, "n_beaten": n_beaten, "sensitivity": 0.25}
        nothing = {**scores, "n_beaten": 0, "sensitivity": 0.0}
        return {
            "decision": decision,
            "look": 0.1,
            "seconds": {"rule": seconds},
            "maps": {
                "rule": dict.fromkeys(REMOVALS, scores),
                "random": dict.fromkeys(REMOVALS, nothing),
            },
        }

    text = faithful_page([record(9, 0.001, "ai"), record(8, 0.002, "real"), {"maps": {}}])
    assert "2 pictures of `val` (1 ai, 1 real, 0 undecided)" in text
    assert "| rule | +0.50 / +1.50 | +0.50 / +1.50 | +0.50 / +1.50 | 50 % / 50 % / 50 % |" in text
    assert "| random | " in text
    assert "| 0.015 |" in text
    assert "it takes 1.5 %: met." in text
    assert "it takes 20.0 %: **not met**." in faithful_page([record(9, 0.02, "ai")])


def test_the_share_of_maps_that_hold_decides_the_target() -> None:
    good = {"decision": "ai", "deletion": 1.0, "insertion": 1.0, "holds": True}
    weak = {"decision": "real", "deletion": 1.0, "insertion": -0.5, "holds": False}
    bad = {"decision": "real", "deletion": -1.0, "insertion": 0.5, "holds": False}
    text = decided_page([good] * 8 + [weak, bad])
    assert "it beats on 90.0 %: met" in text
    assert "on 80.0 %: **not met**" in text
    assert "| real | 2 | 50.0 %" in text


def test_composites_are_counted_by_kind_and_region() -> None:
    def one(kind: str, region: str, rank: int, pointed: bool, decision: str) -> dict[str, Any]:
        found = {"pointed": pointed, "iou": 0.5, "area": 0.1}
        maps = {"rule": found, "edges": {**found, "pointed": False}}
        if rank == 0:  # not every map is posterior_update
            maps["drawn"] = found
        logit = 0.5 if kind == "generated in real" else 0.2
        return {
            "kind": kind,
            "region": region,
            "rank": rank,
            "decision": decision,
            "logit": logit,
            "hits": maps,
            "rest": maps,
        }

    records = [
        {"found": [one("generated in real", "eyes", 0, True, "ai")]},
        {"found": [one("generated in real", "eyes", 1, False, "undecided")]},
        {"found": [one("real in real", "eyes", n, False, "real") for n in (0, 1)]},
    ]
    text = composites_page(records)
    assert "**Generated in real**: 2 composites, called 1 `ai`, 0 `real`, 1 `undecided`." in text
    assert "| rule | 0.50 (2) |" in text
    assert "| drawn | 1.00 (1) |" in text
    assert "| eyes | 2 | +0.30 |" in text
    assert "| generated in real, at the generated region | 100.0 % [21, 100] (1) |" in text
    left = "| real in generated, at what is left of the generated face |"
    assert f"{left} none | none | none |  |" in text


def test_the_sanity_tables_say_how_alike_maps_stay() -> None:
    own = [[1.0, 2.0], [3.0, 4.0]]
    found = {
        "levels": {"0": {"input-gradient": 0.1}, "4": {"input-gradient": -0.2, "rule": 0.3}},
        "maps": {"input-gradient": own, "rule": own},
    }
    text = randomised_page([found, found, {"levels": {}}])
    assert "| map | head | and 4 blocks | other pictures |" in text
    assert "| input-gradient | +0.10 | -0.20 | +1.00 |" in text
    assert "| rule |  | +0.30 | +1.00 |" in text
    alike = {
        "again": {"rule": 0.9},
        "weights": {"rule": 0.0},
        "labels 0": {"rule": 0.2},
        "labels 1": {"rule": -0.2},
    }
    table = labels_page([{"alike": alike}, {"alike": {}}])
    assert "| fitted again, right labels | 1 | +0.90, +0.90 to +0.90 |" in table
    assert "| fitted to shuffled labels | 2 | +0.00, -0.16 to +0.16 |" in table
    assert "| its weights shuffled | 1 | +0.00" in table
