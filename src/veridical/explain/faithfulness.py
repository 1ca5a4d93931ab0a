"""Does a map point at what the verdict rests on? Deletion and insertion against random orders."""

from dataclasses import dataclass

import numpy as np

from veridical.arrays import Bool, Float, Int, UInt8, ndarray
from veridical.explain.occlusion import Score, cover, swapped
from veridical.explanation import Faithfulness

N_STEPS = 3  # points on a deletion curve; docs/explanations.md
N_RANDOM = 9  # random orders that a map has to beat


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomOrders:
    """What covering a crop in random orders did: maps have to beat it, and are updated by it.

    Attributes:
        crop: What was covered.
        covering: By what.
        sign: 1 if the crop's own logit is on the side of `ai`, else -1.
        deletion: Mean logit along each order's deletion curve, signed.
        insertion: The same of its insertion curve.
        sets: The patches that were covered, one row per forward pass.
        logit_drops: By how much the logit dropped against the crop's own; not signed.
    """

    crop: UInt8[ndarray, "size size 3"]
    covering: UInt8[ndarray, "size size 3"]
    sign: float
    deletion: Float[ndarray, " orders"]
    insertion: Float[ndarray, " orders"]
    sets: Bool[ndarray, "passes patches"]
    logit_drops: Float[ndarray, " passes"]


def random_orders(
    crop: UInt8[ndarray, "size size 3"], grid: int, logit: Score, *, seed: int = 0
) -> RandomOrders:
    """Cover a crop in random orders; see `explanation.Faithfulness`.

    Args:
        crop: What maps are about.
        grid: Patches along one side.
        logit: Mean logit of P(ai) of a batch of crops.
        seed: Of the orders.
    """
    covering = cover(crop, "blur")
    own = float(logit(crop[None])[0])
    sign = 1.0 if own >= 0 else -1.0
    generator = np.random.default_rng(seed)
    curves = [
        _curves(crop, covering, generator.permutation(grid**2), logit) for _ in range(N_RANDOM)
    ]
    return RandomOrders(
        crop=crop,
        covering=covering,
        sign=sign,
        deletion=np.array([sign * deleted.mean() for _, deleted, _ in curves]),
        insertion=np.array([sign * inserted.mean() for _, _, inserted in curves]),
        sets=np.concatenate([part for first, _, _ in curves for part in (first, ~first)]),
        logit_drops=own - np.concatenate([part for _, *both in curves for part in both]),
    )


def faithfulness(
    patches: Float[ndarray, "grid grid"], logit: Score, against: RandomOrders
) -> Faithfulness:
    """Score a patch map against random orders.

    Args:
        patches: The map; positive supports `ai`.
        logit: Mean logit of P(ai) of a batch of crops.
        against: Of the same crop, by the same logit.
    """
    order = np.argsort(-against.sign * patches.ravel(), kind="stable")
    _, deleted, inserted = _curves(against.crop, against.covering, order, logit)
    deletion = against.deletion - against.sign * deleted.mean()
    insertion = against.sign * inserted.mean() - against.insertion
    return Faithfulness(
        deletion=float(deletion.mean()),
        insertion=float(insertion.mean()),
        n_random=len(deletion),
        n_beaten=int((deletion + insertion > 0).sum()),
    )


def _curves(
    crop: UInt8[ndarray, "size size 3"],
    covering: UInt8[ndarray, "size size 3"],
    order: Int[ndarray, " n"],
    logit: Score,
) -> tuple[Bool[ndarray, "steps n"], Float[ndarray, " steps"], Float[ndarray, " steps"]]:
    """Return the first patches of an order, and the logits where they alone are covered, or not."""
    first = np.zeros((N_STEPS, len(order)), dtype=bool)
    for marked, share in zip(first, np.linspace(0, 1, N_STEPS + 2)[1:-1], strict=True):
        marked[order[: round(len(order) * share)]] = True
    deleted = logit(np.stack([swapped(crop, covering, marked) for marked in first]))
    inserted = logit(np.stack([swapped(covering, crop, marked) for marked in first]))
    return first, deleted, inserted
