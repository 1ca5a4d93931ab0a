"""Explanations as pictures and as numbers: one figure per face, with Pillow and nothing more.

A map that did no better than random ones is not drawn (`Faithfulness.passed`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from os import PathLike

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from veridical.arrays import Float, UInt8, ndarray
from veridical.detector import Explanation
from veridical.explain.attribution import Evidence, Faithfulness, FurtherMap, TokenMap
from veridical.present.records import box_record, face_record, finite
from veridical.present.terminal import (
    WORD,
    because,
    in_words,
    percent,
    printable,
    sentence,
    share,
)
from veridical.report import Box, Decision, Report, Verdict

EXPLANATION = "veridical.explanation/1"

_AI, _REAL = (213, 94, 0), (0, 114, 178)  # Okabe and Ito's vermilion and blue: colour-blind safe
INK, GREY, LINE, EMPTY = (17, 24, 39), (107, 114, 128), (209, 213, 219), (243, 244, 246)
WARNING = (153, 27, 27)
# The same hues, dark enough for text on white.
HUE = {Decision.AI: (178, 76, 0), Decision.REAL: (0, 92, 148), Decision.UNDECIDED: (146, 99, 0)}

_PANEL = 448  # px, side of the square that holds a picture
_MARGIN = 40  # px, around everything
_GAP = 36  # px, between columns
_BAR = 18  # px, width of a colour bar
_BAR_SPACE = 12 + _BAR + 78  # px, from a panel's right edge to the end of its bar's labels
_HEADER = 140  # px, from the top edge to the panels
_IN_A_ROW = 3  # panels
_ROW = 560  # px, from a row of panels to the next
_TEXT = 17  # px, size of the text below the panels
_LABEL = 104  # px, column of the labels below the panels
_STRONGEST = 0.8  # alpha of the largest value: the face must stay visible under it
_CHANNELS = 20  # most important channels that are listed


# --- the figure --------------------------------------------------------------------------------


def figure(
    explanation: Explanation,
    report: Report,
    photo_pixels: UInt8[ndarray, "height width 3"],
    title: str,
) -> Image.Image:
    """Draw one face, what spoke for its verdict and how far that can be trusted.

    Args:
        explanation: Of the face.
        report: On the photo that the face is in; it says what was promised.
        photo_pixels: The upright photo that the face is in.
        title: What stands above, such as the name of the file.
    """
    plain = portrait(photo_pixels, explanation.area)
    panels = [_face_panel(explanation, plain), _evidence_panel(explanation, plain)]
    if explanation.occlusion is not None:
        panels.append(_occlusion_panel(explanation.occlusion, plain))
    panels += [_further_panel(further, explanation, plain) for further in explanation.further]
    rows = [panels[first : first + _IN_A_ROW] for first in range(0, len(panels), _IN_A_ROW)]
    width = 2 * _MARGIN + max(
        sum(panel.width for panel in row) + _GAP * (len(row) - 1) for row in rows
    )
    facts = list(_facts(explanation, report, width - 2 * _MARGIN - _LABEL))
    top = _HEADER + _PANEL + 36 + (len(rows) - 1) * _ROW
    height = top + sum(fact.height for fact in facts) + _MARGIN
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    name = fitting(printable(title), font(26), width - 2 * _MARGIN)
    draw.text((_MARGIN, 30), name, INK, font(26))
    for number, row in enumerate(rows):
        left = _MARGIN
        for panel in row:
            panel.draw(canvas, left, number * _ROW)
            left += panel.width + _GAP
    draw.line((_MARGIN, top - 16, width - _MARGIN, top - 16), LINE)
    for fact in facts:
        fact.draw(draw, top)
        top += fact.height
    return canvas


def save(figure: Image.Image, path: str | PathLike[str]) -> None:
    """Write a figure as PNG, whatever the path is called."""
    figure.save(path, format="PNG")


def portrait(
    photo_pixels: UInt8[ndarray, "height width 3"], area: Box
) -> UInt8[ndarray, "rows columns 3"]:
    """Cut an area out of a photo, with its proportions, to fit a panel."""
    height, width = photo_pixels.shape[:2]
    scale = _PANEL / max(area.width, area.height)
    size = max(1, round(area.width * scale)), max(1, round(area.height * scale))
    # The area may lie a rounding error outside the photo, which Pillow would refuse.
    box = (
        max(0.0, area.left),
        max(0.0, area.top),
        min(float(width), area.left + area.width),
        min(float(height), area.top + area.height),
    )
    image = Image.fromarray(photo_pixels).resize(size, Image.Resampling.LANCZOS, box=box)
    return np.asarray(image)


# --- colours -----------------------------------------------------------------------------------


def colours(
    values: Float[ndarray, "rows columns"], limit: float
) -> UInt8[ndarray, "rows columns 4"]:
    """Return a diverging colour for every value, as RGBA.

    The hue says the sign (positive speaks for `ai`), and alpha, proportional to |value|, the size:
    what weighs nothing hides nothing.

    Args:
        values: Positive speaks for `ai`.
        limit: |value| of the strongest colour, the same on both sides.
    """
    strength = np.clip(np.abs(values) / limit, 0, 1)
    rgba = np.empty((*values.shape, 4), dtype=np.uint8)
    rgba[..., :3] = np.where((values > 0)[..., None], _AI, _REAL)
    rgba[..., 3] = np.rint(255 * _STRONGEST * strength)
    return rgba


def overlaid(
    plain: UInt8[ndarray, "rows columns 3"], values: Float[ndarray, "rows columns"], limit: float
) -> UInt8[ndarray, "rows columns 3"]:
    """Lay a map over a grey copy of a picture: skin would mix with its colours."""
    under = Image.fromarray(plain).convert("L").convert("RGBA")
    over = Image.fromarray(colours(values, limit))
    return np.asarray(Image.alpha_composite(under, over).convert("RGB"))


def spread(
    patches: Float[ndarray, "grid grid"], crop_side: int, width: int, height: int
) -> Float[ndarray, "height width"]:
    """Enlarge a patch grid bilinearly to a picture of the crop.

    Args:
        patches: One value per patch.
        crop_side: Side of the crop, px. Where it is no multiple of the grid, its right and lower
            rim belong to no patch and stay 0.
        width: Of the result, px.
        height: Of the result, px.
    """
    grid = patches.shape[0]
    covered = (crop_side // grid) * grid / crop_side
    size = max(1, round(width * covered)), max(1, round(height * covered))
    values = np.zeros((height, width))
    values[: size[1], : size[0]] = enlarged(patches, *size)
    return values


def enlarged(
    values: Float[ndarray, "rows columns"], width: int, height: int
) -> Float[ndarray, "height width"]:
    """Enlarge a map bilinearly."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), dtype=np.float64)


def scale_of(values: Float[ndarray, "rows columns"]) -> float:
    """Return the end of a symmetric scale; 1 for a map of nothing, which has no scale."""
    return float(np.abs(values).max()) or 1.0


# --- panels ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """A picture under a heading, perhaps with a colour bar.

    Attributes:
        heading: What it is.
        note: What one should know when looking at it.
        image: Fits into the panel's square.
        scale: |value| at the ends of the colour bar; None for no bar.
        unit: Of the scale.
        warning: Whether the note is one.
    """

    heading: str
    note: str
    image: Image.Image
    scale: float | None = None
    unit: str = ""
    warning: bool = False

    @property
    def width(self) -> int:
        return _PANEL if self.scale is None else _PANEL + _BAR_SPACE

    def draw(self, canvas: Image.Image, left: int, down: int) -> None:
        draw, top = ImageDraw.Draw(canvas), _HEADER + down
        draw.text((left, top - 16), self.note, WARNING if self.warning else GREY, font(15), "ls")
        draw.text((left, top - 38), self.heading, INK, font(18), "ls")
        draw.rectangle((left, top, left + _PANEL - 1, top + _PANEL - 1), EMPTY)
        x = left + (_PANEL - self.image.width) // 2
        canvas.paste(self.image, (x, top + (_PANEL - self.image.height) // 2))
        if self.scale is not None:
            draw_bar(canvas, (left + _PANEL + 12, top), _PANEL, self.scale, self.unit)


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
    values = np.linspace(limit, -limit, height)[:, None].repeat(_BAR, axis=1)
    white = np.full((*values.shape, 3), 255, dtype=np.uint8)
    canvas.paste(Image.fromarray(overlaid(white, values, limit)), (left, top))
    draw.rectangle((left, top, left + _BAR - 1, top + height - 1), outline=LINE)
    text = left + _BAR + 9
    for step in (2, 1, 0, -1, -2):
        y = top + (2 - step) * (height - 1) // 4
        draw.line((left + _BAR, y, left + _BAR + 4, y), GREY)
        nudge = {2: size // 2, -2: -(size // 2)}.get(step, 0)  # keeps the labels inside
        draw.text((text, y + nudge), _tick(step * limit / 2), INK, font(size), "lm")
    aside = round(1.43 * size)
    draw.text((text, top + 7 + aside), "for AI", HUE[Decision.AI], font(size), "lm")
    draw.text((text, top + height - 8 - aside), "for real", HUE[Decision.REAL], font(size), "lm")
    draw.text((text, top + height // 2 + aside), unit, GREY, font(size), "lm")


def _tick(value: float) -> str:
    return f"{value:+.2g}" if value else "0"


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


def _face_panel(explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]) -> _Panel:
    area, box = explanation.area, explanation.face.box
    image = framed(plain, area, box)
    note = f"face of {box.width:.0f} x {box.height:.0f} px at {box.left:.0f}, {box.top:.0f}"
    if box == area:
        note = f"the whole frame of {box.width:.0f} x {box.height:.0f} px"
    return _Panel(heading="What was judged", note=note, image=image)


def _evidence_panel(explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]) -> _Panel:
    note = {
        "covering": "fall of the logit if covered, estimated",
        "contributions": "logit per patch, against an average picture",
    }[explanation.evidence.method]
    return _map_panel(
        "What each place spoke for",
        note,
        explanation.evidence.patches,
        explanation.faithfulness,
        explanation.crop.shape[0],
        plain,
    )


def _further_panel(
    further: FurtherMap, explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]
) -> _Panel:
    trust = further.faithfulness
    score = f"; beats {trust.n_beaten} of {trust.n_random} random orders" if trust else ""
    return _map_panel(
        f"By {further.name}",
        f"through the whole network{score}",
        further.patches,
        trust,
        explanation.crop.shape[0],
        plain,
        unit="",
    )


def _map_panel(
    heading: str,
    note: str,
    patches: Float[ndarray, "grid grid"],
    faithfulness: Faithfulness | None,
    side: int,
    plain: UInt8[ndarray, "rows columns 3"],
    unit: str = "logit",
) -> _Panel:
    """Draw a map over a face, or leave the face plain if the map is no better than chance."""
    if trust is not None and not trust.passed:
        note = "map withheld: no better than a random one"
        return _Panel(heading=heading, note=note, image=Image.fromarray(plain), warning=True)
    limit = scale_of(patches)
    values = spread(patches, side, plain.shape[1], plain.shape[0])
    return _Panel(
        heading=heading,
        note=note if trust else f"{note}; map not scored",
        image=Image.fromarray(overlaid(plain, values, limit)),
        scale=limit,
        unit=unit,
    )


def _occlusion_panel(
    logit_drops: Float[ndarray, "size size"], plain: UInt8[ndarray, "rows columns 3"]
) -> _Panel:
    values, limit = enlarged(logit_drops, plain.shape[1], plain.shape[0]), scale_of(logit_drops)
    return _Panel(
        heading="What covering changed",
        note="fall of P(ai) when covered",
        image=Image.fromarray(overlaid(plain, values, limit)),
        scale=limit,
        unit="P(ai)",
    )


# --- the text below ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """A label, lines of text beside it, and a drawn belief after the first where there is one."""

    label: str
    lines: tuple[str, ...]
    size: int = _TEXT
    colour: tuple[int, int, int] = INK
    belief: Verdict | None = None

    @property
    def step(self) -> int:
        return self.size + 8

    @property
    def height(self) -> int:
        return self.step * len(self.lines) + 8

    def draw(self, draw: ImageDraw.ImageDraw, top: int) -> None:
        base = top + self.step - 4
        draw.text((_MARGIN, base), self.label, GREY, font(15), "ls")
        for number, text in enumerate(self.lines):
            at = (_MARGIN + _LABEL, base + number * self.step)
            draw.text(at, text, self.colour, font(self.size), "ls")
        if self.belief:
            end = font(self.size).getlength(self.lines[0])
            draw_belief(draw, round(_MARGIN + _LABEL + end) + 28, base - 6, self.belief)


def draw_belief(
    draw: ImageDraw.ImageDraw,
    left: int,
    y: int,
    verdict: Verdict,
    *,
    length: int = 260,
    size: int = 14,
) -> None:
    """Draw P(ai) and its interval on a line from real to AI.

    Args:
        draw: What to draw with.
        left: Where it begins, px.
        y: Height of the line's middle, px.
        verdict: Whose belief.
        length: Of the line, px.
        size: Of the letters, px.
    """
    thick = size / 14
    draw.text((left, y + round(6 * thick)), "real", GREY, font(size), "ls")
    left += round(38 * thick)
    low, high = (left + round(p * length) for p in verdict.interval)
    at, hue, dot = left + round(verdict.p_ai * length), HUE[verdict.decision], round(6 * thick)
    draw.line((left, y, left + length, y), LINE, 2)
    for end in (left, left + length // 2, left + length):
        draw.line((end, y - 5, end, y + 5), LINE, 2)
    draw.line((low, y, high, y), hue, dot)
    draw.ellipse((at - dot, y - dot, at + dot, y + dot), hue, (255, 255, 255), 2)
    draw.text((left + length + 2 * dot, y + dot), "AI", GREY, font(size), "ls")


def _facts(explanation: Explanation, report: Report, width: int) -> Iterator[_Fact]:
    face, verdict = explanation.face, explanation.face.verdict
    hue = HUE[face.decision]
    yield _Fact(label="Verdict", lines=(WORD[face.decision],), size=24, colour=hue)
    if verdict:
        low, high = verdict.interval
        interval = f"{percent(report.level)} credible interval {share(low)} to {share(high)}"
        says = f"{share(verdict.p_ai)}, {interval}"
        yield _Fact(label="P(ai)", lines=(says,), belief=verdict)
        yield _Fact(label="Doubt", lines=wrapped(sentence(in_words(verdict)), width))
    why = " ".join(map(sentence, because(face.reasons, report)))
    yield _Fact(label="Why", lines=wrapped(why, width))
    yield _Fact(label="Map", lines=wrapped(trust_in_words(explanation.faithfulness), width))
    yield _Fact(label="Logit", lines=wrapped(_shared_out(explanation), width))


def trust_in_words(faithfulness: Faithfulness | None) -> str:
    """Say how a map did against random orders."""
    if trust is None:
        return "Map not scored."
    says = (
        f"Map beats {trust.n_beaten} of {trust.n_random} random orders (deletion "
        f"{trust.deletion:+.2f}, insertion {trust.insertion:+.2f} logits)"
    )
    return f"{says}." if trust.passed else f"{says}: withheld."


def _shared_out(explanation: Explanation) -> str:
    """Say what the map shares out, and what it does not."""
    parts = explanation.contributions
    evidence = explanation.evidence
    if evidence.method == "covering":
        looks = f" and {evidence.looks} looks at covered copies" if evidence.looks else ""
        return (
            f"The logit is {parts.logit:+.2f}. The map estimates, from tokens{looks}, by how much "
            "it drops when a place is covered (where it is blue, it rises); places do not add up "
            "to the logit."
        )
    placeless = parts.prefix + parts.rest
    return (
        f"Of the logit {parts.logit:+.2f}, {placeless:+.2f} belongs to no place (class and "
        f"register tokens {parts.prefix:+.2f}, rest {parts.rest:+.2f}); the map "
        f"shares out {parts.logit - placeless:+.2f}."
    )


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font, Aileron: it is there on every system, and has ASCII only."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def wrapped(text: str, width: float, size: int = _TEXT) -> tuple[str, ...]:
    """Break text of letters `size` px high into lines of at most `width` px, between words."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if font(size).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return tuple(lines)


def fitting(text: str, letters: ImageFont.FreeTypeFont, width: int) -> str:
    """Return text in the font's characters, shortened in the middle to at most `width` px."""
    text = text.encode("ascii", "backslashreplace").decode()
    if letters.getlength(text) <= width:
        return text
    for keep in range(len(text) // 2, 0, -1):
        short = f"{text[:keep]} ... {text[-keep:]}"
        if letters.getlength(short) <= width:
            return short
    return ""


# --- numbers -----------------------------------------------------------------------------------


def panel_data(explanation: Explanation) -> dict[str, object]:
    """Return an explanation as plain values for JSON, at full precision.

    The maps are given even where the figure withholds them; `trust.passed` says so. A number that
    is not finite is null.
    """
    order = np.argsort(-explanation.channels, kind="stable")[:_CHANNELS]
    return {
        "schema": EXPLANATION,
        "face": face_record(explanation.face),
        "area": box_record(explanation.area),
        "evidence": _evidence_data(explanation.evidence),
        "contributions": _map_data(explanation.contributions),
        "gradient_x_token": _map_data(explanation.gradient_x_token),
        "channels": [
            {"index": int(i), "importance": finite(float(explanation.channels[i]))} for i in order
        ],
        "trust": _trust_data(explanation.faithfulness),
        "occlusion": _occlusion_data(explanation),
        "further": [
            {
                "name": one.name,
                "patches": _rows(one.patches),
                "trust": _trust_data(one.faithfulness),
            }
            for one in explanation.further
        ],
    }


def _evidence_data(evidence: Evidence) -> dict[str, object]:
    return {
        "method": evidence.method,
        "looks": evidence.looks,
        "patches": _rows(evidence.patches),
    }


def _rows(patches: Float[ndarray, "grid grid"]) -> list[list[float | None]]:
    return [[finite(value) for value in row] for row in patches.tolist()]


def _map_data(tokens: TokenMap) -> dict[str, object]:
    return {
        "patches": _rows(tokens.patches),
        "prefix": finite(tokens.prefix),
        "rest": finite(tokens.rest),
        "logit": finite(tokens.logit),
    }


def _trust_data(faithfulness: Faithfulness | None) -> dict[str, object] | None:
    if trust is None:
        return None
    return {
        "deletion": finite(trust.deletion),
        "insertion": finite(trust.insertion),
        "n_random": trust.n_random,
        "n_beaten": trust.n_beaten,
        "holds": trust.passed,
    }


def _occlusion_data(explanation: Explanation) -> dict[str, object] | None:
    """Return the largest fall of P(ai), and where in the photo it is, px."""
    logit_drops, area = explanation.occlusion, explanation.area
    if logit_drops is None:
        return None
    row, column = np.unravel_index(np.argmax(logit_drops), logit_drops.shape)
    return {
        "max": finite(float(logit_drops[row, column])),
        "at": [
            area.left + (float(column) + 0.5) / logit_drops.shape[1] * area.width,
            area.top + (float(row) + 0.5) / logit_drops.shape[0] * area.height,
        ],
    }
