"""A manifest: a CSV with one labelled picture per row."""

import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from veridical.errors import ManifestError
from veridical.io.labels import labels_of, listed
from veridical.io.samples import Label, Sample
from veridical.io.walk import asks


def read_manifest(
    manifest: Path, *, real: str | None, ai: str | None, split: str | None
) -> tuple[Sample, ...]:
    """Read a manifest; see `dataset.read_samples`.

    Raises:
        ClassNamesUnclear: If a label is neither plainly real nor plainly AI-generated.
        ManifestError: If the CSV is not what is described there.
    """
    rows = _rows(manifest)
    if split is not None:
        splits = _shown_rows(Counter(row["split"] for row in rows))
        if split not in splits:
            raise ManifestError(
                f"{manifest}: --split names {split!r}; there are {listed(splits.values())}.",
                hint="Give --split one of these, or leave it out to take all rows.",
            )
        rows = [row for row in rows if row["split"] == split]
    shown = _shown_rows(Counter(row["label"] for row in rows))
    labels = labels_of(shown, real=real, ai=ai, where=manifest, things="labels")
    samples = tuple(
        _listed_sample(manifest.parent / row["path"], row, labels[row["label"]])
        for row in rows
        if row["label"] in labels
    )
    missing = [str(sample.path) for sample in samples if not asks(sample.path.is_file)]
    if missing:
        raise ManifestError(
            f"{manifest}: {len(missing)} of {len(samples)} pictures are not there: "
            f"{listed(missing, 3)}.",
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
            f"{manifest}: the columns are {listed(map(repr, header))}; `path` and `label` are "
            "needed, each once.",
            hint="Write the names into the first line, with commas between them.",
        )
    uneven = [str(line) for line, cells in table if len(cells) != len(header)]
    if uneven:
        raise ManifestError(
            f"{manifest}: lines {listed(uneven, 3)} do not have the header's {len(header)} cells.",
            hint="Put paths with commas into double quotes.",
        )
    absent = dict.fromkeys(_COLUMNS, "")
    rows = [absent | dict(zip(header, cells, strict=True)) for _, cells in table[1:]]
    if not rows:
        raise ManifestError(f"{manifest}: a header and no rows.", hint="Add a row per picture.")
    _refuse_repeated(manifest, rows)
    return rows


def _refuse_repeated(manifest: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Refuse a picture that is listed twice: it would count twice, or be in two splits."""
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
            f"{manifest}: {len(torn)} pictures have two labels: {listed(torn, 3)}.",
            hint="Keep the true one.",
        )
    repeated = [path for path, given in labels.items() if len(given) > 1]
    if repeated:
        raise ManifestError(
            f"{manifest}: {len(repeated)} pictures are listed twice: {listed(repeated, 3)}.",
            hint="List each picture once, in one split.",
        )


def _shown_rows(counts: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{name!r} ({counts[name]} rows)" for name in sorted(counts)}
