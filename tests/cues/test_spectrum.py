import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cues.made import camera, clouds, cue_input, grey, read, transposed, upsampled
from veridical.cues import spectrum
from veridical.cues.pixels import local_mean
from veridical.cues.spectrum import azimuthal, measure
from veridical.report import NotApplicable

GRIDS = ("grid_2", "grid_4", "grid_8")


@pytest.mark.parametrize("seed", range(4))
def test_a_camera_shows_no_grid(seed: int) -> None:
    found = read(measure(cue_input(grey(camera(256, seed)))))
    assert all(found[name] < 0.5 for name in GRIDS)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("factor", "grids"), [(2, 1), (4, 2), (8, 3)])
def test_an_upsampling_grid_shows_at_its_own_frequencies_and_their_harmonics(
    factor: int, grids: int, seed: int
) -> None:
    found = read(measure(cue_input(grey(upsampled(256, factor, seed)))))
    assert all(found[name] > 1 for name in GRIDS[:grids])
    assert all(found[name] < 0.5 for name in GRIDS[grids:])


@pytest.mark.parametrize("seed", range(3))
def test_an_uneven_transposed_convolution_leaves_a_line_at_half_the_rate(seed: int) -> None:
    assert read(measure(cue_input(grey(transposed(256, seed)))))["grid_2"] > 3


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_a_flipped_face_has_the_same_spectrum(seed: int) -> None:
    values = camera(96, seed)
    straight, flipped = (read(measure(cue_input(grey(v)))) for v in (values, values[:, ::-1]))
    assert straight == pytest.approx(flipped, abs=1e-6)


@pytest.mark.parametrize("power", [0.9, 1.3])
def test_the_slope_is_that_of_the_texture(power: float) -> None:
    """Amplitude f^-p is power f^-2p; the taper and rounding leave a tenth of it."""
    found = read(measure(cue_input(grey(clouds(256, 3, power=power)))))
    assert found["slope"] == pytest.approx(-2 * power, rel=0.1)


def test_blur_weakens_the_highest_band() -> None:
    values = clouds(256, 1, power=1.0)
    sharp, soft = (read(measure(cue_input(grey(v)))) for v in (values, local_mean(values, 3)))
    assert soft["middle"] < sharp["middle"] - 0.3


def test_the_azimuthal_mean_agrees_with_going_around_in_circles() -> None:
    power = np.random.default_rng(0).uniform(1, 2, (16, 16))
    where, profile = azimuthal(power)
    for radius, value in zip(np.rint(where * 16).astype(int), profile, strict=True):
        ring = [
            power[row, column]
            for row in range(16)
            for column in range(16)
            if round(np.hypot(row - 16 * (row > 8), column - 16 * (column > 8))) == radius
        ]
        assert value == pytest.approx(np.mean(ring))


def test_white_noise_through_the_tiles_keeps_its_power() -> None:
    noise = np.random.default_rng(0).normal(0, 3, (256, 256))
    assert spectrum._welch(noise).mean() == pytest.approx(9, rel=0.1)


def test_a_small_or_flat_face_is_not_applicable() -> None:
    small = measure(cue_input(grey(camera(spectrum.LEAST_PX - 1, 0))))
    flat = measure(cue_input(np.full((128, 128, 3), 77, np.uint8)))
    assert isinstance(small, NotApplicable)
    assert f"fewer than {spectrum.LEAST_PX} px" in small.why
    assert isinstance(flat, NotApplicable)
    assert "flat" in flat.why
