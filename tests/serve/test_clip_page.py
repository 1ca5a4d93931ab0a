"""A clip asked for by the page comes back as JSON and as a piece of HTML."""

import json
from pathlib import Path

import pytest

pytest.importorskip("av")
pytest.importorskip("scipy")
pytest.importorskip("fastapi")

from tests.conftest import AI, LARGE, FakeFinder, see_through, squares
from tests.io.clips import clip
from veridical.serve.judge import judged
from veridical.serve.pool import Order, Wish


def test_a_clip_is_answered_as_json_and_for_the_page(tmp_path: Path) -> None:
    path = tmp_path / "0.clip"
    path.write_bytes(clip([squares((LARGE, AI))] * 8, rate=8))
    detector = see_through(FakeFinder((LARGE,)))

    plain = judged(detector, Order(path, Wish(name="<b>.mp4")))
    shown = judged(detector, Order(path, Wish(name="<b>.mp4", page=True)))

    assert plain.page == ""
    assert shown.body == plain.body
    assert json.loads(shown.body)["path"] == "<b>.mp4"
    assert "&lt;b&gt;.mp4" in shown.page
    assert "<b>.mp4" not in shown.page
