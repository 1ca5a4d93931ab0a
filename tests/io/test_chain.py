import json
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from veridical.errors import LogBroken
from veridical.io import chain

Lines = list[bytes]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of five lines."""
    path = tmp_path / "reports.log"
    for n in range(5):
        chain.append(path, {"case": f"c{n}", "sums": f"{n}" * 64})
    return path


def fault(path: Path) -> str:
    found = chain.read_chain(path).fault
    assert found is not None
    return found


def rewritten(lines: Lines) -> Lines:
    """A chain made anew, by somebody who knows how."""
    made: Lines = []
    head = chain.START
    for number, line in enumerate(lines, start=1):
        entry = {**json.loads(line), "seq": number, "previous": head}
        del entry["hash"]
        head = sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
        made.append(json.dumps({**entry, "hash": head}).encode())
    return made


def test_each_line_names_the_hash_of_the_line_before_it(log: Path) -> None:
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [one["seq"] for one in lines] == [1, 2, 3, 4, 5]
    assert [one["previous"] for one in lines] == [chain.START, *(one["hash"] for one in lines[:-1])]
    for one in lines:
        own = {key: value for key, value in one.items() if key != "hash"}
        assert one["hash"] == sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
    found = chain.read_chain(log)
    assert (found.fault, found.head, len(found.entries)) == (None, lines[-1]["hash"], 5)


@pytest.mark.parametrize(
    ("change", "line", "word"),
    [
        pytest.param(lambda x: [x[0], x[1].replace(b"c1", b"cX"), *x[2:]], 2, "changed", id="one"),
        pytest.param(lambda x: [*x[:4], x[4].replace(b"c4", b"cX")], 5, "changed", id="last"),
        pytest.param(lambda x: [*x[:2], *x[3:]], 3, "missing", id="missing"),
        pytest.param(lambda x: x[1:], 1, "missing", id="first missing"),
        pytest.param(lambda x: [x[0], x[2], x[1], *x[3:]], 2, "reordered", id="reordered"),
        pytest.param(lambda x: [*x[:2], x[1], *x[2:]], 3, "repeated", id="repeated"),
        pytest.param(lambda x: [*x[:2], b"{}", *x[2:]], 3, "changed", id="put in"),
        pytest.param(lambda x: [*x[:2], b"", *x[2:]], 3, "changed", id="empty"),
        pytest.param(lambda x: [x[0], rewritten(x[1:])[0], *x[2:]], 2, "number 1", id="other log"),
        pytest.param(lambda x: [x[0], b" " + x[1], *x[2:]], 2, "changed", id="spaces"),
    ],
)
def test_the_first_line_that_is_wrong_is_named(
    log: Path, change: Callable[[Lines], Lines], line: int, word: str
) -> None:
    log.write_bytes(b"\n".join(change(log.read_bytes().splitlines())) + b"\n")
    told = fault(log)
    assert f"ine {line}" in told
    assert word in told
    assert len(chain.read_chain(log).entries) == line - 1


def test_a_line_that_another_one_replaced_breaks_the_next(log: Path) -> None:
    lines = log.read_bytes().splitlines()
    other = rewritten([lines[0].replace(b"c0", b"cX")])
    log.write_bytes(b"\n".join([*other, *lines[1:]]) + b"\n")
    assert "Line 2 does not follow" in fault(log)


def test_no_single_byte_can_change_unseen(log: Path) -> None:
    data = log.read_bytes()
    for at in range(len(data)):
        log.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert chain.read_chain(log).fault, at


def test_a_line_that_breaks_off_is_a_fault(log: Path) -> None:
    data = log.read_bytes()
    log.write_bytes(data[:-10])
    assert "Line 5" in fault(log)
    log.write_bytes(data[:-1])
    assert fault(log) == "Line 5 breaks off."


def test_a_new_chain_holds_together_and_has_another_head(log: Path) -> None:
    before = chain.read_chain(log).head
    lines = log.read_bytes().splitlines()
    log.write_bytes(b"\n".join(rewritten([lines[0], *lines[2:]])) + b"\n")
    found = chain.read_chain(log)
    assert found.fault is None  # as the documentation says: this is what the noted head is for
    assert found.head != before


def test_nothing_is_added_to_a_broken_log(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-5])
    before = log.read_bytes()
    with pytest.raises(LogBroken, match="Nothing was added"):
        chain.append(log, {"case": "late"})
    assert log.read_bytes() == before


def test_many_writers_make_one_chain(tmp_path: Path) -> None:
    log = tmp_path / "reports.log"

    def write(name: int) -> None:
        for n in range(8):
            chain.append(log, {"case": f"{name}-{n}"})

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    found = chain.read_chain(log)
    assert found.fault is None
    assert len({entry["case"] for entry in found.entries}) == 32
