import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from tests.cli.conftest import Picture, Run, clean_error, invoke, see
from veridical.detector import Detector
from veridical.io.machine import this_machine
from veridical.present.verifying import differences

pytest.importorskip("typst")

AT = ("--at", "2024-11-28T12:00:00+01:00")
Change = Callable[[dict[str, Any]], object]
_OTHER = {"supports_ai": "supports_real"} | dict.fromkeys(
    ("supports_real", "no_conclusion"), "supports_ai"
)


@pytest.fixture
def photo(picture: Picture, tmp_path: Path) -> Path:
    return picture(tmp_path / "a.png")


@pytest.fixture
def report(
    tiny_model: Path,
    tiny_detector: Detector,
    monkeypatch: pytest.MonkeyPatch,
    photo: Path,
    tmp_path: Path,
) -> Run:
    """File a report on `photo` in the folder `case`."""
    see(tiny_detector.finder, monkeypatch)
    return lambda *arguments: invoke(
        "report", photo, "--model", tiny_model, "--out", tmp_path / "case", *AT, *arguments
    )


@pytest.fixture
def case(report: Run, tmp_path: Path) -> Path:
    """A report that was filed, with a log."""
    assert report("--case", "17", "--log", tmp_path / "log").exit_code == 0
    return tmp_path / "case"


@pytest.fixture
def verify(tiny_model: Path) -> Run:
    return lambda *arguments: invoke("verify", "--model", tiny_model, *arguments)


def states(result: Result) -> dict[str, str]:
    return {one["name"]: one["state"] for one in json.loads(result.stdout)["checks"]}


def saying(result: Result, name: str) -> str:
    (one,) = (one for one in json.loads(result.stdout)["checks"] if one["name"] == name)
    return str(one["says"])


def resum(case: Path) -> None:
    """Make the sums anew, as somebody would who changed a file."""
    names = ("report.pdf", "report.html", "report.json")
    lines = (f"{sha256((case / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (case / "sha256sums.txt").write_text("".join(lines))


def change(case: Path, how: Change) -> None:
    """Change what report.json says, and its sum."""
    record = json.loads((case / "report.json").read_text())
    how(record)
    (case / "report.json").write_text(json.dumps(record))
    resum(case)


def test_a_report_that_nobody_touched_is_the_same_to_the_bit(
    verify: Run, case: Path, tmp_path: Path
) -> None:
    head = json.loads((tmp_path / "log").read_text())["hash"]
    result = verify(case, "--log", tmp_path / "log", "--head", head, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["same"] is True
    assert states(result).pop("time") == "note"  # --at is years before
    assert {state for name, state in states(result).items() if name != "time"} == {"same"}
    assert set(states(result)) == {
        *("log", "head of the log", "files", "line in the log", "time", "picture", "model"),
        *("version", "machine", "words", "forms", "judgement", "claims", "made again"),
    }
    told = verify(case)
    assert told.exit_code == 0
    assert "all that was found out about the pixels is the same to the bit." in told.stdout


@pytest.mark.parametrize("name", ["report.pdf", "report.html", "report.json", "sha256sums.txt"])
def test_a_changed_file_is_named(verify: Run, case: Path, name: str) -> None:
    with (case / name).open("ab") as file:
        file.write(b" ")
    result = verify(case, "--json")
    assert result.exit_code == 5
    assert states(result)["files"] == "differs"
    assert name in saying(result, "files")


@pytest.mark.parametrize("name", ["report.pdf", "report.html", "sha256sums.txt"])
def test_a_missing_file_is_named(verify: Run, case: Path, name: str) -> None:
    (case / name).unlink()
    result = verify(case, "--json")
    assert result.exit_code == 5
    assert f"{name} is absent" in saying(result, "files")


def test_what_was_added_is_told_and_is_no_fault(verify: Run, case: Path) -> None:
    (case / "notes\x1b.txt").write_text("mine")
    result = verify(case)
    assert result.exit_code == 0
    assert r"Not part of the report: notes\x1b.txt." in result.stdout


@pytest.mark.parametrize("name", ["report.pdf", "report.html"])
def test_a_forged_form_with_its_sum_is_found_by_making_it_again(
    verify: Run, case: Path, name: str
) -> None:
    with (case / name).open("ab") as file:
        file.write(b" ")
    resum(case)
    result = verify(case, "--json")
    assert result.exit_code == 5
    assert states(result)["files"] == "same"
    assert states(result)["made again"] == "differs"
    assert name in saying(result, "made again")


def test_a_changed_number_is_found_with_its_place_and_size(verify: Run, case: Path) -> None:
    def raised(record: dict[str, Any]) -> None:
        record["report"]["faces"][0]["verdict"]["std"] += 0.25

    change(case, raised)
    result = verify(case, "--json")
    assert result.exit_code == 5
    assert states(result)["judgement"] == "differs"
    assert "1 difference: faces[0].verdict.std" in saying(result, "judgement")
    assert "The largest difference of a number is 0.25" in saying(result, "judgement")


def test_a_changed_claim_is_found_and_is_no_change_of_the_judgement(
    verify: Run, case: Path
) -> None:
    change(case, lambda record: record["report"].update(headline="Signed by a camera."))
    result = verify(case, "--json")
    assert result.exit_code == 5
    assert (states(result)["judgement"], states(result)["claims"]) == ("same", "differs")
    assert "Signed by a camera." in saying(result, "claims")


def test_another_picture_is_not_the_one_of_the_report(
    verify: Run, case: Path, picture: Picture, tmp_path: Path
) -> None:
    result = verify(case, "--photo", picture(tmp_path / "b.png"), "--json")
    assert result.exit_code == 5
    assert (states(result)["picture"], states(result)["judgement"]) == ("differs", "unchecked")


def test_a_picture_that_is_gone_leaves_the_judgement_open(
    verify: Run, case: Path, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    moved = photo.rename(tmp_path / "elsewhere" / "moved.jpg")  # still the same picture
    result = verify(case, "--json")
    assert (result.exit_code, json.loads(result.stdout)["result"]) == (6, "unchecked")
    assert (states(result)["picture"], states(result)["judgement"]) == ("unchecked",) * 2
    assert verify(case, "--photo", moved).exit_code == 0


def test_the_picture_is_found_by_its_hash_beside_the_report_wherever_one_stands(
    verify: Run,
    case: Path,
    photo: Path,
    picture: Picture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    photo.rename(tmp_path / "renamed.png")
    picture(tmp_path / "elsewhere" / photo.name)  # another picture of the name in the report
    assert verify(case).exit_code == 0


def test_the_result_of_all_checks_comes_first(
    verify: Run, case: Path, photo: Path, tmp_path: Path
) -> None:
    assert verify(case).stdout.startswith("SAME: no check found a difference (10 checks).")
    (tmp_path / "elsewhere").mkdir()
    photo.rename(tmp_path / "elsewhere" / "a.png")
    told = verify(case)
    told_ = "NOT FULLY CHECKED: picture, judgement, claims, made again. Nothing that was"
    assert told.stdout.startswith(told_)
    (case / "report.html").write_text("mine")
    told = verify(case)
    assert told.exit_code == 5
    assert told.stdout.startswith("DIFFERS: files, forms. The lines below say in what.")


def test_the_command_that_report_prints_repeats_all_of_it(
    report: Run, verify: Run, tmp_path: Path
) -> None:
    done = report("--log", tmp_path / "log")
    (line,) = (one for one in done.stdout.splitlines() if one.startswith("To verify it: "))
    command = shlex.split(line.removeprefix("To verify it: "))
    assert {"--photo", "--model", "--log", "--head"} <= set(command)
    again = invoke(*command[1:]).stdout
    assert again.startswith("SAME")
    assert "--head" not in again  # it was given


def test_the_copy_in_the_folder_is_enough(
    report: Run, verify: Run, photo: Path, tmp_path: Path
) -> None:
    assert report("--keep-original").exit_code == 0
    photo.unlink()
    assert verify(tmp_path / "case").exit_code == 0


def test_a_redacted_report_is_repeated_with_the_picture(
    report: Run, verify: Run, photo: Path, tmp_path: Path
) -> None:
    assert report("--redact").exit_code == 0
    (tmp_path / "elsewhere").mkdir()
    photo = photo.rename(tmp_path / "elsewhere" / photo.name)
    result = verify(tmp_path / "case", "--json")
    assert (result.exit_code, states(result)["picture"]) == (6, "unchecked")
    assert verify(tmp_path / "case", "--photo", photo).exit_code == 0
    change(tmp_path / "case", lambda record: record.update(judgement_sha256="0" * 64))
    result = verify(tmp_path / "case", "--photo", photo, "--json")
    assert "redacted differs" in saying(result, "judgement")


def test_with_another_model_it_cannot_be_repeated(case: Path, wide_model: Path) -> None:
    result = invoke("verify", case, "--model", wide_model, "--json")
    assert result.exit_code == 6
    assert "cannot be repeated with this model" in saying(result, "model")
    assert states(result)["judgement"] == "unchecked"


def test_another_machine_is_a_note_as_long_as_the_judgement_is_the_same(
    verify: Run, case: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(this_machine(), flags=("avx9",), processor="Example 9")
    monkeypatch.setattr("veridical.present.filing.this_machine", lambda: other)
    result = verify(case, "--json")
    assert result.exit_code == 0
    assert (states(result)["machine"], states(result)["made again"]) == ("note", "note")
    assert "Example 9" in saying(result, "machine")


def test_another_version_is_a_note(verify: Run, case: Path) -> None:
    def older(record: dict[str, Any]) -> None:
        record["version"] = record["report"]["version"] = "0.0.9"

    change(case, older)
    result = verify(case, "--json")
    assert result.exit_code == 0
    assert "0.0.9, now" in saying(result, "version")


def test_a_report_that_is_not_in_the_log_is_told(verify: Run, case: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.log"
    other.write_bytes(b"")
    result = verify(case, "--log", other, "--json")
    assert result.exit_code == 5
    assert states(result)["line in the log"] == "differs"


def test_the_line_in_the_log_is_compared_with_the_files_themselves(
    verify: Run, case: Path, tmp_path: Path
) -> None:
    with (case / "report.pdf").open("ab") as file:
        file.write(b" ")  # the list of sums stays
    result = verify(case, "--log", tmp_path / "log", "--json")
    assert states(result)["line in the log"] == "differs"
    assert "with another hash of report.pdf" in saying(result, "line in the log")
    (case / "report.html").unlink()
    result = verify(case, "--log", tmp_path / "log", "--json")
    assert "report.html is absent" in saying(result, "made again")


def test_a_log_line_says_who_made_the_report_and_whether_it_is_redacted(
    report: Run, tmp_path: Path
) -> None:
    assert report("--redact", "--examiner", "A. Name", "--log", tmp_path / "log").exit_code == 0
    entry = json.loads((tmp_path / "log").read_text())
    assert (entry["examiner"], entry["redacted"]) == ("A. Name", True)


def test_a_time_far_from_that_of_the_line_in_the_log_is_noted(
    verify: Run, case: Path, tmp_path: Path
) -> None:
    result = verify(case, "--log", tmp_path / "log", "--json")
    assert states(result)["time"] == "note"
    assert "2024-11-28 12:00:00+01:00, its line was written 20" in saying(result, "time")


def sed(case: Path, *pairs: tuple[str, str]) -> None:
    """Change page and JSON alike, and their sums, as a forger would."""
    for name in ("report.html", "report.json"):
        text = (case / name).read_text()
        for old, new in pairs:
            assert old in text, (name, old)
            text = text.replace(old, new)
        (case / name).write_text(text)
    resum(case)


def test_a_conclusion_that_does_not_follow_is_found_and_quoted_even_without_the_picture(
    verify: Run, case: Path, photo: Path
) -> None:
    """The model of the tests has no error rates: its conclusion names no strength."""
    photo.unlink()
    assert verify(case).exit_code == 6
    record = json.loads((case / "report.json").read_text())
    told = str(record["conclusion_in_words"])
    sed(case, (told, "The examination gives strong support for proposition 1."))
    result = verify(case, "--json")
    assert result.exit_code == 5
    assert states(result)["files"] == "same"
    assert states(result)["words"] == states(result)["forms"] == "differs"
    assert "gives strong support" in saying(result, "words")
    assert "report.pdf is not the PDF" in saying(result, "forms")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda record: record.update(strength="strong support"), "strength is"),
        (lambda record: record.update(ratio_at_least=2200.0), "ratio_at_least is 2200.0"),
        (lambda record: record.update(conclusion=_OTHER[record["conclusion"]]), "conclusion is"),
        (
            lambda record: record["sections"][-2]["blocks"][-1]["rows"][2].update(text="forged"),
            '"forged" stands where',
        ),
    ],
)
def test_every_word_of_the_json_is_held_to_its_numbers(
    verify: Run, case: Path, how: Change, told: str
) -> None:
    change(case, how)
    result = verify(case, "--json")
    assert result.exit_code == 5
    assert states(result)["words"] == "differs"
    assert told in saying(result, "words")


def test_a_changed_word_of_the_page_is_quoted_with_what_should_stand_there(
    verify: Run, case: Path, photo: Path
) -> None:
    page = case / "report.html"
    page.write_text(page.read_text().replace("How to repeat this", "How to forget this"))
    resum(case)
    photo.unlink()
    result = verify(case, "--json")
    assert result.exit_code == 5
    assert "How to forget this" in saying(result, "forms")
    assert "How to repeat this" in saying(result, "forms")


def test_a_log_alone_can_be_checked_and_its_head(case: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert case.is_dir()
    entry = json.loads(log.read_text())
    whole = invoke("verify", "--log", log, "--head", entry["hash"])
    assert whole.exit_code == 0
    assert whole.stdout.startswith("SAME: no check found a difference (2 checks).")
    assert "What holds together: 1 line;" in whole.stdout
    assert "can still be a forgery" not in whole.stdout
    alone = invoke("verify", "--log", log)
    assert "the log's head was not compared" in alone.stdout.splitlines()[0]
    assert "can still be a forgery" in alone.stdout
    assert invoke("verify", "--log", log, "--head", "0" * 64).exit_code == 5
    log.write_text(json.dumps({**entry, "case": "18"}) + "\n")
    result = invoke("verify", "--log", log)
    assert result.exit_code == 5
    assert "Line 1 was changed" in result.stdout
    assert "its hash is not the one that stands in it" in result.stdout


def test_something_has_to_be_named() -> None:
    assert invoke("verify").exit_code == 2
    assert invoke("verify", "x", "--head", "0" * 64).exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "null", "{", '{"schema": "veridical.case/2"}', '{"schema": 3}', "\x00"),
        '{"schema": "veridical.case/2", "options": {}, "report": {}, "original": 3}',
    ],
)
def test_what_is_no_report_is_a_clean_error(verify: Run, case: Path, text: str) -> None:
    (case / "report.json").write_text(text)
    result = verify(case)
    assert result.exit_code == 1
    assert "report.json" in result.stderr


def test_a_report_of_an_older_shape_names_the_version_that_can_check_it(
    verify: Run, case: Path
) -> None:
    change(case, lambda record: record.update(schema="veridical.case/1", version="0.0.9"))
    result = verify(case)
    assert result.exit_code == 1
    assert "was filed in the shape veridical.case/1" in result.stderr
    assert "the version of veridical that made it: 0.0.9" in result.stderr


@pytest.mark.parametrize(
    "how",
    [
        lambda record: record.update(case=17),
        lambda record: record.update(at="2026-11-28T12:00:00"),
        lambda record: record["options"].update(prior=7),
        lambda record: record["options"].update(prior="x"),
        lambda record: record.update(original=["x"]),
        lambda record: record.update(report=[]),
        lambda record: record.update(photo=None),
    ],
)
def test_a_report_of_another_shape_is_a_clean_error(verify: Run, case: Path, how: Change) -> None:
    change(case, how)
    result = verify(case)
    assert result.exit_code == 1
    assert "has not the shape of a filed report" in result.stderr


def test_a_copy_of_the_picture_is_looked_for_in_the_folder_only(
    verify: Run, case: Path, photo: Path
) -> None:
    change(case, lambda record: record.update(original=f"../{photo.name}"))
    result = verify(case, "--json")
    assert states(result)["picture"] == "unchecked"


def test_no_folder_is_a_clean_error(verify: Run, tmp_path: Path) -> None:
    clean_error(verify(tmp_path / "nowhere"), "has no report.json")


def test_differences_are_every_leaf_that_differs() -> None:
    before = {"a": [1, {"b": 2.0}], "c": None, "d": [1]}
    assert list(differences(before, json.loads(json.dumps(before)))) == []
    now = {"a": [1, {"b": 2.5}], "c": True, "d": [1, 3]}
    assert list(differences(before, now)) == [
        ("a[1].b", 2.0, 2.5),
        ("c", None, True),
        ("d[1]", None, 3),
    ]
    assert list(differences({"a": 1}, {"a": True})) == [("a", 1, True)]
