"""An audit as a page for people, and as JSON."""

from collections.abc import Iterator, Mapping

from veridical.train.audit import NAMES, Audit, sentence
from veridical.train.facts import PROBES, STAGES, Stage
from veridical.train.probes import REFUSE, WARN, Finding, Typical

AUDIT = "veridical.audit/1"

_STAGES: Mapping[Stage, str] = {
    "raw": "as delivered",
    "cut": "cropped, as at inspection",
    "view": "encoded again, as in training",
}


def markdown(audit: Audit) -> str:
    """Return the page: a table of all findings, then what gives the class away."""
    return f"# Audit\n\n{section(audit)}\n"


def section(audit: Audit) -> str:
    """Return the page without its title, to stand on another."""
    return "\n\n".join(_paragraphs(audit))


def record(audit: Audit) -> dict[str, object]:
    """Return the audit as plain values at full precision; an AUROC is value, low, high."""
    return {
        "schema": AUDIT,
        "seed": audit.seed,
        "given": audit.given,
        "real": audit.real,
        "ai": audit.ai,
        "faceless": audit.faceless,
        "unreadable": audit.unreadable,
        "findings": [_finding(finding) for finding in audit.findings],
        "not_applicable": [
            {"probe": one.probe, "stage": one.stage, "because": one.because}
            for one in audit.not_applicable
        ],
    }


def _finding(finding: Finding) -> dict[str, object]:
    measured = finding.auroc
    return {
        "probe": finding.probe,
        "stage": finding.stage,
        "auroc": [measured.value, measured.low, measured.high],
        "real": finding.real,
        "ai": finding.ai,
        "warns": finding.warns,
        "refuses": finding.refuses,
        "facts": [
            {
                "name": fact.name,
                "auroc": fact.auroc,
                "real": _typical(fact.real),
                "ai": _typical(fact.ai),
                "says": sentence(fact),
            }
            for fact in finding.facts
        ],
    }


def _typical(typical: Typical) -> dict[str, object]:
    share = {} if typical.share is None else {"share": typical.share}
    return {"value": typical.value, **share}


def _paragraphs(audit: Audit) -> Iterator[str]:
    yield (
        "Can the class be guessed without looking at the face? Measured on "
        f"{audit.real:,} real and {audit.ai:,} AI-generated pictures, drawn with seed "
        f"{audit.seed} from {audit.given:,}; "
        f"{audit.faceless:,} more show no face and {audit.unreadable:,} cannot be read."
    )
    yield _table(audit)
    yield (
        f"AUROC on pictures that the probe was not fitted on, with a 95 % interval; 0.5 is chance. "
        f"Bold: above {WARN} and beyond chance. For pictures as delivered, an interval that begins "
        f"above {REFUSE} stops `veridical train`."
    )
    for one in audit.not_applicable:
        yield f"Not measured: {NAMES[one.probe]}, {_STAGES[one.stage]}: {one.because}."
    warnings = [finding for finding in audit.findings if finding.warns]
    if warnings:
        yield "What gives the class away:"
    for finding in warnings:
        facts = [fact for fact in finding.facts if fact.auroc > WARN]
        says = [f"{sentence(fact)} (alone {fact.auroc:.2f})." for fact in facts]
        yield "\n".join(
            [
                f"- **{NAMES[finding.probe]}, {_STAGES[finding.stage]}**",
                *(f"    - {one}" for one in says or ["No fact alone; several together."]),
            ]
        )
    yield _verdict(audit)


def _table(audit: Audit) -> str:
    asked = {one.stage for one in audit.findings} | {one.stage for one in audit.not_applicable}
    stages = [stage for stage in STAGES if stage in asked]
    cells = {(one.probe, one.stage): _cell(one) for one in audit.findings}
    rows = (
        [NAMES[probe], *(cells.get((probe, stage), "not measured") for stage in stages)]
        for probe in PROBES
    )
    header = ["the probe is given", *(_STAGES[stage] for stage in stages)]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(finding: Finding) -> str:
    measured = finding.auroc
    value = f"**{measured.value:.2f}**" if finding.warns else f"{measured.value:.2f}"
    stops = ", stops training" if finding.refuses else ""
    return f"{value} [{measured.low:.2f}, {measured.high:.2f}]{stops}"


def _verdict(audit: Audit) -> str:
    if audit.refusals:
        return "`veridical train` refuses these pictures, unless it is given `--allow-confounds`."
    if any(finding.warns for finding in audit.findings):
        return "`veridical train` accepts these pictures. Correct what you can of the above."
    if audit.findings:
        return "No probe could tell the classes apart."
    return "Nothing could be measured. `veridical train` goes on all the same."
