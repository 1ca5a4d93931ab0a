"""What becomes of the logit when parts of a face are covered, and that it is measured once."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import WIDE, calibration, fitted_of, with_parts
from tests.train.test_explainer import sample
from veridical.arrays import UInt8, ndarray
from veridical.assembly import with_samples
from veridical.detector import Detector
from veridical.engines import Serial, Threads
from veridical.explain.face import ExplainConfig
from veridical.explain.occlusion import Fill, cover, swapped
from veridical.io.samples import Sample
from veridical.io.source import open_source
from veridical.scoring import CropScore, alone
from veridical.train import covering as covering_module
from veridical.train.covering import LogitDrops, covering, fingerprint, logit_drops_of, measure
from veridical.vision.crop import extract_crop
from veridical.vision.prepare import areas_of, crops_of

Painter = Callable[..., ndarray]


@pytest.fixture
def pictures(tmp_path: Path, painter: Painter) -> list[Path]:
    """Three painted portraits."""
    paths = [tmp_path / f"portrait {n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        Image.fromarray(painter(64, 64, (12.0, 12.0, 40.0, 40.0), seed=n)).save(path)
    return paths


@pytest.fixture
def album(pictures: list[Path]) -> list[Sample]:
    return [
        replace(sample(number), path=path, source="painted") for number, path in enumerate(pictures)
    ]


def test_drops_are_what_the_head_says_of_covered_crops(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    detector, file = tiny_detector, open_source(pictures[0])
    config = ExplainConfig(faithfulness=False)
    explanation = detector.inspect(file, explain=config).faces[0].explanation
    assert explanation is not None
    crop = extract_crop(file.photo.image, explanation.area, detector.parts.configs[0])
    own = alone(detector.parts, 0, detector.backbone)
    drops = logit_drops_of(own, crop, file.sha256, 6)
    slope = fitted_of(detector).slope
    # Of each four, two are blurred and the third is of the mean colour.
    fills: list[tuple[int, Fill]] = [(0, "blur"), (1, "blur"), (2, "mean"), (4, "blur")]
    for number, fill in fills:
        covered = swapped(crop, cover(crop, fill), drops.sets[number])
        whole, rest = own.mean_logit(np.stack([crop, covered]))
        assert drops.logit_drops[number] == pytest.approx(whole - rest, abs=1e-5)
    (tokens,) = detector.backbone.tokens(crop[None])
    for chosen, total in zip(drops.sets, drops.sums, strict=True):
        assert 1 <= chosen.sum() <= 14
        wanted = tokens.patches[:, chosen].sum(axis=1).ravel()
        np.testing.assert_allclose(total, wanted, rtol=1e-4, atol=1e-4)
    plain = explanation.gradient_x_token.patches.ravel()
    np.testing.assert_allclose(slope * drops.contributions, plain, rtol=1e-6)


def test_shuffled_patches_are_the_pictures_own() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    made = covering(crop, "shuffle", 4, np.random.default_rng(1))

    def tiles(image: UInt8[ndarray, "size size 3"]) -> list[bytes]:
        return sorted(
            image[i : i + 2, j : j + 2].tobytes() for i in range(0, 8, 2) for j in range(0, 8, 2)
        )

    assert tiles(made) == tiles(crop)
    assert (made != crop).any()
    assert np.array_equal(made[8], crop[8])


def test_an_interrupted_measurement_goes_on(
    tiny_detector: Detector, album: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    covered: list[str] = []

    def counted(own: CropScore, crop: ndarray, picture: str, sets: int) -> LogitDrops:
        covered.append(picture)
        return logit_drops_of(own, crop, picture, sets)

    monkeypatch.setattr(covering_module, "logit_drops_of", counted)
    first = measure(tiny_detector, album[:2], sets=3, engine=Serial(), cache=tmp_path)
    again = measure(tiny_detector, album[:3], sets=3, engine=Threads(2), cache=tmp_path)
    assert len(covered) == 3
    assert list(again) == album[:3]
    for one in album[:2]:
        assert np.array_equal(first[one].logit_drops, again[one].logit_drops)
        assert np.array_equal(first[one].sums, again[one].sums)


def test_what_cannot_be_covered_is_left_out(
    tiny_detector: Detector, album: list[Sample], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    small = tmp_path / "small.png"
    Image.new("RGB", (9, 9)).save(small)
    lost = [replace(album[0], path=path) for path in (broken, small, tmp_path / "absent.jpg")]
    for _ in range(2):  # the second time from the cache
        few = [*lost, album[1]]
        found = measure(tiny_detector, few, sets=2, engine=Serial(), cache=tmp_path / "cache")
        assert list(found) == [album[1]]


def test_another_head_is_another_cache(tiny_detector: Detector) -> None:
    fewer = replace(tiny_detector, parts=with_samples(tiny_detector.parts, 9))
    wider = replace(tiny_detector.parts.configs[0], margin=1.5)
    names = {
        fingerprint(tiny_detector, 0, 3),
        fingerprint(tiny_detector, 0, 4),
        fingerprint(fewer, 0, 3),
        fingerprint(with_parts(tiny_detector, min_face_px=17.0), 0, 3),
        fingerprint(with_parts(tiny_detector, crop=wider), 0, 3),
    }
    assert len(names) == 5
    assert fingerprint(replace(tiny_detector, perturbations=()), 0, 3) in names
    # Nor does a new calibration cost anything.
    assert fingerprint(with_parts(tiny_detector, calibration=calibration()), 0, 3) in names


def test_every_crop_is_covered_on_its_own_and_has_its_own_cache(
    wide_detector: Detector, painter: Painter, tmp_path: Path
) -> None:
    path = tmp_path / "portrait.png"
    Image.fromarray(painter(120, 160, WIDE)).save(path)
    one, file = replace(sample(0), path=path), open_source(path)
    assert len({fingerprint(wide_detector, at, 4) for at in range(2)}) == 2
    configs = wide_detector.parts.configs
    areas = areas_of(wide_detector.finder.find(file.photo.image)[0].box, configs, file.photo.image)
    crops = crops_of(file.photo.image, areas, configs)
    found = []
    for at, crop in enumerate(crops):
        own = alone(wide_detector.parts, at, wide_detector.backbone)
        wanted = logit_drops_of(own, crop, file.sha256, 4)
        drops = measure(
            wide_detector, [one], at, sets=4, engine=Serial(), cache=tmp_path / "cache"
        )[one]
        np.testing.assert_array_equal(drops.logit_drops, wanted.logit_drops)
        np.testing.assert_array_equal(drops.contributions, wanted.contributions)
        found.append(drops)
    assert not np.array_equal(found[0].logit_drops, found[1].logit_drops)
    np.testing.assert_array_equal(found[0].sets, found[1].sets)  # the same places
