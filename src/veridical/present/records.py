"""Answers as JSON: one object per picture, of a published shape, at full precision.

The shape is `report.schema.json`, beside this file. Rounding is for people (`terminal`).
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, TypeAlias

from veridical.infer.priors import AtPrior, PredictiveValues
from veridical.report import (
    Box,
    Decision,
    FaceResult,
    Failure,
    NotApplicable,
    Reading,
    Report,
    Stability,
)

Answers: TypeAlias = Sequence[Sequence[Reading | NotApplicable] | None]
"""What forensic cues said of each face of a report; None for one that they were not asked about."""

REPORT = "veridical.report/1"
FAILURE = "veridical.failure/1"


def record(
    outcome: Report | Failure,
    at: AtPrior | None = None,
    values: PredictiveValues | None = None,
    cues: Answers | None = None,
) -> dict[str, object]:
    """Return the outcome as plain values that `schema` accepts.

    Args:
        outcome: The answer, or why there is none.
        at: What it says at another share of AI-generated pictures, if that was asked.
        values: What the model's decisions are worth at that share, if that is known.
        cues: What forensic cues said of its faces, if they were asked.

    `path` is always valid Unicode, for readers stricter than Python's: what was not is written as
    backslash escapes, and `path_bytes` then holds the name itself (see `path_of`).
    """
    if isinstance(outcome, Failure):
        bug = {} if outcome.bug is None else {"bug": _unicode(outcome.bug)}
        return {
            "schema": FAILURE,
            **_path(outcome.path),
            "error": _unicode(outcome.error),
            "hint": _unicode(outcome.hint),
            **bug,
        }
    return {
        "schema": REPORT,
        **_path(outcome.path),
        "sha256": outcome.sha256,
        "decision": outcome.decision.value,
        "p_ai": None if outcome.p_ai is None else float(outcome.p_ai),
        "interval": None if outcome.interval is None else [float(p) for p in outcome.interval],
        "reasons": [reason.value for reason in outcome.reasons],
        "coverage": float(outcome.coverage),
        # Of which class a decision is a mistake about: `ai` about a real picture.
        "coverage_of_reals": float(outcome.promise(Decision.AI)),
        "coverage_of_ai": float(outcome.promise(Decision.REAL)),
        "level": float(outcome.level),
        "prior": float(outcome.prior),
        "at_prior": None if at is None else at_prior_record(at, values),
        "faces": [face_record(face) for face in outcome.faces]
        if cues is None
        else [
            {**face_record(face), "cues": answers and [cue_record(answer) for answer in answers]}
            for face, answers in zip(outcome.faces, cues, strict=True)
        ],
        "width": outcome.width,
        "height": outcome.height,
        "steps": [_unicode(step) for step in outcome.steps],
        "model": outcome.model,
        "version": outcome.version,
    }


def at_prior_record(at: AtPrior, values: PredictiveValues | None) -> dict[str, object]:
    """Return as plain values what an answer says at another share of AI-generated pictures."""
    return {
        "prior": float(at.prior),
        "p_ai": float(at.p_ai),
        "interval": [float(p) for p in at.interval],
        "evidence": finite(at.evidence),
        "evidence_interval": [finite(end) for end in at.evidence_interval],
        "predictive": None
        if values is None
        else {
            "split": values.split,
            "ppv": None if values.ppv is None else float(values.ppv),
            "ppv_interval": [float(end) for end in values.ppv_interval],
            "npv": None if values.npv is None else float(values.npv),
            "npv_interval": [float(end) for end in values.npv_interval],
        },
    }


def face_record(face: FaceResult) -> dict[str, object]:
    """Return one face as plain values; the belief is null where there was nothing to judge."""
    verdict = face.verdict
    return {
        "box": box_record(face.box),
        "landmarks": [[float(x), float(y)] for x, y in face.landmarks],
        "detection": float(face.confidence),
        "decision": face.decision.value,
        "p_ai": None if verdict is None else float(verdict.p_ai),
        "interval": None if verdict is None else [float(p) for p in verdict.interval],
        "std": None if verdict is None else finite(verdict.std),
        "total": None if verdict is None else finite(verdict.total),
        "aleatoric": None if verdict is None else finite(verdict.aleatoric),
        "epistemic": None if verdict is None else finite(verdict.epistemic),
        "distance": None if verdict is None else finite(verdict.distance),
        "reasons": [reason.value for reason in face.reasons],
        "stability": None if verdict is None else stability_record(verdict.stability),
    }


def stability_record(stability: Stability | None) -> dict[str, object] | None:
    """Return what the copies of a face got as plain values; None where there were none."""
    if stability is None:
        return None
    copies = zip(stability.copies, stability.p_ai, strict=True)
    return {
        "copies": [{"name": name, "p_ai": float(p)} for name, p in copies],
        "low": float(stability.low),
        "high": float(stability.high),
    }


def cue_record(answer: Reading | NotApplicable) -> dict[str, object]:
    """Return what a forensic cue said of one face as plain values; see `silent` first."""
    if isinstance(answer, NotApplicable):
        return {"cue": answer.cue, "silent": answer.why}
    return {
        "cue": answer.cue,
        "silent": None,
        "statistics": {name: float(value) for name, value in answer.statistics},
        "llr": None if answer.llr is None else float(answer.llr),
        "plain": answer.plain,
        "technical": answer.technical,
    }


def box_record(box: Box) -> dict[str, float]:
    """Return a box as plain values, px."""
    return {
        "left": float(box.left),
        "top": float(box.top),
        "width": float(box.width),
        "height": float(box.height),
    }


def finite(number: float) -> float | None:
    """Return the number, or None for NaN and infinities: JSON has no word for them."""
    return float(number) if math.isfinite(number) else None


def line(
    outcome: Report | Failure,
    at: AtPrior | None = None,
    values: PredictiveValues | None = None,
    cues: Answers | None = None,
) -> str:
    """Return the outcome as one line of JSON, without its line break; see `record`.

    The line is ASCII: it survives every encoding, and no file name can break it in two or send
    control characters to a terminal.

    Raises:
        ValueError: If a place in the picture is not a finite number.
    """
    return json.dumps(record(outcome, at, values, cues), allow_nan=False)


def path_of(entry: Mapping[str, Any]) -> str | None:
    """Return the path that a record was made for, to the byte; None if there was none."""
    if "path_bytes" in entry:
        return os.fsdecode(bytes.fromhex(entry["path_bytes"]))
    path: str | None = entry["path"]
    return path


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of every record."""
    text = files("veridical.present").joinpath("report.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _path(path: str | None) -> dict[str, object]:
    if path is None:
        return {"path": None}
    readable = _unicode(path)
    if readable == path:
        return {"path": path}
    try:
        return {"path": readable, "path_bytes": os.fsencode(path).hex()}
    except UnicodeEncodeError:  # no file of this system can have that name
        return {"path": readable}


def _unicode(text: str) -> str:
    """Escape what is no Unicode: lone surrogates, which stand for undecodable bytes of a name."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
