"""What several tests of training need."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from veridical.io.decode import decode


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each picture was decoded, by its name."""
    counts = Counter[str]()

    def counted(*arguments: Any, **options: Any) -> Any:
        counts[Path(options["name"]).name] += 1
        return decode(*arguments, **options)

    monkeypatch.setattr("veridical.io.source.decode", counted)
    return counts
