"""Leave what is known about pictures in a folder: a page each, and an index of the pages.

`make` and `make_failure` draw what is to be written, and can do so for several pictures at the same
time. A `Folder` writes it, in the order of the pictures. The report as JSON and a figure of each
face are written only if they are asked for.
"""

import io
import json
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from os import getpid
from pathlib import Path
from threading import get_ident
from typing import Literal

from veridical._version import VERSION
from veridical.errors import PhotoError
from veridical.io.decode import Photo
from veridical.io.formats import Limits
from veridical.io.source import File, read_photo
from veridical.present import index
from veridical.present.clip_page import clip_page
from veridical.present.figure import figure
from veridical.present.html import failure_page, linked, page
from veridical.present.index import Entry
from veridical.present.tally import Tally
from veridical.report import Failure, Report
from veridical.video import Answer, VideoReport

INDEX = "index.html"
_NAME_BYTES = 150  # of a name in UTF-8; file systems take 255, with what we add

Extra = Literal["json", "figure"]


class FolderTaken(ValueError):
    """The folder has an index page that is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Made:
    """What is to be written about one picture.

    Attributes:
        stem: Of the names of its files.
        page: HTML.
        extras: Further files, by what their names have after the stem.
        entry: For the index.
    """

    stem: str
    page: str
    extras: Mapping[str, bytes]
    entry: Entry


def make(report: Report, file: File, extras: Collection[Extra] = ()) -> Made:
    """Draw the page of a picture, and what else is asked for.

    Args:
        report: On the picture.
        file: The picture.
        extras: `json` for the whole report; `figure` for a PNG of every face with an explanation.
    """
    own = Path(report.path or "photo")
    further: dict[str, bytes] = {}
    if "figure" in extras:
        for number, face in enumerate(report.faces, start=1):
            if face.explanation is not None:
                title = own.name if len(report.faces) == 1 else f"{own.name}, face {number}"
                into = io.BytesIO()
                figure(face, report, file.photo.image, title).save(into, format="PNG")
                further[f"-face{number}.png"] = into.getvalue()
    if "json" in extras:
        text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
        further[".json"] = f"{text}\n".encode()
    return Made(
        stem=f"{_plain(own.stem)}-{report.sha256[:8]}",
        page=page(report, file.photo, title=own.name),
        extras=further,
        entry=index.entry(report, file.photo),
    )


def make_of_clip(report: VideoReport, extras: Collection[Extra] = ()) -> Made:
    """Draw the page of a clip, and the report as JSON if that is asked for."""
    own = Path(report.path or "clip")
    further: dict[str, bytes] = {}
    if "json" in extras:
        text = json.dumps(report.to_dict(), indent=1, allow_nan=False)
        further[".json"] = f"{text}\n".encode()
    return Made(
        stem=f"{_plain(own.stem)}-{report.sha256[:8]}",
        page=clip_page(report, title=own.name),
        extras=further,
        entry=index.of_clip(report),
    )


def make_failure(failure: Failure, *, model: str, limits: Limits) -> Made:
    """Draw the page of a picture that could not be judged.

    It is named by the picture's own name and the first hex digits of the SHA-256 of its path: there
    may be no bytes to go by.

    Args:
        failure: Why.
        model: First 12 hex digits of the SHA-256 of the model's card.
        limits: On what is decoded.
    """
    path = failure.path or "photo"
    photo: Photo | None = None
    if failure.bug is not None:  # our fault: the picture itself may be sound
        with suppress(PhotoError):
            photo = read_photo(path, limits)
    digits = sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return Made(
        stem=f"{_plain(Path(path).stem)}-failed-{digits}",
        page=failure_page(failure, version=VERSION, model=model, photo=photo),
        extras={},
        entry=index.failed(failure),
    )


@dataclass(kw_only=True, eq=False)
class Folder:
    """A folder of pages. Use it in a `with`: the index is written at the end, also after Ctrl-C.

    Pages link to the pages before and after them, so each is written when the next is known. The
    files of a picture are STEM.html, ... STEM is the picture's own name and the first hex digits of
    its SHA-256; the same picture met again in a run gets a number behind it.

    Attributes:
        path: Where it is; made if it is missing.
        prior: Share of AI-generated pictures that every P(ai) assumes.
        unwritten: How many files the system did not take, by what it said, such as a full disk.

    Raises:
        FolderTaken: If it holds an index page of somebody else.
    """

    path: Path
    prior: float
    unwritten: Counter[str] = field(default_factory=Counter, init=False)
    _entries: list[Entry] = field(default_factory=list, init=False)
    _tally: Tally = field(default_factory=Tally, init=False)
    _names: set[str] = field(default_factory=set, init=False)
    _waiting: tuple[str, str] | None = field(default=None, init=False)
    _before: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        there = self.path / INDEX
        if there.exists() and not index.is_ours(there.read_bytes()):
            raise FolderTaken(there)
        self.path.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Write the last page, and the index."""
        self._write_waiting(None)
        if self._entries:
            text = index.index(self._entries, self._tally, self.prior)
            self._write(INDEX, text.encode())

    def add(self, made: Made, outcome: Answer | Failure) -> None:
        """Write what was made about the next picture.

        Args:
            made: By `make` or `make_failure`.
            outcome: The answer about the picture, to be counted.
        """
        stem = self._free(made.stem)
        for ending, content in made.extras.items():
            self._write(f"{stem}{ending}", content)
        self._write_waiting(f"{stem}.html")
        self._waiting = f"{stem}.html", made.page
        self._entries.append(replace(made.entry, page=f"{stem}.html"))
        self._tally.add(outcome)

    def _free(self, stem: str) -> str:
        """Return the stem, numbered if this run has used it; file systems may ignore case."""
        name, number = stem, 1
        while name.lower() in self._names:
            number += 1
            name = f"{stem}-{number}"
        self._names.add(name.lower())
        return name

    def _write_waiting(self, after: str | None) -> None:
        if self._waiting is None:
            return
        (name, text), self._waiting = self._waiting, None
        self._write(name, linked(text, index=INDEX, before=self._before, after=after).encode())
        self._before = name

    def _write(self, name: str, content: bytes) -> None:
        try:
            with _whole(self.path / name) as draft:
                draft.write_bytes(content)
        except OSError as error:  # no fault of the picture, nor of ours: the others go on
            self.unwritten[error.strerror or str(error)] += 1


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a file to write to, and put it in its place in one step: several runs may write it."""
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
