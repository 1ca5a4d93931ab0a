"""Clips painted by code: every frame carries its number, to be read back from the pixels."""

import io
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from veridical.arrays import UInt8, ndarray

av: Any = pytest.importorskip("av")

BITS, BLOCK = 12, 16
WIDTH, HEIGHT = BITS * BLOCK, 96
COLOURS = (  # sRGB; saturated and skin
    *((235, 235, 235), (40, 40, 40), (200, 30, 30), (30, 160, 40), (40, 50, 190)),
    *((224, 172, 140), (140, 90, 60), (128, 128, 128)),
)


def numbered(number: int) -> UInt8[ndarray, "height width 3"]:
    """A frame whose upper third shows a number in binary, black and white."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    frame = np.stack([60 + x % 97, 200 - y, (3 * number + x) % 160], axis=-1).astype(np.uint8)
    for bit in range(BITS):
        frame[: HEIGHT // 3, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 20
    return frame


def read_number(pixels: ndarray) -> int:
    """The number that a frame shows, whatever its size."""
    height, width, _ = pixels.shape
    block = width / BITS
    bits = 0
    for bit in range(BITS):
        left, right = int((bit + 0.25) * block), int((bit + 0.75) * block)
        bits |= int(pixels[height // 12 : height // 4, left:right].mean() > 128) << bit
    return bits


def bars(width: int = 256, height: int = 64) -> UInt8[ndarray, "height width 3"]:
    """Eight upright bars of known colours."""
    frame = np.empty((height, width, 3), np.uint8)
    for at, colour in enumerate(COLOURS):
        frame[:, at * width // 8 : (at + 1) * width // 8] = colour
    return frame


def bar_colours(pixels: ndarray) -> ndarray:
    """The mean colour in the middle of each of eight bars."""
    height, width, _ = pixels.shape
    rows = slice(height // 4, height * 3 // 4)
    middles = [(2 * at + 1) * width // 16 for at in range(8)]
    return np.array([pixels[rows, m - 2 : m + 3].mean(axis=(0, 1)) for m in middles])


def clip(
    frames: Iterable[ndarray],
    *,
    container: str = "mp4",
    codec: str = "libx264",
    pts: Sequence[int] | None = None,
    rate: Fraction | int = 25,
    time_base: Fraction | None = None,
    pixel: str = "yuv420p",
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    stream: dict[str, Any] | None = None,
    colours: dict[str, int] | None = None,
    turned: tuple[int, ...] | None = None,
    tags: dict[str, str] | None = None,
    interlaced: bool = False,
    sound: bool = False,
) -> bytes:
    """Encode frames; `pts` are ticks of `time_base` (one frame each if not given)."""
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=muxing or {}) as out:
        out.metadata.update(tags or {})
        made = out.add_stream(codec, rate=rate)
        context = made.codec_context
        context.thread_count = 1
        context.options = options or {}
        first = True
        if sound:
            heard = out.add_stream("aac" if container != "webm" else "libopus", rate=48000)
        colours = colours or {}
        for number, pixels in enumerate(frames):
            if first:
                made.height, made.width = pixels.shape[:2]
                made.pix_fmt = pixel
                for name, value in {**(stream or {}), **colours}.items():
                    setattr(context, name, value)
                if time_base:
                    context.time_base = time_base
                if turned:
                    made.set_display_matrix(turned)
                first = False
            frame = painted(pixels, pixel, colours)
            frame.pts = number if pts is None else pts[number]
            frame.time_base = time_base or 1 / Fraction(rate)
            if interlaced:
                frame = _as_fields(frame)
            out.mux(made.encode(frame))
        out.mux(made.encode(None))
        if sound:
            for part in range(40):
                tone = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                tone.sample_rate, tone.pts = 48000, part * 1024
                out.mux(heard.encode(tone))
            out.mux(heard.encode(None))
    return file.getvalue()


def painted(pixels: ndarray, pixel: str, colours: dict[str, int]) -> Any:
    """RGB as a frame of the encoder's format; without colours BT.601, limited range."""
    if pixels.ndim == 3 and pixels.dtype == np.uint8:
        form = "rgba" if pixels.shape[2] == 4 else "rgb24"
    else:
        form = "rgb48le"
    source = av.VideoFrame.from_ndarray(pixels, format=form)
    if pixel in ("rgb24", "argb"):
        return source.reformat(format=pixel)
    space = {1: 1, 5: 5, 6: 5, 9: 9}[colours.get("colorspace", 5)]
    return source.reformat(
        format=pixel,
        dst_colorspace=space,
        dst_color_range=colours.get("color_range", 1),
        src_color_range=2,
        interpolation=4 | 0x2000 | 0x40000,
        threads=1,
    )


def _as_fields(frame: Any) -> Any:
    """The same frame, said to be two fields, the upper first."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    graph.link_nodes(source, graph.add("setfield", "mode=tff"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()
