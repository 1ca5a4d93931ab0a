"""Damage in JPEGs is found, and nothing is found in whole ones."""

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import exif_of, paint_faces, saved
from veridical.errors import PhotoDamaged
from veridical.io import jpeg
from veridical.io.source import open_source, read_photo

END = b"\xff\xd9"


def painted(height: int = 240, width: int = 320) -> Image.Image:
    """A picture whose data are spread over all of it."""
    pixels = paint_faces(height, width, (120, 60, 80, 100)).astype(int)
    noise = np.random.default_rng(5).integers(-12, 13, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


PLAIN = saved(painted(), "JPEG", quality=85)
PROGRESSIVE = saved(painted(), "JPEG", quality=85, progressive=True)
RESTARTS = saved(painted(), "JPEG", quality=85, restart_marker_rows=1)


def multi_picture() -> bytes:
    file = io.BytesIO()
    painted().save(
        file,
        "MPO",
        save_all=True,
        append_images=[painted().transpose(Image.Transpose.FLIP_TOP_BOTTOM)],
    )
    return file.getvalue()


def damage(data: bytes) -> Any:
    return read_photo(data).damage


def is_named(data: bytes) -> bool:
    """Whether a damaged JPEG is said to be one: in the report, or because nothing comes of it."""
    try:
        return damage(data) is not None
    except PhotoDamaged:
        return True


# --- innocence -----------------------------------------------------------------------------------

WHOLE = {
    "plain": PLAIN,
    "progressive": PROGRESSIVE,
    "restart markers": RESTARTS,
    "a restart marker after each block": saved(painted(), "JPEG", restart_marker_blocks=1),
    "grey": saved(painted().convert("L"), "JPEG"),
    "CMYK": saved(painted().convert("CMYK"), "JPEG"),
    "RGB": saved(painted(), "JPEG", keep_rgb=True),
    "without subsampling": saved(painted(), "JPEG", subsampling=0),
    "one pixel": saved(Image.new("RGB", (1, 1)), "JPEG"),
    "flat": saved(Image.new("RGB", (640, 640), "white"), "JPEG", optimize=True),
    "lowest quality": saved(painted(), "JPEG", quality=1),
    "metadata": saved(painted(), "JPEG", exif=exif_of(1), comment=b"\xff\xd9\xff\xda"),
    "more behind the end": PLAIN + bytes(5000) + PROGRESSIVE,
    "without an end marker": PLAIN.removesuffix(END),
    "progressive without an end marker": PROGRESSIVE.removesuffix(END),
    "half an end marker": PLAIN[:-1],
    "fill bytes before the end marker": PLAIN[:-2] + b"\xff" * 7 + END,
    "zeros before the end marker": PLAIN[:-2] + bytes(20) + END,
    "multi-picture": multi_picture(),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_jpegs_are_whole(kind: str) -> None:
    assert damage(WHOLE[kind]) is None


@pytest.mark.parametrize("version", [b"\x07\x09", b"\x01\x01"])
def test_metadata_that_libjpeg_warns_of_is_no_damage(version: bytes) -> None:
    at = PLAIN.index(b"JFIF\0") + 5
    assert damage(PLAIN[:at] + version + PLAIN[at + 2 :]) is None


def test_what_a_scan_says_without_meaning_is_no_damage() -> None:
    at = PLAIN.index(b"\xff\xda")
    head = 2 + int.from_bytes(PLAIN[at + 2 : at + 4])
    last = at + head
    assert damage(PLAIN[: last - 3] + b"\0\0\0" + PLAIN[last:]) is None


def test_a_whole_jpeg_without_an_end_marker_has_the_same_pixels() -> None:
    for whole in (PLAIN, PROGRESSIVE):
        cut, full = read_photo(whole.removesuffix(END)), read_photo(whole)
        np.testing.assert_array_equal(cut.pixels, full.pixels)
        assert cut.steps == full.steps == ()


# --- guilt ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
def test_what_is_missing_of_a_jpeg_that_breaks_off_is_measured(share: float) -> None:
    whole = read_photo(PLAIN).pixels
    photo = read_photo(PLAIN[: int(share * len(PLAIN))])
    found = photo.damage
    assert found is not None
    assert found.kind == "cut_off"
    wrong = np.flatnonzero((photo.pixels != whole).any(axis=(1, 2)))
    top = found.area.top
    assert 0 <= wrong[0] - top <= 24  # a row of blocks, and what smoothing takes from the next
    assert found.share == pytest.approx(1 - top / 240)
    assert (found.area.width, found.area.top + found.area.height) == (320, 240)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_rest_of_a_jpeg_that_breaks_off_may_be_zeros(share: float) -> None:
    kept = int(share * len(PLAIN))
    found = damage(PLAIN[:kept] + bytes(len(PLAIN) - kept))
    cut = damage(PLAIN[:kept])
    assert found.kind == "cut_off"
    assert found.share == pytest.approx(cut.share, abs=0.1)


def test_with_an_end_marker_what_is_above_may_be_wrong_too() -> None:
    kept = len(PLAIN) // 2
    found, cut = damage(PLAIN[:kept] + END), damage(PLAIN[:kept])
    assert (found.kind, found.share) == ("cut_off", cut.share)
    assert (found.area.top, found.area.height) == (0, 240)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("data", [PLAIN, PROGRESSIVE, RESTARTS], ids=["plain", "prog", "restart"])
@pytest.mark.parametrize("lost", [100, 512])
def test_zeros_within_the_data_are_found(share: float, data: bytes, lost: int) -> None:
    torn = bytearray(data)
    start = data.index(b"\xff\xda")
    at = start + int(share * (len(data) - start))
    torn[at : at + lost] = bytes(lost)
    assert is_named(bytes(torn))
    if data is PLAIN:
        found = damage(bytes(torn))
        assert found.area.height == 240  # where it begins cannot be told
        assert found.kind == "corrupt"
        assert found.share == pytest.approx(1 - share, abs=0.12)


@pytest.mark.parametrize("blow", ["cut", "doubled"])
def test_bytes_cut_out_or_doubled_are_found(blow: str) -> None:
    draw, found = np.random.default_rng(2), 0
    start = PLAIN.index(b"\xff\xda") + 20
    for _ in range(40):
        at = int(draw.integers(start, len(PLAIN) - 600))
        torn = PLAIN[:at] + PLAIN[at + 500 :] if blow == "cut" else PLAIN[: at + 500] + PLAIN[at:]
        found += is_named(torn)
    assert found >= 38  # the rest may fit by chance, to the bit: then libjpeg has no word either


def scans(data: bytes) -> list[int]:
    """Where each scan of a JPEG ends."""
    starts = [found.start() for found in re.finditer(rb"\xff\xda", data)]
    return [re.compile(rb"\xff[^\x00]").search(data, at + 16).start() for at in starts]  # type: ignore[union-attr]


@pytest.mark.parametrize("end", [b"", END])
def test_scans_that_are_missing_are_found_and_measured(end: bytes) -> None:
    shares = []
    for last in scans(PROGRESSIVE)[:-1]:
        found = damage(PROGRESSIVE[:last] + end)
        assert found.kind == "scans_missing"
        assert found.area.height == 240
        shares.append(found.share)
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] > 0.3


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_progressive_jpeg_that_breaks_off_is_damaged_all_over_or_from_a_row_on(
    share: float,
) -> None:
    photo = read_photo(PROGRESSIVE[: int(share * len(PROGRESSIVE))])
    found = photo.damage
    assert found is not None
    assert found.kind == "cut_off"
    whole = read_photo(PROGRESSIVE).pixels
    wrong = np.flatnonzero((photo.pixels != whole).any(axis=(1, 2)))
    assert found.area.top <= wrong[0]


def test_where_damage_is_is_told_of_the_upright_picture() -> None:
    data = saved(painted(), "JPEG", exif=exif_of(6))
    found = damage(data[: len(data) // 2])
    assert (found.area.left, found.area.top, found.area.height) == (0, 0, 320)
    assert found.area.width == pytest.approx(240 * found.share)


def test_no_luma_is_taken_from_a_damaged_jpeg() -> None:
    assert open_source(PLAIN[: len(PLAIN) // 2]).luma is None
    assert open_source(PLAIN).luma is not None


def test_a_jpeg_of_headers_alone_is_all_missing() -> None:
    start = PLAIN.index(b"\xff\xda")
    found = damage(PLAIN[: start + 16])
    assert found.share == 1


def test_random_files_never_break_the_search() -> None:
    draw = np.random.default_rng(7)
    for data in (PLAIN, PROGRESSIVE, RESTARTS):
        for _ in range(60):
            torn = bytearray(data)
            for at in draw.integers(0, len(data), 4):
                torn[at] = int(draw.integers(0, 256))
            found = jpeg.loss(bytes(torn[: int(draw.integers(4, len(data)))]))
            assert found is None or (0 <= found.share <= 1 and found.top >= 0)
