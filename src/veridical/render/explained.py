"""Judge a picture and leave its explanations in a folder: a figure and the numbers behind it."""

import json
import re
from pathlib import Path

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
    pictures of one name do not overwrite each other.

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
        save(figure(explanation, photo.pixels, title), folder / f"{name}.png")
        numbers = {"photo": report.path, "sha256": report.sha256, "model": report.model}
        text = json.dumps(numbers | panel_data(explanation), indent=1, allow_nan=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    return report


def _plain(stem: str) -> str:
    """Keep of a file name what every file system takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:80] or "photo"
