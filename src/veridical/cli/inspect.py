"""`veridical inspect`: judge pictures."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import chain, islice
from os.path import isdir
from pathlib import Path
from typing import TYPE_CHECKING

import click

from veridical.cli import options
from veridical.cli.outputs import Desk, opened_folder, opened_table
from veridical.cli.pipes import Pipes, descriptor
from veridical.cli.stages import Stages, on_stop

if TYPE_CHECKING:
    from veridical.detector import Detector
    from veridical.explain.face import Explainer
    from veridical.io.source import File
    from veridical.present.files import Extra
    from veridical.present.tally import Tally
    from veridical.report import Failure
    from veridical.video import Answer

SOME_FAILED, ALL_FAILED = 3, 4
FEW = 5  # pictures that are answered in a block of lines each; more get one line each
_LISTED = 10_000  # pictures that are listed before the work, to know how many there are

METHODS = (
    "integrated-gradients",
    "attention-rollout",
    "grad-cam",
    "layer-gradients",
    "input-gradient",
)
"""Those of `train/gradients.py`, which is not imported to print a help text."""

SECONDS = click.FloatRange(min=0, min_open=True)
TIME = click.FloatRange(min=0)
INDEX = "index.html"
EXTRAS = ("json", "figure")
"""Those of `present/files.py`, likewise."""


@click.command(short_help="Judge the faces in pictures and clips.")
@click.argument("photos", nargs=-1, required=True, type=options.GIVEN)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per picture and line.")
@click.option(
    "--csv",
    "table",
    type=options.FILE,
    metavar="FILE",
    help="Also write a table, one row per picture; `-` prints it instead.",
)
@click.option(
    "--details",
    is_flag=True,
    help=f"Print all about each picture, also of more than {FEW}.",
)
@click.option(
    "--explain",
    type=options.FOLDER,
    metavar="DIR",
    help="Write into DIR a page that shows why for each picture, and an index.",
)
@click.option(
    "--write",
    "extras",
    multiple=True,
    type=click.Choice(EXTRAS),
    help="With --explain: also write each report, or a figure of each face. Repeat it for both.",
)
@click.option(
    "--thorough",
    is_flag=True,
    help="With --explain: better maps, of every face, more strictly tested. Slow.",
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
    "--every", type=SECONDS, metavar="SECONDS", help="Of a clip: look at a frame every so often."
)
@click.option("--from", "start", type=TIME, metavar="SECONDS", help="Of a clip: begin there.")
@click.option("--to", "end", type=TIME, metavar="SECONDS", help="Of a clip: end there.")
@click.option(
    "--frames", is_flag=True, help="Judge animated GIF, WebP and PNG as clips, not one frame."
)
@options.model
@options.whole_image
@click.option("--samples", type=click.IntRange(min=2), help="Posterior samples.  [default: 200]")
@click.option(
    "--prior",
    type=options.SHARE,
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
@options.limits
@options.device
@options.jobs
@click.option("--verbose", "-v", is_flag=True, help="Print more about each picture.")
def inspect(
    photos: tuple[str, ...],
    as_json: bool,
    table: Path | None,
    details: bool,
    explain: Path | None,
    extras: "tuple[Extra, ...]",
    thorough: bool,
    occlude: tuple[int, int] | None,
    through: str | None,
    methods: tuple[str, ...],
    every: float | None,
    start: float | None,
    end: float | None,
    frames: bool,
    model: Path,
    whole_image: bool,
    samples: int | None,
    prior: float | None,
    fast: bool,
    recheck: bool,
    cues: bool,
    trust_list: Path | None,
    max_megapixels: float | None,
    max_mbytes: float | None,
    max_seconds: float | None,
    device: str,
    jobs: int | None,
    verbose: bool,
) -> None:
    """Judge every face in PHOTOS: pictures, clips, folders of them, or - for standard input.

    Exits with 0 if every picture was judged (undecided included), 3 if some could not be read,
    4 if none could; 2 if the command itself is wrong.

    \b
    Example:
        veridical inspect portrait.jpg --explain why/
        veridical inspect portraits/ --json > verdicts.jsonl
    """
    for option, value in (
        ("--occlude", occlude),
        ("--through", through),
        ("--write", extras),
        ("--thorough", thorough),
    ):
        if value and not explain:
            raise click.UsageError(f"{option} needs --explain DIR: that is where it shows.")
    if through == "":
        raise click.UsageError("--through: an empty name came; is a variable of the shell empty?")
    if methods and not through:
        raise click.UsageError("--method needs --through BACKBONE: it names a map of that network.")
    if start is not None and end is not None and not start < end:
        raise click.UsageError(f"--from {start:g} --to {end:g}: the end has to be the later one.")
    printed = str(table) == "-"
    if printed and as_json:
        raise click.UsageError("--csv - and --json both print; name a file for the table.")
    with ExitStack() as stack:
        progress = stack.enter_context(Stages(quiet=True))
        progress.say("Loading the model")
        from veridical.detector import Detector
        from veridical.explain.face import ExplainConfig
        from veridical.io.clip import MOST_ASKED, MOST_TIMES, Sampling
        from veridical.io.preflight import refuse_pages
        from veridical.present.tally import Tally
        from veridical.vision.runtime import providers_of

        if explain:
            refuse_pages(explain, len(photos), methods or METHODS[:1] if through else ())
        most = MOST_TIMES if every is None else MOST_ASKED
        sampling = Sampling(every=every, start=start, end=end, most=most, animations=frames)
        clip_jobs = jobs
        many = len(photos) > 1 or isdir(photos[0])  # noqa: PTH112 (which never raises)
        jobs, threads = options.share_cores(jobs, many=many)
        detector = Detector.load(
            options.model_folder(model),
            samples=samples,
            threads=threads,
            providers=providers_of(device),
            limits=options.limits_of(max_megapixels, max_mbytes, max_seconds),
            recheck=recheck,
            prior=prior,
            fast=fast,
            trust_list=trust_list,
        )
        side = detector.parts.configs[0].size_px
        if occlude and occlude[0] > side:
            raise click.UsageError(
                f"--occlude {occlude[0]} {occlude[1]}: the window is wider than the crop, "
                f"{side} px."
            )
        explainers = _explainers(detector, through, methods or METHODS[:1]) if through else ()
        # What cannot be written is said before the work.
        rows = stack.enter_context(opened_table(table)) if table else None
        folder = opened_folder(explain, detector) if explain else None
        progress.say("Looking for pictures")
        pipes = Pipes(detector.limits)
        sources, total = _counted(_sources(photos, pipes))
        progress.say("Judging pictures", total, counted=True)
        wide = details or verbose or (total is not None and total <= FEW)
        with progress.aside():
            show = _printer(
                detector,
                as_json=as_json,
                silent=printed,
                wide=wide,
                verbose=verbose,
                alone=total == 1,
            )
        if folder:
            config = ExplainConfig(
                thorough=thorough, lead_only=not thorough, occlude=occlude, explainers=explainers
            )
            desk = Desk(
                detector, folder, config, extras, sampling, whole_image=whole_image, cues=cues
            )
            stack.callback(desk.close)
            found = desk.answers(sources, jobs)
        else:
            found = detector.inspect_all(
                sources,
                sampling,
                jobs=jobs,
                clip_jobs=clip_jobs,
                whole_image=whole_image,
                cues=cues,
            )
        tally, unwritten = Tally(), ""
        on_stop(lambda: _stopped(tally.total, total, table, explain))
        for outcome in map(options.at_hand, found):
            tally.add(outcome)
            with progress.aside(), options.naming(options.STDOUT):
                show(outcome)
            try:
                if rows:
                    rows.add(outcome)
            except OSError as error:  # such as a full disk: it costs the table, and no answer
                rows, unwritten = None, error.strerror or str(error)
            progress.advance()
    lost = desk.lost if folder else 0
    if not as_json and not printed:
        with options.naming(options.STDOUT):
            _summarise(tally, detector, wide=wide)
            if explain:
                click.echo(f"Open {explain / INDEX}")
    if unwritten:
        options.warn(f"{table}: {unwritten}. The rows of some pictures are missing.")
    if tally.failed or lost or unwritten:
        raise SystemExit(ALL_FAILED if tally.failed == tally.total else SOME_FAILED)


def _stopped(done: int, total: int | None, table: Path | None, folder: Path | None) -> str:
    """Say what is there after Ctrl-C."""
    count = f"{done:,} of {total:,}" if total else f"{done:,}"
    if not done:
        return "Stopped: no picture was judged yet."
    kept = [f"their rows are in {table}"] if table and str(table) != "-" else []
    kept += [f"their pages are in {folder}"] if folder else []
    return f"Stopped: {count} pictures are judged{''.join(f'; {one}' for one in kept)}."


def _explainers(
    detector: "Detector", backbone: str, methods: Iterable[str]
) -> "tuple[Explainer, ...]":
    from veridical.train.gradients import Network, Through

    network = Network.of(detector, backbone)
    return tuple(Through(name=name, network=network) for name in methods)


def _sources(photos: Iterable[str], pipes: Pipes) -> "Iterator[str | File | Failure]":
    """Yield what is to be judged; standard input is read when its turn comes."""
    from veridical.io.walk import photos as walk

    skip = options.passed_over()
    for path in photos:
        if descriptor(path) is None:
            yield from walk([path], skip, clips=True)
        else:
            yield pipes.take(path)


def _counted(
    sources: "Iterable[str | File | Failure]",
) -> "tuple[Iterator[str | File | Failure], int | None]":
    """Return the same pictures, and how many they are unless they are very many."""
    waiting = iter(sources)
    listed = list(islice(waiting, _LISTED))
    return chain(listed, waiting), len(listed) if len(listed) < _LISTED else None


def _printer(
    detector: "Detector", *, as_json: bool, silent: bool, wide: bool, verbose: bool, alone: bool
) -> "Callable[[Answer | Failure], None]":
    if silent:
        return lambda outcome: None
    if as_json:
        return lambda outcome: click.echo(outcome.to_json())
    from rich.console import Console

    from veridical.present import clip_terminal, lines, terminal
    from veridical.video import VideoReport

    console = Console()
    if wide:

        def show(one: "Answer | Failure") -> None:
            if isinstance(one, VideoReport):
                clip_terminal.show_clip(one, console, details=verbose, alone=alone)
            else:
                terminal.show(one, console, details=verbose, alone=alone)

        return show
    lines.header(console, detector.level)
    return lambda outcome: lines.line(outcome, console)


def _summarise(tally: "Tally", detector: "Detector", *, wide: bool) -> None:
    """Print what is said once for all pictures."""
    from rich.console import Console

    from veridical.infer.priors import assumed, predictive_values
    from veridical.present import terminal, words

    console = Console()
    if tally.total > 1:
        if not wide:
            console.print()
        terminal.summary(console, tally)
    if detector.prior is not None:
        values = predictive_values(detector.card, detector.prior)
        console.print(words.in_numbers(detector.prior, values), highlight=False, markup=False)
    if tally.total > 1:
        terminal.assumption(console, assumed(detector.card))
