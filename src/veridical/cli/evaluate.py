"""`veridical evaluate`: measure a model on labelled pictures."""

from pathlib import Path

import click

from veridical.cli import options


@click.command()
@click.argument("model", type=options.PATH)
@options.data
@click.option(
    "--out",
    type=options.FOLDER,
    help="Folder for the results.  [default: MODEL's name + -evaluation]",
)
@click.option(
    "--resamples",
    type=click.IntRange(min=100),
    default=1000,
    show_default=True,
    help="Bootstrap resamples.",
)
@options.seed
@options.fast
@options.recheck
@options.limits
@options.device
@options.jobs
def evaluate(
    model: Path,
    data: Path,
    real: str | None,
    ai: str | None,
    split: str | None,
    out: Path | None,
    resamples: int,
    seed: int,
    fast: bool,
    recheck: bool,
    max_megapixels: float | None,
    max_mbytes: float | None,
    max_seconds: float | None,
    device: str,
    jobs: int | None,
) -> None:
    """Measure MODEL (a folder, or `default` for the one in the package) on labelled DATA.

    Writes a Markdown page, JSON, a CSV with one row per picture, and plots.

    \b
    Example:
        veridical evaluate default faces/ --out results
    """
    from veridical.detector import Detector
    from veridical.evaluate.files import write
    from veridical.evaluate.measure import Outcome
    from veridical.evaluate.measure import evaluate as measure
    from veridical.io.dataset import read_samples
    from veridical.vision.runtime import providers_of

    samples = read_samples(data, real=real, ai=ai, split=split, one_class=True)
    jobs, threads = options.share_cores(jobs, many=True)
    detector = Detector.load(
        options.model_folder(model),
        threads=threads,
        providers=providers_of(device),
        limits=options.limits_of(max_megapixels, max_mbytes, max_seconds),
        recheck=recheck,
        fast=fast,
    )
    folder = out or Path(f"{model.resolve().name}-evaluation")
    options.ready(folder)
    answers = detector.inspect_many((sample.path for sample in samples), jobs=jobs)
    shown = options.track(answers, "Judging pictures", len(samples))
    outcomes = [
        Outcome(sample=sample, answer=answer) for sample, answer in zip(samples, shown, strict=True)
    ]
    evaluation = measure(outcomes, seed=seed, resamples=resamples)
    write(evaluation, outcomes, folder)
    page = folder / "evaluation.md"
    click.echo(page.read_text(encoding="utf-8").split("\n## ")[0].strip())
    click.echo(f"\nThe whole page: {page}")
