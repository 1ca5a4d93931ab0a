"""Who is fitted on what: parts by groups, folds by sources; relatives are never apart."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from veridical.arrays import Bool, Int, ndarray
from veridical.io.samples import Sample
from veridical.io.splits import clusters, split_groups
from veridical.train.features import FeatureSet
from veridical.train.recipes import Recipe

FOLDS = 12  # of sources left out in turn for calibration: few at a time, as one new source is

Parts = Mapping[str, Int[ndarray, " _"]]
"""Pictures by the name of their part: `fit`, `validation`, `calibration`."""


def parts_of(data: FeatureSet, recipe: Recipe, seed: int) -> dict[str, Int[ndarray, " _"]]:
    """Split the pictures into the recipe's shares; groups and near-duplicates stay together.

    Raises:
        TooFewPhotos: If there are too few groups.
    """
    shares = dict(zip(("fit", "validation", "calibration"), recipe.shares, strict=True))
    split = split_groups(
        data.samples,
        shares={name: share for name, share in shares.items() if share > 0},
        seed=seed,
        hashes=hashes_of(data),
    )
    place = {sample.path: i for i, sample in enumerate(data.samples)}
    return {
        name: np.array(sorted(place[s.path] for s in split.get(name, ())), dtype=np.int64)
        for name in shares
    }


def joined(parts: Parts) -> dict[str, Int[ndarray, " _"]]:
    """Give the head the pictures that were set aside for calibration, too."""
    both = np.sort(np.concatenate([parts["fit"], parts["calibration"]]))
    return {"fit": both, "validation": parts["validation"]}


def kin_of(data: FeatureSet) -> Int[ndarray, " n"]:
    """Return the number of each picture's cluster of groups and near-duplicates."""
    joined = clusters(data.samples, hashes_of(data))
    number = {s.path: n for n, members in enumerate(joined.values()) for s in members}
    return np.array([number[sample.path] for sample in data.samples])


def hashes_of(data: FeatureSet) -> dict[Path, int]:
    """Return the perceptual hashes by path."""
    return {s.path: h for s, h in zip(data.samples, data.hashes, strict=True)}


def may_calibrate(samples: Sequence[Sample], recipe: Recipe) -> Bool[ndarray, " n"]:
    """Return which pictures may calibrate: all but pseudo-fakes, where there are others."""
    pseudo = np.array([s.generator in recipe.pseudo and s.label == "ai" for s in samples], bool)
    ai = np.array([s.label == "ai" for s in samples], bool)
    return ~pseudo if (ai & ~pseudo).any() else np.ones(len(samples), dtype=bool)


def left_out(
    data: FeatureSet, recipe: Recipe, *, seed: int, most: int = FOLDS
) -> list[tuple[Int[ndarray, " _"], Int[ndarray, " _"]]]:
    """Deal the sources out over folds, as `fit.fit` does to calibrate.

    Args:
        data: Features of pictures with a face.
        recipe: `pseudo` is read.
        seed: Random seed, for the dealing.
        most: Folds there may be.

    Returns:
        For each fold the pictures left out, and those that are neither among them nor related to
        one of them. Empty if there are too few sources.
    """
    kin = kin_of(data)
    folds = source_folds(data.samples, may_calibrate(data.samples, recipe), seed, most)
    return [(fold, np.flatnonzero(~np.isin(kin, kin[fold]))) for fold in folds]


def source_folds(
    samples: Sequence[Sample], counted: Bool[ndarray, " n"], seed: int, most: int = FOLDS
) -> list[Int[ndarray, " _"]]:
    """Share the sources of the counted pictures out over folds.

    Returns:
        The pictures of each fold; none if a class has fewer than three sources, or if what is left
        beside a fold would lack a class.
    """
    own = [sample for sample, counts in zip(samples, counted, strict=True) if counts]
    sources = sorted({sample.source for sample in own})
    sides = {source: {s.label for s in own if s.source == source} for source in sources}
    if min(sum(label in kinds for kinds in sides.values()) for label in ("real", "ai")) < 3:
        return []
    shuffled = [sources[i] for i in np.random.default_rng(seed).permutation(len(sources))]
    # Dealt out class by class, so that every fold has sources of both where there are enough.
    dealt = sorted(shuffled, key=lambda source: sorted(sides[source]))
    folds = [
        np.array(
            [i for i, s in enumerate(samples) if counted[i] and s.source in dealt[n::most]],
            dtype=np.int64,
        )
        for n in range(min(most, len(dealt)))
    ]
    labels = {sample.label for sample in samples}
    for fold in folds:
        inside = set(fold.tolist())
        if {s.label for i, s in enumerate(samples) if i not in inside} != labels:
            return []
    return folds
