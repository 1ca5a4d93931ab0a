import io
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from PIL import Image

from veridical.errors import ManifestError
from veridical.io.walk import Skipped
from veridical.scan.plan import Item, is_address, plan


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b/c.png", "b/[1].jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 20)).save(path)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "b" / "clip.dat").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(12))
    return tmp_path


def names(items: Iterator[Item], below: Path) -> list[str]:
    return [os.path.relpath(one.path, below) for one in items]


def test_folders_are_walked_and_what_is_passed_over_is_named(album: Path) -> None:
    skipped: list[Skipped] = []
    found = list(plan([str(album)], skipped.append))
    assert names(iter(found), album) == ["a.jpg", "b/[1].jpg", "b/c.png", "b/clip.dat"]
    assert [one.why for one in skipped] == ["no picture"]
    for one in found:
        status = Path(one.path).stat()
        assert (one.size, one.mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert "b/clip.dat" not in names(plan([str(album)], clips=False), album)


def test_globs_are_patterns_unless_a_file_has_that_name(album: Path) -> None:
    assert names(plan([f"{album}/b/*.png"]), album) == ["b/c.png"]
    assert sorted(names(plan([f"{album}/**/*.jpg"]), album)) == ["a.jpg", "b/[1].jpg"]
    assert names(plan([f"{album}/b/[1].jpg"]), album) == ["b/[1].jpg"]
    (nothing,) = plan([f"{album}/*.webp"])
    assert nothing.failure
    assert "no file has such a name" in nothing.failure.error


@pytest.mark.parametrize("nul", [False, True])
def test_a_list_at_standard_input_is_read_to_the_byte(album: Path, nul: bool) -> None:
    strange = os.fsdecode(b"\xe9 x.jpg")
    end = "\0" if nul else "\n"
    listed = os.fsencode(end.join([f"{album}/a.jpg", f"{album}/{strange}", f"{album}/b"]) + end)
    found = names(plan(["-"], stdin=io.BytesIO(listed), nul=nul), album)
    assert found == ["a.jpg", strange, "b/[1].jpg", "b/c.png", "b/clip.dat"]


def test_a_list_without_an_end_is_read_as_it_comes() -> None:
    class Endless:
        def read(self, size: int = -1, /) -> bytes:
            return b"x.jpg\n" * 1000

    assert len(list(islice(plan(["-"], stdin=Endless()), 100_000))) == 100_000


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_lists_pictures_beside_it(album: Path, separator: str) -> None:
    table = album / "list.csv"
    table.write_text(f"label{separator}File Name\nreal{separator}a.jpg\nai{separator}b/c.png\n")
    assert names(plan([str(table)]), album) == ["a.jpg", "b/c.png"]
    table.write_text("label,where\nreal,a.jpg\n")
    with pytest.raises(ManifestError, match="one called `path` is needed"):
        list(plan([str(table)]))


def test_a_parquet_table_lists_pictures(album: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"path": ["a.jpg", "b/c.png"]}), album / "list.parquet")
    assert names(plan([f"{album}/list.parquet"]), album) == ["a.jpg", "b/c.png"]


def test_an_address_of_a_file_here_is_its_path(album: Path) -> None:
    (found,) = plan([(album / "a.jpg").as_uri()])
    assert found.path == str(album / "a.jpg")
    assert found.size


def test_what_is_not_there_is_planned_and_judging_says_why(tmp_path: Path) -> None:
    (found,) = plan([str(tmp_path / "absent.jpg")])
    assert (found.size, found.failure) == (None, None)


def test_a_folder_in_memory_stands_for_other_places() -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    for name in ("a.jpg", "b/c.png", "b/notes.txt"):
        system.pipe(f"/shop/{name}", b"x" * len(name))
    skipped: list[Skipped] = []
    found = list(plan(["memory://shop/"], skipped.append))
    assert [(one.path, one.size) for one in found] == [
        ("memory:///shop/a.jpg", 5),
        ("memory:///shop/b/c.png", 7),
    ]
    assert [one.path for one in skipped] == ["memory:///shop/b/notes.txt"]
    (gone,) = plan(["memory://shop/absent.jpg"])
    assert gone.failure
    assert is_address("s3://bucket/x.jpg")
    assert not is_address(r"C:\x.jpg")


def test_a_relative_path_means_the_same_from_any_folder(
    album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(album)
    (album / "list.csv").write_text("path\na.jpg\n./b/c.png\n")
    given = ["a.jpg", "./a.jpg", "b", ".", "./", "list.csv", "b/*.png", "absent.jpg", "b/../a.jpg"]
    expected = [str(one.path) for one in plan([f"{album}/{one}" for one in given if one != "./"])]
    found = [one.path for one in plan(given)]
    assert all(Path(one).is_absolute() for one in found)
    assert {os.path.normpath(one) for one in found} == {os.path.normpath(one) for one in expected}
    assert f"{album}/b/../a.jpg" in found  # behind a link, this is another file
    assert found.count(f"{album}/a.jpg") == 5
