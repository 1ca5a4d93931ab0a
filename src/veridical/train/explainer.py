"""Fit the surrogate that makes a model's maps to what covering did (`covering.py`).

The surrogate is linear. It predicts from the tokens of the covered patches by how much the logit
drops: the sum over the set of one number per patch. For one picture alone these would be its
Shapley values by least squares (Lundberg and Lee, "A Unified Approach to Interpreting Model
Predictions", NeurIPS 2017, arXiv:1705.07874, section 4.1). For many pictures and one surrogate it
is their amortised form (Jethani et al., "FastSHAP", ICLR 2022, arXiv:2107.07436, section 3). This
one is linear in the tokens, so that the fit is in closed form; sets and weights are our own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

import numpy as np

from veridical.arrays import Float, ndarray
from veridical.errors import TooFewPhotos
from veridical.explain.surrogate import Surrogate
from veridical.io.samples import Sample
from veridical.train.covering import LogitDrops

FEWEST = 10  # pictures that a surrogate is fitted to
FOLDS = 5
DIRECTIONS = 1024  # principal directions of the tokens that the surrogate may use
PENALTIES = tuple(float(10**k) for k in np.arange(-3.0, 3.01, 0.5))  # per equation
_FREE = 1e-2  # penalty of the contributions, as a share of that of the directions
_PLACES = 0.1  # the same, of the numbers per place


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedSurrogate:
    """A surrogate, and how well it predicts.

    Attributes:
        surrogate: Fitted to all pictures.
        pictures: How many there were.
        sets: Covered of each.
        penalty: Chosen among `PENALTIES`.
        correlation: Pearson's, of drops and predictions, for pictures left out of the fit. What the
            size of the set alone predicts is removed from both, picture by picture: only the places
            are left.
        of_contributions: The same, of the contributions against an average picture.
    """

    surrogate: Surrogate
    pictures: int
    sets: int
    penalty: float
    correlation: float
    of_contributions: float

    @property
    def record(self) -> dict[str, Any]:
        """The entry of a card."""
        return {name: value for name, value in asdict(self).items() if name != "surrogate"}


def fit_surrogate(
    seen: Mapping[Sample, LogitDrops], layers: int, *, seed: int = 0
) -> FittedSurrogate:
    """Fit a surrogate to logit drops, with the penalty that predicts left-out pictures best.

    Args:
        seen: What covering did to each picture.
        layers: Blocks that are read.
        seed: Random seed, for the folds.

    Raises:
        TooFewPhotos: If there are fewer than `FEWEST`.
    """
    if len(seen) < FEWEST:
        raise TooFewPhotos(
            f"A surrogate needs at least {FEWEST} pictures with a face; there are {len(seen)}.",
            hint="Add pictures, or train with a recipe that has none (`explained` of 0).",
        )
    columns = _Columns.of(seen)
    folds = np.random.default_rng(seed).permutation(len(seen)) % FOLDS
    own = list(zip(seen.values(), folds, strict=True))
    sums = [_sums(columns.equations(one) for one, at in own if at == fold) for fold in range(FOLDS)]
    solved = [
        np.column_stack([columns.solve(rest, penalty) for penalty in PENALTIES])
        for fold in range(FOLDS)
        for rest in [reduce(_Sums.plus, sums[:fold] + sums[fold + 1 :])]
    ]
    # Rows are made again rather than kept: of a thousand pictures they would take gigabytes.
    placed = [_placed(columns.equations(one), solved[fold]) for one, fold in own]
    *predicted, added, dropped = np.concatenate(placed).T
    scores = [_correlation(one, dropped) for one in predicted]
    best = int(np.argmax(scores))
    return FittedSurrogate(
        surrogate=columns.surrogate(
            columns.solve(reduce(_Sums.plus, sums), PENALTIES[best]), layers
        ),
        pictures=len(seen),
        sets=len(next(iter(seen.values())).logit_drops),
        penalty=PENALTIES[best],
        correlation=scores[best],
        of_contributions=_correlation(added, dropped),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    """What a drop is predicted from, summed over the set that was covered.

    Contributions against the mean at their place; tokens along their principal directions; the
    number of patches; and how many there are of each place.

    Attributes:
        usual: Mean contribution per place.
        scale: Standard deviation of contributions around it.
        mean: Mean of the tokens.
        directions: From standardised tokens to numbers, divided by the tokens' scale.
    """

    usual: Float[ndarray, " patches"]
    scale: float
    mean: Float[ndarray, " channels"]
    directions: Float[ndarray, "channels directions"]

    @classmethod
    def of(cls, seen: Mapping[Sample, LogitDrops]) -> "_Columns":
        """Take means and directions of the pictures; both classes weigh the same."""
        ai = np.array([sample.label == "ai" for sample in seen])
        worth = np.where(ai, 0.5 / max(1, ai.sum()), 0.5 / max(1, (~ai).sum()))
        worth /= worth.sum()
        added = np.stack([one.contributions for one in seen.values()])
        usual = worth @ added
        tokens = np.concatenate([one.tokens for one in seen.values()]).astype(np.float64)
        each = np.repeat(worth, [len(one.tokens) for one in seen.values()])
        each /= each.sum()
        mean = each @ tokens
        tokens -= mean
        scale = np.maximum(np.sqrt(each @ tokens**2), 1e-6)
        tokens *= np.sqrt(each)[:, None] / scale
        most = min(DIRECTIONS, *tokens.shape)
        directions = _directions(tokens, most)
        return cls(
            usual=usual,
            scale=float(max(np.sqrt(worth @ ((added - usual) ** 2).mean(axis=1)), 1e-12)),
            mean=mean,
            directions=directions / scale[:, None],
        )

    def equations(self, one: LogitDrops) -> "_Equations":
        """Return one row and one drop per set."""
        sets = one.sets.astype(np.float64)
        size = sets.sum(axis=1, keepdims=True)
        added = sets @ (one.contributions - self.usual) / self.scale
        tokens = (one.sums - size * self.mean) @ self.directions
        rows = np.column_stack([added, tokens, size, sets])
        root = np.sqrt(size)  # the more is covered, the further off is any sum
        return _Equations(
            rows=rows / root, logit_drops=one.logit_drops / root[:, 0], root=root[:, 0]
        )

    def solve(self, sums: "_Sums", penalty: float) -> Float[ndarray, " columns"]:
        """Return the coefficients of ridge regression."""
        directions = self.directions.shape[1]
        own = np.ones(len(sums.gram))
        own[[0, 1 + directions]] = _FREE
        own[2 + directions :] = _PLACES
        solved: ndarray = np.linalg.solve(
            sums.gram + penalty * sums.count * np.diag(own), sums.moment
        )
        return solved

    def surrogate(self, solved: Float[ndarray, " columns"], layers: int) -> Surrogate:
        """Put centring and scaling into the coefficients."""
        directions = self.directions.shape[1]
        share = solved[0] / self.scale
        weight = self.directions @ solved[1 : 1 + directions]
        base = solved[2 + directions :] + solved[1 + directions]
        base = base - share * self.usual - self.mean @ weight
        grid = round(len(base) ** 0.5)
        return Surrogate(
            share=float(share),
            weight=weight.reshape(layers, -1).astype(np.float32),
            base=base.reshape(grid, grid),
        )


def _directions(
    x: Float[ndarray, "n channels"], most: int
) -> Float[ndarray, "channels directions"]:
    """Return the `most` leading right singular vectors, by the smaller of the two Gram matrices."""
    if len(x) < x.shape[1]:
        left = np.linalg.eigh(x @ x.T)[1]
        found = x.T @ left[:, ::-1][:, :most]
        unit: ndarray = found / np.maximum(np.linalg.norm(found, axis=0), 1e-12)
        return unit
    _, right = np.linalg.eigh(x.T @ x)
    leading: ndarray = right[:, ::-1][:, :most]
    return leading


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Equations:
    """Of one picture, each divided by the square root of how many patches were covered."""

    rows: Float[ndarray, "sets columns"]
    logit_drops: Float[ndarray, " sets"]
    root: Float[ndarray, " sets"]

    def placed(self, values: Float[ndarray, "sets n"]) -> Float[ndarray, "sets n"]:
        """Return what is left of values when what goes with the size alone is taken off."""
        size = np.column_stack([self.root, 1 / self.root])
        rest: ndarray = values - size @ np.linalg.lstsq(size, values, rcond=None)[0]
        return rest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """Normal equations of least squares."""

    gram: Float[ndarray, "columns columns"]
    moment: Float[ndarray, " columns"]
    count: int

    def plus(self, other: "_Sums") -> "_Sums":
        """Return the sums over both."""
        return _Sums(
            gram=self.gram + other.gram,
            moment=self.moment + other.moment,
            count=self.count + other.count,
        )


def _sums(equations: Iterable[_Equations]) -> _Sums:
    return reduce(
        _Sums.plus,
        (
            _Sums(
                gram=one.rows.T @ one.rows,
                moment=one.rows.T @ one.logit_drops,
                count=len(one.logit_drops),
            )
            for one in equations
        ),
    )


def _placed(
    of: _Equations, solved: Float[ndarray, "columns penalties"]
) -> Float[ndarray, "sets n"]:
    """Return the predictions of each penalty and of contributions, and the drops; places alone."""
    return of.placed(np.column_stack([of.rows @ solved, of.rows[:, 0], of.logit_drops]))


def _correlation(one: Float[ndarray, " n"], other: Float[ndarray, " n"]) -> float:
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 0 else 0.0
