"""EXIF (CIPA DC-008) by hand: only the fields that say where a picture comes from.

Pillow would parse all of it, and warn about every oddity. Serial numbers and owners are private and
are not read. A position is read for filed reports alone; else only that it is there is told.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_TAGS = {
    0x000B: "ProcessingSoftware",
    0x010E: "ImageDescription",
    0x010F: "Make",
    0x0110: "Model",
    0x0131: "Software",
    0x0132: "DateTime",
    0x013B: "Artist",
    0x013C: "HostComputer",
    0x8298: "Copyright",
    0x829A: "ExposureTime",
    0x829D: "FNumber",
    0x8827: "ISO",
    0x9000: "ExifVersion",
    0x9003: "DateTimeOriginal",
    0x9004: "DateTimeDigitized",
    0x9010: "OffsetTime",
    0x9286: "UserComment",
    0x920A: "FocalLength",
    0x9C9C: "XPComment",
    0xA000: "FlashpixVersion",
    0xA300: "FileSource",
    0xA433: "LensMake",
    0xA434: "LensModel",
}
_EXIF, _GPS, _C2PA = 0x8769, 0x8825, 0xCD41
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_MOST_TAGS, _MOST_BYTES = 300, 2**20
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 13: 4}  # bytes, by type
_NAMES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exif:
    """What an EXIF block says.

    Attributes:
        values: Text by the name of its tag, without NULs and spaces at its end.
        position: Whether there is a position (GPS).
        coordinates: That position as the file gives it, in degrees, north and east positive; empty
            where it is none that can be read.
        thumbnail: The embedded JPEG; empty where there is none.
    """

    values: dict[str, str]
    position: bool = False
    coordinates: str = ""
    thumbnail: bytes = b""


def read_exif(block: bytes) -> Exif:
    """Read an EXIF block from its TIFF header on; what breaks off is left out."""
    order = _order(block)
    if order is None:
        return Exif(values={})
    values: dict[str, str] = {}
    first = _first(block, order)
    places, position, coordinates, thumbnail, second = {}, False, "", b"", 0
    for tag, kind, count, raw in _directory(block, first, order):
        if tag in _TAGS:
            values.setdefault(_TAGS[tag], _told(tag, kind, count, raw, order))
        elif tag in (_EXIF, _GPS) and len(raw) >= 4:
            places[tag] = struct.unpack_from(f"{order}I", raw)[0]
    for tag, kind, count, raw in _directory(block, places.get(_EXIF, 0), order):
        if tag in _TAGS:
            values.setdefault(_TAGS[tag], _told(tag, kind, count, raw, order))
    if _GPS in places:
        gps = {tag: raw for tag, _, _, raw in _directory(block, places[_GPS], order)}
        position = bool({2, 4} & gps.keys())
        coordinates = _coordinates(gps, order)
    second = _next(block, first, order)
    found = {
        tag: struct.unpack_from(f"{order}I", raw)[0]
        for tag, kind, _, raw in _directory(block, second, order)
        if tag in (_THUMBNAIL, _THUMBNAIL_LENGTH) and kind == 4 and len(raw) >= 4
    }
    if len(found) == 2:
        thumbnail = block[found[_THUMBNAIL] :][: min(found[_THUMBNAIL_LENGTH], _MOST_BYTES)]
    shown = {name: value for name, value in values.items() if value}
    return Exif(values=shown, position=position, coordinates=coordinates, thumbnail=thumbnail)


def _coordinates(gps: dict[int, bytes], order: str) -> str:
    """Return latitude and longitude (CIPA DC-008, GPSLatitudeRef to GPSLongitude) in degrees."""
    told = []
    for side, value, negative, most in ((1, 2, b"S", 90), (3, 4, b"W", 180)):
        raw = gps.get(value, b"")
        if len(raw) != 24:
            return ""
        numbers = struct.unpack(f"{order}6I", raw)
        parts = [
            above / below if below else 0.0
            for above, below in zip(numbers[::2], numbers[1::2], strict=True)
        ]
        degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
        if degrees > most:
            return ""
        told.append(f"{-degrees if gps.get(side, b'')[:1] == negative else degrees:.6f}")
    return ", ".join(told)


def tag_bytes(block: bytes, wanted: int) -> Iterator[bytes]:
    """Return the bytes of a tag of the first directory."""
    order = _order(block)
    if order:
        for tag, _, _, raw in _directory(block, _first(block, order), order, most=len(block)):
            if tag == wanted:
                yield raw


def has_credential(block: bytes) -> bool:
    """Return whether the first directory of a TIFF has a C2PA credential."""
    return any(True for _ in tag_bytes(block, _C2PA))


def _order(block: bytes) -> str | None:
    return {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])


def _first(block: bytes, order: str) -> int:
    return int(struct.unpack_from(f"{order}I", block, 4)[0]) if len(block) >= 8 else 0


def _next(block: bytes, at: int, order: str) -> int:
    try:
        (count,) = struct.unpack_from(f"{order}H", block, at)
        return int(struct.unpack_from(f"{order}I", block, at + 2 + 12 * count)[0])
    except struct.error:
        return 0


def _directory(
    block: bytes, at: int, order: str, *, most: int = _MOST_BYTES
) -> Iterator[tuple[int, int, int, bytes]]:
    """Give tag, type, count and bytes of each entry; what lies outside the block is left out."""
    if not 8 <= at <= len(block) - 2:
        return
    (entries,) = struct.unpack_from(f"{order}H", block, at)
    for place in range(at + 2, at + 2 + 12 * min(entries, _MOST_TAGS), 12):
        if place + 12 > len(block):
            return
        tag, kind, count = struct.unpack_from(f"{order}HHI", block, place)
        size = _SIZES.get(kind, 0) * count
        if not 0 < size <= most:
            continue
        start = place + 8 if size <= 4 else struct.unpack_from(f"{order}I", block, place + 8)[0]
        raw = block[start : start + size]
        if len(raw) == size:
            yield tag, kind, count, raw


def _told(tag: int, kind: int, count: int, raw: bytes, order: str) -> str:
    if tag == 0x9286:
        return _comment(raw, order)
    if tag == 0x9C9C:
        return _clean(raw.decode("utf-16-le", "replace"))
    if kind in (2, 7):
        return _clean(raw.decode("utf-8", "backslashreplace"))
    if kind in (5, 10):
        above, below = struct.unpack_from(f"{order}{'II' if kind == 5 else 'ii'}", raw)
        return f"{above}/{below}"
    name = _NAMES.get(kind)
    return str(struct.unpack_from(f"{order}{name}", raw)[0]) if name else ""


def _comment(raw: bytes, order: str) -> str:
    """Return a user comment: eight bytes name its character set, and few writers agree on it."""
    code, body = raw[:8], raw[8:]
    if code.startswith(b"UNICODE"):
        # piexif, with which A1111 writes, takes big-endian whatever the order of the block.
        high, low = body[::2].count(0), body[1::2].count(0)
        big = high > low or (high == low and order == ">")
        return _clean(body.decode("utf-16-be" if big else "utf-16-le", "replace"))
    if code.startswith((b"ASCII", b"JIS")) or not code.strip(b"\0 "):
        return _clean(body.decode("utf-8", "backslashreplace"))
    return _clean(raw.decode("utf-8", "backslashreplace"))


def _clean(text: str) -> str:
    return text.replace("\ufeff", "").partition("\0")[0].strip() or text.strip("\0 ").strip()
