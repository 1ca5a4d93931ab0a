"""What people give and where answers go: nothing is taken, lost or passed over in silence."""

import errno
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Picture, Run, invoke, lines, written
from veridical.present import files
from veridical.report import REPORT


def program(
    *arguments: object, model: Path | None = None, **options: Any
) -> "subprocess.CompletedProcess[bytes]":
    """Run the program on its own: standard streams are what the test is about."""
    own = ("--whole-image", "--no-recheck", "--model", model) if model else ()
    command = [sys.executable, "-W", "error", "-m", "veridical", *map(str, (*arguments, *own))]
    return subprocess.run(command, check=False, timeout=120, **options)


# --- paths --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", ""],
        ["inspect", "a.jpg", ""],
        [""],
        ["inspect", "a.jpg", "--explain", ""],
        ["inspect", "a.jpg", "--model", ""],
        ["card", ""],
        ["calibrate", "", "--reals", "r", "--out", "o"],
        ["calibrate", "default", "--reals", "", "--out", "o"],
        ["calibrate", "default", "--reals", "r", "--ai", "", "--out", "o"],
        ["calibrate", "default", "--reals", "r", "--out", ""],
        ["train", "", "--out", "o"],
        ["train", "d", "--out", ""],
        ["train", "d", "--out", "o", "--cache", ""],
        ["audit", ""],
        ["evaluate", "", "d"],
        ["evaluate", "default", ""],
        ["evaluate", "default", "d", "--out", ""],
    ],
)
def test_an_empty_path_is_refused_before_anything_is_done(
    command: Sequence[str], picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    result = invoke(*command)
    assert result.exit_code == 2
    assert "an empty path came" in result.stderr
    assert result.stdout == ""
    assert written(tmp_path) == ["a.jpg"]


def test_the_path_in_an_answer_is_the_string_that_was_given(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.jpg")
    picture(tmp_path / "b" / "c.jpg")
    monkeypatch.chdir(tmp_path)
    given = ["./a.jpg", ".//b/../a.jpg", "https://example.org/a.jpg", "./none.jpg"]
    result = run("--json", *given, "./b/", ".//b")
    entries = lines(result)
    assert [one["path"] for one in entries] == [*given, "./b/c.jpg", ".//b/c.jpg"]
    assert "nothing is fetched" in entries[2]["error"]


def test_hints_speak_of_options(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    os.mkfifo("pipe")
    empty, pipe = lines(run("--json", "empty", "pipe"))
    assert "--list-skipped" in empty["hint"]
    assert pipe["hint"].endswith("veridical inspect - < pipe")
    result = invoke("inspect", "a.jpg", "--model", "nowhere")
    assert "leave --model out" in result.stderr


# --- folders ------------------------------------------------------------------------------------


@pytest.fixture
def mixed(picture: Picture, tmp_path: Path) -> Path:
    """A folder with two pictures, one of them without a suffix, and things that are none."""
    folder = tmp_path / "mixed"
    picture(folder / "a.jpg")
    picture(folder / "b.jpg").rename(folder / "noext")
    for name in (".hidden.jpg", ".DS_Store"):
        (folder / name).touch()
    (folder / "x.dng").write_bytes(b"II*\0" + bytes(60))
    (folder / "notes.txt").write_text("notes")
    (folder / "gone.jpg").symlink_to("nowhere")
    return folder


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_is_passed_over_is_counted_in_one_line(
    run: Run, mixed: Path, form: tuple[str, ...]
) -> None:
    result = run(mixed, *form)
    assert result.exit_code == 0
    assert result.stderr == (
        "5 passed over in folders (--list-skipped names them): 2 hidden; 1 broken or repeated "
        "link; 1 camera raw; 1 not a picture.\n"
    )
    assert len(lines(run(mixed, "--json"))) == 2


def test_what_is_passed_over_is_named_on_request(run: Run, mixed: Path) -> None:
    *named, counted = run(mixed, "--json", "--list-skipped").stderr.splitlines()
    assert named == [
        f"passed over: {mixed / '.DS_Store'}: hidden",
        f"passed over: {mixed / '.hidden.jpg'}: hidden",
        f"passed over: {mixed / 'gone.jpg'}: a broken link",
        f"passed over: {mixed / 'notes.txt'}: text",
        f"passed over: {mixed / 'x.dng'}: a camera's raw file (DNG)",
    ]
    assert counted.startswith("5 passed over in folders: ")


def test_a_folder_of_pictures_alone_says_nothing(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    picture(tmp_path / "a.jpg")
    assert run(tmp_path, "--json").stderr == ""


def test_other_commands_count_what_they_pass_over_too(audit: Run, tmp_path: Path) -> None:
    for label in ("real", "ai"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "notes.txt").write_text("notes")
    (tmp_path / "real" / "1.jpg").touch()
    result = audit(tmp_path, "--list-skipped")
    assert f"passed over: {tmp_path / 'real' / 'notes.txt'}: text" in result.stderr
    assert "2 passed over in folders: 2 not pictures." in result.stderr


# --- standard input -----------------------------------------------------------------------------


def judged(done: "subprocess.CompletedProcess[bytes]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
def test_a_picture_comes_through_standard_input(
    name: str, tiny_model: Path, picture: Picture, tmp_path: Path
) -> None:
    path = picture(tmp_path / "a.jpg")
    why = tmp_path / "why"
    done = program(
        *("inspect", "--json", path, name, "--explain", why),
        model=tiny_model,
        input=path.read_bytes(),
        capture_output=True,
    )
    own, piped = judged(done)
    assert piped == {**own, "path": name}
    assert done.returncode == 0
    assert len(list(why.glob("*.html"))) == 3  # two pages and the index


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no such folder on this system")
def test_a_picture_comes_through_a_descriptor_of_the_shell(
    tiny_model: Path, picture: Picture, tmp_path: Path
) -> None:
    path = picture(tmp_path / "a.jpg")
    read, write = os.pipe()
    with os.fdopen(write, "wb") as pipe:
        pipe.write(path.read_bytes())
    done = program(
        *("inspect", "--json", f"/dev/fd/{read}", path),
        model=tiny_model,
        pass_fds=(read,),
        capture_output=True,
    )
    os.close(read)
    piped, own = judged(done)
    assert piped == {**own, "path": f"/dev/fd/{read}"}


@pytest.mark.parametrize(
    ("given", "says"),
    [(b"", "zero bytes came"), (b"<html>", "is an HTML page"), (b"\xff\xd8\xff\xe0", "JPEG")],
)
def test_what_is_no_picture_at_standard_input_is_a_failure(
    given: bytes, says: str, tiny_model: Path
) -> None:
    done = program("-", "--json", model=tiny_model, input=given, capture_output=True)
    (failure,) = judged(done)
    assert (done.returncode, failure["path"]) == (4, "-")
    assert says in failure["error"]
    assert failure["bug"] is None


def test_a_closed_standard_input_is_a_failure(tiny_model: Path) -> None:
    done = program(
        "-", "--json", model=tiny_model, capture_output=True, preexec_fn=lambda: os.close(0)
    )
    (failure,) = judged(done)
    assert failure["error"] == "-: standard input is closed."


# --- where answers go ---------------------------------------------------------------------------

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no such device on this system")


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [["inspect", "--json"], ["inspect"], ["card"], ["schema"]])
def test_a_full_disk_below_standard_output_is_one_line(
    command: list[str], unbuffered: str, tiny_model: Path, picture: Picture, tmp_path: Path
) -> None:
    inspect = command[0] == "inspect"
    paths = [picture(tmp_path / "a.jpg")] * 2 if inspect else []
    with FULL.open("wb") as full:
        done = program(
            *(*command, *paths),
            model=tiny_model if inspect else None,
            stdout=full,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert said(done.stderr) == ["error: standard output: No space left on device."]
    assert done.returncode == 1


def test_a_closed_standard_output_is_said(tiny_model: Path, tmp_path: Path) -> None:
    done = program(
        *("inspect", tmp_path / "a.jpg"),
        model=tiny_model,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: os.close(1),
    )
    assert done.returncode == 1
    assert said(done.stderr)[0] == "error: standard output is closed."


def test_a_reader_who_goes_away_ends_the_work_quietly(
    tiny_model: Path, picture: Picture, mixed: Path
) -> None:
    read, write = os.pipe()
    os.close(read)
    done = program(
        "inspect", "--json", mixed, model=tiny_model, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    assert (done.returncode, said(done.stderr)) == (1, [])


def said(stderr: bytes) -> list[str]:
    """Return what is said at standard error beside the signs of life."""
    return [line for line in stderr.decode().splitlines() if not line.endswith(" ...")]


def full_disk(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write fails: without a name


def test_a_full_disk_costs_the_pages_and_no_verdict(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / f"{name}.jpg") for name in "abc"]
    why = tmp_path / "why"
    monkeypatch.setattr(files, "_whole", full_disk)
    result = run("--json", *paths, tmp_path / "none.jpg", "--explain", why)
    assert result.exit_code == 3
    assert [entry["schema"] == REPORT for entry in lines(result)] == [True, True, True, False]
    told = [line for line in result.stderr.splitlines() if str(why) in line]
    assert told == [f"{why}: No space left on device: 5 files were not written."]  # the index too
    assert "internal error" not in result.stderr
    assert not list(why.glob("*.html"))


def test_a_page_that_fits_no_more_leaves_the_others(
    run: Run, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [picture(tmp_path / f"{name}.jpg") for name in "abc"]
    whole = files._whole

    def second_fails(path: Path) -> AbstractContextManager[Path]:
        if path.name.startswith("b-"):
            full_disk()
        return whole(path)

    monkeypatch.setattr(files, "_whole", second_fails)
    result = run(*paths, "--explain", tmp_path / "why")
    assert result.exit_code == 3
    assert "1 files were not written" in result.stderr
    assert sorted(one.name[0] for one in (tmp_path / "why").glob("*.html")) == ["a", "c", "i"]


def test_a_standard_error_that_is_full_costs_nothing(
    run: Run, mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("click.secho", lambda *_a, **_o: Full().write(""))
    assert len(lines(run(mixed, "--json"))) == 2


# --- small doors --------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [(), ("inspect",)])
def test_pictures_need_no_command(
    before: tuple[str, ...],
    run: Run,
    tiny_model: Path,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = picture(tmp_path / "a.jpg")
    expected = lines(run("--json", path))
    assert lines(invoke(*before, path, "--json", "--model", tiny_model)) == expected
    assert lines(invoke(*before, "--json", "--model", tiny_model, path)) == expected
    monkeypatch.chdir(tmp_path)
    path.rename("-a.jpg")
    (named,) = lines(invoke(*before, f"--model={tiny_model}", "--json", "--", "-a.jpg"))
    assert named == {**expected[0], "path": "-a.jpg"}
    (absent,) = lines(invoke(*before, "--json", "--model", tiny_model, "none.jpg"))
    assert absent["error"] == "none.jpg: no such file."


def test_a_mistyped_command_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke("inspct", "a.jpg")
    assert result.exit_code == 2
    assert "no command and no file 'inspct'; did you mean 'inspect'?" in result.stderr
    assert "commands are inspect, scan" in invoke("xyz").stderr
    assert "Did you mean '--version'" in invoke("--verison").stderr


def test_an_option_that_is_a_file_is_told_how_to_name_it(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "-x.jpg")
    monkeypatch.chdir(tmp_path)
    for command in (["-x.jpg"], ["inspect", "-x.jpg"]):
        result = invoke(*command)
        assert result.exit_code == 2
        assert "For the file of that name write ./-x.jpg" in result.stderr
    assert "of that name" not in invoke("inspect", "--bogus").stderr


@pytest.mark.parametrize("command", [[], ["inspect"], ["train"], ["card"]])
def test_h_is_help(command: list[str]) -> None:
    assert invoke(*command, "-h").stdout == invoke(*command, "--help").stdout
