import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import CHECK, HOSTILE, Picture, Run, clean_error, lines, see, written
from veridical.cli.inspect import METHODS
from veridical.cues import DEFAULT_CUES
from veridical.present import files
from veridical.vision.prepare import Finder


def test_an_explanation_is_a_page_a_report_and_a_figure_of_every_judged_face(
    run: Run,
    picture: Picture,
    fake_finder: Callable[..., Finder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = fake_finder((0.0, 0.0, 30.0, 30.0), (34.0, 34.0, 20.0, 20.0), (0.0, 60.0, 4.0, 4.0))
    see(two, monkeypatch)
    path, why = picture(tmp_path / "my.holiday.photo.jpg"), tmp_path / "deep" / "why"
    result = run("--json", path, "--explain", why, "--occlude", 16, 16)
    assert result.exit_code == 0
    (entry,) = lines(result)
    stem = f"my.holiday.photo-{entry['sha256'][:8]}"
    figures = [f"{stem}-face{n}.png" for n in (1, 2)]
    assert written(why) == sorted([*figures, f"{stem}.html", f"{stem}.json"])
    for name in figures:
        with Image.open(why / name) as figure:
            assert figure.format == "PNG"
    whole = json.loads((why / f"{stem}.json").read_text())
    CHECK.validate(whole)
    for face in whole["faces"][:2]:
        assert face.pop("explanation")["occlusion"] is not None
        assert [one["cue"] for one in face.pop("readings")] == [cue.name for cue in DEFAULT_CUES]
    assert whole["faces"].pop() == entry["faces"].pop()
    for face in entry["faces"]:
        assert (face.pop("explanation"), face.pop("readings")) == (None, None)
    assert whole == entry


@pytest.mark.slow
def test_maps_through_the_network_are_drawn_and_written(
    run: Run, picture: Picture, tmp_path: Path, tiny_vit: Callable[[str], Path]
) -> None:
    pytest.importorskip("captum")
    path, why = picture(tmp_path / "a.png"), tmp_path / "why"
    result = run("--json", path, "--explain", why, "--through", tiny_vit("vit"))
    assert result.stdout == run("--json", path).stdout
    (one,) = maps(why)
    assert one["name"] == "integrated-gradients"
    assert np.array(one["patches"]).shape == (4, 4)
    assert one["faithfulness"]["n_random"] == 9
    (page,) = why.glob("*.html")
    assert "integrated-gradients" in page.read_text()
    two = ("--method", "grad-cam", "--method", "attention-rollout")
    run(path, "--explain", why, "--through", tiny_vit("vit"), *two)
    assert [one["name"] for one in maps(why)] == ["grad-cam", "attention-rollout"]
    other = run(path, "--explain", why, "--through", tiny_vit("dinov2_registers"))
    clean_error(other, "the model has BackboneSpec")


def maps(folder: Path) -> list[dict[str, Any]]:
    """Return the further maps of the only report in a folder."""
    (report,) = folder.glob("*.json")
    found: list[dict[str, Any]] = json.loads(report.read_text())["faces"][0]["explanation"]["maps"]
    return found


def test_the_methods_that_can_be_named_are_those_there_are() -> None:
    pytest.importorskip("torch")
    from veridical.train import gradients

    assert set(METHODS) == set(gradients.METHODS)


@pytest.mark.slow
def test_the_answer_is_the_same_with_an_explanation_and_cues_are_told_if_asked_for(
    run: Run,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_finder: Callable[..., Finder],
) -> None:
    two = fake_finder((0.0, 0.0, 30.0, 30.0), (34.0, 34.0, 20.0, 20.0), (0.0, 60.0, 4.0, 4.0))
    see(two, monkeypatch)
    paths = [picture(tmp_path / name) for name in ("a.jpg", "b.png")]
    (broken := tmp_path / "c.jpg").touch()
    why = ("--explain", tmp_path / "why")
    plain = lines(run("--json", *paths, broken))
    asked = lines(run("--json", "--cues", *paths, broken))
    for more in ((), ("--jobs", 2)):
        assert lines(run("--json", *why, *more, *paths, broken)) == plain
        assert lines(run("--json", *why, "--cues", *more, *paths, broken)) == asked
    for entry in asked[:2]:
        assert entry["faces"][2]["readings"] is None
        for face in entry["faces"][:2]:
            assert [one["cue"] for one in face["readings"]] == [one.name for one in DEFAULT_CUES]
    jpeg = asked[0]["faces"][0]["readings"][-1]
    assert "why" not in jpeg  # there is a file to measure, whatever is in it


def test_pictures_of_one_name_do_not_overwrite_each_other(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    one, other = picture(tmp_path / "a" / "x.jpg"), picture(tmp_path / "b" / "x.jpg")
    copy = tmp_path / "c" / "x.jpg"
    copy.parent.mkdir()
    shutil.copyfile(one, copy)
    hostile = [picture(tmp_path / "d" / name) for name in HOSTILE]
    why = tmp_path / "why"
    result = run("--explain", why, "--jobs", 2, one, copy, other, *hostile)
    assert result.exit_code == 0
    names = written(why)
    assert len(names) == 3 * (2 + len(HOSTILE))  # a copy has the same explanation
    assert all(name.isascii() and name.isprintable() and " " not in name for name in names)
    assert not [name for name in names if name.startswith("-")]
    for name in names:
        if name.endswith(".json"):
            CHECK.validate(json.loads((why / name).read_text()))


def test_a_picture_that_fails_leaves_a_page_that_says_so(
    run: Run, bad: list[Path], tmp_path: Path
) -> None:
    result = run("--json", "--explain", tmp_path / "why", *bad)
    assert result.exit_code == 4
    assert all(entry["bug"] is None for entry in lines(result))
    names = written(tmp_path / "why")
    assert len(names) == len(bad)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9][\w.-]*-failed-[0-9a-f]{8}\.html", name)
        assert "NOT JUDGED" in (tmp_path / "why" / name).read_text(encoding="utf-8")


def test_an_explanation_that_fails_costs_no_answer_and_is_told(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, why = picture(tmp_path / "a.jpg"), tmp_path / "why"
    monkeypatch.setattr(files, "write", lambda *_: 1 // 0)
    result = run("--json", path, "--explain", why)
    assert result.exit_code == 3
    assert result.stdout == run("--json", path).stdout
    assert f"no explanation: {path}: internal error (ZeroDivisionError)" in result.stderr
    (name,) = written(why)
    assert "-failed-" in name


def test_a_picture_without_a_face_leaves_a_page_alone(
    run: Run,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_finder: Callable[..., Finder],
) -> None:
    see(fake_finder(), monkeypatch)
    assert run(picture(tmp_path / "a.jpg"), "--explain", tmp_path / "why").exit_code == 0
    assert [name.rpartition(".")[2] for name in written(tmp_path / "why")] == ["html", "json"]
    (page,) = (path.read_text(encoding="utf-8") for path in (tmp_path / "why").glob("*.html"))
    assert "No face was found, and only faces are judged" in page


def test_pages_are_the_same_bytes_every_time(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg")
    for why in ("one", "two"):
        run(path, "--explain", tmp_path / why)
    for name in written(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
