"""Faces far smaller than their picture, lying, upside down, or cut at chin and brow.

The pictures are made of the project's own examples.
"""

from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from veridical.box import Box
from veridical.vision import faces
from veridical.vision.copies import Copy
from veridical.vision.faces import Face, FaceFinder, _overlap

pytestmark = pytest.mark.skipif(
    not files("veridical").joinpath("models", "centerface.onnx").is_file(),
    reason="this checkout has no face detector",
)

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.jpg"))
AI = [path for path in EXAMPLES if path.stem.startswith("ai")]
TURNED = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
examples = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(threads=1)


@pytest.fixture(scope="module")
def known(finder: FaceFinder) -> dict[Path, tuple[Image.Image, Box]]:
    """Each example and its face."""
    photos = {path: Image.open(path).convert("RGB") for path in EXAMPLES}
    return {path: (photo, finder.find(photo)[0].box) for path, photo in photos.items()}


def scene(width: int, height: int) -> Image.Image:
    """A wall in uneven light."""
    draw = np.random.default_rng(0)
    coarse = draw.integers(90, 130, (height // 50, width // 50, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def paste(onto: Image.Image, photo: Image.Image, box: Box, size_px: float, x: int, y: int) -> Box:
    """Paste a photo so that its face is so large and begins near (x, y); return the face."""
    scale = size_px / box.size_px
    small = photo.resize(
        (round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS
    )
    margin = 0.4 * size_px
    left, top = box.left * scale - margin, box.top * scale - margin
    piece = small.crop(
        (
            max(0, round(left)),
            max(0, round(top)),
            min(small.width, round(left + box.width * scale + 2 * margin)),
            min(small.height, round(top + box.height * scale + 2 * margin)),
        )
    )
    onto.paste(piece, (x, y))
    return Box(
        left=x + box.left * scale - max(0, round(left)),
        top=y + box.top * scale - max(0, round(top)),
        width=box.width * scale,
        height=box.height * scale,
    )


def all_found(found: tuple[Face, ...], wanted: list[Box]) -> bool:
    """Whether each wanted face has one box, and there is no other."""
    hits = [sum(_overlap(box, face.box) >= 0.5 for face in found) for box in wanted]
    return hits == [1] * len(wanted) == [1] * len(found)


Known = dict[Path, tuple[Image.Image, Box]]


@pytest.mark.parametrize("large", [True, False])
def test_a_panorama_shrinks_no_face_away(finder: FaceFinder, known: Known, large: bool) -> None:
    """9000 x 1000 px: faces of 172 px are 5 px high in a copy of 256 px, and 12 in one of 640."""
    photo = scene(9000, 1000)
    wanted = [
        paste(photo, *known[path], 172, x, 400)
        for path, x in zip(AI, (3000, 5200, 7400), strict=True)
    ]
    if large:
        wanted.append(paste(photo, *known[EXAMPLES[-1]], 400, 500, 100))
    found = finder.find(photo)
    assert all_found(found, wanted)
    assert {face.turn for face in found} == {0}


def test_a_mosaic_of_many_faces_has_them_all(finder: FaceFinder, known: Known) -> None:
    photo = scene(6000, 4000)
    wanted = [
        paste(
            photo,
            *known[EXAMPLES[(row + column) % len(EXAMPLES)]],
            140,
            570 * column + 90,
            760 * row + 120,
        )
        for row in range(5)
        for column in range(10)
    ]
    assert all_found(finder.find(photo), wanted)


@pytest.mark.parametrize("size", [(1000, 800), (1500, 1000), (4000, 3000)])
def test_a_face_of_forty_px_is_found(
    finder: FaceFinder, known: Known, size: tuple[int, int]
) -> None:
    photo = scene(*size)
    wanted = [
        paste(photo, *known[path], 42, size[0] // 2 + 90 * at, size[1] // 3)
        for at, path in enumerate(EXAMPLES[:4])
    ]
    assert all_found(finder.find(photo), wanted)


def test_who_stands_beside_a_large_face_is_found_with_it(finder: FaceFinder, known: Known) -> None:
    photo = scene(3000, 2000)
    wanted = [
        paste(photo, *known[EXAMPLES[0]], 500, 100, 600),
        paste(photo, *known[EXAMPLES[1]], 110, 2000, 700),
        paste(photo, *known[EXAMPLES[2]], 60, 2500, 700),
    ]
    assert all_found(finder.find(photo), wanted)


def test_a_portrait_costs_one_small_copy(known: Known) -> None:
    seen: list[tuple[int, int]] = []

    class Counting(FaceFinder):
        def _run(self, image: Image.Image, copy: Copy, *how: Any, **more: Any) -> list[Face]:
            seen.append(copy.size)
            return super()._run(image, copy, *how, **more)

    photo, _ = known[EXAMPLES[0]]
    assert len(Counting(threads=1).find(photo.resize((photo.width * 4, photo.height * 4)))) == 1
    assert [max(size) for size in seen] == [256]


@examples
@pytest.mark.parametrize("turned", TURNED)
def test_a_face_on_its_side_is_found_with_its_way_up(
    finder: FaceFinder, known: Known, path: Path, turned: int
) -> None:
    """What was turned counter-clockwise needs the rest of a full turn to be upright again."""
    photo, box = known[path]
    lying = photo.transpose(TURNED[turned])
    face = finder.find(lying)[0]
    assert face.turn == 360 - turned
    upright = finder.find(lying.rotate(face.turn, expand=True))[0]
    assert upright.turn == 0
    assert _overlap(upright.box, box) > 0.9
    left, top = {
        90: (box.top, photo.width - box.left - box.width),
        180: (photo.width - box.left - box.width, photo.height - box.top - box.height),
        270: (photo.height - box.top - box.height, box.left),
    }[turned]
    sides = (box.width, box.height) if turned == 180 else (box.height, box.width)
    assert _overlap(face.box, Box(left=left, top=top, width=sides[0], height=sides[1])) > 0.6
    for x, y in face.landmarks:
        assert face.box.left < x < face.box.left + face.box.width
        assert face.box.top < y < face.box.top + face.box.height


@examples
@pytest.mark.parametrize("margin", [-0.08, 0.0, 0.1])
def test_a_face_that_fills_its_picture_is_found(
    finder: FaceFinder, known: Known, path: Path, margin: float
) -> None:
    photo, box = known[path]
    more = margin * box.size_px
    cut = photo.crop(
        (
            max(0, round(box.left - more)),
            max(0, round(box.top - more)),
            min(photo.width, round(box.left + box.width + more)),
            min(photo.height, round(box.top + box.height + more)),
        )
    )
    (face,) = finder.find(cut)
    assert face.turn == 0
    assert 0 <= face.box.left < face.box.left + face.box.width <= cut.width + 1e-6
    assert 0 <= face.box.top < face.box.top + face.box.height <= cut.height + 1e-6
    assert face.box.width * face.box.height > 0.5 * min(1, 1 / (1 + 2 * margin) ** 2) * (
        cut.width * cut.height
    )


def test_the_name_has_every_number_of_the_rules() -> None:
    rules = [
        value
        for name, value in vars(faces).items()
        if isinstance(value, int | float) and name.isupper()
    ]
    fixed = 2  # _CELL and _MULTIPLE: of the network
    assert len(faces._RULES) == len(rules) - fixed
    assert all(f"{rule:g}" in FaceFinder.name for rule in faces._RULES)
