"""Where pictures lie and what they are: walking, labelled folders, manifests, honest splits.

A class name is read by its meaning. The usual convention, numbering classes by alphabet, makes
class 1 *real* for the folders `ai` and `real` and *AI* for `0_real` and `1_fake`, and nobody
notices. Here a name that does not say plainly what it is stops the work and asks.
"""

import csv
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from veridical.errors import (
    ClassNamesUnclear,
    DataError,
    ManifestError,
    OneClassOnly,
    TooFewPhotos,
)

Label = Literal["real", "ai"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SUFFIXES = _set(".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .heic .heif .hif .avif .jp2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled picture.

    Attributes:
        path: Where it is.
        label: What it is; never a number.
        source: Which collection it came from; splits keep each source's share.
        generator: What made it; "" for real pictures, or where nobody knows.
        group: Pictures of one group (a person, a shoot, one photo and its edits) stay together.
    """

    path: Path
    label: Label
    source: str
    generator: str
    group: str


# --- walking ---------------------------------------------------------------------------------


def photos(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield files as given, and the pictures below folders in the order of their names.

    In a folder a picture is a regular file with one of `SUFFIXES`. Hidden files and folders and
    `__MACOSX` are passed over, broken links too; a folder that links reach twice is entered once,
    so that a loop ends. A path that is not there is yielded like a file, and a folder that the
    system will not open is yielded itself: in a batch the failure then has a name.
    """
    for path in paths:
        if _asks(path.is_dir):
            yield from _walk(path)
        else:
            yield path


def _walk(root: Path) -> Iterator[Path]:
    entered: set[tuple[int, int]] = set()
    waiting = [root]  # a stack of ours: a stranger's tree may be deeper than Python's
    while waiting:
        path = waiting.pop()
        if path is not root and not _asks(path.is_dir):
            yield path
            continue
        try:
            status = path.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in entered:
                continue
            entered.add(identity)
            with os.scandir(path) as entries:
                inside = [Path(entry.path) for entry in entries if _shown(entry)]
        except OSError:
            yield path
            continue
        waiting.extend(sorted(inside, key=lambda item: item.name, reverse=True))


def _shown(entry: "os.DirEntry[str]") -> bool:
    if entry.name.startswith(".") or entry.name == "__MACOSX":
        return False
    # A pipe called x.jpg would keep its reader waiting for ever: regular files only.
    is_picture = Path(entry.name).suffix.lower() in SUFFIXES
    return _asks(entry.is_dir) or (is_picture and _asks(entry.is_file))


def _asks(question: Callable[[], bool]) -> bool:
    """Answer no where the system will not say."""
    try:
        return question()
    except OSError:
        return False


# --- what a class name says ------------------------------------------------------------------

_SAYS: dict[str, Label] = {
    **dict.fromkeys(_set("real reals genuine authentic human humans bonafide"), "real"),
    **dict.fromkeys(_set("nonai notai nonfake notfake nofake"), "real"),
    **dict.fromkeys(_set("ai aigc aigenerated genai fake fakes faked deepfake deepfakes"), "ai"),
    **dict.fromkeys(_set("synthetic synth synthesized synthesised artificial generated"), "ai"),
    **dict.fromkeys(_set("generative nonreal notreal"), "ai"),
}
# "photos" alone are real; "ai photos" are not. Names of generators are not here on purpose:
# GenImage's `Midjourney` folder holds that generator's real counterparts as well.
_SUGGESTS_REAL = _set("photo photos photograph photographs nature natural original originals")
_NEGATES = _set("not non no without")
_ARTICLES = _set("a an the")
# Next to one of these even a plain word promises nothing: "hyper-real", "possibly fake".
_HEDGES = _set(
    "un unreal hyper pseudo quasi semi almost nearly half partly partially maybe possibly "
    "probably mixed mix both or vs versus unknown unsure anti computer esrgan"
)
_NEUTRAL = _set(
    "image images img imgs picture pictures pic pics face faces portrait portraits people person "
    "art data dataset set class train training test testing val validation sample samples"
)
_CAMEL_SAFE = _SAYS.keys() | _SUGGESTS_REAL | _NEGATES | _ARTICLES | _HEDGES | _NEUTRAL
_SPLITS = _set("train training val valid validation test testing dev eval")


def meaning(name: str) -> Label | None:
    """Say which class a folder or label name means, or None where it does not say plainly.

    A negation turns the words right after it ("non-AI-generated" is real). A name that says both
    ("real_vs_fake"), hedges ("hyper-real"), or only numbers ("1") means nothing here: asking costs
    one option, guessing wrongly costs the model.
    """
    words = _words(name)
    said: set[Label] = set()
    negating, negated = False, None  # between "not" and its end; the class that it turns round
    for word in words:
        label = _SAYS.get(word)
        if word in _HEDGES:
            return None
        if word in _NEGATES:
            if negating and negated is None:
                return None
            negating, negated = True, None
        elif negating and negated is None:
            if word in _ARTICLES:
                continue
            if label is None:
                return None  # "not photos" may be paintings
            negated = label
            said.add("ai" if label == "real" else "real")
        elif not (negating and label == negated):
            negating = False
            if label is not None:
                said.add(label)
    if negating and negated is None:
        return None  # "ai or not", "real no"
    if not said and not _SUGGESTS_REAL.isdisjoint(words):
        said.add("real")
    if "real" in said and "photoreal" in "".join(words):
        return None  # the word of those who imitate photographs
    return said.pop() if len(said) == 1 else None


def _words(name: str) -> list[str]:
    """Split at separators, digits and camelCase; digits stay, for "no 1" is not "no"."""
    words: list[str] = []
    for chunk in re.findall(r"\d+|[^\W\d_]+", name):
        humps = [hump.lower() for hump in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", chunk)]
        # RealVisXL is a generator and does not say "real": split only what we wholly understand.
        words += humps if humps and set(humps) <= _CAMEL_SAFE else [chunk.lower()]
    return words


def _labels(
    names: Mapping[str, str], *, real: str | None, ai: str | None, where: Path, things: str
) -> dict[str, Label]:
    """Map each class name that counts to its label; what is unclear is an error.

    `names` maps them as found to how they are shown; `things` is what they name ("sub-folders").
    """
    found = f"the {things} are {_listed(names.values())}"
    labels: dict[str, Label | None] = {name: meaning(name) for name in names}
    asked: tuple[tuple[Label, str | None], ...] = (("real", real), ("ai", ai))
    for label, name in asked:
        if name is not None and name not in names:
            raise ClassNamesUnclear(
                f"{where}: --{label} names {name!r}, but {found}.",
                hint=f"Give --{label} one of these names exactly.",
            )
        if name is not None:
            labels[name] = label
    if real is not None and real == ai:
        raise ClassNamesUnclear(
            f"{where}: --real and --ai both name {real!r}, and {found}.", hint="Name one for each."
        )
    if real is not None and ai is not None:
        return {real: "real", ai: "ai"}
    unclear = [shown for name, shown in names.items() if labels[name] is None]
    if unclear:
        known = {label: name for name, label in labels.items()}
        options = " ".join(
            f"--{label} {shlex.quote(known[label]) if label in known else 'NAME'}"
            for label, _ in asked
        )
        raise ClassNamesUnclear(
            f"{where}: {found}; not plainly real or AI-generated: {_listed(unclear)}.",
            hint=f"Say which is which, spelt exactly so: {options} (all others are left out).",
        )
    return {name: label for name, label in labels.items() if label is not None}


def _listed(shown: Iterable[str], most: int = 8) -> str:
    items = list(shown)
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more if items else "none"


def _shown_rows(counts: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{name!r} ({counts[name]} rows)" for name in sorted(counts)}


# --- labelled folders and manifests ----------------------------------------------------------


def read_samples(
    data: Path, *, real: str | None = None, ai: str | None = None, split: str | None = None
) -> tuple[Sample, ...]:
    """Read a folder with a sub-folder per class, or a manifest CSV.

    In a folder several sub-folders may mean one class (`0_real`, `1_fake`, `sdxl_fake`); those
    without pictures, and pictures beside them, are passed over. Below a class folder the first
    level of sub-folders, if any, is the `source`, and for AI pictures also the `generator`; else
    the class folder is the source. Each picture is a group of its own, named by its path without
    the suffix (so `x.jpg` and `x.png` stay together): who has several pictures of one person
    writes a manifest, and near-duplicates are joined by `split_groups`.

    A manifest has the columns `path` and `label`, perhaps `source` (default: the name of the
    picture's folder), `generator`, `group` (empty: a group of its own) and `split`; others are
    ignored. Paths are relative to the manifest's folder, and may lead out of it or be absolute:
    a manifest is the user's own. Without `split` all its rows count.

    Args:
        data: The folder, or a file ending in `.csv`.
        real: The sub-folder or label that is real, where names do not say. With both `real` and
            `ai` given only these two are read and all others are left out; with one of them, the
            others are still read by meaning.
        ai: The sub-folder or label that is AI-generated.
        split: Only this value of the manifest's `split`, or the class folders in `data/split`.

    Raises:
        DataError: If `data` is not there, cannot be read, or is neither of the two.
        ClassNamesUnclear: If a name says neither real nor AI plainly.
        ManifestError: If the CSV is not what is described above.
        OneClassOnly: If all pictures are of one class.
        TooFewPhotos: If there is none.
    """
    wanted = "a folder with one sub-folder per class, or a manifest (.csv)"
    try:
        if data.is_dir():
            samples = _read_folder(data, real=real, ai=ai, split=split)
        elif not data.exists():
            raise DataError(f"{data}: nothing is there.", hint=f"Give {wanted}.")
        elif data.suffix.lower() == ".csv":
            samples = _read_manifest(data, real=real, ai=ai, split=split)
        else:
            kind = "one picture" if data.suffix.lower() in SUFFIXES else "a file"
            raise DataError(f"{data} is {kind}; a data set was wanted.", hint=f"Give {wanted}.")
    except OSError as error:
        raise DataError(
            f"{data} cannot be read: {error.strerror or error}.", hint="Check its permissions."
        ) from error
    counts = Counter(sample.label for sample in samples)
    if not samples:
        raise TooFewPhotos(
            f"{data}: no pictures; both classes need some.",
            hint=f"Pictures end in {' '.join(sorted(SUFFIXES))}.",
        )
    if len(counts) == 1:
        raise OneClassOnly(
            f"{data}: {counts['real']} real and {counts['ai']} AI-generated pictures; "
            "both classes are needed.",
            hint="Add the other class, or check --real, --ai and --split.",
        )
    return samples


def _read_folder(
    data: Path, *, real: str | None, ai: str | None, split: str | None
) -> tuple[Sample, ...]:
    folders = _subfolders(data)
    if split is not None:
        if split not in folders:
            raise DataError(
                f"{data}: --split names {split!r}, but the sub-folders are "
                f"{_listed(map(repr, folders))}.",
                hint="Give --split one of these names, or leave it out if they are the classes.",
            )
        return _read_folder(data / split, real=real, ai=ai, split=None)
    if not folders:
        raise DataError(
            f"{data} has no sub-folders that hold pictures; it needs one for each class.",
            hint="Put the pictures into two sub-folders, `real` and `ai`.",
        )
    if not {real, ai}.intersection(folders):
        splits = [name for name in folders if _holds_classes(data / name, real, ai)]
        if splits:
            splits.sort(key=lambda name: name != "train")
            raise DataError(
                f"{data}: the class folders lie one level down, in {_listed(map(repr, splits))}.",
                hint=f"Choose one: --split {shlex.quote(splits[0])}.",
            )
    shown = {name: repr(name) for name in folders}
    labels = _labels(shown, real=real, ai=ai, where=data, things="sub-folders")
    return tuple(
        _place(path, data, name, label)
        for name, label in labels.items()
        for path in photos([data / name])
    )


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if _shown(entry) and _asks(entry.is_dir))
    return [name for name in names if next(photos([folder / name]), None) is not None]


def _holds_classes(folder: Path, real: str | None, ai: str | None) -> bool:
    """True for `train`, and for whatever else has a folder of each class in it."""
    inside = set(_subfolders(folder))
    said = {meaning(name) for name in inside}
    return folder.name.lower() in _SPLITS or said >= {"real", "ai"} or {real, ai} <= inside


def _place(path: Path, data: Path, name: str, label: Label) -> Sample:
    if path.suffix.lower() not in SUFFIXES:  # only a folder that cannot be opened comes like this
        raise DataError(f"{path} cannot be opened.", hint="Check its permissions.")
    inside = path.relative_to(data / name).parts
    nested = len(inside) > 1
    return Sample(
        path=path,
        label=label,
        source=inside[0] if nested else name,
        generator=inside[0] if nested and label == "ai" else "",
        group=path.relative_to(data).with_suffix("").as_posix(),
    )


def _read_manifest(
    manifest: Path, *, real: str | None, ai: str | None, split: str | None
) -> tuple[Sample, ...]:
    rows = _rows(manifest)
    if split is not None:
        splits = _shown_rows(Counter(row["split"] for row in rows))
        if split not in splits:
            raise ManifestError(
                f"{manifest}: --split names {split!r}; there are {_listed(splits.values())}.",
                hint="Give --split one of these, or leave it out to take all rows.",
            )
        rows = [row for row in rows if row["split"] == split]
    shown = _shown_rows(Counter(row["label"] for row in rows))
    labels = _labels(shown, real=real, ai=ai, where=manifest, things="labels")
    samples = tuple(
        _listed_sample(manifest.parent / row["path"], row, labels[row["label"]])
        for row in rows
        if row["label"] in labels
    )
    missing = [str(sample.path) for sample in samples if not _asks(sample.path.is_file)]
    if missing:
        raise ManifestError(
            f"{manifest}: {len(missing)} of {len(samples)} pictures are not there: "
            f"{_listed(missing, 3)}.",
            hint=f"Paths are relative to {manifest.parent}; correct them or leave the rows out.",
        )
    return samples


def _listed_sample(path: Path, row: Mapping[str, str], label: Label) -> Sample:
    return Sample(
        path=path,
        label=label,
        source=row["source"] or path.parent.name,
        generator=row["generator"] if label == "ai" else "",
        group=row["group"] or row["path"],
    )


_COLUMNS = ("path", "label", "source", "generator", "group", "split")


def _rows(manifest: Path) -> list[dict[str, str]]:
    """Read the columns that we know, "" where one is absent; refuse what cannot be trusted."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            table = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{manifest}: not UTF-8 text (byte {error.start}).", hint="Save it as CSV UTF-8."
        ) from error
    except csv.Error as error:
        raise ManifestError(f"{manifest}: not a CSV ({error}).", hint="Save it again.") from error
    header = [name.lower() for name in table[0][1]] if table else []
    if not {"path", "label"} <= set(header) or any(header.count(name) > 1 for name in _COLUMNS):
        raise ManifestError(
            f"{manifest}: the columns are {_listed(map(repr, header))}; `path` and `label` are "
            "needed, each once.",
            hint="Write the names into the first line, with commas between them.",
        )
    uneven = [str(line) for line, cells in table if len(cells) != len(header)]
    if uneven:
        raise ManifestError(
            f"{manifest}: lines {_listed(uneven, 3)} do not have the header's {len(header)} cells.",
            hint="Put paths with commas into double quotes.",
        )
    absent = dict.fromkeys(_COLUMNS, "")
    rows = [absent | dict(zip(header, cells, strict=True)) for _, cells in table[1:]]
    if not rows:
        raise ManifestError(f"{manifest}: a header and no rows.", hint="Add a row per picture.")
    _refuse_repeated(manifest, rows)
    return rows


def _refuse_repeated(manifest: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """A picture listed twice counts twice, or leaks from one split into another."""
    if not all(row["path"] for row in rows):
        raise ManifestError(
            f"{manifest}: {sum(not row['path'] for row in rows)} rows have no path.",
            hint="Fill in the column `path`, or delete the rows.",
        )
    labels: dict[str, set[str]] = {}
    times: Counter[str] = Counter()
    for row in rows:
        path = os.path.normpath(row["path"])
        times[path] += 1
        labels.setdefault(path, set()).add(row["label"])
    torn = [path for path, given in labels.items() if len(given) > 1]
    if torn:
        raise ManifestError(
            f"{manifest}: {len(torn)} pictures have two labels: {_listed(torn, 3)}.",
            hint="Keep the true one.",
        )
    repeated = [path for path, count in times.items() if count > 1]
    if repeated:
        raise ManifestError(
            f"{manifest}: {len(repeated)} pictures are listed twice: {_listed(repeated, 3)}.",
            hint="List each picture once, in one split.",
        )


# --- splits that keep people apart -----------------------------------------------------------


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
    clusters = _clusters(samples, hashes or {}, distance)
    left = Counter(label for cluster in clusters.values() for label in _classes(cluster))
    for label in ("real", "ai"):
        if left[label] < len(shares):
            raise TooFewPhotos(
                f"{left[label]} independent groups of {label} pictures, for {len(shares)} parts "
                f"({', '.join(shares)}); each part needs at least one.",
                hint="Add pictures of other people and sources (near-duplicates count as one).",
            )
    order = sorted(clusters, key=lambda name: _turn(name, clusters[name], seed))
    dealt: dict[str, list[Sample]] = {part: [] for part in shares}
    have = {part: Counter[Label]() for part in shares}
    seen = Counter[Label]()
    for name in order:
        counts = Counter(sample.label for sample in clusters[name])
        seen.update(counts)
        parts = list(shares)
        for label in counts:
            without = [part for part in shares if not have[part][label]]
            if left[label] <= len(without):
                parts = without  # the clusters of both classes come first: both lack the same parts
            left[label] -= 1

        def behind(part: str, counts: Counter[Label] = counts) -> float:
            return sum(n * (shares[part] * seen[c] - have[part][c]) for c, n in counts.items())

        part = max(parts, key=behind)
        have[part].update(counts)
        dealt[part].extend(clusters[name])
    return {
        part: tuple(sorted(chosen, key=lambda sample: (sample.group, sample.path)))
        for part, chosen in dealt.items()
    }


def _classes(cluster: Iterable[Sample]) -> set[Label]:
    return {sample.label for sample in cluster}


def _turn(name: str, cluster: Sequence[Sample], seed: int) -> tuple[int, str, str, int, bytes]:
    """Classes that hang together first, then source by source; large groups, then by lot."""
    cells = Counter((sample.label, sample.source) for sample in cluster)
    label, source = min(cells, key=lambda cell: (-cells[cell], cell))
    lot = blake2b(f"{seed}:{name}".encode("utf-8", "surrogatepass")).digest()
    return -len(_classes(cluster)), label, source, -len(cluster), lot


def _clusters(
    samples: Sequence[Sample], hashes: Mapping[Path, int], distance: int
) -> dict[str, list[Sample]]:
    """Groups joined where their pictures nearly coincide, named by the first group's name."""
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
    clusters: dict[str, list[Sample]] = {}
    for sample in samples:
        clusters.setdefault(lead(sample.group), []).append(sample)
    return clusters


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
        ValueError: If a hash is not in [0, 2^64), or the distance is negative.
    """
    if distance < 0 or not all(0 <= value < 1 << 64 for value in hashes):
        raise ValueError(f"Hashes of 64 bits and a distance >= 0 are wanted; got {distance=}.")
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
_FINEST = 24  # bits; with fewer left, sorting again would hardly part anyone


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
        rest = np.setdiff1d(bits, band)
        crowded = sizes > (_CROWD if len(rest) >= _FINEST else len(keys))
        for start, size in zip(starts[crowded], sizes[crowded], strict=True):
            # Plain skies and studio walls share a band by the thousand.
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
