import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from PIL import Image

from tests.conftest import LARGE, squares
from tests.scan.doubles import ByName, SeeThrough, answered
from veridical.detector import Detector
from veridical.errors import ModelMissing, ScanError
from veridical.scan import engines
from veridical.scan.engines import DIED, HUNG, InProcesses, InThreads
from veridical.scan.judge import DetectorMaker, Judge, Judged
from veridical.scan.plan import Item, plan

ROOT = Path(__file__).parents[2]


def items(*names: str) -> list[Item]:
    return [Item(path=name) for name in names]


def kinds(found: Iterable[Judged]) -> dict[str, str | None]:
    return {one.item.path: one.picture.get("error_kind") for one in found}


def test_processes_give_the_rows_of_threads_to_the_bit(tmp_path: Path) -> None:
    for n in range(12):
        colour = (n / 12, 0.0, 0.1)
        Image.fromarray(squares((LARGE, colour))).save(tmp_path / f"{n}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    found = [
        sorted(engine.run(SeeThrough(), plan([str(tmp_path)])), key=lambda one: one.item.path)
        for engine in (InThreads(1), InThreads(2), InProcesses(2))
    ]
    assert len(found[0]) == 13
    assert found[0] == found[1] == found[2]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_worker_that_dies_costs_its_item_and_no_other() -> None:
    names = [f"{n}.jpg" for n in range(40)]
    names[7] = names[7] + "-segfault"
    names[30] = names[30] + "-segfault"
    found = list(InProcesses(2).run(ByName(), items(*names)))
    assert sorted(one.item.path for one in found) == sorted(names)
    died = {path for path, kind in kinds(found).items() if kind == DIED}
    assert died == {names[7], names[30]}
    error = next(one.picture["error"] for one in found if one.item.path == names[7])
    assert "SIGSEGV" in error


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_who_dies_once_is_judged_when_tried_alone(tmp_path: Path) -> None:
    names = ["a.jpg", "once.jpg", "b.jpg"]
    found = list(InProcesses(2).run(ByName(notes=str(tmp_path)), items(*names)))
    assert (tmp_path / "once.jpg").exists()
    assert kinds(found) == dict.fromkeys(names)
    (own,) = [one for one in found if one.item.path == "once.jpg"]
    assert own == answered(own.item)


def test_a_worker_that_hangs_is_ended() -> None:
    names = ["a.jpg", "hangs.jpg", "b.jpg", "c.jpg"]
    found = kinds(InProcesses(2, deadline_s=1.0).run(ByName(), items(*names)))
    assert found == {"a.jpg": None, "hangs.jpg": HUNG, "b.jpg": None, "c.jpg": None}


class NoModel:
    def __call__(self) -> Judge:
        raise ModelMissing("No model.", hint="Train one.")


class NoStart:
    def __call__(self) -> Judge:
        os._exit(3)


def test_a_model_that_cannot_be_loaded_is_said_once_by_each_engine() -> None:
    for engine in (InThreads(1), InProcesses(2)):
        with pytest.raises(ModelMissing, match=r"No model\."):
            list(engine.run(NoModel(), items("a.jpg")))


def test_workers_that_never_start_end_the_scan() -> None:
    with pytest.raises(ScanError, match=r"before they are ready \(status 3\)"):
        list(InProcesses(1).run(NoStart(), items("a.jpg")))


def test_no_worker_is_started_for_nothing() -> None:
    assert list(InProcesses(2).run(NoStart(), [])) == []


@pytest.mark.parametrize("engine", [InThreads(2), InProcesses(2)])
def test_few_items_are_held(engine: InThreads | InProcesses) -> None:
    taken = 0

    def endless() -> Iterator[Item]:
        nonlocal taken
        while True:
            taken += 1
            yield Item(path=f"{taken}.jpg")

    running = engine.run(ByName(), endless())
    for done in range(1, 101):
        next(running)
        assert taken <= done + 10
    running.close()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_ray_gives_the_same_rows_also_when_a_machine_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    # Ray talks to itself over sockets, which the tests refuse: it runs in a process of its own.
    import subprocess
    import sys

    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.scan.on_ray"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "lost a machine; 60 rows are those of threads" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="Linux")
def test_processes_share_the_network_and_give_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured while they work: a page of the weights that two map counts half for each."""
    told: set[int | None] = set()

    class Spied(engines._Crew):
        def _told(self, worker: engines._Worker) -> Iterator[Judged]:
            for one in super()._told(worker):
                told.add(worker.process.pid)
                yield one

    monkeypatch.setattr(engines, "_Crew", Spied)
    (name, *_) = sorted(str(one) for one in (ROOT / "examples").glob("*.jpg"))
    detector = Detector.load(threads=1)
    (own,) = InThreads(1).run(DetectorMaker(detector), items(name))
    maps: list[tuple[int, int]] = []

    def until_measured() -> Iterator[Item]:
        while not maps:
            yield from items(name)

    for one in InProcesses(2, scratch=tmp_path).run(DetectorMaker(detector), until_measured()):
        assert one == own
        if len(told) == 2 and not maps:
            maps = [_weights(pid) for pid in told]
    assert not list(tmp_path.iterdir()), "what they shared is gone"
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32):
        for size, share in maps:
            assert size > 10_000, "kB"
            assert share < 0.6 * size, "half of each page, for two"


def _weights(pid: int | None) -> tuple[int, int]:
    """Return how much of the weights a process has in memory, and its share of that, kB."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    blocks = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text)
    own = [one for one in blocks if "weights.bin" in one.partition("\n")[0]]
    rss, pss = (
        sum(int(kb) for one in own for kb in re.findall(rf"(?m)^{name}: +(\d+)", one))
        for name in ("Rss", "Pss")
    )
    return rss, pss


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (3, 3)])
def test_processes_that_share_a_network_have_one_thread_each_or_what_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: int, given: int
) -> None:
    monkeypatch.setattr("veridical.detector.laid_out", lambda _graph, folder: folder / "graph.onnx")
    load: Any = Detector.load(threads=asked).shared(tmp_path)
    (options,) = load.args
    assert (options.threads, options.mapped) == (given, tmp_path / "graph.onnx")
