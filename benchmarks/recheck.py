"""What does it cost to judge perturbed copies before a face is called `ai`, and what is withdrawn?

    python -m benchmarks.recheck DATA/manifest.csv [--work DIR] [--pictures 120] [--rounds 3]
                                 [--split val] [--quick]

Three ways to judge take turns over the same pictures, on one thread, and their CPU time is taken:
without a re-check, with a re-check before `ai` (the default), and with one before every verdict.
This is done in folders with 5, 10 and 50 AI-generated pictures in a hundred. The
withdrawn verdicts are counted on the whole split; what was found is kept in DIR, and an interrupted
run goes on. The table goes into docs/doubt.md.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.common import Record, path_of, remembered
from benchmarks.pages import DOCS, publish, table, target
from benchmarks.timing import median_of, ms, ratios, times
from veridical.detector import Detector
from veridical.infer.decision import Judged
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import File, open_source
from veridical.report import Decision, FaceResult, Report
from veridical.vision.faces import Face
from veridical.vision.prepare import Seen

PAGE = DOCS / "doubt.md"
SHARES = (0.05, 0.1, 0.5)  # of AI-generated pictures in the folder
MOST = 1.15  # times the CPU time without a re-check, in the folder of mostly real photos
WITHOUT, DEFAULT, EVERY = "no re-check", "re-check before `ai` (default)", "before every verdict"
DECIDED = (Decision.AI, Decision.REAL)


def folder(samples: Sequence[Sample], count: int, share: float) -> list[Sample]:
    """Return pictures of which this share is AI-generated: the same ones, in the same order."""
    dice = random.Random(0)
    n_ai = round(share * count)
    picked = []
    for label, wanted in (("ai", n_ai), ("real", count - n_ai)):
        own = [sample for sample in samples if sample.label == label]
        picked += dice.sample(own, min(wanted, len(own)))
    dice.shuffle(picked)
    return picked


# --- the three ways ------------------------------------------------------------------------------


def judge_all(detector: Detector, samples: Sequence[Sample]) -> None:
    """Judge pictures one by one."""
    for _ in detector.inspect_many((sample.path for sample in samples), jobs=1):
        pass


def judge_all_twice(detector: Detector, samples: Sequence[Sample]) -> None:
    """Judge pictures one by one, and perturbed copies of every face that got a verdict."""
    plain = replace(detector, perturbations=())
    for sample in samples:
        file = open_source(sample.path, detector.limits)
        for face in decided(plain.inspect(file)):
            rechecked(detector, file, face)


def decided(report: Report) -> Iterable[FaceResult]:
    """Return the faces that got a verdict other than `undecided`."""
    return (face for face in report.faces if face.decision in DECIDED)


def rechecked(detector: Detector, file: File, face: FaceResult) -> Judged:
    """Judge perturbed copies of a face, as the detector does before it says `ai`."""
    assert face.verdict is not None
    found = Face(box=face.box, landmarks=face.landmarks, score=face.confidence, turn=face.turn)
    seen = Seen(box=face.box, areas=tuple(one.area for one in face.crops), face=found)
    return detector._judge.rechecked((face.verdict, face.reasons), file.photo, seen)


# --- measuring -----------------------------------------------------------------------------------


def costs(detector: Detector, samples: Sequence[Sample], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each way in each round; who begins changes from round to round."""
    ways: dict[str, Callable[[], None]] = {
        WITHOUT: lambda: judge_all(replace(detector, perturbations=()), samples),
        DEFAULT: lambda: judge_all(detector, samples),
        EVERY: lambda: judge_all_twice(detector, samples),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    judge_all_twice(detector, samples[:2])  # the first pictures pay for buffers
    names = list(ways)
    for turn in range(rounds):
        at = turn % len(names)
        for name in (*names[at:], *names[:at]):
            start = time.process_time()
            ways[name]()
            taken[name].append(time.process_time() - start)
    return taken


def verdicts(detector: Detector, samples: Sequence[Sample], kept: Path) -> list[Record]:
    """Return for each picture its verdicts, and which of them change in perturbed copies."""
    plain = replace(detector, perturbations=())

    def work(sample: Sample) -> Record:
        file = open_source(sample.path, detector.limits)
        found = []
        for face in decided(plain.inspect(file)):
            withdrawn = rechecked(detector, file, face)[0].decision is Decision.UNDECIDED
            found.append({"decision": face.decision.value, "withdrawn": withdrawn})
        return {"label": sample.label, "faces": found}

    return remembered(kept, samples, work, path_of)


# --- the page ------------------------------------------------------------------------------------


def page(
    found: Mapping[float, Mapping[str, Sequence[float]]],
    counts: Mapping[float, int],
    told: Sequence[Record],
    split: str,
) -> str:
    """Return the tables.

    Args:
        found: Share of AI-generated pictures -> way -> CPU seconds by round.
        counts: Share -> pictures.
        told: What `verdicts` found.
        split: That the pictures are of.
    """
    rows = [
        (
            f"{100 * part:.0f} % of {counts[part]}",
            ms(median_of([seconds / counts[part] for seconds in ways[WITHOUT]])),
            *(times(ratios(ways[name], ways[WITHOUT])) for name in (DEFAULT, EVERY)),
        )
        for part, ways in found.items()
    ]
    header = ("AI-generated", f"{WITHOUT}, CPU ms per picture", DEFAULT, EVERY)
    rounds = len(next(iter(found.values()))[WITHOUT])
    withdrawn = [
        (
            f"`{verdict}`",
            *(
                f"{sum(one['withdrawn'] for one in faces)} of {len(faces)}"
                for label in ("real", "ai")
                for faces in [_faces(told, label, verdict)]
            ),
        )
        for verdict in ("ai", "real")
    ]
    first = found[min(found)]
    cost = ratios(first[DEFAULT], first[WITHOUT])["median"]
    return "\n\n".join(
        [
            table(header, rows, numbers=True),
            f"Pictures of `{split}`, {rounds} rounds in turns, one thread; medians, with lowest to "
            "highest.",
            f"Verdicts on faces that change in perturbed copies, on all {len(told)} pictures of "
            f"`{split}`. Only those in the first row are withdrawn by default:",
            table(("verdict", "on real pictures", "on AI-generated pictures"), withdrawn),
            target(f"at most {MOST} times the time where most photos are real", cost <= MOST),
        ]
    )


def _faces(told: Sequence[Record], label: str, verdict: str) -> list[Record]:
    return [
        face
        for one in told
        if one["label"] == label
        for face in one["faces"]
        if face["decision"] == verdict
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, default=Path("out/recheck"))
    parser.add_argument("--pictures", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--split", default="val")
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    given = parser.parse_args(arguments)
    detector = Detector.load(threads=1)
    samples = read_samples(given.manifest, split=given.split)
    count, rounds = (4, 1) if given.quick else (given.pictures, given.rounds)
    folders = {part: folder(samples, count, part) for part in SHARES}
    found = {part: costs(detector, own, rounds) for part, own in folders.items()}
    kept = given.work / f"verdicts-{given.split}-{detector.model}.jsonl"
    told = verdicts(detector, samples[::60] if given.quick else samples, kept)
    sizes = {part: len(own) for part, own in folders.items()}
    publish(PAGE, "recheck", page(found, sizes, told, given.split), quick=given.quick)


if __name__ == "__main__":
    main()
