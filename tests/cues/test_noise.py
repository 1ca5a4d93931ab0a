import numpy as np
import pytest

from tests.cues.made import camera, clouds, cue_input, grey, mosaicked, read
from veridical.cues import noise
from veridical.cues.noise import measure
from veridical.cues.pixels import local_mean, residual
from veridical.report import NotApplicable


@pytest.mark.parametrize("seed", range(4))
def test_a_demosaiced_picture_betrays_its_filter_and_another_does_not(seed: int) -> None:
    plain = read(measure(cue_input(grey(camera(256, seed)))))
    mosaic = read(measure(cue_input(mosaicked(256, seed))))
    assert plain["mosaic"] < 2
    assert mosaic["mosaic"] > 4


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
def test_the_level_is_that_of_the_noise(sigma: float) -> None:
    values = 128 + np.random.default_rng(0).normal(0, sigma, (256, 256))
    found = read(measure(cue_input(grey(values))))
    assert np.exp(found["level"]) == pytest.approx(sigma, rel=0.12)


def test_white_noise_is_fine_and_smoothed_noise_is_not() -> None:
    values = np.random.default_rng(0).normal(0, 10, (256, 256))
    white, soft = (
        read(measure(cue_input(grey(128 + one)))) for one in (values, 2 * local_mean(values, 3))
    )
    assert abs(white["near"]) < 0.1
    assert soft["near"] > 0.4


def test_colours_from_one_grey_picture_agree_and_independent_ones_do_not() -> None:
    draw = np.random.default_rng(0).normal(128, 5, (128, 128, 3)).round().astype(np.uint8)
    assert read(measure(cue_input(grey(camera(128, 0)))))["channels"] == pytest.approx(1)
    assert abs(read(measure(cue_input(draw)))["channels"]) < 0.1


def test_a_face_with_another_noise_than_its_background_is_uneven() -> None:
    draw = np.random.default_rng(0)
    even = clouds(320, 0, power=2) + draw.normal(0, 3, (320, 320))
    pasted = clouds(320, 0, power=2) + draw.normal(0, 1, (320, 320))
    pasted[96:224, 96:224] += draw.normal(0, 6, (128, 128))
    box = (96.0, 96.0, 128.0, 128.0)
    one, other = (read(measure(cue_input(grey(v), box))) for v in (even, pasted))
    assert one["uneven"] < 0.2
    assert other["uneven"] > 1


def test_a_face_that_fills_the_frame_has_no_background_to_compare() -> None:
    assert "uneven" not in read(measure(cue_input(grey(camera(128, 0)))))


def test_the_residual_of_noise_is_the_noise_and_edges_stay_in_the_picture() -> None:
    values = np.random.default_rng(0).normal(0, 2, (64, 64))
    values[:, 32:] += 200
    rest = residual(values)
    assert rest[:, :24].std() > 1.5
    assert np.abs(rest[:, 30:34]).mean() < 5


def test_a_local_mean_is_the_mean_of_the_neighbours() -> None:
    values = np.random.default_rng(0).uniform(0, 9, (12, 15))
    padded = np.pad(values, 2, mode="symmetric")
    naive = [[padded[r : r + 5, c : c + 5].mean() for c in range(15)] for r in range(12)]
    assert np.allclose(local_mean(values, 5), naive)


@pytest.mark.parametrize(
    ("level", "why"), [(255, "black or white"), (0, "black or white"), (90, "perfectly smooth")]
)
def test_flat_faces_are_not_applicable(level: int, why: str) -> None:
    found = measure(cue_input(np.full((128, 128, 3), level, np.uint8)))
    assert isinstance(found, NotApplicable)
    assert why in found.why


def test_a_small_face_is_not_applicable() -> None:
    found = measure(cue_input(grey(camera(noise.LEAST_PX - 1, 0))))
    assert isinstance(found, NotApplicable)
    assert f"{noise.LEAST_PX} px" in found.why
