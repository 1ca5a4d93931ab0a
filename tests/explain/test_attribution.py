from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import random_head
from tests.explain.made import DIM, tokens
from veridical.explain.attribution import N_CHANNELS, channel_importance, relative_map, token_map
from veridical.explanation import Channel
from veridical.tokens import Pooling, Tokens, pool

POOLINGS: tuple[tuple[Pooling, ...], ...] = (
    ("cls",),
    ("mean",),
    ("all",),
    ("cls", "mean"),
    ("mean", "all", "cls"),
)


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
    head = random_head(len(features), hidden=8, seed=seed)
    gradient, rest = head.gradient(head.forward(features))
    slope, shift = np.float32(1.7), -0.4  # of the calibration
    gradient, rest = gradient * slope, rest * float(slope) + shift
    taken = token_map(seen, pooling, gradient, rest)
    if with_baseline:
        taken = relative_map(taken, seen, pooling, gradient, head.mean)
    logit = float(slope) * float(head.logits(features).mean()) + shift
    assert taken.logit == pytest.approx(logit, abs=1e-4)
    assert float(taken.patches.sum()) + taken.prefix + taken.rest == taken.logit
    assert taken.patches.shape == (grid, grid)


@given(st.integers(0, 99), st.sampled_from(["mean", "all"]))
def test_a_patch_adds_what_the_logit_loses_when_it_becomes_average(
    seed: int, kind: Pooling
) -> None:
    seen = tokens(1, 2, 3, seed)
    head = random_head(
        DIM, hidden=8, seed=seed, relu=False
    )  # linear all over, so that "adds" is exact
    gradient, rest = head.gradient(head.forward(pool(seen, (kind,))))
    plain = token_map(seen, (kind,), gradient, rest)
    taken = relative_map(plain, seen, (kind,), gradient, head.mean)
    before = float(head.logits(pool(seen, (kind,))).mean())
    for patch in range(9):
        patches = seen.patches.copy()
        patches[0, patch] = head.mean
        after = float(head.logits(pool(replace(seen, patches=patches), (kind,))).mean())
        assert taken.patches.ravel()[patch] == pytest.approx(before - after, abs=1e-4)


def test_an_average_picture_has_an_empty_map() -> None:
    head = random_head(DIM, hidden=8)
    average = np.broadcast_to(head.mean, (1, 9, DIM))
    seen = Tokens(prefix=average[:, :1], patches=average, grid=3, has_cls=True)
    gradient, rest = head.gradient(head.forward(pool(seen, ("mean",))))
    plain = token_map(seen, ("mean",), gradient, rest)
    taken = relative_map(plain, seen, ("mean",), gradient, head.mean)
    np.testing.assert_allclose(taken.patches, 0, atol=1e-7)
    assert taken.prefix == 0


def test_the_class_token_belongs_to_no_place() -> None:
    seen = tokens(2, 1, 3, 0)
    head = random_head(2 * DIM, hidden=8)
    taken = token_map(seen, ("cls",), *head.gradient(head.forward(pool(seen, ("cls",)))))
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
    assert channel_importance(slope) == (
        Channel(index=0, importance=2.0),
        Channel(index=2, importance=0.5),
        Channel(index=1, importance=0.0),
    )


def test_the_steepest_channels_are_listed_and_no_more() -> None:
    slope = np.random.default_rng(0).normal(size=100).astype(np.float32)
    listed = channel_importance(slope)
    assert len(listed) == N_CHANNELS
    assert {one.index for one in listed} == set(np.argsort(-np.abs(slope))[:N_CHANNELS].tolist())
    assert all(type(one.index) is int and type(one.importance) is float for one in listed)
