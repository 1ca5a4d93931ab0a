"""One figure per face as PNG: the crop, the maps, and the numbers below them."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, ImageDraw

from veridical.arrays import Float, UInt8, ndarray
from veridical.explanation import Explanation, Faithfulness
from veridical.present.maps import (
    BAR,
    EMPTY,
    GREY,
    HUE,
    INK,
    LINE,
    SIDE,
    draw_bar,
    fitting,
    font,
    framed,
    method_in_words,
    over_face,
    portrait,
    score_in_words,
    shown,
    sign,
    wrapped,
)
from veridical.present.numbers import percent, share, span
from veridical.present.words import WORD, because, in_words, printable, sentence
from veridical.report import FaceResult, Report, Verdict

MARGIN = 40  # px, around everything
GAP = 36  # px, between columns
BAR_SPACE = 12 + BAR + 78  # px, from a panel's right edge to the end of its bar's labels
HEADER = 140  # px, from the top edge to the panels
ROW = 560  # px, from a row of panels to the next
_IN_A_ROW = 3  # panels
_TEXT = 17  # px, size of the text below the panels
_LABEL = 124  # px, column of the labels below the panels
_WARNING = (153, 27, 27)


def figure(face: FaceResult, report: Report, image: Image.Image, title: str) -> Image.Image:
    """Draw one face, what supported its verdict and how far that can be trusted.

    Args:
        face: With an explanation.
        report: On the photo that the face is in; it says what was promised.
        image: The upright photo.
        title: What stands above, such as the name of the file.

    Raises:
        ValueError: If the face has no explanation.
    """
    explanation = face.explanation
    if explanation is None:
        raise ValueError("A figure needs a face with an explanation; this one has none.")
    panels = list(_panels(face, explanation, portrait(image, explanation.area)))
    rows = [panels[first : first + _IN_A_ROW] for first in range(0, len(panels), _IN_A_ROW)]
    width = 2 * MARGIN + max(
        sum(panel.width for panel in row) + GAP * (len(row) - 1) for row in rows
    )
    facts = list(_facts(face, explanation, report, width - 2 * MARGIN - _LABEL))
    top = HEADER + SIDE + 36 + (len(rows) - 1) * ROW
    height = top + sum(fact.height for fact in facts) + MARGIN
    canvas = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, 30), fitting(printable(title), 26, width - 2 * MARGIN), INK, font(26))
    for number, row in enumerate(rows):
        left = MARGIN
        for panel in row:
            panel.draw(canvas, left, number * ROW)
            left += panel.width + GAP
    draw.line((MARGIN, top - 16, width - MARGIN, top - 16), LINE)
    for fact in facts:
        fact.draw(draw, top)
        top += fact.height
    return canvas


# --- panels ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """A picture under a heading, perhaps with a colour bar.

    Attributes:
        heading: What it is.
        note: How to read it.
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
        return SIDE if self.scale is None else SIDE + BAR_SPACE

    def draw(self, canvas: Image.Image, left: int, down: int) -> None:
        draw, top = ImageDraw.Draw(canvas), HEADER + down
        draw.text((left, top - 16), self.note, _WARNING if self.warning else GREY, font(15), "ls")
        draw.text((left, top - 38), self.heading, INK, font(18), "ls")
        draw.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), EMPTY)
        x = left + (SIDE - self.image.width) // 2
        canvas.paste(self.image, (x, top + (SIDE - self.image.height) // 2))
        if self.scale is not None:
            draw_bar(canvas, (left + SIDE + 12, top), SIDE, self.scale, self.unit)


def _panels(
    face: FaceResult, explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]
) -> Iterator[_Panel]:
    box = face.box
    note = f"face of {box.width:.0f} x {box.height:.0f} px at {box.left:.0f}, {box.top:.0f}"
    if box == explanation.area:
        note = f"the whole frame of {box.width:.0f} x {box.height:.0f} px"
    yield _Panel(heading="What was judged", note=note, image=framed(plain, explanation.area, box))
    note = {
        "surrogate": "estimated drop of the logit if covered",
        "contributions": "logit per patch, relative to an average picture",
    }[explanation.method]
    heading, tested = "What each place supports", explanation.faithfulness
    yield _map_panel(heading, note, explanation, explanation.patches, tested, plain, "logit")
    if explanation.occlusion is not None:
        drawn, limit = over_face(plain, explanation.occlusion.drop)
        heading, note = "What covering changed", "drop of P(ai) when covered"
        yield _Panel(heading=heading, note=note, image=drawn, scale=limit, unit="P(ai)")
    for one in explanation.maps:
        tested, note = one.faithfulness, "through the whole network"
        if tested:
            note += f"; beats {tested.n_beaten} of {tested.n_random} random orders"
        yield _map_panel(f"By {one.name}", note, explanation, one.patches, tested, plain, "")


def _map_panel(
    heading: str,
    note: str,
    explanation: Explanation,
    patches: Float[ndarray, "grid grid"],
    faithfulness: Faithfulness | None,
    plain: UInt8[ndarray, "rows columns 3"],
    unit: str,
) -> _Panel:
    """Draw a map over a face, or leave the face plain if the map is no better than chance."""
    if not shown(faithfulness):
        note = "map withheld: no better than a random one"
        return _Panel(heading=heading, note=note, image=Image.fromarray(plain), warning=True)
    drawn, limit = over_face(plain, patches, explanation.covered)
    sign(drawn, patches, explanation.covered)
    note = note if faithfulness else f"{note}; map not scored"
    return _Panel(heading=heading, note=note, image=drawn, scale=limit, unit=unit)


# --- the text below ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """A label, lines of text beside it, and P(ai) as a drawing after the first if there is one."""

    label: str
    lines: tuple[str, ...]
    size: int = _TEXT
    colour: tuple[int, int, int] = INK
    verdict: Verdict | None = None

    @property
    def step(self) -> int:
        return self.size + 8

    @property
    def height(self) -> int:
        return self.step * len(self.lines) + 8

    def draw(self, draw: ImageDraw.ImageDraw, top: int) -> None:
        base = top + self.step - 4
        draw.text((MARGIN, base), self.label, GREY, font(15), "ls")
        for number, text in enumerate(self.lines):
            at = (MARGIN + _LABEL, base + number * self.step)
            draw.text(at, text, self.colour, font(self.size), "ls")
        if self.verdict:
            end = font(self.size).getlength(self.lines[0])
            _draw_interval(draw, round(MARGIN + _LABEL + end) + 28, base - 6, self.verdict)


def _draw_interval(draw: ImageDraw.ImageDraw, left: int, y: int, verdict: Verdict) -> None:
    """Draw P(ai) and its interval on a line from real to AI."""
    length = 260
    draw.text((left, y + 6), "real", GREY, font(14), "ls")
    left += 38
    low, high = (left + round(p * length) for p in verdict.interval)
    at, hue = left + round(verdict.p_ai * length), HUE[verdict.decision]
    draw.line((left, y, left + length, y), LINE, 2)
    for end in (left, left + length // 2, left + length):
        draw.line((end, y - 5, end, y + 5), LINE, 2)
    draw.line((low, y, high, y), hue, 6)
    draw.ellipse((at - 6, y - 6, at + 6, y + 6), hue, (255, 255, 255), 2)
    draw.text((left + length + 12, y + 6), "AI", GREY, font(14), "ls")


def _facts(
    face: FaceResult, explanation: Explanation, report: Report, width: int
) -> Iterator[_Fact]:
    def fact(label: str, text: str) -> _Fact:
        return _Fact(label=label, lines=wrapped(text, width, _TEXT))

    hue = HUE[face.decision]
    yield _Fact(label="Verdict", lines=(WORD[face.decision],), size=24, colour=hue)
    verdict = face.verdict
    if verdict:
        interval = f"{percent(report.level)} credible interval {span(verdict.interval)}"
        says = f"{share(verdict.p_ai)}, {interval}"
        yield _Fact(label="P(ai)", lines=(says,), verdict=verdict)
        yield fact("Uncertainty", sentence(in_words(verdict, face.reasons)))
    yield fact("Reasons", " ".join(map(sentence, because(face.reasons, report))))
    yield fact("Map", score_in_words(explanation.faithfulness))
    yield fact("Logit", method_in_words(explanation))
