import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from veridical.arrays import ndarray
from veridical.explain.attribution import (
    Fill,
    Surrogate,
    channel_importance,
    cover,
    faithfulness,
    occlusion,
    posterior_update,
    random_orders,
    relative_map,
    swapped,
    token_map,
)
from veridical.infer.head import DropoutHead, Layer
from veridical.tokens import Pooling, Tokens, pool

POOLINGS: tuple[tuple[Pooling, ...], ...] = (
    ("cls",),
    ("mean",),
    ("all",),
    ("cls", "mean"),
    ("mean", "all", "cls"),
)
DIM = 6


def tokens(layers: int, prefix: int, grid: int, seed: int) -> Tokens:
    states = np.random.default_rng(seed).normal(0.5, 2, (layers, prefix + grid * grid, DIM))
    states = states.astype(np.float32)
    return Tokens(prefix=states[:, :prefix], patches=states[:, prefix:], grid=grid, has_cls=True)


def head(width: int, *, relu: bool = True, seed: int = 0) -> DropoutHead:
    generator = np.random.default_rng(seed)
    layers = [(8, width, relu), (1, 8, False)]
    return DropoutHead(
        mean=generator.normal(size=width).astype(np.float32),
        scale=generator.uniform(0.5, 2, width).astype(np.float32),
        layers=tuple(
            Layer(
                weight=generator.normal(0, 0.5, (out, into)).astype(np.float32),
                bias=generator.normal(size=out).astype(np.float32),
                relu=bends,
                dropout=0.3,
            )
            for out, into, bends in layers
        ),
        samples=20,
        seed=seed,
    )


# --- rules -------------------------------------------------------------------------------------


@given(layers=st.integers(1, 3), grid=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_a_rule_reads_each_patch_by_itself(layers: int, grid: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    seen = tokens(layers, 1, grid, seed)
    rule = Surrogate(
        share=0.7,
        weight=draw.normal(size=(layers, DIM)).astype(np.float32),
        base=draw.normal(size=(grid, grid)),
    )
    added = draw.normal(size=(grid, grid))
    found = rule.read(seen, added)
    for row in range(grid):
        for column in range(grid):
            told = 0.7 * added[row, column] + rule.base[row, column]
            for layer in range(layers):
                told += float(rule.weight[layer] @ seen.patches[layer, row * grid + column])
            assert found[row, column] == pytest.approx(told, abs=1e-4)


def test_chosen_patches_are_swapped_and_the_rim_stays() -> None:
    under, over = np.zeros((7, 7, 3), np.uint8), np.full((7, 7, 3), 9, np.uint8)
    made = swapped(under, over, np.array([False, True, True, False]))
    wanted = np.zeros((7, 7))
    wanted[:3, 3:6] = wanted[3:6, :3] = 9
    assert (made == wanted[..., None]).all()


# --- token maps --------------------------------------------------------------------------------


@pytest.mark.parametrize("with_baseline", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
@given(
    layers=st.integers(1, 3),
    prefix=st.integers(1, 5),
    grid=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=25)
def test_nothing_of_the_logit_is_lost_or_made_up(
    pooling: tuple[Pooling, ...],
    with_baseline: bool,
    layers: int,
    prefix: int,
    grid: int,
    seed: int,
) -> None:
    seen = tokens(layers, prefix, grid, seed)
    features = pool(seen, pooling)
    judge = head(len(features), seed=seed)
    gradient, rest = judge.gradient(judge.forward(features))
    slope, shift = np.float32(1.7), -0.4  # of the calibration
    gradient, rest = gradient * slope, rest * float(slope) + shift
    taken = token_map(seen, pooling, gradient, rest)
    if with_baseline:
        taken = relative_map(taken, seen, pooling, gradient, judge.mean)
    logit = float(slope) * float(judge.logits(features).mean()) + shift
    assert taken.logit == pytest.approx(logit, abs=1e-4)
    assert float(taken.patches.sum()) + taken.prefix + taken.rest == taken.logit
    assert taken.patches.shape == (grid, grid)


@given(st.integers(0, 99), st.sampled_from(["mean", "all"]))
def test_a_patch_adds_what_the_logit_loses_when_it_becomes_average(
    seed: int, kind: Pooling
) -> None:
    seen = tokens(1, 2, 3, seed)
    judge = head(DIM, relu=False, seed=seed)  # linear all over, so that "adds" is exact
    gradient, rest = judge.gradient(judge.forward(pool(seen, (kind,))))
    plain = token_map(seen, (kind,), gradient, rest)
    taken = relative_map(plain, seen, (kind,), gradient, judge.mean)
    before = float(judge.logits(pool(seen, (kind,))).mean())
    for patch in range(9):
        patches = seen.patches.copy()
        patches[0, patch] = judge.mean
        after = float(judge.logits(pool(replace(seen, patches=patches), (kind,))).mean())
        assert taken.patches.ravel()[patch] == pytest.approx(before - after, abs=1e-4)


def test_an_average_picture_has_an_empty_map() -> None:
    judge = head(DIM)
    average = np.broadcast_to(judge.mean, (1, 9, DIM))
    seen = Tokens(prefix=average[:, :1], patches=average, grid=3, has_cls=True)
    gradient, rest = judge.gradient(judge.forward(pool(seen, ("mean",))))
    plain = token_map(seen, ("mean",), gradient, rest)
    taken = relative_map(plain, seen, ("mean",), gradient, judge.mean)
    np.testing.assert_allclose(taken.patches, 0, atol=1e-7)
    assert taken.prefix == 0


def test_the_class_token_belongs_to_no_place() -> None:
    seen = tokens(2, 1, 3, 0)
    judge = head(2 * DIM)
    taken = token_map(seen, ("cls",), *judge.gradient(judge.forward(pool(seen, ("cls",)))))
    assert not taken.patches.any()
    assert taken.prefix != 0


def test_rows_and_columns_stay_where_they_are() -> None:
    seen = tokens(1, 1, 3, 0)
    patches = np.zeros_like(seen.patches)
    patches[0, 5] = 1  # second row, third column
    taken = token_map(
        replace(seen, patches=patches), ("mean",), np.ones(DIM, dtype=np.float32), 0.0
    )
    assert np.argwhere(taken.patches).tolist() == [[1, 2]]


def test_channels_are_as_important_as_they_are_steep() -> None:
    slope = np.array([-2.0, 0.0, 0.5], dtype=np.float32)
    assert channel_importance(slope).tolist() == [2.0, 0.0, 0.5]


# --- occlusion ---------------------------------------------------------------------------------


def noise(size: int, seed: int = 0) -> ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def uneven(crops: ndarray) -> ndarray:
    """Some score in [0, 1] in which every pixel counts differently."""
    size = crops.shape[1]
    weights = np.random.default_rng(3).normal(size=(size, size, 3))
    sums: ndarray = (crops / 255 - 0.5).reshape(len(crops), -1) @ weights.ravel()
    return np.asarray(0.5 + 0.5 * np.tanh(sums / size))


def naive_occlusion(crop: ndarray, window: int, stride: int, fill: Fill) -> ndarray:
    size = len(crop)
    if fill == "blur":
        image = Image.fromarray(crop).filter(ImageFilter.GaussianBlur(size / 14))
        cover = np.asarray(image)
    else:
        colour = np.zeros(3) if fill == "black" else crop.mean(axis=(0, 1)).round()
        cover = np.tile(colour.astype(np.uint8), (size, size, 1))
    starts = sorted({*range(0, size - window + 1, stride), size - window})
    changes: list[list[list[float]]] = [[[] for _ in range(size)] for _ in range(size)]
    for top in starts:
        for left in starts:
            covered = crop.copy()
            inside = [(y, x) for y in range(top, top + window) for x in range(left, left + window)]
            for y, x in inside:
                covered[y, x] = cover[y, x]
            change = float(uneven(crop[None])[0] - uneven(covered[None])[0])
            for y, x in inside:
                changes[y][x].append(change)
    return np.array([[np.mean(c) if c else 0.0 for c in row] for row in changes])


@given(
    size=st.integers(4, 14),
    window=st.integers(1, 14),
    stride=st.integers(1, 6),
    fill=st.sampled_from(["mean", "black", "blur"]),
    batch=st.integers(1, 9),
)
@settings(max_examples=30)
def test_occlusion_is_what_a_naive_double_loop_says(
    size: int, window: int, stride: int, fill: Fill, batch: int
) -> None:
    window = min(window, size)
    crop = noise(size, seed=size)
    np.testing.assert_allclose(
        occlusion(crop, uneven, window=window, stride=stride, fill=fill, batch=batch),
        naive_occlusion(crop, window, stride, fill),
        atol=1e-12,
    )


@given(st.integers(4, 20), st.integers(1, 20), st.integers(1, 20))
def test_the_last_row_and_column_are_always_reached(size: int, window: int, stride: int) -> None:
    window = min(window, size)
    asked: list[ndarray] = []

    def score(crops: ndarray) -> ndarray:
        asked.extend(crops)
        return np.zeros(len(crops))

    crop = np.full((size, size, 3), 200, dtype=np.uint8)
    occlusion(crop, score, window=window, stride=stride, fill="black")
    touched = (np.stack(asked) == 0).all(axis=-1).any(axis=0)
    assert touched[-1, -1]
    assert touched[-1].any()
    assert touched[:, -1].any()
    if stride <= window:
        assert touched.all()


def test_a_constant_score_has_an_empty_map() -> None:
    assert not occlusion(noise(32), lambda crops: np.full(len(crops), 0.7)).any()


@pytest.mark.parametrize("fill", ["mean", "black", "blur"])
def test_a_score_that_looks_at_one_corner_is_found_out(fill: Fill) -> None:
    crop = np.full((32, 32, 3), 20, dtype=np.uint8)
    crop[:4, 28:] = 250

    def score(crops: ndarray) -> ndarray:
        return np.asarray(crops[:, :4, 28:].mean(axis=(1, 2, 3)) / 255)

    found = occlusion(crop, score, window=8, stride=4, fill=fill)
    assert found[0, 31] > 0.01
    reached = np.zeros((32, 32), dtype=bool)
    reached[:8, 24:] = True  # all windows that touch the corner lie in here
    assert np.all(found[:4, 28:] > 0)
    assert not found[~reached].any()


def test_what_speaks_for_real_is_negative() -> None:
    crop = noise(16)
    towards = occlusion(crop, uneven, window=4)
    against = occlusion(crop, lambda crops: 1 - uneven(crops), window=4)
    np.testing.assert_allclose(towards, -against, atol=1e-12)


def test_the_crop_is_left_as_it_was() -> None:
    crop = noise(16)
    crop.setflags(write=False)
    occlusion(crop, uneven, window=4, stride=4)
    np.testing.assert_array_equal(crop, noise(16))


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (17, 1), (-1, 1), (4, 0), (4, -2)])
def test_windows_that_do_not_fit_are_refused(window: int, stride: int) -> None:
    with pytest.raises(ValueError, match="1 <= window <= 16 px and stride >= 1 px"):
        occlusion(noise(16), uneven, window=window, stride=stride)


# --- faithfulness ------------------------------------------------------------------------------

GRID, EDGE = 6, 8


def case(seed: int, shift: float) -> tuple[ndarray, Callable[[ndarray], ndarray], ndarray]:
    """A crop, a logit that is linear in its cells' brightness, and the true map."""
    generator = np.random.default_rng(seed)
    weights = generator.normal(0, 1, (GRID, GRID))
    side = GRID * EDGE

    def bright(crops: ndarray) -> ndarray:
        cells = crops[:, :side, :side].reshape(len(crops), GRID, EDGE, GRID, EDGE, 3)
        return np.asarray(cells.mean(axis=(2, 4, 5)) / 255)

    colours = generator.integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    crop = np.kron(colours, np.ones((EDGE, EDGE, 1), dtype=np.uint8))
    blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(side / 14)))
    truth = weights * (bright(crop[None])[0] - bright(blurred[None])[0])
    start = float((bright(crop[None])[0] * weights).sum())

    def logit(crops: ndarray) -> ndarray:
        return np.asarray((bright(crops) * weights).sum(axis=(1, 2)) - start + shift)

    return crop, logit, truth


@pytest.mark.parametrize("shift", [2.0, -2.0], ids=["ai", "real"])
@pytest.mark.parametrize("seed", range(4))
def test_a_map_that_knows_the_truth_holds_and_its_opposite_does_not(
    seed: int, shift: float
) -> None:
    crop, logit, truth = case(seed, shift)
    orders = random_orders(crop, GRID, logit)
    told = faithfulness(truth, logit, orders)
    assert told.passed
    assert told.n_beaten == told.n_random
    assert told.deletion > 0
    assert told.insertion > 0
    inverted = faithfulness(-truth, logit, orders)
    assert not inverted.passed
    assert inverted.n_beaten == 0
    assert inverted.deletion < 0
    assert inverted.insertion < 0


def test_maps_that_know_nothing_seldom_hold() -> None:
    generator = np.random.default_rng(0)
    crop, logit, _ = case(0, 2.0)
    held = sum(
        faithfulness(
            generator.normal(size=(GRID, GRID)),
            logit,
            random_orders(crop, GRID, logit, seed=seed),
        ).passed
        for seed in range(60)
    )
    assert held <= 15  # one in ten by chance: it would have to be the best of ten random orders


def test_where_no_patch_matters_no_map_holds() -> None:
    side = GRID * EDGE + 3  # a rim of 3 px belongs to no patch

    def rim(crops: ndarray) -> ndarray:
        return np.asarray(crops[:, -3:].mean(axis=(1, 2, 3)) / 255)

    told = faithfulness(
        np.random.default_rng(0).normal(size=(GRID, GRID)),
        rim,
        random_orders(noise(side), GRID, rim),
    )
    assert (told.deletion, told.insertion, told.n_beaten) == (0, 0, 0)
    assert not told.passed


def test_the_same_seed_gives_the_same_score() -> None:
    crop, logit, truth = case(1, 2.0)
    one, same = (faithfulness(truth, logit, random_orders(crop, GRID, logit)) for _ in range(2))
    other = faithfulness(truth, logit, random_orders(crop, GRID, logit, seed=1))
    assert one == same
    assert one != other


def alike(a: ndarray, b: ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


@pytest.mark.parametrize("shift", [2.0, -2.0], ids=["ai", "real"])
@pytest.mark.parametrize("seed", range(4))
def test_looks_mend_a_map_that_knows_little(seed: int, shift: float) -> None:
    crop, logit, truth = case(seed, shift)
    orders = random_orders(crop, GRID, logit, seed=seed)
    poor = truth + 2 * truth.std() * np.random.default_rng(seed).normal(size=truth.shape)
    better = posterior_update(poor, orders)
    assert alike(better, truth) > alike(poor, truth) + 0.05
    assert alike(posterior_update(np.zeros_like(truth), orders), truth) > 0.3
    # What is known already is not unlearnt; the edges of the blur are all that is left to learn.
    assert alike(posterior_update(truth, orders), truth) > 0.98


def test_looks_of_every_size_and_place_are_kept_apart() -> None:
    """A logit that logit_drops with how much is covered, wherever, teaches nothing about places."""
    crop, _, _ = case(0, 2.0)
    blurred = cover(crop, "blur")

    def amount(crops: ndarray) -> ndarray:
        same = (crops == blurred).all(axis=-1) & (crop != blurred).any(axis=-1)
        return np.asarray(1.0 - same.mean(axis=(1, 2)))

    before = np.random.default_rng(0).normal(size=(GRID, GRID))
    flat = np.zeros((GRID, GRID))
    orders = random_orders(crop, GRID, amount)
    assert np.ptp(posterior_update(flat, orders)) < 1e-3
    assert alike(posterior_update(before, orders), before) < 1  # what it foretold did not happen


def test_a_mended_map_of_a_model_without_places_seldom_holds() -> None:
    """FeatureSet that are pure chance must not teach a map to pass the test that they are part of."""
    crop, _, _ = case(0, 2.0)

    def chance(crops: ndarray) -> ndarray:
        return np.array([np.random.default_rng(zlib.crc32(c.tobytes())).normal() for c in crops])

    held = 0
    for seed in range(60):
        orders = random_orders(crop, GRID, chance, seed=seed)
        start = np.random.default_rng(seed).normal(size=(GRID, GRID))
        held += faithfulness(posterior_update(start, orders), chance, orders).passed
    assert held <= 15
