"""The picture that people see is judged, and it is said how many others there are."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import exif_of, furthest, heic, quarters, saved
from veridical.io.source import open_source, read_photo

SHOWN, HIDDEN = quarters(), Image.new("RGB", (48, 32), "white")
NEXT = Image.new("RGB", (48, 32), "black")
HIDES = "default image of the PNG, which viewers hide, passed over"


def apng(*frames: Image.Image) -> bytes:
    """An animation with a default image that is not part of it."""
    return saved(HIDDEN, "PNG", save_all=True, default_image=True, append_images=list(frames))


def test_a_default_image_that_nobody_sees_is_not_judged() -> None:
    photo = read_photo(apng(SHOWN, NEXT))
    assert (photo.steps, photo.frames) == ((HIDES, "frame 1 of 2 taken"), 2)
    assert furthest(photo.pixels, SHOWN) == 0


def test_an_animation_of_one_frame_is_shown_in_place_of_the_default_image() -> None:
    photo = read_photo(apng(SHOWN))
    assert (photo.steps, photo.frames) == ((HIDES,), 1)
    assert furthest(photo.pixels, SHOWN) == 0


def test_a_default_image_that_is_the_first_frame_is_judged() -> None:
    photo = read_photo(saved(SHOWN, "PNG", save_all=True, append_images=[NEXT, HIDDEN]))
    assert (photo.steps, photo.frames) == (("frame 1 of 3 taken",), 3)
    assert furthest(photo.pixels, SHOWN) == 0


def test_the_frame_of_an_animated_png_is_turned_too() -> None:
    file = io.BytesIO()
    HIDDEN.save(
        file, "PNG", save_all=True, default_image=True, append_images=[SHOWN], exif=exif_of(6)
    )
    photo = read_photo(file.getvalue())
    assert photo.steps == (HIDES, "EXIF orientation 6 applied")
    assert photo.pixels.shape == (48, 32, 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_a_frame_to_which_the_owner_went_is_named(kind: str) -> None:
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    data = saved(HIDDEN, kind, save_all=True, append_images=[SHOWN, NEXT], **options)
    with Image.open(io.BytesIO(data)) as picture:
        picture.seek(1)
        photo = read_photo(picture)
        word = "page" if kind == "TIFF" else "frame"
        assert (photo.steps, photo.frames) == ((f"{word} 2 of 3 taken",), 3)
        assert furthest(photo.pixels[2:14, 2:22], np.asarray(SHOWN)[2:14, 2:22]) <= 8
        assert picture.tell() == 1
        copied = read_photo(picture.copy())
    assert (copied.steps, copied.frames) == ((), 1)  # a frame taken out is a picture of its own


def test_a_gif_that_breaks_off_later_has_at_least_two_frames() -> None:
    data = saved(SHOWN, "GIF", save_all=True, append_images=[NEXT, HIDDEN, SHOWN])
    photo = read_photo(data[: int(len(data) * 0.9)])
    assert photo.frames >= 2
    assert photo.steps[0].startswith("frame 1 of ")
    np.testing.assert_array_equal(photo.pixels, read_photo(data).pixels)


def mpo(second: Image.Image, **options: Any) -> bytes:
    return saved(SHOWN, "MPO", save_all=True, append_images=[second], quality=95, **options)


def test_a_multi_picture_jpeg_is_its_first_picture() -> None:
    photo = read_photo(mpo(NEXT))
    assert (photo.steps, photo.frames, photo.damage) == (("picture 1 of 2 taken",), 2, None)
    assert furthest(photo.pixels[2:14, 2:22], np.asarray(SHOWN)[2:14, 2:22]) <= 8


def test_what_phones_store_to_show_a_picture_brighter_is_no_picture() -> None:
    data = mpo(NEXT)
    at = data.rindex(b"\xff\xd8\xff") + 2
    gain = b"\xff\xe1" + (2 + 40).to_bytes(2) + b"http://ns.adobe.com/hdr-gain-map hdrgm:".ljust(40)
    grown = data[:at] + gain + data[at:]
    photo = read_photo(grown)
    assert (photo.steps, photo.frames) == ((), 1)


def test_previews_in_a_multi_picture_jpeg_are_not_counted() -> None:
    data = bytearray(mpo(NEXT))
    at = data.index(b"MPF\0") + 4
    assert data[at : at + 4] == b"II*\0"
    place = data.index(struct.pack("<HHI", 0xB002, 7, 32), at)  # two entries of 16 bytes
    (entries,) = struct.unpack_from("<I", data, place + 8)
    struct.pack_into("<I", data, at + entries + 16, 0x010001)
    assert read_photo(bytes(data)).frames == 1


def test_thumbnails_in_exif_are_not_looked_at() -> None:
    small = saved(Image.new("RGB", (160, 120), "white"), "JPEG")
    exif = Image.Exif()
    exif[0x0112] = 1
    block = exif.tobytes() + small
    photo = read_photo(saved(SHOWN, "JPEG", exif=block, quality=95))
    assert (photo.width, photo.height, photo.frames) == (48, 32, 1)


def test_of_several_pictures_in_a_heic_the_primary_is_taken() -> None:
    heif: Any = pytest.importorskip("pillow_heif")
    made = heif.from_pillow(HIDDEN)
    made.add_from_pillow(SHOWN)
    file = io.BytesIO()
    made.save(file, quality=95, primary_index=1)
    photo = read_photo(file.getvalue())
    assert (photo.steps, photo.frames) == (("picture 2 of 2 taken",), 2)
    assert furthest(photo.pixels[2:14, 2:22], np.asarray(SHOWN)[2:14, 2:22]) <= 8
    assert read_photo(heic(SHOWN)).frames == 1


def test_the_cover_of_a_heic_sequence_is_said_to_be_one() -> None:
    data = heic(SHOWN, quality=95) + (8).to_bytes(4) + b"moov"
    assert read_photo(data).steps == ("cover picture of a sequence taken",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "AVIF", "TIFF"])
def test_one_picture_is_one_picture(kind: str) -> None:
    photo = open_source(saved(SHOWN, kind)).photo
    assert (photo.steps, photo.frames) == ((), 1)
