"""Pictures made for `detecting`: known faces at known places of large scenes, turned, or cut tight.

Faces come from the split val, shrunk; scenes are textures and landscapes without people.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from veridical.box import Box

SIZES = ((40, 48), (48, 64), (64, 100), (100, 400))  # longer side of a face, px
MILLIONS = (1, 4, 12, 24)  # px of a scene
MOST = 50  # faces of a scene
_AROUND = 0.45  # of the longer side of its box, shown on each side of a pasted face


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutting:
    """A face and what is around it.

    Attributes:
        image: Both.
        box: The face, px of the image.
    """

    image: Image.Image
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A picture with known faces.

    Attributes:
        image: The picture.
        boxes: Its faces, px.
    """

    image: Image.Image
    boxes: tuple[Box, ...]


def cut_out(image: Image.Image, box: Box, around: float = _AROUND) -> Cutting:
    """Return a face with so much around it, in shares of its longer side, or less if negative."""
    margin = around * box.size_px
    left, top = max(0, round(box.left - margin)), max(0, round(box.top - margin))
    right = min(image.width, round(box.left + box.width + margin))
    bottom = min(image.height, round(box.top + box.height + margin))
    moved = Box(left=box.left - left, top=box.top - top, width=box.width, height=box.height)
    return Cutting(image=image.crop((left, top, right, bottom)), box=moved)


def ground(image: Image.Image, millions: float, *, mosaic: bool) -> Image.Image:
    """Enlarge a picture to so many million px, or cover as many with mirrored copies of it."""
    height = round((millions * 1e6 / 1.5) ** 0.5)
    size = (round(1.5 * height), height)
    if not mosaic:
        return ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    whole = Image.new("RGB", size)
    for row, top in enumerate(range(0, size[1], image.height)):
        for column, left in enumerate(range(0, size[0], image.width)):
            copy = ImageOps.mirror(image) if column % 2 else image
            whole.paste(ImageOps.flip(copy) if row % 2 else copy, (left, top))
    return whole


def scene(draw: np.random.Generator, cuttings: Sequence[Cutting], behind: Image.Image) -> Scene:
    """Paste up to `MOST` faces of random sizes at random places that do not touch.

    Half of the sizes come from one class, so that there are scenes of small faces only.
    """
    image = behind.copy()
    boxes: list[Box] = []
    taken: list[tuple[int, int, int, int]] = []
    common = int(draw.integers(len(SIZES)))
    for _ in range(8 * MOST):
        which = common if draw.random() < 0.5 else int(draw.integers(len(SIZES)))
        cutting = cuttings[int(draw.integers(len(cuttings)))]
        scale = draw.uniform(*SIZES[which]) / cutting.box.size_px
        size = [max(1, round(n * scale)) for n in cutting.image.size]
        if scale > 1 or any(n >= most for n, most in zip(size, image.size, strict=True)):
            continue
        left, top = (int(draw.integers(m - n)) for n, m in zip(size, image.size, strict=True))
        place = (left, top, left + size[0], top + size[1])
        if any(_touch(place, other) for other in taken):
            continue
        taken.append(place)
        small = cutting.image.resize(size, Image.Resampling.LANCZOS)
        image.paste(small, (left, top))
        box = cutting.box
        boxes.append(
            Box(
                left=left + scale * box.left,
                top=top + scale * box.top,
                width=scale * box.width,
                height=scale * box.height,
            )
        )
        if len(boxes) == MOST:
            break
    return Scene(image=image, boxes=tuple(boxes))


def _touch(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def size_class(px: float) -> str | None:
    """Return the class of a face's longer side, px."""
    return next((f"{low}–{high} px" for low, high in SIZES if low <= px < high), None)


def overlap(a: Box, b: Box) -> float:
    """Return intersection over union."""
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    shared = max(0.0, across) * max(0.0, down)
    return shared / (a.width * a.height + b.width * b.height - shared)
