"""What is missing is said before the work, all at once; what was done before a stop is not lost."""

import csv
import errno
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from tests.cli.conftest import Album, Picture, Run, clean_error, invoke, written
from veridical.detector import Detector
from veridical.evaluate.kept import NAME
from veridical.train import prepare
from veridical.train.logits import NAME as LOGITS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install: no extra."""
    for module in ("matplotlib", "sklearn", "imagehash", "torch", "transformers", "captum"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be decoded, found or judged."""

    def work(*_: object, **__: object) -> None:
        raise AssertionError("This is the work.")

    monkeypatch.setattr(Detector, "inspect", work)
    monkeypatch.setattr(Detector, "logits", work)
    monkeypatch.setattr(prepare, "prepare", work)


def told(result: Result, *parts: str) -> None:
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == len(parts), result.stderr
    for error, part in zip(errors, parts, strict=True):
        assert part in error


# --- all at once --------------------------------------------------------------------------------


@pytest.mark.usefixtures("bare", "idle")
def test_evaluate_says_all_that_is_missing_before_it_judges(
    tiny_model: Path, album: Album, tmp_path: Path
) -> None:
    data, file = album(real=2, ai=2), tmp_path / "file"
    file.touch()
    plots = "The package 'matplotlib' is needed to draw the plots"
    told(invoke("evaluate", tiny_model, data, "--out", tmp_path / "out"), plots)
    assert not (tmp_path / "out").exists()
    told(invoke("evaluate", tiny_model, data, "--out", file), plots, "file: is a file")
    told(
        invoke("evaluate", tmp_path / "no", tmp_path / "none", "--out", file / "x"),
        "none: nothing is there",
        "no model folder at",
        plots,
        "Not a directory",
    )
    for path in data.rglob("*.png"):
        path.write_text("This is text.")
    told(
        invoke("evaluate", tiny_model, data, "--out", tmp_path / "out"),
        plots,
        "None of 4 pictures can be read, so there is nothing to measure. 4 cannot be used: ",
    )


@pytest.mark.usefixtures("bare", "idle")
def test_train_says_all_that_is_missing_before_it_begins(album: Album, tmp_path: Path) -> None:
    data, file = album(real=30, ai=21), tmp_path / "file"
    file.touch()
    for path in sorted((data / "ai").iterdir())[:3]:
        path.write_bytes(b"")
    missing = "The packages 'sklearn' and 'imagehash' are needed to train a model"
    few = "there are 30 real and 18 AI-generated ones (51 pictures came). 3 cannot be used: "
    out, cache = ("--out", tmp_path / "out"), ("--cache", tmp_path / "cache")
    told(invoke("train", data, "--out", file, *cache), missing, few, "file: is a file")
    told(invoke("train", tmp_path / "no", *out, *cache), "nothing is there", missing)
    packages = "'sklearn', 'imagehash', 'torch' and 'transformers' are needed to train a model"
    told(invoke("train", data, *out, *cache, "--backbone", "some/vit"), packages, few)
    assert written(tmp_path) == ["data", "file"]


@pytest.mark.usefixtures("idle")
def test_pictures_of_too_few_people_are_told_before_the_work(album: Album, tmp_path: Path) -> None:
    data = album(real=20, ai=20)
    rows = [f"{path},{path.parent.name},one person" for path in sorted(data.rglob("*.png"))]
    manifest = data / "list.csv"
    manifest.write_text("path,label,group\n" + "\n".join(rows))
    done = invoke("train", manifest, "--out", tmp_path / "out", "--cache", tmp_path / "cache")
    told(done, "The real pictures are of 1 groups and the AI-generated ones of 1; 3 of each")


@pytest.mark.usefixtures("bare", "idle")
def test_audit_says_all_that_is_missing_before_it_looks(album: Album, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    missing = "The packages 'sklearn' and 'imagehash' are needed to audit pictures"
    data = album(real=2, ai=2)
    (data / "ai" / "0.png").write_bytes(b"")
    (data / "ai" / "1.png").write_bytes(b"")
    told(
        invoke("audit", data, "--cache", file),
        missing,
        "2 real and 0 AI-generated pictures can be read. 2 cannot be used: ",
        "file: is a file",
    )
    told(invoke("audit", tmp_path / "no", "--cache", tmp_path / "cache"), "is there", missing)


@pytest.mark.usefixtures("idle")
def test_calibrate_counts_the_pictures_before_it_judges(
    tiny_model: Path, album: Album, tmp_path: Path
) -> None:
    data, file = album(press=12, fakes=2), tmp_path / "file"
    file.touch()
    (data / "press" / "0.png").write_bytes(b"")
    shutil.copy(data / "press" / "1.png", data / "press" / "2.png")
    given = ("calibrate", tiny_model, "--reals", data / "press", "--out", file)
    told(
        invoke(*given, "--ai", data / "fakes"),
        "10 real pictures can be judged; to be wrong about at most 1 % of them takes at least 99. "
        "1 are copies or hold no pictures. 1 cannot be used: ",
        "2 AI-generated pictures can be judged",
        "file: is a file",
    )


@pytest.mark.usefixtures("bare", "idle")
def test_pages_say_all_that_is_missing_before_a_picture_is_judged(
    run: Run, picture: Picture, tmp_path: Path
) -> None:
    path = picture(tmp_path / "a.png")
    through = "'torch', 'transformers' and 'captum' are needed to make maps"
    told(run(path, "--explain", path / "why", "--through", "x"), through, "Not a directory")


def test_a_disk_that_is_too_full_is_told_before_the_work(
    tiny_model: Path, album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    data = album(real=20, ai=20)
    full = "1 MB are free on its disk; about"
    cache = ("--cache", tmp_path / "cache")
    told(invoke("evaluate", tiny_model, data, "--out", tmp_path / "out"), full)
    told(invoke("audit", data, *cache), full)
    for one in ("out", "cache"):
        done = invoke("train", data, "--out", tmp_path / "out", *cache)
        assert f"{one}: {full}" in done.stderr
    assert written(tmp_path) == ["data"]


# --- stopped, and going on ----------------------------------------------------------------------


def stop_after(
    patch: pytest.MonkeyPatch, place: Any, name: str, after: int
) -> "tuple[Counter[str], Callable[..., Any]]":
    """Count the calls of a function; stop at the one after so many, as Ctrl-C does."""
    calls, call = Counter[str](), getattr(place, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        calls[name] += 1
        if calls[name] == after + 1:
            raise KeyboardInterrupt
        return call(*arguments, **options)

    patch.setattr(place, name, counted)
    return calls, call


def test_evaluate_goes_on_from_the_verdicts_that_are_there(
    run: Run,
    tiny_model: Path,
    album: Album,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data, out = album(real=6, ai=6), tmp_path / "out"
    (data / "ai" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    given = ("evaluate", tiny_model, data, "--resamples", 100, "--jobs", 1, "--out")
    assert invoke(*given, tmp_path / "whole").exit_code == 0
    calls, _ = stop_after(monkeypatch, Detector, "inspect", 5)
    stopped = invoke(*given, out)
    assert stopped.exit_code == 130
    line = stopped.stderr.splitlines()[-1]
    assert line == (
        f"Stopped at: Judging pictures, 5 of 12 done. The verdicts so far are kept in {out}; run "
        "the same command again to go on."
    )
    assert written(out) == [NAME, "predictions.csv"]
    with (out / "predictions.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 5
    with (out / NAME).open("a") as file:
        file.write('{"path": "torn')
    calls.clear()
    calls["inspect"] = 100
    done = invoke(*given, out)
    assert done.exit_code == 0, done.output
    # The broken picture is tried again: it is the fourth, and was judged before the stop.
    again = calls["inspect"] - 100
    assert f"Going on from an earlier run: {12 - again} of 12 pictures are judged" in done.stderr
    assert again in (7, 8)
    assert NAME not in written(out)
    for name in ("evaluation.json", "predictions.csv", "evaluation.md"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_verdicts_of_other_settings_and_of_changed_pictures_are_not_taken(
    run: Run, tiny_model: Path, album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = album(real=4), tmp_path / "out"
    given = ("evaluate", tiny_model, data, "--resamples", 100, "--jobs", 1, "--out", out)
    with monkeypatch.context() as patch:
        stop_after(patch, Detector, "inspect", 3)
        assert invoke(*given).exit_code == 130
    shutil.copy(out / NAME, kept := tmp_path / NAME)
    assert "Going on" not in invoke(*given, "--no-recheck").stderr
    shutil.copy(kept, out / NAME)
    os.utime(data / "real" / "0.png", (1, 1))
    assert "2 of 4 pictures are judged" in invoke(*given).stderr
    shutil.copy(kept, out / NAME)
    (out / NAME).write_bytes(b"\xff\xfe not ours")
    assert "Going on" not in invoke(*given).stderr


def test_a_whole_evaluation_stays_whole_when_the_next_is_stopped(
    run: Run, tiny_model: Path, album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = album(real=4), tmp_path / "out"
    given = ("evaluate", tiny_model, data, "--resamples", 100, "--jobs", 1, "--out", out)
    assert invoke(*given).exit_code == 0
    before = (out / "predictions.csv").read_bytes()
    stop_after(monkeypatch, Detector, "inspect", 2)
    assert invoke(*given).exit_code == 130
    assert (out / "predictions.csv").read_bytes() == before


def test_an_audit_goes_on_from_what_it_has_seen(
    audit: Run, album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = album(real=6, ai=6), tmp_path / "cache"
    given = (data, "--jobs", 1, "--cache", cache)
    whole = audit(data, "--jobs", 1, "--cache", tmp_path / "other")
    calls, _ = stop_after(monkeypatch, prepare, "prepare", 5)
    stopped = audit(*given)
    assert stopped.exit_code == 130
    assert "Auditing pictures, 5 of 12 done" in stopped.stderr.splitlines()[-1]
    assert str(cache) in stopped.stderr.splitlines()[-1]
    calls["prepare"] = 100
    done = audit(*given)
    assert done.stdout == whole.stdout
    assert calls["prepare"] == 107
    assert f"Going on from earlier runs: {cache} has 5 pictures prepared" in done.stderr


def test_calibrate_goes_on_from_what_it_has_judged(
    run: Run, tiny_model: Path, album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = album(press=20, fakes=12), tmp_path / "new"
    (data / "press" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    folders = ("--reals", data / "press", "--ai", data / "fakes")
    given = ("calibrate", tiny_model, *folders, "--fpr", 0.1, "--jobs", 1, "--out")
    whole = invoke(*given, tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    calls, _ = stop_after(monkeypatch, Detector, "logits", 24)
    stopped = invoke(*given, out)
    assert stopped.exit_code == 130
    assert stopped.stderr.splitlines()[-1] == (
        f"Stopped at: Judging pictures, 4 of 12 done. What was judged is kept in {out}; run the "
        "same command again to go on."
    )
    assert written(out) == [LOGITS]
    calls["logits"] = 100
    done = invoke(*given, out)
    assert done.exit_code == 0, done.output
    assert done.stdout == whole.stdout.replace(str(tmp_path / "whole"), str(out))
    assert calls["logits"] == 109  # the broken picture again, and eight that were left
    for known in ("19 of 20", "4 of 12"):
        assert f"Going on from an earlier run: {known} pictures are judged" in done.stderr
    assert LOGITS not in written(out)
    for name in ("model.safetensors", "backbone.onnx"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_all_that_calibrate_lacks_is_told_at_once(
    run: Run, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    given = ("calibrate", tmp_path / "model", "--reals", tmp_path / "a", "--ai", tmp_path / "b")
    done = invoke(*given, "--out", tmp_path / "file")
    told(done, "a: no such", "b: no such", "no model folder at", "a folder was wanted")
    known = ("calibrate", tiny_model, "--reals", tmp_path / "a", "--out", tmp_path / "new")
    told(invoke(*known), "a: no such folder; a folder of pictures was wanted.")
    assert written(tmp_path) == ["file"]


def test_a_disk_that_fills_up_names_the_folder_and_what_is_kept(
    run: Run, tiny_model: Path, album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = album(real=4), tmp_path / "out"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("veridical.evaluate.files._put", full)
    done = invoke("evaluate", tiny_model, data, "--resamples", 100, "--out", out)
    clean_error(done, f"{out}: cannot be written to (No space left on device)")
    assert NAME in done.stderr
    monkeypatch.undo()
    assert NAME in written(out)


def test_what_will_be_left_out_is_said_before_the_work(
    run: Run, tiny_model: Path, album: Album, tmp_path: Path
) -> None:
    data = album(real=4)
    (data / "real" / "2.png").write_text("This is text.")
    done = invoke("evaluate", tiny_model, data, "--resamples", 100, "--out", tmp_path / "out")
    told = done.stderr.index("Of 4 pictures, 1 cannot be used: ")
    assert told < done.stderr.index("Judging pictures")
