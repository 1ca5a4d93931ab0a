"""A damaged file of any format as one that can be decoded, and what is lost of its picture."""

from functools import partial

from veridical.errors import PhotoError
from veridical.io import bmp, gif, jpeg, png, tiff_parts
from veridical.io.formats import Limits, announced, open_image
from veridical.io.frames import boxes
from veridical.io.loss import Loss, Mended


def mend(data: bytes, kind: str, limits: Limits, *, doubt: bool = False) -> Mended | None:
    """Return what is left of a damaged picture; None if nothing is wrong, or nothing is left.

    Args:
        data: Of the file.
        kind: Its format; of a JPEG what a decoder warns of is left to `jpeg.loss`.
        limits: On what is decoded.
        doubt: A decoder has refused it: look closer, which costs more.
    """
    if kind == "PNG":
        return png.mend(data, limits.max_pixels, doubt=doubt)
    if kind == "TIFF":
        alone = partial(_decodes, kind=kind, limits=limits)
        return tiff_parts.mend(data, limits.max_bytes, alone, doubt=doubt)
    if kind == "BMP":
        return bmp.mend(data, limits.max_bytes)
    if not doubt:
        return None
    if kind == "GIF":
        return gif.mend(data)
    if kind == "JPEG":
        return jpeg.mend(data, partial(_decodes, kind=kind, limits=limits))
    wanted = announced(data, kind)
    if not len(data) < wanted <= limits.max_bytes:
        return None
    filled = data + bytes(wanted - len(data))
    if 0 < _pixels_end(data, kind) <= len(data):
        return Mended(filled, None, note="the file ends early, behind its pixels")
    # Packed too well to say which rows came: none is sure.
    return Mended(filled, Loss("cut_off", 1 - len(data) / wanted, 0))


def _pixels_end(data: bytes, kind: str) -> int:
    """Return where the last part that holds pixels says that it ends; 0 where there is none."""
    if kind != "WEBP":
        return max((end for name, _, end in boxes(data) if name == b"mdat"), default=0)
    at, last = 12, 0
    while at + 8 <= len(data):
        end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "little")
        last = end if data[at : at + 4] in (b"VP8 ", b"VP8L", b"ANMF") else last
        at = end + end % 2
    return last


def _decodes(data: bytes, *, kind: str, limits: Limits) -> bool:
    try:
        image = open_image(data, kind, "", limits)
        image.draft("L", (image.width // 8, image.height // 8))  # enough to know, of a JPEG
        image.load()
    except (PhotoError, OSError, ValueError, SyntaxError, RuntimeError, MemoryError):
        return False
    return True
