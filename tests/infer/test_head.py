from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from math import log
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from veridical.arrays import ndarray
from veridical.infer.head import (
    DropoutHead,
    Layer,
    SampledHead,
    sigmoid,
    summarise,
)

WIDE = st.floats(-1e4, 1e4)
SAMPLES = arrays(np.float64, st.integers(2, 40), elements=WIDE)


def make(
    widths: tuple[int, ...] = (12, 7, 1),
    dropouts: tuple[float, ...] = (0.2, 0.5),
    *,
    samples: int = 40,
    seed: int = 0,
) -> DropoutHead:
    """A head of random weights; all layers but the last with a ReLU."""
    generator = np.random.default_rng(seed)
    layers = tuple(
        Layer(
            weight=generator.normal(0, 1 / np.sqrt(into), (out, into)).astype(np.float32),
            bias=generator.normal(size=out).astype(np.float32),
            relu=out != 1,
            dropout=dropout,
        )
        for (into, out), dropout in zip(pairwise(widths), dropouts, strict=True)
    )
    return DropoutHead(
        mean=generator.normal(size=widths[0]).astype(np.float32),
        scale=generator.uniform(0.5, 2, widths[0]).astype(np.float32),
        layers=layers,
        samples=samples,
        seed=seed,
    )


def features(head: DropoutHead, seed: int = 1) -> ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 2, len(head.mean)).astype(np.float32)


@st.composite
def heads(draw: st.DrawFn) -> DropoutHead:
    hidden = draw(st.lists(st.integers(1, 9), max_size=2))
    widths = (draw(st.integers(1, 12)), *hidden, 1)
    rates = st.sampled_from([0.0, 0.1, 0.5, 0.9])
    dropouts = draw(st.lists(rates, min_size=len(widths) - 1, max_size=len(widths) - 1))
    seed = draw(st.integers(0, 1000))
    return make(widths, tuple(dropouts), samples=draw(st.integers(2, 30)), seed=seed)


# --- the samples of the logit ------------------------------------------------------------------


@given(heads(), st.integers(0, 99))
def test_one_pass_is_what_a_loop_over_the_masks_says(head: DropoutHead, seed: int) -> None:
    x = features(head, seed)
    expected = []
    for sample in range(head.samples):
        values = (x.astype(np.float64) - head.mean) / head.scale
        for layer, mask in zip(head.layers, head._masks, strict=True):
            kept = (
                values
                if mask is None
                else [v * m for v, m in zip(values, mask[sample], strict=True)]
            )
            values = layer.weight.astype(np.float64) @ kept + layer.bias
            values = np.maximum(values, 0) if layer.relu else values
        expected.append(float(values[0]))
    np.testing.assert_allclose(head.logits(x), expected, rtol=1e-4, atol=1e-4)


def network(head: DropoutHead) -> Any:
    """The same head in PyTorch, with the same masks in the place of nn.Dropout."""
    torch = pytest.importorskip("torch")

    class Masked(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, mask: ndarray) -> None:
            super().__init__()
            self.mask = torch.from_numpy(mask)

        def forward(self, values: Any) -> Any:
            return values * self.mask

    modules: list[Any] = []
    for layer, mask in zip(head.layers, head._masks, strict=True):
        out, into = layer.weight.shape
        linear = torch.nn.Linear(into, out)
        linear.load_state_dict(
            {"weight": torch.from_numpy(layer.weight), "bias": torch.from_numpy(layer.bias)}
        )
        modules += [] if mask is None else [Masked(mask)]
        modules += [linear, *([torch.nn.ReLU()] if layer.relu else [])]
    return torch.nn.Sequential(*modules)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_network_that_pytorch_trains(seed: int) -> None:
    torch = pytest.importorskip("torch")
    head = make((12, 7, 5, 1), (0.2, 0.5, 0.1), seed=seed)
    raw = torch.from_numpy(features(head)).requires_grad_()
    x = (raw - torch.from_numpy(head.mean)) / torch.from_numpy(head.scale)
    logits = network(head)(x.expand(head.samples, -1))[:, 0]
    np.testing.assert_allclose(
        head.logits(features(head)), logits.detach().numpy(), rtol=1e-5, atol=1e-5
    )
    logits.mean().backward()
    slope, _ = head.gradient(head.forward(features(head)))
    np.testing.assert_allclose(slope, raw.grad.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dropout", [0.1, 0.2, 0.5])
def test_masks_scale_as_dropout_in_pytorch_does(dropout: float) -> None:
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torch.nn.Dropout(dropout)(torch.ones(1000)).numpy()
    ours = make((500, 1), (dropout,))._masks[0]
    assert ours is not None
    np.testing.assert_allclose(np.unique(ours), np.unique(theirs), rtol=1e-6)


def test_the_same_bytes_give_the_same_bits() -> None:
    head, again = make(), make()
    x = features(head)
    first = head.logits(x).tobytes()
    head.logits(features(head, seed=2))  # whatever comes in between
    assert head.logits(x).tobytes() == first
    assert again.logits(x.copy()).tobytes() == first


def test_masks_are_golden() -> None:
    # A NumPy that drew other bits from the same seed would change every verdict ever given.
    masks = make((384, 64, 1), (0.2, 0.5), samples=200, seed=0)._masks
    digests = [sha256((mask != 0).tobytes()).hexdigest()[:16] for mask in masks if mask is not None]
    assert digests == ["586edb0df3334901", "261e0c7cdb1bd805"]


@pytest.mark.parametrize("dropout", [0.05, 0.2, 0.5, 0.9])
def test_as_many_are_dropped_as_was_asked(dropout: float) -> None:
    (mask,) = make((500, 1), (dropout,), samples=200)._masks
    assert mask is not None
    error = 5 * np.sqrt(dropout * (1 - dropout) / mask.size)
    assert (mask == 0).mean() == pytest.approx(dropout, abs=error)
    assert mask.mean() == pytest.approx(1, abs=error / (1 - dropout))


def test_layers_and_seeds_have_masks_of_their_own() -> None:
    one, other = make((64, 64, 1), (0.5, 0.5), seed=0), make((64, 64, 1), (0.5, 0.5), seed=1)
    masks = [mask for head in (one, other) for mask in head._masks if mask is not None]
    for i, mask in enumerate(masks):
        for rival in masks[:i]:
            assert 0.4 < (mask == rival).mean() < 0.6


def test_more_samples_only_add_to_the_first() -> None:
    few, many = make(samples=10), make(samples=40)
    np.testing.assert_array_equal(
        few.logits(features(few)), many.logits(features(many))[:10], strict=True
    )


def test_without_dropout_there_is_nothing_to_doubt() -> None:
    head = make(dropouts=(0.0, 0.0), samples=5)
    logits = head.logits(features(head))
    assert logits.shape == (5,)
    assert set(logits) == {logits[0]}
    assert summarise(logits).epistemic == pytest.approx(0, abs=1e-15)


def test_dropout_makes_doubt() -> None:
    head = make()
    found = summarise(head.logits(features(head)))
    assert found.epistemic > 0
    assert found.std > 0
    assert found.interval[0] < found.p_ai < found.interval[1]


# --- its gradient ------------------------------------------------------------------------------


@given(heads(), st.integers(0, 99))
def test_gradient_and_rest_add_up_to_the_mean_logit(head: DropoutHead, seed: int) -> None:
    x = features(head, seed)
    slope, rest = head.gradient(head.forward(x))
    scale = 1 + float(np.abs(slope * x).sum()) + float(np.abs(head.logits(x)).max())
    assert float(slope @ x) + rest == pytest.approx(float(head.logits(x).mean()), abs=1e-5 * scale)


@given(heads(), st.integers(0, 99))
def test_the_gradient_is_the_numerical_one(head: DropoutHead, seed: int) -> None:
    x = features(head, seed)
    slope, _ = head.gradient(head.forward(x))

    def mean_logit(at: ndarray) -> float:
        """In double precision, where small steps are not lost to rounding."""
        values = np.tile((at - head.mean) / head.scale, (head.samples, 1))
        for layer, mask in zip(head.layers, head._masks, strict=True):
            values = (values if mask is None else values * mask) @ layer.weight.T.astype(float)
            values = np.maximum(values + layer.bias, 0) if layer.relu else values + layer.bias
        return float(values.mean())

    step = 1e-6
    for i in range(len(x)):
        nudge = np.zeros(len(x))
        nudge[i] = step
        numerical = (mean_logit(x + nudge) - mean_logit(x - nudge)) / (2 * step)
        assert slope[i] == pytest.approx(numerical, rel=1e-3, abs=1e-3)


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 1.5, float("nan")])
def test_a_dropout_that_is_no_probability_is_refused(dropout: float) -> None:
    with pytest.raises(ValueError, match=r"probability in \[0, 1\)"):
        replace(make().layers[0], dropout=dropout)


@pytest.mark.parametrize("samples", [-1, 0, 1])
def test_a_posterior_of_one_sample_is_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=f"at least 2 samples; got {samples}"):
        make(samples=samples)


def test_layers_that_do_not_fit_are_refused() -> None:
    head = make((12, 7, 1))
    with pytest.raises(ValueError, match="Layers do not fit"):
        replace(head, layers=head.layers[::-1])
    with pytest.raises(ValueError, match="last must be 1"):
        replace(head, layers=head.layers[:1])
    with pytest.raises(ValueError, match="Layers do not fit"):
        replace(head, mean=head.mean[1:], scale=head.scale[1:])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_named(bad: float) -> None:
    head = make()
    x = features(head)
    x[[3, 8]] = bad
    with pytest.raises(ValueError, match=r"must be finite; \[3, 8\] are not"):
        head.logits(x)


# --- what the samples add up to ----------------------------------------------------------------


@given(SAMPLES, st.floats(0.01, 0.99))
def test_a_posterior_hangs_together(logits: ndarray, level: float) -> None:
    found = summarise(logits, level)
    p = sigmoid(logits)
    low, high = found.interval
    assert 0 <= p.min() <= low <= high <= p.max() <= 1
    assert p.min() - 1e-15 <= found.p_ai <= p.max() + 1e-15
    assert 0 <= found.p_ai <= 1
    assert min(found.total, found.aleatoric, found.epistemic, found.std) >= 0
    assert found.total <= log(2) + 1e-15
    assert found.total == pytest.approx(found.aleatoric + found.epistemic, abs=1e-15)


@given(SAMPLES, st.randoms())
def test_the_order_of_samples_means_nothing(logits: ndarray, random: Any) -> None:
    shuffled = logits.copy()
    random.shuffle(shuffled)
    one, other = summarise(logits), summarise(shuffled)
    assert one.interval == pytest.approx(other.interval)
    assert one.epistemic == pytest.approx(other.epistemic, abs=1e-12)


@given(WIDE, st.integers(2, 50))
def test_equal_samples_leave_no_epistemic_doubt(logit: float, count: int) -> None:
    found = summarise(np.full(count, logit))
    assert found.epistemic == pytest.approx(0, abs=1e-12)
    assert found.interval == pytest.approx((found.p_ai, found.p_ai))


@pytest.mark.parametrize(
    ("p", "total", "aleatoric"),
    [
        ([0.5, 0.5], log(2), log(2)),  # all agree that it is a coin
        ([0.0, 1.0], log(2), 0.0),  # each is sure, of the opposite
        ([0.0, 0.0], 0.0, 0.0),
        ([1.0, 1.0], 0.0, 0.0),
        ([0.25, 0.25], 2 * log(2) - 0.75 * log(3), 2 * log(2) - 0.75 * log(3)),
        ([0.25, 0.75], log(2), 2 * log(2) - 0.75 * log(3)),
        ([0.0, 0.5], 2 * log(2) - 0.75 * log(3), log(2) / 2),
    ],
)
def test_entropies_have_their_closed_forms(p: list[float], total: float, aleatoric: float) -> None:
    with np.errstate(divide="ignore"):
        odds = np.log(np.array(p)) - np.log1p(-np.array(p))
    found = summarise(np.clip(odds, -1e3, 1e3))
    assert found.total == pytest.approx(total, abs=1e-12)
    assert found.aleatoric == pytest.approx(aleatoric, abs=1e-12)
    assert found.epistemic == pytest.approx(total - aleatoric, abs=1e-12)


def test_the_predictive_is_the_mean_over_the_samples() -> None:
    p = np.array([0.1, 0.2, 0.9])
    found = summarise(np.log(p / (1 - p)))
    assert found.p_ai == pytest.approx(0.4)
    assert found.std == pytest.approx(p.std())


def test_the_interval_has_equal_tails() -> None:
    p = np.linspace(0.01, 0.99, 99)
    low, high = summarise(np.log(p / (1 - p)), level=0.9).interval
    assert (p < low).sum() == (p > high).sum()
    assert ((low <= p) & (p <= high)).mean() == pytest.approx(0.9, abs=0.02)


@given(arrays(np.float64, 5, elements=st.floats(-30, 30)))
def test_the_sigmoid_is_the_textbooks(x: ndarray) -> None:
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x)), atol=1e-15)
    np.testing.assert_allclose(sigmoid(x) + sigmoid(-x), 1, atol=1e-15)
    assert np.all(np.diff(sigmoid(np.sort(x))) >= 0)


def test_the_sigmoid_cannot_overflow() -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        ends = sigmoid(np.array([-1e308, -1e4, 0.0, 1e4, 1e308]))
    assert ends.tolist() == [0, 0, 0.5, 1, 1]


def drawn(seed: int = 0, samples: int = 30, width: int = 7) -> SampledHead:
    draw = np.random.default_rng(seed)
    return SampledHead(
        mean=draw.normal(size=width).astype(np.float32),
        scale=draw.uniform(0.5, 2, width).astype(np.float32),
        directions=draw.normal(size=(5, width)).astype(np.float32),
        weight=draw.normal(size=(samples, 5)).astype(np.float32),
        bias=draw.normal(size=samples).astype(np.float32),
    )


def test_drawn_samples_are_linear_heads_of_their_own() -> None:
    head = drawn()
    x = np.arange(7, dtype=np.float32)
    z = (x - head.mean) / head.scale
    one_by_one = [
        sum(w * v for w, v in zip(row, z, strict=True)) for row in head.weight @ head.directions
    ]
    assert head.logits(x) == pytest.approx(np.array(one_by_one) + head.bias, rel=1e-4)


def test_gradient_and_rest_of_drawn_samples_add_up_to_the_mean_logit() -> None:
    head = drawn()
    at = head.forward(np.linspace(-3, 3, 7, dtype=np.float32))
    gradient, rest = head.gradient(at)
    assert gradient @ at.features + rest == pytest.approx(at.logits.mean(), rel=1e-5)
    other = head.logits(at.features + np.float32(0.5))
    assert other.mean() - at.logits.mean() == pytest.approx(0.5 * gradient.sum(), rel=1e-3)


def test_doubt_about_drawn_samples_grows_with_distance() -> None:
    head = drawn()
    ray = np.random.default_rng(3).normal(size=7).astype(np.float32)
    spreads = [head.logits(head.mean + step * ray).std() for step in (1, 4, 16, 64)]
    assert spreads == sorted(spreads)
    assert spreads[-1] > 10 * spreads[0]


@pytest.mark.parametrize(
    "change",
    [
        {"bias": np.zeros(1, np.float32), "weight": np.zeros((1, 5), np.float32)},
        {"scale": np.zeros(7, np.float32)},
        {"bias": np.full(30, np.nan, np.float32)},
    ],
)
def test_samples_that_do_not_fit_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"posterior|positive|finite"):
        replace(drawn(), **change)


def test_not_finite_features_are_refused_by_drawn_samples() -> None:
    with pytest.raises(ValueError, match="finite"):
        drawn().logits(np.full(7, np.nan, np.float32))
