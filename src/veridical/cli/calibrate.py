"""`veridical calibrate`: fit a model's calibration on pictures of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from veridical.cli import options

if TYPE_CHECKING:
    from veridical.report import Failure
    from veridical.train.recalibrate import Pictures


@click.command(short_help="Fit a calibration to your own pictures.")
@click.argument("model", type=options.PATH)
@click.option(
    "--reals",
    required=True,
    type=options.FOLDER,
    metavar="DIR",
    help="Folder of real pictures like those that you want to judge.",
)
@click.option(
    "--ai",
    type=options.FOLDER,
    metavar="DIR",
    help="Folder of AI-generated ones, if you have any: the probabilities are then fitted, too.",
)
@click.option(
    "--fpr",
    type=options.SHARE,
    callback=options.share,
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="Share of real pictures that may be called ai, on average.",
)
@click.option(
    "--out",
    required=True,
    type=options.PATH,
    metavar="NEW",
    help="Model folder to write.",
)
@options.list_skipped
@options.device
@options.jobs
def calibrate(
    model: Path,
    reals: Path,
    ai: Path | None,
    fpr: float,
    out: Path,
    device: str,
    jobs: int | None,
) -> None:
    """Fit the calibration of MODEL (a folder, or `default`) on pictures of your own.

    Network and head stay. The new model calls at most the share --fpr of real pictures like yours
    `ai`, on average.

    \b
    Example:
        veridical calibrate default --reals press-photos/ --out ours
        veridical inspect portrait.jpg --model ours
    """
    from veridical.cli.stages import stages

    old = options.model_folder(model)
    if ai and _nested(reals, ai):
        raise click.UsageError("--reals and --ai: one of the folders lies in the other.")
    if out.resolve() == old.resolve():
        raise click.UsageError("--out is the model itself; name another folder.")
    with stages() as shown:
        shown.kept = f"What was judged is kept in {out}; run the same command again to go on."
        from veridical.detector import Detector
        from veridical.engines import engine_of
        from veridical.errors import VeridicalError
        from veridical.io.model import read_model
        from veridical.io.preflight import attempt, folders, no_folder, refuse
        from veridical.io.preflight import written as written_to
        from veridical.io.walk import photos as walk
        from veridical.present.words import printable
        from veridical.train import logits, recalibrate
        from veridical.vision.runtime import providers_of

        jobs, threads = options.share_cores(jobs, many=True)
        missing: list[VeridicalError] = [
            *no_folder(reals, "--reals"),
            *(no_folder(ai, "--ai") if ai else ()),
        ]
        detector = attempt(
            missing,
            lambda: Detector.load(
                old, threads=threads, providers=providers_of(device), recheck=False
            ),
        )
        if detector is None or missing:  # what else is missing is said with it
            return refuse([*missing, *folders({out: 0})])

        skip = options.passed_over()

        def distinct(folder: Path) -> "list[Path | Failure]":
            found = list(walk([folder], skip))
            shown_ones = shown.track(found, "Looking for copies", len(found))
            return list(recalibrate.distinct(shown_ones))

        def gather(folder: Path, paths: "list[Path | Failure]") -> "Pictures":
            found = logits.logits_of(detector, paths, engine_of(jobs), kept, shown.say)
            pictures = recalibrate.gather(
                folder, paths, shown.track(found, "Judging pictures", len(paths))
            )
            for failure in pictures.failures:
                options.warn(f"left out: {failure.error}")
            for path in pictures.faceless:
                options.warn(f"left out: {path}: no face to judge")
            return pictures

        of_reals, of_ai = distinct(reals), distinct(ai) if ai else None
        overall = detector.parts.fusion.overall
        refuse(
            recalibrate.lacking(
                of_reals,
                of_ai,
                out,
                fpr=fpr,
                coverage_of_ai=overall.coverage_of_ai,
                model=old,
            )
        )
        with (
            written_to(out, "The model that was calibrated is as it was."),
            logits.kept_in(out, detector) as kept,
        ):
            made = recalibrate.recalibrate(
                overall,
                gather(reals, of_reals),
                gather(ai, of_ai) if ai and of_ai else None,
                fpr=fpr,
            )
            shown.say("Writing the model")
            recalibrate.write(out, read_model(old), made)
            kept.remove()
    for sentence in recalibrate.describe(made):
        click.echo(printable(sentence))
    click.echo(f"Use it: veridical inspect --model {printable(str(out))} PHOTOS")
    return None


def _nested(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)
