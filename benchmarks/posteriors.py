"""Ways to be unsure about a head, and how to tell which of them is worth having.

Each way is a function that fits a belief about heads on features: `fit(looks, recipe, seed)`, whose
answer turns one picture's features into samples of the logit. All are calibrated alike, on sources
that were left out in turn, and are then asked about pictures from elsewhere.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist
from typing import Protocol

import numpy as np
from research.laplace import Belief, laplace, mode, principal, regress, standard

from research import selective
from veridical.arrays import Bool, Float, Float32, ndarray
from veridical.infer.head import SampledHead, summarise
from veridical.io.samples import Sample
from veridical.stats import metrics
from veridical.report import Estimate

from veridical.train.features import FeatureSet
from veridical.train.fit import balance, fit_head, left_out, platt, subset
from veridical.train.recipes import Recipe

MEMBERS = 10  # heads of the ensemble
WAVES = 512  # random features of the Gaussian process
INPUTS = 128  # principal directions that it sees
FOLDS = 4  # of sources left out to calibrate: each is a fit of every posterior


class Speaker(Protocol):
    """A belief about heads, as far as it is asked here."""

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return samples of the logit."""
        ...


Fit = Callable[[FeatureSet, Recipe, int], Speaker]


# --- the ways ------------------------------------------------------------------------------------


def over_sources(looks: FeatureSet, recipe: Recipe, seed: int) -> Speaker:
    """Fit the discriminant that ships: the Bayesian bootstrap over sources."""
    return fit_head(looks, replace(recipe, method="discriminant"), seed=seed)


def dropout(looks: FeatureSet, recipe: Recipe, seed: int) -> Speaker:
    """Fit a small network by descent, with Monte Carlo dropout as the reference has it."""
    return fit_head(looks, replace(recipe, method="descent"), seed=seed)


def gaussian(looks: FeatureSet, recipe: Recipe, seed: int) -> Speaker:
    """Fit a logistic regression and its Laplace approximation; nothing in it is drawn."""
    return laplace(looks.features, is_ai(looks.samples), worth(looks.samples, recipe), recipe)


def ensemble(looks: FeatureSet, recipe: Recipe, seed: int, members: int = MEMBERS) -> SampledHead:
    """Fit logistic regressions on bootstrap samples of the groups.

    Lakshminarayanan et al., "Simple and Scalable Predictive Uncertainty Estimation using Deep
    Ensembles", NIPS 2017, for heads whose loss has one minimum: there other initial weights lead
    nowhere else, and other pictures do (Breiman, "Bagging Predictors", Machine Learning 24, 1996).
    """
    views, width = looks.features.shape[1:]
    truth, weights = is_ai(looks.samples), worth(looks.samples, recipe)
    centre, spread = standard(looks.features, recipe)
    x = ((looks.features - centre) / spread).reshape(-1, width)
    counted = np.repeat(weights / views, views)
    basis = principal(x, counted, 512)
    inside = np.column_stack([x @ basis.T, np.ones(len(x))]).astype(np.float64)
    answers = np.repeat(truth, views)
    whole = regress(inside, answers, counted)
    groups = np.unique([sample.group for sample in looks.samples], return_inverse=True)[1]
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(members):
        times = np.bincount(
            draw.integers(groups.max() + 1, size=groups.max() + 1), minlength=groups.max() + 1
        )
        drawn = np.repeat(_evened(weights * times[groups], truth) / views, views)
        found.append(mode(inside, answers, drawn, whole.precision, whole.mean))
    weight = np.array(found)
    return SampledHead(
        mean=centre,
        scale=spread,
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
        belief: About the weights of the waves and, last, the bias.
        samples: Quantiles of the logit.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    inputs: Float32[ndarray, "inputs features"]
    waves: Float[ndarray, "waves inputs"]
    phases: Float[ndarray, " waves"]
    belief: Belief
    samples: int = 200

    @cached_property
    def _points(self) -> ndarray:
        normal = NormalDist()
        return np.array([normal.inv_cdf((i + 0.5) / self.samples) for i in range(self.samples)])

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return quantiles of the logit."""
        inside = self.inputs @ ((features - self.mean) / self.scale)
        waves = np.append(rippled(inside[None].astype(np.float64), self.waves, self.phases)[0], 1.0)
        deviation = np.sqrt((self.belief.axes @ waves) ** 2 @ self.belief.variance)
        made: ndarray = (waves @ self.belief.mean + deviation * self._points).astype(np.float32)
        return made


def rippled(
    inside: Float[ndarray, "n inputs"],
    waves: Float[ndarray, "m inputs"],
    phases: Float[ndarray, " m"],
) -> Float[ndarray, "n m"]:
    """Return the random features, whose products stand for the kernel."""
    made: ndarray = np.sqrt(2 / len(waves)) * np.cos(inside @ waves.T + phases)
    return made


def process(looks: FeatureSet, recipe: Recipe, seed: int) -> WaveHead:
    """Fit the Gaussian process; its length is the median distance between pictures."""
    views, width = looks.features.shape[1:]
    truth, weights = is_ai(looks.samples), worth(looks.samples, recipe)
    centre, spread = standard(looks.features, recipe)
    x = ((looks.features - centre) / spread).reshape(-1, width)
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
        mean=centre,
        scale=spread,
        inputs=basis,
        waves=waves,
        phases=phases,
        belief=regress(rows, np.repeat(truth, views), counted),
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


def is_ai(samples: Sequence[Sample]) -> Bool[ndarray, " n"]:
    return np.array([sample.label == "ai" for sample in samples], dtype=bool)


def worth(samples: Sequence[Sample], recipe: Recipe) -> Float[ndarray, " n"]:
    """Weigh pictures as the recipe does, pseudo-fakes as little as it does, and classes alike."""
    pseudo = np.array([s.generator in recipe.pseudo and s.label == "ai" for s in samples])
    weights = balance(samples, recipe) * np.where(pseudo, recipe.pseudo_weight, 1.0)
    return _evened(weights, is_ai(samples)) if recipe.balance else weights


def _evened(weights: Float[ndarray, " n"], truth: Bool[ndarray, " n"]) -> Float[ndarray, " n"]:
    made = weights.copy()
    for side in (truth, ~truth):
        made[side] *= len(made) / 2 / made[side].sum()
    return made


# --- what they say -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What a calibrated posterior says of some pictures.

    Attributes:
        p_ai: Predictive P(ai).
        total: Entropy of the predictive, nats.
        epistemic: Mutual information of answer and weights, nats.
    """

    p_ai: Float[ndarray, " n"]
    total: Float[ndarray, " n"]
    epistemic: Float[ndarray, " n"]


def ask(
    looks: FeatureSet,
    fit: Fit,
    recipe: Recipe,
    seed: int,
    asked: Mapping[str, Float32[ndarray, "n features"]],
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Told]:
    """Fit on `looks`, calibrate on sources left out in turn, and ask about each set of pictures.

    Raises:
        SystemExit: If there are too few sources to leave some out.
    """
    truth, weights = is_ai(looks.samples), balance(looks.samples, recipe)
    logits, chosen = [], []
    folds = left_out(looks, recipe, seed=seed, most=FOLDS)
    if not folds:
        raise SystemExit("Three sources of each class are needed to calibrate on sources left out.")
    for number, (fold, rest) in enumerate(folds):
        say(f"leaving sources out, {number + 1} of {len(folds)}")
        keep = np.zeros(len(truth), dtype=bool)
        keep[rest] = True
        other = fit(subset(looks, keep), recipe, seed)
        logits += [other.logits(looks.features[i, 0]) for i in fold]
        chosen += fold.tolist()
    slope, intercept = platt(np.stack(logits), truth[chosen], weights[chosen])
    say("fitting on all sources")
    head = fit(looks, recipe, seed)
    return {
        name: told([slope * head.logits(one) + intercept for one in features])
        for name, features in asked.items()
    }


def describe(logits: Sequence[Float[ndarray, " samples"]]) -> Told:
    """Sum up calibrated samples of the logit, picture by picture."""
    beliefs = [summarise(one) for one in logits]
    return Told(
        p_ai=np.array([belief.p_ai for belief in beliefs]),
        total=np.array([belief.total for belief in beliefs]),
        epistemic=np.array([belief.epistemic for belief in beliefs]),
    )


def measured(
    samples: Sequence[Sample], said: Told, *, resamples: int = 1000
) -> dict[str, Estimate | None]:
    """Measure answers against the truth: errors, calibration, and whether doubt finds errors."""
    truth, groups = is_ai(samples), [sample.group for sample in samples]
    wrong = (said.p_ai >= 0.5) != truth
    by_total = selective.bootstrap(truth, wrong, said.total, groups=groups, resamples=resamples)
    by_model = selective.bootstrap(truth, wrong, said.epistemic, groups=groups, resamples=resamples)
    plain = metrics.bootstrap(truth, said.p_ai, groups=groups, resamples=resamples)
    return {
        **by_total,
        "aurc_epistemic": by_model["aurc"],
        "error_auroc_epistemic": by_model["error_auroc"],
        **{name: plain[name] for name in ("auroc", "ece", "ece_adaptive", "brier", "nll")},
    }


def lead(samples: Sequence[Sample], said: Told, other: Told, *, resamples: int = 1000) -> Estimate:
    """Return how much larger the AURC of `said` is than that of `other`; below 0 it is better."""
    truth = is_ai(samples)
    one, two = (((t.p_ai >= 0.5) != truth, t.total) for t in (said, other))
    groups = [sample.group for sample in samples]
    return selective.bootstrap_gap(truth, one, two, groups=groups, resamples=resamples)


def unlike(clean: Told, odd: Told) -> dict[str, float]:
    """Return how well each kind of doubt tells odd pictures from clean ones: AUROC."""
    truth = np.repeat([False, True], [len(clean.p_ai), len(odd.p_ai)])
    return {
        kind: metrics.auroc(truth, np.concatenate([getattr(clean, kind), getattr(odd, kind)]))
        for kind in ("total", "epistemic")
    }


def winner(rows: Mapping[str, Mapping[str, Mapping[str, Estimate | None]]]) -> str:
    """Return the posterior of the least mean AURC over the sets; a criterion named beforehand.

    Args:
        rows: Posterior -> set -> what was measured.
    """

    def mean(name: str) -> float:
        areas = [cells["aurc"] for cells in rows[name].values()]
        return float(np.mean([area.value for area in areas if area]))

    return min(rows, key=mean)
