"""Which page of a TIFF is the picture, and whether it is the output of a camera's sensor.

TIFF 6.0, and BigTIFF; only the few tags that say so are read. A thumbnail may come first: flagged
as a reduced copy (tag 254), or merely smaller. The picture is then a later page, or hangs below the
first (tag 330), where Pillow does not look: a header that points there makes it the first.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUBS, _DNG = 254, 256, 257, 262, 330, 50706
_OLD_SUBFILE = 255
_SENSOR = {32803, 34892}  # colour filter array, linear raw
_REDUCED, _MASK = 1, 4
_FORMS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MOST = 4096  # pages, and pages below one
_THUMBNAIL_PX = 1024  # longest side of what may be a thumbnail without saying so
_LARGER = 2.0  # by what a picture is larger than its thumbnail, at least
_ICON_PX = 256  # longest side of what may be a thumbnail of another shape: cut, or with a border
_MUCH_LARGER = 16  # by what the area of a picture is larger than that, at least
_SHAPE = 0.04  # by how much the two may differ in shape: thumbnails have whole pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One picture of the file.

    Attributes:
        at: Place of its directory.
        width: px.
        height: px.
        reduced: Whether it says that it is a smaller copy, or a mask, of another.
        sensor: Whether it holds what a camera's sensor gave, or is part of such a file.
        below: Places of the directories that hang below it.
    """

    at: int
    width: int
    height: int
    reduced: bool
    sensor: bool
    below: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The page that is the picture.

    Attributes:
        at: Place of its directory.
        first: Whether it is the first.
        number: Of the page among those that are pictures of their own, from 1.
        pages: How many these are.
    """

    at: int
    first: bool
    number: int
    pages: int


def camera_raw(data: bytes) -> str | None:
    """Return the name of a camera's raw format that is built like a TIFF; None for a picture."""
    if data[8:10] == b"CR":
        return "CR2"
    form = form_of(data)
    for page in _main(data):
        if _DNG in _tags(data, page.at, *form):
            return "DNG"
        below = (_page(data, at, *form) for at in page.below)
        if page.sensor or any(one is not None and one.sensor for one in below):
            return "such as NEF, ARW or PEF"
    return None


def choose(data: bytes) -> Choice | None:
    """Return the page to judge; None where no page can be read."""
    form = form_of(data)
    main = list(_main(data))
    if not main:
        return None
    first = main[0]
    own = [page for page in main if not page.reduced]
    below = [page for at in first.below if (page := _page(data, at, *form)) and not page.reduced]
    if first.reduced:
        candidates = own or below or main
        best = candidates[0] if own else max(candidates, key=_area)
    else:
        larger = [page for page in (*own[1:], *below) if _is_thumbnail(first, page)]
        best = max(larger, key=_area) if larger else first
        own = own[1:] if larger else own
    number = own.index(best) + 1 if best in own else 1
    return Choice(at=best.at, first=best is first, number=number, pages=max(1, len(own)))


def starting_at(data: bytes, at: int) -> bytes:
    """Return the same file with the page at that place as its first."""
    order, big = form_of(data)
    if big:
        return data[:8] + struct.pack(f"{order}Q", at) + data[16:]
    return data[:4] + struct.pack(f"{order}I", at) + data[8:]


def _area(page: Page) -> int:
    return page.width * page.height


def _is_thumbnail(first: Page, other: Page) -> bool:
    if max(first.width, first.height) <= _ICON_PX and _area(other) >= _MUCH_LARGER * _area(first):
        return True
    small = max(first.width, first.height) <= _THUMBNAIL_PX
    larger = other.width >= _LARGER * first.width and other.height >= _LARGER * first.height
    shapes = first.width * other.height, first.height * other.width
    return small and larger and abs(shapes[0] - shapes[1]) <= _SHAPE * max(shapes)


# --- directories ---------------------------------------------------------------------------------


def form_of(data: bytes) -> tuple[str, bool]:
    """Return the order of bytes, as `struct` names it, and whether it is a BigTIFF."""
    order = "<" if data[:2] == b"II" else ">"
    return order, data[2:4] in (b"+\0", b"\0+")


def _main(data: bytes) -> Iterator[Page]:
    """Yield the pages of the main chain, as far as they can be read."""
    order, big = form_of(data)
    try:
        (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, 8 if big else 4)
        seen = set[int]()
        while at and at not in seen and len(seen) < _MOST:
            seen.add(at)
            if (page := _page(data, at, order, big)) is None:
                return
            yield page
            (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)
            end = at + (8 + 20 * count if big else 2 + 12 * count)
            (at,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, end)
    except struct.error:
        return


def _page(data: bytes, at: int, order: str, big: bool) -> Page | None:
    try:
        tags = _tags(data, at, order, big)
    except struct.error:
        return None
    one = {tag: values[0] for tag, values in tags.items() if values}
    flags = one.get(_SUBFILE, 0)
    return Page(
        at=at,
        width=one.get(_WIDTH, 0),
        height=one.get(_HEIGHT, 0),
        reduced=bool(flags & (_REDUCED | _MASK)) or one.get(_OLD_SUBFILE) == 2,
        sensor=one.get(_PHOTOMETRIC) in _SENSOR,
        below=tags.get(_SUBS, ()),
    )


def _tags(data: bytes, at: int, order: str, big: bool) -> dict[int, tuple[int, ...]]:
    """Return the whole numbers of a directory that we ask for, by tag."""
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, at)
    step, start, room = (20, at + 8, 8) if big else (12, at + 2, 4)
    found = {}
    for place in range(start, start + step * min(count, _MOST), step):
        tag, kind = struct.unpack_from(f"{order}HH", data, place)
        if tag not in (_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _PHOTOMETRIC, _SUBS, _DNG):
            continue
        (number,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, place + 4)
        value = place + (12 if big else 8)
        form = f"{order}{min(number, _MOST)}{_FORMS.get(kind, 'B')}"
        if struct.calcsize(form) > room:
            (value,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", data, value)
        found[tag] = struct.unpack_from(form, data, value)
    return found
