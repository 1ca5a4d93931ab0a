"""From wanted frames to decoded ones: where to begin, what to leave out, and where damage reaches.

A frame is reached from the keyframe before it. Frames that no other is built on are not decoded
unless they are wanted, which changes no pixel of the rest. A decoder hides damage: it paints over
what it cannot read, and goes on from there. So once a frame is damaged, all that may be built on it
is left out, up to the next keyframe; to know where that begins, the stretch is decoded once more
with a single thread.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from veridical.errors import PhotoError, PhotoTooSlow
from veridical.io.clip import Container
from veridical.io.clip_file import ClipFile
from veridical.io.clip_packets import Packets, check_frame_size, open_container, scan, why

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_WORTH = 6  # coded frames that are decoded rather than jumped over: a jump costs about as much
_STEPS_BACK = (0, 1, 3, 8)  # keyframes earlier, where a jump lands behind the one that was meant
_SKIPPING = ("h264", "hevc", "mpeg2video", "mpeg4")  # decoders that know what nothing is built on


class Damage(Exception):
    """A coded frame that cannot be decoded; `place` is its own in the order of decoding."""

    def __init__(self, place: int, why: str) -> None:
        super().__init__(why)
        self.place, self.why = place, why


@dataclass(frozen=True, slots=True)
class Run:
    """Wanted frames that are decoded in one go, from a keyframe on; -1 is the beginning."""

    wanted: tuple[int, ...]
    key: int


@dataclass(slots=True)
class Decoded:
    """A decoded frame, and its place in the order of decoding.

    Of an interlaced clip with its neighbours, which a deinterlacer looks at. What it is built on is
    known to be sound once frame `until` has come out.
    """

    index: int
    frame: "VideoFrame"
    place: int
    until: int
    before: "VideoFrame | None" = None
    after: "VideoFrame | None" = None


def runs(packets: Packets, wanted: Sequence[int]) -> list[Run]:
    """Put wanted frames, ascending, together where going on is cheaper than jumping."""
    if not packets.exact:
        return [Run(tuple(wanted), -1)] if wanted else []
    made: list[Run] = []
    for index in wanted:
        key = packets.key_before(index)
        if made:
            begin = int(packets.key_places[key]) if key >= 0 else 0
            if begin - int(packets.place[made[-1].wanted[-1]]) <= _WORTH:
                made[-1] = Run((*made[-1].wanted, index), made[-1].key)
                continue
        made.append(Run((index,), key))
    return made


class Decoder:
    """The open container and its decoder.

    `stream` and `container` are those of the last opening; older ones are gone: keep none.

    Attributes:
        packets: Of the pictures.
        neighbours: Whether frames come with those before and after.
    """

    def __init__(self, file: ClipFile, kind: Container, threads: int) -> None:
        self._file, self._kind, self.threads = file, kind, max(1, threads)
        self.neighbours = False
        self.decoded = 0
        self.container: InputContainer
        self.stream: VideoStream
        self._opened = False
        self.open()
        try:
            self.packets = scan(self.container, self.stream, file)
        except BaseException:
            self.close()
            raise
        self._fresh = False

    def open(self, threads: int | None = None) -> None:
        """Open the container, or open it once more at its beginning."""
        self.close()
        self.threads = threads or self.threads
        self._opened = False
        self.container, self.stream = open_container(self._file, self._kind)
        self._opened = True
        context = self.stream.codec_context
        context.thread_count = self.threads
        context.thread_type = "AUTO" if self.threads > 1 else "NONE"
        context.options = {"max_pixels": str(self._file.limits.max_pixels)}
        self._fresh = True

    def close(self) -> None:
        """Give everything back."""
        if self._opened:
            self.container.close()

    def decode(self, run: Run) -> Iterator[Decoded]:
        """Yield the wanted frames of a run, in order; one that is not given out is passed over.

        Where a clip has coded frames that are never shown, what was shown before them is meant.

        Raises:
            Damage: If a frame cannot be decoded. All that were yielded before are sound.
            PhotoError: If a limit is reached.
        """
        held, pending = deque[Decoded](), deque(run.wanted)
        before: tuple[int, VideoFrame] | None = None
        try:
            for index, frame in self._stream(run):
                if self.neighbours and held and held[-1].after is None:
                    held[-1].after = frame
                while pending and pending[0] < index:
                    pending.popleft()
                    if before is not None and not self._skips:
                        held.append(self._held(*before, None))
                if pending and pending[0] == index:
                    pending.popleft()
                    held.append(self._held(index, frame, before[1] if before else None))
                before = index, frame
                while held and index >= held[0].until and (held[0].after or not self.neighbours):
                    yield held.popleft()
                if not held and not pending:
                    return
            if pending and before is not None and not self._skips:
                held.append(self._held(*before, None))
        except Damage as damage:
            yield from (one for one in held if one.place < damage.place)
            raise
        yield from held

    def _held(self, index: int, frame: "VideoFrame", before: "VideoFrame | None") -> Decoded:
        place = int(self.packets.place[index])
        until = int(self.packets.reach[place])
        return Decoded(index, frame, place, until, before if self.neighbours else None)

    @property
    def _skips(self) -> bool:
        """Whether frames that no other is built on are left out."""
        known = self.stream.codec_context.codec.name in _SKIPPING
        return known and self.packets.exact and not self.neighbours

    def _stream(self, run: Run) -> "Iterator[tuple[int, VideoFrame]]":
        """Yield decoded frames and their indices, in the order of showing, from a run's start."""
        packets, count = self.packets, -1
        needed = {int(packets.place[one]) for one in run.wanted}
        for packet, place in self._fed(run):
            for frame in self._outputs(packet, place, place in needed):
                count += 1
                index = packets.index(frame.pts) if packets.exact else count
                if index is None or index >= len(packets.shown):
                    continue
                if frame.is_corrupt:
                    raise Damage(int(packets.place[index]), "a frame is coded wrongly")
                check_frame_size(self._file, frame.width, frame.height)
                yield index, frame

    def _fed(self, run: Run) -> "Iterator[tuple[Packet[VideoStream] | None, int]]":
        """Yield what a run needs of the file, and None at its end, to empty the decoder."""
        packets = self.packets
        beyond = (
            min(len(packets.shown) - 1, run.wanted[-1] + 1) if self.neighbours else run.wanted[-1]
        )
        stop = max(int(packets.place[one]) for one in (*run.wanted, beyond))
        place = int(packets.key_places[run.key]) - 1 if run.key >= 0 else -1
        for packet in self._from(run.key):
            found = None
            if packets.exact and packet.pts is not None:
                found = packets.index(packet.pts)
            place = int(packets.place[found]) if found is not None else place + 1
            yield packet, place
            if packets.exact and place >= stop:
                break
        yield None, place

    def _outputs(
        self, packet: "Packet[VideoStream] | None", place: int, needed: bool
    ) -> "list[VideoFrame]":
        """Give the decoder one packet; return what comes out."""
        self._file.check_clock()
        if self.decoded >= self._file.limits.max_decoded:
            raise PhotoTooSlow(
                f"{self._file.name}: {self.decoded} frames were decoded, which is the limit.",
                hint="Look at fewer times, or raise ClipLimits.max_decoded.",
                cli_hint="Look at a shorter stretch of the clip.",
            )
        self.decoded += packet is not None
        context = self.stream.codec_context
        if self._skips:
            context.skip_frame = "DEFAULT" if needed or packet is None else "NONREF"
        try:
            return context.decode(packet)
        except (MemoryError, PhotoError):
            raise
        except Exception as error:
            raise Damage(place, f"a frame cannot be decoded ({why(error)})") from error

    def _from(self, key: int) -> "Iterator[Packet[VideoStream]]":
        """Yield packets from a keyframe on; -1 is the beginning.

        Some demuxers jump inexactly. Where one lands behind the keyframe, an earlier one is tried.
        """
        for back in _STEPS_BACK if key >= 0 else ():
            earlier = max(0, key - back)
            if self._fresh and int(self.packets.key_places[earlier]) == 0:
                break
            found = self._jump(earlier, int(self.packets.key_ticks[key]))
            if found is not None:
                first, rest = found
                yield first
                yield from self._sized(rest)
                return
        if not self._fresh:
            self.open()
        self._fresh = False
        yield from self._sized(self.container.demux(self.stream))

    def _jump(
        self, key: int, latest: int
    ) -> "tuple[Packet[VideoStream], Iterator[Packet[VideoStream]]] | None":
        """Go to a keyframe; return it and what follows, None if it lies behind `latest`."""
        self._fresh = False
        try:
            self.container.seek(int(self.packets.key_ticks[key]), stream=self.stream)
            rest = self.container.demux(self.stream)
            for packet in self._sized(rest):
                if packet.is_keyframe:
                    known = packet.pts is not None and packet.pts <= latest
                    return (packet, rest) if known else None
        except PhotoError:
            raise
        except Exception:  # no index, or a damaged one: it is read from the beginning then
            return None
        return None

    def _sized(self, packets: "Iterator[Packet[VideoStream]]") -> "Iterator[Packet[VideoStream]]":
        """Yield packets that hold something; end where the file cannot be read further."""
        while True:
            try:
                packet = next(packets, None)
            except PhotoError:
                raise
            except Exception:  # the walk over the packets has said so, too
                return
            if packet is None or packet.is_corrupt:
                return
            if packet.size:
                yield packet
