"""From a file to the crops of its faces: all that happens to a picture before the backbone."""

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A picture before the backbone.

    Attributes:
        file: The picture.
        faces: Of each face its box, the area of its crop, and what the finder said; None for the
            whole frame.
        rows: Places in `faces` of those that are large enough.
        crops: Of these.
        faceless: Whether a whole frame shows no face.
    """

    file: File
    faces: tuple[tuple[Box, Box, Face | None], ...]
    rows: tuple[int, ...]
    crops: UInt8[ndarray, "_ size size 3"]
    faceless: bool


def prepare(
    file: File, finder: Finder, config: CropConfig, *, min_face_px: float, whole_image: bool = False
) -> Prepared:
    """Decode a picture, find its faces and crop those that are large enough.

    Args:
        file: The picture.
        finder: Finds the faces.
        config: How they are cropped.
        min_face_px: Longer side of the smallest face that is cropped, px.
        whole_image: Take the frame as if it were a face.

    Raises:
        PhotoError: If the picture cannot be read.
    """
    image = file.photo.image
    frame = Box(left=0.0, top=0.0, width=float(image.width), height=float(image.height))
    faceless = False
    found: list[tuple[Box, Box, Face | None]]
    if whole_image or config.whole:
        # A frame without a face gets its numbers, and never a verdict: the model knows faces.
        faceless = not config.whole and not finder.find(image)
        found = [(frame, frame, None)]
    else:
        found = [
            (face.box, crop_box(face.box, config, image.width, image.height), face)
            for face in finder.find(image)
        ]
    rows = tuple(at for at, (box, _, _) in enumerate(found) if box.size_px >= min_face_px)
    crops = [extract_crop(image, found[at][1], config) for at in rows]
    side = config.size_px
    return Prepared(
        file=file,
        faces=tuple(found),
        rows=rows,
        crops=np.stack(crops) if crops else np.zeros((0, side, side, 3), np.uint8),
        faceless=faceless,
    )
