"""What every token and every channel added to the logit, in closed form."""

from collections.abc import Iterator, Sequence

import numpy as np

from veridical.arrays import Float32, ndarray
from veridical.explanation import Channel, TokenMap
from veridical.tokens import Pooling, Tokens

N_CHANNELS = 20  # most important channels that are listed


def channel_importance(gradient: Float32[ndarray, " features"]) -> tuple[Channel, ...]:
    """Return the channels of the pooled features with the largest |d logit / d feature|.

    The reference's feature importance, of the posterior mean instead of one random dropout mask.
    These are channels, not places: they are reported as numbers and never drawn on the picture.
    """
    importance = np.abs(gradient)
    order = np.argsort(-importance, kind="stable")[:N_CHANNELS]
    return tuple(Channel(index=int(i), importance=float(importance[i])) for i in order)


def token_map(
    tokens: Tokens,
    pooling: Sequence[Pooling],
    gradient: Float32[ndarray, " features"],
    rest: float,
) -> TokenMap:
    """Take the mean logit apart into what every token added: gradient x token.

    Pooling is linear in the tokens and the head is linear around its input
    (`DropoutHead.gradient`), so token i of a mean over n adds gradient . token_i / n
    (Shrikumar et al., arXiv:1605.01713, applied to tokens).

    Args:
        tokens: Of one crop.
        pooling: How the head's features were pooled from them.
        gradient: Of the mean logit by feature.
        rest: The part of the logit that belongs to no feature.
    """
    patches = np.zeros(tokens.patches.shape[1])
    prefix = 0.0
    for layer, kind, part in _parts(tokens, pooling):
        slope = gradient[part]
        if kind == "cls":
            prefix += float(slope @ tokens.prefix[layer, 0])
            continue
        count, others = _counts(tokens, kind)
        patches += (tokens.patches[layer] @ slope) / count
        prefix += float((tokens.prefix[layer, :others] @ slope).sum()) / count
    return TokenMap(patches=patches.reshape(tokens.grid, tokens.grid), prefix=prefix, rest=rest)


def relative_map(
    plain: TokenMap,
    tokens: Tokens,
    pooling: Sequence[Pooling],
    gradient: Float32[ndarray, " features"],
    baseline: Float32[ndarray, " features"],
) -> TokenMap:
    """Return contributions relative to a picture with the pooled features `baseline`.

    Token i of a mean over n then adds gradient . (token_i - baseline) / n; what the baseline alone
    says goes to the rest. With the mean of the training pictures this is the map that is drawn
    where a model has no surrogate.

    Args:
        plain: `token_map` of the same tokens, pooling and gradient.
        tokens: Of one crop.
        pooling: How the head's features were pooled from them.
        gradient: Of the mean logit by feature.
        baseline: Pooled features of an average picture.
    """
    shift, prefix, rest = 0.0, plain.prefix, plain.rest
    for _, kind, part in _parts(tokens, pooling):
        base = float(gradient[part] @ baseline[part])
        rest += base
        if kind == "cls":
            prefix -= base
            continue
        count, others = _counts(tokens, kind)
        shift += base / count
        prefix -= base * others / count
    return TokenMap(patches=plain.patches - shift, prefix=prefix, rest=rest)


def _parts(tokens: Tokens, pooling: Sequence[Pooling]) -> Iterator[tuple[int, Pooling, slice]]:
    """Yield layer, kind of pooling and place in the features, in the order of `pool`."""
    dim, start = tokens.patches.shape[2], 0
    for layer in range(len(tokens.patches)):
        for kind in pooling:
            yield layer, kind, slice(start, start + dim)
            start += dim


def _counts(tokens: Tokens, kind: Pooling) -> tuple[int, int]:
    """Return how many tokens a mean is taken over, and how many of them are prefix tokens."""
    others = tokens.prefix.shape[1] if kind == "all" else 0
    return tokens.patches.shape[1] + others, others
