"""Headers made to hurt: they end in claims or in a named silence, soon and in little memory."""

import json
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from benchmarks.hostile import BLOWS, Random, mutants

from tests.provenance.made import chunk, seeds, with_chunks
from veridical.errors import PhotoError
from veridical.io.source import open_source
from veridical.provenance import claims_of, read_claims

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return seeds()


def test_mutants_end_in_claims_within_the_limits() -> None:
    # In a process of its own: the checks of shapes that the tests switch on cost time.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.hostile", "--count", "150"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "150 ended in claims or a named silence" in done.stdout


@pytest.mark.parametrize("name", BLOWS)
def test_every_blow_alone_ends_in_json(name: str, files: list[bytes]) -> None:
    import numpy as np

    random: Random = np.random.default_rng(1)
    for data in files:
        found = claims_of(open_source(BLOWS[name](data, random)))
        assert json.loads(found.to_json())["headline"] == found.headline
        assert found.claims


def test_mutants_are_no_fault_of_ours(files: list[bytes]) -> None:
    for blows, data in mutants(files, 200, seed=3):
        told = [claim.technical for claim in read_claims(open_source(data))]
        assert not any("Internal error" in text for text in told), (blows, told)


def test_a_file_of_bombs_is_inflated_once_for_all() -> None:
    bomb = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(64 * 2**20), 9))
    found = open_source(with_chunks(*[bomb] * 100)).metadata
    assert found is not None
    assert found.text == ()
    assert len(found.gaps) == 1  # the first one spends what there is


def test_claims_are_read_of_what_cannot_be_decoded(files: list[bytes]) -> None:
    data = files[0][: files[0].index(b"IDAT") + 20]
    file = open_source(data)
    with suppress(PhotoError):
        assert file.photo.damage
    assert claims_of(file).declared == "ai_unverified"
