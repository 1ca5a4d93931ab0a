"""Groups of people and pictures that error rates are compared between.

Apparent skin tone is read off the face by the individual typology angle. It is not identity.
"""

from math import atan2, degrees

import numpy as np

from veridical.arrays import Float, UInt8, ndarray
from veridical.vision.faces import Face

GREY = 4.0  # chroma, CIELAB units, below which a colour has no hue

# Lowest angle of each class, degrees: A. Chardon, I. Cretois, C. Hourseau, "Skin colour typology
# and suntanning pathways", International Journal of Cosmetic Science 13(4), 1991; the six classes
# as in S. Del Bino, F. Bernerd, "Variations in skin colour and the biological consequences of
# ultraviolet radiation exposure", British Journal of Dermatology 169(s3), 2013.
TONES = (
    (55.0, "very light"),
    (41.0, "light"),
    (28.0, "intermediate"),
    (10.0, "tan"),
    (-30.0, "brown"),
    (-90.0, "dark"),
)


NO_COLOUR = "no colour"


def lab(pixels: UInt8[ndarray, "*shape 3"]) -> Float[ndarray, "*shape 3"]:
    """Return CIELAB of sRGB, white point D65.

    IEC 61966-2-1 for sRGB to XYZ; CIE 15:2004, section 8.2.1, for XYZ to L*, a*, b*.
    """
    coded = pixels.astype(np.float64) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)  # white is (1, 1, 1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def skin(pixels: UInt8[ndarray, "height width 3"], face: Face) -> UInt8[ndarray, "n 3"]:
    """Return the pixels between eyes and mouth: cheeks and nose, no hair and little beard."""
    marks = np.array(face.landmarks)
    (left, right), (top, bottom) = (
        (float(marks[:, axis].min()), float(marks[:, axis].max())) for axis in (0, 1)
    )
    down = bottom - top
    rows = slice(max(0, round(top + 0.25 * down)), max(0, round(bottom - 0.2 * down)))
    columns = slice(max(0, round(left)), max(0, round(right)))
    return pixels[rows, columns].reshape(-1, 3)


def typology_angle(skin: UInt8[ndarray, "n 3"]) -> float | None:
    """Return the individual typology angle of the median colour, degrees; None if it has no hue.

    ITA = arctan((L* - 50) / b*) (Chardon et al. 1991): 90 is white, -90 black. It is a number of
    the light that came in, so a warm lamp makes a face "darker" and a flash "lighter".
    """
    if not len(skin):
        return None
    lightness, red, yellow = np.median(lab(skin), axis=0)
    if np.hypot(red, yellow) < GREY:
        return None
    # As an angle of a full turn: bluish light, b* < 0, is no reason for a dark face to be light.
    return degrees(atan2(lightness - 50, max(yellow, 1e-9)))


def tone(angle: float | None) -> str:
    """Return the class of an angle."""
    if angle is None:
        return NO_COLOUR
    return next(name for least, name in TONES if angle > least or least == -90.0)


SIZES = (*(f"under {most} px" for most in (64, 128, 256, 512)), "512 px and more")


def size(px: float) -> str:
    """Return the class of a length, px."""
    return SIZES[sum(px >= most for most in (64, 128, 256, 512))]
