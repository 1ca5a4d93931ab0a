"""The comparison with the version before: both run, and the ratios are turn by turn."""

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.before import NEW, OLD, Version, page, row, run, warm
from benchmarks.pages import ROOT


def test_each_version_turns_its_own_recheck_off() -> None:
    old, new = (Version(name=name, root=Path("/x")) for name in (OLD, NEW))
    assert "--no-stability" in old.inspect(Path("p"), False)
    assert "--no-recheck" in new.inspect(Path("p"), False)
    assert not [word for word in new.inspect(Path("p"), True) if word.startswith("--no-")]
    assert new.environment["PYTHONPATH"] == str(Path("/x") / "src")


def test_ratios_are_taken_turn_by_turn() -> None:
    cells = row("time", "as shipped", {OLD: [1.0, 4.0], NEW: [2.0, 2.0]})
    assert cells[2:] == ("2.50 (1.00 to 4.00)", "2.00 (2.00 to 2.00)", "1.25x (0.500 to 2.00)")
    assert "| time | as shipped | 2.50 (1.00 to 4.00) |" in page([cells], 300, 24)


@pytest.mark.skipif(sys.platform == "win32", reason="os.wait4 is not there")
def test_a_process_is_timed_and_weighed() -> None:
    # In a small process of its own: a child's peak is never below what its parent holds.
    fill = "x = bytearray(400 * 2**20); x[::4096] = b'1' * (len(x) // 4096)"
    code = (
        "import sys; from benchmarks.before import run; "
        f"print(*(run([sys.executable, '-c', code], {{}})[1] for code in ('pass', {fill!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    small, large = map(float, done.stdout.split())
    assert small < 400 < large < 600
    with pytest.raises(SystemExit, match="ended with 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"], {})


@pytest.mark.slow
def test_workers_of_both_versions_answer_in_turns() -> None:
    versions = tuple(Version(name=NEW, root=ROOT) for _ in range(2))
    paths = sorted((ROOT / "examples").glob("*.jpg"))[:2]
    taken = warm(versions, paths, True)
    assert len(taken[NEW]) == 4
    assert min(taken[NEW]) > 0
