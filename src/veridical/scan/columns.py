"""The columns of the results: their names, types and meanings, said once.

Two tables. `pictures` has a row per picture or clip, and per change of one; `faces` has a row per
face of a picture and per person of a clip, which names its picture by `seq`. Text that is no plain
Unicode is escaped as in the other tables; `path_bytes` then restores the path.
"""

from dataclasses import dataclass
from typing import Any, Literal

SCHEMA = "veridical.scan/1"

Kind = Literal["string", "integer", "number"]
Row = dict[str, Any]
"""Values by the names of columns; None, or no entry, where there is none."""

TABLES = ("pictures", "faces")


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Of the column.
        kind: Of its values: 64-bit integers and floats, and Unicode text.
        meaning: For people, with the unit.
    """

    name: str
    kind: Kind
    meaning: str


_EVERY = (
    Column("model", "string", "first 12 hex digits of the SHA-256 of the model's card"),
    Column("version", "string", "of veridical"),
    Column("options", "string", "what may change an answer, as JSON"),
)
"""In every row, so that rows of several results can stand in one table."""

PICTURES = (
    Column("seq", "integer", "number of the row; of the rows of a path the highest holds"),
    Column("run", "integer", "which run of the scan wrote it, from 1"),
    Column(
        "state", "string", "new, changed (replaces an earlier row) or gone (not there any more)"
    ),
    Column("path", "string", "of the file, absolute; or its address"),
    Column("path_bytes", "string", "the path to the byte, in hex, where `path` had to be escaped"),
    Column("size", "integer", "of the file, bytes"),
    Column("mtime_ns", "integer", "when the file was changed, ns since 1970 (UTC)"),
    Column("sha256", "string", "of the bytes that were judged"),
    Column("media", "string", "picture or clip"),
    Column("decision", "string", "real, ai, undecided or failed; none where the state is gone"),
    Column("p_ai", "number", "P(ai) of the lead face, in [0, 1]"),
    Column("interval_low", "number", "lower end of its credible interval"),
    Column("interval_high", "number", "upper end of its credible interval"),
    Column("reasons", "string", "why, most important first, with spaces between"),
    Column("faces", "integer", "rows of this picture in the table faces"),
    Column("lead_face", "integer", "the face that the decision rests on, from 1"),
    Column("lead_face_px", "number", "longer side of that face, px"),
    Column("declared", "string", "what the file says of its origin, in one word"),
    Column("headline", "string", "the same in a sentence"),
    Column("width", "integer", "px, upright"),
    Column("height", "integer", "px, upright"),
    Column("frames", "integer", "pictures in the file; of a clip its frames, where known"),
    Column("seconds", "number", "of a clip"),
    Column("damage", "string", "kind of the damage to the file; none where it is whole"),
    Column("phash", "string", "64-bit perceptual hash (DCT) of the picture, in hex"),
    Column("error_kind", "string", "name of the error; `Internal` is a fault of veridical"),
    Column("error", "string", "what came, and what was wanted"),
    Column("hint", "string", "what to do about it"),
    *_EVERY,
)

FACES = (
    Column("seq", "integer", "of the row in the table pictures"),
    Column("face", "integer", "from 1, in the order of the report"),
    Column("path", "string", "of the picture, as in the table pictures"),
    Column("decision", "string", "real, ai or undecided"),
    Column("reasons", "string", "why, most important first, with spaces between"),
    Column("p_ai", "number", "calibrated P(ai), in [0, 1]"),
    Column("interval_low", "number", "lower end of its credible interval"),
    Column("interval_high", "number", "upper end of its credible interval"),
    Column("std", "number", "posterior standard deviation of P(ai)"),
    Column("total", "number", "entropy of the predictive, nats"),
    Column("aleatoric", "number", "expected entropy, nats"),
    Column("epistemic", "number", "mutual information of label and weights, nats"),
    Column("distance", "number", "out-of-distribution score; above 1 it is undecided"),
    Column("left", "number", "of the face, px; of a person where they are first seen"),
    Column("top", "number", "likewise"),
    Column("width", "number", "likewise"),
    Column("height", "number", "likewise"),
    Column("turn", "integer", "degrees counter-clockwise that would make it upright"),
    Column("confidence", "number", "of the face detector, in [0, 1]"),
    Column("start_s", "number", "when a person of a clip is first seen, seconds"),
    Column("end_s", "number", "when they are last seen, seconds"),
    Column("looks", "integer", "frames of a person that were judged"),
    *_EVERY,
)

COLUMNS: dict[str, tuple[Column, ...]] = {"pictures": PICTURES, "faces": FACES}


def described() -> dict[str, Any]:
    """Return the columns as JSON: a Frictionless Table Schema for each table."""
    return {
        "schema": SCHEMA,
        "resources": [
            {
                "name": table,
                "schema": {
                    "fields": [
                        {"name": one.name, "type": one.kind, "description": one.meaning}
                        for one in columns
                    ]
                },
            }
            for table, columns in COLUMNS.items()
        ],
    }
