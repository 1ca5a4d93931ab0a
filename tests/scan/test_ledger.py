import errno
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.scan.doubles import ByName, answered, identity
from tests.scan.reading import rows
from veridical.errors import ScanBusy, ScanError, ScanOther
from veridical.scan.engines import InThreads
from veridical.scan.known import Known, stamp_of
from veridical.scan.ledger import Ledger, Pace
from veridical.scan.lock import LOCK, locked
from veridical.scan.plan import Item, plan
from veridical.scan.run import Scanned, run

EVERY = pytest.mark.parametrize("format_", ["parquet", "csv", "jsonl"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(6):
        (tmp_path / "in" / f"{n}.jpg").parent.mkdir(exist_ok=True)
        (tmp_path / "in" / f"{n}.jpg").write_bytes(bytes(n))
    return tmp_path


def scanned(folder: Path, format_: Any = "jsonl", **changes: Any) -> Scanned:
    return run(
        plan([str(folder / "in")]),
        folder / "out",
        ByName(),
        identity(format_),
        InThreads(1),
        **changes,
    )


# --- going on ------------------------------------------------------------------------------------


@EVERY
def test_a_second_run_has_nothing_to_do(folder: Path, format_: str) -> None:
    assert scanned(folder, format_).judged == 6
    again = scanned(folder, format_)
    assert (again.judged, again.met["known"], again.rows) == (0, 6, 6)
    found = rows(folder / "out", format_=format_)
    assert [row["seq"] for row in found] == [1, 2, 3, 4, 5, 6]
    assert {(row["model"], row["options"]) for row in found} == {("0123456789ab", "{}")}
    assert len(rows(folder / "out", "faces", format_)) == 6


def test_a_changed_file_is_judged_again_and_both_rows_are_kept(folder: Path) -> None:
    scanned(folder)
    os.utime(folder / "in" / "3.jpg", ns=(1, 1))
    again = scanned(folder)
    assert (again.judged, again.met["changed"]) == (1, 1)
    own = [row for row in rows(folder / "out") if row["path"].endswith("3.jpg")]
    assert [(row["state"], row["run"], row["mtime_ns"] == 1) for row in own] == [
        ("new", 1, False),
        ("changed", 2, True),
    ]
    assert scanned(folder).judged == 0


def test_a_file_that_went_away_is_marked_once_and_may_come_back(folder: Path) -> None:
    scanned(folder)
    (folder / "in" / "3.jpg").unlink()
    assert scanned(folder).gone == 1
    assert scanned(folder).gone == 0
    (folder / "in" / "3.jpg").write_bytes(b"abc")
    assert scanned(folder).judged == 1
    own = [row["state"] for row in rows(folder / "out") if row["path"].endswith("3.jpg")]
    assert own == ["new", "gone", "changed"]


def test_other_sources_mark_nothing_as_gone(folder: Path) -> None:
    scanned(folder)
    other = run(
        plan([str(folder / "in" / "1.jpg")]),
        folder / "out",
        ByName(),
        identity(),
        InThreads(1),
    )
    assert (other.gone, other.judged) == (0, 0)


def test_what_is_named_twice_is_judged_once(folder: Path) -> None:
    sources = [str(folder / "in"), str(folder / "in" / "1.jpg")]
    done = run(plan(sources), folder / "out", ByName(), identity(), InThreads(1))
    assert (done.judged, done.met["repeated"]) == (6, 1)


def test_failures_are_outcomes_and_are_tried_again_on_request(folder: Path) -> None:
    (folder / "in" / "fault.jpg").touch()
    first = scanned(folder)
    assert (first.failed, first.judged) == (1, 7)
    assert (again := scanned(folder)).judged == 0
    assert again.failed == 1
    assert scanned(folder, retry=True).judged == 1
    (row, _) = [row for row in rows(folder / "out") if row["decision"] == "failed"]
    assert row["error_kind"] == "Internal"
    assert "ZeroDivisionError" in row["error"]


@EVERY
@pytest.mark.parametrize(
    "name", [b"\xe9.jpg", b"=1+1.jpg", b"'x.jpg", b"12", b"a\nb.jpg", b"\xc3\xa9"]
)
def test_any_name_is_known_again_to_the_byte(folder: Path, format_: str, name: bytes) -> None:
    path = os.fsdecode(name)
    for known in (False, True):
        items = iter([Item(path=path, size=1)])
        done = run(items, folder / "o", ByName(), identity(format_), InThreads(1))
        assert done.judged == (not known)
    (row,) = rows(folder / "o", format_=format_)
    assert row["path"].isprintable()


# --- others --------------------------------------------------------------------------------------


def test_another_model_or_other_options_are_refused_or_begin_a_sub_folder(folder: Path) -> None:
    def other(**changes: Any) -> Scanned:
        items = plan([str(folder / "in")])
        return run(items, folder / "out", ByName(), identity(fast=True), InThreads(1), **changes)

    scanned(folder)
    with pytest.raises(ScanOther, match="fast None, not True"):
        other()
    assert other(new=True).judged == 6
    assert other(new=True).judged == 0
    assert len(rows(folder / "out")) == 6


def test_a_folder_of_other_things_is_refused(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "holiday.jpg").touch()
    with pytest.raises(ScanError, match=r"holds other things \(holiday.jpg\)"):
        scanned(folder)


def test_a_damaged_part_is_named(folder: Path) -> None:
    scanned(folder)
    (part,) = (folder / "out" / "pictures").iterdir()
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(ScanError, match=part.name):
        scanned(folder)
    part.unlink()
    assert scanned(folder).judged == 6
    assert len(rows(folder / "out", "faces")) == 6


def _hold(folder: Path, taken: Any, leave: Any) -> None:
    with locked(folder):
        taken.set()
        leave.wait(60)


def test_a_second_scan_is_refused_and_a_killed_one_is_no_obstacle(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    taken, leave = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, taken, leave))
    holder.start()
    assert taken.wait(60)
    with pytest.raises(ScanBusy, match=f"process {holder.pid} on "), locked(tmp_path):
        pass
    holder.kill()
    holder.join()
    assert json.loads((tmp_path / LOCK).read_text())["pid"] == holder.pid
    with locked(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
    assert (tmp_path / LOCK).read_text() == ""


def test_a_lock_of_another_machine_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text('{"pid": 1, "host": "elsewhere", "since": "1999"}')
    with pytest.raises(ScanBusy, match="process 1 on elsewhere"), locked(tmp_path):
        pass
    (tmp_path / LOCK).unlink()
    with locked(tmp_path):
        pass


# --- the disk ------------------------------------------------------------------------------------


def test_a_full_disk_stops_the_scan_and_costs_what_was_not_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 8:  # two files with their folders at the start, then the second part
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        scanned(folder, pace=Pace(rows=4))
    monkeypatch.setattr(os, "fsync", real)
    assert not list((folder / "out").rglob(".aside*"))
    left = len(rows(folder / "out"))
    assert 0 < left < 6
    assert scanned(folder).judged == 6 - left
    assert len({row["path"] for row in rows(folder / "out")}) == 6
    assert len(rows(folder / "out")) == len(rows(folder / "out", "faces")) == 6


def test_what_stands_in_a_folder_that_may_not_be_entered_is_not_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned(folder)
    real = os.lstat

    def closed(path: Any, *rest: Any, **more: Any) -> os.stat_result:
        if str(path).endswith("1.jpg"):
            raise PermissionError(errno.EACCES, "Permission denied")
        if str(path).endswith("2.jpg"):
            raise FileNotFoundError(errno.ENOENT, "No such file")
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "lstat", closed)
    out = folder / "out"
    done = run([], out, ByName(), identity(), InThreads(1))
    gone = {row["path"].rpartition("/")[2] for row in rows(out) if row["state"] == "gone"}
    assert done.gone == 1
    assert gone == {"2.jpg"}


def test_a_folder_that_can_be_listed_again_is_no_failure_any_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "in" / "inner").mkdir()
    (folder / "in" / "inner" / "7.jpg").write_bytes(b"7")
    real = os.scandir

    def closed(path: Any) -> Any:
        if str(path).endswith("inner"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    scanned(folder)
    assert scanned(folder).gone == 0

    monkeypatch.setattr(os, "scandir", real)
    assert scanned(folder).gone == 1
    last = {row["path"].rpartition("/")[2]: row for row in rows(folder / "out")}
    assert last["inner"]["state"] == "gone"
    assert last["7.jpg"]["decision"] != "failed"


def test_an_interrupt_keeps_what_was_judged(folder: Path) -> None:
    def stop(done: Scanned) -> None:
        if done.judged == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scanned(folder, hear=stop)
    assert len(rows(folder / "out")) == 4
    assert scanned(folder).judged == 2


def test_faces_without_pictures_are_deleted(folder: Path) -> None:
    scanned(folder)
    (folder / "out" / "faces" / "part-000002.jsonl").write_text("{}\n")
    (folder / "out" / "pictures" / ".aside-part-000002.jsonl").write_text("{")
    (folder / "out" / ".aside-model-x").mkdir()
    (folder / "out" / ".aside-model-x" / "weights.bin").touch()  # of processes that were killed
    scanned(folder)
    assert len(rows(folder / "out", "faces")) == 6
    assert not list((folder / "out").rglob(".aside*"))


def test_parts_grow_with_the_time_that_the_scan_has_run() -> None:
    pace = Pace()
    assert not pace.due(1, 19, 20)
    assert pace.due(1, 21, 21)
    assert not pace.due(1, 100, 10_000)
    assert pace.due(1, 601, 1e9)
    assert pace.due(20_000, 0, 0)


# --- the index -----------------------------------------------------------------------------------


def test_the_index_knows_what_a_dictionary_knows() -> None:
    import random

    draw, known, model = random.Random(0), Known(), dict[str, int]()
    import veridical.scan.known as module

    module._MERGED, before = 50, module._MERGED
    try:
        old = [(f"{n}.jpg", n) for n in range(300)]
        known.load([path for path, _ in old], [(size, 0) for _, size in old], [0] * 300)
        known.load(["5.jpg"], [(99, 0)], [0])
        known.ready()
        before_run = {**dict(old), "5.jpg": 99}
        for _ in range(2000):
            n = draw.randrange(600)
            path, size = f"{n}.jpg", draw.choice([n, n, n + 1])
            expected = (
                "repeated"
                if path in model
                else "new"
                if path not in before_run
                else "known"
                if before_run[path] == size
                else "changed"
            )
            model[path] = size
            assert known.meet(path, stamp_of(size, 0), retry=False) == expected
    finally:
        module._MERGED = before
    assert known.unmet() == bool(before_run.keys() - model.keys())
    left = sorted(before_run.keys() - model.keys())
    assert sorted(path for path in before_run if known.lost(path)) == left
    assert not known.unmet()


def test_a_judge_by_name_is_what_the_other_tests_take_it_for() -> None:
    item = Item(path="x.jpg")
    assert answered(item) == answered(item) != answered(Item(path="y.jpg"))


def test_the_ledger_waits_with_writing_until_it_is_time(folder: Path) -> None:
    with Ledger(folder / "o", identity(), pace=Pace(rows=6)) as ledger:
        for n in range(4):
            ledger.add(answered(Item(path=f"{n}.jpg")))
        assert ledger.rows == 3
    assert ledger.rows == 4


def test_a_look_up_costs_the_same_among_many() -> None:
    def seconds(count: int) -> float:
        known = Known()
        known.load([str(n) for n in range(count)], [(0, 0)] * count, [0] * count)
        known.ready()
        began = time.perf_counter()
        for n in range(0, count, count // 2000):
            known.meet(str(n), 0, retry=False)
        return time.perf_counter() - began

    assert seconds(400_000) < 20 * seconds(2000)  # copying a column would take 200 times as long
