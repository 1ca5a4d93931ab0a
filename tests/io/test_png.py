"""Of a damaged PNG is kept what came, and it is said what did not."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.conftest import exif_of, noise_image, quarters, saved
from veridical.errors import PhotoDamaged
from veridical.io.png import mend
from veridical.io.source import read_photo

NOISE = noise_image(96)
ADAM7 = (
    *((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)),
    *((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)),
)
DATA = saved(NOISE, "PNG")
WRONG_SUM = "a checksum of the file is wrong; the pixels are whole"


def chunks(*parts: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def png(*, split: int = 4096, rows: int = 96, interlaced: bool = False) -> bytes:
    """A PNG whose packed pixels come in chunks of so many bytes, or of fewer rows than it says."""
    pixels = np.asarray(NOISE)[:rows]
    parts = [pixels[top::down, left::across] for left, top, across, down in ADAM7]
    raw = b"".join(
        b"\0" + row.tobytes() for part in (parts if interlaced else [pixels]) for row in part
    )
    packed = zlib.compress(raw)
    head = struct.pack(">IIBBBBB", 96, 96, 8, 2, 0, 0, interlaced)
    pieces = [(b"IDAT", packed[at : at + split]) for at in range(0, len(packed), split)]
    return chunks((b"IHDR", head), *pieces, (b"IEND", b""))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
def test_whole_pngs_are_whole(mode: str) -> None:
    for picture in (quarters(mode), NOISE.convert("RGB").convert(mode)):
        data = saved(picture, "PNG")
        assert mend(data, 10**6) is None
        mended = mend(data, 10**6, doubt=True)  # which gives the very picture back
        assert mended is not None
        assert mended.loss is None
        np.testing.assert_array_equal(read_photo(mended.data).pixels, read_photo(data).pixels)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_what_came_of_a_png_that_breaks_off_is_kept(share: float) -> None:
    photo = read_photo(DATA[: int(share * len(DATA))])
    found = photo.damage
    assert found is not None
    assert found.kind == "cut_off"
    assert found.share == pytest.approx(1 - share, abs=0.05)
    top = int(found.area.top)
    np.testing.assert_array_equal(photo.pixels[:top], np.asarray(NOISE)[:top])
    assert photo.pixels[top:].max() == 0
    assert found.area.height == 96 - top


def test_a_missing_end_marker_is_no_damage() -> None:
    end = DATA.index(b"IEND") - 4
    for cut in (DATA[:end], DATA[: end + 5], DATA[: end - 4]):  # the last without a checksum
        photo = read_photo(cut)
        assert photo.damage is None
        np.testing.assert_array_equal(photo.pixels, np.asarray(NOISE))


@pytest.mark.parametrize("at", [0.3, 0.6])
def test_what_comes_before_a_chunk_that_was_changed_is_kept(at: float) -> None:
    torn = bytearray(png())
    place = int(at * len(torn))
    torn[place : place + 40] = bytes(40)
    photo = read_photo(bytes(torn))
    found = photo.damage
    assert found is not None
    assert found.kind == "corrupt"
    top = int(found.area.top)
    assert 0 < top <= at * 96
    np.testing.assert_array_equal(photo.pixels[:top], np.asarray(NOISE)[:top])


def test_a_wrong_checksum_over_right_pixels_is_no_damage() -> None:
    data = png()
    at = data.index(b"IDAT") - 4
    end = at + 8 + int.from_bytes(data[at : at + 4])
    photo = read_photo(data[:end] + bytes(4) + data[end + 4 :])
    assert photo.damage is None
    assert photo.steps == (WRONG_SUM,)
    np.testing.assert_array_equal(photo.pixels, np.asarray(NOISE))


@pytest.mark.parametrize("kind", [b"IHDR", b"tEXt", b"gAMA"])
def test_a_wrong_checksum_before_the_pixels_is_told(kind: bytes) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "noise")
    info.add(b"gAMA", struct.pack(">I", 45455))
    data = bytearray(saved(NOISE, "PNG", pnginfo=info))
    at = data.index(kind)
    data[at + 4 + int.from_bytes(data[at - 4 : at])] ^= 255
    photo = read_photo(bytes(data))
    assert (photo.damage, photo.steps) == (None, (WRONG_SUM,))
    np.testing.assert_array_equal(photo.pixels, np.asarray(NOISE))


def test_a_palette_with_a_wrong_checksum_spoils_every_pixel() -> None:
    data = bytearray(saved(NOISE.convert("P"), "PNG"))
    data[data.index(b"PLTE") + 4] ^= 255
    damage = read_photo(bytes(data)).damage
    assert damage is not None
    assert (damage.kind, damage.share) == ("corrupt", 1.0)


def test_fewer_rows_than_the_header_says_are_missing_rows() -> None:
    photo = read_photo(png(rows=72))
    assert photo.damage is not None
    assert (photo.damage.share, photo.damage.area.top) == (0.25, 72)


def test_of_an_interlaced_png_that_breaks_off_every_part_may_be_wrong() -> None:
    data = png(interlaced=True)
    np.testing.assert_array_equal(read_photo(data).pixels, np.asarray(NOISE))
    found = read_photo(data[: len(data) // 2]).damage
    assert found is not None
    assert (found.area.top, found.area.height) == (0, 96)
    assert found.share == pytest.approx(0.5, abs=0.05)


def test_a_damaged_png_is_still_turned() -> None:
    data = saved(NOISE, "PNG", exif=exif_of(6))
    photo = read_photo(data[: len(data) // 2])
    assert photo.steps == ("EXIF orientation 6 applied",)
    assert photo.damage is not None
    assert (photo.damage.area.left, photo.damage.area.height) == (0, 96)


def test_an_animation_that_breaks_off_is_refused() -> None:
    data = saved(NOISE, "PNG", save_all=True, append_images=[noise_image(96, seed=4)])
    with pytest.raises(PhotoDamaged):
        read_photo(data[: len(data) // 4])


def test_a_picture_of_many_chunks_is_read_like_one_of_one() -> None:
    np.testing.assert_array_equal(read_photo(png(split=97)).pixels, np.asarray(NOISE))
    assert isinstance(read_photo(png()).image, Image.Image)
