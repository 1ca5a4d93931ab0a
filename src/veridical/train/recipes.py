"""What to train: every choice that makes one model differ from another, in one value."""

from dataclasses import dataclass
from typing import Literal

from veridical.tokens import Pooling
from veridical.vision.crop import CropConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A way to train a head. The defaults are ours; `REFERENCE` is the reference's.

    Attributes:
        name: Shown in the card.
        layers: Blocks whose tokens the head reads, as shares of the network's depth; empty for
            `last_hidden_state`.
        pooling: How tokens become features.
        standardise: Scale features to zero mean and unit variance first.
        crops: Of each face: what it is called, and its side over the longer side of the face's box.
            The first shows the face itself; each has a head of its own.
        native: Widen the crops of small faces instead of blowing pixels up.
        whole: Judge whole frames instead of faces.
        through_px: Shrink the crop to this side before the backbone's own size; None does not.
        views: Views of each picture, the one as delivered included.
        method: How the head is fitted: "discriminant" in closed form, or "descent" on the loss.
        shrinkage: Discriminant: added to the scatter, as a share of its mean eigenvalue.
        between: Discriminant: how much the scatter between sources counts.
        samples: Discriminant: draws from the posterior over sources.
        pseudo: Generators of pseudo-fakes: real pictures that were sent through a decoder. They
            help to fit the head, count `pseudo_weight`, and never calibrate.
        pseudo_weight: How much a pseudo-fake counts, where a picture of a generator counts 1.
        hidden: Descent, as all up to `batch`: widths of the hidden layers, with whether a ReLU
            follows each.
        dropout: Dropout on the input of every layer but the last, and of the last.
        optimiser: "adam" or "adamw".
        learning_rate: Learning rate of the optimiser.
        weight_decay: Decoupled weight decay of AdamW.
        epochs: Epochs at most.
        patience: Epochs without a better validation loss before stopping; None never stops early.
        batch: Pictures per step.
        balance: Weigh pictures by 1 / sqrt(size of their source), and both classes the same.
        shares: Shares of the groups that the head is fitted on, that stop it, and that calibrate it
            where there are too few sources to leave some out.
        edges_px: Sizes of faces at which another fusion and calibration begin, px; those are left
            out that would leave too few pictures on a side.
        out_of_source: Calibrate on sources that the head was not fitted on, if there are enough.
        coverage_of_ai: Promised by the prediction sets of AI-generated pictures.
        coverage_of_reals: Promised by those of real pictures: to call one `ai` is the
            worse mistake.
        explained: Pictures whose faces are covered in parts, to fit the surrogate that makes maps
            (`explainer.py`); 0 for no surrogate.
    """

    name: str = "default"
    layers: tuple[float, ...] = (5 / 12, 7 / 12, 9 / 12, 11 / 12)
    pooling: tuple[Pooling, ...] = ("cls", "mean")
    standardise: bool = True
    crops: tuple[tuple[str, float], ...] = (("face", 1.3), ("context", 2.4))
    native: bool = True
    whole: bool = False
    through_px: int | None = None
    views: int = 3
    method: Literal["discriminant", "descent"] = "discriminant"
    shrinkage: float = 1.0
    between: float = 2.0
    samples: int = 200
    pseudo: tuple[str, ...] = ()
    pseudo_weight: float = 0.03
    hidden: tuple[tuple[int, bool], ...] = ((64, True),)
    dropout: tuple[float, float] = (0.7, 0.2)
    optimiser: str = "adamw"
    learning_rate: float = 2e-4
    weight_decay: float = 0.1
    epochs: int = 60
    patience: int | None = 8
    batch: int = 128
    balance: bool = True
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    edges_px: tuple[float, ...] = (150.0,)
    out_of_source: bool = True
    coverage_of_ai: float = 0.9
    coverage_of_reals: float = 0.97
    explained: int = 120

    def configs(self, size_px: int) -> tuple[CropConfig, ...]:
        """Return how faces are cropped for a backbone that takes `size_px` squared."""
        nearest = self.crops[0][1]
        return tuple(
            CropConfig(
                size_px=size_px,
                margin=margin,
                # As wide beside each other as around a face that fills the first of them.
                least_px=round(size_px * margin / nearest) if self.native else 0,
                through_px=self.through_px,
                whole=self.whole,
            )
            for _, margin in self.crops
        )

    def blocks(self, depth: int) -> tuple[int, ...]:
        """Return the blocks to read of a network `depth` blocks deep, counted from 1."""
        return tuple(sorted({max(1, round(share * depth)) for share in self.layers}))


DEFAULT = Recipe()

REFERENCE = Recipe(
    name="reference",
    layers=(),
    pooling=("all",),
    standardise=False,
    crops=(("frame", 1.0),),
    native=False,
    whole=True,
    through_px=128,
    views=1,
    method="descent",
    hidden=((128, True), (64, False)),
    dropout=(0.3, 0.0),
    optimiser="adam",
    learning_rate=1e-3,
    weight_decay=0.0,
    epochs=30,
    patience=None,
    batch=16,
    balance=False,
    shares=(0.8, 0.0, 0.2),
    edges_px=(),
    out_of_source=False,
    explained=0,
)

RECIPES = {recipe.name: recipe for recipe in (DEFAULT, REFERENCE)}
