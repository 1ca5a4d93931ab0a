"""The nouns of clips: limits, facts, frames, what was lost, and at which times to look.

Nothing here needs a decoder. A clip is anything that shows pictures one after another: a video, or
an animated GIF, WebP or PNG.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

from veridical.arrays import UInt8, ndarray
from veridical.errors import NotAPhoto

Container = Literal["mp4", "matroska", "avi", "mpegts", "mpeg", "flv", "ogg", "gif", "webp", "apng"]
"""The kinds of file that are read as clips; `mp4` is QuickTime, too."""
CLIP_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts"),
    *(".mpg", ".mpeg", ".vob", ".flv", ".ogv"),
}
"""Endings of their names. `ANIMATED` ones are named like pictures."""

MOST_TIMES = 48  # frames looked at unless more are asked for
MOST_ASKED = 1000  # frames looked at if somebody says how often
MOST_TAGS = 64
MOST_LOST = 100
_TAG_CHARACTERS = 500
_TS = 188  # bytes of a packet of an MPEG transport stream


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipLimits:
    """How much one clip may ask of us.

    Attributes:
        max_bytes: Of the file.
        max_pixels: Width times height of one frame, as shown; read from the header, and held again
            for each frame.
        max_side: Of the width and of the height, px.
        max_decoded: Frames decoded, those that only lead to a wanted one included.
        max_seconds: For reading and decoding, hashing left out.
        max_packets: Coded frames that the clip may have.
        max_streams: Pictures, sounds, subtitles and data in one file.
    """

    max_bytes: int = 64 * 2**30
    max_pixels: int = 40_000_000
    max_side: int = 16_384
    max_decoded: int = 50_000
    max_seconds: float = 300.0
    max_packets: int = 2_000_000
    max_streams: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipColour:
    """How the samples of a clip are to be read; names as in ITU-T H.273, None where not said.

    Attributes:
        primaries: Colours of the three lights.
        transfer: From samples to light.
        matrix: From YCbCr to RGB; as used, guessed by height where the clip does not say.
        full_range: Whether black is 0; else it is 16 of 255.
        bits: Per sample.
        hdr: Whether the transfer is PQ or HLG, so that frames are tone-mapped.
    """

    primaries: str | None
    transfer: str | None
    matrix: str | None
    full_range: bool
    bits: int
    hdr: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What a clip says of itself, and what its packets show.

    Attributes:
        container: Kind of file.
        codec: Of the pictures, by FFmpeg's short name: `h264`, `hevc`, `vp9`.
        width: Px, as shown: turned, with square pixels.
        height: Px, as shown.
        coded_width: Px, as coded.
        coded_height: Px, as coded.
        fps: Mean frames per second; None of a single frame.
        constant_fps: Whether all frames are shown equally long, to the clock of the file.
        start: When the first frame begins to be shown, seconds; 0 unless sound comes first.
        duration: Seconds, until the last frame ends.
        frames: How many there are to see; None where the packets do not show it.
        orientation: Of EXIF's eight, by which coded frames are turned.
        pixel_aspect: Width of a pixel by its height.
        colour: How its samples are read.
        interlaced: Whether its first frame is made of two fields.
        has_audio: Whether there is sound.
        sha256: Of the file.
        size: Of the file, bytes.
        tags: What the container says of title, maker, programs and times: at most `MOST_TAGS`
            strings. Nothing in them is trusted.
    """

    container: Container
    codec: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    fps: Fraction | None
    constant_fps: bool
    start: Fraction
    duration: Fraction
    frames: int | None
    orientation: int
    pixel_aspect: Fraction
    colour: ClipColour
    interlaced: bool
    has_audio: bool
    sha256: str
    size: int
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One frame of a clip.

    Attributes:
        time: When it begins to be shown, seconds since the beginning of the clip.
        index: Its place among the frames as shown, from 0.
        pixels: sRGB, upright, with square pixels; read-only.
        keyframe: Whether it is coded without others.
        steps: What was done to it on the way in, in order.
    """

    time: Fraction
    index: int
    pixels: UInt8[ndarray, "height width 3"]
    keyframe: bool
    steps: tuple[str, ...]

    @property
    def time_s(self) -> float:
        """Seconds since the beginning of the clip, as a float."""
        return float(self.time)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which frames of a clip are looked at; see `plan`.

    Attributes:
        every: Seconds between two frames, more where there would be more than `most`; None for
            `most` frames over the clip.
        start: Where to begin, seconds; None for the beginning.
        end: Where to end, seconds; None for the end.
        most: Frames, at most.
        animations: Whether animated GIF, WebP and PNG count as clips; else one frame is judged.
    """

    every: float | None = None
    start: float | None = None
    end: float | None = None
    most: int = MOST_TIMES
    animations: bool = False

    def __post_init__(self) -> None:
        if self.most < 1 or (self.every is not None and not self.every > 0):
            raise ValueError(f"Positive numbers were wanted; got {self}.")
        if self.start is not None and self.end is not None and not self.start < self.end:
            raise ValueError(f"A clip is looked at from a time to a later one; got {self}.")


def plan(
    facts: ClipFacts,
    sampling: Sampling = Sampling(),
) -> tuple[Fraction, ...]:
    """Return the times to look at, seconds, in order.

    They stand in the middle of equal parts of the clip; no more parts than it has frames.

    Args:
        facts: Of the clip.
        sampling: Which times are wanted.

    Raises:
        NotAPhoto: If the clip has none of them.
    """
    every, start, end, most = sampling.every, sampling.start, sampling.end, sampling.most
    first = facts.start if start is None else max(facts.start, Fraction(start))
    last = facts.duration if end is None else min(Fraction(end), facts.duration)
    length = last - first
    if length < 0 or (length == 0 and facts.duration > facts.start):
        raise NotAPhoto(
            f"No time lies between {float(first):g} and {float(last):g} s; the clip has "
            f"{float(facts.duration):g} s.",
            hint="Choose times within the clip.",
            cli_hint="Choose --from and --to within the clip.",
        )
    if length == 0:
        return (first,)
    there = most
    if facts.frames is not None and facts.duration > facts.start:
        there = max(1, math.ceil(facts.frames * length / (facts.duration - facts.start)))
    wanted = (
        most if every is None else max(1, int(length / Fraction(every).limit_denominator(10**6)))
    )
    parts = min(most, wanted, there)
    return tuple(first + length * (2 * at + 1) / (2 * parts) for at in range(parts))


def bounded_tags(*sources: Mapping[str, str]) -> Mapping[str, str]:
    """Return what a container says of itself as a few short printable strings; first come."""
    found: dict[str, str] = {}
    for source in sources:
        for key, value in source.items():
            name = _printable(key.lower())
            if len(found) < MOST_TAGS and name and (text := _printable(value)):
                found.setdefault(name, text)
    return MappingProxyType(found)


def _printable(text: str) -> str:
    kept = "".join(c if c.isprintable() else " " for c in text[: 2 * _TAG_CHARACTERS])
    return " ".join(kept.split())[:_TAG_CHARACTERS]


# --- which kind of file? -----------------------------------------------------------------------

_STILL_BRANDS = {b"avif", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"crx "}
_MOVIE_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp"}
_PICTURES: dict[bytes, Container] = {
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"\x89PNG\r\n\x1a\n": "apng",
}
_OGG_PICTURES = (b"\x80theora", b"OVP80", b"BBCD\0")


def clip_kind(head: bytes) -> Container | None:
    """Return the kind of clip that the first bytes of a file announce; 4 KiB are enough.

    Names do not count. Of animated pictures only those are meant whose first bytes say that they
    move; of Ogg only what holds pictures.
    """
    if head[4:8] == b"ftyp":
        box = head[8 : max(16, min(int.from_bytes(head[:4]), 256))]
        brands = {box[:4], *(box[at : at + 4] for at in range(8, len(box), 4))}
        still = box[:4] in _STILL_BRANDS or brands & {b"avis"} or brands <= _STILL_BRANDS
        return None if still else "mp4"
    if head[4:8] in _MOVIE_BOXES:  # QuickTime of old has no ftyp
        return "mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"AVIX"):
        return "avi"
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) > 20 and head[20] & 2:
        return "webp"
    if head.startswith(b"FLV\x01"):
        return "flv"
    if head.startswith(b"\0\0\1\xba"):
        return "mpeg"
    if head.startswith(b"OggS"):
        return "ogg" if any(mark in head for mark in _OGG_PICTURES) else None
    for magic, kind in _PICTURES.items():
        if head.startswith(magic):
            return kind if kind == "gif" or b"acTL" in head else None
    return "mpegts" if _synchronised(head) else None


def looks_like_clip(head: bytes) -> bool:
    """Return whether the first bytes of a file (4 KiB are enough) are those of a clip.

    A GIF may turn out to be one picture; `Clip.facts.frames` says.
    """
    return clip_kind(head) is not None


def _synchronised(head: bytes) -> bool:
    """Return whether a transport stream's first five sync bytes stand there, or nine of ten."""
    for first, step in ((0, _TS), (4, _TS + 4), (0, _TS + 16)):
        there = head[first::step]
        most = 10 * there.count(0x47) >= 9 * len(there)
        if len(there) >= 5 and (most or there[:5] == b"G" * 5):
            return True
    return False


def spaced(times: Iterable[Fraction]) -> Fraction | None:
    """Return the smallest gap between neighbours of sorted times; None of fewer than two."""
    listed = sorted(times)
    gaps = [b - a for a, b in pairwise(listed) if b > a]
    return min(gaps, default=None)
