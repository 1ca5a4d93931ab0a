import ast
import copy
import pickle
import re
from pathlib import Path

import pytest

from veridical import errors
from veridical.errors import VeridicalError

KINDS = [
    thing
    for thing in vars(errors).values()
    if isinstance(thing, type) and issubclass(thing, VeridicalError)
]


def drawn() -> dict[str, str]:
    """Child and parent for each line of the tree in the module's docstring."""
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r" {4}((?:[│├└─ ] ?)*)(\w+Error|\w+)(?: {2,}.*)?$", line):
            depth = len(found[1]) // 4
            del above[depth:]
            parents[found[2]] = above[-1] if above else "Exception"
            above.append(found[2])
    return parents


def test_the_tree_is_as_drawn() -> None:
    assert drawn() == {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS}
    assert all(len(kind.__bases__) == 1 for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_all_sentences_survive_a_trip_between_processes(kind: type[VeridicalError]) -> None:
    error = kind("a.jpg: zero bytes came.", hint="Get the file again.", cli_hint="Copy it again.")
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(back) is kind
        assert (back.message, back.hint) == ("a.jpg: zero bytes came.", "Get the file again.")
        assert back.cli_hint == "Copy it again."
        assert str(back) == "a.jpg: zero bytes came. Get the file again."
        assert back.args == error.args


@pytest.mark.parametrize("kind", KINDS)
def test_no_error_comes_without_a_hint(kind: type[VeridicalError]) -> None:
    with pytest.raises(TypeError, match="hint"):
        kind("Something came.")  # type: ignore[call-arg]


def test_a_batch_can_tell_the_files_fault_from_all_others() -> None:
    photo = {kind.__name__ for kind in KINDS if issubclass(kind, errors.PhotoError)}
    assert {"PhotoMissing", "PhotoDamaged", "NotAPhoto"} <= photo
    assert not photo & {"ModelMissing", "DataError", "MissingExtra"}


def test_a_hint_names_options_at_the_command_line_and_arguments_in_python() -> None:
    error = VeridicalError("No.", hint="Leave --allow-confounds out (`veridical train --out` too).")
    assert error.cli_hint == "Leave --allow-confounds out (`veridical train --out` too)."
    assert error.hint == "Leave `allow_confounds` out (`veridical train --out` too)."
    for same in ("Run: pip install --force-reinstall pillow", "Look again -- twice."):
        assert VeridicalError("No.", hint=same).hint == same
    other = VeridicalError("No.", hint="Raise Limits.max_bytes.", cli_hint="Raise --max-mbytes.")
    assert (other.hint, other.cli_hint) == ("Raise Limits.max_bytes.", "Raise --max-mbytes.")


def test_no_hint_of_the_program_shows_an_option_to_python() -> None:
    for path in sorted(Path(errors.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            given = {one.arg: ast.unparse(one.value) for one in node.keywords}
            if "cli_hint" in given and "hint" in given:  # else it is made of the other
                assert not re.search(r"(?<![\w-])--[a-z]", given["hint"]), (path, given)
                assert "Limits." not in given["cli_hint"], (path, given)
            elif "hint" in given:
                assert "Limits." not in given["hint"], (path, given)
