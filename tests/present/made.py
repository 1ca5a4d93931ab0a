"""What the tests of several renderers show: one verdict, one picture that was judged."""

import numpy as np

from veridical.arrays import UInt8, ndarray
from veridical.explain.attribution import Faithfulness
from veridical.report import Decision, Reason, Report, Verdict

VERDICT = Verdict(
    decision=Decision.AI,
    p_ai=0.973,
    interval=(0.912, 0.994),
    std=0.02,
    total=0.13,
    aleatoric=0.12,
    epistemic=0.01,
    distance=0.4,
    reasons=(Reason.WITHIN_COVERAGE,),
)
REPORT = Report(
    path="a.jpg",
    sha256="ab" * 32,
    width=120,
    height=100,
    steps=(),
    faces=(),
    decision=VERDICT.decision,
    p_ai=VERDICT.p_ai,
    interval=VERDICT.interval,
    reasons=VERDICT.reasons,
    coverage=0.95,
    level=0.9,
    model="0123456789ab",
    version="0.1.0",
)
GOOD = Faithfulness(deletion=0.8, insertion=0.5, n_random=9, n_beaten=9)
BAD = Faithfulness(deletion=-0.1, insertion=0.1, n_random=9, n_beaten=2)


def photo() -> UInt8[ndarray, "height width 3"]:
    """A gradient of 100 x 120 px with a warm hue, so that plain and grey differ."""
    y, x = np.mgrid[:100, :120]
    return np.stack([120 + x, 60 + y, 40 + x // 2], axis=-1).clip(0, 255).astype(np.uint8)
