"""Answers for people, at the terminal: one picture in seven lines, and the summary of many.

Colour helps and is never needed: every meaning is also a word or a sign. Nothing that came from
outside (file names, messages) is read as markup or reaches the terminal with control characters.
"""

from collections.abc import Iterator

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veridical.present import claims, words
from veridical.present.numbers import bar, percent, ratio, share, span
from veridical.present.tally import Tally
from veridical.present.words import NOT_JUDGED, WORD, sentence
from veridical.report import Decision, FaceResult, Failure, Report

STYLE = {
    Decision.REAL: "bold green",
    Decision.AI: "bold red",
    Decision.UNDECIDED: "bold yellow",
}
FAILED = "bold reverse"
_LABEL = 12  # columns: as wide as the longest decision
_CHANGE = " (change with --prior)"
_BAR = 41  # columns: odd, so that there is a middle


def show(
    outcome: Report | Failure, console: Console, *, details: bool = False, alone: bool = True
) -> None:
    """Print what is known about one picture.

    Args:
        outcome: The answer, or why there is none.
        console: Where to.
        alone: Also what P(ai) assumes; of many pictures this is said once, by `assumption`.
        details: Also the numbers for experts, what was done to the picture, which model judged it,
            and the traceback of a bug.
    """
    name = "a picture without a file name" if outcome.path is None else outcome.path
    # A path in one piece can be copied; the terminal wraps it where it must.
    console.print(Text(safe(name, console), style="bold"), soft_wrap=True)
    block = Table.grid(padding=(0, 2))
    block.add_column(min_width=_LABEL, no_wrap=True)
    block.add_column(overflow="fold")
    if isinstance(outcome, Failure):
        _failure(outcome, block, console, details)
    else:
        _report(outcome, block, console, details=details, alone=alone)
    console.print(Padding(block, (0, 0, 0, 2)))
    console.print()


def assumption(console: Console, prior: float) -> None:
    """Print once what the P(ai) of many pictures assume."""
    console.print(Text(f"P(ai) assumes that {words.assumption(prior)}{_CHANGE}."))


def summary(console: Console, tally: Tally) -> None:
    """Print how many pictures got which answer, and why the others got none."""
    total, counts = tally.total, tally.kinds
    table = Table(box=None, padding=(0, 2), show_footer=True, header_style="bold")
    table.add_column("Answer", footer="pictures in all")
    table.add_column("Pictures", footer=f"{total:,}", justify="right")
    table.add_column("Share", justify="right")
    rows = [(WORD[decision], STYLE[decision], counts[decision.value]) for decision in Decision]
    rows.append((NOT_JUDGED, FAILED, tally.failed))
    for word, style, count in rows:
        part = f"{100 * count / total:.1f} %" if total else "-"
        table.add_row(Text(word, style=style if count else "dim"), f"{count:,}", part)
    console.print(table)
    undecided = ((n, f"{reason} ", step) for n, reason, step in tally.undecided())
    failed = ((n, "", safe(hint, console)) for hint, n in tally.hints.most_common())
    declared = ((n, words.declares(one), "") for one, n in tally.declared.most_common())
    for title, lines in (
        (words.DECLARED, declared),
        ("Why undecided, and what to do next", undecided),
        ("Not judged, and what to do next", failed),
    ):
        if counted := list(lines):
            console.print(Text(f"\n{title}", style="bold"))
            grid = Table.grid(padding=(0, 2))
            grid.add_column(justify="right", min_width=5)
            grid.add_column(overflow="fold")
            for count, reason, step in counted:
                grid.add_row(f"{count:,}", Text.assemble(reason, (step, "italic")))
            console.print(grid)
    console.print()


def _report(report: Report, block: Table, console: Console, *, details: bool, alone: bool) -> None:
    style = STYLE[report.decision]
    decision = Text(WORD[report.decision], style=style)
    if report.p_ai is None or report.interval is None:
        block.add_row(decision, "P(ai) could not be estimated")
    else:
        interval = f", {percent(report.level)} credible interval {span(report.interval)}"
        if report.lead_index is not None and len(report.faces) > 1:
            interval += f" (of face {report.lead_index + 1})"
        block.add_row(decision, Text.assemble("P(ai) ", (share(report.p_ai), "bold"), interval))
        line = bar(report.p_ai, report.interval, _BAR, ascii_only=console.options.ascii_only)
        block.add_row("", Text.assemble("real ", (line, style), " ai"))
    if report.headline:
        block.add_row("Origin", Text(safe(report.headline, console)))
    promise = report.promise(report.decision)
    block.add_row("Why", words.why(report.decision, report.reasons, promise))
    block.add_row("What to do", words.what_to_do(report))
    if report.damage:
        told = sentence(words.of_damage(report.damage, report.height))
        block.add_row("Damage", told)
    if frames := words.of_frames(report):
        block.add_row("Frames", sentence(frames))
    if report.p_ai is not None and alone:
        change = "" if report.at_prior else _CHANGE
        block.add_row("Assumption", f"{words.assumption(report.prior)}{change}")
    if report.at_prior:
        at = report.at_prior
        says = f"{words.at_share(at)}; likelihood ratio {ratio(at.evidence)}"
        block.add_row(f"At {percent(at.prior)}", says)
    if len(report.faces) > 1:
        block.add_row("Faces", _faces(report.faces))
    for label, text in words.of_cues(report, technical=details):
        block.add_row(label, Text(safe(text, console)))
    for label, text in claims.lines(report.claims, technical=details):
        block.add_row(label, Text(safe(text, console)))
    if details:
        for label, text in _details(report):
            block.add_row(label, Text(safe(text, console), style="dim"))


def _failure(failure: Failure, block: Table, console: Console, details: bool) -> None:
    error = failure.error.removeprefix(f"{failure.path}: ")  # it stands right above
    error = f"{error[:1].upper()}{error[1:]}"
    block.add_row(Text(NOT_JUDGED, style=FAILED), Text(safe(error, console)))
    block.add_row("What to do", Text(safe(failure.hint, console)))
    if failure.bug is not None:
        lines = failure.bug.splitlines() if details else ["This is a fault of veridical."]
        text = "\n".join(safe(line, console) for line in lines)
        block.add_row("Bug", Text(text, style="dim"))


def _faces(faces: tuple[FaceResult, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for number, face in enumerate(faces, start=1):
        verdict, box = face.verdict, face.box
        table.add_row(
            str(number),
            Text(WORD[face.decision] if verdict else "not judged", style=STYLE[face.decision]),
            share(verdict.p_ai) if verdict else "-",
            span(verdict.interval) if verdict else "-",
            Text(f"{box.size_px:.0f} px at {box.left:.0f}, {box.top:.0f}", style="dim"),
        )
    return table


def _details(report: Report) -> Iterator[tuple[str, str]]:
    if report.at_prior:
        yield "Evidence", sentence(words.weight(report.at_prior))
    for number, face in enumerate(report.faces, start=1):
        many = len(report.faces) > 1
        box = face.box
        place = f"{box.width:.0f} x {box.height:.0f} px at {box.left:.0f}, {box.top:.0f}"
        turned = f", {words.of_turn(face)}" if face.turn else ""
        yield (
            f"Face {number}" if many else "Face",
            f"{place}, confidence {face.confidence:.2f}{turned}",
        )
        yield "Reasons", " ".join(map(sentence, words.because(face.reasons, report)))
        if face.verdict:
            yield "Uncertainty", sentence(words.in_words(face.verdict, face.reasons))
            yield "Distance", sentence(words.distance(face.verdict))
            if len(face.crops) > 1:
                yield "Crops", sentence(words.of_crops(face))
            if face.verdict.stability:
                yield "Copies", sentence(words.of_copies(face.verdict.stability, face.reasons))
    yield "Processing", "; ".join(report.steps) or "none"
    yield "Picture", f"{report.width} x {report.height} px"
    yield "SHA-256", report.sha256
    yield "Model", f"{report.model}, veridical {report.version}"


def safe(text: str, console: Console) -> str:
    """Return text that the console can print, and that cannot drive it."""
    return (
        words.printable(text).encode(console.encoding, "backslashreplace").decode(console.encoding)
    )
