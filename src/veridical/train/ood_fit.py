"""Fit the out-of-distribution score: where the training features are, and how far is too far."""

from dataclasses import replace

import numpy as np

from veridical._optional import need
from veridical.arrays import Float32, Int, ndarray
from veridical.infer.head import Posterior
from veridical.infer.ood import OodScorer

DIRECTIONS = 128  # principal directions that are kept
LIMIT = 0.995  # quantile of the held-out distances beyond which there is no verdict


def fit_ood(
    features: Float32[ndarray, "n views features"],
    head: Posterior,
    fitted: Int[ndarray, " m"],
    rest: Int[ndarray, " k"],
    seed: int,
) -> OodScorer:
    """Fit the score on some pictures and its limit on others.

    Args:
        features: Features of all pictures, by view.
        head: Gives mean and scale of the features.
        fitted: Pictures that the score is fitted on.
        rest: Pictures that the limit is fitted on.
        seed: Random seed, for the decomposition.
    """
    decomposition = need("sklearn.decomposition", extra="train", to="measure distances")
    width = features.shape[2]
    x = ((features[fitted] - head.mean) / head.scale).reshape(-1, width)
    count = min(DIRECTIONS, width // 2, len(fitted) // 2)
    # Around the origin, where the scorer measures from; standardised features have no mean.
    found = decomposition.TruncatedSVD(count, random_state=seed).fit(x)
    variance = np.maximum((found.transform(x).astype(np.float64) ** 2).mean(axis=0), 1e-6)
    energy = float((x.astype(np.float64) ** 2).sum(axis=1).mean())
    scorer = OodScorer(
        mean=head.mean,
        scale=head.scale,
        basis=np.ascontiguousarray(found.components_, dtype=np.float32),
        variance=variance.astype(np.float32),
        residual=max(energy - float(variance.sum()), 1e-6),
        limit=1.0,
    )
    raw = [scorer.raw(view) for i in rest for view in features[i]]
    return replace(scorer, limit=float(np.quantile(raw, LIMIT)))
