import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from tests.cli.conftest import Album, Run, clean_error, invoke, lines, written
from veridical.detector import Detector
from veridical.io.model import CARD
from veridical.train import make

# `make` is loaded here: first loaded under a patch, it would keep the patch for good.


@pytest.fixture(scope="module")
def cache(tiny_export: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the tiny ViT is exported already."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "backbones").symlink_to(tiny_export("vit").path.parent)
    return folder


@pytest.fixture
def train(
    cache: Path,
    tiny_vit: Callable[[str], Path],
    tiny_detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Run:
    """Run `train` with a tiny ViT and a finder that sees one face in every picture."""
    monkeypatch.setattr(make, "FaceFinder", lambda *_options: tiny_detector.finder)
    options = ("--out", tmp_path / "out", "--cache", cache, "--views", 1)

    def train(data: Path, *arguments: object, backbone: Path | None = None) -> Result:
        return invoke(
            "train", data, *options, "--backbone", backbone or tiny_vit("vit"), *arguments
        )

    return train


def test_a_folder_with_one_class_is_refused(train: Run, album: Album) -> None:
    clean_error(train(album(real=3, ai=0)), "3 real and 0 AI-generated")


def test_epochs_are_for_recipes_that_have_them(train: Run, album: Album) -> None:
    result = train(album(real=1, ai=1), "--epochs", 2)
    assert result.exit_code == 2
    assert "closed form" in result.output


def test_too_few_pictures_are_refused(train: Run, album: Album, tmp_path: Path) -> None:
    clean_error(train(album(real=1, ai=1)), "at least 20", "1 real and 1 AI-generated")
    assert not (tmp_path / "out" / CARD).exists()


def test_an_empty_folder_is_refused(train: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    clean_error(train(tmp_path / "data"), "no sub-folders that hold pictures")
    clean_error(train(tmp_path / "nowhere"), "nothing is there")


def test_if_all_pictures_are_corrupt_it_is_said(train: Run, album: Album) -> None:
    data = album(real=20, ai=20)
    for path in data.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:200])
    clean_error(train(data), "40 pictures came", "40 cannot be read")


def test_class_names_that_do_not_say_what_they_are_are_asked_about(
    train: Run, album: Album
) -> None:
    data = album(a=1, b=1)
    clean_error(train(data), "not plainly real or AI-generated", "'a'", "'b'")
    clean_error(train(data, "--real", "c"), "'c' was named as the real class")
    clean_error(train(data, "--real", "a", "--ai", "b"), "at least 20")


def no_vit(kind: str, folder: Path) -> Path:
    transformers = pytest.importorskip("transformers")
    if kind == "resnet":
        config = transformers.ResNetConfig(
            embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"
        )
        transformers.ResNetModel(config).save_pretrained(folder)
    elif kind == "bert":
        config = transformers.BertConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=16,
            vocab_size=50,
        )
        transformers.BertModel(config).save_pretrained(folder)
    else:
        folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("resnet", "a Vision Transformer with a square grid"),
        ("bert", "a Vision Transformer with a square grid"),
        ("empty", "could not be loaded"),
    ],
)
def test_a_backbone_that_is_no_vision_transformer_is_refused(
    train: Run, album: Album, tmp_path: Path, kind: str, says: str
) -> None:
    data = album(real=20, ai=20)
    clean_error(train(data, backbone=no_vit(kind, tmp_path / kind)), says, kind)


@pytest.mark.slow
def test_a_confound_is_named_by_audit_and_refused_by_train_unless_allowed(
    audit: Run, train: Run, album: Album
) -> None:
    data = album(real=48, ai=48)  # some are near-duplicates
    for path in (data / "real").iterdir():
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    named = "AI pictures are PNG (100 %), real ones JPEG (100 %): re-encode both classes alike"
    told = audit(data)
    assert told.exit_code == 0
    assert named in told.stdout
    assert "stops training" in told.stdout
    entry = json.loads(audit(data, "--json").stdout)
    assert (entry["schema"], entry["real"], entry["ai"]) == ("veridical.audit/1", 48, 48)
    assert entry["findings"][0]["refuses"]
    clean_error(train(data), "without looking at a face", named)
    made = train(data, "--allow-confounds")
    assert made.exit_code == 0, made.output
    assert (
        "audit: the file as delivered tells the classes apart with an AUROC of 1.00" in made.stderr
    )


@pytest.mark.slow
def test_so_many_pictures_of_each_source_are_used(train: Run, album: Album, tmp_path: Path) -> None:
    data = album(real=24, ai=24)
    made = train(data, "--per-source", 21)
    assert made.exit_code == 0, made.output
    card = json.loads((tmp_path / "out" / CARD).read_text())
    assert [source["pictures"] for source in card["trained_on"]["sources"]] == [21, 21]


@pytest.mark.slow
def test_what_is_trained_can_inspect_and_be_measured(
    train: Run, album: Album, run: Run, tmp_path: Path
) -> None:
    data = album(real=24, ai=24)
    broken = data / "ai" / "a\x1b[31m.png"
    broken.write_bytes(b"")
    Image.new("RGB", (50, 50)).save(data / "real" / "small.png")
    made = train(data, "--jobs", 2)
    assert made.exit_code == 0, made.output
    assert "calibrated on" in made.stdout
    assert "audit: too few to audit" in made.stderr
    assert rf"left out: {data}/ai/a\x1b[31m.png: zero bytes came." in made.stderr
    assert f"left out: {data}/real/small.png: the face is under 40 px" in made.stderr
    out = tmp_path / "out"
    (entry,) = lines(invoke("inspect", "--json", "--model", out, data / "real" / "0.png"))
    assert entry["p_ai"] is not None
    results = tmp_path / "results"
    measured = invoke("evaluate", out, data, "--out", results, "--resamples", 100)
    assert measured.exit_code == 0, measured.output
    assert {"evaluation.md", "evaluation.json"} <= set(written(results))
    assert str(results / "evaluation.md") in measured.stdout
