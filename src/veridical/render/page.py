"""One page per photo, for a person who has to act on it: what is on it, and in which order.

A page is a list of blocks. `page_html` and `page_png` each turn the same blocks into a file, so
what stands in one stands in the other. Nothing here reads a file or a clock: the same answers give
the same page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePath
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from veridical.arrays import Float, UInt8, ndarray
from veridical.cues.shape import Curve, Examined, Map
from veridical.detector import Explanation
from veridical.render import waterfall
from veridical.render.cues import TITLES, panel
from veridical.render.overlay import (
    draw_bar,
    draw_belief,
    enlarged,
    font,
    framed,
    overlaid,
    portrait,
    scale_of,
    spread,
    trust_in_words,
)
from veridical.render.terminal import (
    WORD,
    because,
    in_short,
    in_words,
    percent,
    printable,
    sentence,
    share,
)
from veridical.report import Box, Decision, FaceReport, Failure, Reading, Reason, Report, Verdict
from veridical.saliency import Faithfulness

_PHOTO = 960  # px, longer side of the photo on a page; more would only make the file larger
_LETTERS = 22  # px, in pictures that a phone shows at two thirds of their size
_BAR_SPACE = 12 + 18 + 9 + 5 * _LETTERS  # px, from a map to the end of its bar's labels
_STRONG = 0.5  # of the strongest patch; from there on a patch gets a sign


# --- blocks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A heading; 1 is that of the page."""

    level: Literal[1, 2, 3]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """A paragraph. An answer is large and in its decision's colour; a note is small."""

    text: str
    role: Literal["plain", "answer", "lead", "note"] = "plain"
    decision: Decision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Labels, and what there is to say under each."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figure:
    """A picture with words.

    Attributes:
        image: RGB.
        says: What it shows, for those who do not see it.
        caption: What stands below it, perhaps nothing.
        width: Widest that it is shown, px.
        photo: Whether it is mostly a photograph.
    """

    image: Image.Image
    says: str
    caption: str = ""
    width: int = 448
    photo: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Figures side by side where there is room."""

    figures: tuple[Figure, ...]


Block: TypeAlias = Heading | Words | Facts | Items | Figure | Gallery


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a person gets to see of one photo.

    Attributes:
        title: Of the window.
        blocks: From top to bottom; the first is the heading of level 1.
    """

    title: str
    blocks: tuple[Block, ...]


# --- pages -------------------------------------------------------------------------------------

LIMITS = (
    "No verdict is evidence by itself. It is one opinion, with an error rate. Look at the source, "
    "the context and other copies too, and never accuse a person because of it.",
    "Real does not mean true: a photo can be staged, old, or torn from its context. AI-generated "
    "does not say who made it, or why.",
    "New generators may pass as real. The numbers hold for pictures like those that the model was "
    "tested on, and nobody can promise an error rate for others.",
    "It is about photographs of whole faces. Face swaps, local edits, filters, drawings and 3D "
    "renderings are out of scope.",
    "A map shows what this model leaned on. It does not show what is wrong with the picture.",
)


def of_report(
    report: Report,
    explanations: Sequence[Explanation],
    examined: Sequence[Sequence[Examined]],
    photo_pixels: UInt8[ndarray, "height width 3"],
) -> Page:
    """Put together the page of a picture that was read.

    Args:
        report: On the picture.
        explanations: One for each face that was judged, in the report's order.
        examined: What the forensic cues said about each of these faces.
        photo_pixels: The upright photo.

    Raises:
        ValueError: If there is not one explanation, and one answer of the cues, for each of them.
    """
    judged = sum(face.verdict is not None for face in report.faces)
    if not len(explanations) == len(examined) == judged:
        raise ValueError(
            f"A page needs an explanation and the cues' answers for each of {judged} judged faces; "
            f"got {len(explanations)} and {len(examined)}."
        )
    name = _name(report.path)
    blocks: list[Block] = [
        Heading(level=1, text=name),
        Words(text=WORD[report.decision], role="answer", decision=report.decision),
        Words(text=in_short(report.decision, report.reasons, report.coverage), role="lead"),
        _photo_figure(report, photo_pixels),
    ]
    told = iter(zip(explanations, examined, strict=True))
    for number, face in enumerate(report.faces, start=1):
        label = "The face" if len(report.faces) == 1 else f"Face {number}"
        if face.verdict is None:
            blocks += [
                Heading(level=2, text=f"{label}: not judged"),
                Words(text=sentence("; ".join(reason.plainly for reason in face.reasons))),
            ]
        else:
            explanation, answers = next(told)
            blocks += _of_face(label, face.verdict, explanation, answers, report, photo_pixels)
    blocks += _limits()
    blocks += [Heading(level=2, text="About this page"), Facts(rows=tuple(_about(report, name)))]
    return Page(title=f"{WORD[report.decision]}: {name}", blocks=tuple(blocks))


def of_failure(
    failure: Failure,
    version: str,
    model: str,
    photo_pixels: UInt8[ndarray, "height width 3"] | None = None,
) -> Page:
    """Put together the page of a picture that could not be judged.

    Args:
        failure: Why.
        version: Of this program.
        model: First 12 hex digits of the SHA-256 of the model's card.
        photo_pixels: The upright photo, if it could be decoded.
    """
    name = _name(failure.path)
    error = printable(failure.error.removeprefix(f"{failure.path}: "))
    blocks: list[Block] = [
        Heading(level=1, text=name),
        Words(text="NOT JUDGED", role="answer"),
        Words(text=f"{error[:1].upper()}{error[1:]}", role="lead"),
        Words(text=printable(failure.hint)),
    ]
    if photo_pixels is not None:
        height, width = photo_pixels.shape[:2]
        says = f"The photo, {width} x {height} px. It was not judged."
        blocks.append(Figure(image=_small(photo_pixels), says=says, width=_PHOTO // 2, photo=True))
    blocks += [
        Words(text="Nothing is known about this picture: that is no sign of either answer."),
        *_limits(),
        Heading(level=2, text="About this page"),
        Facts(rows=(("File", name), ("Model", model), ("Version", f"veridical {version}"))),
    ]
    return Page(title=f"NOT JUDGED: {name}", blocks=tuple(blocks))


def _limits() -> Iterator[Block]:
    yield Heading(level=2, text="What no verdict can mean")
    yield Items(items=LIMITS)


def _name(path: str | None) -> str:
    """Return the name alone: a page may be passed on, and folders are nobody's business."""
    name = "" if path is None else PurePath(path).name or path
    return printable(name) or "a picture without a file name"


def _about(report: Report, name: str) -> Iterator[tuple[str, str]]:
    yield "File", name
    yield "Picture", f"{report.width} x {report.height} px"
    yield "SHA-256", report.sha256
    yield "Read as", printable("; ".join(report.steps)) or "it is, nothing was changed"
    yield "Model", report.model
    yield "Version", f"veridical {report.version}"
    yield "Coverage", f"{percent(report.coverage)} of the prediction sets hold the truth"


# --- the photo ---------------------------------------------------------------------------------


def _small(photo_pixels: UInt8[ndarray, "height width 3"]) -> Image.Image:
    """Return a copy that fits on a page; a small photo stays as it is."""
    image = Image.fromarray(photo_pixels)
    scale = min(1.0, _PHOTO / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _photo_figure(report: Report, photo_pixels: UInt8[ndarray, "height width 3"]) -> Figure:
    image = _small(photo_pixels)
    frame = Box(left=0.0, top=0.0, width=float(report.width), height=float(report.height))
    seen = [face for face in report.faces if face.box != frame]
    for face in seen:
        image = framed(np.asarray(image), frame, face.box)
    if len(seen) > 1:
        for number, face in enumerate(seen, start=1):
            _tag(image, face.box, image.width / report.width, str(number))
    told = [f"The photo, {report.width} x {report.height} px"]
    if not report.faces:
        told.append("no face was found in it")
    for number, face in enumerate(report.faces, start=1):
        told.append(f"face {number}, {_told(face, frame)}")
    caption = {0: "No face was found.", 1: ""}.get(len(seen), "The faces, the largest first.")
    return Figure(
        image=image,
        says=f"{'; '.join(told)}.",
        caption="The whole frame was judged." if report.faces and not seen else caption,
        width=_PHOTO,
        photo=True,
    )


def _told(face: FaceReport, frame: Box) -> str:
    answer = WORD[face.decision] if face.verdict else "not judged"
    if face.box == frame:
        return f"the whole frame: {answer}"
    box = face.box
    where = _where(
        (box.top + box.height / 2) / frame.height, (box.left + box.width / 2) / frame.width
    )
    return f"{box.width:.0f} x {box.height:.0f} px in the {where}, framed: {answer}"


def _tag(image: Image.Image, box: Box, scale: float, text: str) -> None:
    """Write a face's number into the upper left corner of its frame."""
    pen = ImageDraw.Draw(image)
    size = _LETTERS
    left = min(max(0, round(box.left * scale)), max(0, image.width - size))
    top = min(max(0, round(box.top * scale)), max(0, image.height - size))
    pen.rectangle((left, top, left + round(0.8 * size) * len(text), top + size + 4), "black")
    pen.text((left + 4, top + 2), text, "white", font(size))


def _where(down: float, across: float) -> str:
    """Return a place in a picture in words; both are shares of its size from the upper left."""
    row = ("upper", "", "lower")[min(2, max(0, int(3 * down)))]
    column = ("left", "middle", "right")[min(2, max(0, int(3 * across)))]
    return f"{row} {column}".strip()


# --- one face ----------------------------------------------------------------------------------


def _of_face(
    label: str,
    verdict: Verdict,
    explanation: Explanation,
    examined: Sequence[Examined],
    report: Report,
    photo_pixels: UInt8[ndarray, "height width 3"],
) -> Iterator[Block]:
    face = explanation.face
    plain = portrait(photo_pixels, explanation.area)
    yield Heading(level=2, text=f"{label}: {WORD[face.decision]}")
    yield Words(text=in_short(face.decision, face.reasons, report.coverage))
    yield _belief(verdict, report)
    figures = [_crop(label, explanation, plain)]
    trust = explanation.trust
    if trust is None or trust.holds:
        figures.append(_contributions(explanation, plain))
    if explanation.occlusion is not None:
        figures.append(_occlusion(explanation.occlusion, plain))
    yield Gallery(figures=tuple(figures))
    yield Words(text=_tested(trust))
    yield Facts(rows=tuple(_facts(verdict, report)))
    yield Heading(level=3, text="How the evidence adds up")
    yield from _adding_up(verdict, report, examined)
    yield Heading(level=3, text="What else was measured")
    yield from _cues(examined)


def _belief(verdict: Verdict, report: Report) -> Figure:
    image = Image.new("RGB", (720, 3 * _LETTERS), "white")
    length = 720 - 7 * _LETTERS
    draw_belief(ImageDraw.Draw(image), 0, 3 * _LETTERS // 2, verdict, length=length, size=_LETTERS)
    low, high = (share(end) for end in verdict.interval)
    return Figure(
        image=image,
        says=(
            f"A line from real to AI with a point at {share(verdict.p_ai)} and a thick stretch "
            f"from {low} to {high}."
        ),
        caption=(
            f"The model gives {_in_hundred(verdict.p_ai)} for AI-generated, if "
            f"{percent(report.prior)} of the pictures are. The thick stretch is its "
            f"{percent(report.level)} credible interval."
        ),
        width=560,
    )


def _in_hundred(p: float) -> str:
    if p < 0.005:
        return "less than 1 chance in 100"
    if p >= 0.995:
        return "more than 99 chances in 100"
    return f"about {round(100 * p)} chances in 100"


def _crop(label: str, explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]) -> Figure:
    area, box = explanation.area, explanation.face.box
    framing = "the whole frame" if box == area else "the face framed in its surroundings"
    return Figure(
        image=framed(plain, area, box),
        says=(
            f"{label} as the model looked at it: {framing}, {box.width:.0f} x {box.height:.0f} px."
        ),
        caption=f"What was judged: {box.width:.0f} x {box.height:.0f} px.",
        photo=True,
    )


def _contributions(explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]) -> Figure:
    patches = explanation.contributions.patches
    limit = scale_of(patches)
    values = spread(patches, explanation.crop.shape[0], plain.shape[1], plain.shape[0])
    drawn = Image.fromarray(overlaid(plain, values, limit))
    _signs(drawn, patches)
    return Figure(
        image=_with_bar(drawn, limit, "logit"),
        says=f"The same face in grey under a map. {map_in_words(patches)}",
        caption=(
            "What each place added: orange and + speak for AI-generated, blue and - for real. "
            f"{trust_in_words(explanation.trust)}"
        ),
        width=600,
        photo=True,
    )


def map_in_words(patches: Float[ndarray, "grid grid"]) -> str:
    """Say what a map of contributions shows."""
    told = []
    for decision, side in ((Decision.AI, patches), (Decision.REAL, -patches)):
        row, column = np.unravel_index(int(np.argmax(side)), side.shape)
        if side[row, column] > 0:
            place = _where((row + 0.5) / side.shape[0], (column + 0.5) / side.shape[1])
            total = float(np.clip(side, 0, None).sum())
            told.append(f"{total:.2f} logits speak for {WORD[decision]}, most in the {place}")
    return f"{sentence('; '.join(told))}" if told else "No place added anything."


def _signs(image: Image.Image, patches: Float[ndarray, "grid grid"]) -> None:
    """Mark the strongest patches with their sign: hues alone do not survive a grey printer."""
    pen = ImageDraw.Draw(image)
    limit = float(np.abs(patches).max())
    rows, columns = np.nonzero(np.abs(patches) >= max(_STRONG * limit, 1e-12))
    across, down = image.width / patches.shape[1], image.height / patches.shape[0]
    arm = min(7.0, across / 3)
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        x, y = (column + 0.5) * across, (row + 0.5) * down
        strokes = [(x - arm, y, x + arm, y)]
        if patches[row, column] > 0:
            strokes.append((x, y - arm, x, y + arm))
        for colour, width in (("black", 5), ("white", 2)):
            for stroke in strokes:
                pen.line(stroke, colour, width)


def _occlusion(
    falls: Float[ndarray, "size size"], plain: UInt8[ndarray, "rows columns 3"]
) -> Figure:
    limit = scale_of(falls)
    drawn = Image.fromarray(overlaid(plain, enlarged(falls, plain.shape[1], plain.shape[0]), limit))
    row, column = np.unravel_index(int(np.argmax(np.abs(falls))), falls.shape)
    place = _where((row + 0.5) / falls.shape[0], (column + 0.5) / falls.shape[1])
    return Figure(
        image=_with_bar(drawn, limit, "P(ai)"),
        says=(
            f"The same face in grey under a second map. Covering the {place} changed P(ai) most, "
            f"by {-float(falls[row, column]):+.2g}."
        ),
        caption="What covering a place changed: fall of P(ai).",
        width=600,
        photo=True,
    )


def _with_bar(drawn: Image.Image, limit: float, unit: str) -> Image.Image:
    height = max(drawn.height, 12 * _LETTERS)
    canvas = Image.new("RGB", (drawn.width + _BAR_SPACE, height), "white")
    canvas.paste(drawn, (0, (height - drawn.height) // 2))
    draw_bar(canvas, (drawn.width + 12, 0), height, limit, unit, _LETTERS)
    return canvas


def _tested(trust: Faithfulness | None) -> str:
    if trust is None:
        return "The map was not tested."
    tested = (
        "The map was tested: the places that it names were covered, the strongest first, and so "
        f"were places picked at random, {trust.rivals} times."
    )
    if trust.holds:
        return f"{tested} Its own places moved the model's answer more than all of them."
    return (
        f"No map is shown. {tested} Its own places moved the model's answer more than only "
        f"{trust.beaten} of {trust.rivals} random ones did, so it would show chance, not reasons. "
        f"{trust_in_words(trust)}"
    )


def _facts(verdict: Verdict, report: Report) -> Iterator[tuple[str, str]]:
    low, high = (share(end) for end in verdict.interval)
    yield (
        "P(ai)",
        f"{share(verdict.p_ai)}, {percent(report.level)} credible interval {low} to {high}",
    )
    yield "Why", " ".join(map(sentence, because(verdict.reasons, report.coverage)))
    yield "Doubt", sentence(in_words(verdict))
    copies = verdict.stability
    if copies is None:
        yield "Copies", "None were looked at. They are only where there is a verdict to take back."
    else:
        each = ", ".join(
            f"{name} {share(p)}" for name, p in zip(copies.copies, copies.p_ai, strict=True)
        )
        changed = Reason.CHANGES_UNDER_RECOMPRESSION in verdict.reasons
        kept = "the verdict changes, and is taken back" if changed else "the verdict stays"
        yield "Copies", f"P(ai) of copies, saved again or made smaller: {each}; {kept}."
    unlike = Reason.UNLIKE_TRAINING in verdict.reasons
    alike = "too unlike" if unlike else "near enough to"
    yield (
        "Distance",
        f"{verdict.distance:.2f}, where 1 is the limit: {alike} the pictures that the model "
        "learnt from.",
    )


def _adding_up(verdict: Verdict, report: Report, examined: Sequence[Examined]) -> Iterator[Block]:
    made = waterfall.waterfall(
        verdict, report.prior, report.level, [one.answer for one in examined]
    )
    beside = (
        " Hatched and hollow steps are forensic cues. They stay beside the verdict, and do not "
        "move it."
    )
    yield Figure(
        image=waterfall.draw(made),
        says=f"Steps from what was presumed to the total. {waterfall.in_words(made)}",
        caption=(
            "Evidence in decibans (dB): 10 dB are odds of 10 to 1, 3 dB about 2 to 1. The thin "
            f"line on the total is the {percent(report.level)} credible interval."
            f"{beside if examined else ''}"
        ),
        width=560,
    )


# --- forensic cues -----------------------------------------------------------------------------


def _cues(examined: Sequence[Examined]) -> Iterator[Block]:
    if not examined:
        yield Words(text="Nothing: no forensic cue was asked.")
        return
    yield Words(
        text=(
            "Forensic cues look at the pixels and at the file without the network. They were not "
            "fitted together with it, so they stay beside the verdict and do not move it."
        )
    )
    figures, bare, silent = [], [], []
    for one in examined:
        title = TITLES.get(one.answer.cue, one.answer.cue)
        if not isinstance(one.answer, Reading):
            silent.append(f"{title} is silent: {one.answer.why}")
            continue
        says = f"{title}. {sentence(one.answer.plain.rstrip('.'))} {one.answer.technical}"
        drawn = panel(one)
        if drawn is None:
            bare.append(says)
        else:
            figures.append(
                Figure(
                    image=drawn,
                    says=f"{title}: {_kind(one)}. {one.answer.technical}",
                    caption=says.removeprefix(f"{title}. "),
                    width=drawn.width,
                )
            )
    if figures:
        yield Gallery(figures=tuple(figures))
    if bare or silent:
        yield Items(items=tuple(chain(bare, silent)))


def _kind(one: Examined) -> str:
    if isinstance(one.drawing, Curve):
        return f"a curve of {one.drawing.y_label} against {one.drawing.x_label}"
    if isinstance(one.drawing, Map):
        return f"a map in grey, lighter for more {one.drawing.unit}"
    return "the face turned upright, with what was found marked in it"
