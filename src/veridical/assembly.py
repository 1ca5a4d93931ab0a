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
from veridical.infer.fusion import Fusion
from veridical.infer.head import DropoutHead, Layer, Posterior, SampledHead
from veridical.infer.ood import OodScorer
from veridical.io.model import ModelFolder
from veridical.tokens import Pooling
from veridical.vision.backbone import BackboneSpec
from veridical.vision.crop import CropConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branch:
    """What judges one of the crops of a face.

    Attributes:
        name: Of the crop.
        crop: How faces are cropped for it.
        head: From features to samples of the logit.
        ood: How far the features are from the training features.
        surrogate: Makes the map that is drawn; None where the model has none.
    """

    name: str
    crop: CropConfig
    head: Posterior
    ood: OodScorer
    surrogate: Surrogate | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What a model folder holds, beside the network itself.

    Attributes:
        spec: What the backbone is.
        pooling: How tokens become features.
        branches: One per crop of a face; the first shows the face itself.
        fusion: From the logits of all crops to probabilities and prediction sets.
        fast: The same from the first crop alone; None where it is the only one, or was not
            calibrated.
        min_face_px: Longer side of the smallest face that is judged, px.
    """

    spec: BackboneSpec
    pooling: tuple[Pooling, ...]
    branches: tuple[Branch, ...]
    fusion: Fusion
    fast: Fusion | None
    min_face_px: float

    @property
    def configs(self) -> tuple[CropConfig, ...]:
        """How faces are cropped, one per crop."""
        return tuple(branch.crop for branch in self.branches)

    @property
    def samples(self) -> int:
        """Posterior samples."""
        return self.branches[0].head.samples

    @property
    def coverage(self) -> tuple[float, float]:
        """The promised coverages of real and of AI-generated pictures, the same in every class."""
        one = self.fusion.calibrations[0]
        return one.coverage_of_reals, one.coverage_of_ai

    def first(self) -> "Parts":
        """Return what judges by the first crop alone: a face costs one look of the network.

        Raises:
            ModelError: If that was not calibrated.
        """
        if len(self.branches) == 1:
            return self
        if self.fast is None:
            raise ModelError(
                "This model was calibrated on your pictures with all crops of a face; its fast way "
                "was not.",
                hint="Leave --fast out, or use the model that it was made from.",
            )
        return replace(self, branches=self.branches[:1], fusion=self.fast, fast=None)


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
        parts = Parts(
            spec=spec,
            pooling=tuple(card["pooling"]),
            branches=tuple(_branch(one, tensors, folder.explainer, spec) for one in card["crops"]),
            fusion=_fusion(card["fusion"]),
            fast=None if card["fast"] is None else _fusion(card["fast"]),
            min_face_px=float(card["min_face_px"]),
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
    crops: list[dict[str, Any]] = []
    tensors: dict[str, ndarray] = {}
    explainer: dict[str, ndarray] = {}
    for branch in parts.branches:
        head_card, own = head_to(branch.head)
        own |= {"ood.basis": branch.ood.basis, "ood.variance": branch.ood.variance}
        tensors |= {f"{branch.name}.{key}": value for key, value in own.items()}
        if branch.surrogate:
            own = surrogate_to(branch.surrogate)
            explainer |= {f"{branch.name}.{key}": value for key, value in own.items()}
        crops.append(
            {
                "name": branch.name,
                "crop": asdict(branch.crop),
                "head": head_card,
                "ood": {"residual": branch.ood.residual, "limit": branch.ood.limit},
            }
        )
    card = {
        "backbone": asdict(parts.spec),
        "pooling": list(parts.pooling),
        "min_face_px": parts.min_face_px,
        "crops": crops,
        "fusion": asdict(parts.fusion),
        "fast": parts.fast and asdict(parts.fast),
    }
    return card, tensors, explainer or None


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
    features = spec.dim * len(spec.layers) * len(pooling)
    for branch in parts.branches:
        if branch.crop.size_px != spec.image_px:
            raise ValueError(f"crops of {branch.crop.size_px} px for {spec.image_px} px")
        head, ood = branch.head, branch.ood
        wanted = {len(head.mean), len(head.scale), ood.basis.shape[1]}
        if wanted != {features} or len(ood.basis) != len(ood.variance):
            raise ValueError(f"{features} features for parts of {sorted(wanted)}")
    counts = {parts.fusion.crops, len(parts.branches), len({b.name for b in parts.branches})}
    if len(counts) != 1 or len({branch.head.samples for branch in parts.branches}) != 1:
        raise ValueError("crops, their names and their samples do not go together")
    if parts.fast is not None and (parts.fast.crops != 1 or len(parts.branches) == 1):
        raise ValueError("the fast way is by the first crop of several")


def _branch(
    card: Mapping[str, Any],
    tensors: Mapping[str, ndarray],
    explainer: Mapping[str, ndarray],
    spec: BackboneSpec,
) -> Branch:
    name = card["name"]
    own, explained = _of(name, tensors), _of(name, explainer)
    head = _head(card["head"], own)
    return Branch(
        name=name,
        crop=CropConfig(**card["crop"]),
        head=head,
        ood=OodScorer(
            mean=head.mean,
            scale=head.scale,
            basis=own["ood.basis"],
            variance=own["ood.variance"],
            **card["ood"],
        ),
        surrogate=_surrogate(explained, spec) if explained else None,
    )


def _of(name: str, tensors: Mapping[str, ndarray]) -> dict[str, ndarray]:
    return {
        key.removeprefix(f"{name}."): value
        for key, value in tensors.items()
        if key.startswith(f"{name}.")
    }


def _fusion(card: Mapping[str, Any]) -> Fusion:
    return Fusion(
        edges_px=tuple(card["edges_px"]),
        weights=tuple(map(tuple, card["weights"])),
        intercepts=tuple(card["intercepts"]),
        calibrations=tuple(map(_calibration, card["calibrations"])),
        overall=_calibration(card["overall"]),
    )


def _calibration(card: Mapping[str, Any]) -> Calibration:
    return Calibration(**{**card, "tail": tuple(card["tail"])})


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


def with_samples(parts: Parts, samples: int) -> Parts:
    """Return the same parts with `samples` posterior samples.

    Raises:
        ModelError: As for `_with_samples`.
    """
    branches = (
        replace(branch, head=_with_samples(branch.head, samples)) for branch in parts.branches
    )
    return replace(parts, branches=tuple(branches))


def _with_samples(head: Posterior, samples: int) -> Posterior:
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
