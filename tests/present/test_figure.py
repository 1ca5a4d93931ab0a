from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from tests.present.made import (
    AREA,
    BAD,
    FACE,
    GOOD,
    REPORT,
    covered,
    explanation,
    image,
    judged,
    report,
    spot,
)
from veridical.arrays import UInt8, ndarray
from veridical.explanation import NamedMap
from veridical.present.figure import BAR_SPACE, GAP, HEADER, MARGIN, ROW, figure
from veridical.present.maps import SIDE, portrait, score_in_words
from veridical.report import Decision, FaceResult, Reason


def drawn_of(title: str = "a.jpg", face: FaceResult = FACE, **changes: Any) -> Image.Image:
    changes = {"patches": spot(1, 1, 3.0), **changes}
    made = replace(face, explanation=explanation(**changes))
    return figure(made, REPORT, image(), title)


def panel(drawn: Image.Image, number: int) -> UInt8[ndarray, "side side 3"]:
    """The picture in the figure's panel 0, 1 or (after a colour bar) 2."""
    left = MARGIN + number * (SIDE + GAP) + (BAR_SPACE if number == 2 else 0)
    return np.asarray(drawn.crop((left, HEADER, left + SIDE, HEADER + SIDE)))


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


def test_a_map_no_better_than_chance_leaves_the_plain_picture() -> None:
    assert np.array_equal(panel(drawn_of(faithfulness=BAD), 1), portrait(image(), AREA))


def test_a_withheld_map_leaks_no_number_either() -> None:
    maps = spot(1, 1, 3.0), spot(2, 2, 3.0)
    faint, strong = (
        figure(
            replace(FACE, explanation=replace(explanation(faithfulness=BAD), patches=one)),
            REPORT,
            image(),
            "a.jpg",
        )
        for one in maps
    )
    assert ImageChops.difference(faint, strong).getbbox() is None


def test_a_withheld_map_has_no_colour_bar_and_says_why(written: list[str]) -> None:
    drawn_of(faithfulness=BAD)
    assert "map withheld: no better than a random one" in written
    assert "for AI" not in written
    assert score_in_words(BAD) in written


def test_a_map_that_was_not_scored_is_drawn_and_says_so(written: list[str]) -> None:
    drawn = drawn_of(faithfulness=None)
    assert not np.array_equal(panel(drawn, 1), portrait(image(), AREA))
    assert "The map was not scored." in written
    assert any(text.endswith("map not scored") for text in written)


def test_the_figure_says_verdict_uncertainty_reasons_and_score(written: list[str]) -> None:
    drawn_of()
    text = " ".join(written)
    for part in (
        "AI-GENERATED",
        "0.973, 90 % credible interval 0.912 to 0.994",
        "aleatoric 0.12 nats",
        "Only one answer is plausible at this coverage.",
        "The map beats 9 of 9 random orders (deletion +0.80, insertion +0.50 logits).",
        "Of the logit +3.31, +0.31 belongs to no place",
        "for AI",
        "for real",
    ):
        assert part in text


def test_a_map_of_a_surrogate_says_that_it_is_an_estimate(written: list[str]) -> None:
    drawn_of(method="surrogate", forward_passes=54)
    assert "estimated drop of the logit if covered" in written


def test_other_maps_are_drawn_or_withheld_each_by_its_own_score(written: list[str]) -> None:
    plain = drawn_of()
    written.clear()
    made = drawn_of(
        maps=(
            NamedMap(name="grad-cam", patches=spot(0, 0, 1.0), faithfulness=GOOD),
            NamedMap(name="attention-rollout", patches=spot(0, 0, 1.0), faithfulness=BAD),
        )
    )
    assert "By grad-cam" in written
    assert "through the whole network; beats 9 of 9 random orders" in written
    assert written.count("map withheld: no better than a random one") == 1
    # Four panels stand in two rows; the first two are where they were.
    assert made.height > plain.height
    assert np.array_equal(panel(made, 0), panel(plain, 0))
    assert np.array_equal(panel(made, 1), panel(plain, 1))
    second = made.crop((0, ROW, made.width, made.height))
    assert np.array_equal(panel(second, 0), portrait(image(), AREA))  # the withheld one


@pytest.mark.parametrize("title", ["\x1b[31m猫é.jpg", "long " * 100, ""])
def test_every_character_is_one_that_the_font_has(title: str, written: list[str]) -> None:
    drawn_of(title, judged(Decision.UNDECIDED, *Reason), occlusion=covered(1.0))
    assert all(text.isascii() and text.isprintable() for text in written)


def test_no_text_runs_over_the_edge() -> None:
    face = judged(Decision.UNDECIDED, *Reason)
    pixels = np.asarray(drawn_of("long " * 100, face, faithfulness=BAD)).copy()
    pixels[MARGIN // 2 : -MARGIN // 2, MARGIN // 2 : -MARGIN // 2] = 255
    assert (pixels == 255).all()


def test_the_face_is_framed_where_it_was_found() -> None:
    drawn = panel(drawn_of(), 0)
    scale = SIDE / AREA.width
    left, middle = round(10 * scale), round(40 * scale)  # the box begins 10 px into the area
    assert (drawn[middle, left] == 255).all()
    assert np.array_equal(drawn[middle, middle], portrait(image(), AREA)[middle, middle])


def test_a_whole_frame_needs_no_frame(written: list[str]) -> None:
    drawn = drawn_of(face=replace(FACE, box=AREA))
    assert np.array_equal(panel(drawn, 0), portrait(image(), AREA))
    assert "the whole frame of 80 x 80 px" in written


def test_occlusion_adds_a_panel_with_its_own_scale(written: list[str]) -> None:
    without, with_it = drawn_of(), drawn_of(occlusion=covered(0.25))
    assert with_it.width > without.width
    assert "drop of P(ai) when covered" in written
    assert "+0.25" in written
    red, _, blue = panel(with_it, 2)[5, 5].astype(int)
    assert red > blue + 50


def test_a_face_without_an_explanation_has_no_figure() -> None:
    with pytest.raises(ValueError, match="needs a face with an explanation"):
        figure(FACE, report(FACE), image(), "a.jpg")
