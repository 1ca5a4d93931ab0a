from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from veridical.box import Box
from veridical.vision.crop import CropConfig, extract_crop
from veridical.vision.perturb import PERTURBATIONS, Perturbation, apply

CONFIG = CropConfig(size_px=224)
SAME = Perturbation(name="same")
each = pytest.mark.parametrize("how", PERTURBATIONS, ids=lambda how: how.name)


def photo(height: int, width: int, seed: int = 0, *, noise: int = 40) -> Image.Image:
    """A smooth picture with so many levels of noise."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    smooth = np.stack([127 + 60 * np.sin(4 * x + k + 3 * y) for k in range(3)], axis=-1)
    noisy = smooth + generator.uniform(-noise, noise, smooth.shape)
    return Image.fromarray(noisy.astype(np.uint8))


def passed_on(image: Image.Image, how: Perturbation) -> Image.Image:
    """The whole photo as it would be passed on, wherever the face is."""
    whole = Box(left=0.0, top=0.0, width=float(image.width), height=float(image.height))
    return apply(image, [whole], how)[0]


@each
@pytest.mark.parametrize("side", [96.5, 260.0])
@pytest.mark.parametrize("left", [75.25, 310.0])
def test_a_piece_is_what_saving_the_whole_photo_would_have_left_there(
    how: Perturbation, side: float, left: float
) -> None:
    image = photo(480, 640)
    area = Box(left=left, top=170.5, width=side, height=side)
    piece, (place,) = apply(image, [area], how)
    scaled = Box(**{k: getattr(area, k) * how.scale for k in ("left", "top", "width", "height")})
    found, wanted = (
        extract_crop(piece, place, CONFIG),
        extract_crop(passed_on(image, how), scaled, CONFIG),
    )
    # Pillow's weights are of 8 bits and go by the place in the picture: a level may differ.
    assert np.abs(found.astype(int) - wanted).max() <= 1


@settings(max_examples=40)
@given(
    st.integers(1, 400),
    st.integers(1, 400),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.sampled_from(PERTURBATIONS),
)
def test_the_area_lies_within_its_piece_whatever_the_sizes(
    height: int, width: int, shares: tuple[float, ...], how: Perturbation
) -> None:
    across, down = max(0.5, shares[0] * width), max(0.5, shares[1] * height)
    left, top = shares[2] * (width - across), shares[3] * (height - down)
    area = Box(left=left, top=top, width=across, height=down)
    piece, (place,) = apply(Image.new("RGB", (width, height)), [area], how)
    assert min(place.left, place.top) >= 0
    assert place.left + place.width <= piece.width + 1e-9
    assert place.top + place.height <= piece.height + 1e-9


def hull(one: Box, other: Box) -> Box:
    """The smallest box around two."""
    left, top = min(one.left, other.left), min(one.top, other.top)
    right = max(box.left + box.width for box in (one, other))
    bottom = max(box.top + box.height for box in (one, other))
    return Box(left=left, top=top, width=right - left, height=bottom - top)


def boxes(image: Image.Image) -> st.SearchStrategy[Box]:
    def made(left: float, top: float, side: float) -> Box:
        return Box(
            left=left * (image.width - side),
            top=top * (image.height - side),
            width=side,
            height=side,
        )

    return st.builds(made, st.floats(0, 1), st.floats(0, 1), st.floats(8, 300))


LARGE = photo(400, 560)


@settings(max_examples=30)
@given(boxes(LARGE), boxes(LARGE), st.sampled_from(PERTURBATIONS))
def test_two_areas_have_the_pixels_that_they_have_in_a_copy_of_their_hull(
    one: Box, other: Box, how: Perturbation
) -> None:
    piece, places = apply(LARGE, [one, other], how)
    around, (whole,) = apply(LARGE, [hull(one, other)], how)
    assert around.tobytes() == piece.tobytes()
    found = hull(*places)
    assert (found.left, found.top) == pytest.approx((whole.left, whole.top), abs=1e-9)
    assert (found.width, found.height) == pytest.approx((whole.width, whole.height), abs=1e-9)


@each
def test_areas_whose_hull_is_one_of_them_get_the_very_piece_of_it(how: Perturbation) -> None:
    """So do the crops of a face: the context holds the face."""
    inner = Box(left=150.5, top=120.25, width=90.0, height=90.0)
    outer = Box(left=90.0, top=60.0, width=210.0, height=210.0)
    both, places = apply(LARGE, [inner, outer], how)
    alone, (place,) = apply(LARGE, [outer], how)
    assert both.tobytes() == alone.tobytes()
    assert places[1] == place
    assert apply(LARGE, [outer, inner], how)[1] == places[::-1]


@each
def test_a_crop_is_the_same_whatever_is_looked_at_beside_it(how: Perturbation) -> None:
    inner = Box(left=150.5, top=120.25, width=90.0, height=90.0)
    outer = Box(left=20.0, top=30.0, width=350.0, height=350.0)
    both, places = apply(LARGE, [inner, outer], how)
    alone, (place,) = apply(LARGE, [inner], how)
    found, wanted = extract_crop(both, places[0], CONFIG), extract_crop(alone, place, CONFIG)
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_a_copy_that_changes_nothing_changes_nothing() -> None:
    image = photo(300, 300)
    area = Box(left=70.25, top=12.5, width=180.0, height=180.0)
    piece, (place,) = apply(image, [area], SAME)
    np.testing.assert_array_equal(
        extract_crop(piece, place, CONFIG), extract_crop(image, area, CONFIG)
    )


@each
def test_the_same_pixels_make_the_same_copy(how: Perturbation) -> None:
    area = Box(left=40.0, top=30.0, width=150.0, height=150.0)
    one, other = (apply(photo(260, 240), [area], how) for _ in range(2))
    assert one[0].tobytes() == other[0].tobytes()
    assert one[1] == other[1]


def energy(image: Image.Image) -> float:
    return float(np.abs(np.diff(np.asarray(image, float), axis=1)).mean())


@each
def test_every_copy_takes_fine_detail_away_and_leaves_the_colours(how: Perturbation) -> None:
    pixels, copied = photo(320, 320), passed_on(photo(320, 320), how)
    assert energy(copied) < 0.85 * energy(pixels)
    drift = np.asarray(copied).mean(axis=(0, 1)) - np.asarray(pixels).mean(axis=(0, 1))
    assert np.abs(drift).max() < 1  # level of 255


def test_the_perturbations_have_names_of_their_own() -> None:
    assert len({how.name for how in PERTURBATIONS}) == len(PERTURBATIONS) == 3


def test_a_photo_larger_than_pillow_likes_is_perturbed_without_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # warnings are errors in these tests
    assert passed_on(photo(64, 64), PERTURBATIONS[0]).size == (64, 64)


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"scale": 1.5}, {"quality": 0}, {"quality": 96}])
def test_a_perturbation_that_cannot_be_made_is_refused(wrong: dict[str, float]) -> None:
    refused: Callable[..., Perturbation] = replace
    with pytest.raises(ValueError, match=r"a scale in \(0, 1\] and a JPEG quality"):
        refused(SAME, **wrong)
