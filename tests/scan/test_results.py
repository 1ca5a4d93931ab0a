import json
import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tests.scan.doubles import ByName, answered, identity
from veridical.errors import ScanError
from veridical.present import summary as present
from veridical.present.scan_words import ending
from veridical.scan.copies import groups
from veridical.scan.engines import InThreads
from veridical.scan.judge import Judged
from veridical.scan.ledger import Ledger
from veridical.scan.plan import Item, plan
from veridical.scan.results import summarise
from veridical.scan.run import run


def test_a_summary_counts_what_holds(tmp_path: Path) -> None:
    (tmp_path / "in" / "b").mkdir(parents=True)
    names = [f"{n}.jpg" for n in range(30)] + ["b/fault.jpg", "b/1.jpg"]
    for name in names:
        (tmp_path / "in" / name).touch()

    def once() -> None:
        run(plan([f"{tmp_path}/in"]), tmp_path / "out", ByName(), identity(), InThreads(1))

    once()
    os.utime(tmp_path / "in" / "3.jpg", (86400 * 365, 86400 * 365))
    (tmp_path / "in" / "4.jpg").unlink()
    once()
    found = summarise(tmp_path / "out")
    there = [f"{tmp_path}/in/{name}" for name in names if name not in ("4.jpg", "b/fault.jpg")]
    told = {path: answered(Item(path=path)).picture for path in there}
    assert found.gone == 1
    assert found.total == 31
    assert found.failures == {"Internal": 1}
    for kind in ("real", "ai", "undecided"):
        own = sum(row["decision"] == kind for row in told.values())
        assert found.decisions.get(kind, 0) == own
        assert sum(one.get(kind, 0) for one in found.folders.values()) == own
    assert sum(found.histogram) == 30
    assert found.folders[f"{tmp_path}/in/b"]["failed"] == 1
    assert found.days["1971-01-01"].total() == 1  # type: ignore[attr-defined]
    undecided = {path: row["p_ai"] for path, row in told.items() if row["decision"] == "undecided"}
    telling = sorted((abs(p - 0.5) for p in undecided.values()), reverse=True)
    assert [abs(undecided[one.path] - 0.5) for one in found.waiting] == telling[:20]
    assert len({one.path for one in found.waiting}) == min(20, len(undecided))
    few = summarise(tmp_path / "out", most=2)
    assert few.waiting == found.waiting[:2]
    assert [(one.path, one.kind) for one in found.failed] == [
        (f"{tmp_path}/in/b/fault.jpg", "Internal")
    ]
    json.dumps(found.to_dict())
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    present.show(console, found)
    text = console.export_text()
    assert "31 pictures" in text
    assert "Internal" in text
    assert "b/fault.jpg" in text
    present.show(console, few)
    left = found.decisions["undecided"] - 2
    assert f"and {left:,} more (--show names more)" in console.export_text()
    assert f"and {left:,} more (--show names more)" in present.page(few)
    console.file.close()


def test_what_files_declare_is_counted_and_failures_are_not_called_judged(tmp_path: Path) -> None:
    rows = [
        {"decision": "undecided", "p_ai": 0.6, "sha256": "0", "faces": 1, "declared": "ai_signed"},
        {"decision": "real", "p_ai": 0.1, "sha256": "1", "faces": 1, "declared": "none"},
        {"decision": "failed", "error_kind": "NotAPhoto", "error": "no", "hint": "pass one"},
    ]
    with Ledger(tmp_path / "o", identity()) as ledger:
        for at, row in enumerate(rows):
            ledger.add(Judged(item=Item(path=f"{at}.jpg"), picture=row))
    found = summarise(tmp_path / "o")
    assert found.declared == {"ai_signed": 1}
    assert "AI, signed" in present.page(found)
    assert ending(found.decisions, 0, 0, 3, "o").startswith("2 judged (1 real, 0 ai, 1 undecided")


def test_a_page_shows_names_as_text_and_asks_for_nothing(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>.jpg"
    row = {"decision": "undecided", "p_ai": 0.6, "sha256": "0", "faces": 0}
    with Ledger(tmp_path / "o", identity()) as ledger:
        ledger.add(Judged(item=Item(path=name), picture=row))
    page = present.page(summarise(tmp_path / "o"), thumbnails=True)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("http-equiv", "")


def test_thumbnails_are_found_under_names_that_are_not_unicode(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/b\xe9te.png")
    Image.new("RGB", (90, 60), "teal").save(path)
    row = {"decision": "undecided", "p_ai": 0.6, "faces": 0, "reasons": "both_plausible from_2030"}
    with Ledger(tmp_path / "o", identity()) as ledger:
        ledger.add(Judged(item=Item(path=path), picture=row))
        ledger.add(Judged(item=Item(path=f"{tmp_path}/gone.png"), picture=row))
    found = summarise(tmp_path / "o")
    page = present.page(found, thumbnails=True)
    assert page.count("data:image/jpeg;base64,") == 1
    assert "data:image" not in present.page(found)
    assert "both plausible; from_2030" in page
    assert "both_plausible" not in page


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="holds no results of a scan"):
        summarise(tmp_path)


def test_copies_with_other_decisions_are_named_first(tmp_path: Path) -> None:
    rows = {
        "a": ("ffffffffffffffff", "real"),
        "b": ("fffffffffffffff0", "ai"),
        "c": ("0000000000000000", "real"),
        "d": ("0000000000000001", "real"),
        "e": ("00000000ffff0000", "ai"),
    }
    with Ledger(tmp_path / "o", identity()) as ledger:
        for path, (seen, decision) in rows.items():
            row = {"decision": decision, "p_ai": 0.1, "sha256": path, "phash": seen}
            ledger.add(Judged(item=Item(path=path), picture=row))
    found = summarise(tmp_path / "o", copies=True)
    assert found.copies is not None
    assert [one.paths for one in found.copies] == [("a", "b"), ("c", "d")]
    assert [one.differ for one in found.copies] == [True, False]
    assert found.differing == 1
    assert summarise(tmp_path / "o").copies is None


def test_groups_are_those_of_comparing_all_with_all() -> None:
    draw = random.Random(0)
    hashes = [draw.getrandbits(64) for _ in range(200)]
    for _ in range(400):  # neighbours of neighbours
        one = draw.choice(hashes)
        for bit in draw.sample(range(64), draw.randrange(1, 7)):
            one ^= 1 << bit
        hashes.append(one)
    draw.shuffle(hashes)
    group = list(range(len(hashes)))
    for a in range(len(hashes)):
        for b in range(a):
            if (hashes[a] ^ hashes[b]).bit_count() <= 4 and group[a] != group[b]:
                low, high = sorted((group[a], group[b]))
                group = [low if one == high else one for one in group]
    assert groups(np.array(hashes, np.uint64)).tolist() == group
    assert len(groups(np.zeros(0, np.uint64))) == 0
