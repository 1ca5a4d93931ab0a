"""Fit the log-likelihood ratio of a forensic cue, and measure it on other pictures.

A density ratio of few numbers: logistic regression with a ridge and the weights of
`weights.of_pictures`, so that its logit is a log-likelihood ratio. Its scale comes from sources
that were left out (Platt, "Probabilistic Outputs for Support Vector Machines", 1999), because users
have pictures from elsewhere. It is capped where the left-out pictures no longer support it.

Sources are left out in pairs, one of AI-generated and one of real pictures, and a fit is measured
within its pair. This is strict: with few sources, whatever is odd about one moves the rest of its
class the other way, so that numbers which only tell sources apart come out below chance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf

import numpy as np

from veridical.arrays import Bool, Float, ndarray
from veridical.cues.weights import LIMIT, Weights
from veridical.infer.head import sigmoid
from veridical.report import Estimate
from veridical.stats.intervals import Resampling, percentiles
from veridical.stats.metrics import auroc, bootstrap
from veridical.train.weights import Cell, of_pictures

RIDGE = 0.03  # prior precision per coefficient, as a share of the pictures
MOST = 3.0  # nats; the cap of every cue, whatever its left-out pictures support
TAIL = 0.1  # share of the left-out weight at either end that must support the cap
DROP = 0.1  # of the AUROC under recompression, from which a cue counts as information only
_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """What one cue measured on the labelled pictures that it applies to.

    Attributes:
        values: One row per picture and view; NaN where a statistic could not be measured.
        ai: Whether each is AI-generated.
        cells: Label, source and generator of each.
        groups: Of each.
    """

    values: Float[ndarray, "n statistics"]
    ai: Bool[ndarray, " n"]
    cells: tuple[Cell, ...]
    groups: tuple[str, ...]

    def weights(self) -> Float[ndarray, " n"]:
        """Return how much each row counts; the mean is 1."""
        return of_pictures(self.cells)

    def where(self, keep: Bool[ndarray, " n"]) -> "Table":
        """Return the rows for which `keep` holds."""
        return Table(
            values=self.values[keep],
            ai=self.ai[keep],
            cells=tuple(c for c, k in zip(self.cells, keep, strict=True) if k),
            groups=tuple(g for g, k in zip(self.groups, keep, strict=True) if k),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Weights, and how they were fitted.

    Attributes:
        weights: As the package keeps them, before `judged` has decided whether they count.
        raw: The same before scaling and caps: to rank pictures where nothing is left of the scale.
        left_out: Mean AUROC over pairs of left-out sources; the interval is over sources.
        slope: By which the fit had to be scaled on left-out sources; 1 if it needed no scaling, 0
            if it was worth nothing there.
    """

    weights: Weights
    raw: Weights
    left_out: Estimate
    slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What log-likelihood ratios were worth on pictures that nothing was fitted on.

    Attributes:
        n_real: Real pictures that the cue applies to.
        n_ai: AI-generated ones.
        silent: Share of all pictures that it does not apply to.
        auroc: Of the ratio before scaling and caps; 0.5 knows nothing.
        cllr: Cost of the ratio in bits, both classes weighing the same; 1 is the cost of no ratio,
            above it the cue misleads (Brümmer and du Preez, Computer Speech and Language 20, 2006,
            eq. 22).
        slope: By which the ratio should be multiplied; 1 if it is calibrated, less if it
            is overconfident, 0 if it is worth nothing.
        by_generator: AUROC of each generator's pictures against all real ones.
    """

    n_real: int
    n_ai: int
    silent: float
    auroc: Estimate
    cllr: Estimate
    slope: float
    by_generator: tuple[tuple[str, float], ...]


def fit_ratio(cue: str, statistics: Sequence[str], table: Table) -> Fit:
    """Fit what a cue is worth.

    Raises:
        ValueError: If there are not two sources of each class, so that none can be left out.
    """
    pairs = _pairs(cue, table)
    weights = table.weights()
    mean, scale = _scales(table.values, weights)
    found = logistic(_standard(table.values, mean, scale), table.ai, weights, RIDGE * len(weights))
    scores = np.concatenate([pair.scores for pair in pairs])
    ai = np.concatenate([pair.ai for pair in pairs])
    even = np.concatenate([_even(pair.ai) for pair in pairs])
    slope, intercept = _rescaled(scores, ai, even)
    cap_real, cap_ai = caps(slope * scores + intercept, ai, even)
    usual = np.nanquantile(table.values[~table.ai], [0.05, 0.95], axis=0).T
    raw = Weights(
        cue=cue,
        statistics=tuple(statistics),
        mean=tuple(map(float, mean)),
        scale=tuple(map(float, scale)),
        usual=tuple((float(low), float(high)) for low, high in usual),
        coefficients=tuple(map(float, found[:-1])),
        intercept=float(found[-1]),
        cap_real=inf,
        cap_ai=inf,
        weighs=False,
        because="not measured",
    )
    return Fit(
        weights=replace(
            raw,
            coefficients=tuple(float(slope * one) for one in found[:-1]),
            intercept=float(slope * found[-1] + intercept),
            cap_real=cap_real,
            cap_ai=cap_ai,
        ),
        raw=raw,
        left_out=_over_sources(pairs),
        slope=slope,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pair:
    """Two sources that were left out, and the scores that the fit without them gives them."""

    made: str
    taken: str
    scores: Float[ndarray, " n"]
    ai: Bool[ndarray, " n"]


def _pairs(cue: str, table: Table) -> list[_Pair]:
    """Leave one AI and one real source out at a time, with all that comes from either."""
    sources = np.array([source for _, source, _ in table.cells])
    made, taken = (sorted(set(sources[mask])) for mask in (table.ai, ~table.ai))
    if min(len(made), len(taken)) < 2:
        raise ValueError(f"{cue}: two sources of each class are needed; got {made} and {taken}.")
    found = []
    for one, other in product(made, taken):
        rest = table.where((sources != one) & (sources != other))
        if rest.ai.all() or not rest.ai.any():
            continue
        weights = rest.weights()
        scales = _scales(rest.values, weights)
        line = logistic(_standard(rest.values, *scales), rest.ai, weights, RIDGE * len(weights))
        out = ((sources == one) & table.ai) | ((sources == other) & ~table.ai)
        scores = _with_one(_standard(table.values[out], *scales)) @ line
        found.append(_Pair(made=one, taken=other, scores=scores, ai=table.ai[out]))
    return found


def _over_sources(pairs: Sequence[_Pair], resamples: int = 1000) -> Estimate:
    """Return the mean AUROC within pairs, with an interval over sources of both classes."""
    made, taken = (sorted({getattr(p, side) for p in pairs}) for side in ("made", "taken"))
    grid = np.full((len(made), len(taken)), np.nan)
    for pair in pairs:
        grid[made.index(pair.made), taken.index(pair.taken)] = auroc(pair.ai, pair.scores)
    draw = np.random.default_rng(0)
    draws = [
        np.nanmean(
            grid[
                np.ix_(
                    draw.integers(len(made), size=len(made)),
                    draw.integers(len(taken), size=len(taken)),
                )
            ]
        )
        for _ in range(resamples)
    ]
    return percentiles(float(np.nanmean(grid)), np.array(draws))


def _even(ai: Bool[ndarray, " n"]) -> Float[ndarray, " n"]:
    """Weigh both classes the same; the weights add up to one."""
    weights: ndarray = np.where(ai, 0.5 / max(1, ai.sum()), 0.5 / max(1, (~ai).sum()))
    return weights


def caps(
    ratios: Float[ndarray, " n"], ai: Bool[ndarray, " n"], weights: Float[ndarray, " n"]
) -> tuple[float, float]:
    """Return the caps of a ratio towards `real` and `ai` that left-out pictures support, nats.

    Among the weight in either tail, the log ratio of the classes, with half an average picture
    added to each; not below 0 and not above MOST.
    """
    weights = weights / weights.mean()
    order = np.argsort(ratios, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    found = []
    for tail, mine in ((order[share <= TAIL], ~ai), (order[share > 1 - TAIL], ai)):
        own, other = weights[tail][mine[tail]].sum(), weights[tail][~mine[tail]].sum()
        found.append(float(np.clip(np.log((own + 0.5) / (other + 0.5)), 0, MOST)))
    return found[0], found[1]


def measure_ratio(fit: Fit, table: Table, silent: float, *, resamples: int = 1000) -> Worth | None:
    """Measure a fit on pictures that it has not seen; None where one class is missing.

    Args:
        fit: Of the cue.
        table: What it measured, one row per picture.
        silent: Share of the pictures that it does not apply to.
        resamples: Of the bootstrap over groups.
    """
    if table.ai.all() or not table.ai.any():
        return None
    ratios, scores = ratios_of(fit.weights, table), ratios_of(fit.raw, table)
    measured = bootstrap(table.ai, sigmoid(scores), groups=table.groups, resamples=resamples)
    assert measured["auroc"] is not None
    cost = np.logaddexp(0, np.where(table.ai, -ratios, ratios)) / np.log(2)
    even = _even(table.ai) * len(ratios)
    plan = Resampling.of(table.ai, table.groups)
    draws = [
        (w @ (cost * table.ai) / (w @ table.ai) + w @ (cost * ~table.ai) / (w @ ~table.ai)) / 2
        for w in plan.resamples(resamples, 0)
    ]
    makers = np.array([generator for _, _, generator in table.cells])
    return Worth(
        n_real=int((~table.ai).sum()),
        n_ai=int(table.ai.sum()),
        silent=silent,
        auroc=measured["auroc"],
        cllr=percentiles(float((even * cost).mean()), np.concatenate(draws)),
        slope=_rescaled(ratios, table.ai, even)[0],
        by_generator=tuple(
            (name, auroc(table.ai[mine], scores[mine]))
            for name in sorted(set(makers[table.ai]))
            for mine in [~table.ai | (makers == name)]
        ),
    )


def ratios_of(weights: Weights, table: Table) -> Float[ndarray, " n"]:
    """Return the ratio of every row, as the package computes it."""
    names = weights.statistics
    rows = (
        {name: float(value) for name, value in zip(names, row, strict=True) if np.isfinite(value)}
        for row in table.values
    )
    return np.array([weights.ratio(row) for row in rows], dtype=float)


def judged(
    plain: Worth | None, copies: Mapping[str, Worth | None], *, evidence: bool
) -> tuple[bool, str]:
    """Return whether a cue may count as evidence, and why.

    Args:
        plain: On pictures as delivered.
        copies: On perturbed copies of the same pictures, by the name of the perturbation.
        evidence: Whether it could be evidence at all.
    """
    if not evidence:
        return False, "by design: it shows what happened to the file, not who made the picture"
    if plain is None:
        return False, "it applies to no picture of one class"
    if plain.auroc.low <= 0.5:
        return False, "its AUROC on unseen generators is not clearly above 0.5"
    if plain.cllr.high >= 1:
        return False, "its ratio is not clearly better than no ratio on unseen generators"
    for name, copy in copies.items():
        if copy is None:
            return False, f"it applies to no picture of one class after {name}"
        if plain.auroc.value - copy.auroc.value > DROP:
            return False, f"its AUROC falls by more than {DROP} after {name}"
        if copy.cllr.value >= 1:
            return False, f"its ratio costs more than no ratio after {name}"
    return True, f"better than no ratio on unseen generators, also after {' and '.join(copies)}"


# --- arithmetic ----------------------------------------------------------------------------------


def _scales(
    values: Float[ndarray, "n statistics"], weights: Float[ndarray, " n"]
) -> tuple[Float[ndarray, " statistics"], Float[ndarray, " statistics"]]:
    """Return weighted means and standard deviations of the measured values."""
    known = np.isfinite(values)
    w = weights[:, None] * known
    total = np.maximum(w.sum(axis=0), 1e-12)
    filled = np.where(known, values, 0)
    mean = (w * filled).sum(axis=0) / total
    variance = (w * (filled - mean) ** 2).sum(axis=0) / total
    return mean, np.maximum(np.sqrt(variance), 1e-6)


def _standard(
    values: Float[ndarray, "n statistics"],
    mean: Float[ndarray, " statistics"],
    scale: Float[ndarray, " statistics"],
) -> Float[ndarray, "n statistics"]:
    """Standardise and clip; a value that was not measured becomes the mean."""
    away = np.where(np.isfinite(values), (values - mean) / scale, 0)
    z: ndarray = np.clip(away, -LIMIT, LIMIT)
    return z


def _with_one(z: Float[ndarray, "n statistics"]) -> Float[ndarray, "n parameters"]:
    return np.column_stack([z, np.ones(len(z))])


def logistic(
    z: Float[ndarray, "n statistics"],
    ai: Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
    ridge: float,
) -> Float[ndarray, " parameters"]:
    """Return the MAP of a logistic regression, intercept last and free, by Newton's method.

    Bishop, "Pattern Recognition and Machine Learning", 2006, section 4.3.3, with a Gaussian prior.
    """
    x = _with_one(z)
    prior = np.diag([ridge] * z.shape[1] + [1e-6])
    found = np.zeros(x.shape[1])
    for _ in range(_STEPS):
        p = sigmoid(x @ found)
        gradient = x.T @ (weights * (p - ai)) + prior @ found
        curvature = (x * (weights * p * (1 - p))[:, None]).T @ x + prior
        step = np.linalg.solve(curvature, gradient)
        found = found - step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return found


def _rescaled(
    scores: Float[ndarray, " n"], ai: Bool[ndarray, " n"], weights: Float[ndarray, " n"]
) -> tuple[float, float]:
    """Return slope and intercept; both 0 where a higher score does not mean `ai`."""
    scale = float(scores.std())
    if scale < 1e-9:
        return 0.0, 0.0
    slope, intercept = logistic((scores / scale)[:, None], ai, weights, 1e-3)
    if slope <= 0:
        return 0.0, 0.0
    return float(slope) / scale, float(intercept)
