"""Judge a picture and leave its explanations in a folder: a figure and the numbers behind it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

from veridical.detector import Detector
from veridical.images import read_photo
from veridical.render.overlay import figure, panel_data, save
from veridical.report import Report
from veridical.saliency import Fill


def write_explanations(
    detector: Detector,
    path: Path,
    folder: Path,
    *,
    whole_image: bool = False,
    occlude: tuple[int, int] | None = None,
    fill: Fill = "mean",
) -> Report:
    """Judge one picture and write FACE.png and FACE.json for every face that was judged.

    Files are named by the picture's own name and the first hex digits of its SHA-256, so that two
    pictures of one name do not overwrite each other. Of copies with one name the last one stays.

    Raises:
        PhotoError: If the picture cannot be read.
        ValueError: If window and stride do not fit the crop.
    """
    photo = read_photo(path, detector.limits)
    report, explanations = detector.explain(
        photo, whole_image=whole_image, occlude=occlude, fill=fill
    )
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{_plain(path.stem)}-{photo.sha256[:8]}"
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
            "level": report.level,
        }
        text = json.dumps(numbers | panel_data(explanation), indent=1, allow_nan=False)
        with _whole(folder / f"{name}.json") as draft:
            draft.write_text(text + "\n", encoding="utf-8")
    return report


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
