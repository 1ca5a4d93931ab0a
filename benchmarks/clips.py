"""Clips: what becomes of calibration, of the promise, and of the answers, in video.

    python -m benchmarks.clips DATA/manifest.csv --work DIR [--more RECONSTRUCTIONS/manifest.csv]
                               [--video CLIPS/manifest.csv] [--parts pooling ...] [--quick]

**pooling**: three ways to put the looks of a track together, on clips of pan and zoom over pictures
of `train` (`benchmarks.filming`, CRF 28), judged by heads that never saw their source: the mean
that ships, a sum, a sum of as many looks as they are worth, and a hierarchical model, in which the
logit of a look is that of its person plus a scatter of a stated share of the variance.

**codec**: pictures of `val` as clips at CRF 18, 28 and 35, by the model in the package. A clip
contradicts its picture, or another clip of it, if one is decided `real` and the other `ai`.

**shared**: real and generated clips with a manifest (file, label).

**speed**: a minute of 1080p.

What was found is kept in DIR; an interrupted run goes on. The tables go into docs/video.md.
"""

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image

from benchmarks.common import Record, even, is_ai, path_of, remembered, track
from benchmarks.filming import FPS, LONG_S, film, film_of_a_minute
from benchmarks.fitting import RECIPE, asked_of, extractor_of, training_pictures
from benchmarks.pages import DOCS, ROOT, publish, share, table
from veridical.arrays import Bool, Float, Float32, ndarray
from veridical.detector import Detector
from veridical.engines import Threads, cores
from veridical.errors import PhotoError
from veridical.infer.head import sigmoid
from veridical.infer.track import effective_looks, pool_looks
from veridical.io.clip import Sampling
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import open_source
from veridical.io.splits import subsample
from veridical.io.video import open_clip
from veridical.stats import metrics
from veridical.tokens import pool
from veridical.train.fit import of_crop, refits
from veridical.train.folds import left_out
from veridical.vision.backbone import tokens_of
from veridical.vision.prepare import prepare

PAGE = DOCS / "video.md"
MOST = 5  # pictures of a source and generator that become clips of `train`
OF_VAL = 10  # and of `val`
CRF = 28
LOOKED = tuple((n + 0.5) / 25 for n in (1, 6, 12, 18, 23))  # s
RATES = (18, 28, 35)
WITHIN = (0.1, 0.3)  # shares of the variance that are scatter, for the hierarchical model

Looks = Float[ndarray, "looks samples"]


# --- how looks are put together ------------------------------------------------------------------


def looks_at(detector: Detector, work: Path, sample: Sample) -> tuple[ndarray, ndarray] | None:
    """Return features of each look at a clip of a picture, and sizes of the face; cached."""
    kept = work / "looks" / f"{'_'.join(sample.path.parts[-3:])}.npz"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        features, sizes = [], []
        with open_clip(film(sample.path, CRF)) as clip:
            for frame in clip.frames(LOOKED):
                seen = prepare(
                    open_source(Image.fromarray(frame.pixels)),
                    detector.finder,
                    detector.parts.configs,
                    min_face_px=detector.parts.min_face_px,
                )
                if seen.rows:
                    tokens = tokens_of(detector.backbone, seen.crops[0])
                    features.append([pool(one, detector.parts.pooling) for one in tokens])
                    sizes.append(seen.faces[seen.rows[0]].box.size_px)
        np.savez(kept, features=np.array(features, np.float16), sizes=np.array(sizes))
    with np.load(kept) as found:
        if not len(found["sizes"]):
            return None
        return found["features"].astype(np.float32), found["sizes"]


def judged(
    detector: Detector, manifest: Path, more: Sequence[Path], work: Path, quick: bool
) -> tuple[list[Looks], Bool[ndarray, " n"]]:
    """Return fused logits of the looks at every clip, by heads that never saw its source."""
    samples = training_pictures(detector, manifest, more)
    extractor = extractor_of(detector, work / "cache")
    found = extractor.extract(samples[::40] if quick else samples, Threads(2), track)
    filmed = {s.path for s in subsample(read_samples(manifest, split="train"), MOST, 0)}
    folds = left_out(found, RECIPE, seed=detector.card["seed"])
    wanted = [
        (int(i), n)
        for n, (out, _) in enumerate(folds)
        for i in out
        if found.samples[i].path in filmed
    ][: 8 if quick else None]
    looks = {
        i: own
        for i, _ in track(wanted, "Looking at clips", len(wanted))
        if (own := looks_at(detector, work, found.samples[i]))
    }
    logits: dict[int, list[Float32[ndarray, "looks samples"]]] = defaultdict(list)
    for crop in range(found.features.shape[2]):
        fit = refits(of_crop(found, crop), RECIPE, seed=detector.card["seed"])
        for n, (_, keep) in enumerate(folds):
            mine = [i for i, fold in wanted if fold == n and i in looks]
            gone = np.ones(len(found.samples), bool)
            gone[keep] = False
            head = fit(gone) if mine else None
            for i in mine:
                assert head is not None
                logits[i].append(np.stack([head.logits(look[crop]) for look in looks[i][0]]))
            print(f"Crop {crop + 1}, fold {n + 1} of {len(folds)}", flush=True)
    fusion = detector.parts.fusion
    fused = [
        np.stack(
            [
                fusion.logits(np.stack([crop[at] for crop in logits[i]]), fusion.place(size))
                for at, size in enumerate(looks[i][1])
            ]
        )
        for i in logits
    ]
    return fused, np.array([found.samples[i].label == "ai" for i in logits])


def pooling_page(detector: Detector, looks: Sequence[Looks], ai: Bool[ndarray, " n"]) -> str:
    """Return the table of the ways to put looks together."""

    def scaled(factor: Callable[[Looks], float]) -> Float[ndarray, " n"]:
        return np.array([float(sigmoid(factor(one) * one.mean(axis=0)).mean()) for one in looks])

    def worth(one: Looks) -> float:
        return effective_looks(one.mean(axis=1))

    ways = {
        "one look alone": np.array([float(sigmoid(one[0]).mean()) for one in looks]),
        "**mean of the looks (ships)**": np.array(
            [float(sigmoid(pool_looks(one).logits).mean()) for one in looks]
        ),
        **{
            f"hierarchical, scatter {100 * w:.0f} % of the variance": scaled(
                lambda one, w=w: 1 / (1 - w + w / worth(one))  # type: ignore[misc]
            )
            for w in WITHIN
        },
        "sum of the effective looks": scaled(worth),
        "sum of the looks": scaled(lambda one: float(len(one))),
    }
    overall, weights = detector.parts.fusion.overall, even(ai)
    rows = []
    for name, p in ways.items():
        loss = -float((weights * np.log(np.clip(np.where(ai, p, 1 - p), 1e-9, 1))).sum())
        out = p > overall.threshold_real, 1 - p > overall.threshold_ai
        rows.append(
            (
                name,
                f"{metrics.auroc(ai, p):.3f}",
                f"{loss:.3f}",
                share(int((out[0] & ~ai).sum()), int((~ai).sum())),
                share(int((out[1] & ai).sum()), int(ai.sum())),
                f"{(out[0] | out[1]).mean():.2f}",
            )
        )
    scatter = np.sqrt(np.mean([one.mean(axis=1).var(ddof=1) for one in looks if len(one) > 1]))
    header = ("looks put together by", "AUROC", "log loss", "real left out", "AI left out", "one")
    return (
        f"On {len(ai)} clips ({int(ai.sum())} AI-generated). *Real left out* is the share of real "
        f"people whose prediction set lacks `real` (promised: at most "
        f"{1 - overall.coverage_of_reals:.2g}), *AI left out* the same of AI-generated ones (at "
        f"most {1 - overall.coverage_of_ai:.2g}), *one* the share of sets with one label.\n\n"
        f"{table(header, rows)}\n\nThe logit scatters by {scatter:.2f} nats from frame to frame."
    )


# --- what compression does -----------------------------------------------------------------------


def rated(detector: Detector, crf: int, sample: Sample) -> Record:
    """Judge a picture, or a clip of it."""
    try:
        if not crf:
            still = detector.inspect(sample.path)
            return {"p_ai": still.p_ai, "decision": still.decision.value}
        clip = detector.inspect_video(film(sample.path, crf), Sampling(most=6), jobs=1)
    except PhotoError as error:
        return {"p_ai": None, "decision": "failed", "why": str(error)}
    return {"p_ai": clip.p_ai, "decision": clip.decision.value}


def codec_page(found: Mapping[int, Sequence[Record]], samples: Sequence[Sample]) -> str:
    """Return the table by rate, over the pictures that were judged at every rate."""
    whole = [
        at
        for at in range(len(samples))
        if all(one[at]["p_ai"] is not None for one in found.values())
    ]
    ai = is_ai(samples)[whole]
    decisions = {crf: [own[at]["decision"] for at in whole] for crf, own in found.items()}
    rows = []
    for crf, own in found.items():
        p = np.array([own[at]["p_ai"] for at in whole])
        decided = np.array(decisions[crf])
        against = sum(
            any({decisions[a][n] for a in (crf, b)} == {"real", "ai"} for b in found)
            for n in range(len(whole))
        )
        rows.append(
            (
                f"clip, CRF {crf}" if crf else "the picture itself",
                f"{metrics.auroc(ai, p):.3f}",
                f"{metrics.expected_calibration_error(ai, p):.3f}",
                f"{(decided != 'undecided').mean():.2f}",
                share(int((decided[~ai] == "ai").sum()), int((~ai).sum())),
                share(int((decided[ai] == "real").sum()), int(ai.sum())),
                f"{against}/{len(whole)}",
            )
        )
    header = ("what", "AUROC", "ECE", "decided", "real called `ai`", "AI called `real`")
    return (
        f"On {len(whole)} pictures of `val` ({int(ai.sum())} AI-generated):\n\n"
        f"{table((*header, 'contradicts another'), rows)}"
    )


# --- real and generated clips --------------------------------------------------------------------


def watched(detector: Detector, folder: Path, row: Mapping[str, str]) -> Record:
    """Judge one clip of the manifest."""
    found = detector.inspect_video(folder / row["file"])
    own = [one for one in found.tracks if one.verdict]
    return {
        "label": row["label"],
        "p_ai": found.p_ai,
        "decision": found.decision.value,
        "tracks": [one.decision.value for one in own],
        "sizes": [one.size_px for one in own],
    }


def shared_page(found: Sequence[Record]) -> str:
    """Return the table by kind of clip; no clip is named."""
    names = {
        "real": "people who were filmed",
        "ai": "wholly generated people",
        "swap": "a swapped face",
        "nonphoto": "an animated statue",
        "noface": "nobody",
    }
    rows = []
    for label, name in names.items():
        own = [one for one in found if one["label"] == label]
        tracks = [decision for one in own for decision in one["tracks"]]
        counts = [sum(one["decision"] == word for one in own) for word in ("real", "ai")]
        rows.append(
            (name, len(own), *counts, len(own) - sum(counts), len(tracks), tracks.count("ai"))
        )
    judged = [one for one in found if one["label"] in ("real", "ai") and one["p_ai"] is not None]
    ai = np.array([one["label"] == "ai" for one in judged])
    p = np.array([one["p_ai"] for one in judged])
    header = ("clips of", "clips", "`real`", "`ai`", "undecided", "people", "people called `ai`")
    auroc = metrics.auroc(ai, p)
    return (
        f"{table(header, rows)}\n\nAUROC of generated against filmed people, clip by clip: "
        f"{auroc:.3f} on {int(ai.sum())} and {int((~ai).sum())} clips."
    )


# --- speed ---------------------------------------------------------------------------------------


def speed_page(work: Path, quick: bool) -> str:
    """Return what a minute of 1080p costs, and what every frame as a picture would."""
    detector = Detector.load()
    rounds = 1 if quick else 3
    rows = []
    work.mkdir(parents=True, exist_ok=True)
    for what, sway in (("stays in place", 1 / 64), ("moves across the frame", 1 / 8)):
        path = work / f"minute-{round(1 / sway)}.mp4"
        if not path.is_file():
            film_of_a_minute(ROOT / "examples" / "real-portrait-1.jpg", path, sway)
        reading, whole, frame_s = [], [], []
        for _ in range(rounds):
            began = perf_counter()
            report = detector.inspect_video(path)
            whole.append(perf_counter() - began)
            times = report.searched_s
            began = perf_counter()
            with open_clip(path, threads=cores()) as clip:
                for frame in clip.frames(times, exact=False):
                    pixels = np.asarray(frame.pixels)
            reading.append(perf_counter() - began)
            began = perf_counter()
            detector.inspect(pixels)
            frame_s.append(perf_counter() - began)
        read, took, one = (float(np.median(of)) for of in (reading, whole, frame_s))
        looks = sum(len(track.looks) for track in report.tracks)
        rows.append(
            (
                f"who {what}",
                len(times),
                looks,
                f"{took:.1f} s",
                f"{read / took:.2f}",
                f"{one * LONG_S * FPS / took:.0f}",
            )
        )
    head = ("one person", "frames searched", "looks", "time", "of it reading", "every frame: times")
    return (
        f"A minute of 1080p H.264 on {cores()} cores; medians of {rounds}. *Every frame*: as "
        f"pictures, from the time of one.\n\n{table(head, rows, numbers=True)}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = asked_of(__doc__)
    parser.add_argument("--video", type=Path, help="manifest of clips")
    parser.add_argument("--parts", nargs="+", default=["pooling", "codec", "shared", "speed"])
    given = parser.parse_args(arguments)
    detector = Detector.load(threads=1)
    if "pooling" in given.parts:
        looks, ai = judged(detector, given.manifest, given.more, given.work, given.quick)
        publish(PAGE, "pooling", pooling_page(detector, looks, ai), quick=given.quick)
    if "codec" in given.parts:
        samples = subsample(read_samples(given.manifest, split="val"), OF_VAL, 0)
        samples = samples[:: len(samples) // 6] if given.quick else samples
        found = {
            crf: remembered(
                given.work / f"val-{crf}-{detector.model}.jsonl",
                samples,
                partial(rated, detector, crf),
                path_of,
            )
            for crf in (0, *RATES)
        }
        publish(PAGE, "codec", codec_page(found, samples), quick=given.quick)
    if "shared" in given.parts and given.video:
        with given.video.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))[:: 6 if given.quick else 1]
        kept = given.work / f"shared-{detector.model}.jsonl"
        work = partial(watched, detector, given.video.parent)
        records = remembered(kept, rows, work, lambda row: str(row["file"]))
        publish(PAGE, "shared", shared_page(records), quick=given.quick)
    if "speed" in given.parts:
        publish(PAGE, "speed", speed_page(given.work, given.quick), quick=given.quick)


if __name__ == "__main__":
    main()
