import json
from pathlib import Path

from tests.cli.conftest import invoke
from veridical.assembly import default_model
from veridical.detector import Detector
from veridical.io.model import CARD


def test_the_card_is_told_with_its_identity(tiny_model: Path) -> None:
    told = json.loads(invoke("card", tiny_model).stdout)
    card = json.loads((tiny_model / CARD).read_text())
    assert {key: value for key, value in told.items() if key != "identity"} == card
    assert Detector.load(tiny_model).model == told["identity"][:12]


def test_without_a_name_the_card_is_that_of_the_model_in_the_package() -> None:
    ours = json.loads((default_model() / CARD).read_text())
    for arguments in ((), ("default",)):
        shown = json.loads(invoke("card", *arguments).stdout)
        assert len(shown.pop("identity")) == 64
        assert shown == ours
