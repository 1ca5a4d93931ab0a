import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import WIDE, FakeFinder, fitted_of
from veridical.arrays import ndarray
from veridical.detector import Detector
from veridical.errors import DataError, ModelError, TooFewPhotos
from veridical.infer.calibration import HALVINGS, Calibration
from veridical.infer.head import sigmoid
from veridical.infer.priors import assumed
from veridical.io.model import read_model
from veridical.report import Decision, Failure
from veridical.train.recalibrate import (
    RECALIBRATION,
    Pictures,
    describe,
    distinct,
    gather,
    recalibrate,
    write,
)
from veridical.vision.prepare import Finder

OLD = Calibration(
    slope=0.5,
    intercept=-0.2,
    coverage_of_reals=0.9,
    coverage_of_ai=0.9,
    threshold_real=0.6,
    threshold_ai=0.8,
    real=1000,
    ai=900,
    typical_real=-1.5,
)


def pictures(mean: float, count: int, *, seed: int = 0, samples: int = 8) -> Pictures:
    """One face each, whose logits are around `mean`."""
    generator = np.random.default_rng(seed)
    z = generator.normal(mean, 2, (count, 1, 1)) + generator.normal(0, 0.5, (count, 1, samples))
    return Pictures(folder="mine", logits=tuple(z), failures=(), faceless=())


def p_ai(calibration: Calibration, logits: ndarray) -> float:
    return float(sigmoid(calibration.logits(logits)).mean(axis=1).max())


# --- real pictures alone ------------------------------------------------------------------------


@settings(max_examples=25)
@given(st.floats(-9, 9), st.sampled_from([0.01, 0.05, 0.2]), st.integers(0, 10**6))
def test_no_more_reals_than_asked_are_beyond_the_threshold(
    mean: float, fpr: float, seed: int
) -> None:
    real = pictures(mean, 150, seed=seed)
    made = recalibrate(OLD, real, fpr=fpr)
    p = sigmoid(made.calibration.logits(np.stack(real.logits)[:, 0])).mean(axis=1)
    beyond = p > made.calibration.threshold_real
    assert sum(beyond) == 150 - made.rank
    assert 150 - made.rank <= fpr * 151
    assert made.reached.value <= fpr


@given(st.floats(-9, 9))
def test_the_typical_real_picture_gets_the_model_s_own_typical_logit(mean: float) -> None:
    real = pictures(mean, 99)
    made = recalibrate(OLD, real)
    means = made.calibration.logits(np.stack(real.logits)[:, 0]).mean(axis=1)
    assert np.median(means) == pytest.approx(OLD.typical_real)
    assert made.calibration.typical_real == pytest.approx(OLD.typical_real)
    assert made.calibration.slope == OLD.slope
    assert made.shift == pytest.approx(made.calibration.intercept - OLD.intercept)
    assert made.calibration.threshold_ai == OLD.threshold_ai


def test_a_promise_that_so_few_cannot_keep_is_refused_with_the_number_needed() -> None:
    recalibrate(OLD, pictures(0, 99), fpr=0.01)
    for count, fpr, needed in ((98, 0.01, 99), (0, 0.01, 99), (8, 0.1, 9), (198, 0.005, 199)):
        with pytest.raises(TooFewPhotos, match=f"^{count} real .* takes at least {needed}") as told:
            recalibrate(OLD, pictures(0, count), fpr=fpr)
        if count:
            asked = float((told.value.cli_hint or "").split("--fpr ")[1].rstrip("."))
            recalibrate(OLD, pictures(0, count), fpr=asked)  # what the hint says works
    with pytest.raises(TooFewPhotos, match=r"^8 AI-generated .* at most 10 % .* at least 9"):
        recalibrate(OLD, pictures(0, 99), pictures(3, 8))


@pytest.mark.parametrize("fpr", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_a_rate_that_is_no_share_is_refused(fpr: float) -> None:
    with pytest.raises(ValueError, match="more than 0 and less than 1"):
        recalibrate(OLD, pictures(0, 99), fpr=fpr)


def test_the_coverage_of_a_calibration_holds_for_both_classes() -> None:
    assert recalibrate(OLD, pictures(0, 99), fpr=0.01).calibration.coverage == 0.9
    assert recalibrate(OLD, pictures(0, 99), fpr=0.3).calibration.coverage == 0.7


def test_what_is_told_of_one_class_is_what_its_threshold_was_fitted_for() -> None:
    loose = recalibrate(OLD, pictures(0, 99), fpr=0.3).calibration
    assert (loose.coverage_of_reals, loose.coverage_of_ai) == (0.7, 0.9)
    ai = pictures(3, 99)
    again = recalibrate(loose, pictures(0, 99), ai, fpr=0.01).calibration
    assert (again.coverage_of_reals, again.coverage_of_ai, again.coverage) == (0.99, 0.9, 0.9)
    kept = [1 - p_ai(again, logits) <= again.threshold_ai for logits in ai.logits]
    assert sum(kept) == 90  # of 99; 0.7 of them before the two were told apart


# --- both classes -------------------------------------------------------------------------------


def test_with_both_classes_the_probabilities_are_calibrated_for_them() -> None:
    real, ai = pictures(4, 800, seed=1), pictures(8, 300, seed=2)
    made = recalibrate(OLD, real, ai, fpr=0.05).calibration
    fresh = [(pictures(4, 4000, seed=3), 0.0), (pictures(8, 4000, seed=4), 1.0)]
    p, truth = np.array([(p_ai(made, z), label) for f, label in fresh for z in f.logits]).T
    for low in (0.1, 0.3, 0.5, 0.7):
        inside = (p >= low) & (p < low + 0.2)
        assert p[inside].mean() == pytest.approx(truth[inside].mean(), abs=0.07)
    assert np.mean(1 - p[truth == 1] <= made.threshold_ai) == pytest.approx(0.9, abs=0.06)
    assert (made.real, made.ai) == (800, 300)


def test_classes_without_overlap_do_not_ask_for_certainty() -> None:
    made = recalibrate(OLD, pictures(-20, 120), pictures(20, 120)).calibration
    assert 0 < made.slope < 10
    assert np.isfinite(made.intercept)


def test_classes_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(DataError, match="higher P") as told:
        recalibrate(OLD, pictures(6, 120), pictures(-6, 120))
    assert "not swapped" in told.value.hint


def test_a_picture_counts_once_by_its_most_telling_face() -> None:
    real = pictures(0, 120)
    crowd = replace(real, logits=tuple(np.concatenate([z - 5, z, z - 1]) for z in real.logits))
    assert recalibrate(OLD, crowd) == recalibrate(OLD, real)


# --- the folder ---------------------------------------------------------------------------------


def test_copies_count_once_and_what_failed_is_kept_by_name(tmp_path: Path) -> None:
    for name, data in (("a.jpg", b"1"), ("b.jpg", b"2"), ("c.jpg", b"1")):
        (tmp_path / name).write_bytes(data)
    gone, empty = tmp_path / "gone.jpg", Failure(path="x", error="x: no pictures.", hint="-")
    paths = list(
        distinct([tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.jpg", gone, empty])
    )
    copy = paths[2]
    assert isinstance(copy, Failure)
    assert copy.error == f"{tmp_path / 'c.jpg'}: is, to the byte, a copy of {tmp_path / 'a.jpg'}."
    assert (paths[3], paths[4]) == (gone, empty)
    seen: list[Any] = [np.zeros((1, 4)), np.zeros((0, 4)), copy, empty, empty]
    found = gather(tmp_path, paths, seen)
    assert found.folder == tmp_path.name
    assert (len(found.logits), found.faceless) == (1, (tmp_path / "b.jpg",))
    assert found.failures == (copy, empty, empty)


def test_the_head_s_own_logits_come_before_any_calibration(
    tiny_detector: Detector, face_picture: ndarray, fake_finder: Callable[..., Finder]
) -> None:
    boxes = ((50.0, 20.0, 60.0, 80.0), (10.0, 10.0, 30.0, 30.0), (0.0, 0.0, 4.0, 4.0))
    detector = replace(tiny_detector, finder=fake_finder(*boxes))
    raw = detector.logits(face_picture)
    report = detector.inspect(face_picture)
    verdicts = [face.verdict for face in report.faces if face.verdict]
    assert raw.shape == (2, detector.parts.samples)
    p = sigmoid(fitted_of(detector).logits(raw)).mean(axis=1)
    assert p.tolist() == pytest.approx([verdict.p_ai for verdict in verdicts])
    none = replace(detector, finder=fake_finder()).logits(face_picture)
    assert none.shape == (0, detector.parts.samples)


@pytest.fixture
def portraits(painter: Callable[..., ndarray], tmp_path: Path) -> list[Path]:
    folder = tmp_path / "press"
    folder.mkdir()
    paths = [folder / f"{seed}.png" for seed in range(24)]
    for seed, path in enumerate(paths):
        Image.fromarray(painter(64, 64, (12, 12, 40, 40), seed=seed)).save(path)
    return paths


def test_the_model_that_is_written_is_the_old_one_with_another_calibration(
    tiny_model: Path, tiny_detector: Detector, portraits: list[Path], tmp_path: Path
) -> None:
    real = gather(portraits[0].parent, portraits, map(tiny_detector.logits, portraits))
    made = recalibrate(tiny_detector.parts.fusion.overall, real, fpr=0.05)
    model = read_model(tiny_model)
    written = write(tmp_path / "new", model, made)
    card = json.loads((tmp_path / "new" / "card.json").read_text())
    assert written.identity != model.identity
    for name in ("crops", "backbone", "pooling", "min_face_px"):
        assert card[name] == model.card[name]
    assert card["calibrated_on"] == "the user's own pictures: 24 real ones in 'press'"
    assert str(tmp_path) not in json.dumps(card)
    told = card["recalibrated"]
    assert (told["schema"], told["from"]) == (RECALIBRATION, model.identity[:12])
    assert told["real"] == {"folder": "press", "pictures": 24}
    assert told["ai"] is None
    assert told["fpr"] == {
        "asked": 0.05,
        "expected": made.reached.value,
        "interval": [made.reached.low, made.reached.high],
        "rank": 24,
    }
    assert assumed(card) == 0.5
    new = replace(Detector.load(tmp_path / "new"), finder=tiny_detector.finder)
    assert fitted_of(new) == new.parts.fusion.overall == made.calibration
    called = [new.inspect(path).decision for path in portraits]
    assert called.count(Decision.AI) <= 24 - made.rank


def test_a_model_of_two_crops_gets_one_calibration_and_loses_its_fast_way(
    wide_model: Path, wide_detector: Detector, painter: Callable[..., ndarray], tmp_path: Path
) -> None:
    model, old = read_model(wide_model), wide_detector.parts.fusion
    paths = []
    for seed in range(30):
        path = tmp_path / f"{seed}.png"
        Image.fromarray(painter(120, 160, WIDE, seed=seed)).save(path)
        paths.append(path)
    real = gather(tmp_path, paths, map(wide_detector.logits, paths))
    made = recalibrate(old.overall, real, fpr=0.1)
    write(tmp_path / "new", model, made)
    new = replace(Detector.load(tmp_path / "new", threads=1), finder=wide_detector.finder)
    fusion = new.parts.fusion
    assert fusion.calibrations == (made.calibration,)
    assert fusion.overall == made.calibration
    # How crops are weighed, and where classes begin, is left as it is.
    assert (fusion.edges_px, fusion.weights, fusion.intercepts) == (
        old.edges_px,
        old.weights,
        old.intercepts,
    )
    assert len(new.parts.branches) == 2
    assert new.parts.fast is None
    with pytest.raises(ModelError, match="calibrated on your pictures") as caught:
        Detector.load(tmp_path / "new", fast=True)
    assert caught.value.hint
    # The threshold is what inspection compares with, whatever the size of the face.
    small = replace(new, finder=FakeFinder(((70.0, 50.0, 20.0, 20.0),)))
    for detector in (new, small):
        logits = np.concatenate([detector.logits(path) for path in paths])
        p = sigmoid(made.calibration.logits(logits)).mean(axis=1)
        told = [detector.inspect(path).p_ai for path in paths]
        assert p.tolist() == pytest.approx(told, abs=1e-9)
    p = np.array([new.inspect(path).p_ai for path in paths])
    assert (p > made.calibration.threshold_real + 1e-9).sum() == 30 - made.rank


def test_several_faces_have_no_more_to_pass_than_the_picture_s_threshold() -> None:
    """A picture counts by its worst face, so the promise is the picture's already."""
    made = recalibrate(OLD, pictures(0, 150), fpr=0.05).calibration
    assert made.tail == (made.threshold_real,) * HALVINGS
    assert {made.threshold_among(n) for n in (1, 2, 5, 64)} == {made.threshold_real}


def test_old_error_rates_do_not_stay_with_the_new_calibration(
    tiny_model: Path, tmp_path: Path
) -> None:
    old = read_model(tiny_model)
    measured = replace(old, card={**old.card, "measured": {"test": {}}})
    made = recalibrate(OLD, pictures(0, 99), pictures(4, 99))
    written = write(tmp_path / "new", measured, made)
    assert "measured" not in written.card
    assert written.card["recalibrated"]["ai"] == {"folder": "mine", "pictures": 99}


def test_what_is_promised_is_said_with_its_numbers() -> None:
    text = " ".join(describe(recalibrate(OLD, pictures(0, 300), fpr=0.02)))
    for part in (
        "300 real ones in 'mine'",
        "At most 2 % of real pictures like these are called ai, averaged over all sets of 300",
        "2 % is expected beyond the threshold",
        "between 0.74 % and 3.8 % (95 %): there are 300 real pictures, 5 of them beyond it",
    ):
        assert part in text
