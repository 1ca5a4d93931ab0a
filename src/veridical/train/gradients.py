"""Explanations through the whole network, in PyTorch: thorough, and slow.

The map in every report is read off tokens. These go on from there to the pixels: they take the
gradient of the first crop's mean logit through its head, the pooling and all blocks of the network.
Each gives one number per patch, positive where it supports `ai`.

They need the network as the hub or a folder holds it, since what judges pictures is a graph of
ONNX Runtime, mostly with 8-bit products, that gives no gradients.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from veridical._optional import need
from veridical.arrays import Float, Float32, UInt8, ndarray
from veridical.detector import Detector
from veridical.errors import OtherBackbone
from veridical.explain.occlusion import cover
from veridical.scoring import alone
from veridical.tokens import Pooling, Tokens, pool
from veridical.train.export import TorchBackbone, parity
from veridical.vision.backbone import BackboneSpec, unpack

APART = 0.7  # relative error of tokens: 8-bit products reach 0.36, another network's are at 1.4
STEPS = 32  # of the integral; with half as many its sum is off by a sixth of a logit or more

_HINT = "Give the backbone that the model was trained with; `veridical card` names it."

Map = Float[ndarray, "grid grid"]
Linear = Callable[[Float32[ndarray, " features"]], tuple[Float32[ndarray, " features"], float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A model with its network in PyTorch.

    Attributes:
        vit: The Hugging Face network, with attentions that can be asked for.
        spec: Which blocks are read, and what pixels it wants.
        pooling: How tokens become features.
        linear: Features in; the gradient of the head's mean logit there, and the rest of it
            that belongs to no feature. All heads are linear around a point (docs/explanations.md).
        mean: Mean features of the training pictures.
    """

    vit: Any
    spec: BackboneSpec
    pooling: tuple[Pooling, ...]
    linear: Linear
    mean: Float32[ndarray, " features"]

    @classmethod
    def of(cls, detector: Detector, backbone: str) -> "Network":
        """Load a detector's network.

        Args:
            detector: Whose maps are wanted.
            backbone: Hub name or local folder of the network that its graph was exported from.

        Raises:
            ModelMissing: If there is no such network.
            OtherBackbone: If it is not the detector's own.
        """
        spec = detector.backbone.spec
        layers = () if spec.final_norm else spec.layers
        original = TorchBackbone(backbone, layers, spec.image_px)
        wanted = replace(original.spec, name=spec.name, precision=spec.precision)
        if wanted != spec:
            raise OtherBackbone(
                f"{backbone!r} is {original.spec}; the model has {spec}.", hint=_HINT
            )
        if not (gap := parity(original, detector.backbone)) <= APART:
            raise OtherBackbone(
                f"The tokens of {backbone!r} are {gap:.2f} away from those of the model's own "
                f"network; at most {APART} is allowed.",
                hint=_HINT,
            )
        # The fused kernels keep their attentions to themselves.
        original.vit.set_attn_implementation("eager")
        original.vit.requires_grad_(False)
        return cls(
            vit=original.vit,
            spec=spec,
            pooling=detector.parts.pooling,
            linear=alone(detector.parts, 0, detector.backbone).linear,
            mean=detector.parts.branches[0].head.mean,
        )

    def tokens(self, crop: UInt8[ndarray, "size size 3"]) -> Tokens:
        """Return the tokens of a crop."""
        torch = _torch()
        with torch.no_grad():
            states = torch.stack(self._read(self._run(self.pixels(crop))), dim=1)
        return unpack(self.spec, states[0].numpy())

    def logit(self, crop: UInt8[ndarray, "size size 3"]) -> float:
        """Return the mean logit."""
        features = pool(self.tokens(crop), self.pooling)
        gradient, rest = self.linear(features)
        return float(features.astype(np.float64) @ gradient) + rest

    def pixels(self, crop: UInt8[ndarray, "size size 3"]) -> Any:
        """Return a crop as the network wants it, as a tensor (1, 3, size, size)."""
        return _torch().from_numpy(self.spec.scaled(crop[None]))

    def logits(self, pixels: Any) -> Any:
        """Return the mean logits (batch) of a tensor (batch, 3, size, size)."""
        return self._logits(self._read(self._run(pixels)))

    def _run(self, pixels: Any) -> Any:
        return self.vit(pixel_values=pixels, output_hidden_states=True, output_attentions=True)

    def _read(self, out: Any) -> list[Any]:
        """Return the tokens of every block that is read, (batch, sequence, dim)."""
        if self.spec.final_norm:
            return [out.last_hidden_state]
        return [out.hidden_states[i] for i in self.spec.layers]

    def _logits(self, states: list[Any]) -> Any:
        slope, rest = self._slope(states)
        return self._shares(states, slope).sum(dim=(1, 2)) + rest

    def _slope(self, states: list[Any]) -> tuple[Any, Any]:
        """Return the gradient of the logit by the features of each picture, and the rest of it.

        Returns:
            (batch, layers, kinds of pooling, dim) and (batch).
        """
        torch = _torch()
        slopes, rests = [], []
        for one in range(len(states[0])):
            own = np.stack([state[one].detach().numpy() for state in states])
            gradient, rest = self.linear(pool(unpack(self.spec, own), self.pooling))
            slopes.append(torch.from_numpy(gradient).reshape(len(states), len(self.pooling), -1))
            rests.append(rest)
        return torch.stack(slopes), torch.tensor(rests)

    def _shares(self, states: list[Any], slope: Any) -> Any:
        """Return what every token of every block that is read adds, (batch, layers, sequence)."""
        torch = _torch()
        added = []
        for layer, state in enumerate(states):
            share = torch.zeros(state.shape[:2])
            for kind, tokens in enumerate(self._read_by()):
                weight = tokens / tokens.sum()
                share = share + torch.einsum("bsd,bd->bs", state, slope[:, layer, kind]) * weight
            added.append(share)
        return torch.stack(added, dim=1)

    def _read_by(self) -> list[Any]:
        """Return which tokens each kind of pooling takes the mean of, as ones (sequence)."""
        torch = _torch()
        prefix = self.spec.prefix
        found = []
        for kind in self.pooling:
            tokens = torch.zeros(prefix + self.spec.grid**2)
            tokens[{"cls": slice(1), "mean": slice(prefix, None), "all": slice(None)}[kind]] = 1
            found.append(tokens)
        return found

    def _patches(self, values: Any) -> Map:
        """Return numbers per token (sequence) of the patches, on their grid."""
        grid = self.spec.grid
        own = values[self.spec.prefix :].detach().numpy().astype(np.float64)
        patches: ndarray = own.reshape(grid, grid)
        return patches

    def _per_patch(self, values: Any) -> Map:
        """Return the sum over every patch of numbers per pixel (3, size, size)."""
        grid, edge = self.spec.grid, self.spec.patch_px
        own = values.detach().numpy().astype(np.float64).sum(axis=0)
        inner = own[: grid * edge, : grid * edge].reshape(grid, edge, grid, edge)
        summed: ndarray = inner.sum(axis=(1, 3))
        return summed


Method = Callable[[Network, UInt8[ndarray, "size size 3"]], Map]
"""A network and a crop in, one number per patch out."""


def grad_cam(network: Network, crop: UInt8[ndarray, "size size 3"]) -> Map:
    """Return Grad-CAM on the tokens of the first block that is read, without its ReLU.

    The gradient's mean over the patches weighs the channels (Selvaraju et al., "Grad-CAM", ICCV
    2017, arXiv:1610.02391, eq. 1 and 2). The ReLU would hide what supports the other side. All
    later blocks depend on this one; the last has no gradient.
    """
    state, slope = _at_first_read(network, crop)
    prefix = network.spec.prefix
    return network._patches(state @ slope[prefix:].mean(dim=0))


def layer_gradients(network: Network, crop: UInt8[ndarray, "size size 3"]) -> Map:
    """Return gradient x activation of the tokens of the first block that is read.

    This is layer-wise relevance where every later layer is taken as linear (Ancona et
    al., ICLR 2018, arXiv:1711.06104, section 2), per token.
    """
    state, slope = _at_first_read(network, crop)
    return network._patches((state * slope).sum(dim=1))


def input_gradient(network: Network, crop: UInt8[ndarray, "size size 3"]) -> Map:
    """Return gradient x (pixel - mean colour), summed over each patch.

    Shrikumar et al., arXiv:1605.01713, with the crop's mean colour as the reference.
    """
    torch = _torch()
    pixels = network.pixels(crop).requires_grad_()
    slope = torch.autograd.grad(network.logits(pixels).sum(), pixels)[0]
    middle = pixels.mean(dim=(2, 3), keepdim=True)
    return network._per_patch((slope * (pixels - middle))[0])


def integrated_gradients(
    network: Network, crop: UInt8[ndarray, "size size 3"], steps: int = STEPS
) -> Map:
    """Return integrated gradients from a blurred copy, summed over each patch.

    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
    arXiv:1703.01365, eq. 1, by Gauss and Legendre's rule. The sum over all patches is the logit of
    the crop less that of its blurred copy, to the error of the rule. By captum.

    Args:
        network: Whose logit is taken apart.
        crop: What is explained.
        steps: Points of the quadrature.
    """
    attr = need("captum.attr", extra="train", to="integrate gradients")
    found = attr.IntegratedGradients(network.logits, multiply_by_inputs=True).attribute(
        network.pixels(crop),
        baselines=network.pixels(cover(crop, "blur")),
        n_steps=steps,
        internal_batch_size=4,
        method="gausslegendre",
    )
    return network._per_patch(found[0])


def attention_rollout(network: Network, crop: UInt8[ndarray, "size size 3"]) -> Map:
    """Return attention-gradient rollout from the tokens that are read down to the patches.

    R starts as the identity; every block adds mean over heads (gradient x attention)^+ R (Chefer,
    Gur and Wolf, "Generic Attention-model Explainability", ICCV 2021, arXiv:2103.15679, eq. 5 and
    6). They read R at one class token. Here the head reads class tokens and patches of several
    blocks, each adding its share to the logit: it is one more layer of attention, so a token's row
    of R counts by the positive part of its share, by the same rule.

    The map shows one side only: that of the logit, whose sign it has.
    """
    torch = _torch()
    out = network._run(network.pixels(crop).requires_grad_())
    states = network._read(out)
    slope, rest = network._slope(states)
    shares = network._shares(states, slope)
    logit = shares.sum() + rest.sum()
    sign = 1.0 if float(logit.detach()) >= 0 else -1.0
    deepest = max(network.spec.layers)
    attentions = out.attentions[:deepest]
    slopes = torch.autograd.grad(sign * logit, attentions)
    # Relative to an average picture: tokens add much that all pictures have.
    mean = torch.from_numpy(network.mean).reshape(len(states), len(network.pooling), -1)
    usual = network._shares([_tokens_of(own, network._read_by()) for own in mean], slope)[0]
    relevance = torch.eye(attentions[0].shape[-1])
    total = torch.zeros(relevance.shape[0])
    with torch.no_grad():
        for block, (attention, pull) in enumerate(zip(attentions, slopes, strict=True), start=1):
            relevance = relevance + (attention * pull)[0].clamp(min=0).mean(dim=0) @ relevance
            if block in network.spec.layers:
                layer = network.spec.layers.index(block)
                own = (sign * (shares[0, layer] - usual[layer])).clamp(min=0)
                total = total + own @ relevance
    return sign * network._patches(total)


METHODS: Mapping[str, Method] = {
    "grad-cam": grad_cam,
    "layer-gradients": layer_gradients,
    "input-gradient": input_gradient,
    "integrated-gradients": integrated_gradients,
    "attention-rollout": attention_rollout,
}
"""The methods that go through the whole network, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """A method and the network it goes through: an `Explainer` for `ExplainConfig`.

    Attributes:
        name: Name of the method, in `METHODS`.
        network: The detector's network.
    """

    name: str
    network: Network

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise ValueError(f"A method is one of {', '.join(METHODS)}; got {self.name!r}.")

    def read(self, crop: UInt8[ndarray, "size size 3"]) -> Map:
        """Return the method's map."""
        return METHODS[self.name](self.network, crop)


def _at_first_read(network: Network, crop: UInt8[ndarray, "size size 3"]) -> tuple[Any, Any]:
    """Return the tokens (sequence, dim) of the first block that is read, and their gradient."""
    torch = _torch()
    out = network._run(network.pixels(crop).requires_grad_())
    states = network._read(out)
    slope = torch.autograd.grad(network._logits(states).sum(), states[0])[0]
    return states[0][0].detach(), slope[0]


def _tokens_of(middles: Any, read_by: Sequence[Any]) -> Any:
    """Return tokens (1, sequence, dim) of a picture whose pooled features are `middles`."""
    each = [middle * tokens[:, None] for middle, tokens in zip(middles, read_by, strict=True)]
    return sum(each)[None]


def _torch() -> Any:
    return need("torch", extra="train", to="take gradients through a network")
