"""What all crops of a face say together, and what one of them has to do with it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.conftest import WIDE, Painter, face_at
from veridical.arrays import ndarray
from veridical.detector import Detector
from veridical.infer.fusion import Fusion
from veridical.infer.head import sigmoid
from veridical.scoring import FaceScore, alone, score
from veridical.tokens import pool
from veridical.vision.prepare import areas_of, crops_of

SMALL_PX, LARGE_PX = 20.0, 48.0
sizes = pytest.mark.parametrize("face_px", [SMALL_PX, LARGE_PX])


@pytest.fixture(scope="module")
def crops(wide_detector: Detector, painter: Painter) -> ndarray:
    image = Image.fromarray(painter(120, 160, WIDE, seed=3))
    configs = wide_detector.parts.configs
    return crops_of(image, areas_of(face_at(*WIDE).box, configs, image), configs)


def scored(detector: Detector, crops: ndarray, face_px: float) -> FaceScore:
    tokens = [detector.backbone.tokens(crop[None])[0] for crop in crops]
    return score(detector.parts, tokens, face_px)


def with_fusion(detector: Detector, fusion: Fusion) -> Detector:
    return replace(detector, parts=replace(detector.parts, fusion=fusion))


# --- together ----------------------------------------------------------------------------------


@sizes
def test_the_logit_is_the_calibrated_weighted_sum_of_what_the_heads_say(
    wide_detector: Detector, crops: ndarray, face_px: float
) -> None:
    parts, place = wide_detector.parts, int(face_px == LARGE_PX)
    found = scored(wide_detector, crops, face_px)
    assert found.place == place
    total = np.full(50, parts.fusion.intercepts[place])
    for branch, crop, weight in zip(
        parts.branches, crops, parts.fusion.weights[place], strict=True
    ):
        (tokens,) = wide_detector.backbone.tokens(crop[None])
        total += weight * branch.head.logits(pool(tokens, parts.pooling)).astype(np.float64)
    fitted = parts.fusion.calibrations[place]
    assert found.calibration is fitted
    np.testing.assert_allclose(found.raw, total, rtol=1e-5)
    np.testing.assert_allclose(found.logits, fitted.slope * total + fitted.intercept, rtol=1e-5)


@sizes
def test_the_evidence_of_the_crops_adds_up_to_the_mean_calibrated_logit(
    wide_detector: Detector, crops: ndarray, face_px: float
) -> None:
    found = scored(wide_detector, crops, face_px)
    assert len(found.evidence) == 2
    assert sum(found.evidence) == pytest.approx(float(found.logits.mean()), abs=1e-6)
    one, other = (scored(wide_detector, crops, px).evidence for px in (SMALL_PX, LARGE_PX))
    assert one != pytest.approx(other, abs=0.01)  # classes weigh them otherwise


def test_evidence_is_signed_by_what_the_crop_s_head_says(
    wide_detector: Detector, crops: ndarray
) -> None:
    """Where intercepts add nothing, a crop's evidence is its own logit, weighted."""
    fusion = wide_detector.parts.fusion
    plain = [replace(one, intercept=0.0) for one in fusion.calibrations]
    bare = replace(fusion, intercepts=(0.0, 0.0), calibrations=tuple(plain))
    found = scored(with_fusion(wide_detector, bare), crops, LARGE_PX)
    for evidence, forward, weight in zip(found.evidence, found.forwards, (0.8, 0.3), strict=True):
        own = float(forward.logits.mean(dtype=np.float64))
        assert evidence == pytest.approx(plain[1].slope * weight * own)


def test_the_distance_is_that_of_the_crop_that_is_furthest_off(
    wide_detector: Detector, crops: ndarray
) -> None:
    found = scored(wide_detector, crops, LARGE_PX)
    own = [
        branch.ood.distance(forward.features)
        for branch, forward in zip(wide_detector.parts.branches, found.forwards, strict=True)
    ]
    assert found.distance == max(own)
    assert len(set(own)) == 2
    # Either crop may be the one.
    strange = np.random.default_rng(0).integers(0, 256, crops[0].shape, dtype=np.uint8)
    for odd in (np.stack([strange, crops[1]]), np.stack([crops[0], strange])):
        assert scored(wide_detector, odd, LARGE_PX).distance > max(own)


def test_a_crop_too_few_is_refused(wide_detector: Detector, crops: ndarray) -> None:
    with pytest.raises(ValueError, match="zip"):
        scored(wide_detector, crops[:1], LARGE_PX)


# --- one crop, while the others stay -----------------------------------------------------------


@sizes
@pytest.mark.parametrize("at", [0, 1])
def test_of_the_face_s_own_crop_the_logit_is_the_face_s(
    wide_detector: Detector, crops: ndarray, face_px: float, at: int
) -> None:
    found = scored(wide_detector, crops, face_px)
    own = found.crop(at, wide_detector.backbone)
    assert own.branch is wide_detector.parts.branches[at]
    (logit,) = own.mean_logit(crops[at][None])
    assert logit == pytest.approx(float(found.logits.mean()), abs=1e-5)
    (p,) = own.p_ai(crops[at][None])
    assert p == pytest.approx(float(sigmoid(found.logits).mean()), abs=1e-6)


@sizes
@pytest.mark.parametrize("at", [0, 1])
def test_of_another_crop_the_logit_is_that_of_a_face_with_that_crop(
    wide_detector: Detector, crops: ndarray, face_px: float, at: int
) -> None:
    own = scored(wide_detector, crops, face_px).crop(at, wide_detector.backbone)
    others = [crops[at][::-1].copy(), crops[at][:, ::-1].copy(), 255 - crops[at]]
    logits, p = own.mean_logit(np.stack(others)), own.p_ai(np.stack(others))
    for other, logit, share in zip(others, logits, p, strict=True):
        changed = crops.copy()
        changed[at] = other
        wanted = scored(wide_detector, changed, face_px).logits
        assert logit == pytest.approx(float(wanted.mean()), abs=1e-4)
        assert share == pytest.approx(float(sigmoid(wanted).mean()), abs=1e-5)


@sizes
@pytest.mark.parametrize("at", [0, 1])
def test_the_linear_part_is_the_gradient_of_the_mean_calibrated_logit(
    wide_detector: Detector, crops: ndarray, face_px: float, at: int
) -> None:
    found = scored(wide_detector, crops, face_px)
    own, features = found.crop(at, wide_detector.backbone), found.forwards[at].features
    gradient, rest = own.linear(features)
    logit = float(features.astype(np.float64) @ gradient) + rest
    assert logit == pytest.approx(float(found.logits.mean()), abs=1e-4)

    def mean_logit(at_features: ndarray) -> float:
        raw = own.branch.head.logits(at_features.astype(np.float32)).astype(np.float64)
        return float((own.slope * raw + own.others).mean())

    draw, scale = np.random.default_rng(0), own.branch.head.scale
    for _ in range(5):
        step = 1e-4 * draw.normal(size=len(features)) * scale
        up, down = mean_logit(features + step), mean_logit(features - step)
        assert (up - down) / 2 == pytest.approx(float(gradient @ step), rel=0.05, abs=5e-7)


def test_a_crop_that_counts_nothing_changes_nothing_and_still_has_a_scale(
    wide_detector: Detector, crops: ndarray
) -> None:
    fusion = replace(wide_detector.parts.fusion, weights=((0.4, 0.9), (0.8, 0.0)))
    found = scored(with_fusion(wide_detector, fusion), crops, LARGE_PX)
    own = found.crop(1, wide_detector.backbone)
    assert own.slope > 0
    logits = own.mean_logit(np.stack([crops[1], 255 - crops[1]]))
    assert logits == pytest.approx(np.full(2, found.logits.mean()), abs=1e-6)


@pytest.mark.parametrize("at", [0, 1])
def test_alone_a_crop_has_the_logit_of_its_head(
    wide_detector: Detector, crops: ndarray, at: int
) -> None:
    own = alone(wide_detector.parts, at, wide_detector.backbone)
    forward = scored(wide_detector, crops, LARGE_PX).forwards[at]
    (logit,) = own.mean_logit(crops[at][None])
    assert logit == pytest.approx(float(forward.logits.mean()), abs=1e-5)
    gradient, rest = own.linear(forward.features)
    assert float(forward.features @ gradient) + rest == pytest.approx(logit, abs=1e-4)
