from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import AI, LARGE, FakeFinder, see_through, squares
from tests.scan.doubles import answered, identity
from tests.scan.reading import rows
from veridical.detector import Detector
from veridical.scan import same
from veridical.scan.engines import InProcesses, InThreads
from veridical.scan.judge import DetectorMaker
from veridical.scan.plan import Item, plan
from veridical.scan.run import run
from veridical.scan.same import Answers


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Four pictures, of which three have the same size and two the same bytes."""
    folder = tmp_path / "in"
    folder.mkdir()
    pixels = squares((LARGE, AI))
    Image.fromarray(pixels).save(folder / "a.bmp")
    (folder / "b.bmp").write_bytes((folder / "a.bmp").read_bytes())
    Image.fromarray(255 - pixels).save(folder / "c.bmp")
    Image.fromarray(np.ascontiguousarray(pixels[:-8])).save(folder / "d.bmp")
    return folder


def test_the_same_bytes_are_judged_once_and_get_the_same_row(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, judged = Detector.inspect, list[str]()

    def counted(self: Detector, source: Any, **options: Any) -> Any:
        judged.append(Path(source.path).name)
        return real(self, source, **options)

    monkeypatch.setattr(Detector, "inspect", counted)
    make = DetectorMaker(see_through(FakeFinder()))
    run(plan([str(album)]), tmp_path / "o", make, identity(), InThreads(1))
    assert judged == ["a.bmp", "c.bmp", "d.bmp"]
    for table in ("pictures", "faces"):
        found = {Path(row["path"]).name: row for row in rows(tmp_path / "o", table)}
        own = [{**found[name], "path": "", "seq": 0, "mtime_ns": 0} for name in ("a.bmp", "b.bmp")]
        assert own[0] == own[1]
    pictures = {Path(row["path"]).name: row for row in rows(tmp_path / "o")}
    assert pictures["c.bmp"]["size"] == pictures["a.bmp"]["size"]
    assert pictures["c.bmp"]["sha256"] != pictures["a.bmp"]["sha256"]
    assert pictures["c.bmp"]["phash"] != pictures["a.bmp"]["phash"]


def test_answers_travel_to_processes_and_do_not_come_back(album: Path) -> None:
    from tests.scan.doubles import SeeThrough

    (first, *_) = items = list(plan([str(album)]))
    (answer,) = InThreads(1).run(SeeThrough(), [first])
    lie = replace(answer, picture={**answer.picture, "headline": "as before"})
    answers = Answers()
    answers.note(lie)
    found = {
        Path(one.item.path).name: one
        for one in InProcesses(1).run(SeeThrough(), answers.given(iter(items)))
    }
    assert all(one.item.alike == () for one in found.values())
    told = {name: one.picture["headline"] == "as before" for name, one in found.items()}
    assert told == {"a.bmp": True, "b.bmp": True, "c.bmp": False, "d.bmp": False}


def test_few_answers_are_remembered_and_failures_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same, "_SIZES", 3)
    answers = Answers()
    for size in (1, 2, 3, 1, 4):  # 2 is the one that was not met for longest
        answers.note(answered(Item(path=f"{size}.jpg", size=size)))
    failure = answered(Item(path="5.jpg", size=5))
    answers.note(replace(failure, picture={**failure.picture, "decision": "failed"}))
    known = [
        one.size for one in answers.given(Item(path="x", size=n) for n in range(7)) if one.alike
    ]
    assert known == [1, 3, 4]
    for n in range(9):
        answers.note(answered(Item(path=f"{n}", size=1)))
    (one,) = answers.given(iter([Item(path="y", size=1)]))
    assert len(one.alike) == same._MOST
