"""Fit what the forensic cues are worth, measure it, and write fitted.json and docs/cues.md.

    python -m scripts.make_cues DATA/manifest.csv [--work DIR] [--most N] [--quick]

DATA is a manifest (path, label, source, generator, group, split). The ratios are fitted on at most
N pictures of every source and generator in `train`, each as delivered, re-encoded as JPEG 75, and
at half size, alike for both classes, so that a cue cannot learn how a class was delivered. They are
measured on `val`, whose generators and sources are others, in the same three ways. The face is
found once, in the picture as delivered. What was measured is kept in DIR, by the hash of the
picture and of the cues' code; an interrupted run goes on. `--quick` goes through all of it on a few
pictures and writes nothing.
"""

import argparse
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from time import perf_counter

import numpy as np
from benchmarks.common import Record
from benchmarks.pages import DOCS, ROOT, number, publish, table
from PIL import Image
from research.ratios import Table, Worth, fit_ratio, judged, measure_ratio

from veridical.box import Box
from veridical.cues import DEFAULT_CUES
from veridical.cues.protocol import Cue, CueInput
from veridical.cues.weights import SCHEMA
from veridical.errors import PhotoError
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import File, open_source
from veridical.report import Estimate, NotApplicable
from veridical.vision.faces import Face, FaceFinder

FITTED = ROOT / "src" / "veridical" / "cues" / "fitted.json"
PAGE = DOCS / "cues.md"
PLAIN, JPEG75, HALF = "as delivered", "JPEG 75", "half size"
VIEWS = (PLAIN, JPEG75, HALF)
MOST = 40


def subsample(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Return at most `most` pictures of every cell, always the same ones."""
    cells: dict[tuple[str, str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        cells[sample.label, sample.source, sample.generator].append(sample)
    return [
        sample
        for cell in sorted(cells)
        for sample in sorted(cells[cell], key=lambda s: sha256(s.path.name.encode()).hexdigest())[
            :most
        ]
    ]


def inputs(source: File, face: Face, views: Iterable[str]) -> Iterator[tuple[str, CueInput]]:
    """Yield a picture's views with its face in each."""
    for view in views:
        file, scale = source, 1.0
        if view != PLAIN:
            image = source.photo.image
            if view == HALF:
                size = max(1, image.width // 2), max(1, image.height // 2)
                image, scale = image.resize(size, Image.Resampling.LANCZOS), 0.5
            stream = io.BytesIO()
            if view == JPEG75:
                image.save(stream, "JPEG", quality=75)
            else:
                image.save(stream, "PNG")
            file = open_source(stream.getvalue())
        box = face.box
        yield (
            view,
            CueInput(
                pixels=file.photo.pixels,
                file=file,
                box=Box(
                    left=box.left * scale,
                    top=box.top * scale,
                    width=box.width * scale,
                    height=box.height * scale,
                ),
                landmarks=tuple((x * scale, y * scale) for x, y in face.landmarks),
            ),
        )


def measured(sample: Sample, views: Sequence[str], finder: FaceFinder) -> Record:
    """Return what every cue measured on every view, or nothing where there is no face."""
    try:
        file = open_source(sample.path)
        faces = finder.find(file.photo.image)
    except PhotoError:
        return {}
    found: Record = {}
    for view, given in inputs(file, faces[0], views) if faces else ():
        for cue in DEFAULT_CUES:
            before = perf_counter()
            answer = cue.measure(given)
            took = 1e3 * (perf_counter() - before)
            known = {} if isinstance(answer, NotApplicable) else dict(answer.known())
            found.setdefault(cue.name, {})[view] = {"ms": took, **known}
    return found


def code() -> str:
    """Return twelve hex digits that change when a cue does."""
    folder = Path(str(import_module("veridical.cues").__file__)).parent
    names = ("pixels", *(cue.name for cue in DEFAULT_CUES))
    text = b"".join((folder / f"{name}.py").read_bytes() for name in names)
    return sha256(text + FaceFinder.name.encode()).hexdigest()[:12]


def gathered(samples: Sequence[Sample], views: Sequence[str], work: Path) -> list[Record]:
    """Measure every picture, or remember what was measured."""
    kept = work / f"cues-{code()}.jsonl"
    known: dict[str, Record] = {}
    if kept.is_file():
        for line in kept.read_text(encoding="utf-8").splitlines():
            told = json.loads(line)
            known[told["key"]] = told["found"]
    finder = FaceFinder(1)
    records = []
    with kept.open("a", encoding="utf-8") as stream:
        for number, sample in enumerate(samples):
            hashed = sha256(sample.path.read_bytes()).hexdigest()
            key = f"{hashed} {' '.join(views)}"
            if key not in known:
                known[key] = measured(sample, views, finder)
                stream.write(json.dumps({"key": key, "found": known[key]}) + "\n")
                stream.flush()
            records.append(known[key])
            if number % 100 == 0:
                print(f"{number} of {len(samples)}", flush=True)
    return records


def tabled(
    cue: Cue, samples: Sequence[Sample], records: Sequence[Record], views: Sequence[str]
) -> tuple[Table, float]:
    """Return what one cue measured on some views, and the share on which it was not applicable."""
    rows, of, silent, total = [], [], 0, 0
    for sample, record in zip(samples, records, strict=True):
        for view in views if record else ():
            told = record[cue.name][view]
            total += 1
            if told.keys() == {"ms"}:
                silent += 1
                continue
            rows.append([told.get(name, np.nan) for name in cue.statistics])
            of.append(sample)
    return (
        Table(
            values=np.array(rows, dtype=float).reshape(-1, len(cue.statistics)),
            ai=np.array([sample.label == "ai" for sample in of], dtype=bool),
            cells=tuple((sample.label, sample.source, sample.generator) for sample in of),
            groups=tuple(sample.group for sample in of),
        ),
        silent / max(total, 1),
    )


def milliseconds(cue: Cue, records: Sequence[Record]) -> float:
    """Return the median time of a cue on a picture as delivered, on one core."""
    return float(np.median([record[cue.name][PLAIN]["ms"] for record in records if record]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, default=ROOT / "model-work")
    parser.add_argument("--most", type=int, default=MOST, help="pictures per source and generator")
    parser.add_argument("--quick", action="store_true", help="a smoke test; writes nothing")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    samples = {
        split: subsample(read_samples(asked.manifest, split=split), 4 if asked.quick else most)
        for split, most in (("train", asked.most), ("val", 10**9))
    }
    records = {split: gathered(samples[split], VIEWS, asked.work) for split in samples}
    told: dict[str, Record] = {}
    for cue in DEFAULT_CUES:
        table, silent = tabled(cue, samples["train"], records["train"], VIEWS)
        fit = fit_ratio(cue.name, cue.statistics, table)
        worth = {
            view: measure_ratio(fit, *tabled(cue, samples["val"], records["val"], (view,)))
            for view in VIEWS
        }
        copies = {view: one for view, one in worth.items() if view != PLAIN}
        weighs, because = judged(worth[PLAIN], copies, evidence=cue.evidence)
        weights = replace(fit.weights, weighs=weighs, because=because)
        kept = {key: value for key, value in asdict(weights).items() if key != "cue"}
        told[cue.name] = {
            "weights": kept,
            "measured": {
                "train": {
                    "rows_real": int((~table.ai).sum()),
                    "rows_ai": int(table.ai.sum()),
                    "silent": silent,
                    "ms": milliseconds(cue, records["train"]),
                    "auroc_of_left_out_pairs": interval(fit.left_out),
                    "slope_on_left_out_pairs": fit.slope,
                },
                "val": {view: as_record(one) for view, one in worth.items() if one},
            },
        }
        print(f"{cue.name}: {because}", flush=True)
    publish(PAGE, "summary", summary(told), quick=asked.quick)
    if not asked.quick:
        card = {"schema": SCHEMA, "cues": told}
        FITTED.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


# --- the page ------------------------------------------------------------------------------------


def interval(measured: Estimate) -> list[float]:
    return [measured.value, measured.low, measured.high]


def as_record(worth: Worth) -> Record:
    record = asdict(worth)
    measured = {"auroc": interval(worth.auroc), "cllr": interval(worth.cllr)}
    return {**record, **measured, "by_generator": dict(worth.by_generator)}


def summary(told: Mapping[str, Record]) -> str:
    """Return one row per cue."""
    rows = []
    for name, one in told.items():
        val = one["measured"]["val"]
        rows.append(
            (
                name,
                f"{val[PLAIN]['silent']:.2f}" if PLAIN in val else "1",
                *(
                    number(Estimate(*val[view]["auroc"])) if view in val else "–"
                    for view in (PLAIN, JPEG75, HALF)
                ),
                number(Estimate(*val[PLAIN]["cllr"])) if PLAIN in val else "–",
                f"{one['measured']['train']['ms']:.0f}",
                "yes" if one["weights"]["weighs"] else "no",
            )
        )
    header = (
        "cue",
        "not measured",
        "AUROC",
        "after JPEG 75",
        "at half size",
        "Cllr, bits",
        "ms",
        "weighs",
    )
    return table(header, rows)


if __name__ == "__main__":
    main()
