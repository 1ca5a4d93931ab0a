"""What a filed report says of the picture's file: facts, and its own words about its origin."""

import json
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import PurePath

from veridical.claims import MOST_ACTIONS, Claim, Says, Standing
from veridical.io.source import File
from veridical.present import dossier_words as say
from veridical.present.claims import SAYS, entries
from veridical.present.dossier import Block, Filing, Paragraph, Row, Rows
from veridical.present.dossier_words import NONE_GIVEN, REDACTED
from veridical.present.words import printable
from veridical.provenance.fields import Fields, fields_of
from veridical.report import Report

_FIELDS = 40  # of IPTC that are shown
_TEXT = 200  # characters shown of a text in the file


def name_of(report: Report) -> str:
    """Return the name of the picture's file, as it is shown."""
    path = report.path or ""
    # The name alone is shown: folders are private. The record has the path as it was given.
    return printable(PurePath(path).name or path) or NONE_GIVEN


# --- the file ------------------------------------------------------------------------------------


def file_facts(report: Report, file: File, filing: Filing) -> Iterator[Block]:
    """Return what can be read off the file without its pixels."""
    assert file.data is not None
    header = file.header
    rows = [
        Row("Name", name_of(report), code=True),
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
            if told := say.saved_before(report):
                rows.append(Row("Saved before", told))
        blocks = (("EXIF", header.exif), ("XMP", header.xmp), ("Colour profile", header.profile))
        for name, data in blocks:
            rows.append(
                Row(
                    name,
                    f"{len(data):,} bytes" if data else say.NO_HEADER,
                )
            )
            if data:
                rows.append(Row(f"Its SHA-256 ({name})", sha256(data).hexdigest(), code=True))
        for key, value in header.text.items():
            name, text = (REDACTED, REDACTED) if filing.redact else (key, _cut(value))
            rows.append(Row("Text in the file", f"{printable(name)}: {printable(text)}", code=True))
    if file.metadata is not None:
        rows += _from_fields(fields_of(file.metadata), filing)
    yield Rows(tuple(rows))
    yield Paragraph(say.CHARACTERS, "small")


def _from_fields(fields: Fields, filing: Filing) -> Iterator[Row]:
    """Give the position in EXIF and the fields of IPTC."""
    told = fields.exif.coordinates or "there is one that cannot be read"
    if fields.exif.position:
        yield Row("Position (GPS)", REDACTED if filing.redact else f"{told} (latitude, longitude)")
    named = fields.metadata.iptc
    yield Row("IPTC (APP13)", f"{len(named)} fields" if named else "none")
    for name, value in named[:_FIELDS]:
        text = REDACTED if filing.redact else f"{name}: {_cut(value)}"
        yield Row("IPTC field", printable(text), code=True)
    if len(named) > _FIELDS:
        yield Row("IPTC field", f"and {len(named) - _FIELDS} more, which are not shown")


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}... ({len(text)} characters)"


def file_claims(report: Report, filing: Filing) -> Iterator[Block]:
    """Return what the file says about its origin."""
    yield Paragraph(say.CLAIMS)
    if not report.claims:
        yield Paragraph(say.NO_CLAIMS)
    told_of = list(zip(report.claims, entries(report.claims), strict=True))
    for claim, _ in told_of:
        if claim.says is Says.NOTHING:
            plain = claim.plain.removesuffix(" That is no evidence.")
            yield Paragraph(printable(f"{plain} {claim.technical}"))
    for claim, entry in told_of:
        if claim.says is Says.NOTHING:
            continue
        rows = [Row("Found in", entry.title)]
        if claim.standing is not Standing.OBSERVED:  # else it is a trace, and no statement
            rows.append(Row("It says", SAYS[claim.says]))
        if not filing.redact:
            rows.append(Row("In words", printable(entry.plain)))
        told = {**claim.raw, **(_credential(claim) if claim.credential else {})}
        for name, value in entry.rows:
            if name not in claim.raw:
                rows.append(Row(name, printable(value)))
            elif told[name] != REDACTED:
                rows.append(Row("Value", printable(f"{name}: {_cut(told[name])}"), code=True))
        yield Rows(tuple(rows))


def _credential(claim: Claim) -> dict[str, str]:
    """Return the values of a credential that are JSON, in words; what was cut is counted so far."""
    assert claim.credential is not None
    found = {}
    if (text := claim.raw.get("actions")) and text != REDACTED:
        number = text.count('"action":')
        cut = " or more" if text.endswith("characters)") or number >= MOST_ACTIONS else ""
        kinds = ", ".join(claim.credential.actions) or "none"
        found["actions"] = f"{number}{cut}; their kinds: {kinds}" if number else "none were read"
    if text := claim.raw.get("signature"):
        with suppress(ValueError):
            values = json.loads(text)
            found["signature"] = "; ".join(f"{name} {one}" for name, one in values.items())
    return found
