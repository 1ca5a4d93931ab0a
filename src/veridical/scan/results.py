"""Results read back: the row that holds of each path, and what all of them say."""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from veridical.claims import Declared
from veridical.errors import ScanError
from veridical.present.summary import Copies, Failed, Summary, Waiting
from veridical.report import Decision
from veridical.scan.columns import Row
from veridical.scan.copies import groups
from veridical.scan.known import key_of
from veridical.scan.ledger import parts, paths_of, read_manifest
from veridical.scan.sinks import FORMATS, Batch, read_whole

BINS = 20
_MOST = 1000  # folders, days and kinds of failures that are counted apart
_COLUMNS = (
    *("seq", "path", "path_bytes", "mtime_ns", "sha256", "decision", "p_ai", "reasons", "phash"),
    *("error_kind", "hint", "state", "declared"),
)


def read(folder: Path, columns: Sequence[str]) -> Iterator[Batch]:
    """Yield some columns of the table `pictures`, in the order of `seq`.

    Raises:
        ScanError: If there are no results, or they are damaged.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise ScanError(
            f"{folder}: holds no results of a scan.", hint="Name the folder after --out of `scan`."
        )
    format_ = FORMATS[manifest["format"]]
    for path in parts(folder, "pictures", format_):
        yield from read_whole(path, format_, "pictures", columns)


def holding(folder: Path) -> set[int] | None:
    """Return the `seq` of the rows that an other one replaced; None where there is none.

    Raises:
        ScanError: If there are no results, or they are damaged.
    """
    latest: dict[tuple[int, int], int] = {}
    replaced = set[int]()
    changed = False
    for batch in read(folder, ("state",)):
        changed = changed or any(one != "new" for one in batch["state"])
    if not changed:  # as most often: then no index of the paths is needed
        return None
    for batch in read(folder, ("seq", "path", "path_bytes")):
        for seq, path in zip(batch["seq"], paths_of(batch), strict=True):
            key = key_of(path)
            if key in latest:
                replaced.add(latest[key])
            latest[key] = seq
    return replaced


def latest(folder: Path) -> Iterator[Row]:
    """Yield the row that holds of each path, those of files that are gone too.

    Raises:
        ScanError: If there are no results, or they are damaged.
    """
    replaced = holding(folder) or set()
    for batch in read(folder, _COLUMNS):
        columns = [batch[name] for name in _COLUMNS]
        for values in zip(*columns, strict=True):
            if values[0] not in replaced:
                yield dict(zip(_COLUMNS, values, strict=True))


def summarise(folder: Path, *, most: int = 20, copies: bool = False) -> Summary:
    """Return what the results in a folder say.

    Args:
        folder: Of the results.
        most: Pictures that await a person or failed, and groups of copies, that are named.
        copies: Whether to look for copies of the same picture.

    Raises:
        ScanError: If there are no results, or they are damaged.
    """
    decisions, failures, hints = Counter[str](), Counter[str](), dict[str, str]()
    folders, days = dict[str, Counter[str]](), dict[str, Counter[str]]()
    declared, failed = Counter[str](), list[Failed]()
    histogram, gone = [0] * BINS, 0
    waiting: list[tuple[float, int, Waiting]] = []
    hashed: list[tuple[int, Row]] = []
    for row in latest(folder):
        if row["state"] == "gone":
            gone += 1
            continue
        decision, p_ai = row["decision"], row["p_ai"]
        decisions[decision] += 1
        _counted(folders, str(PurePath(row["path"]).parent), decision)
        _counted(days, _day(row["mtime_ns"]), decision)
        if p_ai is not None:
            histogram[min(BINS - 1, int(p_ai * BINS))] += 1
        if (own := row["declared"]) and own != Declared.NONE:
            declared[own] += 1
        if decision == "failed":
            failures[row["error_kind"]] += 1
            if len(failed) < most:
                failed.append(Failed(path=row["path"], kind=row["error_kind"]))
            hints.setdefault(row["error_kind"], row["hint"] or "")
        if decision == Decision.UNDECIDED:
            one = Waiting(
                path=row["path"],
                p_ai=p_ai,
                reasons=row["reasons"] or "",
                path_bytes=row["path_bytes"],
            )
            telling = -1.0 if p_ai is None else abs(p_ai - 0.5)
            (heapq.heappush if len(waiting) < most else heapq.heappushpop)(
                waiting, (telling, -row["seq"], one)
            )
        if copies and row["phash"]:
            hashed.append((int(row["phash"], 16), row))
    manifest = read_manifest(folder) or {}
    found, differing = _copies(hashed, most)
    return Summary(
        model=manifest.get("model", ""),
        decisions=decisions,
        folders=dict(sorted(folders.items())),
        days=dict(sorted(days.items())),
        histogram=tuple(histogram),
        failures=failures,
        hints=hints,
        failed=tuple(failed),
        declared=dict(declared.most_common()),
        waiting=tuple(one for _, _, one in sorted(waiting, reverse=True)),
        gone=gone,
        copies=found if copies else None,
        differing=differing,
    )


def _counted(into: dict[str, Counter[str]], name: str, decision: str) -> None:
    """Count apart, or, where there are very many names, together."""
    name = name if name in into or len(into) < _MOST else "others"
    into.setdefault(name, Counter())[decision] += 1


def _day(mtime_ns: int | None) -> str:
    if mtime_ns is None:
        return "unknown"
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):  # a clock that was never set
        return "unknown"


def _copies(hashed: list[tuple[int, Row]], most: int) -> tuple[tuple[Copies, ...], int]:
    """Return groups of copies, those whose decisions differ first, and how many of these."""
    members: dict[int, list[dict[str, Any]]] = {}
    own = np.array([one for one, _ in hashed], dtype=np.uint64)
    for group, (_, row) in zip(groups(own).tolist(), hashed, strict=True):
        members.setdefault(group, []).append(row)
    found = [
        Copies(
            paths=tuple(row["path"] for row in rows),
            decisions=tuple(row["decision"] for row in rows),
            p_ai=tuple(row["p_ai"] for row in rows),
            files=len({row["sha256"] for row in rows}),
        )
        for rows in members.values()
        if len(rows) > 1
    ]
    found.sort(key=lambda one: (not one.differ, -len(one.paths)))
    return tuple(found[:most]), sum(one.differ for one in found)
