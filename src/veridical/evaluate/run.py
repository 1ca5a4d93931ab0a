"""A detector and labelled pictures in; an evaluation, written into a folder, out."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from veridical.detector import Detector
from veridical.errors import TooFewPhotos, VeridicalError
from veridical.evaluate.files import predictions, write
from veridical.evaluate.kept import NAME, Verdicts
from veridical.evaluate.measure import Evaluation, Outcome, evaluate
from veridical.io import preflight
from veridical.io.formats import Limits
from veridical.io.samples import Sample
from veridical.report import Failure, Report

Track = Callable[[Iterable[Sample], str, int], Iterable[Sample]]
"""Passes samples through while showing progress: what is being done, and how many there are."""

_PER_PICTURE, _PAGES = 4000, 2 * 10**6  # bytes of a report that is kept; of tables and plots


def _untracked(samples: Iterable[Sample], what: str, total: int) -> Iterable[Sample]:
    return samples


def _unsaid(what: str) -> None:
    pass


def lacking(
    samples: Sequence[Sample] | None,
    folder: Path,
    *,
    track: Track = _untracked,
    say: Callable[[str], None] = _unsaid,
    limits: Limits = Limits(),
) -> list[VeridicalError]:
    """Return an error about everything that is known to be missing for an evaluation.

    Args:
        samples: Labelled pictures; None where they are not known, and not checked.
        folder: Folder for the results.
        track: Shows progress.
        say: Told which pictures cannot be judged.
        limits: On what is decoded.
    """
    found = preflight.packages(["matplotlib"], extra="train", to="draw the plots of an evaluation")
    if samples is not None:
        shown = track(samples, "Checking pictures", len(samples))
        why = preflight.unusable((sample.path for sample in shown), limits)
        if len(why) == len({sample.path for sample in samples}):
            found.append(
                TooFewPhotos(
                    f"None of {len(samples)} pictures can be read, so there is nothing to "
                    f"measure.{preflight.said(why)}",
                    hint="Evaluate on pictures of people, in a format that can be read.",
                )
            )
        elif why:
            say(preflight.left_out(why, len(samples)))
    return found + preflight.folders({folder: _PAGES + _PER_PICTURE * len(samples or ())})


def evaluate_model(
    detector: Detector,
    samples: Sequence[Sample],
    folder: Path,
    *,
    jobs: int | None = None,
    seed: int = 0,
    resamples: int = 1000,
    track: Track = _untracked,
    say: Callable[[str], None] = _unsaid,
) -> Evaluation:
    """Judge labelled pictures, measure the verdicts, and write all of it into a folder.

    What is known to be missing is said before any picture is judged. Verdicts are kept in the
    folder until all is written: a run that was stopped goes on from them, with the same model,
    settings and pictures. On Ctrl-C, predictions.csv has the pictures that were judged, unless the
    folder holds a whole evaluation.

    Args:
        detector: What is measured.
        samples: Labelled pictures; one class is enough.
        folder: Made if need be; see `files.write`.
        jobs: Pictures at a time; None for one per core.
        seed: Random seed, for the intervals.
        resamples: For the intervals.
        track: Shows progress.
        say: Told what is being done.

    Raises:
        NotReady: If several things are missing; one alone is raised as what it is.
        TooFewPhotos: If no picture has a P(ai).
        FolderUnusable: If the folder cannot be written to.
    """
    preflight.refuse(lacking(samples, folder, track=track, say=say, limits=detector.limits))
    outcomes: list[Outcome] = []
    with preflight.written(folder, f"Verdicts in {NAME} there are not asked for again."):
        folder.mkdir(parents=True, exist_ok=True)
        with Verdicts(folder, detector) as kept:
            try:
                for outcome in _judged(detector, samples, kept, jobs, track, say):
                    outcomes.append(outcome)
            except KeyboardInterrupt:
                if outcomes and not (folder / "evaluation.json").exists():
                    predictions(outcomes, folder / "predictions.csv")
                raise
        say("Measuring")
        evaluation = evaluate(outcomes, seed=seed, resamples=resamples)
        say("Writing tables and plots")
        write(evaluation, outcomes, folder)
        kept.remove()
    return evaluation


def _judged(
    detector: Detector,
    samples: Sequence[Sample],
    kept: Verdicts,
    jobs: int | None,
    track: Track,
    say: Callable[[str], None],
) -> Iterable[Outcome]:
    known = {sample.path: report for sample in samples if (report := kept.get(sample))}
    if known:
        say(f"Going on from an earlier run: {len(known):,} of {len(samples):,} pictures are judged")
    rest = [sample.path for sample in samples if sample.path not in known]
    answers = detector.inspect_many(rest, jobs=jobs)
    for sample in track(samples, "Judging pictures", len(samples)):
        answer: Report | Failure
        if sample.path in known:
            answer = known[sample.path]
        else:
            answer = next(answers)
            kept.put(sample, answer)
        yield Outcome(sample=sample, answer=answer)
