import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cli.conftest import BAD, HOSTILE, Picture, Run, clean_error, invoke, see, written
from veridical.detector import Detector

pytest.importorskip("typst")

AT = ("--at", "2024-11-28T12:00:00Z")
FILES = ["report.html", "report.json", "report.pdf", "sha256sums.txt"]


@pytest.fixture
def report(tiny_model: Path, tiny_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `report` with the tiny model and a finder that sees one face in every picture."""
    see(tiny_detector.finder, monkeypatch)
    return lambda *arguments: invoke("report", "--model", tiny_model, *AT, *arguments)


def test_a_report_is_three_forms_and_their_hashes(
    report: Run, picture: Picture, tmp_path: Path
) -> None:
    photo, out = picture(tmp_path / "a.png"), tmp_path / "case-17"
    result = report(photo, "--out", out, "--case", "17", "--exhibit", "3", "--examiner", "A. B.")
    assert result.exit_code == 0
    assert written(out) == FILES
    sums = (out / "sha256sums.txt").read_text()
    for line in sums.splitlines():
        digest, name = line.split("  ")
        assert sha256((out / name).read_bytes()).hexdigest() == digest
    assert sums.count("\n") == 3
    assert sha256(sums.encode()).hexdigest() in result.stdout
    record = json.loads((out / "report.json").read_text())
    assert record["photo"]["sha256"] == sha256(photo.read_bytes()).hexdigest()
    assert (record["case"], record["exhibit"], record["examiner"]) == ("17", "3", "A. B.")
    assert record["at"] == "2024-11-28T12:00:00+00:00"
    assert record["machine"]["flags"]
    assert len(record["model"]) == 64


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="sha256sum is not installed")
def test_sha256sum_accepts_the_sums(report: Run, picture: Picture, tmp_path: Path) -> None:
    out = tmp_path / "case"
    report(picture(tmp_path / "a.png"), "--out", out, "--keep-original")
    command = ["sha256sum", "--strict", "-c", "sha256sums.txt"]
    done = subprocess.run(command, cwd=out, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.count("OK")) == (0, 4)


def test_equal_inputs_and_times_give_equal_bytes(
    report: Run, picture: Picture, tmp_path: Path
) -> None:
    photo = picture(tmp_path / "a.png")
    for name in ("one", "two"):
        assert report(photo, "--out", tmp_path / name, "--note", "Sealed.").exit_code == 0
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_is_there_is_never_overwritten(
    report: Run, picture: Picture, tmp_path: Path, there: str
) -> None:
    out = tmp_path / "case"
    if there == "folder":
        out.mkdir()
    elif there == "file":
        out.write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    log = tmp_path / "log"
    result = report(picture(tmp_path / "a.png"), "--out", out, "--log", log)
    clean_error(result, "is there already")
    assert not (out.is_dir() and written(out))
    assert not log.exists()


@pytest.mark.parametrize("time", ["2026-11-28T12:00:00", "yesterday", "2026-11-28"])
def test_a_time_needs_its_zone(picture: Picture, tmp_path: Path, time: str) -> None:
    result = invoke("report", picture(tmp_path / "a.png"), "--out", tmp_path / "case", "--at", time)
    assert result.exit_code == 2
    assert "zone" in result.stderr


@pytest.mark.parametrize(
    "time",
    [
        "2999-01-01T00:00:00Z",
        "1989-12-31T23:59:59Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_time_that_cannot_be_is_refused(picture: Picture, tmp_path: Path, time: str) -> None:
    result = invoke("report", picture(tmp_path / "a.png"), "--out", tmp_path / "case", "--at", time)
    assert result.exit_code == 2
    assert "from 1990 on and at most a day in the future" in " ".join(result.stderr.split())


def test_a_time_that_was_given_is_marked(report: Run, picture: Picture, tmp_path: Path) -> None:
    out = tmp_path / "case"
    assert report(picture(tmp_path / "a.png"), "--out", out).exit_code == 0
    assert json.loads((out / "report.json").read_text())["at_given"] is True
    page = (out / "report.html").read_text()
    assert page.count("2024-11-28 12:00:00+00:00 (given by the examiner)") >= 2


@pytest.mark.parametrize("name", ["empty.jpg", "truncated.jpg", "text.jpg", "bomb.png"])
def test_a_picture_that_cannot_be_read_leaves_nothing(
    report: Run, bad: list[Path], tmp_path: Path, name: str
) -> None:
    (photo,) = (path for path in bad if path.name == name)
    before = written(tmp_path)
    log = tmp_path / "log"
    clean_error(report(photo, "--out", tmp_path / "case", "--log", log), BAD[name][1])
    assert written(tmp_path) == before


def test_a_copy_of_the_picture_is_the_same_to_the_byte(
    report: Run, picture: Picture, tmp_path: Path
) -> None:
    photo, out = picture(tmp_path / "a;b.png"), tmp_path / "case"
    assert report(photo, "--out", out, "--keep-original").exit_code == 0
    assert written(out) == ["original.png", *FILES]
    assert (out / "original.png").read_bytes() == photo.read_bytes()


def test_a_redacted_report_cannot_keep_the_picture(picture: Picture, tmp_path: Path) -> None:
    out = tmp_path / "case"
    result = invoke(
        "report", picture(tmp_path / "a.png"), "--out", out, "--redact", "--keep-original"
    )
    assert result.exit_code == 2
    assert not out.exists()


def test_a_redacted_report_hides_the_name(report: Run, picture: Picture, tmp_path: Path) -> None:
    out = tmp_path / "case"
    result = report(picture(tmp_path / "secretname.png"), "--out", out, "--redact", "--note", "N.")
    assert result.exit_code == 0
    assert "Your own words" in result.stdout
    assert "hashes still identify the file" in result.stdout
    assert '<p class="running"><span>REDACTED</span>' in (out / "report.html").read_text()
    for name in ("report.html", "report.json"):
        assert b"secretname" not in (out / name).read_bytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_and_do_nothing(
    report: Run, picture: Picture, tmp_path: Path, name: str
) -> None:
    out = tmp_path / f"out{name}"
    result = report(picture(tmp_path / name), "--out", out, "--case", "\x1b[31m\u202e")
    assert result.exit_code == 0
    assert all(c.isprintable() or c == "\n" for c in result.stdout)
    page = (out / "report.html").read_text()
    assert all(c.isprintable() or c == "\n" for c in page)


def test_each_report_is_a_line_of_the_log(report: Run, picture: Picture, tmp_path: Path) -> None:
    log = tmp_path / "reports.log"
    for number in (1, 2):
        result = report(
            picture(tmp_path / f"{number}.png"),
            *("--out", tmp_path / f"case-{number}", "--case", number, "--log", log),
        )
        assert result.exit_code == 0
        entry = json.loads(log.read_text().splitlines()[-1])
        assert (entry["seq"], entry["case"]) == (number, str(number))
        assert entry["hash"] in result.stdout
        for name, digest in entry["files"].items():
            found = (tmp_path / f"case-{number}" / name).read_bytes()
            assert sha256(found).hexdigest() == digest


def test_no_report_is_made_beside_a_broken_log(
    report: Run, picture: Picture, tmp_path: Path
) -> None:
    log, out = tmp_path / "reports.log", tmp_path / "case"
    log.write_text("{}\n")
    clean_error(report(picture(tmp_path / "a.png"), "--out", out, "--log", log), "Line 1")
    assert not out.exists()
    assert log.read_text() == "{}\n"


def test_a_log_in_a_folder_that_is_not_there_stops_the_work(
    report: Run, picture: Picture, tmp_path: Path
) -> None:
    out = tmp_path / "case"
    log = tmp_path / "nowhere" / "reports.log"
    clean_error(report(picture(tmp_path / "a.png"), "--out", out, "--log", log), "nowhere")
    assert not out.exists()


def test_a_line_that_cannot_be_written_takes_the_report_back(
    report: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(5, "Input/output error", "reports.log")

    monkeypatch.setattr("veridical.io.chain.os.fsync", full)
    monkeypatch.setattr("veridical.present.filing.os.fsync", lambda _file: None)
    monkeypatch.setattr("veridical.present.filing.chain.append", full)
    out, log = tmp_path / "case", tmp_path / "reports.log"
    clean_error(report(picture(tmp_path / "a.png"), "--out", out, "--log", log), "Input/output")
    assert not out.exists()


def test_without_the_extra_nothing_is_begun(
    report: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "typst", None)
    result = report(picture(tmp_path / "a.png"), "--out", tmp_path / "case")
    clean_error(result, "typst")
    assert "veridical[report]" in result.stderr
