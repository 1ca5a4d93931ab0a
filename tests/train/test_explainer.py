"""The surrogate that makes maps: does it find what we put in?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from veridical.arrays import Float, ndarray
from veridical.errors import TooFewPhotos
from veridical.io.samples import Label, Sample
from veridical.tokens import Tokens
from veridical.train import explainer
from veridical.train.covering import LogitDrops
from veridical.train.explainer import FEWEST, PENALTIES, fit_surrogate

GRID, LAYERS, DIM = 4, 2, 5


def sample(number: int) -> Sample:
    label: Label = "ai" if number % 2 else "real"
    return Sample(path=Path(f"{number}.jpg"), label=label, source="made", generator="", group="")


def crowd(
    worth: Callable[[Float[ndarray, "patches channels"], Float[ndarray, " patches"]], ndarray],
    *,
    pictures: int = 40,
    sets: int = 12,
    noise: float = 0.0,
) -> tuple[dict[Sample, LogitDrops], list[tuple[Tokens, ndarray, ndarray]]]:
    """Make drops that are sums of `worth` of tokens and contributions; also what they come from."""
    draw = np.random.default_rng(0)
    seen, truth = {}, []
    for number in range(pictures):
        flat = draw.normal(1, [1, 3, 0.5, 2, 1] * LAYERS, (GRID * GRID, LAYERS * DIM))
        added = draw.normal(0.5, 1, GRID * GRID)
        each = worth(flat, added)
        chosen = draw.random((sets, GRID * GRID)) < draw.uniform(0.1, 0.8, (sets, 1))
        chosen[:, 0] = True  # never empty
        seen[sample(number)] = LogitDrops(
            sets=chosen,
            logit_drops=chosen @ each + noise * draw.normal(size=sets),
            sums=(chosen @ flat).astype(np.float32),
            contributions=added,
            tokens=flat[:8].astype(np.float32),
        )
        patches = flat.reshape(-1, LAYERS, DIM).swapaxes(0, 1).astype(np.float32)
        tokens = Tokens(prefix=patches[:, :1], patches=patches, grid=GRID, has_cls=True)
        truth.append((tokens, added.reshape(GRID, GRID), each.reshape(GRID, GRID)))
    return seen, truth


def test_a_linear_truth_is_found() -> None:
    draw = np.random.default_rng(1)
    slope, places = draw.normal(size=LAYERS * DIM), draw.normal(size=GRID * GRID)
    seen, truth = crowd(lambda flat, added: flat @ slope + 2 * added + places)
    fitted = fit_surrogate(seen, LAYERS)
    for tokens, added, each in truth[:5]:
        np.testing.assert_allclose(fitted.surrogate.read(tokens, added), each, atol=0.1)
    assert fitted.surrogate.share == pytest.approx(2, abs=0.02)
    assert fitted.correlation > 0.999
    assert fitted.correlation > fitted.of_contributions
    assert fitted.penalty == PENALTIES[0]
    assert (fitted.pictures, fitted.sets) == (40, 12)


def test_contributions_that_tell_all_are_left_alone() -> None:
    seen, truth = crowd(lambda _, added: added)
    surrogate = fit_surrogate(seen, LAYERS).surrogate
    tokens, added, each = truth[0]
    np.testing.assert_allclose(surrogate.read(tokens, added), each, atol=0.02)
    assert surrogate.share == pytest.approx(1, abs=0.01)


def test_where_there_is_nothing_to_learn_the_surrogate_says_little() -> None:
    seen, truth = crowd(lambda _, added: 0 * added, noise=1.0)
    fitted = fit_surrogate(seen, LAYERS)
    assert abs(fitted.correlation) < 0.2
    tokens, added, _ = truth[0]
    assert np.abs(fitted.surrogate.read(tokens, added)).max() < 0.5


def test_both_classes_weigh_the_same_where_the_usual_is_taken() -> None:
    """Nine real pictures for each AI-generated one do not make theirs the usual contribution."""
    seen, _ = crowd(lambda _, added: added, pictures=20)
    shifted = {
        replace(one, label="ai" if n < 2 else "real"): replace(
            logit_drops, contributions=np.full(GRID * GRID, 10.0 if n < 2 else 0.0)
        )
        for n, (one, logit_drops) in enumerate(seen.items())
    }
    columns = explainer._Columns.of(shifted)
    np.testing.assert_allclose(columns.usual, 5.0)


def test_a_surrogate_of_a_few_pictures_is_refused() -> None:
    seen, _ = crowd(lambda _, added: added, pictures=FEWEST - 1)
    with pytest.raises(TooFewPhotos, match=f"at least {FEWEST} pictures with a face; there are 9"):
        fit_surrogate(seen, LAYERS)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_directions_are_those_of_the_singular_values(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 5, shape[1])
    found = explainer._directions(x, 4)
    wanted = np.linalg.svd(x, full_matrices=False)[2][:4].T
    np.testing.assert_allclose(np.abs(found.T @ wanted), np.eye(4), atol=1e-8)
