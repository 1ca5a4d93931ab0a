"""Very large and damaged pictures on their way to the crops."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from tests.conftest import WIDE, FakeFinder, exif_of, face_at, paint_faces, saved
from veridical.detector import Detector
from veridical.io import decode
from veridical.io.source import open_source
from veridical.report import Decision, Reason
from veridical.vision.faces import Face


@dataclass(frozen=True)
class Relative:
    """Finds one face, in the same place of a picture of any size."""

    name = "relative"

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        width, height = image.size
        return (face_at(0.35 * width, 0.3 * height, 0.3 * width, 0.4 * height),)


@pytest.mark.parametrize("orientation", [1, 3, 6, 7])
def test_a_large_picture_is_judged_like_an_ordinary_one(
    orientation: int, wide_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.fromarray(paint_faces(480, 640, (224, 144, 192, 192)))
    data = saved(picture, "PNG", exif=exif_of(orientation))
    detector = replace(wide_detector, finder=Relative())
    ordinary = detector.inspect(data)
    monkeypatch.setattr(decode, "SEARCHED_PIXELS", 640 * 480 // 4)
    assert open_source(data).photo.large
    large = detector.inspect(data)
    assert (large.width, large.height) == (ordinary.width, ordinary.height)
    assert large.p_ai == pytest.approx(ordinary.p_ai, abs=1e-3)
    assert large.faces[0].box == ordinary.faces[0].box
    assert large.faces[0].landmarks == ordinary.faces[0].landmarks
    assert [one.area for one in large.faces[0].crops] == [
        one.area for one in ordinary.faces[0].crops
    ]


PAINTED = Image.fromarray(paint_faces(240, 160, WIDE, (56, 150, 48, 48)))
DATA = saved(PAINTED, "PNG", compress_level=0)
UPPER, LOWER = WIDE, (56.0, 150.0, 48.0, 48.0)


def test_a_face_that_damage_touches_gets_no_verdict_and_one_above_it_does(
    wide_detector: Detector,
) -> None:
    detector = replace(wide_detector, finder=FakeFinder((UPPER, LOWER)))
    whole = detector.inspect(DATA)
    assert whole.damage is None
    assert all(face.verdict for face in whole.faces)
    report = detector.inspect(DATA[: int(len(DATA) * 0.7)])
    assert report.damage is not None
    assert 0.25 < report.damage.share < 0.35
    above, below = report.faces
    assert above.verdict is not None
    assert below.verdict is None
    assert below.reasons == (Reason.DAMAGED,)
    assert Reason.DAMAGED in report.reasons


def test_where_all_faces_are_damaged_the_answer_is_undecided(wide_detector: Detector) -> None:
    detector = replace(wide_detector, finder=FakeFinder((LOWER,)))
    report = detector.inspect(DATA[: int(len(DATA) * 0.5)])
    assert (report.decision, report.p_ai, report.reasons) == (
        Decision.UNDECIDED,
        None,
        (Reason.DAMAGED,),
    )


def test_what_is_around_a_face_counts_as_part_of_it(wide_detector: Detector) -> None:
    """The face itself came; the context crop would show what did not."""
    detector = replace(wide_detector, finder=FakeFinder((UPPER,)))
    bottom = UPPER[1] + UPPER[3] + 12
    report = detector.inspect(DATA[: int(len(DATA) * bottom / 240)])
    assert report.damage is not None
    assert report.damage.area.top > UPPER[1] + UPPER[3]
    assert report.faces[0].reasons == (Reason.DAMAGED,)


def test_without_a_face_damage_is_the_first_reason(wide_detector: Detector) -> None:
    detector = replace(wide_detector, finder=FakeFinder(()))
    report = detector.inspect(DATA[: int(len(DATA) * 0.5)])
    assert report.reasons == (Reason.DAMAGED, Reason.NO_FACE)


def test_a_damaged_frame_is_not_judged_as_a_whole(wide_detector: Detector) -> None:
    report = wide_detector.inspect(DATA[: int(len(DATA) * 0.5)], whole_image=True)
    assert (report.p_ai, report.reasons) == (None, (Reason.DAMAGED,))


def test_logits_for_a_calibration_leave_damaged_faces_out(wide_detector: Detector) -> None:
    detector = replace(wide_detector, finder=FakeFinder((UPPER, LOWER)))
    assert len(detector.logits(DATA)) == 2
    assert len(detector.logits(DATA[: int(len(DATA) * 0.7)])) == 1
    assert np.isfinite(detector.logits(DATA)).all()
