"""The one decoder: a file's bytes, a Pillow image or an array in, an upright sRGB photo out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from veridical.arrays import Float, UInt8, ndarray
from veridical.errors import NotAPhoto, PhotoEmpty, PhotoError, PhotoTooSlow
from veridical.io.colour import BYTE_OF, eight_bits, to_srgb
from veridical.io.formats import Clock, Limits, check_size, open_image, photo_errors_only
from veridical.io.header import Header, orientation_of

LUMA_PIXELS = 16_000_000  # of a file whose luma is decoded once more for the forensic cues

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its EXIF orientation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A decoded picture.

    Attributes:
        image: sRGB (mode RGB), upright, transparency laid over white. Not to be changed.
        steps: What was done to the picture on the way in, in order.
    """

    image: Image.Image
    steps: tuple[str, ...]

    @property
    def width(self) -> int:
        """Px."""
        return self.image.width

    @property
    def height(self) -> int:
        """Px."""
        return self.image.height

    @cached_property
    def pixels(self) -> UInt8[ndarray, "height width 3"]:
        """The same as an array; read-only. Made when it is first asked for."""
        pixels = np.asarray(self.image)
        pixels.setflags(write=False)
        return pixels


def decode(
    image: Image.Image, header: Header | None, name: str, limits: Limits, *, steps: tuple[str, ...]
) -> Photo:
    """Decode what `open_image` has opened, or a Pillow image of a stranger.

    Of several frames or pages the first is taken (HEIC: the primary). Samples of 16 bits become 8
    by division by 257; Pillow cuts colour of 16 bits per channel to the high byte, which differs by
    at most one level. A greyscale float picture is taken to have the smallest of the ranges [0, 1],
    [0, 255] and [0, 65535] that holds it, and a 32-bit integer one that of 16 bits if that holds
    it, else of 32.

    Args:
        image: Opened, not loaded yet.
        header: Of the file; None for an image that did not come from a file of ours.
        name: Of the picture, for messages.
        limits: On what one picture may ask of us.
        steps: What was done before.

    Raises:
        PhotoError: If it cannot be decoded within the limits.
    """
    done = list(steps)
    kind = header.format if header else image.format
    with photo_errors_only(name, kind), _clock_running(image):
        if 0 in image.size:
            raise PhotoEmpty(
                f"{name} is {image.width} x {image.height} px.", hint="Pass a picture."
            )
        check_size(name, image.size, limits)
        upright = _upright(image, header, name, done)
    check_size(name, upright.size, limits)  # HEIC may turn out larger than its header says
    if upright is image and header is None:
        upright = image.copy()  # its owner may change it
    return Photo(image=upright, steps=tuple(done))


def _upright(image: Image.Image, header: Header | None, name: str, steps: list[str]) -> Image.Image:
    tags: Any = getattr(image, "tag_v2", {})
    # Pillow turns TIFF upright by itself, and then forgets that it did.
    turned, inverted = tags.get(0x0112, 1), tags.get(0x0106) == 0
    image.load()
    if _has_several(image):
        steps.append("first frame of several taken")
    if 2 <= turned <= 8:
        steps.append(f"EXIF orientation {turned} applied")
    upright = to_srgb(eight_bits(image, name, inverted, steps), steps)
    orientation = header.orientation if header else orientation_of(image.info.get("exif") or b"")
    if orientation in TURNS and turned == 1:
        upright = upright.transpose(TURNS[orientation])
        steps.append(f"EXIF orientation {orientation} applied")
    return upright


@contextmanager
def _clock_running(image: Image.Image) -> Iterator[None]:
    clock = getattr(image, "fp", None)
    if isinstance(clock, Clock):
        clock.restart()
    yield


def _has_several(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except PhotoTooSlow:
        raise
    except Exception:  # GIF looks at the next frame to answer; its damage is not the first one's
        return False


def luma(
    data: bytes, header: Header, name: str, limits: Limits
) -> UInt8[ndarray, "rows columns"] | None:
    """Return the Y channel of a JPEG as it is coded, not turned upright.

    Cues look at its DCT coefficients, which the way to RGB and back would blur. None for other
    formats, for CMYK, and for more than `LUMA_PIXELS`.
    """
    known = header.format == "JPEG" and header.mode in ("RGB", "L")
    if not known or header.width * header.height > LUMA_PIXELS:
        return None
    try:
        image = open_image(data, "JPEG", name, limits)
        assert isinstance(image, JpegImagePlugin.JpegImageFile)
        with photo_errors_only(name, "JPEG"):
            image.draft("L", image.size)
            return np.asarray(image.convert("L"))
    except PhotoError:
        return None


def array_image(array: ndarray, limits: Limits, steps: list[str]) -> Image.Image:
    """Return an array as an RGB image; see `source.open_source` for what is accepted.

    Raises:
        PhotoError: If it is no picture, or over the limits.
    """
    came = f"An array of shape {array.shape} and type {array.dtype} came"
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))):
        raise NotAPhoto(
            f"{came}; height x width, or height x width x 1, 3 or 4, was wanted.",
            hint="Channels come last: np.moveaxis(array, 0, -1). Of a batch, pass one at a time.",
        )
    if array.size == 0:
        raise PhotoEmpty(f"{came}; it has no pixels.", hint="Check how it was cropped.")
    check_size("The array", (array.shape[1], array.shape[0]), limits)
    if array.dtype == np.uint16:
        array = BYTE_OF[array]
        steps.append("16-bit scaled to 8-bit")
    elif array.dtype.kind == "f":
        array = _float_bytes(array, came)
        steps.append("float scaled to 8-bit")
    elif array.dtype != np.uint8:
        raise NotAPhoto(
            f"{came}; uint8, uint16 or floats in [0, 1] were wanted.",
            hint="Convert it: array.astype('uint8'), if its values lie in [0, 255].",
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return to_srgb(Image.fromarray(array), steps)


def _float_bytes(array: Float[ndarray, "..."], came: str) -> UInt8[ndarray, "..."]:
    if not (array.min() >= 0 and array.max() <= 1):  # a NaN fails both
        raise NotAPhoto(
            f"{came}, with values from {array.min():g} to {array.max():g}; floats in [0, 1] "
            "were wanted.",
            hint="Undo the normalisation, or divide by 255.",
        )
    scaled: ndarray = np.rint(array * 255).astype(np.uint8)
    return scaled
