"""Animated GIF, WebP and PNG as clips: their times read by us, their pictures by Pillow."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import accumulate

import numpy as np

from veridical.arrays import UInt8, ndarray
from veridical.errors import PhotoDamaged, PhotoError, PhotoTooLarge
from veridical.io.clip import ClipColour, ClipFacts, Container, Frame
from veridical.io.clip_file import ClipFile
from veridical.io.colour import to_srgb
from veridical.io.formats import Limits, open_image, photo_errors_only
from veridical.video import Lost

MOST_BYTES = 200 * 2**20  # Pillow holds them in memory
MOST_FRAMES = 20_000
_KINDS = {"gif": "GIF", "webp": "WEBP", "apng": "PNG"}
_SHORTEST, _INSTEAD = Fraction(1, 100), Fraction(1, 10)
_COLOUR = ClipColour(
    primaries="bt709", transfer="srgb", matrix="rgb", full_range=True, bits=8, hdr=False
)


class Animation:
    """An animated picture; see `video.Clip`.

    Frames that say to be shown for 10 ms or less are shown for 100 ms, as browsers do.
    """

    def __init__(self, file: ClipFile, kind: Container) -> None:
        self.lost: list[Lost] = []
        self._file, self._kind = file, kind
        if file.size > MOST_BYTES:
            raise PhotoTooLarge(
                f"{file.name}: {file.size} bytes came; an animated picture may have {MOST_BYTES}.",
                hint="Save it as a video.",
            )
        digest = file.sha256()
        file.seek(0)
        self._data = file.read()
        lengths, broken = _lengths(self._data, kind)
        if len(lengths) > MOST_FRAMES:
            raise PhotoTooLarge(
                f"{file.name}: has {len(lengths)} frames; an animated picture may have "
                f"{MOST_FRAMES}.",
                hint="Save it as a video.",
            )
        if not lengths:
            raise PhotoDamaged(f"{file.name}: holds no frame.", hint="Get an undamaged copy.")
        quick = sum(one <= _SHORTEST for one in lengths)
        lengths = [_INSTEAD if one <= _SHORTEST else one for one in lengths]
        self._steps = ("frames of 10 ms or less shown for 100 ms",) if quick else ()
        self._times = list(accumulate(lengths[:-1], initial=Fraction(0)))
        self._limits = Limits(
            max_pixels=file.limits.max_pixels,
            max_side=file.limits.max_side,
            max_seconds=file.limits.max_seconds,
        )
        self._end = self._times[-1] + lengths[-1]
        with photo_errors_only(file.name, _KINDS[kind]):
            image = open_image(self._data, _KINDS[kind], file.name, self._limits)
            size = image.size
            next(self._decoded([0]))
        if broken:
            self.lost.append(Lost(start_s=float(self._end), end_s=None, why=broken))
        self.facts = ClipFacts(
            container=kind,
            codec=kind,
            width=size[0],
            height=size[1],
            coded_width=size[0],
            coded_height=size[1],
            fps=Fraction(len(lengths)) / self._end if len(lengths) > 1 else None,
            constant_fps=len(set(lengths)) == 1,
            start=Fraction(0),
            duration=self._end,
            frames=len(lengths),
            orientation=1,
            pixel_aspect=Fraction(1),
            colour=_COLOUR,
            interlaced=False,
            has_audio=False,
            sha256=digest,
            size=file.size,
        )
        file.pause()

    def frames(self, times: Iterable[Fraction | float], *, exact: bool = True) -> Iterator[Frame]:
        """Yield the frames that are shown at these times; see `video.Clip`."""
        starts = self._times
        wanted = {max(0, bisect_right(starts, Fraction(time)) - 1) for time in times}
        self._file.resume()
        try:
            for index, pixels, steps in self._decoded(sorted(wanted)):
                self._file.pause()
                yield Frame(
                    time=starts[index],
                    index=index,
                    pixels=pixels,
                    keyframe=index == 0,
                    steps=(*self._steps, *steps),
                )
                self._file.resume()
        finally:
            self._file.pause()

    def _decoded(
        self, wanted: Sequence[int]
    ) -> Iterator[tuple[int, UInt8[ndarray, "height width 3"], list[str]]]:
        """Go through the frames up to the last one wanted."""
        begun = hasattr(self, "facts")
        image = open_image(self._data, _KINDS[self._kind], self._file.name, self._limits)
        # Pillow counts an animated PNG's default image that nobody sees.
        hidden = int(bool(getattr(image, "default_image", False)))
        for index in wanted:
            steps: list[str] = []
            try:
                with photo_errors_only(self._file.name, _KINDS[self._kind]):
                    for at in range(image.tell(), index + hidden + 1):
                        self._file.check_clock()
                        image.seek(at)
                        image.load()
                    pixels = np.asarray(to_srgb(image.copy(), steps)).copy()
            except PhotoError as error:
                if not begun:
                    raise
                begins, ends = float(self._times[index]), float(self._end)
                self.lost.append(Lost(start_s=begins, end_s=ends, why=error.message))
                return
            pixels.setflags(write=False)
            yield index, pixels, steps


# --- how long each frame is shown --------------------------------------------------------------


def _lengths(data: bytes, kind: Container) -> tuple[list[Fraction], str | None]:
    """Return how long each frame is shown, seconds, and what stopped the walk early."""
    read = {"gif": _gif, "webp": _webp, "apng": _apng}[kind]
    found: list[Fraction] = []
    whole = read(data, found)
    return found, None if whole else "the file breaks off"


def _gif(data: bytes, found: list[Fraction]) -> bool:
    """Walk the blocks of a GIF (GIF89a, sections 18 to 26); return whether it ends as it should."""
    if len(data) < 13:
        return False
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    delay = Fraction(0)
    while at < len(data):
        mark = data[at]
        if mark == 0x3B:
            return True
        if mark == 0x21 and at + 8 <= len(data):
            if data[at + 1] == 0xF9:
                delay = Fraction(int.from_bytes(data[at + 4 : at + 6], "little"), 100)
            at = _past_blocks(data, at + 2)
        elif mark == 0x2C and at + 10 <= len(data):
            table = 3 << (data[at + 9] & 7) + 1 if data[at + 9] & 0x80 else 0
            at = _past_blocks(data, at + 11 + table)
            found.append(delay)
            delay = Fraction(0)
        else:
            return False
    return False


def _past_blocks(data: bytes, at: int) -> int:
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _webp(data: bytes, found: list[Fraction]) -> bool:
    """Walk the chunks of a WebP; `ANMF` is a frame, in ms (RFC 9649, section 2.7.1.1)."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"ANMF" and at + 24 <= len(data):
            found.append(Fraction(int.from_bytes(data[at + 20 : at + 23], "little"), 1000))
        at += 8 + size + size % 2
    return at <= len(data)


def _apng(data: bytes, found: list[Fraction]) -> bool:
    """Walk the chunks of a PNG; `fcTL` is a frame (PNG, third edition, section 11.3.2.2)."""
    at = 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        if kind == b"fcTL" and at + 34 <= len(data):
            above, below = (int.from_bytes(data[at + 28 + k : at + 30 + k]) for k in (0, 2))
            found.append(Fraction(above, below or 100))
        at += 12 + size
        if kind == b"IEND":
            return at <= len(data)
    return False
