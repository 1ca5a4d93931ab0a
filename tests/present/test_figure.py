import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from tests.present.made import BAD, GOOD, REPORT, VERDICT, photo
from veridical.arrays import Float, UInt8, ndarray
from veridical.detector import Explanation
from veridical.explain.attribution import Evidence, FurtherMap, TokenMap
from veridical.present import figure as overlay
from veridical.present.figure import (
    colours,
    figure,
    overlaid,
    panel_data,
    portrait,
    save,
    spread,
    trust_in_words,
)
from veridical.report import Box, FaceResult, Reason

GRID, CROP = 4, 64
AREA = Box(left=20.0, top=10.0, width=80.0, height=80.0)


def explanation(patches: Float[ndarray, "grid grid"] | None = None, **changes: Any) -> Explanation:
    grid = np.zeros((GRID, GRID)) if patches is None else patches
    face = FaceResult(
        box=Box(left=30.0, top=20.0, width=50.0, height=60.0),
        landmarks=(),
        confidence=0.9,
        verdict=VERDICT,
        reasons=VERDICT.reasons,
    )
    tokens = TokenMap(patches=grid, prefix=0.21, rest=0.1)
    made = Explanation(
        face=face,
        area=AREA,
        crop=np.zeros((CROP, CROP, 3), dtype=np.uint8),
        evidence=Evidence(patches=grid, method="contributions", looks=0),
        contributions=tokens,
        gradient_x_token=replace(tokens, rest=-0.5),
        channels=np.arange(30, dtype=np.float32),
        faithfulness=GOOD,
        occlusion=None,
    )
    return replace(made, **changes)


def spot(row: int, column: int, value: float) -> Float[ndarray, "grid grid"]:
    patches = np.zeros((GRID, GRID))
    patches[row, column] = value
    return patches


def panel(drawn: Image.Image, number: int) -> UInt8[ndarray, "side side 3"]:
    """The picture in the figure's panel 0, 1 or (after a colour bar) 2."""
    side = overlay._PANEL
    left = overlay._MARGIN + number * (side + overlay._GAP)
    left += overlay._BAR_SPACE if number == 2 else 0
    top = overlay._HEADER
    return np.asarray(drawn.crop((left, top, left + side, top + side)))


def grey() -> UInt8[ndarray, "side side 3"]:
    return np.asarray(Image.fromarray(portrait(photo(), AREA)).convert("L").convert("RGB"))


# --- what is withheld, and what is shown --------------------------------------------------------


def test_a_map_no_better_than_chance_leaves_the_plain_picture() -> None:
    drawn = figure(explanation(spot(1, 1, 3.0), faithfulness=BAD), REPORT, photo(), "a.jpg")
    assert np.array_equal(panel(drawn, 1), portrait(photo(), AREA))


def test_a_withheld_map_leaks_no_number_either() -> None:
    faint, strong = (
        figure(
            explanation(
                faithfulness=BAD, evidence=Evidence(patches=p, method="contributions", looks=0)
            ),
            REPORT,
            photo(),
            "a.jpg",
        )
        for p in (spot(1, 1, 3.0), spot(2, 2, 3.0))
    )
    assert ImageChops.difference(faint, strong).getbbox() is None


def test_a_map_that_was_not_scored_is_drawn_and_says_so(written: list[str]) -> None:
    drawn = figure(explanation(spot(1, 1, 3.0), faithfulness=None), REPORT, photo(), "a.jpg")
    assert not np.array_equal(panel(drawn, 1), portrait(photo(), AREA))
    assert "Map not scored." in written
    assert any(text.endswith("map not scored") for text in written)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written into figures."""
    texts: list[str] = []
    draw: Callable[..., None] = ImageDraw.ImageDraw.text

    def spy(self: object, at: object, text: str, *rest: object, **more: object) -> None:
        texts.append(text)
        draw(self, at, text, *rest, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    return texts


def test_the_figure_says_verdict_doubt_reasons_trust_and_what_has_no_place(
    written: list[str],
) -> None:
    figure(explanation(spot(1, 1, 3.0)), REPORT, photo(), "a.jpg")
    text = " ".join(written)
    for part in (
        "AI-GENERATED",
        "0.973, 90 % credible interval 0.912 to 0.994",
        "aleatoric 0.12 nats",
        "One answer alone fits at 95 % coverage.",
        "Map beats 9 of 9 random orders (deletion +0.80, insertion +0.50 logits).",
        "Of the logit +3.31, +0.31 belongs to no place",
        "for AI",
        "for real",
    ):
        assert part in text


def test_a_map_of_what_covering_does_says_that_it_is_an_estimate(written: list[str]) -> None:
    evidence = Evidence(patches=spot(0, 2, 1.5), method="covering", looks=54)
    figure(explanation(spot(1, 1, 3.0), evidence=evidence), REPORT, photo(), "a.jpg")
    text = " ".join(written)
    assert "fall of the logit if covered, estimated" in text
    assert "The logit is +3.31." in text
    assert "from tokens and 54 looks at covered copies" in text
    assert "places do not add up to the logit." in text
    assert "belongs to no place" not in text


def test_further_maps_are_drawn_or_withheld_each_by_its_own_score(written: list[str]) -> None:
    plain = figure(explanation(spot(1, 1, 3.0)), REPORT, photo(), "a.jpg")
    written.clear()
    further = (
        FurtherMap(name="grad-cam", patches=spot(0, 0, 1.0), faithfulness=GOOD),
        FurtherMap(name="attention-rollout", patches=spot(0, 0, 1.0), faithfulness=BAD),
    )
    made = figure(explanation(spot(1, 1, 3.0), further=further), REPORT, photo(), "a.jpg")
    assert "By grad-cam" in written
    assert "through the whole network; beats 9 of 9 random orders" in written
    assert written.count("map withheld: no better than a random one") == 1
    # Four panels stand in two rows; the first two are where they were.
    assert made.height > plain.height
    assert np.array_equal(panel(made, 0), panel(plain, 0))
    assert np.array_equal(panel(made, 1), panel(plain, 1))
    second = made.crop((0, overlay._ROW, made.width, made.height))
    assert np.array_equal(panel(second, 0), portrait(photo(), AREA))  # the withheld one


def test_a_withheld_map_has_no_colour_bar_and_says_why(written: list[str]) -> None:
    figure(explanation(spot(1, 1, 3.0), faithfulness=BAD), REPORT, photo(), "a.jpg")
    assert "map withheld: no better than a random one" in written
    assert "for AI" not in written
    assert trust_in_words(BAD) in written
    assert trust_in_words(BAD).endswith("withheld.")


@pytest.mark.parametrize("title", ["\x1b[31m猫é.jpg", "long " * 100, ""])
def test_every_character_is_one_that_the_font_has(title: str, written: list[str]) -> None:
    reasons = tuple(Reason)
    face = replace(explanation().face, verdict=replace(VERDICT, reasons=reasons), reasons=reasons)
    figure(
        explanation(spot(1, 1, 3.0), face=face, occlusion=np.ones((CROP, CROP))),
        REPORT,
        photo(),
        title,
    )
    assert all(text.isascii() and text.isprintable() for text in written)


def test_no_text_runs_over_the_edge() -> None:
    reasons = tuple(Reason)
    face = replace(explanation().face, verdict=replace(VERDICT, reasons=reasons), reasons=reasons)
    for trust in (GOOD, BAD, None):
        drawn = figure(
            explanation(spot(1, 1, 1e-7), face=face, faithfulness=trust), REPORT, photo(), "x" * 300
        )
        rim = np.asarray(drawn).copy()
        rim[16:-16, 16:-16] = 255
        assert (rim == 255).all()


# --- colours ------------------------------------------------------------------------------------


def test_what_speaks_for_ai_turns_towards_the_ai_hue_and_the_rest_stays() -> None:
    drawn = panel(figure(explanation(spot(1, 1, 3.0)), REPORT, photo(), "a.jpg"), 1).astype(int)
    cell = overlay._PANEL // GRID
    middle = cell + cell // 2
    before, after = grey()[middle, middle].astype(int), drawn[middle, middle]
    hue = np.array(overlay._AI)
    assert np.abs(after - hue).sum() < np.abs(before - hue).sum() / 2
    assert np.array_equal(drawn[-cell:, -cell:], grey()[-cell:, -cell:])


def test_what_speaks_for_real_turns_towards_the_other_hue() -> None:
    drawn = panel(figure(explanation(spot(2, 1, -3.0)), REPORT, photo(), "a.jpg"), 1).astype(int)
    cell = overlay._PANEL // GRID
    red, _, blue = drawn[2 * cell + cell // 2, cell + cell // 2]
    assert blue > red


def test_the_scale_is_symmetric() -> None:
    values = np.linspace(-2, 2, 9)[None]
    alpha = colours(values, 2.0)[0, :, 3].astype(int)
    assert np.array_equal(alpha, alpha[::-1])
    assert (np.diff(alpha[4:]) > 0).all()
    assert alpha[4] == 0


def test_the_colour_bar_is_symmetric_and_as_strong_as_the_map() -> None:
    canvas = Image.new("RGB", (200, overlay._HEADER + overlay._PANEL), "white")
    overlay.draw_bar(canvas, (0, overlay._HEADER), overlay._PANEL, 0.5, "logit")
    column = np.asarray(canvas)[overlay._HEADER :, overlay._BAR // 2].astype(int)[1:-1]

    def alpha(hue: tuple[int, int, int]) -> Float[ndarray, " rows"]:
        away = 255 - np.array(hue)
        return np.asarray((255 - column) @ away / (away @ away))

    assert np.allclose(alpha(overlay._AI)[:200], alpha(overlay._REAL)[::-1][:200], atol=0.02)
    assert alpha(overlay._AI)[0] == pytest.approx(overlay._STRONGEST, abs=0.02)


def test_a_map_of_nothing_hides_nothing() -> None:
    drawn = figure(explanation(), REPORT, photo(), "a.jpg")
    assert np.array_equal(panel(drawn, 1), grey())


def test_a_picture_under_a_map_is_grey_where_the_map_is_zero() -> None:
    plain = portrait(photo(), AREA)
    assert np.array_equal(overlaid(plain, np.zeros(plain.shape[:2]), 1.0), grey())


def test_the_rim_of_a_crop_belongs_to_no_patch() -> None:
    values = spread(np.ones((4, 4)), 70, 140, 70)  # 4 patches of 17 px leave a rim of 2
    assert (values[:68, :136] == 1).all()
    assert (values[68:] == 0).all()
    assert (values[:, 136:] == 0).all()


# --- geometry -----------------------------------------------------------------------------------


def test_the_cut_out_shows_the_area_in_its_proportions() -> None:
    wide = portrait(photo(), Box(left=0.0, top=0.0, width=120.0, height=60.0))
    assert wide.shape == (overlay._PANEL // 2, overlay._PANEL, 3)
    # Red is 120 + x: the middle of the area is at x = 60.
    assert wide[100, overlay._PANEL // 2, 0] == pytest.approx(180, abs=1)


def test_an_area_a_rounding_error_outside_the_photo_is_no_problem() -> None:
    area = Box(left=-1e-9, top=0.0, width=120.00001, height=100.0)
    assert portrait(photo(), area).shape[1] == overlay._PANEL


def test_the_face_is_framed_where_it_was_found() -> None:
    drawn = panel(figure(explanation(), REPORT, photo(), "a.jpg"), 0)
    scale = overlay._PANEL / AREA.width
    left, middle = round(10 * scale), round(40 * scale)  # the box begins 10 px into the area
    assert (drawn[middle, left] == 255).all()
    assert np.array_equal(drawn[middle, middle], portrait(photo(), AREA)[middle, middle])


def test_a_whole_frame_needs_no_frame(written: list[str]) -> None:
    face = replace(explanation().face, box=AREA)
    drawn = figure(explanation(face=face), REPORT, photo(), "a.jpg")
    assert np.array_equal(panel(drawn, 0), portrait(photo(), AREA))
    assert "the whole frame of 80 x 80 px" in written


def test_occlusion_adds_a_panel_with_its_own_scale(written: list[str]) -> None:
    logit_drops = np.zeros((CROP, CROP))
    logit_drops[:16, :16] = 0.25
    without = figure(explanation(), REPORT, photo(), "a.jpg")
    with_it = figure(explanation(occlusion=logit_drops), REPORT, photo(), "a.jpg")
    assert with_it.width > without.width
    assert "fall of P(ai) when covered" in written
    assert "+0.25" in written
    red, _, blue = panel(with_it, 2)[5, 5].astype(int)
    assert red > blue + 50


def test_a_saved_figure_is_a_png_whatever_it_is_called(tmp_path: Path) -> None:
    drawn = figure(explanation(), REPORT, photo(), "a.jpg")
    save(drawn, tmp_path / "a.figure")
    with Image.open(tmp_path / "a.figure") as back:
        assert back.format == "PNG"
        assert np.array_equal(np.asarray(back), np.asarray(drawn))


# --- numbers ------------------------------------------------------------------------------------


def test_the_numbers_are_json_and_the_parts_add_up_to_the_logit() -> None:
    data: dict[str, Any] = panel_data(explanation(spot(1, 2, 3.0)))
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    for key in ("contributions", "gradient_x_token"):
        part = data[key]
        assert np.sum(part["patches"]) + part["prefix"] + part["rest"] == part["logit"]
    assert data["contributions"]["patches"][1][2] == 3.0
    assert data["evidence"] == {
        "method": "contributions",
        "looks": 0,
        "patches": data["contributions"]["patches"],
    }
    assert data["face"]["decision"] == "ai"
    assert data["area"] == {"left": 20.0, "top": 10.0, "width": 80.0, "height": 80.0}
    assert data["occlusion"] is None


def test_the_most_important_channels_come_first_and_are_twenty() -> None:
    data: dict[str, Any] = panel_data(explanation())
    assert [channel["index"] for channel in data["channels"]] == list(range(29, 9, -1))
    assert data["channels"][0]["importance"] == 29.0


def test_trust_is_told_with_its_verdict_and_null_where_not_measured() -> None:
    assert panel_data(explanation(faithfulness=None))["trust"] is None
    assert panel_data(explanation(faithfulness=BAD))["trust"] == {
        "deletion": -0.1,
        "insertion": 0.1,
        "n_random": 9,
        "n_beaten": 2,
        "holds": False,
    }


def test_the_largest_fall_is_placed_in_the_photo() -> None:
    logit_drops = np.zeros((CROP, CROP))
    logit_drops[63, 0] = 0.5
    found: Any = panel_data(explanation(occlusion=logit_drops))["occlusion"]
    assert found["max"] == 0.5
    pixel = AREA.width / CROP
    assert found["at"] == [AREA.left + pixel / 2, AREA.top + AREA.height - pixel / 2]


def test_a_number_that_is_none_becomes_null() -> None:
    data: dict[str, Any] = panel_data(explanation(spot(0, 0, math.nan)))
    assert data["contributions"]["patches"][0][0] is None
    json.dumps(data, allow_nan=False)
