"""Everything a file says about itself, taken out of its container without decoding a pixel.

`header.py` asks Pillow for what decoding needs. This parser walks the container itself: it reads
text behind the pixels, works on damaged pictures and on videos, and holds every length, count and
inflated byte to `Limits`. Whatever is left out is named in `gaps`.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

from veridical.io import bmff, iptc, png_chunks
from veridical.io.budget import Budget, Parts
from veridical.io.exif import has_credential as credential_in_tiff
from veridical.io.exif import tag_bytes
from veridical.io.formats import Limits, sniff

_C2PA = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x008\x9bq"  # JUMBF description of a C2PA store
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SCAN = 2**25  # bytes of entropy-coded data that are searched for the end of a JPEG
_ZIGZAG = tuple(  # where in the stream each value of the table stands, row by row
    place
    for _, place in sorted(
        (cell, place)
        for place, cell in enumerate(
            sorted(
                range(64),
                key=lambda at: (
                    at // 8 + at % 8,
                    at // 8 if (at // 8 + at % 8) % 2 else at % 8,
                ),
            )
        )
    )
)
_VIDEO = {b"qt  ": "video/quicktime"}
_MIME = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a file says of itself, as bytes and text; nothing of it is checked.

    Attributes:
        format: By content, as in `Header`; BMFF for a video; None where it is not known.
        mime: Media type, for a reader of credentials; None where it is not known.
        exif: EXIF block, from its TIFF header on; of a TIFF, the file. Empty where there is none.
        xmp: XMP packets; the parts of an extended one are put together.
        iptc: IPTC-IIM datasets by name ("Credit"), in order.
        text: Text chunks and comments as (key, text), in order; a key may come twice.
        credential: Whether the bytes of a C2PA credential are in the file.
        table: First quantisation table of a JPEG, row by row; empty where there is none.
        whole: Whether all parts of the container were looked at.
        trailing: Bytes behind the end of the picture; None where the end was not found.
        gaps: What could not be read, and why, as sentences.
    """

    format: str | None
    mime: str | None
    exif: bytes = b""
    xmp: tuple[bytes, ...] = ()
    iptc: tuple[tuple[str, str], ...] = ()
    text: tuple[tuple[str, str], ...] = ()
    credential: bool = False
    table: tuple[int, ...] = ()
    whole: bool = True
    trailing: int | None = None
    gaps: tuple[str, ...] = ()


def read_metadata(data: bytes, limits: Limits = Limits()) -> Metadata:
    """Read the metadata of any file; what is not understood is left out, and named in `gaps`."""
    kind = sniff(data)
    if kind is None and data[4:8] == b"ftyp":
        kind = "BMFF"
    budget = Budget(limits)
    found = Parts()
    walk = _WALKS.get(kind or "")
    if walk:
        try:
            walk(data, found, budget)
        except (struct.error, ValueError, IndexError) as error:
            budget.gap(f"The {kind} file contradicts itself ({type(error).__name__}).")
    _from_profiles(found, budget)
    mime = _MIME.get(kind or "")
    if kind == "BMFF":
        mime = _of_clip(data)
    found.credential = found.credential or _C2PA in data
    return _gathered(kind, mime, found, budget)


def read_mapped(data: mmap, limits: Limits = Limits()) -> Metadata:
    """Read the metadata of a clip that is too large to be held; of MP4 and QuickTime only.

    Little of it is touched: the boxes are walked, and their contents skipped.
    """
    budget, found = Budget(limits), Parts()
    if data[4:8] != b"ftyp":
        budget.gap("Of files this large only MP4 and QuickTime are looked at.")
        return _gathered(None, None, found, budget)
    try:
        bmff.read(data, found, budget)
    except (struct.error, ValueError, IndexError) as error:
        budget.gap(f"The file contradicts itself ({type(error).__name__}).")
    return _gathered("BMFF", _of_clip(data), found, budget)


def _of_clip(data: bytes | mmap) -> str:
    return _VIDEO.get(data[8:12], "video/mp4")


def _gathered(kind: str | None, mime: str | None, found: Parts, budget: Budget) -> Metadata:
    return Metadata(
        format=kind,
        mime=mime,
        exif=_bare(found.exif),
        xmp=tuple(found.xmp),
        iptc=tuple(found.iptc),
        text=tuple(found.text),
        credential=found.credential,
        table=found.table,
        whole=budget.whole,
        trailing=found.trailing,
        gaps=tuple(budget.gaps),
    )


def _bare(exif: bytes) -> bytes:
    return exif[6:] if exif.startswith(b"Exif\0\0") else exif


def _from_profiles(found: Parts, budget: Budget) -> None:
    """Read what ImageMagick writes as hexadecimal text: EXIF, XMP and IPTC of a PNG."""
    for key, text in found.text:
        kind = key.lower().removeprefix("raw profile type ")
        if kind == key.lower():
            continue
        digits = "".join(text.split()[2:]) if text.split() else ""
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            budget.gap(f"The text chunk {key!r} is not the hexadecimal text that it should be.")
            continue
        if kind in ("exif", "app1") and raw.startswith(b"Exif") and not found.exif:
            found.exif = raw
        elif kind == "xmp" or raw.startswith(_XMP):
            found.xmp.append(raw.removeprefix(_XMP))
        elif kind in ("iptc", "8bim"):
            found.iptc += iptc.datasets(raw, budget)


# --- JPEG --------------------------------------------------------------------------------------


def _jpeg(data: bytes, found: Parts, budget: Budget) -> None:
    more: dict[bytes, dict[int, bytes]] = {}
    sizes: dict[bytes, int] = {}
    at = 2
    while at + 4 <= len(data) and budget.part():
        if data[at] != 0xFF:
            budget.gap(f"The JPEG's segments break off at byte {at}.")
            break
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (0xD9, 0xDA):
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if length < 2 or len(body) < length - 2:
            budget.gap(f"The JPEG breaks off in the segment at byte {at}.")
            break
        _segment(marker, body, found, more, sizes, budget)
        at += 2 + length
    for name, pieces in more.items():
        whole = b"".join(pieces[place] for place in sorted(pieces))
        if len(whole) != sizes[name]:
            budget.gap("Parts of an extended XMP packet are missing.")
        else:
            found.xmp.append(whole)
    found.trailing = _behind(data, at, budget)


def _segment(
    marker: int,
    body: bytes,
    found: Parts,
    more: dict[bytes, dict[int, bytes]],
    sizes: dict[bytes, int],
    budget: Budget,
) -> None:
    if marker == 0xE1 and body.startswith(b"Exif\0") and not found.exif:
        found.exif = body
    elif marker == 0xE1 and body.startswith(_XMP):
        found.xmp += budget.take(body[len(_XMP) :], "an XMP packet")
    elif marker == 0xE1 and body.startswith(_XMP_MORE):
        # Adobe, XMP Specification Part 3, 1.1.3.1: GUID, full length, offset, then the bytes.
        start = len(_XMP_MORE)
        name = body[start : start + 32]
        size, place = struct.unpack_from(">II", body, start + 32)
        sizes[name] = size
        for piece in budget.take(body[start + 40 :], "an extended XMP packet"):
            more.setdefault(name, {})[place] = piece
    elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
        found.iptc += iptc.resources(body[14:], budget)
    elif marker == 0xEB and body.startswith(b"JP") and b"jumb" in body[:64]:
        found.credential = found.credential or b"c2pa" in body[:128]
    elif marker == 0xDB and not found.table:
        found.table = _table(body)
    elif marker == 0xFE:
        found.text += ((("comment"), _text(piece)) for piece in budget.take(body, "a comment"))


def _table(body: bytes) -> tuple[int, ...]:
    """Return the first table of a DQT segment, row by row (ITU-T T.81, B.2.4.1)."""
    wide = body[:1] >= b"\x10"
    size = 128 if wide else 64
    if len(body) < 1 + size or body[0] & 15:
        return ()
    values = struct.unpack_from(">64H" if wide else "64B", body, 1)
    return tuple(values[place] for place in _ZIGZAG)


def _behind(data: bytes, at: int, budget: Budget) -> int | None:
    """Return how many bytes lie behind the end of a JPEG, whose first scan begins at `at`."""
    while at + 2 <= len(data) and budget.part():
        match = _MARKER.search(data, at, at + _SCAN)
        if match is None:
            return None
        at, marker = match.end(), data[match.start() + 1]
        if marker == 0xD9:
            return len(data) - at
        if marker not in (0x01, 0xD8) and at + 2 <= len(data):
            at += max(2, struct.unpack_from(">H", data, at)[0])
    return None


# --- PNG, TIFF, ISO base media -----------------------------------------------------------------


def _png(data: bytes, found: Parts, budget: Budget) -> None:
    png_chunks.read(data, found, budget)


def _tiff(data: bytes, found: Parts, budget: Budget) -> None:
    if data[2:4] in (b"+\0", b"\0+"):
        budget.gap("A BigTIFF's metadata are not read.")
        return
    found.exif = data
    for packet in tag_bytes(data, 700):
        found.xmp += budget.take(packet, "an XMP packet")
    for block in tag_bytes(data, 33723):
        found.iptc += iptc.datasets(block, budget)
    found.credential = credential_in_tiff(data)


def _bmff(data: bytes, found: Parts, budget: Budget) -> None:
    bmff.read(data, found, budget)


# --- WebP --------------------------------------------------------------------------------------


def _webp(data: bytes, found: Parts, budget: Budget) -> None:
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    at = 12
    while at + 8 <= min(end, len(data)) and budget.part():
        name, length = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if at + 8 + length > len(data):
            budget.gap(f"The WebP breaks off in the chunk at byte {at}.")
            return
        if name == b"EXIF" and not found.exif:
            found.exif = data[at + 8 : at + 8 + length]
        elif name == b"XMP ":
            found.xmp += budget.take(data[at + 8 : at + 8 + length], "an XMP packet")
        elif name == b"C2PA":
            found.credential = True
        at += 8 + length + length % 2
    found.trailing = max(0, len(data) - end - end % 2)


# --- GIF ---------------------------------------------------------------------------------------


def _gif(data: bytes, found: Parts, budget: Budget) -> None:
    at = 13 + _colours(data[10])
    while at < len(data) and budget.part():
        kind = data[at]
        if kind == 0x3B:
            found.trailing = len(data) - at - 1
            return
        if kind == 0x2C:
            at += 11 + _colours(data[at + 9])
            at = _skipped(data, at, budget)
        elif kind == 0x21:
            at = _extension(data, at, found, budget)
        else:
            budget.gap(f"The GIF's blocks break off at byte {at}.")
            return


def _extension(data: bytes, at: int, found: Parts, budget: Budget) -> int:
    label, start = data[at + 1], at + 2
    if label == 0xFF and data[start + 1 : start + 12] == b"XMP DataXMP":
        # The packet stands there as it is; 258 bytes behind it lead every reader to its end.
        end = data.find(b"\x01\xff\xfe", start + 12)
        if end > 0:
            found.xmp += budget.take(data[start + 12 : end], "an XMP packet")
            return _skipped(data, end + 256, budget)
    if label == 0xFF and data[start + 1 : start + 9] == b"C2PA_GIF":
        found.credential = True
    if label == 0xFE:
        text = b"".join(_blocks(data, start, budget))
        found.text += (("comment", _text(piece)) for piece in budget.take(text, "a comment"))
    return _skipped(data, start, budget)


def _colours(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(data: bytes, at: int, budget: Budget) -> Iterator[bytes]:
    while at < len(data) and data[at] and budget.part():
        yield data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]


def _skipped(data: bytes, at: int, budget: Budget) -> int:
    while at < len(data) and data[at] and budget.part():
        at += 1 + data[at]
    return at + 1


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


_WALKS = {
    "JPEG": _jpeg,
    "PNG": _png,
    "TIFF": _tiff,
    "WEBP": _webp,
    "GIF": _gif,
    "AVIF": _bmff,
    "HEIF": _bmff,
    "BMFF": _bmff,
}
