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
from veridical.detector import Detector
from veridical.present import files
from veridical.report import Report
from veridical.vision.prepare import Finder


def test_an_explanation_is_a_page_and_an_index_and_nothing_else(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    path, why = picture(tmp_path / "a.jpg"), tmp_path / "deep" / "why"
    (entry,) = lines(run("--json", path, "--explain", why))
    assert written(why) == [f"a-{entry['sha256'][:8]}.html", "index.html"]


def test_only_the_lead_face_gets_a_map_unless_more_is_asked_for(
    run: Run,
    picture: Picture,
    fake_finder: Callable[..., Finder],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    see(fake_finder((0.0, 0.0, 30.0, 30.0), (34.0, 34.0, 20.0, 20.0)), monkeypatch)
    path, why = picture(tmp_path / "a.jpg"), tmp_path / "why"
    for more, maps_of, against in (((), "lead", 4), (("--thorough",), "all", 9)):
        run(path, "--explain", why, "--write", "json", *more)
        (whole,) = (json.loads(one.read_text()) for one in why.glob("*.json"))
        found = [face["explanation"] for face in whole["faces"]]
        assert len(found) == 2
        for at, one in enumerate(found):
            assert (one is not None) == (maps_of == "all" or at == whole["lead_index"])
            if one:
                assert one["faithfulness"]["n_random"] == against


def test_a_picture_is_decoded_and_judged_once(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect, seen = Detector.inspect, list[str | None]()

    def counted(self: Detector, source: Any, **options: Any) -> Report:
        seen.append(source.path)
        return inspect(self, source, **options)

    monkeypatch.setattr(Detector, "inspect", counted)
    paths = [str(picture(tmp_path / name)) for name in ("a.png", "b.png")]
    run("--explain", tmp_path / "why", "--jobs", 1, *paths)
    assert seen == paths


def test_an_index_of_somebody_else_is_said_before_the_work(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    path = picture(tmp_path / "in" / "a.png")
    (tmp_path / "index.html").write_text("<h1>My site</h1>")
    result = run(path, "--explain", tmp_path)
    assert result.exit_code == 2
    assert "was not written by veridical" in " ".join(result.stderr.split())
    assert written(tmp_path) == ["in", "index.html"]


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
    extras = ("--write", "json", "--write", "figure", "--thorough")
    result = run("--json", path, "--explain", why, "--occlude", 16, 16, *extras)
    assert result.exit_code == 0
    (entry,) = lines(result)
    stem = f"my.holiday.photo-{entry['sha256'][:8]}"
    figures = [f"{stem}-face{n}.png" for n in (1, 2)]
    assert written(why) == sorted([*figures, f"{stem}.html", f"{stem}.json", "index.html"])
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
    result = run("--json", path, "--explain", why, "--write", "json", "--through", tiny_vit("vit"))
    assert result.stdout == run("--json", path).stdout
    (one,) = maps(why)
    assert one["name"] == "integrated-gradients"
    assert np.array(one["patches"]).shape == (4, 4)
    assert one["faithfulness"]["n_random"] == 4
    (page,) = why.glob("a-*.html")
    assert "integrated-gradients" in page.read_text()
    two = ("--method", "grad-cam", "--method", "attention-rollout")
    run(path, "--explain", why, "--write", "json", "--through", tiny_vit("vit"), *two)
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
    extras = ("--write", "json", "--write", "figure")
    result = run("--explain", why, *extras, "--jobs", 2, one, copy, other, *hostile)
    assert result.exit_code == 0
    names = written(why)
    assert len(names) == 3 * (3 + len(HOSTILE)) + 1
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
    names = [name for name in written(tmp_path / "why") if name != "index.html"]
    assert len(names) == len(bad)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9][\w.-]*-failed-[0-9a-f]{8}\.html", name)
        assert "NOT JUDGED" in (tmp_path / "why" / name).read_text(encoding="utf-8")


def test_an_explanation_that_fails_costs_no_answer_and_is_told(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, why = picture(tmp_path / "a.jpg"), tmp_path / "why"
    monkeypatch.setattr(files, "make", lambda *_: 1 // 0)
    result = run("--json", path, "--explain", why)
    assert result.exit_code == 3
    assert result.stdout == run("--json", path).stdout
    assert f"no explanation: {path}: internal error (ZeroDivisionError)" in result.stderr
    name, index = written(why)
    assert "-failed-" in name
    assert index == "index.html"


def test_a_picture_without_a_face_leaves_a_page_alone(
    run: Run,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fake_finder: Callable[..., Finder],
) -> None:
    see(fake_finder(), monkeypatch)
    assert run(picture(tmp_path / "a.jpg"), "--explain", tmp_path / "why").exit_code == 0
    name, index = written(tmp_path / "why")
    assert index == "index.html"
    page = (tmp_path / "why" / name).read_text(encoding="utf-8")
    assert "No face was found, and only faces are judged" in page


def test_pages_are_the_same_bytes_every_time(run: Run, picture: Picture, tmp_path: Path) -> None:
    path = picture(tmp_path / "a.jpg")
    for why in ("one", "two"):
        run(path, "--explain", tmp_path / why)
    for name in written(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
