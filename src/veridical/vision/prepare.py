"""From a file to the crops of its faces: all that happens to a picture before the backbone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.box import Box
from veridical.io.source import File
from veridical.vision.crop import CropConfig, crop_box, extract_crop
from veridical.vision.faces import Face


@runtime_checkable
class Finder(Protocol):
    """Finds faces in an upright sRGB picture, largest first."""

    @property
    def name(self) -> str:
        """Tells one way of finding faces from another."""
        ...

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        """Return the faces."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A face, or the whole frame, and what is looked at around it.

    Attributes:
        box: px of the photo.
        areas: What each crop shows, px of the photo.
        face: What the finder said; None for the whole frame.
    """

    box: Box
    areas: tuple[Box, ...]
    face: Face | None

    @property
    def turn(self) -> int:
        """Degrees by which its crops are turned, so that it is upright."""
        return self.face.turn if self.face else 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A picture before the backbone.

    Attributes:
        file: The picture.
        faces: What was found.
        rows: Places in `faces` of those that are large enough.
        crops: Of these.
        faceless: Whether a whole frame shows no face.
    """

    file: File
    faces: tuple[Seen, ...]
    rows: tuple[int, ...]
    crops: UInt8[ndarray, "rows crops size size 3"]
    faceless: bool


def prepare(
    file: File,
    finder: Finder,
    configs: Sequence[CropConfig],
    *,
    min_face_px: float,
    whole_image: bool = False,
) -> Prepared:
    """Decode a picture, find its faces and crop those that are large enough.

    Args:
        file: The picture.
        finder: Finds the faces.
        configs: How they are cropped, one per crop.
        min_face_px: Longer side of the smallest face that is cropped, px.
        whole_image: Take the frame as if it were a face.

    Raises:
        PhotoError: If the picture cannot be read.
    """
    image = file.photo.image
    frame = Box(left=0.0, top=0.0, width=float(image.width), height=float(image.height))
    faceless = False
    if whole_image or configs[0].whole:
        # A frame without a face gets its numbers, and never a verdict: the model knows faces.
        faceless = not configs[0].whole and not finder.find(image)
        found = [Seen(box=frame, areas=(frame,) * len(configs), face=None)]
    else:
        found = [
            Seen(box=face.box, areas=areas_of(face.box, configs, image), face=face)
            for face in finder.find(image)
        ]
    rows = tuple(at for at, one in enumerate(found) if one.box.size_px >= min_face_px)
    side = configs[0].size_px
    crops = [crops_of(image, found[at].areas, configs, found[at].turn) for at in rows]
    shape = 0, len(configs), side, side, 3
    return Prepared(
        file=file,
        faces=tuple(found),
        rows=rows,
        crops=np.stack(crops) if crops else np.zeros(shape, np.uint8),
        faceless=faceless,
    )


def areas_of(box: Box, configs: Sequence[CropConfig], image: Image.Image) -> tuple[Box, ...]:
    """Return what each crop of a face shows, px of the photo."""
    return tuple(crop_box(box, one, image.width, image.height) for one in configs)


def crops_of(
    image: Image.Image, areas: Sequence[Box], configs: Sequence[CropConfig], turn: int = 0
) -> UInt8[ndarray, "crops size size 3"]:
    """Return the crops of a face.

    Args:
        image: Upright sRGB photo.
        areas: What they show, px of the photo.
        configs: Their sizes, one per area.
        turn: See `extract_crop`.
    """
    crops = (
        extract_crop(image, area, one, turn=turn) for area, one in zip(areas, configs, strict=True)
    )
    return np.stack(list(crops))
