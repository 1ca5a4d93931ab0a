"""What a worker does, asked in this process."""

import io
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests.conftest import AI, LARGE, FakeFinder, saved, see_through, squares
from veridical.errors import PhotoError, PhotoTooLarge
from veridical.io.formats import Limits
from veridical.io.source import File
from veridical.present.records import schema
from veridical.serve.judge import Replying, judged
from veridical.serve.orders import Answer, Fault, Heard, Order, Progress, Wish

PICTURE = saved(Image.fromarray(squares((LARGE, (1.0, 0.0, 0.0)))), "PNG")


def test_the_answer_is_the_report_of_the_detector() -> None:
    detector = see_through(FakeFinder((LARGE,)))
    answer = judged(detector, Order(PICTURE, Wish()))
    assert answer.body.decode() == detector.inspect(PICTURE).to_json()
    assert answer.page == ""


def test_options_are_those_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    path.write_bytes(PICTURE)
    detector = see_through(FakeFinder((LARGE,)))
    wish = Wish(cues=True, prior=0.01, whole_image=True, name=str(path))
    expected = replace(detector, prior=0.01).inspect(path, cues=True, whole_image=True)
    assert judged(detector, Order(PICTURE, wish)).body.decode() == expected.to_json()


def test_a_page_is_made_of_what_was_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def fragment(report: Any, explanations: Any, file: File, name: str) -> str:
        assert file.data == PICTURE
        assert "photo" in vars(file)  # it is decoded once
        assert explanations == ()  # those of the report
        return f"{name} {report.decision}"

    monkeypatch.setattr("veridical.serve.pages.render.fragment", fragment)
    detector = see_through(FakeFinder((LARGE,)))
    answer = judged(detector, Order(PICTURE, Wish(page=True, name="a.png")))
    assert answer.page == "a.png ai"


def test_a_clip_is_answered_as_json_and_for_the_page(tmp_path: Path) -> None:
    pytest.importorskip("av")
    pytest.importorskip("scipy")
    from tests.io.clips import clip

    path = tmp_path / "0.clip"
    path.write_bytes(clip([squares((LARGE, AI))] * 8, rate=8))
    detector = see_through(FakeFinder((LARGE,)))

    plain = judged(detector, Order(path, Wish(name="<b>.mp4")))
    steps: list[Progress] = []
    shown = judged(detector, Order(path, Wish(name="<b>.mp4", page=True)), steps.append)

    assert plain.page == ""
    assert shown.body == plain.body
    assert "&lt;b&gt;.mp4" in shown.page
    assert "<b>.mp4" not in shown.page
    assert [one.stage for one in steps] == ["searching"] * 8 + ["judging"]
    shares = [one.share for one in steps]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] < 1


def test_limits_hold() -> None:
    detector = replace(see_through(FakeFinder()), limits=Limits(max_bytes=50))
    with pytest.raises(PhotoTooLarge, match=r"a\.png: has \d+ bytes; the limit is 50"):
        judged(detector, Order(PICTURE, Wish(name="a.png")))


def test_a_clip_is_called_by_the_name_that_it_came_with(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((64, 64, 3), 40 * n, np.uint8)) for n in range(4)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    path = tmp_path / "0.clip"
    path.write_bytes(file.getvalue())
    detector = see_through(FakeFinder(()))
    told = json.loads(judged(detector, Order(path, Wish(name="party.gif"))).body)
    jsonschema.validate(told, schema())
    assert (told["schema"], told["path"]) == ("veridical.video/1", "party.gif")
    path.write_bytes(file.getvalue()[:20])
    with pytest.raises(PhotoError) as caught:
        judged(detector, Order(path, Wish(name="party.gif")))
    assert "party.gif" in caught.value.message
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_work_is_stopped_by_a_signal_and_only_work() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    stopped = []

    def work(order: Order, _say: Heard) -> Answer:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(5)
        stopped.append(False)
        return Answer(b"")

    def fault(order: Order, _say: Heard) -> Answer:
        raise ZeroDivisionError

    try:
        begun = time.monotonic()
        assert Replying(work)(Order(b"", Wish())) is None
        assert time.monotonic() - begun < 4
        assert not stopped
        os.kill(os.getpid(), signal.SIGUSR1)  # between two orders: nobody is disturbed
        found = Replying(fault)(Order(b"", Wish()))
        assert isinstance(found, Fault)
        assert "ZeroDivisionError" in found.trace
    finally:
        signal.signal(signal.SIGUSR1, before)
