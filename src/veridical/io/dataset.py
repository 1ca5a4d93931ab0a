"""Labelled pictures: a folder with a sub-folder per class, or a manifest."""

import os
import shlex
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from veridical.errors import DataError, OneClassOnly, TooFewPhotos
from veridical.io.formats import SUFFIXES
from veridical.io.labels import SPLITS, labels_of, listed, parse_label
from veridical.io.manifest import read_manifest
from veridical.io.samples import Label, Sample
from veridical.io.walk import KNOWN, Skip, Skipped, asks, unheard, visible, walk
from veridical.report import Failure


def read_samples(
    data: Path,
    *,
    real: str | None = None,
    ai: str | None = None,
    split: str | None = None,
    one_class: bool = False,
    skip: Skip = unheard,
) -> tuple[Sample, ...]:
    """Read a folder with a sub-folder per class, or a manifest CSV.

    In a folder several sub-folders may mean one class (`0_real`, `1_fake`, `sdxl_fake`); those
    without pictures, and files beside them, are passed over, and `skip` is told of each. What is a
    picture is told as in `walk.photos`. Below a class folder the first
    level of sub-folders, if any, is the `source`, and for AI pictures also the `generator`; else
    the class folder is the source. Each picture is a group of its own, named by its path without
    the suffix (so `x.jpg` and `x.png` stay together): who has several pictures of one person
    writes a manifest, and `splits` joins near-duplicates.

    A manifest has the columns `path` and `label`, perhaps `source` (default: the name of the
    picture's folder), `generator`, `group` (empty: a group of its own) and `split`; others are
    ignored. Paths are relative to the manifest's folder, and may lead out of it or be absolute:
    a manifest is the user's own. Without `split` all its rows count. Cells may be separated by
    commas, semicolons or tabs; a column may also be called `file`, `filename` or `image`.

    Args:
        data: The folder, or a file ending in `.csv` or `.tsv`.
        real: The sub-folder or label that is real, where names do not say. With both `real` and
            `ai` given only these two are read and all others are left out; with one of them, the
            others are still read by meaning.
        ai: The sub-folder or label that is AI-generated.
        split: Only this value of the manifest's `split`, or the class folders in `data/split`.
        one_class: Whether pictures of one class alone will do: to measure a rate of false alarms,
            say.
        skip: Is told of everything that is passed over.

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
            samples = _read_folder(data, skip, real=real, ai=ai, split=split)
        elif not data.exists():
            raise DataError(f"{data}: nothing is there.", hint=f"Give {wanted}.")
        elif data.suffix.lower() in (".csv", ".tsv"):
            samples = read_manifest(data, real=real, ai=ai, split=split)
        else:
            kind = "one picture" if data.suffix.lower() in SUFFIXES else "a file"
            if data.suffix.lower() in (".xlsx", ".xls", ".ods"):
                kind, wanted = "a workbook", "the sheet, saved as CSV UTF-8 (.csv)"
            raise DataError(f"{data} is {kind}; a data set was wanted.", hint=f"Give {wanted}.")
    except OSError as error:
        raise DataError(
            f"{data} cannot be read: {error.strerror or error}.", hint="Check its permissions."
        ) from error
    counts = Counter(sample.label for sample in samples)
    if not samples:
        raise TooFewPhotos(
            f"{data}: no pictures; both classes need some.",
            hint=KNOWN,
        )
    if len(counts) == 1 and not one_class:
        raise OneClassOnly(
            f"{data}: {counts['real']} real and {counts['ai']} AI-generated pictures; "
            "both classes are needed.",
            hint="Add the other class, or check --real, --ai and --split.",
        )
    return samples


def _read_folder(
    data: Path, skip: Skip, *, real: str | None, ai: str | None, split: str | None
) -> tuple[Sample, ...]:
    folders = _subfolders(data)
    if split is not None:
        if split not in folders:
            raise DataError(
                f"{data}: split {split!r} was asked for, but the sub-folders are "
                f"{listed(map(repr, folders))}.",
                hint="Give --split one of these names, or leave it out if they are the classes.",
            )
        return _read_folder(data / split, skip, real=real, ai=ai, split=None)
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
                f"{data}: the class folders lie one level down, in {listed(map(repr, splits))}.",
                hint=f"Choose one: --split {shlex.quote(splits[0])}.",
            )
    shown = {name: repr(name) for name in folders}
    labels = labels_of(shown, real=real, ai=ai, where=data, things="sub-folders")
    _tell(data, folders, skip)
    return tuple(
        _place(found, data, name, label)
        for name, label in labels.items()
        for found in walk(data / name, skip)
    )


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if visible(entry) and asks(entry.is_dir))
    return [name for name in names if next(walk(folder / name), None)]


def _tell(data: Path, folders: Collection[str], skip: Skip) -> None:
    """Tell of what lies beside the folders that hold pictures."""
    for beside in walk(data, skip, but=folders):
        path = beside.path if isinstance(beside, Failure) else str(beside)
        skip(Skipped(path or "", "no class", "beside the class folders"))


def _holds_classes(folder: Path, real: str | None, ai: str | None) -> bool:
    """True for `train`, and for whatever else has a folder of each class in it."""
    inside = set(_subfolders(folder))
    said = {parse_label(name) for name in inside}
    return folder.name.lower() in SPLITS or said >= {"real", "ai"} or {real, ai} <= inside


def _place(path: Path | Failure, data: Path, name: str, label: Label) -> Sample:
    if isinstance(path, Failure):
        raise DataError(path.error, hint=path.hint)
    inside = path.relative_to(data / name).parts
    named = path.relative_to(data)
    nested = len(inside) > 1
    return Sample(
        path=path,
        label=label,
        source=inside[0] if nested else name,
        generator=inside[0] if nested and label == "ai" else "",
        # What no picture's name ends in is a part of the name: x.001 and x.002 are two.
        group=(named.with_suffix("") if path.suffix.lower() in SUFFIXES else named).as_posix(),
    )
