"""`veridical evaluate`: measure a model on labelled pictures."""

from pathlib import Path

import click

from veridical.cli import options


@click.command(short_help="Measure a model on labelled pictures.")
@click.argument("model", type=options.PATH)
@options.data
@click.option(
    "--out",
    type=options.PATH,
    metavar="DIRECTORY",
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
    from veridical.cli.stages import stages

    folder = out or Path(f"{model.resolve().name}-evaluation")
    with stages() as shown:
        shown.kept = (
            f"The verdicts so far are kept in {folder}; run the same command again to go on."
        )
        from veridical.detector import Detector
        from veridical.errors import VeridicalError
        from veridical.evaluate.run import evaluate_model, lacking
        from veridical.io.dataset import read_samples
        from veridical.io.preflight import attempt, refuse
        from veridical.vision.runtime import providers_of

        jobs, threads = options.share_cores(jobs, many=True)
        missing: list[VeridicalError] = []
        samples = attempt(
            missing,
            lambda: read_samples(
                data, real=real, ai=ai, split=split, one_class=True, skip=options.passed_over()
            ),
        )
        detector = attempt(
            missing,
            lambda: Detector.load(
                options.model_folder(model),
                threads=threads,
                providers=providers_of(device),
                limits=options.limits_of(max_megapixels, max_mbytes, max_seconds),
                recheck=recheck,
                fast=fast,
            ),
        )
        if samples is None or detector is None:  # what else is missing is said with it
            return refuse([*missing, *lacking(samples, folder, track=shown.track)])
        evaluate_model(
            detector,
            samples,
            folder,
            jobs=jobs,
            seed=seed,
            resamples=resamples,
            track=shown.track,
            say=shown.say,
        )
    page = folder / "evaluation.md"
    click.echo(page.read_text(encoding="utf-8").split("\n## ")[0].strip())
    click.echo(f"\nThe whole page: {page}")
    return None
