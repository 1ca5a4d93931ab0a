import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from tests.conftest import RED, furthest, quarters, saved
from veridical.arrays import ndarray
from veridical.errors import NotAPhoto
from veridical.io.source import Source, read_photo


def pixels(source: Source) -> ndarray:
    return read_photo(source).pixels


# --- modes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA"])
def test_opaque_modes_look_as_they_do_in_pillow(mode: str) -> None:
    picture = quarters(mode)
    photo = read_photo(saved(picture, "PNG"))
    np.testing.assert_array_equal(photo.pixels, np.asarray(picture.convert("RGB")))
    assert photo.steps == ()


def half_clear(mode: str) -> Image.Image:
    picture = quarters("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 24, 16))
    picture.paste((0, 0, 0, 128), (24, 0, 48, 16))
    return picture.convert(mode)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "RGBa", "La", "PA"])
def test_transparency_is_laid_over_white(mode: str) -> None:
    picture = half_clear("RGBA").convert("L").convert("LA") if mode in "La" else half_clear("RGBA")
    picture.putalpha(half_clear("RGBA").getchannel("A"))
    photo = read_photo(picture.convert(mode) if mode != "PA" else as_pa(picture))
    assert photo.steps == ("transparency laid over white",)
    assert photo.pixels[8, 8].tolist() == [255, 255, 255]
    assert abs(int(photo.pixels[8, 36, 0]) - 127) <= 1


def as_pa(picture: Image.Image) -> Image.Image:
    flat = picture.convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE).convert("PA")
    flat.putalpha(picture.getchannel("A"))
    return flat


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_laid_over_white(mode: str) -> None:
    picture = Image.new("RGB", (2, 1), RED).convert(mode)
    picture.putpixel((1, 0), 0 if mode != "RGB" else (0, 0, 0))
    clear = picture.getpixel((0, 0))
    photo = read_photo(saved(picture, "PNG", transparency=clear))
    assert photo.pixels[0, 0].tolist() == [255, 255, 255]
    assert photo.pixels[0, 1].tolist() != [255, 255, 255]


def test_a_palette_with_an_alpha_for_each_colour_is_laid_over_white() -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([0, 0, 0, 0, 0, 0])
    picture.putpixel((1, 0), 1)
    data = saved(picture, "PNG", transparency=bytes([0, 255]))
    assert pixels(data).tolist() == [[[255, 255, 255], [0, 0, 0]]]


# --- depth ---------------------------------------------------------------------------------------

LEVELS = np.array([[0, 1, 127, 128, 129, 385, 386], [256, 257, 32767, 32768, 65407, 65408, 65535]])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight_to_the_nearest(kind: str) -> None:
    photo = read_photo(saved(Image.fromarray(LEVELS.astype(np.uint16)), kind))
    np.testing.assert_array_equal(photo.pixels[:, :, 0], np.rint(LEVELS / 257))
    assert photo.steps == ("16-bit scaled to 8-bit",)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_sixteen_bits_in_any_order_are_the_same(mode: str) -> None:
    kind = {"I;16": "<u2", "I;16B": ">u2"}[mode]
    picture = Image.frombytes(mode, (7, 2), LEVELS.astype(kind).tobytes())
    np.testing.assert_array_equal(pixels(picture)[:, :, 1], np.rint(LEVELS / 257))


def test_thirty_two_bits_are_scaled_where_the_file_says_that_they_have_no_sign() -> None:
    picture = Image.fromarray(np.array([[0, 2**31 - 1, -1]], np.int32))  # -1 is 2 ** 32 - 1
    data = saved(picture, "TIFF")
    signed, unsigned = struct.pack("<HHIH", 339, 3, 1, 2), struct.pack("<HHIH", 339, 3, 1, 1)
    assert signed in data
    photo = read_photo(data.replace(signed, unsigned))
    assert photo.pixels[0, :, 0].tolist() == [0, 127, 255]
    assert photo.steps == ("32-bit scaled to 8-bit",)
    for unclear in (data, picture):
        with pytest.raises(NotAPhoto, match="does not say which is white"):
            read_photo(unclear)


@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_whole_numbers_of_32_bits_are_never_guessed_at(top: int) -> None:
    with pytest.raises(NotAPhoto, match="32 bits, from 0 to"):
        read_photo(Image.fromarray(np.array([[0, top]], np.int32)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("top", [255, 1023, 4095, 16383])
def test_fewer_bits_in_a_type_of_sixteen_are_refused(kind: str, top: int) -> None:
    with pytest.raises(NotAPhoto, match=f"up to {top} of 65535"):
        read_photo(saved(Image.fromarray(np.array([[0, top]], np.uint16)), kind))


def deep_png(top: int) -> bytes:
    """A PNG of 48 bits per pixel: a ramp up to a level."""
    ramp = np.linspace(0, top, 16).astype(">u2").repeat(3).tobytes()
    head = (b"IHDR", struct.pack(">IIBBBBB", 16, 1, 16, 2, 0, 0, 0))
    parts = (head, (b"IDAT", zlib.compress(b"\0" + ramp)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def test_colour_of_sixteen_bits_is_held_to_the_same_range() -> None:
    photo = read_photo(deep_png(65535))
    assert photo.steps == ("16-bit cut to 8-bit",)
    assert photo.pixels[0, -1].tolist() == [255] * 3
    for top in (255, 4095, 16383):
        with pytest.raises(NotAPhoto, match="of fewer bits than its type"):
            read_photo(deep_png(top))


def test_a_tiff_whose_zero_is_white_is_not_judged_as_a_negative() -> None:
    data = saved(Image.fromarray(LEVELS.astype(np.uint16)), "TIFF")
    black_is_zero = struct.pack("<HHIH", 262, 3, 1, 1)
    assert black_is_zero in data
    turned = data.replace(black_is_zero, struct.pack("<HHIH", 262, 3, 1, 0))
    np.testing.assert_array_equal(pixels(turned), 255 - pixels(data))


@pytest.mark.parametrize("top", [1.0, 1.004, 1.05])
def test_float_tiffs_are_scaled_by_0_to_1_and_clipped(top: float) -> None:
    values = np.linspace(0, 1, 9, dtype=np.float32)[None].copy()
    values[0, -1] = top
    photo = read_photo(saved(Image.fromarray(values), "TIFF"))
    np.testing.assert_array_equal(photo.pixels[0, :, 0], np.rint(np.linspace(0, 255, 9)))


@pytest.mark.parametrize("top", [2.0, 255.0, 65535.0])
def test_float_tiffs_of_another_range_have_to_say_so(top: float) -> None:
    picture = Image.fromarray(np.linspace(0, top, 9, dtype=np.float32)[None])
    with pytest.raises(NotAPhoto, match=r"floats in \[0, 1\] were wanted"):
        read_photo(saved(picture, "TIFF"))
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in ((340, 0.0), (341, top)):
        info[tag], info.tagtype[tag] = value, 11
    photo = read_photo(saved(picture, "TIFF", tiffinfo=info))
    np.testing.assert_array_equal(photo.pixels[0, :, 0], np.rint(np.linspace(0, 255, 9)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.2, 1e9])
def test_floats_that_are_no_picture_are_refused_with_their_range(bad: float) -> None:
    with pytest.raises(NotAPhoto, match=r"float values (from|that are no) .* \[0, 1\]"):
        read_photo(Image.fromarray(np.array([[0.5, bad]], np.float32)))


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(np.array([[0.5, np.nan]], np.float32)),
        Image.fromarray(np.array([[0.5, 200]], np.float32)),
        Image.fromarray(np.array([[5, 200]], np.uint16)),
        Image.fromarray(np.array([[5, -200]], np.int32)),
    ],
)
def test_at_the_command_line_nobody_is_told_to_calculate(picture: Image.Image) -> None:
    with pytest.raises(NotAPhoto) as caught:
        read_photo(saved(picture, "TIFF"))
    assert "Open it in the program that made it" in (caught.value.cli_hint or "")


# --- colour --------------------------------------------------------------------------------------

P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))


def profile(space: str, tags: dict[str, bytes], pcs: str = "XYZ ") -> bytes:
    """An ICC profile, version 2: header, table of tags, tags (ICC.1:2001-04, section 6)."""
    name = b"painted\0"
    tags["desc"] = b"desc" + struct.pack(">II", 0, len(name)) + name + bytes(78)
    tags["wtpt"] = b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.8249)
    table, body, at = b"", b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += tag.encode() + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4xI", at + len(body), 0x02400000)
    head += ("mntr" + space + pcs).encode() + bytes(12) + b"acsp" + bytes(28)
    head += fixed(0.9642, 1, 0.8249) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def rgb_profile(primaries: tuple[tuple[float, ...], ...], gamma: float) -> bytes:
    tags = {f"{c}TRC": curve(gamma) for c in "rgb"}
    tags |= {
        f"{c}XYZ": b"XYZ " + bytes(4) + fixed(*p) for c, p in zip("rgb", primaries, strict=True)
    }
    return profile("RGB ", tags)


def cmyk_profile() -> bytes:
    """A press whose C, M and Y print nothing: L* = 100 (1 - K)."""
    ramp = bytes(range(256))
    grid = bytes([255, 128, 128, 0, 128, 128]) * 8  # K runs fastest
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return profile("CMYK", {"A2B0": lut + ramp * 4 + grid + ramp * 3}, pcs="Lab ")


def encoded(linear: ndarray) -> ndarray:
    """The sRGB curve, IEC 61966-2-1, to levels of 255."""
    low, high = 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    result: ndarray = 255 * np.clip(np.where(linear <= 0.0031308, low, high), 0, 1)
    return result


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_wide_gamut_profile_is_converted_as_the_matrices_say(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    photo = read_photo(saved(quarters(), kind, icc_profile=rgb_profile(P3, 1.8), **options))
    linear = (np.asarray(quarters()) / 255) ** (round(1.8 * 256) / 256)
    assert furthest(photo.pixels, encoded(linear @ np.array(P3) @ np.linalg.inv(SRGB))) <= 2
    assert photo.steps == ("colour profile 'painted' converted to sRGB",)


def test_srgb_is_known_by_what_it_does_and_left_alone() -> None:
    built_in = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = read_photo(saved(quarters(), "PNG", icc_profile=built_in))
    assert photo.steps == ()
    np.testing.assert_array_equal(photo.pixels, np.asarray(quarters()))


def test_a_profile_that_only_says_srgb_is_converted() -> None:
    liar = rgb_profile(SRGB, 1.0).replace(b"painted\0", b"sRGB 2.1")
    assert furthest(pixels(saved(quarters(), "PNG", icc_profile=liar)), quarters()) > 20


def test_a_grey_profile_is_converted() -> None:
    grey = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    icc = profile("GRAY", {"kTRC": curve(1.5)})
    expected = np.repeat(encoded((np.arange(256) / 255) ** 1.5)[None, :, None], 3, axis=2)
    assert furthest(pixels(saved(grey, "PNG", icc_profile=icc)), expected) <= 2


def test_a_grey_picture_may_have_a_profile_for_colour() -> None:
    photo = read_photo(saved(quarters("L"), "PNG", icc_profile=rgb_profile(SRGB, 1.0)))
    assert photo.steps == ("colour profile 'painted' converted to sRGB",)


def test_colour_under_transparency_is_converted_before_it_is_laid_over_white() -> None:
    photo = read_photo(saved(half_clear("RGBA"), "PNG", icc_profile=rgb_profile(P3, 1.8)))
    assert photo.pixels[8, 8].tolist() == [255, 255, 255]
    opaque = pixels(saved(quarters(), "PNG", icc_profile=rgb_profile(P3, 1.8)))
    np.testing.assert_array_equal(photo.pixels[16:], opaque[16:])


def test_a_profile_for_other_colours_is_ignored_and_said_so() -> None:
    photo = read_photo(saved(quarters(), "PNG", icc_profile=cmyk_profile()))
    assert photo.steps == ("colour profile ignored: it is for CMYK, the picture is RGB",)
    np.testing.assert_array_equal(photo.pixels, np.asarray(quarters()))


@pytest.mark.parametrize("icc", [b"nonsense" * 40, rgb_profile(P3, 2.2)[:200]])
def test_a_broken_profile_is_ignored_and_said_so(icc: bytes) -> None:
    photo = read_photo(saved(quarters(), "PNG", icc_profile=icc))
    assert photo.steps == ("broken colour profile ignored",)
    np.testing.assert_array_equal(photo.pixels, np.asarray(quarters()))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_without_a_profile_is_converted_by_formula_and_not_inverted(kind: str) -> None:
    data = saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind)  # Adobe inverts in JPEG
    photo = read_photo(data)
    assert photo.steps == ("CMYK converted without a profile",)
    assert furthest(photo.pixels, np.full((16, 16, 3), [255, 0, 0])) <= 2


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_with_a_profile_is_converted_by_it(kind: str) -> None:
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))  # this press prints no cyan
    photo = read_photo(saved(cyan, kind, icc_profile=cmyk_profile()))
    assert photo.steps == ("colour profile 'painted' converted to sRGB",)
    assert photo.pixels.min() >= 252


def test_threads_share_a_profile_and_agree() -> None:
    data = saved(quarters(), "JPEG", icc_profile=rgb_profile(P3, 1.8))
    with ThreadPoolExecutor(4) as pool:
        photos = list(pool.map(read_photo, [data] * 16))
    assert {photo.steps for photo in photos} == {("colour profile 'painted' converted to sRGB",)}
    assert len({photo.pixels.tobytes() for photo in photos}) == 1
