"""What the instruments do with one face, whether it is in a photo or in a frame of a clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from veridical.arrays import UInt8, ndarray
from veridical.assembly import Parts
from veridical.explain.face import ExplainConfig, FaceTokens, Model, explain_face
from veridical.explanation import Explanation
from veridical.infer.calibration import Calibration
from veridical.infer.decision import Judged, recheck, stability_of
from veridical.infer.head import summarise
from veridical.io.decode import Photo
from veridical.report import CropEvidence, Decision, FaceResult, Reason
from veridical.scoring import FaceScore, score
from veridical.tokens import Tokens
from veridical.vision.backbone import Backbone, tokens_of
from veridical.vision.crop import crop_box
from veridical.vision.perturb import Perturbation, apply
from veridical.vision.prepare import Seen, crops_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceJudge:
    """A model, as one face needs it.

    Attributes:
        backbone: Turns crops into tokens.
        parts: The rest of the model.
        level: Mass of the credible interval.
        perturbations: Copies in which a verdict `ai` has to stay.
    """

    backbone: Backbone
    parts: Parts
    level: float
    perturbations: tuple[Perturbation, ...]

    def calibration(self, face_px: float) -> Calibration:
        """Return what turns the logit of a face of this size into claims."""
        fusion = self.parts.fusion
        return fusion.calibration(fusion.place(face_px))

    def copies(self, photo: Photo, seen: Seen) -> tuple[tuple[Perturbation, FaceScore], ...]:
        """Score a face in the perturbed copies of its photo.

        A copy in which the face is smaller than what we judge is left out: it would be a test of
        its size.
        """
        least = self.parts.min_face_px
        tried = [one for one in self.perturbations if seen.box.size_px * one.scale >= least]
        return tuple((one, self._copy(photo, seen, one)) for one in tried)

    def rechecked(self, judged: Judged, photo: Photo, seen: Seen) -> Judged:
        """Withdraw the verdict `ai` if it changes in perturbed copies."""
        own = self.copies(photo, seen)
        if not own:
            return judged
        stability = stability_of(
            [how.name for how, _ in own],
            [summarise(one.logits).p_ai for _, one in own],
            [one.calibration for _, one in own],
        )
        return recheck(judged, stability)

    def _copy(self, photo: Photo, seen: Seen, how: Perturbation) -> FaceScore:
        scale = how.scale
        # The areas are those that the face would have in the copy, px of the photo.
        areas = [
            crop_box(seen.box.scaled(scale), one, photo.width * scale, photo.height * scale).scaled(
                1 / scale
            )
            if seen.face
            else area
            for one, area in zip(self.parts.configs, seen.areas, strict=True)
        ]
        copy, there = apply(*photo.around(areas), how)
        crops = crops_of(copy, there, self.parts.configs, seen.turn)
        # One at a time: each gets all the threads, and no second session has to be opened.
        return score(self.parts, tokens_of(self.backbone, crops), seen.box.size_px * scale)

    def evidence(self, seen: Seen, scored: FaceScore) -> tuple[CropEvidence, ...]:
        """Return what each crop of a face has to do with its verdict."""
        return tuple(
            CropEvidence(crop=branch.name, area=area, evidence=evidence)
            for branch, area, evidence in zip(
                self.parts.branches, seen.areas, scored.evidence, strict=True
            )
        )

    def explained(
        self,
        seen: Seen,
        scored: FaceScore,
        crops: UInt8[ndarray, "crops size size 3"],
        tokens: Sequence[Tokens],
        explain: ExplainConfig,
    ) -> Explanation:
        """Explain the crop that spoke most for the verdict; the others stay as they are."""
        evidence = np.array(scored.evidence)
        # Further maps know the first crop only.
        at = 0 if explain.explainers else int(np.argmax(evidence * np.sign(evidence.sum())))
        own = scored.crop(at, self.backbone)
        gradient, rest = own.linear(scored.forwards[at].features)
        face = FaceTokens(
            name=own.branch.name,
            area=seen.areas[at],
            turn=seen.turn,
            crop=crops[at],
            tokens=tokens[at],
            logit=float(scored.logits.mean()),
            gradient=gradient,
            rest=rest,
        )
        model = Model(
            mean_logit=own.mean_logit,
            p_ai=own.p_ai,
            pooling=self.parts.pooling,
            baseline=own.branch.head.mean,
            slope=own.slope,
            surrogate=own.branch.surrogate,
        )
        return explain_face(face, model, explain)


def unjudged(seen: Seen, *reasons: Reason) -> FaceResult:
    """Return what is known of a face before, or without, a verdict."""
    face = seen.face
    return FaceResult(
        box=seen.box,
        turn=seen.turn,
        landmarks=face.landmarks if face else (),
        confidence=face.score if face else 0.0,
        decision=Decision.UNDECIDED,
        reasons=reasons,
        verdict=None,
    )
