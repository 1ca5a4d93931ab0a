"""What other tools make of the tables."""

from pathlib import Path
from typing import Any

import pytest

from tests.scan.doubles import ByName, identity
from veridical.scan.columns import COLUMNS, described
from veridical.scan.engines import InThreads
from veridical.scan.ledger import Pace
from veridical.scan.plan import Item
from veridical.scan.run import run


@pytest.fixture
def made(tmp_path: Path) -> Path:
    items = (Item(path=f"{n}.jpg", size=n) for n in range(25))
    run(items, tmp_path / "o", ByName(), identity("parquet"), InThreads(1), pace=Pace(rows=10))
    return tmp_path / "o"


def test_duckdb_reads_both_tables_and_joins_them(made: Path) -> None:
    duckdb: Any = pytest.importorskip("duckdb")
    pictures, faces = (f"'{made}/{table}/*.parquet'" for table in ("pictures", "faces"))
    query = f"select count(*), count(distinct path) from {pictures} join {faces} using (seq, path)"
    assert duckdb.sql(query).fetchall() == [(25, 25)]
    names = [row[0] for row in duckdb.sql(f"describe select * from {pictures}").fetchall()]
    assert names == [one.name for one in COLUMNS["pictures"]]


def test_pandas_reads_a_folder_of_parts(made: Path) -> None:
    pandas: Any = pytest.importorskip("pandas")
    frame = pandas.read_parquet(made / "pictures")
    assert len(frame) == 25
    assert frame["p_ai"].dtype == "float64"
    assert len(list((made / "pictures").iterdir())) > 1


def test_polars_reads_both_tables(made: Path) -> None:
    polars: Any = pytest.importorskip("polars")
    pictures, faces = (polars.read_parquet(f"{made}/{one}/*.parquet") for one in COLUMNS)
    assert pictures.join(faces, on="seq").height == 25
    assert pictures.schema["p_ai"] == polars.Float64


def test_a_spreadsheet_takes_csv_for_unicode_and_runs_nothing(tmp_path: Path) -> None:
    names = ["é.jpg", "=1+1.jpg", "a;b,c.jpg"]
    items = (Item(path=name, size=n) for n, name in enumerate(names))
    run(items, tmp_path / "o", ByName(), identity("csv"), InThreads(1))
    (part,) = (tmp_path / "o" / "pictures").iterdir()
    assert part.read_bytes().startswith(b"\xef\xbb\xbfseq,run,")
    assert b"'=1+1.jpg" in part.read_bytes()
    for module in ("duckdb", "pandas"):
        tool: Any = pytest.importorskip(module)
        table = tool.read_csv(str(part))
        assert list(table.columns)[:4] == ["seq", "run", "state", "path"]
        assert len(table) == 3


def test_columns_that_are_empty_all_over_keep_their_type(made: Path) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    for path in (made / "pictures").iterdir():
        schema = parquet.read_schema(path)
        assert str(schema.field("seconds").type) == "double"
        assert schema.field("seconds").metadata == {b"meaning": b"of a clip"}


def test_every_column_is_described_once() -> None:
    for table in described()["resources"]:
        names = [one["name"] for one in table["schema"]["fields"]]
        assert len(set(names)) == len(names)
        assert all(one["description"] for one in table["schema"]["fields"])
