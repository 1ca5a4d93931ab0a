"""Left against right: the geometry of the face, its texture, and its two eyes.

Generators have drawn eyes of different colours, and highlights on the corneas that do not come from
the same lamps (Matern, Riess and Stamminger, "Exploiting Visual Artifacts to Expose Deepfakes and
Face Manipulations", WACV Workshops 2019; Hu, Li and Lyu, "Exposing GAN-generated Faces Using
Inconsistent Corneal Specular Highlights", arXiv:2009.11924, which compares highlights by their
intersection over union). Real faces are uneven too, and light falls from one side: this can only
speak about faces that look straight at the camera.

Departures: there are five landmarks and no contour of the eye, so the iris is sought as a dark disc
around the eye's landmark (in the manner of Daugman, IEEE TPAMI 15(11), 1993, with means over discs
for his circular integrals).
"""

from functools import cache
from math import atan2, degrees, hypot

import numpy as np

from veridical.arrays import Bool, Float, UInt8, ndarray
from veridical.cues.pixels import eye_distance, level, local_mean, luma
from veridical.cues.protocol import Cue, CueInput, Measurement
from veridical.explanation import Marked, Point
from veridical.report import NotApplicable

LEAST_PX = 40  # distance between the eyes for the face as a whole
LEAST_EYES_PX = 72  # distance between the eyes for the irises: they then have a radius of 7 px
FRONTAL = 0.12  # most that the nose tip may lie beside the middle of the eyes, in their distance
_SIDE, _BETWEEN, _EYES = 128, 48.0, (64.0, 50.0)  # the level face, px
_EYE, _EYE_BETWEEN = 48, 96.0  # an eye's cut-out, half the distance between the eyes wide, px
_IRIS = (7.5, 8.5, 9.5, 10.5)  # px; 11.7 mm across where pupils are 63 mm apart make 8.9 px
_SEARCH = 9  # px around the landmark
_DARKER = 12.0  # levels by which an iris must be darker than the white beside it
_USUAL = 0.93  # 19 in 20 of our real photographs lie below, in 1 - correlation
_OVERLAP = 0.1  # of the highlights, below which a reader is told
_SHINE = 50.0  # levels by which a highlight must be brighter than the iris


def measure(given: CueInput) -> Measurement | NotApplicable:
    """Compare the halves of a frontal face, and its eyes where they are large enough."""
    between = eye_distance(given)
    if not given.landmarks:
        return NotApplicable(cue="symmetry", why="Where eyes, nose and mouth are is not known.")
    if between < LEAST_PX:
        return NotApplicable(
            cue="symmetry",
            why=f"The eyes are {between:.0f} px apart; {LEAST_PX} px are needed to compare halves.",
        )
    marks = _levelled(given)
    nose = marks[2][0] - 0.5
    if abs(nose) > FRONTAL:
        return NotApplicable(
            cue="symmetry",
            why=f"The face is turned: the nose lies {abs(nose):.0%} of the eyes' distance beside "
            f"their middle, and {FRONTAL:.0%} is the most for a frontal face.",
        )
    picture = level(given, size=_SIDE, between=_BETWEEN, at=_EYES)
    texture, brightness, detail = _halves(luma(picture))
    eyes = (
        tuple(level(given, size=_EYE, between=_EYE_BETWEEN, at=(24.0, 24.0), eye=i) for i in (0, 1))
        if between >= LEAST_EYES_PX
        else ()
    )
    colour, highlights = compare_eyes(*eyes) if eyes else (None, None)
    mouth = ((marks[3][0] + marks[4][0]) / 2) - 0.5
    tilt = degrees(atan2(marks[4][1] - marks[3][1], marks[4][0] - marks[3][0] or 1e-9))
    right, left = hypot(*_minus(marks[0], marks[3])), hypot(*_minus(marks[1], marks[4]))
    told = []
    if colour is not None:
        told.append(f"iris colours differ by {colour:.1f} levels of chroma")
    if highlights is not None:
        told.append(f"corneal highlights overlap by {highlights:.0%}")
    seen = "are about as alike as in most photographs"
    if texture > _USUAL:
        seen = "differ more than in most photographs"
    if highlights is not None and highlights < _OVERLAP:
        seen += ", and the reflections in the two eyes hardly overlap, as happens in many of them"
    return Measurement(
        statistics={
            "nose": abs(nose),
            "mouth": abs(mouth),
            "tilt": abs(tilt),
            "sides": abs(float(np.log(max(right, 1e-3) / max(left, 1e-3)))),
            "texture": texture,
            "brightness": brightness,
            "detail": detail,
            "iris": colour,
            "highlights": highlights,
        },
        plain=f"The two halves of the face {seen}",
        technical=(
            f"Nose {nose:+.2f} and mouth {mouth:+.2f} eye distances off the middle, mouth tilted "
            f"{tilt:+.1f} degrees; mirrored texture correlates {1 - texture:.2f}; "
            f"{'; '.join(told) or 'no iris or highlight could be compared'}."
        ),
        drawing=Marked(
            image=picture,
            points=tuple(
                (_EYES[0] + (x - 0.5) * _BETWEEN, _EYES[1] + y * _BETWEEN) for x, y in marks
            ),
            insets=eyes,
        ),
    )


def _minus(a: Point, b: Point) -> Point:
    return a[0] - b[0], a[1] - b[1]


def _levelled(given: CueInput) -> tuple[Point, ...]:
    """Return the landmarks with the right eye at (0, 0) and the left at (1, 0)."""
    (x0, y0), (x1, y1) = given.landmarks[:2]
    size = (x1 - x0) ** 2 + (y1 - y0) ** 2
    return tuple(
        (
            ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / size,
            ((y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)) / size,
        )
        for x, y in given.landmarks
    )


def _halves(grey: Float[ndarray, "side side"]) -> tuple[float, float, float]:
    """Return 1 - correlation of mirrored texture, and the differences of brightness and detail."""
    inner = grey[32:116, 22:106]  # brow to chin, cheek to cheek; its middle is that of the eyes
    flat = inner - local_mean(inner, 15)
    flipped = flat[:, ::-1]
    energy = float((flat * flat).sum())
    alike = float((flat * flipped).sum()) / energy if energy > 1e-6 else 1.0
    half = inner.shape[1] // 2
    means = inner[:, :half].mean() + 1, inner[:, half:].mean() + 1
    fine = inner - local_mean(inner, 3)
    details = (fine[:, :half] ** 2).mean() + 0.1, (fine[:, half:] ** 2).mean() + 0.1
    return (
        1 - alike,
        abs(float(np.log(means[0] / means[1]))),
        abs(float(np.log(details[0] / details[1]))),
    )


# --- eyes --------------------------------------------------------------------------------------


def compare_eyes(
    right: UInt8[ndarray, "side side 3"], left: UInt8[ndarray, "side side 3"]
) -> tuple[float | None, float | None]:
    """Return the distance of the irises' colours and the overlap of the corneas' highlights.

    Args:
        right: The person's right eye, level, its landmark in the middle.
        left: The other.

    Returns:
        The distance in levels of Cb and Cr, None if an iris was not found; and the intersection
        over union of the highlights, aligned by the irises up to one pixel, None if neither eye
        has one.
    """
    found = [_iris(luma(eye)) for eye in (right, left)]
    if found[0] is None or found[1] is None:
        return None, None
    chroma, shines = [], []
    for eye, iris in zip((right, left), found, strict=True):
        assert iris is not None
        x, y, radius = iris
        grey = luma(eye)
        rows, columns = np.indices(grey.shape)
        away = np.hypot(columns - x, rows - y)
        ring = (away > 0.45 * radius) & (away < 0.9 * radius) & (rows >= y - 0.2 * radius)
        usual = float(np.median(grey[ring]))
        dull = ring & (grey < usual + _SHINE)
        blue, green, red = (eye[..., i].astype(float)[dull] for i in (2, 1, 0))
        bright = 0.299 * red + 0.587 * green + 0.114 * blue
        chroma.append((np.median(blue - bright) * 0.564, np.median(red - bright) * 0.713))
        shines.append(_highlight(grey, x, y, radius, usual))
    colour = float(hypot(*(a - b for a, b in zip(*chroma, strict=True))))
    if not (shines[0].any() or shines[1].any()):
        return colour, None
    return colour, _overlap(shines[0], shines[1])


def _highlight(
    grey: Float[ndarray, "side side"], x: int, y: int, radius: float, usual: float
) -> Bool[ndarray, "disc disc"]:
    """Return where the cornea shines, in a square around the iris."""
    reach = int(_IRIS[-1])
    padded = np.pad(grey, reach, mode="edge")
    square = padded[y : y + 2 * reach + 1, x : x + 2 * reach + 1]
    offset = np.arange(-reach, reach + 1)
    inside = np.hypot(offset[:, None], offset[None, :]) <= 0.85 * radius
    peak = float(square[inside].max())
    if peak < usual + _SHINE:
        return np.zeros_like(inside)
    one: ndarray = inside & (square > (usual + peak) / 2)
    return one


def _overlap(a: Bool[ndarray, "n n"], b: Bool[ndarray, "n n"]) -> float:
    """Return the largest intersection over union among shifts of up to one pixel."""
    best = 0.0
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            moved = np.roll(b, (down, across), axis=(0, 1))
            union = int((a | moved).sum())
            best = max(best, int((a & moved).sum()) / union if union else 0.0)
    return best


def _iris(grey: Float[ndarray, "side side"]) -> tuple[int, int, float] | None:
    """Return column, row and radius, px, of the disc that is darkest against its sides."""
    side = len(grey)
    spectrum = np.fft.rfft2(grey)
    best: tuple[float, int, int, float] = (-np.inf, 0, 0, 0.0)
    middle = side // 2
    near = slice(middle - _SEARCH, middle + _SEARCH + 1)
    for radius in _IRIS:
        score = np.fft.irfft2(spectrum * _kernel(side, radius), grey.shape)[near, near]
        row, column = np.unravel_index(np.argmax(score), score.shape)
        if score[row, column] > best[0]:
            place = int(row) + middle - _SEARCH, int(column) + middle - _SEARCH
            best = (float(score[row, column]), *place, radius)
    score_, y, x, radius = best
    return (x, y, radius) if score_ > _DARKER else None


@cache
def _kernel(side: int, radius: float) -> ndarray:
    """Return the transform of: mean beside the disc minus mean of the disc, conjugated."""
    offset = np.fft.fftfreq(side) * side
    x, y = offset[None, :], offset[:, None]
    away = np.hypot(x, y)
    disc = away <= radius
    # Lids cover the iris above and below: only its sides are next to white.
    beside = (away > 1.1 * radius) & (away <= 1.5 * radius) & (np.abs(y) < 0.6 * np.abs(x))
    one: ndarray = np.conj(np.fft.rfft2(beside / beside.sum() - disc / disc.sum()))
    return one


SYMMETRY = Cue(
    name="symmetry",
    statistics=(
        "nose",
        "mouth",
        "tilt",
        "sides",
        "texture",
        "brightness",
        "detail",
        "iris",
        "highlights",
    ),
    measure=measure,
)
