import json
from pathlib import Path

import pytest

from veridical._optional import need
from veridical.errors import MissingExtra


def test_what_is_installed_is_imported() -> None:
    assert need("json", extra="train", to="read cards") is json
    assert need("importlib.resources", extra="train", to="read").__name__ == "importlib.resources"


@pytest.mark.parametrize("module", ["veridical_nowhere", "veridical_nowhere.deep.inside"])
def test_what_is_absent_is_missed_politely(module: str) -> None:
    with pytest.raises(MissingExtra) as caught:
        need(module, extra="train", to="train a model")
    assert caught.value.message == (
        "The package 'veridical_nowhere' is needed to train a model, and is not installed."
    )
    assert "pip install 'veridical[train]'" in caught.value.hint
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        ("import veridical_nowhere", ModuleNotFoundError, "veridical_nowhere"),
        ("raise ImportError('wrong ABI')", ImportError, "wrong ABI"),
        ("1 / 0", ZeroDivisionError, "division"),
    ],
)
def test_what_is_broken_fails_as_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    error: type[Exception],
    says: str,
) -> None:
    (tmp_path / "veridical_broken.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(error, match=says):
        need("veridical_broken", extra="train", to="train a model")


def test_an_absent_part_of_an_installed_package_fails_as_itself() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"json\.nonsense"):
        need("json.nonsense", extra="train", to="train a model")
