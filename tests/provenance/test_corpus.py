"""Every file of a corpus reads as expected; skipped where the corpus is not there."""

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from veridical.io.source import open_source
from veridical.provenance import read_claims
from veridical.provenance.headline import headline

ROOT = Path(
    os.environ.get("VERIDICAL_PROVENANCE", Path(__file__).parents[3] / "shared" / "provenance")
)


def rows() -> list[dict[str, str]]:
    path = ROOT / "expected.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


ROWS = rows()
pytestmark = [
    pytest.mark.skipif(not ROWS, reason="no corpus (VERIDICAL_PROVENANCE)"),
    pytest.mark.data,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_every_file_reads_as_expected(row: dict[str, str]) -> None:
    if row["c2pa"]:
        pytest.importorskip("c2pa")
    claims = read_claims(open_source(ROOT / row["file"]))
    assert headline(claims).origin == row["headline"]
    if row["text"]:
        shown = {key.lower() for one in claims for key in one.raw}
        keys = [key.lower() for key in row["text"].split() if key.lower() in MARKED]
        assert all(f"text:{key}" in shown for key in keys)
    expected: dict[str, Any] = json.loads(row["c2pa"]) if row["c2pa"] else {}
    found = next((one.credential for one in claims if one.credential), None)
    if "intact" in expected:
        assert found is not None
        assert bool(found.bytes_intact and found.signature_intact) == expected["intact"]
        assert found.trusted == expected["trusted"]
        assert (found.in_time == "expired") == expected["expired"]
        assert found.signed_at == expected["time"]
        assert found.state == expected["state"]
        assert sorted(found.source_types) == sorted(expected["dst"])
        if expected["signer"]:
            assert found.signer == expected["signer"]
    else:
        assert found is None


MARKED = {"parameters", "prompt", "workflow", "dream", "sd-metadata", "invokeai_metadata"}
