"""What happens to a picture between its maker and us: the grid of copies every figure is held to.

Each step takes the pixels of a photo and gives back the bytes of a file, as a messenger, a website
or a screenshot would. The same step always gives the same bytes.
"""

import io
from collections.abc import Callable
from functools import partial

from PIL import Image, ImageFilter

from veridical.arrays import UInt8, ndarray

Step = Callable[[Image.Image], bytes]


def launder(pixels: UInt8[ndarray, "height width 3"], step: str) -> bytes:
    """Return the file that `step`, a key of `GRID`, makes of a photo.

    Raises:
        KeyError: If there is no such step.
    """
    return GRID[step](Image.fromarray(pixels))


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


_png = partial(_file, kind="PNG", compress_level=1)


def _jpeg(quality: int) -> Step:
    return lambda image: _file(image, "JPEG", quality=quality)


def _scaled(image: Image.Image, factor: float, resample: Image.Resampling) -> Image.Image:
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), resample)


def _there_and_back(factor: float) -> Step:
    def step(image: Image.Image) -> bytes:
        small = _scaled(image, factor, Image.Resampling.LANCZOS)
        return _png(small.resize(image.size, Image.Resampling.BICUBIC))

    return step


def _blurred(image: Image.Image) -> bytes:
    return _png(image.filter(ImageFilter.GaussianBlur(0.004 * max(image.size))))


def _cropped(image: Image.Image) -> bytes:
    """Take a tenth off every side, not at whole blocks of a JPEG."""
    width, height = image.size
    across, down = width // 10 | 1, height // 10 | 1
    return _png(image.crop((across, down, width - across, height - down)))


def _screenshot(image: Image.Image) -> bytes:
    return _png(_scaled(image, 0.77, Image.Resampling.BILINEAR))


def _half_jpeg50(image: Image.Image) -> bytes:
    return _jpeg(50)(_scaled(image, 0.5, Image.Resampling.LANCZOS))


GRID: dict[str, Step] = {
    "JPEG 95": _jpeg(95),
    "JPEG 75": _jpeg(75),
    "JPEG 50": _jpeg(50),
    "JPEG 30": _jpeg(30),
    "half size and back": _there_and_back(1 / 2),
    "quarter size and back": _there_and_back(1 / 4),
    "blur": _blurred,
    "crop": _cropped,
    "screenshot": _screenshot,
    "WebP 60": lambda image: _file(image, "WEBP", quality=60),
    "half size, JPEG 50": _half_jpeg50,
}
"""Every step by name, mildest first within its kind."""
