"""The chunks of a PNG, before and behind its pixels (W3C, PNG Specification, third edition)."""

import struct
import zlib

import numpy as np

from veridical.arrays import UInt8, ndarray
from veridical.io.budget import Budget, Parts

_XMP = "XML:com.adobe.xmp"


def read(data: bytes, found: Parts, budget: Budget) -> None:
    """Walk the chunks; checksums are not looked at, a reader of text would not either."""
    at = 8
    while at + 8 <= len(data) and budget.part():
        (length,) = struct.unpack_from(">I", data, at)
        name, start = data[at + 4 : at + 8], at + 8
        if start + length > len(data):
            budget.gap(f"The PNG breaks off in the chunk at byte {at}.")
            return
        if name in _READERS:
            _READERS[name](data[start : start + length], found, budget)
        at = start + length + 4
        if name == b"IEND":
            found.trailing = max(0, len(data) - at)
            return


def _plain(body: bytes, found: Parts, budget: Budget) -> None:
    key, _, raw = body.partition(b"\0")
    _keep(_key(key), budget.take(raw, f"the text {_key(key)!r}"), found)


def _packed(body: bytes, found: Parts, budget: Budget) -> None:
    key, _, rest = body.partition(b"\0")
    _keep(_key(key), budget.inflate(rest[1:], f"the text {_key(key)!r}"), found)


def _international(body: bytes, found: Parts, budget: Budget) -> None:
    key, _, rest = body.partition(b"\0")
    packed, rest = rest[:1] == b"\1", rest[2:]
    raw = rest.partition(b"\0")[2].partition(b"\0")[2]
    what = f"the text {_key(key)!r}"
    _keep(_key(key), budget.inflate(raw, what) if packed else budget.take(raw, what), found)


def _keep(key: str, texts: object, found: Parts) -> None:
    for raw in texts:  # type: ignore[attr-defined]
        if key == _XMP:
            found.xmp.append(raw)
        else:
            found.text.append((key, _text(raw)))


def _exif(body: bytes, found: Parts, _: Budget) -> None:
    found.exif = found.exif or body


def _credential(_: bytes, found: Parts, __: Budget) -> None:
    found.credential = True


_READERS = {
    b"tEXt": _plain,
    b"zTXt": _packed,
    b"iTXt": _international,
    b"eXIf": _exif,
    b"caBX": _credential,
}


def _key(raw: bytes) -> str:
    return raw[:79].decode("latin-1")


def _text(raw: bytes) -> str:
    """Return text that should be Latin-1 in tEXt and zTXt, and that many write as UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


# --- pixels ------------------------------------------------------------------------------------


def alpha_of_first_column(data: bytes, rows: int) -> UInt8[ndarray, " rows"] | None:
    """Return the alpha of the first column's upper pixels, without decoding the picture.

    In the first column the left neighbours of every filter are 0, so that it can be unfiltered by
    itself: Sub adds 0, Up and Paeth the pixel above, Average half of it (PNG Specification, 9.2).

    Args:
        data: A PNG file.
        rows: How many are wanted.

    Returns:
        None where the picture has fewer rows, is interlaced, or is not RGBA of 8 bits.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if (depth, colour, interlaced) != (8, 6, 0) or height < rows:
        return None
    stride = 1 + 4 * width
    raw = _inflated(data, rows * stride)
    if len(raw) < rows * stride:
        return None
    lines = np.frombuffer(raw, np.uint8, rows * stride).reshape(rows, stride)
    alpha, above = np.zeros(rows, np.uint8), 0
    for row, (kind, value) in enumerate(
        zip(lines[:, 0].tolist(), lines[:, 4].tolist(), strict=True)
    ):
        if kind > 4:
            return None
        above = (value + (0, 0, above, above // 2, above)[kind]) & 255
        alpha[row] = above
    return alpha


def _inflated(data: bytes, most: int) -> bytes:
    """Return the first bytes of a PNG's pixels, as they are filtered."""
    stream, raw, at = zlib.decompressobj(), b"", 8
    while at + 8 <= len(data) and len(raw) < most:
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            try:
                raw += stream.decompress(data[at + 8 : at + 8 + length], most - len(raw))
            except zlib.error:
                break
        elif raw:
            break
        at += 12 + length
    return raw
