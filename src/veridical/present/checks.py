"""What `verify` found: one check after the other, and what they say together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["same", "differs", "unchecked", "note"]
HEAD = "head of the log"
"""Name of the check whether a log was cut off."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: What.
        state: `note` tells something that is no fault by itself, such as another processor.
        says: What was found.
    """

    name: str
    state: State
    says: str


Result = Literal["same", "differs", "unchecked"]
_RESULT: dict[Result, str] = {
    "same": "SAME: no check found a difference ({count}){notes}.",
    "differs": "DIFFERS: {differs}. The lines below say in what.",
    "unchecked": "NOT FULLY CHECKED: {unchecked}. Nothing that was checked differs.",
}


def result(checks: Sequence[Check]) -> tuple[Result, str]:
    """Return what all checks say together, in one word and in one line."""
    named = {
        state: ", ".join(one.name for one in checks if one.state == state)
        for state in ("differs", "unchecked", "note")
    }
    notes = f"; read the notes on: {named['note']}" if named["note"] else ""
    if any(one.name == HEAD and one.state == "note" for one in checks):
        notes = f"; the log's head was not compared{notes}"
    word: Result = "differs" if named["differs"] else "unchecked" if named["unchecked"] else "same"
    return word, _RESULT[word].format(count=counted(len(checks), "check"), notes=notes, **named)


def counted(count: int, what: str) -> str:
    """Return a count with its noun: "1 line", "2 lines"."""
    return f"{count} {what}{'' if count == 1 else 's'}"
