"""How far to trust a share, or whatever else was measured on some pictures: 95 % intervals.

Wilson's for shares of independent pictures; that of an order statistic for what lies beyond a
threshold taken from pictures; the bootstrap, over whole groups, for all else, and for shares never
narrower than Clopper and Pearson's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lgamma, log, log1p
from typing import TypeAlias

import numpy as np

from veridical.arrays import Bool, Float, Int, ndarray
from veridical.report import Estimate

Mask: TypeAlias = Bool[ndarray, " pictures"]
Labels: TypeAlias = Mask | Int[ndarray, " pictures"]
Weights: TypeAlias = Float[ndarray, "resamples pictures"]
Draws: TypeAlias = Float[ndarray, " resamples"]

_CELLS = 50_000  # resamples x pictures held at a time: few enough for a processor's cache
_Z = 1.959963984540054  # the normal's 97.5 % point


def wilson(hits: int, total: int) -> Estimate:
    """Return the share `hits / total` with its 95 % score interval, for independent pictures.

    References:
        E. Wilson, "Probable inference, the law of succession, and statistical inference",
        Journal of the American Statistical Association 22(158), 1927.

    Raises:
        ValueError: If `total` is not positive, or `hits` not within 0 and `total`.
    """
    if not 0 <= hits <= total or total == 0:
        raise ValueError(f"A share needs 0 <= hits <= total and total > 0; got {hits} of {total}.")
    share = hits / total
    middle = (share + _Z**2 / (2 * total)) / (1 + _Z**2 / total)
    spread = share * (1 - share) / total + _Z**2 / (4 * total**2)
    half = _Z / (1 + _Z**2 / total) * spread**0.5
    return holding(share, max(0.0, middle - half), min(1.0, middle + half))


def exact(hits: int, total: int) -> Estimate:
    """Return the share `hits / total` with its exact 95 % interval, for independent pictures.

    References:
        C. Clopper, E. Pearson, "The use of confidence or fiducial limits illustrated in the case
        of the binomial", Biometrika 26(4), 1934.

    Raises:
        ValueError: If `total` is not positive, or `hits` not within 0 and `total`.
    """
    if not 0 <= hits <= total or total == 0:
        raise ValueError(f"A share needs 0 <= hits <= total and total > 0; got {hits} of {total}.")
    low = _beta_quantile(0.025, hits, total - hits + 1) if hits else 0.0
    high = _beta_quantile(0.975, hits + 1, total - hits) if hits < total else 1.0
    return holding(hits / total, low, high)


def no_narrower_than_exact(found: Estimate, total: int) -> Estimate:
    """Return a share of `total` pictures with each end of its interval as far out as `exact`'s.

    With few hits, or few misses, the percentiles of a bootstrap lie too near: a resample seldom
    has more of what was hardly seen.
    """
    sure = exact(min(round(found.value * total), total), total)
    return Estimate(found.value, min(found.low, sure.low), max(found.high, sure.high))


def share_beyond(count: int, rank: int) -> Estimate:
    """Return how many of all pictures lie beyond the `rank`-th smallest score of `count` of them.

    Where scores do not tie, this share follows a Beta distribution with parameters
    count + 1 - rank and rank, whatever the scores' own distribution (Vovk, "Conditional validity of
    inductive conformal predictors", 2012, proposition 2; Angelopoulos and Bates, arXiv:2107.07511,
    section 3.2). Ties only lower the share. Its ends are Clopper and Pearson's for counts.

    Returns:
        The share that is expected, with the central 95 % interval of that distribution.

    Raises:
        ValueError: If there is no such score.
    """
    if not 1 <= rank <= count:
        raise ValueError(f"A rank is within 1 and the count of scores; got {rank} of {count}.")
    beyond = count + 1 - rank
    low, high = (_beta_quantile(mass, beyond, rank) for mass in (0.025, 0.975))
    return holding(beyond / (count + 1), low, high)


def _beta_quantile(mass: float, a: int, b: int) -> float:
    """Return where a Beta distribution of whole parameters has this much of its mass below.

    By bisection of its distribution function, which for whole parameters is the tail of a binomial:
    P(Beta(a, b) <= x) = P(Binomial(a + b - 1, x) >= a) (Abramowitz and Stegun, 26.5.24).
    """
    if a > b:  # the same from the other side, with fewer terms
        return 1 - _beta_quantile(1 - mass, b, a)
    tries = a + b - 1
    hits = np.arange(a)
    ways = np.array([lgamma(tries + 1) - lgamma(i + 1) - lgamma(tries - i + 1) for i in range(a)])
    low, high = 0.0, 1.0
    while (x := (low + high) / 2) not in (low, high):
        fewer = np.exp(ways + hits * log(x) + (tries - hits) * log1p(-x)).sum()
        low, high = (low, x) if 1 - fewer >= mass else (x, high)
    return x


def bootstrap_shares(
    shares: Mapping[str, tuple[Mask, Mask]],
    truth: Labels,
    *,
    groups: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate | None]:
    """Measure named shares of pictures, each with a 95 % percentile interval; see `Resampling`.

    A share without spread (no error at all) gets Wilson's interval, with groups for pictures:
    percentiles would say "0, certainly". No interval is narrower than `exact`.

    Args:
        shares: For each name, which pictures are hits, and among which pictures they are counted.
        truth: 1 for AI-generated pictures; what the draws are stratified by.
        groups: For each picture, who or what it may depend on; None if all are independent.
        resamples: How many.
        seed: Equal seeds and data, equal intervals.

    Returns:
        For each name the share; None if there is no picture to count among. Resamples without any
        such picture are left out of its interval.

    Raises:
        ValueError: If `resamples` is not positive, or the lengths differ.
    """
    is_ai = labels_of(truth)
    for name, (event, among) in shares.items():
        if not len(event) == len(among) == len(is_ai):
            raise ValueError(
                f"The share {name!r} must have an entry for each of the {len(is_ai)} pictures; "
                f"got {len(event)} and {len(among)}."
            )
    if not shares:
        return {}
    plan = Resampling.of(is_ai, groups)
    among_ = np.column_stack([among for _, among in shares.values()]).astype(float)
    hits_ = np.column_stack([event & among for event, among in shares.values()]).astype(float)
    drawn = [(w @ hits_, w @ among_) for w in plan.resamples(resamples, seed)]
    hits, totals = (np.concatenate(part) for part in zip(*drawn, strict=True))
    measured: dict[str, Estimate | None] = {}
    for column, (name, (_, among)) in enumerate(shares.items()):
        hit, count = float(hits_[:, column].sum()), float(among_[:, column].sum())
        if not count:
            measured[name] = None
        elif hit in (0, count):
            units = len(np.unique(plan.unit[among]))
            found = wilson(units if hit else 0, units)
            measured[name] = no_narrower_than_exact(found, int(count))
        else:
            some = totals[:, column] > 0
            found = percentiles(hit / count, hits[some, column] / totals[some, column])
            measured[name] = no_narrower_than_exact(found, int(count))
    return measured


def percentiles(value: float, draws: Draws) -> Estimate:
    """Return the value with the 95 % percentile interval of its draws."""
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    return holding(value, low, high)


def holding(value: float, low: float, high: float) -> Estimate:
    """Return the value in the interval, stretched to it where it lies outside."""
    return Estimate(value, min(low, value), max(high, value))


@dataclass(frozen=True, slots=True, eq=False)
class Resampling:
    """What a bootstrap draws together, and apart from what.

    Whole groups are drawn, with replacement, so pictures of one person move together. They are
    drawn apart from groups that hold only real pictures, only AI pictures, and both: no resample
    is without a class that the data has. Where there is one such group only, its pictures are
    drawn one by one, class by class; the interval then speaks of that group alone.

    Attributes:
        unit: For each picture, the number of what it is drawn with.
        strata: For each stratum its pictures, and their units counted from 0 within it.

    References:
        B. Efron, R. Tibshirani, "An introduction to the bootstrap", 1993, chapter 13. C. Field,
        A. Welsh, "Bootstrapping clustered data", Journal of the Royal Statistical Society B
        69(3), 2007 (their "cluster bootstrap").
    """

    unit: Int[ndarray, " pictures"]
    strata: tuple[tuple[Int[ndarray, " _"], Int[ndarray, " _"]], ...]

    @classmethod
    def of(cls, is_ai: Mask, groups: Sequence[str] | None) -> "Resampling":
        """Make the plan; without groups all pictures are independent.

        Raises:
            ValueError: If not every picture has a group.
        """
        count = len(is_ai)
        if groups is None:
            unit = np.arange(count)
        elif len(groups) == count:
            unit = np.unique(np.asarray(groups, dtype=np.str_), return_inverse=True)[1]
        else:
            raise ValueError(f"Each picture needs a group; got {len(groups)} for {count} pictures.")
        ai = np.bincount(unit, weights=is_ai) > 0
        real = np.bincount(unit, weights=~is_ai) > 0
        kind = (real + 2 * ai)[unit]
        alone = np.array([len(np.unique(unit[kind == k])) == 1 for k in range(4)])[kind]
        unit = np.where(alone, unit.max() + 1 + np.arange(count), unit)
        kind = np.where(alone, 1 + is_ai, kind) + 4 * alone
        members = [np.flatnonzero(kind == k) for k in np.unique(kind)]
        strata = tuple((m, np.unique(unit[m], return_inverse=True)[1]) for m in members)
        return cls(unit=unit, strata=strata)

    def resamples(self, count: int, seed: int) -> Iterator[Weights]:
        """Yield how often each picture was drawn, some resamples at a time, `count` in all."""
        if count < 1:
            raise ValueError(f"A bootstrap needs at least one resample; got {count}.")
        rng = np.random.default_rng(seed)
        step = max(1, _CELLS // len(self.unit))
        for done in range(0, count, step):
            rows = min(step, count - done)
            weights = np.empty((rows, len(self.unit)))
            for members, unit in self.strata:
                size = int(unit.max()) + 1
                picks = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
                drawn = np.bincount(picks.ravel(), minlength=rows * size).reshape(rows, size)
                weights[:, members] = drawn[:, unit]
            yield weights


def labels_of(truth: ndarray) -> Mask:
    """Return which pictures are AI-generated.

    Raises:
        ValueError: If there are no labels, or others than 0 and 1.
    """
    labels = np.asarray(truth)
    if labels.ndim != 1 or not len(labels):
        raise ValueError(f"Labels must be a list of at least one; got the shape {labels.shape}.")
    strange = labels[(labels != 0) & (labels != 1)]
    if strange.size:
        raise ValueError(f"Labels are 1 for ai and 0 for real; got {np.unique(strange)[:5]}.")
    return np.asarray(labels == 1)
