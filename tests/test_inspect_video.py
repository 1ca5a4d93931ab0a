"""What is said of one clip: people over time, each judged once, and the same clip always alike."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av")
pytest.importorskip("scipy")

from tests.conftest import (
    AI,
    LARGE,
    REAL,
    SMALL,
    TINY,
    TORN,
    Colour,
    FakeFinder,
    calibration,
    see_through,
    squares,
    with_parts,
)
from tests.io.clips import clip
from veridical.arrays import UInt8, ndarray
from veridical.detector import Detector
from veridical.errors import NotAPhoto
from veridical.explain.face import ExplainConfig
from veridical.io.clip import MOST_TIMES, Sampling
from veridical.io.decode import Photo
from veridical.judging import FaceJudge
from veridical.present.records import schema
from veridical.report import Decision, Reason
from veridical.timeline import FEWEST, IN_ALL, LOOKS, looks_each, spread
from veridical.video import VideoReport
from veridical.vision.faces import Face
from veridical.vision.prepare import Finder, Seen
from veridical.watch import FIRST

Place = tuple[float, float, float, float]
CHECK = jsonschema.Draft202012Validator(schema())


def film(*shots: tuple[int, Sequence[tuple[Place, Colour]]]) -> bytes:
    """A clip of so many frames of each picture, 10 per second, without loss."""
    frames = itertools.chain.from_iterable([squares(*faces)] * n for n, faces in shots)
    return clip(frames, rate=10, pixel="yuv444p", options={"qp": "0"})


def watching(finder: Finder) -> Detector:
    """One that can promise half and a quarter of what may be missed."""
    return with_parts(see_through(finder), calibration=calibration(tail=(0.5, 0.9, 0.95)))


def watched(*shots: tuple[int, Sequence[tuple[Place, Colour]]]) -> VideoReport:
    places = tuple(place for place, _ in shots[0][1])
    return watching(FakeFinder(places)).inspect_video(film(*shots))


@pytest.mark.parametrize(("colour", "decision"), [(REAL, "real"), (AI, "ai"), (TORN, "undecided")])
def test_one_person_is_one_track_and_the_clip_is_what_they_are(
    colour: Colour, decision: str
) -> None:
    report = watched((30, [(LARGE, colour)]))

    (track,) = report.tracks
    assert report.decision == track.decision == decision
    assert track.verdict is not None
    assert (report.p_ai, report.interval) == (track.verdict.p_ai, track.verdict.interval)
    assert report.lead is track
    assert len(track.looks) == LOOKS
    assert len(track.sightings) == len(report.searched_s) == FIRST
    assert report.searched_s[0] == 0.0
    assert report.searched_s[-1] == 2.9
    assert report.footage.duration_s == pytest.approx(3.0)


def test_a_person_in_a_clip_has_more_to_pass_than_one_in_a_photo() -> None:
    """Red of 73 % gives a P(ai) between both thresholds."""
    between = (0.73, 0.0, 0.0)
    track = watched((6, [(LARGE, between)])).tracks[0]
    assert track.verdict is not None
    assert 0.8 < track.verdict.p_ai < 0.9
    assert track.decision is Decision.UNDECIDED
    assert track.looks[0].face.decision is Decision.AI


def test_frames_that_are_all_alike_are_worth_one_look() -> None:
    report = watched((30, [(LARGE, REAL)]))

    assert report.tracks[0].effective_looks < 1.5


def test_two_people_are_judged_apart() -> None:
    report = watched((20, [(LARGE, REAL), (SMALL, AI)]))

    assert [one.decision for one in report.tracks] == ["real", "ai"]
    assert Reason.FACES_DISAGREE in report.reasons


def test_a_cut_ends_a_track() -> None:
    bright = [(LARGE, REAL)]
    pixels = [squares(*bright)] * 12 + [255 - squares(*bright)] * 12
    data = clip(pixels, rate=10, pixel="yuv444p", options={"qp": "0"})

    report = watching(FakeFinder((LARGE,))).inspect_video(data)

    assert report.cuts_s == pytest.approx([1.2])
    assert [one.end_s < 1.2 for one in report.tracks] == [True, False]


def test_somebody_seen_too_briefly_is_named_and_not_judged() -> None:
    report = watched((FEWEST - 1, [(LARGE, AI)]))

    (track,) = report.tracks
    assert (track.verdict, track.looks, track.reasons) == (None, (), (Reason.FEW_LOOKS,))
    assert (report.decision, report.reasons) == (Decision.UNDECIDED, (Reason.FEW_LOOKS,))
    assert report.lead is None


class Sometimes(FakeFinder):
    """Finds nobody in a frame whose corner is dark."""

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        return super().find(image) if np.asarray(image)[0, 0].min() > 60 else ()


def test_frames_are_denser_where_somebody_comes_and_goes() -> None:
    here, nobody = squares((LARGE, AI)), squares((LARGE, AI))
    here[:4, :4], nobody[:4, :4] = 200, 0
    frames = [nobody] * 70 + [here] * 9 + [nobody] * 70
    data = clip(frames, rate=10, pixel="yuv444p", options={"qp": "0"})

    report = watching(Sometimes((LARGE,))).inspect_video(data)

    (track,) = report.tracks
    assert track.decision == "ai"  # the first search alone sees less than FEWEST frames of it
    assert len(track.sightings) >= FEWEST
    assert FIRST < len(report.searched_s) < MOST_TIMES
    gaps = np.diff(report.searched_s)
    near = np.abs(np.array(report.searched_s[:-1]) - 7.4) < 0.5
    assert gaps[near].max() < gaps[~near].mean() / 2
    assert len(set(report.searched_s)) == len(report.searched_s)


def test_a_face_too_small_is_named_and_not_judged() -> None:
    report = watched((10, [(TINY, AI)]))

    assert report.tracks[0].reasons == (Reason.FACE_TOO_SMALL,)
    assert (report.decision, report.p_ai) == (Decision.UNDECIDED, None)


def test_no_face_is_undecided() -> None:
    report = watching(FakeFinder(())).inspect_video(film((6, [(LARGE, AI)])))

    assert (report.decision, report.reasons, report.tracks) == ("undecided", (Reason.NO_FACE,), ())


def test_the_same_clip_gives_the_same_answer_on_any_number_of_threads() -> None:
    data = film((15, [(LARGE, AI), (SMALL, REAL)]))
    detector = watching(FakeFinder((LARGE, SMALL)))

    first = detector.inspect_video(data, jobs=1)

    assert detector.inspect_video(data, jobs=3) == first
    assert detector.inspect_video(data) == first


def test_the_answer_is_valid_json_of_the_published_shape() -> None:
    detector = watching(FakeFinder((LARGE,)))
    explain = ExplainConfig(faithfulness=False)
    for report in (
        detector.inspect_video(film((12, [(LARGE, AI)])), explain=explain),
        watching(FakeFinder(())).inspect_video(film((6, [(LARGE, AI)]))),
    ):
        found = report.to_dict()
        CHECK.validate(found)
        assert found["schema"] == "veridical.video/1"
        assert all("crop" not in look for track in found["tracks"] for look in track["looks"])


def test_the_look_that_spoke_most_is_explained() -> None:
    detector = watching(FakeFinder((LARGE,)))

    report = detector.inspect_video(
        film((12, [(LARGE, AI)])), explain=ExplainConfig(faithfulness=False)
    )

    explained = [look for look in report.tracks[0].looks if look.face.explanation]
    assert len(explained) == 1


def test_only_a_part_can_be_looked_at() -> None:
    detector, data = watching(FakeFinder((LARGE,))), film((40, [(LARGE, REAL)]))

    part = detector.inspect_video(data, Sampling(start=1.0, end=2.0))
    sparse = detector.inspect_video(data, Sampling(every=0.5))

    assert all(1.0 <= time <= 2.0 for time in part.searched_s)
    assert len(sparse.searched_s) == 8
    with pytest.raises(NotAPhoto, match="No time lies between"):
        detector.inspect_video(data, Sampling(start=9.0))


def test_what_cannot_be_read_is_named_and_the_rest_judged() -> None:
    rng = np.random.default_rng(0)
    noise: list[UInt8[ndarray, "100 200 3"]] = []
    for _ in range(40):
        frame = squares((LARGE, REAL)).copy()
        frame[90:] = rng.integers(0, 255, frame[90:].shape)
        noise.append(frame)
    data = clip(
        noise, rate=10, pixel="yuv444p", options={"qp": "20", "g": "5"}, container="matroska"
    )

    report = watching(FakeFinder((LARGE,))).inspect_video(data[: len(data) * 6 // 10])

    assert report.lost
    assert Reason.DAMAGED in report.reasons
    assert report.tracks
    assert report.tracks[0].verdict


def test_a_verdict_ai_is_tested_in_copies() -> None:
    report = watched((12, [(LARGE, AI)]))

    verdict = report.tracks[0].verdict
    assert verdict is not None
    assert verdict.stability is not None


def test_one_of_many_people_has_to_stand_out() -> None:
    people = [(LARGE, REAL), (SMALL, AI)]
    detector = watching(FakeFinder(tuple(place for place, _ in people)))
    doubting = with_parts(detector, calibration=calibration(tail=(0.5, 0.9, 1.0)))

    report = doubting.inspect_video(film((12, people)))

    assert report.decision is Decision.UNDECIDED
    assert report.reasons[0] is Reason.ONE_OF_MANY


def test_a_track_in_which_nobody_is_seen_is_refused() -> None:
    track = watched((6, [(LARGE, REAL)])).tracks[0]

    with pytest.raises(ValueError, match="sightings"):
        replace(track, sightings=())


def test_looks_are_shared_out() -> None:
    assert looks_each(1) == LOOKS
    assert looks_each(6) == IN_ALL // 6
    assert looks_each(100) == FEWEST


@pytest.mark.parametrize(("count", "most"), [(3, 5), (5, 5), (48, 12), (13, 12)])
def test_looks_are_spread_evenly(count: int, most: int) -> None:
    places = spread(count, most)

    assert len(places) == len(set(places)) == min(count, most)
    gaps = np.diff(places)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_a_detector_of_faces_is_not_changed_by_a_clip(detector_of_faces: Detector) -> None:
    data = film((6, [(LARGE, REAL)]))

    assert detector_of_faces.inspect_video(data).searched_s
    assert detector_of_faces.inspect(squares((LARGE, REAL))).reasons


@pytest.fixture(scope="module")
def detector_of_faces() -> Detector:
    return Detector.load()


def test_the_frame_that_is_tested_in_copies_is_the_one_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tested = list[float]()
    copies = FaceJudge.copies

    def told(self: FaceJudge, photo: Photo, seen: Seen) -> object:
        tested.append(float(np.asarray(photo.image)[80, 180, 2]))
        return copies(self, photo, seen)

    monkeypatch.setattr(FaceJudge, "copies", told)
    frames = []
    for n in range(24):
        pixels = squares((LARGE, AI))
        pixels[70:, 170:, 2] = 10 * n  # beside the face
        pixels[:60, :60, 0] -= (7 * n) % 24  # another logit each
        frames.append(pixels)
    # Thirds of a second are no floats: a frame must not be asked for by a rounded time.
    data = clip(frames, rate=3, pixel="yuv444p", options={"qp": "0"})
    report = watching(FakeFinder((LARGE,))).inspect_video(data)

    (blue,) = tested
    means = [
        (look.face.verdict.p_ai, look.time_s)
        for look in report.tracks[0].looks
        if look.face.verdict
    ]
    middle = sorted(means)[len(means) // 2][1]
    assert round(blue / 10) == round(middle * 3)
