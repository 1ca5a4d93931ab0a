"""Explain one face: every map, and the test of the one that is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from veridical.arrays import Float, Float32, UInt8, ndarray
from veridical.box import Box
from veridical.explain.attribution import channel_importance, relative_map, token_map
from veridical.explain.faithfulness import SHORT, THOROUGH, faithfulness, random_orders
from veridical.explain.occlusion import Score, occlusion
from veridical.explain.surrogate import Surrogate, posterior_update
from veridical.explanation import Explanation, Faithfulness, NamedMap, Occlusion
from veridical.tokens import Pooling, Tokens


@runtime_checkable
class Explainer(Protocol):
    """Makes a map of its own, such as one through the whole network (`train/gradients.py`)."""

    @property
    def name(self) -> str:
        """Of the method."""
        ...

    def read(self, crop: UInt8[ndarray, "size size 3"]) -> Float[ndarray, "grid grid"]:
        """Return one number per patch; positive supports `ai`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainConfig:
    """What to find out about a face.

    Attributes:
        faithfulness: Score the maps against random orders: 4 more forward passes per face, and 2
            per map.
        thorough: Score them more strictly, by 54 more forward passes per face, and 6 per map. Those
            of the orders also update the map that is drawn.
        lead_only: Explain only the face that the picture's decision rests on.
        occlude: Window and stride in px of the crop, for an occlusion map; None for none.
        explainers: Make further maps, of the first crop, which is then the one explained.
    """

    faithfulness: bool = True
    thorough: bool = False
    lead_only: bool = False
    occlude: tuple[int, int] | None = None
    explainers: tuple[Explainer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceTokens:
    """What was computed on the way to a face's verdict.

    Attributes:
        name: Of the crop.
        area: The part of the photo that the crop shows, px of the photo.
        turn: Degrees by which the crop was turned counter-clockwise; maps are turned back.
        crop: What the backbone took.
        tokens: What it gave.
        logit: Mean calibrated logit of the face as it is.
        gradient: Of the mean calibrated logit by pooled feature.
        rest: The part of that logit that belongs to no feature.
    """

    name: str
    area: Box
    turn: int
    crop: UInt8[ndarray, "size size 3"]
    tokens: Tokens
    logit: float
    gradient: Float32[ndarray, " features"]
    rest: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """What explanations need of a model.

    Attributes:
        mean_logit: Mean calibrated logit of crops: what maps are of.
        p_ai: P(ai) of crops.
        pooling: How tokens become features.
        baseline: Pooled features of an average picture.
        slope: Of the calibrated logit by the head's own: a surrogate knows the latter.
        surrogate: Makes the map that is drawn; None draws the contributions.
    """

    mean_logit: Score
    p_ai: Score
    pooling: Sequence[Pooling]
    baseline: Float32[ndarray, " features"]
    slope: float
    surrogate: Surrogate | None


def explain_face(face: FaceTokens, model: Model, config: ExplainConfig) -> Explanation:
    """Return what in one face supported its verdict.

    Raises:
        ValueError: If window and stride of an occlusion do not fit the crop.
    """
    orders = None
    if config.faithfulness:
        rule = THOROUGH if config.thorough else SHORT
        orders = random_orders(
            face.crop, face.tokens.grid, model.mean_logit, rule=rule, own=face.logit
        )

    def scored(patches: Float[ndarray, "grid grid"]) -> Faithfulness | None:
        return faithfulness(patches, model.mean_logit, orders) if orders else None

    plain = token_map(face.tokens, model.pooling, face.gradient, face.rest)
    relative = relative_map(plain, face.tokens, model.pooling, face.gradient, model.baseline)
    patches, passes = relative.patches, 0
    if model.surrogate:
        read = model.surrogate.read(face.tokens, plain.patches / model.slope)
        patches = model.slope * read
        if orders and orders.rule.updates:
            patches, passes = posterior_update(patches, orders), orders.rule.passes
    maps = [(one.name, one.read(face.crop)) for one in config.explainers]
    side, grid = face.crop.shape[0], face.tokens.grid
    return Explanation(
        crop=face.name,
        area=face.area,
        covered=side // grid * grid / side,
        method="surrogate" if model.surrogate else "contributions",
        patches=_back(patches, face.turn),
        forward_passes=passes,
        faithfulness=scored(patches),
        contributions=replace(relative, patches=_back(relative.patches, face.turn)),
        gradient_x_token=replace(plain, patches=_back(plain.patches, face.turn)),
        channels=channel_importance(face.gradient),
        occlusion=_occlusion(face, model.p_ai, config.occlude) if config.occlude else None,
        maps=tuple(
            NamedMap(name=name, patches=_back(found, face.turn), faithfulness=scored(found))
            for name, found in maps
        ),
    )


def _occlusion(face: FaceTokens, p_ai: Score, occlude: tuple[int, int]) -> Occlusion:
    window, stride = occlude
    drop = _back(occlusion(face.crop, p_ai, window=window, stride=stride), face.turn)
    row, column = np.unravel_index(np.argmax(drop), drop.shape)
    return Occlusion(
        drop=drop,
        largest=float(drop[row, column]),
        at=(
            face.area.left + (float(column) + 0.5) / drop.shape[1] * face.area.width,
            face.area.top + (float(row) + 0.5) / drop.shape[0] * face.area.height,
        ),
    )


def _back(values: Float[ndarray, "side side"], turn: int) -> Float[ndarray, "side side"]:
    """Turn a map of a turned crop back, so that it lies on the photo."""
    return np.ascontiguousarray(np.rot90(values, -turn // 90)) if turn else values
