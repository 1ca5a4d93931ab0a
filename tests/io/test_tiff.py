"""The picture of a TIFF is judged, and not the thumbnail before it."""

import io
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import furthest, noise_image, quarters, saved
from veridical.errors import NotAPhoto, PhotoError
from veridical.io import tiff
from veridical.io.source import read_photo

FULL = quarters().resize((480, 320), Image.Resampling.NEAREST)
SMALL = Image.new("RGB", (120, 80), "white")


def made(
    *pages: tuple[Image.Image, dict[int, int]],
    below: tuple[tuple[Image.Image, dict[int, int]], ...] = (),
    order: str = "<",
    big: bool = False,
) -> bytes:
    """A TIFF of uncompressed pages with further tags; `below` hang below the first."""
    file = bytearray(
        (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    )
    file += struct.pack(f"{order}HHQ", 8, 0, 0) if big else bytes(4)
    places: list[int] = []
    ends: list[int] = []
    subs: list[int] = []
    for number, (image, tags) in enumerate((*below, *pages)):
        pixels = len(file)
        file += image.convert("RGB").tobytes()
        file += bytes(len(file) % 2)
        bits = len(file)
        file += struct.pack(f"{order}HHH", 8, 8, 8) + bytes(2)
        width, height = image.size
        own = {256: width, 257: height, 259: 1, 262: 2, 273: pixels, 277: 3, 278: height}
        own |= {279: 3 * width * height, **tags}
        rows = {tag: struct.pack(f"{order}I", value) for tag, value in own.items()}
        entries = {tag: (4, 1, value) for tag, value in rows.items()}
        entries[258] = (3, 3, struct.pack(f"{order}I", bits))
        if big:  # three numbers of 16 bits fit in
            entries[258] = (3, 3, struct.pack(f"{order}HHH", 8, 8, 8))
        if number == len(below) and subs:
            at = len(file)
            file += struct.pack(f"{order}{len(subs)}I", *subs)
            inline = len(subs) == 1 or (big and len(subs) == 2)
            value = b"".join(struct.pack(f"{order}I", one) for one in subs)
            entries[330] = (4, len(subs), value if inline else struct.pack(f"{order}I", at))
        (subs if number < len(below) else places).append(len(file))
        file += struct.pack(f"{order}{'Q' if big else 'H'}", len(entries))
        for tag, (kind, count, value) in sorted(entries.items()):
            room = 8 if big else 4
            file += struct.pack(f"{order}HH{'Q' if big else 'I'}", tag, kind, count)
            file += value.ljust(room, b"\0")
        ends.append(len(file))
        file += bytes(8 if big else 4)
    for end, following in zip(ends[len(below) : -1], places[1:], strict=True):
        struct.pack_into(f"{order}{'Q' if big else 'I'}", file, end, following)
    struct.pack_into(f"{order}{'Q' if big else 'I'}", file, 8 if big else 4, places[0])
    return bytes(file)


PASSED = "smaller copy at the beginning of the TIFF passed over"
FORMS: list[dict[str, Any]] = [{}, {"order": ">"}, {"big": True}]


@pytest.mark.parametrize("form", FORMS)
def test_an_ordinary_tiff_is_its_first_page(form: dict[str, Any]) -> None:
    photo = read_photo(made((FULL, {}), **form))
    assert (photo.steps, photo.frames) == ((), 1)
    assert furthest(photo.pixels, FULL) == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tags", [{254: 1}, {255: 2}, {}])
def test_a_thumbnail_page_is_passed_over(tags: dict[int, int], form: dict[str, Any]) -> None:
    photo = read_photo(made((SMALL, tags), (FULL, {}), **form))
    assert photo.steps == (PASSED,)
    assert photo.frames == 1
    assert furthest(photo.pixels, FULL) == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tags", [{254: 1}, {}])
def test_a_picture_below_its_thumbnail_is_found(tags: dict[int, int], form: dict[str, Any]) -> None:
    middle = (FULL.resize((240, 160)), {254: 1})
    photo = read_photo(made((SMALL, tags), below=(middle, (FULL, {})), **form))
    assert photo.steps == (PASSED,)
    assert furthest(photo.pixels, FULL) == 0


def test_a_reduced_copy_after_the_picture_is_not_counted() -> None:
    photo = read_photo(made((FULL, {}), (SMALL, {254: 1})))
    assert (photo.steps, photo.frames) == ((), 1)
    assert furthest(photo.pixels, FULL) == 0


def test_pages_of_their_own_are_counted_and_the_first_is_taken() -> None:
    cover = Image.new("RGB", (200, 300), "white")  # of another shape: no thumbnail
    photo = read_photo(made((cover, {}), (FULL, {}), (SMALL, {254: 1})))
    assert (photo.steps, photo.frames) == (("page 1 of 2 taken",), 2)
    assert photo.pixels.min() == 255
    photo = read_photo(made((SMALL, {254: 1}), (FULL, {}), (cover, {})))
    assert (photo.steps, photo.frames) == ((PASSED, "page 1 of 2 taken"), 2)


def test_a_first_page_of_the_size_of_an_icon_is_passed_over_whatever_its_shape() -> None:
    icon = Image.new("RGB", (80, 80), "white")  # a viewer cuts it out of the middle
    photo = read_photo(made((icon, {}), (FULL, {}), (FULL, {})))
    assert (photo.steps, photo.frames) == ((PASSED, "page 1 of 2 taken"), 2)
    assert furthest(photo.pixels, FULL) == 0
    large = read_photo(made((icon.resize((150, 150)), {}), (FULL, {})))
    assert large.steps == ("page 1 of 2 taken",)  # not much larger: two pictures


def test_two_pages_of_one_size_are_both_pictures() -> None:
    photo = read_photo(made((FULL, {}), (FULL, {})))
    assert photo.steps == ("page 1 of 2 taken",)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("first", "below"), [({50706: 0x0401}, {}), ({254: 1}, {262: 32803}), ({}, {262: 34892})]
)
def test_what_a_sensor_gave_is_refused(
    first: dict[int, int], below: dict[int, int], form: dict[str, Any]
) -> None:
    data = made((SMALL, first), below=((FULL, below),), **form)
    with pytest.raises(NotAPhoto, match=r"is a camera raw file \(.*\); a picture was wanted"):
        read_photo(data)


def test_the_preview_of_a_raw_file_that_its_owner_opened_is_refused() -> None:
    for tags, says in (({50706: 0x0401}, "camera raw"), ({254: 1}, "a reduced copy in a TIFF")):
        with (
            Image.open(io.BytesIO(made((SMALL, tags), (FULL, {})))) as opened,
            pytest.raises(NotAPhoto, match=says),
        ):
            read_photo(opened)


def test_loops_and_endless_chains_end() -> None:
    data = bytearray(made((SMALL, {}), (FULL, {})))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    chosen = tiff.choose(bytes(data))
    assert chosen is not None
    assert chosen.pages == 1


def test_random_directories_never_break_the_choice() -> None:
    draw = np.random.default_rng(1)
    whole = made((SMALL, {254: 1}), below=((SMALL, {}), (SMALL, {262: 32803})))
    for data in (whole, saved(noise_image(), "TIFF", compression="tiff_lzw")):
        for _ in range(300):
            torn = bytearray(data)
            for at in (*draw.integers(0, 16, 1), *draw.integers(0, len(data), 12)):
                torn[at] = int(draw.integers(0, 256))
            torn = torn[: int(draw.integers(8, len(data) + 1))]
            tiff.choose(bytes(torn))
            tiff.camera_raw(bytes(torn))
            with suppress(PhotoError):
                assert read_photo(bytes(torn)).width > 0
