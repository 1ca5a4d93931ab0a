"""A report and the cues' answers beside it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.cues import DEFAULT_CUES
from veridical.detector import Detector
from veridical.forensics import Examination, ask, bytes_of, inspect
from veridical.io.images import Limits, read_photo
from veridical.report import NotApplicable

Pixels = UInt8[ndarray, "height width 3"]


@pytest.fixture
def portrait(face_picture: Pixels, tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    Image.fromarray(face_picture).resize((480, 360)).save(path, quality=90)
    return path


def test_the_report_is_the_detector_s(tiny_detector: Detector, portrait: Path) -> None:
    found = inspect(tiny_detector, portrait)
    assert found.report == tiny_detector.inspect(portrait)
    assert found.cues is not None
    photo, data = read_photo(portrait), portrait.read_bytes()
    for face, answers in zip(found.report.faces, found.cues, strict=True):
        assert answers == tuple(one.answer for one in ask(photo, face, data))


def test_a_face_that_was_not_judged_is_not_asked_about(
    tiny_detector: Detector, portrait: Path
) -> None:
    found = inspect(replace(tiny_detector, min_face_px=1e6), portrait)
    assert found.cues == (None,)
    whole = inspect(tiny_detector, portrait, whole_image=True)
    assert whole.cues is not None
    assert [one and len(one) for one in whole.cues] == [len(DEFAULT_CUES)]


def test_bytes_that_were_not_judged_are_not_looked_at(portrait: Path) -> None:
    photo = read_photo(portrait)
    assert bytes_of(photo, portrait, Limits()) == portrait.read_bytes()
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(portrait)
    assert bytes_of(photo, portrait, Limits()) is None
    portrait.unlink()
    assert bytes_of(photo, portrait, Limits()) is None


@pytest.mark.parametrize("error", [ValueError, FloatingPointError, MemoryError])
def test_a_cue_that_breaks_is_silent_and_says_why(
    tiny_detector: Detector, portrait: Path, error: type[Exception]
) -> None:
    def broken(_scene: object) -> NotApplicable:
        raise error("as if")

    photo = read_photo(portrait)
    (face,) = tiny_detector.inspect(photo).faces
    cue = replace(DEFAULT_CUES[0], name="broken", measure=broken)
    first, middle, last = ask(photo, face, None, cues=(DEFAULT_CUES[0], cue, DEFAULT_CUES[1]))
    assert isinstance(middle.answer, NotApplicable)
    assert middle.answer.cue == "broken"
    assert error.__name__ in middle.answer.why
    assert (first, last) == ask(photo, face, None, cues=DEFAULT_CUES[:2])


def test_answers_belong_to_faces(tiny_detector: Detector, portrait: Path) -> None:
    with pytest.raises(ValueError, match="each of 1 faces; got 2"):
        Examination(report=tiny_detector.inspect(portrait), cues=(None, None))
