"""Decide what a filed report says: of a report, its file and the examiner's words, a Dossier."""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from veridical.claims import InTime
from veridical.encode import plain
from veridical.infer.priors import SPLITS, assumed, predictive_values
from veridical.io.decode import Photo
from veridical.io.source import File
from veridical.present import dossier_conclusion as weigh
from veridical.present import dossier_words as say
from veridical.present import pictures, redaction, words
from veridical.present.dossier import (
    SCHEMA,
    Basis,
    Block,
    Dossier,
    Filing,
    Paragraph,
    Points,
    Row,
    Rows,
    Section,
    Signature,
    Table,
)
from veridical.present.dossier_faces import face_sections, figure_of
from veridical.present.dossier_file import file_claims, file_facts, name_of
from veridical.present.dossier_words import NONE_GIVEN, Measured
from veridical.present.words import WORD, printable
from veridical.report import Report

_PHOTO = 300  # px of a screen, 96 to an inch: the tallest that the photo is shown


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
    judged, rest = sections_of(told, photo, filing, basis)
    facts = Section(THE_FILE, tuple(file_facts(told, file, filing)))
    return framed(
        filing,
        report.sha256,
        basis.version,
        sections=(judged, facts, *rest),
        record=_record(report, told, file, filing, basis, sets),
    )


THE_FILE = "The file"
"""The one section that nobody can write again from the report's JSON alone."""


def framed(
    filing: Filing,
    photo: str,
    version: str,
    *,
    sections: tuple[Section, ...] = (),
    record: Mapping[str, Any],
) -> Dossier:
    """Return a dossier with what stands on every page.

    Args:
        filing: What the examiner gave.
        photo: SHA-256 of the picture.
        version: Of the program.
        sections: What it says.
        record: The same for programs.
    """
    header = " | ".join(
        (
            *(["REDACTED"] if filing.redact else []),
            *(
                f"{label} {printable(value)}"
                for label, value in (("Case", filing.case), ("Exhibit", filing.exhibit))
                if value
            ),
        )
    )
    return Dossier(
        title=say.TITLE,
        header=header,
        footer=f"SHA-256 of the picture {photo[:16]}... | veridical {version}",
        author=printable(filing.examiner),
        at=filing.at,
        at_given=filing.at_given,
        time=filing.time,
        sections=sections,
        record=record,
    )


def sections_of(
    told: Report, photo: Photo | None, filing: Filing, basis: Basis
) -> tuple[Section, tuple[Section, ...]]:
    """Return the first section, and those behind the facts of the file.

    Args:
        told: The report, redacted where that was asked for.
        photo: That is shown; None for none.
        filing: What the examiner gave.
        basis: Model, program and machine.
    """
    sets = () if filing.whole_image else say.measured(basis.card)
    return Section("Conclusion", tuple(_conclusion(told, photo, filing, sets))), (
        Section("What the file says about its origin", tuple(file_claims(told, filing))),
        *face_sections(told, photo, sets),
        Section("Error rates", tuple(_rates(told, sets, filing, basis))),
        *([Section(say.NUMBERS, tuple(_numbers(told, sets)))] if told.p_ai is not None else []),
        Section("Known limits", tuple(_limits(basis.card))),
        Section("How to repeat this examination", tuple(_repeat(told, filing, basis))),
        Section(
            "Signature of the examiner",
            (
                Rows((Row("Picture's SHA-256", told.sha256, code=True),)),
                Signature(say.SIGN, printable(filing.examiner)),
            ),
        ),
    )


def judgement_hash(report: Report) -> str:
    """Return the SHA-256 of all that was found out: see `findings`."""
    found = findings(report.to_dict())
    return sha256(json.dumps(found, sort_keys=True, allow_nan=False).encode()).hexdigest()


def claims_hash(report: Report) -> str:
    """Return the SHA-256 of all that the file says about its origin: see `stated`."""
    return sha256(json.dumps(stated(report.to_dict()), sort_keys=True).encode()).hexdigest()


_STATED = ("claims", "headline", "declared")


def findings(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a report's JSON what was found out about the pixels, whatever the file's name."""
    other = ("path", "path_bytes", "version", "schema", *_STATED)
    return {key: value for key, value in entry.items() if key not in other}


def stated(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return of a report's JSON what the file says about its own origin.

    Kept apart from the findings: whether a signature is good depends on the day it is checked, and
    on the lists of certificates.
    """
    return {key: entry[key] for key in _STATED}


def concluded(report: weigh.Answer, sets: tuple[Measured, ...]) -> dict[str, Any]:
    """Return of a report's JSON the conclusion, and the error rates that it rests on."""
    return {
        "conclusion": weigh.SCALE[report.decision],
        "conclusion_in_words": weigh.conclusion(report, sets),
        "strength": weigh.strength(report, sets),
        "ratio_at_least": weigh.conservative_ratio(report.decision, sets),
        "error_rates": plain(sets),
    }


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
        "at_given": filing.at_given,
        "case": filing.case,
        "exhibit": filing.exhibit,
        "examiner": filing.examiner,
        "note": filing.note,
        "redacted": filing.redact,
        "photo": {"sha256": report.sha256, "bytes": len(file.data)},
        "original": filing.original,
        "options": {"whole_image": filing.whole_image, "prior": filing.prior},
        **concluded(report, sets),
        "model": basis.model,
        "version": basis.version,
        "machine": plain(basis.machine),
        "judgement_sha256": judgement_hash(report),
        "claims_sha256": claims_hash(report),
        "report": told.to_dict(),
    }


# --- conclusion ----------------------------------------------------------------------------------


def _conclusion(
    report: Report, photo: Photo | None, filing: Filing, sets: tuple[Measured, ...]
) -> Iterator[Block]:
    if filing.redact:
        yield Paragraph(say.REDACTION, "strong")
    yield Paragraph(weigh.conclusion(report, sets), "strong")
    for told in weigh.conflict(report):
        yield Paragraph(told, "strong")
    for told in weigh.meaning(report, sets):
        yield Paragraph(told)
    yield Rows(tuple(_head(report, filing)))
    if report.p_ai is not None:
        yield Paragraph(words.why(report.decision, report.reasons, None))
    yield Points(say.PROPOSITIONS)
    yield Paragraph(say.WHAT_IS_ASKED, "small")
    if len(report.faces) > 1:
        yield Paragraph(say.of_faces(report), "small")
    if photo is None:
        yield Paragraph(say.WITHHELD)
    else:
        yield figure_of("photo", pictures.of_photo(report, photo), _PHOTO)


def _head(report: Report, filing: Filing) -> Iterator[Row]:
    yield Row("Case", printable(filing.case) or NONE_GIVEN)
    yield Row("Exhibit", printable(filing.exhibit) or NONE_GIVEN)
    yield Row("Examiner", printable(filing.examiner) or NONE_GIVEN)
    yield Row("Time of report", filing.time)
    yield Row("Picture", name_of(report), code=True)
    yield Row("SHA-256", report.sha256, code=True)
    missing = " (not examined)" if report.p_ai is None else ""
    yield Row("Answer", f"{WORD[report.decision]}{weigh.of_face(report)}{missing}")
    if report.headline:
        expired = any(
            one.credential and one.credential.in_time is InTime.EXPIRED for one in report.claims
        )
        told = f"{report.headline} {say.EXPIRED}" if expired else report.headline
        yield Row("Origin", printable(told))
    for line in say.lines(filing.note):
        yield Row("Note", line)


# --- error rates, limits, repeating --------------------------------------------------------------


def _numbers(report: Report, sets: tuple[Measured, ...]) -> Iterator[Block]:
    rows = tuple(weigh.measures(report, sets))
    if rows:
        yield Rows(rows)
    if weigh.strength(report, sets):
        yield Paragraph(weigh.THREE_MEASURES)
    told = (
        *weigh.of_strength(report, sets),
        *weigh.of_odds(report, sets),
        *say.assumptions(report),
    )
    yield from map(Paragraph, told)


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
    if made_of := say.set_rows(sets):
        yield Paragraph(say.OF_SETS)
        yield Table(say.SET_HEAD, made_of)
        if known := say.known_generators(sets, _generators(basis.card)):
            yield Paragraph(known)
    if not filing.whole_image:
        for prior in dict.fromkeys(filter(None, (assumed(basis.card), filing.prior))):
            one = weigh.worst(report.decision, sets)
            values = predictive_values(basis.card, prior, (one.name,) if one else SPLITS)
            told = " ".join(words.in_numbers(prior, values).splitlines())
            yield Paragraph(say.on_paper(told))


def _generators(card: Mapping[str, Any]) -> list[str]:
    """Return the names of what the model's AI-generated training pictures were made with."""
    sources = card.get("trained_on", {}).get("sources", ())
    return sorted({str(one.get("generator")) for one in sources if one.get("generator")})


def _limits(card: Mapping[str, Any]) -> Iterator[Block]:
    yield Points((words.OPINION, *words.LIMITS[1:]))  # advice is for those who act on an answer
    names = _generators(card)
    if names:
        pseudo = set(map(str, card.get("recipe", {}).get("pseudo", ())))
        own = [name for name in names if name not in pseudo]
        yield Paragraph(say.learnt(own, pseudo & set(names)))
    known = card.get("notes", {}).get("known_failures")
    if known:
        listed = ' ("those listed" are the generators that it was trained on)' if names else ""
        told = say.on_paper(printable(str(known)))
        yield Paragraph(f"Known failures, in the words of the model's card{listed}: {told}")


def _repeat(report: Report, filing: Filing, basis: Basis) -> Iterator[Block]:
    machine = basis.machine
    prior = "none" if filing.prior is None else repr(filing.prior)
    picture = "" if filing.original else " --photo PICTURE"
    yield Paragraph(say.REPEAT)
    if filing.original:
        yield Paragraph(say.COPY)
    yield Rows(
        (
            Row("To check the files", say.CHECK_FILES, code=True),
            Row("To repeat it", say.REPEAT_IT.format(photo=picture), code=True),
            Row("Program", f"veridical {basis.version}"),
            Row("Model", basis.model, code=True),
            Row("Options", f"whole image: {_yes(filing.whole_image)}; prior: {prior}; one thread"),
            Row("Schema", f"{SCHEMA}; {report.to_dict()['schema']}"),
            Row("Python", machine.python),
            Row("System", printable(machine.system)),
            Row("Processor", printable(machine.processor) or "not told by the system"),
            Row(
                "Processor can do",
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
