"""The file of a clip: opened by path, never held in memory, and looked over before it is demuxed.

A demuxer allocates what tables ask for. A few bytes of an MP4 can ask for billions of entries, so
its boxes are counted here first (ISO/IEC 14496-12), against the limits.
"""

import hashlib
import io
import os
import shlex
import stat
import time
from dataclasses import dataclass, field
from typing import NoReturn

from veridical.errors import PhotoDamaged, PhotoEmpty, PhotoTooLarge, PhotoTooSlow, PhotoUnreadable
from veridical.io.clip import ClipLimits, Container
from veridical.io.source import File, _open_without_waiting, _refuse_path

HEAD = 4096  # bytes by which the kind is known
_CHUNK = 2**20


class ClipFile:
    """A clip's bytes, seekable, read as they are asked for; stops giving when the time is up.

    PyAV calls `read`, `seek` and `tell`, and raises what they raise.

    Attributes:
        name: What messages call it.
        size: Bytes.
        limits: On what is read.
    """

    def __init__(self, raw: io.BufferedIOBase, name: str, size: int, limits: ClipLimits) -> None:
        self._raw, self.name, self.size, self.limits = raw, name, size, limits
        self._spent, self._since = 0.0, time.monotonic()

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes.

        Raises:
            PhotoTooSlow: If the time is up.
        """
        self.check_clock()
        return self._raw.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go somewhere; return where that is."""
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        """Return where the next byte comes from."""
        return self._raw.tell()

    def pause(self) -> None:
        """Stop the clock: what a caller does between two frames is not the clip's fault."""
        self._spent += time.monotonic() - self._since
        self._since = float("inf")

    def resume(self) -> None:
        """Let the clock run on."""
        self._since = time.monotonic()

    def check_clock(self) -> None:
        """Hold the time spent to the limit.

        Raises:
            PhotoTooSlow: If it is over it.
        """
        if self._spent + max(0.0, time.monotonic() - self._since) > self.limits.max_seconds:
            raise PhotoTooSlow(
                f"{self.name}: reading took longer than {self.limits.max_seconds:g} s.",
                hint="Look at fewer times, or raise ClipLimits.max_seconds.",
                cli_hint="Look at a shorter stretch of the clip.",
            )

    def head(self) -> bytes:
        """Return the first bytes."""
        self._raw.seek(0)
        return self._raw.read(HEAD)

    def sha256(self) -> str:
        """Return the hash of all bytes; a chunk of them is held at a time."""
        self._raw.seek(0)
        digest = hashlib.sha256()
        while chunk := self._raw.read(_CHUNK):
            digest.update(chunk)
        return digest.hexdigest()

    def close(self) -> None:
        """Close what was opened."""
        self._raw.close()


def open_clip_file(source: "str | os.PathLike[str] | bytes | File", limits: ClipLimits) -> ClipFile:
    """Open a clip's file without reading it.

    Raises:
        PhotoMissing: No such file, or it is a folder.
        PhotoUnreadable: A pipe or a device, or the system does not give the bytes out.
        PhotoTooLarge: Over the limit on bytes.
        PhotoEmpty: Zero bytes.
    """
    if isinstance(source, File) and source.data is not None:
        raw: io.BufferedIOBase = io.BytesIO(source.data)
        name, size = source.name, len(source.data)
    elif isinstance(source, bytes):
        raw, name, size = io.BytesIO(source), "The clip", len(source)
    elif isinstance(source, File):
        raise PhotoUnreadable(
            f"{source.name} came; a clip was wanted.", hint="Pass a path, or the bytes of a file."
        )
    else:
        name = os.fsdecode(source)
        raw, size = _open(name)
    if not 0 < size <= limits.max_bytes:
        raw.close()
        if not size:
            raise PhotoEmpty(f"{name}: zero bytes came.", hint="Get the file again.")
        raise PhotoTooLarge(
            f"{name}: {size} bytes came; the limit is {limits.max_bytes}.",
            hint="Raise ClipLimits.max_bytes. A smaller copy is another clip.",
            cli_hint="Cut the stretch out that matters, without coding it again.",
        )
    return ClipFile(raw, name, size, limits)


def _open(path: str) -> tuple[io.BufferedIOBase, int]:
    try:
        if not path:
            raise FileNotFoundError(path)
        raw = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115
        found = os.fstat(raw.fileno())
    except (OSError, ValueError) as error:
        _refuse_path(path, error)
    if not stat.S_ISREG(found.st_mode):
        raw.close()
        raise PhotoUnreadable(
            f"{path}: is a pipe, a socket or a device; a regular file was wanted.",
            hint="A clip is read in many places, so save it to a file first.",
            cli_hint=f"Save it to a file first: cat {shlex.quote(path)} > clip",
        )
    return raw, found.st_size


# --- looking over the boxes --------------------------------------------------------------------

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex"}
_DEEPEST = 10
_MOST_BOXES = 400_000
_MOST_EDITS = 2_000
_MOST_SAMPLES_OF_SOUND = 50_000_000


@dataclass
class _Track:
    samples: int = 0
    by_chunk: bool = False
    edits: int = 0
    runs: int = 0


@dataclass
class _Walk:
    file: ClipFile
    boxes: int = 0
    tracks: list[_Track] = field(default_factory=list)


def missing_bytes(file: ClipFile, kind: Container) -> int:
    """Look over a file before it is demuxed; return how many bytes it says to have and has not.

    Raises:
        PhotoTooLarge: If its tables ask for more than the limits.
        PhotoDamaged: If its boxes are nested too deeply.
    """
    if kind == "mp4":
        return max(0, _walk(_Walk(file), 0, file.size, 0) - file.size)
    head = file.head()
    if kind == "avi":
        return max(0, int.from_bytes(head[4:8], "little") + 8 - file.size)
    if kind == "matroska":
        return max(0, _segment_end(head) - file.size)
    return 0


def _segment_end(head: bytes) -> int:
    """Return where the segment of a Matroska file ends by its own word; 0 if it does not say."""
    at = head.find(b"\x18\x53\x80\x67")
    if at < 0 or at + 12 > len(head):
        return 0
    first = head[at + 4]
    length = 9 - first.bit_length()
    value = int.from_bytes(head[at + 4 : at + 4 + length]) & ((1 << 7 * length) - 1)
    unknown = value == (1 << 7 * length) - 1
    return 0 if unknown or length > 8 else at + 4 + length + value


def _walk(walk: _Walk, at: int, end: int, depth: int) -> int:
    """Go through the boxes of a stretch; return where the last one ends by its own word."""
    file, said = walk.file, at
    if depth > _DEEPEST:
        raise PhotoDamaged(
            f"{file.name}: its boxes are nested more than {_DEEPEST} deep.",
            hint="Get an undamaged copy.",
        )
    while at + 8 <= end:
        walk.boxes += 1
        if walk.boxes > _MOST_BOXES:
            _too_much(file, f"more than {_MOST_BOXES} boxes")
        file.seek(at)
        head = file.read(16)
        size, name, start = int.from_bytes(head[:4]), head[4:8], at + 8
        if size == 1:
            size, start = int.from_bytes(head[8:16]), at + 16
        elif size == 0:
            size = end - at
        if size < start - at:
            return said
        said = at + size
        inside = min(said, end)
        if name == b"trak":
            walk.tracks.append(_Track())
        if name in _CONTAINERS:
            _walk(walk, start, inside, depth + 1)
        else:
            _count(walk, name, start, inside)
        if name == b"trak":
            _hold(file, walk.tracks[-1])
        at = said
    return said


def _count(walk: _Walk, name: bytes, start: int, end: int) -> None:
    """Read how many entries a table says to have."""
    if name not in (b"elst", b"stsz", b"stz2", b"stts", b"trun"):
        return
    if not walk.tracks:
        walk.tracks.append(_Track())
    track, file = walk.tracks[-1], walk.file
    file.seek(start)
    body = file.read(20)
    if name == b"elst":
        # Entries that are not in the file are not read by the demuxer.
        track.edits += min(int.from_bytes(body[4:8]), max(0, end - start) // 12)
    elif name == b"stsz":
        alike = int.from_bytes(body[4:8])
        said = int.from_bytes(body[8:12])
        track.samples += said if alike else min(said, max(0, end - start) // 4)
    elif name == b"stz2":
        track.samples += min(int.from_bytes(body[8:12]), 2 * max(0, end - start))
    elif name == b"stts":
        one = int.from_bytes(body[4:8]) == 1 and int.from_bytes(body[12:16]) == 1
        track.by_chunk |= one
    else:
        track.runs += int.from_bytes(body[4:8])
        if track.runs > walk.file.limits.max_packets * 8:
            _too_much(file, f"{track.runs} samples")


def _hold(file: ClipFile, track: _Track) -> None:
    """Hold the tables of a track to the limits.

    Plain sound counts each of its samples, all alike and one tick long; a demuxer indexes it by
    chunks, which stand in the file.
    """
    if track.edits > _MOST_EDITS:
        _too_much(file, f"{track.edits} edits")
    samples = 0 if track.by_chunk else track.samples
    if samples * max(1, track.edits) > min(_MOST_SAMPLES_OF_SOUND, 8 * file.limits.max_packets):
        _too_much(file, f"{track.samples} samples in {track.edits} edits")


def _too_much(file: ClipFile, what: str) -> NoReturn:
    raise PhotoTooLarge(
        f"{file.name}: its tables speak of {what}, which is over the limits.",
        hint="Raise ClipLimits.max_packets, if you trust the file.",
        cli_hint="Save the clip again with another program, if you trust the file.",
    )
