"""How crops are put together, and what is promised then in each class of quality."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.arrays import ndarray
from veridical.errors import TooFewPhotos
from veridical.infer.calibration import conformal_quantile, tail_of
from veridical.infer.fusion import Fusion
from veridical.infer.head import sigmoid
from veridical.train.fusion_fit import FEWEST, PENALTY, LeftOut, fit_fusion
from veridical.train.recipes import DEFAULT, REFERENCE

ONE_CLASS = replace(DEFAULT, edges_px=())
THREE = replace(DEFAULT, edges_px=(100.0, 200.0))


def left_out(
    count: int,
    *,
    seed: int = 0,
    slopes: tuple[float, ...] = (1.5, 1.5),
    noise: tuple[float, ...] = (1.0, 1.0),
    views: int = 2,
    samples: int = 3,
    sizes: tuple[float, float] = (50.0, 600.0),
) -> LeftOut:
    """Pictures of which each crop says its slope times the truth, and noise of its own."""
    draw = np.random.default_rng(seed)
    truth = np.arange(count) % 2 == 0
    side = np.where(truth, 1.0, -1.0)[:, None, None] * np.array(slopes)
    shape = count, views, len(slopes)
    own = side + draw.normal(size=shape) * np.array(noise) + draw.normal(0, 0.7, (count, 1, 1))
    logits = own[..., None] + 0.2 * draw.normal(size=(*shape, samples))
    return LeftOut(
        logits=logits.astype(np.float32),
        truth=truth,
        weights=np.ones(count),
        sizes_px=np.exp(draw.uniform(np.log(sizes[0]), np.log(sizes[1]), (count, views))),
    )


def fused(fusion: Fusion, given: LeftOut) -> tuple[ndarray, ndarray]:
    """P(ai) of every view, and the class that it is in."""
    place = np.array([[fusion.place(float(px)) for px in row] for row in given.sizes_px])
    p = np.empty(place.shape)
    for at in np.ndindex(place.shape):
        found = fusion.calibration(int(place[at]))
        raw = fusion.logits(given.logits[at].astype(np.float64), int(place[at]))
        p[at] = sigmoid(found.logits(raw)).mean()
    return p, place


# --- classes of quality ------------------------------------------------------------------------


def test_with_enough_pictures_every_class_has_its_own_weights_and_thresholds() -> None:
    fusion = fit_fusion(left_out(1200), THREE)
    assert fusion.edges_px == THREE.edges_px
    assert len(fusion.weights) == len(fusion.calibrations) == 3
    assert len({one.threshold_real for one in fusion.calibrations}) == 3
    assert len(set(fusion.weights)) == 3


@pytest.mark.parametrize(
    ("small", "middle", "large", "wanted"),
    [
        (FEWEST, FEWEST, FEWEST, (100.0, 200.0)),
        (FEWEST - 1, 90, 90, (200.0,)),  # too few small ones: with the middle
        (90, 90, FEWEST - 1, (100.0,)),  # too few large ones: with the middle
        (90, FEWEST - 1, 90, (100.0,)),  # too few between the edges: with the large
        (20, 20, 90, ()),  # 40 below either edge
        (20, 40, 90, (200.0,)),
    ],
)
def test_a_class_with_too_few_pictures_is_merged(
    small: int, middle: int, large: int, wanted: tuple[float, ...]
) -> None:
    """Counted are pictures of the kind that has fewer."""
    sizes = np.repeat([80.0, 150.0, 400.0], [2 * small, 2 * middle, 2 * large])
    given = left_out(len(sizes), views=1)
    fusion = fit_fusion(replace(given, sizes_px=sizes[:, None]), THREE)
    assert fusion.edges_px == wanted
    counted = [min(one.real, one.ai) for one in fusion.calibrations]
    assert min(counted) >= FEWEST or not wanted
    assert sum(one.real for one in fusion.calibrations) == small + middle + large


def test_a_kind_that_is_rare_in_a_class_merges_it_too() -> None:
    given = left_out(800, views=1)
    sizes = np.where(given.truth, 400.0, np.where(np.arange(800) % 4 == 1, 80.0, 400.0))
    assert fit_fusion(replace(given, sizes_px=sizes[:, None]), THREE).edges_px == ()


def test_many_views_of_few_pictures_are_few_pictures() -> None:
    given = left_out(2 * (FEWEST - 1), views=8)
    sizes = np.where(np.arange(8) < 4, 80.0, 400.0) * np.ones((len(given.truth), 1))
    assert fit_fusion(replace(given, sizes_px=sizes), THREE).edges_px == ()


def test_every_view_counts_in_the_class_of_its_own_size() -> None:
    given = left_out(400, views=3)
    sizes = np.array([400.0, 80.0, 150.0]) * np.ones((400, 1))
    fusion = fit_fusion(replace(given, sizes_px=sizes), THREE)
    assert fusion.edges_px == (100.0, 200.0)
    assert [(one.real, one.ai) for one in fusion.calibrations] == [(200, 200)] * 3
    assert (fusion.overall.real, fusion.overall.ai) == (200, 200)
    for at, view in enumerate((1, 2, 0)):
        alone = replace(given, logits=given.logits[:, [view]], sizes_px=sizes[:, [view]])
        own = fit_fusion(alone, ONE_CLASS)
        assert fusion.weights[at] == pytest.approx(own.weights[0])
        assert fusion.calibrations[at].threshold_real == pytest.approx(
            own.calibrations[0].threshold_real
        )


# --- weights -----------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.tuples(*[st.floats(-2, 2)] * 3),
    st.booleans(),
)
def test_weights_are_never_negative_whatever_crops_say(
    seed: int, slopes: tuple[float, float, float], redundant: bool
) -> None:
    given = left_out(60, seed=seed, slopes=slopes, noise=(1.0, 1.0, 1.0))
    if redundant:
        again = given.logits.copy()
        again[:, :, 2] = again[:, :, 0] + 0.5 * again[:, :, 1]
        given = replace(given, logits=again)
    fusion = fit_fusion(given, ONE_CLASS)
    assert min(fusion.weights[0]) >= 0
    assert max(fusion.weights[0]) > 0
    assert np.isfinite([*fusion.weights[0], *fusion.intercepts]).all()


def test_a_useless_crop_gets_next_to_no_weight() -> None:
    weights = []
    for seed in range(5):
        given = left_out(3000, seed=seed, slopes=(1.5, 0.0), noise=(1.0, 2.0), views=1)
        # What pictures have in common is in the first crop, too; here the second knows none of it.
        draw = np.random.default_rng(100 + seed)
        logits = given.logits.copy()
        logits[:, :, 1] = draw.normal(0, 2, logits[:, :, 1].shape)
        weights.append(fit_fusion(replace(given, logits=logits), ONE_CLASS).weights[0])
    first, second = np.mean(weights, axis=0)
    assert first > 0.8
    assert second < 0.05


def test_a_crop_that_speaks_against_the_truth_gets_none_and_the_others_are_fitted_without() -> None:
    given = left_out(800, slopes=(1.5, -1.5))
    fusion = fit_fusion(given, ONE_CLASS)
    first, second = fusion.weights[0]
    alone = fit_fusion(given.first(), ONE_CLASS)
    assert second == 0
    assert (first, fusion.intercepts[0]) == pytest.approx(
        (alone.weights[0][0], alone.intercepts[0]), abs=1e-6
    )


def test_the_better_crop_counts_more_and_both_more_than_one() -> None:
    given = left_out(3000, noise=(0.8, 1.6))
    fusion = fit_fusion(given, ONE_CLASS)
    first, second = fusion.weights[0]
    assert first > 2 * second > 0


def test_in_each_class_the_crop_that_knows_more_there_counts_more() -> None:
    """In a small face the wide crop knows more than the narrow one."""
    given, draw = left_out(2000, views=1, slopes=(1.5, 1.5)), np.random.default_rng(3)
    small = given.sizes_px < 150
    noisy = np.stack([small, ~small], axis=2)[..., None]
    logits = given.logits + 3 * noisy * draw.normal(size=(2000, 1, 2, 1))
    edged = replace(DEFAULT, edges_px=(150.0,))
    fusion = fit_fusion(replace(given, logits=logits.astype(np.float32)), edged)
    (face, context), (near, around) = fusion.weights
    assert context > 2 * face
    assert near > 2 * around


def test_fusion_corrects_heads_that_are_too_sure() -> None:
    draw = np.random.default_rng(0)
    truth = draw.random(600) < 0.5
    honest = np.where(truth, 1.0, -1.0) + draw.normal(0, 1.4, 600)
    logits = np.repeat(4 * honest[:, None] + 2, 5, axis=1).astype(np.float32)
    given = LeftOut(
        logits=logits[:, None, None],
        truth=truth,
        weights=np.where(truth, 1 / truth.sum(), 1 / (~truth).sum()),
        sizes_px=np.full((600, 1), 150.0),
    )
    made = fit_fusion(given, ONE_CLASS)
    ((weight,),), (intercept,) = made.weights, made.intercepts

    def loss(slope: float, intercept: float) -> float:
        p = sigmoid(slope * logits[:, 0].astype(float) + intercept)
        own = -np.log(np.where(truth, p, 1 - p)) * given.weights
        return float(own.sum() / 2 + PENALTY / 2 * slope**2)

    assert weight < 0.5
    assert loss(weight, intercept) < loss(1.0, 0.0)
    for nudge in (0.97, 1.03):
        assert loss(weight, intercept) <= loss(weight * nudge, intercept) + 1e-9
    calibrated = weight * logits[~truth].astype(float) + intercept
    assert made.overall.typical_real == pytest.approx(
        float(np.median(calibrated.mean(axis=1))), abs=1e-5
    )


def test_heads_that_rank_other_sources_wrongly_are_believed_nothing() -> None:
    given = left_out(200, slopes=(-1.0, -1.0))
    made = fit_fusion(given, ONE_CLASS)
    p, _ = fused(made, given)
    assert 0 < max(made.weights[0]) < 1e-3
    assert p == pytest.approx(np.full(p.shape, 0.5), abs=1e-3)


def test_both_kinds_weigh_the_same_in_each_class() -> None:
    """A class in which most pictures are real is no evidence for `real`."""
    given = left_out(2400, slopes=(0.8,), noise=(1.0,), views=1)
    sizes = np.where(given.truth & (np.arange(2400) % 8 == 0) | ~given.truth, 80.0, 400.0)
    some = np.arange(2400) % 16 < 13
    sizes = np.where(~given.truth & ~some, 400.0, sizes)[:, None]
    edged = replace(DEFAULT, edges_px=(150.0,))
    fusion = fit_fusion(replace(given, sizes_px=sizes), edged)
    assert fusion.edges_px == (150.0,)
    small, large = fusion.calibrations
    assert small.real > 2 * small.ai
    assert large.ai > 2 * large.real
    assert fusion.intercepts == pytest.approx((0.0, 0.0), abs=0.2)


def test_without_balance_a_class_s_share_of_fakes_is_evidence() -> None:
    """As `infer.priors.assumed` says of a model whose recipe does not balance."""
    given = left_out(1200, slopes=(0.8,), noise=(1.0,), views=1)
    kept = given.truth | (np.arange(1200) % 8 == 1)
    rare = LeftOut(
        logits=given.logits[kept],
        truth=given.truth[kept],
        weights=np.ones(int(kept.sum())),
        sizes_px=given.sizes_px[kept],
    )
    even, odd = (
        fit_fusion(rare, replace(ONE_CLASS, balance=balance)).intercepts[0]
        for balance in (True, False)
    )
    share = float(rare.truth.mean())
    assert even == pytest.approx(0.0, abs=0.4)
    assert odd - even == pytest.approx(np.log(share / (1 - share)), abs=0.4)


def test_pictures_count_as_much_as_they_weigh() -> None:
    given = left_out(300, views=1)
    few = np.arange(300) < 200
    weighed = replace(given, weights=few.astype(float))
    rest = LeftOut(
        logits=given.logits[few],
        truth=given.truth[few],
        weights=np.ones(200),
        sizes_px=given.sizes_px[few],
    )
    one, other = (fit_fusion(each, ONE_CLASS) for each in (weighed, rest))
    assert one.weights[0] == pytest.approx(other.weights[0], abs=1e-6)
    assert one.intercepts == pytest.approx(other.intercepts, abs=1e-6)


def test_where_logits_are_left_as_they_are_crops_are_averaged() -> None:
    fusion = fit_fusion(left_out(200), replace(REFERENCE, out_of_source=False))
    assert (fusion.weights, fusion.intercepts) == (((0.5, 0.5),), (0.0,))


def test_the_first_crop_alone_is_fitted_as_if_there_were_no_other() -> None:
    given = left_out(400)
    alone = fit_fusion(given.first(), THREE)
    assert alone.crops == 1
    np.testing.assert_array_equal(given.first().logits, given.logits[:, :, :1])
    assert alone.weights != tuple(one[:1] for one in fit_fusion(given, THREE).weights)


def test_a_picture_of_a_kind_is_too_few() -> None:
    given = left_out(3, views=1)
    with pytest.raises(TooFewPhotos, match=r"2 AI-generated and 1 real .* at least 2 of each"):
        fit_fusion(given, ONE_CLASS)


# --- thresholds --------------------------------------------------------------------------------


def test_thresholds_are_the_conformal_quantiles_of_what_is_fused() -> None:
    given = left_out(600)
    fusion = fit_fusion(given, THREE)
    p, place = fused(fusion, given)
    ai = np.broadcast_to(given.truth[:, None], place.shape)
    for at, made in [*enumerate(fusion.calibrations), (None, fusion.overall)]:
        own = np.ones(place.shape, bool) if at is None else place == at
        reals = p[own & ~ai]
        assert made.threshold_real == pytest.approx(conformal_quantile(reals, 0.97), abs=1e-9)
        assert made.threshold_ai == pytest.approx(
            conformal_quantile(1 - p[own & ai], 0.9), abs=1e-9
        )
        assert made.tail == pytest.approx(tail_of(reals, 0.97), abs=1e-9)
        assert (made.slope, made.intercept) == (1.0, 0.0)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_the_promise_holds_in_each_class_and_is_not_overdone(coverage: float) -> None:
    """Simulated: fresh pictures of each class, whose large faces are far easier than small ones."""
    recipe = replace(
        DEFAULT, edges_px=(150.0,), coverage_of_reals=coverage, coverage_of_ai=coverage
    )
    rounds, fresh = 40, 400
    kept: dict[tuple[int, bool], list[float]] = {}
    for seed in range(rounds):
        fusion = fit_fusion(sized(500, 2 * seed), recipe)
        assert fusion.edges_px == (150.0,)
        given = sized(fresh, 2 * seed + 1)
        p, place = fused(fusion, given)
        for at, made in enumerate(fusion.calibrations):
            for ai in (False, True):
                own = p[(place[:, 0] == at) & (given.truth == ai), 0]
                held = 1 - own <= made.threshold_ai if ai else own <= made.threshold_real
                kept.setdefault((at, ai), []).append(float(held.mean()))
    assert len(kept) == 4
    for shares in kept.values():
        # 4 standard errors; weights were fitted on the pictures that set the threshold, too.
        error = 4 * np.std(shares) / np.sqrt(rounds)
        assert coverage - error - 0.01 <= np.mean(shares) <= coverage + error + 0.02


def sized(count: int, seed: int) -> LeftOut:
    given = left_out(count, seed=seed, views=1, samples=2, sizes=(50.0, 450.0))
    harder = np.where(given.sizes_px < 150, 4.0, 0.5)[:, :, None, None]
    noise = np.random.default_rng(10_000 + seed).normal(size=(count, 1, 2, 1))
    return replace(given, logits=(given.logits + harder * noise).astype(np.float32))


def test_one_threshold_for_all_would_break_the_promise_of_the_hard_class() -> None:
    recipe = replace(DEFAULT, edges_px=())
    fusion, given = fit_fusion(sized(4000, 0), recipe), sized(4000, 1)
    p, _ = fused(fusion, given)
    hard = (given.sizes_px[:, 0] < 150) & ~given.truth
    assert (p[hard, 0] <= fusion.calibrations[0].threshold_real).mean() < 0.96
    easy = ~hard & ~given.truth
    assert (p[easy, 0] <= fusion.calibrations[0].threshold_real).mean() > 0.98
