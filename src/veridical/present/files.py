"""Leave what is known about a picture in a folder: a page, the report as JSON, figures."""

import json
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from os import getpid
from pathlib import Path
from threading import get_ident

from veridical._version import VERSION
from veridical.errors import PhotoError
from veridical.io.decode import Photo
from veridical.io.formats import Limits
from veridical.io.source import File, read_photo
from veridical.present.figure import figure
from veridical.present.html import failure_page, page
from veridical.report import Failure, Report

_NAME_BYTES = 150  # of a name in UTF-8; file systems take 255, with what we add


def write(report: Report, file: File, folder: Path) -> Path:
    """Write the page of a picture, its report and a figure of every face that was explained.

    The files are STEM.html, STEM.json and STEM-face1.png, ... STEM is the picture's own name and
    the first hex digits of its SHA-256, so that two pictures of one name do not overwrite each
    other.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(report.path or "photo")
    stem = f"{_plain(own.stem)}-{report.sha256[:8]}"
    for number, face in enumerate(report.faces, start=1):
        if face.explanation is None:
            continue
        title = own.name if len(report.faces) == 1 else f"{own.name}, face {number}"
        with _whole(folder / f"{stem}-face{number}.png") as draft:
            figure(face, report, file.photo.image, title).save(draft, format="PNG")
    text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
    with _whole(folder / f"{stem}.json") as draft:
        draft.write_text(text + "\n", encoding="utf-8", newline="\n")
    return _page(page(report, file.photo, title=own.name), folder / f"{stem}.html")


def write_failure(failure: Failure, folder: Path, *, model: str, limits: Limits) -> Path:
    """Write the page of a picture that could not be judged.

    It is named by the picture's own name and the first hex digits of the SHA-256 of its path: there
    may be no bytes to go by.

    Args:
        failure: Why.
        folder: Where to.
        model: First 12 hex digits of the SHA-256 of the model's card.
        limits: On what is decoded.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = failure.path or "photo"
    photo: Photo | None = None
    if failure.bug is not None:  # our fault: the picture itself may be sound
        with suppress(PhotoError):
            photo = read_photo(path, limits)
    digits = sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    text = failure_page(failure, version=VERSION, model=model, photo=photo)
    return _page(text, folder / f"{_plain(Path(path).stem)}-failed-{digits}.html")


def _page(text: str, path: Path) -> Path:
    with _whole(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")
    return path


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a file to write to, and put it in its place in one step: several jobs may write it."""
    draft = path.with_name(f"{path.name}.{getpid()}-{get_ident()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _plain(stem: str) -> str:
    """Keep of a file name the letters, marks and digits of every script.

    What is left every file system takes, and no command takes it for an option.
    """
    text = unicodedata.normalize("NFC", stem)
    kept = "".join(c if c in "._-" or unicodedata.category(c)[0] in "LMN" else " " for c in text)
    name = "_".join(kept.split()).encode()[:_NAME_BYTES].decode(errors="ignore")
    return name.lstrip(".-") or "photo"
