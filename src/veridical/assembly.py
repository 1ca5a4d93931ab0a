"""A model folder's card and tensors as the parts of a detector, and back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import numpy as np

from veridical.arrays import ndarray
from veridical.errors import ModelDamaged, ModelError
from veridical.explain.surrogate import Surrogate
from veridical.infer.calibration import Calibration
from veridical.infer.head import DropoutHead, Layer, Posterior, SampledHead
from veridical.infer.ood import OodScorer
from veridical.io.model import ModelFolder
from veridical.tokens import Pooling
from veridical.vision.backbone import BackboneSpec
from veridical.vision.crop import CropConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What a model folder holds, beside the network itself.

    Attributes:
        spec: What the backbone is.
        crop: How faces are cropped.
        pooling: How tokens become features.
        head: From features to samples of the logit.
        calibration: From the head's logits to probabilities and prediction sets.
        ood: How far the features are from the training features.
        min_face_px: Longer side of the smallest face that is judged, px.
        surrogate: Makes the map that is drawn; None where the model has none.
    """

    spec: BackboneSpec
    crop: CropConfig
    pooling: tuple[Pooling, ...]
    head: Posterior
    calibration: Calibration
    ood: OodScorer
    min_face_px: float
    surrogate: Surrogate | None = None


def default_model() -> Path:
    """Return the folder of the model that comes with the package."""
    return Path(str(files("veridical").joinpath("models", "default")))


def assemble(folder: ModelFolder) -> Parts:
    """Put the parts of a model together; the inverse of `disassemble`.

    Raises:
        ModelDamaged: If they do not fit together.
    """
    card, tensors = folder.card, folder.tensors
    try:
        spec = spec_of(card)
        head = _head(card["head"], tensors)
        parts = Parts(
            spec=spec,
            crop=CropConfig(**card["crop"]),
            pooling=tuple(card["pooling"]),
            head=head,
            calibration=Calibration(**card["calibration"]),
            ood=OodScorer(
                mean=head.mean,
                scale=head.scale,
                basis=tensors["ood.basis"],
                variance=tensors["ood.variance"],
                **card["ood"],
            ),
            min_face_px=float(card["min_face_px"]),
            surrogate=_surrogate(folder.explainer, spec) if folder.explainer else None,
        )
        _refuse_misfits(parts)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as foreign:
        raise ModelDamaged(
            f"The model in {folder.path} does not fit together ({foreign!r}).",
            hint="Copy the whole folder again, or train the model again.",
        ) from foreign
    return parts


def disassemble(
    parts: Parts,
) -> tuple[dict[str, Any], dict[str, ndarray], dict[str, ndarray] | None]:
    """Return card entries, tensors, and the explainer's tensors if there is one."""
    head_card, tensors = head_to(parts.head)
    tensors |= {"ood.basis": parts.ood.basis, "ood.variance": parts.ood.variance}
    card = {
        "backbone": asdict(parts.spec),
        "crop": asdict(parts.crop),
        "pooling": list(parts.pooling),
        "min_face_px": parts.min_face_px,
        "head": head_card,
        "calibration": asdict(parts.calibration),
        "ood": {"residual": parts.ood.residual, "limit": parts.ood.limit},
    }
    return card, tensors, surrogate_to(parts.surrogate) if parts.surrogate else None


def spec_of(card: Mapping[str, Any]) -> BackboneSpec:
    """Return what a model card says of its backbone."""
    entry = card["backbone"]
    # JSON has lists where the spec has tuples.
    told: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    return BackboneSpec(**told)


def _refuse_misfits(parts: Parts) -> None:
    """Refuse parts that would fail, or mean something else, at the first picture."""
    spec, pooling = parts.spec, parts.pooling
    if unknown := set(pooling) - {*get_args(Pooling)}:
        raise ValueError(f"unknown pooling {sorted(unknown)}")
    if "cls" in pooling and not spec.has_cls:
        raise ValueError("pooling by a class token that the backbone has not")
    if parts.crop.size_px != spec.image_px:
        raise ValueError(f"crops of {parts.crop.size_px} px for {spec.image_px} px")
    features = spec.dim * len(spec.layers) * len(pooling)
    wanted = {len(parts.head.mean), len(parts.head.scale), parts.ood.basis.shape[1]}
    if wanted != {features} or len(parts.ood.basis) != len(parts.ood.variance):
        raise ValueError(f"{features} features for parts of {sorted(wanted)}")


def _head(card: Mapping[str, Any], tensors: Mapping[str, ndarray]) -> Posterior:
    mean, scale = tensors["head.mean"], tensors["head.scale"]
    if card["posterior"] == "samples":
        return SampledHead(
            mean=mean,
            scale=scale,
            directions=tensors["head.directions"],
            weight=tensors["head.weight"],
            bias=tensors["head.bias"],
        )
    if card["posterior"] != "dropout":
        raise ValueError(f"unknown posterior {card['posterior']!r}")
    return DropoutHead(
        mean=mean,
        scale=scale,
        layers=tuple(
            Layer(weight=tensors[f"head.{i}.weight"], bias=tensors[f"head.{i}.bias"], **layer)
            for i, layer in enumerate(card["layers"])
        ),
        samples=card["samples"],
        seed=card["seed"],
    )


def head_to(head: Posterior) -> tuple[dict[str, Any], dict[str, ndarray]]:
    """Take a head apart into a card entry and tensors."""
    tensors: dict[str, ndarray] = {"head.mean": head.mean, "head.scale": head.scale}
    if isinstance(head, SampledHead):
        tensors |= {
            "head.directions": head.directions,
            "head.weight": head.weight,
            "head.bias": head.bias,
        }
        return {"posterior": "samples", "samples": head.samples}, tensors
    assert isinstance(head, DropoutHead)
    card = {
        "posterior": "dropout",
        "samples": head.samples,
        "seed": head.seed,
        "layers": [{"relu": layer.relu, "dropout": layer.dropout} for layer in head.layers],
    }
    for i, layer in enumerate(head.layers):
        tensors[f"head.{i}.weight"], tensors[f"head.{i}.bias"] = layer.weight, layer.bias
    return card, tensors


def _surrogate(tensors: Mapping[str, ndarray], spec: BackboneSpec) -> Surrogate:
    found = Surrogate(share=float(tensors["share"]), weight=tensors["weight"], base=tensors["base"])
    wanted = (len(spec.layers), spec.dim), (spec.grid, spec.grid)
    if (found.weight.shape, found.base.shape) != wanted:
        raise ValueError(f"a surrogate of {found.weight.shape}, {found.base.shape} for {wanted}")
    return found


def surrogate_to(surrogate: Surrogate) -> dict[str, ndarray]:
    """Take a surrogate apart into tensors."""
    return {
        "share": np.array(surrogate.share),
        "weight": surrogate.weight,
        "base": surrogate.base,
    }


def with_samples(head: Posterior, samples: int) -> Posterior:
    """Return the same posterior with `samples` samples.

    Raises:
        ModelError: If its samples were drawn when it was fitted, and there are not as many.
    """
    if isinstance(head, DropoutHead):
        return replace(head, samples=samples)
    assert isinstance(head, SampledHead)
    if samples > head.samples:
        raise ModelError(
            f"{samples} posterior samples were asked for; this model holds {head.samples}.",
            hint=f"Ask for at most {head.samples}.",
        )
    return replace(head, weight=head.weight[:samples], bias=head.bias[:samples])
