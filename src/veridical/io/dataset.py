"""Where pictures lie and what they are: walking, labelled folders, manifests.

A class name is read by its meaning. The usual convention, numbering classes by alphabet, makes
class 1 *real* for the folders `ai` and `real` and *AI* for `0_real` and `1_fake`, and nobody
notices. Here a name that does not say plainly what it is stops the work and asks.
"""

import csv
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from veridical.errors import (
    ClassNamesUnclear,
    DataError,
    ManifestError,
    OneClassOnly,
    TooFewPhotos,
)
from veridical.io.samples import Label, Sample
from veridical.report import Failure


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


SUFFIXES = _set(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .bmp .dib .gif .tif .tiff .heic .heif .hif .avif"
)

_ENDINGS = f"Pictures end in {' '.join(sorted(SUFFIXES))}."


# --- walking ---------------------------------------------------------------------------------


def photos(paths: Iterable[Path]) -> Iterator[Path | Failure]:
    """Yield files as given, and the pictures below folders in the order of their names.

    A folder that holds no pictures is a `Failure` that names it, which `scan` passes on.

    In a folder a picture is a regular file with one of `SUFFIXES`. Hidden files and folders and
    `__MACOSX` are passed over, broken links too; a folder that links reach twice is entered once,
    so that a loop ends. A path that is not there is yielded like a file, and a folder that the
    system will not open is yielded itself: in a batch the failure then has a name.
    """
    for path in paths:
        if not _asks(path.is_dir):
            yield path
            continue
        inside = _walk(path)
        if first := next(inside, None):
            yield first
            yield from inside
        else:
            error = f"{path}: is a folder that holds no pictures."
            yield Failure(path=str(path), error=error, hint=_ENDINGS)


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


def parse_label(name: str) -> Label | None:
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
    labels: dict[str, Label | None] = {name: parse_label(name) for name in names}
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
    data: Path,
    *,
    real: str | None = None,
    ai: str | None = None,
    split: str | None = None,
    one_class: bool = False,
) -> tuple[Sample, ...]:
    """Read a folder with a sub-folder per class, or a manifest CSV.

    In a folder several sub-folders may mean one class (`0_real`, `1_fake`, `sdxl_fake`); those
    without pictures, and pictures beside them, are passed over. Below a class folder the first
    level of sub-folders, if any, is the `source`, and for AI pictures also the `generator`; else
    the class folder is the source. Each picture is a group of its own, named by its path without
    the suffix (so `x.jpg` and `x.png` stay together): who has several pictures of one person
    writes a manifest, and `splits` joins near-duplicates.

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
        one_class: Whether pictures of one class alone will do: to measure a rate of false alarms,
            say.

    Raises:
        DataError: If `data` is not there, cannot be read, or is neither of the two.
        ClassNamesUnclear: If a name says neither real nor AI plainly.
        ManifestError: If the CSV is not what is described above.
        OneClassOnly: If all pictures are of one class, and that will not do.
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
            hint=_ENDINGS,
        )
    if len(counts) == 1 and not one_class:
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
        for path in _walk(data / name)
    )


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if _shown(entry) and _asks(entry.is_dir))
    return [name for name in names if next(_walk(folder / name), None)]


def _holds_classes(folder: Path, real: str | None, ai: str | None) -> bool:
    """True for `train`, and for whatever else has a folder of each class in it."""
    inside = set(_subfolders(folder))
    said = {parse_label(name) for name in inside}
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
    labels: dict[str, list[str]] = {}
    for row in rows:
        labels.setdefault(os.path.normpath(row["path"]), []).append(row["label"])
    torn = [path for path, given in labels.items() if len(set(given)) > 1]
    if torn:
        raise ManifestError(
            f"{manifest}: {len(torn)} pictures have two labels: {_listed(torn, 3)}.",
            hint="Keep the true one.",
        )
    repeated = [path for path, given in labels.items() if len(given) > 1]
    if repeated:
        raise ManifestError(
            f"{manifest}: {len(repeated)} pictures are listed twice: {_listed(repeated, 3)}.",
            hint="List each picture once, in one split.",
        )
