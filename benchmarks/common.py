"""What the benchmarks share: where things lie, how time is taken, how numbers are written.

Ours and theirs are timed in one run, in turns (A B A B ...), since a machine is not equally fast
all day. A short rest before every turn lets the thread pools of the other runtime fall asleep:
both keep their threads spinning for a while after their work is done.
"""

import csv
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import util
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from veridical.detector import spec_from
from veridical.engines import Engine, Serial, Threads
from veridical.io.model import CARD, read_model, write_model
from veridical.train.export import export

T = TypeVar("T")
Record = dict[str, Any]
"""What goes into a results file: numbers, names and lists of them."""

REST_SECONDS = 0.25
_PACKAGES = ("veridical", "torch", "onnxruntime", "transformers", "numpy", "pillow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a benchmark works with.

    Attributes:
        backbone: Local Hugging Face folder of the model's backbone.
        model: Model folder.
        data: Folder with manifest.csv and the pictures it names.
        reference: The reference pipeline's file.
        work: For exports and for the finished parts of an interrupted run.
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
    """One table of docs/benchmarks.md.

    Attributes:
        name: Of the results file, and of the place in the page.
        measure: Takes minutes.
        table: What was measured, as Markdown.
    """

    name: str
    measure: Callable[[Setting], Record]
    table: Callable[[Record], str]


# --- what is compared ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The reference pipeline's own code, with its network loaded and an untrained head.

    Attributes:
        code: Its module.
        vit: Its network.
        head: Its head; no time below depends on the weights.
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
    folder = read_model(setting.model)
    spec = spec_from(folder.card)
    if spec.precision == precision:
        return setting.model
    copy = setting.work / f"{folder.identity[:12]}-{precision}"
    if (copy / CARD).is_file():
        return copy
    layers = () if spec.final_norm else spec.layers
    made = export(
        str(setting.backbone),
        setting.work / "backbones",
        layers=layers,
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


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def engine() -> Engine:
    """Return what the command line uses for many pictures: one per core."""
    return Threads(cores()) if cores() > 1 else Serial()


# --- taking time ---------------------------------------------------------------------------------


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(
    works: Mapping[str, Callable[[T], object]], items: Iterable[T]
) -> dict[str, list[float]]:
    """Return each work's seconds for each item: all works do the first item, then the second."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for item in items:
        for name, work in works.items():
            time.sleep(REST_SECONDS)
            start = time.perf_counter()
            work(item)
            taken[name].append(time.perf_counter() - start)
    return taken


def spread(values: Sequence[float]) -> Record:
    """Return median, lowest and highest."""
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> Record:
    """Return the spread of theirs / ours, turn by turn: above 1 we are faster."""
    return spread([a / b for a, b in zip(theirs, ours, strict=True)])


def part(setting: Setting, name: str, make: Callable[[], Record]) -> Record:
    """Return a finished part of a long benchmark, from an interrupted run if there was one."""
    kind = "quick" if setting.quick else "full"
    path = setting.work / "parts" / f"{name}-{setting.backbone.name}-{kind}.json"
    if not path.is_file():
        found = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found), encoding="utf-8")
    known: Record = json.loads(path.read_text(encoding="utf-8"))
    return known


def forget_parts(setting: Setting, name: str) -> None:
    """Delete the parts of a benchmark that is done."""
    for path in (setting.work / "parts").glob(f"{name}-*.json"):
        path.unlink()


# --- facts ---------------------------------------------------------------------------------------


def facts(setting: Setting) -> Record:
    """Return what a reader has to know of a run: machine, versions, model."""
    card = read_model(setting.model)
    return {
        "cores": cores(),
        "machine": platform.machine(),
        "instructions": _instructions(),
        "memory_gib": _memory_gib(),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "backbone": setting.backbone.name,
        "model": card.identity[:12],
        "precision": card.card["backbone"]["precision"],
        "quick": setting.quick,
    }


def _instructions() -> list[str]:
    known = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "amx_int8": "AMX"}
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return []
    flags = set(next((line for line in text.splitlines() if line.startswith("flags")), "").split())
    return [name for flag, name in known.items() if flag in flags]


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, ValueError, OSError):
        return None


# --- writing numbers -----------------------------------------------------------------------------


def grid(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table: words to the left, numbers to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *lines))


def figure(value: float) -> str:
    """Return a number with three significant digits, and no exponent."""
    if value == 0:
        return "0"
    digits = 2
    size = abs(value)
    while size >= 10 and digits > 0:
        size, digits = size / 10, digits - 1
    while size < 1 and digits < 6:
        size, digits = size * 10, digits + 1
    return f"{value:,.{digits}f}"


def ms(value: Record) -> str:
    """Return a spread of seconds as milliseconds."""
    return f"{figure(1e3 * value['median'])} ({_range(value, 1e3)})"


def sec(value: Record) -> str:
    """Return a spread of seconds."""
    return f"{figure(value['median'])} ({_range(value, 1)})"


def times(value: Record) -> str:
    """Return a spread of ratios."""
    return f"{figure(value['median'])}x ({_range(value, 1)})"


def percent(value: float) -> str:
    """Return a share."""
    return f"{100 * value:.1f} %"


def _range(value: Record, factor: float) -> str:
    return f"{figure(factor * value['low'])} to {figure(factor * value['high'])}"


def target(what: str, met: bool) -> str:
    """Return a line that says whether a target is met."""
    return f"Target: {what}. {'Met.' if met else '**Not met.**'}"
