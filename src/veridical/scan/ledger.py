"""The results of a scan in a folder: nothing lost, nothing doubled.

    OUT/scan.json               model, options, schema: what all rows have in common
    OUT/columns.json            what the columns mean
    OUT/scan.lock               who writes
    OUT/faces/part-000001.*     rows, in files that are whole or not there
    OUT/pictures/part-000001.*

There is no other record than the rows. A part of `pictures` is written after the part of `faces`
of the same number, and so it is the moment at which both count: faces without pictures were cut off
by a kill, and are deleted when the scan goes on.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from stat import S_ISDIR
from typing import Any

from veridical.errors import ScanError, ScanOther
from veridical.present.words import printable
from veridical.scan.columns import SCHEMA, TABLES, Row, described
from veridical.scan.judge import Judged
from veridical.scan.known import FAILED, GONE, Known, stamp_of
from veridical.scan.lock import locked
from veridical.scan.plan import Item, is_address
from veridical.scan.sinks import (
    ASIDE,
    FORMATS,
    Batch,
    Format,
    FormatName,
    Part,
    read_whole,
    sync_folder,
)

MANIFEST = "scan.json"
_HELD = 500  # rows of a table that wait in memory; then they go to the file of their part
_KEYS = ("seq", "run", "state", "path", "path_bytes", "size", "mtime_ns", "decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What all rows of a folder have in common.

    Attributes:
        model: First 12 hex digits of the SHA-256 of the model's card.
        version: Of veridical. Another one may go on; each row says its own.
        options: What may change an answer.
        format: Of the files.
    """

    model: str
    version: str
    options: Mapping[str, Any]
    format: FormatName

    @property
    def told(self) -> str:
        """The options as the rows have them."""
        return json.dumps(self.options, sort_keys=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When rows are written: a kill costs what was judged since.

    Attributes:
        rows: As soon as there are so many, of both tables.
        least_s: Seconds between two parts, at first.
        share: Of the time that the scan has run: later parts are larger, so that they stay few.
        most_s: Seconds between two parts, at most.
    """

    rows: int = 20_000
    least_s: float = 20.0
    share: float = 0.02
    most_s: float = 600.0

    def due(self, rows: int, waited_s: float, ran_s: float) -> bool:
        """Return whether to write now."""
        patience = min(self.most_s, max(self.least_s, self.share * ran_s))
        return rows >= self.rows or waited_s >= patience


class Ledger:
    """A folder of results that is open for writing; use it in a `with`.

    Args:
        folder: Is made if it is not there.
        identity: Of this scan.
        pace: When to write.
        retry: Whether what could not be judged is tried again.

    Attributes:
        run: Number of this run, from 1.
        met: What this run met; see `Known.meet`.
        rows: Rows of `pictures` on the disk.

    Raises:
        ScanBusy: If another scan writes there.
        ScanOther: If the results there are of another model or other options.
        ScanError: If they are damaged, or the folder holds something else.
        OSError: If nothing can be written.
    """

    def __init__(
        self, folder: Path, identity: Identity, *, pace: Pace = Pace(), retry: bool = False
    ) -> None:
        self.folder, self.identity, self.retry = folder, identity, retry
        self.met: Counter[str] = Counter()
        self.run, self.rows = 1, 0
        self._pace, self._known = pace, Known()
        self._format: Format = FORMATS[identity.format]
        self._seq, self._part = 1, 1
        self._waiting: dict[str, list[Row]] = {table: [] for table in TABLES}
        self._parts: dict[str, Part] = {}
        self._counted = Counter[str]()  # rows of these parts, and those that wait
        self._began = self._wrote = time.monotonic()
        self._stack, self._refused = ExitStack(), False

    def __enter__(self) -> "Ledger":
        with ExitStack() as stack:
            _refuse_others(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(self.folder))
            self._check()
            for table in TABLES:
                (self.folder / table).mkdir(exist_ok=True)
            self._clean()
            self._load()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            try:
                if not self._refused:  # a disk that is full is not asked again
                    self.flush()  # also after Ctrl-C: what was judged is kept
            finally:
                for part in self._parts.values():
                    part.drop()

    # --- what is to be done ----------------------------------------------------------------------

    def wanted(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield the items that have no answer yet, or one that no longer holds."""
        for item in items:
            stamp = stamp_of(item.size, item.mtime_ns)
            self.met[found := self._known.meet(item.path, stamp, retry=self.retry)] += 1
            if found in ("new", "changed"):
                yield replace(item, state=found)

    def add(self, one: Judged) -> None:
        """Take what came of one item; it is written by and by.

        Raises:
            OSError: If it cannot be written.
        """
        item = one.item
        row = {**one.picture, "size": item.size, "mtime_ns": item.mtime_ns}
        self._add(item.path, item.state, row, one.faces)
        now = time.monotonic()
        if self._pace.due(self._counted.total(), now - self._wrote, now - self._began):
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait, and end the part.

        Raises:
            OSError: If they cannot be written.
        """
        self._wrote = time.monotonic()
        if not self._counted["pictures"]:
            return
        for table in TABLES:
            self._write(table)
        self._refused = True
        for table in ("faces", "pictures"):  # the second makes both count
            self._parts.pop(table).done()
        self._refused = False
        self.rows += self._counted["pictures"]
        self._counted.clear()
        self._part += 1

    def mark_gone(self) -> int:
        """Add a row for each file that was there and is no more; return how many.

        To be called when this run has met all there is. Addresses are not asked again.
        """
        self.flush()
        if not self._known.unmet():
            return 0
        count = 0
        for batch in self.read(("path", "path_bytes")):
            for path in paths_of(batch):
                if not is_address(path) and _is_gone(path) and self._known.lost(path):
                    self._add(path, "gone", {}, ())
                    count += 1
        self.flush()
        return count

    def read(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield some columns of `pictures`, in the order of `seq`."""
        for path in parts(self.folder, "pictures", self._format):
            yield from read_whole(path, self._format, "pictures", columns)

    # --- how -------------------------------------------------------------------------------------

    def _path(self, table: str) -> Path:
        return self.folder / table / f"part-{self._part:06d}.{self._format.name}"

    def _write(self, table: str) -> None:
        """Write the rows of a table that wait into the file of its part."""
        self._refused = True
        if table not in self._parts:
            self._parts[table] = Part(self._path(table), self._format, table)
        self._parts[table].add(self._waiting[table])
        self._waiting[table] = []
        self._refused = False

    def _add(self, path: str, state: str, row: Row, faces: Sequence[Row]) -> None:
        shown = printable(path)
        plain = shown == path
        common = {
            "seq": self._seq,
            "path": shown,
            "model": self.identity.model,
            "version": self.identity.version,
            "options": self.identity.told,
        }
        own = {"run": self.run, "state": state}
        own["path_bytes"] = None if plain else os.fsencode(path).hex()
        self._waiting["pictures"].append({**_clean(row), **own, **common})
        self._waiting["faces"].extend({**one, **common} for one in faces)
        self._counted.update(pictures=1, faces=len(faces))
        self._seq += 1
        for table, waiting in self._waiting.items():
            if len(waiting) >= _HELD:
                self._write(table)

    def _check(self) -> None:
        """Compare the folder with this scan; write down what it is if it is new."""
        path, own = self.folder / MANIFEST, self.identity
        found = read_manifest(self.folder)
        if found is None:
            self._write_json(self.folder / "columns.json", described())
            self._write_json(
                path,
                {
                    "schema": SCHEMA,
                    "format": own.format,
                    "model": own.model,
                    "version": own.version,
                    "options": dict(own.options),
                },
            )
            return
        asked = {"format": own.format, "model": own.model, "schema": SCHEMA, **own.options}
        there = {**{name: found[name] for name in ("format", "model", "schema")}}
        there |= found["options"]
        differ = [
            f"{name} {there.get(name)!r}, not {asked.get(name)!r}"
            for name in sorted(asked.keys() | there.keys())
            if asked.get(name) != there.get(name)
        ]
        if differ:
            raise ScanOther(
                f"{self.folder}: the results there have {'; '.join(differ)}.",
                hint="Give the same model and options, choose another folder, or begin a "
                "sub-folder with --new.",
            )

    def _write_json(self, path: Path, value: Mapping[str, Any]) -> None:
        aside = path.with_name(f"{ASIDE}{path.name}")
        with aside.open("w", encoding="utf-8") as file:
            file.write(json.dumps(value, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        sync_folder(path.parent)

    def _clean(self) -> None:
        """Delete what a kill has cut off."""
        for folder in (self.folder, *(self.folder / table for table in TABLES)):
            for left in folder.glob(f"{ASIDE}*"):
                if left.is_dir() and not left.is_symlink():  # a network that processes shared
                    rmtree(left)
                else:
                    left.unlink()
        counted = {path.name for path in parts(self.folder, "pictures", self._format)}
        for path in parts(self.folder, "faces", self._format):
            if path.name not in counted:
                path.unlink()

    def _load(self) -> None:
        """Read what is known."""
        runs, last = 0, 0
        for batch in self.read(_KEYS):
            if not batch["seq"]:
                continue
            stamps = list(zip(batch["size"], batch["mtime_ns"], strict=True))
            bits = [
                (FAILED if decision == "failed" else 0) | (GONE if state == "gone" else 0)
                for decision, state in zip(batch["decision"], batch["state"], strict=True)
            ]
            self._known.load(list(paths_of(batch)), stamps, bits)
            runs, last = max(runs, *batch["run"]), max(last, *batch["seq"])
            self.rows += len(stamps)
        self._known.ready()
        self.run, self._seq = runs + 1, last + 1
        names = [path.stem for path in parts(self.folder, "pictures", self._format)]
        self._part = int(names[-1].removeprefix("part-")) + 1 if names else 1


def _is_gone(path: str) -> bool:
    """Return whether a row holds no more; where the system will not say, it does.

    Nothing has its name any more, or it said that a folder cannot be listed, which now can.
    """
    try:
        if S_ISDIR(os.lstat(path).st_mode):
            os.scandir(path).close()
            return True
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:  # such as a folder that may not be entered, or a network that is away
        return False
    return False


def parts(folder: Path, table: str, format_: Format) -> list[Path]:
    """Return the files of a table, in order."""
    found = (folder / table).glob(f"part-*.{format_.name}")
    return sorted(found, key=lambda path: (len(path.name), path.name))


def paths_of(batch: Batch) -> Iterator[str]:
    """Yield the paths of rows, to the byte."""
    for path, to_the_byte in zip(batch["path"], batch["path_bytes"], strict=True):
        yield os.fsdecode(bytes.fromhex(to_the_byte)) if to_the_byte else path or ""


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return what the results in a folder have in common; None where there are none.

    Raises:
        ScanError: If that cannot be read.
    """
    path = folder / MANIFEST
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"schema", "format", "model", "options"} <= set(found):
            raise ValueError("something is missing")
        if found["format"] not in FORMATS:
            raise ValueError(f"format {found['format']!r}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ScanError(
            f"{path}: is no record of a scan ({error}).", hint="Choose another folder."
        ) from error
    return found


def _refuse_others(folder: Path) -> None:
    """Refuse a folder that holds other things than a scan."""
    with suppress(FileNotFoundError, NotADirectoryError):
        left = {one.name for one in folder.iterdir()} - {"scan.lock", MANIFEST, "columns.json"}
        strange = [one for one in sorted(left) if not one.startswith(ASIDE)]
        if strange and not (folder / MANIFEST).exists():
            raise ScanError(
                f"{folder}: holds other things ({printable(strange[0])}), and no scan.",
                hint="Choose a new or an empty folder.",
            )


def _clean(row: Row) -> Row:
    """Return a row whose text every format can hold."""
    return {key: printable(one) if isinstance(one, str) else one for key, one in row.items()}
