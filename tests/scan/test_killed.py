"""A scan that is killed at any moment goes on, and gives each input exactly one outcome."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.scan.doubles import answered
from tests.scan.killed import FORMAT
from tests.scan.reading import rows
from veridical.scan.plan import Item

ROOT = Path(__file__).parents[2]
COUNT, KILLS = int(os.environ.get("VERIDICAL_KILLED", "100000")), 50

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs forks and /proc")


def killed(*arguments: object) -> list[str]:
    """Run `tests.scan.killed`, and return what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.scan.killed", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


def has_one_outcome_each(out: Path, count: int) -> None:
    found, people = rows(out, format_=FORMAT), rows(out, "faces", FORMAT)
    assert Counter(row["path"] for row in found) == Counter(f"{n:06d}.jpg" for n in range(count))
    assert sorted(row["seq"] for row in found) == list(range(1, count + 1))
    assert Counter(row["seq"] for row in people) == Counter(range(1, count + 1))
    for row in found[::97]:
        assert row["p_ai"] == answered(Item(path=row["path"])).picture["p_ai"]


def test_a_kill_at_each_moment_that_matters_costs_and_doubles_nothing(tmp_path: Path) -> None:
    *moments, last = killed("every", tmp_path, 10)
    count = int(last)
    assert count > 30
    for name in (
        "open .aside-scan.json",
        "fsync .aside-scan.json",
        "os.rename .aside-scan.json",
        f"open .aside-part-000001.{FORMAT}",
        f"fsync .aside-part-000001.{FORMAT}",
        f"os.rename .aside-part-000001.{FORMAT}",
        f"os.remove part-000001.{FORMAT}",  # faces without pictures, when it goes on
        "open scan.lock",
    ):
        assert name in moments
    for n in range(1, count + 1):
        has_one_outcome_each(tmp_path / str(n), 10)
        assert not list((tmp_path / str(n)).rglob(".aside-*"))


@pytest.mark.slow
def test_a_scan_that_is_killed_at_fifty_random_moments_gives_each_input_one_outcome(
    tmp_path: Path,
) -> None:
    (line,) = killed("random", tmp_path / "out", COUNT, KILLS)
    told = json.loads(line)
    assert told["killed"] == KILLS, "each met a scan that was at work"
    before = told["parts_after"]
    assert before == sorted(before), "what was written stays"
    assert len(set(before)) > KILLS / 2, "they met it at different places"
    assert told["rows"] == COUNT
    assert 0 < told["judged_last"] < COUNT, "some of it was left"
    has_one_outcome_each(tmp_path / "out", COUNT)
