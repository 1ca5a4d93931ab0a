"""One decoded frame as a player shows it: sRGB of 8 bits, upright, with square pixels.

Ordinary clips go through swscale: matrix and range, chroma to full size, and on to the screen
without another curve, as players do. HDR and wide gamuts go through light:

* PQ (SMPTE ST 2084) and HLG (BT.2100-2, table 5; system gamma 1.2 for 1000 cd/m2) become cd/m2.
* The tone curve of BT.2390-10, section 5.4.1, takes 1000 cd/m2 down to the 203 of reference white
  (BT.2408), of the largest of R, G and B, so that hues stay. What is below 85 stays as it is.
* BT.2020 and P3 become BT.709; what lies outside is clipped. The curve of sRGB comes last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from veridical._optional import need
from veridical.arrays import Float32, UInt8, ndarray
from veridical.io.clip import ClipColour

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

_PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
_TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log",
    10: "log-sqrt",
    11: "iec61966-2-4",
    12: "bt1361",
    13: "srgb",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "pq",
    17: "smpte428",
    18: "hlg",
}
_MATRICES = {
    0: "rgb",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020",
    10: "bt2020c",
    14: "ictcp",
}
_SWSCALE = {  # its numbers for them
    "bt709": 1,
    "fcc": 4,
    "bt470bg": 5,
    "smpte170m": 5,
    "smpte240m": 7,
    "bt2020": 9,
    "bt2020c": 9,
}
_LIMITED, _FULL = 1, 2
_BILINEAR, _BICUBIC, _FINE = (
    2,
    4,
    0x2000 | 0x40000 | 0x80000,
)  # full chroma, accurate rounding, bit-exact
_WHITE, _PEAK = 203.0, 1000.0  # cd/m2
_ROWS = 128  # at a time, to bound memory
_SANE_ASPECT = (Fraction(1, 8), Fraction(8))
_CHROMATICITIES = {
    "bt709": (0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    "bt2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    "p3": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
_WIDE = {"bt2020": "bt2020", "smpte431": "p3", "smpte432": "p3"}


def colour_of(frame: "VideoFrame") -> ClipColour:
    """Return how a frame's samples are to be read.

    A clip that does not name its matrix is read as players do: by BT.709 from 1280 px across or
    577 down, by BT.601 below.
    """
    form = frame.format
    matrix = _MATRICES.get(int(frame.colorspace))
    if form.is_rgb:
        matrix = "rgb"
    elif matrix is None or matrix == "rgb":
        matrix = "bt709" if frame.width >= 1280 or frame.height > 576 else "smpte170m"
    transfer = _TRANSFERS.get(int(frame.color_trc))
    grey = len([one for one in form.components if not one.is_alpha]) == 1
    full = int(frame.color_range) == _FULL or form.name.startswith("yuvj")
    return ClipColour(
        primaries=_PRIMARIES.get(int(frame.color_primaries)),
        transfer=transfer,
        matrix=matrix,
        full_range=full or form.is_rgb or (grey and int(frame.color_range) != _LIMITED),
        bits=max(one.bits for one in form.components),
        hdr=transfer in ("pq", "hlg"),
    )


@dataclass(frozen=True, slots=True)
class Geometry:
    """How coded frames become upright ones with square pixels.

    Attributes:
        orientation: Of EXIF's eight.
        aspect: Width of a pixel by its height.
        said: What was done, in words.
    """

    orientation: int
    aspect: Fraction
    said: tuple[str, ...]

    def stretched(self, width: int, height: int) -> tuple[int, int]:
        """Return the size with square pixels, not yet turned; nothing is made smaller."""
        if self.aspect >= 1:
            return max(1, round(width * self.aspect)), height
        return width, max(1, round(height / self.aspect))

    def shown(self, width: int, height: int) -> tuple[int, int]:
        """Return the size as shown of frames coded in `width` x `height` px."""
        across, down = self.stretched(width, height)
        return (down, across) if self.orientation > 4 else (across, down)


def geometry_of(frame: "VideoFrame", aspect: Fraction | None) -> Geometry:
    """Read a frame's display matrix; `aspect` is its clip's pixel aspect ratio."""
    matrix = _display_matrix(frame)
    orientation, straight = orientation_of(matrix) if matrix else (1, True)
    said = [f"display matrix applied (EXIF orientation {orientation})"] * (orientation > 1)
    if not straight:
        said.append("turned by the nearest right angle; the clip asks for another")
    aspect = aspect or Fraction(1)
    if not _SANE_ASPECT[0] <= aspect <= _SANE_ASPECT[1]:
        said.append(f"pixel aspect ratio {aspect.numerator}:{aspect.denominator} not applied")
        aspect = Fraction(1)
    elif aspect != 1:
        said.append(f"stretched to square pixels from {aspect.numerator}:{aspect.denominator}")
    return Geometry(orientation, aspect, tuple(said))


def _display_matrix(frame: "VideoFrame") -> tuple[int, ...] | None:
    kinds = need("av.sidedata.sidedata", extra="video", to="read videos").Type
    # Its stubs know of motion vectors only.
    for one in cast(Iterable[Any], frame.side_data):
        raw = bytes(one) if one.type == kinds.DISPLAYMATRIX else b""
        if len(raw) >= 36:
            return tuple(int(value) for value in np.frombuffer(raw[:36], np.int32))
    return None


def orientation_of(matrix: Sequence[int]) -> tuple[int, bool]:
    """Return EXIF's orientation for a display matrix, and whether it turns by a right angle.

    A point goes from (p, q) to (a p + c q, b p + d q), of 16.16 numbers a, b, u, c, d, v, x, y, w
    (ISO/IEC 14496-12, section 8.2.2).
    """
    a, b, _, c, d = matrix[:5]
    along, across = abs(a) + abs(d), abs(b) + abs(c)
    straight = min(along, across) * 50 <= max(along, across)
    if along >= across:
        return {(0, 0): 1, (1, 0): 2, (1, 1): 3, (0, 1): 4}[a < 0, d < 0], straight
    return {(0, 0): 5, (0, 1): 6, (1, 1): 7, (1, 0): 8}[b < 0, c < 0], straight


def shown_pixels(
    frame: "VideoFrame",
    geometry: Geometry,
    reformatter: "VideoReformatter",
    threads: int,
    steps: list[str],
) -> UInt8[ndarray, "height width 3"]:
    """Return a frame as a player shows it; read-only.

    Args:
        frame: Decoded, progressive.
        geometry: Of the clip.
        reformatter: Of the clip, so that its tables are made once.
        threads: Of the conversion.
        steps: Is told what was done.
    """
    colour = colour_of(frame)
    alpha = any(one.is_alpha for one in frame.format.components)
    wide = _WIDE.get(colour.primaries or "")
    deep = colour.hdr or wide is not None
    width, height = geometry.stretched(frame.width, frame.height)
    made = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format=("rgba64le" if deep else "rgba") if alpha else ("rgb48le" if deep else "rgb24"),
        src_colorspace=_SWSCALE.get(colour.matrix or ""),
        src_color_range=None if colour.matrix == "rgb" else _FULL if colour.full_range else 1,
        dst_color_range=_FULL,
        interpolation=(_BICUBIC if geometry.aspect != 1 else _BILINEAR) | _FINE,
        threads=threads,
    )
    if colour.matrix in ("ycgco", "ictcp", "bt2020c"):
        steps.append(f"colour matrix {colour.matrix} not known; a near one was used")
    if colour.bits > 8:
        steps.append(f"{colour.bits}-bit scaled to 8-bit")
    values = made.to_ndarray()
    pixels = through_light(values[..., :3], colour.transfer, wide, steps) if deep else values
    if alpha:
        pixels = _over_white(pixels[..., :3], values[..., 3], steps)
    steps.extend(geometry.said)
    upright = np.ascontiguousarray(_turned(pixels, geometry.orientation))
    upright.setflags(write=False)
    return upright


def _turned(pixels: ndarray, orientation: int) -> ndarray:
    if orientation > 4:
        pixels = pixels.swapaxes(0, 1)
    across = orientation in (2, 3, 6, 7)
    down = orientation in (3, 4, 7, 8)
    return pixels[:: -1 if down else 1, :: -1 if across else 1]


def _over_white(
    colour: UInt8[ndarray, "height width 3"], alpha: ndarray, steps: list[str]
) -> UInt8[ndarray, "height width 3"]:
    top = np.iinfo(alpha.dtype).max
    if alpha.min() == top:
        return colour
    steps.append("transparency laid over white")
    share = (alpha / np.float32(top))[..., None]
    mixed: ndarray = np.rint(colour * share + 255 * (1 - share)).astype(np.uint8)
    return mixed


# --- through light -----------------------------------------------------------------------------


def through_light(
    values: ndarray,
    transfer: str | None,
    wide: str | None,
    steps: list[str],
) -> UInt8[ndarray, "height width 3"]:
    """Return samples of 16 bits in another space as sRGB of 8 bits.

    Args:
        values: R, G and B, full range.
        transfer: `pq`, `hlg`, or another, which is taken for sRGB's.
        wide: `bt2020` or `p3`; None for BT.709.
        steps: Is told what was done.
    """
    if transfer in ("pq", "hlg"):
        name = "PQ" if transfer == "pq" else "HLG"
        steps.append(f"HDR ({name}) tone-mapped to SDR: BT.2390, 1000 to 203 cd/m2")
    if wide:
        steps.append(f"colours converted from {_NAMES[wide]} to BT.709")
    matrix = _to_709(wide) if wide else np.eye(3, dtype=np.float32)
    light, tone, curve = _light(transfer), _tone(), _srgb_bytes()
    made = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _ROWS):
        linear = light[values[top : top + _ROWS]]
        if transfer == "hlg":  # the system gamma, of scene luminance (BT.2100-2, table 5)
            luma = linear @ np.array([0.2627, 0.678, 0.0593], np.float32)
            linear *= (_PEAK * luma**0.2)[..., None]
        if transfer in ("pq", "hlg"):
            place = np.sqrt(np.minimum(linear.max(axis=-1) / _PEAK, 1)) * (len(tone) - 1)
            # Above the peak the largest of the three becomes white, and the others keep to it.
            over = np.maximum(linear.max(axis=-1) / _PEAK, 1)
            linear *= (tone[np.rint(place).astype(np.intp)] / over / _WHITE)[..., None]
        linear = np.clip(linear @ matrix.T, 0, 1)
        made[top : top + _ROWS] = curve[np.rint(linear * 65535).astype(np.uint16)]
    return made


_NAMES = {"bt2020": "BT.2020", "p3": "P3"}


@lru_cache(maxsize=4)
def _light(transfer: str | None) -> Float32[ndarray, "65536"]:
    """Return the light of each level: cd/m2 for PQ, of the scene in [0, 1] for HLG, else [0, 1]."""
    level = np.arange(65536) / 65535
    if transfer == "pq":
        return pq_light(level).astype(np.float32)
    if transfer == "hlg":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(level <= 0.5, level**2 / 3, (np.exp((level - c) / a) + b) / 12)
        return scene.astype(np.float32)
    low = level / 12.92
    linear = np.where(level <= 0.04045, low, ((level + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128


def pq_light(level: ndarray) -> ndarray:
    """Return cd/m2 of PQ levels in [0, 1] (SMPTE ST 2084, equation 4.1)."""
    root = level ** (1 / _M2)
    light: ndarray = 10000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)
    return light


def pq_level(light: ndarray) -> ndarray:
    """Return PQ levels in [0, 1] of cd/m2 (equation 5.2)."""
    power = (light / 10000) ** _M1
    level: ndarray = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return level


@cache
def _tone() -> ndarray:
    """Return by what light is multiplied, for 4096 roots of it as a share of the peak."""
    light = np.linspace(0, 1, 4096) ** 2 * _PEAK
    peak, white = pq_level(np.array([_PEAK, _WHITE]))
    highest = white / peak
    knee = 1.5 * highest - 0.5
    level = pq_level(light) / peak
    t = np.clip((level - knee) / (1 - knee), 0, 1)
    above = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee)
    above += (-2 * t**3 + 3 * t**2) * highest
    mapped = pq_light(np.where(level < knee, level, above) * peak)
    gain = np.ones_like(light)
    gain[1:] = mapped[1:] / light[1:]
    return gain.astype(np.float32)


@cache
def _srgb_bytes() -> UInt8[ndarray, "65536"]:
    linear = np.arange(65536) / 65535
    level = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    made: ndarray = np.rint(255 * level).astype(np.uint8)
    return made


@cache
def _to_709(space: str) -> Float32[ndarray, "3 3"]:
    """Return the way from linear RGB of other primaries to those of BT.709; white is D65."""
    made: ndarray = np.linalg.inv(_to_xyz("bt709")) @ _to_xyz(space)
    matrix: ndarray = made.astype(np.float32)
    return matrix


def _to_xyz(space: str) -> ndarray:
    """Return linear RGB to XYZ (SMPTE RP 177)."""
    flat = np.array(_CHROMATICITIES[space]).reshape(3, 2)
    columns = np.stack([flat[:, 0], flat[:, 1], 1 - flat.sum(axis=1)]) / flat[:, 1]
    white = np.array([0.3127, 0.3290, 0.3583]) / 0.3290
    scaled: ndarray = columns * np.linalg.solve(columns, white)
    return scaled
