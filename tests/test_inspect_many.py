"""Many pictures: one outcome each, in order, lazily, in flat memory."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import (
    AI,
    LARGE,
    MIDDLE,
    REAL,
    TINY,
    Eye,
    FakeFinder,
    Painter,
    see_through,
    squares,
)
from veridical.arrays import ndarray
from veridical.cues import DEFAULT_CUES
from veridical.detector import Detector
from veridical.engines import cores
from veridical.errors import ModelMissing
from veridical.explain.face import ExplainConfig
from veridical.io.source import File, Source
from veridical.report import Decision, Failure, Report
from veridical.vision import backbone, runtime

EVERY = pytest.mark.parametrize("batch", [1, 4])
JOBS = pytest.mark.parametrize("jobs", [1, 2])
BOTH = FakeFinder((LARGE, MIDDLE, TINY))
FAST = ExplainConfig(faithfulness=False)


def detector(batch: int, finder: FakeFinder = BOTH) -> Detector:
    return see_through(finder, Eye(batch))


def photos(count: int) -> list[ndarray]:
    draw = np.random.default_rng(0)
    shades = draw.uniform(0, 1, (count, 2, 3)) * (1, 1, 0.2)
    return [
        squares((LARGE, tuple(first)), (MIDDLE, tuple(second)), (TINY, AI))
        for first, second in shades
    ]


@pytest.fixture
def paths(painter: Painter, tmp_path: Path) -> list[Path]:
    made = []
    for seed in range(5):
        made.append(tmp_path / f"{seed}.{'png' if seed % 2 else 'jpg'}")
        Image.fromarray(painter(64, 80, (12, 12, 40, 40), seed=seed)).save(made[-1])
    return made


# --- the same answers --------------------------------------------------------------------------


def test_the_same_bytes_get_the_same_report_alone_and_in_any_company(
    tiny_detector: Detector, paths: list[Path]
) -> None:
    alone = [tiny_detector.inspect(path) for path in paths]
    assert [tiny_detector.inspect(path) for path in paths] == alone
    many = [paths[(7 * n) % 5] for n in range(20)]
    for path, report in zip(many, tiny_detector.inspect_many(many, jobs=2), strict=True):
        assert report == alone[paths.index(path)]  # every number, to the bit
    assert len({report.p_ai for report in alone}) == 5


@EVERY
@JOBS
def test_reports_are_those_of_one_by_one(batch: int, jobs: int) -> None:
    many = photos(11)
    one_by_one = [detector(1).inspect(one, cues=DEFAULT_CUES[:1], explain=FAST) for one in many]
    found = list(detector(batch).inspect_many(many, jobs=jobs, cues=DEFAULT_CUES[:1], explain=FAST))
    assert found == one_by_one
    assert len({one.p_ai for one in one_by_one}) == 11
    for one, other in zip(found, one_by_one, strict=True):
        assert isinstance(one, Report)
        for a, b in zip(one.faces, other.faces, strict=True):
            assert (a.explanation is None) == (b.explanation is None)
            if a.explanation and b.explanation:
                np.testing.assert_array_equal(a.explanation.patches, b.explanation.patches)


@EVERY
def test_whole_images_are_judged_as_asked(batch: int) -> None:
    many = photos(5)
    found = list(detector(batch).inspect_many(many, whole_image=True))
    assert found == [detector(1).inspect(one, whole_image=True) for one in many]


def test_the_faces_of_several_pictures_make_one_batch() -> None:
    batched = replace(detector(4), perturbations=())
    assert len(list(batched.inspect_many(photos(6)))) == 6
    assert isinstance(batched.backbone, Eye)
    assert batched.backbone.runs == [8, 4]  # two faces of each picture, four pictures at a time


@EVERY
def test_pictures_without_a_face_are_answered_too(batch: int) -> None:
    nobody = replace(detector(batch), finder=FakeFinder(()))
    found = list(nobody.inspect_many(photos(6)))
    assert [one.decision for one in found if isinstance(one, Report)] == [Decision.UNDECIDED] * 6
    assert isinstance(nobody.backbone, Eye)
    assert nobody.backbone.runs == []


# --- failures ----------------------------------------------------------------------------------


@EVERY
@JOBS
def test_what_cannot_be_read_does_not_cost_the_others(
    batch: int, jobs: int, paths: list[Path], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    before = Failure(path="folder", error="folder: no pictures.", hint="Name another.")
    many: list[Source | Failure] = [
        empty,
        paths[0],
        tmp_path / "absent.png",
        before,
        tmp_path,
        paths[0],
        b"?",
    ]
    found = list(detector(batch, FakeFinder()).inspect_many(many, jobs=jobs))
    kinds = [type(one) for one in found]
    assert kinds == [Failure, Report, Failure, Failure, Failure, Report, Failure]
    assert found[1] == found[5]
    assert found[3] == before
    for path, one in zip(many, found, strict=True):
        if isinstance(one, Failure) and isinstance(path, Path):
            assert one.path == str(path)
            assert str(path) in one.error
            assert one.hint
            assert one.bug is None
    assert isinstance(found[6], Failure)
    assert found[6].path is None


@EVERY
def test_a_fault_of_ours_is_the_failure_of_one_picture_and_names_it(
    batch: int, paths: list[Path]
) -> None:
    class Faulty:
        name = "faulty"

        def find(self, image: Image.Image) -> tuple[()]:
            if image.getpixel((0, 0)) == bad:
                raise KeyError("ours")
            return ()

    bad = Image.open(paths[1]).convert("RGB").getpixel((0, 0))
    found = list(replace(detector(batch), finder=Faulty()).inspect_many(paths))
    assert [type(one) for one in found] == [Report, Failure, Report, Report, Report]
    failure = found[1]
    assert isinstance(failure, Failure)
    assert failure.path == str(paths[1])
    assert failure.error == "internal error (KeyError)"
    assert failure.bug is not None
    assert "in find" in failure.bug


class Broken:
    name = "broken"

    def read(self, crop: ndarray) -> ndarray:
        raise RuntimeError("no map today")


@EVERY
def test_a_window_that_fits_no_crop_is_refused_before_the_work(
    batch: int, paths: list[Path]
) -> None:
    with pytest.raises(ValueError, match="at most"):
        next(detector(batch).inspect_many(paths, explain=replace(FAST, occlude=(999, 1))))


@EVERY
def test_a_fault_behind_the_backbone_is_the_failure_of_one_picture_too(
    batch: int, paths: list[Path]
) -> None:
    """An explainer of a stranger may raise anything at the first face that is judged."""
    broken = replace(FAST, explainers=(Broken(),))
    finder = FakeFinder(((10.0, 10.0, 40.0, 40.0),))
    found = list(detector(batch, finder).inspect_many(paths, explain=broken))
    assert [type(one) for one in found] == [Failure] * 5
    assert [one.path for one in found] == [str(path) for path in paths]


# --- order, laziness, memory -------------------------------------------------------------------


@EVERY
@JOBS
def test_nothing_is_taken_before_it_is_asked_for_and_only_a_few_ahead(
    batch: int, jobs: int
) -> None:
    taken = 0

    def source() -> Iterator[ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield squares((LARGE, REAL), (MIDDLE, REAL), (TINY, REAL))

    found = detector(batch).inspect_many(source(), jobs=jobs)
    assert taken == 0
    ahead = (1 if jobs == 1 else 3 * jobs) + batch  # engines.Threads: `ahead` is 2
    for asked in range(1, 30):
        assert isinstance(next(found), Report)
        assert taken <= asked + ahead
    found.close()  # type: ignore[attr-defined]


@EVERY
@JOBS
def test_reports_keep_the_order_of_the_pictures(batch: int, jobs: int, paths: list[Path]) -> None:
    many: list[Source] = [paths[n % 5] for n in range(17)]
    found = detector(batch, FakeFinder()).inspect_many(many, jobs=jobs)
    assert [one.path for one in found] == [str(path) for path in many]


@EVERY
@JOBS
def test_no_photo_outlives_its_report(batch: int, jobs: int) -> None:
    alive = weakref.WeakSet[File]()

    def source() -> Iterator[File]:
        for pixels in photos(40):
            file = File(path=None, data=None, limits=detector(1).limits, pixels=pixels)
            alive.add(file)
            yield file

    most = 0
    for _ in detector(batch).inspect_many(source(), jobs=jobs):
        most = max(most, len(alive))
    assert most <= (1 if jobs == 1 else 3 * jobs) + 2 * batch + 2


# --- threads -----------------------------------------------------------------------------------


def test_a_batch_without_asked_threads_takes_one_per_picture(
    tiny_model: Path, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []
    open_session = runtime.open_session

    def seen(graph: str, *, threads: int, **options: object) -> object:
        opened.append((Path(graph).name, threads))
        return open_session(graph, threads=threads, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(backbone, "open_session", seen)
    usual, one = Detector.load(tiny_model), Detector.load(tiny_model, threads=1)
    assert opened == [("backbone.onnx", cores()), ("backbone.onnx", 1)]
    batch = list(usual.inspect_many(paths, jobs=2, whole_image=True))
    assert opened[2:] == [("backbone.onnx", 1)]  # once, and kept
    assert batch == list(usual.inspect_many(paths, jobs=2, whole_image=True))
    assert batch == list(one.inspect_many(paths, jobs=2, whole_image=True))
    assert batch == [usual.inspect(path, whole_image=True) for path in paths]  # to the bit
    assert len(opened) == 3
    asked = Detector.load(tiny_model, threads=2)
    list(asked.inspect_many(paths[:2], jobs=2, whole_image=True))
    assert opened[3:] == [("backbone.onnx", 2)]


def test_the_path_of_an_outcome_is_the_string_that_was_given(
    tiny_detector: Detector, paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(paths[0].parent)
    given = ["./0.jpg", ".//x/../none.jpg", "", "https://example.org/a.jpg"]
    judged, *failed = tiny_detector.inspect_many(given)
    assert [one.path for one in (judged, *failed)] == given
    errors = [one.error if isinstance(one, Failure) else "" for one in failed]
    assert "no such file" in errors[0]
    assert errors[1] == "An empty path came; a picture was wanted."
    assert "nothing is fetched" in errors[2]


def test_an_empty_path_of_a_model_is_not_the_current_folder() -> None:
    with pytest.raises(ModelMissing, match="An empty path came; a model folder was wanted"):
        Detector.load("")
