"""Files of rows: Parquet, CSV or JSON Lines, each written whole, to the disk, or not at all.

A table is a folder of such files, which DuckDB, pandas, Polars and Spark read as one.
"""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO, Any, Literal, Protocol, runtime_checkable

from veridical._optional import need
from veridical.errors import ScanError
from veridical.present.table import BOM, cell
from veridical.scan.columns import COLUMNS, Column, Row

FormatName = Literal["parquet", "csv", "jsonl"]
ASIDE = ".aside-"
"""Begins the name of a file that is being written; programs that read tables pass it over."""

Batch = Mapping[str, Sequence[Any]]
"""Values by column."""


@runtime_checkable
class Writer(Protocol):
    """Writes one file, some rows after the others."""

    def add(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        ...

    def end(self) -> None:
        """Write what stands behind the last row."""
        ...


@runtime_checkable
class Format(Protocol):
    """A kind of file for rows."""

    @property
    def name(self) -> FormatName:
        """Its name, and the ending of its files."""
        ...

    def writer(self, file: IO[bytes], table: str) -> Writer:
        """Begin a file."""
        ...

    def read(self, path: Path, table: str, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield some columns of a file, in pieces."""
        ...


@dataclass(frozen=True)
class Parquet:
    """Apache Parquet with zstd: typed, small, and read column by column. Needs pyarrow."""

    name: FormatName = "parquet"

    def writer(self, file: IO[bytes], table: str) -> Writer:
        """Begin a file."""
        return _ParquetWriter(file, table)

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

    def writer(self, file: IO[bytes], table: str) -> Writer:
        """Begin a file."""
        names = [one.name for one in COLUMNS[table]]
        file.write(BOM.encode() + self._lines([names]))
        return _LineWriter(
            file, lambda rows: self._lines([cell(row.get(name)) for name in names] for row in rows)
        )

    @staticmethod
    def _lines(rows: Iterable[Sequence[object]]) -> bytes:
        text = StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        return text.getvalue().encode()

    def read(self, path: Path, table: str, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield some columns of a file, in one piece."""
        known = {one.name: one for one in COLUMNS[table]}
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        yield {name: [_value(row[name], known[name]) for row in rows] for name in columns}


@dataclass(frozen=True)
class JsonLines:
    """One JSON object per line, ASCII."""

    name: FormatName = "jsonl"

    def writer(self, file: IO[bytes], table: str) -> Writer:
        """Begin a file."""
        names = [one.name for one in COLUMNS[table]]

        def lines(rows: Sequence[Row]) -> bytes:
            plain = ({name: row.get(name) for name in names} for row in rows)
            return b"".join(json.dumps(row, allow_nan=False).encode() + b"\n" for row in plain)

        return _LineWriter(file, lines)

    def read(self, path: Path, table: str, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield some columns of a file, in one piece."""
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        yield {name: [row[name] for row in rows] for name in columns}


@dataclass(frozen=True)
class _LineWriter:
    """Writes rows as lines of text."""

    file: IO[bytes]
    lines: Callable[[Sequence[Row]], bytes]

    def add(self, rows: Sequence[Row]) -> None:
        self.file.write(self.lines(rows))

    def end(self) -> None:
        pass


class _ParquetWriter:
    """Writes rows as groups of a Parquet file."""

    def __init__(self, file: IO[bytes], table: str) -> None:
        self._arrow: Any = need("pyarrow", extra="scan", to="write Parquet")
        parquet: Any = need("pyarrow.parquet", extra="scan", to="write Parquet")
        arrow = self._arrow
        kinds = {"string": arrow.string(), "integer": arrow.int64(), "number": arrow.float64()}
        self._schema = arrow.schema(
            [
                arrow.field(one.name, kinds[one.kind], metadata={"meaning": one.meaning})
                for one in COLUMNS[table]
            ]
        )
        self._file = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def add(self, rows: Sequence[Row]) -> None:
        self._file.write_table(self._arrow.Table.from_pylist(list(rows), schema=self._schema))

    def end(self) -> None:
        self._file.close()


FORMATS: Mapping[str, Format] = {one.name: one for one in (Parquet(), Csv(), JsonLines())}


def _value(text: str, column: Column) -> Any:
    """Return what a cell was made of."""
    if text == "":
        return None
    if column.kind == "string":
        return text.removeprefix("'")
    return int(text) if column.kind == "integer" else float(text)


class Part:
    """A file of rows that is there in full, on the disk, or not at all.

    Args:
        path: Of the file; until `done` it is written under another name.
        format_: Of the file.
        table: Whose rows they are.

    Raises:
        OSError: If it cannot be written; nothing is left of it. So do the methods.
    """

    def __init__(self, path: Path, format_: Format, table: str) -> None:
        self._path, self._aside = path, path.with_name(f"{ASIDE}{path.name}")
        with self._named():
            self._file = self._aside.open("wb")
        with self._named():
            self._writer = format_.writer(self._file, table)

    def add(self, rows: Sequence[Row]) -> None:
        """Write some rows."""
        with self._named():
            self._writer.add(rows)

    def done(self) -> None:
        """Have all of it on the disk, then give it its name."""
        with self._named():
            self._writer.end()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._aside.replace(self._path)
            sync_folder(self._path.parent)

    def drop(self) -> None:
        """Give it up: nothing is left of it."""
        with suppress(OSError):  # what could not be written before cannot be now
            self._file.close()
        with suppress(OSError):
            self._aside.unlink(missing_ok=True)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # such as a full disk, which does not say of which file
            if hasattr(self, "_file"):
                self.drop()
            raise OSError(error.errno, error.strerror or str(error), str(self._path)) from error


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
