"""What people read about a clip: at the terminal, on the page, in a notebook."""

import io
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from tests.present.made import FACE, judged
from veridical.present import clip_words
from veridical.present.clip_page import clip_page
from veridical.present.clip_terminal import show_clip
from veridical.present.files import make_of_clip
from veridical.present.html import card
from veridical.report import Decision, Reason
from veridical.video import Footage, Look, Lost, Sighting, Span, Track, VideoReport

LONG = "1:02:03.4"
VERDICT = FACE.verdict
assert VERDICT is not None


def look(time_s: float, p_ai: float) -> Look:
    assert VERDICT is not None
    verdict = replace(VERDICT, p_ai=p_ai, interval=(p_ai / 2, (1 + p_ai) / 2))
    face = replace(FACE, verdict=verdict, explanation=None)
    return Look(time_s=time_s, face=face, crop=np.full((8, 8, 3), 90, np.uint8))


def seen(*times: float) -> tuple[Sighting, ...]:
    return tuple(Sighting(time_s=t, box=FACE.box, turn=0, confidence=0.9) for t in times)


PERSON = Track(
    sightings=seen(0.0, 1.0, 2.0, 3.0, 4.0),
    looks=tuple(look(t, p) for t, p in ((0.0, 0.1), (2.0, 0.5), (4.0, 0.9))),
    size_px=80.0,
    decision=VERDICT.decision,
    reasons=FACE.reasons,
    verdict=VERDICT,
    effective_looks=2.5,
    span=Span(start_s=2.0, end_s=4.0),
)
BRIEF = Track(
    sightings=seen(1.0),
    looks=(),
    size_px=50.0,
    decision=Decision.UNDECIDED,
    reasons=(Reason.FEW_LOOKS,),
    verdict=None,
)
CLIP = VideoReport(
    path="holiday.mp4",
    sha256="0" * 64,
    decision=VERDICT.decision,
    p_ai=VERDICT.p_ai,
    interval=VERDICT.interval,
    reasons=FACE.reasons,
    lead_index=0,
    tracks=(PERSON, BRIEF),
    coverage=0.9,
    coverage_of_reals=0.97,
    coverage_of_ai=0.9,
    level=0.9,
    prior=0.5,
    footage=Footage(
        container="mp4",
        codec="h264",
        width=1280,
        height=720,
        fps=25.0,
        duration_s=65.0,
        n_frames=1625,
        audio=True,
    ),
    searched_s=(0.0, 1.0, 2.0, 3.0, 4.0),
    lost=(Lost(start_s=10.0, end_s=None, why="the data end"),),
    model="0123456789ab",
    version="1",
)


def printed(report: VideoReport, *, details: bool = False, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    show_clip(report, Console(file=stream, width=100), details=details)
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0:00.0"),
        (7.34, "0:07.3"),
        (59.999, "0:59.9"),
        (750.0, "12:30.0"),
        (3723.4, "1:02:03.4"),
    ],
)
def test_times_are_those_of_players(seconds: float, shown: str) -> None:
    assert clip_words.clock(seconds) == shown


def test_the_line_stands_where_the_looks_are() -> None:
    assert clip_words.sparkline(PERSON, 4.0, 5) == "▁·▅·█"
    assert clip_words.sparkline(PERSON, 4.0, 5, ascii_only=True) == "1.5.9"
    assert clip_words.sparkline(PERSON, 0.0, 3).count("·") == 2


def test_what_was_not_judged_is_said() -> None:
    told = " ".join(printed(CLIP).split())

    assert "0:10.0 to the end could not be read: the data end" in told
    assert "1 face that is seen in fewer than 5" in told
    assert "the sound" in told
    assert "1:05.0, 1280 x 720 px" in told


def test_every_terminal_can_print_it() -> None:
    printed(CLIP, encoding="ascii")
    assert "worth 2.5 independent" in " ".join(printed(CLIP, details=True).split())


def test_a_hostile_name_is_text_and_drives_no_terminal() -> None:
    hostile = replace(
        CLIP,
        path="<script>\x1b[31m.mp4",
        lost=(Lost(start_s=0.0, end_s=1.0, why="<b>\x1b]0;x\x07"),),
    )

    assert "\x1b]" not in printed(hostile)
    page = clip_page(hostile, title="<script>x</script>")
    assert "<script" not in page
    assert "<b>" not in page


@pytest.mark.parametrize("decision", list(Decision))
def test_the_page_needs_nothing_else_and_says_what_was_found(decision: Decision) -> None:
    track = replace(
        PERSON,
        decision=decision,
        verdict=judged(decision).verdict,
        span=None if decision is Decision.UNDECIDED else PERSON.span,
    )
    verdict = track.verdict
    assert verdict is not None
    report = replace(
        CLIP,
        decision=decision,
        p_ai=verdict.p_ai,
        interval=verdict.interval,
        tracks=(track, BRIEF),
        reasons=judged(decision).reasons,
    )

    page = clip_page(report, title="holiday.mp4")

    assert "Person 1" in page
    assert page.count("<polyline") == 1
    assert "data:image/jpeg" in page
    assert "src=" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "lips" in page


def test_nobody_was_judged() -> None:
    none = replace(
        CLIP,
        decision=Decision.UNDECIDED,
        p_ai=None,
        interval=None,
        lead_index=None,
        reasons=(Reason.FEW_LOOKS,),
        tracks=(BRIEF,),
    )

    assert "could not be estimated" in printed(none)
    assert "--every" in clip_page(none, title="x")
    assert make_of_clip(none).entry.thumb == ""


def test_a_notebook_shows_a_card() -> None:
    assert "holiday.mp4" in card(CLIP)
    assert CLIP._repr_html_() == card(CLIP)


def test_explanations_can_be_left_out() -> None:
    assert CLIP.without_explanations() == CLIP
