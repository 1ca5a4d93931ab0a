"""Clips at the command line: beside pictures, in every form that answers take."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("scipy")

from PIL import Image

from tests.cli.conftest import Picture, Run
from tests.conftest import Painter
from tests.io.clips import clip
from veridical.report import FAILURE, REPORT, VIDEO


def film(painter: Painter, path: Path, frames: int = 8) -> Path:
    """A clip of one painted picture that hardly moves."""
    pixels = painter(96, 96, (20.0, 20.0, 50.0, 50.0))
    shifted: Iterable[np.ndarray] = (np.roll(pixels, n % 2, axis=1) for n in range(frames))
    path.write_bytes(clip(shifted, rate=10))
    return path


def test_a_clip_is_answered_for_people(run: Run, painter: Painter, tmp_path: Path) -> None:
    result = run(film(painter, tmp_path / "a.mp4"))

    assert result.exit_code == 0
    assert "People" in result.stdout
    assert "8 frames were searched" in " ".join(result.stdout.split())
    assert "SHA-256" not in result.stdout
    assert "independent" in run(tmp_path / "a.mp4", "--verbose").stdout


def test_clips_and_pictures_may_be_mixed_and_keep_their_order(
    run: Run, painter: Painter, picture: Picture, tmp_path: Path
) -> None:
    film(painter, tmp_path / "b.mp4")
    for name in ("a.jpg", "c.jpg"):
        picture(tmp_path / name)
    (tmp_path / "d.mkv").write_bytes((tmp_path / "b.mp4").read_bytes()[:60])  # cut off

    result = run(tmp_path, "--json")

    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [one["schema"] for one in found] == [REPORT, VIDEO, REPORT, FAILURE]
    assert result.exit_code == 3


def test_a_table_has_a_row_per_clip(run: Run, painter: Painter, tmp_path: Path) -> None:
    film(painter, tmp_path / "a.mp4")

    result = run(tmp_path, "--csv", tmp_path / "t.csv")

    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert result.exit_code == 0
    assert float(row["seconds"]) == pytest.approx(0.8)
    assert row["faces"] == "1"
    assert row["decision"] in ("real", "ai", "undecided")


def test_a_clip_gets_a_page_and_a_place_in_the_index(
    run: Run, painter: Painter, tmp_path: Path
) -> None:
    film(painter, tmp_path / "a.mp4")

    result = run(tmp_path / "a.mp4", "--explain", tmp_path / "why")

    assert result.exit_code == 0
    (page,) = (path for path in (tmp_path / "why").glob("*.html") if path.name != "index.html")
    text = page.read_text(encoding="utf-8")
    assert "Person 1" in text
    assert "<svg" in text
    assert "http" not in text.replace("http-equiv", "")
    assert page.name in (tmp_path / "why" / "index.html").read_text(encoding="utf-8")


def test_only_a_part_is_looked_at(run: Run, painter: Painter, tmp_path: Path) -> None:
    film(painter, tmp_path / "a.mp4", 30)

    result = run(tmp_path / "a.mp4", "--json", "--from", "1", "--to", "2", "--every", "0.2")

    found = json.loads(result.stdout)
    assert len(found["searched_s"]) == 5
    assert all(1 <= time <= 2 for time in found["searched_s"])


def test_times_that_cannot_be_are_refused(run: Run, painter: Painter, tmp_path: Path) -> None:
    path = film(painter, tmp_path / "a.mp4")

    swapped = run(path, "--from", "5", "--to", "2")
    beyond = run(path, "--from", "50")

    assert swapped.exit_code == 2
    assert "the end has to be the later one" in swapped.stderr
    assert beyond.exit_code == 4
    assert "--from and --to" in beyond.stdout


def test_an_animation_is_one_picture_unless_frames_are_asked_for(
    run: Run, painter: Painter, tmp_path: Path
) -> None:
    pixels = painter(96, 96, (20.0, 20.0, 50.0, 50.0))
    frames = [Image.fromarray(np.roll(pixels, n, axis=1)) for n in range(8)]
    path = tmp_path / "a.png"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)

    still, clip_of_it = run(path, "--json"), run(path, "--json", "--frames")

    assert json.loads(still.stdout)["schema"] == REPORT
    assert json.loads(clip_of_it.stdout)["schema"] == VIDEO
    assert json.loads(clip_of_it.stdout)["footage"]["n_frames"] == 8
