"""`veridical inspect`: judge pictures."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from os.path import isdir
from pathlib import Path
from typing import TYPE_CHECKING

import click

from veridical.cli import options
from veridical.cli.pipes import Pipes, descriptor

if TYPE_CHECKING:
    from veridical.detector import Detector
    from veridical.explain.face import ExplainConfig, Explainer
    from veridical.io.source import File
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
@click.argument("photos", nargs=-1, required=True, type=options.GIVEN)
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
@options.trust_list
@options.list_skipped
@options.device
@options.jobs
@click.option("--verbose", "-v", is_flag=True, help="Print more about each picture.")
def inspect(
    photos: tuple[str, ...],
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
    trust_list: Path | None,
    device: str,
    jobs: int | None,
    verbose: bool,
) -> None:
    """Judge every face in PHOTOS: files, folders of them, or - for standard input.

    Exits with 0 if every picture was judged (undecided included), 3 if some could not be read,
    4 if none could.

    \b
    Example:
        veridical inspect portrait.jpg --explain why/
        veridical inspect portraits/ --json > verdicts.jsonl
    """
    from veridical.detector import Detector
    from veridical.explain.face import ExplainConfig
    from veridical.io.preflight import refuse_pages
    from veridical.report import Failure
    from veridical.vision.runtime import providers_of

    for option, value in (("--occlude", occlude), ("--through", through)):
        if value and not explain:
            raise click.UsageError(f"{option} needs --explain DIR: its maps are drawn there.")
    if methods and not through:
        raise click.UsageError("--method needs --through BACKBONE: it names a map of that network.")
    if explain:
        refuse_pages(explain, len(photos), methods or METHODS[:1] if through else ())
    many = len(photos) > 1 or isdir(photos[0])  # noqa: PTH112 (which never raises)
    jobs, threads = options.share_cores(jobs, many=many)
    detector = Detector.load(
        options.model_folder(model),
        samples=samples,
        threads=threads,
        providers=providers_of(device),
        recheck=recheck,
        prior=prior,
        fast=fast,
        trust_list=trust_list,
    )
    side = detector.parts.configs[0].size_px
    if occlude and occlude[0] > side:
        raise click.UsageError(
            f"--occlude {occlude[0]} {occlude[1]}: the window is wider than the crop, {side} px."
        )
    if explain:
        explainers = _explainers(detector, through, methods or METHODS[:1]) if through else ()
        options.ready(explain)
    counts, judged = Counter[str](), list[str | Failure]()
    show, pipes = _printer(verbose, as_json), Pipes(detector.limits)
    sources = _sources(photos, pipes)
    found = detector.inspect_many(sources, jobs=jobs, whole_image=whole_image, cues=cues)
    for outcome in map(options.at_hand, found):
        with options.naming(options.STDOUT):
            show(outcome)
        counts["failed" if isinstance(outcome, Failure) else outcome.decision.value] += 1
        if explain:
            judged.append(outcome if isinstance(outcome, Failure) else outcome.path or "")
    if not as_json:
        with options.naming(options.STDOUT):
            _summarise(counts, detector, prior)
    lost = 0
    if explain:  # it takes long, so the answers come first
        config = ExplainConfig(occlude=occlude, explainers=explainers)
        lost = _write_pages(
            detector, judged, explain, config, pipes, whole_image=whole_image, jobs=jobs
        )
    if counts["failed"] or lost:
        raise SystemExit(ALL_FAILED if counts["failed"] == counts.total() else SOME_FAILED)


def _sources(photos: Iterable[str], pipes: Pipes) -> "Iterator[str | File | Failure]":
    """Yield what is to be judged; standard input is read when its turn comes."""
    from veridical.io.walk import photos as walk

    skip = options.passed_over()
    for path in photos:
        yield from (walk([path], skip) if descriptor(path) is None else (pipes.take(path),))


def _explainers(
    detector: "Detector", backbone: str, methods: Iterable[str]
) -> "tuple[Explainer, ...]":
    from veridical.train.gradients import Network, Through

    network = Network.of(detector, backbone)
    return tuple(Through(name=name, network=network) for name in methods)


def _write_pages(
    detector: "Detector",
    judged: "Sequence[str | Failure]",
    folder: Path,
    config: "ExplainConfig",
    pipes: Pipes,
    *,
    whole_image: bool,
    jobs: int,
) -> int:
    """Write a page about each picture; return how many pictures have an answer and no page."""
    from veridical.engines import engine_of, outcomes
    from veridical.present import files
    from veridical.report import Failure

    def write(path: str) -> Path | OSError:
        file = pipes.open(path)
        report = detector.inspect(file, whole_image=whole_image, cues=True, explain=config)
        try:
            return files.write(report, file, folder)
        except OSError as error:  # such as a full disk: no fault of the picture, nor of ours
            return error

    lost, unwritten = 0, Counter[str]()
    pages = outcomes(write, judged, engine_of(jobs))
    shown = options.track(pages, "Writing pages", len(judged))
    for before, outcome in zip(judged, map(options.at_hand, shown), strict=True):
        failed = outcome if isinstance(outcome, OSError) else None
        if isinstance(outcome, Failure):
            try:
                files.write_failure(outcome, folder, model=detector.model, limits=detector.limits)
            except OSError as error:
                failed = error
            if outcome is not before:
                lost += 1
                options.warn(f"no explanation: {outcome.path}: {outcome.error}")
        if failed:
            lost += not isinstance(outcome, Failure)
            unwritten[failed.strerror or str(failed)] += 1
    for why, count in unwritten.items():
        options.warn(f"{folder}: {why}: {count} of {len(judged)} pages were not written.")
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
