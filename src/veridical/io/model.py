"""A model on disk: one folder, a few files, every byte accounted for. Never pickle.

    card.json           what the model is and was trained on, how good it was measured to be, and
                        the SHA-256 of the others
    model.safetensors   head, calibration and outlier statistics: all that training replaces
    backbone.onnx       the frozen network
    explainer.safetensors   how its maps are read, if that was fitted (`train/explainer.py`)

The model's identity in every report is the SHA-256 of the card, which holds the hashes of the rest,
without its entries `measured` and `explainer`: measuring a model or explaining it does not make it
another one, and no verdict depends on either.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
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

SCHEMA = "veridical.model/3"
CARD, TENSORS, BACKBONE = "card.json", "model.safetensors", "backbone.onnx"
EXPLAINER = "explainer.safetensors"
FILES = (BACKBONE, TENSORS, EXPLAINER, CARD)  # the card last: without it there is no model
_NOT_IDENTITY = ("measured", "explainer")  # entries of the card that no verdict depends on


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelFolder:
    """A model folder that has been checked against its card.

    Attributes:
        path: Where it lies.
        card: The parsed card.json.
        tensors: The arrays of model.safetensors by name.
        explainer: The arrays of explainer.safetensors by name; empty if there is none.
        identity: SHA-256 of the card without `measured` and `explainer`, as canonical JSON; hex.
    """

    path: Path
    card: Mapping[str, Any]
    tensors: Mapping[str, ndarray]
    explainer: Mapping[str, ndarray]
    identity: str

    @property
    def backbone(self) -> Path:
        """The graph's path."""
        return self.path / BACKBONE


def write_model(
    path: Path,
    card: Mapping[str, Any],
    tensors: Mapping[str, ndarray],
    backbone: Path,
    explainer: Mapping[str, ndarray] | None = None,
) -> ModelFolder:
    """Write a model folder; one that is there already is replaced at the very end.

    The new folder is made beside `path` and takes its place by renaming once it is whole, so a run
    that is stopped leaves the old model as it was, or none. What else lies in the old folder moves
    into the new one. Where a folder cannot be renamed (a mount, the one we are in, one in a folder
    that is closed to us), the files change places one after the other instead.

    Args:
        path: The folder to write. A link stays, and the folder that it leads to is replaced.
        card: All of the card but `schema` and `files`. Its entry `explainer` is dropped if there
            is none.
        tensors: The arrays of model.safetensors by name.
        backbone: The graph to copy; it may lie in `path`.
        explainer: The arrays of explainer.safetensors by name; None for no such file.

    Raises:
        ModelMissing: If there is no file at `backbone`.
    """
    if not backbone.is_file():
        raise ModelMissing(f"There is no backbone at {backbone}.", hint="Export it there first.")
    path.mkdir(parents=True, exist_ok=True)
    place = path.resolve()
    renamed = _can_be_renamed(place)
    draft, old = (
        place.with_name(f".{place.name}{what}") if renamed else place / what
        for what in (".veridical-new", ".veridical-old")
    )
    _bring_back(old, place)
    shutil.rmtree(draft, ignore_errors=True)  # of a run that was killed
    draft.mkdir()
    try:
        _fill(draft, card, tensors, backbone, explainer or {})
        if renamed:
            shutil.copymode(place, draft)
            _swap(draft, place, old)
        else:
            for name in FILES:
                if (draft / name).exists():
                    (draft / name).replace(place / name)
            if not explainer:  # the new card does not name what an old model left
                (place / EXPLAINER).unlink(missing_ok=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return read_model(path)


def _can_be_renamed(place: Path) -> bool:
    return (
        os.access(place.parent, os.W_OK | os.X_OK)
        and not place.is_mount()
        and not Path.cwd().is_relative_to(place)
    )


def _fill(
    draft: Path,
    card: Mapping[str, Any],
    tensors: Mapping[str, ndarray],
    backbone: Path,
    explainer: Mapping[str, ndarray],
) -> None:
    shutil.copyfile(backbone, draft / BACKBONE)
    files = {TENSORS: _save(draft / TENSORS, tensors), BACKBONE: _hash(draft / BACKBONE)}
    entries = {key: value for key, value in card.items() if key != "explainer"}
    if explainer:
        digest = _save(draft / EXPLAINER, explainer)
        entries["explainer"] = {**card.get("explainer", {}), "sha256": digest}
    text = json.dumps({"schema": SCHEMA, **entries, "files": files}, indent=2, ensure_ascii=False)
    (draft / CARD).write_text(text + "\n", encoding="utf-8")


def _save(path: Path, tensors: Mapping[str, ndarray]) -> str:
    """Write arrays, and return the file's SHA-256."""
    packed = save_tensors({name: np.asarray(value, order="C") for name, value in tensors.items()})
    path.write_bytes(packed)
    return sha256(packed).hexdigest()


def _swap(draft: Path, place: Path, old: Path) -> None:
    try:
        place.rename(old)
        draft.rename(place)
    except BaseException:
        if old.is_dir() and not place.exists():
            old.rename(place)
        raise
    _bring_back(old, place)


def _bring_back(old: Path, place: Path) -> None:
    """Empty a folder that was set aside: all that `place` lacks goes there, an old model goes.

    A run that was killed between two renames left the old model there; one that was killed later,
    what else was beside it.
    """
    if not old.is_dir():
        return
    whole = (place / CARD).is_file()  # a model that lacks an explainer does not get the old one's
    for one in old.iterdir():
        if not (os.path.lexists(place / one.name) or (whole and one.name in FILES)):
            one.rename(place / one.name)
    for name in FILES:
        (old / name).unlink(missing_ok=True)
    old.rmdir()


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
    _refuse_absent(path, (CARD, TENSORS, BACKBONE))
    raw = (path / CARD).read_bytes()
    try:
        card = json.loads(raw)
        schema, files = card["schema"], dict(card["files"])
        if explained := card.get("explainer"):
            files[EXPLAINER] = explained["sha256"]
    except (AttributeError, ValueError, KeyError, TypeError, RecursionError) as foreign:
        raise ModelDamaged(
            f"{path / CARD} is not a model card ({foreign!r}).",
            hint="Copy the folder again.",
        ) from foreign
    if schema != SCHEMA:
        raise ModelDamaged(
            f"{path / CARD} is of schema {schema!r}; this version reads {SCHEMA!r}.",
            hint="Use the version of veridical that the model was made with, or train it again.",
        )
    _check(path, BACKBONE, _hash(path / BACKBONE), files)
    if explained:
        _refuse_absent(path, (EXPLAINER,))
    return ModelFolder(
        path=path,
        card=card,
        tensors=_load(path, TENSORS, files),
        explainer=_load(path, EXPLAINER, files) if explained else {},
        identity=_identity(card),
    )


def _refuse_absent(path: Path, names: Iterable[str]) -> None:
    for name in names:
        if not (path / name).is_file():
            raise ModelMissing(
                f"The model folder {path} has no {name}; it needs {CARD}, {TENSORS}, {BACKBONE} "
                f"and, if its card says so, {EXPLAINER}.",
                hint="Copy the whole folder again, or train the model again.",
            )


def _check(path: Path, name: str, found: str, files: Mapping[str, Any]) -> None:
    if found != files.get(name):
        raise ModelDamaged(
            f"{path / name} has SHA-256 {found[:12]}..., its card says "
            f"{str(files.get(name))[:12]}...: it is not the file the card describes.",
            hint="Copy the whole folder again; never mix files of two models.",
        )


def _load(path: Path, name: str, files: Mapping[str, Any]) -> Mapping[str, ndarray]:
    """Return the arrays of a file that is the one the card describes."""
    packed = (path / name).read_bytes()
    _check(path, name, sha256(packed).hexdigest(), files)
    try:
        return load_tensors(packed)
    except (SafetensorError, KeyError, TypeError, ValueError) as foreign:
        raise ModelDamaged(
            f"{path / name} cannot be read ({foreign}).", hint="Copy the folder again."
        ) from foreign


def _identity(card: Mapping[str, Any]) -> str:
    lasting = {key: value for key, value in card.items() if key not in _NOT_IDENTITY}
    return sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
