"""Answers about files on disk, from which work that was stopped goes on.

One JSON object per line: the first says what the answers depend on, each other holds one.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO


class Kept:
    """The answers in one file; use it in a `with` statement. It is made with the first answer.

    Args:
        path: The file.
        schema: What its lines are.
        settings: What the answers depend on, as JSON has it. Answers that depend on something
            else are dropped.
    """

    def __init__(self, path: Path, schema: str, settings: Mapping[str, Any]) -> None:
        self.path = path
        self._head = {"schema": schema, "settings": settings}
        self._known: dict[str, Mapping[str, Any]] = {}
        self._file: TextIO | None = None

    def __enter__(self) -> "Kept":
        with suppress(OSError, ValueError):  # none there, or not ours
            head, *lines = self.path.read_text(encoding="ascii").splitlines()
            if json.loads(head) == self._head:
                for line in lines:
                    with suppress(ValueError, KeyError):  # torn by a kill
                        entry = json.loads(line)
                        self._known[entry["path"]] = entry
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            with suppress(OSError):
                self._file.close()

    def get(self, path: Path) -> Any:
        """Return what was answered about a file; None if nothing, or if it has changed."""
        entry = self._known.get(str(path))
        try:
            return entry["answer"] if entry and entry["stamp"] == _stamp(path) else None
        except (OSError, KeyError):
            return None

    def put(self, path: Path, answer: Any) -> None:
        """Keep an answer, as JSON has it.

        Raises:
            OSError: If it cannot be written.
        """
        try:
            stamp = _stamp(path)
        except OSError:  # it is gone
            return
        if self._file is None:
            self._open()
        self._write({"path": str(path), "stamp": stamp, "answer": answer})

    def remove(self) -> None:
        """Remove the file: the work is done."""
        self.path.unlink(missing_ok=True)

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a" if self._known else "w", encoding="ascii", buffering=1)
        if self._known:
            self._file.write("\n")  # after a torn line
        else:
            self._write(self._head)

    def _write(self, entry: Mapping[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(entry) + "\n")


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
