"""What is missing or wrong in the strips or tiles of a TIFF (TIFF 6.0), and a TIFF of the rest."""

import struct
import zlib
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from veridical.io import jpeg
from veridical.io.loss import Loss, Mended
from veridical.io.tiff import choose, form_of

_WIDTH, _HEIGHT, _COMPRESSION, _ROWS, _PLANAR, _TABLES = 256, 257, 259, 278, 284, 347
_STRIPS, _TILES = (273, 279), (324, 325)  # places and lengths
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_PLAIN, _JPEG, _DEFLATE = 1, 7, (8, 32946)
_STEP = 1 << 20  # bytes unpacked at a time
_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_FORMS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST = 1 << 18  # strips or tiles
_MOST_TRIED = 4096  # that are decoded one by one


class _Entry(NamedTuple):
    kind: int
    number: int
    value: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """The strips or tiles of a page; `rows` of each, px: its first, and the one behind its last."""

    order: str
    big: bool
    entries: Mapping[int, _Entry]
    tiled: bool
    compression: int
    width: int
    height: int
    tall: int
    across: int
    places: tuple[int, ...]
    lengths: tuple[int, ...]

    def rows(self, part: int) -> tuple[int, int]:
        of_plane = self.across * -(-self.height // self.tall)
        top = part % of_plane // self.across * self.tall
        return top, min(top + self.tall, self.height)


def announced(data: bytes) -> int:
    """Return where the last strip or tile of the picture ends; 0 where that is not known."""
    if (page := choose(data)) is None:
        order, big = form_of(data)
        return 2 + int.from_bytes(
            data[8:16] if big else data[4:8], "little" if order == "<" else "big"
        )
    parts = _parts(data, page.at)
    return max(map(sum, zip(parts.places, parts.lengths, strict=True))) if parts else 0


def mend(
    data: bytes, most: int, decodes: Callable[[bytes], bool], *, doubt: bool = False
) -> Mended | None:
    """Return a TIFF with what is left of its picture; None if nothing is wrong, or nothing left.

    Args:
        data: A TIFF.
        most: Bytes that it may have.
        decodes: Whether a TIFF of one strip or tile can be decoded.
        doubt: Try each of them: something cannot be decoded.
    """
    page = choose(data)
    parts = _parts(data, page.at) if page else None
    if parts is None or not parts.places:
        return None
    cut = {
        at
        for at, (place, length) in enumerate(zip(parts.places, parts.lengths, strict=True))
        if place + length > len(data)
    }
    if cut and parts.compression == _PLAIN:
        return _padded(data, most, parts, cut)
    lost = set(cut)
    there = (at for at in range(len(parts.places)) if at not in cut)
    if parts.compression in _DEFLATE:  # it holds a checksum, which decoders do not look at
        lost.update(at for at in there if not _inflates(_own(data, parts, at)))
    elif doubt and len(parts.places) <= _MOST_TRIED:
        lost.update(at for at in there if not decodes(_alone(data, parts, at)))
    losses = {at: Loss("cut_off" if at in cut else "corrupt", 1.0, 0) for at in sorted(lost)}
    if parts.compression == _JPEG:
        for at in range(len(parts.places)):
            if at not in lost and (found := jpeg.loss(_stream(data, parts, at))):
                losses[at] = found
    if not losses:
        return None
    if not lost:
        return Mended(data, _told(parts, losses))
    # A lost one shows what a whole one of the same size does, until it is painted over.
    tall = parts.height // parts.tall * parts.across  # the last row of strips may be lower
    whole = [at for at in range(len(parts.places)) if at not in lost]
    donor = next((at for at in whole if at < tall), whole[0] if whole else None)
    if donor is None:
        return None
    places = [parts.places[donor if at in lost else at] for at in range(len(parts.places))]
    lengths = [parts.lengths[donor if at in lost else at] for at in range(len(parts.places))]
    own = _TILES if parts.tiled else _STRIPS
    changed = {own[0]: places, own[1]: lengths}
    return Mended(_written(data, parts, changed), _told(parts, losses), blank=True)


def _padded(data: bytes, most: int, parts: _Parts, cut: Set[int]) -> Mended | None:
    """Return plain pixels with zeros for those that are missing."""
    losses = {}
    for at in cut:
        top, bottom = parts.rows(at)
        came = max(0, len(data) - parts.places[at]) / max(1, parts.lengths[at])
        whole = 0 if parts.tiled else int(came * (bottom - top))
        losses[at] = Loss("cut_off", 1 - whole / (bottom - top), whole)
    wanted = announced(data)
    loss = _told(parts, losses)
    if wanted > most or loss.share >= 1:
        return None
    return Mended(data + bytes(wanted - len(data)), loss, blank=True)


def _told(parts: _Parts, losses: Mapping[int, Loss]) -> Loss:
    """Return what is lost of the picture, from what is lost of its strips or tiles."""
    planes = max(1, len(parts.places) // (parts.across * -(-parts.height // parts.tall)))
    spans = {at: parts.rows(at) for at in losses}
    rows = sum(
        losses[at].share * (bottom - top) / parts.across for at, (top, bottom) in spans.items()
    )
    kinds = {one.kind for one in losses.values()}
    return Loss(
        kinds.pop() if len(kinds) == 1 else "corrupt",
        min(1.0, rows / parts.height / planes),
        min(top + losses[at].top for at, (top, _) in spans.items()),
        max(bottom for _, bottom in spans.values()),
    )


def _own(data: bytes, parts: _Parts, at: int) -> bytes:
    return data[parts.places[at] : parts.places[at] + parts.lengths[at]]


def _inflates(packed: bytes) -> bool:
    """Return whether nothing in these data is wrong, by their own checksum."""
    unpack, rest = zlib.decompressobj(), packed
    try:
        while rest and not unpack.eof:
            unpack.decompress(rest, _STEP)
            rest = unpack.unconsumed_tail
    except zlib.error:
        return False
    return True


def _stream(data: bytes, parts: _Parts, at: int) -> bytes:
    """Return a strip or tile as a whole JPEG: tables that they share stand once in the file."""
    own = _own(data, parts, at)
    tables = parts.entries.get(_TABLES)
    return tables.value.removesuffix(b"\xff\xd9") + own[2:] if tables else own


# --- directories ---------------------------------------------------------------------------------


def _parts(data: bytes, at: int) -> _Parts | None:
    order, big = form_of(data)
    try:
        entries = _entries(data, at, order, big)
        numbers = {tag: _numbers(one, order) for tag, one in entries.items() if tag < 512}
    except struct.error:
        return None

    def one(tag: int, usual: int) -> int:
        return (numbers.get(tag) or (usual,))[0]

    tiled = _TILES[0] in numbers
    own = _TILES if tiled else _STRIPS
    places, lengths = numbers.get(own[0], ()), numbers.get(own[1], ())
    width, height = one(_WIDTH, 0), one(_HEIGHT, 0)
    tall = one(_TILE_HEIGHT, 0) if tiled else min(one(_ROWS, height), height)
    wide = one(_TILE_WIDTH, 0) if tiled else width
    if not (width and height and tall and wide and len(places) == len(lengths) > 0):
        return None
    across = -(-width // wide)
    if len(places) % (across * -(-height // tall)):
        return None
    return _Parts(
        order=order,
        big=big,
        entries=entries,
        tiled=tiled,
        compression=one(_COMPRESSION, _PLAIN),
        width=width,
        height=height,
        tall=tall,
        across=across,
        places=places,
        lengths=lengths,
    )


def _entries(data: bytes, at: int, order: str, big: bool) -> Mapping[int, _Entry]:
    """Return a directory with its values. What lies outside the file is left out."""
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)
    step, start, room = (20, at + 8, 8) if big else (12, at + 2, 4)
    found = {}
    for place in range(start, start + step * min(count, 4096), step):
        tag, kind = struct.unpack_from(f"{order}HH", data, place)
        (number,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, place + 4)
        size, value = number * _BYTES.get(kind, 1), place + step - room
        if size > room:
            (value,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, value)
        if value + size <= len(data):
            found[tag] = _Entry(kind, number, data[value : value + size])
    return found


def _numbers(entry: _Entry, order: str) -> tuple[int, ...]:
    if entry.kind not in _FORMS or entry.number > _MOST:
        return ()
    return struct.unpack_from(f"{order}{entry.number}{_FORMS[entry.kind]}", entry.value)


def _alone(data: bytes, parts: _Parts, at: int) -> bytes:
    """Return a TIFF of one strip or tile."""
    begin, (top, bottom) = (16 if parts.big else 8), parts.rows(at)
    own = _own(data, parts, at)
    tags = _TILES if parts.tiled else _STRIPS
    changed = {tags[0]: [begin], tags[1]: [len(own)], _HEIGHT: [bottom - top]}
    if parts.tiled:
        tile = _numbers(parts.entries[_TILE_WIDTH], parts.order)
        changed |= {_WIDTH: [tile[0]], _HEIGHT: [parts.tall]}
    else:
        changed[_ROWS] = [bottom - top]
    return _written(data[:begin] + own, parts, changed)


def _written(before: bytes, parts: _Parts, changed: Mapping[int, Sequence[int]]) -> bytes:
    """Return a file with a directory behind it that is the page's, but for these numbers."""
    order, big = parts.order, parts.big
    number, room = ("Q", 8) if big else ("I", 4)
    new = {
        tag: _Entry(
            16 if big else 4, len(values), struct.pack(f"{order}{len(values)}{number}", *values)
        )
        for tag, values in changed.items()
    }
    out = bytearray(before + bytes(len(before) % 2))
    table = bytearray()
    entries = sorted({**parts.entries, **new}.items())
    for tag, (kind, count, value) in entries:
        told = value.ljust(room, b"\0")
        if len(value) > room:
            told = struct.pack(f"{order}{number}", len(out))
            out += value + bytes(len(value) % 2)
        table += struct.pack(f"{order}HH{number}", tag, kind, count) + told
    at = len(out)
    out += struct.pack(f"{order}{'Q' if big else 'H'}", len(entries)) + table + bytes(room)
    place = 8 if big else 4
    out[place : place + room] = struct.pack(f"{order}{number}", at)
    return bytes(out)
