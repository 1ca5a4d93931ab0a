"""What remains when the picture is smoothed: how strong it is, how grainy, and whether a camera's.

A sensor's noise is nearly white before demosaicing, and demosaicing leaves a pattern of period 2:
interpolated pixels vary less than measured ones (Gallagher and Chen, "Image Authentication by
Detecting Traces of Demosaicing", CVPR Workshops 2008; Popescu and Farid, "Exposing Digital
Forgeries in Color Filter Array Interpolated Images", IEEE Transactions on Signal Processing 53(10),
2005), and fine detail that is alike in all three colours. Shrinking a photo, or strong compression,
wipes most of this out; then its absence means nothing.
"""

import numpy as np

from veridical.arrays import Float, UInt8, ndarray
from veridical.cues.pixels import blocks, face_window, local_mean, luma, residual
from veridical.cues.protocol import Cue, CueInput, Measurement
from veridical.explanation import Map
from veridical.report import NotApplicable

LEAST_PX = 64  # shorter side of the face
MOST_PX = 256  # px in the middle of the face that are looked at
_BLOCK = 16  # px; the noise's level is that of the quietest quarter of such blocks
_CLIPPED = 0.5  # share of black or white pixels from which there is no noise left to measure
_AWAY = 1.3  # background begins outside the face's box times this
_STRIP = 32, 128  # px; least and most of a background's side
_SOFT = 0.2  # correlation of neighbours; white noise has about -0.04 after the filter
_SMEARED = 0.66  # 19 in 20 of our real photographs lie below
_DRAWN = 64  # the map's most rows and columns


def measure(given: CueInput) -> Measurement | NotApplicable:
    """Measure the noise in the middle of a face, at the resolution in which it came."""
    window = face_window(given, most=MOST_PX, least=LEAST_PX)
    if window is None:
        return NotApplicable(
            cue="noise",
            why=f"The shorter side of the face has fewer than {LEAST_PX} px; its noise cannot be "
            "measured.",
        )
    values = luma(window)
    clipped = float(((values < 2) | (values > 253)).mean())
    if clipped > _CLIPPED:
        return NotApplicable(
            cue="noise",
            why=f"{clipped:.0%} of the face is black or white; clipped pixels carry no noise.",
        )
    rest = residual(values)
    energy = float((rest**2).mean())
    if energy < 1e-4:
        return NotApplicable(
            cue="noise", why="The face is perfectly smooth; there is no noise in it."
        )
    near, diagonal, far = (
        (_correlation(rest, 0, 1) + _correlation(rest, 1, 0)) / 2,
        (_correlation(rest, 1, 1) + _correlation(rest, 1, -1)) / 2,
        (_correlation(rest, 0, 2) + _correlation(rest, 2, 0)) / 2,
    )
    level = _level(values)
    behind = _background(given)
    red_green_blue, red_blue = _across(window)
    mosaic = demosaicing(window[..., 1].astype(float))
    seen = "is as fine as the pixels, as a sensor's is"
    if near >= _SOFT:
        seen = "is softened, as compression, resizing and filters soften it"
    if near >= _SMEARED:
        seen = "is smeared more than in most photographs"
    uneven = None if behind is None else float(np.log((level + 0.05) / (behind + 0.05)))
    told = "no background to compare" if uneven is None else f"{uneven:+.2f} nats against behind"
    return Measurement(
        statistics={
            "level": float(np.log(level + 0.05)),
            "near": near,
            "diagonal": diagonal,
            "far": far,
            "mosaic": mosaic,
            "channels": red_green_blue,
            "red_blue": red_blue,
            "uneven": None if uneven is None else abs(uneven),
        },
        plain=f"The grain of the face {seen}",
        technical=(
            f"Noise of {level:.2f} levels ({told}); the residual's autocorrelation is {near:+.2f}, "
            f"{diagonal:+.2f} and {far:+.2f} at 1 px, 1 px diagonally and 2 px; demosaicing's line "
            f"stands {mosaic:+.2f} nats above the median; fine detail of the colours correlates "
            f"{red_green_blue:.2f}."
        ),
        drawing=Map(
            values=blocks(np.abs(rest), max(1, -(-len(rest) // _DRAWN))),
            unit="levels",
        ),
    )


def _correlation(values: Float[ndarray, "rows columns"], down: int, across: int) -> float:
    """Return the autocorrelation at one distance, in [-1, 1]."""
    height, width = values.shape
    here = values[: height - down, max(0, -across) : width - max(0, across)]
    there = values[down:, max(0, across) : width + min(0, across)]
    scale = float(np.sqrt((here**2).mean() * (there**2).mean()))
    return float((here * there).mean()) / max(scale, 1e-12)


def _level(values: Float[ndarray, "rows columns"]) -> float:
    """Return the noise's standard deviation, levels of 255.

    Immerkær, "Fast Noise Variance Estimation", CVIU 64(2), 1996, eq. 6, block by block; the lower
    quartile, because texture only ever adds to it.
    """
    x = values[:, :-2] - 2 * values[:, 1:-1] + values[:, 2:]
    mask = np.abs(x[:-2] - 2 * x[1:-1] + x[2:])
    return float(np.quantile(blocks(mask, _BLOCK), 0.25) * np.sqrt(np.pi / 2) / 6)


def _across(window: UInt8[ndarray, "rows columns 3"]) -> tuple[float, float]:
    """Return how alike the colours' fine detail is: red and blue with green, and red with blue."""
    fine = []
    for channel in range(3):
        one = window[..., channel].astype(float)
        fine.append((one - local_mean(one, 3)).ravel())
    red, green, blue = (one / max(float(np.linalg.norm(one)), 1e-9) for one in fine)
    return float(red @ green + green @ blue) / 2, float(red @ blue)


def demosaicing(green: Float[ndarray, "rows columns"]) -> float:
    """Return how far the line of a quincunx stands out of the variance of green, nats.

    Gallagher and Chen 2008, section 3: high-pass, mean size along diagonals, its DFT; the line at
    pi against the median of the others.
    """
    high = np.abs(
        green[:-2, 1:-1]
        + green[2:, 1:-1]
        + green[1:-1, :-2]
        + green[1:-1, 2:]
        - 4 * green[1:-1, 1:-1]
    )
    rows, columns = np.indices(high.shape)
    diagonal = (rows + columns).ravel()
    total, count = np.bincount(diagonal, high.ravel()), np.bincount(diagonal)
    full = count >= min(high.shape) // 4  # short diagonals in the corners are mostly chance
    mean = total[full] / count[full]
    mean = mean[: len(mean) // 2 * 2]
    lines = np.abs(np.fft.rfft(mean - mean.mean()))
    usual = float(np.median(lines[len(lines) // 2 : -1]))
    return float(np.log((lines[-1] + 1e-3) / (usual + 1e-3)))


def _background(given: CueInput) -> float | None:
    """Return the noise's level beside and above the face, levels; None if there is no room."""
    height, width = given.pixels.shape[:2]
    box = given.box
    grow_x, grow_y = box.width * (_AWAY - 1) / 2, box.height * (_AWAY - 1) / 2
    left, right = int(box.left - grow_x), int(box.left + box.width + grow_x)
    top = int(box.top - grow_y)
    middle = int(np.clip(box.top + box.height / 3, 0, height))
    least, most = _STRIP
    rooms = (
        (max(0, left - most), max(0, middle - most // 2), left, middle + most // 2),
        (right, max(0, middle - most // 2), right + most, middle + most // 2),
        (max(0, left), max(0, top - most), max(0, left) + most, top),
    )
    levels = []
    for x0, y0, x1, y1 in rooms:
        x1, y1 = min(x1, width), min(y1, height)
        if x1 - x0 < least or y1 - y0 < least:
            continue
        values = luma(given.pixels[y0:y1, x0:x1])
        if ((values < 2) | (values > 253)).mean() < _CLIPPED:
            levels.append(_level(values))
    return float(np.median(levels)) if levels else None


NOISE = Cue(
    name="noise",
    statistics=(
        "level",
        "near",
        "diagonal",
        "far",
        "mosaic",
        "channels",
        "red_blue",
        "uneven",
    ),
    measure=measure,
)
