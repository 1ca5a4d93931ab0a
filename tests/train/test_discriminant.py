"""The closed-form head: what it computes, and what it is there for."""

from dataclasses import replace

import numpy as np
import pytest

from veridical.arrays import ndarray
from veridical.infer.head import SampledHead
from veridical.stats.metrics import auroc
from veridical.train.discriminant import (
    _solved,
    discriminant,
    posterior_over_sources,
    statistics,
)
from veridical.train.recipes import DEFAULT
from veridical.train.weights import Cell

WIDTH = 20


def mean_logit(head: SampledHead, x: ndarray) -> ndarray:
    return np.array([head.logits(row).mean() for row in x.astype(np.float32)])


def drawn(
    cells: list[Cell], each: int, offsets: dict[Cell, ndarray], seed: int
) -> tuple[ndarray, list[Cell]]:
    draw = np.random.default_rng(seed)
    rows = [draw.normal(size=(each, 1, WIDTH)) + offsets[cell] for cell in cells]
    return np.concatenate(rows).astype(np.float32), [cell for cell in cells for _ in range(each)]


def test_with_one_source_a_class_it_is_fishers_discriminant() -> None:
    pytest.importorskip("sklearn")
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    cells: list[Cell] = [("real", "a", ""), ("ai", "b", "g")]
    offsets = {cells[0]: np.zeros(WIDTH), cells[1]: np.linspace(-1, 1, WIDTH)}
    x, of = drawn(cells, 400, offsets, 0)
    recipe = replace(DEFAULT, shrinkage=1e-6, standardise=False)
    head = discriminant(x, of, recipe, seed=0)
    truth = np.array([cell[0] == "ai" for cell in of])
    theirs = LinearDiscriminantAnalysis(solver="lsqr").fit(x[:, 0], truth)
    np.testing.assert_allclose(
        mean_logit(head, x[:, 0]), theirs.decision_function(x[:, 0]), rtol=1e-2, atol=2e-2
    )


def many(sources: int, seed: int, spread: float = 1.0) -> tuple[ndarray, list[Cell]]:
    """Sources that scatter along some axes, and a trace of all generators along the last."""
    draw = np.random.default_rng(seed)
    cells: list[Cell] = [
        *(("real", f"camera {i}", "") for i in range(sources)),
        *(("ai", f"site {i}", f"g{i}") for i in range(sources)),
    ]
    offsets = {}
    for cell in cells:
        offsets[cell] = np.append(draw.normal(0, spread, WIDTH - 1), 1.0 if cell[0] == "ai" else 0)
    return drawn(cells, 30, offsets, seed + 1)


@pytest.mark.parametrize("between", [1.0, 2.0])
def test_a_sample_is_the_discriminant_under_its_weights(between: float) -> None:
    """The short cut over cells against the formula in full, scatter matrices and all."""
    x, of = many(4, 0)
    recipe = replace(DEFAULT, samples=3, standardise=False, shrinkage=0.2, between=between)
    head = posterior_over_sources(statistics(x, of), recipe, seed=5)
    draw = np.random.default_rng(5)
    cells = sorted(set(of))
    rows = {cell: x[np.array([other == cell for other in of]), 0] for cell in cells}
    for sample in range(3):
        luck = dict(zip(cells, draw.standard_exponential(len(cells)), strict=True))
        scatter = sum(np.cov(rows[cell].T, bias=True) for cell in cells) / len(cells)
        scatter = scatter + 0.2 * np.trace(scatter) / WIDTH * np.eye(WIDTH)
        middle = {}
        for label in ("real", "ai"):
            own = [cell for cell in cells if cell[0] == label]
            share = np.array([luck[cell] for cell in own]) / sum(luck[cell] for cell in own)
            means = np.stack([rows[cell].mean(axis=0) for cell in own])
            middle[label] = share @ means
            apart = means - middle[label]
            scatter = scatter + between * (apart.T * share) @ apart / 2
        weight = np.linalg.solve(scatter, middle["ai"] - middle["real"])
        np.testing.assert_allclose(
            head.weight[sample] @ head.directions, weight, rtol=1e-3, atol=1e-3
        )
        halfway = weight @ (middle["ai"] + middle["real"]) / 2
        assert head.bias[sample] == pytest.approx(-halfway, rel=1e-3, abs=1e-3)


def test_the_fewer_sources_the_more_the_samples_disagree() -> None:
    spreads = []
    for sources in (6, 24, 96):
        x, of = many(sources, 7)
        head = discriminant(x, of, DEFAULT, seed=0)
        spreads.append(float(np.median([head.logits(row).std() for row in x[::9, 0]])))
    assert spreads[0] > 1.5 * spreads[1] > 1.5**2 * spreads[2]


def test_one_source_a_class_leaves_nothing_to_disagree_about() -> None:
    cells: list[Cell] = [("real", "a", ""), ("ai", "b", "g")]
    x, of = drawn(cells, 60, {cells[0]: np.zeros(WIDTH), cells[1]: np.ones(WIDTH)}, 1)
    assert discriminant(x, of, DEFAULT, seed=0).logits(x[0, 0]).std() < 1e-4


def test_what_tells_sources_apart_is_not_what_tells_classes_apart() -> None:
    """Sources scatter widely along the first axis; the trace of all generators is the second."""
    draw = np.random.default_rng(2)
    cells: list[Cell] = [
        *(("real", f"camera {i}", "") for i in range(6)),
        *(("ai", f"site {i}", f"g{i}") for i in range(6)),
    ]

    def offset(cell: Cell, luck: float) -> ndarray:
        at = np.zeros(WIDTH)
        # By bad luck, the sources of one class lie a little to one side.
        at[0] = draw.normal(luck if cell[0] == "ai" else -luck, 4.0)
        at[1] = 0.7 if cell[0] == "ai" else -0.7
        return at

    offsets = {cell: offset(cell, 2.0) for cell in cells}
    x, of = drawn(cells, 80, offsets, 3)
    head = discriminant(x, of, DEFAULT, seed=0)
    fresh = {cell: offset(cell, 0.0) for cell in cells}  # other cameras, other sites
    new, new_of = drawn(cells, 80, fresh, 4)
    truth = np.array([cell[0] == "ai" for cell in new_of])
    fair = auroc(truth, _squash(mean_logit(head, new[:, 0])))
    # What the means alone would say: the axis that is best on these sources, and on no others.
    ai = np.array([cell[0] == "ai" for cell in of])
    apart = x[ai, 0].mean(axis=0) - x[~ai, 0].mean(axis=0)
    fooled = auroc(truth, _squash(new[:, 0] @ apart))
    assert fair > fooled + 0.05


def test_pseudo_fakes_pull_less_than_fakes() -> None:
    cells: list[Cell] = [("real", "a", ""), ("ai", "b", "g"), ("ai", "twins", "aef")]
    first, second = np.zeros(WIDTH), np.zeros(WIDTH)
    first[0], second[1] = 2.0, 2.0
    offsets = {cells[0]: np.zeros(WIDTH), cells[1]: first, cells[2]: second}
    x, of = drawn(cells, 200, offsets, 5)

    def pull(weight: float) -> float:
        recipe = replace(DEFAULT, pseudo=("aef",), pseudo_weight=weight, standardise=False)
        head = discriminant(x, of, recipe, seed=0)
        toward = mean_logit(head, np.stack([np.zeros(WIDTH), first, second]))
        return float((toward[2] - toward[0]) / (toward[1] - toward[0]))

    assert pull(0.01) < pull(0.1) < pull(1.0)
    assert pull(1.0) == pytest.approx(1, abs=0.3)


def test_the_same_pictures_give_the_same_head() -> None:
    cells: list[Cell] = [("real", "a", ""), ("ai", "b", "g")]
    x, of = drawn(cells, 30, {cells[0]: np.zeros(WIDTH), cells[1]: np.ones(WIDTH)}, 6)
    one, other = (discriminant(x, of, DEFAULT, seed=3) for _ in range(2))
    assert np.array_equal(one.weight, other.weight)
    assert np.array_equal(one.directions, other.directions)
    assert np.array_equal(one.bias, other.bias)


def _squash(logit: ndarray) -> ndarray:
    squashed: ndarray = 0.5 * (1 + np.tanh(logit / 20))
    return squashed


def test_a_system_is_solved_as_well_as_by_the_library() -> None:
    draw = np.random.default_rng(4)
    for size in (3, 512, 1300):
        half = draw.normal(size=(size, size))
        matrix, right = half @ half.T / size + np.eye(size), draw.normal(size=(size, 5))
        found = _solved(matrix.astype(np.float32), right.astype(np.float32))
        np.testing.assert_allclose(found, np.linalg.solve(matrix, right), rtol=1e-3, atol=1e-4)
