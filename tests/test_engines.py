import threading
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.engines import Engine, Serial, Threads, cores, engine_of, outcome, outcomes
from veridical.errors import NotAPhoto, PhotoMissing
from veridical.report import Failure

ENGINES = [Serial(), Threads(1), Threads(3), Threads(2, ahead=0)]
engines = pytest.mark.parametrize("engine", ENGINES, ids=repr)


class Source:
    """Endless, and counts how much of it was taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for number in count():
            self.taken += 1
            yield number


@engines
def test_it_is_an_engine(engine: Engine) -> None:
    assert isinstance(engine, Engine)


@given(st.sampled_from(ENGINES), st.lists(st.integers(), max_size=30))
def test_it_is_what_map_is(engine: Engine, items: list[int]) -> None:
    assert list(engine.map(lambda n: n * n, items)) == [n * n for n in items]


@engines
def test_results_keep_the_items_order_whichever_is_done_first(engine: Engine) -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number

    assert list(engine.map(slow_at_first, range(20))) == list(range(20))


@engines
def test_an_endless_source_is_taken_only_as_far_as_needed(engine: Engine) -> None:
    source = Source()
    results = engine.map(lambda n: n + 1, source)
    assert source.taken == 0  # nothing happens before somebody asks
    for asked in range(1, 30):
        assert next(results) == asked
        ahead = engine.jobs * (1 + engine.ahead) if isinstance(engine, Threads) else 1
        assert source.taken <= asked - 1 + ahead
    results.close()  # type: ignore[attr-defined]


@engines
def test_what_work_raises_comes_in_its_place(engine: Engine) -> None:
    def work(number: int) -> int:
        if number == 3:
            raise KeyError("the third")
        return number

    results = engine.map(work, count())
    assert list(islice(results, 3)) == [0, 1, 2]
    with pytest.raises(KeyError, match="the third"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@engines
def test_what_the_source_raises_comes_too(engine: Engine) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise OSError("the folder went away")

    with pytest.raises(OSError, match="went away"):
        list(engine.map(abs, source()))


@engines
def test_walking_off_leaves_no_thread_behind(engine: Engine) -> None:
    before = threading.active_count()
    results = engine.map(abs, count())
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_jobs_are_done_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=5)  # breaks unless three wait in it at once
    assert len(list(Threads(3).map(lambda _: together.wait(), range(6)))) == 6


def test_serial_stays_in_the_calling_thread() -> None:
    assert set(Serial().map(lambda _: threading.get_ident(), range(3))) == {threading.get_ident()}


@pytest.mark.parametrize("jobs", [0, -1])
def test_an_engine_without_a_job_is_refused(jobs: int) -> None:
    with pytest.raises(ValueError, match=f"at least one job; got {jobs}"):
        Threads(jobs)


def test_one_job_needs_no_threads() -> None:
    assert engine_of(1) == Serial()
    assert engine_of(3) == Threads(3)
    assert cores() >= 1


# --- outcomes ----------------------------------------------------------------------------------


def judge(path: Path) -> str:
    if path.suffix == ".txt":
        raise NotAPhoto(f"{path}: is text.", hint="Pass a picture.")
    if path.suffix == ".bug":
        raise ZeroDivisionError("ours")
    return str(path)


@engines
def test_every_item_has_one_outcome_in_the_order_asked(engine: Engine) -> None:
    paths = [Path(f"{n}{suffix}") for n in range(5) for suffix in (".jpg", ".txt", ".bug")]
    found = list(outcomes(judge, paths, engine))
    named = [one.path if isinstance(one, Failure) else one for one in found]
    assert named == [str(path) for path in paths]
    assert [type(one) for one in found] == [str, Failure, Failure] * 5


@engines
def test_what_failed_before_keeps_its_place(engine: Engine) -> None:
    failure = Failure(path="empty", error="empty: no pictures.", hint="Name another.")
    items: list[Path | Failure] = [Path("a.jpg"), failure, Path("b.jpg")]
    assert list(outcomes(judge, items, engine)) == ["a.jpg", failure, "b.jpg"]


def test_a_fault_of_the_file_is_told_in_its_own_words() -> None:
    def missing(path: Path) -> str:
        raise PhotoMissing(f"{path}: no such file.", hint="Check the path.")

    found = outcome(missing, Path("a.jpg"))
    assert found == Failure(path="a.jpg", error="a.jpg: no such file.", hint="Check the path.")


def test_a_fault_of_ours_costs_one_item_and_says_whose_it_is() -> None:
    found = outcome(judge, Path("a.bug"))
    assert isinstance(found, Failure)
    assert found.error == "internal error (ZeroDivisionError)"
    assert "report it" in found.hint
    assert found.bug
    assert "in judge" in found.bug


def test_a_failure_names_the_path_it_is_given_or_the_item_s_own() -> None:
    def fail(_: object) -> str:
        raise ValueError

    found = [
        outcome(fail, "a.jpg"),
        outcome(fail, Path("a.jpg")),
        outcome(fail, b"bytes"),
        outcome(fail, b"bytes", path="a.jpg"),
    ]
    names = [one.path for one in found if isinstance(one, Failure)]
    assert names == ["a.jpg", "a.jpg", None, "a.jpg"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_who_stops_the_work_stops_it(stop: type[BaseException]) -> None:
    def work(_: Path) -> str:
        raise stop

    if stop is MemoryError:  # of one picture: it may be the only one that is so large
        assert isinstance(outcome(work, Path("a.jpg")), Failure)
    else:
        with pytest.raises(stop):
            outcome(work, Path("a.jpg"))
