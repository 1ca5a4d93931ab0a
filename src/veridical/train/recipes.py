"""What to train: every choice that makes one model differ from another, in one value."""

from dataclasses import dataclass
from typing import Literal

from veridical.tokens import Pooling


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A way to train a head. The defaults are ours; `REFERENCE` is the reference's.

    Attributes:
        name: Shown in the card.
        layers: Blocks whose tokens the head reads, as shares of the network's depth; empty for
            `last_hidden_state`.
        pooling: How tokens become features.
        standardise: Scale features to zero mean and unit variance first.
        whole: Judge whole frames instead of faces.
        through_px: Shrink the crop to this side before the backbone's own size; None for not.
        views: Views of each picture, the one as delivered included.
        method: How the head is fitted: "discriminant" in closed form, or "descent" on the loss.
        shrinkage: Discriminant: added to the scatter, as a share of its mean eigenvalue.
        samples: Discriminant: draws from the posterior over sources.
        pseudo: Generators whose pictures help to fit and are not what is to be found: they count
            `pseudo_weight`, and never calibrate.
        pseudo_weight: Of a pseudo-fake, where a picture of a generator counts 1.
        hidden: Widths of the hidden layers, with whether a ReLU follows each. Descent, as what
            follows up to `batch`.
        dropout: On the input of every layer but the last, then of the last.
        optimiser: "adam" or "adamw".
        learning_rate: Of the optimiser.
        weight_decay: Decoupled, of AdamW.
        epochs: At most.
        patience: Epochs without a better validation loss before stopping; None never stops early.
        batch: Pictures per step.
        balance: Weigh sources within a class by 1 / sqrt(size), and classes alike.
        shares: Of the groups: what the head is fitted on, what stops it, what calibrates it where
            there are too few sources to leave some out.
        out_of_source: Calibrate on sources that the head was not fitted on, if there are enough.
        coverage: Promised by the prediction sets of AI-generated pictures.
        coverage_of_reals: Promised by those of real pictures: to call one `ai` costs more than the
            other mistake does.
        explained: Pictures whose faces are covered in parts, to fit the rule that maps are read by
            (`explainer.py`); 0 for no rule.
    """

    name: str = "default"
    layers: tuple[float, ...] = (5 / 12, 7 / 12, 9 / 12, 11 / 12)
    pooling: tuple[Pooling, ...] = ("cls", "mean")
    standardise: bool = True
    whole: bool = False
    through_px: int | None = None
    views: int = 3
    method: Literal["discriminant", "descent"] = "discriminant"
    shrinkage: float = 0.3
    samples: int = 200
    pseudo: tuple[str, ...] = ("taef2",)
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
    out_of_source: bool = True
    coverage: float = 0.9
    coverage_of_reals: float = 0.97
    explained: int = 120

    def blocks(self, depth: int) -> tuple[int, ...]:
        """Return the blocks to read of a network `depth` blocks deep, counted from 1."""
        return tuple(sorted({max(1, round(share * depth)) for share in self.layers}))


DEFAULT = Recipe()

REFERENCE = Recipe(
    name="reference",
    layers=(),
    pooling=("all",),
    standardise=False,
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
    out_of_source=False,
    explained=0,
)

RECIPES = {recipe.name: recipe for recipe in (DEFAULT, REFERENCE)}
