"""`veridical inspect`: judge pictures."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from veridical.cli import options

if TYPE_CHECKING:
    from veridical.detector import Detector
    from veridical.explain.face import ExplainConfig, Explainer
    from veridical.report import Failure, Report

SOME_FAILED, ALL_FAILED = 3, 4

METHODS = (
    "integrated-gradients",
    "attention-rollout",
    "grad-cam",
    "layer-gradients",
    "input-gradient",
)
"""Those of `train/gradients.py`, which is not imported to print a help text."""


@click.command()
@click.argument("photos", nargs=-1, required=True, type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture and line.")
@click.option(
    "--explain",
    type=options.FOLDER,
    metavar="DIR",
    help="Write into DIR, for each picture, a page (HTML), the report (JSON) and a figure of each "
    "face.",
)
@click.option(
    "--occlude",
    nargs=2,
    type=click.IntRange(min=1),
    metavar="WINDOW STRIDE",
    help="With --explain: also cover the face window by window and measure how P(ai) falls. In "
    "pixels of the crop, e.g. 32 16. Slow.",
)
@click.option(
    "--through",
    metavar="BACKBONE",
    help="With --explain: also make maps through the whole network. BACKBONE is its hub name or "
    "folder. Slow; needs the extra `train`.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    type=click.Choice(METHODS),
    help="With --through: which map to make. Repeat it for several.  "
    "[default: integrated-gradients]",
)
@click.option(
    "--model",
    type=options.PATH,
    default="default",
    help="Model folder.  [default: the model in the package]",
)
@click.option(
    "--whole-image", is_flag=True, help="Judge the whole frame instead of the faces in it."
)
@click.option("--samples", type=click.IntRange(min=2), help="Posterior samples.  [default: 200]")
@click.option(
    "--prior",
    type=float,
    callback=options.share,
    metavar="SHARE",
    help="Share of AI-generated pictures where yours come from, e.g. 0.01. Adds P(ai) at that "
    "share, and how many verdicts would be right. Decisions do not change.",
)
@options.fast
@options.recheck
@click.option(
    "--cues",
    is_flag=True,
    help="Also print forensic cues for each judged face. They change no verdict.",
)
@options.limits
@options.device
@options.jobs
@click.option("--verbose", "-v", is_flag=True, help="Print more about each picture.")
def inspect(
    photos: tuple[Path, ...],
    as_json: bool,
    explain: Path | None,
    occlude: tuple[int, int] | None,
    through: str | None,
    methods: tuple[str, ...],
    model: Path,
    whole_image: bool,
    samples: int | None,
    prior: float | None,
    fast: bool,
    recheck: bool,
    cues: bool,
    max_megapixels: float | None,
    max_mbytes: float | None,
    max_seconds: float | None,
    device: str,
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
    from veridical.detector import Detector
    from veridical.explain.face import ExplainConfig
    from veridical.io.walk import photos as walk
    from veridical.report import Failure
    from veridical.vision.runtime import providers_of

    for option, value in (("--occlude", occlude), ("--through", through)):
        if value and not explain:
            raise click.UsageError(f"{option} needs --explain DIR: its maps are drawn there.")
    if methods and not through:
        raise click.UsageError("--method needs --through BACKBONE: it names a map of that network.")
    jobs, threads = options.share_cores(jobs, many=len(photos) > 1 or options.is_folder(photos[0]))
    detector = Detector.load(
        options.model_folder(model),
        samples=samples,
        threads=threads,
        providers=providers_of(device),
        limits=options.limits_of(max_megapixels, max_mbytes, max_seconds),
        recheck=recheck,
        prior=prior,
        fast=fast,
    )
    side = detector.parts.configs[0].size_px
    if occlude and occlude[0] > side:
        raise click.UsageError(
            f"--occlude {occlude[0]} {occlude[1]}: the window is wider than the crop, {side} px."
        )
    if explain:
        explainers = _explainers(detector, through, methods or METHODS[:1]) if through else ()
        options.ready(explain)
    counts, judged = Counter[str](), list[Path | Failure]()
    show = _printer(verbose, as_json)
    found = detector.inspect_many(walk(photos), jobs=jobs, whole_image=whole_image, cues=cues)
    for outcome in map(_for_here, found):
        show(outcome)
        counts["failed" if isinstance(outcome, Failure) else outcome.decision.value] += 1
        if explain:
            judged.append(outcome if isinstance(outcome, Failure) else Path(outcome.path or ""))
    if not as_json:
        _summarise(counts, detector, prior)
    lost = 0
    if explain:  # it takes long, so the answers come first
        config = ExplainConfig(occlude=occlude, explainers=explainers)
        lost = _write_pages(detector, judged, explain, config, whole_image=whole_image, jobs=jobs)
    if counts["failed"] or lost:
        raise SystemExit(ALL_FAILED if counts["failed"] == counts.total() else SOME_FAILED)


def _for_here(outcome: "Report | Failure") -> "Report | Failure":
    """Give a failure the hint for the command line, where there is one."""
    hint = getattr(outcome, "cli_hint", None)
    return replace(outcome, hint=hint) if hint else outcome


def _explainers(
    detector: "Detector", backbone: str, methods: Iterable[str]
) -> "tuple[Explainer, ...]":
    from veridical.train.gradients import Network, Through

    network = Network.of(detector, backbone)
    return tuple(Through(name=name, network=network) for name in methods)


def _write_pages(
    detector: "Detector",
    judged: "Sequence[Path | Failure]",
    folder: Path,
    config: "ExplainConfig",
    *,
    whole_image: bool,
    jobs: int,
) -> int:
    """Write a page about each picture; return how many pictures have an answer and no page."""
    from veridical.engines import engine_of, outcomes
    from veridical.io.source import open_source
    from veridical.present import files
    from veridical.report import Failure

    def write(path: Path) -> Path:
        file = open_source(path, detector.limits)
        report = detector.inspect(file, whole_image=whole_image, cues=True, explain=config)
        return files.write(report, file, folder)

    lost = 0
    pages = outcomes(write, judged, engine_of(jobs))
    shown = options.track(pages, "Writing pages", len(judged))
    for before, outcome in zip(judged, shown, strict=True):
        if isinstance(outcome, Failure):
            files.write_failure(outcome, folder, model=detector.model, limits=detector.limits)
            if outcome is not before:
                lost += 1
                options.warn(f"no explanation: {outcome.path}: {outcome.error}")
    return lost


def _printer(verbose: bool, as_json: bool) -> "Callable[[Report | Failure], None]":
    if as_json:
        return lambda outcome: click.echo(outcome.to_json())
    from rich.console import Console

    from veridical.present import terminal

    console = Console()
    return lambda outcome: terminal.show(outcome, console, details=verbose)


def _summarise(counts: Counter[str], detector: "Detector", prior: float | None) -> None:
    from rich.console import Console

    from veridical.infer.priors import predictive_values
    from veridical.present import terminal, words

    console = Console()
    if counts.total() > 1:
        terminal.summary(console, counts)
    if prior is not None:
        values = predictive_values(detector.card, prior)
        console.print(words.in_numbers(prior, values), highlight=False, markup=False)
