import json
import math
import os
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.present.made import (
    ABSENT,
    AT_1_PERCENT,
    COPIES,
    FACE,
    FAILURE,
    GOOD,
    REPORT,
    SMALL,
    SPOKEN,
    covered,
    explanation,
    judged,
    report,
)
from veridical import claims, video
from veridical import explanation as explanations
from veridical import report as reports
from veridical.box import Box
from veridical.explanation import NamedMap
from veridical.infer.priors import at_prior, predictive_values
from veridical.present.records import schema, tables
from veridical.report import (
    Decision,
    FaceResult,
    Failure,
    NotApplicable,
    Reading,
    Reason,
    Report,
    Stability,
    Verdict,
    path_of,
)

# The checker of the shapes looks at one item of a tuple, picked by chance, while reports are drawn.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

CHECK = jsonschema.Draft202012Validator(schema())

probabilities = st.floats(0, 1)
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
anything = st.floats()  # NaN and infinities too
places = st.floats(-1e6, 1e6)
lengths = st.floats(0, 1e6, exclude_min=True)
words = st.text(max_size=20)
names = words | st.binary(max_size=12).map(os.fsdecode)  # also names that are not UTF-8
reasons = st.lists(st.sampled_from(Reason), max_size=4).map(tuple)
intervals = st.tuples(probabilities, probabilities).map(lambda ends: (min(ends), max(ends)))
stabilities = st.lists(
    st.tuples(words, probabilities, st.sampled_from(Decision)), min_size=1, max_size=3
).map(
    lambda copies: Stability(
        perturbations=tuple(c[0] for c in copies),
        p_ai=tuple(c[1] for c in copies),
        answers=tuple(c[2] for c in copies),
    )
)
verdicts = st.builds(
    Verdict,
    decision=st.sampled_from(Decision),
    p_ai=probabilities,
    interval=intervals,
    std=anything,
    total=anything,
    aleatoric=anything,
    epistemic=anything,
    distance=anything,
    stability=st.none() | stabilities,
)
readings = st.builds(
    Reading,
    cue=words,
    statistics=st.dictionaries(words, places, max_size=3),
    llr=st.none() | places,
    plain=words,
    technical=words,
) | st.builds(NotApplicable, cue=words, why=words)
grids = st.lists(anything, min_size=4, max_size=4).map(lambda v: np.array(v).reshape(2, 2))
scores = st.builds(lambda number: replace(GOOD, deletion=number), anything)
explained = st.builds(
    lambda grid, tested, occlusion, maps: explanation(
        grid, faithfulness=tested, occlusion=occlusion, maps=tuple(maps)
    ),
    grids,
    st.none() | scores,
    st.none() | st.just(covered(0.25)),
    st.lists(st.builds(NamedMap, name=words, patches=grids, faithfulness=st.none() | scores)),
)


@st.composite
def faces(draw: Callable[..., Any]) -> FaceResult:
    verdict = draw(st.none() | verdicts)
    return FaceResult(
        box=draw(st.builds(Box, left=places, top=places, width=lengths, height=lengths)),
        landmarks=draw(st.lists(st.tuples(places, places), max_size=5).map(tuple)),
        confidence=draw(probabilities),
        decision=verdict.decision if verdict else Decision.UNDECIDED,
        reasons=draw(reasons),
        verdict=verdict,
        readings=draw(st.none() | st.lists(readings, max_size=3).map(tuple)),
        explanation=draw(st.none() | explained),
    )


@st.composite
def drawn_reports(draw: Callable[..., Any]) -> Report:
    return report(
        *draw(st.lists(faces(), max_size=2)),
        path=draw(st.none() | names),
        width=draw(st.integers(1, 10**6)),
        steps=draw(st.lists(words, max_size=2).map(tuple)),
        coverage=draw(shares),
        coverage_of_reals=draw(shares),
        coverage_of_ai=draw(shares),
        level=draw(shares),
        prior=draw(shares),
        version=draw(words),
    )


failures = st.builds(
    Failure, path=st.none() | names, error=names, hint=words, bug=st.none() | words
)
priors = st.floats(1e-6, 1 - 1e-6)
RATES = ("real_called_ai", "ai_called_ai", "ai_called_real", "real_called_real")
cards = st.lists(
    st.lists(probabilities, min_size=3, max_size=3).map(sorted), min_size=4, max_size=4
).map(
    lambda rates: {
        "measured": {
            "test": {
                name: [middle, low, high]
                for name, (low, middle, high) in zip(RATES, rates, strict=True)
            }
        }
    }
)


# --- what the schema accepts --------------------------------------------------------------------


@settings(max_examples=60)
@given(drawn_reports() | failures)
def test_the_schema_accepts_every_record_and_the_line_is_strict_json(
    outcome: Report | Failure,
) -> None:
    CHECK.validate(outcome.to_dict())
    text = outcome.to_json()
    assert text.isascii()
    assert len(text.splitlines()) == 1

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    back = json.loads(text, parse_constant=refuse)
    assert back == outcome.to_dict()
    json.dumps(back, ensure_ascii=False).encode("utf-8")  # no lone surrogate anywhere
    assert path_of(back) == outcome.path


@settings(max_examples=60)
@given(verdicts, priors, priors, cards)
def test_the_schema_accepts_every_record_at_a_prior(
    verdict: Verdict, assumed: float, prior: float, card: dict[str, Any]
) -> None:
    values = predictive_values(card, prior)
    at = at_prior(verdict.p_ai, verdict.interval, prior, assumed, values)
    face = replace(FACE, verdict=verdict, decision=verdict.decision)
    entry = json.loads(report(face, at_prior=at).to_json())
    CHECK.validate(entry)
    assert entry["at_prior"]["prior"] == prior


def test_infinite_evidence_and_maps_with_holes_are_null() -> None:
    grid = np.array([[math.nan, 1.0], [0.0, math.inf]])
    face = replace(FACE, explanation=explanation(grid))
    at = at_prior(1.0, (0.5, 1.0), 0.01)
    entry = report(face, at_prior=at).to_dict()
    CHECK.validate(entry)
    assert entry["at_prior"]["evidence"] is None
    assert entry["faces"][0]["explanation"]["patches"] == [[None, 1.0], [0.0, None]]


def test_a_path_that_no_file_can_have_is_still_written() -> None:
    failure = Failure(path="\ud800.jpg", error="\ud800.jpg: is not there", hint="Look again.")
    CHECK.validate(failure.to_dict())
    assert json.loads(failure.to_json())["path"] == r"\ud800.jpg"


def test_drawings_and_pixel_maps_are_not_part_of_json() -> None:
    face = replace(FACE, readings=(SPOKEN,), explanation=explanation(occlusion=covered(0.2)))
    (found,) = report(face).to_dict()["faces"]
    assert "drawing" not in found["readings"][0]
    assert found["explanation"]["occlusion"] == {"largest": 0.2, "at": [22.0, 12.0]}


# --- what it rejects ----------------------------------------------------------------------------


def full() -> dict[str, Any]:
    face = replace(judged(stability=COPIES), readings=(SPOKEN, ABSENT), explanation=explanation())
    return report(face, SMALL, at_prior=AT_1_PERCENT).to_dict()


@pytest.mark.parametrize(
    "lie",
    [
        {"p_ai": 2},
        {"p_ai": "0.9"},
        {"interval": [0.1]},
        {"interval": [-0.1, 0.5]},
        {"coverage": 1},
        {"coverage_of_reals": None},
        {"coverage_of_ai": 1},
        {"level": 90},
        {"prior": 0},
        {"at_prior": {"prior": 0.1}},
        {"decision": "fake"},
        {"reasons": ["because"]},
        {"sha256": "0"},
        {"schema": "veridical.report/1"},
        {"error": "half a failure"},
        {"extra": 1},
        {"width": -1},
        {"claims": ["signed"]},
        {"path_bytes": "xyz"},
    ],
    ids=str,
)
def test_the_schema_rejects_a_report_that_lies(lie: dict[str, object]) -> None:
    CHECK.validate(full())
    assert not CHECK.is_valid(full() | lie)


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize(
    "lie", [{"llr": "1"}, {"cue": None}, {"more": 1}, {"statistics": {"a": ""}}]
)
def test_the_schema_rejects_a_cue_that_is_neither_a_reading_nor_absent(
    at: int, lie: dict[str, object]
) -> None:
    entry = full()
    entry["faces"][0]["readings"][at] |= lie
    assert not CHECK.is_valid(entry)


@pytest.mark.parametrize("key", sorted(full()))
def test_the_schema_rejects_a_report_with_a_hole(key: str) -> None:
    entry = full()
    del entry[key]
    assert not CHECK.is_valid(entry)


@pytest.mark.parametrize("key", sorted(FAILURE.to_dict()))
def test_the_schema_rejects_a_failure_with_a_hole(key: str) -> None:
    entry = FAILURE.to_dict()
    del entry[key]
    assert not CHECK.is_valid(entry)


# --- what it says -------------------------------------------------------------------------------


def test_the_schema_is_a_schema_and_knows_every_reason_and_decision() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    kinds = schema()["$defs"]
    assert kinds["Reason"]["enum"] == [reason.value for reason in Reason]
    assert kinds["Decision"]["enum"] == [decision.value for decision in Decision]


def test_every_field_that_is_written_is_described_and_nothing_else() -> None:
    shown = {table.title: {name: text for name, _, text in table.rows} for table in tables()}
    assert list(shown)[:3] == ["Report", "VideoReport", "Failure"]
    for title, rows in shown.items():
        kind = next(
            getattr(home, title)
            for home in (reports, explanations, claims, video)
            if hasattr(home, title)
        )
        assert is_dataclass(kind)
        written = {one.name for one in fields(kind) if one.metadata.get("json", True)}
        assert rows.keys() - {"schema", "path_bytes"} == written
        assert all(text.endswith(".") for text in rows.values()), title


def test_types_are_told_in_words() -> None:
    rows = {(table.title, name): kind for table in tables() for name, kind, _ in table.rows}
    assert rows["Report", "schema"] == '"veridical.report/4"'
    assert rows["Report", "p_ai"] == "number in [0, 1] or null"
    assert rows["Report", "faces"] == "list: FaceResult"
    assert rows["FaceResult", "readings"] == "list: Reading or NotApplicable or null"
    assert rows["Verdict", "interval"] == "list of 2: number in [0, 1]"
    assert rows["Explanation", "method"] == '"surrogate" or "contributions"'
    assert rows["Report", "claims"] == "list: Claim"


def test_nothing_is_rounded() -> None:
    p_ai = 0.1 + 0.2 + 0.6
    made = report(judged(p_ai=p_ai, interval=(0.8, 1.0)))
    assert json.loads(made.to_json())["p_ai"] == p_ai
    assert REPORT.to_dict()["coverage_of_reals"] == 0.97
