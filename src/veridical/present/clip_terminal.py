"""The answer about a clip at the terminal: the clip first, then a line for each person."""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veridical.present import claims, clip_words, words
from veridical.present.numbers import bar, percent, ratio, share, span
from veridical.present.terminal import STYLE, safe
from veridical.present.words import WORD, sentence
from veridical.video import Track, VideoReport

_LABEL = 12  # columns, as in `terminal`
_BAR = 41
_LINE = 18  # columns of a person's line over the clip


def show_clip(
    report: VideoReport, console: Console, *, details: bool = False, alone: bool = True
) -> None:
    """Print what is known about one clip.

    Args:
        report: The answer.
        console: Where to.
        details: Also the numbers for experts.
        alone: Also what P(ai) assumes; of many this is said once.
    """
    name = "a clip without a file name" if report.path is None else report.path
    console.print(Text(safe(name, console), style="bold"), soft_wrap=True)
    block = Table.grid(padding=(0, 2))
    block.add_column(min_width=_LABEL, no_wrap=True)
    block.add_column(overflow="fold")
    for label, cell in _rows(report, console, details=details, alone=alone):
        block.add_row(label, cell if isinstance(cell, Text | Table) else safe(cell, console))
    console.print(Padding(block, (0, 0, 0, 2)))
    console.print()


def _rows(
    report: VideoReport, console: Console, *, details: bool, alone: bool
) -> Iterator[tuple[Text | str, Text | Table | str]]:
    style, plain = STYLE[report.decision], console.options.ascii_only
    decision = Text(WORD[report.decision], style=style)
    if report.p_ai is None or report.interval is None:
        yield decision, "P(ai) could not be estimated"
    else:
        interval = f", {percent(report.level)} credible interval {span(report.interval)}"
        yield decision, Text.assemble("P(ai) ", (share(report.p_ai), "bold"), interval)
        line = bar(report.p_ai, report.interval, _BAR, ascii_only=plain)
        yield "", Text.assemble("real ", (line, style), " ai")
    if told := claims.lead(report):
        yield "Origin", Text(safe(told, console))
    yield "Why", clip_words.why(report)
    yield "What to do", clip_words.next_step(report)
    if report.p_ai is not None and alone:
        change = "" if report.at_prior else " (change with --prior)"
        yield "Assumption", f"{words.assumption(report.prior)}{change}"
    if report.at_prior:
        at = report.at_prior
        says = f"{words.at_share(at)}; likelihood ratio {ratio(at.evidence)}"
        yield f"At {percent(at.prior)}", says
    if judged := clip_words.people(report.tracks):
        yield "People", _people(judged, report, plain)
    yield "Clip", sentence(clip_words.footage(report))
    if missing := "; ".join(clip_words.not_looked_at(report)):
        yield "Not judged", Text(safe(sentence(missing), console))
    for label, text in claims.lines(report.claims, technical=details):
        yield label, Text(safe(text, console))
    if details:
        for number, track in enumerate(judged, start=1):
            yield (
                f"Person {number}",
                Text(
                    sentence(f"P(ai) {clip_words.chances(track)}; {clip_words.of_track(track)}"),
                    style="dim",
                ),
            )
            if track.verdict:
                told = sentence(words.in_words(track.verdict, track.reasons))
                yield "Uncertainty", Text(told, style="dim")
        yield "Processing", Text(safe("; ".join(report.steps) or "none", console), style="dim")
        yield "SHA-256", Text(report.sha256, style="dim")
        yield "Model", Text(f"{report.model}, veridical {report.version}", style="dim")


def _people(tracks: list[Track], report: VideoReport, plain: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    for number, track in enumerate(tracks, start=1):
        line = clip_words.sparkline(track, report.footage.duration_s, _LINE, ascii_only=plain)
        table.add_row(
            str(number),
            Text(WORD[track.decision], style=STYLE[track.decision]),
            share(track.verdict.p_ai if track.verdict else 0.5),
            Text(line, style=STYLE[track.decision]),
            clip_words.during(track.start_s, track.end_s),
        )
    return table
