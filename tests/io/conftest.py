"""Folders of empty files, for what walks them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veridical.errors import VeridicalError
from veridical.io.dataset import read_samples

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Empty files with the given names below a fresh folder."""

    def plant(*names: str) -> Path:
        data = tmp_path / "data"
        for name in names:
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).touch()
        return data

    return plant


def refused(kind: type[VeridicalError], data: Path, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        read_samples(data, **options)
    assert type(caught.value) is kind
    return f"{caught.value.message} {caught.value.cli_hint or caught.value.hint}"
