"""What is missing or wrong in the data of a PNG (ISO/IEC 15948), and a whole PNG of the rest."""

import struct
import zlib
from typing import NamedTuple

from veridical.io.loss import Loss, Mended

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (  # left, top, step across, step down
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_SIP, _STEP = 1 << 16, 1 << 20  # bytes packed and unpacked at a time


class _Piece(NamedTuple):
    """Packed pixels of one chunk; `sound`: surely what was written; `ended`: by another chunk."""

    body: memoryview
    sound: bool
    ended: bool = False


_NOTE = "a checksum of the file is wrong; the pixels are whole"


def mend(data: bytes, most: int, *, doubt: bool = False) -> Mended | None:
    """Return a PNG with what is left of the picture; None if nothing is wrong with its data.

    Also None for an animation, of which Pillow decodes what is shown, or says that it cannot.

    Args:
        data: A PNG.
        most: Pixels that it may have.
        doubt: Look into the packed pixels even if all checksums around them are right.
    """
    before, pieces, wrongs, animated = _chunks(data)
    intact = not wrongs and bool(pieces) and pieces[-1].ended
    if not before or len(before[0][1]) < 13 or animated or (intact and not doubt):
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", before[0][1][:13])
    if colour not in _CHANNELS or not 0 < width * height <= most:
        return None
    rows = _rows(width, height, _CHANNELS[colour] * depth, interlaced=bool(interlaced))
    wanted = sum(rows)
    raw, sure, whole, wrong = _unpacked(pieces, wanted)
    if b"PLTE" in wrongs and colour == 3:
        return Mended(_written(before, bytes(raw)), Loss("corrupt", 1.0, 0)) if whole else None
    if whole:
        return Mended(_written(before, bytes(raw)), None, note=_NOTE if wrongs else "")
    if b"IHDR" in wrongs:  # then the size may be wrong
        return None
    top = 0 if interlaced else sure // rows[0]
    share = 1 - (sure / wanted if interlaced else top / height)
    del raw[sure if interlaced else top * rows[0] :]
    raw += bytes(wanted - len(raw))
    return Mended(_written(before, bytes(raw)), Loss("corrupt" if wrong else "cut_off", share, top))


def _chunks(data: bytes) -> tuple[list[tuple[bytes, bytes]], list[_Piece], set[bytes], bool]:
    """Return the chunks before the pixels, the pixels; whose sums are wrong; if it is animated."""
    before, pieces, wrongs = list[tuple[bytes, bytes]](), list[_Piece](), set[bytes]()
    at, animated, view = len(_SIGNATURE), False, memoryview(data)
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        kind, body = data[at + 4 : at + 8], view[at + 8 : end]
        if pieces and kind != b"IDAT":  # what follows the pixels takes nothing away
            pieces[-1] = pieces[-1]._replace(ended=True)
            break
        cut = end + 4 > len(data)
        sound = cut or zlib.crc32(view[at + 4 : end]) == int.from_bytes(view[end : end + 4])
        if not sound:
            wrongs.add(kind)
        if kind == b"IDAT":
            pieces.append(_Piece(body, sound))
        else:
            before.append((kind, bytes(body)))
            animated |= kind == b"acTL"
        at = end + 4
    return before, pieces, wrongs, animated


def _unpacked(pieces: list[_Piece], wanted: int) -> tuple[bytearray, int, bool, bool]:
    """Return what can be unpacked; how much is sure; if it is all and right; if there is an error.

    The stream has a checksum of its own: with that right, a chunk with a wrong one is right too.
    """
    unpack, out, sure, wrong = zlib.decompressobj(), bytearray(), -1, False
    try:
        for piece, sound, _ in pieces:
            if not sound and sure < 0:
                sure = len(out)
            for start in range(0, len(piece), _SIP):
                rest: bytes | memoryview = piece[start : start + _SIP]
                while rest and len(out) <= wanted and not unpack.eof:
                    out += unpack.decompress(rest, min(_STEP, wanted + 1 - len(out)))
                    rest = unpack.unconsumed_tail
    except zlib.error:
        wrong = True
    whole = unpack.eof and len(out) == wanted
    wrong |= sure >= 0
    del out[wanted:]
    return out, min(sure if sure >= 0 else wanted, len(out)), whole, wrong


def _rows(width: int, height: int, bits: int, *, interlaced: bool) -> list[int]:
    """Return the bytes of each row before packing, with its filter."""
    if not interlaced:
        return [1 + (width * bits + 7) // 8] * height
    return [
        1 + (-(-(width - left) // across) * bits + 7) // 8
        for left, top, across, down in _ADAM7
        if width > left
        for _ in range(top, height, down)
    ]


def _written(before: list[tuple[bytes, bytes]], raw: bytes) -> bytes:
    parts = [*before, (b"IDAT", zlib.compress(raw, 1)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
