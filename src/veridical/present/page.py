"""One page per photo, for a person who has to act on it: what is on it, and in which order.

A page is a list of blocks. `page_html` and `page_png` each turn the same blocks into a file, so
what stands in one stands in the other. Nothing here reads a file or a clock: the same answers give
the same page.
"""

from collections.abc import Iterator, Sequence
from pathlib import PurePath

import numpy as np
from PIL import Image, ImageDraw

from veridical.arrays import UInt8, ndarray
from veridical.cues.protocol import Examined
from veridical.detector import Explanation
from veridical.present.blocks import Block, Facts, Figure, Heading, Items, Page, Words
from veridical.present.figure import font, framed
from veridical.present.page_face import of_face, place
from veridical.present.terminal import WORD, in_short, percent, printable, sentence
from veridical.report import Box, Decision, FaceResult, Failure, Report

_PHOTO = 960  # px, longer side of the photo on a page; more would only make the file larger
_SHOWN = 560  # px, most of its height that is shown: the answer must not be far from the reasons
_LETTERS = 22  # px, of the numbers of faces
MOST_FACES = 8  # that are told in full: the picture of a page is some 4000 px higher for each
_NO_ROOM = (
    f"A page tells of the {MOST_FACES} largest faces in full. The figure and the numbers of this "
    "one are beside it, in files of their own."
)

LIMITS = (
    "No verdict is evidence by itself. It is one opinion, with an error rate. Look at the source, "
    "the context and other copies too, and never accuse a person because of it.",
    "Real does not mean true: a photo can be somebody else's, staged, old, or torn from its "
    "context. AI-generated does not say who made it, or why.",
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
        Words(
            text=in_short(report.decision, report.reasons, report.promise(report.decision)),
            role="lead",
        ),
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
            blocks.append(Heading(level=2, text=f"{label}: {WORD[face.decision]}"))
            if len(report.faces) > 1:
                short = in_short(face.decision, face.reasons, report.promise(face.decision))
                blocks.append(Words(text=short))
            if number <= MOST_FACES:
                blocks += of_face(label, face.verdict, explanation, answers, report, photo_pixels)
            else:
                blocks.append(Words(text=_NO_ROOM))
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
        image = _small(photo_pixels)
        blocks.append(Figure(image=image, says=says, width=_shown(image), photo=True))
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
    yield (
        "Done by us",
        printable("; ".join(report.steps))
        or ("nothing; what was done to the picture before is not known"),
    )
    yield "Model", report.model
    yield "Version", f"veridical {report.version}"
    reals, ai = (percent(report.promise(mistake)) for mistake in (Decision.AI, Decision.REAL))
    yield (
        "Coverage",
        f"the prediction sets are promised to hold the truth for {reals} of the real pictures and "
        f"for {ai} of the AI-generated ones",
    )


# --- the photo ---------------------------------------------------------------------------------


def _small(photo_pixels: UInt8[ndarray, "height width 3"]) -> Image.Image:
    """Return a copy that fits on a page; a small photo stays as it is."""
    image = Image.fromarray(photo_pixels)
    scale = min(1.0, _PHOTO / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _shown(image: Image.Image) -> int:
    return max(1, round(image.width * min(1.0, _SHOWN / image.height)))


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
        width=_shown(image),
        photo=True,
    )


def _told(face: FaceResult, frame: Box) -> str:
    answer = WORD[face.decision] if face.verdict else "not judged"
    if face.box == frame:
        return f"the whole frame: {answer}"
    box = face.box
    where = place(
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
