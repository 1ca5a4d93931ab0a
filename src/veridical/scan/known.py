"""What a scan knows of each path: a sorted index of 25 bytes a row, for many millions of them."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from hashlib import blake2b
from struct import Struct

import numpy as np

from veridical.arrays import ndarray

_HALVES = Struct("<QQ").unpack
_FIRST = 16  # bits of a key that lead to its rows; only these are searched

SEEN, FAILED, GONE = 1, 2, 4  # bits

_MERGED, _SHARE = 2_000, 16  # new paths that wait in a set: so many, or a 16th of the others


def key_of(path: str) -> tuple[int, int]:
    """Return 128 bits that stand for a path."""
    high, low = _HALVES(_digest(path))
    return high, low


def stamp_of(size: int | None, mtime_ns: int | None) -> int:
    """Return 64 bits, with a sign, that change when a file does; they hold in this process only."""
    return hash((size, mtime_ns))


def _digest(path: str) -> bytes:
    # Quicker than `os.fsencode`, and other bytes for other paths as well.
    return blake2b(path.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class _Rows:
    """Rows, each column for itself and without gaps: a search must not copy them."""

    def __init__(self, high: ndarray, low: ndarray, stamp: ndarray, bits: ndarray) -> None:
        self.columns = high, low, stamp, bits
        # Python's own search over these is four times as fast as NumPy's for one number.
        views: list[memoryview[int]] = [one.data for one in self.columns]
        self.high, self.low, self.stamp, self.bits = views

    @cached_property  # rows that were only loaded are not searched
    def _starts(self) -> "memoryview[int]":
        high = self.columns[0]
        starts = np.arange(2**_FIRST, dtype=np.uint64) << np.uint64(64 - _FIRST)
        return np.append(np.searchsorted(high, starts), len(high)).astype(np.int64).data

    @classmethod
    def of(cls, keys: bytes, stamps: Sequence[int], bits: Sequence[int]) -> "_Rows":
        halves = np.frombuffer(keys, "<u8").reshape(-1, 2).astype(np.uint64)
        return cls(
            np.ascontiguousarray(halves[:, 0]),
            np.ascontiguousarray(halves[:, 1]),
            np.array(stamps, np.int64),
            np.array(bits, np.uint8),
        )

    def at(self, key: tuple[int, int]) -> int | None:
        """Return the place of a path; None where it is not among them."""
        first = key[0] >> (64 - _FIRST)
        at = bisect_left(self.high, key[0], self._starts[first], self._starts[first + 1])
        while at < len(self.high) and self.high[at] == key[0]:
            if self.low[at] == key[1]:
                return at
            at += 1
        return None


def _merged(parts: Sequence[_Rows]) -> _Rows:
    """Put rows together and in order; of each path the last stays."""
    columns = [np.concatenate(one) for one in zip(*(part.columns for part in parts), strict=True)]
    order = np.lexsort((columns[1], columns[0]))  # keeps the order of equals
    high, low = columns[0][order], columns[1][order]
    if len(order):
        order = order[np.append((high[1:] != high[:-1]) | (low[1:] != low[:-1]), True)]
    high, low, stamp, bits = (one[order] for one in columns)
    return _Rows(high, low, stamp, bits)


class Known:
    """Paths with an answer, and those that this run has met."""

    def __init__(self) -> None:
        self._rows = _Rows.of(b"", [], [])
        self._waiting: set[tuple[int, int]] = set()
        self._loaded: list[_Rows] = []

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
        keys = b"".join(map(_digest, paths))
        self._loaded.append(_Rows.of(keys, list(map(hash, stamps)), bits))

    def ready(self) -> None:
        """Keep the latest row of each path."""
        self._rows = _merged([self._rows, *self._loaded])
        self._loaded = []

    def __len__(self) -> int:
        return len(self._rows.high) + len(self._waiting)

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
        key, rows = key_of(path), self._rows
        at = rows.at(key)
        if at is None:
            if key in self._waiting:
                return "repeated"
            self._waiting.add(key)
            if len(self._waiting) >= max(_MERGED, len(rows.high) // _SHARE):
                self._merge()
            return "new"
        bits = rows.bits[at]
        if bits & SEEN:
            return "repeated"
        rows.bits[at] = bits | SEEN
        if bits & GONE or rows.stamp[at] != stamp:
            return "changed"
        if bits & FAILED:
            return "changed" if retry else "failed"
        return "known"

    def unmet(self) -> bool:
        """Return whether there are paths that this run has not met, and that were there before."""
        return bool(((self._rows.columns[3] & (SEEN | GONE)) == 0).any())

    def lost(self, path: str) -> bool:
        """Return whether a path is one of these; once for each."""
        rows = self._rows
        at = rows.at(key_of(path))
        if at is None or rows.bits[at] & (SEEN | GONE):
            return False
        rows.bits[at] |= GONE
        return True

    def _merge(self) -> None:
        """Put those that wait among the others, column by column: little is held twice."""
        keys = b"".join(n.to_bytes(8, "little") for key in self._waiting for n in key)
        count = len(self._waiting)
        self._waiting.clear()
        new = _merged([_Rows.of(keys, [0] * count, [SEEN] * count)])
        columns, self._rows = list(self._rows.columns), new
        places = np.searchsorted(columns[0], new.columns[0])
        for at, own in enumerate(new.columns):
            columns[at] = np.insert(columns[at], places, own)
        self._rows = _Rows(*columns)
