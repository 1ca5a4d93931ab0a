import io
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from tests.conftest import RED, exif_of, furthest, heic, noise_image, quarters, saved
from veridical.arrays import ndarray
from veridical.errors import NotAPhoto
from veridical.io import decode
from veridical.io.formats import Limits
from veridical.io.source import Source, open_source, read_photo


def pixels(source: Source) -> ndarray:
    return read_photo(source).pixels


# --- what comes out ----------------------------------------------------------------------------


def test_progressive_and_greyscale_jpegs_are_ordinary() -> None:
    progressive = saved(quarters(), "JPEG", quality=95, progressive=True)
    assert furthest(pixels(progressive), quarters()) < 90
    grey = pixels(saved(quarters("L"), "JPEG", quality=100))
    assert furthest(grey, quarters("L").convert("RGB")) <= 3


def test_a_jpeg_is_decoded_exactly_as_pillow_decodes_it() -> None:
    data = saved(noise_image(61), "JPEG", quality=80)
    np.testing.assert_array_equal(pixels(data), np.asarray(Image.open(io.BytesIO(data))))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_taken_and_said_so(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = saved(
        quarters(), kind, save_all=True, append_images=[Image.new("RGB", (48, 32))], **options
    )
    photo = read_photo(data)
    word = "page" if kind == "TIFF" else "frame"
    assert (photo.steps, photo.frames) == ((f"{word} 1 of 2 taken",), 2)
    assert furthest(photo.pixels, quarters()) <= (0 if kind != "GIF" else 4)


def test_one_pixel_is_a_photo() -> None:
    assert pixels(saved(Image.new("RGB", (1, 1), RED), "PNG")).tolist() == [[list(RED)]]


@pytest.mark.parametrize(
    "source", [saved(quarters(), "JPEG"), quarters(), np.asarray(quarters())], ids=type
)
def test_pixels_are_read_only_and_made_once_and_the_image_has_the_same(source: Source) -> None:
    photo = read_photo(source)
    assert photo.pixels.dtype == np.uint8
    assert not photo.pixels.flags.writeable
    assert photo.pixels is photo.pixels
    assert photo.image.mode == "RGB"
    assert (photo.height, photo.width) == photo.pixels.shape[:2]
    np.testing.assert_array_equal(photo.pixels, np.asarray(photo.image))


def test_a_photo_does_not_change_when_its_source_does() -> None:
    array = np.zeros((4, 4, 3), np.uint8)
    picture = Image.fromarray(array.copy())
    photos = read_photo(array), read_photo(picture)
    array[:] = 255
    picture.paste("white", (0, 0, 4, 4))
    assert all(photo.pixels.max() == 0 for photo in photos)
    assert all(photo.image.getextrema() == ((0, 0),) * 3 for photo in photos)


def test_threads_agree_and_leave_the_warning_filters_alone() -> None:
    data = saved(quarters(), "JPEG", exif=exif_of(6, ">"))
    before = list(warnings.filters)
    read: Callable[[bytes], bytes] = lambda data: pixels(data).tobytes()  # noqa: E731
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(read, [data] * 16))) == 1
    assert list(warnings.filters) == before


# --- orientation -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_come_out_upright(kind: str, orientation: int) -> None:
    options = {} if kind == "PNG" else {"quality": 95}
    data = saved(quarters(), kind, exif=exif_of(orientation), **options)
    photo = read_photo(data)
    assert photo.steps == ((f"EXIF orientation {orientation} applied",) * (orientation > 1))
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(photo.pixels, np.asarray(expected))
    assert photo.pixels.shape == ((48, 32, 3) if orientation > 4 else (32, 48, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_once(orientation: int) -> None:
    photo = read_photo(saved(quarters(), "TIFF", tiffinfo={0x0112: orientation}))
    picture = quarters()
    picture.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(photo.pixels, np.asarray(ImageOps.exif_transpose(picture)))
    assert photo.steps == ((f"EXIF orientation {orientation} applied",) * (orientation > 1))


def test_a_heic_is_turned_once() -> None:
    photo = read_photo(heic(quarters(), quality=95, exif=exif_of(6)))
    assert photo.pixels.shape == (48, 32, 3)
    assert furthest(photo.pixels[2:10, 20:30], np.full((8, 10, 3), RED)) <= 8


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_of_exif_are_read(order: str) -> None:
    photo = read_photo(saved(quarters(), "PNG", exif=exif_of(6, order)))
    assert photo.steps == ("EXIF orientation 6 applied",)


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0II*\0", b"rubbish", exif_of(0), exif_of(9, ">")])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_odd_exif_costs_a_picture_nothing(kind: str, exif: bytes) -> None:
    photo = read_photo(saved(quarters(), kind, exif=exif))
    assert photo.steps == ()
    assert photo.pixels.shape == (32, 48, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("loaded", [False, True])
def test_a_pillow_image_is_turned_like_its_file(kind: str, loaded: bool) -> None:
    options = {"tiffinfo": {0x0112: 8}} if kind == "TIFF" else {"exif": exif_of(8)}
    data = saved(quarters(), kind, **options)
    with Image.open(io.BytesIO(data)) as picture:
        if loaded:
            picture.load()
        photo = read_photo(picture)
        np.testing.assert_array_equal(photo.pixels, pixels(data))
        by_owner = kind == "TIFF" and loaded
        assert photo.steps == (("EXIF orientation 8 applied",) * (not by_owner))


TURNED: dict[str, Callable[[Image.Image], Image.Image]] = {
    "transposed": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "rotated": lambda image: image.rotate(-90, expand=True),
    "upright": ImageOps.exif_transpose,
    "copied": lambda image: image.copy(),
    "resized": lambda image: image.resize((20, 30)),
    "converted": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("how", TURNED)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_pillow_image_that_its_owner_has_made_is_not_turned_again(how: str, kind: str) -> None:
    with Image.open(io.BytesIO(saved(quarters(), kind, exif=exif_of(6)))) as picture:
        made = TURNED[how](picture)
    photo = read_photo(made)
    np.testing.assert_array_equal(photo.pixels, np.asarray(made.convert("RGB")))
    assert photo.steps == ()


def test_exif_behind_the_pixels_of_a_png_counts() -> None:
    data = saved(quarters(), "PNG", exif=exif_of(6))
    at, end = data.index(b"eXIf") - 4, data.index(b"IDAT") - 4
    last = data.index(b"IEND") - 4
    photo = read_photo(data[:at] + data[end:last] + data[at:end] + data[last:])
    assert photo.steps == ("EXIF orientation 6 applied",)
    np.testing.assert_array_equal(photo.pixels, pixels(data))


# --- arrays ------------------------------------------------------------------------------------


@given(arrays(np.uint16, (3, 4, 3)))
def test_arrays_of_sixteen_bits_are_scaled_to_the_nearest(array: ndarray) -> None:
    array[0, 0] = 65535
    np.testing.assert_array_equal(pixels(array), np.rint(array / 257))


BITS = (255, 1023, 4095, 16383)


def test_the_alpha_of_sixteen_bits_says_nothing_of_their_range() -> None:
    array = np.full((4, 4, 4), 255, np.uint16)
    array[..., 3] = 65535
    with pytest.raises(NotAPhoto, match="up to 255 of 65535"):
        read_photo(array)


def test_a_black_array_of_sixteen_bits_is_black() -> None:
    assert pixels(np.zeros((4, 4, 3), np.uint16)).max() == 0


def test_floats_that_overshoot_a_little_are_clipped_and_said_so() -> None:
    photo = read_photo(np.array([[-0.02, 0.5, 1.004]]))
    assert photo.pixels[0, :, 0].tolist() == [0, 128, 255]
    assert photo.steps == ("float clipped to [0, 1] and scaled to 8-bit",)


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
        (np.full((8, 8), -0.2), r"floats in \[0, 1\]"),
        *((np.full((8, 8), top, np.uint16), f"up to {top} of 65535") for top in BITS),
        (np.full((8, 8), np.nan), r"floats in \[0, 1\]"),
    ],
)
def test_other_arrays_are_refused_with_a_reason(array: ndarray, says: str) -> None:
    with pytest.raises(NotAPhoto, match=says):
        read_photo(array)


# --- the luma that the forensic cues use -------------------------------------------------------


def test_the_luma_of_a_jpeg_is_its_y_channel_as_stored() -> None:
    data = saved(noise_image(40), "JPEG", quality=90, exif=exif_of(6))
    with Image.open(io.BytesIO(data)) as picture:
        picture.draft("YCbCr", picture.size)
        wanted = np.asarray(picture)[..., 0]
    found = open_source(data).luma
    assert found is not None
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "source",
    [
        saved(quarters(), "PNG"),
        saved(quarters("CMYK"), "JPEG"),
        saved(noise_image(64), "JPEG")[:3000],
        quarters(),
        np.asarray(quarters()),
    ],
    ids=["another format", "CMYK", "damaged", "Pillow image", "array"],
)
def test_where_there_is_no_luma_none_is_made_up(source: Source) -> None:
    assert open_source(source).luma is None


def test_the_luma_of_more_pixels_than_allowed_is_not_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = saved(quarters(), "JPEG")
    monkeypatch.setattr(decode, "LUMA_PIXELS", 48 * 32)
    assert open_source(data).luma is not None
    monkeypatch.setattr(decode, "LUMA_PIXELS", 48 * 32 - 1)
    assert open_source(data, Limits()).luma is None
