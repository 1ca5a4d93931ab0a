"""Take out of a report what could name or show a person, and keep what can be checked.

Values that stand in the file are replaced by what they are; hashes, sizes, measurements and the
words of fixed lists stay. Faces are covered before any picture is drawn.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import PurePath
from typing import Any

from PIL import Image, ImageDraw

from veridical.box import Box
from veridical.claims import Claim, Credential, Says
from veridical.io.decode import Photo
from veridical.io.formats import SUFFIXES
from veridical.present.dossier_words import REDACTED
from veridical.provenance.headline import headline
from veridical.report import Report

_AROUND = 0.35  # of a face's size, covered on each side: hair, ears, chin
_COVER = (96, 96, 96)
_KEPT = ("trusted", "bytes_intact", "signature_intact", "in_time", "manifests")
_PROFILE = re.compile(r"^colour profile .* converted to sRGB$", re.DOTALL)


def covered(photo: Photo, report: Report) -> Photo | None:
    """Return the photo with every face covered; None where no face is known."""
    if not report.faces:
        return None
    image = photo.image.copy()
    pen = ImageDraw.Draw(image)
    for face in report.faces:
        pen.rectangle(_cover(face.box, image), fill=_COVER)
    return Photo(stored=image, steps=photo.steps, frames=photo.frames, damage=photo.damage)


def _cover(box: Box, image: Image.Image) -> tuple[int, int, int, int]:
    across, down = _AROUND * box.width, _AROUND * box.height
    return (
        max(0, int(box.left - across)),
        max(0, int(box.top - down)),
        min(image.width - 1, int(box.left + box.width + across) + 1),
        min(image.height - 1, int(box.top + box.height + down) + 1),
    )


def redacted(report: Report) -> Report:
    """Return the report without values that stand in the file, or in its name."""
    claims = tuple(map(_claim, report.claims))
    return replace(
        report,
        path=None if report.path is None else kept_name(report.path),
        claims=claims,
        headline=headline(claims, None if report.p_ai is None else report.decision).text
        if report.headline
        else "",
        steps=tuple(map(step, report.steps)),
    )


def kept_name(path: str) -> str:
    """Return what stays of a file's name: its ending, if that is one of a picture."""
    suffix = PurePath(path).suffix
    return f"{REDACTED}{suffix.lower() if suffix.lower() in SUFFIXES else ''}"


def step(text: str) -> str:
    """Return a step of decoding without the name of a colour profile, which the file gives."""
    return "colour profile converted to sRGB" if _PROFILE.match(text) else text


def _claim(claim: Claim) -> Claim:
    if claim.says is Says.NOTHING:  # our own words: there are no others
        return claim
    raw = {f"value {number}": REDACTED for number, _ in enumerate(claim.raw, start=1)}
    return replace(
        claim,
        by=claim.by and REDACTED,
        plain=REDACTED,
        technical=REDACTED,
        raw=raw,
        credential=claim.credential and _credential(claim.credential),
    )


def _credential(credential: Credential) -> Credential:
    return replace(
        credential,
        **{
            field.name: _hidden(getattr(credential, field.name))
            for field in fields(credential)
            if field.name not in _KEPT
        },
    )


def _hidden(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(REDACTED for _ in value)
    if isinstance(value, Mapping):
        return {f"value {number}": REDACTED for number, _ in enumerate(value, start=1)}
    return REDACTED if value else value
