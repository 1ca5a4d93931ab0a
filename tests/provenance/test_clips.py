"""Claims of clips: the same whether the file is held or mapped, and at no great cost."""

import os
import struct
import tracemalloc
from pathlib import Path

import pytest

import veridical.provenance as provenance
from tests.provenance.made import typed
from veridical.claims import Claim, Says
from veridical.provenance import claims_of_clip

XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def clip() -> bytes:
    head = box(b"ftyp", b"isom\0\0\2\0isomiso2mp41")
    return head + box(b"mdat", bytes(5000)) + box(b"uuid", XMP + typed())


def told(claims: tuple[Claim, ...]) -> list[tuple[str, str]]:
    return [(one.says.value, one.plain) for one in claims if one.says is not Says.OTHER]


def test_a_clip_that_is_too_large_to_hold_says_what_it_would_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip())
    held = told(claims_of_clip(path))
    assert any("trained" in plain.lower() or "model" in plain for _, plain in held), held
    monkeypatch.setattr(provenance, "HELD", 1000)
    assert told(claims_of_clip(path)) == held
    assert told(claims_of_clip(clip())) == held  # bytes are held by whoever gives them


def test_an_endless_packet_in_a_sparse_file_of_gigabytes_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    size = 3 * 2**30
    with path.open("wb") as file:
        file.write(box(b"ftyp", b"isom\0\0\2\0isomiso2mp41"))
        file.write(struct.pack(">I4s", size - 28, b"uuid") + XMP)
        file.truncate(size)
    tracemalloc.start()
    claims = claims_of_clip(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20
    assert any("more than" in one.technical for one in claims)
    assert any(one.says is Says.NOTHING for one in claims)


@pytest.mark.parametrize("content", [b"\x1aE\xdf\xa3" + bytes(2000), bytes(2000)])
def test_a_large_file_of_another_kind_says_that_it_was_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(provenance, "HELD", 1000)
    path = tmp_path / "clip.mkv"
    path.write_bytes(content)
    claims = claims_of_clip(path)
    assert any("only MP4 and QuickTime" in one.technical for one in claims)
    path.unlink()
    (gone,) = claims_of_clip(path)
    assert "was not read" in gone.plain


def test_a_credential_is_checked_in_a_mapped_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("c2pa")
    if not (folder := os.environ.get("VERIDICAL_PROVENANCE")):
        pytest.skip("set VERIDICAL_PROVENANCE to the folder of files with credentials")
    clips = sorted(Path(folder).rglob("*.mp4"))
    assert clips
    for path in clips:
        held = claims_of_clip(path)
        with monkeypatch.context() as small:
            small.setattr(provenance, "HELD", 1000)
            mapped = claims_of_clip(path)
        assert any(one.credential for one in held)
        assert [one.credential for one in mapped] == [one.credential for one in held]
