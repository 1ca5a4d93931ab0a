"""What in the picture spoke for the verdict, and how far the map can be trusted.

Four answers, from cheap to dear: which channels of the features the head leans on; how much every
patch token added to the logit, exactly; by how much the logit would fall if a patch were covered,
foretold from its tokens; and how P(ai) does change when a window is covered.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageFilter

from veridical.arrays import Bool, Float, Float32, Int, UInt8, ndarray
from veridical.tokens import Pooling, Tokens

Fill = Literal["mean", "blur", "black"]
"""What covers a window: the crop's mean colour, a blurred copy, or black (as in the reference)."""

Score = Callable[[UInt8[ndarray, "batch size size 3"]], Float[ndarray, " batch"]]
"""Crops in, one number each out: P(ai), or a logit."""

_BLUR = 1 / 14  # radius over the crop's side: wide enough to wipe out an eye
_STEPS = 3  # points on a deletion curve; docs/explanations.md
_RIVALS = 9  # random orders that a map has to beat
_NOISE = 1 / 8  # variance of a fall over that of all worths together; foretells best on `train`


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TokenMap:
    """The posterior mean of the logit of P(ai), taken apart by place.

    `patches.sum() + prefix + rest` is the logit, to rounding: nothing is lost or made up.

    Attributes:
        patches: What each patch token added, logit units; positive speaks for `ai`.
        prefix: What class token and registers added; they belong to no place.
        rest: What belongs to no token: biases, and centring if a baseline was taken off.
    """

    patches: Float[ndarray, "grid grid"]
    prefix: float
    rest: float

    @property
    def logit(self) -> float:
        """The logit that was taken apart."""
        return float(self.patches.sum()) + self.prefix + self.rest


def channel_importance(gradient: Float32[ndarray, " features"]) -> Float32[ndarray, " features"]:
    """Return |d logit / d feature| for every channel of the pooled features.

    The reference's feature importance, of the posterior mean instead of one random dropout mask.
    These are channels, not places: they are reported as numbers and never drawn on the picture.
    """
    importance: ndarray = np.abs(gradient)
    return importance


def token_map(
    tokens: Tokens,
    pooling: Sequence[Pooling],
    gradient: Float32[ndarray, " features"],
    rest: float,
) -> TokenMap:
    """Take the mean logit apart into what every token added: gradient x token.

    Pooling is linear in the tokens and the head is linear around its input
    (`BayesianHead.gradient`), so token i of a mean over n adds gradient . token_i / n
    (Shrikumar et al., arXiv:1605.01713, applied to tokens).

    Args:
        tokens: Of one crop.
        pooling: How the head's features were pooled from them.
        gradient: Of the mean logit by feature.
        rest: The part of the logit that belongs to no feature.
    """
    patches = np.zeros(tokens.patches.shape[1])
    prefix = 0.0
    for layer, kind, part in _parts(tokens, pooling):
        slope = gradient[part]
        if kind == "cls":
            prefix += float(slope @ tokens.prefix[layer, 0])
            continue
        count, others = _counts(tokens, kind)
        patches += (tokens.patches[layer] @ slope) / count
        prefix += float((tokens.prefix[layer, :others] @ slope).sum()) / count
    return TokenMap(patches=patches.reshape(tokens.grid, tokens.grid), prefix=prefix, rest=rest)


def relative_map(
    plain: TokenMap,
    tokens: Tokens,
    pooling: Sequence[Pooling],
    gradient: Float32[ndarray, " features"],
    baseline: Float32[ndarray, " features"],
) -> TokenMap:
    """Return contributions relative to a picture with the pooled features `baseline`.

    Token i of a mean over n then adds gradient . (token_i - baseline) / n; what the baseline alone
    says goes to the rest. With the mean of the training pictures this is the map that is drawn
    where a model has no rule.

    Args:
        plain: `token_map` of the same tokens, pooling and gradient.
        tokens: Of one crop.
        pooling: How the head's features were pooled from them.
        gradient: Of the mean logit by feature.
        baseline: Pooled features of an average picture.
    """
    shift, prefix, rest = 0.0, plain.prefix, plain.rest
    for _, kind, part in _parts(tokens, pooling):
        base = float(gradient[part] @ baseline[part])
        rest += base
        if kind == "cls":
            prefix -= base
            continue
        count, others = _counts(tokens, kind)
        shift += base / count
        prefix -= base * others / count
    return TokenMap(patches=plain.patches - shift, prefix=prefix, rest=rest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CoverRule:
    """Foretells from its tokens by how much the logit falls when a patch is covered.

    Patch i gets share * contribution_i + sum over blocks of weight . token_i + base_i. The sum over
    a set of patches foretells the fall when all of them are covered. Contributions know what a
    patch adds itself; the rule has learnt, too, what it adds by way of the class token and of other
    patches. `veridical.train.explainer` fits it.

    Attributes:
        share: Of the contributions (`token_map`).
        weight: Per channel of each block that is read.
        base: Per place.
    """

    share: float
    weight: Float32[ndarray, "layers dim"]
    base: Float[ndarray, "grid grid"]

    def read(
        self, tokens: Tokens, contributions: Float[ndarray, "grid grid"]
    ) -> Float[ndarray, "grid grid"]:
        """Return the fall that each patch is good for, in the unit of the contributions.

        Args:
            tokens: Of one crop.
            contributions: Of its patches to the logit, without a baseline.
        """
        told = np.einsum("lpd,ld->p", tokens.patches, self.weight, dtype=np.float64)
        found: ndarray = self.share * contributions + told.reshape(self.base.shape) + self.base
        return found


Method = Literal["covering", "contributions"]
"""What a drawn map was read by: a `CoverRule`, or, where a model has none, the contributions."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """The map that is drawn.

    Attributes:
        patches: Logit units; positive speaks for `ai`.
        method: How it was read off the tokens.
        looks: How many looks at covered copies of this face went into it besides.
    """

    patches: Float[ndarray, "grid grid"]
    method: Method
    looks: int


@runtime_checkable
class Explainer(Protocol):
    """Makes a map of its own, such as one through the whole network (`train/gradients.py`)."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def read(self, crop: UInt8[ndarray, "size size 3"]) -> Float[ndarray, "grid grid"]:
        """Return one number per patch; positive speaks for `ai`."""
        ...


def _parts(tokens: Tokens, pooling: Sequence[Pooling]) -> Iterator[tuple[int, Pooling, slice]]:
    """Yield layer, kind of pooling and place in the features, in the order of `pool`."""
    dim, start = tokens.patches.shape[2], 0
    for layer in range(len(tokens.patches)):
        for kind in pooling:
            yield layer, kind, slice(start, start + dim)
            start += dim


def _counts(tokens: Tokens, kind: Pooling) -> tuple[int, int]:
    """Return how many tokens a mean is taken over, and how many of them are prefix tokens."""
    others = tokens.prefix.shape[1] if kind == "all" else 0
    return tokens.patches.shape[1] + others, others


def occlusion(
    crop: UInt8[ndarray, "size size 3"],
    score: Score,
    *,
    window: int = 16,
    stride: int = 8,
    fill: Fill = "mean",
    batch: int = 8,
) -> Float[ndarray, "size size"]:
    """Return how much P(ai) falls when the neighbourhood of a pixel is covered.

    Each window's change is p(whole) - p(covered): positive where the picture spoke for `ai`. A
    pixel gets the mean over all windows that cover it (Zeiler and Fergus, ECCV 2014, section 4.2,
    who keep one value per position). The last row and column are always reached.

    Args:
        crop: What the backbone looks at.
        score: P(ai) of a batch of crops.
        window: Side of the covered square, px.
        stride: Step between squares, px.
        fill: What covers them.
        batch: Windows scored at a time.

    Raises:
        ValueError: If window or stride do not fit the crop.
    """
    size = crop.shape[0]
    if not (1 <= window <= size and stride >= 1):
        raise ValueError(
            f"Occlusion needs 1 <= window <= {size} px and stride >= 1 px; got {window}, {stride}."
        )
    covering = cover(crop, fill)
    starts = _starts(size, window, stride)
    places = [(top, left) for top in starts for left in starts]
    whole = float(score(crop[None])[0])
    total, times = np.zeros((size, size)), np.zeros((size, size))
    for first in range(0, len(places), batch):
        chunk = places[first : first + batch]
        covered = np.repeat(crop[None], len(chunk), axis=0)
        for copy, (top, left) in zip(covered, chunk, strict=True):
            copy[top : top + window, left : left + window] = covering[
                top : top + window, left : left + window
            ]
        for (top, left), p in zip(chunk, score(covered), strict=True):
            total[top : top + window, left : left + window] += whole - float(p)
            times[top : top + window, left : left + window] += 1
    # With a stride wider than the window some pixels are never covered: they keep a change of 0.
    return total / np.maximum(times, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Faithfulness:
    """Does the map point at what the verdict rests on?

    Patches are covered in the map's order, the most telling first (deletion), or uncovered on a
    blurred crop in that order (insertion); Petsiuk et al., "RISE", BMVC 2018, section 4.3. A
    score is the mean of the logit along the curve, signed towards the verdict.

    Attributes:
        deletion: Random order's mean minus the map's, logit units; positive is better than chance.
        insertion: The map's mean minus random order's, logit units; positive is better than chance.
        rivals: Random orders that the map was compared with.
        beaten: How many of them it beat, deletion and insertion taken together.
    """

    deletion: float
    insertion: float
    rivals: int
    beaten: int

    @property
    def holds(self) -> bool:
        """Whether the map beats every random order; if not, it is withheld."""
        return self.beaten == self.rivals


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FurtherMap:
    """A map that was asked for beside the one that is drawn.

    Attributes:
        name: Of what made it.
        patches: Positive speaks for `ai`; the unit is its maker's.
        trust: How it did against random maps; None if it was not scored.
    """

    name: str
    patches: Float[ndarray, "grid grid"]
    trust: Faithfulness | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RandomOrders:
    """What covering a crop in random orders did: maps have to beat it, and can learn from it.

    Attributes:
        crop: What was covered.
        covering: By what.
        sign: 1 if the crop's own logit is on the side of `ai`, else -1.
        deletion: Mean logit along each order's deletion curve, signed.
        insertion: The same of its insertion curve.
        sets: The patches that were covered, look by look.
        falls: By how much the logit fell against the crop's own; not signed.
    """

    crop: UInt8[ndarray, "size size 3"]
    covering: UInt8[ndarray, "size size 3"]
    sign: float
    deletion: Float[ndarray, " orders"]
    insertion: Float[ndarray, " orders"]
    sets: Bool[ndarray, "looks patches"]
    falls: Float[ndarray, " looks"]


def random_orders(
    crop: UInt8[ndarray, "size size 3"], grid: int, logit: Score, *, seed: int = 0
) -> RandomOrders:
    """Cover a crop in random orders; see `Faithfulness`.

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
        _curves(crop, covering, generator.permutation(grid**2), logit) for _ in range(_RIVALS)
    ]
    return RandomOrders(
        crop=crop,
        covering=covering,
        sign=sign,
        deletion=np.array([sign * deleted.mean() for _, deleted, _ in curves]),
        insertion=np.array([sign * inserted.mean() for _, _, inserted in curves]),
        sets=np.concatenate([part for first, _, _ in curves for part in (first, ~first)]),
        falls=own - np.concatenate([part for _, *both in curves for part in both]),
    )


def faithfulness(
    patches: Float[ndarray, "grid grid"], logit: Score, against: RandomOrders
) -> Faithfulness:
    """Score a patch map against random orders.

    Args:
        patches: The map; positive speaks for `ai`.
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
        rivals=len(deletion),
        beaten=int((deletion + insertion > 0).sum()),
    )


def mended(
    patches: Float[ndarray, "grid grid"], against: RandomOrders
) -> Float[ndarray, "grid grid"]:
    """Let what covering did to this crop correct a map that foretold it.

    Bayesian linear regression (Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 3.50
    and 3.51): the fall of a look is the sum of the worths of the covered patches and noise; the
    worths have the map as their prior mean, and are independent. A constant and the number of
    covered patches are left free: they say nothing of places.

    Args:
        patches: By how much the logit would fall if a patch were covered.
        against: Of the same crop.
    """
    sets = against.sets.astype(np.float64)
    free = np.column_stack([np.ones(len(sets)), sets.sum(axis=1)])
    placed = np.eye(len(sets)) - free @ np.linalg.pinv(free)
    missed = placed @ (against.falls - sets @ patches.ravel())
    sets = placed @ sets
    noise = _NOISE * patches.size
    learnt = sets.T @ np.linalg.solve(sets @ sets.T + noise * np.eye(len(sets)), missed)
    found: ndarray = patches + learnt.reshape(patches.shape)
    return found


def _curves(
    crop: UInt8[ndarray, "size size 3"],
    covering: UInt8[ndarray, "size size 3"],
    order: Int[ndarray, " n"],
    logit: Score,
) -> tuple[Bool[ndarray, "steps n"], Float[ndarray, " steps"], Float[ndarray, " steps"]]:
    """Return the first patches of an order, and the logits where they alone are covered, or not."""
    first = np.zeros((_STEPS, len(order)), dtype=bool)
    for marked, share in zip(first, np.linspace(0, 1, _STEPS + 2)[1:-1], strict=True):
        marked[order[: round(len(order) * share)]] = True
    deleted = logit(np.stack([swapped(crop, covering, marked) for marked in first]))
    inserted = logit(np.stack([swapped(covering, crop, marked) for marked in first]))
    return first, deleted, inserted


def swapped(
    under: UInt8[ndarray, "size size 3"],
    over: UInt8[ndarray, "size size 3"],
    chosen: Bool[ndarray, " patches"],
) -> UInt8[ndarray, "size size 3"]:
    """Return `under` with the chosen patches, row by row over the grid, taken from `over`."""
    grid = round(len(chosen) ** 0.5)
    edge = under.shape[0] // grid
    mask = np.kron(chosen.reshape(grid, grid), np.ones((edge, edge), dtype=bool))
    # A crop whose side is no multiple of the patch has a rim that belongs to no patch.
    rim = under.shape[0] - mask.shape[0]
    mask = np.pad(mask, ((0, rim), (0, rim)))
    return np.where(mask[..., None], over, under)


def cover(crop: UInt8[ndarray, "size size 3"], fill: Fill) -> UInt8[ndarray, "size size 3"]:
    """Return what a crop looks like where all of it is covered."""
    if fill == "blur":
        image = Image.fromarray(crop).filter(ImageFilter.GaussianBlur(crop.shape[0] * _BLUR))
        return np.asarray(image)
    colour = np.zeros(3) if fill == "black" else crop.reshape(-1, 3).mean(axis=0)
    return np.broadcast_to(colour.round().astype(np.uint8), crop.shape)


def _starts(size: int, window: int, stride: int) -> list[int]:
    """Return where windows begin, the last one flush with the edge."""
    starts = list(range(0, size - window + 1, stride))
    if starts[-1] != size - window:
        starts.append(size - window)
    return starts
