"""What forensic cues saw, as small pictures: one panel per cue.

Lightness alone carries the meaning, so that a panel survives a black-and-white printer and any eye.
"""

from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from veridical.arrays import Float, UInt8, ndarray
from veridical.explanation import Curve, Drawing, Map, Marked
from veridical.present.maps import GREY, INK, LINE, font
from veridical.report import Reading

SIDE = 300  # px, of the picture in a panel
_HEAD, _FOOT, _EDGE = 34, 46, 14  # px, above, below and beside it
_GAP = 8  # px, between a picture and its insets
TITLES = {
    "spectrum": "Fall of fine detail",
    "noise": "Grain",
    "symmetry": "Left and right",
    "light": "Direction of light",
    "jpeg": "Error level",
}
_FRACTIONS = {1 / 8: "1/8", 1 / 4: "1/4", 1 / 2: "1/2"}


def panel(reading: Reading) -> Image.Image | None:
    """Draw what a cue saw; None where it has nothing to draw."""
    if reading.drawing is None:
        return None
    canvas = Image.new("RGB", (SIDE + 2 * _EDGE, _HEAD + SIDE + _FOOT), "white")
    pen = ImageDraw.Draw(canvas)
    pen.text((_EDGE, 8), TITLES.get(reading.cue, reading.cue), INK, font(17))
    note = _draw(canvas, reading.drawing)
    pen.text((_EDGE, _HEAD + SIDE + _FOOT - 8), note, GREY, font(13), "ls")
    return canvas


def _draw(canvas: Image.Image, drawing: Drawing) -> str:
    """Draw into the panel's square and return the note below it."""
    if isinstance(drawing, Curve):
        return _curve(canvas, drawing)
    if isinstance(drawing, Map):
        return _map(canvas, drawing)
    return _marked(canvas, drawing)


def kind(drawing: Drawing) -> str:
    """Say what a panel shows, for those who do not see it."""
    if isinstance(drawing, Curve):
        return f"a curve of {drawing.y_label} against {drawing.x_label}"
    if isinstance(drawing, Map):
        return f"a map in grey, lighter for more {drawing.unit}"
    return "the face turned upright, with what was found marked in it"


def _curve(canvas: Image.Image, curve: Curve) -> str:
    pen = ImageDraw.Draw(canvas)
    every = np.concatenate([curve.y, curve.y if curve.fit is None else curve.fit])
    low, high = float(every.min()), float(every.max())
    room = (high - low) or 1.0
    first, last = float(curve.x[0]), float(curve.x[-1])
    across = (last - first) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _EDGE + 4 + (x - first) / across * (SIDE - 8),
            _HEAD + 8 + (high - y) / room * (SIDE - 16),
        )

    pen.rectangle((_EDGE, _HEAD, _EDGE + SIDE - 1, _HEAD + SIDE - 1), outline=LINE)
    for mark in curve.marks:
        at = place(mark, low)[0]
        if first <= mark <= last:
            _dotted(pen, [(at, _HEAD + 1.0), (at, _HEAD + SIDE - 2.0)])
            label = _FRACTIONS.get(mark, f"{mark:g}")
            pen.text((at - 4, _HEAD + 6), label, GREY, font(12), "ra")
    if curve.fit is not None:
        _dotted(pen, [place(x, y) for x, y in zip(curve.x, curve.fit, strict=True)], GREY, 2)
    pen.line([place(x, y) for x, y in zip(curve.x, curve.y, strict=True)], INK, 3)
    pen.text((_EDGE, _HEAD + SIDE + 6), f"{first:.2g}", GREY, font(12))
    pen.text((_EDGE + SIDE, _HEAD + SIDE + 6), f"{last:.2g}", GREY, font(12), "ra")
    pen.text((_EDGE + SIDE / 2, _HEAD + SIDE + 6), curve.x_label, GREY, font(12), "ma")
    law = "" if curve.fit is None else "; dotted: power law"
    return f"{curve.y_label}, {low:.3g} to {high:.3g}{law}"


def _dotted(
    pen: ImageDraw.ImageDraw,
    points: list[tuple[float, float]],
    colour: tuple[int, int, int] = LINE,
    width: int = 1,
) -> None:
    """Draw a line of dashes 4 px long through points."""
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(1, int(np.hypot(x1 - x0, y1 - y0) / 8))
        for step in range(steps):
            a, b = step / steps, (step + 0.5) / steps
            ends = (x0 + a * (x1 - x0), y0 + a * (y1 - y0), x0 + b * (x1 - x0), y0 + b * (y1 - y0))
            pen.line(ends, colour, width)


def _map(canvas: Image.Image, drawn: Map) -> str:
    shown, limit = shades(drawn.values)
    image = Image.fromarray(shown)
    scale = SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    canvas.paste(
        image.resize(size, Image.Resampling.NEAREST).convert("RGB"),
        (_EDGE + (SIDE - size[0]) // 2, _HEAD + (SIDE - size[1]) // 2),
    )
    pen = ImageDraw.Draw(canvas)
    bar = np.linspace(0, 255, SIDE // 3, dtype=np.uint8)[None].repeat(8, axis=0)
    at = _EDGE + SIDE // 3, _HEAD + SIDE + 8
    canvas.paste(Image.fromarray(bar).convert("RGB"), at)
    pen.rectangle((at[0] - 1, at[1] - 1, at[0] + SIDE // 3, at[1] + 8), outline=LINE)
    pen.text((at[0] - 6, at[1] + 4), "0", GREY, font(12), "rm")
    pen.text((at[0] + SIDE // 3 + 6, at[1] + 4), f"{limit:.2g}", GREY, font(12), "lm")
    return drawn.unit


def shades(
    values: Float[ndarray, "rows columns"],
) -> tuple[UInt8[ndarray, "rows columns"], float]:
    """Return levels of grey, white for the limit and above, and that limit.

    The limit is the 99th percentile: one bright speck must not darken the rest.
    """
    limit = float(np.quantile(values, 0.99)) or float(values.max()) or 1.0
    return np.rint(255 * np.clip(values / limit, 0, 1)).astype(np.uint8), limit


def _marked(canvas: Image.Image, marked: Marked) -> str:
    pen = ImageDraw.Draw(canvas)
    image = Image.fromarray(marked.image)
    aside = (SIDE - _GAP) // 3 if marked.insets else 0
    room = SIDE - (aside + _GAP if aside else 0)
    scale = room / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    top = _HEAD + (SIDE - size[1]) // 2
    canvas.paste(image.resize(size, Image.Resampling.LANCZOS), (_EDGE, top))
    for x, y in marked.points:
        cx, cy = _EDGE + x * scale, top + y * scale
        pen.ellipse((cx - 5, cy - 5, cx + 5, cy + 5), outline="black", width=4)
        pen.ellipse((cx - 4, cy - 4, cx + 4, cy + 4), outline="white", width=2)
    for (x0, y0), (x1, y1) in marked.arrows:
        start = np.array([_EDGE + x0 * scale, top + y0 * scale])
        end = np.array([_EDGE + x1 * scale, top + y1 * scale])
        _arrow(pen, start, end)
    for number, inset in enumerate(marked.insets):
        shown = Image.fromarray(inset).resize((aside, aside), Image.Resampling.LANCZOS)
        at = _EDGE + room + _GAP, _HEAD + (SIDE - room) // 2 + number * (aside + _GAP)
        canvas.paste(shown, at)
    if marked.arrows:
        return "towards the light: face, and each half"
    return "landmarks, levelled; eyes" if marked.insets else "landmarks, levelled"


def _arrow(pen: ImageDraw.ImageDraw, start: Float[ndarray, "2"], end: Float[ndarray, "2"]) -> None:
    """Draw a white arrow with a black rim."""
    along = end - start
    size = max(float(np.hypot(*along)), 1e-6)
    ahead = along / size
    aside = np.array([-ahead[1], ahead[0]])
    head = [tuple(end + 6 * ahead), tuple(end - 6 * aside), tuple(end + 6 * aside)]
    for colour, width in (("black", 6), ("white", 2)):
        pen.line((*start, *end), colour, width)
        pen.polygon(head, fill="white", outline="black")
