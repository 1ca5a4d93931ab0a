import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from tests.explain.made import noise
from veridical.arrays import ndarray
from veridical.explain.occlusion import cover, occlusion, swapped


def uneven(crops: ndarray) -> ndarray:
    """Some score in [0, 1] in which every pixel counts differently."""
    size = crops.shape[1]
    weights = np.random.default_rng(3).normal(size=(size, size, 3))
    sums: ndarray = (crops / 255 - 0.5).reshape(len(crops), -1) @ weights.ravel()
    return np.asarray(0.5 + 0.5 * np.tanh(sums / size))


def naive_occlusion(crop: ndarray, window: int, stride: int) -> ndarray:
    size = len(crop)
    colour = crop.mean(axis=(0, 1)).round().astype(np.uint8)
    starts = sorted({*range(0, size - window + 1, stride), size - window})
    changes: list[list[list[float]]] = [[[] for _ in range(size)] for _ in range(size)]
    for top in starts:
        for left in starts:
            covered = crop.copy()
            inside = [(y, x) for y in range(top, top + window) for x in range(left, left + window)]
            for y, x in inside:
                covered[y, x] = colour
            change = float(uneven(crop[None])[0] - uneven(covered[None])[0])
            for y, x in inside:
                changes[y][x].append(change)
    return np.array([[np.mean(c) if c else 0.0 for c in row] for row in changes])


@given(
    size=st.integers(4, 14),
    window=st.integers(1, 14),
    stride=st.integers(1, 6),
    batch=st.integers(1, 9),
)
@settings(max_examples=30)
def test_occlusion_is_what_a_naive_double_loop_says(
    size: int, window: int, stride: int, batch: int
) -> None:
    window = min(window, size)
    crop = noise(size, seed=size)
    np.testing.assert_allclose(
        occlusion(crop, uneven, window=window, stride=stride, batch=batch),
        naive_occlusion(crop, window, stride),
        atol=1e-12,
    )


@given(st.integers(4, 20), st.integers(1, 20), st.integers(1, 20))
def test_the_last_row_and_column_are_always_reached(size: int, window: int, stride: int) -> None:
    window = min(window, size)
    asked: list[ndarray] = []

    def score(crops: ndarray) -> ndarray:
        asked.extend(crops)
        return np.zeros(len(crops))

    crop = noise(size)
    occlusion(crop, score, window=window, stride=stride)
    touched = (np.stack(asked) != crop).any(axis=(0, 3))
    same = (crop == crop.reshape(-1, 3).mean(axis=0).round()).all(axis=-1)
    touched |= same  # a pixel of the mean colour is covered by itself
    assert touched[-1, -1]
    assert touched[-1].any()
    assert touched[:, -1].any()
    if stride <= window:
        assert touched.all()


def test_a_constant_score_has_an_empty_map() -> None:
    assert not occlusion(noise(32), lambda crops: np.full(len(crops), 0.7)).any()


def test_a_score_that_looks_at_one_corner_is_found_out() -> None:
    crop = np.full((32, 32, 3), 20, dtype=np.uint8)
    crop[:4, 28:] = 250

    def score(crops: ndarray) -> ndarray:
        return np.asarray(crops[:, :4, 28:].mean(axis=(1, 2, 3)) / 255)

    found = occlusion(crop, score, window=8, stride=4)
    assert found[0, 31] > 0.01
    reached = np.zeros((32, 32), dtype=bool)
    reached[:8, 24:] = True  # all windows that touch the corner lie in here
    assert np.all(found[:4, 28:] > 0)
    assert not found[~reached].any()


def test_what_supports_real_is_negative() -> None:
    crop = noise(16)
    towards = occlusion(crop, uneven, window=4)
    against = occlusion(crop, lambda crops: 1 - uneven(crops), window=4)
    np.testing.assert_allclose(towards, -against, atol=1e-12)


def test_the_crop_is_left_as_it_was() -> None:
    crop = noise(16)
    crop.setflags(write=False)
    occlusion(crop, uneven, window=4, stride=4)
    np.testing.assert_array_equal(crop, noise(16))


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (17, 1), (-1, 1), (4, 0), (4, -2)])
def test_windows_that_do_not_fit_are_refused(window: int, stride: int) -> None:
    with pytest.raises(ValueError, match="1 <= window <= 16 px and stride >= 1 px"):
        occlusion(noise(16), uneven, window=window, stride=stride)


def test_a_cover_is_the_mean_colour_or_a_blurred_copy() -> None:
    crop = noise(28)
    flat = cover(crop, "mean")
    assert (flat == crop.reshape(-1, 3).mean(axis=0).round()).all()
    blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(28 / 14)))
    np.testing.assert_array_equal(cover(crop, "blur"), blurred)
    assert flat.shape == crop.shape


def test_chosen_patches_are_swapped_and_the_rim_stays() -> None:
    under, over = np.zeros((7, 7, 3), np.uint8), np.full((7, 7, 3), 9, np.uint8)
    made = swapped(under, over, np.array([False, True, True, False]))
    wanted = np.zeros((7, 7))
    wanted[:3, 3:6] = wanted[3:6, :3] = 9
    assert (made == wanted[..., None]).all()
