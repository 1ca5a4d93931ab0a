"""Files made to cost the forensic cues more than the detector allows, and that they do not."""

import itertools
import sys
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from tests.conftest import FakeFinder, exif_of, noise_image, saved, see_through
from tests.cues.made import camera, grey, jpeg
from veridical.box import Box
from veridical.cues import DEFAULT_CUES, examine_all
from veridical.cues.protocol import Cue, CueInput
from veridical.detector import Detector
from veridical.errors import PhotoError, PhotoTooLarge, PhotoTooSlow
from veridical.io import decode, formats, source
from veridical.io.formats import Limits
from veridical.io.source import open_source
from veridical.report import NotApplicable, Reading

FACES = tuple((40.0 + 200 * x, 40.0 + 200 * y, 120.0, 120.0) for x in (0, 1) for y in (0, 1))
FOUR = see_through(FakeFinder(FACES))
PHOTO = jpeg(grey(camera(400, 0)), 90, exif=exif_of(6))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The sizes of everything that Pillow decodes."""
    sizes: list[tuple[int, int]] = []
    load = ImageFile.ImageFile.load

    def counted(image: ImageFile.ImageFile) -> object:
        if image.tile:
            sizes.append(image.size)
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counted)
    return sizes


# --- what a picture costs ----------------------------------------------------------------------


@pytest.mark.parametrize("cues", [False, True])
def test_four_faces_cost_one_decode_of_the_colours_and_the_cues_one_of_the_luma(
    cues: bool, decoded: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Counter[str]()
    for module, name in ((source, "header_of"), (source, "open_image"), (decode, "open_image")):
        original = getattr(module, name)

        def call(*args: object, original=original, name=name, **options: object) -> object:  # type: ignore[no-untyped-def]
            calls[name] += 1
            return original(*args, **options)

        monkeypatch.setattr(module, name, call)
    report = FOUR.inspect(PHOTO, cues=cues)
    assert len(report.faces) == 4
    assert all((face.readings is not None) is cues for face in report.faces)
    full = [size for size in decoded if size == (400, 400)]
    assert len(full) == calls["open_image"] == 1 + cues
    assert calls["header_of"] == 1


@pytest.mark.parametrize("cues", [False, True])
def test_the_photo_is_never_copied_into_pillow_again(
    cues: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a 24-megapixel photo each such copy is 70 MB."""
    data = jpeg(grey(camera(500, 0)), 90)
    made: list[tuple[int, ...]] = []
    fromarray = Image.fromarray

    def counted(array: np.ndarray, *args: object) -> Image.Image:
        made.append(array.shape[:2])
        return fromarray(array, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Image, "fromarray", counted)
    FOUR.inspect(data, cues=cues, explain=True)
    assert made
    assert all(max(shape) < 500 for shape in made)


# --- limits ------------------------------------------------------------------------------------


class Spy:
    """A cue that remembers that it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, given: CueInput) -> NotApplicable:
        self.asked += 1
        return NotApplicable(cue="spy", why="It only counts.")


def refused(detector: Detector, data: bytes, error: type[PhotoError]) -> None:
    spy = Spy()
    cue = Cue(name="spy", statistics=(), measure=spy)
    with pytest.raises(error):
        detector.inspect(data, cues=(cue, *DEFAULT_CUES))
    assert spy.asked == 0


@pytest.mark.parametrize(
    "limits", [Limits(max_bytes=1000), Limits(max_pixels=1000), Limits(max_side=300)]
)
def test_what_the_detector_refuses_is_decoded_by_no_cue(
    limits: Limits, decoded: list[tuple[int, int]]
) -> None:
    refused(within(limits), PHOTO, PhotoTooLarge)
    assert decoded == []


def within(limits: Limits) -> Detector:
    return replace(FOUR, limits=limits)


def test_what_takes_the_detector_too_long_is_looked_at_by_no_cue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("veridical.io.formats.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    refused(within(Limits(max_seconds=10)), PHOTO, PhotoTooSlow)


def test_the_luma_obeys_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    file = open_source(saved(noise_image(600), "JPEG", quality=95), Limits(max_seconds=10))
    assert file.photo.width == 600
    ticks = itertools.count()
    monkeypatch.setattr("veridical.io.formats.time", SimpleNamespace(monotonic=lambda: next(ticks)))
    assert file.luma is None
    assert next(ticks) <= 13  # it stopped at the limit, not at the end of the file
    face = Box(left=100.0, top=100.0, width=300.0, height=300.0)
    reading = examine_all(file, face)[-1]
    assert isinstance(reading, Reading)
    assert "ripple" not in reading.statistics  # the cue says what is left, and did not wait


def test_the_luma_is_decoded_within_the_limits_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []
    opened = formats.open_image

    def noted(data: bytes, kind: str, name: str, limits: Limits) -> ImageFile.ImageFile:
        given.append(limits)
        return opened(data, kind, name, limits)

    monkeypatch.setattr(decode, "open_image", noted)
    limits = Limits(max_pixels=200_000, max_seconds=3)
    within(limits).inspect(PHOTO, cues=True)
    assert given == [limits]


def test_a_photo_over_the_limit_of_the_luma_is_read_without_it(
    monkeypatch: pytest.MonkeyPatch, decoded: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(decode, "LUMA_PIXELS", 400 * 400 - 1)
    report = FOUR.inspect(PHOTO, cues=True)
    assert [size for size in decoded if size == (400, 400)] == [(400, 400)]
    for face in report.faces:
        assert face.readings is not None
        assert isinstance(face.readings[-1], Reading)
        assert "ripple" not in face.readings[-1].statistics


# --- hostile files -----------------------------------------------------------------------------

SMALL = jpeg(grey(camera(160, 0)), 80)
FACE = Box(left=10.0, top=10.0, width=130.0, height=130.0)
TABLE = SMALL.index(b"\xff\xdb") + 5  # where the luminance table begins


@pytest.mark.slow
@settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(2, 700), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4
    )
)
def test_whatever_a_jpeg_says_the_cues_answer_or_the_photo_is_refused(
    blows: list[tuple[int, bytes]],
) -> None:
    data = bytearray(SMALL)
    for at, blow in blows:
        data[at : at + len(blow)] = blow
    try:
        answers = examine_all(open_source(bytes(data), Limits(max_pixels=10**6)), FACE)
    except PhotoError:
        return
    assert not [one for one in answers if isinstance(one, NotApplicable) and "fault" in one.why]


@pytest.mark.parametrize("steps", [b"\0" * 64, b"\x01" * 32 + b"\0" * 32, b"\xff" * 64])
def test_a_quantisation_table_of_zeros_breaks_no_cue(steps: bytes) -> None:
    data = SMALL[:TABLE] + steps + SMALL[TABLE + 64 :]
    last = examine_all(open_source(data), FACE)[-1]
    assert not (isinstance(last, NotApplicable) and "fault" in last.why), last


def test_a_face_beyond_the_photo_breaks_no_cue() -> None:
    for box in (
        Box(left=1e4, top=1e4, width=50.0, height=50.0),
        Box(left=-1e9, top=0.0, width=2e9, height=1e-3),
        Box(left=0.0, top=0.0, width=1e12, height=1e12),
    ):
        answers = examine_all(open_source(SMALL), box, ((1e12, -1e12),) * 5)
        assert not [one for one in answers if isinstance(one, NotApplicable) and "fault" in one.why]


def test_the_detector_s_own_parser_is_the_only_one() -> None:
    """A second parser would be a second way in."""
    readers = {"open_image", "read_header", "header_of", "read_photo", "read_bytes", "decode"}
    for cue in DEFAULT_CUES:
        assert not readers & set(vars(sys.modules[cue.measure.__module__]))
