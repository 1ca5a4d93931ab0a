import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.conftest import exif_of, heic, noise_image, quarters, saved
from veridical.errors import PhotoError
from veridical.io.header import Header, jpeg_quality, orientation_of, read_header

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BARE = exif_of(6).removeprefix(b"Exif\0\0")
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


# --- what every format says --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_header_keeps_exif_xmp_and_profile_as_they_are(kind: str) -> None:
    extra = {"pnginfo": png_xmp()} if kind == "PNG" else {"xmp": XMP}
    plain = read_header(saved(quarters(), kind))
    assert (plain.format, plain.exif, plain.xmp, plain.profile) == (kind, b"", b"", b"")
    assert plain.orientation == 1
    data = saved(quarters(), kind, exif=exif_of(6), icc_profile=PROFILE, **extra)
    full = read_header(data)
    if kind != "AVIF":  # whose EXIF Pillow writes anew
        assert full.exif.removeprefix(b"Exif\0\0") == BARE
    assert (full.xmp, full.profile, full.orientation) == (XMP, PROFILE, 6)
    assert (full.width, full.height) == (48, 32)  # as stored


def png_xmp() -> PngInfo:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return info


def test_a_heic_says_what_it_holds() -> None:
    found = read_header(heic(quarters(), exif=exif_of(1), xmp=XMP))
    assert (found.format, found.width, found.height) == ("HEIF", 48, 32)
    assert found.exif.endswith(exif_of(1).removeprefix(b"Exif\0\0"))
    assert found.xmp == XMP


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_says_its_orientation(orientation: int) -> None:
    found = read_header(saved(quarters(), "TIFF", tiffinfo={0x0112: orientation}))
    assert found.orientation == orientation


def test_a_turned_file_is_described_as_it_is_stored() -> None:
    found = read_header(saved(quarters(), "JPEG", exif=exif_of(6)))
    assert (found.width, found.height, found.orientation) == (48, 32, 6)


# --- text --------------------------------------------------------------------------------------


def test_text_chunks_of_a_png_are_kept_by_key() -> None:
    info = PngInfo()
    info.add_text("parameters", "a portrait, 85 mm")
    info.add_text("Software", "made", zip=True)
    info.add_itxt("Überschrift", "größer")
    found = read_header(saved(quarters(), "PNG", pnginfo=info))
    assert found.text == {
        "parameters": "a portrait, 85 mm",
        "Software": "made",
        "Überschrift": "größer",
    }


@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_a_comment_is_text(kind: str) -> None:
    found = read_header(saved(quarters(), kind, comment=b"hello \xff"))
    assert found.text == {"comment": "hello \\xff"}
    assert read_header(saved(quarters(), kind)).text == {}


def test_only_so_many_text_chunks_are_kept() -> None:
    info = PngInfo()
    for number in range(150):
        info.add_text(f"key {number}", "value")
    assert len(read_header(saved(quarters(), "PNG", pnginfo=info)).text) == 100


# --- EXIF --------------------------------------------------------------------------------------


@given(st.binary(max_size=80))
def test_whatever_exif_is_its_orientation_is_one_of_eight(data: bytes) -> None:
    for exif in (data, b"II*\0" + data, b"Exif\0\0MM\0*" + data):
        assert 1 <= orientation_of(exif) <= 8


def test_an_orientation_behind_other_tags_is_found() -> None:
    entries = struct.pack("<HHII", 0x010F, 2, 4, 0) + struct.pack("<HHIH2x", 0x0112, 3, 1, 8)
    exif = b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    assert orientation_of(exif) == 8
    assert orientation_of(b"Exif\0\0" + exif) == 8
    assert orientation_of(exif[:-10]) == 1  # it breaks off
    long = struct.pack("<HHII", 0x0112, 4, 1, 3)
    assert orientation_of(b"II*\0" + struct.pack("<IH", 8, 1) + long) == 3


# --- JPEG --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "says"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_says_how_it_was_encoded(code: int, says: str, progressive: bool) -> None:
    data = saved(quarters(), "JPEG", quality=80, subsampling=code, progressive=progressive)
    header = read_header(data)
    assert (header.format, header.mode, header.subsampling) == ("JPEG", "RGB", says)
    assert header.progressive is progressive
    assert [len(table) for table in header.tables] == [64, 64]
    with Image.open(io.BytesIO(data)) as pillow:
        assert list(map(list, header.tables)) == list(vars(pillow)["quantization"].values())


def test_what_is_no_jpeg_has_no_tables_and_a_grey_one_no_subsampling() -> None:
    png = read_header(saved(quarters("RGBA"), "PNG"))
    assert (png.mode, png.tables, png.subsampling, png.progressive) == ("RGBA", (), None, False)
    assert png.quality is None
    grey = read_header(saved(quarters("L"), "JPEG"))
    assert (grey.mode, grey.subsampling, len(grey.tables)) == ("L", None, 1)


@pytest.mark.parametrize("quality", [5, 30, 49, 50, 75, 91, 99, 100])
def test_the_quality_is_the_one_it_was_saved_at(quality: int) -> None:
    found = read_header(saved(noise_image(), "JPEG", quality=quality))
    assert found.quality == jpeg_quality(found.tables[0]) == (quality, 0)


def test_other_tables_get_the_nearest_quality_and_how_far_it_is() -> None:
    known = [
        np.array(read_header(saved(noise_image(), "JPEG", quality=quality)).tables[0])
        for quality in range(1, 101)
    ]
    draw = np.random.default_rng(0)
    for _ in range(20):
        table = draw.integers(1, 120, 64)
        away = [float(np.abs(table - one).mean()) for one in known]
        quality, least = jpeg_quality(tuple(table.tolist()))
        assert least == min(away)
        assert away[quality - 1] == least


# --- hostile headers ---------------------------------------------------------------------------


@settings(max_examples=300)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"]),
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=5),
    st.floats(0, 1),
)
def test_a_damaged_header_is_a_header_or_an_error_of_ours(
    kind: str, blows: list[tuple[float, bytes]], kept: float
) -> None:
    data = bytearray(FULL[kind])
    for place, blow in blows:
        at = int(place * len(data))
        data[at : at + len(blow)] = blow
    try:
        found = read_header(bytes(data[: int(kept * len(data)) + 1]))
    except PhotoError:
        return
    assert isinstance(found, Header)
    assert 1 <= found.orientation <= 8
    assert all(1 <= number[0] <= 100 for number in [found.quality] if number)


def full(kind: str) -> bytes:
    if kind in ("BMP", "GIF"):
        return saved(quarters(), kind)
    if kind == "TIFF":
        return saved(quarters(), kind, tiffinfo={0x0112: 6})
    return saved(quarters(), kind, exif=exif_of(6), icc_profile=PROFILE)


FULL = {kind: full(kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")}


@pytest.mark.parametrize("table", [0x01, 0x11, 0x2F])  # another number, 16 bits, no such number
def test_a_jpeg_whose_table_is_another_is_a_header_or_an_error_of_ours(table: int) -> None:
    data = bytearray(saved(quarters("L"), "JPEG", quality=50))
    data[data.index(b"\xff\xdb") + 4] = table
    try:
        found = read_header(bytes(data))
    except PhotoError:
        return
    assert found.quality is None or 1 <= found.quality[0] <= 100
