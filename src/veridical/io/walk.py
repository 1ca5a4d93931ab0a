"""Walking: the pictures below folders, in the order of their names."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from veridical.io.formats import SUFFIXES
from veridical.report import Failure

ENDINGS = f"Pictures end in {' '.join(sorted(SUFFIXES))}."
"""For hints."""


def photos(paths: Iterable[Path]) -> Iterator[Path | Failure]:
    """Yield files as given, and the pictures below folders in the order of their names.

    A folder that holds no pictures is a `Failure` that names it, and `Detector.inspect_many` passes
    it on.

    In a folder a picture is a regular file with one of `SUFFIXES`. Hidden files and folders and
    `__MACOSX` are passed over, broken links too; a folder that links reach twice is entered once,
    so that a loop ends. A path that is not there is yielded like a file, and a folder that the
    system will not open is yielded itself: in a batch the failure then has a name.
    """
    for path in paths:
        if not asks(path.is_dir):
            yield path
            continue
        inside = walk(path)
        if first := next(inside, None):
            yield first
            yield from inside
        else:
            error = f"{path}: is a folder that holds no pictures."
            yield Failure(path=str(path), error=error, hint=ENDINGS)


def walk(root: Path) -> Iterator[Path]:
    """Yield the pictures below one folder; see `photos`."""
    entered: set[tuple[int, int]] = set()
    waiting = [root]  # a stack of ours: a stranger's tree may be deeper than Python's
    while waiting:
        path = waiting.pop()
        if path is not root and not asks(path.is_dir):
            yield path
            continue
        try:
            status = path.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in entered:
                continue
            entered.add(identity)
            with os.scandir(path) as entries:
                inside = [Path(entry.path) for entry in entries if visible(entry)]
        except OSError:
            yield path
            continue
        waiting.extend(sorted(inside, key=lambda item: item.name, reverse=True))


def visible(entry: "os.DirEntry[str]") -> bool:
    """Return whether a walk enters a folder or yields a file."""
    if entry.name.startswith(".") or entry.name == "__MACOSX":
        return False
    # A pipe called x.jpg would keep its reader waiting for ever: regular files only.
    is_picture = Path(entry.name).suffix.lower() in SUFFIXES
    return asks(entry.is_dir) or (is_picture and asks(entry.is_file))


def asks(question: Callable[[], bool]) -> bool:
    """Return the answer; no where the system gives none."""
    try:
        return question()
    except OSError:
        return False
