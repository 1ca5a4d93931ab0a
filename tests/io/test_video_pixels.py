"""Frames of clips look as a player shows them: colours, shape and fields."""

import io
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.io.clips import COLOURS, av, bar_colours, bars, clip
from veridical.arrays import ndarray
from veridical.io.clip import ClipFacts, Frame
from veridical.io.clip_pixels import orientation_of, pq_level, pq_light
from veridical.io.video import open_clip

LOSSLESS = {"qp": "0", "preset": "ultrafast"}
BT709, BT601, BT2020 = 1, 6, 9
LIMITED, FULL = 1, 2
PQ, HLG = 16, 18
TURN = 65536


def first(data: bytes) -> tuple[ClipFacts, Frame]:
    with open_clip(data) as opened:
        frames = list(opened.frames([0.0]))
        assert opened.lost == []
        (frame,) = frames
        return opened.facts, frame


def still(pixels: ndarray, **options: Any) -> bytes:
    return clip([pixels] * 3, **{"options": LOSSLESS, **options})


def deep(samples: ndarray, colours: dict[str, int]) -> bytes:
    """A clip of 10 bits without loss."""
    return still(
        samples, container="matroska", codec="ffv1", pixel="yuv444p10le", colours=colours,
        options={},
    )  # fmt: skip


def off(pixels: ndarray) -> float:
    """The farthest that a bar is from its colour, levels."""
    return float(np.abs(bar_colours(pixels) - np.array(COLOURS)).max())


@pytest.mark.parametrize("matrix", [BT709, BT601, 5])
@pytest.mark.parametrize("span", [LIMITED, FULL])
def test_matrix_and_range_are_those_that_the_clip_names(matrix: int, span: int) -> None:
    colours = {"colorspace": matrix, "color_range": span}
    facts, frame = first(still(bars(), colours=colours))
    assert off(frame.pixels) <= 2
    assert facts.colour.full_range == (span == FULL)
    assert facts.colour.matrix == {1: "bt709", 6: "smpte170m", 5: "bt470bg"}[matrix]
    assert frame.steps == ()
    assert not frame.pixels.flags.writeable


@pytest.mark.parametrize(
    ("size", "matrix"), [((256, 64), BT601), ((1280, 64), BT709), ((64, 578), BT709)]
)
def test_an_unnamed_matrix_is_guessed_by_size(size: tuple[int, int], matrix: int) -> None:
    # The colours are painted with a matrix that is then not written down.
    pixels = bars(*size)
    source = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    planes = source.reformat(
        format="yuv444p", dst_colorspace={1: 1, 6: 5}[matrix], dst_color_range=1,
        src_color_range=2, interpolation=2 | 0x40000,
    )  # fmt: skip
    planes.colorspace, planes.color_range = 2, 0
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        made = out.add_stream("ffv1", rate=25)
        made.width, made.height, made.pix_fmt = *size, "yuv444p"
        planes.pts, planes.time_base = 0, Fraction(1, 25)
        out.mux(made.encode(planes))
        out.mux(made.encode(None))
    facts, frame = first(file.getvalue())
    assert facts.colour.matrix == {1: "bt709", 6: "smpte170m"}[matrix]
    assert off(frame.pixels) <= 2


@pytest.mark.parametrize(
    ("container", "codec", "pixel"),
    [
        ("mp4", "libx264", "yuv444p"),
        ("mp4", "libx264", "yuv422p"),
        ("mp4", "libx264", "yuv420p10le"),
        ("matroska", "ffv1", "yuv422p10le"),
        ("mp4", "libx264rgb", "rgb24"),
        ("avi", "mjpeg", "yuvj420p"),
        ("mov", "prores_ks", "yuv422p10le"),
        ("mov", "qtrle", "rgb24"),
        ("webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_colours_survive_formats(container: str, codec: str, pixel: str) -> None:
    more: dict[str, Any] = {}
    if codec == "mjpeg":
        more = {
            "colours": {"color_range": FULL, "colorspace": 5},
            "options": {"qmin": "1", "qmax": "1"},
        }
    elif not codec.startswith("libx264"):
        more = {"options": {"lossless": "1"} if codec == "libvpx-vp9" else {}}
    facts, frame = first(still(bars(), container=container, codec=codec, pixel=pixel, **more))
    assert off(frame.pixels) <= 3
    tens = "10" in pixel
    assert facts.colour.bits == (10 if tens else 8)
    assert ("10-bit scaled to 8-bit" in frame.steps) == tens


def test_odd_sizes_are_kept() -> None:
    facts, frame = first(still(bars(255, 63), container="matroska", codec="ffv1", options={}))
    assert (facts.width, facts.height) == (255, 63)
    assert frame.pixels.shape == (63, 255, 3)
    assert off(frame.pixels) <= 2


# --- shape -------------------------------------------------------------------------------------

CORNERS = np.full((64, 96, 3), 128, np.uint8)
CORNERS[:32, :48], CORNERS[:32, 48:] = (200, 30, 30), (30, 160, 40)
CORNERS[32:, :48], CORNERS[32:, 48:] = (40, 50, 190), (235, 235, 235)

FORMS = {  # of a, b, c and d what turns a picture by each of EXIF's orientations
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def by_matrix(a: int, b: int, c: int, d: int) -> ndarray:
    """CORNERS with each pixel moved where the matrix says: an oracle, pixel by pixel."""
    height, width, _ = CORNERS.shape
    moved = {}
    for q in range(height):
        for p in range(width):
            moved[a * p + c * q, b * p + d * q] = CORNERS[q, p]
    left, top = (min(one[k] for one in moved) for k in (0, 1))
    size = (height, width) if a else (width, height)
    made = np.zeros((*size, 3), np.uint8)
    for (p, q), colour in moved.items():
        made[q - top, p - left] = colour
    return made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_display_matrices_are_applied(form: int, container: str) -> None:
    a, b, c, d = (one * TURN for one in FORMS[form])
    turned = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    assert orientation_of(turned) == (form, True)
    colours = {"colorspace": BT601, "color_range": LIMITED}
    facts, frame = first(
        still(CORNERS, container=container, pixel="yuv444p", turned=turned, colours=colours)
    )
    wanted = by_matrix(*FORMS[form])
    assert facts.orientation == form
    assert (facts.height, facts.width) == wanted.shape[:2]
    assert (facts.coded_width, facts.coded_height) == (96, 64)
    assert np.abs(frame.pixels.astype(int) - wanted).max() <= 2
    said = (f"display matrix applied (EXIF orientation {form})",) if form > 1 else ()
    assert frame.steps == said


def test_a_slanted_clip_is_turned_by_the_nearest_right_angle() -> None:
    assert orientation_of((9, 65000, 0, -65000, 9)) == (6, True)
    assert orientation_of((20000, 60000, 0, -60000, 20000)) == (6, False)
    assert orientation_of((0, 0, 0, 0, 0)) == (1, True)


@pytest.mark.parametrize(("aspect", "size"), [((4, 3), (128, 64)), ((1, 2), (96, 128))])
def test_pixels_become_square(aspect: tuple[int, int], size: tuple[int, int]) -> None:
    facts, frame = first(
        still(bars(96, 64), stream={"sample_aspect_ratio": Fraction(*aspect)}, pixel="yuv444p")
    )
    assert (facts.width, facts.height) == size == frame.pixels.shape[1::-1]
    assert facts.pixel_aspect == Fraction(*aspect)
    assert frame.steps == (f"stretched to square pixels from {aspect[0]}:{aspect[1]}",)
    assert off(frame.pixels) <= 3


def test_an_absurd_pixel_shape_is_not_believed() -> None:
    facts, frame = first(still(bars(96, 64), stream={"sample_aspect_ratio": Fraction(1, 20)}))
    assert (facts.width, facts.height) == (96, 64)
    assert frame.steps == ("pixel aspect ratio 1:20 not applied",)


def test_transparency_is_laid_over_white() -> None:
    pixels = np.dstack([bars(), np.full((64, 256), 255, np.uint8)])
    pixels[:, :128, 3] = 0
    _, frame = first(still(pixels, container="mov", codec="qtrle", pixel="argb", options={}))
    assert frame.pixels.shape == (64, 256, 3)
    assert frame.steps == ("transparency laid over white",)
    assert (frame.pixels[:, :120] == 255).all()
    assert np.abs(bar_colours(frame.pixels)[4:] - np.array(COLOURS[4:])).max() <= 1


# --- light -------------------------------------------------------------------------------------


def linear(colour: ndarray) -> ndarray:
    level = colour / 255
    made: ndarray = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return made


TO_2020 = np.array(  # ITU-R BT.2087-0, table 2
    [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
)


def graded(transfer: int, white: float) -> ndarray:
    """The bars in BT.2020 with white at so many cd/m2, as 16-bit samples of PQ or HLG."""
    light = linear(bars().astype(float)) @ TO_2020.T * white
    if transfer == PQ:
        level = pq_level(light)
    else:
        luma = light @ np.array([0.2627, 0.678, 0.0593]) / 1000
        scene = light / 1000 * np.maximum(luma, 1e-9)[..., None] ** (1 / 1.2 - 1)
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
        level = np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)
    made: ndarray = np.rint(np.clip(level, 0, 1) * 65535).astype(np.uint16)
    return made


@pytest.mark.parametrize(("transfer", "name"), [(PQ, "PQ"), (HLG, "HLG")])
def test_hdr_below_the_knee_looks_as_it_was_graded(transfer: int, name: str) -> None:
    """White at 80 cd/m2 lies below the knee: then only its scale is another."""
    colours = {
        "colorspace": BT2020, "color_range": LIMITED, "color_primaries": 9, "color_trc": transfer,
    }  # fmt: skip
    data = deep(graded(transfer, 80.0), colours)
    facts, frame = first(data)
    assert facts.colour.hdr
    assert frame.steps == (
        "10-bit scaled to 8-bit",
        f"HDR ({name}) tone-mapped to SDR: BT.2390, 1000 to 203 cd/m2",
        "colours converted from BT.2020 to BT.709",
    )
    wanted = linear(np.array(COLOURS, float)) * 80 / 203
    assert np.abs(linear(bar_colours(frame.pixels)) - wanted).max() <= 0.012


def test_bright_hdr_keeps_its_order_and_ends_at_white() -> None:
    greys = np.repeat(np.linspace(0, 1, 64)[None, :, None], 32, axis=0).repeat(3, axis=2)
    level = np.rint(pq_level(greys * 2000) * 65535).astype(np.uint16)
    colours = {"colorspace": BT2020, "color_range": LIMITED, "color_primaries": 9, "color_trc": PQ}
    _, frame = first(
        deep(level, colours)
    )  # fmt: skip
    row = frame.pixels[16].astype(int)
    assert (np.diff(row[:, 1]) >= -1).all()
    assert row[0].max() <= 1
    assert row[-1].min() >= 254
    assert np.ptp(row, axis=1).max() <= 2  # grey stays grey


def test_pq_goes_there_and_back() -> None:
    light = np.array([0.0, 0.005, 1.0, 100.0, 203.0, 1000.0, 10000.0])
    np.testing.assert_allclose(pq_light(pq_level(light)), light, rtol=1e-9, atol=1e-9)
    # BT.2408-7, table 1, has 51 % and 58 %.
    np.testing.assert_allclose(pq_level(np.array([100.0, 203.0])), [0.5081, 0.5807], atol=1e-4)


def test_wide_gamut_without_hdr_becomes_srgb() -> None:
    level = np.where(
        (light := np.clip(linear(bars().astype(float)) @ TO_2020.T, 0, 1)) <= 0.0031308,
        12.92 * light,
        1.055 * light ** (1 / 2.4) - 0.055,
    )
    wide = np.rint(level * 65535).astype(np.uint16)
    colours = {"colorspace": BT2020, "color_range": LIMITED, "color_primaries": 9, "color_trc": 14}
    facts, frame = first(
        deep(wide, colours)
    )  # fmt: skip
    assert not facts.colour.hdr
    assert frame.steps[-1] == "colours converted from BT.2020 to BT.709"
    assert off(frame.pixels) <= 3


# --- fields ------------------------------------------------------------------------------------


def test_fields_become_one_picture() -> None:
    """A bar that moves between the fields leaves no comb behind."""
    frames = []
    for number in range(8):
        picture = np.full((96, 192, 3), 40, np.uint8)
        for field in (0, 1):
            left = 10 + 16 * number + 8 * field
            picture[field::2, left : left + 30] = 220
        frames.append(picture)
    data = clip(
        frames, container="mpeg", codec="mpeg2video",
        options={"flags": "+ildct+ilme", "qscale": "2", "g": "6", "bf": "0"},
        stream={"bit_rate": 20_000_000}, interlaced=True,
    )  # fmt: skip
    with open_clip(data) as opened:
        assert opened.facts.interlaced
        got = list(opened.frames([n / 25 + 0.01 for n in range(8)]))
        assert opened.lost == []
    assert [one.index for one in got] == list(range(8))
    for number, one in enumerate(got):
        assert one.steps == ("deinterlaced (bwdif)",)
        grey = one.pixels[..., 1].astype(int)
        assert np.abs(grey[11:81:2] - grey[10:80:2]).mean() < 8  # of a comb: about 15
        left = 10 + 16 * number  # of the first field
        assert grey[20:70, left + 2 : left + 28].mean() > 190
