"""The same bytes and the same model give the same reports (tests/golden/reports.json).

After a change of the model, or one that is meant to change reports, write the file anew:

    python -m tests.test_golden

Processors may round differently, so the test allows one part in ten thousand. With VNNI they differ
by more, since the last digit of a float moves a rounding to bytes: there, a file of its own is held
(tests/golden/reports-vnni.json), with the same decisions on pictures. Write both.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import paint_faces, paint_gradient
from veridical.arrays import ndarray
from veridical.detector import Detector
from veridical.explain.face import ExplainConfig
from veridical.vision import runtime

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "golden"
NAMES = ("reports.json", "reports-vnni.json")
PATH = FOLDER / NAMES[not runtime.saturates()]
GOLDEN: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))


def montage(paths: list[Path], side: int, across: int) -> ndarray:
    rows = -(-len(paths) // across)
    canvas = Image.new("RGB", (side * across, side * rows), (90, 100, 110))
    for n, path in enumerate(paths):
        with Image.open(path) as image:
            small = image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
        canvas.paste(small, ((n % across) * side, (n // across) * side))
    return np.asarray(canvas)


def picture(name: str) -> Any:
    if name.startswith("examples/"):
        return (ROOT / name).read_bytes()
    crowd = ((50, 50, 150, 200), (300, 200, 100, 120), (600, 300, 60, 70))
    return {
        "painted-face": lambda: paint_faces(480, 640, (200, 100, 200, 260)),
        "painted-crowd": lambda: paint_faces(600, 800, *crowd, seed=3),
        "gradient": lambda: paint_gradient(300, 400, seed=1),
        "montage-300": lambda: montage(EXAMPLES, 300, 3),
        "montage-120": lambda: montage(EXAMPLES, 120, 3),
        "pair": lambda: montage([EXAMPLES[0], EXAMPLES[3]], 500, 2),
        "reals": lambda: montage(EXAMPLES[3:6], 400, 3),
        "tiny": lambda: montage([EXAMPLES[0], EXAMPLES[3]], 60, 2),
    }[name]()


def assert_same(new: Any, old: Any, where: str) -> None:
    if isinstance(old, dict):
        assert new.keys() == old.keys(), where
        for key in old:
            assert_same(new[key], old[key], f"{where}.{key}")
    elif isinstance(old, list):
        assert len(new) == len(old), where
        for at, (one, other) in enumerate(zip(new, old, strict=True)):
            assert_same(one, other, f"{where}[{at}]")
    elif isinstance(old, float):
        assert new == pytest.approx(old, rel=1e-4, abs=1e-6), where
    else:
        assert new == old, where


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(threads=1)


def report_on(name: str, detector: Detector) -> dict[str, Any]:
    """Return the report without the program's version."""
    plain = name.removesuffix(" whole")
    report = detector.inspect(picture(plain), whole_image=plain != name, cues=True).to_dict()
    return {key: value for key, value in report.items() if key != "version"}


def explanation_of(name: str, detector: Detector) -> dict[str, Any]:
    report = detector.inspect(picture(name), explain=ExplainConfig(occlude=(64, 64))).to_dict()
    found = report["faces"][report["lead_index"]]["explanation"]
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN["reports"])
def test_reports_are_what_they_were(name: str, detector: Detector) -> None:
    assert_same(report_on(name, detector), GOLDEN["reports"][name], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN["explanations"])
def test_explanations_are_what_they_were(name: str, detector: Detector) -> None:
    assert_same(explanation_of(name, detector), GOLDEN["explanations"][name], name)


def test_kinds_of_processors_give_one_decision_and_no_contradiction() -> None:
    one, other = (json.loads((FOLDER / name).read_text("utf-8"))["reports"] for name in NAMES)
    assert one.keys() == other.keys()
    for name, report in one.items():
        assert report["decision"] == other[name]["decision"], name
        for face, same in zip(report["faces"], other[name]["faces"], strict=True):
            assert {face["decision"], same["decision"]} != {"ai", "real"}, name


if __name__ == "__main__":
    loaded = Detector.load(threads=1)
    made = {
        "reports": {name: report_on(name, loaded) for name in GOLDEN["reports"]},
        "explanations": {name: explanation_of(name, loaded) for name in GOLDEN["explanations"]},
    }
    PATH.write_text(json.dumps(made) + "\n", encoding="utf-8")
