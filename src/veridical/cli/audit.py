"""`veridical audit`: check a training set for short cuts."""

from pathlib import Path

import click

from veridical.cli import options


@click.command(short_help="Test whether the data give the class away.")
@options.data
@options.recipe
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, at full precision.")
@click.option(
    "--sample",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="Pictures to look at, half of each class.",
)
@options.seed
@options.jobs
@options.cache
def audit(
    data: Path,
    real: str | None,
    ai: str | None,
    split: str | None,
    recipe: str,
    as_json: bool,
    sample: int,
    seed: int,
    jobs: int | None,
    cache: Path | None,
) -> None:
    """Test whether the class can be guessed in DATA without looking at a face.

    Three classifiers try: from the file alone, from the framing alone, from the background alone;
    on the pictures as delivered, and on what training would make of them.

    \b
    Example:
        veridical audit faces/
        veridical audit manifest.csv --split train --json > audit.json
    """
    from veridical.cli.stages import stages

    cache = cache or options.cache_folder()
    with stages() as shown:
        shown.kept = f"What is done is kept in {cache}; run the same command again to go on."
        import json

        from veridical.engines import engine_of
        from veridical.errors import VeridicalError
        from veridical.io.dataset import read_samples
        from veridical.io.preflight import refuse
        from veridical.train import audit_files
        from veridical.train.audit import audit as audited
        from veridical.train.audit import lacking
        from veridical.train.recipes import RECIPES
        from veridical.vision.faces import FaceFinder

        try:
            samples = read_samples(data, real=real, ai=ai, split=split, skip=options.passed_over())
        except VeridicalError as error:  # what else is missing is said with it
            refuse([error, *lacking(None, cache=cache)])
            raise
        chosen = RECIPES[recipe]
        jobs, threads = options.share_cores(jobs, many=True)
        found = audited(
            samples,
            finder=FaceFinder(threads),
            configs=chosen.configs(224),
            views=chosen.views,
            engine=engine_of(jobs),
            seed=seed,
            sample=sample,
            track=shown.track,
            say=shown.say,
            cache=cache,
            to_keep=0,
        )
    if as_json:
        click.echo(json.dumps(audit_files.record(found), allow_nan=False))
    else:
        click.echo(audit_files.markdown(found), nl=False)
