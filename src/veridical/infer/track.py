"""The posterior of one person from several frames, without counting the same evidence twice.

Frames of one shot show the same person, light, lens and codec, so their logits are not independent:
added up, the first doubt of the model would be counted once per frame. The logit of a track is the
*mean* of its looks' logits, sample by sample of the head. What the frames share (what the head does
not know, and what this person and this camera do to it) stays as it is, however many frames there
are; only the scatter from frame to frame shrinks, with the effective number of looks. The
prediction sets of single photos keep their promise then: a mean scatters less about the same
centre. `benchmarks/clips.py` compares this with adding up and with a hierarchical model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from statistics import NormalDist

import numpy as np

from veridical.arrays import Float, ndarray

SCATTER = 0.3
"""Standard deviation of the calibrated logit from frame to frame of one track, nats; measured on
clips made of training pictures (docs/video.md). A track's own scatter is estimated around it."""
_KNOWN = 4.0  # frames that this prior knowledge counts like


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackLogits:
    """What all looks of a track say together.

    Attributes:
        logits: Posterior samples of the calibrated logit, with the scatter of frames in them.
        effective: How many independent looks they are worth, from 1 to their number.
    """

    logits: Float[ndarray, " samples"]
    effective: float


def pool_looks(looks: Float[ndarray, "looks samples"]) -> TrackLogits:
    """Return what several looks of one track say together.

    Args:
        looks: Samples of the calibrated logit of each, in order of time; sample i of every look
            belongs to one draw of the head.
    """
    looks = np.asarray(looks, np.float64)
    means = looks.mean(axis=1)
    effective = effective_looks(means)
    error = scatter(means) / sqrt(effective)
    noise = _noise(looks.shape[1])
    return TrackLogits(logits=looks.mean(axis=0) + error * noise, effective=effective)


@cache
def _noise(samples: int) -> Float[ndarray, " samples"]:
    """Return normal quantiles, the same for every track, in an order that no head's draw knows."""
    levels = (np.arange(samples) + 0.5) / samples
    noise = np.array([NormalDist().inv_cdf(float(level)) for level in levels])
    ordered: ndarray = noise[np.random.default_rng(samples).permutation(samples)]
    return ordered


def effective_looks(means: Float[ndarray, " looks"]) -> float:
    """Return how many independent looks a series is worth: n (1 - r) / (1 + r).

    That is the effective sample size of a first-order autoregression (Priestley, "Spectral Analysis
    and Time Series", 1981, section 5.3.2). r is the correlation of neighbours, corrected for its
    bias in short series (Marriott and Pope, Biometrika 41, 1954); below 0 it counts as 0.

    Args:
        means: Mean logit of each look, in order of time.
    """
    n = len(means)
    if n < 3:
        return 1.0
    off = np.asarray(means, np.float64) - np.mean(means)
    total = float(off @ off)
    if total <= n * 1e-18:  # one picture, shown n times
        return 1.0
    r = float(off[1:] @ off[:-1]) / total
    r = min(max(r + (1 + 3 * r) / n, 0.0), 1.0)
    return float(min(max(n * (1 - r) / (1 + r), 1.0), n))


def scatter(means: Float[ndarray, " looks"], known: float = SCATTER) -> float:
    """Return the standard deviation from frame to frame, shrunk towards what is known of it.

    Args:
        means: Mean logit of each look.
        known: Of other tracks, nats.
    """
    off = np.asarray(means, np.float64) - np.mean(means)
    return sqrt((_KNOWN * known**2 + float(off @ off)) / (_KNOWN + len(off) - 1))


def shortest(
    decided: Sequence[Sequence[bool]],
) -> tuple[int, int] | None:
    """Return first and last look of the shortest run that gives the track's decision.

    Args:
        decided: `decided[i][j]` tells whether looks i to i + j together give it.
    """
    best: tuple[int, int] | None = None
    for first, row in enumerate(decided):
        for more, given in enumerate(row):
            if given:
                if best is None or more < best[1] - best[0]:
                    best = first, first + more
                break
    return best
