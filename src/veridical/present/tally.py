"""What came of many pictures: how many got which answer, and why the others got none."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from veridical.claims import Declared
from veridical.present import words
from veridical.report import Decision, Failure, Reason
from veridical.video import Answer

FAILED = "failed"
"""Beside the decisions: the kind of a picture that could not be judged."""


def kind(outcome: Answer | Failure) -> str:
    """Return the decision as a word for programs, or `FAILED`."""
    return FAILED if isinstance(outcome, Failure) else outcome.decision.value


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Counts, to be added to.

    Attributes:
        kinds: Pictures of each `kind`.
        reasons: Undecided pictures by their first reason.
        hints: Failed pictures by what to do about them.
        declared: Judged pictures by what their files say of their origin.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Reason] = field(default_factory=Counter)
    hints: Counter[str] = field(default_factory=Counter)
    declared: Counter[Declared] = field(default_factory=Counter)

    def add(self, outcome: Answer | Failure) -> None:
        """Count one picture."""
        self.kinds[kind(outcome)] += 1
        if isinstance(outcome, Failure):
            self.hints[outcome.hint] += 1
            return
        if outcome.declared is not Declared.NONE:
            self.declared[outcome.declared] += 1
        if outcome.decision is Decision.UNDECIDED:
            self.reasons.update(outcome.reasons[:1])

    @property
    def total(self) -> int:
        """All pictures."""
        return self.kinds.total()

    @property
    def failed(self) -> int:
        """Pictures that could not be judged."""
        return self.kinds[FAILED]

    def undecided(self) -> Iterator[tuple[int, str, str]]:
        """Yield how many pictures are undecided for a reason, that reason, and what to do next."""
        for reason, count in self.reasons.most_common():
            why, step = words.plainly(reason), words.next_step(Decision.UNDECIDED, (reason,))
            yield count, words.sentence(why), step
