"""Of a damaged file of any format is kept what came, and it is said what did not."""

import io
import re
import struct

import numpy as np
import pytest
from PIL import TiffImagePlugin

from tests.conftest import heic, noise_image, saved
from veridical.arrays import ndarray
from veridical.errors import PhotoDamaged
from veridical.io import jpeg
from veridical.io.decode import Photo
from veridical.io.source import read_photo

NOISE = noise_image(96)
PIXELS = np.asarray(NOISE)


def whole(data: bytes) -> ndarray:
    photo = read_photo(data)
    assert photo.damage is None
    return photo.pixels


def attempt(data: bytes) -> Photo | PhotoDamaged:
    try:
        return read_photo(data)
    except PhotoDamaged as error:
        return error


def rows_of(photo: Photo) -> tuple[int, int]:
    assert photo.damage is not None
    area = photo.damage.area
    assert (area.left, area.width) == (0, photo.width)
    return round(area.top), round(area.top + area.height)


def agrees_outside(data: bytes, first: bytes) -> Photo:
    """A damaged photo that is the whole one outside its damage, and black in it."""
    photo, right = read_photo(data), whole(first)
    top, bottom = rows_of(photo)
    outside = [*range(top), *range(bottom, photo.height)]
    np.testing.assert_array_equal(photo.pixels[outside], right[outside])
    assert photo.pixels[top:bottom].max() == 0
    return photo


# --- BMP -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("mode", ["RGB", "L", "1"])
def test_the_upper_rows_of_a_bmp_come_last(mode: str, share: float) -> None:
    data = saved(NOISE.convert(mode), "BMP")
    begin = int.from_bytes(data[10:14], "little")
    photo = agrees_outside(data[: begin + int((len(data) - begin) * share)], data)
    assert photo.damage is not None
    assert photo.damage.area.top == 0
    assert photo.damage.share == pytest.approx(1 - share, abs=0.02)


def test_the_lower_rows_of_a_bmp_that_stands_upright_come_last() -> None:
    data = bytearray(saved(NOISE, "BMP"))
    data[22:26] = struct.pack("<i", -96)
    assert rows_of(agrees_outside(bytes(data[:-2000]), bytes(data)))[1] == 96


# --- GIF -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_the_rows_of_a_gif_that_breaks_off_are_counted(share: float) -> None:
    data = saved(NOISE, "GIF", interlace=0)
    begin = data.index(b"\x2c\0\0\0\0\x60\0\x60") + 11
    photo = agrees_outside(data[: begin + int((len(data) - begin) * share)], data)
    assert photo.damage is not None
    assert photo.damage.kind == "cut_off"
    assert photo.damage.share == pytest.approx(1 - share, abs=0.1)


@pytest.mark.parametrize("colours", [2, 4, 16, 200, 256])
def test_what_came_of_a_gif_is_right_with_any_number_of_colours(colours: int) -> None:
    picture = NOISE.resize((300, 300)).quantize(colours)
    data = saved(picture, "GIF", interlace=0)
    agrees_outside(data[: len(data) * 2 // 3], data)


def test_of_an_interlaced_gif_that_breaks_off_every_row_may_be_wrong() -> None:
    data = saved(NOISE, "GIF", interlace=1)
    photo = read_photo(data[: len(data) * 2 // 3])
    assert rows_of(photo) == (0, 96)
    assert photo.damage is not None
    assert 0.2 < photo.damage.share < 0.6


# --- TIFF ----------------------------------------------------------------------------------------


def tiff(compression: str, **options: object) -> bytes:
    """A TIFF of 24 strips or so whose directory stands where a cut does not reach."""
    options = {"strip_size": 96 * 3 * 4, **options}
    return saved(NOISE, "TIFF", compression=compression, **options)


def strips(data: bytes) -> list[tuple[int, int]]:
    """Place and length of each strip."""
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    return list(zip(image.tag_v2[273], image.tag_v2[279], strict=True))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "jpeg"])
@pytest.mark.parametrize("big", [False, True])
def test_strips_that_are_torn_are_lost_and_no_others(compression: str, big: bool) -> None:
    data = tiff(compression, big_tiff=big)
    places = strips(data)
    torn, (at, size) = bytearray(data), places[10]
    torn[at : at + size] = bytes(size)
    photo = read_photo(bytes(torn))
    top, bottom = rows_of(photo)
    each = 96 // len(places) if compression != "jpeg" else bottom - top
    assert (top, bottom) == (10 * each, 11 * each)
    outside = [*range(top - 1), *range(bottom + 1, 96)]  # colour of JPEG runs over by a row
    np.testing.assert_array_equal(photo.pixels[outside], whole(data)[outside])
    assert photo.damage is not None
    assert photo.damage.kind == "corrupt"
    assert photo.damage.share == pytest.approx(1 / len(places), rel=0.5)


def test_a_torn_tiff_is_told_in_the_report_and_not_by_libtiff(
    capfd: pytest.CaptureFixture[str],
) -> None:
    data = tiff("tiff_lzw")
    at, size = strips(data)[10]
    assert read_photo(data[:at] + bytes(size) + data[at + size :]).damage is not None
    assert capfd.readouterr() == ("", "")


def test_strips_that_do_not_lie_in_the_file_are_lost() -> None:
    data = bytearray(tiff("tiff_lzw"))
    places = strips(bytes(data))
    at = data.index(struct.pack("<2I", places[20][0], places[21][0]))
    data[at : at + 8] = struct.pack("<2I", len(data), len(data) + 5)
    photo = read_photo(bytes(data))
    assert photo.damage is not None
    assert photo.damage.kind == "cut_off"
    assert rows_of(photo) == (80, 88)


def test_rows_of_a_plain_tiff_that_breaks_off_are_counted() -> None:
    data = saved(NOISE, "TIFF")
    assert rows_of(agrees_outside(data[:-9000], data)) == (64, 96)


def test_a_damaged_tiff_that_is_turned_is_damaged_where_it_shows() -> None:
    data = saved(NOISE.crop((0, 0, 96, 64)), "TIFF", tiffinfo={0x0112: 6})
    photo = read_photo(data[: -96 * 3 * 16])
    assert photo.damage is not None
    area = photo.damage.area
    assert (photo.width, photo.height) == (64, 96)
    assert (area.left, area.top, area.width, area.height) == (0, 0, 16, 96)
    assert photo.pixels[:, :16].max() == 0
    assert photo.pixels[:, 16:].min(axis=(0, 2)).size == 48


def test_a_tiff_without_its_directory_is_refused_in_plain_words() -> None:
    data = tiff("tiff_lzw")
    with pytest.raises(PhotoDamaged, match=r"ends early: \d+ of the \d+ bytes that it announces"):
        read_photo(data[: len(data) // 2])


# --- WebP, AVIF, HEIC ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "HEIF"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_what_is_packed_in_one_piece_is_damaged_all_over_or_refused(
    kind: str, share: float
) -> None:
    data = heic(NOISE) if kind == "HEIF" else saved(NOISE, kind)
    cut = data[: int(len(data) * share)]
    found = attempt(cut)
    if isinstance(found, PhotoDamaged):
        assert re.search("ends? early", found.message)
        return
    assert rows_of(found) == (0, 96)
    assert found.damage is not None
    assert found.damage.share == pytest.approx(1 - share, abs=0.01)


def test_what_is_missing_behind_the_pixels_is_no_damage() -> None:
    data = saved(NOISE, "WEBP", exif=b"Exif\0\0" + bytes(400))
    photo = read_photo(data[:-100])
    assert photo.damage is None
    assert photo.steps == ("the file ends early, behind its pixels",)
    np.testing.assert_array_equal(photo.pixels, whole(data))


# --- JPEG ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("marker", [0xC4, 0xDB, 0xC0, 0xF7, 0xDA])
def test_a_jpeg_is_decoded_up_to_where_its_decoder_gives_up(marker: int) -> None:
    data = saved(NOISE, "JPEG", quality=90)
    half = len(data) * 2 // 3
    broken = data[:half] + bytes([0xFF, marker, 0, 9]) + b"\x13" * 8 + data[half:]
    photo = read_photo(broken)
    assert photo.damage is not None
    assert photo.damage.kind == "corrupt"
    assert 0.1 < photo.damage.share < 0.6
    np.testing.assert_array_equal(photo.pixels[:40], whole(data)[:40])


def test_a_jpeg_that_cannot_be_decoded_at_all_is_not_mended() -> None:
    data = saved(NOISE, "JPEG")
    assert jpeg.mend(data.replace(b"\xff\xc4", b"\xff\xfe"), lambda _: False) is None


# --- words ---------------------------------------------------------------------------------------

INNER = re.compile(r"Pillow|OSError|Error|numpy|stream|decoder error|begins like a ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_no_words_of_the_decoder_reach_people(kind: str, share: float) -> None:
    data = saved(NOISE, kind)
    found = attempt(data[: max(16, int(len(data) * share))])
    if isinstance(found, PhotoDamaged):
        assert not INNER.search(f"{found.message} {found.hint} {found.cli_hint}")
    else:
        assert found.damage is not None
