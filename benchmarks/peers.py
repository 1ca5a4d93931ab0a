"""Other open detectors on the same pictures, stripped of their metadata, in the same run as ours.

    python -m benchmarks.peers DATA/manifest.csv --work DIR --peer NAME=PYTHON ... [--splits val]

Each peer lives in an environment of its own (`PYTHON`, where `pip install sahu65==VERSION` was
done) and gets the files we get: every picture decoded and saved again as PNG, so that no file can
tell its origin. Two baselines are fitted here on every third picture of `train`, on our first crop
of each face (one view each, as delivered): the azimuthally averaged power spectrum (Durall et al.,
"Watch Your Up-Convolution", CVPR 2020, eq. 3), and the class token behind the last block that our
own model reads, both with a logistic regression. Answers are kept in DIR. The table goes into
docs/accuracy.md.
"""

import argparse
import json
import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.common import JOBS, crops_of, is_ai, track
from benchmarks.pages import DOCS, number, publish, table
from veridical.arrays import Float, ndarray
from veridical.detector import Detector
from veridical.engines import Threads
from veridical.errors import PhotoError
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import read_photo
from veridical.stats import metrics

PAGE = DOCS / "accuracy.md"
EVERY = 3  # picture of `train`: a few hundred weights need no more
FEWEST = 15  # pictures of a generator, to count as the lowest
RINGS = 88  # of the spectrum of a 224 px crop, to four fifths of Nyquist along an axis
WORKER = """
import json, sys, time
from sahu65 import LocalDetector
judge = LocalDetector().warm()
for line in sys.stdin:
    path = line.rstrip("\\n")
    try:
        start = time.perf_counter()
        told = judge.detect_bytes(open(path, "rb").read())
        answer = {"p": told.ai_probability, "says": told.verdict}
        answer["seconds"] = time.perf_counter() - start
    except Exception as error:
        answer = {"p": None, "says": f"{type(error).__name__}: {error}"}
    print(json.dumps({"path": path} | answer), flush=True)
"""


def stripped(samples: Sequence[Sample], work: Path) -> list[Path]:
    """Save every picture again as PNG, under a name that tells nothing; once."""
    work.mkdir(parents=True, exist_ok=True)
    paths = []
    for sample in samples:
        path = work / f"{sha256(sample.path.read_bytes()).hexdigest()[:24]}.png"
        if not path.is_file():
            draft = path.with_suffix(".part")
            read_photo(sample.path).image.save(draft, "PNG", compress_level=1)
            draft.replace(path)
        paths.append(path)
    return paths


def asked(python: str, paths: Sequence[Path], kept: Path) -> dict[str, dict[str, Any]]:
    """Ask a peer about every file that it has not answered yet."""
    known = {}
    if kept.is_file():
        told = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
        known = {one["path"]: one for one in told}
    todo = [str(path) for path in paths if str(path) not in known]
    if todo:
        with kept.open("a", encoding="utf-8") as stream:
            subprocess.run(
                [python, "-c", WORKER],
                input="\n".join(todo) + "\n",
                stdout=stream,
                text=True,
                check=True,
            )
        return asked(python, paths, kept)
    return known


def spectrum(crop: ndarray) -> Float[ndarray, " rings"]:
    """Return the log of the azimuthally averaged power spectrum, relative to its first ring."""
    grey = crop.astype(float) @ (0.299, 0.587, 0.114)
    power = np.abs(np.fft.fftshift(np.fft.fft2(grey - grey.mean()))) ** 2
    rows, columns = np.indices(power.shape)
    middle = len(power) // 2
    ring = np.hypot(rows - middle, columns - middle).astype(int)
    sums = np.bincount(ring.ravel(), power.ravel())
    mean = sums[1 : RINGS + 1] / np.bincount(ring.ravel())[1 : RINGS + 1]
    told: ndarray = np.log(mean / mean[0] + 1e-12)
    return told


def described(
    samples: Sequence[Sample], detector: Detector, kept: Path
) -> tuple[list[Sample], Float[ndarray, "n rings"], Float[ndarray, "n dim"]]:
    """Return the pictures with a face, their spectra and their class tokens; once."""

    def work(sample: Sample) -> tuple[ndarray, ndarray] | None:
        try:
            faces = crops_of(detector, sample.path)
        except PhotoError:
            return None
        if not faces:
            return None
        crop = faces[0][0]
        return spectrum(crop), detector.backbone.tokens(crop[None])[0].prefix[-1, 0]

    if not kept.is_file():
        pool = Threads(JOBS).map(work, samples)
        told = list(track(pool, "Describing", len(samples)))
        seen = np.array([one is not None for one in told])
        pairs = [one for one in told if one is not None]
        np.savez(kept, seen=seen, spectra=[p for p, _ in pairs], tokens=[t for _, t in pairs])
    held = np.load(kept)
    faces = [s for s, has in zip(samples, held["seen"], strict=True) if has]
    return faces, held["spectra"], held["tokens"]


def regression() -> Pipeline:
    return make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, max_iter=2000, class_weight="balanced")
    )


def row(
    name: str, samples: Sequence[Sample], scores: Mapping[Path, float | None], seconds: str
) -> tuple[object, ...]:
    """Measure one detector over the pictures that it gives a score."""
    scored = [s for s in samples if scores.get(s.path) is not None]
    p = np.array([scores[s.path] for s in scored], dtype=float)
    each = list(by_generator(scored, p).values())
    measured = metrics.bootstrap(is_ai(scored), p, groups=[s.group for s in scored])
    return (
        name,
        number(measured["auroc"]),
        f"{min(each):.3f}",
        number(measured["tpr_at_1pct_fpr"]),
        f"{len(scored)} of {len(samples)}",
        seconds,
    )


def by_generator(
    samples: Sequence[Sample], scores: ndarray, fewest: int = FEWEST
) -> dict[str, float]:
    """Return the AUROC of each generator with enough pictures, beside all real ones."""
    ai = is_ai(samples)
    made = np.array([sample.generator for sample in samples])
    return {
        name: metrics.auroc(ai[mine], scores[mine])
        for name in sorted({str(m) for m in made[ai]})
        if name and (made == name).sum() >= fewest
        for mine in [~ai | (made == name)]
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peer", nargs="*", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--splits", nargs="+", default=["val"])
    given = parser.parse_args(arguments)
    detector = Detector.load(threads=1)
    given.work.mkdir(parents=True, exist_ok=True)
    train, spectra, tokens = described(
        read_samples(given.manifest, split="train")[::EVERY],
        detector,
        given.work / "described-train.npz",
    )
    truth = is_ai(train)
    fitted = {
        "power spectrum (Durall et al. 2020), logistic regression": regression().fit(
            spectra, truth
        ),
        "class token of the encoder, logistic regression": regression().fit(tokens, truth),
    }
    pages = []
    for split in given.splits:
        samples = list(read_samples(given.manifest, split=split))
        paths = stripped(samples, given.work / "stripped")
        reports = Threads(JOBS).map(detector.inspect, paths)
        ours = {s.path: r.p_ai for s, r in zip(samples, reports, strict=True)}
        rows = [row(f"**Veridical** (model {detector.model})", samples, ours, "")]
        faces, spectra, tokens = described(samples, detector, given.work / f"described-{split}.npz")
        for (name, model), x in zip(fitted.items(), (spectra, tokens), strict=True):
            scores = dict(
                zip((s.path for s in faces), model.predict_proba(x)[:, 1].tolist(), strict=True)
            )
            rows.append(row(name, samples, scores, ""))
        for peer in given.peer:
            name, _, python = peer.partition("=")
            kept = given.work / f"peer-{sha256(name.encode()).hexdigest()[:8]}.jsonl"
            answers = asked(python, paths, kept)
            scores = {s.path: answers[str(p)]["p"] for s, p in zip(samples, paths, strict=True)}
            times = [answers[str(p)].get("seconds") for p in paths]
            taken = np.median([t for t in times if t is not None])
            rows.append(row(name, samples, scores, f"{1e3 * taken:.0f}"))
        header = (
            "detector",
            "AUROC",
            "lowest generator",
            "TPR at 1 % FPR",
            "scored",
            "ms per picture",
        )
        pages.append(f"On `{split}`:\n\n{table(header, rows)}")
    publish(PAGE, "peers", "\n\n".join(pages), quick=False)


if __name__ == "__main__":
    main()
