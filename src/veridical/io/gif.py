"""What is left of the first picture of a GIF whose data end early or are no LZW code (GIF89a)."""

import numpy as np

from veridical.io.loss import Loss, Mended

_MOST_BYTES, _MOST_PIXELS = 8 << 20, 16 << 20  # this is slow: a few seconds at most
_GROUPS = 1024  # of codes that are packed at a time: a multiple of 8, so that whole bytes come


def mend(data: bytes) -> Mended | None:
    """Return a GIF of what can be unpacked of its first picture, the rest of index 0.

    None where no picture begins in the data, or nothing of its data is missing or wrong.
    """
    at = 13 + _colours(data, 10)
    while data[at : at + 1] == b"!":
        at = _behind(data, at + 2)
    size_at = at + 10 + _colours(data, at + 9)
    if data[at : at + 1] != b"," or size_at + 1 >= len(data) or not 1 < data[size_at] < 9:
        return None
    width, height = (int.from_bytes(data[at + n : at + n + 2], "little") for n in (5, 7))
    packed, size = _blocks(data, size_at + 1), data[size_at]
    wanted = width * height
    if not 0 < wanted <= _MOST_PIXELS or len(packed) > _MOST_BYTES:
        return None
    pixels, wrong = _unpacked(packed, size, wanted)
    if len(pixels) == wanted or not pixels:
        return None
    top, whole = int.from_bytes(data[at + 3 : at + 5], "little"), len(pixels) // width
    interlaced = data[at + 9] & 64
    loss = Loss(
        "corrupt" if wrong else "cut_off",
        1 - (len(pixels) / wanted if interlaced else whole / height),
        top if interlaced else top + whole,
        top + height,
    )
    kept = pixels if interlaced else pixels[: whole * width]
    made = _packed(kept + bytes(wanted - len(kept)), size)
    parts = (made[n : n + 255] for n in range(0, len(made), 255))
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    return Mended(data[: size_at + 1] + blocks + b"\0;", loss, blank=not interlaced)


def _colours(data: bytes, at: int) -> int:
    """Return the bytes of the table of colours that the flags at this place announce."""
    flags = data[at] if at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 128 else 0


def _behind(data: bytes, at: int) -> int:
    """Return the place behind the blocks that begin here."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _blocks(data: bytes, at: int) -> bytes:
    end = _behind(data, at) - 1
    parts = []
    while at < min(end, len(data)):
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    return b"".join(parts)


def _unpacked(packed: bytes, size: int, wanted: int) -> tuple[bytes, bool]:
    """Return the indices that can be unpacked, and whether a code was met that cannot be.

    Args:
        packed: LZW codes, the low bits first.
        size: Bits of an index.
        wanted: How many at most.
    """
    clear = 1 << size
    first = [*(bytes([one]) for one in range(clear)), b"", b""]
    table, width, before = first[:], size + 1, b""
    bits = have = count = 0
    out = list[bytes]()
    for byte in packed:
        bits |= byte << have
        have += 8
        while have >= width:
            code = bits & ((1 << width) - 1)
            bits >>= width
            have -= width
            if code == clear:
                table, width, before = first[:], size + 1, b""
                continue
            if code == clear + 1:
                return b"".join(out)[:wanted], False
            if code > len(table) or (code == len(table) and not before):
                return b"".join(out)[:wanted], True
            entry = table[code] if code < len(table) else before + before[:1]
            out.append(entry)
            count += len(entry)
            if count >= wanted:
                return b"".join(out)[:wanted], False
            if before and len(table) < 4096:
                table.append(before + entry[:1])
                width += len(table) == 1 << width and width < 12
            before = entry
    return b"".join(out), False


def _packed(pixels: bytes, size: int) -> bytes:
    """Return indices as LZW codes of one width: cleared before the width would grow."""
    clear, each = 1 << size, (1 << size) - 2
    step = _GROUPS * each
    parts = []
    for at in range(0, len(pixels), step):
        piece = np.frombuffer(pixels[at : at + step], np.uint8)
        groups = -(-len(piece) // each)
        codes = np.full((groups, each + 1), clear + 1, np.uint16)
        codes[:, 0] = clear
        last = at + step >= len(pixels)
        codes[:, 1:].flat[: len(piece)] = piece
        told = codes.reshape(-1)
        if last:
            told = np.append(told[: groups + len(piece)], np.uint16(clear + 1))
        bits = (told[:, None] >> np.arange(size + 1, dtype=np.uint16)) & 1
        parts.append(np.packbits(bits.astype(np.uint8), bitorder="little").tobytes())
    return b"".join(parts)
