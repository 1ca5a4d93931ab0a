"""Splits that keep people apart, and near-duplicates with their originals."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from veridical.errors import TooFewPhotos
from veridical.io.samples import Label, Sample


def split_groups(
    samples: Sequence[Sample],
    *,
    shares: Mapping[str, float],
    seed: int,
    hashes: Mapping[Path, int] | None = None,
    distance: int = 3,
) -> dict[str, tuple[Sample, ...]]:
    """Deal the samples out to named parts; what belongs together stays together.

    A group is never divided, and groups with near-duplicate pictures are dealt as one, through
    any number of steps. Each source of each class is shuffled and dealt in turn to the part that
    is furthest behind its share of that class: where groups are single pictures, a part gets its
    share of every source to within `len(shares) - 1` pictures; larger groups make it coarser. If
    that would leave a part without a class, the last groups go where the class is missing.
    The answer depends on the groups' names and the seed, not on the order or place of the files.

    Args:
        samples: In any order.
        shares: The parts and their shares, positive and adding up to 1, such as
            `{"fit": 0.7, "validation": 0.15, "calibration": 0.15}`.
        seed: Another seed, another split.
        hashes: 64-bit perceptual hashes by path; pictures without one stay with their group.
        distance: Bits by which two hashes may differ and still be of one picture.

    Raises:
        TooFewPhotos: If a class has fewer independent groups than there are parts.
        ValueError: If the shares are not as above.
    """
    if not shares or min(shares.values()) <= 0 or not math.isclose(sum(shares.values()), 1):
        raise ValueError(f"Shares must be positive and add up to 1; got {dict(shares)}.")
    joined = clusters(samples, hashes or {}, distance=distance)
    left = Counter(label for cluster in joined.values() for label in _classes(cluster))
    for label in ("real", "ai"):
        if left[label] < len(shares):
            raise TooFewPhotos(
                f"{left[label]} independent groups of {label} pictures, for {len(shares)} parts "
                f"({', '.join(shares)}); each part needs at least one.",
                hint="Add pictures of other people and sources (near-duplicates count as one).",
            )
    order = sorted(joined, key=lambda name: _turn(name, joined[name], seed))
    dealt: dict[str, list[Sample]] = {part: [] for part in shares}
    have = {part: Counter[Label]() for part in shares}
    seen = Counter[Label]()
    for name in order:
        counts = Counter(sample.label for sample in joined[name])
        seen.update(counts)
        parts = list(shares)
        for label in counts:
            without = [part for part in shares if not have[part][label]]
            if left[label] <= len(without):
                parts = without  # the clusters of both classes come first: both lack the same parts
            left[label] -= 1
        behind = {
            part: sum(n * (shares[part] * seen[c] - have[part][c]) for c, n in counts.items())
            for part in parts
        }
        part = max(parts, key=behind.__getitem__)
        have[part].update(counts)
        dealt[part].extend(joined[name])
    return {
        part: tuple(sorted(chosen, key=lambda sample: (sample.group, sample.path)))
        for part, chosen in dealt.items()
    }


def _classes(cluster: Iterable[Sample]) -> set[Label]:
    return {sample.label for sample in cluster}


def _turn(name: str, cluster: Sequence[Sample], seed: int) -> tuple[int, str, str, int, bytes]:
    """Order clusters: of both classes first, then by source; large ones first, then at random."""
    cells = Counter((sample.label, sample.source) for sample in cluster)
    label, source = min(cells, key=lambda cell: (-cells[cell], cell))
    lot = blake2b(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest()
    return -len(_classes(cluster)), label, source, -len(cluster), lot


def subsample(samples: Sequence[Sample], most: int, seed: int) -> tuple[Sample, ...]:
    """Draw at most so many pictures of every label, source and generator, the order kept.

    A thousand pictures of one source teach hardly more than some hundred.

    Args:
        samples: In any order; the draw depends on it.
        most: Pictures of each.
        seed: Random seed, for the draw.
    """
    if most < 1:
        raise ValueError(f"At least one picture of each source must stay; got {most}.")
    cells: dict[tuple[str, str, str], list[int]] = {}
    for number, sample in enumerate(samples):
        cells.setdefault((sample.label, sample.source, sample.generator), []).append(number)
    draw = np.random.default_rng(seed)
    kept: set[int] = set()
    for cell in sorted(cells):
        own = cells[cell]
        kept.update(
            own if len(own) <= most else (own[i] for i in draw.permutation(len(own))[:most])
        )
    return tuple(sample for number, sample in enumerate(samples) if number in kept)


def clusters(
    samples: Sequence[Sample], hashes: Mapping[Path, int], *, distance: int = 3
) -> dict[str, list[Sample]]:
    """Join groups whose pictures nearly coincide; a cluster has the name of its first group.

    Args:
        samples: In any order.
        hashes: 64-bit perceptual hashes by path; pictures without one stay with their group.
        distance: Bits by which two hashes may differ and still be of one picture.
    """
    leader = {sample.group: sample.group for sample in samples}

    def lead(group: str) -> str:
        while leader[group] != group:
            leader[group] = group = leader[leader[group]]
        return group

    hashed = [sample for sample in samples if sample.path in hashes]
    pairs = near_duplicates([hashes[sample.path] for sample in hashed], distance=distance)
    for one, other in pairs:
        first, second = sorted((lead(hashed[one].group), lead(hashed[other].group)))
        leader[second] = first
    joined: dict[str, list[Sample]] = {}
    for sample in samples:
        joined.setdefault(lead(sample.group), []).append(sample)
    return joined


# --- near-duplicates -------------------------------------------------------------------------


def near_duplicates(hashes: Sequence[int], *, distance: int = 3) -> list[tuple[int, int]]:
    """Find pictures whose 64-bit perceptual hashes differ in at most `distance` bits.

    Equal hashes are chained, each to the one before, so that a thousand copies are 999 pairs and
    not half a million. Unequal ones are paired through the first picture with each hash. Taken
    together the pairs connect exactly the pictures that all close pairs connect.

    By the pigeonhole principle, two hashes that differ in d bits agree in at least one of d + 1
    bands, so only hashes that share a band are compared.

    Returns:
        Pairs of positions in `hashes`, the smaller first, sorted.

    Raises:
        ValueError: If a hash is not in [0, 2^64), or the distance not in [0, 64).
    """
    if not 0 <= distance < 64 or not all(0 <= value < 1 << 64 for value in hashes):
        raise ValueError(
            f"Hashes of 64 bits and a distance in [0, 64) are wanted; got {distance=}."
        )
    values, first, which = np.unique(
        np.array(hashes, dtype=np.uint64), return_index=True, return_inverse=True
    )
    order = np.argsort(which, kind="stable")
    equal = np.flatnonzero(which[order[1:]] == which[order[:-1]])
    pairs = set(zip(order[equal].tolist(), order[equal + 1].tolist(), strict=True))
    rows = np.arange(len(values))
    for one, other in _close(values, rows, np.arange(64, dtype=np.uint64), distance):
        low, high = np.minimum(first[one], first[other]), np.maximum(first[one], first[other])
        pairs.update(zip(low.tolist(), high.tolist(), strict=True))
    return sorted(pairs)


_CROWD = 256  # members from which a band's bucket is worth sorting again by its other bits


def _close(
    values: NDArray[np.uint64], rows: NDArray[np.intp], bits: NDArray[np.uint64], distance: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield close pairs among `rows` that differ in nothing but `bits`; some more than once."""
    for band in np.array_split(bits, distance + 1):
        keys = values[rows] & np.bitwise_or.reduce(np.uint64(1) << band)
        order = np.argsort(keys, kind="stable")
        keys, members = keys[order], rows[order]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        sizes = np.diff(np.r_[starts, len(keys)])
        # Plain skies and studio walls share a band by the thousand. Only once, though: each further
        # round would multiply the sorting by the number of bands.
        crowded = sizes > (_CROWD if len(bits) == 64 else len(keys))
        rest = np.setdiff1d(bits, band)
        for start, size in zip(starts[crowded], sizes[crowded], strict=True):
            yield from _close(values, members[start : start + size], rest, distance)
        calm = ~np.repeat(crowded, sizes)
        keys, members = keys[calm], members[calm]
        left = np.arange(len(keys))
        for lag in range(1, len(keys)):  # each with its next neighbour but `lag` in the bucket
            left = left[left + lag < len(keys)]
            left = left[keys[left] == keys[left + lag]]
            if not left.size:
                break
            one, other = members[left], members[left + lag]
            near = _bits_set(values[one] ^ values[other]) <= distance
            yield one[near], other[near]


def _bits_set(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Count ones, side by side (H. Warren, Hacker's Delight, 2nd ed., figure 5-2).

    numpy has `bitwise_count` only since 2.0.
    """
    words = words - ((words >> np.uint64(1)) & np.uint64(0x5555555555555555))
    words = (words & np.uint64(0x3333333333333333)) + (
        (words >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    words = (words + (words >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    counts: NDArray[np.uint64] = (words * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return counts
