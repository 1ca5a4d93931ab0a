"""The posteriors: each learns, doubts more far away, and is not judged by its own pictures."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.common import is_ai
from benchmarks.fitting import PSEUDO
from benchmarks.posteriors import lead, measured, winner
from research.posteriors import (
    POSTERIORS,
    Fit,
    Told,
    ask,
    describe,
    ensemble,
    gaussian,
    over_sources,
    process,
    rippled,
    worth,
)

from research import posteriors
from veridical.arrays import ndarray
from veridical.io.samples import Label, Sample
from veridical.report import Estimate
from veridical.stats.metrics import auroc
from veridical.train.features import FeatureSet
from veridical.train.fit import subset
from veridical.train.folds import left_out
from veridical.train.recipes import DEFAULT

pytest.importorskip("torch")
pytest.importorskip("scipy")

RECIPE = replace(DEFAULT, pseudo=PSEUDO, epochs=8, learning_rate=5e-3)
WIDTH = 16


def features_of(sources: int = 4, each: int = 14, seed: int = 0) -> FeatureSet:
    """A trace along the first feature, and a place of its own for every source."""
    draw = np.random.default_rng(seed)
    samples, rows = [], []
    names: list[tuple[Label, str, str]] = [
        *(("ai", f"site {i}", f"maker {i}") for i in range(sources)),
        *(("real", f"camera {i}", "") for i in range(sources)),
        ("ai", "reconstructions of camera 0", "taef2"),
    ]
    for label, source, made in names:
        at = draw.normal(size=WIDTH)
        at[0] = {"ai": 1.2, "real": -1.2}[label] if made != "taef2" else 0.0
        for i in range(each):
            group = f"camera 0/{i}" if made == "taef2" else f"{source}/{i}"
            samples.append(
                Sample(
                    path=Path(f"{source} {i}.png"),
                    label=label,
                    source=source,
                    generator=made,
                    group=group,
                )
            )
            rows.append(at + draw.normal(size=(2, 1, WIDTH)))
    return FeatureSet(
        samples=tuple(samples),
        features=np.array(rows, dtype=np.float32),
        sizes_px=np.full((len(rows), 2), 150.0),
        hashes=tuple(int(h) for h in draw.integers(2**62, size=len(samples))),
        faceless=(),
        too_small=(),
        unreadable=(),
    )


@pytest.fixture(autouse=True)
def few_waves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posteriors, "WAVES", 100)


@pytest.fixture(scope="module")
def seen() -> FeatureSet:
    return features_of()


def fresh() -> FeatureSet:
    """The same world with other sources; no pseudo-fakes."""
    other = features_of(seed=7)
    keep = np.array([s.generator != "taef2" for s in other.samples])
    return subset(other, keep)


@pytest.mark.parametrize("fit", POSTERIORS.values(), ids=POSTERIORS)
def test_every_way_learns_and_does_it_the_same_again(seen: FeatureSet, fit: Fit) -> None:
    head, again = fit(seen, RECIPE, 0), fit(seen, RECIPE, 0)
    other = fresh()
    means = np.array([float(head.logits(one).mean()) for one in other.features[:, 0, 0]])
    assert auroc(is_ai(other.samples), means) > 0.8
    one = other.features[0, 0, 0]
    assert head.logits(one).tobytes() == again.logits(one).tobytes()
    assert len(head.logits(one)) >= 2


@pytest.mark.parametrize("fit", [gaussian, ensemble, over_sources])
def test_doubt_grows_with_distance_for_heads_that_say_so(seen: FeatureSet, fit: Fit) -> None:
    head = fit(seen, RECIPE, 0)
    ray = np.random.default_rng(1).normal(size=WIDTH).astype(np.float32)
    spreads = [float(head.logits(step * ray).std()) for step in (np.float32(1), 10, 100)]
    assert spreads == sorted(spreads)


def test_the_process_forgets_far_from_what_it_saw(seen: FeatureSet) -> None:
    """Its mean goes back to the bias, as a Gaussian process's does and a linear head's never."""
    head = process(seen, RECIPE, 0)
    ray = np.random.default_rng(1).normal(size=WIDTH).astype(np.float32)
    near = np.abs([head.logits(one).mean() for one in seen.features[:, 0, 0]]).mean()
    far = [head.logits(np.float32(size) * ray) for size in (200, 300, 400, 500)]
    assert np.abs([one.mean() for one in far]).mean() < near
    home = np.mean([head.logits(one).std() for one in seen.features[:, 0, 0]])
    assert np.mean([one.std() for one in far]) > home


def test_random_waves_stand_for_the_gaussian_kernel() -> None:
    draw = np.random.default_rng(0)
    points = draw.normal(size=(6, 3))
    length = 1.7
    waves = draw.normal(size=(40_000, 3)) / length
    made = rippled(points, waves, draw.uniform(0, 2 * np.pi, 40_000))
    squares = ((points[:, None] - points) ** 2).sum(-1)
    np.testing.assert_allclose(made @ made.T, np.exp(-squares / (2 * length**2)), atol=0.03)


def test_pseudo_fakes_weigh_little_and_classes_alike(seen: FeatureSet) -> None:
    weights, truth = worth(seen.samples, RECIPE), is_ai(seen.samples)
    assert weights[truth].sum() == pytest.approx(weights[~truth].sum())
    assert weights.mean() == pytest.approx(1)
    pseudo = np.array([s.generator == "taef2" for s in seen.samples])
    assert weights[pseudo].mean() == pytest.approx(
        RECIPE.pseudo_weight * weights[truth & ~pseudo].mean()
    )


def test_folds_leave_relatives_out_and_pseudo_fakes_unjudged(seen: FeatureSet) -> None:
    folds = left_out(seen, RECIPE, seed=0)
    assert len(folds) > 1
    for fold, rest in folds:
        inside, others = ([seen.samples[i] for i in part] for part in (fold, rest))
        assert not {s.group for s in inside} & {s.group for s in others}
        assert not {s.source for s in inside} & {s.source for s in others}
        assert not any(s.generator == "taef2" for s in inside)
    counted = np.concatenate([fold for fold, _ in folds])
    assert len(set(counted)) == len(counted)
    assert left_out(features_of(sources=2), RECIPE, seed=0) == []


def test_a_posterior_is_calibrated_on_sources_that_it_did_not_see(seen: FeatureSet) -> None:
    """A head that knows its own pictures by heart is told that it knows nothing of others."""

    class Parrot:
        def __init__(self, known: FeatureSet) -> None:
            self.known = {
                row.tobytes(): s.label == "ai"
                for s, views in zip(known.samples, known.features, strict=True)
                for row in views[:, 0]
            }

        def logits(self, features: ndarray) -> ndarray:
            right = self.known.get(features.tobytes())
            value = 0.0 if right is None else 9.0 if right else -9.0
            draw = np.random.default_rng(abs(hash(features.tobytes())) % 2**32)
            noise = 0.0 if right is not None else float(draw.normal(0, 9))
            return np.full(3, value + noise, dtype=np.float32)

    asked = {"known": seen.features[:, 0, 0], "new": fresh().features[:, 0, 0]}
    said = ask(seen, lambda known, recipe, seed: Parrot(known), RECIPE, 0, asked)
    assert np.abs(said["known"].p_ai - 0.5).max() < 0.3
    # Of many sources, the rest says enough about one that is left out.
    honest = ask(features_of(sources=16), over_sources, RECIPE, 0, asked)
    assert auroc(is_ai(fresh().samples), honest["new"].p_ai) > 0.8
    assert np.abs(honest["new"].p_ai - 0.5).max() > 0.3


def test_too_few_sources_are_refused() -> None:
    with pytest.raises(SystemExit, match="Three sources"):
        ask(features_of(sources=2), over_sources, RECIPE, 0, {})


def answers(p: ndarray) -> Told:
    return Told(p_ai=p, total=-(p * np.log(p) + (1 - p) * np.log(1 - p)))


def test_what_is_measured_tells_good_answers_from_bad_ones() -> None:
    samples = fresh().samples
    draw = np.random.default_rng(0)
    z = np.where(is_ai(samples), 2, -2) + draw.normal(0, 2, len(samples))
    good = answers(1 / (1 + np.exp(-z)))
    bad = answers(1 / (1 + np.exp(-draw.permutation(z))))
    one, other = (measured(samples, said, resamples=50) for said in (good, bad))
    for name in ("aurc", "risk_at_100%"):
        first, second = one[name], other[name]
        assert first is not None
        assert second is not None
        assert first.value < second.value
    gap = lead(samples, good, bad, resamples=50)
    assert gap.high < 0
    same = lead(samples, good, good, resamples=50)
    assert (same.low, same.high) == (0, 0)


def test_the_winner_has_the_least_mean_area() -> None:
    def cell(value: float) -> dict[str, Estimate | None]:
        return {"aurc": Estimate(value, value, value)}

    rows = {
        "even": {"one": cell(0.2), "two": cell(0.2)},
        "lucky": {"one": cell(0.1), "two": cell(0.5)},
    }
    assert winner(rows) == "even"


def test_what_is_told_is_what_the_detector_would_say() -> None:
    said = describe([np.array([0.0, 0.0]), np.array([-4.0, 4.0])])
    assert said.p_ai == pytest.approx([0.5, 0.5])
    assert said.total == pytest.approx([np.log(2), np.log(2)])
