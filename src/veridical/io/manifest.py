"""A manifest: a table with one labelled picture per row, as people and their spreadsheets save it.

A comma, a semicolon or a tab between the cells, UTF-8 or what Excel writes instead, `\\` or `/` in
the paths: a table of one meaning is read in one way. What cannot be read is named with its line.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from unicodedata import normalize

from veridical.errors import ManifestError
from veridical.io.labels import counted, labels_of, listed, parse_label
from veridical.io.samples import Label, Sample
from veridical.io.table import Row, Table, read_table
from veridical.io.walk import asks


def read_manifest(
    manifest: Path, *, real: str | None, ai: str | None, split: str | None
) -> tuple[Sample, ...]:
    """Read a manifest; see `dataset.read_samples`.

    Raises:
        ClassNamesUnclear: If a label is neither plainly real nor plainly AI-generated.
        ManifestError: If the table is not what is described there. It names all that is wrong with
            the rows at once.
    """
    table = read_table(manifest)
    rows = table.rows
    if split is not None:
        splits = _shown_rows(Counter(row["split"] for row in rows))
        if split not in splits:
            raise ManifestError(
                f"{manifest}: --split names {split!r}; there are {listed(splits.values())}.",
                hint="Give --split one of these, or leave it out to take all rows.",
            )
        rows = tuple(row for row in rows if row["split"] == split)
    wrong = _unfilled(table, "path", table.rows)
    if real is None or ai is None:  # else what is neither of the two is left out
        wrong += _unfilled(table, "label", rows)
    labels: dict[str, Label] = {}
    if not wrong:
        labels = _labels(manifest, [row["label"] for row in rows], real, ai)
        wrong = _repeated(table, labels)
    chosen = [row for row in rows if row["label"] in labels] if labels else rows
    found = {row.line: _place(manifest.parent, row["path"]) for row in chosen if row["path"]}
    absent = [row for row in chosen if found.get(row.line, "") is None]
    wrong += _absent(table, absent, len(chosen))
    if wrong:
        raise ManifestError(
            f"{manifest}: {'; '.join(message for message, _ in wrong)}.",
            hint=" ".join(dict.fromkeys(hint for _, hint in wrong)),
        )
    return tuple(
        _listed_sample(path, row, labels[row["label"]])
        for row in chosen
        if (path := found[row.line]) is not None
    )


def _labels(
    manifest: Path, names: Sequence[str], real: str | None, ai: str | None
) -> dict[str, Label]:
    """Return what each label means; labels that differ in capitals or spaces only are one label."""
    first = {_spelt(name): name for name in reversed(names)}
    asked = [name and first.get(_spelt(name), name) for name in (real, ai)]
    shown = _shown_rows(Counter(first[_spelt(name)] for name in names))
    found = labels_of(shown, real=asked[0], ai=asked[1], where=manifest, things="labels")
    return {name: found[one] for name in names if (one := first[_spelt(name)]) in found}


def _spelt(name: str) -> str:
    return " ".join(name.casefold().split())


def _listed_sample(path: Path, row: Row, label: Label) -> Sample:
    return Sample(
        path=path,
        label=label,
        source=row["source"] or path.parent.name,
        generator=row["generator"] if label == "ai" else "",
        group=row["group"] or row["path"],
    )


def _shown_rows(counts: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{name!r} ({counted(counts[name], 'row')})" for name in sorted(counts)}


# --- where the pictures are ----------------------------------------------------------------------


def _place(folder: Path, path: str) -> Path | None:
    """Return where a picture is; None if nowhere.

    A name with an accent may be stored as one character or as two, by the system that made it.
    """
    for slashed in dict.fromkeys((path, path.replace("\\", "/"))):
        for written in dict.fromkeys(
            (slashed, normalize("NFC", slashed), normalize("NFD", slashed))
        ):
            if asks((folder / written).is_file):
                return folder / written
    return None


_Wrong = tuple[str, str]
"""What is wrong, and what to do."""


def _absent(table: Table, absent: Sequence[Row], of: int) -> list[_Wrong]:
    """Name the pictures that are not there, and what their paths suggest."""
    if not absent:
        return []
    folder = table.path.parent
    named = listed((str(folder / row["path"]) for row in absent), 3)
    lines = listed((str(row.line) for row in absent), 3)
    hints = [f"Paths are relative to {folder}; correct them or leave the rows out."]
    first = PureWindowsPath(absent[0]["path"])
    if first.drive and not PurePosixPath(absent[0]["path"]).is_absolute():
        tails = (PurePosixPath(*first.parts[at:]) for at in range(1, len(first.parts)))
        there = next((tail for tail in tails if asks((folder / tail).is_file)), None)
        such = f", such as {there}, which is there" if there else ""
        hints = [f"They are paths of a Windows disk; write them relative to {folder}{such}."]
    if table.guessed:
        hints.append(
            f"The file is not UTF-8 and was read as {table.guessed}: if the names look wrong here, "
            "save it as CSV UTF-8."
        )
    message = f"{len(absent)} of {counted(of, 'picture')} are not there: {named} (lines {lines})"
    return [(message, " ".join(hints))]


# --- what the rows say ---------------------------------------------------------------------------


def _unfilled(table: Table, column: str, rows: Iterable[Row]) -> list[_Wrong]:
    """Name the rows in which a column is empty."""
    lines = [str(row.line) for row in rows if not row[column]]
    if not lines:
        return []
    have = counted(len(lines), "row has", "rows have")
    message = f"{have} no {column} (lines {listed(lines, 3)})"
    return [(message, f"Fill in the column `{table.names[column]}`, or delete the rows.")]


def _repeated(table: Table, labels: Mapping[str, Label]) -> list[_Wrong]:
    """Name each picture that is listed twice: it would count twice, or be in two splits."""
    seen: dict[str, list[Row]] = {}
    for row in table.rows:
        seen.setdefault(os.path.normpath(row["path"].replace("\\", "/")), []).append(row)
    twice = {path: rows for path, rows in seen.items() if len(rows) > 1}

    def meaning(row: Row) -> str:
        return labels.get(row["label"]) or parse_label(row["label"]) or _spelt(row["label"])

    torn = {path: rows for path, rows in twice.items() if len({*map(meaning, rows)}) > 1}
    same = {path: rows for path, rows in twice.items() if path not in torn}
    wrong: list[_Wrong] = []
    if torn:
        wrong.append(
            (
                f"{counted(len(torn), 'picture has', 'pictures have')} two labels: {_shown(torn)}",
                "Keep the true one.",
            )
        )
    if same:
        wrong.append(
            (
                f"{counted(len(same), 'picture is', 'pictures are')} listed twice: {_shown(same)}",
                "List each picture once, in one split.",
            )
        )
    return wrong


def _shown(rows: Mapping[str, Iterable[Row]]) -> str:
    return listed(
        (f"{path} (lines {listed(str(row.line) for row in own)})" for path, own in rows.items()), 3
    )
