"""Find the faces of a photo.

The detector is CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face
as Point", arXiv:1911.03599, MIT licence): a heat map of face centres, with log sizes, offsets and
five landmarks at each of its points, four pixels apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from veridical.arrays import Float32, ndarray
from veridical.box import Box
from veridical.vision.runtime import CPU, open_session, packaged

_CELL = 4  # px of the network's input per point of its heat map
_MULTIPLE = 32  # the network halves its input five times
_SCORE = 0.5  # chosen on the training split: see docs/faces.md for recall and false alarms
_OVERLAP = 0.3  # intersection over union above which two boxes are one face
_FIRST_PX = 256  # long side of the first copy; faces down to a tenth of the frame
_SECOND_PX = 640  # long side of the second copy; for small faces, and companions of a face
_ALONE = 0.15  # share of the frame's long side; beside a face above it the first copy is enough


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A face in a photo.

    Attributes:
        box: From brow to chin and cheek to cheek, px of the photo.
        landmarks: Person's right eye, left eye, nose tip, right and left mouth corner, (x, y) px.
        score: The detector's confidence in [0, 1].
    """

    box: Box
    landmarks: tuple[tuple[float, float], ...]
    score: float

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

    name = f"centerface {_SCORE} {_FIRST_PX} {_SECOND_PX} {_ALONE}"

    def __init__(self, threads: int = 0, providers: Sequence[str] = CPU) -> None:
        self.threads, self.providers, self._lock = threads, tuple(providers), Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.threads, self.providers)

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

        A small copy is enough for a portrait; a larger one is searched too where no face was found
        or where there is room for more beside the one that was.
        """
        found = self._search(image, _FIRST_PX)
        largest = max((face.size_px for face in found), default=0.0)
        if largest < _ALONE * max(image.size):
            # The larger copy has the better boxes, so it comes first where scores tie.
            found = self._search(image, _SECOND_PX) + found
        return tuple(sorted(_without_doubles(found), key=lambda face: -face.size_px))

    def _search(self, image: Image.Image, side: int) -> list[Face]:
        scale = side / max(image.size)
        width, height = (
            max(_MULTIPLE, round(n * scale / _MULTIPLE) * _MULTIPLE) for n in image.size
        )
        small = image.resize((width, height), Image.Resampling.BILINEAR)
        blob = np.asarray(small, dtype=np.float32).transpose(2, 0, 1)[None]
        with self._lock:
            session = self._session
        heat, size, offset, marks = session.run(None, {"pixels": blob})
        return _decode(
            heat[0, 0], size[0], offset[0], marks[0], (image.width / width, image.height / height)
        )


def _decode(
    heat: Float32[ndarray, "rows columns"],
    size: Float32[ndarray, "2 rows columns"],
    offset: Float32[ndarray, "2 rows columns"],
    marks: Float32[ndarray, "10 rows columns"],
    scale: tuple[float, float],
) -> list[Face]:
    """Turn CenterFace's maps (section 3.2 of its paper) into faces, in px of the photo."""
    faces = []
    limit_x, limit_y = heat.shape[1] * _CELL * scale[0], heat.shape[0] * _CELL * scale[1]
    for row, column in np.argwhere(heat > _SCORE):
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


def _without_doubles(faces: list[Face]) -> list[Face]:
    """Greedy non-maximum suppression; ties go to the earlier face."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_overlap(face.box, other.box) < _OVERLAP for other in kept):
            kept.append(face)
    return kept


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union."""
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    shared = max(0.0, across) * max(0.0, down)
    return shared / (a.width * a.height + b.width * b.height - shared)
