import os
import socket
import sys
from pathlib import Path

import pytest

from tests.io.conftest import Plant, refused
from veridical.errors import DataError
from veridical.io.walk import Skipped, Why, photos
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


# --- known by content, and what is passed over -------------------------------------------------

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)


def seen(data: Path) -> tuple[list[str], dict[str, tuple[Why, str]]]:
    """What a walk yields, and what it says it passes over: kind and detail."""
    told: list[Skipped] = []
    found = below(data, [one for one in photos([data], told.append) if isinstance(one, Path)])
    skipped = {Path(one.path).relative_to(data).as_posix(): (one.why, one.detail) for one in told}
    assert len(skipped) == len(told)
    return found, skipped


def test_a_file_is_known_by_its_bytes_whatever_its_name(plant: Plant) -> None:
    data = plant("noext", "photo.jpg.1", "x.jp2", "UPPER.JPEG", "page.jpg", "none.jpg")
    for name in ("noext", "photo.jpg.1", "x.jp2", "UPPER.JPEG"):
        (data / name).write_bytes(JPEG)
    (data / "page.jpg").write_bytes(b"<html>")  # judging it says what it is
    found, skipped = seen(data)
    assert found == sorted(["noext", "photo.jpg.1", "x.jp2", "UPPER.JPEG", "page.jpg", "none.jpg"])
    assert not skipped


@pytest.mark.parametrize(
    ("name", "data", "why", "says"),
    [
        (".a.jpg", JPEG, "hidden", "hidden"),
        (".folder/a.jpg", JPEG, "hidden", "hidden"),
        ("__MACOSX/a.jpg", JPEG, "hidden", "Mac"),
        ("x.dng", b"II*\0" + bytes(60), "raw", "DNG"),
        ("x.NEF", b"MM\0*" + bytes(60), "raw", "NEF"),
        ("noname", b"\0\0\0\x18ftypcrx " + bytes(60), "raw", "CR3"),
        ("x.jxl", b"\xff\x0a" + bytes(60), "other format", "JPEG XL"),
        ("clip.mov", b"\0\0\0\x14ftypqt  " + bytes(60), "no picture", "video"),
        ("notes.txt", b"Some notes.", "no picture", "text"),
        ("404", b"<!DOCTYPE html>", "no picture", "HTML"),
        ("zero", b"", "empty", "empty"),
    ],
)
def test_what_is_passed_over_is_told_with_the_reason(
    plant: Plant, name: str, data: bytes, why: str, says: str
) -> None:
    folder = plant("a.jpg", name)
    (folder / name).write_bytes(data)
    found, skipped = seen(folder)
    assert found == ["a.jpg"]
    ((path, (kind, detail)),) = skipped.items()
    assert path in (name, name.split("/")[0])
    assert kind == why
    assert says in detail


def test_links_that_lead_nowhere_or_back_are_told(plant: Plant) -> None:
    data = plant("a.jpg", "b/c.jpg")
    (data / "gone.jpg").symlink_to("nowhere")
    (data / "self").symlink_to("self")
    (data / "b" / "up").symlink_to("..")
    found, skipped = seen(data)
    assert found == ["a.jpg", "b/c.jpg"]
    assert {path: why for path, (why, _) in skipped.items()} == dict.fromkeys(
        ("gone.jpg", "self", "b/up"), "link"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipes_and_sockets_are_told_and_never_opened(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = plant("a.jpg")
    os.mkfifo(data / "pipe")
    os.mkfifo(data / "pipe.jpg")
    monkeypatch.chdir(data)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        found, skipped = seen(data)
    assert found == ["a.jpg"]
    assert {path: why for path, (why, _) in skipped.items()} == dict.fromkeys(
        ("pipe", "pipe.jpg", "socket"), "special"
    )


def test_an_unreadable_file_is_told_unless_its_name_asks_for_a_failure(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = plant("secret", "secret.jpg")
    opened = os.open

    def guarded(path: str, flags: int, *more: int) -> int:
        if "secret" in path:  # root may read everything
            raise PermissionError(13, "Permission denied", path)
        return opened(path, flags, *more)

    monkeypatch.setattr(os, "open", guarded)
    found, skipped = seen(data)
    assert found == ["secret.jpg"]
    assert skipped == {"secret": ("unreadable", "unreadable (Permission denied)")}


def test_strings_stay_the_strings_that_were_given(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(plant("a.jpg", "b/c.jpg"))
    given = ["./a.jpg", "b/../a.jpg", ".//b", "b/", "https://example.org/a.jpg", "", "./-"]
    assert list(photos(given)) == [
        *("./a.jpg", "b/../a.jpg", ".//b/c.jpg", "b/c.jpg"),
        *("https://example.org/a.jpg", "", "./-"),
    ]


def test_a_file_is_looked_at_when_its_turn_comes(plant: Plant) -> None:
    data = plant("a", "b")
    for name in "ab":
        (data / name).write_bytes(JPEG)
    found = photos([data])
    assert next(found) == data / "a"
    (data / "b").write_bytes(b"no picture any more")
    assert not list(found)
