"""What a scan knows of each path: a sorted index of 25 bytes a row, for many millions of them."""

import os
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from veridical.arrays import ndarray

SEEN, FAILED, GONE = 1, 2, 4  # bits

_MERGED = 100_000  # new paths that wait in a set

_ROW = np.dtype([("high", "<u8"), ("low", "<u8"), ("stamp", "<u8"), ("bits", "u1")])


def key_of(path: str) -> tuple[int, int]:
    """Return 128 bits that stand for a path."""
    digest = blake2b(os.fsencode(path), digest_size=16).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


def stamp_of(size: int | None, mtime_ns: int | None) -> int:
    """Return 64 bits that change when a file does."""
    return int.from_bytes(blake2b(f"{size} {mtime_ns}".encode(), digest_size=8).digest(), "little")


class Known:
    """Paths with an answer, and those that this run has met."""

    def __init__(self) -> None:
        self._rows = np.zeros(0, _ROW)
        self._waiting: set[tuple[int, int]] = set()
        self._loaded: list[ndarray] = []

    def load(
        self,
        paths: Sequence[str],
        stamps: Sequence[tuple[int | None, int | None]],
        bits: Sequence[int],
    ) -> None:
        """Take rows that were written before, in the order of `seq`; call `ready` after the last.

        Args:
            paths: Of the pictures.
            stamps: Size and time of each.
            bits: `FAILED` or `GONE`, or 0.
        """
        rows = np.zeros(len(paths), _ROW)
        for at, (path, stamp, bit) in enumerate(zip(paths, stamps, bits, strict=True)):
            rows[at] = (*key_of(path), stamp_of(*stamp), bit)
        self._loaded.append(rows)

    def ready(self) -> None:
        """Keep the latest row of each path."""
        rows = np.concatenate([self._rows, *self._loaded])
        self._loaded = []
        rows = rows[np.lexsort((np.arange(len(rows)), rows["low"], rows["high"]))]
        if len(rows):
            high, low = rows["high"], rows["low"]
            last = np.append((high[1:] != high[:-1]) | (low[1:] != low[:-1]), True)
            rows = rows[last]
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows) + len(self._waiting)

    def meet(self, path: str, stamp: int, *, retry: bool) -> str:
        """Note that this run has met a path, and say what to do with it.

        Args:
            path: Of a picture.
            stamp: Of the file as it is now.
            retry: Whether what could not be judged is to be tried again.

        Returns:
            `new` or `changed` where it is to be judged; `known`, or `failed` where that was its
            answer; `repeated` where this run met it before.
        """
        key = key_of(path)
        at = self._at(key)
        if at is None:
            if key in self._waiting:
                return "repeated"
            self._waiting.add(key)
            if len(self._waiting) >= _MERGED:
                self._merge()
            return "new"
        row = self._rows[at]
        bits = int(row["bits"])
        if bits & SEEN:
            return "repeated"
        self._rows["bits"][at] = bits | SEEN
        if bits & GONE or int(row["stamp"]) != stamp:
            return "changed"
        if bits & FAILED:
            return "changed" if retry else "failed"
        return "known"

    def unmet(self) -> bool:
        """Return whether there are paths that this run has not met, and that were there before."""
        return bool(((self._rows["bits"] & (SEEN | GONE)) == 0).any())

    def lost(self, path: str) -> bool:
        """Return whether a path is one of these; once for each."""
        at = self._at(key_of(path))
        if at is None or int(self._rows["bits"][at]) & (SEEN | GONE):
            return False
        self._rows["bits"][at] |= GONE
        return True

    def _at(self, key: tuple[int, int]) -> int | None:
        high = self._rows["high"]
        at = int(np.searchsorted(high, np.uint64(key[0])))
        while at < len(high) and int(high[at]) == key[0]:
            if int(self._rows["low"][at]) == key[1]:
                return at
            at += 1
        return None

    def _merge(self) -> None:
        new = np.zeros(len(self._waiting), _ROW)
        for at, key in enumerate(self._waiting):
            new[at] = (*key, 0, SEEN)
        self._waiting.clear()
        self._loaded = [new]
        self.ready()
