"""A model folder as the parts of a detector, and back."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Painter, with_parts
from veridical.assembly import Parts, assemble, disassemble, head_to, spec_of, with_samples
from veridical.detector import Detector
from veridical.errors import ModelDamaged, ModelError, ModelMissing
from veridical.explain.surrogate import Surrogate
from veridical.infer.head import SampledHead
from veridical.io.formats import Limits
from veridical.io.model import BACKBONE, CARD, TENSORS, read_model, write_model
from veridical.vision.backbone import Backbone


def sampled(width: int, samples: int = 11) -> SampledHead:
    draw = np.random.default_rng(0)
    return SampledHead(
        mean=draw.normal(size=width).astype(np.float32),
        scale=draw.uniform(0.5, 2, width).astype(np.float32),
        directions=draw.normal(size=(3, width)).astype(np.float32),
        weight=draw.normal(size=(samples, 3)).astype(np.float32),
        bias=draw.normal(size=samples).astype(np.float32),
    )


def a_surrogate(parts: Parts) -> Surrogate:
    draw, spec = np.random.default_rng(0), parts.spec
    return Surrogate(
        share=0.5,
        weight=draw.normal(size=(len(spec.layers), spec.dim)).astype(np.float32),
        base=draw.normal(size=(spec.grid, spec.grid)),
    )


def through_disk(parts: Parts, model: Path, folder: Path) -> Parts:
    """Write the parts beside the graph of a model, and read them again."""
    card, tensors, explainer = disassemble(parts)
    write_model(folder, card, tensors, model / BACKBONE, explainer)
    return assemble(read_model(folder))


# --- there and back ----------------------------------------------------------------------------


def test_a_loaded_model_is_the_one_that_was_written(
    tiny_detector: Detector, tiny_model: Path, painter: Painter
) -> None:
    loaded = Detector.load(tiny_model, threads=1, limits=Limits(max_bytes=10**6))
    assert isinstance(loaded.backbone, Backbone)
    assert loaded.limits.max_bytes == 10**6
    loaded = replace(loaded, finder=tiny_detector.finder)
    for seed in range(2):
        picture = painter(64, 80, (12, 12, 40, 40), seed=seed)
        report = replace(loaded.inspect(picture), model=tiny_detector.model)
        assert report == tiny_detector.inspect(picture)


def test_parts_taken_apart_and_put_together_are_the_same(
    tiny_detector: Detector, tiny_model: Path, tmp_path: Path
) -> None:
    parts = replace(tiny_detector.parts, surrogate=a_surrogate(tiny_detector.parts))
    again = through_disk(parts, tiny_model, tmp_path / "m")
    for name in ("spec", "crop", "pooling", "calibration", "min_face_px"):
        assert getattr(again, name) == getattr(parts, name)
    assert again.surrogate is not None
    assert parts.surrogate is not None
    assert again.surrogate.share == parts.surrogate.share
    np.testing.assert_array_equal(again.surrogate.weight, parts.surrogate.weight)
    np.testing.assert_array_equal(again.surrogate.base, parts.surrogate.base)
    assert (again.ood.residual, again.ood.limit) == (parts.ood.residual, parts.ood.limit)
    features = np.linspace(-1, 1, len(parts.head.mean), dtype=np.float32)
    assert again.ood.distance(features) == parts.ood.distance(features)
    np.testing.assert_array_equal(
        again.head.forward(features).logits, parts.head.forward(features).logits
    )


def test_a_model_without_a_surrogate_has_none(tiny_model: Path) -> None:
    assert assemble(read_model(tiny_model)).surrogate is None


def test_a_head_of_drawn_samples_travels_too(
    tiny_detector: Detector, tiny_model: Path, tmp_path: Path
) -> None:
    head = sampled(len(tiny_detector.parts.head.mean))
    again = through_disk(replace(tiny_detector.parts, head=head), tiny_model, tmp_path / "m").head
    assert isinstance(again, SampledHead)
    features = np.linspace(-1, 1, len(head.mean), dtype=np.float32)
    np.testing.assert_array_equal(again.forward(features).logits, head.forward(features).logits)
    assert head_to(again)[0] == {"posterior": "samples", "samples": 11}


def test_the_spec_of_a_card_is_the_backbone_s(tiny_detector: Detector, tiny_model: Path) -> None:
    assert spec_of(read_model(tiny_model).card) == tiny_detector.parts.spec


# --- samples -----------------------------------------------------------------------------------


def test_the_number_of_samples_of_a_dropout_head_can_be_changed(tiny_model: Path) -> None:
    assert Detector.load(tiny_model, samples=7).parts.head.samples == 7
    assert Detector.load(tiny_model).parts.head.samples == 50


def test_of_drawn_samples_the_first_are_taken_and_no_more_than_there_are() -> None:
    head = sampled(5)
    fewer = with_samples(head, 4)
    features = np.ones(5, np.float32)
    np.testing.assert_array_equal(fewer.forward(features).logits, head.forward(features).logits[:4])
    with pytest.raises(ModelError, match="12 posterior samples were asked for") as caught:
        with_samples(head, 12)
    assert "at most 11" in caught.value.hint


# --- what is refused ---------------------------------------------------------------------------


def test_a_missing_model_is_named(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelMissing, match=r"no model folder at .*nowhere"):
        Detector.load(tmp_path / "nowhere")
    for name in (CARD, TENSORS, BACKBONE):
        copy = tmp_path / f"without {name}"
        shutil.copytree(tiny_model, copy)
        (copy / name).unlink()
        with pytest.raises(ModelMissing, match=f"has no {name}"):
            Detector.load(copy)


def harmed(model: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a model whose card was edited by hand."""
    shutil.copytree(model, folder)
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(card))
    return folder


HARM: dict[str, Callable[[dict[str, Any]], object]] = {
    "no calibration": lambda card: card.pop("calibration"),
    "calibration in words": lambda card: card.update(calibration="good"),
    "a slope that swaps the classes": lambda card: card["calibration"].update(slope=-1.0),
    "a slope that is none": lambda card: card["calibration"].update(slope=float("nan")),
    "a slope in words": lambda card: card["calibration"].update(slope="steep"),
    "coverage in per cent": lambda card: card["calibration"].update(coverage_of_ai=90),
    "no coverage of a class": lambda card: card["calibration"].pop("coverage_of_reals"),
    "a threshold in words": lambda card: card["calibration"].update(threshold_real="high"),
    "a threshold that is no share": lambda card: card["calibration"].update(threshold_ai=7.0),
    "one number too many": lambda card: card["calibration"].update(offset=1),
    "no backbone": lambda card: card.pop("backbone"),
    "another pooling": lambda card: card.update(pooling=["mean"]),
    "unknown pooling": lambda card: card.update(pooling=["cls", "median"]),
    "another size of crops": lambda card: card["crop"].update(size_px=16),
    "an unknown posterior": lambda card: card["head"].update(posterior="gaussian"),
    "other layers": lambda card: card["head"]["layers"].pop(),
    "too few samples": lambda card: card["head"].update(samples=1),
    "a size in words": lambda card: card.update(min_face_px="small"),
}


@pytest.mark.parametrize("kind", HARM)
def test_a_card_that_was_tampered_with_is_refused(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    folder = harmed(tiny_model, tmp_path / "model", HARM[kind])
    with pytest.raises(ModelDamaged, match="does not fit together") as caught:
        Detector.load(folder)
    assert str(folder) in caught.value.message
    assert caught.value.hint


def test_a_class_token_that_the_backbone_has_not_is_refused(
    tiny_model: Path, tmp_path: Path
) -> None:
    folder = harmed(
        tiny_model, tmp_path / "model", lambda card: card["backbone"].update(has_cls=False)
    )
    with pytest.raises(ModelDamaged, match="class token"):
        Detector.load(folder)


def test_a_surrogate_of_another_grid_is_refused(
    tiny_detector: Detector, tiny_model: Path, tmp_path: Path
) -> None:
    wrong = replace(a_surrogate(tiny_detector.parts), base=np.zeros((3, 3)))
    parts = with_parts(tiny_detector, surrogate=wrong).parts
    with pytest.raises(ModelDamaged, match="a surrogate of"):
        through_disk(parts, tiny_model, tmp_path / "m")


@pytest.mark.parametrize("name", [TENSORS, BACKBONE])
def test_a_file_that_is_not_the_card_s_is_refused(
    tiny_model: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    with (folder / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelDamaged, match=f"{name} has SHA-256"):
        Detector.load(folder)
