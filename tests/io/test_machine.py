from importlib.metadata import version
from pathlib import Path

import pytest

from veridical.io import machine


@pytest.fixture(autouse=True)
def forget() -> None:
    machine.this_machine.cache_clear()


def told(monkeypatch: pytest.MonkeyPatch, path: Path) -> machine.Machine:
    monkeypatch.setattr(machine, "_CPUINFO", path)
    found = machine.this_machine()
    machine.this_machine.cache_clear()
    return found


def test_the_libraries_of_the_judgement_are_named_with_their_versions() -> None:
    found = machine.this_machine().libraries
    for name in ("onnxruntime", "numpy", "pillow", "safetensors"):
        assert found[name] == version(name)
    assert "pillow: zlib" in found
    assert any(name.startswith("numpy: ") for name in found)
    assert all(isinstance(number, str) and number for number in found.values())


def test_flags_are_those_of_the_first_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(
        "processor\t: 0\nmodel name\t: Example 9\ncpu MHz\t\t: 2.1\nflags\t\t: fpu smep avx2 fma\n"
        "\nprocessor\t: 1\nflags\t\t: fpu\n"
    )
    found = told(monkeypatch, path)
    assert found.processor == "Example 9"
    assert found.flags == ("avx2", "fma", "fpu", "smep")
    assert found.arithmetic == ("avx2", "fma")
    assert found.flags_from == "the system"


def test_arm_calls_its_flags_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nFeatures\t: fp asimd i8mm\n")
    assert told(monkeypatch, path).arithmetic == ("asimd", "i8mm")


def test_without_the_systems_word_numpy_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = told(monkeypatch, tmp_path / "absent")
    assert found.flags_from == "NumPy"
    assert found.flags
