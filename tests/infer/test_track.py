"""Several looks at one person are worth more than one, and less than as many strangers."""

import numpy as np
import pytest

from veridical.infer.track import SCATTER, effective_looks, pool_looks, scatter, shortest


def series(n: int, r: float, seed: int = 0) -> np.ndarray:
    """A first-order autoregression of unit variance."""
    draw = np.random.default_rng(seed)
    found = np.empty(n)
    found[0] = draw.normal()
    for at in range(1, n):
        found[at] = r * found[at - 1] + np.sqrt(1 - r * r) * draw.normal()
    return found


@pytest.mark.parametrize("r", [0.0, 0.5, 0.8])
def test_the_effective_number_is_that_of_an_autoregression(r: float) -> None:
    wanted = 4000 * (1 - r) / (1 + r)

    assert effective_looks(series(4000, r)) == pytest.approx(wanted, rel=0.1)


def test_it_is_never_more_than_the_looks_nor_less_than_one() -> None:
    alternating = np.tile([1.0, -1.0], 6)

    assert effective_looks(alternating) == 12
    assert effective_looks(np.linspace(-3, 3, 12)) >= 1


def test_one_picture_shown_many_times_is_one_look() -> None:
    assert effective_looks(np.full(12, 0.7)) == 1


def test_short_series_that_hang_together_are_not_taken_for_many_looks() -> None:
    found = [effective_looks(series(12, 0.9, seed)) for seed in range(200)]

    assert np.median(found) < 4


def test_what_frames_share_does_not_shrink() -> None:
    head = np.random.default_rng(1).normal(0, 0.8, 200)  # what the head does not know
    looks = 1.0 + head + np.random.default_rng(2).normal(0, 0.3, (48, 1))

    many, few = pool_looks(looks), pool_looks(looks[:3])

    assert many.logits.std() >= 0.95 * head.std()
    assert many.logits.std() < few.logits.std()
    assert many.logits.mean() == pytest.approx(looks.mean(), abs=1e-6)


def test_the_same_looks_give_the_same_samples() -> None:
    looks = np.random.default_rng(3).normal(size=(7, 50))

    np.testing.assert_array_equal(pool_looks(looks).logits, pool_looks(looks.copy()).logits)


def test_scatter_is_between_what_is_known_and_what_is_seen() -> None:
    wild, calm = np.tile([2.0, -2.0], 6), np.zeros(12)

    assert SCATTER < scatter(wild) < 2.2
    assert 0 < scatter(calm) < SCATTER


def test_the_shortest_run() -> None:
    # From look 0: only all three; from look 1: looks 1 and 2; from look 2: never.
    assert shortest([[False, False, True], [False, True], [False]]) == (1, 2)
    assert shortest([[False], []]) is None
