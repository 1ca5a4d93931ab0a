import io
import json
import re
from base64 import b64decode
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.present.made import FACE, FAILURE, SMALL, explanation, image, report
from veridical.io.formats import Limits
from veridical.io.source import File, open_source
from veridical.present import index
from veridical.present.figure import figure
from veridical.present.files import Extra, Folder, FolderTaken, Made, make, make_failure
from veridical.report import Failure, Report

JSON: tuple[Extra, ...] = ("json",)
EXPLAINED = replace(FACE, explanation=explanation())


@pytest.fixture
def file(tmp_path: Path) -> File:
    path = tmp_path / "my photo.png"
    image().save(path)
    return open_source(path)


def made_of(failure: Failure) -> Made:
    return make_failure(failure, model="0123456789ab", limits=Limits())


def left(folder: Path, file: File, *reports: Report, extras: Collection[Extra] = ()) -> list[str]:
    """Write pages into a folder; return the names of all files there."""
    with Folder(path=folder, prior=0.5) as pages:
        for one in reports:
            pages.add(make(one, file, extras), one)
    return sorted(path.name for path in folder.iterdir())


# --- what is written ----------------------------------------------------------------------------


def test_a_page_and_an_index_are_written_and_nothing_else(file: File, tmp_path: Path) -> None:
    made = report(EXPLAINED, SMALL, path=file.path)
    there = tmp_path / "out" / "deep"
    assert left(there, file, made) == ["index.html", "my_photo-abababab.html"]
    page = (there / "my_photo-abababab.html").read_text(encoding="utf-8")
    assert "<h1>my photo.png</h1>" in page
    assert 'href="my_photo-abababab.html"' in (there / "index.html").read_text(encoding="utf-8")


def test_the_report_and_a_figure_of_each_explained_face_are_written_if_asked(
    file: File, tmp_path: Path
) -> None:
    made = report(EXPLAINED, SMALL, FACE, path=file.path)
    stem = "my_photo-abababab"
    names = left(tmp_path / "out", file, made, extras=("json", "figure"))
    assert names == ["index.html", f"{stem}-face1.png", f"{stem}.html", f"{stem}.json"]
    text = (tmp_path / "out" / f"{stem}.json").read_text(encoding="utf-8")
    assert json.loads(text) == made.to_dict()
    with Image.open(tmp_path / "out" / f"{stem}-face1.png") as drawn:
        assert drawn.format == "PNG"
        expected = figure(EXPLAINED, made, image(), "my photo.png, face 1")
        assert np.array_equal(np.asarray(drawn), np.asarray(expected))
    assert len(left(tmp_path / "json", file, made, extras=JSON)) == 3


def test_two_pictures_of_one_name_do_not_overwrite_each_other(file: File, tmp_path: Path) -> None:
    reports = [
        report(FACE, path="a/x.jpg"),
        report(FACE, path="b/x.jpg", sha256="cd" * 32),
        report(FACE, path="c/x.jpg"),  # a copy of the first
        report(FACE, path="d/X.jpg"),  # likewise, and some file systems ignore case
    ]
    names = left(tmp_path / "out", file, *reports, extras=JSON)
    stems = ["X-abababab-3", "x-abababab", "x-abababab-2", "x-cdcdcdcd"]
    wanted = [f"{stem}.{ending}" for stem in stems for ending in ("html", "json")]
    assert names == sorted([*wanted, "index.html"])


def test_pages_are_linked_in_the_order_of_the_pictures(file: File, tmp_path: Path) -> None:
    reports = [report(FACE, path=f"{name}.jpg") for name in "bac"]
    left(tmp_path, file, *reports)

    def links(name: str) -> list[str]:
        text = (tmp_path / f"{name}-abababab.html").read_text(encoding="utf-8")
        return re.findall(r'href="([^"]*)"', text)

    assert links("b") == ["index.html", "a-abababab.html"]
    assert links("a") == ["index.html", "b-abababab.html", "c-abababab.html"]
    assert links("c") == ["index.html", "a-abababab.html"]


def test_an_interrupted_run_leaves_the_pages_and_the_index_of_what_was_judged(
    file: File, tmp_path: Path
) -> None:
    made = report(FACE, path="a.jpg")

    def interrupted() -> None:
        with Folder(path=tmp_path / "out", prior=0.5) as pages:
            pages.add(make(made, file), made)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "a-abababab.html",
        "index.html",
    ]


def test_a_run_without_pictures_leaves_no_index(tmp_path: Path) -> None:
    with Folder(path=tmp_path / "out", prior=0.5):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_an_index_of_somebody_else_is_not_written_over(file: File, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<h1>My site</h1>", encoding="utf-8")
    with pytest.raises(FolderTaken):
        Folder(path=tmp_path, prior=0.5)
    (tmp_path / "index.html").unlink()
    for _ in range(2):  # ours is
        left(tmp_path, file, report(FACE))


def test_nothing_half_written_is_left_behind(
    file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Path, _content: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    made = report(EXPLAINED, path="x.jpg")
    drawn = make(made, file, JSON)
    monkeypatch.setattr(Path, "write_bytes", broken)
    pages = Folder(path=tmp_path / "out", prior=0.5)
    pages.add(drawn, made)
    pages.close()
    assert pages.unwritten == {"No space left on device": 3}  # the page, its JSON and the index
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["../../x.jpg", "-rf.jpg", "\udce9\n.jpg", ".jpg", "x" * 300])
def test_a_file_is_called_what_every_file_system_takes(
    name: str, file: File, tmp_path: Path
) -> None:
    made = make(report(FACE, path=name), file)
    assert made.stem[0] not in ".-"
    assert re.fullmatch(r"[\w.-]{1,160}", made.stem, re.ASCII)
    left(tmp_path, file, report(FACE, path=name))
    assert (tmp_path / f"{made.stem}.html").is_file()


# --- failures -----------------------------------------------------------------------------------


def test_a_failure_leaves_a_page_under_its_own_name(tmp_path: Path) -> None:
    made = made_of(FAILURE)
    assert made.stem.startswith("b-failed-")
    assert "Zero bytes came." in made.page
    assert made_of(replace(FAILURE, path="other/b.jpg")).stem != made.stem
    with Folder(path=tmp_path / "out", prior=0.5) as pages:
        pages.add(made, FAILURE)
    text = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "1 NOT JUDGED" in text
    assert f'href="{made.stem}.html"' in text


def test_only_the_picture_of_a_bug_is_shown(file: File, tmp_path: Path) -> None:
    def has_picture(bug: str | None, path: str | None = file.path) -> bool:
        return "<img" in made_of(replace(FAILURE, path=path, bug=bug)).page

    assert has_picture("Traceback")
    assert not has_picture(None)
    assert not has_picture("Traceback", str(tmp_path / "absent.jpg"))


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("日本語の写真 (1)", "日本語の写真_1"),
        ("हिन्दी चित्र", "हिन्दी_चित्र"),
        ("фото", "фото"),
        ("e\u0301te\u0301", "été"),
        ("a\u202egpj\x1b[31m\nb", "a_gpj_31m_b"),
        ("[red]x", "red_x"),
        ("--x", "x"),
        ("\udce9", "photo"),
        ("日" * 200, "日" * 50),
    ],
)
def test_a_page_keeps_the_letters_of_every_script_and_nothing_that_does_harm(
    name: str, stem: str, file: File
) -> None:
    assert make(report(FACE, path=f"{name}.jpg"), file).stem == f"{stem}-abababab"


def test_an_entry_has_a_small_copy_of_the_picture(file: File) -> None:
    entry = make(report(FACE, path="a.jpg"), file).entry
    assert max(entry.size) == index.SIDE
    with Image.open(io.BytesIO(b64decode(entry.thumb.split(",")[1]))) as small:
        assert small.size == entry.size
