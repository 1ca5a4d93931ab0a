"""Fit the surrogates that make the maps of a model, and put them into the model's folder.

    python scripts/make_explainer.py DATA/manifest.csv [--model FOLDER] [--work DIR]
        [--most 40] [--sets 20]

`veridical train` fits a surrogate per crop of a face to some 120 pictures, covered in 8 ways each.
This takes more of `train`: MOST pictures of each source and generator, covered in SETS ways. No
verdict depends on it, and the model stays the same one. FOLDER is the model in the package unless
named. Interrupt it when you like: it goes on where it stopped. Needs `veridical[train]`; about half
an hour per crop on two cores.

The surrogate in the package is from 1,049 pictures that `--most 100` draws, with `--sets 300`. That
is half a day on two cores; a graphics card took those forward passes, by the same 8-bit sums.
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from veridical.assembly import default_model, surrogate_to
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.io.dataset import read_samples
from veridical.io.model import read_model, write_model
from veridical.io.samples import Sample
from veridical.io.splits import subsample
from veridical.train.covering import measure
from veridical.train.explainer import FittedSurrogate, fit_surrogate

JOBS = 2


def track(items: Iterable[Sample], what: str, total: int) -> Iterator[Sample]:
    for done, item in enumerate(items):
        if done % 50 == 0:
            print(f"{what}: {done} of {total}", flush=True)
        yield item


def put(model: Path, fitted: Mapping[str, FittedSurrogate]) -> None:
    """Write the surrogate of each crop, by its name, into a model folder; all else stays."""
    folder = read_model(model)
    card = {key: value for key, value in folder.card.items() if key not in ("schema", "files")}
    card["explainer"] = {name: one.record for name, one in fitted.items()}
    tensors = {
        f"{name}.{key}": value
        for name, one in fitted.items()
        for key, value in surrogate_to(one.surrogate).items()
    }
    after = write_model(model, card, folder.tensors, folder.backbone, tensors)
    assert after.identity == folder.identity


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--work", type=Path, default=Path("out/explainer"))
    parser.add_argument("--most", type=int, default=40)
    parser.add_argument("--sets", type=int, default=20)
    asked = parser.parse_args(arguments)
    detector = Detector.load(asked.model, threads=1)
    samples = subsample(read_samples(asked.manifest, split="train"), asked.most, seed=0)
    fitted = {}
    for at, branch in enumerate(detector.parts.branches):
        logit_drops = measure(
            detector,
            samples,
            at,
            sets=asked.sets,
            engine=Threads(JOBS),
            cache=asked.work,
            track=track,
        )
        fitted[branch.name] = fit_surrogate(logit_drops, len(detector.backbone.spec.layers))
    put(asked.model, fitted)
    print(json.dumps({name: one.record for name, one in fitted.items()}, indent=1))


if __name__ == "__main__":
    main()
