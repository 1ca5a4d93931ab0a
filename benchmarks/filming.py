"""Clips made of still pictures: a slow pan and zoom, in H.264."""

import io
from hashlib import sha256
from pathlib import Path

import av
import numpy as np
from PIL import Image

FRAMES, FPS = 25, 25
LONG_S, HD = 60, (1920, 1080)
_LONG_PX = 1280  # longer side of a clip, at most
_SHOWN = 0.92  # share of the picture's sides that a frame shows, at least


def film(picture: Path, crf: int) -> bytes:
    """Return one second of pan and zoom over a picture, as MP4.

    Args:
        picture: A file; its path seeds the movement.
        crf: Constant rate factor of x264: 18 is hardly compressed, 35 strongly.
    """
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    seed = int(sha256(str(picture).encode()).hexdigest()[:8], 16)
    draw = np.random.default_rng(seed)
    phase, far = draw.uniform(0, 2 * np.pi, 3), draw.uniform(0.4, 1, 3)
    across, down = image.size
    scale = min(1.0, _LONG_PX / max(image.size)) * _SHOWN
    width, height = (int(side * scale) // 2 * 2 for side in image.size)
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as out:
        options = {"crf": str(crf), "preset": "veryfast"}
        video = out.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        for at in range(FRAMES):
            t = at / FPS
            zoom = _SHOWN + 0.03 * far[0] * (1 + np.sin(1.4 * np.pi * t + phase[0]))
            w, h = across * zoom, down * zoom
            x = (across - w) * (0.5 + 0.5 * far[1] * np.sin(np.pi * t + phase[1]))
            y = (down - h) * (0.5 + 0.5 * far[2] * np.sin(np.pi * t + phase[2]))
            box = (float(x), float(y), float(x + w), float(y + h))
            frame = image.resize(
                (width, height), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0
            )
            for packet in video.encode(av.VideoFrame.from_image(frame)):
                out.mux(packet)
        for packet in video.encode():
            out.mux(packet)
    return stream.getvalue()


def film_of_a_minute(picture: Path, into: Path, sway: float = 1 / 8) -> None:
    """Write a minute of 1080p, x264's defaults, of a picture that moves under fresh noise.

    Args:
        picture: What is filmed.
        into: The file.
        sway: How far the camera moves to each side, of the frame's width and height; at most 1/8.
    """
    with Image.open(picture) as opened:
        image = opened.convert("RGB").resize((HD[0] * 5 // 4, HD[1] * 5 // 4))
    draw = np.random.default_rng(0)
    noise = [draw.integers(-6, 7, (HD[1], HD[0], 3), dtype=np.int16) for _ in range(7)]
    with av.open(str(into), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        video.width, video.height, video.pix_fmt = *HD, "yuv420p"
        for at in range(LONG_S * FPS):
            x = HD[0] * (1 / 8 + sway * np.sin(at / 40))
            y = HD[1] * (1 / 8 + sway * np.sin(at / 55))
            piece = np.asarray(image.crop((int(x), int(y), int(x) + HD[0], int(y) + HD[1])))
            frame = np.clip(piece + noise[at % 7], 0, 255).astype(np.uint8)
            for packet in video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                out.mux(packet)
        for packet in video.encode():
            out.mux(packet)
