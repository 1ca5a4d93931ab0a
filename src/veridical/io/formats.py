"""Which format is it, which decoder may have it, and within which limits.

Until it has been decoded, a picture is a stranger's file. We look at the first bytes ourselves and
hand the file to the one Pillow decoder they call for: no PostScript, no guessing by suffix. Going
past `Image.open` also goes past the decompression-bomb warning it raises in the middle of a file,
which could only be silenced for all threads at once; the size in the header is held to our own
limits instead, before any pixel is decoded. Pillow's remaining warnings, about odd metadata, are
left to the filters of the program that calls us; under `-W error` such a file counts as damaged.
"""

import ctypes
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any, NoReturn

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
from veridical.errors import (
    FormatNotInstalled,
    MissingExtra,
    NotAPhoto,
    PhotoDamaged,
    PhotoEmpty,
    PhotoError,
    PhotoTooLarge,
    PhotoTooSlow,
)
from veridical.io import bmp, tiff, tiff_parts
from veridical.io.frames import boxes


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
        max_text: Bytes of metadata text in one file, after inflating.
        max_parts: Chunks, segments, boxes and blocks of one file that are looked at for metadata.
    """

    max_bytes: int = 200 * 2**20
    max_pixels: int = 250_000_000
    max_side: int = 32_000
    max_seconds: float = 20.0
    max_text: int = 8 * 2**20
    max_parts: int = 20_000


SUFFIXES = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".png", ".apng"), "PNG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    ".webp": "WEBP",
    ".gif": "GIF",
    ".avif": "AVIF",
}
"""The formats that can be read, by the endings of their files' names."""


NAMES = {
    **dict.fromkeys(("JPEG", "PNG", "BMP", "TIFF", "GIF", "AVIF"), ""),
    "WEBP": "WebP",
    "HEIF": "HEIC",
}
NAMES = {kind: name or kind for kind, name in NAMES.items()}
"""The formats as people call them."""


# --- limits ------------------------------------------------------------------------------------


class Clock(io.BytesIO):
    """A file in memory that stops giving once the time is up, wherever the decoder then is."""

    def __init__(self, data: bytes, name: str, seconds: float) -> None:
        super().__init__(data)
        self._name, self._seconds = name, seconds
        self.restart()

    def restart(self) -> None:
        """Count from now: what happened between two uses of the file is not its fault."""
        self._end = time.monotonic() + self._seconds

    def read(self, size: int | None = -1, /) -> bytes:
        """Return at most `size` bytes.

        Raises:
            PhotoTooSlow: If the time is up.
        """
        if time.monotonic() > self._end:
            raise PhotoTooSlow(
                f"{self._name}: decoding took longer than {self._seconds:g} s.",
                hint="Raise Limits.max_seconds, or look for a copy without so many parts.",
                cli_hint="Raise --max-seconds, or look for a copy without so many parts.",
            )
        return super().read(size)


def check_size(name: str, size: tuple[int, int], limits: Limits) -> None:
    """Hold a size in px to the limits.

    Raises:
        PhotoTooLarge: If it is over them.
    """
    width, height = size
    over = []
    if width * height > limits.max_pixels:
        over.append(f"{limits.max_pixels} px in all")
    if max(size) > limits.max_side:
        over.append(f"{limits.max_side} px a side")
    if over:
        least = Limits().max_pixels if max(size) > limits.max_side else 0  # which lifts the other
        enough = max(width * height, least) // 10**6 + 1
        raise PhotoTooLarge(
            f"{name}: is {width} x {height} px; at most {' and '.join(over)} were wanted.",
            hint="Raise Limits.max_pixels and Limits.max_side. A smaller copy is another picture.",
            cli_hint=f"Raise the limit: --max-megapixels {enough}"
            f"{' (it lifts that on the side too)' if max(size) > limits.max_side else ''}. "
            "A smaller copy is another picture.",
        )


def refuse_bytes(name: str, size: int | None, limits: Limits) -> NoReturn:
    """Say that a file is too large; None where nobody knows how large."""
    raise PhotoTooLarge(
        f"{name}: more than the limit of {limits.max_bytes} bytes came."
        if size is None
        else f"{name}: has {size} bytes; the limit is {limits.max_bytes}.",
        hint="Raise Limits.max_bytes. A smaller copy is another picture.",
        cli_hint=f"Raise the limit: --max-mbytes {'N' if size is None else size // 2**20 + 1}. A "
        "smaller copy is another picture.",
    )


@contextmanager
def photo_errors_only(name: str, kind: str | None, data: bytes | None = None) -> Iterator[None]:
    """Translate whatever a decoder raises. For a hostile file that can be anything at all."""
    what = f"begins like {NAMES[kind]}" if kind in NAMES else "came"
    try:
        yield
    except PhotoError:
        raise
    except MissingExtra as error:
        raise FormatNotInstalled(f"{name}: {what}. {error.message}", hint=error.hint) from error
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoTooLarge(
            f"{name}: {what}, and takes more memory than there is.",
            hint="Judge it on a machine with more memory. A smaller copy is another picture.",
        ) from error
    except Exception as error:
        wanted = announced(data, kind) if data and kind else 0
        if data and wanted > len(data):
            raise PhotoDamaged(
                f"{name}: the file ends early: {len(data)} of the {wanted} bytes that it announces "
                "are there, too few for a picture.",
                hint=_ORIGINAL,
            ) from error
        raise PhotoDamaged(
            f"{name}: {what}, and its data end early or contradict themselves: no picture comes "
            "of them.",
            hint=_ORIGINAL,
        ) from error


_ORIGINAL = "Get the original file again, or export it from the program that made it."


def announced(data: bytes, kind: str) -> int:
    """Return how many bytes a file says that it has; 0 where it does not say."""
    if kind == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8
    if kind in ("AVIF", "HEIF"):
        return max((end for _, _, end in boxes(data)), default=0)
    if kind == "BMP":
        return bmp.announced(data) or int.from_bytes(data[2:6], "little")
    return tiff_parts.announced(data) if kind == "TIFF" else 0


def said(error: BaseException) -> str:
    """Return kind and message of a foreign error, shortened."""
    return f"{type(error).__name__}: {error}"[:200].rstrip(": ")


# --- which format? -----------------------------------------------------------------------------


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """Pillow's JPEG decoder, fed in sips, with the resolution unread."""

    def _open(self) -> None:
        # With a resolution at hand Pillow leaves EXIF alone, and so does not warn when it is odd.
        self.info["dpi"] = (72, 72)
        # A progressive scan of a hundred bytes can cost ten milliseconds; 4 KiB at a time keep the
        # clock's checks close together, and cost an honest picture nothing measurable.
        self.decodermaxblock = 4096
        super()._open()

    def load_read(self, read_bytes: int) -> bytes:
        """Return more of the file, and an end marker where it has none; see `jpeg.loss`."""
        assert self.fp is not None
        return self.fp.read(read_bytes) or b"\xff\xd9"


_DECODERS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": _Jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
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
_RAW = {
    b"II\x1a\0\0\0HEAPCCDR": "CRW",
    b"IIRO": "ORF",
    b"IIRS": "ORF",
    b"MMOR": "ORF",
    b"IIU\0": "RW2",
    b"FUJIFILMCCD-RAW": "RAF",
    b"\0MRM": "MRW",
    b"FOVb": "X3F",
}
_RAW_SUFFIXES = (
    *(".3fr", ".arw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".nef"),
    *(".nrw", ".pef", ".raw", ".rwl", ".sr2", ".srf", ".srw"),
)
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


def sniff(data: bytes) -> str | None:
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


def describe(data: bytes) -> str:
    """Say what bytes that are no photo look like."""
    for magic, what in _STRANGERS.items():
        if data.startswith(magic):
            return what
    if data[4:8] == b"ftyp":
        return "an MP4 or QuickTime video"
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    if start.startswith(b"<"):
        return "an SVG drawing" if b"<svg" in start else "an XML document"
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in start):
        return "text"
    return f"no format we know (it begins with {data[:8].hex(' ')})"


def known_format(data: bytes, name: str) -> str:
    """Return the format of a picture's bytes.

    Raises:
        PhotoEmpty: If there are none.
        NotAPhoto: If they are of no format that is read.
    """
    if not data:
        raise PhotoEmpty(f"{name}: zero bytes came.", hint="Get the file again.")
    kind = sniff(data)
    if raw := _camera_raw(data, kind, name):
        raise NotAPhoto(
            f"{name}: is a camera raw file ({raw}); a picture was wanted.",
            hint="Export a JPEG from it, or extract the preview in it.",
        )
    kinds = {box for box, _, _ in boxes(data)} if kind == "HEIF" else set()
    if b"moov" in kinds and b"meta" not in kinds:
        raise NotAPhoto(
            f"{name}: is a HEIC sequence without a still picture; a picture was wanted.",
            hint="Export the frame that you want as a JPEG or PNG.",
        )
    if kind is None:
        is_clip = data[4:8] == b"ftyp" or data.startswith(b"\x1aE\xdf\xa3")
        raise NotAPhoto(
            f"{name}: is {describe(data)}; a picture was wanted.",
            hint="Clips are judged by `Detector.inspect_video`."
            if is_clip
            else "Pass a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC file.",
            cli_hint="Clips are judged by `veridical inspect`, one by one or in folders."
            if is_clip
            else "Pass a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC file, or a clip to "
            "`veridical inspect`.",
        )
    return kind


def _camera_raw(data: bytes, kind: str | None, name: str) -> str | None:
    """Return the name of a camera's raw format; previews in such files are not judged."""
    if data[4:12] == b"ftypcrx ":
        return "CR3"
    for magic, raw in _RAW.items():
        if data.startswith(magic):
            return raw
    if kind != "TIFF":
        return None
    suffix = PurePath(name).suffix.lower()
    return tiff.camera_raw(data) or (suffix[1:].upper() if suffix in _RAW_SUFFIXES else None)


def open_image(data: bytes, kind: str, name: str, limits: Limits) -> ImageFile.ImageFile:
    """Read the header of a picture's file with the one decoder for its format; no pixel yet.

    Raises:
        PhotoError: If the file cannot be read, or is over the limits.
    """
    with photo_errors_only(name, kind, data):
        page = tiff.choose(data) if kind == "TIFF" else None
        shown = data if page is None or page.first else tiff.starting_at(data, page.at)
        image = _decoder(kind)(Clock(shown, name, limits.max_seconds))
        check_size(name, image.size, limits)
    return image


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
    if kind == "TIFF":
        _silence_libtiff()
    return _DECODERS[kind]


@cache
def _silence_libtiff() -> None:
    """Keep libtiff from writing to standard error by itself: damage is told in reports.

    Its handlers are those of the whole process. Where it cannot be reached, it goes on writing.
    """
    with suppress(AttributeError, OSError):
        core = find_spec("PIL._imaging")
        handler = ctypes.CDLL(core.origin if core else None).TIFFSetErrorHandler
        handler.restype, handler.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
        handler(None)
