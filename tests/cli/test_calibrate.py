import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Album, Run, invoke, lines


@pytest.fixture
def calibrate(run: Run, tiny_model: Path, tmp_path: Path) -> Run:
    """Run `calibrate` with the tiny model and a finder that sees one face in every picture."""
    return lambda *arguments: invoke("calibrate", tiny_model, "--out", tmp_path / "new", *arguments)


def test_a_model_is_calibrated_on_one_s_own_pictures_and_used(
    calibrate: Run, run: Run, album: Album, tmp_path: Path
) -> None:
    data = album(press=20)
    shutil.copyfile(data / "press" / "1.png", data / "press" / "2.png")
    (data / "press" / "a\x1b[31m.jpg").write_bytes(b"")
    Image.new("RGB", (9, 9)).save(data / "press" / "tiny.png")
    result = calibrate("--reals", data / "press", "--fpr", 0.1, "--jobs", 2)
    assert result.exit_code == 0, result.output
    assert "the user's own pictures: 19 real ones in 'press'." in result.stdout
    assert "At most 10 % of real pictures like these are called ai" in result.stdout
    assert f"left out: {data}/press/2.png: is, to the byte, a copy of" in result.stderr
    assert rf"left out: {data}/press/a\x1b[31m.jpg: zero bytes came." in result.stderr
    assert f"left out: {data}/press/tiny.png: no face to judge" in result.stderr
    told = json.loads(invoke("card", tmp_path / "new", "--json").stdout)
    assert told["recalibrated"]["real"] == {"folder": "press", "pictures": 19}
    reports = lines(invoke("inspect", "--json", "--model", tmp_path / "new", data / "press"))
    assert {entry.get("model") for entry in reports} == {told["identity"][:12], None}
    judged = [entry for entry in reports if entry.get("p_ai") is not None]
    p_ai = {entry["p_ai"] for entry in judged}
    # Of 19, one in ten. The threshold itself is a picture's, which `inspect` rounds in float32.
    assert sum(p > told["fusion"]["calibrations"][0]["threshold_real"] + 1e-6 for p in p_ai) == 1


def test_too_few_pictures_for_a_promise_are_one_clean_message(calibrate: Run, album: Album) -> None:
    data = album(press=5)
    result = calibrate("--reals", data / "press")
    assert result.exit_code == 1
    assert "5 real pictures can be judged; to be wrong about at most 1 %" in result.stderr
    assert "takes at least 99" in result.stderr
    nowhere = calibrate("--reals", data / "nowhere")
    assert nowhere.exit_code == 1
    assert "nowhere: no such folder; a folder of pictures was wanted." in nowhere.stderr


def test_folders_that_cannot_be_right_are_usage_errors(
    calibrate: Run, tiny_model: Path, album: Album
) -> None:
    data = album(press=1, fakes=1)
    for options, says in (
        (("--reals", data, "--ai", data / "fakes"), "lies in the other"),
        (("--reals", data, "--ai", data), "lies in the other"),
        (("--reals", data, "--out", tiny_model), "the model itself"),
        (("--reals", data, "--fpr", 1), "more than 0 and less than 1"),
        ((), "--reals"),
    ):
        result = calibrate(*options)
        assert result.exit_code == 2
        assert says in result.stderr


def test_folders_that_are_not_there_are_named_together_before_anything_is_judged(
    tmp_path: Path,
) -> None:
    result = invoke(
        *("calibrate", "default", "--reals", tmp_path / "a", "--ai", tmp_path / "b"),
        *("--out", tmp_path / "new"),
    )

    assert result.exit_code == 1
    for option in ("--reals", "--ai"):
        assert f"{option} {tmp_path}" in result.stderr
    assert "Looking for copies" not in result.stderr
