import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import furthest, heic, noise_image, quarters, saved
from veridical.arrays import ndarray
from veridical.cli.options import limits_of
from veridical.errors import FormatNotInstalled, NotAPhoto, PhotoDamaged, PhotoEmpty, PhotoTooLarge
from veridical.io.formats import SUFFIXES, Limits, check_size, known_format
from veridical.io.header import read_header
from veridical.io.source import Source, read_photo

INNER = (slice(2, 14), slice(2, 22))  # away from the edges, where chroma bleeds
ALL = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")


# --- what is read ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_come_back_to_the_bit(kind: str) -> None:
    data = saved(quarters(), kind)
    photo = read_photo(data)
    assert (known_format(data, "a"), photo.steps) == (kind, ())
    np.testing.assert_array_equal(photo.pixels, np.asarray(quarters()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "AVIF"])
def test_lossy_formats_come_back_alike(kind: str) -> None:
    options = {} if kind == "GIF" else {"quality": 95}
    data = saved(quarters(), kind, **options)
    assert known_format(data, "a") == kind
    assert furthest(read_photo(data).pixels[INNER], np.asarray(quarters())[INNER]) <= 8


def test_heic_is_read_where_its_decoder_is_installed() -> None:
    data = heic(quarters(), quality=95)
    assert known_format(data, "a") == "HEIF"
    assert furthest(read_photo(data).pixels[INNER], np.asarray(quarters())[INNER]) <= 8


def test_heic_without_its_decoder_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    with pytest.raises(FormatNotInstalled, match=r"pip install 'veridical\[heic\]'"):
        read_photo(data)


def test_the_heic_package_is_not_imported_for_other_formats() -> None:
    code = "import sys, veridical.io.source; sys.exit('pillow_heif' in sys.modules)"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


def test_every_format_that_is_read_has_a_suffix() -> None:
    assert set(SUFFIXES.values()) == {*ALL, "HEIF"}


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"BMW is a car", "text"),
        (b"  <!DOCTYPE html><html>", "an HTML page"),
        (b'<?xml version="1.0"?><svg xmlns="x"/>', "an SVG drawing"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "a PostScript document"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", "an MP4 or QuickTime video"),
        (b"P6 1 1 255 \0\0\0", r"no format we know \(it begins with 50 36 20 31"),
    ],
)
def test_what_is_no_photo_is_named(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(data)
    with pytest.raises(
        NotAPhoto, match=rf"face\.jpg: is {says}.*picture was wanted.*(Pass a JPEG|Clips are)"
    ):
        read_photo(path)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_a_file_that_was_not_written_to_its_end_is_damaged(kind: str) -> None:
    data = saved(noise_image(160), kind, quality=90)
    half = len(data) // 2
    damage = read_photo(data[:half] + bytes(len(data) - half)).damage
    assert damage is not None
    assert damage.kind == "cut_off"
    assert 0.45 < damage.share <= 0.55
    assert (damage.area.width, damage.area.height) == (160, 160)


# --- camera raw --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "raw"),
    [
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(64), "CR2"),
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom" + bytes(64), "CR3"),
        (b"IIRO\x08\0\0\0" + bytes(64), "ORF"),
        (b"IIU\0\x18\0\0\0" + bytes(64), "RW2"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(64), "RAF"),
    ],
)
def test_a_camera_raw_file_is_named_and_its_preview_not_judged(data: bytes, raw: str) -> None:
    with pytest.raises(NotAPhoto, match=rf"a camera raw file \({raw}\); a picture was wanted"):
        read_photo(data)


@pytest.mark.parametrize("suffix", [".nef", ".ARW", ".dng"])
def test_a_tiff_that_is_named_like_a_camera_raw_file_is_one(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(saved(quarters(), "TIFF"))
    with pytest.raises(NotAPhoto, match=rf"camera raw file \({suffix[1:].upper()}\)"):
        read_photo(path)


def test_a_heic_sequence_without_a_still_picture_is_named() -> None:
    data = b"\0\0\0\x18ftyphevc\0\0\0\0msf1hevc" + b"\0\0\0\x10moov" + bytes(8)
    with pytest.raises(NotAPhoto, match="a HEIC sequence without a still picture"):
        read_photo(data)


READS: list[Callable[..., object]] = [read_photo, read_header]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", PhotoEmpty), (b"words", NotAPhoto), (b"\xff\xd8\xff\xe0", PhotoDamaged)],
)
def test_what_is_no_picture_is_refused_by_header_and_decoder_alike(
    data: bytes, error: type[Exception], read: Callable[..., object]
) -> None:
    with pytest.raises(error):
        read(data)


# --- limits ------------------------------------------------------------------------------------


def test_the_option_that_is_named_is_enough() -> None:
    for size, limits, enough in (
        ((3000, 2000), Limits(max_pixels=10**6), 7),
        ((40_000, 10), Limits(), 251),
    ):
        with pytest.raises(PhotoTooLarge) as caught:
            check_size("a", size, limits)
        assert f"--max-megapixels {enough}" in (caught.value.cli_hint or "")
        check_size("a", size, limits_of(enough, None, None))


@pytest.mark.parametrize("limits", [Limits(max_side=47), Limits(max_pixels=48 * 32 - 1)])
@pytest.mark.parametrize(
    "source", [saved(quarters(), "JPEG"), quarters(), np.asarray(quarters())], ids=type
)
def test_too_many_pixels_are_refused_with_both_numbers(source: Source, limits: Limits) -> None:
    with pytest.raises(PhotoTooLarge, match=r"48 x 32 px; at most (47|1535) px"):
        read_photo(source, limits)
    assert read_photo(source, Limits(max_side=48, max_pixels=48 * 32)).width == 48


def test_hints_about_limits_speak_of_the_field_and_of_the_option() -> None:
    cases = (
        (Limits(max_side=40), "pixels", "megapixels"),
        (Limits(max_bytes=9), "bytes", "mbytes"),
    )
    for limits, field, option in cases:
        with pytest.raises(PhotoTooLarge, match=f"raise Limits.max_{field}|Raise") as caught:
            read_photo(saved(quarters(), "PNG"), limits)
        assert f"Limits.max_{field}" in caught.value.hint
        assert f"--max-{option}" in (caught.value.cli_hint or "")


def test_pictures_of_phones_with_200_megapixels_are_within_the_limits() -> None:
    usual = Limits()
    assert usual.max_pixels > 16320 * 12240
    assert usual.max_side > 16320


def test_a_header_is_read_within_limits() -> None:
    with pytest.raises(PhotoTooLarge):
        read_header(saved(quarters(), "PNG"), Limits(max_side=40))


def empty() -> list[bytes | ndarray | Image.Image]:
    return [b"", np.zeros((0, 4, 3), np.uint8), Image.new("RGB", (0, 0))]


@pytest.mark.parametrize("nothing", empty(), ids=type)
def test_nothing_at_all_is_refused(nothing: Source) -> None:
    with pytest.raises(PhotoEmpty):
        read_photo(nothing)
