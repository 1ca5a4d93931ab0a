"""A scan that is killed at any moment goes on, and gives each input exactly one outcome."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.scan.doubles import answered
from tests.scan.reading import rows
from veridical.scan.plan import Item

ROOT = Path(__file__).parents[2]
COUNT, KILLS = int(os.environ.get("VERIDICAL_KILLED", "20000")), 50


def begin(out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.scan.killed", str(out), str(COUNT)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_a_scan_that_is_killed_at_fifty_moments_gives_each_input_one_outcome(
    tmp_path: Path,
) -> None:
    draw, out, left = random.Random(0), tmp_path / "out", Counter[str]()
    for _ in range(KILLS):
        scan = begin(out)
        # From when it has the folder: else most would be killed while Python starts.
        until = time.monotonic() + 60
        while not _held(out) and scan.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.25))
        scan.kill()
        scan.communicate()
        left["aside"] += len(list(out.rglob(".aside-*")))
        faces = {path.name for path in (out / "faces").glob("part-*")}
        left["faces"] += len(faces - {path.name for path in (out / "pictures").glob("part-*")})
    killed = len(rows(out)) if (out / "pictures").exists() else 0
    last = begin(out)
    printed, _ = last.communicate(timeout=600)
    judged, known = map(int, printed.split())
    assert known == COUNT
    assert judged == COUNT - killed
    found = rows(out)
    assert Counter(row["path"] for row in found) == Counter(f"{n:06d}.jpg" for n in range(COUNT))
    assert sorted(row["seq"] for row in found) == list(range(1, COUNT + 1))
    people = rows(out, "faces")
    assert Counter(row["seq"] for row in people) == Counter(range(1, COUNT + 1))
    for row in found[::97]:
        assert row["p_ai"] == answered(Item(path=row["path"])).picture["p_ai"]
    assert left["aside"] + left["faces"] > 0, "no kill hit a moment at which something was written"
    assert 0 < killed < COUNT


def _held(out: Path) -> bool:
    try:
        return (out / "scan.lock").stat().st_size > 0
    except OSError:
        return False
