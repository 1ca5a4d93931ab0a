"""The command line: parse, call, print. No judgement lives here.

Exit status: 0 if every picture was judged, `undecided` included; 3 if some could not be read, 4 if
none could; 2 for a wrong command line; 1 for anything else that stopped the work.
"""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import click

# One thread for NumPy: its matrices here are small, and a second pool of threads would fight with
# ONNX Runtime's for the cores. Said before NumPy is imported; what the user set stays.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from veridical._version import VERSION
from veridical.cli.options import (
    MAPS_THROUGH,
    ErrorGroup,
    cache_folder,
    engine_of,
    explainers,
    is_folder,
    ready,
    say,
    share,
    share_cores,
    stability_option,
    track,
    with_data,
)

SOME_FAILED, ALL_FAILED = 3, 4


@click.group(cls=ErrorGroup)
@click.version_option(VERSION, prog_name="veridical")
def main() -> None:
    """Tell photographs of people from AI-generated ones. Nothing leaves this machine."""


@main.command()
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object per picture and line.")
@click.option(
    "--explain",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write a page for every picture into DIR (HTML and PNG: what was seen, and what spoke for "
    "it), and a figure and its numbers for every face.",
)
@click.option(
    "--occlude",
    nargs=2,
    type=click.IntRange(min=1),
    metavar="WINDOW STRIDE",
    help="With --explain: cover the face window by window (px of the crop, e.g. 32 16). Slow.",
)
@click.option(
    "--fill",
    type=click.Choice(["mean", "blur", "black"]),
    default="mean",
    show_default=True,
    help="With --occlude: what covers a window.",
)
@click.option(
    "--through",
    metavar="BACKBONE",
    help="With --explain: also make maps through the whole network, whose hub name or folder this "
    "is. Slow; needs the extra `train`.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(MAPS_THROUGH),
    help="With --through: which maps; may be given several times.  [default: integrated-gradients]",
)
@click.option("--model", type=click.Path(path_type=Path), help="Model folder, if not our own.")
@click.option("--whole-image", is_flag=True, help="Judge the frame instead of the faces in it.")
@click.option("--samples", type=click.IntRange(min=2), help="Posterior samples.  [default: 200]")
@click.option(
    "--prior",
    type=float,
    callback=share,
    metavar="SHARE",
    help="Share of AI-generated pictures where these came from, e.g. 0.01: also say what each "
    "P(ai) is then, and how many alarms would be right. Decisions stay.",
)
@stability_option
@click.option(
    "--cues",
    is_flag=True,
    help="Also say what forensic cues saw in each judged face. They move no verdict.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Pictures at a time.  [default: cores]")
@click.option("--verbose", "-v", is_flag=True, help="Say what was done to each picture.")
def inspect(
    photos: tuple[Path, ...],
    as_json: bool,
    explain: Path | None,
    occlude: tuple[int, int] | None,
    fill: Any,
    through: str | None,
    methods: tuple[str, ...],
    model: Path | None,
    whole_image: bool,
    samples: int | None,
    prior: float | None,
    stability: bool,
    cues: bool,
    jobs: int | None,
    verbose: bool,
) -> None:
    """Judge every face in PHOTOS: files, or folders of them.

    Exits with 0 if every picture was judged (undecided included), 3 if some could not be read,
    4 if none could.

    \b
    Example:
        veridical inspect portrait.jpg --explain why/
        veridical inspect portraits/ --json > verdicts.jsonl
    """
    from rich.console import Console

    from veridical.detector import Detector
    from veridical.forensics import Examination
    from veridical.forensics import inspect as inspect_with_cues
    from veridical.infer.priors import at_prior, predictive_values
    from veridical.io.dataset import photos as walk
    from veridical.present import records, terminal
    from veridical.report import Failure, Report
    from veridical.scan import scan

    if occlude and not explain:
        raise click.UsageError("--occlude draws into the figures of --explain DIR; name a DIR too.")
    if through and not explain:
        raise click.UsageError("--through draws into the figures of --explain DIR; name a DIR too.")
    if methods and not through:
        raise click.UsageError("--method is a map --through BACKBONE; name the backbone too.")
    jobs, threads = share_cores(jobs, many=len(photos) > 1 or is_folder(photos[0]))
    detector = Detector.load(model, samples=samples, threads=threads, stability=stability)
    further = explainers(detector, through, methods or MAPS_THROUGH[:1]) if through else ()
    if occlude and occlude[0] > detector.crop_config.size_px:
        raise click.UsageError(
            f"--occlude {occlude[0]} {occlude[1]}: the window is wider than the crop, "
            f"{detector.crop_config.size_px} px."
        )
    if explain:
        ready(explain)

    def judge(path: Path) -> Examination:
        if explain:
            from veridical.present.files import write_explanations

            return write_explanations(
                detector,
                path,
                explain,
                whole_image=whole_image,
                occlude=occlude,
                fill=fill,
                further=further,
            )
        if cues:
            return inspect_with_cues(detector, path, whole_image=whole_image)
        return Examination(report=detector.inspect(path, whole_image=whole_image))

    console, said = Console(), Counter[str]()
    values = None if prior is None else predictive_values(detector.card, prior)
    for found in scan(walk(photos), judge, engine_of(jobs)):
        if explain and isinstance(found, Failure):
            from veridical.present.files import write_failure

            write_failure(found, detector, explain)
        outcome = found if isinstance(found, Failure) else found.report
        at = at_prior(outcome, prior) if prior and isinstance(outcome, Report) else None
        told = found.cues if cues and isinstance(found, Examination) else None
        if as_json:
            click.echo(records.line(outcome, at, values, told))
        else:
            terminal.show(outcome, console, at=at, cues=told, verbose=verbose)
        said["failed" if isinstance(outcome, Failure) else str(outcome.decision)] += 1
    if not as_json and said.total() > 1:
        counts = {name: said[name] for name in ("real", "ai", "undecided", "failed")}
        terminal.summary(console, **counts)
    if not as_json and prior is not None:
        console.print(terminal.in_numbers(prior, values), highlight=False, markup=False)
    if said["failed"]:
        raise SystemExit(ALL_FAILED if said["failed"] == said.total() else SOME_FAILED)


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Model folder to write.",
)
@click.option(
    "--backbone",
    metavar="NAME_OR_FOLDER",
    help="Hugging Face ViT by name or folder, or a model folder.  [default: our own]",
)
@click.option(
    "--recipe",
    type=click.Choice(["default", "reference"]),
    default="default",
    show_default=True,
    help="What to train; `reference` reproduces the reference pipeline.",
)
@with_data
@click.option(
    "--views", type=click.IntRange(min=1), help="Views of each picture; fewer are faster."
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help="At most; for recipes fitted by descent."
)
@click.option(
    "--image-px", type=click.IntRange(min=8), help="Side of the square the backbone looks at."
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "int8"]),
    help="Of an exported backbone.  [default: fp32]",
)
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option("--jobs", type=click.IntRange(min=1), help="Pictures at a time.  [default: cores]")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="VERIDICAL_CACHE",
    help="For exported backbones and features.  [default: ~/.cache/veridical]",
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
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
    backbone: str | None,
    recipe: str,
    real: str | None,
    ai: str | None,
    split: str | None,
    views: int | None,
    epochs: int | None,
    image_px: int | None,
    precision: str | None,
    seed: int,
    jobs: int | None,
    cache: Path | None,
    most: int | None,
    allow_confounds: bool,
) -> None:
    """Train a model on DATA: a folder with one sub-folder per class, or a manifest CSV.

    The pictures are audited first. Stop it when you like: run again, it goes on where it was.

    \b
    Example:
        veridical train faces/ --out my-model
        veridical train manifest.csv --split train --out my-model --backbone facebook/dinov2-small
    """
    from dataclasses import replace

    from veridical.io.dataset import read_samples
    from veridical.present.terminal import printable
    from veridical.train.audit import describe
    from veridical.train.make import train as make
    from veridical.train.recipes import RECIPES

    if epochs is not None and RECIPES[recipe].method != "descent":
        raise click.UsageError(
            f"--epochs: recipe {recipe!r} is fitted in closed form, without epochs."
        )
    samples = read_samples(data, real=real, ai=ai, split=split)
    for folder in (out, cache := cache or cache_folder()):
        ready(folder)
    changes: dict[str, Any] = {"views": views, "epochs": epochs}
    jobs, threads = share_cores(jobs, many=True)
    trained = make(
        samples,
        out,
        backbone=backbone,
        recipe=replace(RECIPES[recipe], **{k: v for k, v in changes.items() if v is not None}),
        engine=engine_of(jobs),
        cache=cache,
        seed=seed,
        image_px=image_px,
        precision=precision,
        threads=threads,
        track=track,
        say=say,
        allow_confounds=allow_confounds,
        most=most,
    )
    looks, fitted = trained.looks, trained.fitted
    for sample, why in looks.unreadable:
        reason = why.removeprefix(f"{sample.path}: ").removeprefix("The picture: ")
        click.secho(printable(f"left out: {sample.path}: {reason}"), fg="yellow", err=True)
    if looks.faceless:
        click.secho(
            f"left out: {len(looks.faceless)} pictures without a face", fg="yellow", err=True
        )
    for sample in looks.too_small:
        reason = f"the face is under {trained.folder.card['min_face_px']:g} px"
        click.secho(printable(f"left out: {sample.path}: {reason}"), fg="yellow", err=True)
    run = f" in {len(fitted.history)} epochs" if fitted.history else ""
    if not trained.audit.findings:
        click.secho(f"audit: {trained.audit.not_applicable[0].because}", fg="yellow", err=True)
    for finding in trained.audit.findings:
        if finding.warns:
            click.secho(f"audit: {describe(finding)}", fg="yellow", err=True)
    click.echo(
        f"{out}: fitted on {fitted.counts['fit']} pictures{run}, "
        f"calibrated on {fitted.calibration.real} real and {fitted.calibration.ai} AI-generated "
        f"ones ({fitted.calibrated_on})"
    )
    click.echo(f"Measure it: veridical evaluate {out} DATA")


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@with_data
@click.option(
    "--recipe",
    type=click.Choice(["default", "reference"]),
    default="default",
    show_default=True,
    help="How training would cut the pictures out.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, at full precision.")
@click.option(
    "--most",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="Pictures to look at, at most; half of each class.",
)
@click.option("--seed", default=0, show_default=True, help="Of everything random.")
@click.option("--jobs", type=click.IntRange(min=1), help="Pictures at a time.  [default: cores]")
def audit(
    data: Path,
    real: str | None,
    ai: str | None,
    split: str | None,
    recipe: str,
    as_json: bool,
    most: int,
    seed: int,
    jobs: int | None,
) -> None:
    """Ask whether the class can be guessed in DATA without looking at a face.

    Three probes try: from the file alone, from the framing alone, from the background alone; on
    the pictures as they came, and on what training would make of them.

    \b
    Example:
        veridical audit faces/
        veridical audit manifest.csv --split train --json > audit.json
    """
    import json

    from veridical.io.dataset import read_samples
    from veridical.train import audit_files
    from veridical.train.audit import audit as ask
    from veridical.train.recipes import RECIPES
    from veridical.vision.faces import CropConfig, FaceFinder

    samples = read_samples(data, real=real, ai=ai, split=split)
    chosen = RECIPES[recipe]
    jobs, threads = share_cores(jobs, many=True)
    found = ask(
        samples,
        finder=FaceFinder(threads),
        crop_config=CropConfig(size_px=224, through_px=chosen.through_px, whole=chosen.whole),
        views=chosen.views,
        engine=engine_of(jobs),
        seed=seed,
        most=most,
        track=track,
    )
    if as_json:
        click.echo(json.dumps(audit_files.record(found), allow_nan=False))
    else:
        click.echo(audit_files.markdown(found), nl=False)


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@with_data
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the results.  [default: MODEL's name + -evaluation]",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=100),
    default=1000,
    show_default=True,
    help="Of the bootstrap.",
)
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
@stability_option
@click.option("--jobs", type=click.IntRange(min=1), help="Pictures at a time.  [default: cores]")
def evaluate(
    model: Path,
    data: Path,
    real: str | None,
    ai: str | None,
    split: str | None,
    out: Path | None,
    resamples: int,
    seed: int,
    stability: bool,
    jobs: int | None,
) -> None:
    """Measure MODEL (a folder, or `default` for our own) on labelled DATA.

    Writes a Markdown page, JSON, a CSV of every answer, and plots.

    \b
    Example:
        veridical evaluate default faces/ --out results
    """
    from veridical.detector import Detector
    from veridical.evaluate.files import write
    from veridical.evaluate.measure import Outcome
    from veridical.evaluate.measure import evaluate as measure
    from veridical.io.dataset import read_samples
    from veridical.scan import scan

    samples = read_samples(data, real=real, ai=ai, split=split, one_class=True)
    jobs, threads = share_cores(jobs, many=True)
    chosen = None if str(model) == "default" else model
    detector = Detector.load(chosen, threads=threads, stability=stability)
    folder = out or Path(f"{model.resolve().name}-evaluation")
    ready(folder)
    answers = scan((sample.path for sample in samples), detector.inspect, engine_of(jobs))
    outcomes = [
        Outcome(sample=sample, answer=answer)
        for sample, answer in zip(
            samples, track(answers, "Judging pictures", len(samples)), strict=True
        )
    ]
    evaluation = measure(outcomes, seed=seed, resamples=resamples)
    write(evaluation, outcomes, folder)
    page = (folder / "evaluation.md").read_text(encoding="utf-8")
    click.echo(page.split("\n## ")[0].strip())
    click.echo(f"\nAll of it: {folder / 'evaluation.md'}")


@main.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--reals",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of real pictures of your own kind.",
)
@click.option(
    "--ai",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of AI-generated ones, if you have any: then the probabilities are fitted anew.",
)
@click.option(
    "--fpr",
    type=float,
    callback=share,
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="Share of real pictures that may be called ai, on average.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="NEW",
    help="Model folder to write.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Pictures at a time.  [default: cores]")
def calibrate(
    model: Path, reals: Path, ai: Path | None, fpr: float, out: Path, jobs: int | None
) -> None:
    """Fit the calibration of MODEL (a folder, or `default`) anew, on pictures of your own.

    Network and head stay. The new model calls at most the share --fpr of real pictures like yours
    `ai`, on average.

    \b
    Example:
        veridical calibrate default --reals press-photos/ --out ours
        veridical inspect portrait.jpg --model ours
    """
    from veridical.detector import Detector, default_model
    from veridical.io.dataset import photos as walk
    from veridical.io.model import read_model
    from veridical.present.terminal import printable
    from veridical.scan import scan
    from veridical.train import recalibrate

    old = default_model() if str(model) == "default" else model
    if ai and _nested(reals, ai):
        raise click.UsageError("--reals and --ai: one of the folders lies in the other.")
    if out.resolve() == old.resolve():
        raise click.UsageError("--out is the model itself; name a folder of its own.")
    jobs, threads = share_cores(jobs, many=True)
    detector = Detector.load(old, threads=threads, stability=False)
    ready(out)

    def look(folder: Path) -> recalibrate.Pictures:
        paths = list(recalibrate.distinct(walk([folder])))
        found = scan(paths, detector.logits, engine_of(jobs))
        pictures = recalibrate.gathered(folder, paths, track(found, "Judging pictures", len(paths)))
        for failure in pictures.failures:
            click.secho(printable(f"left out: {failure.error}"), fg="yellow", err=True)
        for path in pictures.faceless:
            click.secho(printable(f"left out: {path}: no face to judge"), fg="yellow", err=True)
        return pictures

    made = recalibrate.recalibrated(
        detector.calibration, look(reals), look(ai) if ai else None, fpr=fpr
    )
    recalibrate.write(out, read_model(old), made)
    for sentence in recalibrate.describe(made):
        click.echo(printable(sentence))
    click.echo(f"Use it: veridical inspect --model {printable(str(out))} PHOTOS")


def _nested(one: Path, other: Path) -> bool:
    one, other = one.resolve(), other.resolve()
    return one.is_relative_to(other) or other.is_relative_to(one)


@main.command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
def card(model: Path | None) -> None:
    """Print the card of MODEL, or of our own: what it is, was trained on, and promises."""
    import json

    from veridical.detector import default_model
    from veridical.io.model import read_model

    folder = read_model(model or default_model())
    click.echo(
        json.dumps({"identity": folder.identity, **folder.card}, indent=2, ensure_ascii=False)
    )


@main.command()
def schema() -> None:
    """Print the JSON Schema of what `inspect --json` writes."""
    import json

    from veridical.present import records

    click.echo(json.dumps(records.schema(), indent=2))


if __name__ == "__main__":
    main()
