"""What is missing or wrong in the data of a PNG (ISO/IEC 15948), and a whole PNG of the rest."""

import struct
import zlib
from typing import NamedTuple

from veridical.io.jpeg import Loss

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = (  # left, top, step across, step down
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
_SIP, _STEP = 1 << 16, 1 << 20  # bytes packed and unpacked at a time

Pieces = list[tuple[memoryview, bool]]
"""The packed pixels, chunk by chunk, and whether each is sure to be what was written."""


class Mended(NamedTuple):
    """A damaged PNG as a whole one.

    Attributes:
        data: What was lost is black.
        loss: What it is; None where only what stands around the pixels is wrong.
    """

    data: bytes
    loss: Loss | None


def mend(data: bytes, *, doubt: bool = False) -> Mended | None:
    """Return a PNG with what is left of the picture; None if nothing is wrong with its data.

    Also None for an animation, of which Pillow decodes what is shown, or says that it cannot.

    Args:
        data: Whose header a decoder has read.
        doubt: Look into the packed pixels even if all checksums around them are right.
    """
    before, pieces, intact, animated = _chunks(data)
    if not before or animated or (intact and not doubt):
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", before[0][1][:13])
    if colour not in _CHANNELS:
        return None
    rows = _rows(width, height, _CHANNELS[colour] * depth, interlaced=bool(interlaced))
    wanted = sum(rows)
    raw, sure, whole, wrong = _unpacked(pieces, wanted)
    if whole:
        return Mended(_written(before, bytes(raw)), None)
    top = 0 if interlaced else sure // rows[0]
    share = 1 - (sure / wanted if interlaced else top / height)
    del raw[sure if interlaced else top * rows[0] :]
    raw += bytes(wanted - len(raw))
    return Mended(_written(before, bytes(raw)), Loss("corrupt" if wrong else "cut_off", share, top))


def _chunks(data: bytes) -> tuple[list[tuple[bytes, bytes]], Pieces, bool, bool]:
    """Return the chunks before the pixels, their pieces; if all are sure; if it is animated."""
    before, pieces = list[tuple[bytes, bytes]](), Pieces()
    at, intact, animated, view = len(_SIGNATURE), True, False, memoryview(data)
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4])
        kind, body = data[at + 4 : at + 8], view[at + 8 : end]
        if kind == b"IDAT":
            cut = end + 4 > len(data)
            sound = cut or zlib.crc32(view[at + 4 : end]) == int.from_bytes(view[end : end + 4])
            pieces.append((body, sound))
            intact &= sound
        elif pieces:  # what follows the pixels takes nothing away
            return before, pieces, intact, animated
        else:
            before.append((kind, bytes(body)))
            animated |= kind == b"acTL"
        at = end + 4
    return before, pieces, False, animated


def _unpacked(pieces: Pieces, wanted: int) -> tuple[bytearray, int, bool, bool]:
    """Return what can be unpacked; how much is sure; if it is all and right; if there is an error.

    The stream has a checksum of its own: with that right, a chunk with a wrong one is right too.
    """
    unpack, out, sure, wrong = zlib.decompressobj(), bytearray(), -1, False
    try:
        for piece, sound in pieces:
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
