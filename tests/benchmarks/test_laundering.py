"""Laundered copies are what they say, and the same every time."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.common import AS_DELIVERED
from benchmarks.laundering import GRID, copies_page, launder, laundered
from benchmarks.peers import by_generator
from PIL import Image

from benchmarks import laundering
from tests.benchmarks.made import cells, sample
from tests.conftest import FakeFinder
from veridical.arrays import UInt8, ndarray
from veridical.detector import Detector
from veridical.io.source import read_photo


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laundering, "FINDER", FakeFinder(((0.0, 0.0, 120.0, 120.0),)))


@pytest.mark.parametrize("step", GRID)
def test_a_step_always_gives_the_same_readable_file(
    step: str, face_picture: UInt8[ndarray, "height width 3"]
) -> None:
    data = launder(face_picture, step)
    assert data == launder(face_picture, step)
    photo = read_photo(data)
    assert not np.array_equal(photo.pixels, face_picture)


@pytest.mark.parametrize(
    ("step", "kind", "share"),
    [
        ("JPEG 50", "JPEG", 1.0),
        ("WebP 60", "WEBP", 1.0),
        ("half size and back", "PNG", 1.0),
        ("half size, JPEG 50", "JPEG", 0.5),
        ("screenshot", "PNG", 0.77),
        ("crop", "PNG", 0.8),
        ("faces of 112 px", "PNG", 112 / 120),
    ],
)
def test_format_and_size(step: str, kind: str, share: float) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(launder(pixels, step))) as image:
        assert image.format == kind
        assert image.width == pytest.approx(200 * share, abs=2)
        assert image.height == pytest.approx(300 * share, abs=2)


def test_detail_is_gone_after_a_quarter_of_the_size() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)

    def detail(data: bytes) -> float:
        return float(np.abs(np.diff(read_photo(data).pixels.astype(float), axis=0)).mean())

    sharp, half, quarter = (
        detail(launder(pixels, step))
        for step in ("JPEG 95", "half size and back", "quarter size and back")
    )
    assert sharp > 2 * half > 4 * quarter


def test_no_such_step() -> None:
    with pytest.raises(KeyError):
        launder(np.zeros((8, 8, 3), dtype=np.uint8), "magic")


# --- what was said of copies -------------------------------------------------------------------

SAMPLES = [sample("a", "ai"), sample("b", "ai"), sample("c", "real"), sample("d", "real")]


def answers(**told: tuple[float | None, str | None]) -> dict[str, Any]:
    return {name: {"p_ai": p, "decision": decision} for name, (p, decision) in told.items()}


def test_a_copy_contradicts_only_with_the_opposite_verdict() -> None:
    told = {
        AS_DELIVERED: answers(
            a=(0.9, "ai"), b=(0.6, "undecided"), c=(0.1, "real"), d=(0.2, "real")
        ),
        "JPEG 30": answers(a=(0.2, "real"), b=(0.1, "real"), c=(0.2, "real"), d=(None, None)),
    }
    page = copies_page(SAMPLES, told)
    first, copy = cells(page, AS_DELIVERED), cells(page, "JPEG 30")
    assert first[6] == "0/4"
    assert copy[6] == "1/4"  # a; b had no verdict to contradict
    assert first[5].startswith("0/")
    assert copy[5] == "2/2"  # both AI pictures are called real
    assert (first[4].split("/")[1], copy[4].split("/")[1]) == ("2", "1")  # d has no score


def test_generators_with_few_pictures_are_left_out_of_the_mean() -> None:
    found = by_generator(SAMPLES, np.array([0.9, 0.05, 0.1, 0.2]), fewest=2)
    assert found == {"sd": 0.5}
    assert by_generator(SAMPLES, np.array([0.9, 0.05, 0.1, 0.2]), fewest=3) == {}


def test_answers_are_remembered(
    tiny_detector: Detector,
    face_picture: UInt8[ndarray, "height width 3"],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Image.fromarray(face_picture).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    pictures = [sample(str(tmp_path / name), "real") for name in ("a.png", "b.png")]
    steps = [AS_DELIVERED, "JPEG 50"]
    found = laundered(pictures, tiny_detector, tmp_path / "kept.jsonl", steps)
    assert found[AS_DELIVERED][str(tmp_path / "b.png")]["decision"] is None
    assert found["JPEG 50"][str(tmp_path / "a.png")]["p_ai"] is not None
    monkeypatch.setattr(Detector, "inspect", None)
    assert laundered(pictures, tiny_detector, tmp_path / "kept.jsonl", steps) == found
