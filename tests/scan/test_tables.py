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
