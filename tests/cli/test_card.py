import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import invoke
from veridical.assembly import default_model
from veridical.detector import Detector
from veridical.infer.rates import error_rates
from veridical.io.model import CARD
from veridical.present.model_card import card_page
from veridical.stats.intervals import exact


def test_the_card_is_told_with_its_identity(tiny_model: Path) -> None:
    told = json.loads(invoke("card", tiny_model, "--json").stdout)
    card = json.loads((tiny_model / CARD).read_text())
    assert {key: value for key, value in told.items() if key != "identity"} == card
    assert Detector.load(tiny_model).model == told["identity"][:12]


def test_without_a_name_the_card_is_that_of_the_model_in_the_package() -> None:
    ours = json.loads((default_model() / CARD).read_text())
    for arguments in ((), ("default",)):
        shown = json.loads(invoke("card", *arguments, "--json").stdout)
        assert len(shown.pop("identity")) == 64
        assert shown == ours


def test_for_people_the_card_is_a_page(tiny_model: Path) -> None:
    card: dict[str, Any] = json.loads((default_model() / CARD).read_text())
    page = invoke("card").stdout
    assert max(map(len, page.splitlines())) <= 88
    text = " ".join(page.split())
    assert Detector.load().model in text
    assert f"{card['trained_on']['pictures']:,} pictures" in text
    assert "at most 3 % of the real ones are called ai" in text
    rate = error_rates(card, "test")["real_called_ai"]
    assert rate.high >= exact(1, 183).high  # more than a bootstrap says of one error
    value, low, high = (100 * one for one in (rate.value, rate.low, rate.high))
    assert f"real pictures called ai: {value:.1f} % ({low:.1f} to {high:.1f})" in text
    assert card["notes"]["intended_use"] in text
    assert "not yet; `veridical evaluate` measures it" in " ".join(
        invoke("card", tiny_model).stdout.split()
    )


def test_what_a_card_does_not_say_is_said_to_be_absent() -> None:
    card = json.loads((default_model() / CARD).read_text())
    for key, label in (("made", "Made"), ("trained_on", "Trained on"), ("fusion", "Promises")):
        page = card_page("0" * 64, {**card, key: None}, "m")
        assert f"{label.ljust(16)}the card does not say" in page


def test_nothing_of_a_card_reaches_the_terminal_as_a_control_character() -> None:
    card = json.loads((default_model() / CARD).read_text())
    card["notes"]["intended_use"] = "x\x1b[31my"
    assert "x\\x1b[31my" in card_page("0" * 64, card, "a\nb")
