"""Which of the pictures in a file is the one that people see, and how many there are."""

import struct
from contextlib import suppress

from PIL import Image

from veridical.errors import PhotoTooSlow
from veridical.io import tiff

_MULTI_FRAME = 0x02  # MP types: panorama, disparity, multi-angle
_UNDEFINED = 0x00
_GAIN_MAPS = (b"HDRGainMap", b"hdrgm:", b"urn:iso:std:iso:ts:21496")
_NAMES = {"TIFF": "page", "MPO": "picture", "HEIF": "picture", "JPEG": "picture"}


def show(image: Image.Image, kind: str | None, data: bytes | None, steps: list[str]) -> int:
    """Go to the picture that an ordinary viewer shows; return how many the file holds.

    That is the frame at which the image stands: the first, of a HEIC the primary one. Only where an
    animated PNG hides its default image it is the first of the animation. Of a Pillow image that
    its owner has moved to another frame it is that one.

    Args:
        image: Not loaded yet.
        kind: Of the file; None where it is not known.
        data: Of the file; None for a stranger's Pillow image.
        steps: Is told which one was taken.
    """
    if kind == "TIFF" and data is not None:
        return _page_of(data, steps)
    if kind in ("JPEG", "MPO") and "mp" in image.info:
        frames, at, surely = 1 + _others(image, data), _place(image), True
    else:
        frames, surely = _count(image)
        at = _place(image)
    if getattr(image, "default_image", False):
        frames -= 1  # Pillow counts the hidden one
        if at == 0:
            image.seek(1)
            steps.append("default image of the PNG, which viewers hide, passed over")
        at = max(0, at - 1)
    elif kind == "HEIF" and data is not None and b"moov" in _boxes(data):
        steps.append("cover picture of a sequence taken")
    if frames > 1:
        of = f"{frames}" if surely else f"{frames} or more"
        steps.append(f"{_NAMES.get(kind or '', 'frame')} {at + 1} of {of} taken")
    return max(1, frames)


def _page_of(data: bytes, steps: list[str]) -> int:
    chosen = tiff.choose(data)
    if chosen is None:
        return 1
    if not chosen.first:
        steps.append("smaller copy at the beginning of the TIFF passed over")
    if chosen.pages > 1:
        steps.append(f"page {chosen.number} of {chosen.pages} taken")
    return chosen.pages


def _place(image: Image.Image) -> int:
    return image.tell() if hasattr(image, "n_frames") else 0


def _count(image: Image.Image) -> tuple[int, bool]:
    """Return how many frames there are, and whether that is all of them."""
    there = _place(image)
    try:
        return int(getattr(image, "n_frames", 1)), True
    except PhotoTooSlow:
        raise
    except Exception:  # GIF walks through its frames to count them; damage there is not the first's
        found = max(2, image.tell() + 1)
        with suppress(EOFError):
            image.seek(there)
        return found, False


def _others(image: Image.Image, data: bytes | None) -> int:
    """Return how many more pictures a multi-picture JPEG holds (CIPA DC-007, table 3).

    Previews are smaller copies of the first; what phones put there to show it brighter is none.
    """
    block: bytes = image.info["mp"]
    order = "<" if block[:2] == b"II" else ">"
    count = 0
    try:
        (at,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, at)
        for place in range(at + 2, at + 2 + 12 * entries, 12):
            tag, _, size, value = struct.unpack_from(f"{order}HHII", block, place)
            if tag != 0xB002:
                continue
            for entry in range(value + 16, value + size, 16):
                kind, length, start = struct.unpack_from(f"{order}III", block, entry)
                kind = kind >> 16 & 0xFF
                begin = start + int(image.info.get("mpoffset", 0))
                own = (data or b"")[begin : begin + min(length, 2**16)]
                gain = any(mark in own for mark in _GAIN_MAPS)
                count += kind == _MULTI_FRAME or (kind == _UNDEFINED and not gain)
    except struct.error:
        pass
    return count


def _boxes(data: bytes) -> set[bytes]:
    """Return the kinds of the outermost boxes of an ISO base media file (ISO/IEC 14496-12)."""
    return {kind for kind, _, _ in boxes(data)}


def boxes(data: bytes) -> "list[tuple[bytes, int, int]]":
    """Return kind, begin and declared end of each of these boxes."""
    at, found = 0, list[tuple[bytes, int, int]]()
    while at + 8 <= len(data) and len(found) < 1000:
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        elif size == 0:
            size = len(data) - at
        if size < 8:
            break
        found.append((kind, at, at + size))
        at += size
    return found
