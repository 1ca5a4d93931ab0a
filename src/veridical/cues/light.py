"""Where the light comes from: does one half of the face agree with the other, and with the neck?

Brightness under distant light is I = A + N.L for a matt surface with normals N (Johnson and Farid,
"Exposing Digital Forgeries by Detecting Inconsistencies in Lighting", ACM Multimedia and Security
2005, section 2; Kee and Farid, "Exposing Digital Forgeries from 3-D Lighting Environments", WIFS
2010, for faces). That is the constant and the first order of the spherical harmonics of lighting
(Ramamoorthi and Hanrahan, JOSA A 18(10), 2001).

Departures: we have no contour and no model of this face. The normals are those of one ellipsoid for
all heads, scaled by the distance of the eyes and turned with them; noses and hair are not
ellipsoids, and outliers are dropped once. So the direction is rough, and only large disagreement
can mean something. Two lamps, a window and a lamp, or half a face in shadow disagree honestly.
"""

from math import atan2, degrees, hypot

import numpy as np

from veridical.arrays import Bool, Float, ndarray
from veridical.cues.pixels import eye_distance, level, luma
from veridical.cues.protocol import Cue, CueInput, Measurement
from veridical.explanation import Marked, Point
from veridical.report import NotApplicable

LEAST_PX = 24  # distance between the eyes
_SIDE, _BETWEEN, _EYES = 128, 32.0, (64.0, 44.0)  # the level face with its neck, px
_WIDTH, _HEIGHT, _CENTRE = 36.0, 48.0, (64.0, 58.0)  # half axes and middle of the ellipsoid, px
_NECK = (112, 124)  # rows of the level face below the chin
_FEATURES = 0.3  # discs around eyes and mouth that are left out, in eye distances
_DARK, _BRIGHT = 12.0, 247.0  # levels; beyond them brightness is cut off
_LEAST_SHARE = 0.5  # of the ellipsoid's pixels that must be usable
_FAINT = 0.2  # of the mean brightness; vectors of less light count less
_USUAL = 0.8  # 19 in 20 of our real photographs lie below, in shares of the vectors' length
_FLAT = 1.0  # levels; a standard deviation below it is no shading


def measure(given: CueInput) -> Measurement | NotApplicable:
    """Estimate the light on a face's halves and on its neck, and compare."""
    between = eye_distance(given)
    if between < LEAST_PX:
        what = (
            "Where the eyes are is not known"
            if not given.landmarks
            else f"The eyes are {between:.0f} px apart; {LEAST_PX} px are needed"
        )
        return NotApplicable(cue="light", why=f"{what}, so shading cannot be laid onto a head.")
    picture = level(given, size=_SIDE, between=_BETWEEN, at=_EYES)
    grey = luma(picture)
    rows, columns = np.indices(grey.shape) + 0.5
    u, v = (columns - _CENTRE[0]) / _WIDTH, (rows - _CENTRE[1]) / _HEIGHT
    inside = u**2 + v**2 < 0.85
    fair = (grey > _DARK) & (grey < _BRIGHT)
    usable = inside & fair & ~_features(given, columns, rows)
    share = float((inside & fair).sum() / inside.sum())
    if share < _LEAST_SHARE:
        return NotApplicable(
            cue="light",
            why=f"{1 - share:.0%} of the face is nearly black or white; its shading is cut off.",
        )
    if float(grey[usable].std()) < _FLAT:
        return NotApplicable(
            cue="light", why="The face is evenly bright; no direction of light shows."
        )
    normals = _normals(u, v)
    mean = float(grey[usable].mean())
    whole, explained = _lit(grey, normals, usable)
    halves, _ = _lit(grey, _apart(normals), usable)
    x, y, right_x, right_y, left_x, left_y = (float(part) / mean for part in (*whole, *halves))
    size = hypot(right_x, right_y) + hypot(left_x, left_y)
    apart = hypot(right_x - left_x, right_y - left_y)
    neck = _neck(given, grey, u, fair)
    angle = degrees(atan2(x, -y))
    halves_apart = apart / (size + _FAINT)
    seen = "agree about as well as in most photographs on where the light comes from"
    if halves_apart > _USUAL:
        seen = "disagree more than in most photographs on where the light comes from"
    told = "no neck to compare" if neck is None else f"on the neck {neck:+.2f}"
    return Measurement(
        statistics={
            "strength": hypot(x, y),
            "above": -y,
            "halves": halves_apart,
            "balance": abs(
                float(np.log((hypot(right_x, right_y) + 0.1) / (hypot(left_x, left_y) + 0.1)))
            ),
            "unexplained": 1 - explained,
            "neck": None if neck is None else abs(neck - x),
        },
        plain=f"The two halves of the face {seen}",
        technical=(
            f"Under an ellipsoid, light comes {angle:+.0f} degrees clockwise from above with "
            f"{hypot(x, y):.2f} of the mean brightness ({explained:.0%} of the variance); the "
            f"halves' vectors differ by {apart:.2f}; sideways light {x:+.2f}, {told}."
        ),
        drawing=Marked(
            image=picture,
            arrows=(
                _arrow((_CENTRE[0], _CENTRE[1]), x, y),
                _arrow((_CENTRE[0] - 18, _CENTRE[1]), right_x, right_y),
                _arrow((_CENTRE[0] + 18, _CENTRE[1]), left_x, left_y),
            ),
        ),
    )


def _arrow(at: Point, x: float, y: float) -> tuple[Point, Point]:
    """Point towards the light, 16 px long for a strong one."""
    size = max(hypot(x, y), 1e-9)
    reach = 16 * min(1.0, size / 0.4)
    return at, (at[0] + x / size * reach, at[1] + y / size * reach)


def _normals(
    u: Float[ndarray, "rows columns"], v: Float[ndarray, "rows columns"]
) -> Float[ndarray, "rows columns 3"]:
    """Return normals (towards us, right, down) of an ellipsoid as deep as it is wide."""
    w = np.sqrt(np.maximum(1 - u**2 - v**2, 0.02))
    normals = np.stack([w / _WIDTH, u / _WIDTH, v / _HEIGHT], axis=-1)
    one: ndarray = normals / np.linalg.norm(normals, axis=-1, keepdims=True)
    return one


def _apart(normals: Float[ndarray, "rows columns 3"]) -> Float[ndarray, "rows columns 5"]:
    """Let the halves have a light of their own in the picture's plane, and share the rest."""
    side = normals[..., 1:2]
    plane = normals[..., 1:]
    return np.concatenate([normals[..., :1], plane * (side < 0), plane * (side >= 0)], axis=-1)


def _features(
    given: CueInput, columns: Float[ndarray, "rows columns"], rows: Float[ndarray, "rows columns"]
) -> Bool[ndarray, "rows columns"]:
    """Return where eyes and mouth are: their colour is not skin's."""
    (x0, y0), (x1, y1) = given.landmarks[:2]
    size = (x1 - x0) ** 2 + (y1 - y0) ** 2
    covered = np.zeros(rows.shape, dtype=bool)
    for number, (x, y) in enumerate(given.landmarks):
        if number == 2:
            continue
        across = ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / size - 0.5
        down = ((y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)) / size
        at = _EYES[0] + across * _BETWEEN, _EYES[1] + down * _BETWEEN
        covered |= np.hypot(columns - at[0], rows - at[1]) < _FEATURES * _BETWEEN
    return covered


def _lit(
    grey: Float[ndarray, "rows columns"],
    normals: Float[ndarray, "rows columns parts"],
    usable: Bool[ndarray, "rows columns"],
) -> tuple[Float[ndarray, " sideways"], float]:
    """Return the lights in the picture's plane, levels, and the share of variance explained.

    The first part is the light along the line of sight. A convex matt surface cannot be darker
    for facing us, so it is left out where it would come out negative.
    """
    values, parts = grey[usable], normals[usable]
    kept = np.ones(len(values), dtype=bool)
    found, rest = np.zeros(1 + parts.shape[1]), values
    for _ in range(2):
        for toward in (True, False):
            used = np.array([True, toward, *[True] * (parts.shape[1] - 1)])
            design = np.column_stack([np.ones(len(values)), parts])[:, used]
            # A breath of ridge: where half the face is hidden, the other half must do.
            ridge = np.diag([0.0, *[0.003 * kept.sum()] * (used.sum() - 1)])
            gram = design[kept].T @ design[kept] + ridge
            found = np.zeros(len(used))
            found[used] = np.linalg.solve(gram, design[kept].T @ values[kept])
            rest = values - design @ found[used]
            if found[1] >= 0:
                break
        kept = np.abs(rest) <= 2.5 * 1.4826 * max(float(np.median(np.abs(rest))), 1e-6)
    total = float(((values[kept] - values[kept].mean()) ** 2).sum())
    explained = 1 - float((rest[kept] ** 2).sum()) / total if total > 1e-9 else 0.0
    return found[2:], min(max(explained, 0.0), 1.0)


def _neck(
    given: CueInput,
    grey: Float[ndarray, "rows columns"],
    u: Float[ndarray, "rows columns"],
    fair: Bool[ndarray, "rows columns"],
) -> float | None:
    """Return the sideways light on the neck, as a share of its brightness; None if out of sight."""
    (x0, y0), (x1, y1) = given.landmarks[:2]
    scale = eye_distance(given) / _BETWEEN
    bottom = (y0 + y1) / 2 + (x1 - x0) / eye_distance(given) * (_NECK[1] - _EYES[1]) * scale
    if bottom > given.pixels.shape[0]:
        return None
    strip = np.zeros(grey.shape, dtype=bool)
    strip[_NECK[0] : _NECK[1]] = True
    usable = strip & fair & (np.abs(u) < 0.45)
    if usable.sum() < 0.6 * (strip & (np.abs(u) < 0.45)).sum():
        return None
    # A cylinder about 0.6 as wide as the head: n_x = u / 0.6.
    across, values = u[usable] / 0.6, grey[usable]
    lean = float(((across - across.mean()) * values).sum() / ((across - across.mean()) ** 2).sum())
    return lean / max(float(values.mean()), 1.0)


LIGHT = Cue(
    name="light",
    statistics=("strength", "above", "halves", "balance", "unexplained", "neck"),
    measure=measure,
)
