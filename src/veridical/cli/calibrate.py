"""`veridical calibrate`: fit a model's calibration on pictures of one's own."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from veridical.cli import options

if TYPE_CHECKING:
    from veridical.train.recalibrate import Pictures


@click.command()
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
    type=float,
    callback=options.share,
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="Share of real pictures that may be called ai, on average.",
)
@click.option(
    "--out",
    required=True,
    type=options.FOLDER,
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
    from veridical.detector import Detector
    from veridical.engines import engine_of, outcomes
    from veridical.io.model import read_model
    from veridical.io.walk import photos as walk
    from veridical.present.words import printable
    from veridical.train import recalibrate
    from veridical.vision.runtime import providers_of

    old = options.model_folder(model)
    if ai and _nested(reals, ai):
        raise click.UsageError("--reals and --ai: one of the folders lies in the other.")
    if out.resolve() == old.resolve():
        raise click.UsageError("--out is the model itself; name another folder.")
    jobs, threads = options.share_cores(jobs, many=True)
    detector = Detector.load(old, threads=threads, providers=providers_of(device), recheck=False)
    options.ready(out)
    skip = options.passed_over()

    def gather(folder: Path) -> "Pictures":
        paths = list(recalibrate.distinct(walk([folder], skip)))
        found = outcomes(detector.logits, paths, engine_of(jobs))
        pictures = recalibrate.gather(
            folder, paths, options.track(found, "Judging pictures", len(paths))
        )
        for failure in pictures.failures:
            options.warn(f"left out: {failure.error}")
        for path in pictures.faceless:
            options.warn(f"left out: {path}: no face to judge")
        return pictures

    made = recalibrate.recalibrate(
        detector.parts.fusion.overall, gather(reals), gather(ai) if ai else None, fpr=fpr
    )
    recalibrate.write(out, read_model(old), made)
    for sentence in recalibrate.describe(made):
        click.echo(printable(sentence))
    click.echo(f"Use it: veridical inspect --model {printable(str(out))} PHOTOS")


def _nested(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)
