"""A video's container: opened so that it leads nowhere else, and the table of its coded frames.

All packets are walked once without being decoded. That gives the exact time of each frame, which
of them stand alone, and so what it costs to reach any of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from veridical._optional import need
from veridical.arrays import ndarray
from veridical.errors import (
    FormatNotInstalled,
    MissingExtra,
    NotAPhoto,
    PhotoDamaged,
    PhotoError,
    PhotoTooLarge,
)
from veridical.io.clip import Container
from veridical.io.clip_file import ClipFile
from veridical.io.formats import said

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_DEMUXERS = {"mp4": "mov"}
_DECODERS = (
    *("h264", "hevc", "vvc", "av1", "libdav1d", "vp8", "vp9", "vp6", "vp6f", "vp6a", "theora"),
    *("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "h263", "flv"),
    *("vc1", "wmv3", "mjpeg", "mjpegb", "jpeg2000", "png", "prores", "dnxhd", "dvvideo", "ffv1"),
    *("huffyuv", "ffvhuff", "utvideo", "magicyuv", "rawvideo", "v210", "qtrle", "svq1", "svq3"),
    *("cinepak", "rpza", "dirac", "cfhd", "flashsv", "flashsv2"),
)
# These name their streams after the header, too late to give their decoders a limit on pixels. So
# nothing of them is decoded while they are opened.
_LATE = ("flv", "mpeg")
_BUFFER = 2**17
_NEAR = Fraction(1, 20)  # by how much the file's mean rate may differ from that of its packets


@contextmanager
def clip_errors_only(name: str) -> Iterator[None]:
    """Translate whatever FFmpeg or PyAV raise; a hostile file can cause anything."""
    try:
        yield
    except PhotoError:
        raise
    except MissingExtra as error:
        raise FormatNotInstalled(f"{name}: is a video. {error.message}", hint=error.hint) from error
    except MemoryError as error:
        raise PhotoTooLarge(
            f"{name}: asks for more memory than there is.", hint="Use a smaller copy."
        ) from error
    except Exception as error:
        if isinstance(error.__cause__, PhotoError):  # raised by our file, inside a demuxer
            raise error.__cause__ from None
        raise PhotoDamaged(
            f"{name}: cannot be read as a video ({why(error)}).",
            hint="Get an undamaged copy, or save it again as MP4 with H.264.",
        ) from error


def why(error: Exception) -> str:
    """Return what FFmpeg says, without its number; kind and message of any other error."""
    return str(getattr(error, "strerror", None) or said(error))


def open_container(file: ClipFile, kind: Container) -> "tuple[InputContainer, VideoStream]":
    """Open a video with the one demuxer for its kind; return it and the pictures in it.

    No protocol, no playlist and no other file is ever opened: the demuxer is not guessed, and all
    it can reach is this file.

    Raises:
        PhotoError: If it cannot be opened, holds no pictures, or is over the limits.
    """
    with clip_errors_only(file.name):
        av = need("av", extra="video", to="read videos")
        file.seek(0)
        container = av.open(
            file,
            mode="r",
            format=_DEMUXERS.get(kind, kind),
            io_open=_refuse,
            container_options={
                "protocol_whitelist": "none",
                "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg",
                "codec_whitelist": "none" if kind in _LATE else ",".join(_DECODERS),
                "max_streams": str(file.limits.max_streams),
            },
            options={"max_pixels": str(file.limits.max_pixels), "threads": "1"},
            metadata_errors="replace",
            buffer_size=_BUFFER,
        )
        try:
            return container, _pictures(container, file)
        except BaseException:
            container.close()
            raise


def _refuse(url: str, _flags: int, _options: dict[str, str]) -> Any:
    raise PermissionError(f"Another file is asked for: {url[:80]}")


def _pictures(container: "InputContainer", file: ClipFile) -> "VideoStream":
    av = need("av", extra="video", to="read videos")
    cover = av.stream.Disposition.attached_pic
    videos = [one for one in container.streams.video if not one.disposition & cover]
    if not videos:
        sound = " It holds sound only." if container.streams.audio else ""
        raise NotAPhoto(
            f"{file.name}: holds no moving pictures.{sound}", hint="Pass a video with pictures."
        )
    default = av.stream.Disposition.default
    stream = next((one for one in videos if one.disposition & default), videos[0])
    if stream.codec_context is None or stream.codec_context.codec.name not in _DECODERS:
        codec = stream.codec_context.codec.name if stream.codec_context else "an unknown codec"
        raise NotAPhoto(
            f"{file.name}: its pictures are coded with {codec}, which is not read.",
            hint="Save it again as MP4 with H.264.",
        )
    check_frame_size(file, stream.width, stream.height)
    for other in container.streams:
        if other is not stream:
            other.discard = av.stream.Discard.all
    return stream


def check_frame_size(file: ClipFile, width: int, height: int) -> None:
    """Hold a size in px to the limits.

    Raises:
        PhotoTooLarge: If it is over them.
    """
    limits = file.limits
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise PhotoTooLarge(
            f"{file.name}: its frames are {width} x {height} px; at most {limits.max_pixels} px in "
            f"all and {limits.max_side} px a side were wanted.",
            hint="Raise ClipLimits.max_pixels and ClipLimits.max_side.",
            cli_hint="A smaller copy is another clip.",
        )


@dataclass(frozen=True, eq=False)
class Packets:
    """The coded frames of a clip.

    Attributes:
        shown: Timestamps of the frames that are shown, ascending, in ticks.
        place: For each of these, its place in the order of decoding.
        keys: Whether each of these stands alone.
        reach: For each place in the order of decoding, the highest index among what was decoded so
            far: once it has come out, all of that has.
        ends: Tick at which the last frame ends.
        key_places: Places of all frames that stand alone, in the order of decoding, ascending;
            also of those that an edit hides.
        key_ticks: Their timestamps.
        exact: Whether each packet has its timestamp; else they are known by their order.
        tick: Seconds.
        zero: Seconds on the clock of the file at which the clip begins.
        broken: What stopped the walk before the end of the file; None if nothing did.
    """

    shown: ndarray
    place: ndarray
    keys: ndarray
    reach: ndarray
    ends: int
    key_places: ndarray
    key_ticks: ndarray
    exact: bool
    tick: Fraction
    zero: Fraction
    broken: str | None

    def time(self, index: int) -> Fraction:
        """Return when a frame begins to be shown, seconds since the beginning of the clip."""
        return int(self.shown[index]) * self.tick - self.zero

    def end(self) -> Fraction:
        """Return when the last frame ends."""
        return self.ends * self.tick - self.zero

    def at(self, time: Fraction) -> int:
        """Return the index of the frame that is shown at a time; the first before all of them."""
        tick = (time + self.zero) / self.tick
        return max(0, int(np.searchsorted(self.shown, int(tick // 1), side="right")) - 1)

    def index(self, tick: int | None) -> int | None:
        """Return which frame has this timestamp; None if there is none."""
        if tick is None:
            return None
        found = int(np.searchsorted(self.shown, tick))
        return found if found < len(self.shown) and int(self.shown[found]) == tick else None

    def key_before(self, index: int) -> int:
        """Return which of the keys has to be decoded first for a frame; -1 if there is none.

        The last one that is shown no later, and decoded no later: what a key leads in decoding but
        follows in showing may need the one before.
        """
        place, tick = int(self.place[index]), int(self.shown[index])
        last = int(np.searchsorted(self.key_places, place, side="right")) - 1
        while last >= 0 and int(self.key_ticks[last]) > tick:
            last -= 1
        return last

    def rate(self, stream: "VideoStream") -> tuple[Fraction | None, bool]:
        """Return mean frames per second, and whether all frames are shown equally long."""
        if len(self.shown) < 2:
            return None, True
        gaps = np.diff(self.shown)
        constant = int(gaps.max()) - int(gaps.min()) <= 1
        mean = (len(self.shown) - 1) / ((int(self.shown[-1]) - int(self.shown[0])) * self.tick)
        stated = stream.average_rate
        if constant and stated and abs(stated / mean - 1) <= _NEAR:
            return Fraction(stated), True
        return mean, constant


def scan(container: "InputContainer", stream: "VideoStream", file: ClipFile) -> Packets:
    """Walk all packets of the pictures.

    Raises:
        PhotoError: If there are none, or more than the limits allow.
    """
    if not stream.time_base:
        raise PhotoDamaged(f"{file.name}: has no clock.", hint="Get an undamaged copy.")
    ticks, lengths, keys, hidden = list[int | None](), list[int](), list[bool](), list[bool]()
    decoding, broken = list[int | None](), None
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if len(ticks) >= file.limits.max_packets:
                raise PhotoTooLarge(
                    f"{file.name}: has more than {file.limits.max_packets} frames.",
                    hint="Raise ClipLimits.max_packets.",
                    cli_hint="Cut the stretch out that matters, without coding it again.",
                )
            if packet.is_corrupt:
                broken = "the file breaks off inside a frame"
                continue
            file.check_clock()
            ticks.append(packet.pts)
            decoding.append(packet.dts)
            lengths.append(packet.duration or 0)
            keys.append(packet.is_keyframe)
            hidden.append(packet.is_discard)
    except PhotoError:
        raise
    except Exception as error:
        broken = f"the file cannot be read further ({why(error)})"
    if not ticks:
        raise PhotoDamaged(
            f"{file.name}: its header is there, and no frame of it.", hint="Get an undamaged copy."
        )
    return _table(container, stream, ticks, decoding, lengths, keys, hidden, broken)


def _table(
    container: "InputContainer",
    stream: "VideoStream",
    ticks: list[int | None],
    decoding: list[int | None],
    lengths: list[int],
    keys: list[bool],
    hidden: list[bool],
    broken: str | None,
) -> Packets:
    exact = None not in ticks
    usual = _usual_length(stream, lengths)
    if exact:
        times = np.array(ticks, np.int64)
    else:  # the order of decoding has as many times as that of showing
        known = [one for one in decoding if one is not None]
        steady = len(known) < len(decoding)
        times = np.arange(len(ticks)) * usual if steady else np.array(sorted(known), np.int64)
    key, hide = np.array(keys), np.array(hidden)
    if hide.all():
        hide[:] = False
    seen = np.flatnonzero(~hide)
    if exact:
        shown, first = np.unique(times[seen], return_index=True)
        place = seen[first]
    else:
        place, shown = seen, times[seen]
    indices = np.full(len(times), -1, np.int64)
    indices[place] = np.arange(len(place))
    last = int(shown[-1])
    length = lengths[int(place[-1])] or usual
    start = int(shown[0]) * Fraction(stream.time_base or 1)
    return Packets(
        shown=shown,
        place=place,
        keys=key[place],
        reach=np.maximum.accumulate(indices),
        ends=last + max(1, length),
        key_places=np.flatnonzero(key),
        key_ticks=times[key],
        exact=exact,
        tick=Fraction(stream.time_base or 1),
        zero=_zero(container, start),
        broken=broken,
    )


def _usual_length(stream: "VideoStream", lengths: list[int]) -> int:
    """Return how many ticks a frame takes that does not say."""
    said = sorted(one for one in lengths if one > 0)
    if said:
        return said[len(said) // 2]
    rate = stream.average_rate or stream.guessed_rate
    return max(1, round(1 / (rate * (stream.time_base or 1)))) if rate else 1


def _zero(container: "InputContainer", start: Fraction) -> Fraction:
    """Return when the clip begins on the clock of its file: with its first picture or sound.

    Sound that begins before zero is what its coder needs to start up, and is not played.
    """
    sounds = [
        one.start_time * one.time_base
        for one in container.streams.audio
        if one.start_time is not None and one.time_base
    ]
    first = min([start, *(Fraction(one) for one in sounds)])
    return first if first >= 0 or first == start else min(start, Fraction(0))
