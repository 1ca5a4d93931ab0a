"""From what each crop of a face says to one logit, in a few classes of quality.

Crops of one face overlap, so their logits are not independent, and adding them up would count the
same evidence twice. Their weights are fitted on pictures from sources that no head has seen
(stacking; Wolpert, "Stacked Generalization", Neural Networks 5(2), 1992), class by class: in a
small face the wide crop knows more than the narrow one. What is promised is promised in each class,
too (Mondrian conformal prediction; Vovk et al., "Algorithmic Learning in a Random World", 2005,
section 4.5), so that a large sharp face is not held to the threshold of a small blurred one.
"""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from veridical.arrays import Float, ndarray
from veridical.infer.calibration import Calibration


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """How crops are put together, and what is claimed then.

    Attributes:
        edges_px: Longer side of the face at which a class of quality ends and the next begins, px;
            ascending. One class without any.
        weights: Of each crop's logit, by class; not negative.
        intercepts: Added to the weighted sum, by class.
        calibrations: From the fused logit to claims, by class; a single one serves all.
        overall: The same over all classes: what another domain is compared with.
    """

    edges_px: tuple[float, ...] = ()
    weights: tuple[tuple[float, ...], ...] = ((1.0,),)
    intercepts: tuple[float, ...] = (0.0,)
    calibrations: tuple[Calibration, ...]
    overall: Calibration

    def __post_init__(self) -> None:
        classes = len(self.edges_px) + 1
        if list(self.edges_px) != sorted(self.edges_px):
            raise ValueError(f"Edges of classes ascend; got {self.edges_px}.")
        if {len(self.weights), len(self.intercepts)} != {classes}:
            raise ValueError(
                f"{classes} classes of quality need as many weights and intercepts; got "
                f"{len(self.weights)} and {len(self.intercepts)}."
            )
        if len(self.calibrations) not in (1, classes) or len({*map(len, self.weights)}) != 1:
            raise ValueError(
                f"{classes} classes of quality need one calibration, or one each, and weights for "
                f"the same crops; got {len(self.calibrations)}, and {self.weights}."
            )
        if min(min(each) for each in self.weights) < 0:
            raise ValueError(f"Weights of crops are not negative; got {self.weights}.")

    @property
    def crops(self) -> int:
        """How many crops are put together."""
        return len(self.weights[0])

    def place(self, face_px: float) -> int:
        """Return the class of a face, counted from 0."""
        return bisect_right(self.edges_px, face_px)

    def calibration(self, place: int) -> Calibration:
        """Return what turns the fused logit of a class into claims."""
        return self.calibrations[place if len(self.calibrations) > 1 else 0]

    def logits(
        self, crops: Float[ndarray, "crops samples"], place: int
    ) -> Float[ndarray, " samples"]:
        """Return posterior samples of the fused logit, before any calibration.

        Args:
            crops: Samples of each crop's logit; sample i of every crop belongs to one draw.
            place: The class of the face.
        """
        fused: ndarray = np.asarray(self.weights[place]) @ crops + self.intercepts[place]
        return fused
