"""Copies of a photo that a face finder searches: pieces of it, resized, framed and turned.

A turn is counter-clockwise, in degrees: 0, 90, 180 or 270. A piece is (left, top, right, bottom)
in px of the photo.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, dist

import numpy as np
from PIL import Image

from veridical.arrays import Float32, ndarray
from veridical.box import Box

Piece = tuple[float, float, float, float]
Point = tuple[float, float]

TURNS = (0, 90, 180, 270)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A piece of a photo as the network sees it.

    Attributes:
        piece: What it shows, px of the photo.
        size: Width and height of the piece in the copy, before it is turned, px of the copy.
        border: Left and right, top and bottom: plain strips around it, px of the copy.
        turn: By how much the whole is then turned.
        gap: Pillow's `reducing_gap`: how much of a shrinking is left to the filter; None: all.
    """

    piece: Piece
    size: tuple[int, int]
    border: tuple[int, int] = (0, 0)
    turn: int = 0
    gap: float | None = None

    def pixels(self, image: Image.Image) -> Float32[ndarray, "1 3 height width"]:
        """Return the copy, levels from 0 to 255."""
        return self.turned(self.shown(image))

    def shown(self, image: Image.Image) -> Float32[ndarray, "height width 3"]:
        """Return the copy before it is turned: that of all four turns."""
        resized = image.resize(
            self.size,
            Image.Resampling.BILINEAR,
            box=self.piece,
            reducing_gap=self.gap,
        )
        small: ndarray = np.asarray(resized, dtype=np.float32)
        if self.border == (0, 0):
            return small
        across, down = self.border
        height, width = small.shape[:2]
        strips = np.empty((height + 2 * down, width + 2 * across, 3), dtype=np.float32)
        strips[:] = small.mean(axis=(0, 1))
        strips[down : down + height, across : across + width] = small
        return strips

    def turned(
        self, shown: Float32[ndarray, "rows columns 3"]
    ) -> Float32[ndarray, "1 3 height width"]:
        """Turn what `shown` returns, for the network."""
        return np.ascontiguousarray(np.rot90(shown, self.turn // 90).transpose(2, 0, 1)[None])

    @property
    def as_is(self) -> bool:
        """Whether a place in it is one in the photo, but for the scale."""
        return self.turn == 0 and self.border == (0, 0) and self.piece[:2] == (0.0, 0.0)

    @property
    def scale(self) -> tuple[float, float]:
        """Px of the photo per px of the copy, across and down the copy as turned."""
        left, top, right, bottom = self.piece
        across, down = (right - left) / self.size[0], (bottom - top) / self.size[1]
        return (across, down) if self.turn % 180 == 0 else (down, across)

    def to_photo(self, x: float, y: float) -> Point:
        """Return where a point lies in the photo.

        Args:
            x: From the left edge of the turned copy, times `scale`: px of the photo.
            y: From its upper edge, likewise.
        """
        left, top, right, bottom = self.piece
        across, down = (right - left) / self.size[0], (bottom - top) / self.size[1]
        left, right = left - self.border[0] * across, right + self.border[0] * across
        top, bottom = top - self.border[1] * down, bottom + self.border[1] * down
        match self.turn:
            case 90:
                return right - y, top + x
            case 180:
                return right - x, bottom - y
            case 270:
                return left + y, bottom - x
        return left + x, top + y


def framed(
    piece: Piece, scale: float, *, multiple: int, turn: int, side: int | None = None
) -> Copy:
    """Return a copy with plain strips around its piece.

    Args:
        piece: What it shows, px of the photo.
        scale: Px of the copy per px of the photo, about.
        multiple: What the copy's sides are multiples of, px of the copy.
        turn: Of the copy.
        side: Of the copy, a square, px of the copy; None for about twice the piece.
    """
    left, top, right, bottom = piece
    # Even sizes leave strips of the same width on both sides.
    across, down = (max(2, 2 * round(n * scale / 2)) for n in (right - left, bottom - top))
    wide, high = (side or ceil(2 * n / multiple) * multiple for n in (across, down))
    border = (wide - across) // 2, (high - down) // 2
    return Copy(piece=piece, size=(across, down), border=border, turn=turn, gap=2.0)


def close_up(box: Box, width: int, height: int, *, around: float, side: int, turn: int) -> Copy:
    """Return a square copy of a face and what is around it, moved inwards where the photo ends.

    Args:
        box: The face, px of the photo.
        width: Of the photo, px.
        height: Of the photo, px.
        around: Side of what it shows, over the longer side of the box.
        side: Of the copy, px of the copy.
        turn: Of the copy.
    """
    wanted = around * box.size_px
    across, down = min(wanted, float(width)), min(wanted, float(height))
    left = min(max(box.left + (box.width - across) / 2, 0.0), width - across)
    top = min(max(box.top + (box.height - down) / 2, 0.0), height - down)
    piece = (left, top, left + across, top + down)
    return framed(piece, side / wanted, multiple=side, turn=turn, side=side)


def tiles(
    width: int, height: int, *, scale: float, side: int, overlap: int, multiple: int
) -> "list[tuple[Copy, Piece]]":
    """Cover a photo with overlapping tiles, and say which part of the photo each answers for.

    Args:
        width: Of the photo, px.
        height: Of the photo, px.
        scale: Px of a tile per px of the photo, about.
        side: Longest side of a tile, px of the tile.
        overlap: Of neighbours, at least, px of the tile.
        multiple: What a tile's sides are multiples of, px of the tile.
    """
    columns = list(_steps(width, scale, side, overlap, multiple))
    rows = list(_steps(height, scale, side, overlap, multiple))
    return [
        (Copy(piece=(x0, y0, x1, y1), size=(across, down)), (from_x, from_y, to_x, to_y))
        for y0, y1, down, from_y, to_y in rows
        for x0, x1, across, from_x, to_x in columns
    ]


def _steps(
    length: int, scale: float, side: int, overlap: int, multiple: int
) -> Iterator[tuple[float, float, int, float, float]]:
    """Yield begin and end of each tile along one side, its px, and what it answers for."""
    whole = length * scale
    count = 1 if whole <= side else ceil((whole - overlap) / (side - overlap))
    px = max(multiple, ceil((whole + (count - 1) * overlap) / count / multiple) * multiple)
    shown = min(float(length), px / scale) if count > 1 else float(length)
    step = (length - shown) / max(1, count - 1)
    for at in range(count):
        begin, seam = at * step, (shown - step) / 2
        yield (
            begin,
            min(begin + shown, float(length)),
            px,
            begin + seam if at else 0.0,
            begin + shown - seam if at < count - 1 else float(length),
        )


# --- which way up --------------------------------------------------------------------------------


def _turned(x: float, y: float, turn: int) -> Point:
    """Return where a vector points once the photo has been turned."""
    match turn:
        case 90:
            return y, -x
        case 180:
            return -x, -y
        case 270:
            return -y, x
    return x, y


def upright(landmarks: Sequence[Point], turn: int) -> float:
    """Return how upright a face is in a photo turned by `turn`, from -2 (upside down) to 2.

    The sum of two cosines: of the angles that eyes to mouth makes with down, and the right eye to
    the left one with across.
    """
    points = [_turned(*point, turn) for point in landmarks]
    right_eye, left_eye = points[:2]
    eyes, mouth = _middle(right_eye, left_eye), _middle(*points[3:])
    down, across = dist(eyes, mouth), dist(right_eye, left_eye)
    if not down or not across:
        return -2.0
    return (mouth[1] - eyes[1]) / down + (left_eye[0] - right_eye[0]) / across


def _middle(a: Point, b: Point) -> Point:
    return (a[0] + b[0]) / 2, (a[1] + b[1]) / 2
