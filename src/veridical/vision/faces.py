"""Find the faces of a photo.

The detector is CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face
as Point", arXiv:1911.03599, MIT licence): a heat map of face centres, with log sizes, offsets and
five landmarks at each of its points, four pixels apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from veridical.arrays import Float32, ndarray
from veridical.box import Box
from veridical.vision.copies import TURNS, Copy, close_up, framed, tiles, upright
from veridical.vision.runtime import CPU, open_session, packaged

_CELL = 4  # px of the network's input per point of its heat map
_MULTIPLE = 32  # the network halves its input five times
_SCORE = 0.5  # chosen on the training split: see docs/faces.md for recall and false alarms
_OVERLAP = 0.3  # intersection over union above which two boxes are one face
_INSIDE = 0.7  # share of a box within a larger one from which it is a part of that face
_FIRST_PX = 256  # long side of the first copy; faces down to a tenth of the frame
_SECOND_PX = 640  # long side of the second copy; for small faces, and companions of a face
_ALONE = 0.15  # share of the frame's long side; beside a face above it the first copy is enough
_PORTRAIT = 0.2  # the same where the second copy is too small for a face of 40 px

# Of a face of 22 px 87 % score _SCORE, and 99 % _GUESS (val, pasted on textures).
_TILE_SCALE = 0.55  # px of a tile per px of the photo: 22 for a face of 40 px
_TILES_PX = 7_500_000  # most px of all tiles: enough for 24 million px of the photo
_TILE_PX = 768  # longest side of a tile: the network takes some 110 MB for it
_SEAM_PX = 96  # overlap of two tiles; faces larger than that show in the second copy
_GUESS = 0.2  # smallest score of what is worth a copy of its own

_PLAIN = 0.8  # smallest score of a face that is not examined in a copy of its own
_UPRIGHT = 1.65  # nor one whose landmarks lie so: eyes and mouth are level within some 35 degrees
_CLOSE_PX = 128  # side of that copy
_AROUND = 2.2  # side of what it shows, over the longer side of the box
_LIKELIER = 0.2  # by how much another way up must be better: score times `upright`

_RULES = (
    *(_SCORE, _OVERLAP, _INSIDE, _FIRST_PX, _SECOND_PX, _ALONE, _PORTRAIT),
    *(_TILE_SCALE, _TILES_PX, _TILE_PX, _SEAM_PX, _GUESS),
    *(_PLAIN, _UPRIGHT, _CLOSE_PX, _AROUND, _LIKELIER),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A face in a photo.

    Attributes:
        box: From brow to chin and cheek to cheek, px of the photo.
        landmarks: Person's right eye, left eye, nose tip, right and left mouth corner, (x, y) px.
        score: The detector's confidence in [0, 1].
        turn: By how much the photo must be turned counter-clockwise for this face to be upright:
            0, 90, 180 or 270 degrees. Box and landmarks are those in the photo as it is.
    """

    box: Box
    landmarks: tuple[tuple[float, float], ...]
    score: float
    turn: int = 0

    @property
    def size_px(self) -> float:
        """The longer side of the box, px."""
        return self.box.size_px


class FaceFinder:
    """CenterFace on ONNX Runtime. One picture at a time; safe to share between threads.

    Args:
        threads: Threads of one detection; 0 lets ONNX Runtime choose.
        providers: Execution providers of ONNX Runtime.
    """

    name = f"centerface 2 {' '.join(f'{rule:g}' for rule in _RULES)}"

    def __init__(self, threads: int = 0, providers: Sequence[str] = CPU) -> None:
        self.threads, self.providers, self._lock = threads, tuple(providers), Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.threads, self.providers)

    def on_one_thread(self) -> "FaceFinder":
        """Return the same finder on one thread."""
        return type(self)(1, self.providers)

    @cached_property
    def _session(self) -> Any:
        return open_session(
            packaged("centerface.onnx"),
            name="centerface.onnx",
            threads=self.threads,
            providers=self.providers,
            # Idle threads must not spin: they would take the cores from the backbone, which is
            # next.
            config={"session.intra_op.allow_spinning": "0"},
        )

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        """Return the faces of an upright sRGB picture, largest first.

        A small copy is enough for a portrait. Where no face was found, or where there is room for
        more beside the one that was, a larger copy is searched, and a large picture in tiles. Where
        there is still none, it may fill the frame, or lie.
        """
        found = self._all(image, 0)
        if not found:
            found = self._hidden(image)
        if turn := _turn_of_most(found):
            # The photo itself lies on its side, so others in it were harder to find.
            found = found + self._all(image, turn)
        return tuple(sorted(_without_doubles(found), key=lambda face: -face.size_px))

    def glance(self, image: Image.Image) -> tuple[Face, ...]:
        """Return the faces that two small copies of the picture show beyond doubt.

        For the frames of a clip: who is missed in one is seen in the next. `find` looks into what
        is in doubt, too, which takes ten times as long where a textured picture has no face.
        """
        found = _without_doubles(self._whole(image, _FIRST_PX, 0))
        if _share(found, image) < _ALONE:
            found = _without_doubles(self._whole(image, _SECOND_PX, 0) + found)
        seen = _without_doubles(self._examined(image, found))
        return tuple(sorted(seen, key=lambda face: -face.size_px))

    def _all(self, image: Image.Image, turn: int) -> list[Face]:
        """Search a turned photo at the sizes at which it may have faces."""
        found = self._whole(image, _FIRST_PX, turn)
        large = _share(found, image) >= _ALONE
        first = _without_doubles(found)
        enough = max(image.size) * _TILE_SCALE <= _SECOND_PX
        if large and (enough or all(_share([face], image) >= _PORTRAIT for face in first)):
            return self._examined(image, first)
        second = self._whole(image, _SECOND_PX, turn, _GUESS)
        sure = [face for face in second if face.score > _SCORE]
        # The larger copy has the better boxes, so it comes first where scores tie; a portrait's
        # face stays as it is.
        found = first + _apart(sure, first) if large else sure + found
        found = _without_doubles(found)
        guesses = [face for face in second if face.score <= _SCORE]
        if not enough and not (_share(found, image) >= _ALONE and len(found) == 1):
            guesses = _without_doubles(guesses + self._tiled(image, turn))
        known = first if large else [face for face in found if face.score >= _PLAIN]
        return self._examined(image, found) + self._confirmed(image, _apart(guesses, known))

    def _hidden(self, image: Image.Image) -> list[Face]:
        """Search for a face that fills the frame, and for those that lie or stand on their head."""
        scale = _FIRST_PX / 2 / max(image.size)
        piece = (0.0, 0.0, float(image.width), float(image.height))
        copies = (framed(piece, scale, multiple=_MULTIPLE, turn=turn) for turn in TURNS)
        found = [face for copy in copies for face in self._run(image, copy)]
        if not (seen := self._confirmed(image, _without_doubles(found))):
            found = [face for turn in TURNS[1:] for face in self._whole(image, _SECOND_PX, turn)]
            seen = self._confirmed(image, _without_doubles(found))
        return seen

    def _whole(self, image: Image.Image, side: int, turn: int, least: float = _SCORE) -> list[Face]:
        """Search a copy of the whole photo with a long side of `side` px."""
        scale = side / max(image.size)
        width, height = (
            max(_MULTIPLE, round(n * scale / _MULTIPLE) * _MULTIPLE) for n in image.size
        )
        piece = (0.0, 0.0, float(image.width), float(image.height))
        return self._run(image, Copy(piece=piece, size=(width, height), turn=turn), least)

    def _tiled(self, image: Image.Image, turn: int) -> list[Face]:
        """Search a large photo piece by piece; a tile answers for the faces in its middle."""
        scale = min(_TILE_SCALE, (_TILES_PX / (image.width * image.height)) ** 0.5)
        covering = tiles(
            *image.size, scale=scale, side=_TILE_PX, overlap=_SEAM_PX, multiple=_MULTIPLE
        )
        return [
            face
            for tile, (left, top, right, bottom) in covering
            for face in self._run(image, replace(tile, turn=turn), _GUESS)
            if left <= face.box.left + face.box.width / 2 <= right
            and top <= face.box.top + face.box.height / 2 <= bottom
        ]

    def _examined(self, image: Image.Image, found: Sequence[Face]) -> list[Face]:
        """Ask of faces that may not be upright which way up they are; all of them stay."""
        examined = []
        for face in found:
            closer = None if _plain(face) else self._closer(image, face)
            turned = closer is not None and closer.turn != face.turn
            examined.append(closer if closer is not None and turned else face)
        return examined

    def _confirmed(self, image: Image.Image, guesses: Sequence[Face]) -> list[Face]:
        """Keep the faces that are found again, with better boxes, in copies of their own."""
        closer = (self._closer(image, guess) for guess in guesses)
        return [face for face in closer if face is not None]

    def _closer(self, image: Image.Image, face: Face) -> Face | None:
        """Return a face as it is found in a copy of its own in which it is upright."""
        best, most, shown = None, -inf, None
        for turn in sorted(TURNS, key=lambda turn: turn != face.turn):
            copy = close_up(
                face.box, image.width, image.height, around=_AROUND, side=_CLOSE_PX, turn=turn
            )
            shown = copy.shown(image) if shown is None else shown
            found = self._run(image, copy, shown=shown)
            near = [one for one in found if _overlap(one.box, face.box) >= _OVERLAP]
            if not near:
                continue
            one = max(near, key=lambda one: one.score)
            if _plain(one):
                return one
            value = one.score * upright(one.landmarks, turn)
            if value > most + (_LIKELIER if best is not None and best.turn == face.turn else 0):
                best, most = one, value
        return best

    def _run(
        self,
        image: Image.Image,
        copy: Copy,
        least: float = _SCORE,
        shown: Float32[ndarray, "rows columns 3"] | None = None,
    ) -> list[Face]:
        """Return the faces in a copy, in px of the photo; `shown` is what the copy shows."""
        pixels = copy.pixels(image) if shown is None else copy.turned(shown)
        with self._lock:
            session = self._session
        heat, size, offset, marks = session.run(None, {"pixels": pixels})
        found = _decode(heat[0, 0], size[0], offset[0], marks[0], copy.scale, least)
        if copy.as_is:
            return found
        placed = (_placed(face, copy, image.width, image.height) for face in found)
        return [face for face in placed if face is not None]


def _decode(
    heat: Float32[ndarray, "rows columns"],
    size: Float32[ndarray, "2 rows columns"],
    offset: Float32[ndarray, "2 rows columns"],
    marks: Float32[ndarray, "10 rows columns"],
    scale: tuple[float, float],
    least: float = _SCORE,
) -> list[Face]:
    """Turn CenterFace's maps (section 3.2 of its paper) into faces, in px of the photo."""
    faces = []
    limit_x, limit_y = heat.shape[1] * _CELL * scale[0], heat.shape[0] * _CELL * scale[1]
    for row, column in np.argwhere(heat > least):
        at = (slice(None), row, column)
        height, width = np.exp(size[at].astype(float)) * _CELL
        dy, dx = offset[at]
        left, top = (column + dx + 0.5) * _CELL - width / 2, (row + dy + 0.5) * _CELL - height / 2
        points = marks[at].reshape(5, 2).astype(float)
        x0, y0 = max(0.0, float(left * scale[0])), max(0.0, float(top * scale[1]))
        x1 = min(limit_x, float((left + width) * scale[0]))
        y1 = min(limit_y, float((top + height) * scale[1]))
        if x1 - x0 < 1 or y1 - y0 < 1:
            continue
        faces.append(
            Face(
                box=Box(left=x0, top=y0, width=x1 - x0, height=y1 - y0),
                landmarks=tuple(
                    (float((left + x * width) * scale[0]), float((top + y * height) * scale[1]))
                    for y, x in points
                ),
                score=float(heat[row, column]),
            )
        )
    return faces


def _placed(face: Face, copy: Copy, width: int, height: int) -> Face | None:
    """Return a face of a copy where it lies in the photo; None if that is outside."""
    box = face.box
    a = copy.to_photo(box.left, box.top)
    b = copy.to_photo(box.left + box.width, box.top + box.height)
    x0, x1 = sorted(min(max(x, 0.0), float(width)) for x in (a[0], b[0]))
    y0, y1 = sorted(min(max(y, 0.0), float(height)) for y in (a[1], b[1]))
    if x1 - x0 < 1 or y1 - y0 < 1:
        return None
    return Face(
        box=Box(left=x0, top=y0, width=x1 - x0, height=y1 - y0),
        landmarks=tuple(copy.to_photo(x, y) for x, y in face.landmarks),
        score=face.score,
        turn=copy.turn,
    )


def _share(found: Sequence[Face], image: Image.Image) -> float:
    """Return the largest face's share of the picture's long side."""
    return max((face.size_px for face in found), default=0.0) / max(image.size)


def _plain(face: Face) -> bool:
    """Whether a face is surely there, and upright in the copy in which it was found."""
    return face.score >= _PLAIN and upright(face.landmarks, face.turn) >= _UPRIGHT


def _turn_of_most(found: Sequence[Face]) -> int:
    """Return the turn of most of the faces; 0 where they tie."""
    turns = [face.turn for face in found]
    return max(TURNS, key=turns.count)


def _apart(faces: Sequence[Face], others: Sequence[Face]) -> list[Face]:
    """Return the faces that are none of the others."""
    return [
        face for face in faces if all(_overlap(face.box, other.box) < _OVERLAP for other in others)
    ]


def _without_doubles(faces: Sequence[Face]) -> list[Face]:
    """Greedy non-maximum suppression; ties go to the earlier face.

    Then a box that lies mostly in a larger one is a part of that face: a tile shows an eye and a
    cheek of a face that is larger than itself.
    """
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_overlap(face.box, other.box) < _OVERLAP for other in kept):
            kept.append(face)
    return [face for face in kept if not any(_inside(face.box, other.box) for other in kept)]


def _shared(a: Box, b: Box) -> float:
    """Return the area that two boxes have in common, square px."""
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    return max(0.0, across) * max(0.0, down)


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    shared = _shared(a, b)
    return shared / (a.width * a.height + b.width * b.height - shared)


def _inside(a: Box, b: Box) -> bool:
    """Whether `a` is the smaller one and lies mostly in `b`."""
    area = a.width * a.height
    return area < b.width * b.height and _shared(a, b) >= _INSIDE * area
