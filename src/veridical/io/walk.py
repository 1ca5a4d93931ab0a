"""Walking: the pictures below folders, in the order of their names, and what was passed over."""

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from veridical.io.clip import looks_like_clip
from veridical.io.formats import SUFFIXES, describe, sniff
from veridical.io.source import first_bytes
from veridical.report import Failure

KNOWN = "Pictures are known by their first bytes: JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC."
"""For hints."""

Why = Literal[
    "hidden",
    "link",
    "special",
    "raw",
    "other format",
    "empty",
    "unreadable",
    "no picture",
    "no class",
]
"""Kinds of what is passed over. `special` is a pipe, a socket or a device; what has `no class` lies
beside the class folders of a data set."""

P = TypeVar("P", str, Path)

_HEAD = 4096  # bytes that are read of a file whose name does not say that it is a picture
_RAW = {  # cameras' raw files: most of them begin like any TIFF
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq"),
    *(".k25", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw"),
    *(".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"),
}


@dataclass(frozen=True, slots=True)
class Skipped:
    """What a walk passed over: a file, or a folder with all that is in it.

    Attributes:
        path: The folder as it was given, joined with what is below it.
        why: The kind, to be counted.
        detail: What it is, for people.
    """

    path: str
    why: Why
    detail: str


Skip = Callable[[Skipped], object]
"""Is told of everything that is passed over, as soon as that happens."""


def unheard(_skipped: Skipped) -> None:
    """Nobody asked."""


def photos(
    paths: Iterable[P], skip: Skip = unheard, *, clips: bool = False
) -> Iterator[P | Failure]:
    """Yield files as given, and the pictures below folders in the order of their names.

    Strings stay the strings that were given; below a folder they begin with it. A folder that
    holds no pictures, or that the system will not open, is a `Failure` that names it, and
    `Detector.inspect_many` passes it on. A path that is not there is yielded like a file.

    In a folder a picture is a regular file that begins like one, whatever its name, or has the
    name of one (`SUFFIXES`), whatever its bytes: judging it says what it is. Hidden files and
    folders, `__MACOSX`, broken links, pipes and all other files are passed over, and `skip` is told
    of each. A folder that links reach twice is entered once, so that a loop ends.

    Args:
        paths: Files and folders.
        skip: Is told of what is passed over.
        clips: Whether videos are wanted, too.
    """
    for path in paths:
        if not os.path.isdir(path):  # noqa: PTH112 (an empty string is no folder)
            yield path
            continue
        inside = walk(path, skip, clips=clips)
        if first := next(inside, None):
            yield first
            yield from inside
        else:
            yield Failure(
                path=os.fspath(path),
                error=f"{path}: is a folder that holds no pictures.",
                hint=f"{KNOWN} `photos(paths, skip=print)` says what is there instead.",
                cli_hint=f"{KNOWN} --list-skipped says what is there instead.",
            )


def walk(
    root: P, skip: Skip = unheard, *, but: Collection[str] = (), clips: bool = False
) -> Iterator[P | Failure]:
    """Yield the pictures below one folder, `but` for some entries of its own; see `photos`."""
    made, entered = type(root), set[tuple[int, int]]()
    # A stack of ours: a stranger's tree may be deeper than Python's.
    waiting: list[str | os.DirEntry[str]] = [os.fspath(root)]
    while waiting:
        item = waiting.pop()
        path = item if isinstance(item, str) else item.path
        if isinstance(item, os.DirEntry):
            if skipped := _refused(item, clips):
                skip(skipped)
                continue
            if not asks(item.is_dir):
                yield made(path)
                continue
        try:
            status = os.stat(path)  # noqa: PTH116
            identity = (status.st_dev, status.st_ino)
            if identity in entered:
                skip(Skipped(path, "link", "the same folder as one that was searched"))
                continue
            entered.add(identity)
            with os.scandir(path) as entries:
                inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
            if isinstance(item, str):
                inside = [entry for entry in inside if entry.name not in but]
        except OSError as error:
            yield Failure(
                path=path,
                error=f"{path}: is a folder that the system will not open "
                f"({error.strerror or error}).",
                hint="Check that you may read and enter it.",
            )
            continue
        waiting.extend(inside)


def visible(entry: "os.DirEntry[str]") -> bool:
    """Return whether a walk enters a folder or yields a file."""
    return _refused(entry) is None


def _refused(entry: "os.DirEntry[str]", clips: bool = False) -> Skipped | None:
    """Return why an entry of a folder is passed over; None for a folder or a picture."""
    path = entry.path
    if entry.name.startswith("."):
        return Skipped(path, "hidden", "hidden")
    if entry.name == "__MACOSX":
        return Skipped(path, "hidden", "left in an archive by a Mac")
    try:
        if entry.is_dir():
            return None
        if not entry.is_file():
            # A pipe called x.jpg would keep its reader waiting for ever: regular files only.
            broken = entry.is_symlink() and not os.path.exists(path)  # noqa: PTH110
            return (
                Skipped(path, "link", "a broken link")
                if broken
                else Skipped(path, "special", "a pipe, a socket or a device")
            )
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
        return None if suffix in SUFFIXES else _sniffed(path, suffix, clips)
    except OSError as error:
        if error.errno == errno.ELOOP:
            return Skipped(path, "link", "a link to itself")
        return Skipped(path, "unreadable", f"unreadable ({error.strerror or error})")


def _sniffed(path: str, suffix: str, clips: bool) -> Skipped | None:
    """Know a file by its first bytes, since its name says nothing."""
    head = first_bytes(path, _HEAD)  # regular a moment ago
    if not head:
        return Skipped(path, "empty", "empty")
    if suffix in _RAW:
        return Skipped(path, "raw", f"a camera's raw file ({suffix[1:].upper()})")
    if sniff(head) or (clips and looks_like_clip(head)):
        return None
    if head[4:12] == b"ftypcrx ":
        return Skipped(path, "raw", "a camera's raw file (CR3)")
    what = describe(head)
    pictured = any(word in what for word in (" picture", " drawing", " icon", "Photoshop"))
    other = pictured and "video" not in what
    return Skipped(path, "other format" if other else "no picture", what)


def asks(question: Callable[[], bool]) -> bool:
    """Return the answer; no where the system gives none."""
    try:
        return question()
    except OSError:
        return False
