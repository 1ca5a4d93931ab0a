import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from veridical.arrays import ndarray
from veridical.box import Box
from veridical.io.header import read_header
from veridical.io.source import open_source
from veridical.train.facts import (
    KNOWN,
    PROBES,
    STAGES,
    THUMBNAIL_PX,
    _through,
    delivery,
    placement,
    scenery,
    traces,
)
from veridical.train.prepare import Prepared, prepare
from veridical.train.views import Window, views, window
from veridical.vision.crop import CropConfig
from veridical.vision.prepare import Finder

pytest.importorskip("imagehash")

Painter = Callable[..., ndarray]
Finding = Callable[..., Finder]
CROP = CropConfig(size_px=64)
FACE = (60.0, 30.0, 40.0, 50.0)


def saved(pixels: ndarray, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def prepared(data: bytes, finder: Finder, crop_config: CropConfig = CROP) -> Prepared:
    return prepare(open_source(data), finder, [crop_config], 2)


def box(left: float, top: float, width: float, height: float) -> Box:
    return Box(left=left, top=top, width=width, height=height)


# --- the file -----------------------------------------------------------------------------------


def test_the_quality_of_a_jpeg_is_that_of_its_header(painter: Painter) -> None:
    data = saved(painter(32, 32), "JPEG", quality=75)
    assert delivery(len(data), read_header(data), 32, 32)["JPEG quality"] == 75.0


def test_what_is_no_jpeg_has_no_quality(painter: Painter) -> None:
    data = saved(painter(32, 48), "PNG")
    facts = delivery(len(data), read_header(data), 48, 32)
    assert (facts["format"], facts["JPEG chroma"], facts["JPEG scan"]) == ("PNG", "none", "none")
    assert np.isnan(facts["JPEG quality"])
    assert np.isnan(facts["JPEG mean quantiser"])
    assert facts["width over height"] == 1.5
    assert facts["bytes per pixel"] == len(data) / (32 * 48)


def test_a_crop_without_detail_shows_none_and_a_board_of_squares_shows_all(
    painter: Painter,
) -> None:
    shown = Window(area=box(0.0, 0.0, 16.0, 16.0), side_px=64, mirrored=False)
    flat = traces(np.full((64, 64, 3), 90, np.uint8), shown)
    squares = np.indices((64, 64)).sum(axis=0) % 2 * 100
    board = traces(np.repeat(squares[..., None], 3, axis=2).astype(np.uint8), shown)
    assert (flat["fine detail"], flat["coarse detail"]) == (0, 0)
    assert board["fine detail"] == pytest.approx(50)
    assert board["coarse detail"] == pytest.approx(0)
    assert flat["true px per px"] == 0.25


# --- the frame ----------------------------------------------------------------------------------


def test_a_placement_is_in_shares_of_the_frame() -> None:
    facts = placement([box(50.0, 10.0, 100.0, 40.0), box(0.0, 0.0, 1.0, 1.0)], 200, 100)
    assert facts["faces"] == 2
    assert (facts["face width"], facts["face height"]) == (0.5, 0.4)
    assert facts["face width over height"] == 2.5
    assert facts["face centre, across"] == 0.5
    assert facts["face centre, down"] == pytest.approx(0.3)
    assert (facts["space on the left"], facts["space on the right"]) == (0.25, 0.25)
    assert (facts["space above"], facts["space below"]) == pytest.approx((0.1, 0.5))


def test_a_frame_without_a_face_has_a_number_of_faces_and_nothing_else() -> None:
    facts = placement([], 200, 100)
    known = {name: value for name, value in facts.items() if not np.isnan(float(value))}
    assert known == {"faces": 0}
    assert facts.keys() == placement([box(0.0, 0.0, 1.0, 1.0)], 9, 9).keys()


@pytest.mark.parametrize("whole", [False, True])
def test_a_box_is_found_again_in_every_view(whole: bool) -> None:
    """A red square in the photo is where the box says in the crop, mirrored views included."""
    photo = np.zeros((150, 240, 3), np.uint8)
    photo[30:70, 20:50] = (255, 0, 0)  # off the face's centre, so that a mirror shows
    marked, face = box(20.0, 30.0, 30.0, 40.0), box(15.0, 20.0, 60.0, 80.0)
    image = Image.fromarray(photo)
    config = CropConfig(size_px=64, whole=whole)
    seen = set()
    for number in range(8):
        (crop,) = views(image, face, [config], "ab", number)
        shown = window(face, config, 240, 150, "ab", number)
        seen.add(shown.mirrored)
        (inside,) = _through([marked], shown, 64)
        rows, columns = np.nonzero(crop[..., 0] > 128)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        right, bottom = inside.left + inside.width, inside.top + inside.height
        assert found == pytest.approx((inside.left, inside.top, right, bottom), abs=2)
    assert seen == {False, True}


def test_a_face_outside_the_crop_is_not_counted() -> None:
    shown = Window(area=box(100.0, 100.0, 50.0, 50.0), side_px=64, mirrored=False)
    assert _through([box(0.0, 0.0, 20.0, 20.0)], shown, 64) == []


# --- the background -------------------------------------------------------------------------


@given(
    left=st.floats(0, 60), top=st.floats(0, 40), side=st.floats(8, 40), seed=st.integers(0, 2**16)
)
def test_what_is_hidden_changes_nothing(left: float, top: float, side: float, seed: int) -> None:
    draw = np.random.default_rng(seed)
    one = draw.integers(0, 256, (90, 110, 3), np.uint8)
    other = one.copy()
    rows, columns = (slice(int(np.ceil(at)), int(at + side)) for at in (top, left))
    other[rows, columns] = draw.integers(0, 256, other[rows, columns].shape)
    hidden = [box(left, top, side, side)]
    first, second = Image.fromarray(one), Image.fromarray(other)
    assert scenery(first, hidden) == pytest.approx(scenery(second, hidden), nan_ok=True)
    assert scenery(first, []) != scenery(second, [])


def test_a_face_that_fills_the_frame_leaves_no_background(painter: Painter) -> None:
    image = Image.fromarray(painter(64, 64))
    assert scenery(image, [box(0.0, 0.0, 64.0, 60.0)]) is None
    assert scenery(image, [box(0.0, 0.0, 64.0, 48.0)]) is not None


def test_the_sides_are_where_their_names_say() -> None:
    pixels = np.zeros((THUMBNAIL_PX, THUMBNAIL_PX, 3), np.uint8)
    pixels[: THUMBNAIL_PX // 4] = 240
    facts = scenery(Image.fromarray(pixels), [])
    assert facts is not None
    assert (facts["brightness, top"], facts["brightness, bottom"]) == (240, 0)
    assert facts["brightness, left"] == facts["brightness, right"] == facts["brightness"] == 60
    assert (facts["bright part"], facts["dark part"]) == (0.25, 0.75)


# --- a picture ----------------------------------------------------------------------------------


def test_every_fact_is_of_one_kind_and_can_be_put_into_words(
    painter: Painter, fake_finder: Finding
) -> None:
    pixels = painter(120, 160, FACE)
    kinds: dict[str, type] = {}
    for finder in (fake_finder(FACE), fake_finder()):
        for data in (saved(pixels, "PNG"), saved(pixels, "JPEG"), saved(pixels[..., 0], "JPEG")):
            for config in (CROP, CropConfig(size_px=64, through_px=48, whole=True)):
                found = prepared(data, finder, config).facts
                assert found or not config.whole
                for facts in found.values():
                    for name, value in facts.items():
                        assert kinds.setdefault(name, type(value)) is type(value) in (float, str)
    assert kinds.keys() == KNOWN.keys()
    assert all(known.says.count("{}") == 1 and known.fix for known in KNOWN.values())


def test_there_are_facts_for_every_probe_at_every_stage(
    painter: Painter, fake_finder: Finding
) -> None:
    data = saved(painter(120, 160, FACE), "JPEG")
    found = prepared(data, fake_finder(FACE)).facts
    assert set(found) == {(stage, probe) for stage in STAGES for probe in PROBES}
    one_view = prepare(open_source(data), fake_finder(FACE), [CROP], 1)
    assert (one_view.facts, len(one_view.crops)) == (found, 1)


def test_the_crop_hides_how_the_face_was_framed(painter: Painter, fake_finder: Finding) -> None:
    found = []
    for left in (30.0, 90.0):
        at = (left, 30.0, 40.0, 50.0)
        found.append(prepared(saved(painter(120, 160, at), "PNG"), fake_finder(at)).facts)
    assert found[0]["raw", "framing"] != found[1]["raw", "framing"]
    assert found[0]["cut", "framing"] == pytest.approx(found[1]["cut", "framing"])
