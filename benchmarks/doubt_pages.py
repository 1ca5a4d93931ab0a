"""The tables of docs/doubt.md: what was measured, as Markdown."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import decisions, groups
from benchmarks.decisions import Answers, Cell, share, signed
from benchmarks.generalisation import AS_DELIVERED, table
from benchmarks.posteriors import SHIPPED, winner
from veridical.infer.calibration import Calibration
from veridical.io.samples import Sample
from veridical.report import Decision, Reason
from veridical.report import Estimate
from veridical.stats.intervals import wilson

FEWEST_FOR_A_CLAIM = 500  # pictures of a group below which nothing is said about parity
CLEAN = "ordinary photo of a face, unseen source"

Judgement = Mapping[str, Any]
"""What was decided about an odd picture, and why: `decision` and `reasons`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A picture that is like nothing in training.

    Attributes:
        path: Where it is.
        kind: What it is.
        family: "patterns", "filters" or "hard".
    """

    path: Path
    kind: str
    family: str


# --- posteriors ----------------------------------------------------------------------------------


# Columns of the posteriors' tables: heading, what was measured, whether more is better, interval?
_COLUMNS = (
    ("AURC", "aurc", False, True),
    ("AURC, epistemic", "aurc_epistemic", False, False),
    ("risk at 100 %", "risk_at_100%", False, True),
    ("90 %", "risk_at_90%", False, False),
    ("80 %", "risk_at_80%", False, False),
    ("70 %", "risk_at_70%", False, False),
    ("50 %", "risk_at_50%", False, False),
    ("finds errors", "error_auroc", True, True),
    ("finds errors, epistemic", "error_auroc_epistemic", True, False),
    ("ECE", "ece", False, True),
    ("adaptive ECE", "ece_adaptive", False, False),
    ("Brier", "brier", False, False),
    ("NLL", "nll", False, False),
    ("AUROC", "auroc", True, False),
)


def posteriors_page(
    rows: Mapping[str, Mapping[str, Mapping[str, Estimate | None]]],
    ahead: Mapping[str, Mapping[str, Estimate]],
    odd: Mapping[str, Mapping[str, Mapping[str, float]]],
    counts: Mapping[str, tuple[int, int]],
) -> str:
    """Return the tables: one per set of pictures, the leads, and the odd pictures.

    Args:
        rows: Posterior -> set -> what was measured.
        ahead: Posterior -> set -> its AURC less that of the posterior that ships.
        odd: Posterior -> family -> AUROC of telling it from clean pictures, by each doubt.
        counts: Set -> AI-generated pictures, and all.
    """
    best = winner(rows)
    parts = []
    for step, (ai, count) in counts.items():
        said = {name: cells[step] for name, cells in rows.items()}
        body = [(name, *(_marked(said, name, *column[1:]) for column in _COLUMNS)) for name in said]
        header = ("posterior", *(column[0] for column in _COLUMNS))
        parts.append(f"On {count} pictures ({ai} AI-generated), {step}:\n\n{table(header, body)}")
    if ahead:
        body = [(name, *(signed(cells[step]) for step in counts)) for name, cells in ahead.items()]
        parts.append(
            f"AURC less that of *{SHIPPED}*, on the same resamples (below 0 is better):\n\n"
            + table(("posterior", *counts), body)
        )
    families = list(next(iter(odd.values())))
    header = ("posterior", *(f"{f}, {kind}" for f in families for kind in ("total", "epistemic")))
    body = [
        (name, *(f"{cells[f][kind]:.3f}" for f in families for kind in ("total", "epistemic")))
        for name, cells in odd.items()
    ]
    parts.append(
        "Telling odd pictures from clean ones by the entropy of the predictive and by the "
        f"epistemic part, AUROC:\n\n{table(header, body)}"
    )
    parts.append(f"Least mean AURC over these sets: **{best}**.")
    return "\n\n".join(parts)


def _marked(
    said: Mapping[str, Mapping[str, Estimate | None]],
    name: str,
    key: str,
    more: bool,
    interval: bool,
) -> str:
    """Write one cell; the best of a column is bold."""
    own = said[name][key]
    if own is None:
        return "–"
    values = [cells[key] for cells in said.values()]
    known = [value.value for value in values if value is not None]
    best = max(known) if more else min(known)
    text = f"**{own.value:.3f}**" if own.value == best else f"{own.value:.3f}"
    return f"{text} [{own.low:.3f}, {own.high:.3f}]" if interval else text


# --- decided -------------------------------------------------------------------------------------


def decided_page(
    samples: Sequence[Sample],
    first: Mapping[str, Mapping[str, Any]],
    copied: Sequence[Sample],
    answers: Answers,
    calibration: Calibration,
) -> str:
    """Return the tables of one split.

    Args:
        samples: All pictures.
        first: What was said of them as delivered, by path.
        copied: Those of which copies were judged.
        answers: What was said of the copies, by step and path.
        calibration: Of the model.
    """
    header = ("pictures", "n", "decided", "wrong among the decided", "set holds the truth")
    ai = [s for s in samples if s.label == "ai"]
    real = [s for s in samples if s.label == "real"]
    lines: list[tuple[object, ...]] = []
    for name, part, key in (
        ("AI-generated", ai, lambda s: s.generator),
        ("real", real, lambda s: s.source),
    ):
        if part:
            whole = decisions.cell(f"**all {name}**", part, first, first, calibration)
            lines += decisions.lines(
                [whole, *decisions.by(key, part, {AS_DELIVERED: first}, calibration)]
            )
    steps = decisions.steps(copied, answers, calibration)
    return "\n\n".join(
        [
            table(header, lines),
            f"Copies of {len(copied)} of them:",
            table(
                (
                    "copy",
                    "decided, AI",
                    "of these called `real`",
                    "decided, real",
                    "of these called `ai`",
                    "set holds the truth, AI",
                    "set holds the truth, real",
                    "contradicts the original",
                ),
                (_step_line(one, other) for one, other in steps),
            ),
        ]
    )


def _step_line(ai: Cell, real: Cell) -> tuple[object, ...]:
    count = ai.count + real.count
    opposite = round(ai.contradictions.value * ai.count + real.contradictions.value * real.count)
    return (
        ai.name,
        share(ai.decided),
        share(ai.errors),
        share(real.decided),
        share(real.errors),
        share(ai.covered),
        share(real.covered),
        share(wilson(opposite, count)),
    )


# --- depth ---------------------------------------------------------------------------------------


def depth_page(odd: Sequence[Odd], told: Mapping[tuple[str, bool], Judgement]) -> str:
    """Return the table by kind: what is decided, and why not; faces first, then whole frames."""
    lines = []
    for kind in dict.fromkeys(one.kind for one in odd):
        paths = [str(one.path) for one in odd if one.kind == kind]
        faces = [told[path, False] for path in paths]
        frames = [told[path, True] for path in paths if (path, True) in told]
        lines.append(
            (
                kind,
                len(paths),
                share(abstained(faces)),
                calls(faces),
                why(faces),
                share(abstained(frames)) if frames else "–",
                calls(frames) if frames else "–",
            )
        )
    header = (
        "kind",
        "n",
        "abstained",
        "verdicts",
        "reasons",
        "abstained, whole frame",
        "verdicts, whole frame",
    )
    clean = [told[str(one.path), False] for one in odd if one.kind == CLEAN]
    text = table(header, lines)
    if clean:
        away = wilson(
            sum(Reason.UNLIKE_TRAINING.value in one["reasons"] for one in clean), len(clean)
        )
        text += f"\n\nOrdinary photos turned away as unlike the training pictures: {share(away)}."
    return text


def abstained(told: Sequence[Judgement]) -> Estimate:
    """Return the share without a verdict; what cannot be read has none."""
    verdicts = (Decision.AI.value, Decision.REAL.value)
    return wilson(sum(one["decision"] not in verdicts for one in told), len(told))


def calls(told: Sequence[Judgement]) -> str:
    """Return how many got which verdict."""
    counts = Counter(one["decision"] for one in told)
    named = [f"{counts[d.value]} `{d.value}`" for d in (Decision.AI, Decision.REAL)]
    return ", ".join(text for text in named if not text.startswith("0 ")) or "none"


def why(told: Sequence[Judgement]) -> str:
    """Return how often each reason not to decide was given."""
    counts = Counter(
        reason
        for one in told
        if one["decision"] not in (Decision.AI.value, Decision.REAL.value)
        for reason in one["reasons"]
    )
    return ", ".join(f"`{reason}` {count}" for reason, count in counts.most_common()) or "–"


def gauges_page(found: Mapping[str, Mapping[str, tuple[int, float, float]]]) -> str:
    """Return the table by kind: AUROC, and the share noticed."""
    kinds = list(next(iter(found.values())))
    body = [
        (
            kind,
            next(iter(found.values()))[kind][0],
            *(f"{cells[kind][1]:.3f} ({cells[kind][2]:.2f})" for cells in found.values()),
        )
        for kind in kinds
    ]
    return (
        "Telling odd pictures from ordinary photos by how far their features are: AUROC, and in "
        "brackets the share noticed if one ordinary photo in twenty may be turned away.\n\n"
        + table(("kind", "n", *found), body)
    )


# --- stability -----------------------------------------------------------------------------------


def stability_page(samples: Sequence[Sample], ways: Mapping[str, Answers]) -> str:
    """Return the table by way of judging, and contradictions copy by copy."""
    found = [decisions.steadiness(name, samples, answers) for name, answers in ways.items()]
    whole = table(
        (
            "judging",
            "photos",
            "decided, all copies",
            "wrong among the decided",
            "photos with both verdicts",
            "copies that contradict the original",
            "mean spread of P(ai)",
            "range of P(ai), 90 % quantile",
        ),
        (
            (
                one.name,
                one.photos,
                share(one.decided),
                share(one.errors),
                share(one.contradicted),
                share(one.flipped),
                f"{one.scale:.3f}",
                f"{one.range:.3f}",
            )
            for one in found
        ),
    )
    steps = [step for step in next(iter(ways.values())) if step != AS_DELIVERED]
    each = table(
        ("copy that contradicts the original", *ways),
        (
            (
                step,
                *(
                    share(decisions.steadiness(n, samples, _only(answers, step)).flipped)
                    for n, answers in ways.items()
                ),
            )
            for step in steps
        ),
    )
    return f"{whole}\n\n{each}"


def _only(answers: Answers, step: str) -> Answers:
    return {name: answers[name] for name in (AS_DELIVERED, step)}


# --- fairness ------------------------------------------------------------------------------------


def fairness_page(
    samples: Sequence[Sample],
    told: Mapping[str, Mapping[str, Any]],
    facts: Mapping[str, Mapping[str, Any]],
) -> str:
    """Return one table per way to group pictures."""

    def of(sample: Sample, key: str) -> Any:
        return facts[str(sample.path)][key]

    ways: dict[str, Callable[[Sample], str]] = {
        "apparent skin tone": lambda s: groups.tone(of(s, "angle")) if of(s, "face_px") else "",
        "group named by the data": groups.said,
        "longer side of the face": lambda s: (
            groups.size(of(s, "face_px")) if of(s, "face_px") else ""
        ),
        "longer side of the picture": lambda s: groups.size(of(s, "side_px")),
        "colour": lambda s: str(of(s, "colour")),
    }
    largest = 0
    parts = []
    for name, key in ways.items():
        body = []
        for value in _ordered({key(s) for s in samples} - {""}):
            counts = []
            for label, wrong in (("real", "ai"), ("ai", "real")):
                calls = [
                    told[str(s.path)]["decision"]
                    for s in samples
                    if key(s) == value and s.label == label
                ]
                called = wilson(calls.count(wrong), len(calls)) if calls else None
                open_ = (
                    wilson(sum(c not in decisions.DECIDED for c in calls), len(calls))
                    if calls
                    else None
                )
                counts += [len(calls), share(called), share(open_)]
                largest = max(largest, len(calls))
            body.append((value, *counts))
        header = (name, "real", "called `ai`", "no verdict", "AI", "called `real`", "no verdict")
        parts.append(table(header, body))
    claim = (
        f"No group here has {FEWEST_FOR_A_CLAIM} pictures of a class, so nothing is claimed about "
        "parity between groups."
        if largest < FEWEST_FOR_A_CLAIM
        else f"Nothing is claimed about groups of fewer than {FEWEST_FOR_A_CLAIM} pictures."
    )
    return "\n\n".join([*parts, claim])


def _ordered(names: Iterable[str]) -> list[str]:
    """Tones from light to dark, sizes from small to large, the rest by the alphabet."""
    tones = [name for _, name in groups.TONES]

    def place(name: str) -> tuple[int, int, str]:
        number = next((int(word) for word in name.split() if word.isdigit()), 0)
        more = name.endswith("more")
        return (tones.index(name) if name in tones else len(tones), number + more, name)

    return sorted(names, key=place)
