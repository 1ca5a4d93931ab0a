import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from tests.present.made import AT_1_PERCENT, FAILURE, REPORT, SMALL, judged, report
from veridical.present.table import COLUMNS, TableTaken, Writer, cell, open_table, values
from veridical.report import Decision, Failure, Reason, Report


def written(*outcomes: Report | Failure, bom: bool = False) -> str:
    into = io.StringIO(newline="")
    table = Writer(into, bom=bom)
    for outcome in outcomes:
        table.add(outcome)
    return into.getvalue()


def rows(*outcomes: Report | Failure) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(*outcomes), newline="")))


# --- what is in it ------------------------------------------------------------------------------


def test_a_picture_is_a_row_with_the_numbers_of_its_lead_face() -> None:
    small_lead = report(SMALL, judged(), at_prior=AT_1_PERCENT)
    (row,) = rows(small_lead)
    assert list(row) == list(COLUMNS)
    assert row["path"] == "portraits/anna.jpg"
    assert (row["decision"], row["reasons"]) == ("ai", "within_coverage")
    assert float(row["p_ai"]) == small_lead.p_ai == 0.973
    assert (row["interval_low"], row["interval_high"]) == ("0.912", "0.994")
    assert (row["faces"], row["lead_face"], row["lead_face_px"]) == ("2", "2", "60")
    assert (row["prior"], float(row["p_ai_at_prior"])) == ("0.5", AT_1_PERCENT.p_ai)
    assert row["next_step"].startswith("Check the source.")
    assert (row["error"], row["sha256"], row["model"]) == ("", "ab" * 32, "0123456789ab")


def test_a_failure_and_a_picture_without_a_face_are_rows_too() -> None:
    failed, faceless, both = rows(
        FAILURE,
        report(),
        report(judged(Decision.UNDECIDED, Reason.BOTH_PLAUSIBLE, Reason.INTERVAL_TOO_WIDE)),
    )
    assert (failed["decision"], failed["error"]) == ("failed", FAILURE.error)
    assert failed["next_step"] == FAILURE.hint
    assert {failed[name] for name in ("p_ai", "faces", "reasons", "sha256")} == {""}
    assert (faceless["decision"], faceless["p_ai"], faceless["faces"]) == ("undecided", "", "0")
    assert both["reasons"] == "both_plausible interval_too_wide"


def test_numbers_are_read_back_exactly() -> None:
    verdict = judged(p_ai=0.1 + 0.2, interval=(1e-12, 1 - 1e-12))
    (row,) = rows(report(verdict))
    assert float(row["p_ai"]) == 0.1 + 0.2
    assert float(row["interval_low"]) == 1e-12
    assert float(row["interval_high"]) == 1 - 1e-12


# --- that every program reads it rightly --------------------------------------------------------


def test_it_is_csv_as_rfc_4180_has_it() -> None:
    text = written(replace(REPORT, path='a, "b".jpg'), FAILURE)
    assert text.count("\r\n") == text.count("\n") == 3
    assert '"a, ""b"".jpg"' in text
    assert written(bom=True) == "\ufeff" + written()


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-x.jpg",
        "@home",
        "\t=1",
        "\r=1",
        " =1",
        "＝1",
        "＋1",
        "－1",
        "＠a",
        "'a",
        "1e5",
    ],
)
def test_text_that_a_spreadsheet_would_run_or_change_gets_an_apostrophe(text: str) -> None:
    (row,) = rows(replace(REPORT, path=text))
    assert row["path"].startswith("'")
    assert row["path"][1:] in (text, text.replace("\t", "\\t").replace("\r", "\\r"))


@pytest.mark.parametrize("text", ["a=b.jpg", "x-1.jpg", "C:\\a.jpg", "猫 é.jpg", "", "1.jpg"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


def test_numbers_are_not_guarded() -> None:
    assert [cell(value) for value in (-0.5, 0.25, 3, None)] == ["-0.5", "0.25", "3", ""]


def test_control_characters_and_odd_bytes_are_escaped() -> None:
    name = "a\n\x1b[31m\u202e\udce9.jpg"
    (row,) = rows(replace(REPORT, path=name))
    assert row["path"] == r"a\n\x1b[31m\u202e\udce9.jpg"
    written(replace(FAILURE, error=name, hint=name, path=name)).encode("utf-8")


def test_pandas_reads_what_was_written(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "t.csv"
    with open_table(path) as file:
        table = Writer(file, bom=True)
        for outcome in (REPORT, replace(REPORT, path="猫, é.jpg"), FAILURE):
            table.add(outcome)
    frame = pandas.read_csv(path)
    assert list(frame.columns) == list(COLUMNS)
    assert frame["path"].tolist() == ["portraits/anna.jpg", "猫, é.jpg", "b.jpg"]
    assert frame["p_ai"].tolist()[:2] == [0.973, 0.973]


# --- the file -----------------------------------------------------------------------------------


def test_an_interrupted_run_leaves_the_rows_that_were_known(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with open_table(path) as file:
        table = Writer(file, bom=True)
        table.add(REPORT)
        text = path.read_bytes().decode("utf-8-sig")
        assert text.count("\r\n") == 2
        table.add(FAILURE)
    assert path.read_bytes().startswith(b"\xef\xbb\xbfpath,decision,")


def test_an_old_table_is_written_over_and_nothing_else_is(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    for _ in range(2):
        with open_table(path) as file:
            Writer(file, bom=True).add(REPORT)
    assert path.read_text(encoding="utf-8-sig").count("anna.jpg") == 1
    (tmp_path / "empty.csv").touch()
    open_table(tmp_path / "empty.csv").close()
    for name, content in (("photo.jpg", b"\xff\xd8\xff"), ("other.csv", b"path,label\n")):
        other = tmp_path / name
        other.write_bytes(content)
        with pytest.raises(TableTaken):
            open_table(other)
        assert other.read_bytes() == content


def test_a_full_disk_names_the_table(tmp_path: Path) -> None:
    class Full(io.StringIO):
        name = "t.csv"

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left") as caught:
        Writer(Full(), bom=False)
    assert caught.value.filename == "t.csv"


def test_every_column_has_a_value_for_every_outcome() -> None:
    assert len(values(REPORT)) == len(values(FAILURE)) == len(COLUMNS)
