"""What a page says of one face: the answer, what spoke for it, and how far that can be trusted."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw

from veridical.arrays import Float, UInt8, ndarray
from veridical.cues.protocol import Curve, Examined, Map, Marked
from veridical.detector import Explanation
from veridical.explain.attribution import Faithfulness, FurtherMap
from veridical.infer.priors import posterior
from veridical.present import waterfall
from veridical.present.blocks import Block, Facts, Figure, Gallery, Heading, Items, Words
from veridical.present.cue_panels import TITLES, panel
from veridical.present.figure import (
    draw_bar,
    draw_belief,
    enlarged,
    framed,
    overlaid,
    portrait,
    scale_of,
    spread,
    trust_in_words,
)
from veridical.present.terminal import WORD, because, doubtful, in_words, percent, sentence, share
from veridical.report import Decision, Reading, Reason, Report, Verdict

_LETTERS = 22  # px, in pictures that a phone shows at two thirds of their size
_BAR_SPACE = 12 + 18 + 9 + 5 * _LETTERS  # px, from a map to the end of its bar's labels
_STRONG = 0.5  # of the strongest patch; from there on a patch gets a sign
_RARE = 0.01  # share of AI-generated pictures that P(ai) is also told for


def of_face(
    label: str,
    verdict: Verdict,
    explanation: Explanation,
    examined: Sequence[Examined],
    report: Report,
    photo_pixels: UInt8[ndarray, "height width 3"],
) -> Iterator[Block]:
    """Return what there is to say of one face, its heading apart.

    Args:
        label: What the face is called.
        verdict: On it.
        explanation: Of the verdict.
        examined: What the forensic cues said about the face.
        report: On the photo that the face is in.
        photo_pixels: The upright photo.
    """
    plain = portrait(photo_pixels, explanation.area)
    yield _belief(verdict, report)
    figures = [_crop(label, explanation, plain)]
    trust = explanation.faithfulness
    if trust is None or trust.passed:
        figures.append(_evidence(explanation, plain))
    if explanation.occlusion is not None:
        figures.append(_occlusion(explanation.occlusion, plain))
    figures += [
        _further(one, explanation, plain)
        for one in explanation.further
        if one.faithfulness is None or one.faithfulness.passed
    ]
    yield Gallery(figures=tuple(figures))
    yield Words(text=_tested(trust))
    if explanation.evidence.method == "covering" and (trust is None or trust.passed):
        yield Words(
            text=(
                "The map estimates how the answer would move if a place were covered. Its places "
                "do not add up to the answer: more of them can speak for one side, and the face "
                "as a whole for the other."
            )
        )
    withheld = [
        one.name for one in explanation.further if one.faithfulness and not one.faithfulness.passed
    ]
    if withheld:
        yield Words(text=f"Withheld, as no better than random maps: {', '.join(withheld)}.")
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
            f"{percent(report.prior)} of the pictures are{_where_few_are(verdict, report)}. "
            f"The thick stretch is its {percent(report.level)} credible interval."
            f"{_not_that(verdict)}"
        ),
        width=560,
    )


def _where_few_are(verdict: Verdict, report: Report) -> str:
    """Say what the same evidence is worth where AI-generated pictures are rare."""
    if report.prior <= _RARE:
        return ""
    rarely = _in_hundred(posterior(verdict.p_ai, _RARE, report.prior))
    return f"; if {percent(_RARE)} of them are, {rarely}"


def _not_that(verdict: Verdict) -> str:
    """Keep people from taking the chance of this picture for the promise at the top."""
    if verdict.decision is Decision.UNDECIDED:
        return _not_a_verdict(verdict)
    return (
        " This is about this picture; the number at the top is about many: how often a picture of "
        "the other kind gets this answer by mistake."
    )


def _not_a_verdict(verdict: Verdict) -> str:
    """Keep people from reading a verdict out of a number that we do not stand behind."""
    undecided = verdict.decision is Decision.UNDECIDED
    return " The answer is undecided: we do not stand behind this number." if undecided else ""


def _in_hundred(p: float) -> str:
    if p < 0.005:
        return "less than 1 chance in 100"
    if p >= 0.995:
        return "more than 99 chances in 100"
    return f"about {round(100 * p)} chances in 100"


def _crop(label: str, explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]) -> Figure:
    area, box = explanation.area, explanation.face.box
    framing = "the whole frame" if box == area else "the face framed in its crop_box"
    return Figure(
        image=framed(plain, area, box),
        says=(
            f"{label} as the model looked at it: {framing}, {box.width:.0f} x {box.height:.0f} px."
        ),
        caption=f"What was judged: {_extent(explanation)}.",
        photo=True,
    )


def _extent(explanation: Explanation) -> str:
    area, box = explanation.area, explanation.face.box
    if box == area:
        return f"the whole frame, {box.width:.0f} x {box.height:.0f} px"
    return f"the face, {box.width:.0f} x {box.height:.0f} px, and what surrounds it"


def _evidence(explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]) -> Figure:
    patches = explanation.evidence.patches
    return _map(
        patches,
        explanation.crop.shape[0],
        plain,
        unit="logit",
        says=f"The same face in grey under a map. {map_in_words(patches)}",
        caption=(
            "What each place spoke for: orange and + speak for AI-generated, blue and - for real. "
            f"{trust_in_words(explanation.faithfulness)}"
        ),
    )


def _further(
    further: FurtherMap, explanation: Explanation, plain: UInt8[ndarray, "rows columns 3"]
) -> Figure:
    return _map(
        further.patches,
        explanation.crop.shape[0],
        plain,
        unit="",
        says=f"The same face in grey under a map by {further.name}.",
        caption=(
            f"By {further.name}, through the whole network: orange and + speak for AI-generated, "
            f"blue and - for real. {trust_in_words(further.faithfulness)}"
        ),
    )


def _map(
    patches: Float[ndarray, "grid grid"],
    side: int,
    plain: UInt8[ndarray, "rows columns 3"],
    *,
    unit: str,
    says: str,
    caption: str,
) -> Figure:
    limit = scale_of(patches)
    values = spread(patches, side, plain.shape[1], plain.shape[0])
    drawn = Image.fromarray(overlaid(plain, values, limit))
    _signs(drawn, patches)
    image = _with_bar(drawn, limit, unit)
    return Figure(image=image, says=says, caption=caption, width=600, photo=True)


def map_in_words(patches: Float[ndarray, "grid grid"]) -> str:
    """Say what a map shows: how many places, and not their sum, which may mean nothing."""
    told = []
    for decision, side in ((Decision.AI, patches), (Decision.REAL, -patches)):
        row, column = np.unravel_index(int(np.argmax(side)), side.shape)
        if side[row, column] > 0:
            where = place((row + 0.5) / side.shape[0], (column + 0.5) / side.shape[1])
            told.append(
                f"{(side > 0).sum()} of {side.size} places speak for {WORD[decision]}, "
                f"the strongest in the {where}"
            )
    return f"{sentence('; '.join(told))}" if told else "No place spoke for either."


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
    logit_drops: Float[ndarray, "size size"], plain: UInt8[ndarray, "rows columns 3"]
) -> Figure:
    limit = scale_of(logit_drops)
    drawn = Image.fromarray(
        overlaid(plain, enlarged(logit_drops, plain.shape[1], plain.shape[0]), limit)
    )
    row, column = np.unravel_index(int(np.argmax(np.abs(logit_drops))), logit_drops.shape)
    where = place((row + 0.5) / logit_drops.shape[0], (column + 0.5) / logit_drops.shape[1])
    return Figure(
        image=_with_bar(drawn, limit, "P(ai)"),
        says=(
            f"The same face in grey under a second map. Covering the {where} changed P(ai) most, "
            f"by {-float(logit_drops[row, column]):+.2g}."
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


def _tested(faithfulness: Faithfulness | None) -> str:
    if trust is None:
        return "The map was not tested."
    tested = (
        "The map was tested: the places that it names were covered, the strongest first, and so "
        f"were places picked at random, {trust.n_random} times."
    )
    if trust.passed:
        return f"{tested} Its own places moved the model's answer more than each of them."
    return (
        f"No map is shown. {tested} Its own places moved the model's answer more than "
        f"{trust.n_beaten} of these {trust.n_random} did. A map that does not beat them all may be "
        "chance. "
        f"{trust_in_words(trust)}"
    )


def _facts(verdict: Verdict, report: Report) -> Iterator[tuple[str, str]]:
    low, high = (share(end) for end in verdict.interval)
    yield (
        "P(ai)",
        f"{share(verdict.p_ai)}, {percent(report.level)} credible interval {low} to {high}",
    )
    yield "Reasons", " ".join(map(sentence, because(verdict.reasons, report)))
    yield "Doubt", " ".join([sentence(in_words(verdict)), *_of_the_picture(verdict)])
    copies = verdict.stability
    if copies is None:
        yield "Copies", "None were looked at. They are only where there is a verdict to take back."
    else:
        each = ", ".join(
            f"{name}: {share(p)}" for name, p in zip(copies.copies, copies.p_ai, strict=True)
        )
        changed = Reason.CHANGES_UNDER_RECOMPRESSION in verdict.reasons
        kept = "the verdict changes, and is taken back" if changed else "the verdict stays"
        yield "Copies", f"P(ai) of copies, saved again or made smaller. {each}; {kept}."
    unlike = Reason.UNLIKE_TRAINING in verdict.reasons
    within = "so there is no answer" if unlike else "this picture is within it"
    yield (
        "Distance",
        f"{verdict.distance:.2f} from the pictures that the model learnt from; 1 is the limit, "
        f"{within}.",
    )


def _of_the_picture(verdict: Verdict) -> Iterator[str]:
    """Keep people from reading a suspicion into a doubt about the picture."""
    if doubtful(verdict) and verdict.aleatoric > verdict.epistemic:
        yield (
            "Doubt in the picture: the model finds real and AI-generated pictures like this one "
            "hard to tell apart. It is no sign that something is wrong with it."
        )


def _adding_up(verdict: Verdict, report: Report, examined: Sequence[Examined]) -> Iterator[Block]:
    made = waterfall.waterfall(
        verdict, report.prior, report.level, [one.answer for one in examined]
    )
    beside = (
        " Hatched and hollow steps are forensic cues. They stay beside the verdict, and do not "
        "move it. No weight: on pictures from elsewhere it was of no measured help."
    )
    yield Figure(
        image=waterfall.draw(made),
        says=f"Steps from what was presumed to the total. {waterfall.in_words(made)}",
        caption=(
            "Evidence in decibans (dB): 10 dB are odds of 10 to 1, 3 dB about 2 to 1. The thin "
            f"line on the total is the {percent(report.level)} credible interval."
            f"{beside if examined else ''}{_not_a_verdict(verdict)}"
        ),
        width=500,
    )


# --- forensic cues -----------------------------------------------------------------------------


def _cues(examined: Sequence[Examined]) -> Iterator[Block]:
    if not examined:
        yield Words(text="Nothing: no forensic cue was asked.")
        return
    yield Words(
        text=(
            "Forensic cues look at the pixels and at the file without the network. On pictures "
            "from elsewhere they made the verdict no better, so they stay beside it and do not "
            "move it."
        )
    )
    figures, bare, silent = [], [], []
    for one in examined:
        title = TITLES.get(one.answer.cue, one.answer.cue)
        if not isinstance(one.answer, Reading):
            silent.append(f"{title} is silent: {one.answer.why}")
            continue
        plain = sentence(one.answer.plain.rstrip("."))
        drawn = panel(one)
        if drawn is None:
            bare.append(f"{title}. {plain} {one.answer.technical}")
        else:
            figures.append(
                Figure(
                    image=drawn,
                    says=f"{title}: {_kind(one)}. {one.answer.technical}",
                    caption=plain,
                    detail=one.answer.technical,
                    width=drawn.width,
                    photo=isinstance(one.drawing, Marked),
                )
            )
    if figures:
        yield Gallery(figures=tuple(figures))
    if bare or silent:
        yield Items(items=(*bare, *silent))


def _kind(one: Examined) -> str:
    if isinstance(one.drawing, Curve):
        return f"a curve of {one.drawing.y_label} against {one.drawing.x_label}"
    if isinstance(one.drawing, Map):
        return f"a map in grey, lighter for more {one.drawing.unit}"
    return "the face turned upright, with what was found marked in it"


def place(down: float, across: float) -> str:
    """Return a place in a picture in words; both are shares of its size from the upper left."""
    row = ("upper", "", "lower")[min(2, max(0, int(3 * down)))]
    column = ("left", "middle", "right")[min(2, max(0, int(3 * across)))]
    return f"{row} {column}".strip()
