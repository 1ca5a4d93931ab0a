"""Tuning of upper blocks: where it starts, what moves, and that it goes on where it was."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veridical.arrays import Bool, ndarray

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from research.tuning import How, Kept, Start, Tuning, Upper, logits, tuned  # noqa: E402

DIM, PATCHES, BLOCKS = 16, 9, 3


def blocks() -> list[Any]:
    torch.manual_seed(0)
    config = transformers.CLIPVisionConfig(
        hidden_size=DIM, intermediate_size=32, num_attention_heads=2, num_hidden_layers=BLOCKS
    )
    config._attn_implementation = "eager"
    layer = transformers.models.clip.modeling_clip.CLIPEncoderLayer
    return [layer(config).eval() for _ in range(BLOCKS)]


def kept(ai: Bool[ndarray, " n"]) -> Kept:
    """Make pictures whose classes differ in the spread of their patches, and in no mean."""
    draw = np.random.default_rng(1)
    tokens = draw.normal(size=(len(ai), 1 + PATCHES, DIM))
    tokens[:, 1:] -= tokens[:, 1:].mean(axis=1, keepdims=True)
    tokens[:, 1:] *= np.where(ai, 2.0, 0.5)[:, None, None]
    return Kept(
        tokens=tokens.astype(np.float16),
        below=draw.normal(size=(len(ai), 4)).astype(np.float32),
        ai=ai,
        weights=np.ones(len(ai)),
    )


def start(steepness: float = 1.0) -> Start:
    draw = np.random.default_rng(2)
    count = 4 + 2 * 2 * DIM
    return Start(
        mean=draw.normal(size=count).astype(np.float32),
        scale=draw.uniform(0.5, 2, count).astype(np.float32),
        weights=(0.01 * draw.normal(size=count)).astype(np.float32),
        bias=0.25,
        steepness=steepness,
    )


AI = np.arange(64) % 2 == 0
ALL = np.arange(64)


@pytest.mark.parametrize("how", ["norms", "lora"])
def test_it_starts_as_the_frozen_network_with_its_head(how: How) -> None:
    data, head = kept(AI), start(steepness=2.0)
    net = Upper(blocks(), (1, 3), head, Tuning(how=how, rank=2))
    pooled = [data.below]
    x = torch.from_numpy(data.tokens.astype(np.float32))
    with torch.no_grad():
        for number, block in enumerate(blocks(), start=1):
            x = block(x, None)
            if number in (1, 3):
                pooled += [x[:, 0].numpy(), x[:, 1:].mean(dim=1).numpy()]
    features = (np.concatenate(pooled, axis=1) - head.mean) / head.scale
    expected = 2 * (features @ head.weights + head.bias)
    np.testing.assert_allclose(logits(net, data, ALL, "cpu"), expected, atol=2e-4)


@pytest.mark.parametrize(("how", "rate"), [("norms", 0.1), ("lora", 0.02)])
def test_it_learns_what_the_head_alone_cannot_and_moves_no_other_weight(
    tmp_path: Path, how: How, rate: float
) -> None:
    data = kept(AI)
    tuning = Tuning(how=how, rank=2, rate=rate, steps=60, batch=16, seen=1.0)
    net = Upper(blocks(), (1, 3), start(), tuning)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    wrong = ((logits(net, data, ALL, "cpu") > 0) != AI).mean()
    *_, (seen, last) = tuned(
        net, data, ALL, tuning, checkpoint=tmp_path / "one.pt", say=lambda text: None
    )
    assert seen == 60 * 16
    assert wrong > 0.3
    assert ((logits(last, data, ALL, "cpu") > 0) != AI).mean() < 0.1
    moved = {n for n, p in last.named_parameters() if not torch.equal(p, before[n])}
    low = {name for name in moved if name.endswith((".up", ".down"))}
    assert bool(low) == (how == "lora")
    assert all("norm" in name or name.startswith("head.") for name in moved - low)


def test_an_interrupted_run_ends_where_a_whole_one_does(tmp_path: Path) -> None:
    data, tuning = kept(AI), Tuning(how="norms", rate=1e-2, steps=12, batch=8)

    def run(path: Path, stop: int | None = None) -> Any:
        net = Upper(blocks(), (1, 3), start(), tuning)
        answers = []
        for seen, averaged in tuned(
            net, data, ALL, tuning, checkpoint=path, every=4, say=lambda text: None
        ):
            answers.append((seen, logits(averaged, data, ALL, "cpu")))
            if stop == len(answers):
                break
        return answers

    whole = run(tmp_path / "whole.pt")
    assert [seen for seen, _ in whole] == [32, 64, 96]
    assert len(run(tmp_path / "torn.pt", stop=1)) == 1
    rest = run(tmp_path / "torn.pt")
    assert [seen for seen, _ in rest] == [64, 96]
    np.testing.assert_array_equal(rest[-1][1], whole[-1][1])
    other = Tuning(how="norms", rate=1e-3, steps=12, batch=8)
    net = Upper(blocks(), (1, 3), start(), other)
    first, *_ = tuned(net, data, ALL, other, checkpoint=tmp_path / "torn.pt", every=4, say=print)
    assert first[0] == 32  # other settings do not go on from it
