"""What the benchmarks of speed work with: the model, the pictures and the reference pipeline."""

import csv
import platform
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import util
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.common import Record
from benchmarks.timing import machine
from veridical.assembly import spec_of
from veridical.io.model import CARD, read_model, write_model

_PACKAGES = ("veridical", "torch", "onnxruntime", "transformers", "numpy", "pillow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a benchmark works with.

    Attributes:
        backbone: Local Hugging Face folder of the model's backbone.
        model: Model folder.
        data: Folder with manifest.csv and the pictures it names.
        reference: The reference pipeline's file.
        work: For exports.
        quick: As few pictures and rounds as will run at all; the numbers mean nothing.
    """

    backbone: Path
    model: Path
    data: Path
    reference: Path
    work: Path
    quick: bool

    def size(self, full: int, quick: int) -> int:
        """Return how many, by the kind of run."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One table of speed.

    Attributes:
        name: Of the results file, and of the block in the page.
        measure: Takes minutes.
        table: What was measured, as Markdown.
        page: In docs/.
    """

    name: str
    measure: Callable[[Setting], Record]
    table: Callable[[Record], str]
    page: str = "benchmarks.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference pipeline's own code, with its network loaded and an untrained head.

    Attributes:
        code: Its module.
        vit: Its network.
        head: No time depends on its weights.
    """

    code: Any
    vit: Any
    head: Any

    @classmethod
    def load(cls, setting: Setting) -> "Reference":
        """Load it as its `main` does."""
        import torch
        from transformers import AutoModel

        spec = util.spec_from_file_location("reference_pipeline", setting.reference)
        if spec is None or spec.loader is None:
            raise SystemExit(f"{setting.reference} is no Python file.")
        code: Any = util.module_from_spec(spec)
        spec.loader.exec_module(code)
        random.seed(0)
        torch.manual_seed(0)
        vit = AutoModel.from_pretrained(str(setting.backbone)).eval()
        with torch.no_grad():
            dim = code.features(vit, torch.zeros(1, 3, 128, 128)).shape[1]
        return cls(code=code, vit=vit, head=code.Head(dim))

    def predict(self, path: Path) -> None:
        """Judge one picture: the body of the loop in its `main` that times predictions."""
        import torch

        vector = self.code.features(self.vit, self.code.load(path)[None])
        self.head.train()
        with torch.no_grad():
            samples = torch.stack([torch.softmax(self.head(vector), 1) for _ in range(200)])
        samples.mean(0), samples.std(0)
        leaf = vector.clone().requires_grad_(True)
        out = self.head(leaf)
        out[:, out.argmax(1)].sum().backward()


def model_of(setting: Setting, precision: str) -> Path:
    """Return the model itself, or a copy of it whose backbone has another precision.

    The head stays: what a verdict costs does not depend on its numbers.
    """
    from veridical.train.export import export

    folder = read_model(setting.model)
    spec = spec_of(folder.card)
    if spec.precision == precision:
        return setting.model
    copy = setting.work / f"{folder.identity[:12]}-{precision}"
    if (copy / CARD).is_file():
        return copy
    made = export(
        str(setting.backbone),
        setting.work / "backbones",
        layers=() if spec.final_norm else spec.layers,
        image_px=spec.image_px,
        precision=precision,
    )
    if replace(made.spec, name=spec.name) != replace(spec, precision=precision):
        raise SystemExit(
            f"The model's backbone is {spec.name}; --backbone names another one, {made.spec.name}."
        )
    card = {key: value for key, value in folder.card.items() if key not in ("schema", "files")}
    card["backbone"] = dict(card["backbone"]) | {"precision": precision}
    write_model(copy, card, folder.tensors, made.path, folder.explainer)
    return copy


def rows(setting: Setting) -> list[dict[str, str]]:
    """Return the manifest."""
    with (setting.data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def portraits(setting: Setting, count: int) -> list[Path]:
    """Return `count` test pictures with a face, the same ones every time."""
    faces = [row["path"] for row in rows(setting) if row["split"] == "test" and row["face"] == "1"]
    chosen = random.Random(0).sample(faces, min(count, len(faces)))
    return [setting.data / path for path in chosen]


def facts(setting: Setting) -> Record:
    """Return what a reader has to know of a run: machine, versions, model."""
    model = read_model(setting.model)
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "backbone": setting.backbone.name,
        "model": model.identity[:12],
        "precision": model.card["backbone"]["precision"],
        "quick": setting.quick,
    }
