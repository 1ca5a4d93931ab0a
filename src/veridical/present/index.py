"""The index of a folder of pages: a table of thumbnails that can be sorted, searched and filtered.

One HTML file that needs nothing but the pages beside it. It has one script, which is ours and whose
hash is in the policy; without it the table is still a table. The script moves rows and reads their
attributes; it never makes markup out of text.
"""

import os
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from io import BytesIO

from PIL import Image

from veridical.io.decode import Photo
from veridical.present import clip_words, words
from veridical.present.html import render
from veridical.present.numbers import share, span
from veridical.present.tally import FAILED, Tally, kind
from veridical.report import Failure, Report
from veridical.video import VideoReport

SIDE = 72  # px, longer side of a thumbnail: thousands of them have to fit into one page
_QUALITY = 70  # of thumbnails, on libjpeg's scale
_MARK = '<meta name="generator" content="veridical index">'
ANSWERS = {**{d.value: word for d, word in words.WORD.items()}, FAILED: words.NOT_JUDGED}
"""What every kind of row is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the index says about one picture.

    Attributes:
        page: Name of its page.
        path: Of the picture as it was given.
        kind: See `tally.kind`.
        p_ai: None where there is none.
        interval: Of `p_ai`.
        faces: How many were found; None where nobody looked.
        why: In a few words.
        declares: What the file says of its own origin, in a few words.
        headline: The same beside the answer, as a sentence.
        step: What to do next.
        thumb: A small copy, as the text of an address; empty for none.
        size: Of that copy, px.
    """

    page: str = ""
    path: str
    kind: str
    p_ai: float | None = None
    interval: tuple[float, float] | None = None
    faces: int | None = None
    why: str
    declares: str = "-"
    headline: str = ""
    step: str
    thumb: str = ""
    size: tuple[int, int] = (0, 0)

    @property
    def answer(self) -> str:
        """The decision as a word for people."""
        return ANSWERS[self.kind]


def entry(report: Report, photo: Photo) -> Entry:
    """Return what the index says about a picture that was read."""
    image = photo.image.copy() if max(photo.image.size) <= SIDE else photo.image
    if image is photo.image:
        scale = SIDE / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        # The first step averages whole pixels, which is fast; the second is exact.
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return _entry(report, image, len(report.faces), words.what_to_do(report))


def of_clip(report: VideoReport) -> Entry:
    """Return what the index says about a clip: a look at its lead, and its people."""
    looks = report.lead.looks if report.lead else ()
    crop = next((one.crop for one in looks if one.crop is not None), None)
    image = None if crop is None else Image.fromarray(crop).resize((SIDE, SIDE))
    people = len(clip_words.people(report.tracks))
    return _entry(report, image, people, clip_words.next_step(report))


def _entry(report: Report | VideoReport, image: Image.Image | None, faces: int, step: str) -> Entry:
    thumb = ""
    if image is not None:
        into = BytesIO()
        image.save(into, format="JPEG", quality=_QUALITY)
        thumb = f"data:image/jpeg;base64,{b64encode(into.getvalue()).decode()}"
    why = words.shortly(report.reasons[0]) if report.reasons else ""
    return Entry(
        path=report.path or "",
        kind=kind(report),
        p_ai=report.p_ai,
        interval=report.interval,
        faces=faces,
        why="; ".join(filter(None, (why, words.of_frames_shortly(report)))),
        declares=words.declares(report.declared),
        headline=report.headline,
        step=step,
        thumb=thumb,
        size=image.size if image else (0, 0),
    )


def failed(failure: Failure) -> Entry:
    """Return what the index says about a picture that could not be judged."""
    error = failure.error.removeprefix(f"{failure.path}: ")
    return Entry(path=failure.path or "", kind=FAILED, why=error, step=failure.hint)


def index(entries: Sequence[Entry], tally: Tally, prior: float) -> str:
    """Return the index; encode it as UTF-8.

    Args:
        entries: In the order of the pictures.
        tally: Of the same pictures.
        prior: Share of AI-generated pictures that every P(ai) assumes.
    """
    paths = [one.path for one in entries]
    return render(
        "index",
        mark=_MARK,
        script=_script(),
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{b64encode(sha256(_script().encode()).digest()).decode()}'; "
        "base-uri 'none'; form-action 'none'",
        rows=list(zip(entries, below(paths), strict=True)),
        kinds=[(one, ANSWERS[one], tally.kinds[one]) for one in ANSWERS],
        total=tally.total,
        undecided=list(tally.undecided()),
        assumed=words.assumed(prior),
        share=share,
        span=span,
    )


def below(paths: Sequence[str]) -> list[str]:
    """Return what tells paths apart: each without the folders that all of them share.

    The page may be passed on, and folders are private.
    """
    folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120 - also of names no Path takes
    try:
        shared = os.path.commonpath(folders) if folders else ""
    except ValueError:  # absolute and relative ones, or two drives
        shared = ""
    if not shared and any(map(os.path.isabs, paths)):
        return [os.path.basename(path) for path in paths]  # noqa: PTH119
    return [os.path.relpath(path, shared) if shared and path else path for path in paths]


def is_ours(text: bytes) -> bool:
    """Return whether a file is an index that was written here."""
    return _MARK.encode() in text[:2000]


@cache
def _script() -> str:
    return (files("veridical.present") / "templates" / "index.js").read_text(encoding="utf-8")
