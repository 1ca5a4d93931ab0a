import json
import math
import os
from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veridical.infer.priors import at_prior, predictive_values
from veridical.present.records import cue_record, line, path_of, record, schema
from veridical.report import (
    Box,
    Decision,
    FaceResult,
    Failure,
    NotApplicable,
    Reading,
    Reason,
    Report,
    Stability,
    Verdict,
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
hex_digits = st.sampled_from("0123456789abcdef")
reasons = st.lists(st.sampled_from(Reason), max_size=4).map(tuple)
intervals = st.tuples(probabilities, probabilities).map(lambda ends: (min(ends), max(ends)))
stabilities = st.lists(st.tuples(words, probabilities), min_size=1, max_size=3).map(
    lambda copies: Stability(copies=tuple(c[0] for c in copies), p_ai=tuple(c[1] for c in copies))
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
    reasons=reasons,
    stability=st.none() | stabilities,
)
faces = st.builds(
    FaceResult,
    box=st.builds(Box, left=places, top=places, width=lengths, height=lengths),
    landmarks=st.lists(st.tuples(places, places), max_size=5).map(tuple),
    confidence=probabilities,
    verdict=st.none() | verdicts,
    reasons=reasons,
)
reports = st.builds(
    Report,
    path=st.none() | names,
    sha256=st.text(hex_digits, min_size=64, max_size=64),
    width=st.integers(1, 10**6),
    height=st.integers(1, 10**6),
    steps=st.lists(words, max_size=2).map(tuple),
    faces=st.lists(faces, max_size=2).map(tuple),
    decision=st.sampled_from(Decision),
    p_ai=st.none() | probabilities,
    interval=st.none() | intervals,
    reasons=reasons,
    coverage=shares,
    level=shares,
    model=st.text(hex_digits, min_size=12, max_size=12),
    version=st.text(min_size=1, max_size=9),
    prior=shares,
    coverage_of_reals=st.none() | shares,
    coverage_of_ai=st.none() | shares,
)
priors = st.floats(1e-6, 1 - 1e-6)
cards = st.lists(st.lists(probabilities, min_size=3, max_size=3).map(sorted), min_size=4).map(
    lambda rates: {
        "measured": {
            "test": {
                name: [middle, low, high]
                for name, (low, middle, high) in zip(
                    ("real_called_ai", "ai_called_ai", "ai_called_real", "real_called_real"),
                    rates,
                    strict=False,
                )
            }
        }
    }
)
failures = st.builds(
    Failure, path=st.none() | names, error=names, hint=words, bug=st.none() | words
)


def a_report(**changes: Any) -> Report:
    verdict = Verdict(
        decision=Decision.AI,
        p_ai=0.1 + 0.2 + 0.6,
        interval=(0.8, 1.0),
        std=0.05,
        total=0.3,
        aleatoric=0.2,
        epistemic=0.1,
        distance=0.4,
        reasons=(Reason.WITHIN_COVERAGE,),
        stability=Stability(copies=("jpeg-60", "screenshot-0.8"), p_ai=(0.1 + 0.2, 0.9)),
    )
    face = FaceResult(
        box=Box(left=1.0, top=2.0, width=30.0, height=40.0),
        landmarks=((5.0, 6.0),) * 5,
        confidence=0.9,
        verdict=verdict,
        reasons=verdict.reasons,
    )
    report = Report(
        path="a.jpg",
        sha256="0" * 64,
        width=100,
        height=80,
        steps=(),
        faces=(face,),
        decision=Decision.AI,
        p_ai=verdict.p_ai,
        interval=verdict.interval,
        reasons=verdict.reasons,
        coverage=0.95,
        level=0.9,
        model="0123456789ab",
        version="0.1.0",
    )
    return replace(report, **changes)


@settings(max_examples=60)
@given(reports | failures)
def test_the_schema_accepts_every_record_and_the_line_is_strict_json(
    outcome: Report | Failure,
) -> None:
    CHECK.validate(record(outcome))
    text = line(outcome)
    assert text.isascii()
    assert len(text.splitlines()) == 1

    def refuse(word: str) -> None:
        pytest.fail(f"{word} is not JSON")

    back = json.loads(text, parse_constant=refuse)
    assert back == record(outcome)
    json.dumps(back, ensure_ascii=False).encode("utf-8")  # no lone surrogate anywhere


@settings(max_examples=60)
@given(reports, priors, cards)
def test_the_schema_accepts_every_record_at_a_prior(
    report: Report, prior: float, card: dict[str, Any]
) -> None:
    at, values = at_prior(report, prior), predictive_values(card, prior)
    entry = json.loads(line(report, at, values))
    CHECK.validate(entry)
    assert entry["prior"] == report.prior
    assert (entry["at_prior"] is None) == (report.p_ai is None or report.interval is None)
    if entry["at_prior"]:
        assert entry["at_prior"]["prior"] == prior
        assert (entry["at_prior"]["predictive"] is None) == (values is None)


@settings(max_examples=60)
@given(reports | failures)
def test_the_path_comes_back_to_the_byte(outcome: Report | Failure) -> None:
    assert path_of(json.loads(line(outcome))) == outcome.path


def test_a_path_that_no_file_can_have_is_still_written() -> None:
    failure = Failure(path="\ud800.jpg", error="\ud800.jpg: is not there", hint="Look again.")
    CHECK.validate(record(failure))
    assert json.loads(line(failure))["path"] == r"\ud800.jpg"


def test_nothing_is_rounded() -> None:
    assert json.loads(line(a_report()))["p_ai"] == 0.1 + 0.2 + 0.6


def test_each_copy_is_named_with_its_number() -> None:
    (face,) = json.loads(line(a_report()))["faces"]
    assert face["stability"] == {
        "copies": [{"name": "jpeg-60", "p_ai": 0.1 + 0.2}, {"name": "screenshot-0.8", "p_ai": 0.9}],
        "low": 0.1 + 0.2,
        "high": 0.9,
    }


def test_the_promise_stands_beside_the_answer() -> None:
    entry = record(a_report())
    assert (entry["coverage"], entry["level"]) == (0.95, 0.9)
    assert (entry["coverage_of_reals"], entry["coverage_of_ai"]) == (0.95, 0.95)
    told: dict[str, Any] = record(a_report(coverage_of_reals=0.99, coverage_of_ai=0.95))
    assert (told["coverage_of_reals"], told["coverage_of_ai"]) == (0.99, 0.95)


def test_every_field_of_a_report_is_in_its_record() -> None:
    entry: dict[str, Any] = record(a_report())
    assert {field.name for field in fields(Report)} == entry.keys() - {"schema", "at_prior"}
    (face,) = entry["faces"]
    wanted = {field.name for kind in (FaceResult, Verdict) for field in fields(kind)}
    assert wanted - {"verdict"} == face.keys()
    assert {field.name for field in fields(Box)} == face["box"].keys()


def test_a_face_that_was_not_judged_has_nulls_and_a_reason() -> None:
    (face,) = a_report().faces
    face = replace(face, verdict=None, reasons=(Reason.FACE_TOO_SMALL,))
    report = a_report(faces=(face,), decision=Decision.UNDECIDED, p_ai=None, interval=None)
    entry: dict[str, Any] = record(report)
    CHECK.validate(entry)
    assert (entry["p_ai"], entry["interval"]) == (None, None)
    (found,) = entry["faces"]
    belief = ("p_ai", "interval", "std", "total", "aleatoric", "epistemic", "distance", "stability")
    assert [found[key] for key in belief] == [None] * len(belief)
    assert (found["decision"], found["reasons"]) == ("undecided", ["face_too_small"])


def test_a_number_that_is_none_becomes_null() -> None:
    (face,) = a_report().faces
    assert face.verdict
    face = replace(face, verdict=replace(face.verdict, distance=math.inf, std=math.nan))
    (found,) = json.loads(line(a_report(faces=(face,))))["faces"]
    assert (found["distance"], found["std"]) == (None, None)


def test_a_place_that_is_no_number_is_refused() -> None:
    (face,) = a_report().faces
    with pytest.raises(ValueError, match="JSON compliant"):
        line(a_report(faces=(replace(face, confidence=math.nan),)))


def test_a_failure_has_no_decision_and_a_bug_only_if_there_is_one() -> None:
    failure = Failure(path="a.jpg", error="zero bytes came", hint="Get the file again.")
    assert record(failure).keys() == {"schema", "path", "error", "hint"}
    assert record(replace(failure, bug="Traceback"))["bug"] == "Traceback"


readings = st.builds(
    Reading,
    cue=words,
    statistics=st.lists(st.tuples(words, places), max_size=3).map(tuple),
    llr=st.none() | places,
    plain=words,
    technical=words,
)
not_applicable = st.builds(NotApplicable, cue=words, why=words)


@settings(max_examples=40)
@given(st.lists(st.none() | st.lists(readings | not_applicable, max_size=3), max_size=3))
def test_the_schema_accepts_what_cues_said_of_each_face(
    cues: list[list[Reading | NotApplicable] | None],
) -> None:
    report = a_report(faces=a_report().faces * len(cues))
    entry = json.loads(line(report, cues=cues))
    CHECK.validate(entry)
    told = [face.pop("cues") for face in entry["faces"]]
    assert told == [one if one is None else [cue_record(answer) for answer in one] for one in cues]
    assert entry == json.loads(line(report))  # all else is as it is without them


SILENT = NotApplicable(cue="noise", why="too small")
SPOKEN = Reading(cue="noise", statistics=(("a", 1.0),), llr=None, plain="p.", technical="t.")


@pytest.mark.parametrize(
    ("answer", "lie"),
    [
        (SILENT, {"llr": 0.1}),
        (SILENT, {"silent": None}),
        (SPOKEN, {"silent": "too small"}),
        (SPOKEN, {"statistics": {"a": "1"}}),
        (SPOKEN, {"more": 1}),
    ],
)
def test_the_schema_rejects_a_cue_that_both_speaks_and_is_silent_or_neither(
    answer: Reading | NotApplicable, lie: dict[str, object]
) -> None:
    entry: dict[str, Any] = record(a_report(), cues=[[answer]])
    CHECK.validate(entry)
    entry["faces"][0]["cues"][0] |= lie
    assert not CHECK.is_valid(entry)


def test_answers_of_cues_are_one_list_for_each_face() -> None:
    with pytest.raises(ValueError, match="zip"):
        line(a_report(), cues=[])


def test_the_schema_is_a_schema_and_knows_every_reason_and_decision() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    kinds = schema()["$defs"]
    assert kinds["reasons"]["items"]["enum"] == [reason.value for reason in Reason]
    assert kinds["decision"]["enum"] == [decision.value for decision in Decision]


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
        {"schema": "veridical.report/2"},
        {"error": "half a failure"},
        {"extra": 1},
        {"width": 0},
    ],
    ids=str,
)
def test_the_schema_rejects_a_report_that_lies(lie: dict[str, object]) -> None:
    assert not CHECK.is_valid(record(a_report()) | lie)


@pytest.mark.parametrize("key", sorted(record(a_report()).keys()))
def test_the_schema_rejects_a_report_with_a_hole(key: str) -> None:
    entry = record(a_report())
    del entry[key]
    assert not CHECK.is_valid(entry)
