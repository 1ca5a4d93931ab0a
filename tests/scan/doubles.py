"""Judges that cost nothing, and some that do harm: what the tests hand to an engine."""

import hashlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import FakeFinder, see_through
from veridical.scan.judge import DetectorMaker, Judge, Judged, judged
from veridical.scan.ledger import Identity
from veridical.scan.plan import Item


def identity(format_: Any = "jsonl", **options: Any) -> Identity:
    return Identity(model="0123456789ab", version="0", options=options, format=format_)


def answered(item: Item) -> Judged:
    """An answer that follows from the name alone."""
    digest = hashlib.sha256(os.fsencode(item.path)).digest()
    p = digest[0] / 255
    decision = "ai" if p > 0.9 else "real" if p < 0.5 else "undecided"
    row = {"decision": decision, "p_ai": p, "sha256": digest.hex(), "faces": 1, "media": "picture"}
    return Judged(item=item, picture=row, faces=({"face": 1, "decision": decision, "p_ai": p},))


@dataclass(frozen=True)
class ByName:
    """Judges by name; some names do harm to their worker.

    Attributes:
        slow_s: Seconds for each item.
        notes: Folder where harm is noted, so that `once` does it once.
    """

    slow_s: float = 0.0
    notes: str = ""

    def __call__(self) -> Judge:
        return self.judge

    def judge(self, item: Item) -> Judged:
        if self.slow_s:
            time.sleep(self.slow_s)
        if "segfault" in item.path or ("once" in item.path and self._first(item)):
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hangs" in item.path:
            time.sleep(600)
        if "fault" in item.path:
            return judged(item, _breaks)
        return answered(item)

    def _first(self, item: Item) -> bool:
        try:
            (Path(self.notes) / Path(item.path).name).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _breaks(_item: Item) -> Any:
    raise ZeroDivisionError


@dataclass(frozen=True)
class SeeThrough:
    """A real detector whose parts one can see through."""

    def __call__(self) -> Judge:
        return DetectorMaker(see_through(FakeFinder()))()
