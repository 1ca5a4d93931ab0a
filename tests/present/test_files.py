import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.present.made import FACE, FAILURE, SMALL, explanation, image, report
from veridical.io.formats import Limits
from veridical.io.source import File, open_source
from veridical.present import files
from veridical.present.figure import figure
from veridical.present.files import write, write_failure

EXPLAINED = replace(FACE, explanation=explanation())


@pytest.fixture
def file(tmp_path: Path) -> File:
    path = tmp_path / "my photo.png"
    image().save(path)
    return open_source(path)


def test_a_page_a_report_and_a_figure_of_each_explained_face_are_written(
    file: File, tmp_path: Path
) -> None:
    made = report(EXPLAINED, SMALL, FACE, path=file.path)
    page = write(made, file, tmp_path / "out" / "deep")
    assert page.name == "my_photo-abababab.html"
    assert sorted(one.name for one in page.parent.iterdir()) == [
        "my_photo-abababab-face1.png",
        "my_photo-abababab.html",
        "my_photo-abababab.json",
    ]
    assert json.loads(page.with_suffix(".json").read_text()) == made.to_dict()
    with Image.open(page.with_name("my_photo-abababab-face1.png")) as drawn:
        assert drawn.format == "PNG"
        expected = figure(EXPLAINED, made, image(), "my photo.png, face 1")
        assert np.array_equal(np.asarray(drawn), np.asarray(expected))
    assert "<h1>my photo.png</h1>" in page.read_text(encoding="utf-8")


def test_two_pictures_of_one_name_do_not_overwrite_each_other(file: File, tmp_path: Path) -> None:
    one = write(report(FACE, path="a/x.jpg"), file, tmp_path)
    other = write(report(FACE, path="b/x.jpg", sha256="cd" * 32), file, tmp_path)
    assert one != other


def test_nothing_half_written_is_left_behind(
    file: File, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Image.Image:
        class Broken:
            def save(self, path: Path, **_: object) -> None:
                path.write_bytes(b"half")
                raise OSError("The disk is full.")

        return Broken()  # type: ignore[return-value]

    monkeypatch.setattr(files, "figure", broken)
    with pytest.raises(OSError, match="full"):
        write(report(EXPLAINED, path="x.jpg"), file, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["../../x.jpg", "-rf.jpg", "\udce9\n.jpg", ".jpg", "x" * 300])
def test_a_file_is_called_what_every_file_system_takes(
    name: str, file: File, tmp_path: Path
) -> None:
    page = write(report(FACE, path=name), file, tmp_path)
    assert page.parent == tmp_path
    assert page.is_file()
    assert page.name[0] not in ".-"
    assert page.name.isascii()


def test_a_failure_leaves_a_page_under_its_own_name(tmp_path: Path) -> None:
    page = write_failure(FAILURE, tmp_path / "out", model="0123456789ab", limits=Limits())
    assert page.name.startswith("b-failed-")
    assert "Zero bytes came." in page.read_text(encoding="utf-8")
    other = replace(FAILURE, path="other/b.jpg")
    assert write_failure(other, tmp_path / "out", model="0" * 12, limits=Limits()) != page


def test_only_the_picture_of_a_bug_is_shown(file: File, tmp_path: Path) -> None:
    def has_picture(bug: str | None, path: str | None = file.path) -> bool:
        failure = replace(FAILURE, path=path, bug=bug)
        page = write_failure(failure, tmp_path, model="0" * 12, limits=Limits())
        return "<img" in page.read_text(encoding="utf-8")

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
    name: str, stem: str, file: File, tmp_path: Path
) -> None:
    page = write(report(FACE, path=f"{name}.jpg"), file, tmp_path / "out")
    assert page.name == f"{stem}-abababab.html"
    assert page.parent == tmp_path / "out"
    assert page.exists()
