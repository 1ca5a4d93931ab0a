"""Faces become people: nobody is joined to a stranger, and a cut ends everybody."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from veridical.box import Box
from veridical.vision.faces import Face
from veridical.vision.tracking import (
    LIMIT,
    Appearance,
    Chain,
    appearance,
    assigned,
    cost,
    link,
)

pytest.importorskip("scipy")

SIDE = 60
Sight = tuple[Box, Appearance]


def face_at(x: float, y: float, side: float = SIDE) -> Face:
    left, top = x - side / 2, y - side / 2
    spots = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    return Face(
        box=Box(left=left, top=top, width=side, height=side),
        landmarks=tuple((left + a * side, top + b * side) for a, b in spots),
        score=0.9,
    )


def paint(
    people: dict[str, tuple[float, float]], size: tuple[int, int] = (640, 360)
) -> list[Sight]:
    """Paint people, each in a pattern and colours of their own, and look at them."""
    image = Image.new("RGB", (640, 360), (90, 120, 90))
    pen = ImageDraw.Draw(image)
    for name, (x, y) in people.items():
        draw = np.random.default_rng(ord(name))
        skin, shirt = (tuple(int(c) for c in draw.integers(40, 220, 3)) for _ in range(2))
        pen.rectangle((x - 60, y + 30, x + 60, y + 150), fill=shirt)
        pen.ellipse((x - 30, y - 30, x + 30, y + 30), fill=skin)
        for _ in range(5):
            a, b = draw.uniform(-22, 22, 2)
            pen.ellipse((x + a - 6, y + b - 4, x + a + 6, y + b + 4), fill=(20, 20, 30))
    found = []
    for x, y in people.values():
        face = face_at(x, y)
        found.append((face.box, appearance(image, face)))
    return found


def places(chains: list[Chain]) -> list[list[tuple[int, int]]]:
    return [one.places for one in chains]


def test_one_person_who_moves_is_one_track() -> None:
    frames = [paint({"a": (100 + 40 * n, 150)}) for n in range(8)]

    chains = link(frames, [n / 2 for n in range(8)], [False] * 8)

    assert places(chains) == [[(n, 0) for n in range(8)]]


def test_two_people_who_cross_do_not_swap() -> None:
    frames = [paint({"a": (120 + 50 * n, 150), "b": (520 - 50 * n, 150)}) for n in range(9)]

    chains = link(frames, [n / 2 for n in range(9)], [False] * 9)

    for chain in chains:  # perhaps in pieces; never one person and then the other
        assert len({k for _, k in chain.places}) == 1
    assert sum(len(one.places) for one in chains) == 18


def test_a_stranger_in_the_same_place_is_another_track() -> None:
    frames = [paint({"a": (200, 150)}), paint({"a": (205, 150)}), paint({"d": (205, 150)})]

    assert len(link(frames, [0.0, 0.5, 1.0], [False] * 3)) == 2


def test_a_cut_ends_everybody() -> None:
    frames = [paint({"a": (200, 150)})] * 4

    chains = link(frames, [0.0, 1.0, 2.0, 3.0], [False, False, True, False])

    assert places(chains) == [[(0, 0), (1, 0)], [(2, 0), (3, 0)]]


def test_a_face_may_be_missing_for_two_frames_and_not_for_three() -> None:
    here, gone = paint({"a": (200, 150)}), list[Sight]()

    assert len(link([here, gone, gone, here], [0.0, 1, 2, 3], [False] * 4)) == 1
    assert len(link([here, gone, gone, gone, here], [0.0, 1, 2, 3, 4], [False] * 5)) == 2


def test_who_may_be_either_of_two_is_neither() -> None:
    links, doubtful = assigned(np.array([[1.0, 1.1], [1.1, 1.0]]))

    assert (links, doubtful) == ([], {0, 1})


def test_what_is_clear_is_linked() -> None:
    links, doubtful = assigned(np.array([[0.5, 3.0], [9.0, 1.0]]))

    assert sorted(links) == [(0, 0), (1, 1)]
    assert not doubtful


def test_what_is_too_dear_stays_alone() -> None:
    assert assigned(np.array([[LIMIT + 0.1]])) == ([], set())
    assert assigned(np.zeros((0, 3))) == ([], set())


def test_the_cost_does_not_depend_on_the_size_of_the_frame() -> None:
    def sight(x: float, scale: int, seed: int) -> Sight:
        draw = np.random.default_rng(seed)
        small = Image.fromarray(draw.integers(0, 255, (24, 24, 3)).astype(np.uint8))
        image = small.resize((300 * scale, 300 * scale), Image.Resampling.BICUBIC)
        face = face_at(x * scale, 150 * scale, SIDE * scale)
        return face.box, appearance(image, face)

    small = cost(sight(140, 1, 0), sight(160, 1, 0))
    large = cost(sight(140, 3, 0), sight(160, 3, 0))
    assert small > 0.2
    assert large == pytest.approx(small, rel=0.1)


def test_faces_at_the_rim_can_be_compared() -> None:
    image = Image.new("RGB", (100, 80), (200, 10, 10))

    for x, y in ((0, 0), (100, 80), (-20, 40)):
        found = appearance(image, face_at(x, y))
        assert np.isfinite(found.face).all()
        assert np.isfinite(found.around).all()
