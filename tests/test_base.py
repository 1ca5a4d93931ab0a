"""The base install: whatever the extras bring is blocked, and pictures are judged all the same."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

from veridical.arrays import ndarray
from veridical.present import records

EXTRAS = (
    "torch",
    "scipy",
    "sklearn",
    "transformers",
    "matplotlib",
    "onnx",
    "onnxscript",
    "imagehash",
    "jaxtyping",
    "beartype",
    "pillow_heif",
    "av",
    "pandas",
    "c2pa",
    "cryptography",
)

# Run before anything of veridical: an import of an extra is missed as if it were not installed.
BLOCKER = f"""
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""
CLI = BLOCKER + "from veridical.cli.main import main\nmain(sys.argv[1:])\n"


def base(code: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def portrait(painter: Callable[..., ndarray], tmp_path: Path) -> Path:
    path = tmp_path / "portrait.jpg"
    Image.fromarray(painter(96, 96, (16, 16, 64, 64))).save(path)
    return path


def test_the_blocker_blocks() -> None:
    done = base(BLOCKER + "import torch.nn")
    assert "No module named 'torch" in done.stderr


def test_pictures_are_judged_and_explained_without_any_extra(
    tiny_model: Path, portrait: Path, tmp_path: Path
) -> None:
    woken = "\nprint(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    code = BLOCKER + (
        "from veridical.cli.main import main\n"
        "more = ['--whole-image', '--occlude', '16', '16']\n"
        "more += ['--write', 'json', '--write', 'figure']\n"
        "for extra in ([], [*more, '--explain', sys.argv[1]]):\n"
        "    main(['inspect', '--json', *extra, *sys.argv[2:]], standalone_mode=False)\n"
    )
    done = base(code + woken, tmp_path / "why", "--model", tiny_model, portrait)
    assert done.returncode == 0, done.stderr
    found, whole = (json.loads(line) for line in done.stdout.splitlines())
    for entry in (found, whole):
        jsonschema.validate(entry, records.schema())
    assert found["reasons"] == ["no_face"]  # a drawn face fools no detector
    assert whole["p_ai"] is not None
    assert whole["faces"][whole["lead_index"]]["verdict"]["p_ai"] == whole["p_ai"]
    names = sorted(path.suffix for path in (tmp_path / "why").iterdir())
    assert names == [".html", ".html", ".json", ".png"]
    assert not set(EXTRAS) & set(eval(done.stderr.splitlines()[-1]))


def test_a_picture_for_people_needs_no_extra_either(tiny_model: Path, portrait: Path) -> None:
    done = base(CLI, "inspect", "--model", tiny_model, "--whole-image", "-v", portrait)
    assert done.returncode == 0, done.stderr
    assert "P(ai)" in done.stdout


def test_what_needs_an_extra_says_which(tiny_model: Path, portrait: Path, tmp_path: Path) -> None:
    for label in ("real", "ai"):
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "1.jpg").write_bytes(portrait.read_bytes())
    done = base(
        CLI, "train", tmp_path / "data", "--out", tmp_path / "out", "--cache", tmp_path / "cache",
        "--backbone", tmp_path / "vit",
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for package in ("sklearn", "imagehash", "torch", "transformers", "onnx"):
        assert repr(package) in done.stderr  # all of them at once
    assert "are not installed" in done.stderr
    assert "pip install 'veridical[train]'" in done.stderr


def test_a_calibration_needs_no_extra(
    tiny_model: Path, painter: Callable[..., ndarray], tmp_path: Path
) -> None:
    names = ("reals", "ai")
    for shade, name in enumerate(names):
        (tmp_path / name).mkdir()
        for seed in range(10):
            pixels = painter(96, 96, (16, 16, 64, 64), seed=100 * shade + seed)
            Image.fromarray(pixels).save(tmp_path / name / f"{seed}.png")
    # No detector takes a drawn face for one, so the frame stands for it.
    code = BLOCKER + (
        "from functools import partial\n"
        "from veridical.cli.main import main\n"
        "from veridical.detector import Detector\n"
        "look = Detector.logits\n"
        "Detector.logits = lambda self, path: look(self, path, whole_image=True)\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
    )
    done = base(
        code, "calibrate", tiny_model, "--reals", tmp_path / "reals", "--fpr", "0.1",
        "--ai", tmp_path / "ai", "--out", tmp_path / "new",
    )  # fmt: skip
    assert "Slope and intercept were fitted again" in done.stdout or "not swapped" in done.stderr
    alone = base(
        code, "calibrate", tiny_model, "--reals", tmp_path / "reals", "--fpr", "0.1",
        "--out", tmp_path / "alone",
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    assert "10 real ones in 'reals'" in alone.stdout


def test_audit_says_which_extra_it_needs(portrait: Path, tmp_path: Path) -> None:
    for label in ("real", "ai"):
        (tmp_path / "data" / label).mkdir(parents=True)
        (tmp_path / "data" / label / "1.jpg").write_bytes(portrait.read_bytes())
    done = base(CLI, "audit", tmp_path / "data")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "'sklearn' and 'imagehash' are needed to audit pictures" in done.stderr
    assert "pip install 'veridical[train]'" in done.stderr


def test_importing_veridical_wakes_neither_torch_nor_onnxruntime() -> None:
    code = "import sys, veridical\nprint([m for m in ('torch', 'onnxruntime') if m in sys.modules])"
    done = base(code)
    assert (done.returncode, done.stdout.strip()) == (0, "[]")
