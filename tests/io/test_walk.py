import os
import sys
from pathlib import Path

import pytest

from tests.io.conftest import Plant, refused
from veridical.errors import DataError
from veridical.io.walk import photos
from veridical.report import Failure


def walk(*paths: Path) -> list[Path]:
    """What `photos` yields where nothing fails."""
    return [path for path in photos(paths) if isinstance(path, Path) or pytest.fail(path.error)]


def below(data: Path, found: list[Path]) -> list[str]:
    return [path.relative_to(data).as_posix() for path in found]


def test_a_walk_finds_every_picture_suffix_in_the_order_of_names(plant: Plant) -> None:
    names = ["B.JPG", "a.heic", "b/1.avif", "b/2.tif", "c.jfif", "d.png"]
    data = plant(*reversed(names), "notes.txt", "b/model.onnx", "jpg")
    assert below(data, walk(data)) == names


def test_hidden_files_and_archives_left_by_a_mac_are_passed_over(plant: Plant) -> None:
    data = plant("a.jpg", ".b.jpg", "._c.jpg", ".cache/d.jpg", "__MACOSX/e.jpg")
    assert below(data, walk(data)) == ["a.jpg"]


def test_files_are_yielded_as_given_even_without_a_suffix_or_missing(plant: Plant) -> None:
    data = plant("photo", "z.jpg")
    given = [data / "z.jpg", data / "photo", data / "absent.jpg", data / "z.jpg"]
    assert walk(*given) == given


def test_a_loop_of_links_ends_and_broken_links_are_passed_over(plant: Plant) -> None:
    data = plant("a/1.jpg", "b/2.jpg")
    (data / "a" / "up").symlink_to(data)
    (data / "again").symlink_to(data / "b")
    (data / "self.jpg").symlink_to(data / "self.jpg")
    (data / "gone.jpg").symlink_to(data / "nowhere.jpg")
    (data / "c.jpg").symlink_to(data / "b" / "2.jpg")
    assert below(data, walk(data)) == ["a/1.jpg", "again/2.jpg", "c.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_that_is_named_like_a_picture_is_not_one(plant: Plant) -> None:
    data = plant("a.jpg")
    os.mkfifo(data / "b.jpg")
    assert below(data, walk(data)) == ["a.jpg"]


def test_a_folder_that_cannot_be_opened_is_yielded_so_that_the_failure_has_a_name(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = plant("a.jpg", "locked/b.jpg", "real/locked/c.jpg", "ai/d.jpg")
    scandir = os.scandir

    def guarded(path: str | Path) -> object:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = list(photos([data]))
    named = [one.path if isinstance(one, Failure) else str(one) for one in found]
    assert below(data, [Path(one or "") for one in named]) == [
        *("a.jpg", "ai/d.jpg", "locked", "real/locked")
    ]
    assert [isinstance(one, Failure) for one in found] == [False, False, True, True]
    assert "locked: is a folder that the system will not open (Permission denied)" in refused(
        DataError, data, real="real", ai="ai"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such long paths")
def test_a_walk_goes_deeper_than_pythons_own_stack(tmp_path: Path) -> None:
    deep = [tmp_path / "/".join("d" * n) for n in range(1, sys.getrecursionlimit() + 100)]
    for folder in deep:
        folder.mkdir()
    (deep[-1] / "x.jpg").touch()
    try:
        assert [path.name for path in walk(tmp_path)] == ["x.jpg"]
    finally:  # pytest's own cleaning would run out of stack
        (deep[-1] / "x.jpg").unlink()
        for folder in reversed(deep):
            folder.rmdir()


def test_a_folder_without_pictures_is_a_failure_in_its_place(plant: Plant) -> None:
    data = plant("a/1.jpg", "empty/notes.txt", "z/2.jpg")
    (data / "bare" / "barer").mkdir(parents=True)
    first, bare, empty, last = photos(data / name for name in ("a", "bare", "empty", "z"))
    assert (first, last) == (data / "a" / "1.jpg", data / "z" / "2.jpg")
    for failure, name in ((bare, "bare"), (empty, "empty")):
        assert isinstance(failure, Failure)
        assert failure.path == str(data / name)
        assert failure.error == f"{data / name}: is a folder that holds no pictures."
        assert "JPEG" in failure.hint
        assert "--list-skipped" in (failure.cli_hint or "")
    assert below(data, walk(data)) == ["a/1.jpg", "z/2.jpg"]  # who named them asked for them
