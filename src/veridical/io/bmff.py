"""The boxes of AVIF, HEIC and MP4 files (ISO/IEC 14496-12), as far as they hold metadata."""

import struct
from collections.abc import Iterator
from mmap import mmap

from veridical.io.budget import Budget, Parts

_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_ITEMS = 1000
_PIECES = 16  # of one item
_MOST = 16 * 2**20  # bytes of one packet or item that are copied: more is over every limit on text


def read(data: bytes | mmap, found: Parts, budget: Budget) -> None:
    """Walk the boxes at the top, and the items of a picture's `meta` box."""
    for name, start, end in _boxes(data, 0, len(data), budget):
        if name == b"uuid":
            kind = data[start : start + 16]
            if kind == _C2PA:
                found.credential = True
            elif kind == _XMP:
                packet = data[start + 16 : min(end, start + 16 + _MOST)]
                found.xmp += budget.take(packet, "an XMP packet")
        elif name == b"meta":
            _meta(data, start + 4, end, found, budget)


def _boxes(
    data: bytes | mmap, at: int, end: int, budget: Budget
) -> Iterator[tuple[bytes, int, int]]:
    """Give name, start and end of each box's content; a box that says too much ends the walk."""
    while at + 8 <= end and budget.part():
        size, name = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1 and start + 8 <= end:
            (size,) = struct.unpack_from(">Q", data, start)
            start += 8
        if size == 0:
            size = end - at
        if size < start - at or at + size > end:
            budget.gap(f"The boxes break off at byte {at}.")
            return
        yield name, start, at + size
        at += size


def _meta(data: bytes | mmap, at: int, end: int, found: Parts, budget: Budget) -> None:
    kinds: dict[int, bytes] = {}
    places: dict[int, list[tuple[int, int]]] = {}
    for name, start, stop in _boxes(data, at, end, budget):
        if name == b"iinf":
            kinds = _kinds(data, start, stop, budget)
        elif name == b"iloc":
            places = _places(data[start : min(stop, start + _MOST)], budget)
    for item, kind in kinds.items():
        whole = b"".join(
            data[first : first + min(length, _MOST)]
            for first, length in places.get(item, ())[:_PIECES]
        )
        if kind == b"Exif" and len(whole) > 4 and not found.exif:
            (skip,) = struct.unpack_from(">I", whole)  # to the TIFF header
            found.exif = whole[4 + skip :]
        elif kind == b"mime" and b"<" in whole[:512]:
            found.xmp += budget.take(whole, "an XMP packet")


def _kinds(data: bytes | mmap, at: int, end: int, budget: Budget) -> dict[int, bytes]:
    """Return the type of each item: 23008-12 writes `infe` of version 2 or 3."""
    at += 6 if data[at] == 0 else 8
    found: dict[int, bytes] = {}
    for name, start, _ in _boxes(data, at, end, budget):
        if name == b"infe" and data[start] in (2, 3) and len(found) < _ITEMS:
            form = ">HH4s" if data[start] == 2 else ">IH4s"
            item, _protection, kind = struct.unpack_from(form, data, start + 4)
            found[item] = kind
    return found


def _places(box: bytes, budget: Budget) -> dict[int, list[tuple[int, int]]]:
    """Return where in the file each item lies; items in other places are left out."""
    version = box[0]
    offset_size, length_size = box[4] >> 4, box[4] & 15
    base_size, index_size = box[5] >> 4, box[5] & 15 if version else 0
    wide = 4 if version == 2 else 2
    at = 6
    count, at = _number(box, at, wide)
    found: dict[int, list[tuple[int, int]]] = {}
    for _ in range(min(count, _ITEMS)):
        item, at = _number(box, at, wide)
        method = 0
        if version:
            method, at = _number(box, at, 2)
        _reference, at = _number(box, at, 2)
        base, at = _number(box, at, base_size)
        extents, at = _number(box, at, 2)
        for _ in range(extents):
            if not budget.part():
                return found
            at += index_size
            offset, at = _number(box, at, offset_size)
            length, at = _number(box, at, length_size)
            if not method & 15:
                found.setdefault(item, []).append((base + offset, length))
    return found


def _number(box: bytes, at: int, size: int) -> tuple[int, int]:
    if at + size > len(box):
        raise ValueError("a table of items breaks off")
    return int.from_bytes(box[at : at + size]), at + size
