"""Files made to hurt whoever opens them, and that they do not."""

import itertools
import os
import struct
import zlib
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageFile, PngImagePlugin

from tests.conftest import exif_of, heic, noise_image, saved
from veridical.errors import PhotoDamaged, PhotoError, PhotoTooLarge, PhotoTooSlow, PhotoUnreadable
from veridical.io.formats import Limits, known_format
from veridical.io.source import open_source, read_photo


def victims() -> list[bytes]:
    """One small valid file for each decoder, and for each way a decoder goes."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = exif_of(6)
    rgb, grey = noise_image(), noise_image().convert("L")
    deep = Image.fromarray(np.arange(576, dtype=np.uint16).reshape(24, 24))
    found = [
        saved(rgb, "JPEG", exif=exif, icc_profile=icc),
        saved(rgb, "JPEG", progressive=True),
        saved(rgb.convert("CMYK"), "JPEG"),
        saved(rgb, "PNG", exif=exif, icc_profile=icc),
        saved(rgb.convert("P"), "PNG", transparency=3),
        saved(deep, "PNG"),
        saved(rgb, "PNG", save_all=True, append_images=[noise_image()]),
        saved(rgb, "WEBP", exif=exif, icc_profile=icc),
        saved(rgb, "WEBP", save_all=True, append_images=[grey.convert("RGB")]),
        saved(rgb, "BMP"),
        saved(rgb, "GIF", save_all=True, append_images=[grey]),
        saved(rgb, "TIFF", tiffinfo={0x0112: 6}),
        saved(deep, "TIFF"),
        saved(rgb, "TIFF", compression="tiff_lzw"),
        saved(rgb, "TIFF", compression="jpeg"),
        saved(rgb, "AVIF", exif=exif, icc_profile=icc),
    ]
    return [*found, heic(rgb)] if find_spec("pillow_heif") else found


VICTIMS = victims()


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A valid file with a few bytes changed, cut out, doubled or broken off."""
    data = bytearray(draw(st.sampled_from(VICTIMS)))
    for _ in range(draw(st.integers(1, 6))):
        # Headers are short and decide most: half of the blows fall on the first 64 bytes.
        last = max(0, min(len(data) - 1, 63 if draw(st.booleans()) else len(data)))
        at, length = draw(st.integers(0, last)), draw(st.integers(1, 16))
        blow = draw(st.sampled_from(["set", "set", "extreme", "cut", "double", "end"]))
        if blow == "set":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif blow == "extreme":
            data[at : at + 4] = draw(st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"]))
        elif blow == "cut":
            del data[at : at + length]
        elif blow == "double":
            data[at:at] = data[at : at + length]
        else:
            del data[max(at, 4) :]
    return bytes(data)


LIMITS = Limits(max_pixels=1_000_000, max_seconds=5.0)


@settings(
    derandomize=True, max_examples=500, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(mutants())
def test_whatever_a_file_is_it_ends_in_pixels_or_in_a_photo_error(data: bytes) -> None:
    file = open_source(data, LIMITS)
    with suppress(PhotoError):
        assert file.header is not None
        assert 1 <= file.header.orientation <= 8
    with suppress(PhotoError):
        assert file.photo.pixels.dtype == np.uint8
        assert file.photo.pixels.shape[2:] == (3,)
    with suppress(PhotoError):
        assert file.luma is None or file.luma.ndim == 2


@pytest.mark.parametrize(
    "error",
    [
        OSError("o"),
        SyntaxError("s"),
        ValueError("v"),
        struct.error("unpack"),
        zlib.error("z"),
        OverflowError("o"),
        AttributeError("a"),
        KeyError("k"),
        IndexError("i"),
        TypeError("t"),
        EOFError(),
        ZeroDivisionError("z"),
        RecursionError("r"),
        SystemError("s"),
        UserWarning("w"),
    ],
    ids=repr,
)
def test_no_error_of_the_decoder_gets_out(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", fail)
    with pytest.raises(PhotoDamaged, match="no picture comes") as caught:
        read_photo(saved(noise_image(), "PNG"))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [MemoryError(), Image.DecompressionBombError("179 Mpx")])
def test_more_than_the_memory_or_pillow_can_hold_is_too_large(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", fail)
    with pytest.raises(PhotoTooLarge, match="more memory than there is"):
        read_photo(saved(noise_image(), "PNG"))


# --- bombs ---------------------------------------------------------------------------------------


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    head = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = (b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in (head, *chunks, body, (b"IEND", b""))
    )


def gif(width: int, height: int) -> bytes:
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02D\x01\0;"


def bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info + bytes(100)


def tiff(width: int, height: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 9}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


@pytest.mark.parametrize(
    "data",
    [
        png(40_000, 10),
        png(2**31 - 1, 2**31 - 1),
        gif(65535, 65535),
        bmp(2**30, 2**20),
        bmp(40_000, -10),
        tiff(40_000, 10),
        tiff(19_000, 19_000),
    ],
)
def test_a_bomb_is_refused_before_a_pixel_is_decoded(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(_: object) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    with pytest.raises(PhotoTooLarge, match=r"px (a side|in all)"):
        read_photo(data)


def test_a_webp_that_claims_a_canvas_of_terapixels_is_refused() -> None:
    canvas = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xff" * 6
    data = b"RIFF" + struct.pack("<I", len(canvas) + 4) + b"WEBP" + canvas
    with pytest.raises((PhotoTooLarge, PhotoDamaged)):
        read_photo(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_no_header_costs_a_decoded_pixel(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_: object) -> None:
        pytest.fail("it was decoded")

    frames = {"save_all": True, "append_images": [noise_image()]} if kind == "PNG" else {}
    data = saved(noise_image(), kind, **frames)
    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    assert open_source(data).header is not None


@pytest.mark.parametrize("chunk", [b"zTXt", b"iCCP"])
def test_a_text_that_unpacks_a_thousandfold_is_not_unpacked(chunk: bytes) -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    with pytest.raises(PhotoDamaged):
        read_photo(png(8, 8, (chunk, b"name\0\0" + bomb)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP"])
def test_our_limits_rule_and_not_the_one_of_pillow(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # a warning would be an error here
    data = saved(noise_image(), kind)
    assert known_format(data, "a") == kind
    assert read_photo(data).width == 24


# --- time ----------------------------------------------------------------------------------------


def test_a_gif_of_very_many_frames_is_counted_within_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02D\x01\0"
    data = gif(1, 1)[:-1] + frame * 3000 + b";"
    assert open_source(data).photo.frames == 3001
    ticks = itertools.count()
    monkeypatch.setattr("veridical.io.formats.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    with pytest.raises(PhotoTooSlow):
        read_photo(data, Limits(max_seconds=2000.0))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_a_slow_file_is_stopped_in_the_middle(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(noise_image(800), kind)
    ticks = itertools.count()
    monkeypatch.setattr("veridical.io.formats.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    with pytest.raises(PhotoTooLarge):
        read_photo(data, Limits(max_side=1, max_seconds=1e4))
    header = float(next(ticks))  # as many reads as the header takes, and one: a tick is a second
    with pytest.raises(PhotoTooSlow, match="decoding took longer than"):
        read_photo(data, Limits(max_seconds=header))
    assert read_photo(data, Limits(max_seconds=1e4)).width == 800


def test_a_named_pipe_does_not_stop_a_scan(tmp_path: Path) -> None:
    pipe = tmp_path / "face.jpg"
    os.mkfifo(pipe)
    with pytest.raises(PhotoUnreadable, match="a pipe"):
        read_photo(pipe)


def test_a_file_that_grows_while_it_is_read_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "face.jpg"
    path.write_bytes(bytes(1000))
    honest = os.fstat

    def understate(number: int) -> SimpleNamespace:
        return SimpleNamespace(st_mode=honest(number).st_mode, st_size=1)

    monkeypatch.setattr("veridical.io.source.os.fstat", understate)
    with pytest.raises(PhotoTooLarge, match="more than the limit of 100 bytes came"):
        read_photo(path, Limits(max_bytes=100))
