"""What is to be judged: folders, globs, lists, tables and addresses become a stream of items.

Nothing is held: a million entries need no more memory than ten. What is passed over goes to a
`Skip`, as in `io.walk`.
"""

import csv
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from glob import has_magic, iglob
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from veridical._optional import need
from veridical.errors import ManifestError, MissingExtra
from veridical.io.clip import CLIP_SUFFIXES
from veridical.io.formats import SUFFIXES
from veridical.io.source import Stream
from veridical.io.walk import Skip, Skipped, photos, unheard
from veridical.report import Failure

STDIN = "-"
TABLES = (".csv", ".tsv", ".parquet")
"""Endings of files that list pictures and are none."""

_PATHS = (
    *("path", "file", "filename", "filepath", "image", "imagepath", "img", "imgpath"),
    *("picture", "photo", "url", "uri"),
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_ROWS = 10_000  # of a Parquet table, at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture or clip to be judged, and what tells whether it changed.

    Attributes:
        path: Absolute, else as it was given, or found below what was given; or an address.
        size: Bytes; None where that is not known.
        mtime_ns: When it was last changed, ns since 1970; None where that is not known.
        failure: Why there is nothing to judge: a folder that cannot be opened, say.
        state: `changed` where its row replaces an earlier one; the ledger knows.
        data: Its bytes, where they were fetched ahead.
        alike: SHA-256 and answer of files of the same size; see `scan.same`.
    """

    path: str
    size: int | None = None
    mtime_ns: int | None = None
    failure: Failure | None = None
    state: str = "new"
    data: bytes | None = None
    alike: tuple[tuple[str, str], ...] = ()


def plan(
    sources: Iterable[str],
    skip: Skip = unheard,
    *,
    clips: bool = True,
    stdin: Stream | None = None,
    nul: bool = False,
) -> Iterator[Item]:
    """Yield an item for each picture and clip, as they are found.

    Args:
        sources: Files and folders; globs; `-` for a list of files at standard input; tables that
            end with one of `TABLES` and have a column `path`; addresses (`s3://`, `gs://`,
            `https://`, `file://`) of files, and of folders that end with `/`.
        skip: Is told of what is passed over.
        clips: Whether videos in folders are wanted, too.
        stdin: Where `-` reads from; None for standard input.
        nul: Whether names in that list end with NUL instead of a newline.

    Raises:
        ManifestError: If a table has no column of paths.
        MissingExtra: If an address or a Parquet table needs a package that is not installed.
    """
    for source in sources:
        if source == STDIN:
            names = _listed(stdin or sys.stdin.buffer, b"\0" if nul else b"\n")
            yield from _all(names, skip, clips)
        elif source.lower().endswith(TABLES) and not os.path.isdir(source):  # noqa: PTH112
            yield from _all(table_paths(source), skip, clips)
        else:
            yield from _all((source,), skip, clips)


def is_address(path: str) -> bool:
    """Return whether a path is an address, which needs fsspec; a Windows drive is none."""
    return _ADDRESS.match(path) is not None


def _all(paths: Iterable[str], skip: Skip, clips: bool) -> Iterator[Item]:
    for path in paths:
        if path.lower().startswith("file://"):
            path = unquote(urlsplit(path).path)
        if is_address(path):
            yield from _remote(path, skip, clips)
            continue
        if path:
            path = _absolute(path)
        if has_magic(path) and not os.path.lexists(path):
            yield from _globbed(path, skip, clips)
        else:
            for found in photos((path,), skip, clips=clips):
                yield _item(found)


def _absolute(path: str) -> str:
    """Return a path that means the same in any folder, and on any machine that has the disk.

    Nothing is simplified but a leading dot: behind a link, `..` is another folder.
    """
    if os.path.isabs(path):  # noqa: PTH117 (keeps the rest as it was given)
        return path
    while path.startswith(f".{os.sep}"):
        path = path[2:].lstrip(os.sep)
    return os.getcwd() if path in ("", ".") else os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118


def _globbed(pattern: str, skip: Skip, clips: bool) -> Iterator[Item]:
    none = True
    for path in iglob(pattern, recursive=True):  # noqa: PTH207 (keeps the string as it was given)
        none = False
        if os.path.isdir(path) and "**" in pattern:  # noqa: PTH112 (its files will follow)
            continue
        for found in photos((path,), skip, clips=clips):
            yield _item(found)
    if none:
        yield Item(
            path=pattern,
            failure=Failure(
                path=pattern,
                error=f"{pattern}: no file has such a name.",
                hint="Check the pattern, and the folder that it begins in.",
            ),
        )


def _item(found: str | Failure) -> Item:
    if isinstance(found, Failure):
        return Item(path=found.path or "", failure=found)
    try:
        status = os.stat(found)  # noqa: PTH116 (which keeps the string as it was given)
    except (OSError, ValueError):  # judging it says what is wrong
        return Item(path=found)
    return Item(path=found, size=status.st_size, mtime_ns=status.st_mtime_ns)


# --- lists ---------------------------------------------------------------------------------------


def _listed(stream: Stream, end: bytes) -> Iterator[str]:
    """Yield the names in a stream, to the byte."""
    rest = b""
    while piece := stream.read(2**16):
        *whole, rest = (rest + piece).split(end)
        yield from (_name(one, end) for one in whole if one.strip(b"\r\n"))
    if rest.strip(b"\r\n"):
        yield _name(rest, end)


def _name(line: bytes, end: bytes) -> str:
    return os.fsdecode(line if end == b"\0" else line.removesuffix(b"\r"))


def table_paths(table: str) -> Iterator[str]:
    """Yield the paths in a table, row by row; relative ones begin at the folder of the table.

    Args:
        table: A CSV with commas, semicolons, tabs or bars, in UTF-8, or a Parquet file.

    Raises:
        ManifestError: If it cannot be read, or has no column of paths.
    """
    folder = os.path.dirname(table)  # noqa: PTH120
    rows = _parquet_paths(table) if table.lower().endswith(".parquet") else _csv_paths(table)
    for path in rows:
        if path:
            yield path if is_address(path) or not folder else os.path.join(folder, path)  # noqa: PTH118


def _csv_paths(table: str) -> Iterator[str]:
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
            header = file.readline()
            separator = max(",;\t|", key=header.count)
            names = next(csv.reader(io.StringIO(header), delimiter=separator), [])
            at = names.index(_column(table, names))
            for row in csv.reader(file, delimiter=separator):
                if len(row) > at:
                    yield row[at].strip()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(
            f"{table}: cannot be read as a table ({error}).", hint="Save it as CSV UTF-8."
        ) from error


def _parquet_paths(table: str) -> Iterator[str]:
    parquet: Any = need("pyarrow.parquet", extra="scan", to="read Parquet tables")
    try:
        file = parquet.ParquetFile(table)
        column = _column(table, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=_ROWS, columns=[column]):
            yield from (str(one or "") for one in batch.column(0).to_pylist())
    except (OSError, ValueError) as error:
        raise ManifestError(
            f"{table}: cannot be read as Parquet ({error}).", hint="Write the table again."
        ) from error


def _column(table: str, names: list[str]) -> str:
    plainly = {re.sub(r"[\W_]", "", name).lower(): name for name in reversed(names)}
    for known in _PATHS:
        if known in plainly:
            return plainly[known]
    raise ManifestError(
        f"{table}: the columns are {', '.join(map(repr, names))}; one called `path` is needed.",
        hint="Write the names of the columns into the first line.",
    )


# --- other places --------------------------------------------------------------------------------


def file_system(address: str) -> tuple[Any, str]:
    """Return the file system of an address, and the path there.

    Raises:
        MissingExtra: If fsspec, or its package for this kind of address, is not installed.
    """
    fsspec: Any = need("fsspec", extra="scan", to="read addresses")
    kind = address.partition("://")[0].lower()
    try:
        found: tuple[Any, str] = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise MissingExtra(
            f"{address}: fsspec needs another package for {kind}:// ({error}).",
            hint=f"Install it with: pip install 'fsspec[{kind}]'",
        ) from error
    except ValueError as error:
        raise ManifestError(
            f"{address}: {error}.", hint="Use s3://, gs://, https:// or file://."
        ) from error
    return found


def _remote(address: str, skip: Skip, clips: bool) -> Iterator[Item]:
    system, path = file_system(address)
    try:
        if not address.endswith("/"):
            found = system.info(path)
            if found.get("type") != "directory":
                yield _remote_item(address, found)
                return
        yield from _remote_folder(system, path, skip, clips)
    except Exception as error:  # whatever a store may raise: it costs this address
        yield Item(
            path=address,
            failure=Failure(
                path=address,
                error=f"{address}: cannot be reached ({type(error).__name__}: {error}).",
                hint="Check the address, the network and your credentials.",
            ),
        )


def _remote_folder(system: Any, root: str, skip: Skip, clips: bool) -> Iterator[Item]:
    """Yield what lies below a folder; names tell what is a picture, for bytes cost a request."""
    none = True
    for _folder, _inner, files in system.walk(root, detail=True):
        for name, found in sorted(files.items()):
            path = system.unstrip_protocol(found["name"])
            suffix = PurePosixPath(name).suffix.lower()
            if name.startswith("."):
                skip(Skipped(path, "hidden", "hidden"))
            elif suffix in SUFFIXES or (clips and suffix in CLIP_SUFFIXES):
                none = False
                yield _remote_item(path, found)
            elif name:
                skip(Skipped(path, "no picture", "its name is not that of a picture"))
    if none:
        path = system.unstrip_protocol(root)
        yield Item(
            path=path,
            failure=Failure(
                path=path,
                error=f"{path}: is a folder that holds no pictures.",
                hint="In other places, pictures are known by the endings of their names.",
            ),
        )


def _remote_item(address: str, found: dict[str, Any]) -> Item:
    size = found.get("size")
    return Item(
        path=address,
        size=size if isinstance(size, int) else None,
        mtime_ns=_changed(found),
    )


_CLOCKS: tuple[Callable[[Any], float], ...] = (lambda at: at.timestamp(), float)


def _changed(found: dict[str, Any]) -> int | None:
    """Return when a file was changed, as its store says it; each has a name of its own for it."""
    for key in ("LastModified", "mtime", "updated", "last_modified"):
        for read in _CLOCKS:
            try:
                return int(read(found[key]) * 1e9)
            except (KeyError, AttributeError, TypeError, ValueError):
                continue
    return None
