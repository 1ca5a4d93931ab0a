"""Pictures made for the cues: noise of a camera, up-sampled noise, lit heads, mirrored faces."""

import io

import numpy as np
from PIL import Image

from veridical.arrays import Float, UInt8, ndarray
from veridical.box import Box
from veridical.cues.pixels import local_mean
from veridical.cues.protocol import CueInput, Measurement
from veridical.io.source import open_source
from veridical.report import NotApplicable

EYES = ((0.32, 0.4), (0.68, 0.4), (0.5, 0.58), (0.38, 0.78), (0.62, 0.78))


def cue_input(
    pixels: UInt8[ndarray, "height width 3"],
    box: tuple[float, float, float, float] | None = None,
    data: bytes | None = None,
) -> CueInput:
    """A face that fills the picture, or a box of it, with landmarks where faces have them."""
    height, width = pixels.shape[:2]
    left, top, across, down = box or (0.0, 0.0, float(width), float(height))
    return CueInput(
        pixels=pixels,
        file=None if data is None else open_source(data),
        box=Box(left=left, top=top, width=across, height=down),
        landmarks=tuple((left + x * across, top + y * down) for x, y in EYES),
    )


def read(found: Measurement | NotApplicable) -> dict[str, float]:
    """What was measured; fails if the cue did not apply."""
    assert isinstance(found, Measurement), found
    return dict(found.known())


def grey(values: Float[ndarray, "height width"]) -> UInt8[ndarray, "height width 3"]:
    one: ndarray = np.clip(np.rint(values), 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    return one


def clouds(side: int, seed: int, *, power: float = 1.2) -> Float[ndarray, "side side"]:
    """A texture with amplitude f^-power, as photographs have, around mid-grey."""
    noise = np.random.default_rng(seed).normal(size=(side, side))
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    f[0, 0] = 1
    values = np.fft.ifft2(np.fft.fft2(noise) / f**power).real
    one: ndarray = 128 + 25 * (values - values.mean()) / values.std()
    return one


def camera(side: int, seed: int) -> Float[ndarray, "side side"]:
    """Clouds seen through a lens, with the noise of a sensor."""
    draw = np.random.default_rng(seed + 1)
    one: ndarray = local_mean(clouds(side, seed), 3) + draw.normal(0, 2, (side, side))
    return one


def convolved(values: Float[ndarray, "height width"], seed: int) -> Float[ndarray, "height width"]:
    """After one random 3 x 3 convolution that keeps the mean."""
    kernel = np.random.default_rng(seed).normal(0, 0.15, (3, 3))
    kernel[1, 1] += 1
    kernel /= kernel.sum()
    padded = np.pad(values, 1, mode="reflect")
    height, width = values.shape
    out = np.zeros(values.shape)
    for down in range(3):
        for across in range(3):
            out += kernel[down, across] * padded[down : down + height, across : across + width]
    return out


def upsampled(side: int, factor: int, seed: int) -> Float[ndarray, "side side"]:
    """Each pixel `factor` x `factor` times, and a convolution: a generator's last layers."""
    values = camera(side // factor, seed)
    return convolved(values.repeat(factor, axis=0).repeat(factor, axis=1), seed)


def transposed(side: int, seed: int) -> Float[ndarray, "side side"]:
    """A transposed convolution of stride 2, whose kernel covers some pixels more than others."""
    values = np.zeros((side, side))
    values[::2, ::2] = camera(side // 2, seed)
    kernel = np.array([0.52, 1.0, 0.48])
    for axis in (0, 1):
        values = sum(k * np.roll(values, i - 1, axis) for i, k in enumerate(kernel))
    return values


def mosaicked(side: int, seed: int) -> UInt8[ndarray, "side side 3"]:
    """A grey camera picture through a Bayer filter, interpolated bilinearly."""
    values = camera(side, seed)
    rows, columns = np.indices(values.shape)
    green = (rows + columns) % 2 == 0
    masks = ((rows % 2 == 0) & (columns % 2 == 1), green, (rows % 2 == 1) & (columns % 2 == 0))
    out = np.empty((side, side, 3))
    for channel, mask in enumerate(masks):
        near = [
            np.roll(np.where(mask, values, 0), (i, j), (0, 1))
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
        count = [np.roll(mask, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        mean = np.sum(near, axis=0) / np.maximum(np.sum(count, axis=0), 1)
        if channel == 1:  # the diagonal neighbours of a missing green are missing too
            cross = [(0, 1), (1, 0), (0, -1), (-1, 0)]
            mean = np.mean([np.roll(values, s, (0, 1)) for s in cross], axis=0)
        out[..., channel] = np.where(mask, values, mean)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def head(
    light: tuple[float, float], other: tuple[float, float] | None = None, side: int = 256
) -> UInt8[ndarray, "side side 3"]:
    """A matt ellipsoid lit from (right, down), its right half perhaps from elsewhere."""
    y, x = np.mgrid[:side, :side] / side
    u, v = (x - 0.5) / 0.52, (y - 0.52) / 0.58
    w = np.sqrt(np.maximum(1 - u**2 - v**2, 0))
    normals = np.stack([u / 0.52, v / 0.58, w / 0.52])
    normals /= np.linalg.norm(normals, axis=0)
    lights = np.where((x < 0.5)[None], np.array(light)[:, None, None], 0.0)
    lights = lights + np.where(
        (x >= 0.5)[None], np.array(light if other is None else other)[:, None, None], 0.0
    )
    shade = 120 + 50 * (lights[0] * normals[0] + lights[1] * normals[1] + 0.6 * normals[2])
    noise = np.random.default_rng(0).normal(0, 1, shade.shape)
    return grey(np.where(u**2 + v**2 < 1, shade, 60) + noise)


def jpeg(pixels: UInt8[ndarray, "height width 3"], quality: int, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality, subsampling=0, **options)
    return stream.getvalue()


def decoded(data: bytes) -> UInt8[ndarray, "height width 3"]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))
