"""Answers for people, at the terminal.

Colour helps and is never needed: every meaning is also a word or a sign. Nothing that came from
outside (file names, messages) is read as markup or reaches the terminal with control characters.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from veridical.infer.priors import AtPrior, PredictiveValues
from veridical.present.records import Answers
from veridical.report import (
    Decision,
    FaceResult,
    Failure,
    Reading,
    Reason,
    Report,
    Stability,
    Verdict,
)

WORD = {Decision.REAL: "REAL", Decision.AI: "AI-GENERATED", Decision.UNDECIDED: "UNDECIDED"}

_STYLE = {
    Decision.REAL: "bold green",
    Decision.AI: "bold red",
    Decision.UNDECIDED: "bold yellow",
}
_LABEL = 12  # columns: as wide as the longest decision
_BAR = 41  # columns: odd, so that there is a middle


def show(
    outcome: Report | Failure,
    console: Console,
    *,
    at: AtPrior | None = None,
    cues: Answers | None = None,
    verbose: bool = False,
) -> None:
    """Print what is known about one picture.

    Args:
        outcome: The answer, or why there is none.
        console: Where to.
        at: What the answer says at another share of AI-generated pictures, if that was asked.
        cues: What forensic cues said of each face, None for one that they were not asked about, if
            they were asked.
        verbose: Also what was done to the picture, who spoke, and the traceback of a bug.
    """
    name = "a picture without a file name" if outcome.path is None else outcome.path
    # A path in one piece can be copied; the terminal wraps it where it must.
    console.print(Text(_safe(name, console), style="bold"), soft_wrap=True)
    if isinstance(outcome, Failure):
        _show_failure(outcome, console, verbose)
    else:
        _show_report(outcome, console, at, cues, verbose)
    console.print()


def summary(console: Console, *, real: int, ai: int, undecided: int, failed: int) -> None:
    """Print how many pictures got which answer."""
    total = real + ai + undecided + failed
    table = Table(box=None, padding=(0, 2), show_footer=True, header_style="bold")
    table.add_column("Answer", footer="pictures in all")
    table.add_column("Pictures", footer=f"{total:,}", justify="right")
    table.add_column("Share", justify="right")
    counts = zip(Decision, (real, ai, undecided), strict=True)
    rows = [(WORD[decision], _STYLE[decision], count) for decision, count in counts]
    rows.append(("FAILED", "bold reverse", failed))
    for word, style, count in rows:
        percent = f"{100 * count / total:.1f} %" if total else "-"
        table.add_row(Text(word, style=style if count else "dim"), f"{count:,}", percent)
    console.print(table)


# --- words -------------------------------------------------------------------------------------

_SURENESS = (  # nats: the entropy of a coin that shows one side in 99, 95 and 80 of 100 throws
    (0.056, "sure"),
    (0.199, "fairly sure"),
    (0.500, "not very sure"),
)
_NEARLY_ALL = 0.9  # share of the doubt above which the other part is not worth naming as its home


def in_words(verdict: Verdict) -> str:
    """Say how sure the model is, and where its doubt lies.

    How sure goes by the entropy of the predictive: below that of a coin that shows one side in 99
    of 100 throws (0.056 nats) the model is "sure", below 95 (0.199) "fairly sure", below 80
    (0.500) "not very sure", else "unsure". Where the doubt lies goes by the parts of the entropy:
    nine tenths or more on one side is "not in" the other, else "more in" one "than in" the other.
    This is the model's own view. Of a face unlike all it was trained on it says little, and the
    sentence says so.
    """
    total, aleatoric, epistemic = verdict.total, verdict.aleatoric, verdict.epistemic
    if not all(map(math.isfinite, (total, aleatoric, epistemic))):
        return "the model's uncertainty is not a number; please report this"
    sure = next((word for limit, word in _SURENESS if total < limit), "unsure")
    picture = f"in the picture (aleatoric {nats(aleatoric)})"
    model = f"in the model (epistemic {nats(epistemic)})"
    part = epistemic / total if total > 0 else 0.0
    if total < _SURENESS[0][0]:
        where = f"little doubt is left {picture} or {model}"
    elif part <= 1 - _NEARLY_ALL:
        where = f"the doubt is {picture}, not {model}"
    elif part < 0.5:
        where = f"the doubt is more {picture} than {model}"
    elif part < _NEARLY_ALL:
        where = f"the doubt is more {model} than {picture}"
    else:
        where = f"the doubt is {model}, not {picture}"
    if Reason.UNLIKE_TRAINING in verdict.reasons:
        where += "; of a face unlike its training data that says little"
    return f"the model is {sure}; {where}"


def doubtful(verdict: Verdict) -> bool:
    """Return whether `in_words` calls the model "not very sure" or "unsure"."""
    return verdict.total >= _SURENESS[1][0]


def of_copies(stability: Stability) -> str:
    """Say what became of P(ai) in copies of the picture."""
    count = len(stability.copies)
    if count == 1:
        return f"P(ai) {share(stability.low)} in a copy that was saved again"
    low, high = share(stability.low), share(stability.high)
    between = low if low == high else f"{low} to {high}"
    return f"P(ai) {between} in {count} copies, saved again or made smaller"


def presumption(prior: float) -> str:
    """Say which share of AI-generated pictures a P(ai) presumes."""
    return f"P(ai) presumes {percent(prior)} AI-generated pictures"


def at_share(at: AtPrior) -> str:
    """Say what a P(ai) becomes at another share of AI-generated pictures."""
    low, high = (share(end) for end in at.interval)
    return f"at {percent(at.prior)} it is {share(at.p_ai)}, {low} to {high}"


def weight(at: AtPrior) -> str:
    """Say how much a picture weighs, whatever the share of AI-generated pictures."""
    low, high = (ratio(end) for end in at.evidence_interval)
    side = "AI" if at.evidence > 0 else "real"
    return (
        f"likelihood ratio {ratio(at.evidence)}, {low} to {high}: "
        f"{abs(at.evidence):.2f} nats for {side}"
    )


def ratio(evidence: float) -> str:
    """Return the likelihood ratio of a weight of evidence in nats, for people."""
    if abs(evidence) > math.log(1e6):
        return ">1,000,000" if evidence > 0 else "<0.000001"
    times = math.exp(evidence)
    return f"{times:,.0f}" if times >= 1000 else f"{times:.3g}"


def in_numbers(prior: float, values: PredictiveValues | None) -> str:
    """Say what the decisions are worth at a share of AI-generated pictures, in whole pictures.

    Natural frequencies are read rightly by far more people than percentages of percentages
    (Gigerenzer and Hoffrage, "How to improve Bayesian reasoning without instruction",
    Psychological Review 102(4), 1995).
    """
    if values is None:
        return (
            "How many of the photos called ai are AI-generated cannot be said: the error rates of "
            "this model were not measured."
        )
    crowd = 1000
    while min(prior, 1 - prior) * crowd < 10 - 1e-6 and crowd < 10**9:
        crowd *= 10
    alarms, rightly = values.called_ai.value, _count(values.rightly_ai.value * crowd)
    about = f"about {_count(alarms * crowd)}"
    if values.ppv is None:  # no real one was called ai when that was measured: no certainty
        about = f"{_count(alarms * crowd)} to {_count(values.called_ai.high * crowd)}"
    return (
        f"Of {crowd:,} photos of which {_count(prior * crowd)} are AI-generated, {about} would be "
        f"called ai; about {rightly} of those would really be AI-generated.\n"
        f"Right among those called ai (PPV): {_value(values.ppv, values.ppv_interval)}. "
        f"Right among those called real (NPV): {_value(values.npv, values.npv_interval)}. "
        f"The ranges put together those ends of the error rates' 95 % intervals that are worst, "
        f"and best. The rates were measured on {values.split}, and hold for photos like those."
    )


def _value(value: float | None, interval: tuple[float, float]) -> str:
    low, high = interval
    span = f"at least {share(low)}" if high == 1 else f"{share(low)} to {share(high)}"
    return span if value is None else f"{share(value)}, {span}"


def _count(pictures: float) -> str:
    if 0 < pictures < 1:
        return "fewer than 1"
    whole = round(pictures)
    return f"{whole:,}"


def because(reasons: Iterable[Reason], report: Report) -> Iterator[str]:
    """Return each reason in words, with the coverage as the number that it is, or the two numbers.

    Args:
        reasons: Of the report, or of one of its faces.
        report: Says what is promised.
    """
    reals, ai = (percent(report.promise(mistake)) for mistake in (Decision.AI, Decision.REAL))
    stated = f"{reals} coverage" if reals == ai else f"{reals} (real) and {ai} (AI) coverage"
    for reason in reasons:
        yield reason.says.replace("the stated coverage", stated)


def of_cues(cues: Answers) -> Iterator[tuple[str, str]]:
    """Say what forensic cues saw, one line for each that speaks; which face, where there are many.

    Args:
        cues: Their answers about each face; None for a face that they were not asked about.
    """
    for number, answers in enumerate(cues, start=1):
        if answers is None:
            continue
        lines = [answer.plain for answer in answers if isinstance(answer, Reading)]
        label = "Cues" if len(cues) == 1 else f"Cues, face {number}"
        for line in lines or ["No cue has anything to say of this face."]:
            yield label, line
            label = ""


_ANSWER = {
    Decision.REAL: "Real",
    Decision.AI: "AI-generated",
    Decision.UNDECIDED: "Undecided",
}


def in_short(decision: Decision, reasons: Sequence[Reason], coverage: float) -> str:
    """Say a decision and its doubt in one sentence, for somebody who has to act on it.

    Args:
        decision: Of a picture, or of one face.
        reasons: Its reasons, the most telling first.
        coverage: Promised within the class about which the decision would be a mistake; see
            `Report.promise`.
    """
    told = [reason.plainly for reason in reasons[:1]]
    if Reason.WITHIN_COVERAGE in reasons[:1] and decision is not Decision.UNDECIDED:
        other = "real" if decision is Decision.AI else "AI-generated"
        crowd = 100
        while (wrong := (1 - coverage) * crowd) < 1 - 1e-6 and crowd < 10**6:
            crowd *= 10
        told = [
            f"of {crowd:,} {other} pictures like those in our tests, at most about {wrong:.2g} "
            "would be called this by mistake"
        ]
    for beside in (Reason.WHOLE_IMAGE, Reason.FACES_DISAGREE):
        if beside in reasons[1:]:
            told.append(beside.plainly)
    return f"{_ANSWER[decision]}: {'; '.join(told)}." if told else f"{_ANSWER[decision]}."


def percent(part: float) -> str:
    """Return a share as it was promised, in per cent: 0.9 is "90 %"."""
    return f"{100 * part:.6g} %"


def nats(entropy: float) -> str:
    """Return an entropy for people; only none at all reads as 0.00."""
    entropy = max(0.0, entropy)  # rounding may leave it a hair below
    return "<0.01 nats" if 0 < entropy < 0.005 else f"{entropy:.2f} nats"


def share(p: float) -> str:
    """Return a probability for people; only certainty itself reads as 0 or 1."""
    if 0 < p < 0.0005:
        return "<0.001"
    if 0.9995 <= p < 1:
        return ">0.999"
    return f"{p:.3f}"


def sentence(text: str) -> str:
    """Return a phrase as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def printable(text: str) -> str:
    r"""Escape every character that does not show as itself: ESC becomes ``\x1b``.

    Control characters can drive a terminal, and turned writing direction can disguise a name.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def bar(p: float, interval: tuple[float, float], width: int, *, ascii_only: bool = False) -> str:
    """Draw a probability and its interval on a line from 0 to 1.

    Args:
        p: Probability, the point on the line.
        interval: Low and high, drawn as a thicker stretch around it.
        width: Columns, at least 3; with an odd width the middle is marked.
        ascii_only: For terminals that have no more.
    """
    track, middle, stretch, point = "-+=o" if ascii_only else "─┼━●"
    cells = [track] * width
    if width % 2:
        cells[width // 2] = middle
    low, at, high = (round(x * (width - 1)) for x in (interval[0], p, interval[1]))
    cells[low : high + 1] = stretch * (high + 1 - low)
    cells[at] = point
    return "".join(cells)


# --- one picture -------------------------------------------------------------------------------


def _show_report(
    report: Report,
    console: Console,
    at: AtPrior | None,
    cues: Answers | None,
    verbose: bool,
) -> None:
    block = _block()
    decision = Text(WORD[report.decision], style=_STYLE[report.decision])
    if report.p_ai is None or report.interval is None:
        block.add_row(decision, Text("P(ai) could not be estimated"))
    else:
        low, high = report.interval
        block.add_row(
            decision,
            Text.assemble(
                "P(ai) ",
                (share(report.p_ai), "bold"),
                f", {percent(report.level)} credible interval {share(low)} to {share(high)}",
            ),
        )
        line = bar(report.p_ai, report.interval, _BAR, ascii_only=console.options.ascii_only)
        block.add_row("", Text.assemble("real ", (line, _STYLE[report.decision]), " ai"))
        told = presumption(report.prior)
        if at:
            block.add_row("Prior", Text(f"{sentence(told)}\n{sentence(at_share(at))}"))
            block.add_row("Evidence", Text(sentence(weight(at))))
        else:
            block.add_row("Prior", Text(sentence(f"{told} (--prior for another)")))
    promise = report.promise(report.decision)
    block.add_row("In short", Text(in_short(report.decision, report.reasons, promise)))
    lead = _lead(report)
    if lead:
        block.add_row("Doubt", Text(sentence(in_words(lead))))
    if lead and lead.stability:
        block.add_row("Copies", Text(sentence(of_copies(lead.stability))))
    why = "\n".join(map(sentence, because(report.reasons, report)))
    block.add_row("Why", Text(why))
    if len(report.faces) > 1:
        block.add_row("Faces", _faces(report.faces))
    for label, text in of_cues(cues or ()):
        block.add_row(label, Text(_safe(text, console)))
    if verbose:
        for label, text in _details(report):
            block.add_row(label, Text(_safe(text, console), style="dim"))
    console.print(Padding(block, (0, 0, 0, 2)))


def _show_failure(failure: Failure, console: Console, verbose: bool) -> None:
    block = _block()
    error = failure.error.removeprefix(f"{failure.path}: ")  # it stands right above
    error = f"{error[:1].upper()}{error[1:]}"
    block.add_row(Text("FAILED", style="bold reverse"), Text(_safe(error, console)))
    block.add_row(Text("What to do", style="italic"), Text(_safe(failure.hint, console), "italic"))
    if failure.bug is not None:
        lines = failure.bug.splitlines() if verbose else ["A fault of veridical's own."]
        text = "\n".join(_safe(line, console) for line in lines)
        block.add_row("Bug", Text(text, style="dim"))
    console.print(Padding(block, (0, 0, 0, 2)))


def _block() -> Table:
    block = Table.grid(padding=(0, 2))
    block.add_column(min_width=_LABEL, no_wrap=True)
    block.add_column(overflow="fold")
    return block


def _lead(report: Report) -> Verdict | None:
    """Return the verdict that the picture's decision rests on."""
    for face in report.faces:
        if face.verdict and (face.decision, face.verdict.p_ai) == (report.decision, report.p_ai):
            return face.verdict
    return None


def _faces(faces: tuple[FaceResult, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    for number, face in enumerate(faces, start=1):
        table.add_row(*_face(number, face))
    return table


def _face(number: int, face: FaceResult) -> Iterator[Text]:
    yield Text(str(number))
    yield Text(WORD[face.decision], style=_STYLE[face.decision])
    if face.verdict:
        low, high = face.verdict.interval
        yield Text(share(face.verdict.p_ai))
        yield Text(f"{share(low)} to {share(high)}")
    else:
        yield Text("-")
        yield Text("not judged")
    box = face.box
    size = max(box.width, box.height)
    yield Text(f"{size:.0f} px at {box.left:.0f}, {box.top:.0f}", style="dim")


def _details(report: Report) -> Iterator[tuple[str, str]]:
    if len(report.faces) > 1:
        for number, face in enumerate(report.faces, start=1):
            yield f"Face {number}", "; ".join(because(face.reasons, report))
    yield "Steps", "; ".join(report.steps) or "none"
    yield "Picture", f"{report.width} x {report.height} px, SHA-256 {report.sha256}"
    yield "Model", f"{report.model}, veridical {report.version}"


def _safe(text: str, console: Console) -> str:
    """Return text that the console can print, and that cannot drive it."""
    return printable(text).encode(console.encoding, "backslashreplace").decode(console.encoding)
