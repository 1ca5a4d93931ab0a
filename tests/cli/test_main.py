import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from tests.cli.conftest import Picture, Run, clean_error, invoke
from veridical._version import VERSION
from veridical.cli import options
from veridical.cli.main import COMMANDS, main
from veridical.io.model import BACKBONE, CARD, TENSORS
from veridical.present import records
from veridical.vision.runtime import DEVICES


def test_the_schema_is_the_published_one() -> None:
    assert json.loads(invoke("schema").stdout) == records.schema()


def test_the_version_is_the_program_s() -> None:
    assert invoke("--version").stdout.strip() == f"veridical, version {VERSION}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_a_file_of_its_name(name: str) -> None:
    assert name in invoke("--help").stdout
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {name} ")
    command = main.get_command(click.Context(main), name)
    assert command
    assert (command.help or "").split(".")[0].split()[0] in result.stdout


def test_a_command_that_is_none_is_a_usage_error() -> None:
    assert invoke("options").exit_code == 2


def program(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(command, text=True, check=False, timeout=120, **options)


def test_no_help_text_imports_what_is_slow() -> None:
    done = program(
        "-c",
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from veridical.cli.main import COMMANDS, main\n"
        "for arguments in ([], *([name] for name in COMMANDS)):\n"
        "    assert CliRunner().invoke(main, [*arguments, '--help']).exit_code == 0\n"
        "slow = {'numpy', 'onnxruntime', 'PIL', 'rich', 'torch', 'jinja2'}\n"
        "print(sorted(slow & set(sys.modules)))\n",
        capture_output=True,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_who_goes_away_gets_no_traceback(
    tiny_model: Path, picture: Picture, tmp_path: Path, form: list[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    inspect = ("inspect", "--model", tiny_model, "--whole-image", *form)
    done = program(
        *("-m", "veridical", *inspect, picture(tmp_path / "a.png")),
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_the_devices_that_can_be_named_are_those_there_are() -> None:
    assert tuple(DEVICES) == options.DEVICES


# --- what stops the work --------------------------------------------------------------------------


def test_a_device_that_is_absent_is_one_clean_message(
    tiny_model: Path, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = picture(tmp_path / "real" / "1.png").parent
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    commands: list[tuple[object, ...]] = [
        ("inspect", "--model", tiny_model, data),
        ("evaluate", tiny_model, tmp_path, "--out", tmp_path / "results"),
        ("calibrate", tiny_model, "--reals", data, "--out", tmp_path / "new"),
    ]
    for command in commands:
        clean_error(invoke(*command, "--device", "cuda"), "no CUDAExecutionProvider here")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["real"]


@pytest.mark.parametrize("name", [CARD, TENSORS, BACKBONE])
@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_a_harmed_model_is_one_clean_message(
    tiny_model: Path, tmp_path: Path, picture: Picture, name: str, harm: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_model, model)
    if harm == "missing":
        (model / name).unlink()
    else:
        data = (model / name).read_bytes()
        (model / name).write_bytes(data[: len(data) // 2] + b"?" + data[len(data) // 2 + 1 :])
    picture(tmp_path / "data" / "real" / "1.png")
    picture(tmp_path / "data" / "ai" / "1.png")
    commands: list[tuple[object, ...]] = [
        ("inspect", "--model", model, tmp_path / "data"),
        ("evaluate", model, tmp_path / "data", "--out", tmp_path / "results"),
    ]
    for command in commands:
        # A changed card is told by what no longer fits.
        clean_error(invoke(*command), str(model), "" if name == CARD else name)


def test_a_model_that_is_none_is_one_clean_message(tmp_path: Path, picture: Picture) -> None:
    path = picture(tmp_path / "a.jpg")
    for model in (path, tmp_path / "nowhere"):
        clean_error(invoke("inspect", "--model", model, path), "no model folder at", model.name)
        clean_error(invoke("card", model), "no model folder at", model.name)


def test_a_folder_that_cannot_be_written_to_stops_the_work_before_it_begins(
    run: Run, tiny_model: Path, picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data = picture(tmp_path / "a.jpg"), tmp_path / "data"
    for label in ("real", "ai"):
        picture(data / label / "1.png")
    access = os.access
    monkeypatch.setattr(  # root may write everywhere
        os, "access", lambda at, mode: access(at, mode) and (Path(at) != data or mode == os.R_OK)
    )
    for folder, says in ((path / "out", "Not a directory"), (data, "Permission denied")):
        for result in (
            run(path, "--explain", folder),
            invoke("train", data, "--out", folder),
            invoke("train", data, "--out", tmp_path / "out", "--cache", folder),
            invoke("evaluate", tiny_model, data, "--out", folder),
        ):
            clean_error(result, says)
    assert run(path, "--explain", path).exit_code == 2
