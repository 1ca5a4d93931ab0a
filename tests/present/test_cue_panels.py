import numpy as np
import pytest
from PIL import Image

from veridical.explanation import Curve, Drawing, Map, Marked
from veridical.present.cue_panels import SIDE, panel, shades
from veridical.report import Reading

LINE = Curve(
    x=np.linspace(0.01, 0.5, 32),
    y=-np.linspace(0, 9, 32),
    fit=-np.linspace(0.5, 8, 32),
    marks=(0.125, 0.25, 0.5),
    x_label="frequency",
    y_label="power, nats",
)
FACE = np.full((64, 64, 3), 128, np.uint8)
DRAWINGS: tuple[Drawing, ...] = (
    LINE,
    Map(values=np.random.default_rng(0).uniform(0, 3, (20, 31)), unit="levels"),
    Marked(image=FACE, points=((20.0, 20.0), (44.0, 20.0)), insets=(FACE, FACE)),
    Marked(image=FACE, arrows=(((32.0, 32.0), (50.0, 20.0)),)),
)


def reading(drawing: Drawing | None) -> Reading:
    return Reading(cue="made", statistics={}, llr=None, plain="a.", technical="b.", drawing=drawing)


def drawn(drawing: Drawing) -> Image.Image:
    found = panel(reading(drawing))
    assert found is not None
    return found


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda one: type(one).__name__)
def test_all_panels_have_one_size_and_a_clean_rim(drawing: Drawing) -> None:
    image = drawn(drawing)
    assert image.size == drawn(LINE).size
    rim = np.asarray(image).copy()
    rim[4:-4, 4:-4] = 255
    assert (rim == 255).all()


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda one: type(one).__name__)
def test_a_panel_means_the_same_without_colour(drawing: Drawing) -> None:
    """No two of our own colours are told apart by hue alone."""
    pixels = np.asarray(drawn(drawing)).astype(int)
    assert np.abs(pixels.max(axis=2) - pixels.min(axis=2)).max() < 40


def test_a_cue_without_a_drawing_has_no_panel() -> None:
    assert panel(reading(None)) is None


def test_more_is_lighter_up_to_the_limit() -> None:
    values = np.arange(100, dtype=float).reshape(10, 10)
    shown, limit = shades(values)
    assert limit == pytest.approx(98.01)
    assert (np.diff(shown.ravel().astype(int)) >= 0).all()
    assert shown[0, 0] == 0
    assert shown[-1, -1] == 255


def test_a_map_of_nothing_is_black_and_divides_by_nothing() -> None:
    shown, _ = shades(np.zeros((4, 4)))
    assert not shown.any()
    drawn(Map(values=np.zeros((1, 1)), unit="levels"))


def test_a_level_curve_can_be_drawn() -> None:
    flat = Curve(x=np.ones(2), y=np.ones(2), fit=None, marks=(), x_label="x", y_label="y")
    assert np.asarray(drawn(flat)).min() < 100


def test_points_are_drawn_where_they_are() -> None:
    bare, dotted = (
        np.asarray(drawn(Marked(image=FACE, points=points))).astype(int)
        for points in ((), ((16.0, 48.0),))
    )
    rows, columns = np.nonzero(np.abs(bare - dotted).sum(axis=2))
    scale = SIDE / 64
    assert rows.mean() - 34 == pytest.approx(48 * scale, abs=2)
    assert columns.mean() - 14 == pytest.approx(16 * scale, abs=2)
