"""What a Vision Transformer says about one crop, and how a head sums it up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from veridical.arrays import Float32, ndarray

Pooling = Literal["cls", "mean", "all"]
"""Per layer: the class token; the mean of the patch tokens; the mean of all, registers included."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tokens:
    """The tokens of one crop, of one or several blocks.

    Attributes:
        prefix: Class token (first, if there is one) and registers; they belong to no place.
        patches: Patch tokens, row by row over the grid.
        grid: Patches along one side, so patches = grid * grid.
        has_cls: Whether the first prefix token is a class token.
    """

    prefix: Float32[ndarray, "layers prefix dim"]
    patches: Float32[ndarray, "layers patches dim"]
    grid: int
    has_cls: bool


def pool(tokens: Tokens, pooling: Sequence[Pooling]) -> Float32[ndarray, " features"]:
    """Join what `pooling` asks for, layer by layer, into one vector.

    Raises:
        ValueError: If the class token is asked for and there is none, or for an unknown pooling.
    """
    parts = []
    for prefix, patches in zip(tokens.prefix, tokens.patches, strict=True):
        for kind in pooling:
            if kind == "cls":
                if not tokens.has_cls:
                    raise ValueError("Pooling asks for the class token, and the backbone has none.")
                parts.append(prefix[0])
            elif kind == "mean":
                parts.append(patches.mean(axis=0))
            elif kind == "all":
                parts.append((prefix.sum(axis=0) + patches.sum(axis=0)) / _count(prefix, patches))
            else:
                raise ValueError(f"Pooling is 'cls', 'mean' or 'all'; got {kind!r}.")
    return np.concatenate(parts)


def _count(*tokens: Float32[ndarray, "_ dim"]) -> np.float32:
    return np.float32(sum(len(part) for part in tokens))
