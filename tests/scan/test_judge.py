from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import AI, LARGE, MIDDLE, REAL, FakeFinder, Painter, see_through, squares
from veridical.detector import Detector
from veridical.scan.columns import COLUMNS
from veridical.scan.judge import DetectorMaker
from veridical.scan.phash import phash
from veridical.scan.plan import Item, plan

TWO = FakeFinder((LARGE, MIDDLE))


def test_rows_say_what_the_report_says(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(squares((LARGE, AI), (MIDDLE, REAL))).save(path)
    detector = see_through(TWO)
    (found,) = map(DetectorMaker(detector)(), plan([str(path)]))
    report = detector.inspect(path)
    assert found.picture["p_ai"] == report.p_ai
    assert found.picture["decision"] == report.decision
    assert found.picture["sha256"] == report.sha256
    assert found.picture["lead_face"] == 1
    assert found.picture["faces"] == len(found.faces) == 2
    for row, face in zip(found.faces, report.faces, strict=True):
        assert face.verdict
        assert (row["p_ai"], row["decision"]) == (face.verdict.p_ai, face.decision)
        assert (row["interval_low"], row["interval_high"]) == face.verdict.interval
        assert (row["left"], row["width"]) == (face.box.left, face.box.width)
    known = {table: {one.name for one in columns} for table, columns in COLUMNS.items()}
    assert found.picture.keys() <= known["pictures"]
    assert found.faces[0].keys() <= known["faces"]


def test_what_cannot_be_judged_is_a_row_with_the_kind_of_error(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture at all")
    judge = DetectorMaker(see_through(TWO))()
    kinds = {
        name: judge(Item(path=str(tmp_path / name))).picture["error_kind"]
        for name in ("empty.jpg", "text.jpg", "absent.jpg")
    }
    assert kinds == {
        "empty.jpg": "PhotoEmpty",
        "text.jpg": "NotAPhoto",
        "absent.jpg": "PhotoMissing",
    }
    (nothing,) = plan([str(tmp_path / "*.webp")])
    assert judge(nothing).picture["error_kind"] == "Source"


def test_a_fault_of_ours_costs_one_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: Any, **_options: Any) -> Any:
        raise ZeroDivisionError

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    monkeypatch.setattr(Detector, "inspect", broken)
    row = DetectorMaker(see_through(TWO))()(Item(path=str(tmp_path / "a.png"))).picture
    assert (row["decision"], row["error_kind"]) == ("failed", "Internal")
    assert "ZeroDivisionError" in row["error"]


def test_bytes_at_an_address_are_judged_like_those_of_a_file(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    Image.fromarray(squares((LARGE, AI), (MIDDLE, REAL))).save(tmp_path / "a.png")
    fsspec.filesystem("memory").pipe("/album/a.png", (tmp_path / "a.png").read_bytes())
    judge = DetectorMaker(see_through(TWO))()
    there, here = map(judge, [*plan(["memory://album/"]), *plan([str(tmp_path / "a.png")])])
    assert there.picture == here.picture
    gone = judge(Item(path="memory://album/b.png")).picture
    assert (gone["decision"], gone["error_kind"]) == ("failed", "PhotoUnreadable")


# --- the perceptual hash -------------------------------------------------------------------------


def bits(a: str, b: str) -> int:
    return (int(a, 16) ^ int(b, 16)).bit_count()


@pytest.mark.parametrize("seed", range(6))
def test_the_hash_is_that_of_imagehash(painter: Painter, seed: int) -> None:
    imagehash = pytest.importorskip("imagehash")
    pytest.importorskip("scipy")
    for side, most in ((90, 2), (700, 8)):
        image = Image.fromarray(painter(side, side + 31, (20, 20, 40, 50), seed=seed))
        assert bits(phash(image), str(imagehash.phash(image))) <= most


def test_copies_have_nearly_the_same_hash_and_others_have_not(
    painter: Painter, tmp_path: Path
) -> None:
    hashes = []
    for seed in range(8):
        image = Image.fromarray(painter(400, 300, (60, 80, 150, 180), seed=seed))
        image.save(tmp_path / "a.jpg", quality=60)
        small = image.resize((150, 200))
        own = phash(image)
        assert bits(own, phash(Image.open(tmp_path / "a.jpg").convert("RGB"))) <= 4
        assert bits(own, phash(small)) <= 4
        hashes.append(own)
    apart = [bits(a, b) for at, a in enumerate(hashes) for b in hashes[:at]]
    assert np.median(apart) > 12
