"""From the shell to a verdict: whole processes, imports and loading included.

The files are in the page cache on both sides; what is cold is the process, not the disk.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from benchmarks.common import Record
from benchmarks.pages import table, target
from benchmarks.speed import Benchmark, Setting, portraits
from benchmarks.timing import in_turns, median_of, ratios, sec, times

TARGET = 4.0

# What a user of the reference would have to write to judge one picture; its head is not trained,
# which costs nothing and saves nothing but reading the head's file.
_REFERENCE = """
import sys
from importlib import util
spec = util.spec_from_file_location("reference_pipeline", sys.argv[1])
code = util.module_from_spec(spec)
spec.loader.exec_module(code)
torch = code.torch
vit = code.AutoModel.from_pretrained(sys.argv[2]).eval()
vector = code.features(vit, code.load(code.Path(sys.argv[3]))[None])
head = code.Head(vector.shape[1])
head.train()
with torch.no_grad():
    samples = torch.stack([torch.softmax(head(vector), 1) for _ in range(200)])
mean, std = samples.mean(0), samples.std(0)
leaf = vector.clone().requires_grad_(True)
out = head(leaf)
out[:, out.argmax(1)].sum().backward()
print(mean.tolist(), std.tolist())
"""


def measure(setting: Setting) -> Record:
    """Start both sides in turns; the first start of each is not counted."""
    (picture,) = portraits(setting, 1)
    python = sys.executable
    model = ("--model", str(setting.model))
    ours = ["-m", "veridical", "inspect", str(picture), "--json", *model]
    commands = {
        "reference": [
            python, "-c", _REFERENCE, str(setting.reference), str(setting.backbone), str(picture)
        ],
        "ours": [python, *ours],
        "no re-check": [python, *ours, "--no-recheck"],
        "reference's imports": [python, "-c", "import torch, transformers, numpy, PIL"],
        "our imports": [python, "-c", "import veridical.cli.main, veridical.detector, onnxruntime"],
        "python": [python, "-c", "pass"],
    }  # fmt: skip
    works: dict[str, Callable[[int], object]] = {
        name: partial(_run, command) for name, command in commands.items()
    }
    in_turns(works, range(1))
    taken = in_turns(works, range(setting.size(7, 1)))
    return {
        "runs": len(taken["ours"]),
        "seconds": {name: median_of(found) for name, found in taken.items()},
        "ratio": ratios(taken["reference"], taken["ours"]),
        "ratio_no_recheck": ratios(taken["reference"], taken["no re-check"]),
    }


def _run(command: list[str], _turn: int) -> None:
    quiet = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{command[1:3]} failed: {done.stderr[-2000:]}")


def page(found: Record) -> str:
    """Return whole processes, and how much of them is importing."""
    names = {
        "reference": "Reference: load the backbone, judge one picture",
        "ours": "`veridical inspect photo.jpg --json`",
        "no re-check": "the same with `--no-recheck`",
        "reference's imports": "of the reference's: `import torch, transformers`",
        "our imports": "of ours: `import veridical.detector, onnxruntime`",
        "python": "of both: Python itself",
    }
    ratio = found["ratio"]
    shown = {"ours": ratio, "no re-check": found["ratio_no_recheck"]}
    lines = [
        [text, sec(found["seconds"][key]), times(shown[key]) if key in shown else ""]
        for key, text in names.items()
    ]
    return "\n\n".join(
        [
            table(["", "s", "reference / ours"], lines, numbers=True),
            f"{found['runs']} runs each, in turns; files in the page cache.",
            target(f"at least {TARGET:.0f}x", ratio["median"] >= TARGET),
        ]
    )


BENCHMARK = Benchmark(name="cold_start", measure=measure, table=page)
