from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from veridical.arrays import ndarray
from veridical.detector import Detector
from veridical.engines import Engine, Serial, Threads
from veridical.errors import NotAPhoto, PhotoMissing
from veridical.report import Failure, Report
from veridical.scan import judged, scan

engines = pytest.mark.parametrize("engine", [Serial(), Threads(3)], ids=repr)


@pytest.fixture
def report(tiny_detector: Detector, face_picture: ndarray) -> Report:
    return tiny_detector.inspect(face_picture)


@engines
def test_every_path_has_one_outcome_in_the_order_asked(engine: Engine, report: Report) -> None:
    def judge(path: Path) -> Report:
        if path.suffix == ".txt":
            raise NotAPhoto(f"{path}: is text.", hint="Pass a picture.")
        if path.suffix == ".bug":
            raise ZeroDivisionError("ours")
        return replace(report, path=str(path))

    paths = [Path(f"{n}{suffix}") for n in range(5) for suffix in (".jpg", ".txt", ".bug")]
    outcomes = list(scan(paths, judge, engine))
    assert [outcome.path for outcome in outcomes] == [str(path) for path in paths]
    assert [type(outcome) for outcome in outcomes] == [Report, Failure, Failure] * 5


@engines
def test_what_failed_before_keeps_its_place(engine: Engine, report: Report) -> None:
    failure = Failure(path="empty", error="empty: no pictures.", hint="Name another.")
    outcomes = list(scan([Path("a.jpg"), failure, Path("b.jpg")], lambda _: report, engine))
    assert outcomes == [report, failure, report]


def test_a_fault_of_the_file_is_told_in_its_own_words() -> None:
    def judge(path: Path) -> Report:
        raise PhotoMissing(f"{path}: no such file.", hint="Check the path.")

    outcome = judged(judge, Path("a.jpg"))
    assert outcome == Failure(path="a.jpg", error="a.jpg: no such file.", hint="Check the path.")


def test_a_fault_of_ours_costs_one_picture_and_says_whose_it_is() -> None:
    def judge(path: Path) -> Report:
        reports: dict[Path, Report] = {}
        return reports[path]

    outcome = judged(judge, Path("a.jpg"))
    assert isinstance(outcome, Failure)
    assert outcome.error == "internal error (KeyError)"
    assert "report it" in outcome.hint
    assert outcome.bug
    assert "in judge" in outcome.bug


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_who_stops_the_work_stops_it(stop: type[BaseException]) -> None:
    def judge(path: Path) -> Report:
        raise stop

    if stop is MemoryError:  # of one picture: it may be the only one that is so large
        assert isinstance(judged(judge, Path("a.jpg")), Failure)
    else:
        with pytest.raises(stop):
            judged(judge, Path("a.jpg"))


@engines
def test_nothing_is_judged_before_somebody_asks(engine: Engine, report: Report) -> None:
    taken: list[Path] = []

    def paths() -> Iterator[Path]:
        for number in range(1000):
            taken.append(Path(f"{number}.jpg"))
            yield taken[-1]

    outcomes = scan(paths(), lambda path: replace(report, path=str(path)), engine)
    assert not taken
    assert next(outcomes).path == "0.jpg"
    assert len(taken) <= 9
    outcomes.close()  # type: ignore[attr-defined]


def test_what_cannot_be_read_does_not_cost_the_others(
    tiny_detector: Detector, face_picture: ndarray, tmp_path: Path
) -> None:
    good, empty = tmp_path / "good.png", tmp_path / "empty.png"
    Image.fromarray(face_picture).save(good)
    empty.write_bytes(b"")
    paths = [empty, good, tmp_path / "absent.png", tmp_path, good]
    outcomes = list(scan(paths, tiny_detector.inspect, Threads(2)))
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Failure, Report, Failure, Failure, Report]
    assert outcomes[1] == outcomes[4]
    for path, outcome in zip(paths, outcomes, strict=True):
        if isinstance(outcome, Failure):
            assert str(path) in outcome.error
            assert outcome.hint
            assert outcome.bug is None
