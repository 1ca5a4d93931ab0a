"""Judge a picture and leave its explanations in a folder: a page, figures, and their numbers."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import get_ident

from veridical._version import VERSION
from veridical.detector import Detector
from veridical.errors import PhotoError
from veridical.explain.attribution import Explainer, Fill
from veridical.forensics import Examination, ask, bytes_of, together
from veridical.io.images import read_photo
from veridical.present.blocks import Page
from veridical.present.figure import figure, panel_data, save
from veridical.present.html import html
from veridical.present.page import of_failure, of_report
from veridical.present.page_png import picture
from veridical.present.records import cue_record
from veridical.report import Decision, Failure


def write_explanations(
    detector: Detector,
    path: Path,
    folder: Path,
    *,
    whole_image: bool = False,
    occlude: tuple[int, int] | None = None,
    fill: Fill = "mean",
    further: Sequence[Explainer] = (),
) -> Examination:
    """Judge one picture, and write a page about it and the numbers of every face that was judged.

    PHOTO.html and PHOTO.png are the page; FACE.png and FACE.json are one figure and its numbers.
    Files are named by the picture's own name and the first hex digits of its SHA-256, so that two
    pictures of one name do not overwrite each other. Of copies with one name the last one stays.

    Raises:
        PhotoError: If the picture cannot be read.
        ValueError: If window and stride do not fit the crop.
    """
    photo = read_photo(path, detector.limits)
    report, explanations = detector.explain(
        photo, whole_image=whole_image, occlude=occlude, fill=fill, further=further
    )
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{_plain(path.stem)}-{photo.sha256[:8]}"
    data = bytes_of(photo, path, detector.limits)
    examined = [ask(photo, explanation.face, data) for explanation in explanations]
    for number, explanation in enumerate(explanations):
        name = f"{stem}-face{number + 1}"
        title = path.name if len(explanations) == 1 else f"{path.name}, face {number + 1}"
        with _whole(folder / f"{name}.png") as draft:
            save(figure(explanation, report, photo.pixels, title), draft)
        numbers = {
            "photo": report.path,
            "sha256": report.sha256,
            "model": report.model,
            "coverage": report.coverage,
            "coverage_of_reals": report.promise(Decision.AI),
            "coverage_of_ai": report.promise(Decision.REAL),
            "level": report.level,
        }
        cues = {"cues": [cue_record(one.answer) for one in examined[number]]}
        text = json.dumps(numbers | panel_data(explanation) | cues, indent=1, allow_nan=False)
        with _whole(folder / f"{name}.json") as draft:
            draft.write_text(text + "\n", encoding="utf-8")
    _write(of_report(report, explanations, examined, photo.pixels), folder, stem)
    return together(report, examined)


def write_failure(failure: Failure, detector: Detector, folder: Path) -> None:
    """Write the page of a picture that could not be judged.

    It is named by the picture's own name and the first hex digits of the SHA-256 of its path: there
    may be no bytes to go by.
    """
    path = failure.path or ""
    pixels = None
    if failure.bug is not None:  # our fault: the picture itself may be sound
        with suppress(PhotoError):
            pixels = read_photo(path, detector.limits).pixels
    digits = sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    page = of_failure(failure, VERSION, detector.model, pixels)
    _write(page, folder, f"{_plain(Path(path).stem)}-failed-{digits}")


def _write(page: Page, folder: Path, stem: str) -> None:
    with _whole(folder / f"{stem}.html") as draft:
        draft.write_text(html(page), encoding="utf-8", newline="\n")
    with _whole(folder / f"{stem}.png") as draft:
        save(picture(page), draft)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a file to write to, and put it in its place in one step: copies are judged at a time."""
    draft = path.with_name(f"{path.name}.{get_ident()}.part")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _plain(stem: str) -> str:
    """Keep of a file name what every file system takes, and no command takes for an option."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:80].lstrip(".-") or "photo"
