"""Fit heads, their fusion and their out-of-distribution scores on features."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from veridical.arrays import Bool, Float, Float32, Int, ndarray
from veridical.errors import OneClassOnly
from veridical.infer.fusion import Fusion
from veridical.infer.head import Posterior
from veridical.infer.ood import OodScorer
from veridical.io.samples import Sample
from veridical.train.descent import History, descend
from veridical.train.discriminant import discriminant, posterior_over_sources, statistics
from veridical.train.features import FeatureSet
from veridical.train.folds import (
    Parts,
    joined,
    kin_of,
    may_calibrate,
    parts_of,
    source_folds,
)
from veridical.train.fusion_fit import LeftOut, fit_fusion
from veridical.train.ood_fit import fit_ood
from veridical.train.recipes import Recipe
from veridical.train.weights import cell_of, of_pictures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """All that is fitted.

    Attributes:
        heads: One per crop.
        oods: One per crop, fitted on what the heads were fitted on, their limits on the rest.
        fusion: Of all crops, fitted on pictures that the heads were not fitted on.
        fast: Of the first crop alone; None where there is no other.
        calibrated_on: In words, for the card.
        history: Loss per epoch of the first head on the fitting and the validation part.
        counts: Pictures that the heads were fitted on, that stopped them (the discriminant is
            fitted on these, too), and that calibrated; the last may overlap with the others where
            they were left out in turn.
    """

    heads: tuple[Posterior, ...]
    oods: tuple[OodScorer, ...]
    fusion: Fusion
    fast: Fusion | None
    calibrated_on: str
    history: History
    counts: Mapping[str, int]


def fit(
    data: FeatureSet, recipe: Recipe, *, seed: int, say: Callable[[str], None] = lambda _: None
) -> Fitted:
    """Fit everything that is learnt.

    Groups and near-duplicates stay on one side of every split. The heads are fitted on the first
    part and stopped by the second. Fusion and calibration come from sources that were left out in
    turn, where there are enough of them: users will have pictures from elsewhere.

    Args:
        data: Features of pictures with a face.
        recipe: What to fit.
        seed: Random seed, for splits, initial weights, dropout and order.
        say: Told what is being done.

    Raises:
        OneClassOnly: If a class has no pictures.
        TooFewPhotos: If the groups cannot be shared out.
    """
    truth = _is_ai(data)
    if truth.all() or not truth.any():
        raise OneClassOnly(
            f"Training found {int(truth.sum())} AI-generated and {int((~truth).sum())} real "
            "pictures with a face; both classes are needed.",
            hint="Check the class folders, and that faces are large enough to be found.",
        )
    parts = parts_of(data, recipe, seed)
    counted = may_calibrate(data.samples, recipe)
    folds = source_folds(data.samples, counted, seed) if recipe.out_of_source else []
    # Where whole sources are left out to calibrate, no part has to be kept from the head for it.
    used = joined(parts) if folds else parts
    rest = np.concatenate([parts["validation"], parts["calibration"]])
    heads, oods, logits = [], [], []
    for crop in range(data.features.shape[2]):
        own = of_crop(data, crop)
        say(f"Fitting head {crop + 1} of {data.features.shape[2]}")
        head, history = _head(own, used, recipe, seed)
        heads.append(head)
        say(f"Measuring distances of crop {crop + 1}")
        oods.append(fit_ood(own.features[:, :, 0], head, parts["fit"], rest, seed))
        if folds:
            logits.append(_left_out_logits(own, parts, folds, recipe, seed, say))
        else:
            logits.append(np.stack([_logits(head, views) for views in own.features[:, :, 0]]))
    if folds:
        chosen = np.concatenate(folds)
        on = f"sources the head was not fitted on ({len(folds)} folds)"
    else:
        chosen = parts["calibration"][counted[parts["calibration"]]]
        on = "groups the head was not fitted on"
    left_out = LeftOut(
        logits=np.stack(logits, axis=2)[chosen],
        truth=truth[chosen],
        weights=balance(data.samples, recipe)[chosen],
        sizes_px=data.sizes_px[chosen],
    )
    say("Fitting the weights of the crops and the thresholds")
    fusion = fit_fusion(left_out, recipe)
    return Fitted(
        heads=tuple(heads),
        oods=tuple(oods),
        fusion=fusion,
        fast=fit_fusion(left_out.first(), recipe) if len(heads) > 1 else None,
        calibrated_on=on,
        history=history,
        counts={
            "fit": len(used["fit"]),
            "validation": len(used["validation"]),
            "calibration": len(chosen),
        },
    )


def fit_head(data: FeatureSet, recipe: Recipe, *, seed: int) -> Posterior:
    """Fit a head alone, on all parts but the one that stops it.

    Args:
        data: Features of one crop of pictures with a face.
        recipe: What to fit.
        seed: Random seed, for splits, initial weights, dropout and order.

    Raises:
        TooFewPhotos: If the groups cannot be shared out.
    """
    return _head(data, joined(parts_of(data, recipe, seed)), recipe, seed)[0]


def refits(
    data: FeatureSet, recipe: Recipe, *, seed: int
) -> Callable[[Bool[ndarray, " n"]], Posterior]:
    """Return what fits a head to all pictures but those asked to be left out.

    The same as `fit_head` of the rest. For the discriminant, cells that are left whole are summed
    up once, however many heads are fitted.

    Args:
        data: Features of one crop of pictures with a face.
        recipe: What to fit.
        seed: Random seed, for the fits.
    """
    if recipe.method != "discriminant":
        return lambda out: fit_head(subset(data, ~out), recipe, seed=seed)
    cells = [cell_of(sample) for sample in data.samples]
    features = data.features[:, :, 0]
    whole = {one.cell: one for one in statistics(features, cells)}
    size = Counter(cells)

    def fit_without(out: Bool[ndarray, " n"]) -> Posterior:
        left = Counter(cell for cell, gone in zip(cells, out, strict=True) if not gone)
        torn = [cell for cell in left if left[cell] < size[cell]]
        some = ~out & np.array([cell in torn for cell in cells])
        again = statistics(
            features[some], [cell for cell, own in zip(cells, some, strict=True) if own]
        )
        found = {cell: whole[cell] for cell in left} | {one.cell: one for one in again}
        return posterior_over_sources([found[cell] for cell in sorted(found)], recipe, seed)

    return fit_without


def subset(data: FeatureSet, keep: Bool[ndarray, " n"]) -> FeatureSet:
    """Return the pictures for which `keep` holds."""
    return replace(
        data,
        samples=tuple(s for s, k in zip(data.samples, keep, strict=True) if k),
        features=data.features[keep],
        sizes_px=data.sizes_px[keep],
        hashes=tuple(h for h, k in zip(data.hashes, keep, strict=True) if k),
    )


def of_crop(data: FeatureSet, crop: int) -> FeatureSet:
    """Return the features of one crop alone."""
    return replace(data, features=data.features[:, :, crop : crop + 1])


def balance(samples: Sequence[Sample], recipe: Recipe) -> Float[ndarray, " n"]:
    """Return how much each picture counts under a recipe; the mean is 1."""
    return of_pictures([cell_of(s) for s in samples]) if recipe.balance else np.ones(len(samples))


def _is_ai(data: FeatureSet) -> Bool[ndarray, " n"]:
    return np.array([sample.label == "ai" for sample in data.samples], dtype=bool)


def _head(data: FeatureSet, parts: Parts, recipe: Recipe, seed: int) -> tuple[Posterior, History]:
    """Fit a head on the parts `fit` and `validation`; also return its history, if it has one."""
    if recipe.method == "discriminant":
        # In closed form there is nothing to stop early: both parts are for fitting.
        chosen = np.sort(np.concatenate([parts["fit"], parts["validation"]]))
        cells = [cell_of(data.samples[i]) for i in chosen]
        return discriminant(data.features[chosen, :, 0], cells, recipe, seed), ()
    weights = balance(data.samples, recipe)
    return descend(data.features[:, :, 0], _is_ai(data), weights, parts, recipe, seed)


def _left_out_logits(
    data: FeatureSet,
    parts: Parts,
    folds: Sequence[Int[ndarray, " _"]],
    recipe: Recipe,
    seed: int,
    say: Callable[[str], None],
) -> Float32[ndarray, "n views samples"]:
    """Return logits of each picture in a fold, by a head that was fitted without that fold."""
    everything = np.concatenate([parts[name] for name in ("fit", "validation", "calibration")])
    kin = kin_of(data)
    rows: dict[int, Float32[ndarray, "views samples"]] = {}
    # The discriminant has no parts, and most cells are left whole: their sums are made once.
    fit_without = refits(data, recipe, seed=seed) if recipe.method == "discriminant" else None
    for number, fold in enumerate(folds):
        say(f"Leaving sources out, {number + 1} of {len(folds)}")
        # Relatives of what is left out (same person, near-duplicate) stay out too, wherever they
        # were found.
        out = np.isin(kin, kin[fold])
        if fit_without:
            head = fit_without(out)
        else:
            left = everything[~out[everything]]
            inner = {name: np.intersect1d(left, part) for name, part in joined(parts).items()}
            head, _ = _head(data, inner, recipe, seed)
        rows |= {int(i): _logits(head, data.features[i, :, 0]) for i in fold}
    logits = np.zeros((len(data.samples), *next(iter(rows.values())).shape), np.float32)
    for i, row in rows.items():
        logits[i] = row
    return logits


def _logits(
    head: Posterior, views: Float32[ndarray, "views features"]
) -> Float32[ndarray, "views samples"]:
    return np.stack([head.logits(view) for view in views])
