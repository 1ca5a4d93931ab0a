"""From the tokens of a face's crops to its logit, and to what each crop has to do with it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from veridical.arrays import Float, Float32, UInt8, ndarray
from veridical.assembly import Branch, Parts
from veridical.infer.calibration import Calibration
from veridical.infer.head import Forward, summarise
from veridical.tokens import Tokens, pool
from veridical.vision.backbone import Backbone
from veridical.vision.runtime import one_blas_thread


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceScore:
    """What all crops of one face say.

    Attributes:
        parts: The model.
        place: Class of quality of the face.
        forwards: What each head said.
    """

    parts: Parts
    place: int
    forwards: tuple[Forward, ...]

    @property
    def calibration(self) -> Calibration:
        """Of the face's class."""
        return self.parts.fusion.calibration(self.place)

    @cached_property
    def raw(self) -> Float[ndarray, " samples"]:
        """Samples of the fused logit, before any calibration."""
        own = np.stack([one.logits for one in self.forwards])
        return self.parts.fusion.logits(own, self.place)

    @property
    def logits(self) -> Float[ndarray, " samples"]:
        """Samples of the calibrated logit."""
        return self.calibration.logits(self.raw)

    @property
    def distance(self) -> float:
        """The largest out-of-distribution score of the crops."""
        return max(
            branch.ood.distance(one.features)
            for branch, one in zip(self.parts.branches, self.forwards, strict=True)
        )

    @property
    def evidence(self) -> tuple[float, ...]:
        """What each crop adds to the mean calibrated logit, nats; the sum is that logit."""
        calibration, fusion = self.calibration, self.parts.fusion
        shared = calibration.slope * fusion.intercepts[self.place] + calibration.intercept
        return tuple(
            calibration.slope * weight * float(one.logits.mean(dtype=np.float64))
            + shared / len(self.forwards)
            for weight, one in zip(fusion.weights[self.place], self.forwards, strict=True)
        )

    def crop(self, at: int, backbone: Backbone) -> "CropScore":
        """Return the model of one crop, while the others stay as they are.

        Args:
            at: Place of the crop.
            backbone: Turns crops into tokens.
        """
        weight = self.parts.fusion.weights[self.place][at]
        # At least something, so that a crop that counts nothing still has a scale.
        weight = max(weight, 1e-12)
        return CropScore(
            parts=self.parts,
            branch=self.parts.branches[at],
            backbone=backbone,
            slope=self.calibration.slope * weight,
            others=self.logits
            - self.calibration.slope * weight * self.forwards[at].logits.astype(np.float64),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CropScore:
    """The calibrated logit of a face as a function of one of its crops.

    Attributes:
        parts: The model.
        branch: What judges the crop.
        backbone: Turns crops into tokens.
        slope: Of the calibrated logit by the head's own.
        others: Samples of what the rest adds: the other crops and the intercepts.
    """

    parts: Parts
    branch: Branch
    backbone: Backbone
    slope: float
    others: Float[ndarray, " samples"]

    def p_ai(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, " batch"]:
        """Return the calibrated predictive P(ai) of crops."""
        with one_blas_thread():
            return np.array([summarise(logits).p_ai for logits in self._logits(crops)])

    def mean_logit(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, " batch"]:
        """Return the mean calibrated logit of crops: what maps are of."""
        with one_blas_thread():
            return np.array([float(logits.mean()) for logits in self._logits(crops)])

    def linear(
        self, features: Float32[ndarray, " features"]
    ) -> tuple[Float32[ndarray, " features"], float]:
        """Return the gradient of the mean calibrated logit at `features`, and the logit's rest."""
        gradient, rest = self.branch.head.gradient(self.branch.head.forward(features))
        scaled: ndarray = gradient * np.float32(self.slope)
        return scaled, rest * self.slope + float(self.others.mean())

    def _logits(
        self, crops: UInt8[ndarray, "batch size size 3"]
    ) -> Iterator[Float[ndarray, " samples"]]:
        for tokens in self.backbone.tokens(crops):
            own = self.branch.head.logits(pool(tokens, self.parts.pooling))
            yield self.slope * own + self.others


def alone(parts: Parts, at: int, backbone: Backbone) -> CropScore:
    """Return the model of one crop alone, in its head's own logits, before any fusion.

    Args:
        parts: The model.
        at: Place of the crop.
        backbone: Turns crops into tokens.
    """
    return CropScore(
        parts=parts,
        branch=parts.branches[at],
        backbone=backbone,
        slope=1.0,
        others=np.zeros(parts.samples),
    )


def score(parts: Parts, tokens: Sequence[Tokens], face_px: float) -> FaceScore:
    """Score one face.

    Args:
        parts: The model.
        tokens: Of each of its crops.
        face_px: Its longer side, px.
    """
    return FaceScore(
        parts=parts,
        place=parts.fusion.place(face_px),
        forwards=tuple(
            branch.head.forward(pool(one, parts.pooling))
            for branch, one in zip(parts.branches, tokens, strict=True)
        ),
    )
