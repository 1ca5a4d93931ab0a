"""Any Hugging Face Vision Transformer, cut off behind the blocks we need, as an ONNX graph.

Patch size, prefix tokens (class token, registers) and width are read off the network itself, not
assumed. Nothing is downloaded for a local folder.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from veridical._optional import need
from veridical.arrays import Float32, UInt8, ndarray
from veridical.errors import ModelMissing, NotAViT
from veridical.tokens import Tokens
from veridical.train.quantise import to_int8
from veridical.vision.backbone import Backbone, BackboneSpec, OnnxBackbone, unpack

PARITY = 1e-4  # largest allowed relative error of a block's tokens, |torch - ONNX| / |torch|

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An exported backbone and how well it agrees with the original.

    Attributes:
        path: The .onnx file.
        spec: What the network is.
        parity: Largest relative error of a block's tokens, |torch - ONNX| / |torch|, in fp32.
        agreement: Lowest cosine, over test pictures and blocks, between the mean patch token of
            the shipped graph and of the fp32 one; 1 for fp32.
        sha256: SHA-256 of the file.
    """

    path: Path
    spec: BackboneSpec
    parity: float
    agreement: float
    sha256: str


Layers = tuple[int, ...] | Callable[[int], tuple[int, ...]]
"""Blocks to take tokens from, counted from 1; empty for `last_hidden_state`. Or a function that
names them for a network of a given depth."""


class TorchBackbone:
    """The original network in PyTorch, for export and for the parity test.

    Args:
        name: Hub name or local folder of a Hugging Face vision model.
        layers: Blocks to take tokens from.
        image_px: Side of the square that it takes; None for the network's own.

    Raises:
        ModelMissing: If there is no such model, or it cannot be had offline.
        NotAViT: If the network gives no square grid of patch tokens.
    """

    def __init__(self, name: str, layers: Layers = (), image_px: int | None = None) -> None:
        torch = need("torch", extra="train", to="export a backbone")
        self._torch = torch
        self.vit = _load(name)
        self.spec = _ask(self.vit, name, layers, image_px)

    def states(self, pixels: Any) -> Any:
        """Return the asked-for hidden states, (batch, layers, sequence, dim), as a torch tensor."""
        out = self.vit(pixel_values=pixels, output_hidden_states=not self.spec.final_norm)
        if self.spec.final_norm:
            return out.last_hidden_state[:, None]
        return self._torch.stack([out.hidden_states[i] for i in self.spec.layers], dim=1)

    @property
    def batch(self) -> int:
        """How many crops are best taken at a time."""
        return 1

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        """Return the tokens of crops of `spec.image_px` square, in double precision: the oracle.

        In single precision PyTorch is further from it than ONNX Runtime is.
        """
        self.vit.double()
        try:
            with self._torch.no_grad():
                pixels = self._torch.from_numpy(self.spec.scaled(crops)).double()
                states = self.states(pixels).float().numpy()
        finally:
            self.vit.float()
        return tuple(unpack(self.spec, one) for one in states)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the weights and the spec: names an export before it is made."""
        digest = sha256(json.dumps(asdict(self.spec) | {"name": ""}, sort_keys=True).encode())
        for key, value in sorted(self.vit.state_dict().items()):
            digest.update(key.encode())
            digest.update(np.ascontiguousarray(value.numpy()).tobytes())
        return digest.hexdigest()

    def export(self, path: Path) -> float:
        """Write the graph in fp32 and return its parity with PyTorch.

        Raises:
            NotAViT: If the graph does not compute what PyTorch does, within `PARITY`.
        """
        torch = self._torch
        states = self.states

        class Graph(torch.nn.Module):  # type: ignore[misc, name-defined]
            def __init__(self, vit: Any) -> None:
                super().__init__()
                self.vit = vit

            def forward(self, pixels: Any) -> Any:
                return states(pixels)

        side = self.spec.image_px
        program = torch.onnx.export(
            Graph(self.vit).eval(),
            (torch.zeros(2, 3, side, side),),
            dynamo=True,
            input_names=["pixels"],
            output_names=["tokens"],
            dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
        _strip(program.model_proto, path)
        gap = parity(self, OnnxBackbone(path, self.spec))
        if not gap <= PARITY:
            path.unlink()
            raise NotAViT(
                f"The exported graph of {self.spec.name} is {gap:.1e} away from PyTorch; "
                f"at most {PARITY:.0e} is allowed.",
                hint="Try another version of torch, or another backbone.",
            )
        return gap


def export(
    name: str,
    folder: Path,
    *,
    layers: Layers = (),
    image_px: int | None = None,
    precision: str = "fp32",
) -> Export:
    """Export a backbone into `folder`, or find it there from an earlier run.

    Raises:
        ModelMissing: If there is no such model.
        NotAViT: If it is no Vision Transformer, or its export disagrees with it.
        ValueError: If the precision is not one we know.
    """
    if precision not in ("fp32", "int8"):
        raise ValueError(f"Precision is 'fp32' or 'int8'; got {precision!r}.")
    original = TorchBackbone(name, layers, image_px)
    spec = replace(original.spec, precision=precision)
    stem = folder / f"{original.fingerprint[:16]}-{precision}"
    path, note = stem.with_suffix(".onnx"), stem.with_suffix(".json")
    if path.is_file() and note.is_file():
        known = json.loads(note.read_text(encoding="utf-8"))
        if sha256(path.read_bytes()).hexdigest() == known["sha256"]:
            return Export(path=path, spec=spec, **known)
    folder.mkdir(parents=True, exist_ok=True)
    draft = stem.with_suffix(".part.onnx")
    gap, agreement = original.export(draft), 1.0
    if precision == "int8":
        plain = OnnxBackbone(draft, original.spec)
        small = stem.with_suffix(".int8.onnx")
        to_int8(draft, small)
        agreement = _agreement(plain, OnnxBackbone(small, spec))
        small.replace(draft)
    known = {
        "parity": gap,
        "agreement": agreement,
        "sha256": sha256(draft.read_bytes()).hexdigest(),
    }
    draft.replace(path)
    note.write_text(json.dumps(known), encoding="utf-8")
    return Export(path=path, spec=spec, **known)


def parity(a: Backbone, b: Backbone, seed: int = 0) -> float:
    """Return the largest relative error |a - b| / |a| over pictures and blocks.

    Norms are Frobenius norms over all tokens of a block. Single channels of a ViT reach a hundred
    times the others, so that an absolute error would say nothing.
    """
    crops = _test_crops(a.spec.image_px, seed)
    worst = 0.0
    for one, other in zip(a.tokens(crops), b.tokens(crops), strict=True):
        left, right = (np.concatenate([t.prefix, t.patches], axis=1) for t in (one, other))
        error = np.linalg.norm(left - right, axis=(1, 2)) / np.linalg.norm(left, axis=(1, 2))
        worst = max(worst, float(error.max()))
    return worst


def _agreement(plain: OnnxBackbone, other: OnnxBackbone) -> float:
    crops = _test_crops(plain.spec.image_px, seed=0)
    a, b = (
        np.stack([tokens.patches.mean(axis=1) for tokens in backbone.tokens(crops)])
        for backbone in (plain, other)
    )
    return float((_unit(a) * _unit(b)).sum(axis=-1).min())


def _unit(x: Float32[ndarray, "a b c"]) -> Float32[ndarray, "a b c"]:
    # Centred over the pictures: a constant shared by all of them would hide what is lost.
    centred = x - x.mean(axis=0)
    unit: ndarray = centred / np.linalg.norm(centred, axis=-1, keepdims=True)
    return unit


def _test_crops(side: int, seed: int) -> UInt8[ndarray, "4 side side 3"]:
    """Return smooth colour fields with some noise: closer to photos than white noise is."""
    generator = np.random.default_rng(seed)
    coarse = generator.uniform(0, 255, (4, 8, 8, 3))
    smooth = np.kron(coarse, np.ones((1, -(-side // 8), -(-side // 8), 1)))[:, :side, :side]
    return np.clip(smooth + generator.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)


def _load(name: str) -> Any:
    transformers = need("transformers", extra="train", to="load a backbone")
    try:
        config = transformers.AutoConfig.from_pretrained(name)
        # A masked autoencoder drops three quarters of the patches at random; as a plain ViT the
        # same weights see the whole picture.
        loader = transformers.ViTModel if config.model_type == "vit_mae" else transformers.AutoModel
        quiet = {"add_pooling_layer": False} if loader is transformers.ViTModel else {}
        model = loader.from_pretrained(name, **quiet)
    except (OSError, ValueError, KeyError, SafetensorError) as foreign:
        raise ModelMissing(
            f"The backbone {name!r} could not be loaded ({str(foreign).splitlines()[0][:200]}).",
            hint="Give the name of a Hugging Face vision model (with a network), or the folder of "
            "one: config.json and model.safetensors.",
        ) from foreign
    vit = getattr(model, "vision_model", model)
    # A pooler that the checkpoint lacks is made up at random: it would change the fingerprint.
    if getattr(vit, "pooler", None) is not None:
        vit.pooler = None
    return vit.eval().float()


def _ask(vit: Any, name: str, layers: Layers, image_px: int | None) -> BackboneSpec:
    torch = need("torch", extra="train", to="export a backbone")
    config = getattr(vit, "config", None)
    patch = getattr(config, "patch_size", None)
    patch = patch[0] if isinstance(patch, list | tuple) else patch
    if not isinstance(patch, int):
        raise _no_vit(name, f"a {type(vit).__name__} without a patch size")
    settings = _preprocessor(name)
    side = image_px or _side(config, settings, patch)
    if side % patch:
        raise NotAViT(
            f"{side} px is no multiple of the patch of {name}, {patch} px.",
            hint=f"Use {side // patch * patch} px (--image-px).",
        )
    try:
        with torch.no_grad():
            out = vit(pixel_values=torch.zeros(1, 3, side, side), output_hidden_states=True)
        last, hidden = out.last_hidden_state, out.hidden_states
    except (AttributeError, TypeError, ValueError, RuntimeError) as foreign:
        raise _no_vit(name, f"a {type(vit).__name__} that fails with: {foreign}") from foreign
    prefix = last.shape[1] - (side // patch) ** 2 if last.ndim == 3 else -1
    if prefix < 0 or hidden is None:
        raise _no_vit(name, f"a {type(vit).__name__} whose output is {tuple(last.shape)}")
    blocks = len(hidden) - 1
    layers = layers(blocks) if callable(layers) else layers
    if bad := [i for i in layers if not 1 <= i <= blocks]:
        raise NotAViT(
            f"{name} has {blocks} blocks; {bad} were asked for.",
            hint=f"Give numbers from 1 to {blocks}.",
        )
    mean, std = _scaling(config, settings)
    return BackboneSpec(
        name=Path(name).name if Path(name).exists() else name,
        image_px=side,
        patch_px=patch,
        prefix=prefix,
        has_cls=prefix > (getattr(config, "num_register_tokens", 0) or 0),
        dim=last.shape[2],
        layers=layers or (blocks,),
        final_norm=not layers,
        mean=mean,
        std=std,
    )


def _no_vit(name: str, what: str) -> NotAViT:
    return NotAViT(
        f"The backbone {name!r} is {what}; a Vision Transformer with a square grid of patch tokens "
        "is needed.",
        hint="Use a ViT, for example facebook/dino-vits16 or facebook/dinov2-small.",
    )


def _preprocessor(name: str) -> dict[str, Any]:
    """Return what preprocessor_config.json says; nothing where there is none."""
    from transformers.utils import cached_file

    try:
        path = cached_file(
            name,
            "preprocessor_config.json",
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except OSError:
        return {}
    try:
        settings = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    except (OSError, ValueError) as foreign:
        raise ModelMissing(
            f"The preprocessor_config.json of {name!r} cannot be read ({foreign}).",
            hint="Copy the folder again, or remove that file to use the network's own defaults.",
        ) from foreign
    return settings if isinstance(settings, dict) else {}


def _side(config: Any, settings: dict[str, Any], patch: int) -> int:
    size = settings.get("crop_size") or settings.get("size") or {}
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    if not isinstance(size, int):
        own = getattr(config, "image_size", 224)
        own = own[0] if isinstance(own, list | tuple) else own
        size = own if own <= 256 else 224
    return max(patch, size // patch * patch)


def _scaling(
    config: Any, settings: dict[str, Any]
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    if "image_mean" in settings and "image_std" in settings:
        return tuple(settings["image_mean"]), tuple(settings["image_std"])
    kind = str(getattr(config, "model_type", ""))
    if "siglip" in kind:
        return _HALF
    return _CLIP if "clip" in kind else _IMAGENET


def _strip(proto: Any, path: Path) -> None:
    """Write the graph without the exporter's notes: the same network gives the same bytes."""
    for thing in (proto, proto.graph, *proto.graph.node, *proto.graph.value_info):
        thing.doc_string = ""
        if hasattr(thing, "metadata_props"):
            del thing.metadata_props[:]
    for function in proto.functions:
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]
    path.write_bytes(proto.SerializeToString(deterministic=True))
