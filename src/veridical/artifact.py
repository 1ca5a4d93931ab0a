"""A model on disk: one folder, three files, every byte accounted for. Never pickle.

    card.json           what the model is and was trained on, how good it was measured to be, and
                        the SHA-256 of the other two
    model.safetensors   head, calibration and outlier statistics: all that training replaces
    backbone.onnx       the frozen network

The model's identity in every report is the SHA-256 of the card, which holds the hashes of the rest,
without its `measured` entry: measuring a model does not make it another one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from veridical.arrays import ndarray
from veridical.errors import ModelDamaged, ModelMissing

SCHEMA = "veridical.model/1"
CARD, TENSORS, BACKBONE = "card.json", "model.safetensors", "backbone.onnx"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelFolder:
    """A model folder that has been checked against its card.

    Attributes:
        path: Where it lies.
        card: The parsed card.json.
        tensors: The arrays of model.safetensors by name.
        identity: SHA-256 of the card without `measured`, as canonical JSON; hex.
    """

    path: Path
    card: Mapping[str, Any]
    tensors: Mapping[str, ndarray]
    identity: str

    @property
    def backbone(self) -> Path:
        """The graph's path."""
        return self.path / BACKBONE


def write_model(path: Path, card: Mapping[str, Any], tensors: Mapping[str, ndarray]) -> ModelFolder:
    """Write model.safetensors and card.json beside a backbone.onnx that is already there.

    The card is written last and replaces an old one in one step, so an interrupted run leaves no
    folder that looks finished.

    Raises:
        ModelMissing: If backbone.onnx is not there.
    """
    if not (path / BACKBONE).is_file():
        raise ModelMissing(f"{path} has no {BACKBONE}.", hint="Export the backbone there first.")
    packed = save_tensors({name: np.asarray(value, order="C") for name, value in tensors.items()})
    (path / TENSORS).write_bytes(packed)
    files = {TENSORS: sha256(packed).hexdigest(), BACKBONE: _hash(path / BACKBONE)}
    text = json.dumps({"schema": SCHEMA, **card, "files": files}, indent=2, ensure_ascii=False)
    draft = path / f"{CARD}.part"
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path / CARD)
    return read_model(path)


def read_model(path: Path) -> ModelFolder:
    """Read a model folder and check every file against the card.

    Raises:
        ModelMissing: If the folder or one of its files is absent.
        ModelDamaged: If the card cannot be read or a file is not the one it describes.
    """
    if not path.is_dir():
        raise ModelMissing(
            f"There is no model folder at {path}.",
            hint="Give the folder that `veridical train --out` wrote, or leave --model out.",
        )
    for name in (CARD, TENSORS, BACKBONE):
        if not (path / name).is_file():
            raise ModelMissing(
                f"The model folder {path} has no {name}; it needs {CARD}, {TENSORS}, {BACKBONE}.",
                hint="Copy the whole folder again, or train the model again.",
            )
    raw = (path / CARD).read_bytes()
    try:
        card = json.loads(raw)
        schema, files = card["schema"], dict(card["files"])
    except (ValueError, KeyError, TypeError, RecursionError) as foreign:
        raise ModelDamaged(
            f"{path / CARD} is not a model card ({foreign!r}).", hint="Copy the folder again."
        ) from foreign
    if schema != SCHEMA:
        raise ModelDamaged(
            f"{path / CARD} is of schema {schema!r}; this version reads {SCHEMA!r}.",
            hint="Use the version of veridical that the model was made with, or train it again.",
        )
    packed = (path / TENSORS).read_bytes()
    for name, found in ((TENSORS, sha256(packed).hexdigest()), (BACKBONE, _hash(path / BACKBONE))):
        if found != files.get(name):
            raise ModelDamaged(
                f"{path / name} has SHA-256 {found[:12]}..., its card says "
                f"{str(files.get(name))[:12]}...: it is not the file the card describes.",
                hint="Copy the whole folder again; never mix files of two models.",
            )
    try:
        tensors = load_tensors(packed)
    except (SafetensorError, KeyError, TypeError, ValueError) as foreign:
        raise ModelDamaged(
            f"{path / TENSORS} cannot be read ({foreign}).", hint="Copy the folder again."
        ) from foreign
    return ModelFolder(path=path, card=card, tensors=tensors, identity=_identity(card))


def _identity(card: Mapping[str, Any]) -> str:
    lasting = {key: value for key, value in card.items() if key != "measured"}
    return sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
