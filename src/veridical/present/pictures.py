"""The pictures on a page, each with words for those who do not see it."""

import io
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from veridical.box import Box
from veridical.explanation import Marked, NamedMap
from veridical.infer.priors import EVEN
from veridical.io.decode import Photo
from veridical.present import waterfall
from veridical.present.cue_panels import TITLES, kind, panel
from veridical.present.maps import (
    SIGNS,
    comparison_in_words,
    font,
    framed,
    over_face,
    place,
    places_in_words,
    portrait,
    shown,
    sign,
    with_bar,
)
from veridical.present.numbers import percent, share
from veridical.present.words import WORD, sentence
from veridical.report import FaceResult, NotApplicable, Reading, Report

_PHOTO = 960  # px, longer side of the photo on a page; more would only make the file larger
_QUALITY = 88  # of photographs, on libjpeg's scale, colours at full resolution
_LETTERS = 22  # px, in pictures that a phone shows at two thirds of their size


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A picture with words.

    Attributes:
        image: RGB.
        says: What it shows, for those who do not see it.
        caption: What stands below it, perhaps nothing.
        detail: What an expert may want to read below that, perhaps nothing.
        shown: Widest that it is shown, px.
        photo: Whether it is mostly a photograph.
    """

    image: Image.Image
    says: str
    caption: str = ""
    detail: str = ""
    shown: int = 448
    photo: bool = False

    @property
    def url(self) -> str:
        """The picture itself in the place of an address."""
        into = io.BytesIO()
        if self.photo:
            self.image.save(into, format="JPEG", quality=_QUALITY, subsampling=0)
        else:  # few colours: a palette holds them, exactly or nearly so
            few = self.image.quantize(128, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            few.save(into, format="PNG")
        kind = "jpeg" if self.photo else "png"
        return f"data:image/{kind};base64,{b64encode(into.getvalue()).decode()}"


# --- the photo ---------------------------------------------------------------------------------


def bare(photo: Photo) -> Picture:
    """Return the photo as it is, for a page without an answer."""
    says = f"The photo, {photo.width} x {photo.height} px. It was not judged."
    return Picture(image=small(photo), says=says, photo=True)


def of_photo(report: Report, photo: Photo) -> Picture:
    """Return the photo with a frame around every face, numbered where there are several."""
    image, frame = small(photo), _frame(report)
    seen = framed_faces(report)
    for face in seen:
        image = framed(np.asarray(image), frame, face.box)
    if len(seen) > 1:
        for number, face in enumerate(seen, start=1):
            _number(image, face.box, image.width / photo.width, str(number))
    says, caption = photo_in_words(report)
    return Picture(image=image, says=says, caption=caption, photo=True)


def framed_faces(report: Report) -> list[FaceResult]:
    """Return the faces that get a frame in the photo: all but the whole frame itself."""
    return [face for face in report.faces if face.box != _frame(report)]


def photo_in_words(report: Report) -> tuple[str, str]:
    """Say what a picture of the photo with frames shows, for those who do not see it; a caption."""
    frame, seen = _frame(report), framed_faces(report)
    told = [f"The photo, {report.width} x {report.height} px"]
    told += [f"face {n}, {_told(one, frame)}" for n, one in enumerate(report.faces, start=1)]
    caption = {0: "No face was found.", 1: "The face that was judged is framed."}.get(
        len(seen), "The faces, the largest first."
    )
    if report.faces and not seen:
        caption = "The whole frame was judged."
    elif report.faces and report.lead is None:
        caption = "Faces were found; none was judged."
    return sentence("; ".join(told)), caption


def _frame(report: Report) -> Box:
    return Box(left=0.0, top=0.0, width=float(report.width), height=float(report.height))


def small(photo: Photo, side: int = _PHOTO) -> Image.Image:
    """Return a copy of at most `side` px that fits on a page; a small photo stays as it is."""
    scale = min(1.0, side / max(photo.width, photo.height))
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    # The first step averages whole pixels, which is fast; the second is exact.
    return photo.image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)


def _told(face: FaceResult, frame: Box) -> str:
    answer = WORD[face.decision] if face.verdict else "not judged"
    box = face.box
    if box == frame:
        return f"the whole frame: {answer}"
    middle = box.top + box.height / 2, box.left + box.width / 2
    where = place(middle[0] / frame.height, middle[1] / frame.width)
    return f"{box.width:.0f} x {box.height:.0f} px in the {where}, framed: {answer}"


def _number(image: Image.Image, box: Box, scale: float, text: str) -> None:
    """Write a face's number into the upper left corner of its frame."""
    pen, size = ImageDraw.Draw(image), _LETTERS
    left = min(max(0, round(box.left * scale)), max(0, image.width - size))
    top = min(max(0, round(box.top * scale)), max(0, image.height - size))
    pen.rectangle((left, top, left + round(0.8 * size) * len(text), top + size + 4), "black")
    pen.text((left + 4, top + 2), text, "white", font(size))


# --- maps --------------------------------------------------------------------------------------


def of_map(face: FaceResult, photo: Photo, name: str) -> Picture | None:
    """Return the face of that name under its map; None without a map, or if it is withheld."""
    made = of_layers(face, photo, name)
    if made is None:
        return None
    _, drawn, limit = made
    return replace(drawn, image=with_bar(drawn.image, limit, "logit", _LETTERS), shown=600)


def of_layers(face: FaceResult, photo: Photo, name: str) -> tuple[Picture, Picture, float] | None:
    """Return the face of that name, the same under its map, and the end of the map's scale.

    None without a map, or if it is withheld. Both pictures have the same size.
    """
    explanation = face.explanation
    if explanation is None or not shown(explanation.faithfulness):
        return None
    plain = portrait(photo.image, explanation.area)
    drawn, limit = over_face(plain, explanation.patches, explanation.covered)
    sign(drawn, explanation.patches, explanation.covered)
    around = " and what is around it" if explanation.crop == "context" else ""
    under = Picture(image=Image.fromarray(plain), says=f"A picture of {name}{around}.", photo=True)
    over = Picture(
        image=drawn,
        says=f"A picture of {name}{around} in grey under a map. "
        f"{places_in_words(explanation.patches)}",
        caption=f"The map of what the model used in {name}{around}. {SIGNS}",
        photo=True,
    )
    return under, over, limit


def of_other_maps(face: FaceResult, photo: Photo) -> Iterator[Picture]:
    """Return the occlusion map and the maps by other methods that are not withheld."""
    explanation = face.explanation
    if explanation is None or not (explanation.occlusion or explanation.maps):
        return
    plain = portrait(photo.image, explanation.area)
    if explanation.occlusion is not None:
        drop = explanation.occlusion.drop
        drawn, limit = over_face(plain, drop)
        row, column = np.unravel_index(int(np.argmax(np.abs(drop))), drop.shape)
        where = place((row + 0.5) / drop.shape[0], (column + 0.5) / drop.shape[1])
        yield Picture(
            image=with_bar(drawn, limit, "P(ai)", _LETTERS),
            says=(
                f"The face in grey under a second map. Covering the {where} changed P(ai) most, "
                f"by {-float(drop[row, column]):+.2g}."
            ),
            caption="How much P(ai) drops when a place is covered.",
            shown=600,
            photo=True,
        )
    for one in explanation.maps:
        if shown(one.faithfulness):
            drawn, limit = over_face(plain, one.patches, explanation.covered)
            sign(drawn, one.patches, explanation.covered)
            yield Picture(
                image=with_bar(drawn, limit, "", _LETTERS),
                says=f"The face in grey under a map by {one.name}.",
                caption=f"By {one.name}, through the whole network. {SIGNS}",
                detail=comparison_in_words(one.faithfulness),
                shown=600,
                photo=True,
            )


def withheld(maps: tuple[NamedMap, ...]) -> tuple[str, ...]:
    """Return the names of the maps by other methods that are no better than random ones."""
    return tuple(one.name for one in maps if not shown(one.faithfulness))


# --- numbers -----------------------------------------------------------------------------------


def of_waterfall(face: FaceResult, report: Report) -> Picture | None:
    """Return the steps from the prior to P(ai); None for a face that was not judged."""
    if face.verdict is None:
        return None
    made = waterfall.waterfall(
        face.verdict, report.prior, report.level, face.readings or (), face.crops
    )
    start = "even odds" if report.prior == EVEN else f"{percent(report.prior)} AI-generated"
    beside = (
        " Hatched and hollow steps are forensic cues. They are not part of P(ai). No weight: it "
        "was of no measured help on other pictures."
    )
    return Picture(
        image=waterfall.draw(made),
        says=f"Steps from the prior to the total. {waterfall.in_words(made)}",
        caption=(
            f"It starts at {start}. Evidence is in decibans (dB): 10 dB are odds of 10 to 1, 3 dB "
            f"about 2 to 1. The thin line on the total is the {percent(report.level)} credible "
            f"interval, P(ai) {share(face.verdict.interval[0])} to "
            f"{share(face.verdict.interval[1])}.{beside if face.readings else ''}"
        ),
        shown=500,
    )


def of_cues(readings: tuple[Reading | NotApplicable, ...]) -> tuple[list[Picture], list[str]]:
    """Return the panels of forensic cues, and a line for each cue without one."""
    panels, lines = [], []
    for one in readings:
        title = TITLES.get(one.cue, one.cue)
        if isinstance(one, NotApplicable):
            lines.append(f"{title}: not measured. {one.why}")
            continue
        plain = sentence(one.plain.rstrip("."))
        drawn = panel(one)
        if drawn is None or one.drawing is None:
            lines.append(f"{title}: {plain} {one.technical}")
            continue
        panels.append(
            Picture(
                image=drawn,
                says=f"{title}: {kind(one.drawing)}. {one.technical}",
                caption=plain,
                detail=one.technical,
                shown=drawn.width,
                photo=isinstance(one.drawing, Marked),
            )
        )
    return panels, lines
