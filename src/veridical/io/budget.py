"""What the metadata of one file may cost, and what was found so far."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from veridical.io.formats import Limits

_GAPS = 20  # sentences kept


class Budget:
    """What is left of the limits while the metadata of one file are read.

    Attributes:
        gaps: What could not be read, and why, as sentences.
    """

    def __init__(self, limits: Limits) -> None:
        self._text, self._parts = limits.max_text, limits.max_parts
        self._limits = limits
        self.gaps: list[str] = []

    def gap(self, why: str) -> None:
        """Note what could not be read; the same is noted once."""
        if why not in self.gaps and len(self.gaps) < _GAPS:
            self.gaps.append(why)

    def part(self) -> bool:
        """Count one chunk, segment, box, directory or block; return whether it may be read."""
        self._parts -= 1
        if self._parts < 0:
            self.gap(f"More than {self._limits.max_parts} parts came; the rest was not read.")
        return self._parts >= 0

    def take(self, raw: bytes, what: str) -> Iterable[bytes]:
        """Return a text once if there is room for it, else nothing and a gap."""
        room, self._text = self._text, max(0, self._text - len(raw))
        if len(raw) > room:  # what was inflated in vain is spent too
            self._refuse(what)
            return ()
        return (raw,)

    def inflate(self, packed: bytes, what: str) -> Iterable[bytes]:
        """Return a zlib stream's content once if there is room for it, else nothing and a gap."""
        stream = zlib.decompressobj()
        if not self._text:
            self._refuse(what)
            return ()
        try:
            raw = stream.decompress(packed, self._text + 1)
        except zlib.error:
            self.gap(f"The compression of {what} is damaged.")
            return ()
        if not stream.eof and len(raw) <= self._text:
            self.gap(f"The compression of {what} breaks off.")
            return ()
        return self.take(raw, what)

    @property
    def whole(self) -> bool:
        """Whether every part that was asked for may be read."""
        return self._parts >= 0

    def _refuse(self, what: str) -> None:
        most = self._limits.max_text
        self.gap(f"With {what} the file would hold more than {most} bytes of text; it was left.")


@dataclass(slots=True, kw_only=True)
class Parts:
    """What the walk through a container has found so far; see `Metadata`."""

    exif: bytes = b""
    xmp: list[bytes] = field(default_factory=list)
    iptc: list[tuple[str, str]] = field(default_factory=list)
    text: list[tuple[str, str]] = field(default_factory=list)
    credential: bool = False
    table: tuple[int, ...] = ()
    trailing: int | None = None
