"""Reports are what they were before the program was rearranged (tests/golden/reports.json).

The file was made by the commit that it names, in the shape of JSON that was published then.
`as_before` writes a report in that shape: it is the table of renamed fields in CHANGELOG.md, as
code. One thing may differ: a real face is not checked again in perturbed copies.

On the machine where the file was made every number is equal to the bit. Other processors may round
otherwise, so the test allows one part in ten thousand.
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
from veridical.report import Report

ROOT = Path(__file__).parent.parent
GOLDEN: dict[str, Any] = json.loads((ROOT / "tests" / "golden" / "reports.json").read_text())
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


def as_before(report: Report) -> dict[str, Any]:
    new = report.to_dict()
    same = ("sha256", "decision", "p_ai", "interval", "reasons", "coverage", "coverage_of_reals")
    also = ("coverage_of_ai", "level", "prior", "width", "height", "steps")
    return {
        **{name: new[name] for name in (*same, *also)},
        "faces": [_face_before(face) for face in new["faces"]],
    }


def _face_before(face: dict[str, Any]) -> dict[str, Any]:
    verdict = face["verdict"] or {}
    numbers = ("p_ai", "interval", "std", "total", "aleatoric", "epistemic", "distance")
    stability = verdict.get("stability")
    return {
        "box": face["box"],
        "landmarks": face["landmarks"],
        "detection": face["confidence"],
        "decision": face["decision"],
        **{name: verdict.get(name) for name in numbers},
        "reasons": face["reasons"],
        "stability": stability
        and {
            "copies": [
                {"name": name, "p_ai": p}
                for name, p in zip(stability["perturbations"], stability["p_ai"], strict=True)
            ],
            "low": min(stability["p_ai"]),
            "high": max(stability["p_ai"]),
        },
        "cues": face["readings"]
        and [
            {"cue": one["cue"], "silent": True}
            if "why" in one
            else {
                "cue": one["cue"],
                "silent": None,
                "statistics": one["statistics"],
                "llr": one["llr"],
            }
            for one in face["readings"]
        ],
    }


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


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN["reports"])
def test_reports_are_what_they_were(name: str, detector: Detector) -> None:
    old = dict(GOLDEN["reports"][name])
    del old["model"]  # its card has new names for the same numbers
    for face in old["faces"]:
        if face["decision"] == "real":
            face["stability"] = None
    plain = name.removesuffix(" whole")
    report = detector.inspect(picture(plain), whole_image=plain != name, cues=True)
    assert_same(as_before(report), old, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN["explanations"])
def test_explanations_are_what_they_were(name: str, detector: Detector) -> None:
    old = GOLDEN["explanations"][name]
    report = detector.inspect(picture(name), explain=ExplainConfig(occlude=(64, 64)))
    assert report.lead is not None
    found = report.lead.explanation
    assert found is not None
    assert found.faithfulness is not None
    assert found.occlusion is not None
    new = {
        "patches": found.patches.tolist(),
        "forward_passes": found.forward_passes,
        "trust": {
            "deletion": found.faithfulness.deletion,
            "insertion": found.faithfulness.insertion,
            "rivals": found.faithfulness.n_random,
            "beaten": found.faithfulness.n_beaten,
            "holds": found.faithfulness.passed,
        },
        "contributions": found.contributions.patches.tolist(),
        "logit": found.contributions.logit,
        "occlusion": {"max": found.occlusion.largest, "at": list(found.occlusion.at)},
        "channels": [{"index": one.index, "importance": one.importance} for one in found.channels],
    }
    assert_same(new, old, name)
