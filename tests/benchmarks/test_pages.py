"""Tables, numbers and marked blocks are written as the pages want them."""

from pathlib import Path

import pytest
from benchmarks.common import remembered
from benchmarks.pages import between, figure, number, percents, publish, share, signed, table

from veridical.report import Estimate

PAGE = "# Title\n\n<!-- begin one -->\nold\n<!-- end one -->\n\nafter\n"


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    made = between(PAGE, "one", "| a |")
    assert made == PAGE.replace("\nold\n", "\n\n| a |\n\n")
    assert between(made, "one", "| a |") == made
    with pytest.raises(SystemExit, match="no place for two"):
        between(PAGE, "two", "")


def test_a_smoke_run_leaves_the_page_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    publish(page, "one", "new", quick=True)
    assert page.read_text() == PAGE
    publish(page, "one", "new", quick=False)
    assert "new" in page.read_text()
    assert capsys.readouterr().out.count("new") == 2


def test_numbers_have_three_digits_and_an_interval() -> None:
    assert [figure(x) for x in (0, 1234.5, 12.345, 1.2345, 0.012345, -5.5)] == [
        "0",
        "1,234",
        "12.3",
        "1.23",
        "0.0123",
        "-5.50",
    ]
    assert number(Estimate(0.5, 0.25, 1.0)) == "0.500 [0.250, 1.000]"
    assert signed(Estimate(0.5, -0.25, 1.0), 2) == "+0.50 [-0.25, +1.00]"
    assert (number(None), share(0, 0), percents(0, 0)) == ("–", "–", "none")
    assert share(1, 2) == "0.500 [0.095, 0.905]"
    assert percents(1, 2) == "50.0 % [9, 91]"


def test_tables_put_numbers_to_the_right_when_asked() -> None:
    assert table(("a", "b"), [("x", 1)]) == "| a | b |\n| --- | --- |\n| x | 1 |"
    assert table(("a", "b"), [("x", 1)], numbers=True).splitlines()[1] == "| --- | ---: |"


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    kept, done = tmp_path / "sub" / "kept.jsonl", list[int]()

    def work(item: int) -> dict[str, int]:
        if item == 3:
            raise KeyboardInterrupt
        done.append(item)
        return {"square": item**2}

    with pytest.raises(KeyboardInterrupt):
        remembered(kept, [1, 2, 3], work, str)
    first = len(done)
    found = remembered(kept, [1, 2], work, str)
    assert [one["square"] for one in found] == [1, 4]
    assert len(kept.read_text().splitlines()) == 2
    assert len(done) <= 2 + first
    assert remembered(kept, [2, 1], work, str) == found[::-1]
