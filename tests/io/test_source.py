import hashlib
import io
import os
import socket
from collections import Counter
from inspect import unwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from tests.conftest import quarters, saved
from veridical.errors import (
    NotAPhoto,
    PhotoDamaged,
    PhotoEmpty,
    PhotoMissing,
    PhotoTooLarge,
    PhotoUnreadable,
)
from veridical.io import source
from veridical.io.formats import Limits
from veridical.io.source import Source, fingerprint, open_source, read_bytes, read_photo


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "a.jpg"
    found.write_bytes(saved(quarters(), "JPEG"))
    return found


# --- every way in ------------------------------------------------------------------------------


def test_every_way_in_gives_the_same_photo(tmp_path: Path) -> None:
    data = saved(quarters(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with path.open("rb") as stream:
        ways: list[Source] = [path, str(path), data, bytearray(data), memoryview(data)]
        files = [open_source(way) for way in [*ways, io.BytesIO(data), stream]]
    assert {file.sha256 for file in files} == {hashlib.sha256(data).hexdigest()}
    assert {file.photo.pixels.tobytes() for file in files} == {quarters().tobytes()}
    assert [file.path for file in files] == [str(path)] * 2 + [None] * 5
    assert {file.data for file in files} == {data}


def test_a_stream_is_read_from_where_it_stands() -> None:
    data = saved(quarters(), "PNG")
    stream = io.BytesIO(b"before" + data)
    stream.seek(6)
    assert open_source(stream).data == data


def test_a_file_is_taken_as_it_is(path: Path) -> None:
    file = open_source(path)
    assert open_source(file, Limits(max_bytes=1)) is file


@pytest.mark.parametrize("made", [quarters(), np.asarray(quarters())], ids=type)
def test_what_came_without_bytes_has_no_header_and_the_hash_of_its_pixels(made: Source) -> None:
    file = open_source(made)
    assert (file.data, file.header, file.luma, file.path) == (None, None, None, None)
    wanted = hashlib.sha256(b"32x48 " + quarters().tobytes()).hexdigest()
    assert file.sha256 == fingerprint(file.photo.pixels) == wanted
    assert fingerprint(file.photo.pixels.reshape(48, 32, 3)) != wanted


def test_something_else_is_refused() -> None:
    with pytest.raises(NotAPhoto, match="A dict came"):
        unwrap(open_source)({"a": 1})  # the tests' own checks would refuse it first


def test_a_wrong_suffix_is_a_step_and_no_error(path: Path) -> None:
    wrong = path.rename(path.with_suffix(".PNG"))
    assert read_photo(wrong).steps == ("named .png, is JPEG",)
    assert read_photo(wrong.rename(path.with_suffix(".jpeg"))).steps == ()


# --- nothing is done twice ---------------------------------------------------------------------


def test_a_file_is_read_opened_parsed_and_decoded_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counter[str]()

    def counted(name: str) -> None:
        original = getattr(source, name)

        def call(*args: object, **options: object) -> object:
            counts[name] += 1
            return original(*args, **options)

        monkeypatch.setattr(source, name, call)

    for name in ("read_bytes", "open_image", "header_of", "decode", "luma"):
        counted(name)
    file = open_source(path)
    assert counts == {"read_bytes": 1}  # nothing is decoded before it is asked for
    for _ in range(3):
        assert file.header is not None
        assert file.photo.width == 48
        assert file.luma is not None
        assert file.sha256
    assert set(counts.values()) == {1}


@pytest.mark.parametrize("first", ["header", "photo", "luma", "sha256"])
def test_whatever_is_asked_first_the_answers_are_the_same(path: Path, first: str) -> None:
    file, other = open_source(path), open_source(path)
    getattr(other, first)
    assert file.header == other.header
    assert file.sha256 == other.sha256
    assert file.photo.steps == other.photo.steps
    np.testing.assert_array_equal(file.photo.pixels, other.photo.pixels)
    np.testing.assert_array_equal(file.luma, other.luma)


def test_a_file_that_cannot_be_decoded_says_so_each_time_it_is_asked() -> None:
    file = open_source(saved(quarters(), "WEBP")[:22])
    for _ in range(2):
        with pytest.raises(PhotoDamaged):
            file.photo  # noqa: B018
    assert file.sha256 == hashlib.sha256(file.data or b"").hexdigest()


def test_opening_decodes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    file = open_source(path)
    assert file.sha256
    assert file.header is not None
    assert file.header.width == 48


# --- what cannot be read -----------------------------------------------------------------------


def test_a_missing_file_a_folder_and_an_impossible_name_are_missing(tmp_path: Path) -> None:
    with pytest.raises(PhotoMissing, match="no such file"):
        read_photo(tmp_path / "nobody.jpg")
    with pytest.raises(PhotoMissing, match="is a folder"):
        read_photo(tmp_path)
    with pytest.raises(PhotoMissing, match="no such file"):
        read_photo("face\0.jpg")


def test_a_file_we_may_not_read_is_unreadable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("veridical.io.source.os.open", refuse)
    with pytest.raises(PhotoUnreadable, match=r"a\.jpg: .*Permission denied"):
        read_photo(path)


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise EOFError("the connection was closed")


def test_a_stream_that_fails_or_is_closed_is_unreadable() -> None:
    closed = io.BytesIO()
    closed.close()
    for stream in (Broken(), closed):
        with pytest.raises(PhotoUnreadable, match="stream could not be read"):
            read_photo(stream)


def test_an_empty_stream_is_empty() -> None:
    with pytest.raises(PhotoEmpty):
        read_photo(io.BytesIO())


def test_too_many_bytes_are_refused_from_every_source(tmp_path: Path) -> None:
    data, limits = saved(quarters(), "PNG"), Limits(max_bytes=50)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    sources: tuple[Source, ...] = (data, path, io.BytesIO(data))
    for one in sources:
        with pytest.raises(PhotoTooLarge, match=r"the limit (is|of) 50"):
            open_source(one, limits)
    assert read_bytes(path, Limits(max_bytes=len(data))) == data


def test_an_image_of_another_mode_keeps_its_colours() -> None:
    for mode in ("P", "L", "RGBA", "CMYK"):
        made = quarters(mode)
        assert read_photo(made).image.tobytes() == made.convert("RGB").tobytes()
        assert isinstance(made, Image.Image)


@pytest.mark.parametrize(
    ("path", "error", "hint"),
    [
        ("", "An empty path came; a picture was wanted.", "Check where the path comes from."),
        ("https://example.org/a.jpg", "nothing is fetched from a network", "Save the picture"),
        ("HTTP://example.org/a.jpg", "nothing is fetched from a network", "Save the picture"),
        ("s3://bucket/a.jpg", "nothing is fetched from a network", "Save the picture"),
        ("data:image/jpeg;base64," + "A" * 5000, "nothing is fetched", "Save the picture"),
        ("file:///x%20y.jpg", "is an address; a path was wanted", "Give the path: '/x y.jpg'"),
    ],
)
def test_an_empty_path_and_an_address_are_called_what_they_are(
    path: str, error: str, hint: str
) -> None:
    with pytest.raises(PhotoMissing) as caught:
        open_source(path)
    assert error in caught.value.message
    assert caught.value.message.startswith(path)
    assert hint in caught.value.hint


def test_a_file_whose_name_looks_like_an_address_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("https:").mkdir()
    Path("https:/a.png").write_bytes(b"x")
    assert open_source("https://a.png").path == "https://a.png"


@pytest.mark.parametrize("path", ["./a.jpg", ".//b/../a.jpg", "./-"])
def test_the_path_is_the_string_that_was_given(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "-"):
        Path(name).write_bytes(b"x")
    Path("b").mkdir()
    assert open_source(path).path == path


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_and_a_socket_are_refused_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(PhotoUnreadable, match="is a pipe") as caught:
        open_source("./pipe")
    assert caught.value.cli_hint
    assert caught.value.cli_hint.endswith("veridical inspect - < ./pipe")
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        with pytest.raises(PhotoUnreadable, match="is a socket"):
            open_source("socket")
