"""The package as a whole: light to import, and its tests offline."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image

import veridical

HEAVY = ["PIL", "jinja2", "onnxruntime", "threadpoolctl", "torch", "transformers"]


def woken_by(line: str) -> set[str]:
    code = f"{line}\nimport json, sys\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_wakes_nothing_heavy() -> None:
    assert woken_by("import veridical") == set()


def test_importing_the_detector_wakes_pillow_alone() -> None:
    assert woken_by("from veridical import Detector") == {"PIL"}


def test_every_public_name_is_there() -> None:
    assert dir(veridical) == sorted(veridical.__all__)
    for name in veridical.__all__:
        assert getattr(veridical, name) is not None


def test_a_name_that_is_not_there_is_missed_as_usual() -> None:
    with pytest.raises(AttributeError, match="'veridical' has no attribute 'Dectector'"):
        veridical.Dectector  # noqa: B018


def test_no_test_reaches_a_network() -> None:
    with pytest.raises(RuntimeError, match="offline"):
        urlopen("http://example.org")
    with socket.socket() as door, pytest.raises(RuntimeError, match="offline"):
        door.connect(("127.0.0.1", 9))


def test_judging_leaves_nothing_in_the_home_folder_and_tells_nobody(
    tiny_model: Path, tmp_path: Path
) -> None:
    """ONNX Runtime keeps a device's number and a queue of events there, unless it is forbidden."""
    home, picture = tmp_path / "home", tmp_path / "a.png"
    home.mkdir()
    Image.new("RGB", (64, 64), "grey").save(picture)
    told = ("ORT_DISABLE_TELEMETRY", "RAY_USAGE_STATS_ENABLED", "HF_HUB_DISABLE_TELEMETRY")
    clean = {name: value for name, value in os.environ.items() if name not in told}
    for name in [name for name in clean if name.startswith("XDG_")]:
        del clean[name]
    done = subprocess.run(
        [sys.executable, "-m", "veridical", "--model", tiny_model, "--whole-image", picture],
        env={**clean, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
