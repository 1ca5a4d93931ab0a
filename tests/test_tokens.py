import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.arrays import ndarray
from veridical.tokens import Pooling, Tokens, pool

KINDS: tuple[Pooling, ...] = ("cls", "mean", "all")


def make(layers: int = 2, prefix: int = 1, grid: int = 3, dim: int = 5, seed: int = 0) -> Tokens:
    states = np.random.default_rng(seed).normal(size=(layers, prefix + grid * grid, dim))
    states = states.astype(np.float32)
    return Tokens(
        prefix=states[:, :prefix], patches=states[:, prefix:], grid=grid, has_cls=prefix > 0
    )


def naive(tokens: Tokens, pooling: tuple[Pooling, ...]) -> ndarray:
    values: list[float] = []
    for layer in range(len(tokens.patches)):
        for kind in pooling:
            rows = {
                "cls": tokens.prefix[layer, :1],
                "mean": tokens.patches[layer],
                "all": np.concatenate([tokens.prefix[layer], tokens.patches[layer]]),
            }[kind]
            for channel in range(rows.shape[1]):
                values.append(sum(float(row[channel]) for row in rows) / len(rows))
    return np.array(values)


@given(
    layers=st.integers(1, 3),
    prefix=st.integers(1, 5),
    grid=st.integers(1, 4),
    pooling=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3).map(tuple),
    seed=st.integers(0, 99),
)
def test_pooling_is_what_a_naive_loop_says(
    layers: int, prefix: int, grid: int, pooling: tuple[Pooling, ...], seed: int
) -> None:
    tokens = make(layers, prefix, grid, seed=seed)
    features = pool(tokens, pooling)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, naive(tokens, pooling), atol=1e-6)


def test_registers_count_only_where_all_tokens_do() -> None:
    tokens = make(prefix=5)
    loud = Tokens(
        prefix=tokens.prefix + np.array([[0], [9], [9], [9], [9]], dtype=np.float32),
        patches=tokens.patches,
        grid=tokens.grid,
        has_cls=True,
    )
    np.testing.assert_array_equal(pool(tokens, ("cls", "mean")), pool(loud, ("cls", "mean")))
    assert not np.allclose(pool(tokens, ("all",)), pool(loud, ("all",)))


@pytest.mark.parametrize("prefix", [0, 4])
def test_a_class_token_is_not_made_up(prefix: int) -> None:
    tokens = make(prefix=prefix)
    tokens = Tokens(prefix=tokens.prefix, patches=tokens.patches, grid=3, has_cls=False)
    with pytest.raises(ValueError, match="class token"):
        pool(tokens, ("mean", "cls"))
    assert pool(tokens, ("mean", "all")).shape == (2 * 2 * 5,)


def test_without_a_prefix_all_is_the_mean() -> None:
    tokens = make(prefix=0)
    np.testing.assert_allclose(pool(tokens, ("all",)), pool(tokens, ("mean",)), rtol=1e-6)
