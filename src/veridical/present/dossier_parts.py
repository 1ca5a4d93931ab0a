"""Decide what a filed report says: of a report, its file and the examiner's words, a Dossier."""

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import PurePath
from typing import Any

from veridical.encode import plain
from veridical.infer.priors import assumed, predictive_values
from veridical.io.decode import Photo
from veridical.io.source import File
from veridical.present import dossier_words as say
from veridical.present import pictures, redaction, words
from veridical.present.cue_panels import TITLES
from veridical.present.dossier import (
    SCHEMA,
    Basis,
    Block,
    Dossier,
    Figure,
    Filing,
    Paragraph,
    Points,
    Row,
    Rows,
    Section,
    Signature,
    Table,
)
from veridical.present.dossier_words import NONE_GIVEN, REDACTED, Measured
from veridical.present.maps import comparison_in_words, method_in_words, score_in_words, shown
from veridical.present.numbers import percent, share, span
from veridical.present.pictures import Picture
from veridical.present.words import NAME, WORD, printable, sentence
from veridical.report import Decision, FaceResult, NotApplicable, Report

MOST_FACES = 8  # that get a section; of the others there is a table
_PHOTO, _MAP = 300, 400  # px of a screen, 96 to an inch: the tallest that they are shown
_TEXT = 200  # characters shown of a text in the file


def dossier(report: Report, file: File, filing: Filing, basis: Basis) -> Dossier:
    """Return what the filed report of a picture says.

    Args:
        report: On the picture, with cues and explanations.
        file: The picture.
        filing: What the examiner gave.
        basis: Model, program and machine.
    """
    photo: Photo | None = file.photo
    told = report
    if filing.redact:
        assert photo is not None
        told, photo = redaction.redacted(report), redaction.covered(photo, report)
    sets = () if filing.whole_image else say.measured(basis.card)
    header = " | ".join(
        f"{label} {printable(value)}"
        for label, value in (("Case", filing.case), ("Exhibit", filing.exhibit))
        if value
    )
    sections = (
        Section("Conclusion", tuple(_conclusion(told, photo, filing, sets))),
        Section("The file", tuple(_file(told, file, filing))),
        Section("What the file says about its origin", tuple(_claims(told, filing))),
        *_faces(told, photo),
        Section("Error rates", tuple(_rates(told, sets, filing, basis))),
        Section("What the numbers assume", tuple(map(Paragraph, say.assumptions(told, sets)))),
        Section("Known limits", (Points(words.LIMITS), *_failures(basis.card))),
        Section("How to repeat this examination", tuple(_repeat(told, filing, basis))),
        Section("Signature", (Signature(say.SIGN),)),
    )
    return Dossier(
        title=say.TITLE,
        header=header,
        footer=f"SHA-256 of the picture {report.sha256[:16]}... | veridical {basis.version}",
        author=printable(filing.examiner),
        at=filing.at,
        sections=sections,
        record=_record(report, told, file, filing, basis, sets),
    )


def judgement_hash(report: Report) -> str:
    """Return the SHA-256 of all that was found out: see `findings`."""
    found = findings(report.to_dict())
    return sha256(json.dumps(found, sort_keys=True, allow_nan=False).encode()).hexdigest()


def findings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report's JSON without the file's name and this program's version."""
    return {k: value for k, value in entry.items() if k not in ("path", "path_bytes", "version")}


def _record(
    report: Report,
    told: Report,
    file: File,
    filing: Filing,
    basis: Basis,
    sets: tuple[Measured, ...],
) -> Mapping[str, Any]:
    assert file.data is not None
    return {
        "schema": SCHEMA,
        "at": filing.at.isoformat(),
        "case": filing.case,
        "exhibit": filing.exhibit,
        "examiner": filing.examiner,
        "note": filing.note,
        "redacted": filing.redact,
        "photo": {"sha256": report.sha256, "bytes": len(file.data)},
        "original": filing.original,
        "options": {"whole_image": filing.whole_image, "prior": filing.prior},
        "conclusion": say.SCALE[report.decision],
        "ratio_at_least": say.conservative_ratio(report.decision, sets),
        "error_rates": plain(sets),
        "model": basis.model,
        "version": basis.version,
        "machine": plain(basis.machine),
        "judgement_sha256": judgement_hash(report),
        "report": told.to_dict(),
    }


# --- conclusion ----------------------------------------------------------------------------------


def _conclusion(
    report: Report, photo: Photo | None, filing: Filing, sets: tuple[Measured, ...]
) -> Iterator[Block]:
    if filing.redact:
        yield Paragraph(say.REDACTION, "strong")
    yield Paragraph(say.conclusion(report), "strong")
    yield Rows(tuple(_head(report, filing)))
    for told in say.strength(report, sets):
        yield Paragraph(told)
    told = words.why(report.decision, report.reasons, report.promise(report.decision))
    yield Paragraph(f"{told} {words.next_step(report.decision, report.reasons)}")
    yield Points(say.PROPOSITIONS)
    yield Paragraph(say.WHAT_IS_ASKED, "small")
    if len(report.faces) > 1:
        yield Paragraph(say.MANY_FACES, "small")
    if photo is None:
        yield Paragraph(say.WITHHELD)
    else:
        yield _figure("photo", pictures.of_photo(report, photo), _PHOTO)


def _head(report: Report, filing: Filing) -> Iterator[Row]:
    yield Row("Case", printable(filing.case) or NONE_GIVEN)
    yield Row("Exhibit", printable(filing.exhibit) or NONE_GIVEN)
    yield Row("Examiner", printable(filing.examiner) or NONE_GIVEN)
    yield Row("Time", filing.at.isoformat(" "))
    yield Row("Picture", _name(report), code=True)
    yield Row("SHA-256", report.sha256, code=True)
    yield Row("Answer", WORD[report.decision])
    if report.p_ai is not None and report.interval is not None:
        interval = f"{percent(report.level)} credible interval {span(report.interval)}"
        yield Row("P(ai)", f"{share(report.p_ai)}, {interval}")
        yield Row("It assumes", f"that {words.assumption(report.prior)}")
    if report.at_prior:
        yield Row(f"At {percent(report.at_prior.prior)}", words.at_share(report.at_prior))
    if report.headline:
        yield Row("Origin", printable(report.headline))
    for line in say.lines(filing.note):
        yield Row("Note", line)


def _name(report: Report) -> str:
    path = report.path or ""
    # The name alone is shown: folders are private. The record has the path as it was given.
    return printable(PurePath(path).name or path) or NONE_GIVEN


# --- the file ------------------------------------------------------------------------------------


def _file(report: Report, file: File, filing: Filing) -> Iterator[Block]:
    assert file.data is not None
    header = file.header
    rows = [
        Row("Name", _name(report), code=True),
        Row("Size", f"{len(file.data):,} bytes"),
        Row("SHA-256", report.sha256, code=True),
        Row("Judged as", f"{report.width} x {report.height} px, upright"),
        Row("Processing", printable("; ".join(report.steps)) or "none"),
    ]
    if header is not None:
        rows[2:2] = [
            Row("Format", f"{header.format}, by its first bytes; channels {header.mode}"),
            Row("Stored as", f"{header.width} x {header.height} px"),
        ]
        if header.quality:
            quality, away = header.quality
            kind = "progressive" if header.progressive else "baseline"
            rows.append(
                Row(
                    "JPEG",
                    f"{kind}, colours {header.subsampling or 'none'}, tables nearest to quality "
                    f"{quality} of libjpeg (mean difference {away:.1f})",
                )
            )
        blocks = (("EXIF", header.exif), ("XMP", header.xmp), ("Colour profile", header.profile))
        rows += [Row(name, _block(data)) for name, data in blocks]
        for key, value in header.text.items():
            name, text = (REDACTED, REDACTED) if filing.redact else (key, _cut(value))
            rows.append(Row("Text in the file", f"{printable(name)}: {printable(text)}", code=True))
    yield Rows(tuple(rows))
    yield Paragraph(say.CHARACTERS, "small")


def _block(data: bytes) -> str:
    digest = f", SHA-256 {sha256(data).hexdigest()[:16]}..." if data else ""
    return f"{len(data):,} bytes{digest}" if data else "none before the pixels"


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}... ({len(text)} characters)"


def _claims(report: Report, filing: Filing) -> Iterator[Block]:
    yield Paragraph(say.CLAIMS)
    if not report.claims:
        yield Paragraph(say.NO_CLAIMS)
    for claim in report.claims:
        rows = [
            Row("Found in", claim.source.value),
            Row("It says", claim.says.value.replace("_", " ")),
            Row("Standing", claim.standing.value.replace("_", " ")),
            Row("Forgeable", "anybody could have written it" if claim.forgeable else "no"),
        ]
        if not filing.redact:
            rows += [Row("In words", printable(claim.plain))]
            rows += [Row("For experts", printable(claim.technical))]
        if claim.by:
            rows.append(Row("By", printable(claim.by)))
        rows += [
            Row("Value", f"{printable(key)}: {printable(_cut(value))}", code=True)
            for key, value in claim.raw.items()
        ]
        yield Rows(tuple(rows))


# --- faces ---------------------------------------------------------------------------------------


def _faces(report: Report, photo: Photo | None) -> Iterator[Section]:
    if not report.faces:
        yield Section("Faces", (Paragraph(sentence(words.plainly(report.reasons[0]))),))
    for at, face in enumerate(report.faces[:MOST_FACES]):
        answer = WORD[face.decision] if face.verdict else "not judged"
        yield Section(f"Face {at + 1}: {answer}", tuple(_face(at, report, photo)))
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


def _face(at: int, report: Report, photo: Photo | None) -> Iterator[Block]:
    face = report.faces[at]
    verdict, explanation = face.verdict, face.explanation
    yield Paragraph(words.why(face.decision, face.reasons, report.promise(face.decision)))
    rows = []
    if verdict:
        interval = f"{percent(report.level)} credible interval {span(verdict.interval)}"
        rows.append(Row("P(ai)", f"{share(verdict.p_ai)}, {interval}"))
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
        rows.append(Row("Map", score_in_words(explanation.faithfulness)))
        rows.append(Row("Logit", method_in_words(explanation)))
    yield Rows(tuple(rows))
    if explanation:
        yield Paragraph(comparison_in_words(explanation.faithfulness))
        yield from _map(at, face, photo)
    yield from _cues(face)


def _map(at: int, face: FaceResult, photo: Photo | None) -> Iterator[Block]:
    if photo is None or not (face.explanation and shown(face.explanation.faithfulness)):
        return
    drawn = pictures.of_map(face, photo, f"face {at + 1}")
    if drawn is not None:
        yield _figure(f"face-{at + 1}-map", drawn, _MAP)


def _cues(face: FaceResult) -> Iterator[Block]:
    if face.readings is None:
        return
    rows = []
    for one in face.readings:
        title = TITLES.get(one.cue, one.cue)
        if isinstance(one, NotApplicable):
            rows.append((title, f"Not measured. {one.why}", "none"))
        else:
            worth = "none measured" if one.llr is None else f"{one.llr:+.2f} nats"
            rows.append((title, f"{sentence(one.plain.rstrip('.'))} {one.technical}", worth))
    yield Table(("Forensic cue", "What it measured", "Support"), tuple(rows))
    yield Paragraph(
        "Forensic cues measure pixels and file without the network. They do not move the answer. "
        f"Positive support is for {NAME[Decision.AI]}, negative for {NAME[Decision.REAL]}.",
        "small",
    )


def _figure(name: str, picture: Picture, tallest: int) -> Figure:
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


# --- error rates, limits, repeating --------------------------------------------------------------


def _rates(
    report: Report, sets: tuple[Measured, ...], filing: Filing, basis: Basis
) -> Iterator[Block]:
    if filing.whole_image:
        yield Paragraph(say.WHOLE_IMAGE)
        sets = say.measured(basis.card)
    if not sets:
        yield Paragraph(say.NO_RATES)
        return
    yield Paragraph(say.RATES)
    yield Points(tuple(map(say.of_set, sets)))
    head = ("Rate", *(f'Set "{one.name}"' for one in sets))
    yield Table(head, say.rate_rows(sets))
    if not filing.whole_image:
        yield from map(Paragraph, say.of_strength(report, sets))
        for prior in dict.fromkeys(filter(None, (assumed(basis.card), filing.prior))):
            values = predictive_values(basis.card, prior)
            yield Paragraph(" ".join(words.in_numbers(prior, values).splitlines()))


def _failures(card: Mapping[str, Any]) -> Iterator[Block]:
    known = card.get("notes", {}).get("known_failures")
    if known:
        yield Paragraph(f"Known failures, from the model's card: {printable(str(known))}")


def _repeat(report: Report, filing: Filing, basis: Basis) -> Iterator[Block]:
    machine = basis.machine
    prior = "none" if filing.prior is None else repr(filing.prior)
    yield Paragraph(say.REPEAT)
    if filing.original:
        yield Paragraph(say.COPY)
    yield Rows(
        (
            *(Row(label, command, code=True) for label, command in say.COMMANDS),
            Row("Program", f"veridical {basis.version}"),
            Row("Model", basis.model, code=True),
            Row("Options", f"whole image: {_yes(filing.whole_image)}; prior: {prior}; one thread"),
            Row("Schema", f"{SCHEMA}; {report.to_dict()['schema']}"),
            Row("Python", machine.python),
            Row("System", printable(machine.system)),
            Row("Processor", printable(machine.processor) or "not told by the system"),
            Row(
                "Its arithmetic",
                f"{' '.join(machine.arithmetic) or 'not told'} (told by {machine.flags_from})",
            ),
            Row(
                "Libraries",
                "; ".join(f"{name} {number}" for name, number in machine.libraries.items()),
            ),
        )
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
