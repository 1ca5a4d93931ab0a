"""Posteriors over heads: what ships, and what ranked errors less well (docs/doubt.md).

Each is a function `fit(features, recipe, seed)`, whose answer turns one picture's features into
samples of the logit. All work on one crop of the faces: that of `train.fit.of_crop`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist
from typing import Protocol

import numpy as np

from research.laplace import WeightPosterior, laplace, mode, principal, regress, standard
from veridical.arrays import Bool, Float, Float32, ndarray
from veridical.infer.head import SampledHead, summarise
from veridical.infer.platt import platt
from veridical.io.samples import Sample
from veridical.train.features import FeatureSet
from veridical.train.fit import balance, fit_head, subset
from veridical.train.folds import left_out
from veridical.train.recipes import Recipe

MEMBERS = 10  # heads of the ensemble
WAVES = 512  # random features of the Gaussian process
INPUTS = 128  # principal directions that it sees


class Fitted(Protocol):
    """A posterior over heads, as far as it is asked here."""

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return samples of the logit."""
        ...


Fit = Callable[[FeatureSet, Recipe, int], Fitted]


# --- the ways ------------------------------------------------------------------------------------


def over_sources(found: FeatureSet, recipe: Recipe, seed: int) -> Fitted:
    """Fit the discriminant that ships: the Bayesian bootstrap over sources."""
    return fit_head(found, replace(recipe, method="discriminant"), seed=seed)


def dropout(found: FeatureSet, recipe: Recipe, seed: int) -> Fitted:
    """Fit a small network by descent, with Monte Carlo dropout as the reference has it."""
    return fit_head(found, replace(recipe, method="descent"), seed=seed)


def gaussian(found: FeatureSet, recipe: Recipe, seed: int) -> Fitted:
    """Fit a logistic regression and its Laplace approximation; nothing in it is drawn."""
    return laplace(
        found.features[:, :, 0], _is_ai(found.samples), worth(found.samples, recipe), recipe
    )


def ensemble(found: FeatureSet, recipe: Recipe, seed: int, members: int = MEMBERS) -> SampledHead:
    """Fit logistic regressions on bootstrap samples of the groups.

    Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles", NIPS 2017, for heads whose loss has one minimum: there other initial weights lead
    nowhere else, and other pictures do (Breiman, "Bagging Predictors", Machine Learning 24, 1996).
    """
    features = found.features[:, :, 0]
    views, width = features.shape[1:]
    truth, weights = _is_ai(found.samples), worth(found.samples, recipe)
    mean, scale = standard(features, recipe)
    x = ((features - mean) / scale).reshape(-1, width)
    counted = np.repeat(weights / views, views)
    basis = principal(x, counted, 512)
    inside = np.column_stack([x @ basis.T, np.ones(len(x))]).astype(np.float64)
    answers = np.repeat(truth, views)
    whole = regress(inside, answers, counted)
    groups = np.unique([sample.group for sample in found.samples], return_inverse=True)[1]
    draw = np.random.default_rng(seed)
    members_found = []
    for _ in range(members):
        times = np.bincount(
            draw.integers(groups.max() + 1, size=groups.max() + 1), minlength=groups.max() + 1
        )
        drawn = np.repeat(_evened(weights * times[groups], truth) / views, views)
        members_found.append(mode(inside, answers, drawn, whole.precision, whole.mean))
    weight = np.array(members_found)
    return SampledHead(
        mean=mean,
        scale=scale,
        directions=basis,
        weight=weight[:, :-1].astype(np.float32),
        bias=weight[:, -1].astype(np.float32),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class WaveHead:
    """A Gaussian process on the features, by random waves.

    Rahimi and Recht, "Random Features for Large-Scale Kernel Machines", NIPS 2007: the kernel
    exp(-|u - v|^2 / 2 l^2) is the mean of cos(w u + b) cos(w v + b) over w ~ N(0, 1 / l^2) and
    uniform b, times 2. The last layer has a Laplace posterior, as in SNGP (Liu et al.,
    arXiv:2006.10108, equations 8 and 9); the backbone is frozen, and not normalised as theirs is.

    Attributes:
        mean: Subtracted from the features.
        scale: The features are divided by it after that.
        inputs: From standardised features to the space that the kernel measures in.
        waves: w, one per row.
        phases: b.
        posterior: About the weights of the waves and, last, the bias.
        samples: Quantiles of the logit.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    inputs: Float32[ndarray, "inputs features"]
    waves: Float[ndarray, "waves inputs"]
    phases: Float[ndarray, " waves"]
    posterior: WeightPosterior
    samples: int = 200

    @cached_property
    def _points(self) -> ndarray:
        normal = NormalDist()
        return np.array([normal.inv_cdf((i + 0.5) / self.samples) for i in range(self.samples)])

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return quantiles of the logit."""
        inside = self.inputs @ ((features - self.mean) / self.scale)
        waves = np.append(rippled(inside[None].astype(np.float64), self.waves, self.phases)[0], 1.0)
        deviation = np.sqrt((self.posterior.axes @ waves) ** 2 @ self.posterior.variance)
        made: ndarray = (waves @ self.posterior.mean + deviation * self._points).astype(np.float32)
        return made


def rippled(
    inside: Float[ndarray, "n inputs"],
    waves: Float[ndarray, "m inputs"],
    phases: Float[ndarray, " m"],
) -> Float[ndarray, "n m"]:
    """Return the random features, whose products stand for the kernel."""
    made: ndarray = np.sqrt(2 / len(waves)) * np.cos(inside @ waves.T + phases)
    return made


def process(found: FeatureSet, recipe: Recipe, seed: int) -> WaveHead:
    """Fit the Gaussian process; its length is the median distance between pictures."""
    features = found.features[:, :, 0]
    views, width = features.shape[1:]
    truth, weights = _is_ai(found.samples), worth(found.samples, recipe)
    mean, scale = standard(features, recipe)
    x = ((features - mean) / scale).reshape(-1, width)
    counted = np.repeat(weights / views, views)
    basis = principal(x, counted, INPUTS)
    inside = (x @ basis.T).astype(np.float64)
    draw = np.random.default_rng(seed)
    some = inside[draw.permutation(len(inside))[:500]]
    apart = np.sqrt(np.maximum(0, _squares(some, some)))
    length = float(np.median(apart[np.triu_indices(len(some), 1)]))
    waves = draw.normal(size=(WAVES, len(basis))) / length
    phases = draw.uniform(0, 2 * np.pi, WAVES)
    rows = np.column_stack([rippled(inside, waves, phases), np.ones(len(x))])
    return WaveHead(
        mean=mean,
        scale=scale,
        inputs=basis,
        waves=waves,
        phases=phases,
        posterior=regress(rows, np.repeat(truth, views), counted),
    )


def _squares(one: ndarray, other: ndarray) -> ndarray:
    made: ndarray = (one**2).sum(1)[:, None] + (other**2).sum(1) - 2 * one @ other.T
    return made


SHIPPED = "Bayesian bootstrap over sources"
POSTERIORS: dict[str, Fit] = {
    SHIPPED: over_sources,
    "Monte Carlo dropout": dropout,
    "Laplace": gaussian,
    f"ensemble of {MEMBERS}": ensemble,
    "Gaussian process": process,
}


# --- what they are fitted on ---------------------------------------------------------------------


def _is_ai(samples: Sequence[Sample]) -> Bool[ndarray, " n"]:
    return np.array([sample.label == "ai" for sample in samples], dtype=bool)


def worth(samples: Sequence[Sample], recipe: Recipe) -> Float[ndarray, " n"]:
    """Weigh pictures as the recipe does, pseudo-fakes as little as it does, and classes alike."""
    pseudo = np.array([s.generator in recipe.pseudo and s.label == "ai" for s in samples])
    weights = balance(samples, recipe) * np.where(pseudo, recipe.pseudo_weight, 1.0)
    return _evened(weights, _is_ai(samples)) if recipe.balance else weights


def _evened(weights: Float[ndarray, " n"], truth: Bool[ndarray, " n"]) -> Float[ndarray, " n"]:
    made = weights.copy()
    for side in (truth, ~truth):
        made[side] *= len(made) / 2 / made[side].sum()
    return made


# --- what they say -------------------------------------------------------------------------------

FOLDS = 4  # of sources left out to calibrate: each is a fit of every posterior


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What a calibrated posterior says of some pictures.

    Attributes:
        p_ai: Predictive P(ai).
        total: Entropy of the predictive, nats.
    """

    p_ai: Float[ndarray, " n"]
    total: Float[ndarray, " n"]


def ask(
    train: FeatureSet,
    fit: Fit,
    recipe: Recipe,
    seed: int,
    asked: Mapping[str, Float32[ndarray, "n features"]],
) -> dict[str, Told]:
    """Fit, calibrate on sources left out in turn, and ask about each set of pictures.

    Raises:
        SystemExit: If there are too few sources to leave some out.
    """
    truth, weights = _is_ai(train.samples), balance(train.samples, recipe)
    logits, chosen = [], []
    folds = left_out(train, recipe, seed=seed, most=FOLDS)
    if not folds:
        raise SystemExit("Three sources of each class are needed to calibrate on sources left out.")
    for fold, rest in folds:
        keep = np.zeros(len(truth), dtype=bool)
        keep[rest] = True
        other = fit(subset(train, keep), recipe, seed)
        logits += [other.logits(train.features[i, 0, 0]) for i in fold]
        chosen += fold.tolist()
    slope, intercept = platt(np.stack(logits).astype(np.float64), truth[chosen], weights[chosen])
    head = fit(train, recipe, seed)
    return {
        name: describe([slope * head.logits(one) + intercept for one in features])
        for name, features in asked.items()
    }


def describe(logits: Sequence[Float[ndarray, " samples"]]) -> Told:
    """Sum up calibrated samples of the logit, picture by picture."""
    found = [summarise(one) for one in logits]
    return Told(
        p_ai=np.array([one.p_ai for one in found]), total=np.array([one.total for one in found])
    )
