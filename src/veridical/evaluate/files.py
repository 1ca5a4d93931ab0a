"""The files of an evaluation: JSON for programs, Markdown for people, CSV and plots for both."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from veridical.evaluate import plots
from veridical.evaluate.measure import SMALLEST_GROUP, Evaluation, Outcome, Scorecard, of_one_class
from veridical.report import Estimate, Failure, Report
from veridical.stats.metrics import METRICS

SCHEMA = "veridical.evaluation/1"


def write(evaluation: Evaluation, outcomes: Sequence[Outcome], folder: Path) -> None:
    """Write the evaluation, the outcome of each picture, and the plots into `folder`.

    evaluation.json (full precision), evaluation.md (for people), predictions.csv, and roc.png,
    reliability.png, scores.png, uncertainty.png. The plots come last: without matplotlib, the
    rest is there. In the CSV, a text that a spreadsheet would run as a formula gets an apostrophe
    in front.

    Args:
        evaluation: What `evaluate` made of `outcomes`.
        outcomes: One for each picture.
        folder: Made if need be; files of these names in it are replaced.

    Raises:
        MissingExtra: If matplotlib is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _put(folder / "evaluation.json", _json(evaluation, outcomes))
    _put(folder / "evaluation.md", "\n\n".join(_markdown(evaluation, outcomes)) + "\n")
    predictions(outcomes, folder / "predictions.csv")
    _plots(evaluation, outcomes, folder)


def _plots(evaluation: Evaluation, outcomes: Iterable[Outcome], folder: Path) -> None:
    judged = [(outcome, p) for outcome in outcomes if (p := outcome.p_ai) is not None]
    is_ai = np.array([outcome.is_ai for outcome, _ in judged], dtype=bool)
    p_ai = np.array([p for _, p in judged], dtype=float)
    plots.roc(is_ai, p_ai, folder / "roc.png")
    plots.reliability(evaluation.reliability, folder / "reliability.png")
    plots.scores(is_ai, p_ai, evaluation.threshold, folder / "scores.png")
    right = (p_ai >= evaluation.threshold) == is_ai
    doubts = [
        (verdict.epistemic, verdict.aleatoric, ok)
        for (outcome, _), ok in zip(judged, right, strict=True)
        if (verdict := outcome.verdict)
    ]
    epistemic, aleatoric, right = np.array(doubts, dtype=float).reshape(-1, 3).T
    plots.uncertainty(epistemic, aleatoric, right == 1, folder / "uncertainty.png")


def _put(path: Path, text: str) -> None:
    # A name that is not Unicode on disk must not stop the report about it.
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _json(evaluation: Evaluation, outcomes: Sequence[Outcome]) -> str:
    without = [
        {"path": str(outcome.sample.path), "why": why} for outcome, why in _not_judged(outcomes)
    ]
    content = {"schema": SCHEMA, **asdict(evaluation), "not_judged": without}
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _not_judged(outcomes: Iterable[Outcome]) -> Iterator[tuple[Outcome, str]]:
    """Pictures without P(ai), and why."""
    for outcome in outcomes:
        if isinstance(outcome.answer, Failure):
            yield outcome, outcome.answer.error
        elif outcome.p_ai is None:
            reasons = (reason.value.replace("_", " ") for reason in outcome.answer.reasons)
            yield outcome, "; ".join(reasons) or "no face"


_COLUMNS = (
    *("path", "label", "source", "generator", "group", "answer"),
    *("p_ai", "low", "high", "epistemic_nats", "aleatoric_nats"),
    *("reasons", "error"),
)


def predictions(outcomes: Iterable[Outcome], path: Path) -> None:
    """Write a CSV with one row per picture; see `write`."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        for outcome in outcomes:
            sample, answer, verdict = outcome.sample, outcome.answer, outcome.verdict
            texts = (str(sample.path), sample.label, sample.source, sample.generator, sample.group)
            report = answer if isinstance(answer, Report) else None
            low, high = report.interval if report and report.interval else (None, None)
            doubt = (verdict.epistemic, verdict.aleatoric) if verdict else (None, None)
            numbers = (outcome.p_ai, low, high, *doubt)
            reasons = " ".join(report.reasons) if report else ""
            error = f"{answer.error} {answer.hint}" if isinstance(answer, Failure) else ""
            rows.writerow(
                [
                    *map(_inert, (*texts, outcome.said)),
                    *("" if number is None else repr(float(number)) for number in numbers),
                    *map(_inert, (reasons, error)),
                ]
            )


def _inert(text: str) -> str:
    """Return the text as a CSV cell that no spreadsheet runs (OWASP, "CSV injection")."""
    return f"'{text}" if re.match(r"\s*[=+\-@＝＋－＠]|[\t\r\n]", text) else text


# --- for people --------------------------------------------------------------------------------

_LISTED = 20  # pictures without P(ai) named in the Markdown; predictions.csv names all
_TABLED = 200  # groups in a table, at most
_WORST = 10

_BOTH = ("auroc", "accuracy", "fpr", "tpr", "ece", "real_called_ai", "ai_called_real", "coverage")
_REAL = ("fpr", "real_called_ai", "real_called_real", "real_undecided")
_AI = ("tpr", "ai_called_real", "ai_called_ai", "ai_undecided")
_NAMES = {
    "accuracy": "accuracy at 0.5",
    "balanced_accuracy": "balanced accuracy at 0.5",
    "tpr": "TPR at 0.5",
    "fpr": "FPR at 0.5",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "tpr_at_1pct_fpr": "TPR at 1 % FPR",
    "tpr_at_0.1pct_fpr": "TPR at 0.1 % FPR",
    "ece": "ECE",
    "brier": "Brier score",
    "nll": "negative log likelihood, nats",
    "coverage": "decided",
    "real_called_ai": "real, called ai",
    "real_called_real": "real, called real",
    "real_undecided": "real, undecided",
    "ai_called_real": "ai, called real",
    "ai_called_ai": "ai, called ai",
    "ai_undecided": "ai, undecided",
}
_IN_FULL = {
    **_NAMES,
    "tpr": "TPR at 0.5: AI-generated pictures caught",
    "fpr": "FPR at 0.5: real pictures flagged",
    "ece": "expected calibration error, 15 bins of equal width",
    "ece_adaptive": "expected calibration error, 15 bins of equally many",
}


def _markdown(evaluation: Evaluation, outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield headings, paragraphs, lists and tables, which want an empty line between them."""
    card = evaluation.overall
    yield f"# Evaluation of model {_plain(evaluation.model)}"
    yield (
        f"{card.pictures} pictures, {card.n_real} real and {card.n_ai} AI-generated; "
        f"{card.judged} could be judged."
    )
    if warning := of_one_class(card):
        yield f"> **Warning.** {warning}"
    yield "\n".join(f"- {line}" for line in _summary(card))
    if card.judged < card.pictures:
        yield (
            f"> **{card.pictures - card.judged} of {card.pictures} pictures are not in these "
            f"figures**: {card.failures} failed, and {card.no_face} have no face to judge. "
            "They are listed at the end."
        )
    if notes := [note for note in evaluation.notes if note != warning]:
        yield "\n".join(f"- Note: {_plain(note)}" for note in notes)
    yield "## Decisions"
    yield from _decisions(card)
    yield "## The score P(ai)"
    yield from _scores(card)
    yield "## By source"
    yield from _cards("source", evaluation.by_source)
    yield "## By generator"
    yield from _generators(evaluation)
    yield "## By group"
    yield from _groups(evaluation)
    if card.judged < card.pictures:
        yield "## Pictures without a P(ai)"
        yield "\n".join(f"- {line}" for line in _without(outcomes))
    yield "## How these figures were made"
    yield (
        f"Veridical {_plain(evaluation.version)}. Brackets hold 95 % intervals: "
        f"{evaluation.resamples} bootstrap resamples (seed {evaluation.seed}), drawn by class and "
        f"by group ({evaluation.groups} groups), so that pictures of one group move together; a "
        'share without any spread has Wilson\'s interval. "n/a" is undefined, not zero. Full '
        "precision: evaluation.json. Every picture: predictions.csv."
    )


def _summary(card: Scorecard) -> Iterator[str]:
    m, reals, fakes = card.metrics, card.said_of_real, card.said_of_ai
    if reals.judged:
        yield (
            f"The worst mistake, a real picture called AI-generated: {reals.ai} of "
            f"{reals.judged}, {_shown(m['real_called_ai'])}."
        )
    if fakes.judged:
        yield (
            f"AI-generated pictures called real: {fakes.real} of {fakes.judged}, "
            f"{_shown(m['ai_called_real'])}."
        )
    undecided = reals.undecided + fakes.undecided
    yield (
        f"It decides {_shown(m['coverage'])} of the pictures and leaves {undecided} undecided. "
        f"{_shown(m['error_when_decided'])} of the decided ones are wrong."
    )
    if m["auroc"]:
        yield (
            "An AI-generated picture scores higher than a real one with probability "
            f"{_shown(m['auroc'])} (AUROC). If 1 % of real pictures may be flagged, it catches "
            f"{_shown(m['tpr_at_1pct_fpr'])} of the AI-generated ones."
        )
        yield f"P(ai) is off by {_shown(m['ece'])} on average (expected calibration error)."


def _decisions(card: Scorecard) -> Iterator[str]:
    m, reals, fakes = card.metrics, card.said_of_real, card.said_of_ai
    decided = reals.real + reals.ai + fakes.real + fakes.ai
    yield _table(
        ("mistakes and decisions", "count", "share"),
        (
            (name, f"{count} of {total}", _shown(m[share]))
            for name, count, total, share in (
                ("**real, called ai**", reals.ai, f"{reals.judged} real", "real_called_ai"),
                ("ai, called real", fakes.real, f"{fakes.judged} ai", "ai_called_real"),
                (
                    "wrong, among the decided",
                    reals.ai + fakes.real,
                    f"{decided} decided",
                    "error_when_decided",
                ),
                ("decided", decided, f"{card.judged} judged", "coverage"),
            )
        ),
    )
    yield _table(
        ("truth", "called ai", "called real", "undecided", "no face", "failed"),
        (
            (
                label,
                f"{said.ai}: {_shown(m[f'{label}_called_ai'])}",
                f"{said.real}: {_shown(m[f'{label}_called_real'])}",
                f"{said.undecided}: {_shown(m[f'{label}_undecided'])}",
                f"{said.no_face}",
                f"{said.failed}",
            )
            for label, said in (("real", reals), ("ai", fakes))
        ),
    )


def _scores(card: Scorecard) -> Iterator[str]:
    yield _table(
        ("metric", "value"), ((_IN_FULL[name], _shown(card.metrics[name])) for name in METRICS)
    )
    if card.confusion:
        c = card.confusion
        fpr, tpr = card.metrics["fpr"], card.metrics["tpr"]
        yield _table(
            ("truth", "P(ai) < 0.5", "P(ai) >= 0.5"),
            (
                ("real", f"{c.tn}: {_shown(_rest(fpr))}", f"{c.fp}: {_shown(fpr)}"),
                ("ai", f"{c.fn}: {_shown(_rest(tpr))}", f"{c.tp}: {_shown(tpr)}"),
            ),
        )
    yield "![ROC curve](roc.png)"
    yield "![reliability diagram](reliability.png)"
    yield "![P(ai) by class](scores.png)"
    yield "![uncertainty of right and wrong scores](uncertainty.png)"


def _rest(share: Estimate | None) -> Estimate | None:
    return share and Estimate(1 - share.value, 1 - share.high, 1 - share.low)


def _generators(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.by_generator:
        yield "There are no AI-generated pictures."
        return
    reals = evaluation.overall.said_of_real.judged
    names = ("auroc", *_AI, "tpr_at_1pct_fpr", "tpr_at_0.1pct_fpr")
    yield f"Each generator's pictures against all {reals} judged real pictures of the set."
    yield _table(
        ("generator", "ai", *(_NAMES[name] for name in names)),
        (
            (_plain(card.name), str(card.said_of_ai.judged), *_values(card, names))
            for card in evaluation.by_generator
        ),
    )


def _groups(evaluation: Evaluation) -> Iterator[str]:
    cards, groups = evaluation.by_group, evaluation.groups
    each = evaluation.overall.pictures / groups
    yield (
        f"{groups} groups, {each:.1f} pictures each on average; {len(cards)} of them have at least "
        f"{SMALLEST_GROUP} pictures, and so a card in evaluation.json."
    ) + ("\nTheir intervals are about a group's own pictures, drawn one by one." if cards else "")
    if each >= 2 and groups < _TABLED:
        yield from _cards("group", cards)
        return
    errors = {card.name: 1 - m.value for card in cards if (m := card.metrics["accuracy"])}
    measured = (card for card in cards if card.name in errors)
    worst = sorted(measured, key=lambda c: (-errors[c.name], -c.judged, c.name))[:_WORST]
    if worst:
        yield f"The {len(worst)} groups with most errors at 0.5:"
        yield from _cards("group", worst)


def _cards(what: str, cards: Sequence[Scorecard]) -> Iterator[str]:
    """Yield a table of the cards with both classes, and one of those with each class alone."""
    for reals, fakes, names in ((True, True, _BOTH), (True, False, _REAL), (False, True, _AI)):
        some = [
            card
            for card in cards
            if (card.said_of_real.judged > 0) == reals and (card.said_of_ai.judged > 0) == fakes
        ]
        if some:
            yield _table(
                (what, "real", "ai", *(_NAMES[name] for name in names), "no face", "failed"),
                (
                    (
                        _plain(card.name),
                        str(card.said_of_real.judged),
                        str(card.said_of_ai.judged),
                        *_values(card, names),
                        str(card.no_face),
                        str(card.failures),
                    )
                    for card in some
                ),
            )
    empty = [_plain(card.name) for card in cards if not card.judged]
    if empty:
        yield f"No picture could be judged of: {', '.join(empty)}."


def _without(outcomes: Iterable[Outcome]) -> Iterator[str]:
    missing = list(_not_judged(outcomes))
    yield from (f"{_plain(str(o.sample.path))}: {_plain(why)}" for o, why in missing[:_LISTED])
    if len(missing) > _LISTED:
        yield f"and {len(missing) - _LISTED} more, in predictions.csv."


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join((f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *lines))


def _values(card: Scorecard, names: Sequence[str]) -> Iterator[str]:
    return (_shown(card.metrics[name]) for name in names)


def _shown(measured: Estimate | None) -> str:
    """For example 0.930 [0.910, 0.950]."""
    if measured is None:
        return "n/a"
    value, low, high = map(_digits, (measured.value, measured.low, measured.high))
    return f"{value} [{low}, {high}]"


def _digits(number: float) -> str:
    """Three digits after the point; what is near 0 or 1 is never shown as if it were that."""
    if 0 < number < 0.0005:
        return "<0.001"
    if 0.9995 <= number < 1:
        return ">0.999"
    return f"{number:.3f}"


def _plain(text: str) -> str:
    """A stranger's text (a name of a file or folder) as one line that Markdown does not act on."""
    line = "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split())
    )
    return re.sub(r"([\\`*\[\]|<>])", r"\\\1", line)
