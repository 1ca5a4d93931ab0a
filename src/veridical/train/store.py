"""What an interrupted run goes on from: rows by the SHA-256 of a picture's bytes, on disk."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from veridical.errors import DataError


class Store:
    """One table in one SQLite file. A row is on disk as soon as `put` returns.

    Threads may share it. Use it with `contextlib.closing`.

    Args:
        path: The file; its folder is made if need be.
        columns: Names of the table's columns, after the key.

    Raises:
        DataError: If the file is no such table. So do `get` and `put`.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path, self._lock, self._places = path, Lock(), ", ?" * len(columns)
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._translated():
            self._file = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            names = ", ".join(columns)
            self._file.execute(f"CREATE TABLE IF NOT EXISTS rows (sha256 PRIMARY KEY, {names})")

    def get(self, key: str) -> tuple[Any, ...] | None:
        """Return a row without its key; None if there is none."""
        with self._lock, self._translated():
            row = self._file.execute("SELECT * FROM rows WHERE sha256 = ?", [key]).fetchone()
        return None if row is None else tuple(row[1:])

    def count(self) -> int:
        """Return how many rows there are."""
        with self._lock, self._translated():
            return int(self._file.execute("SELECT count(*) FROM rows").fetchone()[0])

    def put(self, key: str, *values: Any) -> None:
        """Write a row; one with the same key is replaced."""
        with self._lock, self._translated():
            query = f"INSERT OR REPLACE INTO rows VALUES (?{self._places})"
            self._file.execute(query, [key, *values])

    def close(self) -> None:
        """Close the file; who is writing a row finishes first."""
        with self._lock:
            self._file.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (
            sqlite3.OperationalError
        ) as foreign:  # locked, or the disk is full: the rows are fine
            raise DataError(
                f"The cache {self._path} cannot be used now ({foreign}).",
                hint="Check that no other training uses it, and the space on its disk.",
            ) from foreign
        except sqlite3.DatabaseError as foreign:
            raise DataError(
                f"The cache {self._path} cannot be used ({foreign}).",
                hint="Delete that file, or name another folder with --cache; it is made again.",
            ) from foreign
