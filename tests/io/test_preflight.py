import errno
import os
import pickle
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from veridical.errors import (
    DataError,
    FolderUnusable,
    FormatNotInstalled,
    MissingExtra,
    NotAPhoto,
    NotReady,
    PhotoEmpty,
    PhotoMissing,
    PhotoUnreadable,
)
from veridical.io import preflight


def test_one_problem_is_itself_and_several_are_one_error_about_all() -> None:
    one, other = DataError("a.csv: no rows.", hint="Add some."), MissingExtra("x.", hint="Get x.")
    preflight.refuse([])
    with pytest.raises(DataError) as alone:
        preflight.refuse([one])
    assert alone.value is one
    with pytest.raises(NotReady) as caught:
        preflight.refuse([one, other])
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert "2 reasons: (1) a.csv: no rows. (2) x." in error.message
        assert error.hint == "(1) Add some. (2) Get x."
        assert [problem.message for problem in error.problems] == [one.message, other.message]


def test_all_packages_that_are_absent_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("matplotlib", "sklearn"):
        monkeypatch.setitem(sys.modules, module, None)
    asked = ["matplotlib.figure", "numpy", "sklearn.ensemble", "sklearn.linear_model"]
    (error,) = preflight.packages(asked, extra="train", to="train")
    assert "The packages 'matplotlib' and 'sklearn' are needed to train" in error.message
    assert error.hint == "Install them with: pip install 'veridical[train]'"
    assert not preflight.packages(["numpy.linalg"], extra="train", to="count")


def test_a_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    assert not preflight.folders({tmp_path / "a" / "b": 1, tmp_path: 1})
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    wrong = preflight.folders({tmp_path / "file": 1, tmp_path / "file" / "x": 1})
    assert "file: is a file; a folder was wanted" in wrong[0].message
    assert "Not a directory" in wrong[1].message
    assert all(isinstance(one, FolderUnusable) for one in wrong)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_space_is_asked_for_once_per_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10_000_000))
    assert not preflight.folders({tmp_path / "a": 6_000_000})
    (error,) = preflight.folders({tmp_path / "a": 6_000_000, tmp_path / "b": 6_000_000})
    assert "b: 10 MB are free on its disk; about 12 MB are needed." in error.message


def test_a_disk_that_is_full_or_read_only_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, says in ((errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only")):

        def refused(*_: object, number: int = number, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("tempfile.TemporaryFile", refused)
        (error,) = preflight.folders({tmp_path / "new": 1})
        assert says in error.message
        assert not (tmp_path / "new").exists()


def test_pictures_that_cannot_be_judged_are_known_by_their_first_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    made = {
        "good.png": b"\x89PNG\r\n\x1a\n",
        "empty.jpg": b"",
        "text.jpg": b"This is text.",
        "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    }
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "folder.jpg").mkdir()
    names = [*made, "folder.jpg", "nowhere.jpg", "nul\0.jpg"]
    why = preflight.unusable(tmp_path / name for name in names)
    assert {path.name: type(error) for path, error in why.items()} == {
        "empty.jpg": PhotoEmpty,
        "text.jpg": NotAPhoto,
        "phone.heic": FormatNotInstalled,
        "folder.jpg": PhotoUnreadable,
        "nowhere.jpg": PhotoMissing,
        "nul\0.jpg": PhotoMissing,
    }
    assert preflight.said(why).startswith(" 6 cannot be used: ")
    assert preflight.said(why).endswith(" And 3 more.")
    assert preflight.said({}) == ""
