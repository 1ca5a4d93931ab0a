"""`veridical train`: labelled pictures in, a model folder out."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from veridical.cli import options

if TYPE_CHECKING:
    from veridical.train.make import Trained


@click.command(short_help="Train a model.")
@click.option(
    "--out",
    required=True,
    type=options.PATH,
    metavar="DIRECTORY",
    help="Model folder to write.",
)
@click.option(
    "--backbone",
    metavar="NAME_OR_FOLDER",
    help="Hugging Face ViT by name or folder, or a model folder.  [default: the model in the "
    "package]",
)
@options.recipe
@options.data
@click.option(
    "--views", type=click.IntRange(min=1), help="Views of each picture; fewer are faster."
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="At most; for recipes fitted by gradient descent."
)
@click.option(
    "--image-px", type=click.IntRange(min=8), help="Side of the square that the backbone takes."
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "int8"]),
    help="Of an exported backbone.  [default: fp32]",
)
@options.seed
@options.jobs
@options.cache
@click.option(
    "--per-source",
    type=click.IntRange(min=1),
    metavar="N",
    help="Pictures of each source and generator to use, drawn by the seed.  [default: all]",
)
@click.option(
    "--allow-confounds",
    is_flag=True,
    help="Train even if the class can be guessed without looking at a face.",
)
def train(
    data: Path,
    out: Path,
    recipe: str,
    real: str | None,
    ai: str | None,
    split: str | None,
    views: int | None,
    epochs: int | None,
    jobs: int | None,
    cache: Path | None,
    **settings: Any,  # the other options: passed on as they are
) -> None:
    """Train a model on DATA: a folder with one sub-folder per class, or a manifest CSV.

    The pictures are audited first. You can stop at any time: the next run goes on from there.

    \b
    Example:
        veridical train faces/ --out my-model
        veridical train manifest.csv --split train --out my-model --backbone facebook/dinov2-small
    """
    from veridical.cli.stages import stages

    cache = cache or options.cache_folder()
    with stages() as shown:
        shown.kept = f"What is done is kept in {cache}; run the same command again to go on."
        from dataclasses import replace

        from veridical.assembly import default_model
        from veridical.engines import engine_of
        from veridical.errors import VeridicalError
        from veridical.io.dataset import read_samples
        from veridical.io.preflight import refuse
        from veridical.train.make import train as make
        from veridical.train.ready import lacking, model_folder
        from veridical.train.recipes import RECIPES

        if epochs is not None and RECIPES[recipe].method != "descent":
            raise click.UsageError(
                f"--epochs: recipe {recipe!r} is fitted in closed form, without epochs."
            )
        changes: dict[str, Any] = {"views": views, "epochs": epochs}
        changed = {name: value for name, value in changes.items() if value is not None}
        chosen = replace(RECIPES[recipe], **changed)
        try:
            samples = read_samples(data, real=real, ai=ai, split=split, skip=options.passed_over())
        except VeridicalError as error:  # what else is missing is said with it
            model = model_folder(settings["backbone"], default_model())
            refuse([error, *lacking(None, out, cache=cache, recipe=chosen, backbone=model)])
            raise
        jobs, threads = options.share_cores(jobs, many=True)
        trained = make(
            samples,
            out,
            recipe=chosen,
            engine=engine_of(jobs),
            cache=cache,
            threads=threads,
            track=shown.track,
            say=shown.say,
            **settings,
        )
    _warn(trained)
    fitted, known = trained.fitted, trained.fitted.fusion.overall
    run = f" in {len(fitted.history)} epochs" if fitted.history else ""
    click.echo(
        f"{out}: fitted on {fitted.counts['fit']} pictures{run}, "
        f"calibrated on {known.real} real and {known.ai} AI-generated "
        f"ones ({fitted.calibrated_on})"
    )
    click.echo(f"Measure it: veridical evaluate {out} DATA")


def _warn(trained: "Trained") -> None:
    """Print which pictures were left out, and what the audit found."""
    from veridical.train.audit import describe

    features = trained.features
    for sample, why in features.unreadable:
        reason = why.removeprefix(f"{sample.path}: ").removeprefix("The picture: ")
        options.warn(f"left out: {sample.path}: {reason}")
    if features.faceless:
        options.warn(f"left out: {len(features.faceless)} pictures without a face")
    for sample in features.too_small:
        smallest = trained.folder.card["min_face_px"]
        options.warn(f"left out: {sample.path}: the face is under {smallest:g} px")
    if not trained.audit.findings:
        options.warn(f"audit: {trained.audit.not_applicable[0].because}")
    for finding in trained.audit.findings:
        if finding.warns:
            options.warn(f"audit: {describe(finding)}")
