"""One scan at a time in a folder: a lock that the system lets go of when its holder dies."""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from veridical.errors import ScanBusy

LOCK = "scan.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder; the file says who does: process, machine and time.

    A file that a killed scan left is no obstacle on the same machine: the system knows that nobody
    holds it. What another machine left could still be held there, and is not taken over.

    Raises:
        ScanBusy: If another scan holds it.
        OSError: If the lock cannot be written.
    """
    path = folder / LOCK
    with path.open("a+", encoding="utf-8") as file:
        held = not _take(file)
        owner = _owner(file)
        elsewhere = bool(owner) and owner.get("host") != socket.gethostname()
        if held or elsewhere:
            who = (
                f"process {owner.get('pid')} on {owner.get('host')}, since {owner.get('since')}"
                if owner
                else "a process that has not said which"
            )
            raise ScanBusy(
                f"{folder}: another scan writes into it ({who}).",
                hint="Wait for it, or choose another folder."
                if held
                else f"If that scan is over, delete {path}.",
            )
        _rewrite(
            file,
            json.dumps(
                {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "since": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                }
            ),
        )
        try:
            yield
        finally:
            _rewrite(file, "")  # nobody holds it


def _take(file: IO[str]) -> bool:
    """Return whether the lock is ours now; never wait."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(2**30)  # the text stays readable
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _owner(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        found = json.loads(file.read(4096) or "{}")
    except ValueError:  # half a line of one that was killed
        return {}
    return found if isinstance(found, dict) else {}


def _rewrite(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()
