"""`veridical scan`: judge any number of pictures and clips into tables."""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from veridical.cli import options
from veridical.cli.inspect import ALL_FAILED, SOME_FAILED
from veridical.cli.stages import EVERY_S, Stages, on_stop

if TYPE_CHECKING:
    from veridical.io.walk import Skipped
    from veridical.scan.run import EngineName, Scanned
    from veridical.scan.sinks import FormatName


@click.command(short_help="Judge any number of files into tables.")
@click.argument("sources", nargs=-1, required=True, type=options.GIVEN)
@click.option("--out", type=options.FOLDER, required=True, help="Folder of the results.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["parquet", "csv", "jsonl"]),
    default="parquet",
    show_default=True,
    help="Of the tables. Parquet needs the extra `scan`.",
)
@click.option(
    "--engine",
    type=click.Choice(["threads", "processes", "ray"]),
    default="threads",
    show_default=True,
    help="Where pictures are judged. A process that dies costs one picture.",
)
@click.option("--address", metavar="HOST", help="With --engine ray: of the cluster, or `auto`.")
@click.option("--new", is_flag=True, help="Begin a sub-folder for another model or options.")
@click.option("--retry", is_flag=True, help="Try again what could not be judged before.")
@click.option("-0", "nul", is_flag=True, help="Names at standard input end with NUL.")
@click.option("--clips/--no-clips", default=True, show_default=True, help="Judge videos too.")
@click.option("--why", "--list-skipped", "listed", is_flag=True, help="Name what is passed over.")
@options.model
@options.whole_image
@options.fast
@options.recheck
@options.trust_list
@options.limits
@options.device
@options.jobs
@click.option("--quiet", is_flag=True, help="Show no progress.")
@click.option("--log-json", is_flag=True, help="Show progress as JSON lines.")
@click.option("--metrics", type=options.FILE, metavar="FILE", help="Keep a Prometheus text file.")
def scan(
    sources: tuple[str, ...],
    out: Path,
    format_: "FormatName",
    engine: "EngineName",
    address: str | None,
    new: bool,
    retry: bool,
    nul: bool,
    clips: bool,
    listed: bool,
    model: Path,
    whole_image: bool,
    fast: bool,
    recheck: bool,
    trust_list: Path | None,
    max_megapixels: float | None,
    max_mbytes: float | None,
    max_seconds: float | None,
    device: str,
    jobs: int | None,
    quiet: bool,
    log_json: bool,
    metrics: Path | None,
) -> None:
    """Judge pictures and clips into tables: from one to millions, and go on after a kill.

    SOURCES are files, folders, globs, tables (CSV, Parquet) with a column `path`, addresses, or -
    for a list of files. Statuses are those of `inspect`.

    \b
    Example:
        veridical scan photos/ --out results/
        find . -name '*.jpg' -print0 | veridical scan -0 - --out results/
    """
    if address and engine != "ray":
        raise click.UsageError("--address needs --engine ray.")
    counts = Counter[str]()

    def skip(one: "Skipped") -> None:
        counts[one.why] += 1
        if listed:
            options.warn(f"passed over: {one.path}: {one.detail}")

    with ExitStack() as stack:
        shown = stack.enter_context(_Told(quiet=quiet, log_json=log_json, metrics=metrics))
        shown.stages.say("Loading the model")
        from veridical.detector import Detector
        from veridical.present import scan_words
        from veridical.scan import run
        from veridical.scan.judge import DetectorMaker
        from veridical.scan.plan import plan
        from veridical.vision.runtime import providers_of

        jobs, threads = options.share_cores(jobs, many=True)
        detector = Detector.load(
            options.model_folder(model),
            threads=threads,
            providers=providers_of(device),
            limits=options.limits_of(max_megapixels, max_mbytes, max_seconds),
            recheck=recheck,
            fast=fast,
            trust_list=trust_list,
        )
        click.get_current_context().meta[options.OUT] = str(out)
        on_stop(lambda: scan_words.stopped(shown.done.judged))
        stack.enter_context(_term_is_interrupt())
        if "-" not in sources:
            shown.count(plan(sources, clips=clips))
        done = run.run(
            plan(sources, skip, clips=clips, nul=nul),
            out,
            DetectorMaker(detector, whole_image),
            run.identity_of(detector, whole_image=whole_image, format_=format_),
            run.engine_of(engine, jobs, address),
            new=new,
            retry=retry,
            limits=detector.limits,
            hear=shown.hear,
        )
        shown.hear(done, last=True)
    if counts:
        from veridical.present.words import passed_over

        options.warn(passed_over(counts, listed=listed))
    with options.naming(options.STDOUT):
        known = done.met["known"] + done.met["failed"]
        click.echo(scan_words.ending(done.decisions, known, done.gone, done.rows, done.folder))
    if done.failed:
        raise SystemExit(ALL_FAILED if done.failed == done.done else SOME_FAILED)


class _Told:
    """Progress with counts, as a line or as JSON, and a file of metrics."""

    def __init__(self, *, quiet: bool, log_json: bool, metrics: Path | None) -> None:
        from veridical.scan.run import Scanned

        self.done, self.stages = Scanned(Path()), Stages(quiet=True)
        self._line = not (quiet or log_json)
        self._json, self._metrics = log_json and not quiet, metrics
        self._first = self._spoke = self._kept = time.monotonic()
        self._of: int | None = None
        self._left = threading.Event()

    def __enter__(self) -> "_Told":
        if self._line:
            self.stages.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        if self._line:
            self.stages.__exit__(kind, error, trace)

    def count(self, items: Iterator[Any]) -> None:
        """Count all there is, beside the work, to know how much is left."""

        def run() -> None:
            total = 0
            with suppress(Exception):  # the scan itself will say what is wrong
                for _ in items:
                    total += 1
                    if self._left.is_set():
                        return
                self._of = total

        threading.Thread(target=run, daemon=True).start()

    def hear(self, done: "Scanned", *, last: bool = False) -> None:
        """Take note of how far the scan is."""
        from veridical.present import scan_words

        self.done, now = done, time.monotonic()
        rate = done.judged / max(1e-9, now - self._first)
        if self._metrics and (last or now - self._kept > EVERY_S):
            self._kept = now
            _write_metrics(self._metrics, done, rate, self._of)
        if self._json and (last or now - self._spoke > EVERY_S):
            self._spoke = now
            line = {"done": done.done, "of": self._of, "per_s": round(rate, 3)}
            kinds = {kind: done.decisions[kind] for kind in scan_words.KINDS}
            with suppress(OSError):  # nobody reads it
                click.echo(json.dumps({**line, **kinds, "rows": done.rows}), err=True)
        if self._line:
            self.stages.reach(scan_words.judging(rate, done.decisions), done.done, self._of)


def _write_metrics(path: Path, done: "Scanned", rate: float, total: int | None) -> None:
    """Replace a text file for Prometheus, so that a reader never sees half of it."""
    from veridical.present.scan_words import KINDS

    lines = ["# TYPE veridical_scan_pictures_total counter"]
    lines += [
        f'veridical_scan_pictures_total{{decision="{kind}"}} {done.decisions[kind]}'
        for kind in KINDS
    ]
    gauges = {
        "done": done.done,
        "rows": done.rows,
        "per_second": rate,
        "planned": total,
        "time_seconds": time.time(),
    }
    for name, value in gauges.items():
        if value is not None:
            lines += [f"# TYPE veridical_scan_{name} gauge", f"veridical_scan_{name} {value}"]
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with options.naming(str(path)):
        aside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        aside.replace(path)


@contextmanager
def _term_is_interrupt() -> Iterator[None]:
    """End like after Ctrl-C when a job is told to end: what was judged is written."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if sys.platform == "win32" or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
