"""The rule that maps are read by: does it find what we put in, is it fitted to what happened?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from veridical.arrays import Float, UInt8, ndarray
from veridical.detector import Detector, resampled
from veridical.engines import Serial, Threads
from veridical.errors import TooFewPhotos
from veridical.explain.attribution import cover, swapped
from veridical.io.images import read_photo
from veridical.io.samples import Label, Sample
from veridical.tokens import Tokens
from veridical.train import explainer
from veridical.train.explainer import (
    FEWEST,
    PENALTIES,
    LogitDrops,
    covering,
    fingerprint,
    fit_surrogate,
    logit_drops_of,
    measure,
)

GRID, LAYERS, DIM = 4, 2, 5
Painter = Callable[..., ndarray]


def sample(number: int) -> Sample:
    label: Label = "ai" if number % 2 else "real"
    return Sample(path=Path(f"{number}.jpg"), label=label, source="made", generator="", group="")


def crowd(
    worth: Callable[[Float[ndarray, "patches channels"], Float[ndarray, " patches"]], ndarray],
    *,
    pictures: int = 40,
    sets: int = 12,
    noise: float = 0.0,
) -> tuple[dict[Sample, LogitDrops], list[tuple[Tokens, ndarray, ndarray]]]:
    """Make logit_drops that are sums of `worth` of tokens and contributions; also what they came of."""
    draw = np.random.default_rng(0)
    seen, truth = {}, []
    for number in range(pictures):
        flat = draw.normal(1, [1, 3, 0.5, 2, 1] * LAYERS, (GRID * GRID, LAYERS * DIM))
        added = draw.normal(0.5, 1, GRID * GRID)
        each = worth(flat, added)
        chosen = draw.random((sets, GRID * GRID)) < draw.uniform(0.1, 0.8, (sets, 1))
        chosen[:, 0] = True  # never empty
        seen[sample(number)] = LogitDrops(
            sets=chosen,
            logit_drops=chosen @ each + noise * draw.normal(size=sets),
            sums=(chosen @ flat).astype(np.float32),
            contributions=added,
            tokens=flat[:8].astype(np.float32),
        )
        patches = flat.reshape(-1, LAYERS, DIM).swapaxes(0, 1).astype(np.float32)
        tokens = Tokens(prefix=patches[:, :1], patches=patches, grid=GRID, has_cls=True)
        truth.append((tokens, added.reshape(GRID, GRID), each.reshape(GRID, GRID)))
    return seen, truth


def test_a_linear_truth_is_found() -> None:
    draw = np.random.default_rng(1)
    slope, places = draw.normal(size=LAYERS * DIM), draw.normal(size=GRID * GRID)
    seen, truth = crowd(lambda flat, added: flat @ slope + 2 * added + places)
    fitted = fit_surrogate(seen, LAYERS)
    for tokens, added, each in truth[:5]:
        np.testing.assert_allclose(fitted.rule.read(tokens, added), each, atol=0.1)
    assert fitted.rule.share == pytest.approx(2, abs=0.02)
    assert fitted.correlation > 0.999
    assert fitted.correlation > fitted.of_contributions
    assert fitted.penalty == PENALTIES[0]
    assert (fitted.pictures, fitted.sets) == (40, 12)


def test_contributions_that_tell_all_are_left_alone() -> None:
    seen, truth = crowd(lambda _, added: added)
    rule = fit_surrogate(seen, LAYERS).rule
    tokens, added, each = truth[0]
    np.testing.assert_allclose(rule.read(tokens, added), each, atol=0.02)
    assert rule.share == pytest.approx(1, abs=0.01)


def test_where_there_is_nothing_to_learn_the_rule_says_little() -> None:
    seen, truth = crowd(lambda _, added: 0 * added, noise=1.0)
    fitted = fit_surrogate(seen, LAYERS)
    assert abs(fitted.correlation) < 0.2
    tokens, added, _ = truth[0]
    assert np.abs(fitted.rule.read(tokens, added)).max() < 0.5


def test_classes_count_alike_where_the_usual_is_taken() -> None:
    """Nine real pictures for each AI-generated one do not make theirs the usual contribution."""
    seen, _ = crowd(lambda _, added: added, pictures=20)
    shifted = {
        replace(one, label="ai" if n < 2 else "real"): replace(
            logit_drops, contributions=np.full(GRID * GRID, 10.0 if n < 2 else 0.0)
        )
        for n, (one, logit_drops) in enumerate(seen.items())
    }
    columns = explainer._Columns.of(shifted)
    np.testing.assert_allclose(columns.usual, 5.0)


def test_a_rule_of_a_few_pictures_is_refused() -> None:
    seen, _ = crowd(lambda _, added: added, pictures=FEWEST - 1)
    with pytest.raises(TooFewPhotos, match=f"at least {FEWEST} pictures with a face; there are 9"):
        fit_surrogate(seen, LAYERS)


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_directions_are_those_of_the_singular_values(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 5, shape[1])
    found = explainer._directions(x, 4)
    wanted = np.linalg.svd(x, full_matrices=False)[2][:4].T
    np.testing.assert_allclose(np.abs(found.T @ wanted), np.eye(4), atol=1e-8)


# --- looking -----------------------------------------------------------------------------------


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


def test_falls_are_what_the_head_says_of_covered_crops(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    detector = replace(tiny_detector, copies=())
    photo = read_photo(pictures[0])
    logit_drops = logit_drops_of(detector, photo, 6)
    assert logit_drops is not None
    _, (told,) = detector.explain(photo, faithfulness=False)
    # Even places in each four are blurred; the third is of the mean colour.
    for number, fill in ((0, "blur"), (1, "blur"), (2, "mean"), (4, "blur")):
        covered = swapped(told.crop, cover(told.crop, fill), logit_drops.sets[number])  # type: ignore[arg-type]
        whole, rest = detector.mean_logit(np.stack([told.crop, covered]))
        fall = (whole - rest) / detector.calibration.slope
        assert logit_drops.logit_drops[number] == pytest.approx(fall, abs=1e-5)
    (tokens,) = detector.backbone.tokens(told.crop[None])
    for chosen, total in zip(logit_drops.sets, logit_drops.sums, strict=True):
        assert 1 <= chosen.sum() <= 14
        wanted = tokens.patches[:, chosen].sum(axis=1).ravel()
        np.testing.assert_allclose(total, wanted, rtol=1e-4, atol=1e-4)
    slope = detector.calibration.slope
    plain = told.gradient_x_token.patches.ravel()
    np.testing.assert_allclose(slope * logit_drops.contributions, plain, rtol=1e-6)


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
    looked: list[str] = []
    whole = logit_drops_of

    def counted(detector: Detector, photo: object, sets: int) -> LogitDrops | None:
        looked.append(photo.sha256)  # type: ignore[attr-defined]
        return whole(detector, photo, sets)  # type: ignore[arg-type]

    monkeypatch.setattr(explainer, "logit_drops_of", counted)
    few = {"sets": 3, "engine": Serial(), "cache": tmp_path}
    first = measure(tiny_detector, album[:2], **few)  # type: ignore[arg-type]
    again = measure(tiny_detector, album[:3], **few | {"engine": Threads(2)})  # type: ignore[arg-type]
    assert len(looked) == 3
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
    few = {"sets": 2, "engine": Serial(), "cache": tmp_path / "cache"}
    for _ in range(2):  # the second time from the cache
        found = measure(tiny_detector, [*lost, album[1]], **few)  # type: ignore[arg-type]
        assert list(found) == [album[1]]


def test_another_head_is_another_cache(tiny_detector: Detector) -> None:
    names = {
        fingerprint(tiny_detector, 3),
        fingerprint(tiny_detector, 4),
        fingerprint(replace(tiny_detector, head=resampled(tiny_detector.head, 9)), 3),
        fingerprint(replace(tiny_detector, min_face_px=17.0), 3),
    }
    assert len(names) == 4
    assert fingerprint(replace(tiny_detector, copies=()), 3) in names
