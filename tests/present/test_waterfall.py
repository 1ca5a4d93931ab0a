import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.present.made import VERDICT
from veridical.infer.priors import posterior
from veridical.present.maps import HUE
from veridical.present.waterfall import (
    Waterfall,
    amount,
    decibans,
    draw,
    hue,
    in_words,
    odds,
    waterfall,
)
from veridical.report import NotApplicable, Reading

ROW, BAR = round(2.7 * 27), round(1.4 * 27)  # px, of a step, and from its top to its bar
shares = st.floats(1e-9, 1 - 1e-9)


def reading(cue: str, llr: float | None) -> Reading:
    return Reading(cue=cue, statistics={}, llr=llr, plain="seen.", technical="Seen.")


ANSWERS = (
    reading("spectrum", None),
    reading("noise", -0.5),
    NotApplicable(cue="light", why="Dark."),
)


def made(p_ai: float = 0.973, prior: float = 0.5, *answers: Reading | NotApplicable) -> Waterfall:
    verdict = replace(VERDICT, p_ai=p_ai, interval=(p_ai, p_ai))
    return waterfall(verdict, prior, 0.9, answers)


@given(shares, shares)
def test_the_steps_add_up_to_the_odds_of_p_ai(p_ai: float, prior: float) -> None:
    found = made(p_ai, prior)
    at = 0.0
    for step in found.counted:
        assert step.start == pytest.approx(at)
        at = step.start + step.size
    assert found.total.start == 0
    assert found.total.size == pytest.approx(at)
    assert at == pytest.approx(10 * math.log10(p_ai / (1 - p_ai)), abs=1e-6)


@given(shares, shares, shares)
def test_the_networks_step_does_not_depend_on_the_prior(
    p_ai: float, prior: float, other: float
) -> None:
    moved = min(max(posterior(p_ai, other, prior), 1e-12), 1 - 1e-12)
    here, there = made(p_ai, prior).evidence[0], made(moved, other).evidence[0]
    if 1e-9 < moved < 1 - 1e-9:  # nearer to the ends a float has no digits left for it
        assert there.size == pytest.approx(here.size, abs=1e-4)


@given(st.lists(st.one_of(st.none(), st.floats(-3, 3)), max_size=5))
def test_no_cue_moves_the_total(ratios: list[float | None]) -> None:
    answers = [reading("noise", ratio) for ratio in ratios]
    found = made(0.8, 0.5, *answers)
    assert found.total == made(0.8).total
    beside = [step for step in found.evidence if not step.counts]
    assert len(beside) == len(ratios)
    assert all(step.start == found.total.size for step in beside)


def test_ten_to_one_are_ten_decibans() -> None:
    assert decibans(10 / 11) == pytest.approx(10)
    assert decibans(0.5) == 0
    assert (odds(10.0), odds(-20.0), odds(0.0)) == (
        "10 to 1 for AI",
        "100 to 1 for real",
        "even odds",
    )
    assert amount(-0.01) == "0.0 dB"
    assert amount(math.inf) == "more than +60 dB"


def test_the_words_have_every_step_in_both_units() -> None:
    words = in_words(waterfall(VERDICT, 0.01, 0.9, ANSWERS))
    for part in (
        "1 % are AI-generated: -20.0 dB (-6.6 bits).",
        "The network: +35.5 dB (+11.8 bits).",
        "Grain, not part of P(ai): -2.2 dB by itself, not added.",
        "Fall of fine detail, not part of P(ai): no weight.",
        "Direction of light, not part of P(ai): not measured.",
        "Total: +15.6 dB, 36 to 1 for AI (+5.2 bits); 90 % credible interval +10.2 dB to +22.2 dB.",
    ):
        assert part in words
    for decis, bits in re.findall(r"([+-][\d.]+) dB \(([+-][\d.]+) bits\)", words):
        assert float(bits) == pytest.approx(float(decis) / 10 * math.log2(10), abs=0.07)


@pytest.mark.parametrize("p_ai", [0.0, 1e-12, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("prior", [0.001, 0.5])
def test_certainty_and_chance_can_be_drawn(p_ai: float, prior: float) -> None:
    found = made(p_ai, prior, *ANSWERS)
    pixels = np.asarray(draw(found))
    assert pixels.std() > 0
    assert "nan" not in in_words(found)
    assert "inf" not in in_words(found)


def luminance(rgb: tuple[int, int, int]) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (part / 255 for part in rgb)
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_bars_and_letters_stand_out_on_white_without_their_hue() -> None:
    for colour in (*HUE.values(), hue(0.0)):
        assert 1.05 / (luminance(colour) + 0.05) > 4.5


def test_which_side_a_step_is_on_says_what_it_supports_in_grey_too() -> None:
    middle = 360  # px, of 720
    for p_ai, side in ((0.9, 1), (0.1, -1)):
        grey = np.asarray(draw(made(p_ai)).convert("L")).astype(int)
        dark = grey[ROW + BAR + 2 : ROW + BAR + 18] < 128  # the network's bar
        columns = np.nonzero(dark.all(axis=0))[0]
        assert len(columns) > 50
        assert (np.sign(columns.mean() - middle)) == side


def test_what_does_not_count_is_hatched_and_never_solid() -> None:
    found = made(0.6, 0.5, reading("noise", 1.5))
    drawn = draw(found)
    bar = 2 * ROW + BAR
    band = np.asarray(drawn.convert("L"))[bar + 4 : bar + 18].astype(int)
    dark = np.asarray(band < 128)
    assert dark.any()
    assert not dark[:, 400:].all(axis=0).all()
    assert (band == 255).mean() > 0.5


def test_the_same_steps_are_the_same_pixels() -> None:
    one, other = (draw(made(0.7, 0.5, *ANSWERS)) for _ in range(2))
    assert one.tobytes() == other.tobytes()
    assert isinstance(one, Image.Image)
