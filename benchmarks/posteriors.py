"""Which posterior over heads is worth having: do its doubts find its errors?

All are fitted on the same features of the first crop, calibrated alike on sources that were left
out in turn, and asked about pictures from elsewhere. Part of `python -m benchmarks.doubt`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from research.posteriors import POSTERIORS, SHIPPED, Fit, Told, ask

from benchmarks.common import AS_DELIVERED, is_ai
from benchmarks.fitting import RECIPE
from benchmarks.laundering import launder
from benchmarks.pages import number, signed, table
from research import selective
from veridical.arrays import Float32, ndarray
from veridical.io.samples import Sample
from veridical.io.source import read_photo
from veridical.report import Estimate
from veridical.stats import metrics
from veridical.train.features import FeatureSet

COPY = "half size, JPEG 50"

# Columns of the tables: heading, what was measured, whether more is better, interval?
COLUMNS = (
    ("AURC", "aurc", False, True),
    ("risk at 100 %", "risk_at_100%", False, True),
    ("80 %", "risk_at_80%", False, False),
    ("finds errors", "error_auroc", True, True),
    ("ECE", "ece", False, True),
    ("AUROC", "auroc", True, False),
)

Measured = Mapping[str, Estimate | None]


def compared(
    train: FeatureSet,
    pictures: Sequence[Sample],
    features: Callable[[Sequence[Sample]], FeatureSet],
    work: Path,
    ways: Mapping[str, Fit] = POSTERIORS,
) -> str:
    """Fit every posterior, ask all of them about the same pictures, and return the tables.

    Args:
        train: What they are fitted on; of one crop.
        pictures: What they are asked about, as delivered and copied.
        features: Returns features of pictures, of the same crop.
        work: Where copies and answers are kept.
        ways: The posteriors.
    """
    seen = {
        AS_DELIVERED: features(pictures),
        COPY: features(copied(pictures, work / "copies-half")),
    }
    asked = {name: one.features[:, 0, 0] for name, one in seen.items()}
    facts = [asdict(RECIPE), [str(s.path) for s in train.samples], train.features.shape]
    facts += [[str(s.path) for s in one.samples] for one in seen.values()]
    mark = sha256(json.dumps(facts).encode()).hexdigest()[:12]
    told = {
        name: _remembered(
            work / f"posterior-{name.lower().replace(' ', '-')}-{mark}.npz", fit, train, asked
        )
        for name, fit in ways.items()
    }
    rows = {
        name: {step: measured(seen[step].samples, said[step]) for step in seen}
        for name, said in told.items()
    }
    ahead = {
        name: {step: lead(seen[step].samples, said[step], told[SHIPPED][step]) for step in seen}
        for name, said in told.items()
        if name != SHIPPED and SHIPPED in told
    }
    counts = {step: (int(is_ai(one.samples).sum()), len(one.samples)) for step, one in seen.items()}
    return page(rows, ahead, counts)


def copied(samples: Sequence[Sample], folder: Path) -> tuple[Sample, ...]:
    """Write a copy of every picture into a folder; return the copies' samples."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for sample in samples:
        path = folder / sha256(str(sample.path).encode()).hexdigest()[:16]
        if not path.is_file():
            path.write_bytes(launder(read_photo(sample.path).pixels, COPY))
        made.append(replace(sample, path=path))
    return tuple(made)


def _remembered(
    path: Path, fit: Fit, train: FeatureSet, asked: Mapping[str, Float32[ndarray, "_ _"]]
) -> dict[str, Told]:
    if not path.is_file():
        print(f"{path.stem} ...", flush=True)
        found = ask(train, fit, RECIPE, 0, asked)
        flat = {f"{of}/{key}": v for of, said in found.items() for key, v in asdict(said).items()}
        part = path.with_suffix(".part.npz")
        np.savez(part, **flat)
        part.replace(path)
    with np.load(path) as kept:
        return {of: Told(p_ai=kept[f"{of}/p_ai"], total=kept[f"{of}/total"]) for of in asked}


def measured(samples: Sequence[Sample], said: Told, *, resamples: int = 1000) -> Measured:
    """Measure answers against the truth: errors, calibration, and whether doubt finds errors."""
    truth, groups = is_ai(samples), [sample.group for sample in samples]
    wrong = (said.p_ai >= 0.5) != truth
    plain = metrics.bootstrap(truth, said.p_ai, groups=groups, resamples=resamples)
    by_doubt = selective.bootstrap(truth, wrong, said.total, groups=groups, resamples=resamples)
    return {**by_doubt, "auroc": plain["auroc"], "ece": plain["ece"]}


def lead(samples: Sequence[Sample], said: Told, other: Told, *, resamples: int = 1000) -> Estimate:
    """Return how much larger the AURC of `said` is than that of `other`; below 0 it is better."""
    truth = is_ai(samples)
    one, two = (((t.p_ai >= 0.5) != truth, t.total) for t in (said, other))
    groups = [sample.group for sample in samples]
    return selective.bootstrap_gap(truth, one, two, groups=groups, resamples=resamples)


# --- the page ------------------------------------------------------------------------------------


def page(
    rows: Mapping[str, Mapping[str, Measured]],
    ahead: Mapping[str, Mapping[str, Estimate]],
    counts: Mapping[str, tuple[int, int]],
) -> str:
    """Return the tables: one per set of pictures, and the leads.

    Args:
        rows: Posterior -> set -> what was measured.
        ahead: Posterior -> set -> its AURC less that of the posterior that ships.
        counts: Set -> AI-generated pictures, and all.
    """
    parts = []
    for step, (ai, count) in counts.items():
        said = {name: cells[step] for name, cells in rows.items()}
        body = [(name, *(_marked(said, name, *column[1:]) for column in COLUMNS)) for name in said]
        header = ("posterior", *(column[0] for column in COLUMNS))
        parts.append(f"On {count} pictures ({ai} AI-generated), {step}:\n\n{table(header, body)}")
    if ahead:
        body = [(name, *(signed(cells[step]) for step in counts)) for name, cells in ahead.items()]
        parts.append(
            f"AURC less that of *{SHIPPED}*, on the same resamples (below 0 is better):\n\n"
            + table(("posterior", *counts), body)
        )
    parts.append(f"Least mean AURC over these sets: **{winner(rows)}**.")
    return "\n\n".join(parts)


def _marked(said: Mapping[str, Measured], name: str, key: str, more: bool, interval: bool) -> str:
    """Write one cell; the best of a column is bold."""
    own = said[name][key]
    if own is None:
        return "–"
    known = [value.value for cells in said.values() if (value := cells[key]) is not None]
    best = max(known) if more else min(known)
    text = number(own) if interval else f"{own.value:.3f}"
    if own.value != best:
        return text
    head, space, rest = text.partition(" ")
    return f"**{head}**{space}{rest}"


def winner(rows: Mapping[str, Mapping[str, Measured]]) -> str:
    """Return the posterior of the least mean AURC over the sets; a criterion named beforehand.

    Args:
        rows: Posterior -> set -> what was measured.
    """

    def mean(name: str) -> float:
        areas = [cells["aurc"] for cells in rows[name].values()]
        return float(np.mean([area.value for area in areas if area]))

    return min(rows, key=mean)
