from importlib import import_module

import numpy as np
import pytest
from PIL import Image

from tests.conftest import exif_of, saved
from tests.cues.made import camera, cue_input, decoded, grey, jpeg, read
from veridical.cues.jpeg import DOUBLE, GRID, block_grid, measure
from veridical.cues.pixels import luma
from veridical.cues.protocol import Measurement
from veridical.errors import PhotoError
from veridical.io.decode import TURNS
from veridical.report import NotApplicable

module = import_module("veridical.cues.jpeg")


def found(data: bytes) -> Measurement:
    answer = measure(cue_input(decoded(data), data=data))
    assert isinstance(answer, Measurement)
    return answer


def test_tables_of_ones_own_are_told_from_the_standard() -> None:
    tables = [[5 + (7 * i) % 40 for i in range(64)]] * 2
    data = jpeg(grey(camera(64, 0)), 75, qtables=tables)
    answer = found(data)
    assert read(answer)["own_tables"] > 3
    assert "by its maker's tables" in answer.plain


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("last", [85, 92])
def test_one_compression_is_not_called_two(seed: int, last: int) -> None:
    answer = found(jpeg(grey(camera(256, seed)), last))
    assert read(answer)["ripple"] < DOUBLE
    assert "more than once" not in answer.plain


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("first", "last"), [(50, 85), (75, 85), (65, 92), (75, 92)])
def test_two_compressions_are_noticed(seed: int, first: int, last: int) -> None:
    once = decoded(jpeg(grey(camera(256, seed)), first))
    answer = found(jpeg(once, last))
    assert read(answer)["ripple"] > DOUBLE
    assert "more than once" in answer.plain


@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, 5), (7, 1), (4, 0)])
def test_a_crop_carries_its_old_grid_at_its_place(x: int, y: int) -> None:
    whole = decoded(jpeg(grey(camera(280, 1)), 70))
    pixels = np.ascontiguousarray(whole[y : y + 256, x : x + 256])
    grid = block_grid(luma(pixels))
    assert grid.strength > GRID
    assert grid.place == ((-x) % 8, (-y) % 8)
    answer = measure(cue_input(pixels))
    assert isinstance(answer, Measurement)
    assert "traces" in answer.plain
    assert dict(answer.known())["elsewhere"] == float((x, y) != (0, 0))


@pytest.mark.parametrize("seed", range(6))
def test_what_was_never_a_jpeg_has_no_grid_and_is_not_applicable(seed: int) -> None:
    answer = measure(cue_input(grey(camera(256, seed))))
    assert isinstance(answer, NotApplicable)
    assert "no file" in answer.why
    assert "no grid" in answer.why


def test_a_png_is_named_and_broken_bytes_are_refused() -> None:
    pixels = grey(camera(128, 0))
    named = measure(cue_input(pixels, data=saved(Image.fromarray(pixels), "PNG")))
    assert isinstance(named, NotApplicable)
    assert "PNG" in named.why
    for data in (b"", b"\xff\xd8\xff", b"nothing", jpeg(pixels, 80)[:150]):
        with pytest.raises(PhotoError):
            measure(cue_input(pixels, data=data))


def test_a_file_that_breaks_off_behind_its_header_is_still_described() -> None:
    pixels = grey(camera(128, 0))
    data = jpeg(pixels, 80)
    answer = measure(cue_input(pixels, data=data[: len(data) // 2]))
    assert isinstance(answer, Measurement)
    assert "ripple" not in read(answer)
    assert read(answer)["quality"] == 80


def test_a_turned_file_is_looked_at_where_the_face_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texture only in one corner: its coefficients are found whichever way the file is stored."""
    monkeypatch.setattr(module, "_WINDOW", 64)
    plain = np.full((256, 192), 128.0)
    plain[:64, :64] = camera(64, 0)
    for turn, way in TURNS.items():
        upright = Image.fromarray(grey(plain))
        back = {6: 8, 8: 6}.get(turn, turn)
        stored = upright.transpose(TURNS[back])
        assert np.array_equal(np.asarray(stored.transpose(way)), np.asarray(upright))
        data = saved(stored, "JPEG", quality=95, exif=exif_of(turn))
        made = cue_input(grey(plain), (8.0, 8.0, 48.0, 48.0), data=data)
        coded = module._coded(made)
        assert coded is not None
        assert coded.std() > 5, turn


def test_the_error_level_is_higher_where_less_was_lost_before() -> None:
    pixels = decoded(jpeg(grey(camera(256, 0)), 30)).copy()
    pixels[64:192, 64:192] = grey(camera(128, 1))
    data = jpeg(pixels, 98)
    made = cue_input(decoded(data), (64.0, 64.0, 128.0, 128.0), data=data)
    assert read(measure(made))["errors"] > 0.3
