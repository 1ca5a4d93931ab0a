"""What is known to be missing is said before the work: packages, pictures, folders and space.

Each check returns the errors that it would raise, so that all of them can be told in one message.
"""

import errno
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from veridical._optional import absent
from veridical.errors import (
    DataError,
    FolderUnusable,
    FormatNotInstalled,
    MissingExtra,
    NotReady,
    PhotoError,
    PhotoMissing,
    PhotoUnreadable,
    VeridicalError,
)
from veridical.io.formats import Limits, known_format, refuse_bytes

T = TypeVar("T")

_FIRST_BYTES = 4096  # in which every format says what it is
_PAGE = 10**6  # bytes of a page, its report and its figures
_MB = 10**6


def refuse(problems: Iterable[VeridicalError]) -> None:
    """Raise one error about all problems; nothing where there is none.

    Raises:
        NotReady: If there are several; one alone is raised as it is.
    """
    found = tuple(problems)
    if not found:
        return
    if len(found) == 1:
        raise found[0]
    numbered = [f"({n}) {one.message}" for n, one in enumerate(found, start=1)]
    hints = [f"({n}) {one.hint}" for n, one in enumerate(found, start=1)]
    raise NotReady(
        f"Nothing was begun, for {len(found)} reasons: {' '.join(numbered)}",
        hint=" ".join(hints),
        problems=found,
    )


def attempt(problems: list[VeridicalError], work: Callable[[], T]) -> T | None:
    """Return what `work` does; None if it fails, and the error goes to `problems`."""
    try:
        return work()
    except VeridicalError as error:
        problems.append(error)
    return None


# --- packages ------------------------------------------------------------------------------------


def packages(modules: Iterable[str], *, extra: str, to: str) -> list[VeridicalError]:
    """Name all optional packages that are needed and not installed.

    Args:
        modules: Dotted names of modules.
        extra: The extra of this package that installs them.
        to: What they are needed for, completing the sentence "is needed to ...".
    """
    lacking = absent(modules)
    if not lacking:
        return []
    named = " and ".join(filter(None, (", ".join(map(repr, lacking[:-1])), repr(lacking[-1]))))
    one = len(lacking) == 1
    return [
        MissingExtra(
            f"The package{'' if one else 's'} {named} {'is' if one else 'are'} needed to {to}, and "
            f"{'is' if one else 'are'} not installed.",
            hint=f"Install {'it' if one else 'them'} with: pip install 'veridical[{extra}]'",
        )
    ]


# --- folders -------------------------------------------------------------------------------------


def folders(needed: Mapping[Path, int]) -> list[VeridicalError]:
    """Try to write into folders, and compare the space on their disks with what is needed.

    A folder that is not there is made for the attempt, and removed again.

    Args:
        needed: Folders, and the bytes that will be written into each.
    """
    problems: list[VeridicalError] = []
    asked: dict[int, int] = {}  # bytes by disk: folders may share one
    for folder, size in needed.items():
        try:
            disk, free = _tried(folder)
        except OSError as error:
            problems.append(_unusable(folder, error))
            continue
        asked[disk] = asked.get(disk, 0) + size
        if free < asked[disk]:
            problems.append(
                FolderUnusable(
                    f"{folder}: {_mb(free)} are free on its disk; about {_mb(asked[disk])} are "
                    "needed.",
                    hint="Free some space, or name a folder on another disk.",
                )
            )
    return problems


def no_folder(folder: Path, option: str) -> list[VeridicalError]:
    """Return an error if a folder of pictures is not there."""
    if folder.is_dir():
        return []
    return [
        DataError(
            f"{option} {folder}: no such folder; a folder of pictures was wanted.",
            hint="Check the path.",
        )
    ]


def _mb(size: int) -> str:
    return f"{-(-size // _MB):,} MB" if size else "0 MB"


def _tried(folder: Path) -> tuple[int, int]:
    """Return a folder's disk and the bytes that are free on it, after writing to it."""
    made = [
        one for one in (folder, *folder.parents) if not os.path.lexists(one)
    ]  # the innermost first
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * _FIRST_BYTES)
            file.flush()
            os.fsync(file.fileno())
        return folder.stat().st_dev, shutil.disk_usage(folder).free
    finally:
        for one in made:
            with suppress(OSError):
                one.rmdir()


@contextmanager
def written(folder: Path, kept: str) -> Iterator[None]:
    """Turn what the system says while a folder is written to into an error that names the folder.

    Args:
        folder: What is written to.
        kept: What is not lost, as a sentence.

    Raises:
        FolderUnusable: If the system refuses.
    """
    try:
        yield
    except OSError as error:
        wrong = _unusable(folder, error)
        raise FolderUnusable(wrong.message, hint=f"{wrong.hint} {kept}") from error


def _unusable(folder: Path, error: OSError) -> FolderUnusable:
    if isinstance(error, FileExistsError):
        return FolderUnusable(
            f"{folder}: is a file; a folder was wanted.", hint="Name another folder."
        )
    hints = {
        errno.ENOSPC: "Free some space, or name a folder on another disk.",
        errno.EDQUOT: "Free some of your quota, or name a folder on another disk.",
    }
    return FolderUnusable(
        f"{folder}: cannot be written to ({error.strerror or error}).",
        hint=hints.get(error.errno or 0, "Change its permissions, or name another folder."),
    )


def refuse_pages(folder: Path, count: int, methods: Iterable[str]) -> None:
    """Refuse to write pages of explanations where something is missing for them.

    Args:
        folder: Where the pages go.
        count: How many are certain.
        methods: Maps through the whole network that are asked for.

    Raises:
        NotReady: If several things are missing; one alone is raised as what it is.
    """
    asked = tuple(methods)
    modules = ["torch", "transformers"] if asked else []
    modules += ["captum"] if "integrated-gradients" in asked else []
    to = "make maps through the whole network"
    refuse([*packages(modules, extra="train", to=to), *folders({folder: count * _PAGE})])


# --- pictures ------------------------------------------------------------------------------------


def unusable(paths: Iterable[Path], limits: Limits = Limits()) -> dict[Path, PhotoError]:
    """Return which pictures cannot be judged, and why, as far as their first bytes say.

    Args:
        paths: Files.
        limits: On what is decoded.
    """
    found: dict[Path, PhotoError] = {}
    for path in paths:
        try:
            _first_bytes(path, limits)
        except PhotoError as error:
            found[path] = error
    return found


def left_out(why: Mapping[Path, PhotoError], of: int) -> str:
    """Return a sentence about the pictures that will be left out; "" if there are none."""
    return f"Of {of} pictures,{said(why)}" if why else ""


def said(why: Mapping[Path, PhotoError], most: int = 3) -> str:
    """Return how many pictures cannot be used, and why the first of them."""
    if not why:
        return ""
    reasons = " ".join(error.message for error in list(why.values())[:most])
    rest = f" And {len(why) - most} more." if len(why) > most else ""
    return f" {len(why)} cannot be used: {reasons}{rest}"


def _first_bytes(path: Path, limits: Limits) -> None:
    try:
        # A named pipe would keep us waiting for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with io.FileIO(descriptor) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise PhotoUnreadable(
                    f"{path}: is no regular file.", hint="Leave it out of the pictures."
                )
            if status.st_size > limits.max_bytes:
                refuse_bytes(str(path), status.st_size, limits)
            kind = known_format(file.read(_FIRST_BYTES) or b"", str(path))
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: NUL
        raise PhotoMissing(f"{path}: no such file.", hint="Check the path.") from error
    except OSError as error:
        raise PhotoUnreadable(
            f"{path}: the system will not let us read it ({error.strerror or error}).",
            hint="Check that you may read the file, and that its disk is in order.",
        ) from error
    if kind == "HEIF" and absent(["pillow_heif"]):
        raise FormatNotInstalled(
            f"{path}: is a HEIC picture, whose decoder is not installed.",
            hint="Install it with: pip install 'veridical[heic]'",
        )


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder, without those below it."""
    return sum(one.stat().st_size for one in _files(folder))


def _files(folder: Path) -> Sequence[Path]:
    return [one for one in folder.iterdir() if one.is_file()] if folder.is_dir() else []
