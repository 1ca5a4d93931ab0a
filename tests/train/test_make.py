import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from PIL import Image

from veridical.arrays import ndarray
from veridical.detector import Detector
from veridical.engines import Serial, Threads
from veridical.errors import (
    Confounded,
    ModelDamaged,
    ModelMissing,
    NotAViT,
    OneClassOnly,
    TooFewPhotos,
)
from veridical.explain.face import ExplainConfig
from veridical.io.model import BACKBONE, CARD, EXPLAINER, TENSORS, read_model
from veridical.io.samples import Label, Sample
from veridical.report import Decision, Report
from veridical.stats.metrics import auroc
from veridical.train import covering, make, prepare
from veridical.train.audit_files import record
from veridical.train.covering import SETS
from veridical.train.folds import FOLDS
from veridical.train.make import Trained, train
from veridical.train.recipes import DEFAULT, REFERENCE
from veridical.vision.backbone import OnnxBackbone

pytest.importorskip("torch")
pytest.importorskip("sklearn")

Painter = Callable[..., ndarray]
QUICK = replace(DEFAULT, views=2, epochs=8, learning_rate=3e-3, batch=16)
BRIEF = replace(QUICK, epochs=1, explained=0)
SOURCES = 3
Make = Callable[..., Trained]


def paint(painter: Painter, seed: int, label: Label) -> Image.Image:
    """The colours of generated pictures are turned round."""
    pixels = painter(96, 96, (16.0, 16.0, 64.0, 64.0), seed=seed)
    return Image.fromarray(255 - pixels if label == "ai" else pixels)


@pytest.fixture(scope="module")
def samples(painter: Painter, tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    folder = tmp_path_factory.mktemp("album")
    found = []
    for seed in range(60):
        label: Label = "ai" if seed % 2 else "real"
        source = f"{label}-{seed // 2 % SOURCES}"
        path = folder / f"{seed}.png"
        paint(painter, seed, label).save(path)
        generator = source if label == "ai" else ""
        found.append(
            Sample(path=path, label=label, source=source, generator=generator, group=str(seed))
        )
    return found


@pytest.fixture(scope="module")
def cache(tiny_export: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the tiny ViT is exported already."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "backbones").symlink_to(tiny_export("vit").path.parent)
    return folder


@pytest.fixture(scope="module")
def make_model(
    samples: list[Sample], cache: Path, tiny_vit: Callable[[str], Path], tiny_detector: Detector
) -> Make:
    """Train on the album, with a finder that sees one face in every picture."""

    def make_model(out: Path, **changes: Any) -> Trained:
        options: dict[str, Any] = {
            "samples": samples,
            "backbone": str(tiny_vit("vit")),
            "recipe": QUICK,
            "engine": Threads(2),
            "cache": cache,
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(make, "FaceFinder", lambda _threads: tiny_detector.finder)
            given = options | changes
            return train(given.pop("samples"), out, **given)

    return make_model


@pytest.fixture(scope="module")
def trained(make_model: Make, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return make_model(tmp_path_factory.mktemp("trained") / "model", notes={"licence": "ours"})


def loaded(folder: Path, tiny_detector: Detector) -> Detector:
    return replace(Detector.load(folder, threads=1), finder=tiny_detector.finder)


# --- from pictures to verdicts ------------------------------------------------------------------


def test_a_trained_model_tells_new_pictures_apart(
    trained: Trained, tiny_detector: Detector, painter: Painter, tmp_path: Path
) -> None:
    detector = loaded(trained.folder.path, tiny_detector)
    labels: list[Label] = ["ai" if seed % 2 else "real" for seed in range(30)]
    for seed, label in enumerate(labels):
        paint(painter, 1000 + seed, label).save(tmp_path / f"{seed:02}.png")
    reports = list(detector.inspect_many(sorted(tmp_path.iterdir()), jobs=2))
    assert all(isinstance(report, Report) for report in reports)
    p = np.array([report.p_ai for report in reports if isinstance(report, Report)])
    truth = np.array([label == "ai" for label in labels])
    assert auroc(truth, p) > 0.9
    decided = [
        (report.decision, label)
        for report, label in zip(reports, labels, strict=True)
        if isinstance(report, Report) and report.decision is not Decision.UNDECIDED
    ]
    assert decided
    assert np.mean([decision.value == label for decision, label in decided]) > 0.9


def test_the_card_says_what_the_model_is_and_was_trained_on(
    trained: Trained, samples: list[Sample], tiny_export: Callable[[str], Any]
) -> None:
    card = json.loads((trained.folder.path / CARD).read_text())
    assert card["labels"] == {"positive": "ai", "negative": "real"}
    assert card["notes"] == {"licence": "ours"}
    assert card["seed"] == 0
    told = card["trained_on"]
    left_out = ("without_a_face", "with_too_small_a_face", "unreadable")
    assert [told[name] for name in ("pictures", *left_out)] == [60, 0, 0, 0]
    # Sources left out in turn calibrate, so that the head may be fitted on all pictures.
    assert told["parts"]["fit"] + told["parts"]["validation"] == 60
    assert told["parts"]["calibration"] == 60
    assert len(told["sources"]) == 2 * SOURCES
    assert {(one["label"], one["pictures"]) for one in told["sources"]} == {
        ("ai", 10),
        ("real", 10),
    }
    assert card["recipe"]["name"] == "default"
    assert [one["name"] for one in card["crops"]] == ["face", "context"]
    for one in card["crops"]:
        assert one["crop"]["size_px"] == card["backbone"]["image_px"] == 32
    assert [one["crop"]["margin"] for one in card["crops"]] == [1.3, 2.4]
    assert [one["crop"]["least_px"] for one in card["crops"]] == [32, 59]
    assert card["files"][BACKBONE] == tiny_export("vit").sha256
    for one in (card["fusion"], card["fast"]):
        assert one["overall"]["real"] == one["overall"]["ai"] == 30
    assert len(card["fusion"]["weights"][0]) == 2
    assert len(card["fast"]["weights"][0]) == 1
    assert card["calibrated_on"] == trained.fitted.calibrated_on
    assert trained.features.samples == tuple(samples)
    assert card["audit"] == json.loads(json.dumps(record(trained.audit)))
    assert (card["audit"]["real"], card["audit"]["ai"]) == (30, 30)


def test_the_same_seed_makes_the_same_model_from_the_cache(
    trained: Trained, make_model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(*_: object) -> None:
        raise AssertionError("everything is in the cache already")

    monkeypatch.setattr(OnnxBackbone, "tokens", blind)
    again = make_model(tmp_path / "again", notes={"licence": "ours"})
    for name in (TENSORS, BACKBONE, EXPLAINER):
        first, second = (one.folder.path / name for one in (trained, again))
        assert first.read_bytes() == second.read_bytes()
    assert again.folder.identity == trained.folder.identity
    other = make_model(tmp_path / "other", seed=1, recipe=BRIEF)
    assert other.folder.identity != trained.folder.identity


def test_a_trained_model_has_a_surrogate_of_each_crop_for_its_maps(trained: Trained) -> None:
    entries = trained.folder.card["explainer"]
    assert entries.keys() == {"face", "context", "sha256"}
    for entry in (entries["face"], entries["context"]):
        assert (entry["pictures"], entry["sets"]) == (60, SETS)
        assert -1 <= entry["correlation"] <= 1
    detector = Detector.load(trained.folder.path)
    one, other = (branch.surrogate for branch in detector.parts.branches)
    assert one is not None
    assert other is not None
    assert not np.array_equal(one.weight, other.weight)
    path, config = trained.features.samples[0].path, ExplainConfig(faithfulness=False)
    explanation = detector.inspect(path, whole_image=True, explain=config).faces[0].explanation
    assert explanation is not None
    assert explanation.method == "surrogate"
    assert np.isfinite(explanation.patches).all()


def test_a_recipe_may_explain_nothing(make_model: Make, tmp_path: Path) -> None:
    made = make_model(tmp_path / "model", recipe=BRIEF)
    assert "explainer" not in made.folder.card
    assert not (made.folder.path / EXPLAINER).exists()
    for branch in Detector.load(made.folder.path).parts.branches:
        assert branch.surrogate is None


def test_the_fast_way_of_a_trained_model_tells_pictures_apart_too(
    trained: Trained, tiny_detector: Detector, painter: Painter
) -> None:
    fast = replace(
        Detector.load(trained.folder.path, threads=1, fast=True), finder=tiny_detector.finder
    )
    labels: list[Label] = ["ai" if seed % 2 else "real" for seed in range(20)]
    reports = [
        fast.inspect(paint(painter, 1000 + seed, label)) for seed, label in enumerate(labels)
    ]
    assert {len(face.crops) for report in reports for face in report.faces} == {1}
    truth = np.array([label == "ai" for label in labels])
    assert auroc(truth, np.array([report.p_ai for report in reports])) > 0.9


def test_a_recipe_of_one_crop_makes_a_model_of_one(make_model: Make, tmp_path: Path) -> None:
    made = make_model(tmp_path / "model", recipe=replace(BRIEF, crops=(("face", 1.3),)))
    parts = Detector.load(made.folder.path).parts
    assert [branch.name for branch in parts.branches] == ["face"]
    assert (parts.fast, made.folder.card["fast"]) == (None, None)


# --- one decoding pass --------------------------------------------------------------------------


ONCE = replace(QUICK, explained=12, pseudo=("ai-0",))  # which the audit leaves to the features


@pytest.fixture
def empty_cache(cache: Path, tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "backbones").symlink_to((cache / "backbones").resolve())
    return tmp_path / "cache"


def test_audit_features_and_surrogate_decode_each_picture_once(
    make_model: Make,
    samples: list[Sample],
    empty_cache: Path,
    tmp_path: Path,
    decoded: Counter[str],
) -> None:
    made = make_model(tmp_path / "model", recipe=ONCE, cache=empty_cache)
    assert made.audit.given == 50  # of 60
    assert made.folder.card["explainer"]["context"]["pictures"] >= 10
    assert decoded == {sample.path.name: 1 for sample in samples}


@pytest.mark.parametrize(
    ("place", "name", "after"),
    [(prepare, "prepare", 20), (OnnxBackbone, "tokens", 35), (covering, "logit_drops_of", 5)],
    ids=["in the audit", "in the features", "in covering"],
)
def test_an_interrupted_run_goes_on_without_decoding_a_picture_again(
    make_model: Make,
    samples: list[Sample],
    empty_cache: Path,
    tmp_path: Path,
    decoded: Counter[str],
    place: Any,
    name: str,
    after: int,
) -> None:
    calls, call = Counter[str](), getattr(place, name)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls[name] += 1
        if calls[name] > after:
            raise KeyboardInterrupt
        return call(*arguments, **options)

    options: dict[str, Any] = {"recipe": ONCE, "cache": empty_cache, "engine": Serial()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_model(tmp_path / "model", **options)
    assert 20 <= decoded.total() <= 60
    before = decoded.copy()
    make_model(tmp_path / "model", **options)
    assert decoded == {sample.path.name: 1 for sample in samples}
    if name == "logit_drops_of":
        assert decoded == before


# --- the backbone of another model --------------------------------------------------------------


def test_the_backbone_of_a_model_is_taken_as_it_is(
    trained: Trained, make_model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "export", None)
    made = make_model(tmp_path / "second", backbone=str(trained.folder.path), recipe=BRIEF)
    assert made.folder.backbone.read_bytes() == trained.folder.backbone.read_bytes()
    for entry in ("backbone", "parity"):
        assert made.folder.card[entry] == trained.folder.card[entry]


@pytest.mark.parametrize(
    "other", [{"image_px": 64}, {"precision": "int8"}, {"recipe": REFERENCE}], ids=str
)
def test_a_backbone_that_is_not_what_was_asked_for_is_refused(
    trained: Trained, make_model: Make, tmp_path: Path, other: dict[str, Any]
) -> None:
    with pytest.raises(NotAViT, match="ask for another") as caught:
        make_model(tmp_path / "out", backbone=str(trained.folder.path), **other)
    assert "exported as needed" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "harm",
    [
        lambda card: card.pop("parity"),
        lambda card: card["parity"].pop("torch_onnx"),
        lambda card: card["parity"].pop("agreement_with_fp32"),
        lambda card: card.update(parity=[1]),
        lambda card: card.pop("backbone"),
        lambda card: card["backbone"].update(colour="red"),
    ],
)
def test_a_card_that_does_not_describe_its_backbone_is_damaged(
    trained: Trained, make_model: Make, tmp_path: Path, harm: Callable[[dict[str, Any]], None]
) -> None:
    other = tmp_path / "other"
    copytree(trained.folder.path, other)
    card = json.loads((other / CARD).read_text(encoding="utf-8"))
    harm(card)
    (other / CARD).write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ModelDamaged, match="does not say what its backbone is") as caught:
        make_model(tmp_path / "out", backbone=str(other))
    assert str(other) in caught.value.message
    assert not (tmp_path / "out").exists()


# --- what stops it ------------------------------------------------------------------------------


def stop(*_arguments: object, **_options: object) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["save_tensors", "json.dumps", "shutil.copyfile", "Path.rename"])
@pytest.mark.parametrize("before", [False, True], ids=["fresh", "over an old model"])
def test_an_interrupted_write_leaves_the_old_model_or_none(
    trained: Trained, make_model: Make, tmp_path: Path, before: bool, at: str
) -> None:
    out = tmp_path / "model"
    if before:
        copytree(trained.folder.path, out)
    with pytest.MonkeyPatch.context() as patch:
        if at == "Path.rename":
            patch.setattr(Path, "rename", stop)
        else:
            patch.setattr(f"veridical.io.model.{at}", stop)
        with pytest.raises(KeyboardInterrupt):
            make_model(out, seed=5, recipe=BRIEF)
    if before:
        assert read_model(out).identity == trained.folder.identity
    else:
        with pytest.raises(ModelMissing):
            read_model(out)
    # The cache has everything: a second attempt is short, and whole.
    assert make_model(out, seed=5, recipe=BRIEF).folder.identity == read_model(out).identity
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_too_few_pictures_are_counted_with_what_became_of_the_others(
    make_model: Make, samples: list[Sample], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n")
    few = [*samples[:41], replace(samples[1], path=broken)]
    with pytest.raises(TooFewPhotos) as caught:
        make_model(tmp_path / "out", samples=few[2:])
    assert "at least 20" in caught.value.message
    assert "20 real and 19 AI-generated" in caught.value.message
    assert "40 pictures came; 0 show no face, 0 only faces under 40 px" in caught.value.message
    assert "and 1 cannot be read" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_one_class_alone_is_refused_before_the_work(
    make_model: Make, samples: list[Sample], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.touch()
    torn = [one if one.label == "real" else replace(one, path=broken) for one in samples]
    with pytest.raises(OneClassOnly, match="there are 30 real and 0 AI-generated ones"):
        make_model(tmp_path / "out", samples=torn)


@pytest.mark.slow
def test_confounded_pictures_are_refused_before_any_feature_unless_allowed(
    make_model: Make,
    samples: list[Sample],
    painter: Painter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mixed = []
    for seed in range(90):  # more than in the album: some of that are near-duplicates
        one = samples[seed % 2]
        path = tmp_path / f"{seed}{'.jpg' if one.label == 'ai' else '.png'}"
        paint(painter, seed, one.label).save(path)
        mixed.append(replace(one, path=path, group=str(seed)))
    with monkeypatch.context() as patch:
        patch.setattr(OnnxBackbone, "tokens", stop)
        with pytest.raises(Confounded) as caught:
            make_model(tmp_path / "out", samples=mixed)
    assert "AI pictures are JPEG (100 %), real ones PNG (100 %)" in caught.value.message
    assert "`allow_confounds`" in caught.value.hint
    assert "--allow-confounds" in (caught.value.cli_hint or "")
    assert not (tmp_path / "out").exists()
    made = make_model(tmp_path / "out", samples=mixed, recipe=BRIEF, allow_confounds=True)
    (file, *_) = made.folder.card["audit"]["findings"]
    assert (file["probe"], file["stage"], file["refuses"]) == ("file", "raw", True)


def test_what_is_being_done_is_said(make_model: Make, tmp_path: Path) -> None:
    told: list[str] = []
    make_model(tmp_path / "out", recipe=BRIEF, say=told.append)
    assert told[0] == "Preparing the backbone"
    assert told[-1] == "Writing the model"
    assert "Fitting head 1 of 2" in told
    assert "Fitting head 2 of 2" in told
    assert f"Leaving sources out, 1 of {min(FOLDS, 2 * SOURCES)}" in told
