"""What is missing or wrong in the data of a JPEG (ITU-T T.81).

Pillow swallows the warnings of libjpeg. So the coefficients are read once more, by libjpeg-turbo
without the way to pixels (simplejpeg at 1/8), to learn whether there are any: a third of the time
of decoding. What libjpeg cannot know is read off the markers: a file without an
end marker is whole if all its data are there, and one with it may lack scans. Only where something
is wrong more is decoded, to learn how much.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from veridical.arrays import UInt8, ndarray
from veridical.io.loss import Loss, Mended

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # that ends coded data
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_KEPT = {*_FRAMES, 0xC4, 0xCC, 0xDB, 0xDC, 0xDD}  # without what is not needed to decode
_END = b"\xff\xd9"
_MOST_PIXELS = 50_000_000  # whose missing rows are told apart at full size
_MOST_SCANS = 64  # of a JPEG that is mended: it is decoded many times
_PADDING = 64  # bytes of one value before the end marker that some cameras leave


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """One pass: of which components, which coefficients, from which bit on; where its data are.

    `dense`: a run of zeros in it would be a run of coefficients, none of which is zero.
    """

    head: int
    start: int
    end: int
    parts: tuple[int, ...]
    first: int
    last: int
    low: int
    dense: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """A JPEG by its markers; `blocks` of each component say its share of the picture."""

    progressive: bool
    width: int
    height: int
    blocks: dict[int, int]
    tallest: int
    segments: tuple[tuple[int, int], ...]
    scans: tuple[_Scan, ...]
    ended: bool


def loss(data: bytes) -> Loss | None:
    """Return what is wrong with a JPEG that a decoder has opened; None if nothing is."""
    layout = _layout(data)
    if layout is None or not layout.scans:
        return Loss("cut_off", 1.0, 0)
    clean = _clean(data, layout)
    says = complaint(clean + _END)
    if says and _is_padding(clean, says):
        says = ""
    hole = _hole(data, layout, doubt=bool(says))
    if says or hole is not None:
        return _told(data, clean, layout, says, hole)
    lacking = _lacking(layout, layout.scans)
    return Loss("scans_missing", lacking, 0) if lacking else None


def mend(data: bytes, decodes: Callable[[bytes], bool]) -> Mended | None:
    """Return a JPEG up to where libjpeg gives up; None if it does not begin to decode.

    It goes on after what it warns of. It gives up where bytes in the data look like a marker of
    something else: then what stands before them is decoded.

    Args:
        data: A JPEG.
        decodes: Whether a decoder takes one.
    """
    layout = _layout(data)
    if layout is None or not 0 < len(layout.scans) <= _MOST_SCANS:
        return None
    head, clean = layout.scans[0].head, _clean(data, layout)
    begin = 2 + sum(end - start for start, end in layout.segments if start < head)
    clean = data[:head] + clean[begin:]  # with its colour profile, and what its channels are
    low, high = head, len(clean)
    if decodes(clean + _END):  # what it gave up at is no part of the picture
        low = high
    while high - low > 16:
        middle = (low + high) // 2
        low, high = (middle, high) if decodes(clean[:middle] + _END) else (low, middle)
    left = _layout(clean[:low] + _END)
    if left is None or not left.scans:
        return None
    kept = clean[: min(low, left.scans[-1].end)] + _END  # without what stands behind
    found = loss(kept)
    if not decodes(kept) or (found and found.share >= 1):
        return None
    lost = found or Loss("corrupt", 0.0, 0)
    return Mended(kept, Loss("corrupt", lost.share, lost.top))


def _told(data: bytes, clean: bytes, layout: _Layout, says: str, hole: int | None) -> Loss:
    """Return what is wrong with a JPEG that libjpeg complains of, or that has a hole.

    Without an end marker the data were cut off, and what is above is right. With one it may be so,
    and anything else too: after an error the rest is shifted, and may fit by chance. Among restart
    markers libjpeg may mean any of them.
    """
    cut = "premature" in says
    if hole is not None:  # wrong from there on
        cut = not data[hole : layout.scans[-1].end].strip(b"\0")
        clean = _clean(data[:hole], layout)
    elif not cut:
        clean = clean[: _complaint_at(clean, says)]
    if cut and _lacking(layout, layout.scans):
        return Loss("cut_off", _lacking(layout, layout.scans[:-1]), 0)
    row = _rows(clean, layout)
    sure = cut and not layout.ended and not _RESTART.search(data, layout.scans[-1].start)
    return Loss("cut_off" if cut else "corrupt", 1 - row / layout.height, row if sure else 0)


def _hole(data: bytes, layout: _Layout, *, doubt: bool) -> int | None:
    """Return where coded data are lost: zeros, which a disk or a download leaves.

    With reason to doubt a few are enough. Else only where zeros would be coefficients of -1 all
    through a block: where they are the code of its end, a plain surface has many.
    """
    zeros = bytes(24 if doubt else 48)
    for scan in layout.scans:
        if scan.dense or (doubt and scan.last):
            found = data.find(zeros, scan.start, scan.end)
            if found >= 0:
                return found
    return None


def complaint(data: bytes) -> str:
    """Return libjpeg's first warning about the data of a JPEG; empty if there is none."""
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(
            data,
            "GRAY",
            fastdct=True,
            fastupsample=True,
            min_height=1,
            min_width=1,
            min_factor=8,
            strict=True,
        )
    except ValueError as error:
        return str(error) if "Corrupt" in str(error) or "nconsistent" in str(error) else ""
    return ""


# --- markers -------------------------------------------------------------------------------------


def _layout(data: bytes) -> _Layout | None:
    """Read the markers up to the end of the first picture; None if no frame begins."""
    at, ended, kind = 2, False, 0
    width = height = tallest = 0
    blocks: dict[int, int] = {}
    segments, scans, shortest = list[tuple[int, int]](), list[_Scan](), dict[int, int]()
    while at + 4 <= len(data) or data[at : at + 2] == _END:
        at = data.find(b"\xff", at)
        marker = data[at + 1] if 0 <= at < len(data) - 1 else 0
        if marker in (0x00, 0xFF, 0x01, *range(0xD0, 0xD9)):
            if at < 0:
                break
            at += 1 if marker == 0xFF else 2
            continue
        if marker == 0xD9:
            ended = True
            break
        size = int.from_bytes(data[at + 2 : at + 4])
        body, begin, at = data[at + 4 : at + 2 + size], at, at + 2 + size
        if marker in _FRAMES and not kind and len(body) >= 6:
            kind = marker
            height, width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
            parts = [body[place : place + 2] for place in range(6, 6 + 3 * body[5], 3)]
            blocks = {part[0]: (part[1] >> 4) * (part[1] & 15) for part in parts if len(part) == 2}
            tallest = max([part[1] & 15 for part in parts if len(part) == 2], default=1)
        if marker in _KEPT:
            segments.append((begin, at))
        if marker == 0xC4:
            shortest |= _shortest(body)
        if marker == 0xDA and len(body) >= 4:
            found = _MARKER.search(data, at)
            end = found.start() if found else len(data) - data.endswith(b"\xff")
            count = body[0]
            first, last, bits = (*body[1 + 2 * count : 4 + 2 * count], 0, 0, 0)[:3]
            scan = _Scan(
                head=begin,
                start=at,
                end=end,
                parts=tuple(body[1 : 1 + 2 * count : 2]),
                first=first,
                last=last,
                low=bits & 15,
                dense=any(shortest.get(one & 15, 0) & 15 for one in body[2 : 2 + 2 * count : 2])
                and (last > 0 or kind not in _PROGRESSIVE),
            )
            scans.append(scan)
            segments.append((begin, end))
            at = end
    if not (kind and width and height and blocks):
        return None
    return _Layout(
        progressive=kind in _PROGRESSIVE,
        width=width,
        height=height,
        blocks=blocks,
        tallest=8 * tallest,
        segments=tuple(segments),
        scans=tuple(scans),
        ended=ended,
    )


def _shortest(body: bytes) -> dict[int, int]:
    """Return the symbol whose code is all zeros, by number of the table, of those for AC."""
    found, at = {}, 0
    while at + 17 < len(body):
        if body[at] >> 4 == 1:
            found[body[at] & 15] = body[at + 17]
        at += 17 + sum(body[at + 1 : at + 17])
    return found


def _clean(data: bytes, layout: _Layout) -> bytes:
    """Return the JPEG without metadata, whose oddities libjpeg warns of too, and without an end."""
    kept = bytearray(b"\xff\xd8")
    heads = {scan.head: scan for scan in layout.scans}
    for begin, end in layout.segments:
        at = len(kept)
        kept += data[begin:end]
        if begin in heads and not layout.progressive:
            # Some encoders leave these three undefined where they mean nothing.
            last = at + heads[begin].start - begin
            kept[last - 3 : last] = b"\x00\x3f\x00"
    return bytes(kept)


def _is_padding(clean: bytes, says: str) -> bool:
    """Return whether libjpeg speaks of nothing but a few equal bytes before the end marker."""
    extra = re.search(r"(\d+) extraneous bytes before marker 0xd9", says)
    count = int(extra[1]) if extra else 0
    return 0 < count <= _PADDING and len(set(clean[-count:])) == 1


# --- how much ------------------------------------------------------------------------------------


def _lacking(layout: _Layout, scans: Sequence[_Scan]) -> float:
    """Return the share of the coefficients that no scan has brought to their last bit."""
    missing = total = 0
    for part, blocks in layout.blocks.items():
        exact = np.zeros(64, bool)
        for scan in scans:
            if part not in scan.parts:
                continue
            whole = slice(scan.first, scan.last + 1) if layout.progressive else slice(0, 64)
            exact[whole] |= scan.low == 0 or not layout.progressive
        missing += blocks * int((~exact).sum())
        total += blocks * 64
    return missing / total


def _rows(clean: bytes, layout: _Layout) -> int:
    """Return the first row for which a JPEG cut off in its last scan has not all data.

    What is decoded from no data is decoded twice, from two continuations: where these first differ
    the data ended.
    """
    full = layout.progressive or len(layout.scans) > 1
    if full and layout.width * layout.height > _MOST_PIXELS:
        return 0
    noise = np.random.default_rng(0).integers(1, 255, 4096, np.uint8).tobytes()
    one, other = (_decoded(clean + tail + _END, layout, full=full) for tail in (b"", noise))
    if one is None or other is None:
        return 0
    differ = np.flatnonzero((one != other).any(axis=tuple(range(1, one.ndim))))
    if not differ.size:
        return max(0, layout.height - layout.tallest - 1)
    top = int(differ[0]) * (1 if full else 8)
    # Between two rows of blocks the colour of both is mixed in the last row of the first.
    return max(0, min(top // layout.tallest * layout.tallest, layout.height) - 1)


def _decoded(data: bytes, layout: _Layout, *, full: bool) -> "UInt8[ndarray, '...'] | None":
    import simplejpeg

    colour, width, height = ("RGB", layout.width, layout.height) if full else ("GRAY", 1, 1)
    try:
        found: ndarray = simplejpeg.decode_jpeg(
            data, colour, fastdct=True, min_height=height, min_width=width, strict=False
        )
    except ValueError:
        return None
    return found


def _complaint_at(clean: bytes, says: str) -> int:
    """Return about where in its data libjpeg first complains of a JPEG."""
    low, high = clean.index(b"\xff\xda"), len(clean)
    while high - low > 64:
        middle = (low + high) // 2
        if complaint(clean[:middle] + _END) == says:
            high = middle
        else:
            low = middle
    return low
