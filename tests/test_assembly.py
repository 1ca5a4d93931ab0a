"""A model folder as the parts of a detector, and back."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import WIDE, Painter, calibration, one_class, with_parts
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


def a_surrogate(parts: Parts, seed: int = 0) -> Surrogate:
    draw, spec = np.random.default_rng(seed), parts.spec
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
    wide_detector: Detector, wide_model: Path, tmp_path: Path
) -> None:
    first, second = wide_detector.parts.branches
    branches = (
        replace(first, surrogate=a_surrogate(wide_detector.parts)),
        replace(second, surrogate=a_surrogate(wide_detector.parts, seed=1)),
    )
    parts = replace(wide_detector.parts, branches=branches)
    again = through_disk(parts, wide_model, tmp_path / "m")
    for name in ("spec", "pooling", "fusion", "fast", "min_face_px", "configs", "coverage"):
        assert getattr(again, name) == getattr(parts, name), name
    for one, other in zip(again.branches, parts.branches, strict=True):
        assert (one.name, one.crop) == (other.name, other.crop)
        assert one.surrogate is not None
        assert other.surrogate is not None
        assert one.surrogate.share == other.surrogate.share
        np.testing.assert_array_equal(one.surrogate.weight, other.surrogate.weight)
        np.testing.assert_array_equal(one.surrogate.base, other.surrogate.base)
        assert (one.ood.residual, one.ood.limit) == (other.ood.residual, other.ood.limit)
        features = np.linspace(-1, 1, len(other.head.mean), dtype=np.float32)
        assert one.ood.distance(features) == other.ood.distance(features)
        np.testing.assert_array_equal(
            one.head.forward(features).logits, other.head.forward(features).logits
        )


def test_a_crop_whose_name_begins_like_another_s_keeps_its_own_tensors(
    wide_detector: Detector, wide_model: Path, tmp_path: Path
) -> None:
    first, second = wide_detector.parts.branches
    parts = replace(wide_detector.parts, branches=(first, replace(second, name="face wide")))
    again = through_disk(parts, wide_model, tmp_path / "m")
    for one, other in zip(again.branches, parts.branches, strict=True):
        np.testing.assert_array_equal(one.head.mean, other.head.mean)


def test_a_model_without_a_fast_way_and_without_surrogates_has_none(
    wide_detector: Detector, tiny_model: Path, wide_model: Path, tmp_path: Path
) -> None:
    loaded = assemble(read_model(tiny_model))
    assert (loaded.fast, loaded.branches[0].surrogate) == (None, None)
    slow = through_disk(replace(wide_detector.parts, fast=None), wide_model, tmp_path / "m")
    assert slow.fast is None
    assert [branch.surrogate for branch in slow.branches] == [None, None]


def test_of_two_crops_one_alone_may_have_a_surrogate(
    wide_detector: Detector, wide_model: Path, tmp_path: Path
) -> None:
    first, second = wide_detector.parts.branches
    explained = replace(second, surrogate=a_surrogate(wide_detector.parts))
    parts = replace(wide_detector.parts, branches=(first, explained))
    again = through_disk(parts, wide_model, tmp_path / "m")
    assert [branch.surrogate is None for branch in again.branches] == [True, False]


def test_a_loaded_model_of_two_crops_answers_like_the_one_that_was_written(
    wide_detector: Detector, wide_model: Path, painter: Painter
) -> None:
    loaded = replace(Detector.load(wide_model, threads=1), finder=wide_detector.finder)
    for seed in range(2):
        picture = painter(120, 160, WIDE, seed=seed)
        report = replace(loaded.inspect(picture), model=wide_detector.model)
        assert report == wide_detector.inspect(picture)
        assert [one.crop for one in report.faces[0].crops] == ["face", "context"]


def test_a_head_of_drawn_samples_travels_too(
    tiny_detector: Detector, tiny_model: Path, tmp_path: Path
) -> None:
    head = sampled(len(tiny_detector.parts.branches[0].head.mean))
    changed = with_parts(tiny_detector, head=head).parts
    again = through_disk(changed, tiny_model, tmp_path / "m").branches[0].head
    assert isinstance(again, SampledHead)
    features = np.linspace(-1, 1, len(head.mean), dtype=np.float32)
    np.testing.assert_array_equal(again.forward(features).logits, head.forward(features).logits)
    assert head_to(again)[0] == {"posterior": "samples", "samples": 11}


def test_the_spec_of_a_card_is_the_backbone_s(tiny_detector: Detector, tiny_model: Path) -> None:
    assert spec_of(read_model(tiny_model).card) == tiny_detector.parts.spec


# --- the fast way ------------------------------------------------------------------------------


def test_the_fast_way_is_the_first_crop_with_its_own_fusion(wide_detector: Detector) -> None:
    parts, fast = wide_detector.parts, wide_detector.parts.first()
    assert fast.branches == parts.branches[:1]
    assert fast.fusion == parts.fast != parts.fusion
    assert fast.fast is None
    assert fast.first() is fast


def test_a_model_of_one_crop_has_no_other_way(tiny_detector: Detector) -> None:
    assert tiny_detector.parts.first() is tiny_detector.parts


def test_a_fast_way_that_was_not_calibrated_is_refused(wide_detector: Detector) -> None:
    with pytest.raises(ModelError, match="its fast way was not") as caught:
        replace(wide_detector.parts, fast=None).first()
    assert "Leave `fast` out" in caught.value.hint
    assert "Leave --fast out" in (caught.value.cli_hint or "")


# --- samples -----------------------------------------------------------------------------------


def test_the_number_of_samples_of_dropout_heads_can_be_changed(
    tiny_model: Path, wide_model: Path
) -> None:
    assert Detector.load(tiny_model).parts.samples == 50
    for model in (tiny_model, wide_model):
        loaded = Detector.load(model, samples=7).parts
        assert loaded.samples == 7
        assert {branch.head.samples for branch in loaded.branches} == {7}


def test_of_drawn_samples_the_first_are_taken_and_no_more_than_there_are(
    tiny_detector: Detector,
) -> None:
    head = sampled(5)
    parts = with_parts(tiny_detector, head=head).parts
    fewer = with_samples(parts, 4).branches[0].head
    features = np.ones(5, np.float32)
    np.testing.assert_array_equal(fewer.forward(features).logits, head.forward(features).logits[:4])
    with pytest.raises(ModelError, match="12 posterior samples were asked for") as caught:
        with_samples(parts, 12)
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


def of_first(card: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = card["fusion"]["calibrations"][0]
    return found


HARM: dict[str, Callable[[dict[str, Any]], object]] = {
    "no fusion": lambda card: card.pop("fusion"),
    "no word on the fast way": lambda card: card.pop("fast"),
    "no calibration": lambda card: card["fusion"].update(calibrations=[]),
    "no calibration of all classes": lambda card: card["fusion"].pop("overall"),
    "calibration in words": lambda card: card["fusion"].update(calibrations=["good"]),
    "a slope that swaps the classes": lambda card: of_first(card).update(slope=-1.0),
    "a slope that is none": lambda card: of_first(card).update(slope=float("nan")),
    "a slope in words": lambda card: of_first(card).update(slope="steep"),
    "coverage in per cent": lambda card: of_first(card).update(coverage_of_ai=90),
    "no coverage of a class": lambda card: of_first(card).pop("coverage_of_reals"),
    "a threshold in words": lambda card: of_first(card).update(threshold_real="high"),
    "a threshold that is no share": lambda card: of_first(card).update(threshold_ai=7.0),
    "one number too many": lambda card: of_first(card).update(offset=1),
    "no tail": lambda card: of_first(card).pop("tail"),
    "more calibrations than classes": lambda card: card["fusion"].update(
        calibrations=card["fusion"]["calibrations"] * 3
    ),
    "an edge more than classes": lambda card: card["fusion"].update(edges_px=[20.0, 40.0]),
    "edges the wrong way round": lambda card: card["fusion"].update(
        edges_px=[40.0, 20.0],
        weights=[[1.0, 1.0]] * 3,
        intercepts=[0.0] * 3,
        calibrations=card["fusion"]["calibrations"][:1],
    ),
    "a weight against its crop": lambda card: card["fusion"].update(
        weights=[[0.5, -0.5], [0.5, 0.5]]
    ),
    "weights of one crop": lambda card: card["fusion"].update(weights=[[1.0], [1.0]]),
    "weights of other crops in each class": lambda card: card["fusion"].update(
        weights=[[1.0], [1.0, 1.0]]
    ),
    "no crops": lambda card: card.update(crops=[]),
    "a crop too few": lambda card: card["crops"].pop(),
    "a crop twice": lambda card: card.update(crops=[card["crops"][0]] * 2),
    "a crop without a name": lambda card: card["crops"][0].pop("name"),
    "a crop of another name": lambda card: card["crops"][0].update(name="hand"),
    "a fast way by two crops": lambda card: card.update(fast=card["fusion"]),
    "a fast way in words": lambda card: card.update(fast="yes"),
    "no backbone": lambda card: card.pop("backbone"),
    "another pooling": lambda card: card.update(pooling=["mean"]),
    "unknown pooling": lambda card: card.update(pooling=["cls", "median"]),
    "another size of one crop": lambda card: card["crops"][1]["crop"].update(size_px=16),
    "an unknown posterior": lambda card: card["crops"][0]["head"].update(posterior="gaussian"),
    "other layers": lambda card: card["crops"][1]["head"]["layers"].pop(),
    "too few samples": lambda card: [one["head"].update(samples=1) for one in card["crops"]],
    "other samples of each crop": lambda card: card["crops"][1]["head"].update(samples=20),
    "a size in words": lambda card: card.update(min_face_px="small"),
}


@pytest.mark.parametrize("kind", HARM)
def test_a_card_that_was_tampered_with_is_refused(
    wide_model: Path, tmp_path: Path, kind: str
) -> None:
    folder = harmed(wide_model, tmp_path / "model", HARM[kind])
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


def test_a_fast_way_where_there_is_but_one_is_refused(
    tiny_detector: Detector, tiny_model: Path, tmp_path: Path
) -> None:
    parts = replace(tiny_detector.parts, fast=one_class(calibration()))
    with pytest.raises(ModelDamaged, match="the first crop of several"):
        through_disk(parts, tiny_model, tmp_path / "m")


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
