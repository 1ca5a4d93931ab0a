"""Files of rows: Parquet, CSV or JSON Lines, each written whole, to the disk, or not at all.

A table is a folder of such files, which DuckDB, pandas, Polars and Spark read as one.
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any, Literal, Protocol, runtime_checkable

from veridical._optional import need
from veridical.errors import ScanError
from veridical.present.table import cell
from veridical.scan.columns import COLUMNS, Column, Row

FormatName = Literal["parquet", "csv", "jsonl"]
ASIDE = ".aside-"
"""Begins the name of a file that is being written; programs that read tables pass it over."""

Batch = Mapping[str, Sequence[Any]]
"""Values by column."""


@runtime_checkable
class Format(Protocol):
    """A kind of file for rows."""

    @property
    def name(self) -> FormatName:
        """Its name, and the ending of its files."""
        ...

    def write(self, file: IO[bytes], table: str, rows: Sequence[Row]) -> None:
        """Write all rows of one file."""
        ...

    def read(self, path: Path, table: str, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield some columns of a file, in pieces."""
        ...


@dataclass(frozen=True)
class Parquet:
    """Apache Parquet with zstd: typed, small, and read column by column. Needs pyarrow."""

    name: FormatName = "parquet"

    def write(self, file: IO[bytes], table: str, rows: Sequence[Row]) -> None:
        """Write all rows of one file."""
        arrow: Any = need("pyarrow", extra="scan", to="write Parquet")
        parquet: Any = need("pyarrow.parquet", extra="scan", to="write Parquet")
        kinds = {"string": arrow.string(), "integer": arrow.int64(), "number": arrow.float64()}
        fields = [
            arrow.field(one.name, kinds[one.kind], metadata={"meaning": one.meaning})
            for one in COLUMNS[table]
        ]
        made = arrow.Table.from_pylist(list(rows), schema=arrow.schema(fields))
        parquet.write_table(made, file, compression="zstd")

    def read(self, path: Path, table: str, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield some columns of a file, in pieces."""
        parquet: Any = need("pyarrow.parquet", extra="scan", to="read Parquet")
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=50_000, columns=list(columns)):
                yield {name: batch.column(name).to_pylist() for name in columns}


@dataclass(frozen=True)
class Csv:
    """CSV in UTF-8, safe to open in a spreadsheet; see `present.table`."""

    name: FormatName = "csv"

    def write(self, file: IO[bytes], table: str, rows: Sequence[Row]) -> None:
        """Write all rows of one file."""
        names = [one.name for one in COLUMNS[table]]
        text = StringIO(newline="")
        lines = csv.writer(text, lineterminator="\r\n")
        lines.writerow(names)
        lines.writerows([cell(row.get(name)) for name in names] for row in rows)
        file.write(text.getvalue().encode())

    def read(self, path: Path, table: str, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield some columns of a file, in one piece."""
        known = {one.name: one for one in COLUMNS[table]}
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        yield {name: [_value(row[name], known[name]) for row in rows] for name in columns}


@dataclass(frozen=True)
class JsonLines:
    """One JSON object per line, ASCII."""

    name: FormatName = "jsonl"

    def write(self, file: IO[bytes], table: str, rows: Sequence[Row]) -> None:
        """Write all rows of one file."""
        names = [one.name for one in COLUMNS[table]]
        for row in rows:
            line = {name: row.get(name) for name in names}
            file.write(json.dumps(line, allow_nan=False).encode() + b"\n")

    def read(self, path: Path, table: str, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield some columns of a file, in one piece."""
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        yield {name: [row[name] for row in rows] for name in columns}


FORMATS: Mapping[str, Format] = {one.name: one for one in (Parquet(), Csv(), JsonLines())}


def _value(text: str, column: Column) -> Any:
    """Return what a cell was made of."""
    if text == "":
        return None
    if column.kind == "string":
        return text.removeprefix("'")
    return int(text) if column.kind == "integer" else float(text)


def write_whole(path: Path, format_: Format, table: str, rows: Sequence[Row]) -> None:
    """Write a file of rows that is there in full, on the disk, or not at all.

    Raises:
        OSError: If it cannot be written; nothing is left of it.
    """
    aside = path.with_name(f"{ASIDE}{path.name}")
    try:
        with aside.open("wb") as file:
            format_.write(file, table, rows)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)
    except OSError as error:  # such as a full disk, which does not say of which file
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can do that."""
    with suppress(PermissionError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def read_whole(path: Path, format_: Format, table: str, columns: Sequence[str]) -> Iterator[Batch]:
    """Yield some columns of a file of rows, in pieces.

    Raises:
        ScanError: If it is damaged.
    """
    try:
        yield from format_.read(path, table, columns)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScanError(
            f"{path}: cannot be read ({type(error).__name__}: {error}).",
            hint="Delete this file: the pictures in it are judged again by the next scan.",
        ) from error
