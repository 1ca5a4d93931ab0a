"""What a filed report says of each face: answer, numbers, map with its faithfulness, cues."""

from base64 import b64decode
from collections.abc import Iterator

from veridical.explanation import Explanation
from veridical.io.decode import Photo
from veridical.present import dossier_words as say
from veridical.present import pictures, words
from veridical.present.cue_panels import TITLES
from veridical.present.dossier import Block, Figure, Paragraph, Row, Rows, Section, Table
from veridical.present.dossier_conclusion import guarantee
from veridical.present.dossier_words import Measured
from veridical.present.maps import method_in_words, shown, tested_in_words
from veridical.present.numbers import percent, share, span
from veridical.present.pictures import Picture
from veridical.present.words import WORD, sentence
from veridical.report import Decision, FaceResult, NotApplicable, Reason, Report

MOST_FACES = 8  # that get a section; of the others there is a table
_MAP = 320  # px of a screen, 96 to an inch: the tallest that a map is shown
_MAP_OF_SEVERAL = 240  # likewise, where there are more faces: a face fits on a page


def face_sections(
    report: Report, photo: Photo | None, sets: tuple[Measured, ...]
) -> Iterator[Section]:
    """Return a section for each face, or one that says that there is none."""
    if not report.faces:
        yield Section("Faces", (Paragraph(sentence(words.plainly(report.reasons[0]))),))
    for at, face in enumerate(report.faces[:MOST_FACES]):
        answer = WORD[face.decision] if face.verdict else "not judged"
        yield Section(f"Face {at + 1}: {answer}", tuple(_face(at, report, photo, sets)))
    if rest := report.faces[MOST_FACES:]:
        rows = tuple(
            (str(number), WORD[face.decision] if face.verdict else "not judged", *_short(face))
            for number, face in enumerate(rest, start=MOST_FACES + 1)
        )
        yield Section("Further faces", (Table(("Face", "Answer", "P(ai)", "Place"), rows),))


def _short(face: FaceResult) -> tuple[str, str]:
    verdict = face.verdict
    told = f"{share(verdict.p_ai)} ({span(verdict.interval)})" if verdict else "none"
    return told, _place(face)


def _place(face: FaceResult) -> str:
    box = face.box
    return f"{box.width:.0f} x {box.height:.0f} px at {box.left:.0f}, {box.top:.0f}"


def _face(
    at: int, report: Report, photo: Photo | None, sets: tuple[Measured, ...]
) -> Iterator[Block]:
    face = report.faces[at]
    verdict, explanation = face.verdict, face.explanation
    if len(report.faces) > 1 or report.p_ai is None:  # else the conclusion has said it
        yield Paragraph(words.why(face.decision, face.reasons, None))
    rows = []
    if verdict:
        interval = f"{percent(report.level)} credible interval {span(verdict.interval)}"
        rows.append(Row("P(ai)", f"{share(verdict.p_ai)}, {interval}"))
    decided = face.decision is not Decision.UNDECIDED and Reason.WITHIN_COVERAGE in face.reasons[:1]
    if decided and face.decision is not report.decision:  # else it stands among the numbers
        rows.append(guarantee(face.decision, report, sets))
    rows.append(
        Row("Reasons", " ".join(map(sentence, words.because(face.reasons, report)))),
    )
    if verdict:
        told = sentence(words.in_words(verdict, face.reasons))
        rows.append(Row("Uncertainty", f"{told} {words.no_suspicion(verdict)}".rstrip()))
        copies = "none: they are tried only before a face is called AI-generated"
        if verdict.stability:
            copies = words.of_copies(verdict.stability, face.reasons)
        rows.append(Row("Copies", sentence(copies)))
        rows.append(Row("Distance", sentence(words.distance(verdict))))
        if len(face.crops) > 1:
            rows.append(Row("Crops", sentence(words.of_crops(face))))
    turned = f"; {words.of_turn(face)}" if face.turn else ""
    place = f"{_place(face)}; face detector's confidence {face.confidence:.2f}{turned}"
    rows.append(Row("Place", place))
    if explanation:
        rows.append(Row("Map", tested_in_words(explanation.faithfulness)))
        shows = next(n for n, one in enumerate(report.faces) if one.explanation)
        rows.append(
            Row("Logit", method_in_words(explanation) if at == shows else _logit(explanation))
        )
    yield Rows(tuple(rows))
    if explanation:
        yield from _map(at, face, photo, _MAP if len(report.faces) == 1 else _MAP_OF_SEVERAL)
    first = next((n for n, one in enumerate(report.faces) if one.readings is not None), None)
    yield from _cues(face, explained=at == first)


def _logit(explanation: Explanation) -> str:
    return f"{explanation.contributions.logit:+.2f}; the map is read like that of the first face"


def _map(at: int, face: FaceResult, photo: Photo | None, tallest: int) -> Iterator[Block]:
    if photo is None or not (face.explanation and shown(face.explanation.faithfulness)):
        return
    drawn = pictures.of_map(face, photo, f"face {at + 1}")
    if drawn is not None:
        yield figure_of(f"face-{at + 1}-map", drawn, tallest)


def _cues(face: FaceResult, *, explained: bool) -> Iterator[Block]:
    if face.readings is None:
        return
    rows = []
    for one in face.readings:
        title = say.BLOCKS if one.cue == "jpeg" else TITLES.get(one.cue, one.cue)
        if isinstance(one, NotApplicable):
            rows.append((title, f"Not measured. {one.why}", "-"))
        elif one.cue == "jpeg":  # what it says of the file stands among the facts of the file
            rows.append((title, say.of_blocks(one), "not weighed"))
        else:
            worth = "not weighed" if one.llr is None else f"{one.llr:+.2f} nats"
            rows.append((title, f"{sentence(one.plain.rstrip('.'))} {one.technical}", worth))
    if explained:
        yield Paragraph(say.CUES, "small")
    yield Table(("Forensic cue", "What it measured", "Support"), tuple(rows))


def figure_of(name: str, picture: Picture, tallest: int) -> Figure:
    """Return a picture as a figure that is shown at most `tallest` px of a screen high."""
    media, _, coded = picture.url.removeprefix("data:").partition(";base64,")
    detail = f" {picture.detail}" if picture.detail else ""
    width, height = picture.image.size
    return Figure(
        name=f"{name}.{media.removeprefix('image/')}",
        data=b64decode(coded),
        media=media,
        width=width,
        height=height,
        shown=max(1, min(picture.shown, width * tallest // height)),
        says=picture.says,
        caption=f"{picture.caption}{detail}",
    )
