"""The same bytes under another name get the same answer, and are judged once.

Who hands items out remembers the latest answers by the size of the file, and gives those of the
same size along. Who judges compares the SHA-256, so that a chance match of sizes costs a hash.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import replace

from veridical.scan.judge import Judged
from veridical.scan.plan import Item

_SIZES = 4096  # of files whose answers are remembered
_MOST = 4  # answers per size


class Answers:
    """The latest answers, by the size of the file: some MB at most."""

    def __init__(self) -> None:
        self._by_size: OrderedDict[int, tuple[tuple[str, str], ...]] = OrderedDict()

    def given(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield the items, with the answers about files of their size."""
        for item in items:
            alike = self._by_size.get(item.size or 0)
            yield replace(item, alike=alike) if alike else item

    def note(self, one: Judged) -> None:
        """Remember an answer. A failure is none: another try may end in another way."""
        size, sha256 = one.item.size, one.picture.get("sha256")
        if not size or not sha256 or one.picture["decision"] == "failed":
            return
        known = self._by_size.pop(size, ())
        if all(sha256 != other for other, _ in known):
            known = (*known[-_MOST + 1 :], (sha256, json.dumps([one.picture, list(one.faces)])))
        self._by_size[size] = known
        if len(self._by_size) > _SIZES:
            self._by_size.popitem(last=False)
