"""Bytes in, an upright sRGB photo out. Until it has been decoded, a picture is a stranger's file.

We look at the first bytes ourselves and hand the file to the one Pillow decoder they call for: no
PostScript, no guessing by suffix. Going past `Image.open` also goes past the decompression-bomb
warning it raises in the middle of a file, which could only be silenced for all threads at once;
the size in the header is held to our own limits instead, before any pixel is decoded. Pillow's
remaining warnings, about odd metadata, are left to the filters of the program that calls us; under
`-W error` such a file counts as damaged.
"""

import hashlib
import io
import os
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol, runtime_checkable

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from veridical._optional import need
from veridical.arrays import UInt8, ndarray
from veridical.colour import BYTE_OF, eight_bits, to_srgb
from veridical.errors import (
    FormatNotInstalled,
    MissingExtra,
    NotAPhoto,
    PhotoDamaged,
    PhotoEmpty,
    PhotoError,
    PhotoMissing,
    PhotoTooLarge,
    PhotoTooSlow,
    PhotoUnreadable,
)


@runtime_checkable
class Stream(Protocol):
    """What we need of an open file: bytes, from where it stands. Any `BinaryIO` will do."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


Source = str | os.PathLike[str] | bytes | Stream | Image.Image | ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one picture may ask of us.

    Attributes:
        max_bytes: Of the file, before decoding.
        max_pixels: Width times height, read from the header.
        max_side: Of the width and of the height, px, read from the header.
        max_seconds: For decoding. Checked each time the decoder asks for more of the file, which
            stops JPEG, PNG, GIF, BMP and uncompressed TIFF on the way; WebP, AVIF, HEIC and
            compressed TIFF are decoded in one go, and bounded by their pixels alone.
    """

    max_bytes: int = 100 * 2**20
    max_pixels: int = 100_000_000
    max_side: int = 20_000
    max_seconds: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Photo:
    """A decoded picture.

    Attributes:
        pixels: sRGB, upright, transparency laid over white; read-only.
        sha256: Of the bytes before decoding; `fingerprint(pixels)` where no bytes came.
        path: The path as it was given; None for pictures that came otherwise.
        format: By content: JPEG, PNG, WEBP, BMP, TIFF, GIF, AVIF or HEIF; None for arrays.
        steps: What was done to the picture on the way in, in order.
    """

    pixels: UInt8[ndarray, "height width 3"]
    sha256: str
    path: str | None
    format: str | None
    steps: tuple[str, ...]


def read_photo(source: Source, limits: Limits = Limits()) -> Photo:
    """Decode one picture within limits. Of several frames or pages, the first (HEIC: the primary).

    Samples of 16 bits become 8 by division by 257; Pillow cuts colour of 16 bits per channel to
    the high byte, which differs by at most one level. A greyscale float picture is taken to have
    the smallest of the ranges [0, 1], [0, 255] and [0, 65535] that holds it, and a 32-bit integer
    one that of 16 bits if that holds it, else of 32.

    Args:
        source: A path; the bytes of a file; a binary stream, read from where it stands; a Pillow
            image; or an array of height x width [x 1, 3 or 4], of uint8, uint16 or of floats
            in [0, 1], RGB(A) in sRGB.
        limits: On what one picture may ask of us.

    Raises:
        PhotoMissing: No such file, or it is a folder.
        PhotoUnreadable: The system, or the stream, does not give the bytes out.
        PhotoEmpty: There are no bytes, or no pixels.
        NotAPhoto: Not one of the formats above, or an array of another kind.
        PhotoDamaged: The picture breaks off or contradicts itself.
        PhotoTooLarge: Over the limits on bytes or pixels, or larger than the memory.
        PhotoTooSlow: Over the limit on seconds.
        FormatNotInstalled: The decoder for this format is not installed.
    """
    if isinstance(source, ndarray):
        return _from_array(source, limits)
    if isinstance(source, Image.Image):
        return _from_pillow(source, limits)
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) > limits.max_bytes:
            _refuse_bytes("The picture", len(source), limits)
        return _from_bytes(bytes(source), None, limits)
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return _from_bytes(read_bytes(path, limits), path, limits)
    if isinstance(source, Stream):
        return _from_bytes(_read_stream(source, limits), None, limits)
    raise NotAPhoto(
        f"A {type(source).__name__} came.",
        hint="Pass a path, bytes, a binary stream, a Pillow image or an array.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of itself before any pixel is decoded.

    Attributes:
        format: By content, as in `Photo`.
        mode: Pillow's name for the channels as stored: RGB, RGBA, L, P, CMYK, ...
        exif: Whether EXIF comes before the pixels.
        profile: Whether a colour profile comes before the pixels.
        tables: Quantisation tables of a JPEG, luminance first; none for other formats.
        subsampling: Of a JPEG's chroma, such as "4:2:0"; None for other formats and grey JPEGs.
        progressive: Whether a JPEG is.
    """

    format: str
    mode: str
    exif: bool
    profile: bool
    tables: tuple[tuple[int, ...], ...]
    subsampling: str | None
    progressive: bool


_SUBSAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}  # Pillow's numbers


def read_header(data: bytes, limits: Limits = Limits()) -> Header:
    """Read the header of a picture's file, within the same limits as `read_photo`.

    Raises:
        PhotoError: As `read_photo`.
    """
    kind = _known(data, "The picture")
    with _photo_errors_only("The picture", kind):
        image = _decoder(kind)(_Clock(data, "The picture", limits.max_seconds))
        _check_size("The picture", image.size, limits)
        tables: tuple[tuple[int, ...], ...] = ()
        subsampling = None
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
            if image.mode != "L":
                found = JpegImagePlugin.get_sampling(image)
                subsampling = _SUBSAMPLINGS.get(found, "of another kind")
        return Header(
            format=kind,
            mode=image.mode,
            exif=bool(image.info.get("exif")),
            profile=bool(image.info.get("icc_profile")),
            tables=tables,
            subsampling=subsampling,
            progressive=kind == "JPEG" and bool(image.info.get("progressive")),
        )


def fingerprint(pixels: UInt8[ndarray, "height width 3"]) -> str:
    """SHA-256 of height and width ("480x640 ") followed by the raw pixels, row by row."""
    height, width, _ = pixels.shape
    digest = hashlib.sha256(f"{height}x{width} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


# --- getting the bytes ---------------------------------------------------------------------------


def read_bytes(path: str | os.PathLike[str], limits: Limits = Limits()) -> bytes:
    """Read a picture's file within limits, without decoding it.

    Raises:
        PhotoMissing: No such file, or it is a folder.
        PhotoUnreadable: The system does not give the bytes out.
        PhotoTooLarge: Over the limit on bytes.
    """
    path = os.fsdecode(path)
    try:
        with io.FileIO(path, opener=_open_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise PhotoUnreadable(
                    f"{path}: is a pipe, a socket or a device; a regular file was wanted.",
                    hint="Pass its bytes, or the opened stream.",
                )
            if found.st_size > limits.max_bytes:
                _refuse_bytes(path, found.st_size, limits)
            return _read_at_most(file, path, limits, chunk=found.st_size + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        if os.path.isdir(path):  # noqa: PTH112 (which never raises)
            raise PhotoMissing(
                f"{path}: is a folder; a picture was wanted.",
                hint="Name the pictures in it; `veridical inspect` also walks folders.",
            ) from error
        if isinstance(error, FileNotFoundError | NotADirectoryError | ValueError):
            raise PhotoMissing(f"{path}: no such file.", hint="Check the path.") from error
        raise PhotoUnreadable(
            f"{path}: the system will not let us read it ({error.strerror or error}).",
            hint="Check that you may read the file, and that its disk is in order.",
        ) from error


def _open_without_waiting(path: str, flags: int) -> int:
    """Open even a pipe at once: a named pipe in a folder must not stop a scan for good."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _read_stream(stream: Stream, limits: Limits) -> bytes:
    try:
        return _read_at_most(stream, "The stream", limits, chunk=2**20)
    except PhotoError:
        raise
    except Exception as error:  # whatever a stranger's stream may raise
        raise PhotoUnreadable(
            f"The stream could not be read ({_said(error)}).",
            hint="Pass an open stream of bytes, such as open(path, 'rb').",
        ) from error


def _read_at_most(stream: Stream | io.FileIO, name: str, limits: Limits, *, chunk: int) -> bytes:
    """Read to the end in chunks, and at most one byte more than is allowed."""
    pieces, left = [], limits.max_bytes + 1
    while left > 0 and (piece := stream.read(min(chunk, left))):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        _refuse_bytes(name, limits.max_bytes + 1, limits)
    return b"".join(pieces)


def _refuse_bytes(name: str, size: int, limits: Limits) -> NoReturn:
    raise PhotoTooLarge(
        f"{name}: {size} bytes or more came; the limit is {limits.max_bytes}.",
        hint="Use a smaller copy, or raise Limits.max_bytes.",
    )


# --- which format? -------------------------------------------------------------------------------


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """Pillow's JPEG decoder, fed in sips, with the resolution unread."""

    def _open(self) -> None:
        # With a resolution at hand Pillow leaves EXIF alone, and so does not warn when it is odd.
        self.info["dpi"] = (72, 72)
        # A progressive scan of a hundred bytes can cost ten milliseconds; 4 KiB at a time keep the
        # clock's checks close together, and cost an honest picture nothing measurable.
        self.decodermaxblock = 4096
        super()._open()


_DECODERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": _Jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
_SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".png", ".apng"), "PNG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    ".webp": "WEBP",
    ".gif": "GIF",
    ".avif": "AVIF",
}
_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}  # bytes; the versions of BITMAPINFOHEADER
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_STRANGERS = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\x1f\x8b": "a gzip archive",
    b"8BPS": "a Photoshop document",
    b"%!PS": "a PostScript document",
    b"\0\0\x01\0": "a Windows icon",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 picture",
    b"\0\0\0\x0cJXL ": "a JPEG XL picture",
    b"\xff\x0a": "a JPEG XL picture",
    b"\x1aE\xdf\xa3": "a Matroska or WebM video",
    b"version https://git-lfs": "a Git LFS pointer, not the file it stands for",
}


def _sniff(data: bytes) -> str | None:
    """Return the format that the first bytes announce, of those we accept."""
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if data[4:8] == b"ftyp":
        box = data[8 : min(int.from_bytes(data[:4]), 256)]
        brands = {box[:4], *(box[at : at + 4] for at in range(8, len(box), 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & (_HEIF_BRANDS | {b"mif1", b"msf1"}):
            return "HEIF"
    return None


def _describe(data: bytes) -> str:
    """Say what bytes that are no photo look like."""
    for magic, what in _STRANGERS.items():
        if data.startswith(magic):
            return what
    if data[4:8] == b"ftyp":
        return "an MP4 or QuickTime video, or a raw picture"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if start.startswith(b"<"):
        return "an SVG drawing" if b"<svg" in start else "an XML document"
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in start):
        return "text"
    return f"no format we know (it begins with {data[:8].hex(' ')})"


# --- decoding ------------------------------------------------------------------------------------


class _Clock(io.BytesIO):
    """A file in memory that stops giving once the time is up, wherever the decoder then is."""

    def __init__(self, data: bytes, name: str, seconds: float) -> None:
        super().__init__(data)
        self._name, self._seconds, self._end = name, seconds, time.monotonic() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self._end:
            raise PhotoTooSlow(
                f"{self._name}: decoding took longer than {self._seconds:g} s.",
                hint="Re-save the picture as a plain JPEG or PNG, or raise Limits.max_seconds.",
            )
        return super().read(size)


@contextmanager
def _photo_errors_only(name: str, kind: str | None) -> Iterator[None]:
    """Translate whatever a decoder raises. For a hostile file that can be anything at all."""
    what = f"begins like a {kind} file" if kind else "came"
    try:
        yield
    except PhotoError:
        raise
    except MissingExtra as error:
        raise FormatNotInstalled(f"{name}: {what}. {error.message}", hint=error.hint) from error
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoTooLarge(
            f"{name}: {what}, and is more than Pillow or the memory can hold ({_said(error)}).",
            hint="Use a smaller copy.",
        ) from error
    except Exception as error:
        raise PhotoDamaged(
            f"{name}: {what}, and cannot be decoded ({_said(error)}).",
            hint="Get an undamaged copy, or re-save it as an 8-bit JPEG or PNG.",
        ) from error


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:200].rstrip(": ")


def _from_bytes(data: bytes, path: str | None, limits: Limits) -> Photo:
    name = path or "The picture"
    kind = _known(data, name)
    steps = []
    suffix = Path(path).suffix.lower() if path else ""
    if _SUFFIXES.get(suffix, kind) != kind:
        steps.append(f"named {suffix}, is {kind}")
    with _photo_errors_only(name, kind):
        image = _decoder(kind)(_Clock(data, name, limits.max_seconds))  # reads the header
        _check_size(name, image.size, limits)
        pixels = _pixels(image, name, steps)
    height, width, _ = pixels.shape
    _check_size(name, (width, height), limits)  # HEIC may turn out larger than its header says
    digest = hashlib.sha256(data).hexdigest()
    return Photo(pixels=pixels, sha256=digest, path=path, format=kind, steps=tuple(steps))


def _known(data: bytes, name: str) -> str:
    """Return the format of a picture's bytes; what is none is an error."""
    if not data:
        raise PhotoEmpty(f"{name}: zero bytes came.", hint="Get the file again.")
    kind = _sniff(data)
    if kind is None:
        raise NotAPhoto(
            f"{name}: is {_describe(data)}; a picture was wanted.",
            hint="Pass a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC file.",
        )
    return kind


def _decoder(kind: str) -> type[ImageFile.ImageFile]:
    if kind == "HEIF":
        heif: Any = need("pillow_heif", extra="heic", to="decode HEIC pictures")
        decoder: type[ImageFile.ImageFile] = heif.HeifImageFile
        return decoder
    if kind == "AVIF" and not features.check("avif"):
        raise MissingExtra(
            "This build of Pillow cannot decode it.",
            hint="Install Pillow's own wheel with: pip install --force-reinstall pillow",
        )
    return _DECODERS[kind]


def _check_size(name: str, size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if max(size) > limits.max_side or width * height > limits.max_pixels:
        raise PhotoTooLarge(
            f"{name}: is {width} x {height} px; at most {limits.max_pixels} px in all and "
            f"{limits.max_side} px a side were wanted.",
            hint="Use a smaller copy, or raise Limits.max_pixels and Limits.max_side.",
        )


def _from_pillow(image: Image.Image, limits: Limits) -> Photo:
    steps: list[str] = []
    with _photo_errors_only("The Pillow image", image.format):
        if 0 in image.size:
            raise PhotoEmpty(
                f"The Pillow image is {image.width} x {image.height} px.", hint="Pass a picture."
            )
        _check_size("The Pillow image", image.size, limits)
        pixels = _pixels(image, "The Pillow image", steps)
    digest = fingerprint(pixels)
    return Photo(pixels=pixels, sha256=digest, path=None, format=image.format, steps=tuple(steps))


def _from_array(array: ndarray, limits: Limits) -> Photo:
    came = f"An array of shape {array.shape} and type {array.dtype} came"
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        raise NotAPhoto(
            f"{came}; height x width, or height x width x 1, 3 or 4, was wanted.",
            hint="Channels come last: np.moveaxis(array, 0, -1). Of a batch, pass one at a time.",
        )
    if array.size == 0:
        raise PhotoEmpty(f"{came}; it has no pixels.", hint="Check how it was cropped.")
    _check_size("The array", (array.shape[1], array.shape[0]), limits)
    steps: list[str] = []
    if array.dtype == np.uint16:
        array = BYTE_OF[array]
        steps.append("16-bit scaled to 8-bit")
    elif array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):  # a NaN fails both
            raise NotAPhoto(
                f"{came}, with values from {array.min():g} to {array.max():g}; floats in [0, 1] "
                "were wanted.",
                hint="Undo the normalisation, or divide by 255.",
            )
        array = np.rint(array * 255).astype(np.uint8)
        steps.append("float scaled to 8-bit")
    elif array.dtype != np.uint8:
        raise NotAPhoto(
            f"{came}; uint8, uint16 or floats in [0, 1] were wanted.",
            hint="Convert it: array.astype('uint8'), if its values lie in [0, 255].",
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    pixels = np.asarray(to_srgb(Image.fromarray(array), steps))
    digest = fingerprint(pixels)
    return Photo(pixels=pixels, sha256=digest, path=None, format=None, steps=tuple(steps))


# --- pixels --------------------------------------------------------------------------------------

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _pixels(image: Image.Image, name: str, steps: list[str]) -> UInt8[ndarray, "height width 3"]:
    tags: Any = getattr(image, "tag_v2", {})
    # Pillow turns TIFF upright by itself, and then forgets that it did.
    turned, inverted = tags.get(0x0112, 1), tags.get(0x0106) == 0
    image.load()
    if _has_several(image):
        steps.append("first frame of several taken")
    if 2 <= turned <= 8:
        steps.append(f"EXIF orientation {turned} applied")
    upright = to_srgb(eight_bits(image, name, inverted, steps), steps)
    orientation = _orientation(image.info.get("exif") or b"")  # HEIC without EXIF has None
    if orientation in _TURNS and turned == 1:
        upright = upright.transpose(_TURNS[orientation])
        steps.append(f"EXIF orientation {orientation} applied")
    pixels = np.asarray(upright)
    pixels.setflags(write=False)
    return pixels


def _has_several(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # GIF looks at the next frame to answer; its damage is not the first one's
        return False


def _orientation(exif: bytes) -> int:
    """Return EXIF tag 0x0112 of the first directory, or 1 (upright) where there is none.

    Read by hand: Pillow would parse all of EXIF for it, and warn about every oddity.
    """
    body = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(body[:4])
    try:
        (start,) = struct.unpack_from(f"{order}I", body, 4)
        (count,) = struct.unpack_from(f"{order}H", body, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", body, at)
            if tag == 0x0112:
                (value,) = struct.unpack_from(f"{order}{'I' if kind == 4 else 'H'}", body, at + 8)
                return int(value)
    except struct.error:  # it breaks off, or is not EXIF at all (order is None)
        pass
    return 1
