import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Picture, clean_error, invoke, see
from tests.scan.reading import rows
from veridical.detector import Detector

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scan(
    tiny_model: Path, tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    see(tiny_detector.finder, monkeypatch)
    common = ("--model", tiny_model, "--out", tmp_path / "out", "--format", "jsonl", "--jobs", 2)
    return lambda *arguments: invoke("scan", *common, *arguments)


@pytest.fixture
def album(picture: Picture, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for n in range(4):
        picture(tmp_path / "in" / f"{n}.jpg")
    return tmp_path / "in"


def test_a_folder_is_judged_once(scan: Any, album: Path, tmp_path: Path, tiny_model: Path) -> None:
    first = scan(album, "--quiet")
    assert first.exit_code == 0
    assert first.stdout.startswith("4 judged (")
    again = scan(album, "--quiet")
    assert "0 judged" in again.stdout
    assert "4 were judged before" in again.stdout
    assert again.stderr == ""
    alone = invoke("inspect", "--json", "--model", tiny_model, album / "1.jpg")
    report = json.loads(alone.stdout)
    (row,) = [row for row in rows(tmp_path / "out") if row["path"].endswith("1.jpg")]
    assert (row["p_ai"], row["decision"]) == (report["p_ai"], report["decision"])
    assert (row["model"], row["version"]) == (report["model"], report["version"])
    assert len(row["phash"]) == 16


def test_statuses_are_those_of_inspect(scan: Any, album: Path, tmp_path: Path) -> None:
    (album / "broken.jpg").touch()
    (album / "notes.txt").write_text("x")
    result = scan(album, "--why", "--quiet")
    assert result.exit_code == 3
    assert f"passed over: {album}/notes.txt" in result.stderr
    assert scan(album, "--quiet").exit_code == 3  # known to have failed
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "broken.jpg").touch()
    assert scan(tmp_path / "other", "--quiet").exit_code == 4


def test_other_options_are_refused(scan: Any, album: Path) -> None:
    scan(album, "--quiet")
    clean_error(scan(album, "--quiet", "--no-recheck"), "recheck True, not False")
    assert scan(album, "--quiet", "--no-recheck", "--new").stdout.startswith("4 judged")


def test_progress_is_told_as_json_and_as_metrics(scan: Any, album: Path, tmp_path: Path) -> None:
    result = scan(album, "--log-json", "--metrics", tmp_path / "m.prom")
    last = json.loads(result.stderr.splitlines()[-1])
    assert (last["done"], last["rows"]) == (4, 4)
    metrics = (tmp_path / "m.prom").read_text().splitlines()
    assert "veridical_scan_done 4" in metrics
    counted = [line for line in metrics if line.startswith("veridical_scan_pictures_total{")]
    assert sum(int(line.split()[-1]) for line in counted) == 4
    assert not list(tmp_path.glob(".m.prom*"))
    plain = scan(album, "--retry")
    assert plain.exit_code == 0


def test_a_summary_is_printed_and_written(scan: Any, album: Path, tmp_path: Path) -> None:
    (album / "broken.jpg").touch()
    scan(album, "--quiet")
    told = invoke("summary", tmp_path / "out", "--group-copies", "--html", tmp_path / "s.html")
    assert told.exit_code == 0
    assert "5 pictures" in told.stdout
    assert "PhotoEmpty" in told.stdout
    found = json.loads(invoke("summary", tmp_path / "out", "--json").stdout)
    assert (found["total"], found["failures"]) == (5, {"PhotoEmpty": 1})
    assert "5 pictures" in (tmp_path / "s.html").read_text()
    clean_error(invoke("summary", tmp_path / "in"), "holds no results of a scan")


def test_nothing_is_gone_because_the_scan_was_begun_elsewhere(
    scan: Any, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert scan("in", "--quiet").stdout.startswith("4 judged")
    monkeypatch.chdir(album)
    again = scan("../in/0.jpg", ".", "--quiet")
    assert "are gone" not in again.stdout
    assert "1 judged" in again.stdout  # the way through `..` may be another, behind a link
    assert "4 were judged before" in again.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.slow
@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_a_scan_that_is_told_to_end_keeps_what_it_judged(
    tiny_model: Path, picture: Picture, tmp_path: Path, signal_: signal.Signals
) -> None:
    (tmp_path / "in").mkdir()
    first = picture(tmp_path / "in" / "0.jpg").read_bytes()
    for n in range(1, 3000):  # with a comment each, or they were copies, which are judged once
        comment = b"\xff\xfe\x00\x06%04d" % n
        (tmp_path / "in" / f"{n}.jpg").write_bytes(first[:2] + comment + first[2:])
    command = (sys.executable, "-m", "veridical", "scan", str(tmp_path / "in"), "--jobs", "1")
    metrics = tmp_path / "m.prom"
    given = ("--out", str(tmp_path / "out"), "--format", "jsonl", "--model", str(tiny_model))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    before = signal.signal(signal_, signal.default_int_handler)  # else it may be inherited: ignored
    scan = subprocess.Popen(
        (*command, *given, "--metrics", str(metrics)),
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal_, before)
    with scan:
        try:
            until = time.monotonic() + 100
            while not metrics.exists() and time.monotonic() < until:
                time.sleep(0.1)
            scan.send_signal(signal_)
            _, said = scan.communicate(timeout=60)
        finally:
            scan.kill()
    assert scan.returncode == 130, said
    assert "Run it again to go on" in said
    found = rows(tmp_path / "out")
    assert 0 < len(found) < 3000
    assert len({row["path"] for row in found}) == len(found)
