"""Is the answer the same for copies, as messengers, websites and screenshots make them?

    python -m benchmarks.laundering DATA/manifest.csv --work DIR [--splits val] [--quick]

Each step of `GRID` takes the pixels of a photo and returns the bytes of a file; the same step
always makes the same bytes. The model in the package judges every copy from its bytes. Answers are
kept in DIR; an interrupted run goes on. The table goes into docs/accuracy.md.
"""

import argparse
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.common import AS_DELIVERED, Record, is_ai, remembered
from benchmarks.pages import DOCS, number, publish, table
from veridical.arrays import UInt8, ndarray
from veridical.detector import Detector
from veridical.errors import PhotoError
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import read_photo
from veridical.io.splits import subsample
from veridical.stats import metrics
from veridical.vision.faces import FaceFinder

PAGE = DOCS / "accuracy.md"
MOST = 12  # pictures of a source and generator that are copied
SMALL_PX = 112
FINDER = FaceFinder(1)

Step = Callable[[Image.Image], bytes]


def launder(pixels: UInt8[ndarray, "height width 3"], step: str) -> bytes:
    """Return the file that `step`, a key of `GRID`, makes of a photo.

    Raises:
        KeyError: If there is no such step.
    """
    return GRID[step](Image.fromarray(pixels))


def _file(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


_png = partial(_file, kind="PNG", compress_level=1)


def _jpeg(quality: int) -> Step:
    return lambda image: _file(image, "JPEG", quality=quality)


def _scaled(image: Image.Image, factor: float, resample: Image.Resampling) -> Image.Image:
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), resample)


def _there_and_back(factor: float) -> Step:
    def step(image: Image.Image) -> bytes:
        small = _scaled(image, factor, Image.Resampling.LANCZOS)
        return _png(small.resize(image.size, Image.Resampling.BICUBIC))

    return step


def _blurred(image: Image.Image) -> bytes:
    return _png(image.filter(ImageFilter.GaussianBlur(0.004 * max(image.size))))


def _cropped(image: Image.Image) -> bytes:
    """Take a tenth off every side, not at whole blocks of a JPEG."""
    width, height = image.size
    across, down = width // 10 | 1, height // 10 | 1
    return _png(image.crop((across, down, width - across, height - down)))


def _screenshot(image: Image.Image) -> bytes:
    return _png(_scaled(image, 0.77, Image.Resampling.BILINEAR))


def _half_jpeg50(image: Image.Image) -> bytes:
    return _jpeg(50)(_scaled(image, 0.5, Image.Resampling.LANCZOS))


def _small_face(image: Image.Image) -> bytes:
    """Shrink the photo until its largest face is SMALL_PX high or wide."""
    faces = FINDER.find(image)
    factor = min(1.0, SMALL_PX / faces[0].size_px) if faces else 1.0
    return _png(_scaled(image, factor, Image.Resampling.BICUBIC))


GRID: dict[str, Step] = {
    "JPEG 95": _jpeg(95),
    "JPEG 75": _jpeg(75),
    "JPEG 50": _jpeg(50),
    "JPEG 30": _jpeg(30),
    "half size and back": _there_and_back(1 / 2),
    "quarter size and back": _there_and_back(1 / 4),
    "blur": _blurred,
    "crop": _cropped,
    "screenshot": _screenshot,
    "WebP 60": lambda image: _file(image, "WEBP", quality=60),
    "half size, JPEG 50": _half_jpeg50,
    "faces of 112 px": _small_face,
}
"""Every step by name, mildest first within its kind."""


# --- judging -------------------------------------------------------------------------------------

Answers = Mapping[str, Mapping[str, Record]]
"""What was said of copies: step -> path -> P(ai), decision, and longer side of the lead face, px.

None where nothing could be read.
"""


def laundered(
    samples: Sequence[Sample], detector: Detector, kept: Path, steps: Sequence[str]
) -> Answers:
    """Judge every picture and its copies; goes on where it was."""

    def work(one: tuple[Sample, str]) -> Record:
        sample, step = one
        try:
            photo = read_photo(sample.path)
            report = detector.inspect(
                photo.image if step == AS_DELIVERED else launder(photo.pixels, step)
            )
        except PhotoError:
            return {"p_ai": None, "decision": None, "face_px": None}
        return {
            "p_ai": report.p_ai,
            "decision": report.decision.value,
            "face_px": report.lead.box.size_px if report.lead else None,
        }

    pairs = [(sample, step) for step in steps for sample in samples]
    found = remembered(kept, pairs, work, lambda one: f"{one[1]}: {one[0].path}")
    told: dict[str, dict[str, Record]] = {step: {} for step in steps}
    for (sample, step), one in zip(pairs, found, strict=True):
        told[step][str(sample.path)] = one
    return told


# --- the page ------------------------------------------------------------------------------------


def copies_page(samples: Sequence[Sample], answers: Answers) -> str:
    """Return the table by step: the score against the truth, and what was decided."""
    header = (
        "copy",
        "AUROC",
        "TPR at 1 % FPR",
        "decided",
        "real called `ai`",
        "AI called `real`",
        "contradict",
    )
    first = answers[AS_DELIVERED]
    return table(header, (_row(step, samples, told, first) for step, told in answers.items()))


def _row(
    step: str,
    samples: Sequence[Sample],
    told: Mapping[str, Record],
    first: Mapping[str, Record],
) -> tuple[object, ...]:
    scored = [s for s in samples if told[str(s.path)]["p_ai"] is not None]
    ai = is_ai(scored)
    p = np.array([told[str(s.path)]["p_ai"] for s in scored])
    decided = np.array([told[str(s.path)]["decision"] for s in scored])
    flips = [
        {first[str(s.path)]["decision"], told[str(s.path)]["decision"]} == {"real", "ai"}
        for s in samples
    ]
    measured = metrics.bootstrap(ai, p, groups=[s.group for s in scored])
    return (
        step,
        number(measured["auroc"]),
        number(measured["tpr_at_1pct_fpr"]),
        f"{(decided != 'undecided').mean():.2f}",
        f"{(decided[~ai] == 'ai').sum()}/{(~ai).sum()}",  # of those with a score
        f"{(decided[ai] == 'real').sum()}/{ai.sum()}",
        f"{sum(flips)}/{len(samples)}",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--splits", nargs="+", default=["val"])
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    given = parser.parse_args(arguments)
    detector = Detector.load(threads=1)
    steps = [AS_DELIVERED, *GRID]
    pages = []
    for split in given.splits:
        pictures = subsample(read_samples(given.manifest, split=split), MOST, 0)
        pictures = pictures[::20] if given.quick else pictures
        kept = given.work / f"copies-{split}-{detector.model}.jsonl"
        answers = laundered(pictures, detector, kept, steps[:2] if given.quick else steps)
        page = copies_page(pictures, answers)
        pages.append(f"On {len(pictures)} pictures of `{split}`:\n\n{page}")
    publish(PAGE, "laundering", "\n\n".join(pages), quick=given.quick)


if __name__ == "__main__":
    main()
