"""The model in the package, on pictures that are not part of the repository."""

import os
from pathlib import Path

import numpy as np
import pytest

from veridical.assembly import default_model
from veridical.detector import Detector
from veridical.io.dataset import read_samples
from veridical.report import Report
from veridical.stats.metrics import auroc

DATA = os.environ.get("VERIDICAL_DATA", "")
EACH = 24  # pictures of a class


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="VERIDICAL_DATA does not name a folder of face pictures")
@pytest.mark.skipif(not default_model().is_dir(), reason="there is no default model")
def test_the_default_model_tells_pictures_apart_that_it_was_not_trained_on() -> None:
    data = Path(DATA)
    manifest = data if data.suffix == ".csv" else data / "manifest.csv"
    samples = read_samples(manifest, split="test")
    lots = np.random.default_rng(0).permutation(len(samples))
    chosen = [
        samples[i]
        for label in ("real", "ai")
        for i in [i for i in lots if samples[i].label == label][:EACH]
    ]
    detector = Detector.load(threads=1)
    reports = list(detector.inspect_many([sample.path for sample in chosen], jobs=2))
    assert all(isinstance(report, Report) for report in reports)
    judged = [
        (sample.label == "ai", report.p_ai)
        for sample, report in zip(chosen, reports, strict=True)
        if isinstance(report, Report) and report.p_ai is not None
    ]
    assert len(judged) > len(chosen) * 0.7
    truth, p = (np.array(column) for column in zip(*judged, strict=True))
    assert auroc(truth, p) > 0.8
