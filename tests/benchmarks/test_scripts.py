"""What rebuilds the model and its figures runs from end to end, on a handful of pictures."""

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from veridical.assembly import default_model
from veridical.detector import Detector
from veridical.explain.surrogate import Surrogate
from veridical.report import Report
from veridical.train.explainer import FittedSurrogate

pytest.importorskip("torch")
pytest.importorskip("scipy")

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.jpg"))
COLUMNS = ("path", "split", "label", "source", "generator", "group")


def variants(path: Path) -> Iterator[Image.Image]:
    """Yield pictures that are unlike enough to count as different ones: 12 of each example."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    image.thumbnail((320, 320))
    for turn in range(12):
        draw = np.random.default_rng(turn)
        width, height = image.size
        cut = tuple((draw.uniform(0, 0.08, 4) * (width, height, width, height)).astype(int))
        one = image.crop((cut[0], cut[1], width - cut[2], height - cut[3]))
        one = ImageOps.mirror(one) if turn % 2 else one
        yield Image.fromarray((np.asarray(one) * draw.uniform(0.6, 1)).astype(np.uint8))


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest over variants of the example pictures, split by example."""
    folder = tmp_path_factory.mktemp("album")
    rows = []
    for path in EXAMPLES:
        label = "ai" if path.name.startswith("ai") else "real"
        generator = "stylegan1" if label == "ai" else ""
        for number, picture in enumerate(variants(path)):
            name = f"{path.stem}-{number}.png"
            picture.save(folder / name)
            split = "val" if number < 2 else "train"
            # Group by group of two: enough independent ones for every part of a fit.
            group = f"{path.stem}-{number // 2}"
            rows.append((name, split, label, path.stem, generator, group))
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return manifest


def run(*arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not default_model().is_dir(), reason="there is no default model")
def test_the_default_model_can_be_rebuilt_and_measured(album: Path, tmp_path: Path) -> None:
    model, work = tmp_path / "model", tmp_path / "work"
    before = (default_model() / "card.json").read_bytes()
    quick = ("--out", model, "--work", work, "--splits", "val", "--quick")
    run("-m", "scripts.make_default_model", album, *quick)
    answer = Detector.load(model).inspect(EXAMPLES[0])
    assert isinstance(answer, Report)
    measured = json.loads((model / "card.json").read_text())["measured"]["val"]
    assert "auroc" in measured
    assert sum(one["pictures"] for one in measured["sources"]) == (
        measured["n_real"] + measured["n_ai"]
    )
    assert (default_model() / "card.json").read_bytes() == before


def test_a_smoke_test_is_never_written_into_the_package(album: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.make_default_model", str(album), "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--out" in done.stderr


def test_every_crop_gets_its_surrogate_and_the_model_stays_the_same(
    wide_model: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(wide_model, model)
    before = Detector.load(model)
    spec, names = before.backbone.spec, ("face", "context")
    fitted = {
        name: FittedSurrogate(
            surrogate=Surrogate(
                share=share,
                weight=np.zeros((len(spec.layers), spec.dim), np.float32),
                base=np.zeros((spec.grid, spec.grid)),
            ),
            pictures=12,
            sets=8,
            penalty=1.0,
            correlation=0.3,
            of_contributions=0.2,
        )
        for name, share in zip(names, (0.25, 0.75), strict=True)
    }
    import_module("scripts.make_explainer").put(model, fitted)
    after = Detector.load(model)
    assert after.model == before.model
    assert [one.surrogate and one.surrogate.share for one in after.parts.branches] == [0.25, 0.75]
    assert [after.card["explainer"][name]["pictures"] for name in names] == [12, 12]


@pytest.mark.slow
def test_the_worth_of_the_cues_can_be_measured_anew(tmp_path: Path) -> None:
    """On the examples in their own size: the cues are not applicable to small faces."""
    album = tmp_path / "manifest.csv"
    rows = []
    for path in EXAMPLES:
        label = path.name.partition("-")[0]
        with Image.open(path) as image:
            ImageOps.mirror(image).save(tmp_path / f"{path.stem}.png")
        for name, split in ((str(path.resolve()), "train"), (f"{path.stem}.png", "val")):
            rows.append((name, split, label, path.stem, "made" if label == "ai" else "", name))
    with album.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    fitted = ROOT / "src" / "veridical" / "cues" / "fitted.json"
    kept = fitted, ROOT / "docs" / "cues.md"
    before = [path.read_bytes() for path in kept]
    first = run("-m", "scripts.make_cues", album, "--work", tmp_path, "--quick")
    assert "| spectrum |" in first
    assert [path.read_bytes() for path in kept] == before
    (cache,) = tmp_path.glob("cues-*.jsonl")
    lines = cache.read_text().splitlines()
    second = run("-m", "scripts.make_cues", album, "--work", tmp_path, "--quick")
    assert cache.read_text().splitlines() == lines  # all was remembered
    assert second == first
