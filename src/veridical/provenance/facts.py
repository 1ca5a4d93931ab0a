"""EXIF and facts of the file: camera, lens, software, times, thumbnail, tables. Information.

None of it has a likelihood ratio: on the pictures we know, camera fields tell how a picture was
delivered, and anybody can copy them.
"""

import re
from collections.abc import Iterator

from veridical.claims import Claim, ClaimSource, Says, Standing, bounded, cut
from veridical.io.header import jpeg_quality
from veridical.io.source import File
from veridical.provenance.fields import Fields
from veridical.provenance.thumbnail import SAME, correlation

_CAMERA = 64  # characters of a make or model; longer ones are not of a camera
_SHOWN = (
    "Make",
    "Model",
    "LensMake",
    "LensModel",
    "Software",
    "ProcessingSoftware",
    "HostComputer",
    "DateTimeOriginal",
    "DateTimeDigitized",
    "DateTime",
    "OffsetTime",
    "ExposureTime",
    "FNumber",
    "ISO",
    "FocalLength",
)
_TIME = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")


def read_exif_facts(fields: Fields, *, taken: set[str]) -> Iterator[Claim]:
    """Give what EXIF says of a camera, or of software.

    Args:
        fields: Of the file.
        taken: Places that are a generator's mark: a prompt in `Make` is no camera.
    """
    values = fields.exif.values
    raw = {name: values[name] for name in _SHOWN if name in values}
    if not raw:
        return
    camera = _camera(values, taken)
    lens = values.get("LensModel", "")
    told = [f"{camera} took it"] if camera else []
    told += [f"{cut(values['Software'], 60)} saved it"] if "Software" in values else []
    told += ["it has a time stamp"] if not told else []
    oddity = _odd_times(values)
    yield Claim(
        source=ClaimSource.EXIF,
        says=Says.CAPTURE if camera else Says.OTHER,
        standing=Standing.UNSIGNED,
        by=camera or (cut(values["Software"], 80) if "Software" in values else None),
        forgeable=True,
        plain=f"Its EXIF fields say: {', '.join(told)}. Anyone can write that.",
        technical=(
            f"EXIF: {'; '.join(f'{k} {cut(v, 60)}' for k, v in raw.items())}"
            f"{'; a position is there' if fields.exif.position else ''}"
            f"{'; no lens is named' if camera and not lens else ''}{oddity}."
        ),
        raw=bounded(raw),
    )


def _camera(values: dict[str, str], taken: set[str]) -> str | None:
    make, model = (
        "" if f"exif:{name.lower()}" in taken else values.get(name, "")
        for name in ("Make", "Model")
    )
    if not (make or model) or max(len(make), len(model)) > _CAMERA:
        return None
    brand = make.split()[0].lower() if make.split() else ""
    return " ".join(
        (model if brand and model.lower().startswith(brand) else f"{make} {model}").split()
    )


def _odd_times(values: dict[str, str]) -> str:
    taken, saved = values.get("DateTimeOriginal", ""), values.get("DateTime", "")
    if _TIME.fullmatch(taken) and _TIME.fullmatch(saved) and saved < taken:
        return "; saved before it was taken, by its own stamps"
    return ""


def _of_table(quality: int, away: float) -> str:
    if away == 0:
        return (
            f"the luminance quantisation table is that of libjpeg (IJG) at quality {quality}, used "
            "by many programs"
        )
    return (
        f"the luminance quantisation table is none of libjpeg's (IJG); the nearest is that of "
        f"quality {quality}, {away:.1f} levels away on average"
    )


def _of_thumbnail(size: int, alike: float | None) -> str:
    there = f"an embedded thumbnail of {size} bytes"
    if alike is None:
        return f"{there}, which was not compared with the picture"
    shows = "the same picture" if alike >= SAME else "another picture"
    return f"{there}, which shows {shows} (correlation {alike:.2f})"


def read_file_facts(file: File, fields: Fields) -> Iterator[Claim]:
    """Give what can be seen in the file itself: tables, thumbnail, bytes behind the picture."""
    told, raw = [], {}
    if fields.metadata.table:
        name, away = jpeg_quality(fields.metadata.table)
        told.append(_of_table(name, away))
        raw["tables"] = f"{name}, {away:.2f}"
    if fields.exif.thumbnail:
        alike = None
        if fields.metadata.format == "JPEG":
            alike = correlation(file, fields.metadata.exif, fields.exif.thumbnail)
        told.append(_of_thumbnail(len(fields.exif.thumbnail), alike))
        raw["thumbnail"] = str(len(fields.exif.thumbnail))
        if alike is not None:
            raw["thumbnail correlation"] = f"{alike:.2f}"
    elif fields.metadata.format == "JPEG" and fields.metadata.exif:
        told.append("no thumbnail in EXIF")
    trailing = fields.metadata.trailing or 0
    if trailing:
        told.append(f"{trailing} bytes behind the end of the picture")
        raw["trailing"] = str(trailing)
    if told:
        yield Claim(
            source=ClaimSource.FILE,
            says=Says.OTHER,
            standing=Standing.OBSERVED,
            forgeable=True,
            plain="How the file was saved can show which program saved it, not who made it.",
            technical=f"Seen in the file: {'; '.join(told)}.",
            raw=bounded(raw),
        )
