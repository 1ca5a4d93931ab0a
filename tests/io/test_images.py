import hashlib
import io
import os
import struct
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms, ImageOps

from veridical.arrays import ndarray
from veridical.errors import (
    FormatNotInstalled,
    NotAPhoto,
    PhotoDamaged,
    PhotoEmpty,
    PhotoMissing,
    PhotoTooLarge,
    PhotoUnreadable,
)
from veridical.io import images
from veridical.io.images import Limits, read_header, read_photo

RED, GREEN, BLUE, GREY = (200, 30, 40), (20, 160, 60), (30, 60, 190), (120, 120, 120)


def painted(mode: str = "RGB") -> Image.Image:
    """48 x 32 px in four flat quarters, so that lossy formats keep their colours and corners."""
    picture = Image.new("RGB", (48, 32), RED)
    for colour, corner in ((GREEN, (24, 0)), (BLUE, (0, 16)), (GREY, (24, 16))):
        picture.paste(colour, (*corner, corner[0] + 24, corner[1] + 16))
    return picture.convert(mode)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def heic(picture: Image.Image, **options: Any) -> bytes:
    heif: Any = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(picture).save(file, **options)
    return file.getvalue()


def pixels(source: images.Source) -> ndarray:
    return read_photo(source).pixels


def distance(a: ndarray, b: ndarray | Image.Image) -> int:
    assert a.shape == np.asarray(b).shape
    return int(np.abs(a.astype(int) - np.asarray(b)).max())


# --- formats -------------------------------------------------------------------------------------

LOSSLESS = ("PNG", "BMP", "TIFF")


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_come_back_to_the_bit(kind: str) -> None:
    photo = read_photo(saved(painted(), kind))
    assert photo.format == kind
    assert photo.steps == ()
    np.testing.assert_array_equal(photo.pixels, np.asarray(painted()))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "AVIF"])
def test_lossy_formats_come_back_alike(kind: str) -> None:
    options = {} if kind == "GIF" else {"quality": 95}
    photo = read_photo(saved(painted(), kind, **options))
    assert photo.format == kind
    inner = (slice(2, 14), slice(2, 22))  # away from the edges, where chroma bleeds
    assert distance(photo.pixels[inner], np.asarray(painted())[inner]) <= 8


def test_heic_is_read_where_its_decoder_is_installed() -> None:
    photo = read_photo(heic(painted(), quality=95))
    assert photo.format == "HEIF"
    inner = (slice(2, 14), slice(2, 22))
    assert distance(photo.pixels[inner], np.asarray(painted())[inner]) <= 8


def test_heic_without_its_decoder_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
    with pytest.raises(FormatNotInstalled, match=r"pip install 'veridical\[heic\]'"):
        read_photo(data)


def test_heic_is_not_decoded_by_waking_its_package_for_other_formats() -> None:
    code = "import sys, veridical.io.images; sys.exit('pillow_heif' in sys.modules)"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0


def test_progressive_and_greyscale_jpegs_are_ordinary() -> None:
    assert distance(pixels(saved(painted(), "JPEG", quality=95, progressive=True)), painted()) < 90
    grey = pixels(saved(painted("L"), "JPEG", quality=100))
    assert distance(grey, painted("L").convert("RGB")) <= 3


def test_a_jpeg_is_decoded_exactly_as_pillow_decodes_it() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (45, 61, 3), np.uint8)
    data = saved(Image.fromarray(noise), "JPEG", quality=80)
    np.testing.assert_array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken_and_said_so(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(
        painted(), kind, save_all=True, append_images=[Image.new("RGB", (48, 32))], **options
    )
    photo = read_photo(data)
    assert photo.steps == ("first frame of several taken",)
    assert distance(photo.pixels, painted()) <= (0 if kind != "GIF" else 4)


def test_one_pixel_is_a_photo() -> None:
    assert pixels(saved(Image.new("RGB", (1, 1), RED), "PNG")).tolist() == [[list(RED)]]


# --- orientation ---------------------------------------------------------------------------------


def turned(orientation: int, order: str) -> bytes:
    """EXIF that says no more than the orientation."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_come_out_upright(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if kind == "PNG" else {"quality": 95}
    data = saved(painted(), kind, exif=exif, **options)
    photo = read_photo(data)
    assert photo.steps == ((f"EXIF orientation {orientation} applied",) * (orientation > 1))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(photo.pixels, np.asarray(expected))
    assert photo.pixels.shape == ((48, 32, 3) if orientation > 4 else (32, 48, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_once(orientation: int) -> None:
    photo = read_photo(saved(painted(), "TIFF", tiffinfo={0x0112: orientation}))
    picture = painted()
    picture.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(photo.pixels, np.asarray(ImageOps.exif_transpose(picture)))
    assert photo.steps == ((f"EXIF orientation {orientation} applied",) * (orientation > 1))


def test_a_heic_is_turned_once() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = read_photo(heic(painted(), quality=95, exif=exif.tobytes()))
    assert photo.pixels.shape == (48, 32, 3)
    assert distance(photo.pixels[2:10, 20:30], np.full((8, 10, 3), RED)) <= 8


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_exif_are_read(order: str) -> None:
    photo = read_photo(saved(painted(), "PNG", exif=turned(6, order)))
    assert photo.steps == ("EXIF orientation 6 applied",)


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"rubbish", turned(0, "<"), turned(9, ">")])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_odd_exif_costs_a_picture_nothing(kind: str, exif: bytes) -> None:
    photo = read_photo(saved(painted(), kind, exif=b"Exif\0\0" + exif))
    assert photo.steps == ()
    assert photo.pixels.shape == (32, 48, 3)


# --- sources -------------------------------------------------------------------------------------


def test_every_way_in_gives_the_same_photo(tmp_path: Path) -> None:
    data = saved(painted(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with path.open("rb") as file:
        ways = [read_photo(way) for way in (path, str(path), data, io.BytesIO(data), file)]
    assert {way.sha256 for way in ways} == {hashlib.sha256(data).hexdigest()}
    assert {way.pixels.tobytes() for way in ways} == {painted().tobytes()}
    assert [way.path for way in ways] == [str(path), str(path), None, None, None]


def test_without_bytes_the_fingerprint_is_of_the_pixels() -> None:
    picture, array = read_photo(painted()), read_photo(np.asarray(painted()))
    assert picture.sha256 == array.sha256 == images.fingerprint(array.pixels)
    wanted = hashlib.sha256(b"32x48 " + painted().tobytes()).hexdigest()
    assert array.sha256 == wanted
    assert images.fingerprint(array.pixels.reshape(48, 32, 3)) != wanted


@pytest.mark.parametrize("source", [saved(painted(), "JPEG"), painted(), np.asarray(painted())])
def test_the_pixels_are_read_only(source: images.Source) -> None:
    photo = read_photo(source)
    assert photo.pixels.dtype == np.uint8
    assert not photo.pixels.flags.writeable


def test_a_photo_does_not_change_when_its_source_does() -> None:
    array = np.zeros((4, 4, 3), np.uint8)
    picture = Image.fromarray(array)
    photos = read_photo(array), read_photo(picture)
    array[:] = 255
    picture.paste("white", (0, 0, 4, 4))
    assert all(photo.pixels.max() == 0 for photo in photos)


def test_a_pillow_image_is_turned_like_its_file() -> None:
    data = saved(painted(), "PNG", exif=turned(8, "<"))
    with Image.open(io.BytesIO(data)) as picture:
        np.testing.assert_array_equal(read_photo(picture).pixels, pixels(data))


@given(arrays(np.uint16, (3, 4, 3)))
def test_arrays_of_sixteen_bits_are_scaled_to_the_nearest(array: ndarray) -> None:
    np.testing.assert_array_equal(pixels(array), np.rint(array / 257))


@given(arrays(np.float64, (3, 4), elements=st.floats(0, 1)))
def test_arrays_of_floats_are_scaled_to_the_nearest(array: ndarray) -> None:
    np.testing.assert_array_equal(pixels(array)[:, :, 2], np.rint(array * 255))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_arrays_may_be_grey_colour_or_transparent(shape: tuple[int, ...]) -> None:
    assert (pixels(np.full(shape, 255, np.uint8)) == 255).all()
    assert pixels(np.zeros(shape, np.uint8)[::-1]).shape == (5, 7, 3)


def test_a_transparent_array_is_laid_over_white() -> None:
    assert (pixels(np.zeros((2, 2, 4), np.uint8)) == 255).all()


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 224, 224), np.uint8), "Channels come last"),
        (np.zeros((1, 8, 8, 3), np.uint8), "one at a time"),
        (np.zeros((8, 8), np.int64), "type int64"),
        (np.zeros((8, 8), bool), "type bool"),
        (np.full((8, 8), 2.0), r"floats in \[0, 1\]"),
        (np.full((8, 8), np.nan), r"floats in \[0, 1\]"),
    ],
)
def test_other_arrays_are_refused_with_a_reason(array: ndarray, says: str) -> None:
    with pytest.raises(NotAPhoto, match=says):
        read_photo(array)


def test_nothing_at_all_is_refused() -> None:
    for nothing in (b"", io.BytesIO(), np.zeros((0, 4, 3), np.uint8), Image.new("RGB", (0, 0))):
        with pytest.raises(PhotoEmpty):
            read_photo(nothing)


# --- errors --------------------------------------------------------------------------------------


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
    with pytest.raises(NotAPhoto, match=rf"face\.jpg: is {says}.*picture was wanted.*Pass a JPEG"):
        read_photo(path)


def test_a_wrong_suffix_is_a_step_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "face.PNG"
    path.write_bytes(saved(painted(), "JPEG"))
    assert read_photo(path).steps == ("named .png, is JPEG",)
    path = path.rename(tmp_path / "face.jpeg")
    assert read_photo(path).steps == ()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_picture_that_breaks_off_is_damaged(kind: str, share: float) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    with pytest.raises(PhotoDamaged, match=f"begins like a {kind} file, and cannot be decoded"):
        read_photo(data[: int(len(data) * share)])


def test_a_missing_file_a_folder_and_an_impossible_name_are_missing(tmp_path: Path) -> None:
    with pytest.raises(PhotoMissing, match="no such file"):
        read_photo(tmp_path / "nobody.jpg")
    with pytest.raises(PhotoMissing, match="is a folder"):
        read_photo(tmp_path)
    with pytest.raises(PhotoMissing, match="no such file"):
        read_photo("face\0.jpg")


def test_a_file_we_may_not_read_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "a.jpg"
    path.write_bytes(saved(painted(), "JPEG"))
    monkeypatch.setattr("veridical.io.images.os.open", refuse)
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


def test_too_many_bytes_are_refused_from_every_source(tmp_path: Path) -> None:
    data, limits = saved(painted(), "PNG"), Limits(max_bytes=50)
    path = tmp_path / "a.png"
    path.write_bytes(data)
    for source in (data, path, io.BytesIO(data)):
        with pytest.raises(PhotoTooLarge, match="the limit is 50"):
            read_photo(source, limits)
    assert read_photo(data, Limits(max_bytes=len(data))).format == "PNG"


@pytest.mark.parametrize("limits", [Limits(max_side=47), Limits(max_pixels=48 * 32 - 1)])
@pytest.mark.parametrize(
    "source", [saved(painted(), "JPEG"), painted(), np.asarray(painted())], ids=type
)
def test_too_many_pixels_are_refused_with_both_numbers(
    source: images.Source, limits: Limits
) -> None:
    with pytest.raises(PhotoTooLarge, match=rf"48 x 32 px; at most {limits.max_pixels} px"):
        read_photo(source, limits)
    assert read_photo(source, Limits(max_side=48, max_pixels=48 * 32)).pixels.shape[1] == 48


# --- threads -------------------------------------------------------------------------------------


def test_threads_agree_and_leave_the_warning_filters_alone() -> None:
    data = saved(painted(), "JPEG", exif=turned(6, ">"))
    before = list(warnings.filters)
    read: Callable[[bytes], bytes] = lambda data: read_photo(data).pixels.tobytes()  # noqa: E731
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(read, [data] * 16))) == 1
    assert list(warnings.filters) == before


# --- headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "says"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_says_how_it_was_encoded(code: int, says: str, progressive: bool) -> None:
    data = saved(painted(), "JPEG", quality=80, subsampling=code, progressive=progressive)
    header = read_header(data)
    assert (header.format, header.mode, header.subsampling) == ("JPEG", "RGB", says)
    assert header.progressive is progressive
    assert [len(table) for table in header.tables] == [64, 64]
    with Image.open(io.BytesIO(data)) as pillow:
        assert list(map(list, header.tables)) == list(vars(pillow)["quantization"].values())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_header_says_what_comes_beside_the_pixels(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = read_header(saved(painted(), kind))
    full = read_header(saved(painted(), kind, exif=exif, icc_profile=profile))
    assert (plain.format, plain.exif, plain.profile) == (kind, False, False)
    assert (full.format, full.exif, full.profile) == (kind, True, True)


def test_what_is_no_jpeg_has_no_tables_and_a_grey_one_no_subsampling() -> None:
    png = read_header(saved(painted("RGBA"), "PNG"))
    assert (png.mode, png.tables, png.subsampling, png.progressive) == ("RGBA", (), None, False)
    grey = read_header(saved(painted("L"), "JPEG"))
    assert (grey.mode, grey.subsampling, len(grey.tables)) == ("L", None, 1)


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"", PhotoEmpty), (b"words", NotAPhoto), (b"\xff\xd8\xff\xe0", PhotoDamaged)],
)
def test_a_header_of_no_picture_is_an_error_of_ours(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_header(data)


def test_a_header_is_read_within_limits() -> None:
    with pytest.raises(PhotoTooLarge):
        read_header(saved(painted(), "PNG"), Limits(max_side=40))
