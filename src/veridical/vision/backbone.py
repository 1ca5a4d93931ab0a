"""The frozen Vision Transformer: one square crop in, its class token and patch tokens out.

This is the seam between the two runtimes. Judging runs on ONNX Runtime (below);
training and export run the same network in PyTorch (`train/export.py`), and a parity test holds
the two together.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, runtime_checkable

import numpy as np

from veridical.arrays import Float32, UInt8, ndarray
from veridical.engines import cores
from veridical.errors import ModelDamaged
from veridical.tokens import Tokens
from veridical.vision.runtime import CPU, batches, exact_products, open_session


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneSpec:
    """What a backbone is, as read off the network itself when it was exported.

    Attributes:
        name: Hub name or folder it came from.
        image_px: Side of the square it takes, px.
        patch_px: Side of one patch, px.
        prefix: Tokens before the patch tokens (class token and registers).
        has_cls: Whether the first prefix token is a class token.
        dim: Channels of a token.
        layers: Blocks whose output comes out, counted from 1. The network is cut off behind the
            last of them.
        final_norm: Whether what comes out is the network's `last_hidden_state` instead, its own
            final norm included; `layers` then names the last block alone.
        mean: Per-channel mean of the pixel scaling, in [0, 1].
        std: Per-channel standard deviation of the pixel scaling, in [0, 1].
        precision: "fp32", or "int8" (8-bit matrix products; one scale per weight column and per
            token, so that a picture's tokens do not depend on its batch).
    """

    name: str
    image_px: int
    patch_px: int
    prefix: int
    has_cls: bool
    dim: int
    layers: tuple[int, ...]
    final_norm: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if not (self.image_px >= self.patch_px >= 1 and self.dim >= 1 and self.prefix >= 0):
            raise ValueError(f"Sizes of a backbone must be positive; got {self}.")
        if not (len(self.mean) == len(self.std) == 3 and min(self.std) > 0):
            raise ValueError(f"Pixels need 3 means and 3 positive deviations; got {self}.")

    @property
    def grid(self) -> int:
        """Patches along one side."""
        return self.image_px // self.patch_px

    def scaled(
        self, crops: UInt8[ndarray, "batch size size 3"]
    ) -> Float32[ndarray, "batch 3 size size"]:
        """Return the crops as the network wants them: [0, 1], then (x - mean) / std, once."""
        std = np.asarray(self.std, dtype=np.float32)
        shift = np.asarray(self.mean, dtype=np.float32) / std
        pixels = crops * (np.float32(1 / 255) / std) - shift
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)


@runtime_checkable
class Backbone(Protocol):
    """Pixels in, tokens out. The same crop gives the same tokens, to the bit, in any company."""

    @property
    def spec(self) -> BackboneSpec:
        """What the network is."""
        ...

    @property
    def batch(self) -> int:
        """How many crops one run should take; 1 where batches are not faster."""
        ...

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        """Return the tokens of crops of `spec.image_px` square."""
        ...


def tokens_of(backbone: Backbone, crops: UInt8[ndarray, "crops size size 3"]) -> list[Tokens]:
    """Return the tokens of one face's crops, one by one; equal crops are looked at once.

    In a picture that is hardly larger than its face all crops show the same.
    """
    found: list[Tokens] = []
    for at, crop in enumerate(crops):
        same = (found[n] for n in range(at) if np.array_equal(crops[n], crop))
        found.append(next(same, None) or backbone.tokens(crop[None])[0])
    return found


def unpack(spec: BackboneSpec, states: Float32[ndarray, "layers sequence dim"]) -> Tokens:
    """Split the hidden states of one picture into prefix and patch tokens."""
    return Tokens(
        prefix=states[:, : spec.prefix],
        patches=states[:, spec.prefix :],
        grid=spec.grid,
        has_cls=spec.has_cls,
    )


class OnnxBackbone:
    """A backbone on ONNX Runtime. Safe to share between threads; pickles as its path.

    On a CPU, one crop gets all the threads; of several, every core gets one at a time, which is
    faster than a batch on all cores (docs/benchmarks.md). On other devices several crops make one
    run. The tokens of int8 and fp32 graphs on a CPU are the same to the bit in either case.

    Args:
        graph: An .onnx file: input `pixels` (batch, 3, size, size), output `tokens`
            (batch, layers, sequence, dim).
        spec: What the network is.
        threads: Threads in all; 0 takes every core.
        providers: Execution providers of ONNX Runtime, the preferred one first.
        mapped: The same graph by `runtime.lay_out`, to be opened instead; None for no such.

    Raises:
        ModelDamaged: If ONNX Runtime cannot read the graph, or it is not what the spec says.
        DeviceMissing: If a provider is not there.
    """

    def __init__(
        self,
        graph: Path,
        spec: BackboneSpec,
        threads: int = 0,
        providers: Sequence[str] = CPU,
        mapped: Path | None = None,
    ) -> None:
        self.spec, self.providers = spec, tuple(providers)
        self._graph, self._mapped = graph, mapped
        self._asked, self._lock = threads, Lock()
        self._threads = threads or cores()
        self._session = self._open(self._threads)
        wanted = [len(spec.layers), spec.prefix + spec.grid**2, spec.dim]
        given = self._session.get_outputs()[0].shape[1:]
        # The exporter may leave a size open; what it fixed must be what the card says.
        if len(given) != 3 or any(
            isinstance(g, int) and g != w for g, w in zip(given, wanted, strict=True)
        ):
            raise ModelDamaged(
                f"{graph} gives tokens of shape {given}; its card says {wanted}.",
                hint="Copy the whole model folder again; never mix files of two models.",
            )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._graph, self.spec, self._asked, self.providers, self._mapped)

    @property
    def batch(self) -> int:
        """How many crops one run should take."""
        return batches(self.providers)

    @property
    def threads(self) -> int:
        """Threads that one crop gets."""
        return self._threads

    def on_one_thread(self) -> "OnnxBackbone":
        """Return the same network on one thread."""
        return type(self)(self._graph, self.spec, 1, self.providers, self._mapped)

    def _open(self, threads: int) -> Any:
        return open_session(
            str(self._mapped or self._graph),
            name=str(self._graph),
            threads=threads,
            providers=self.providers,
            config=exact_products(),
            mapped=self._mapped is not None,
        )

    @cached_property
    def _narrow(self) -> Any:
        """The same graph on one thread, to be run on several crops at the same time."""
        return self._open(1)

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        """Return the tokens of crops of `spec.image_px` square.

        Raises:
            ValueError: If the crops have another size.
        """
        if crops.shape[1] != self.spec.image_px:
            raise ValueError(
                f"The backbone takes {self.spec.image_px} px squares; got {crops.shape[1]} px."
            )
        if len(crops) == 1:
            return self._run(self._session, crops)
        parts = [crops[i : i + self.batch] for i in range(0, len(crops), self.batch)]
        if self.batch > 1 or self._threads == 1:
            return tuple(one for part in parts for one in self._run(self._session, part))
        with self._lock:
            narrow = self._narrow
        with ThreadPoolExecutor(self._threads) as pool:
            found = pool.map(partial(self._run, narrow), parts)
            return tuple(one for part in found for one in part)

    def _run(self, session: Any, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        states = session.run(["tokens"], {"pixels": self.spec.scaled(crops)})[0]
        return tuple(unpack(self.spec, one) for one in states)
