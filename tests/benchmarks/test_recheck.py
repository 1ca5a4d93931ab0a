"""The cost of the re-check: the folder is what it says, and withdrawn verdicts are counted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.recheck import (
    DEFAULT,
    EVERY,
    SHARES,
    WITHOUT,
    costs,
    decided,
    folder,
    page,
    rechecked,
    verdicts,
)
from PIL import Image

from tests.benchmarks.made import cells, sample
from tests.conftest import calibration, with_parts
from veridical.arrays import UInt8, ndarray
from veridical.detector import Detector
from veridical.io.decode import Photo
from veridical.io.samples import Label
from veridical.io.source import open_source
from veridical.judging import FaceJudge
from veridical.report import Decision
from veridical.scoring import FaceScore
from veridical.vision.perturb import Perturbation
from veridical.vision.prepare import Seen

SURE = calibration(0.5, 0.5, slope=1e-3, intercept=20.0)


def test_a_folder_has_the_share_that_it_should_have() -> None:
    labels: tuple[Label, ...] = ("ai", "real")
    samples = [sample(f"{label} {i}", label) for label in labels for i in range(50)]
    for share in SHARES:
        found = folder(samples, 40, share)
        assert len({one.path for one in found}) == 40
        assert sum(one.label == "ai" for one in found) == 40 * share
        assert found == folder(samples, 40, share)


@pytest.fixture
def portrait(face_picture: UInt8[ndarray, "height width 3"], tmp_path: Path) -> Path:
    path = tmp_path / "portrait.png"
    Image.fromarray(face_picture).save(path)
    return path


@pytest.mark.parametrize("fixture", ["tiny_detector", "wide_detector"])
def test_copies_are_judged_as_the_detector_does(
    fixture: str, request: pytest.FixtureRequest, portrait: Path
) -> None:
    detector = with_parts(request.getfixturevalue(fixture), calibration=SURE)
    branches = tuple(
        replace(one, ood=replace(one.ood, limit=1e9)) for one in detector.parts.branches
    )
    detector = with_parts(detector, branches=branches)
    file = open_source(portrait)
    (face,) = decided(detector.inspect(file))
    assert face.verdict is not None
    assert face.verdict.stability is not None
    plain = replace(face, verdict=replace(face.verdict, stability=None))
    assert rechecked(detector, file, plain) == (face.verdict, face.reasons)
    large = with_parts(detector, min_face_px=face.box.size_px * 2)
    assert rechecked(large, file, plain) == (plain.verdict, plain.reasons)


def test_withdrawn_verdicts_are_those_of_the_detector(
    tiny_detector: Detector, portrait: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = with_parts(tiny_detector, calibration=SURE)
    pictures = [sample(str(portrait), "real")]
    (kept,) = verdicts(detector, pictures, tmp_path / "one.jsonl")
    assert kept["faces"] == [{"decision": "ai", "withdrawn": False}]
    copy = FaceJudge._copy

    def real(self: FaceJudge, photo: Photo, seen: Seen, how: Perturbation) -> FaceScore:
        own = copy(self, photo, seen, how)
        low = [replace(one, logits=np.full_like(one.logits, -1e9)) for one in own.forwards]
        return replace(own, forwards=tuple(low))

    monkeypatch.setattr(FaceJudge, "_copy", real)
    assert detector.inspect(portrait).decision is Decision.UNDECIDED
    (changed,) = verdicts(detector, pictures, tmp_path / "other.jsonl")
    assert changed["faces"] == [{"decision": "ai", "withdrawn": True}]


def test_every_way_is_timed_in_every_round(tiny_detector: Detector, portrait: Path) -> None:
    taken = costs(tiny_detector, [sample(str(portrait), "real")], 2)
    assert list(taken) == [WITHOUT, DEFAULT, EVERY]
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in taken.values())
    assert replace(tiny_detector, perturbations=()).perturbations == ()


def test_the_page_gives_costs_and_withdrawn_verdicts() -> None:
    found = {0.1: {WITHOUT: [2.0, 2.0], DEFAULT: [2.2, 2.4], EVERY: [6.0, 6.0]}}
    told = [
        {"label": "real", "faces": [{"decision": "ai", "withdrawn": True}]},
        {"label": "ai", "faces": [{"decision": "ai", "withdrawn": False}]},
        {"label": "real", "faces": [{"decision": "real", "withdrawn": True}]},
    ]
    text = page(found, {0.1: 10}, told, "val")
    (line,) = (line for line in text.splitlines() if line.startswith("| 10 % of 10 |"))
    assert line.endswith("| 1.15x (1.10 to 1.20) | 3.00x (3.00 to 3.00) |")
    assert cells(text, "`ai`")[1:] == ["1 of 1", "0 of 1"]
    assert cells(text, "`real`")[1:] == ["1 of 1", "0 of 0"]
    assert text.endswith("Met.")
