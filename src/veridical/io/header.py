"""What a file says of itself before any pixel is decoded: the one parser of metadata.

EXIF, XMP, colour profile, JPEG tables and text chunks are taken from the container by Pillow's
decoder of the format, inside the limits of `formats`. They are kept as the bytes they are; what is
needed of EXIF is read by hand: Pillow would parse all of it, and warn about every oddity.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, JpegImagePlugin

from veridical.arrays import Int, ndarray
from veridical.io.formats import Limits, known_format, open_image, photo_errors_only

_SUBSAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}  # Pillow's numbers
_TEXT_KEYS = 100  # text chunks kept; Pillow itself holds their total size to a limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of itself.

    Attributes:
        format: By content: JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF or HEIF.
        mode: Pillow's name for the channels as stored: RGB, RGBA, L, P, CMYK, ...
        width: As stored, px.
        height: As stored, px.
        orientation: EXIF orientation, 1 (upright) to 8; 1 where there is none.
        exif: EXIF block; empty where there is none before the pixels.
        xmp: XMP packet, likewise.
        profile: ICC colour profile, likewise.
        text: Text chunks of a PNG before the pixels, or a comment of a JPEG or GIF, by key.
        tables: Quantisation tables of a JPEG, luminance first, row by row; else none.
        subsampling: Of a JPEG's chroma, such as "4:2:0"; None for other formats and grey JPEGs.
        progressive: Whether a JPEG is.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    exif: bytes
    xmp: bytes
    profile: bytes
    text: Mapping[str, str]
    tables: tuple[tuple[int, ...], ...]
    subsampling: str | None
    progressive: bool

    @property
    def quality(self) -> tuple[int, float] | None:
        """JPEG quality, see `jpeg_quality`; None for other formats."""
        return jpeg_quality(self.tables[0]) if self.tables else None


def read_header(data: bytes, limits: Limits = Limits(), *, name: str = "The picture") -> Header:
    """Read the header of a picture's file.

    Raises:
        PhotoError: If it cannot be read, or is over the limits.
    """
    kind = known_format(data, name)
    return header_of(open_image(data, kind, name, limits), kind, name)


def header_of(image: Image.Image, kind: str, name: str) -> Header:
    """Return the header of a file that `open_image` has opened.

    Raises:
        PhotoDamaged: If it contradicts itself.
    """
    with photo_errors_only(name, kind):
        tables: tuple[tuple[int, ...], ...] = ()
        subsampling = None
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
            if image.mode != "L":
                found = JpegImagePlugin.get_sampling(image)
                subsampling = _SUBSAMPLINGS.get(found, "of another kind")
        exif = _bytes(image.info.get("exif"))
        tags = getattr(image, "tag_v2", None)
        return Header(
            format=kind,
            mode=image.mode,
            width=image.width,
            height=image.height,
            orientation=orientation_of(exif) if tags is None else _in_range(tags.get(0x0112, 1)),
            exif=exif,
            xmp=_bytes(image.info.get("xmp")),
            profile=_bytes(image.info.get("icc_profile")),
            text=_text(image),
            tables=tables,
            subsampling=subsampling,
            progressive=kind == "JPEG" and bool(image.info.get("progressive")),
        )


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _text(image: Image.Image) -> Mapping[str, str]:
    # `PngImageFile.text` would decode the pixels first, of every frame.
    chunks = getattr(getattr(image, "png", None), "im_text", {})
    found = {**chunks, "comment": image.info.get("comment")}
    told = {}
    for key, value in list(found.items())[:_TEXT_KEYS]:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")
        if isinstance(key, str) and isinstance(value, str):
            told[key] = str(value)
    return told


def _in_range(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def orientation_of(exif: bytes) -> int:
    """Return EXIF tag 0x0112 of the first directory, or 1 (upright) where there is none."""
    body = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(body[:4])
    try:
        (start,) = struct.unpack_from(f"{order}I", body, 4)
        (count,) = struct.unpack_from(f"{order}H", body, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", body, at)
            if tag == 0x0112:
                (value,) = struct.unpack_from(f"{order}{'I' if kind == 4 else 'H'}", body, at + 8)
                return _in_range(int(value))
    except struct.error:  # it breaks off, or is not EXIF at all (order is None)
        pass
    return 1


# --- JPEG quality ------------------------------------------------------------------------------

# ITU-T T.81, table K.1, row by row.
_LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61),
        *(12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56),
        *(14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77),
        *(24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101),
        *(72, 92, 95, 98, 112, 100, 103, 99),
    ]
)


def _libjpeg_tables() -> Int[ndarray, "100 64"]:
    """Return table K.1 at qualities 1 to 100 (`jpeg_quality_scaling` in libjpeg's jcparam.c)."""
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables: ndarray = np.clip((_LUMINANCE * scale[:, None] + 50) // 100, 1, 255)
    return tables


_TABLES = _libjpeg_tables()


def jpeg_quality(table: tuple[int, ...]) -> tuple[int, float]:
    """Return libjpeg's quality, 1 to 100, with the nearest table, and the mean difference to it.

    Tables of other encoders get the quality whose table is nearest; of equally near ones, the
    highest.

    Args:
        table: The luminance quantisation table; row by row.
    """
    away = np.abs(_TABLES - np.array(table)).mean(axis=1)
    best = len(away) - 1 - int(np.argmin(away[::-1]))
    return best + 1, float(away[best])
