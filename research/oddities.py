"""Pictures that nobody should get a verdict on.

Patterns are drawn; filters are laid over real and generated portraits. The same seed always draws
the same pictures.
"""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from veridical.arrays import UInt8, ndarray

SIDE_PX = 320
Pixels = UInt8[ndarray, "height width 3"]


# --- patterns ------------------------------------------------------------------------------------


def _noise(draw: np.random.Generator) -> ndarray:
    return draw.integers(0, 256, (SIDE_PX, SIDE_PX, 3))


def _gradient(draw: np.random.Generator) -> ndarray:
    across, down = np.meshgrid(*[np.linspace(0, 1, SIDE_PX)] * 2)
    angle = draw.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * across + np.sin(angle) * down
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    one, other = draw.uniform(0, 255, (2, 3))
    made: ndarray = one + ramp[..., None] * (other - one)
    return made


def _flat(draw: np.random.Generator) -> ndarray:
    value = draw.choice(np.array([0, 0, 255, draw.integers(1, 255)]))
    made: ndarray = np.ones((SIDE_PX, SIDE_PX, 3)) * float(value)
    return made


def _stripes(draw: np.random.Generator) -> ndarray:
    period = draw.uniform(4, 40)
    wave = np.sign(np.sin(2 * np.pi * np.arange(SIDE_PX) / period))
    rows = np.broadcast_to(127.5 + 127.5 * wave[:, None, None], (SIDE_PX, SIDE_PX, 3))
    return rows if draw.random() < 0.5 else rows.transpose(1, 0, 2)


def _checkerboard(draw: np.random.Generator) -> ndarray:
    cell = int(draw.integers(4, 48))
    at = np.arange(SIDE_PX) // cell
    return np.repeat(255 * ((at[:, None] + at) % 2)[..., None], 3, axis=2)


def _text(draw: np.random.Generator) -> ndarray:
    page = Image.new("RGB", (SIDE_PX, SIDE_PX), "white")
    pen = ImageDraw.Draw(page)
    letters = [*"abcdefghijklmnopqrstuvwxyz    "]
    for line in range(12, SIDE_PX - 20, 14):
        pen.text((14, line), "".join(draw.choice(letters, size=46)), fill=(20, 20, 20))
    return np.asarray(page)


def _drawn_face(draw: np.random.Generator) -> ndarray:
    """An oval with eyes, nose and mouth, in flat colours: a child's drawing, not a photo."""
    page = Image.fromarray(_gradient(draw).astype(np.uint8))
    pen = ImageDraw.Draw(page)
    width = draw.uniform(0.4, 0.7) * SIDE_PX
    left, top = (SIDE_PX - width) / 2, (SIDE_PX - 1.2 * width) / 2
    skin = tuple(int(c) for c in draw.uniform(90, 240, 3))
    for x, y, rx, ry, colour in (
        (0.5, 0.5, 0.48, 0.5, skin),
        (0.32, 0.4, 0.1, 0.05, (250, 250, 250)),
        (0.68, 0.4, 0.1, 0.05, (250, 250, 250)),
        (0.32, 0.4, 0.04, 0.04, (50, 40, 30)),
        (0.68, 0.4, 0.04, 0.04, (50, 40, 30)),
        (0.5, 0.58, 0.06, 0.08, tuple(int(0.85 * c) for c in skin)),
        (0.5, 0.78, 0.2, 0.05, (150, 60, 60)),
    ):
        x0, y0 = left + (x - rx) * width, top + (y - ry) * 1.2 * width
        pen.ellipse((x0, y0, x0 + 2 * rx * width, y0 + 2.4 * ry * width), colour)
    return np.asarray(page)


PATTERNS: dict[str, Callable[[np.random.Generator], ndarray]] = {
    "white noise": _noise,
    "colour gradient": _gradient,
    "black, white, one colour": _flat,
    "stripes": _stripes,
    "checkerboard": _checkerboard,
    "page of text": _text,
    "drawn face": _drawn_face,
}


def patterns(each: int = 6) -> Iterator[tuple[str, Pixels]]:
    """Yield `each` pictures of every pattern, with its name."""
    for number, (kind, make) in enumerate(PATTERNS.items()):
        for i in range(each):
            draw = np.random.default_rng([number, i])
            yield kind, np.clip(make(draw), 0, 255).astype(np.uint8)


# --- filters -------------------------------------------------------------------------------------


def _infrared(image: Image.Image) -> Image.Image:
    """Skin glows and eyes are dark, as under a lamp that only the camera sees; with bloom."""
    red, green, blue = (np.asarray(band, dtype=float) for band in image.split())
    grey = Image.fromarray(np.clip(1.3 * red + 0.3 * green - 0.5 * blue, 0, 255).astype(np.uint8))
    bloom = grey.filter(ImageFilter.GaussianBlur(max(image.size) / 60))
    lit = 255 - (255 - np.asarray(grey, float)) * (255 - 0.6 * np.asarray(bloom, float)) / 255
    return Image.fromarray(lit.astype(np.uint8)).convert("RGB")


def _painted(image: Image.Image) -> Image.Image:
    """Flat patches with soft edges, as thick paint."""
    return image.filter(ImageFilter.ModeFilter(9)).filter(ImageFilter.MedianFilter(5))


def _tiny(image: Image.Image) -> Image.Image:
    """A face of some twenty pixels, enlarged and soft."""
    small = image.resize((max(1, image.width // 16), max(1, image.height // 16)))
    return small.resize(image.size, Image.Resampling.BICUBIC)


def _sketched(image: Image.Image) -> Image.Image:
    return ImageOps.invert(image.convert("L").filter(ImageFilter.FIND_EDGES)).convert("RGB")


def _tinted(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(image.convert("L"), (30, 0, 70), (120, 255, 90))


FILTERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "infrared-like": _infrared,
    "negative": ImageOps.invert,
    "four tones": lambda image: ImageOps.posterize(image, 2),
    "painted over": _painted,
    "edges only": _sketched,
    "two colours": _tinted,
    "low-resolution, blurred": _tiny,
}


def filtered(pixels: Pixels) -> Iterator[tuple[str, Pixels]]:
    """Yield the picture under every filter, with its name; shrunk to 512 px first."""
    image = Image.fromarray(pixels)
    image.thumbnail((512, 512))
    for kind, change in FILTERS.items():
        yield kind, np.asarray(change(image).convert("RGB"), dtype=np.uint8)
