"""Fit a head, its calibration and its outlier gauge on features that are already there."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from veridical._optional import need
from veridical.arrays import Bool, Float, Float32, Int, ndarray
from veridical.detector import Posterior
from veridical.errors import OneClassOnly, TooFewPhotos
from veridical.infer.calibration import Calibration, conformal_quantile
from veridical.infer.head import DropoutHead, Layer, sigmoid
from veridical.infer.ood import OodScorer
from veridical.io.samples import Sample
from veridical.io.splits import clusters, split_groups
from veridical.train.discriminant import (
    Cell,
    discriminant,
    posterior_over_sources,
    statistics,
)
from veridical.train.features import FeatureSet
from veridical.train.recipes import Recipe

FOLDS = 12  # of sources left out in turn for calibration; few at a time, as one new one is
_DIRECTIONS = 128  # principal directions of the outlier gauge
_LIMIT = 0.995  # quantile of the held-out distances at which we abstain


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """Everything that training finds out.

    Attributes:
        head: The head.
        calibration: Fitted on pictures the head did not see.
        outlier: Fitted on what the head saw, its limit on what it did not.
        calibrated_on: In words, for the card.
        history: Loss per epoch on the fitting and the validation part.
        counts: Pictures that the head was fitted on, that stopped it (the discriminant is fitted
            on these, too), and that calibrated it; the last may overlap with the others where
            they were left out in turn.
    """

    head: Posterior
    calibration: Calibration
    ood: OodScorer
    calibrated_on: str
    history: tuple[tuple[float, float], ...]
    counts: Mapping[str, int]


def fit(
    looks: FeatureSet, recipe: Recipe, *, seed: int, say: Callable[[str], None] = lambda _: None
) -> Fitted:
    """Fit everything that is learnt.

    Groups and near-duplicates stay on one side of every split. The head that ships is fitted on
    the first part and stopped by the second; its calibration comes from sources that were left out
    in turn, where there are enough of them: what a model says of pictures from elsewhere is what
    its users will get.

    Args:
        looks: Features of pictures with a face.
        recipe: What to fit.
        seed: Of splits, initial weights, dropout and order.
        say: Told what is being done.

    Raises:
        OneClassOnly: If a class has no pictures.
        TooFewPhotos: If the groups cannot be shared out.
    """
    samples = looks.samples
    truth = np.array([sample.label == "ai" for sample in samples], dtype=bool)
    if truth.all() or not truth.any():
        raise OneClassOnly(
            f"Training found {int(truth.sum())} AI-generated and {int((~truth).sum())} real "
            "pictures with a face; both classes are needed.",
            hint="Check the class folders, and that faces are large enough to be found.",
        )
    parts = _parts(looks, recipe, seed)
    weights = balance(samples, recipe)
    say("Fitting the head")
    folds = _source_folds(samples, _judged(samples, recipe), seed) if recipe.out_of_source else []
    # Where whole sources are left out to calibrate, no part has to be kept from the head for it.
    used = _joined(parts) if folds else parts
    head, history = _head(looks, truth, weights, used, recipe, seed)
    held_out, on = _held_out(looks, truth, weights, parts, folds, head, recipe, seed, say)
    calibration = _calibrate(*held_out, recipe)
    say("Measuring distances")
    rest = np.concatenate([parts["validation"], parts["calibration"]])
    outlier = _outlier(looks.features, head, parts["fit"], rest, seed)
    return Fitted(
        head=head,
        calibration=calibration,
        ood=outlier,
        calibrated_on=on,
        history=history,
        counts={
            "fit": len(used["fit"]),
            "validation": len(used["validation"]),
            "calibration": calibration.real + calibration.ai,
        },
    )


def fit_head(looks: FeatureSet, recipe: Recipe, *, seed: int) -> Posterior:
    """Fit a head alone, on all parts but the one that stops it: for judging what is not in `looks`.

    Args:
        looks: Features of pictures with a face.
        recipe: What to fit.
        seed: Of splits, initial weights, dropout and order.

    Raises:
        TooFewPhotos: If the groups cannot be shared out.
    """
    truth = np.array([sample.label == "ai" for sample in looks.samples], dtype=bool)
    weights = balance(looks.samples, recipe)
    parts = _parts(looks, recipe, seed)
    return _head(looks, truth, weights, _joined(parts), recipe, seed)[0]


def refits(
    looks: FeatureSet, recipe: Recipe, *, seed: int
) -> Callable[[Bool[ndarray, " n"]], Posterior]:
    """Return what fits a head to all pictures but those asked to be left out.

    The same as `fit_head` of the rest. For the discriminant, cells that are left whole are summed
    up once, however many heads are fitted.

    Args:
        looks: Features of pictures with a face.
        recipe: What to fit.
        seed: Of the fits.
    """
    if recipe.method != "discriminant":
        return lambda out: fit_head(subset(looks, ~out), recipe, seed=seed)
    cells = [_cell(sample) for sample in looks.samples]
    whole = {one.cell: one for one in statistics(looks.features, cells)}
    size = Counter(cells)

    def fit_without(out: Bool[ndarray, " n"]) -> Posterior:
        left = Counter(cell for cell, gone in zip(cells, out, strict=True) if not gone)
        parts = [cell for cell in left if left[cell] < size[cell]]
        some = ~out & np.array([cell in parts for cell in cells])
        anew = statistics(
            looks.features[some], [cell for cell, own in zip(cells, some, strict=True) if own]
        )
        found = {cell: whole[cell] for cell in left} | {one.cell: one for one in anew}
        return posterior_over_sources([found[cell] for cell in sorted(found)], recipe, seed)

    return fit_without


def subset(looks: FeatureSet, keep: Bool[ndarray, " n"]) -> FeatureSet:
    """Return the pictures for which `keep` holds."""
    return replace(
        looks,
        samples=tuple(s for s, k in zip(looks.samples, keep, strict=True) if k),
        features=looks.features[keep],
        hashes=tuple(h for h, k in zip(looks.hashes, keep, strict=True) if k),
    )


def _cell(sample: Sample) -> Cell:
    return sample.label, sample.source, sample.generator


def balance(samples: Sequence[Sample], recipe: Recipe) -> Float[ndarray, " n"]:
    """Return what each picture weighs under a recipe; the mean is 1."""
    return _weights(samples) if recipe.balance else np.ones(len(samples))


def left_out(
    looks: FeatureSet, recipe: Recipe, *, seed: int, most: int = FOLDS
) -> list[tuple[Int[ndarray, " _"], Int[ndarray, " _"]]]:
    """Deal the sources out over folds, as `fit` does to calibrate.

    Args:
        looks: Features of pictures with a face.
        recipe: `pseudo` is read.
        seed: Of the dealing.
        most: Folds there may be.

    Returns:
        For each fold the pictures left out, and those that are neither among them nor akin to one
        of them. Empty if there are too few sources.
    """
    kin = _kin(looks)
    folds = _source_folds(looks.samples, _judged(looks.samples, recipe), seed, most)
    return [(fold, np.flatnonzero(~np.isin(kin, kin[fold]))) for fold in folds]


def _joined(parts: Mapping[str, Int[ndarray, " _"]]) -> dict[str, Int[ndarray, " _"]]:
    """Give the head what was set aside for calibration, too."""
    both = np.sort(np.concatenate([parts["fit"], parts["calibration"]]))
    return {"fit": both, "validation": parts["validation"]}


def _parts(looks: FeatureSet, recipe: Recipe, seed: int) -> dict[str, Int[ndarray, " n"]]:
    shares = dict(zip(("fit", "validation", "calibration"), recipe.shares, strict=True))
    split = split_groups(
        looks.samples,
        shares={name: share for name, share in shares.items() if share > 0},
        seed=seed,
        hashes=_hashes(looks),
    )
    place = {sample.path: i for i, sample in enumerate(looks.samples)}
    return {
        name: np.array(sorted(place[s.path] for s in split.get(name, ())), dtype=np.int64)
        for name in shares
    }


def _kin(looks: FeatureSet) -> Int[ndarray, " n"]:
    """Number the clusters of groups and near-duplicates; one number per picture."""
    joined = clusters(looks.samples, _hashes(looks))
    number = {s.path: n for n, members in enumerate(joined.values()) for s in members}
    return np.array([number[sample.path] for sample in looks.samples])


def _hashes(looks: FeatureSet) -> dict[Path, int]:
    return {s.path: h for s, h in zip(looks.samples, looks.hashes, strict=True)}


def _weights(samples: Sequence[Sample]) -> Float[ndarray, " n"]:
    """Weigh each picture by 1 / sqrt(its source's size), then the classes alike; mean 1."""
    cells = [_cell(sample) for sample in samples]
    sizes = {cell: cells.count(cell) for cell in set(cells)}
    weights = np.array([sizes[cell] ** -0.5 for cell in cells])
    ai = np.array([s.label == "ai" for s in samples])
    for mask in (ai, ~ai):
        weights[mask] *= len(samples) / 2 / weights[mask].sum()
    return weights


def _head(
    looks: FeatureSet,
    truth: Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
    parts: Mapping[str, Int[ndarray, " _"]],
    recipe: Recipe,
    seed: int,
) -> tuple[Posterior, tuple[tuple[float, float], ...]]:
    """Fit a head on the parts `fit` and `validation`; also return its history, if it has one."""
    if recipe.method == "discriminant":
        # In closed form there is nothing to stop early: both parts are for fitting.
        chosen = np.sort(np.concatenate([parts["fit"], parts["validation"]]))
        cells = [_cell(looks.samples[i]) for i in chosen]
        return discriminant(looks.features[chosen], cells, recipe, seed), ()
    torch = need("torch", extra="train", to="train a head")
    with _one_thread(torch):
        return _descend(torch, looks.features, truth, weights, parts, recipe, seed)


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """Matrices this small are four times as fast on one core, and the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _descend(
    torch: Any,
    features: Float32[ndarray, "n views features"],
    truth: Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
    parts: Mapping[str, Int[ndarray, " m"]],
    recipe: Recipe,
    seed: int,
) -> tuple[DropoutHead, tuple[tuple[float, float], ...]]:
    torch.manual_seed(seed)
    chosen, checked = parts["fit"], parts["validation"]
    width = features.shape[2]
    centre, spread = np.zeros(width, np.float32), np.ones(width, np.float32)
    if recipe.standardise:
        flat = features[chosen].reshape(-1, width)
        centre = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = np.maximum(flat.std(axis=0, dtype=np.float64), 1e-4).astype(np.float32)
    x = torch.from_numpy((features - centre) / spread)
    y, w = torch.from_numpy(truth.astype(np.int64)), torch.from_numpy(weights.astype(np.float32))
    net = _network(torch, width, recipe)
    steps = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimiser]
    optimiser = steps(net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    loss_of = torch.nn.CrossEntropyLoss(reduction="none")
    order = np.random.default_rng(seed)
    best, best_loss, waited = _copy(net), np.inf, 0
    history = []
    for _ in range(recipe.epochs):
        net.train()
        # Every picture once an epoch, each time in one of its views.
        shuffled = torch.from_numpy(order.permutation(chosen))
        views = torch.from_numpy(order.integers(features.shape[1], size=len(chosen)))
        running = 0.0
        for start in range(0, len(chosen), recipe.batch):
            rows, seen = shuffled[start : start + recipe.batch], views[start : start + recipe.batch]
            optimiser.zero_grad()
            losses = loss_of(net(x[rows, seen]), y[rows]) * w[rows]
            losses.mean().backward()
            optimiser.step()
            running += float(losses.detach().sum())
        with torch.no_grad():
            net.eval()
            checks = [
                float((loss_of(net(x[checked, v]), y[checked]) * w[checked]).mean())
                for v in range(features.shape[1])
                if len(checked)
            ]
        loss = float(np.mean(checks)) if checks else running / len(chosen)
        history.append((running / len(chosen), loss))
        if recipe.patience is None or loss < best_loss:
            best, best_loss, waited = _copy(net), loss, 0
        elif (waited := waited + 1) > recipe.patience:
            break
    return _freeze(best, centre, spread, recipe, seed), tuple(history)


def _network(torch: Any, width: int, recipe: Recipe) -> Any:
    nn = torch.nn
    parts: list[Any] = []
    for out, relu in recipe.hidden:
        parts += [nn.Dropout(recipe.dropout[0]), nn.Linear(width, out)]
        parts += [nn.ReLU()] if relu else []
        width = out
    return nn.Sequential(*parts, nn.Dropout(recipe.dropout[1]), nn.Linear(width, 2))


def _copy(net: Any) -> list[tuple[ndarray, ndarray]]:
    return [
        (m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy())
        for m in net
        if hasattr(m, "weight")
    ]


def _freeze(
    linear: list[tuple[ndarray, ndarray]],
    mean: Float32[ndarray, " features"],
    scale: Float32[ndarray, " features"],
    recipe: Recipe,
    seed: int,
) -> DropoutHead:
    """Two class scores become one logit: softmax over two is a sigmoid of their difference."""
    *hidden, (weight, bias) = linear
    layers = [
        Layer(weight=w, bias=b, relu=relu, dropout=recipe.dropout[0])
        for (w, b), (_, relu) in zip(hidden, recipe.hidden, strict=True)
    ]
    layers.append(
        Layer(
            weight=weight[1:] - weight[:1],
            bias=bias[1:] - bias[:1],
            relu=False,
            dropout=recipe.dropout[1],
        )
    )
    return DropoutHead(mean=centre, scale=spread, layers=tuple(layers), seed=seed)


def _held_out(
    looks: FeatureSet,
    truth: Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
    parts: Mapping[str, Int[ndarray, " _"]],
    folds: Sequence[Int[ndarray, " _"]],
    head: Posterior,
    recipe: Recipe,
    seed: int,
    say: Callable[[str], None],
) -> tuple[tuple[Float32[ndarray, "m samples"], Bool[ndarray, " m"], Float[ndarray, " m"]], str]:
    """Return logits, truth and weights of pictures that the head giving the logits never saw."""
    if not folds:
        chosen = parts["calibration"][_judged(looks.samples, recipe)[parts["calibration"]]]
        logits = np.stack([head.logits(looks.features[i, 0]) for i in chosen])
        return (logits, truth[chosen], weights[chosen]), "groups the head was not fitted on"
    everything = np.concatenate([parts[name] for name in ("fit", "validation", "calibration")])
    kin = _kin(looks)
    logits = np.zeros((len(truth), head.samples), dtype=np.float32)
    # The discriminant has no parts, and most cells are left whole: their sums are made once.
    fit_without = refits(looks, recipe, seed=seed) if recipe.method == "discriminant" else None
    for number, fold in enumerate(folds):
        say(f"Leaving sources out, {number + 1} of {len(folds)}")
        # Relatives of what is left out (same person, near-duplicate) stay out too, wherever they
        # were found.
        out = np.isin(kin, kin[fold])
        if fit_without:
            other = fit_without(out)
        else:
            left = everything[~out[everything]]
            inner = {name: np.intersect1d(left, part) for name, part in _joined(parts).items()}
            other, _ = _head(looks, truth, weights, inner, recipe, seed)
        for i in fold:
            logits[i] = other.logits(looks.features[i, 0])
    chosen = np.concatenate(folds)
    return (logits[chosen], truth[chosen], weights[chosen]), (
        f"sources the head was not fitted on ({len(folds)} folds)"
    )


def _judged(samples: Sequence[Sample], recipe: Recipe) -> Bool[ndarray, " n"]:
    """Return which pictures may calibrate: all but pseudo-fakes, where there are others."""
    pseudo = np.array([s.generator in recipe.pseudo and s.label == "ai" for s in samples])
    ai = np.array([s.label == "ai" for s in samples])
    return ~pseudo if (ai & ~pseudo).any() else np.ones(len(samples), dtype=bool)


def _source_folds(
    samples: Sequence[Sample], judged: Bool[ndarray, " n"], seed: int, most: int = FOLDS
) -> list[Int[ndarray, " _"]]:
    """Share the sources out over folds; [] if some rest would lack a class."""
    own = [sample for sample, counts in zip(samples, judged, strict=True) if counts]
    sources = sorted({sample.source for sample in own})
    sides = {source: {s.label for s in own if s.source == source} for source in sources}
    if min(sum(label in kinds for kinds in sides.values()) for label in ("real", "ai")) < 3:
        return []
    shuffled = [sources[i] for i in np.random.default_rng(seed).permutation(len(sources))]
    # Dealt out class by class, so that every fold has sources of both where there are enough.
    dealt = sorted(shuffled, key=lambda source: sorted(sides[source]))
    folds = [
        np.array(
            [i for i, s in enumerate(samples) if judged[i] and s.source in dealt[n::most]],
            dtype=np.int64,
        )
        for n in range(min(most, len(dealt)))
    ]
    labels = {label for s in samples for label in [s.label]}
    for fold in folds:
        inside = set(fold.tolist())
        if {s.label for i, s in enumerate(samples) if i not in inside} != labels:
            return []
    return folds


def _calibrate(
    logits: Float32[ndarray, "m samples"],
    truth: Bool[ndarray, " m"],
    weights: Float[ndarray, " m"],
    recipe: Recipe,
) -> Calibration:
    """Fit slope and intercept by the log loss of the predictive, then a threshold per class."""
    if min(int(truth.sum()), int((~truth).sum())) < 2:
        raise TooFewPhotos(
            f"Calibration has {int(truth.sum())} AI-generated and {int((~truth).sum())} real "
            "pictures; it needs at least 2 of each.",
            hint="Add pictures; some hundred of each class give useful thresholds.",
        )
    slope, intercept = platt(logits, truth, weights) if recipe.out_of_source else (1.0, 0.0)
    p = sigmoid(slope * logits.astype(np.float64) + intercept).mean(axis=1)
    return Calibration(
        slope=slope,
        intercept=intercept,
        coverage=min(recipe.coverage, recipe.coverage_of_reals),
        coverage_of_reals=recipe.coverage_of_reals,
        coverage_of_ai=recipe.coverage,
        threshold_real=conformal_quantile(p[~truth], recipe.coverage_of_reals),
        threshold_ai=conformal_quantile(1 - p[truth], recipe.coverage),
        real=int((~truth).sum()),
        ai=int(truth.sum()),
        typical_real=float(np.median((slope * logits + intercept).mean(axis=1)[~truth])),
    )


def platt(
    logits: Float32[ndarray, "m samples"],
    truth: Bool[ndarray, " m"],
    weights: Float[ndarray, " m"],
) -> tuple[float, float]:
    """Return slope and intercept of the logit that minimise the log loss of the predictive.

    Platt, "Probabilistic Outputs for Support Vector Machines", 1999, with the posterior samples
    averaged after the sigmoid, as they are at inspection.

    Args:
        logits: Posterior samples, of pictures that the head was not fitted on.
        truth: Whether each picture is AI-generated.
        weights: Of the pictures; not negative.
    """
    optimize = need("scipy.optimize", extra="train", to="calibrate")

    def loss(point: Float[ndarray, "2"]) -> float:
        p = sigmoid(np.exp(point[0]) * logits.astype(np.float64) + point[1]).mean(axis=1)
        own = np.clip(np.where(truth, p, 1 - p), 1e-12, 1)
        return float(-(weights * np.log(own)).sum() / weights.sum())

    found = optimize.minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return float(np.exp(found[0])), float(found[1])


def _outlier(
    features: Float32[ndarray, "n views features"],
    head: Posterior,
    fitted: Int[ndarray, " m"],
    rest: Int[ndarray, " k"],
    seed: int,
) -> OodScorer:
    decomposition = need("sklearn.decomposition", extra="train", to="measure distances")
    width = features.shape[2]
    x = ((features[fitted] - head.mean) / head.scale).reshape(-1, width)
    count = min(_DIRECTIONS, width // 2, len(fitted) // 2)
    # Around the origin, where the gauge measures from; standardised features have no mean to lose.
    found = decomposition.TruncatedSVD(count, random_state=seed).fit(x)
    variance = np.maximum((found.transform(x).astype(np.float64) ** 2).mean(axis=0), 1e-6)
    energy = float((x.astype(np.float64) ** 2).sum(axis=1).mean())
    gauge = OodScorer(
        mean=head.mean,
        scale=head.scale,
        basis=np.ascontiguousarray(found.components_, dtype=np.float32),
        variance=variance.astype(np.float32),
        residual=max(energy - float(variance.sum()), 1e-6),
        limit=1.0,
    )
    raw = [gauge.raw(look) for i in rest for look in features[i]]
    return OodScorer(
        mean=head.mean,
        scale=head.scale,
        basis=gauge.basis,
        variance=gauge.variance,
        residual=gauge.residual,
        limit=float(np.quantile(raw, _LIMIT)),
    )
