"""Tune the upper blocks of a Vision Transformer, from tokens of a block below that are kept.

What lies below stays as it is, so its tokens are computed once, and two cores are enough to try.
Either the layer norms alone are tuned (Kumar et al., "Fine-Tuning can Distort Pretrained Features",
arXiv:2202.10054, on why little should move), or matrices of low rank are added to every product
(Hu et al., "LoRA", arXiv:2106.09685). The head starts as the one fitted to the frozen network, so
that the first answer is the frozen network's.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import cos, pi
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from veridical.arrays import Bool, Float, Float32, Int, ndarray

How = Literal["norms", "lora"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """How the blocks are tuned.

    Attributes:
        how: Which weights move: those of the layer norms, or also matrices of low rank.
        rank: Of these matrices.
        rate: Learning rate at its peak; the head's is a tenth of it.
        steps: Of gradient descent; the rate falls along half a cosine.
        batch: Pictures in a step.
        seen: Share of the patches that a step sees: cheaper, and a regulariser.
        average: Of the exponential moving average of the weights, which is what answers.
        seed: Of everything that is drawn.
    """

    how: How
    rank: int = 8
    rate: float = 1e-4
    steps: int = 240
    batch: int = 16
    seen: float = 0.5
    average: float = 0.98
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Start:
    """A head that was fitted to the frozen network, as one linear map.

    Attributes:
        mean: Subtracted from the features.
        scale: They are divided by it.
        weights: Of the standardised features.
        bias: Of the logit.
        steepness: What the logit is multiplied by.
    """

    mean: Float32[ndarray, " features"]
    scale: Float32[ndarray, " features"]
    weights: Float32[ndarray, " features"]
    bias: float
    steepness: float


class Upper(torch.nn.Module):
    """The blocks that are tuned, and the head on all features.

    Args:
        blocks: Of the network, behind the kept tokens.
        taken: Blocks, counted from 1, whose output is pooled (class token and mean of the patches).
        start: The head.
        tuning: What moves.
    """

    def __init__(
        self, blocks: Sequence[Any], taken: Sequence[int], start: Start, tuning: Tuning
    ) -> None:
        super().__init__()
        torch.manual_seed(tuning.seed)
        self.blocks = torch.nn.ModuleList(copy.deepcopy(block) for block in blocks)
        self.taken = tuple(taken)
        self.blocks.requires_grad_(False)
        for module in list(self.blocks.modules()):
            if isinstance(module, torch.nn.LayerNorm):
                module.requires_grad_(True)
            elif tuning.how == "lora":
                for name, child in list(module.named_children()):
                    if isinstance(child, torch.nn.Linear):
                        setattr(module, name, _LowRank(child, tuning.rank))
        self.register_buffer("mean", torch.from_numpy(start.mean))
        self.register_buffer("scale", torch.from_numpy(start.scale))
        self.head = torch.nn.Linear(len(start.weights), 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(start.weights * start.steepness)[None])
            self.head.bias.fill_(start.bias * start.steepness)

    def forward(self, tokens: Any, below: Any) -> Any:
        """Return logits.

        Args:
            tokens: (batch, 1 + patches, dim), from below the first block.
            below: (batch, features), pooled from blocks that are not tuned.
        """
        parts = [below]
        for number, block in enumerate(self.blocks, start=1):
            out = block(tokens, None)
            tokens = out[0] if isinstance(out, tuple) else out
            if number in self.taken:
                parts += [tokens[:, 0], tokens[:, 1:].mean(dim=1)]
        mean, scale = self.get_buffer("mean"), self.get_buffer("scale")
        return self.head((torch.cat(parts, dim=1) - mean) / scale)[:, 0]


class _LowRank(torch.nn.Module):
    """A frozen product, and a trained one of low rank beside it; the latter starts as zero."""

    def __init__(self, own: Any, rank: int) -> None:
        super().__init__()
        self.own = own
        self.down = torch.nn.Parameter(torch.randn(rank, own.in_features) * own.in_features**-0.5)
        self.up = torch.nn.Parameter(torch.zeros(own.out_features, rank))

    def forward(self, x: Any) -> Any:
        return self.own(x) + 2 * (x @ self.down.T) @ self.up.T


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kept:
    """What is known of the pictures.

    Attributes:
        tokens: Class token and patches behind the last block that is not tuned.
        below: Features pooled from blocks that are not tuned.
        ai: Whether each is AI-generated.
        weights: How often each is drawn.
    """

    tokens: Float[ndarray, "n sequence dim"]
    below: Float32[ndarray, "n features"]
    ai: Bool[ndarray, " n"]
    weights: Float[ndarray, " n"]


def logits(
    net: Upper, kept: Kept, pictures: Int[ndarray, " m"], device: str
) -> Float32[ndarray, " m"]:
    """Return what a network says of some pictures, all patches seen."""
    found = []
    with torch.no_grad():
        for some in np.array_split(pictures, max(1, len(pictures) // 16)):
            said = net(*_inputs(kept, some, slice(None), device))
            found.append(said.cpu().numpy())
    return np.concatenate(found)


def tuned(
    net: Upper,
    kept: Kept,
    pictures: Int[ndarray, " m"],
    tuning: Tuning,
    *,
    checkpoint: Path,
    device: str = "cpu",
    every: int = 80,
    say: Callable[[str], None] = print,
) -> Iterator[tuple[int, Upper]]:
    """Tune a network; yield it, averaged, from time to time, with the pictures seen so far.

    Args:
        net: Is changed.
        kept: Tokens and labels.
        pictures: What it learns from.
        tuning: How.
        checkpoint: Written at every yield; an interrupted run goes on from it.
        device: "cpu" or "cuda".
        every: Steps between two yields; the last step yields, too.
        say: Told the running loss.
    """
    net.to(device)
    moved = {name: p for name, p in net.named_parameters() if p.requires_grad}
    body = [p for name, p in moved.items() if not name.startswith("head.")]
    descent = torch.optim.AdamW(
        [{"params": body}, {"params": list(net.head.parameters())}],
        lr=tuning.rate,
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )
    average = {name: p.detach().clone() for name, p in moved.items()}
    done = _resume(checkpoint, tuning, net, descent, average)
    share = kept.weights[pictures] / kept.weights[pictures].sum()
    patches = kept.tokens.shape[1] - 1
    for step in range(done, tuning.steps):
        # Drawn from the step's own seed: a run that goes on draws what it would have drawn.
        draw = np.random.default_rng((tuning.seed, step))
        some = pictures[draw.choice(len(pictures), tuning.batch, p=share)]
        seen = np.sort(draw.permutation(patches)[: round(patches * tuning.seen)]) + 1
        rate = tuning.rate * min(1, (step + 1) / 20) * (1 + cos(pi * step / tuning.steps)) / 2
        for group, factor in zip(descent.param_groups, (1, 0.1), strict=True):
            group["lr"] = rate * factor
        truth = torch.from_numpy(kept.ai[some].astype(np.float32)).to(device)
        said = net(*_inputs(kept, some, np.concatenate([[0], seen]), device))
        # Labels of 0.05 and 0.95: what is right already should not pull for ever.
        loss: Any = torch.nn.functional.binary_cross_entropy_with_logits(said, truth * 0.9 + 0.05)
        descent.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moved.values(), 1.0)
        descent.step()
        keep = min(tuning.average, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, p in moved.items():
                average[name].lerp_(p, 1 - keep)
        if (step + 1) % every == 0 or step + 1 == tuning.steps:
            say(f"Step {step + 1} of {tuning.steps}, loss {float(loss.detach()):.3f}")
            _write(checkpoint, step + 1, tuning, net, descent, average)
            yield (step + 1) * tuning.batch, _averaged(net, average)


def _inputs(kept: Kept, some: Int[ndarray, " m"], seen: Any, device: str) -> tuple[Any, Any]:
    tokens = np.stack([kept.tokens[i][seen] for i in some]).astype(np.float32)
    return torch.from_numpy(tokens).to(device), torch.from_numpy(kept.below[some]).to(device)


def _averaged(net: Upper, average: dict[str, Any]) -> Upper:
    found = copy.deepcopy(net)
    with torch.no_grad():
        for name, p in found.named_parameters():
            if name in average:
                p.copy_(average[name])
    return found


def _write(
    path: Path, step: int, tuning: Tuning, net: Upper, descent: Any, average: dict[str, Any]
) -> None:
    state = {
        "step": step,
        "tuning": asdict(tuning),
        "net": net.state_dict(),
        "descent": descent.state_dict(),
        "average": average,
    }
    aside = path.with_suffix(".part")
    torch.save(state, aside)
    aside.replace(path)


def _resume(path: Path, tuning: Tuning, net: Upper, descent: Any, average: dict[str, Any]) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["tuning"] != asdict(tuning):
        return 0
    net.load_state_dict(state["net"])
    descent.load_state_dict(state["descent"])
    average.update(state["average"])
    return int(state["step"])
