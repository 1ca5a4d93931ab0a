"""How good is a map? Measures that ask the model, and measures that ask a truth we made.

A map has one number per patch, positive where it supports `ai`. Scores of the first kind are in
logits and signed towards the side that the picture's own logit is on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from veridical.arrays import Bool, Float, Int, UInt8, ndarray
from veridical.explain.occlusion import Score, cover

STEPS = (0.25, 0.5, 0.75)
"""Shares of the patches at which a deletion or insertion curve is read, as the package does."""

REMOVALS = ("blur", "mean", "shuffle")
"""What takes a patch's place: a blurred copy, the mean colour, or another patch of the picture."""


def removed(
    crop: UInt8[ndarray, "size size 3"], grid: int, kind: str, seed: int = 0
) -> UInt8[ndarray, "size size 3"]:
    """Return what the crop looks like where every patch is removed.

    Raises:
        ValueError: If the kind is none of `REMOVALS`.
    """
    if kind in ("blur", "mean"):
        return cover(crop, "blur" if kind == "blur" else "mean")
    if kind != "shuffle":
        raise ValueError(f"A removal is one of {REMOVALS}; got {kind!r}.")
    edge = crop.shape[0] // grid
    inner = crop[: edge * grid, : edge * grid]
    tiles = inner.reshape(grid, edge, grid, edge, 3).swapaxes(1, 2).reshape(-1, edge, edge, 3)
    tiles = tiles[np.random.default_rng(seed).permutation(len(tiles))]
    out = crop.copy()
    out[: edge * grid, : edge * grid] = (
        tiles.reshape(grid, grid, edge, edge, 3).swapaxes(1, 2).reshape(inner.shape)
    )
    return out


def mixed(
    under: UInt8[ndarray, "size size 3"],
    over: UInt8[ndarray, "size size 3"],
    cells: Bool[ndarray, "n patches"],
) -> UInt8[ndarray, "n size size 3"]:
    """Return copies of `under` with the given patches taken from `over`."""
    grid = round(cells.shape[1] ** 0.5)
    edge = under.shape[0] // grid
    masks = np.kron(cells.reshape(-1, grid, grid), np.ones((1, edge, edge), dtype=bool))
    rim = under.shape[0] - masks.shape[1]
    masks = np.pad(masks, ((0, 0), (0, rim), (0, rim)))
    return np.where(masks[..., None], over[None], under[None])


def first(order: Int[ndarray, " patches"], share: float) -> Bool[ndarray, " patches"]:
    """Mark the first `share` of an order."""
    marked = np.zeros(len(order), dtype=bool)
    marked[order[: round(share * len(order))]] = True
    return marked


def order_of(values: Float[ndarray, "grid grid"], sign: float) -> Int[ndarray, " patches"]:
    """Return the patches, the strongest support for the verdict's side first."""
    order: ndarray = np.argsort(-sign * values.ravel(), kind="stable")
    return order


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """Mean logit along deletion and insertion curves, one number per order.

    Petsiuk et al., "RISE", BMVC 2018, section 4.3.

    Attributes:
        deletion: Lower is better.
        insertion: Higher is better.
    """

    deletion: Float[ndarray, " orders"]
    insertion: Float[ndarray, " orders"]

    def gains(self, at_random: Sequence[int]) -> Float[ndarray, "orders 2"]:
        """Return deletion and insertion gains over the mean of the random orders."""
        others = list(at_random)
        return np.column_stack(
            [
                self.deletion[others].mean() - self.deletion,
                self.insertion - self.insertion[others].mean(),
            ]
        )

    def n_beaten(self, at_random: Sequence[int]) -> Int[ndarray, " orders"]:
        """Return how many random orders each order beats, deletion and insertion taken together."""
        worth = self.insertion - self.deletion
        count: ndarray = (worth[:, None] > worth[list(at_random)]).sum(axis=1)
        return count


def curves(
    crop: UInt8[ndarray, "size size 3"],
    cover: UInt8[ndarray, "size size 3"],
    orders: Sequence[Int[ndarray, " patches"]],
    logit: Score,
    sign: float,
) -> Curves:
    """Follow all orders at once: covering the crop, and uncovering it."""
    marks = np.stack([first(order, share) for order in orders for share in STEPS])
    found = [
        sign * logit(mixed(*pair, marks)).reshape(len(orders), len(STEPS)).mean(axis=1)
        for pair in ((crop, cover), (cover, crop))
    ]
    return Curves(deletion=found[0], insertion=found[1])


def edges(crop: UInt8[ndarray, "size size 3"], grid: int) -> Float[ndarray, "grid grid"]:
    """Return an edge detector's mean response per patch: a map that knows nothing of any model.

    Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, section 5.
    """
    response = Image.fromarray(crop).convert("L").filter(ImageFilter.FIND_EDGES)
    # The filter leaves the outermost pixels as they were.
    values = np.asarray(response, dtype=np.float64).copy()
    values[[0, -1]] = values[:, [0, -1]] = 0
    return per_patch(values, grid)


def per_patch(pixels: Float[ndarray, "size size"], grid: int) -> Float[ndarray, "grid grid"]:
    """Return the mean per patch."""
    edge = pixels.shape[0] // grid
    inner = pixels[: edge * grid, : edge * grid]
    mean: ndarray = inner.reshape(grid, edge, grid, edge).mean(axis=(1, 3))
    return mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """How a map did against a region that we know.

    Attributes:
        pointed: Whether its strongest patch lies in the region (Zhang et al., "Top-down Neural
            Attention by Excitation Backprop", ECCV 2016, section 4.1: the pointing game).
        area: Share of the patches that lie in the region: what chance would point at.
    """

    pointed: bool
    area: float


def hit(values: Float[ndarray, "grid grid"], mask: Float[ndarray, "grid grid"], sign: float) -> Hit:
    """Hold a map against a region.

    Args:
        values: The map.
        mask: Share of each patch that lies in the region; from a half on it belongs to it.
        sign: 1 if the region supports `ai`, -1 for `real`.
    """
    inside = mask.ravel() >= 0.5
    order = order_of(values, sign)
    return Hit(pointed=bool(inside[order[0]]), area=float(inside.mean()))
