"""Whatever a picture comes as becomes a `File`: opened, hashed, decoded and parsed once."""

import errno
import hashlib
import io
import os
import re
import shlex
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NoReturn, Protocol, runtime_checkable
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.errors import NotAPhoto, PhotoDamaged, PhotoError, PhotoMissing, PhotoUnreadable
from veridical.io.decode import Photo, array_image, decode, luma
from veridical.io.formats import (
    NAMES,
    SUFFIXES,
    Limits,
    known_format,
    open_image,
    refuse_bytes,
    said,
)
from veridical.io.header import Header, header_of
from veridical.io.loss import Mended
from veridical.io.mend import mend
from veridical.io.metadata import Metadata, read_metadata


@runtime_checkable
class Stream(Protocol):
    """What we need of an open file: bytes, from where it stands. Any `BinaryIO` will do."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        ...


@dataclass(frozen=True, eq=False)
class File:
    """One picture on its way through the program; it keeps its bytes until its report is done.

    Nothing is decoded before it is asked for, and nothing is decoded twice. Not to be shared
    between threads; made by `open_source`.

    Attributes:
        path: As it was given; None for pictures that came otherwise.
        data: The bytes; None for Pillow images and arrays.
        limits: On what is decoded.
        pixels: What came instead of bytes.
    """

    path: str | None
    data: bytes | None
    limits: Limits
    pixels: Image.Image | ndarray | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.data is None:
            return "The Pillow image" if isinstance(self.pixels, Image.Image) else "The array"
        return self.path or "The picture"

    @cached_property
    def sha256(self) -> str:
        """Of the bytes; `fingerprint` of the pixels where no bytes came."""
        if self.data is None:
            return fingerprint(self.photo.pixels)
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def header(self) -> Header | None:
        """What the file says of itself; None where no bytes came.

        Raises:
            PhotoError: If it cannot be read.
        """
        return None if self.data is None else header_of(*self._opened[:2], self.name)

    @cached_property
    def metadata(self) -> Metadata | None:
        """What the file says of itself, damaged or not; None where no bytes came."""
        return None if self.data is None else read_metadata(self.data, self.limits)

    @cached_property
    def photo(self) -> Photo:
        """The decoded picture.

        Raises:
            PhotoError: If it cannot be decoded.
        """
        if isinstance(self.pixels, Image.Image):
            return decode(self.pixels, None, self.name, self.limits, steps=())
        if self.pixels is not None:
            done: list[str] = []
            made = array_image(self.pixels, self.limits, done)
            return Photo(stored=made, steps=tuple(done))
        image, kind, mended = self._opened
        header = self.header
        suffix = Path(self.path).suffix.lower() if self.path else ""
        misnamed = SUFFIXES.get(suffix, kind) != kind
        steps = (f"named {suffix}, is {NAMES[kind]}",) if misnamed else ()
        del self.__dict__["_opened"]  # its pixels are in the photo now, or nowhere
        assert self.data is not None
        mended = mended or mend(self.data, kind, self.limits)
        decoded = partial(decode, header=header, name=self.name, limits=self.limits, steps=steps)
        try:
            if mended is None:
                photo = decoded(image, data=self.data)
                # Pillow takes fewer rows than there should be without a word, and leaves zeros.
                if kind != "PNG" or _last_row(image).any():
                    return photo
            else:
                return decoded(self._open(mended.data, kind), data=mended.data, mended=mended)
        except PhotoDamaged as error:
            closer = mend(self.data, kind, self.limits, doubt=True)
            if closer is None or closer == mended:
                raise
            with suppress(PhotoDamaged):  # what is wrong with the file itself is said instead
                return decoded(self._open(closer.data, kind), data=closer.data, mended=closer)
            raise error from error.__cause__
        closer = mend(self.data, kind, self.limits, doubt=True)
        if closer is None or closer.loss is None:
            return photo
        return decoded(self._open(closer.data, kind), data=closer.data, mended=closer)

    @cached_property
    def luma(self) -> UInt8[ndarray, "rows columns"] | None:
        """The Y channel of a JPEG as stored; see `decode.luma`. None of a damaged one."""
        if self.data is None or self.header is None:
            return None
        with suppress(PhotoError):
            if self.photo.damage:
                return None
        return luma(self.data, self.header, self.name, self.limits)

    @cached_property
    def _opened(self) -> tuple[Image.Image, str, Mended | None]:
        """The picture, its format, and the mended file that it comes from, if it does."""
        assert self.data is not None
        kind = known_format(self.data, self.name)
        try:
            return self._open(self.data, kind), kind, None
        except PhotoDamaged as error:
            mended = mend(self.data, kind, self.limits, doubt=True)
            with suppress(PhotoDamaged):
                if mended:
                    return self._open(mended.data, kind), kind, mended
            raise error from error.__cause__

    def _open(self, data: bytes, kind: str) -> Image.Image:
        return open_image(data, kind, self.name, self.limits)


def _last_row(image: Image.Image) -> ndarray:
    return np.asarray(image.crop((0, image.height - 1, image.width, image.height)))


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Stream | Image.Image | ndarray
"""What a picture may come as."""


def open_source(source: Source | File, limits: Limits = Limits()) -> File:
    """Take a picture in, without decoding it.

    Args:
        source: A path; the bytes of a file; a binary stream, read from where it stands; a Pillow
            image (EXIF orientation is applied only while it is the file that Pillow opened: turn
            copies yourself); an array of height x width [x 1, 3 or 4], of uint8, uint16 or of
            floats in [0, 1], RGB(A) in sRGB; or a `File`, which is returned as it is.
        limits: On what one picture may ask of us.

    Raises:
        PhotoMissing: No such file, it is a folder, or the path is empty or an address.
        PhotoUnreadable: The system, or the stream, does not give the bytes out.
        PhotoTooLarge: Over the limit on bytes.
        NotAPhoto: Something else came.
    """
    if isinstance(source, File):
        return source
    if isinstance(source, ndarray | Image.Image):
        return File(path=None, data=None, limits=limits, pixels=source)
    if isinstance(source, bytes | bytearray | memoryview):
        size = source.nbytes if isinstance(source, memoryview) else len(source)
        if size > limits.max_bytes:
            refuse_bytes("The picture", size, limits)
        return File(path=None, data=bytes(source), limits=limits)
    if isinstance(source, str | os.PathLike):
        path = os.fsdecode(source)
        return File(path=path, data=read_bytes(path, limits), limits=limits)
    if isinstance(source, Stream):
        return open_stream(source, None, limits)
    raise NotAPhoto(
        f"A {type(source).__name__} came.",
        hint="Pass a path, bytes, a binary stream, a Pillow image or an array.",
    )


def open_stream(stream: Stream, path: str | None, limits: Limits = Limits()) -> File:
    """Take in a picture from a stream that is known by the name `path`: `-`, say.

    Raises:
        PhotoUnreadable: The stream does not give the bytes out.
        PhotoTooLarge: Over the limit on bytes.
    """
    return File(path=path, data=_read_stream(stream, path or "The stream", limits), limits=limits)


def read_photo(source: Source | File, limits: Limits = Limits()) -> Photo:
    """Decode one picture within limits: `open_source(source, limits).photo`.

    Raises:
        PhotoMissing: No such file, or it is a folder.
        PhotoUnreadable: The system, or the stream, does not give the bytes out.
        PhotoEmpty: There are no bytes, or no pixels.
        NotAPhoto: Not one of the formats that are read, or an array of another kind.
        PhotoDamaged: The picture breaks off or contradicts itself.
        PhotoTooLarge: Over the limits on bytes or pixels, or larger than the memory.
        PhotoTooSlow: Over the limit on seconds.
        FormatNotInstalled: The decoder for this format is not installed.
    """
    return open_source(source, limits).photo


def fingerprint(pixels: UInt8[ndarray, "height width 3"]) -> str:
    """SHA-256 of height and width ("480x640 ") followed by the raw pixels, row by row."""
    height, width, _ = pixels.shape
    digest = hashlib.sha256(f"{height}x{width} ".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


# --- getting the bytes -------------------------------------------------------------------------

_ADDRESS = re.compile(r"data:|file:|[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def read_bytes(path: str | os.PathLike[str], limits: Limits = Limits()) -> bytes:
    """Read a picture's file within limits, without decoding it.

    Raises:
        PhotoMissing: No such file, or it is a folder.
        PhotoUnreadable: The system does not give the bytes out.
        PhotoTooLarge: Over the limit on bytes.
    """
    path = os.fsdecode(path)
    if not path:
        raise PhotoMissing(
            "An empty path came; a picture was wanted.", hint="Check where the path comes from."
        )
    try:
        with io.FileIO(path, opener=_open_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise PhotoUnreadable(
                    f"{path}: is a pipe, a socket or a device; a regular file was wanted.",
                    hint="Pass its bytes, or the opened stream.",
                    cli_hint="Send the picture to standard input: veridical inspect - < "
                    f"{shlex.quote(path)}",
                )
            if found.st_size > limits.max_bytes:
                refuse_bytes(path, found.st_size, limits)
            return _read_at_most(file, path, limits, chunk=found.st_size + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        _refuse_path(path, error)


def _refuse_path(path: str, error: OSError | ValueError) -> NoReturn:
    """Say why there are no bytes at a path."""
    if os.path.isdir(path):  # noqa: PTH112 (which never raises)
        raise PhotoMissing(
            f"{path}: is a folder; a picture was wanted.",
            hint="Name the pictures in it; `veridical.io.walk.photos` finds them.",
            cli_hint="Name the pictures in it.",
        ) from error
    if _ADDRESS.match(path):
        if path.lower().startswith("file:"):
            local = shlex.quote(unquote(urlsplit(path).path))
            raise PhotoMissing(
                f"{path}: is an address; a path was wanted.", hint=f"Give the path: {local}"
            ) from error
        raise PhotoMissing(
            f"{path}: is an address, and nothing is fetched from a network.",
            hint="Save the picture, and give the path of the file.",
        ) from error
    if isinstance(error, OSError) and error.errno == errno.ENXIO:
        raise PhotoUnreadable(
            f"{path}: is a socket, or a device that is not there; a regular file was wanted.",
            hint="Save the picture to a file, and give its path.",
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


def first_bytes(path: str | os.PathLike[str], count: int) -> bytes:
    """Return the first bytes of a regular file; never wait for a pipe.

    Raises:
        OSError: If the system does not give them out, or it is no regular file.
        ValueError: If there is a NUL byte in the name.
    """
    with io.FileIO(os.fsdecode(path), opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "no regular file", os.fsdecode(path))
        return file.read(count)


def _read_stream(stream: Stream, name: str, limits: Limits) -> bytes:
    try:
        return _read_at_most(stream, name, limits, chunk=2**20)
    except PhotoError:
        raise
    except Exception as error:  # whatever a stranger's stream may raise
        raise PhotoUnreadable(
            f"{name}: could not be read ({said(error)})."
            if name != "The stream"
            else f"The stream could not be read ({said(error)}).",
            hint="Pass an open stream of bytes, such as open(path, 'rb').",
            cli_hint="Save the picture to a file, and give its path.",
        ) from error


def _read_at_most(stream: Stream | io.FileIO, name: str, limits: Limits, *, chunk: int) -> bytes:
    """Read to the end in chunks, and at most one byte more than is allowed."""
    pieces, left = [], limits.max_bytes + 1
    while left > 0 and (piece := stream.read(min(chunk, left))):
        pieces.append(piece)
        left -= len(piece)
    if left <= 0:
        refuse_bytes(name, None, limits)
    return b"".join(pieces)
