"""The one decoder: a file's bytes, a Pillow image or an array in, an upright sRGB photo out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor
from typing import Any

import numpy as np
from PIL import Image, ImageFile, JpegImagePlugin

from veridical.arrays import UInt8, ndarray
from veridical.box import Box
from veridical.errors import NotAPhoto, PhotoEmpty, PhotoError
from veridical.io import jpeg
from veridical.io.colour import eight_bits, float_bytes, refuse_unclear, sixteen_bytes, to_srgb
from veridical.io.formats import Clock, Limits, check_size, open_image, photo_errors_only
from veridical.io.frames import show
from veridical.io.header import Header, orientation_of
from veridical.io.loss import Loss, Mended
from veridical.report import Damage

SEARCHED_PIXELS = 24_800_000  # as many as the tiles of a face finder show
_EMPTY = 1024  # zeros at the end of a file that was never written to its end
_CUT_PX = 160  # what is cut out of a large picture begins at multiples of it; see vision.perturb
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

_BACK = {6: 8, 8: 6, **{same: same for same in (2, 3, 4, 5, 7)}}


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A decoded picture.

    Attributes:
        stored: sRGB (mode RGB), transparency laid over white, perhaps still to be turned. Not to
            be changed.
        orientation: EXIF orientation by which it has to be turned; 1 but for very large pictures,
            of which a turned copy is made only if all of it is asked for.
        steps: What was done to the picture on the way in, in order.
        frames: How many pictures the file holds; see `Report`.
        damage: What is wrong with its data.
    """

    stored: Image.Image
    steps: tuple[str, ...]
    orientation: int = 1
    frames: int = 1
    damage: Damage | None = None

    @cached_property
    def image(self) -> Image.Image:
        """Upright, sRGB (mode RGB). Not to be changed."""
        return turned(self.stored, self.orientation)

    @property
    def width(self) -> int:
        """Px, upright."""
        return self.stored.height if self.orientation > 4 else self.stored.width

    @property
    def height(self) -> int:
        """Px, upright."""
        return self.stored.width if self.orientation > 4 else self.stored.height

    @cached_property
    def pixels(self) -> UInt8[ndarray, "height width 3"]:
        """The same as an array; read-only. Made when it is first asked for."""
        pixels = np.asarray(self.image)
        pixels.setflags(write=False)
        return pixels

    @property
    def large(self) -> bool:
        """Whether it is searched in a smaller copy, and cut out where it is judged."""
        return self.width * self.height >= 4 * SEARCHED_PIXELS

    def smaller(self) -> Image.Image:
        """Return an upright copy to search for faces: the picture itself unless it is large."""
        if not self.large:
            return self.image
        times = round((self.width * self.height / SEARCHED_PIXELS) ** 0.5)
        return turned(self.stored.reduce(times), self.orientation)

    def around(self, areas: Sequence[Box]) -> tuple[Image.Image, tuple[Box, ...]]:
        """Return an upright image that shows these areas and some more, and where they are in it.

        The picture itself unless it is large; then native pixels cut out of it.
        """
        if not self.large:
            return self.image, tuple(areas)
        right = max(one.left + one.width for one in areas)
        bottom = max(one.top + one.height for one in areas)
        left, top = min(one.left for one in areas), min(one.top for one in areas)
        beyond = _CUT_PX + max(right - left, bottom - top) / 16
        left, right = _span(left - beyond, right + beyond, self.width)
        top, bottom = _span(top - beyond, bottom + beyond, self.height)
        piece = Box(left=left, top=top, width=right - left, height=bottom - top)
        stored = placed(piece, self.width, self.height, _BACK.get(self.orientation, 1))
        cut = turned(cut_out(self.stored, stored), self.orientation)
        return cut, tuple(replace(one, left=one.left - left, top=one.top - top) for one in areas)


def _span(low: float, high: float, side: int) -> tuple[int, int]:
    """Widen an interval to a grid, within a photo of `side` px."""
    begin = max(0, floor(low / _CUT_PX) * _CUT_PX)
    return begin, min(side, ceil(high / _CUT_PX) * _CUT_PX)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image made upright; itself where it is."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def placed(area: Box, width: float, height: float, orientation: int) -> Box:
    """Return where an area of an image of `width` x `height` px is once it is made upright."""
    left, top, across, down = area.left, area.top, area.width, area.height
    right, below = width - left - across, height - top - down
    x, y = {
        2: (right, top),
        3: (right, below),
        4: (left, below),
        5: (top, left),
        6: (below, left),
        7: (below, right),
        8: (top, right),
    }.get(orientation, (left, top))
    across, down = (down, across) if orientation > 4 else (across, down)
    return Box(left=x, top=y, width=across, height=down)


def cut_out(image: Image.Image, area: Box) -> Image.Image:
    """Return an area of whole px; `crop` would warn of large ones."""
    box = (area.left, area.top, area.left + area.width, area.top + area.height)
    size = round(area.width), round(area.height)
    return image.resize(size, Image.Resampling.NEAREST, box=box)


def decode(
    image: Image.Image,
    header: Header | None,
    name: str,
    limits: Limits,
    *,
    steps: tuple[str, ...],
    data: bytes | None = None,
    mended: Mended | None = None,
) -> Photo:
    """Decode what `open_image` has opened, or a Pillow image of a stranger.

    Of several frames or pages the one that viewers show is taken; see `frames.show`. Samples of 16
    bits become 8 by division by 257; Pillow cuts colour of 16 bits per channel to the high byte,
    which differs by at most one level. `colour.eight_bits` has the ranges of greyscale.

    EXIF orientation is applied once: to files, and to Pillow images that are files, lazily opened.
    Pillow keeps the EXIF of an image that its owner has turned, copied or converted, so it is not
    trusted there.

    Args:
        image: Opened, not loaded yet.
        header: Of the file; None for an image that did not come from a file of ours.
        name: Of the picture, for messages.
        limits: On what one picture may ask of us.
        steps: What was done before.
        data: Of the file.
        mended: What this file is, where the one that came is damaged.

    Raises:
        PhotoError: If it cannot be decoded within the limits.
    """
    done = list(steps)
    kind = header.format if header else image.format
    with photo_errors_only(name, kind, data), _clock_running(image):
        if 0 in image.size:
            raise PhotoEmpty(
                f"{name} is {image.width} x {image.height} px.", hint="Pass a picture."
            )
        check_size(name, image.size, limits)
        if header is None:
            _refuse_previews(image, name)
        frames = show(image, kind, data, done)
        tags: Any = getattr(image, "tag_v2", {})
        turn = tags.get(0x0112, 1)  # by Pillow, of a TIFF
        colour, orientation = _upright(image, header, name, done)
    check_size(name, colour.size, limits)  # HEIC may turn out larger than its header says
    if colour is image and header is None:
        colour = image.copy()  # its owner may change it
    photo = Photo(stored=colour, steps=(), orientation=orientation, frames=frames)
    if not photo.large:
        photo = replace(photo, stored=photo.image, orientation=1)
    loss = mended.loss if mended else _loss(data, kind)
    turned_by = orientation if orientation > 1 else turn
    stored = colour.size[::-1] if orientation == 1 and turn > 4 else colour.size
    damage = damage_of(loss, stored, turned_by)
    if mended and mended.note:
        done.append(mended.note)
    photo = replace(photo, steps=tuple(done), damage=damage)
    return _blanked(photo) if mended and mended.blank else photo


def _blanked(photo: Photo) -> Photo:
    """Return a photo that is black where its file is damaged."""
    assert photo.damage is not None
    area = placed(photo.damage.area, photo.width, photo.height, _BACK.get(photo.orientation, 1))
    size = round(area.width), round(area.height)
    black = photo.stored.copy()
    black.paste(Image.new("RGB", size), (round(area.left), round(area.top)))
    return replace(photo, stored=black)


def _loss(data: bytes | None, kind: str | None) -> Loss | None:
    """Return what is wrong with data that a decoder takes without a word; see also `mend`."""
    if data is None:
        return None
    if kind == "JPEG":
        return jpeg.loss(data)
    if kind in ("WEBP", "AVIF", "HEIF"):  # packed too well to end in zeros
        empty = len(data) - len(data.rstrip(b"\0"))
        if empty >= max(_EMPTY, len(data) / 100):
            return Loss("cut_off", empty / len(data), 0)
    return None


def damage_of(loss: Loss | None, size: tuple[int, int], orientation: int) -> Damage | None:
    """Return what is wrong with a picture, in px of the photo.

    Args:
        loss: By rows of the picture as stored.
        size: Of the picture as stored, px.
        orientation: Of the picture as stored.
    """
    if loss is None:
        return None
    width, height = size
    bottom = height if loss.bottom is None else min(loss.bottom, height)
    rows = Box(left=0.0, top=float(loss.top), width=float(width), height=float(bottom - loss.top))
    area = placed(rows, width, height, orientation)
    return Damage(kind=loss.kind, share=min(max(loss.share, 0.0), 1.0), area=area)


def _refuse_previews(image: Image.Image, name: str) -> None:
    """Refuse a Pillow image that is the thumbnail of a file which its owner has opened."""
    tags: Any = getattr(image, "tag_v2", {})
    if 50706 in tags or tags.get(262) in (32803, 34892):
        raise NotAPhoto(
            f"{name} is a preview in a camera raw file (DNG); a picture was wanted.",
            hint="Export a JPEG from the file, and pass that.",
        )
    if tags.get(254) == 1:
        raise NotAPhoto(
            f"{name} is a reduced copy in a TIFF; the picture itself was wanted.",
            hint="Pass the path of the file, or go to the page of the picture with seek().",
        )


def _upright(
    image: Image.Image, header: Header | None, name: str, steps: list[str]
) -> tuple[Image.Image, int]:
    """Return the picture as RGB, and the orientation by which it is still to be turned."""
    tags: Any = getattr(image, "tag_v2", {})
    # Pillow turns TIFF upright by itself, and then forgets that it did.
    by_pillow, inverted = tags.get(0x0112, 1), tags.get(0x0106) == 0
    deep = image.mode.startswith(("RGB", "LA")) and any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", ())
    )
    lazy = isinstance(image, ImageFile.ImageFile)
    image.load()
    if 2 <= by_pillow <= 8:
        steps.append(f"EXIF orientation {by_pillow} applied")
    if deep:
        bands = image.getbands()[: 1 if image.mode == "LA" else 3]
        highest = max(int(np.asarray(image.getchannel(band)).max()) for band in bands)
        refuse_unclear(name, 257 * max(1, highest), 65535)
        steps.append("16-bit cut to 8-bit")
    grey = eight_bits(image, name, steps, inverted=inverted, declared=_declared(tags, image.mode))
    colour = to_srgb(grey, steps, ours=header is not None)
    orientation = 1
    if lazy and by_pillow == 1:
        exif = image.info.get("exif") or b""  # of a PNG it may stand behind the pixels
        orientation = header.orientation if header else 1
        orientation = orientation if orientation > 1 else orientation_of(exif)
    if orientation in TURNS:
        steps.append(f"EXIF orientation {orientation} applied")
    return colour, orientation


def _declared(tags: Any, mode: str) -> tuple[float, float] | None:
    """Return the lowest and the highest value by the word of a TIFF (tags 339 to 341)."""
    if mode == "I":
        form = tags.get(339, (1,))
        unsigned = tags.get(258) is not None and form in (1, (1,))
        return (0.0, 2.0**32 - 1) if unsigned else None
    ends = [tags.get(340), tags.get(341)]
    low, high = (one[0] if isinstance(one, tuple) and one else one for one in ends)
    known = isinstance(low, float | int) and isinstance(high, float | int)
    return (float(low), float(high)) if known and -1e9 < low < high < 1e9 else None


@contextmanager
def _clock_running(image: Image.Image) -> Iterator[None]:
    clock = getattr(image, "fp", None)
    if isinstance(clock, Clock):
        clock.restart()
    yield


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
        array = sixteen_bytes(array, came, steps)
    elif array.dtype.kind == "f":
        array = float_bytes(array, f"{came}, with values", steps)
    elif array.dtype != np.uint8:
        raise NotAPhoto(
            f"{came}; uint8, uint16 or floats in [0, 1] were wanted.",
            hint="Convert it: array.astype('uint8'), if its values lie in [0, 255].",
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return to_srgb(Image.fromarray(array), steps)
