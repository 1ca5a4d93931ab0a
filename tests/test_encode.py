import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf, nan, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.present.made import ABSENT, FACE, INFORMS, SMALL, SPOKEN, explanation, report
from veridical.encode import plain, restored
from veridical.report import Decision, Report


class Kind(StrEnum):
    ONE = "one"


@dataclass(frozen=True)
class Inner:
    value: float
    kind: Kind = Kind.ONE


@dataclass(frozen=True)
class Outer:
    inner: Inner
    several: tuple[Inner, ...]
    drawing: object = field(default=None, metadata={"json": False})


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_comes_out_goes_through_json_and_back(value: object) -> None:
    made = plain(value)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert plain(made) == made


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_number_is_rounded(value: float) -> None:
    assert json.loads(json.dumps(plain(value))) == value
    assert plain(np.float64(value)) == value


def test_a_number_that_is_not_finite_becomes_none() -> None:
    assert plain([nan, inf, -inf, 1.5, np.float64("nan")]) == [None, None, None, 1.5, None]
    assert plain(np.array([[1.0, nan], [inf, 0.0]])) == [[1.0, None], [None, 0.0]]


def test_numbers_and_names_become_plain_types() -> None:
    made = plain({Kind.ONE: np.float64(pi), "kind": Kind.ONE, 3: (1, 2)})
    assert made == {"one": pi, "kind": "one", "3": [1, 2]}
    assert isinstance(made, dict)
    assert {type(key) for key in made} == {str}
    assert type(made["one"]) is float
    assert type(made["kind"]) is str
    assert plain(True) is True


def test_text_that_is_no_unicode_is_escaped() -> None:
    assert plain("a\udce9.jpg") == "a\\udce9.jpg"
    assert plain("größe \U0001f600") == "größe \U0001f600"


def test_dataclasses_are_written_by_their_fields_at_any_depth() -> None:
    made = plain(Outer(Inner(1.0), (Inner(nan), Inner(2.0)), drawing=object()))
    assert made == {
        "inner": {"value": 1.0, "kind": "one"},
        "several": [{"value": None, "kind": "one"}, {"value": 2.0, "kind": "one"}],
    }


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object(), Path("a")])
def test_what_has_no_place_in_json_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match=f"A {type(value).__name__} has no place in JSON"):
        plain([value])


def test_what_was_made_plain_can_be_restored() -> None:
    face = replace(FACE, explanation=explanation(), readings=(SPOKEN, INFORMS, ABSENT))
    told = report(face, SMALL).to_dict()
    assert restored(Report, told).to_dict() == told


@pytest.mark.parametrize(
    ("kind", "value"),
    [(int, 1.5), (bool, 1), (Decision, "maybe"), (tuple[int, ...], ["x"]), (Report, {"path": "a"})],
)
def test_what_is_of_another_shape_is_not_restored(kind: Any, value: object) -> None:
    with pytest.raises(ValueError, match=r"wanted|is not a valid"):
        restored(kind, value)


def test_a_number_that_json_has_no_word_for_comes_back_as_no_number() -> None:
    assert np.isnan(restored(float, None))
    assert restored(float | None, None) is None
