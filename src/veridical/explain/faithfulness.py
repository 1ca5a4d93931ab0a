"""Does a map point at what the verdict rests on? Deletion and insertion against random orders."""

from dataclasses import dataclass

import numpy as np

from veridical.arrays import Bool, Float, Int, UInt8, ndarray
from veridical.explain.occlusion import Score, cover, swapped
from veridical.explanation import Faithfulness


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How a map is tested; docs/explanations.md.

    Attributes:
        orders: Random orders that the crop is covered in.
        steps: Points on a deletion curve, at equal distances.
        reversed: Whether the reverse of every order is a random order of its own. It costs no
            look: covered from its end, an order's deletion is its insertion.
        updates: Whether what the orders did updates the map. A few looks do not improve it.
    """

    orders: int
    steps: int
    reversed: bool
    updates: bool

    @property
    def n_random(self) -> int:
        """Random orders that a map has to beat."""
        return self.orders * (2 if self.reversed else 1)

    @property
    def passes(self) -> int:
        """Forward passes that the orders take; each map takes 2 per step."""
        return 2 * self.steps * self.orders

    @property
    def by_chance(self) -> float:
        """Probability that a map that knows nothing passes.

        Its order is then one more random order, which has to be the best of all. With reverses, it
        has to be better than its own reverse (one half), and that pair the most uneven one.
        """
        return 1 / (self.orders + 1) / (2 if self.reversed else 1)


SHORT = Rule(orders=2, steps=1, reversed=True, updates=False)
THOROUGH = Rule(orders=9, steps=3, reversed=False, updates=True)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomOrders:
    """What covering a crop in random orders did: maps have to beat it, and are updated by it.

    Attributes:
        crop: What was covered.
        covering: By what.
        sign: 1 if the crop's own logit is on the side of `ai`, else -1.
        rule: How maps are tested.
        deletion: Mean logit along each order's deletion curve, signed.
        insertion: The same of its insertion curve.
        sets: The patches that were covered, one row per forward pass.
        logit_drops: By how much the logit dropped against the crop's own; not signed.
    """

    crop: UInt8[ndarray, "size size 3"]
    covering: UInt8[ndarray, "size size 3"]
    sign: float
    rule: Rule
    deletion: Float[ndarray, " orders"]
    insertion: Float[ndarray, " orders"]
    sets: Bool[ndarray, "passes patches"]
    logit_drops: Float[ndarray, " passes"]


def random_orders(
    crop: UInt8[ndarray, "size size 3"],
    grid: int,
    logit: Score,
    *,
    rule: Rule = SHORT,
    own: float | None = None,
    seed: int = 0,
) -> RandomOrders:
    """Cover a crop in random orders; see `explanation.Faithfulness`.

    Args:
        crop: What maps are about.
        grid: Patches along one side.
        logit: Mean logit of P(ai) of a batch of crops.
        rule: How maps are tested.
        own: Logit of the crop; None to ask for it, which is one more forward pass.
        seed: Of the orders.
    """
    covering = cover(crop, "blur")
    own = float(logit(crop[None])[0]) if own is None else own
    sign = 1.0 if own >= 0 else -1.0
    generator = np.random.default_rng(seed)
    curves = [
        _curves(crop, covering, generator.permutation(grid**2), rule.steps, logit)
        for _ in range(rule.orders)
    ]
    deletion = sign * np.array([one.deleted.mean() for one in curves])
    insertion = sign * np.array([one.inserted.mean() for one in curves])
    if rule.reversed:
        deletion, insertion = (
            np.concatenate([deletion, insertion]),
            np.concatenate([insertion, deletion]),
        )
    return RandomOrders(
        crop=crop,
        covering=covering,
        sign=sign,
        rule=rule,
        deletion=deletion,
        insertion=insertion,
        sets=np.concatenate([part for one in curves for part in (one.first, one.last)]),
        logit_drops=own
        - np.concatenate([part for one in curves for part in (one.deleted, one.inserted)]),
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
    own = _curves(against.crop, against.covering, order, against.rule.steps, logit)
    deletion = against.deletion - against.sign * own.deleted.mean()
    insertion = against.sign * own.inserted.mean() - against.insertion
    return Faithfulness(
        deletion=float(deletion.mean()),
        insertion=float(insertion.mean()),
        n_random=len(deletion),
        n_beaten=int((deletion + insertion > 0).sum()),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Curves:
    """What covering did along one order.

    Attributes:
        first: The patches that were covered for deletion, the first of the order.
        last: Those that were covered for insertion, the last of the order: the first are restored.
        deleted: Logits where the first are covered.
        inserted: Logits where the last are covered.
    """

    first: Bool[ndarray, "steps n"]
    last: Bool[ndarray, "steps n"]
    deleted: Float[ndarray, " steps"]
    inserted: Float[ndarray, " steps"]


def _curves(
    crop: UInt8[ndarray, "size size 3"],
    covering: UInt8[ndarray, "size size 3"],
    order: Int[ndarray, " n"],
    steps: int,
    logit: Score,
) -> _Curves:
    count = len(order)
    first, last = (np.zeros((steps, count), dtype=bool) for _ in range(2))
    for at, share in enumerate(np.linspace(0, 1, steps + 2)[1:-1]):
        # Rounded from both ends, so that a reversed order covers the same patches.
        first[at, order[: round(count * share)]] = True
        last[at, order[count - round(count * (1 - share)) :]] = True
    deleted, inserted = (
        logit(np.stack([swapped(crop, covering, marked) for marked in sets]))
        for sets in (first, last)
    )
    return _Curves(first=first, last=last, deleted=deleted, inserted=inserted)
