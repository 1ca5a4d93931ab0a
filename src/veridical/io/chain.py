"""An append-only log of reports: JSON lines, each with the hash of the one before it.

A line that was changed, taken out, put in or moved breaks the chain where that happened. Somebody
who can rewrite the whole file can also make a new chain: file the last hash (the *head*) somewhere
else, and give it when the log is checked.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from veridical.errors import LogBroken

SCHEMA = "veridical.log/1"
START = "0" * 64
"""What the first line has in the place of the hash of a line before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What a log holds, as far as it holds together.

    Attributes:
        entries: The lines up to the first fault, in order.
        head: Hash of the last of them; `START` of an empty log.
        fault: What is wrong with the next line, as a sentence; None for a whole log.
    """

    entries: tuple[Mapping[str, Any], ...]
    head: str
    fault: str | None


def read_chain(path: Path) -> Chain:
    """Read a log, up to its first fault.

    Raises:
        OSError: If it cannot be read.
    """
    return _chain(path.read_bytes())


def append(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add a line to a log, which is made if it is not there.

    Nobody else adds one meanwhile, and the line is on the disk before this returns.

    Args:
        path: The log.
        content: What the line says; `schema`, `seq`, `previous` and `hash` are added.

    Returns:
        The line.

    Raises:
        LogBroken: If the log does not hold together; nothing is added.
        OSError: If it cannot be written; nothing is added.
    """
    with path.open("a+b") as file, _locked(file):
        file.seek(0)
        chain = _chain(file.read())
        if chain.fault:
            raise LogBroken(
                f"{path}: {chain.fault} Nothing was added to it.",
                hint="Find out what happened to the log; begin a new one with another name.",
            )
        entry = {
            "schema": SCHEMA,
            "seq": len(chain.entries) + 1,
            **content,
            "previous": chain.head,
        }
        entry["hash"] = _hash(entry)
        size = file.seek(0, os.SEEK_END)
        try:
            file.write(json.dumps(entry).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)  # half a line would break the chain
            raise
    return entry


def _chain(data: bytes) -> Chain:
    entries: list[Mapping[str, Any]] = []
    head, lines = START, data.split(b"\n")
    torn = lines.pop()  # what follows the last newline
    for number, line in enumerate([*lines, *([torn] if torn else [])], start=1):
        fault = _fault(line, number, head)
        if fault is None and torn and number == len(lines) + 1:
            fault = f"Line {number} breaks off."
        if fault:
            return Chain(entries=tuple(entries), head=head, fault=fault)
        entry = json.loads(line)
        entries.append(entry)
        head = entry["hash"]
    return Chain(entries=tuple(entries), head=head, fault=None)


def _fault(line: bytes, number: int, head: str) -> str | None:
    """Say what is wrong with a line; None if it follows the one with the hash `head`."""
    try:
        entry = json.loads(line)
        seq, previous, told = entry["seq"], entry["previous"], entry["hash"]
        if entry["schema"] != SCHEMA or type(seq) is not int:
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"Line {number} was changed: it is not a line of such a log."
    # A line has one way to be written: another order or spacing is a change, too.
    if told != _hash(entry) or line != json.dumps(entry).encode():
        return f"Line {number} was changed: its hash is not the one that stands in it."
    if seq > number:
        missing = f"line {number} is" if seq == number + 1 else f"lines {number} to {seq - 1} are"
        return (
            f"At line {number} stands the one with the number {seq}: {missing} missing, or the "
            "lines were reordered."
        )
    if seq < number:
        return (
            f"At line {number} stands the one with the number {seq}: it was repeated, or the lines "
            "were reordered."
        )
    if previous != head:
        before = f"line {number - 1}" if number > 1 else "what stood before it"
        return f"Line {number} does not follow the line before it: {before} was replaced."
    return None


def _hash(entry: Mapping[str, Any]) -> str:
    own = {key: value for key, value in entry.items() if key != "hash"}
    return sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


@contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    """Keep other processes from adding a line meanwhile."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        try:
            yield
        finally:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
