"""Maps as pictures: colours, overlays, colour bars, frames, and the letters beside them.

Light orange supports `ai` and dark blue supports `real`; + and - say the same to those who see no
colour.
"""

from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from veridical.arrays import Float, UInt8, ndarray
from veridical.box import Box
from veridical.explain.faithfulness import SHORT, THOROUGH
from veridical.explanation import Explanation, Faithfulness
from veridical.present.words import NAME, sentence
from veridical.report import Decision

# A light orange and a dark blue: told apart by the colour-blind, and in grey by their lightness.
AI, REAL = (255, 168, 48), (0, 72, 150)
INK, GREY, LINE, EMPTY = (17, 24, 39), (107, 114, 128), (209, 213, 219), (243, 244, 246)
# The same hues, dark enough for text on white.
HUE = {Decision.AI: (178, 76, 0), Decision.REAL: (0, 92, 148), Decision.UNDECIDED: (146, 99, 0)}

SIDE = 448  # px, of the square that holds a picture of a face
BAR = 18  # px, width of a colour bar
STRONGEST = 0.8  # alpha of the largest value: the face must stay visible under it
SIGNS = "Orange (light in grey) and + support AI-generated, blue (dark in grey) and - support real."
_STRONG = 0.35  # of the strongest patch; from there on a patch gets a sign
_UNDER = (70, 175)  # lightness of black and white in the picture under a map: between its colours

# --- pictures ----------------------------------------------------------------------------------


def portrait(image: Image.Image, area: Box) -> UInt8[ndarray, "rows columns 3"]:
    """Return an area of a photo, in its proportions, `SIDE` px on its longer side."""
    scale = SIDE / area.size_px
    size = max(1, round(area.width * scale)), max(1, round(area.height * scale))
    # The area may lie a rounding error outside the photo, which Pillow would refuse.
    box = (
        max(0.0, area.left),
        max(0.0, area.top),
        min(float(image.width), area.left + area.width),
        min(float(image.height), area.top + area.height),
    )
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=box))


def framed(plain: UInt8[ndarray, "rows columns 3"], area: Box, box: Box) -> Image.Image:
    """Return the picture of an area with a frame around a box in it; both in px of the photo."""
    image = Image.fromarray(plain)
    if box == area:
        return image
    across, down = image.width / area.width, image.height / area.height
    left, top = (box.left - area.left) * across, (box.top - area.top) * down
    right, bottom = left + box.width * across, top + box.height * down
    draw = ImageDraw.Draw(image)
    draw.rectangle((left - 2, top - 2, right + 2, bottom + 2), outline=(0, 0, 0), width=5)
    draw.rectangle((left, top, right, bottom), outline=(255, 255, 255), width=2)
    return image


# --- colours -----------------------------------------------------------------------------------


def colours(
    values: Float[ndarray, "rows columns"], limit: float
) -> UInt8[ndarray, "rows columns 4"]:
    """Return a diverging colour for every value, as RGBA.

    The hue says the sign, and alpha, proportional to |value|, the size: a value of 0 hides
    nothing.

    Args:
        values: Positive supports `ai`.
        limit: |value| of the strongest colour, the same on both sides.
    """
    strength = np.clip(np.abs(values) / limit, 0, 1)
    rgba = np.empty((*values.shape, 4), dtype=np.uint8)
    rgba[..., :3] = np.where((values > 0)[..., None], AI, REAL)
    rgba[..., 3] = np.rint(255 * STRONGEST * strength)
    return rgba


def overlaid(
    plain: UInt8[ndarray, "rows columns 3"], values: Float[ndarray, "rows columns"], limit: float
) -> UInt8[ndarray, "rows columns 3"]:
    """Lay a map over a grey copy of a picture of little contrast: skin would mix with its colours.

    The copy is darker than the one colour and lighter than the other, so that a grey print tells
    them apart.
    """
    dark, light = _UNDER
    grey = (
        Image.fromarray(plain)
        .convert("L")
        .point([dark + v * (light - dark) // 255 for v in range(256)])
    )
    under = grey.convert("RGBA")
    over = Image.fromarray(colours(values, limit))
    return np.asarray(Image.alpha_composite(under, over).convert("RGB"))


def enlarged(
    values: Float[ndarray, "rows columns"], width: int, height: int
) -> Float[ndarray, "height width"]:
    """Enlarge a map bilinearly."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float64)


def scale_of(values: Float[ndarray, "rows columns"]) -> float:
    """Return the end of a symmetric scale; 1 for a map of zeros, which has no scale."""
    return float(np.abs(values).max()) or 1.0


def over_face(
    plain: UInt8[ndarray, "rows columns 3"], values: Float[ndarray, "_ _"], covered: float = 1.0
) -> tuple[Image.Image, float]:
    """Return a face under a map of any size, and the end of the map's scale.

    Args:
        plain: The face.
        values: The map.
        covered: Share of the face's width and height that it covers; see `Explanation`.
    """
    limit = scale_of(values)
    height, width = plain.shape[:2]
    large = np.zeros((height, width))
    rows, columns = (max(1, round(covered * side)) for side in (height, width))
    large[:rows, :columns] = enlarged(values, columns, rows)
    return Image.fromarray(overlaid(plain, large, limit)), limit


def sign(image: Image.Image, patches: Float[ndarray, "grid grid"], covered: float = 1.0) -> None:
    """Mark the strongest patches with + or -: hues alone do not survive a grey printer."""
    pen = ImageDraw.Draw(image)
    limit = float(np.abs(patches).max())
    rows, columns = np.nonzero(np.abs(patches) >= max(_STRONG * limit, 1e-12))
    across, down = (covered * side / len(patches) for side in image.size)
    arm = min(7.0, across / 3)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        x, y = (column + 0.5) * across, (row + 0.5) * down
        strokes = [(x - arm, y, x + arm, y)]
        if patches[row, column] > 0:
            strokes.append((x, y - arm, x, y + arm))
        for colour, width in (("black", 5), ("white", 2)):
            for stroke in strokes:
                pen.line(stroke, colour, width)


def draw_bar(
    canvas: Image.Image, at: tuple[int, int], height: int, limit: float, unit: str, size: int = 14
) -> None:
    """Draw a symmetric colour bar, with what its ends mean.

    Args:
        canvas: What to draw on.
        at: Its upper left corner, px.
        height: px.
        limit: |value| at its ends.
        unit: Of the values.
        size: Of the letters, px.
    """
    left, top = at
    draw = ImageDraw.Draw(canvas)
    values = np.linspace(limit, -limit, height)[:, None].repeat(BAR, axis=1)
    middle = np.full((*values.shape, 3), sum(_UNDER) // 2, dtype=np.uint8)
    over = Image.fromarray(colours(values, limit))
    drawn = Image.alpha_composite(Image.fromarray(middle).convert("RGBA"), over)
    canvas.paste(drawn.convert("RGB"), (left, top))
    draw.rectangle((left, top, left + BAR - 1, top + height - 1), outline=LINE)
    text = left + BAR + 9
    for step in (2, 1, 0, -1, -2):
        y = top + (2 - step) * (height - 1) // 4
        draw.line((left + BAR, y, left + BAR + 4, y), GREY)
        nudge = {2: size // 2, -2: -(size // 2)}.get(step, 0)  # keeps the labels inside
        tick = f"{step * limit / 2:+.2g}" if step else "0"
        draw.text((text, y + nudge), tick, INK, font(size), "lm")
    aside = round(1.43 * size)
    draw.text((text, top + 7 + aside), "for AI", HUE[Decision.AI], font(size), "lm")
    draw.text((text, top + height - 8 - aside), "for real", HUE[Decision.REAL], font(size), "lm")
    draw.text((text, top + height // 2 + aside), unit, GREY, font(size), "lm")


def with_bar(drawn: Image.Image, limit: float, unit: str, size: int) -> Image.Image:
    """Return a picture with a colour bar on its right, with letters of `size` px."""
    height = max(drawn.height, 12 * size)
    canvas = Image.new("RGB", (drawn.width + 12 + BAR + 9 + 5 * size, height), "white")
    canvas.paste(drawn, (0, (height - drawn.height) // 2))
    draw_bar(canvas, (drawn.width + 12, 0), height, limit, unit, size)
    return canvas


# --- what is said of a map -----------------------------------------------------------------------


def shown(faithfulness: Faithfulness | None) -> bool:
    """Return whether a map is drawn: unless it did no better than random ones."""
    return faithfulness is None or faithfulness.passed


def score_in_words(faithfulness: Faithfulness | None) -> str:
    """Say how a map did against random orders."""
    if faithfulness is None:
        return "The map was not scored."
    says = (
        f"The map beats {faithfulness.n_beaten} of {faithfulness.n_random} random orders (deletion "
        f"{faithfulness.deletion:+.2f}, insertion {faithfulness.insertion:+.2f} logits)"
    )
    return f"{says}." if faithfulness.passed else f"{says}: withheld."


def comparison_in_words(faithfulness: Faithfulness | None) -> str:
    """Say how a map did against random orders, for anybody."""
    if faithfulness is None:
        return "The map was not scored: nobody checked whether it is better than a random one."
    won = f"{faithfulness.n_beaten} of {faithfulness.n_random} comparisons with random places"
    if faithfulness.passed:
        return (
            "The map was tested: covering the places that it names changes the model's answer "
            f"more than covering random places. It won {won}.{_by_chance(faithfulness.n_random)}"
        )
    return f"No map is shown: it won only {won}, and it has to win all of them."


def tested_in_words(faithfulness: Faithfulness | None) -> str:
    """Say how a map did against random orders, for anybody, with its scores."""
    told = comparison_in_words(faithfulness)
    if faithfulness is None:
        return told
    return (
        f"{told} Deletion {faithfulness.deletion:+.2f}, insertion {faithfulness.insertion:+.2f} "
        "logits."
    )


def _by_chance(orders: int) -> str:
    """Say how weak the test is; empty for one that we do not know."""
    rule = next((one for one in (SHORT, THOROUGH) if one.n_random == orders), None)
    if rule is None:
        return ""
    return (
        f" A map that knows nothing would win them all in 1 of {round(1 / rule.by_chance)} cases."
    )


def method_in_words(explanation: Explanation) -> str:
    """Say what the values of a map are, and what they are not."""
    parts = explanation.contributions
    if explanation.method == "surrogate":
        passes = explanation.forward_passes
        also = f" and {passes} forward passes with covered places" if passes else ""
        return (
            f"The logit is {parts.logit:+.2f} (P(ai) is a mean over the posterior, not its "
            f"sigmoid). The map estimates, from tokens{also}, by how much "
            "the logit drops when a place is covered (blue: it rises). The values do not add up "
            "to the logit."
        )
    placeless = parts.prefix + parts.rest
    return (
        f"Of the logit {parts.logit:+.2f}, {placeless:+.2f} belongs to no place (class and "
        f"register tokens {parts.prefix:+.2f}, rest {parts.rest:+.2f}). The map divides the other "
        f"{parts.logit - placeless:+.2f} over the places."
    )


def places_in_words(patches: Float[ndarray, "grid grid"]) -> str:
    """Say what a map shows: how many places, and not their sum, which may mean nothing."""
    told = []
    for decision, side in ((Decision.AI, patches), (Decision.REAL, -patches)):
        row, column = np.unravel_index(int(np.argmax(side)), side.shape)
        if side[row, column] > 0:
            where = place((row + 0.5) / side.shape[0], (column + 0.5) / side.shape[1])
            told.append(
                f"{(side > 0).sum()} of {side.size} places support {NAME[decision]}, "
                f"the strongest in the {where}"
            )
    return sentence("; ".join(told)) if told else "No place supports either answer."


def place(down: float, across: float) -> str:
    """Return a place in a picture in words; both are shares of its size from the upper left."""
    row = ("upper", "middle", "lower")[min(2, max(0, int(3 * down)))]
    column = ("left", "middle", "right")[min(2, max(0, int(3 * across)))]
    return "middle" if row == column else f"{row} {column}"


# --- letters -----------------------------------------------------------------------------------


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, Aileron: it is there on every system, and has ASCII only."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def wrapped(text: str, width: float, size: int) -> tuple[str, ...]:
    """Break text of letters `size` px high into lines of at most `width` px, between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if font(size).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def fitting(text: str, size: int, width: int) -> str:
    """Return text in the font's characters, shortened in the middle to at most `width` px."""
    text = text.encode("ascii", "backslashreplace").decode()
    letters = font(size)
    if letters.getlength(text) <= width:
        return text
    for keep in range(len(text) // 2, 0, -1):
        short = f"{text[:keep]} ... {text[-keep:]}"
        if letters.getlength(short) <= width:
            return short
    return ""
