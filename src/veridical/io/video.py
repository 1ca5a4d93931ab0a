"""Clips: frames with exact times, as a player shows them, out of a stranger's file.

    with open_clip("holiday.mp4") as clip:
        for frame in clip.frames(plan(clip.facts)):
            print(frame.time_s, frame.pixels.shape)
        print(clip.lost)

A video needs PyAV (the extra `video`); animated GIF, WebP and PNG need nothing more. Damage never
ends a clip once its first frame was read: what cannot be read is named in `Clip.lost`.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np

from veridical._optional import need
from veridical.errors import NotAPhoto, PhotoDamaged, PhotoError
from veridical.io.animation import Animation
from veridical.io.clip import (
    MOST_LOST,
    ClipFacts,
    ClipLimits,
    Container,
    Frame,
    bounded_tags,
    clip_kind,
    spaced,
)
from veridical.io.clip_decode import Damage, Decoded, Decoder, Run, runs
from veridical.io.clip_fields import deinterlaced
from veridical.io.clip_file import HEAD, ClipFile, missing_bytes, open_clip_file
from veridical.io.clip_packets import check_frame_size, clip_errors_only
from veridical.io.clip_pixels import colour_of, geometry_of, shown_pixels
from veridical.io.formats import describe
from veridical.io.source import File, first_bytes
from veridical.video import Lost

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

ANIMATED: tuple[Container, ...] = ("gif", "webp", "apng")
"""Pictures that move: read without PyAV."""

_TRIES = 8  # keyframes that are tried for the first frame of a damaged clip


def moves(source: object, *, animations: bool) -> bool:
    """Return whether a source is a clip, by its first bytes; what cannot be read is none.

    Args:
        source: Whatever may be judged.
        animations: Whether animated GIF, WebP and PNG count.
    """
    head = b""
    if isinstance(source, File):
        head = (source.data or b"")[:HEAD]
    elif isinstance(source, bytes):
        head = source[:HEAD]
    elif isinstance(source, str | os.PathLike):
        with suppress(OSError, ValueError):
            head = first_bytes(source, HEAD)
    kind = clip_kind(head)
    return kind is not None and (animations or kind not in ANIMATED)


class Clip(Protocol):
    """A clip that is open.

    Attributes:
        facts: What it says of itself.
        lost: What could not be read so far; at most `MOST_LOST` stretches.
    """

    facts: ClipFacts
    lost: list[Lost]

    def frames(self, times: Iterable[Fraction | float], *, exact: bool = True) -> Iterator[Frame]:
        """Yield the frames that are shown at these times, in order, each once.

        Damage and limits reached on the way are put into `lost`. Go through one of these iterators
        at a time, while the clip is open.

        Args:
            times: Seconds since the beginning of the clip.
            exact: Whether to take these frames; else the keyframe that is nearest, if it is
                nearer than half of the smallest gap between two times. That is faster.
        """
        ...


@contextmanager
def open_clip(
    source: str | os.PathLike[str] | bytes | File,
    limits: ClipLimits = ClipLimits(),
    *,
    threads: int = 1,
) -> Iterator[Clip]:
    """Open a clip and read its first frame.

    Args:
        source: A path; the bytes of a file; a `File`. A file that is named is never held in memory.
        limits: On what the clip may ask of us.
        threads: Of the decoder. The pixels are the same with any number.

    Raises:
        PhotoMissing: No such file, or it is a folder.
        PhotoUnreadable: A pipe or a device, or the system does not give the bytes out.
        PhotoEmpty: Zero bytes.
        NotAPhoto: No clip, or one without pictures.
        PhotoDamaged: No frame can be read.
        PhotoTooLarge: Over the limits on bytes, pixels or frames.
        PhotoTooSlow: Over the limit on seconds.
        FormatNotInstalled: PyAV is not installed.
    """
    file = open_clip_file(source, limits)
    clip: _Video | Animation | None = None
    try:
        head = file.head()
        kind = clip_kind(head)
        if kind is None:
            raise NotAPhoto(
                f"{file.name}: is {describe(head)}; a clip was wanted.",
                hint="Pass an MP4, QuickTime, Matroska, WebM, AVI, MPEG, FLV or Ogg video, or an "
                "animated GIF, WebP or PNG.",
            )
        clip = Animation(file, kind) if kind in ANIMATED else _Video(file, kind, threads)
        yield clip
    finally:
        if isinstance(clip, _Video):
            clip.close()
        file.close()


class _Video:
    """A video, read through PyAV."""

    def __init__(self, file: ClipFile, kind: Container, threads: int) -> None:
        self.lost: list[Lost] = []
        self._turn = 0
        self._file, self._kind, self._threads = file, kind, max(1, threads)
        with clip_errors_only(file.name):
            file.pause()
            self._sha256 = file.sha256()
            file.resume()
            missing = missing_bytes(file, kind)
            self._decoder = Decoder(file, kind, threads)
            try:
                made = need("av.video.reformatter", extra="video", to="read videos")
                self._reformatter = made.VideoReformatter()
                self._packets = self._decoder.packets
                first = self._first()
                stream = self._decoder.stream
                aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
                self._geometry = geometry_of(first, aspect)
                self.facts = self._facts(first)
                self._decoder.neighbours = self.facts.interlaced
                check_frame_size(file, self.facts.width, self.facts.height)
            except BaseException:
                self.close()
                raise
        self._note_ending(missing)
        file.pause()

    def close(self) -> None:
        """Give the decoder back."""
        self._turn += 1
        self._decoder.close()

    def frames(self, times: Iterable[Fraction | float], *, exact: bool = True) -> Iterator[Frame]:
        """Yield the frames that are shown at these times; see `Clip`."""
        wanted = self._chosen([Fraction(one) for one in times], exact)
        self._turn += 1
        given, mine = -1, self._turn
        self._file.resume()
        try:
            for one in self._read(wanted):
                if one.index <= given:  # two times fell on it
                    continue
                try:
                    with clip_errors_only(self._file.name):
                        frame = self._shown(one)
                except PhotoError as error:
                    self._lose(one.index, one.index + 1, error.message)
                    continue
                given = one.index
                self._file.pause()
                yield frame
                if mine != self._turn:  # its demuxer is gone, and must not be touched
                    raise RuntimeError("The clip was closed, or other frames were asked for.")
                self._file.resume()
        finally:
            self._file.pause()

    def _chosen(self, times: Sequence[Fraction], exact: bool) -> list[int]:
        """Return the indices of the frames for these times, ascending."""
        packets = self._packets
        near = (spaced(times) or Fraction(0)) / 2
        keys = np.flatnonzero(packets.keys)
        found = set[int]()
        for time in times:
            index = packets.at(time)
            if not exact and near and len(keys):
                after = int(np.searchsorted(keys, index, side="right"))
                around = (int(one) for one in keys[max(0, after - 1) : after + 1])
                key = min(around, key=lambda one: abs(packets.time(one) - time))
                index = key if abs(packets.time(key) - time) < near else index
            found.add(index)
        return sorted(found)

    def _read(self, wanted: Sequence[int]) -> Iterator[Decoded]:
        """Yield decoded frames; put what cannot be had into `lost`."""
        left = deque(runs(self._packets, wanted))
        stuck = set[tuple[int, ...]]()
        while left:
            run = left.popleft()
            missing = list(run.wanted)
            try:
                for one in self._decoder.decode(run):
                    while missing and missing[0] <= one.index:
                        missing.pop(0)
                    yield one
            except Damage as damage:
                here = (damage.place, self._decoder.threads, *missing)
                if here in stuck:  # a table that contradicts itself: do not go round in circles
                    for index in missing:
                        self._lose(index, index + 1, damage.why)
                    continue
                stuck.add(here)
                left.extendleft(reversed(self._after(damage, missing)))
            except PhotoError as error:
                if not hasattr(self, "facts"):
                    raise
                self._lose(missing[0] if missing else wanted[-1], None, error.message)
                return
            else:
                for index in missing:
                    self._lose(index, index + 1, "the decoder does not give this frame out")

    def _after(self, damage: Damage, missing: Sequence[int]) -> list[Run]:
        """Return how to go on after damage; what is lost by it is named."""
        packets, decoder = self._packets, self._decoder
        if decoder.threads > 1:  # several threads do not say surely which frame it is
            decoder.open(threads=1)
            return runs(packets, missing)
        next_key = int(np.searchsorted(packets.key_places, damage.place, side="right"))
        healed, begins = len(packets.place), len(packets.shown)
        if packets.exact and next_key < len(packets.key_places):
            healed = int(packets.key_places[next_key])
            begins = int(np.searchsorted(packets.shown, packets.key_ticks[next_key]))
        hit = packets.place >= damage.place
        hit &= (packets.place < healed) | (np.arange(len(hit)) < begins)
        gone = np.flatnonzero(hit)
        if len(gone):
            self._lose(int(gone[0]), int(gone[-1]) + 1, damage.why)
        sound = [index for index in missing if not hit[index]]
        # What was still inside the decoder is decoded again, and nothing after it.
        earlier = [index for index in sound if packets.place[index] < damage.place]
        later = [index for index in sound if packets.place[index] >= damage.place]
        return runs(packets, earlier) + runs(packets, later)

    def _lose(self, first: int, beyond: int | None, why: str) -> None:
        """Name frames, from one up to before another, that could not be read."""
        packets = self._packets
        ends = beyond is None or beyond >= len(packets.shown)
        until = packets.end() if ends else packets.time(beyond or 0)
        lost = Lost(start_s=float(packets.time(first)), end_s=float(until), why=why)
        if lost not in self.lost and len(self.lost) < MOST_LOST:
            self.lost.append(lost)

    def _first(self) -> "VideoFrame":
        """Return the first frame that can be decoded.

        Raises:
            PhotoDamaged: If none of the first few keyframes can.
        """
        keys = [int(one) for one in np.flatnonzero(self._packets.keys)[:_TRIES]]
        threads = self._decoder.threads
        for index in dict.fromkeys([0, *keys]):
            for one in self._read([index]):
                if self._decoder.threads != threads:
                    self._decoder.open(threads)
                return one.frame
        why = self.lost[0].why if self.lost else "none comes out of the decoder"
        raise PhotoDamaged(
            f"{self._file.name}: no frame of it can be decoded: {why}.",
            hint="Get an undamaged copy, or save it again as MP4 with H.264.",
        )

    def _facts(self, first: "VideoFrame") -> ClipFacts:
        container, stream = self._decoder.container, self._decoder.stream
        packets, file = self._packets, self._file
        width, height = self._geometry.shown(first.width, first.height)
        fps, constant = packets.rate(stream)
        return ClipFacts(
            container=self._kind,
            codec=stream.codec_context.codec.canonical_name,
            width=width,
            height=height,
            coded_width=first.width,
            coded_height=first.height,
            fps=fps,
            constant_fps=constant,
            start=packets.time(0),
            duration=packets.end(),
            frames=len(packets.shown),
            orientation=self._geometry.orientation,
            pixel_aspect=self._geometry.aspect,
            colour=colour_of(first),
            interlaced=first.interlaced_frame,
            has_audio=bool(container.streams.audio),
            sha256=self._sha256,
            size=file.size,
            tags=bounded_tags(container.metadata, stream.metadata),
        )

    def _shown(self, one: Decoded) -> Frame:
        """Return a decoded frame as a player shows it."""
        steps: list[str] = []
        frame = one.frame
        if frame.interlaced_frame:
            frame = deinterlaced(one, steps)
        pixels = shown_pixels(frame, self._geometry, self._reformatter, self._threads, steps)
        return Frame(
            time=self._packets.time(one.index),
            index=one.index,
            pixels=pixels,
            keyframe=bool(self._packets.keys[one.index]),
            steps=tuple(steps),
        )

    def _note_ending(self, missing: int) -> None:
        """Name the end of a clip whose file breaks off."""
        stream, packets = self._decoder.stream, self._packets
        if not missing and packets.broken is None:
            return
        why = packets.broken or f"the file breaks off; {missing} of its bytes are missing"
        stated = None
        if stream.duration is not None:
            end = (stream.duration + (stream.start_time or 0)) * packets.tick - packets.zero
            stated = float(end) if end > packets.end() else None
        self.lost.append(Lost(start_s=float(packets.end()), end_s=stated, why=why))
