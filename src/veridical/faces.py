"""Find the faces of a photo, and cut each one out the same way for every class and every purpose.

The detector is CenterFace (Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face
as Point", arXiv:1911.03599, MIT licence): a heat map of face centres, with log sizes, offsets and
five landmarks at each of its points, four pixels apart.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from json import dumps
from typing import Any

import numpy as np
from PIL import Image

from veridical.arrays import Float32, UInt8, ndarray
from veridical.report import Box

_CELL = 4  # px of the network's input per point of its heat map
_MULTIPLE = 32  # the network halves its input five times
_SCORE = 0.5  # chosen on the training split: see docs/faces.md for recall and false alarms
_OVERLAP = 0.3  # intersection over union above which two boxes are one face
_FIRST_LOOK = 256  # px, long side; faces down to a tenth of the frame
_SECOND_LOOK = 640  # px, long side; for small faces, and companions of a face
_ALONE = 0.15  # share of the frame's long side; beside a face above it the first look is enough


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
        return max(self.box.width, self.box.height)


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How a face is cut out: part of the preprocessing, hashed into every model card.

    Attributes:
        size_px: Side of the square that comes out.
        margin: Side of the square crop over the longer side of the face's box.
        through_px: If set, the crop is first shrunk to this side (as the reference does).
        whole: Take the whole frame instead of a face (as the reference does).
    """

    size_px: int
    margin: float = 1.3
    through_px: int | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if not (self.size_px >= 1 and self.margin > 0 and (self.through_px or 1) >= 1):
            raise ValueError(f"A framing needs positive sizes and margin; got {self}.")

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change whenever a crop would."""
        return sha256(dumps({"cut": 1, **asdict(self)}, sort_keys=True).encode()).hexdigest()[:12]


class FaceFinder:
    """CenterFace on ONNX Runtime. One picture at a time; safe to share between threads.

    Args:
        threads: Threads of one detection; 0 lets ONNX Runtime choose.
    """

    name = f"centerface {_SCORE} {_FIRST_LOOK} {_SECOND_LOOK} {_ALONE}"

    def __init__(self, threads: int = 0) -> None:
        self.threads = threads

    @cached_property
    def _session(self) -> Any:
        from onnxruntime import InferenceSession, SessionOptions

        options = SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        # Idle threads must not spin: they would take the cores from the backbone, which is next.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = files("veridical").joinpath("models", "centerface.onnx").read_bytes()
        return InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def find(self, pixels: UInt8[ndarray, "height width 3"]) -> tuple[Face, ...]:
        """Return the faces of an upright sRGB picture, largest first.

        A small copy answers for a portrait; a larger one is searched too where no face was found
        or where there is room for more beside the one that was.
        """
        height, width = pixels.shape[:2]
        image = Image.fromarray(pixels)
        found = self._look(image, _FIRST_LOOK)
        largest = max((face.size_px for face in found), default=0.0)
        if largest < _ALONE * max(width, height):
            # The closer look has the better boxes, so it comes first where scores tie.
            found = self._look(image, _SECOND_LOOK) + found
        return tuple(sorted(_without_doubles(found), key=lambda face: -face.size_px))

    def _look(self, image: Image.Image, side: int) -> list[Face]:
        scale = side / max(image.size)
        width, height = (
            max(_MULTIPLE, round(n * scale / _MULTIPLE) * _MULTIPLE) for n in image.size
        )
        small = image.resize((width, height), Image.Resampling.BILINEAR)
        blob = np.asarray(small, dtype=np.float32).transpose(2, 0, 1)[None]
        heat, size, offset, marks = self._session.run(None, {"pixels": blob})
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


def surroundings(
    box: Box, framing: Framing, width: int, height: int, *, margin: float | None = None
) -> Box:
    """Return the part of a photo of `width` x `height` px that is cut out for a face.

    The square keeps its size near an edge by moving inwards, and shrinks only where the photo is
    smaller than the square: padding would tell tightly framed pictures from the rest.

    Args:
        box: The face, px of the photo.
        framing: How faces are cut out.
        width: Of the photo, px.
        height: Of the photo, px.
        margin: Instead of the framing's own.
    """
    if framing.whole:
        return Box(left=0.0, top=0.0, width=float(width), height=float(height))
    side = float(min((margin or framing.margin) * max(box.width, box.height), width, height))
    left = min(max(box.left + (box.width - side) / 2, 0.0), width - side)
    top = min(max(box.top + (box.height - side) / 2, 0.0), height - side)
    return Box(left=left, top=top, width=side, height=side)


def cut(
    pixels: UInt8[ndarray, "height width 3"], area: Box, framing: Framing
) -> UInt8[ndarray, "size size 3"]:
    """Cut `area` out and resample it (bicubic, antialiased) to the size that the framing asks for.

    Args:
        pixels: Upright sRGB photo.
        area: What to cut, px of the photo: `surroundings` of a face, or the whole frame.
        framing: The size of the result; its margin is not applied again.
    """
    box = (area.left, area.top, area.left + area.width, area.top + area.height)
    size = framing.through_px or framing.size_px
    crop = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC, box=box)
    if size != framing.size_px:
        crop = crop.resize((framing.size_px, framing.size_px), Image.Resampling.BILINEAR)
    return np.asarray(crop)
