"""A small network as the head, fitted by gradient descent in PyTorch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from veridical._optional import need
from veridical.arrays import Bool, Float, Float32, ndarray
from veridical.infer.head import DropoutHead, Layer
from veridical.train.folds import Parts
from veridical.train.recipes import Recipe

History = tuple[tuple[float, float], ...]
"""Loss of every epoch, on the fitting and on the validation part."""


def descend(
    features: Float32[ndarray, "n views features"],
    truth: Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
    parts: Parts,
    recipe: Recipe,
    seed: int,
) -> tuple[DropoutHead, History]:
    """Fit a head on the part `fit`, stopped by the part `validation`; also return its history.

    Args:
        features: Features of all pictures, by view.
        truth: Which pictures are AI-generated.
        weights: How much each of them counts.
        parts: The pictures of each part.
        recipe: What to fit.
        seed: Random seed, for initial weights, dropout and order.
    """
    torch = need("torch", extra="train", to="train a head")
    with _one_thread(torch):
        return _descend(torch, features, truth, weights, parts, recipe, seed)


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """Matrices this small are four times as fast on one core, and the same on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _descend(
    torch: Any,
    features: Float32[ndarray, "n views features"],
    truth: Bool[ndarray, " n"],
    weights: Float[ndarray, " n"],
    parts: Parts,
    recipe: Recipe,
    seed: int,
) -> tuple[DropoutHead, History]:
    torch.manual_seed(seed)
    chosen, checked = parts["fit"], parts["validation"]
    width = features.shape[2]
    mean, scale = np.zeros(width, np.float32), np.ones(width, np.float32)
    if recipe.standardise:
        flat = features[chosen].reshape(-1, width)
        mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        scale = np.maximum(flat.std(axis=0, dtype=np.float64), 1e-4).astype(np.float32)
    x = torch.from_numpy((features - mean) / scale)
    y, w = torch.from_numpy(truth.astype(np.int64)), torch.from_numpy(weights.astype(np.float32))
    net = _network(torch, width, recipe)
    steps = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimiser]
    optimiser = steps(net.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    loss_of = torch.nn.CrossEntropyLoss(reduction="none")
    order = np.random.default_rng(seed)
    best, best_loss, waited = _copy(net), np.inf, 0
    history = []
    for _ in range(recipe.epochs):
        net.train()
        # Every picture once an epoch, each time in one of its views.
        shuffled = torch.from_numpy(order.permutation(chosen))
        views = torch.from_numpy(order.integers(features.shape[1], size=len(chosen)))
        running = 0.0
        for start in range(0, len(chosen), recipe.batch):
            rows, seen = shuffled[start : start + recipe.batch], views[start : start + recipe.batch]
            optimiser.zero_grad()
            losses = loss_of(net(x[rows, seen]), y[rows]) * w[rows]
            losses.mean().backward()
            optimiser.step()
            running += float(losses.detach().sum())
        with torch.no_grad():
            net.eval()
            checks = [
                float((loss_of(net(x[checked, v]), y[checked]) * w[checked]).mean())
                for v in range(features.shape[1])
                if len(checked)
            ]
        loss = float(np.mean(checks)) if checks else running / len(chosen)
        history.append((running / len(chosen), loss))
        if recipe.patience is None or loss < best_loss:
            best, best_loss, waited = _copy(net), loss, 0
        elif (waited := waited + 1) > recipe.patience:
            break
    return _freeze(best, mean, scale, recipe, seed), tuple(history)


def _network(torch: Any, width: int, recipe: Recipe) -> Any:
    nn = torch.nn
    parts: list[Any] = []
    for out, relu in recipe.hidden:
        parts += [nn.Dropout(recipe.dropout[0]), nn.Linear(width, out)]
        parts += [nn.ReLU()] if relu else []
        width = out
    return nn.Sequential(*parts, nn.Dropout(recipe.dropout[1]), nn.Linear(width, 2))


def _copy(net: Any) -> list[tuple[ndarray, ndarray]]:
    return [
        (m.weight.detach().numpy().copy(), m.bias.detach().numpy().copy())
        for m in net
        if hasattr(m, "weight")
    ]


def _freeze(
    linear: list[tuple[ndarray, ndarray]],
    mean: Float32[ndarray, " features"],
    scale: Float32[ndarray, " features"],
    recipe: Recipe,
    seed: int,
) -> DropoutHead:
    """Two class scores become one logit: softmax over two is a sigmoid of their difference."""
    *hidden, (weight, bias) = linear
    layers = [
        Layer(weight=w, bias=b, relu=relu, dropout=recipe.dropout[0])
        for (w, b), (_, relu) in zip(hidden, recipe.hidden, strict=True)
    ]
    layers.append(
        Layer(
            weight=weight[1:] - weight[:1],
            bias=bias[1:] - bias[:1],
            relu=False,
            dropout=recipe.dropout[1],
        )
    )
    return DropoutHead(mean=mean, scale=scale, layers=tuple(layers), seed=seed)
