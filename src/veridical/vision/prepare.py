"""From a file to the crops of its faces: all that happens to a picture before the backbone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.box import Box
from veridical.io.decode import Photo
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


@runtime_checkable
class ClipFinder(Protocol):
    """A finder that has ways of its own for many frames of a clip."""

    def glance(self, image: Image.Image) -> tuple[Face, ...]:
        """Return the faces, without the slow search for hidden ones."""
        ...

    def on_one_thread(self) -> Finder:
        """Return the same finder on one thread."""
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

    def damaged(self, photo: Photo) -> bool:
        """Return whether something of what its crops show may be missing or wrong."""
        damage = photo.damage
        return damage is not None and any(damage.touches(one) for one in (self.box, *self.areas))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A picture before the backbone.

    Attributes:
        file: The picture.
        faces: What was found.
        rows: Places in `faces` of those that are large enough, and not damaged.
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
    photo = file.photo
    frame = Box(left=0.0, top=0.0, width=float(photo.width), height=float(photo.height))
    faceless = False
    if whole_image or configs[0].whole:
        # A frame without a face gets its numbers, and never a verdict: the model knows faces.
        faceless = not configs[0].whole and not _found(finder, photo)
        found = [Seen(box=frame, areas=(frame,) * len(configs), face=None)]
    else:
        found = [
            Seen(box=face.box, areas=areas_of(face.box, configs, photo), face=face)
            for face in _found(finder, photo)
        ]
    rows = tuple(
        at
        for at, one in enumerate(found)
        if one.box.size_px >= min_face_px and not one.damaged(photo)
    )
    side = configs[0].size_px
    crops = [crops_of(*photo.around(found[at].areas), configs, found[at].turn) for at in rows]
    shape = 0, len(configs), side, side, 3
    return Prepared(
        file=file,
        faces=tuple(found),
        rows=rows,
        crops=np.stack(crops) if crops else np.zeros(shape, np.uint8),
        faceless=faceless,
    )


def _found(finder: Finder, photo: Photo) -> Sequence[Face]:
    """Return the faces of a photo; a very large one is searched in a smaller copy."""
    searched = photo.smaller()
    faces = finder.find(searched)
    across, down = photo.width / searched.width, photo.height / searched.height
    if (across, down) == (1.0, 1.0):
        return faces
    return [
        replace(
            face,
            box=face.box.scaled(across, down),
            landmarks=tuple((x * across, y * down) for x, y in face.landmarks),
        )
        for face in faces
    ]


def areas_of(
    box: Box, configs: Sequence[CropConfig], image: Image.Image | Photo
) -> tuple[Box, ...]:
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
