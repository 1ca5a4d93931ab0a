"""NovelAI's stealth mark: text in the lowest bits of the alpha channel, column by column.

https://github.com/NovelAI/novelai-image-metadata: 15 bytes `stealth_pnginfo` or `stealth_pngcomp`
(gzip), the length in bits (32, big-endian), then JSON. It survives where text chunks are stripped.
"""

import json
import zlib
from collections.abc import Iterator

import numpy as np

from veridical.arrays import UInt8, ndarray
from veridical.claims import Claim, ClaimSource, Says, Standing, bounded
from veridical.errors import PhotoError
from veridical.io.formats import open_image, photo_errors_only
from veridical.io.png_chunks import alpha_of_first_column
from veridical.io.source import File
from veridical.provenance.generators import flat

_MAGIC = (b"stealth_pnginfo", b"stealth_pngcomp")
_MOST_PIXELS = 40_000_000
_MOST_TEXT = 2**20  # bytes, after inflating


def read_stealth(file: File) -> Iterator[Claim]:
    """Give the claim of a PNG's alpha channel; the picture is decoded only where the mark is."""
    assert file.data is not None
    start = alpha_of_first_column(file.data, 120)
    if start is None or _packed(start) not in _MAGIC:
        return
    text = _text(_alpha(file))
    values = flat(text)
    inner = json.loads(text).get("Comment") if text.startswith("{") else None
    values = {**(flat(inner) if isinstance(inner, str) else {}), **values}
    yield Claim(
        source=ClaimSource.ALPHA,
        says=Says.AI,
        standing=Standing.UNSIGNED,
        by="NovelAI",
        forgeable=True,
        plain="A text hidden in the transparency says that it was made with NovelAI. "
        "Anyone can write that.",
        technical="Stealth mark in the lowest bits of alpha, column by column"
        f"{'' if text else '; its text could not be read'}.",
        raw=bounded({**values, "alpha": text} if text else {}),
    )


def _packed(alpha: UInt8[ndarray, " bits"]) -> bytes:
    return np.packbits(alpha & 1).tobytes()


def _alpha(file: File) -> UInt8[ndarray, " pixels"]:
    assert file.data is not None
    try:
        image = open_image(file.data, "PNG", file.name, file.limits)
        if image.width * image.height > _MOST_PIXELS or image.mode != "RGBA":
            return np.zeros(0, np.uint8)
        with photo_errors_only(file.name, "PNG"):
            return np.asarray(image.getchannel("A")).T.reshape(-1)
    except PhotoError:
        return np.zeros(0, np.uint8)


def _text(alpha: UInt8[ndarray, " pixels"]) -> str:
    magic = _packed(alpha[:120])
    size = int.from_bytes(_packed(alpha[120:152])) if len(alpha) >= 152 else 0
    if magic not in _MAGIC or not 0 < size <= 8 * _MOST_TEXT or 152 + size > len(alpha):
        return ""
    body = _packed(alpha[152 : 152 + size])
    if magic == b"stealth_pngcomp":
        try:
            body = zlib.decompressobj(wbits=31).decompress(body, _MOST_TEXT)
        except zlib.error:
            return ""
    text = body.decode("utf-8", "replace")
    try:
        return text if isinstance(json.loads(text), dict) else ""
    except (ValueError, RecursionError):
        return ""
