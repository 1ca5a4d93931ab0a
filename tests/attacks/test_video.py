"""Clips made to hurt whoever opens them, and that they do not."""

import io
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.io.clips import av, clip, numbered, read_number
from veridical.errors import NotAPhoto, PhotoDamaged, PhotoError, PhotoTooLarge
from veridical.io.clip import ClipLimits, Sampling, clip_kind, plan
from veridical.io.video import open_clip

LIMITS = ClipLimits(max_pixels=4_000_000, max_decoded=400, max_packets=20_000, max_seconds=5.0)
X264 = {"g": "8", "bf": "2", "preset": "ultrafast"}


@cache
def victims() -> tuple[bytes, ...]:
    """One small valid clip for each demuxer, and for each decoder that is used most."""
    frames = [numbered(n) for n in range(16)]
    gif, webp, png = io.BytesIO(), io.BytesIO(), io.BytesIO()
    first, *others = map(Image.fromarray, frames[:4])
    for file, kind in ((gif, "GIF"), (webp, "WEBP"), (png, "PNG")):
        first.save(file, kind, save_all=True, append_images=others, duration=100)
    return (
        clip(frames, options=X264, sound=True),
        clip(frames, options=X264, muxing={"movflags": "frag_keyframe+empty_moov"}),
        clip(frames, container="matroska", options=X264),
        clip(frames, container="mpegts", options=X264),
        clip(frames, container="flv", options=X264),
        clip(
            frames, codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=0"}
        ),
        clip(frames, container="webm", codec="libvpx-vp9", options={"cpu-used": "8"}),
        clip(frames, container="avi", codec="mpeg4", options={"bf": "2"}),
        clip(frames, container="mpeg", codec="mpeg2video"),
        clip(frames, container="matroska", codec="ffv1"),
        gif.getvalue(),
        webp.getvalue(),
        png.getvalue(),
    )


def mutant(seed: int) -> bytes:
    """A valid clip with a few bytes changed, cut out, doubled or broken off."""
    dice = random.Random(seed)
    data = bytearray(victims()[seed % len(victims())])
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(data) if dice.random() < 0.5 else min(len(data), 900))
        if dice.random() < 0.2:  # tables of an MP4 stand at its end
            at = max(0, len(data) - dice.randint(1, 1500))
        blow = dice.choice(["set", "set", "bit", "extreme", "cut", "double", "end"])
        if blow == "set":
            data[at] = dice.randrange(256)
        elif blow == "bit":
            data[at] ^= 1 << dice.randrange(8)
        elif blow == "extreme":
            data[at : at + 4] = dice.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"])
        elif blow == "cut":
            del data[at : at + dice.randint(1, 16)]
        elif blow == "double":
            data[at:at] = data[at : at + dice.randint(1, 64)]
        elif dice.random() < 0.3:
            del data[max(at, 16) :]
        if len(data) < 32:
            break
    return bytes(data)


def survive(data: bytes | str | Path, limits: ClipLimits = LIMITS, threads: int = 1) -> int:
    """Read what can be read; how many frames that were."""
    count = 0
    with suppress(PhotoError), open_clip(data, limits, threads=threads) as opened:
        assert opened.facts.duration >= 0
        for frame in opened.frames(plan(opened.facts, Sampling(most=12))):
            assert frame.pixels.dtype == np.uint8
            assert frame.pixels.shape[2:] == (3,)
            count += 1
        for lost in opened.lost:
            assert lost.why
    return count


@pytest.mark.parametrize("start", range(0, 390, 39))
def test_whatever_a_clip_is_it_ends_in_frames_or_in_an_error(
    start: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for seed in range(start, start + 39):
        begun = time.monotonic()
        survive(mutant(seed), threads=1 + seed % 2)
        assert time.monotonic() - begun < 20, seed
    said = capfd.readouterr()
    assert said.out == said.err == ""  # FFmpeg's own log stays away


@pytest.mark.parametrize("number", range(13))
def test_a_clip_cut_anywhere_gives_what_is_there(number: int) -> None:
    data = victims()[number]
    assert survive(data) == 12 if number < 10 else survive(data) == 4
    for tenth in range(1, 10):
        survive(data[: len(data) * tenth // 10])


# --- damage in the middle ----------------------------------------------------------------------


def hit(data: bytes, frame: int) -> bytes:
    """The clip with the middle of one coded frame overwritten."""
    with av.open(io.BytesIO(data)) as container:
        places = [p.pos for p in container.demux(video=0) if p.size]
        sizes = [e.size for e in container.streams.video[0].index_entries]
    at, size = places[frame], sizes[frame]
    return data[: at + size // 3] + bytes(range(7, 7 + min(200, size // 2))) + data[
        at + size // 3 + min(200, size // 2) :
    ]  # fmt: skip


@pytest.mark.parametrize("threads", [1, 3])
def test_damage_in_the_middle_costs_its_group_and_no_more(threads: int) -> None:
    options = {"g": "10", "bf": "2", "preset": "veryfast", "sc_threshold": "0", "crf": "10"}
    data = clip(map(numbered, range(40)), options=options)
    with open_clip(data) as opened:
        whole = {one.index: one for one in opened.frames(plan(opened.facts))}
        assert len(whole) == 40
    with open_clip(hit(data, 20), threads=threads) as opened:  # the keyframe of the third group
        got = list(opened.frames(plan(opened.facts)))
        lost = opened.lost
    assert [one.index for one in got] == [*range(20), *range(30, 40)]
    for one in got:
        assert read_number(one.pixels) == one.index
        np.testing.assert_array_equal(one.pixels, whole[one.index].pixels)
    assert [(one.start_s, one.end_s) for one in lost] == [(0.8, 1.2)]


def test_a_file_that_breaks_off_gives_its_beginning_and_names_its_end() -> None:
    data = clip(
        map(numbered, range(40)), container="matroska", options={**X264, "sc_threshold": "0"}
    )
    with open_clip(data[: len(data) * 6 // 10]) as opened:
        got = list(opened.frames(plan(opened.facts)))
        numbers = [read_number(one.pixels) for one in got]
        assert all(abs(25 * one.time_s - n) < 0.1 for one, n in zip(got, numbers, strict=True))
        assert 10 < len(got) < 35
        assert any("breaks off" in one.why for one in opened.lost)


def test_an_mp4_whose_end_is_missing_gives_its_beginning_and_says_how_much(
    tmp_path: Path,
) -> None:
    path = tmp_path / "whole.mp4"  # the muxer opens it twice, to put the tables first
    whole = clip(map(numbered, range(40)), options={**X264, "sc_threshold": "0"})
    with av.open(io.BytesIO(whole)) as source, av.open(
        str(path), "w", options={"movflags": "faststart"}
    ) as out:  # fmt: skip
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    path.write_bytes(data[: len(data) * 7 // 10])
    with open_clip(path) as opened:
        got = list(opened.frames(plan(opened.facts)))
        assert all(read_number(one.pixels) == round(25 * one.time_s) for one in got)
        assert 15 < len(got) < 40
        end = opened.lost[0]
    assert end.end_s == 1.6
    assert end.start_s <= 1.4
    assert "breaks off" in end.why


# --- headers that ask for too much -------------------------------------------------------------


def box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def patched(data: bytes, name: bytes, change: Callable[[bytearray, int], Any]) -> bytes:
    made = bytearray(data)
    change(made, made.index(name) + 4)
    return bytes(made)


def set32(offset: int, value: int) -> Callable[[bytearray, int], None]:
    def change(data: bytearray, at: int) -> None:
        struct.pack_into(">I", data, at + offset, value)

    return change


def test_a_table_of_billions_is_refused_before_it_is_made() -> None:
    data = clip(map(numbered, range(4)), options=X264)

    def alike(made: bytearray, at: int) -> None:  # all samples of one byte, 4e9 of them
        struct.pack_into(">II", made, at + 4, 1, 0xFFFFFFF0)

    with pytest.raises(PhotoTooLarge, match="tables"), open_clip(patched(data, b"stsz", alike)):
        pass
    runs = clip(map(numbered, range(4)), options=X264, muxing={"movflags": "empty_moov"})
    endless = patched(runs, b"trun", set32(4, 0x7FFFFFFF))
    with pytest.raises(PhotoTooLarge, match="tables"), open_clip(endless):
        pass


def test_a_list_of_edits_without_end_is_refused() -> None:
    data = clip(map(numbered, range(4)), options=X264)
    at = data.index(b"elst") - 4
    size = int.from_bytes(data[at : at + 4])
    edits = struct.pack(">IIHH", 1000, 0, 1, 0) * 50_000
    longer = box(b"elst", b"\0\0\0\0" + struct.pack(">I", 50_000), edits)
    grown = bytearray(data[:at] + longer + data[at + size :])
    for name in (b"moov", b"trak", b"edts"):
        place = grown.index(name) - 4
        was = int.from_bytes(grown[place : place + 4])
        struct.pack_into(">I", grown, place, was + len(longer) - size)
    with pytest.raises(PhotoTooLarge, match="edits"), open_clip(bytes(grown)):
        pass


def test_boxes_in_boxes_in_boxes_are_refused() -> None:
    nested = b""
    for _ in range(5000):
        nested = box(b"moov", nested) if len(nested) < 2**20 else nested
    with pytest.raises(PhotoError), open_clip(box(b"ftyp", b"isom\0\0\2\0isom") + nested):
        pass


def test_frames_of_a_wall_are_refused_before_they_are_decoded() -> None:
    made = clip(
        [np.zeros((64, 64, 3), np.uint8)] * 2, container="avi", codec="mjpeg", pixel="yuvj420p"
    )
    data = bytearray(made)
    at = data.index(b"strf") + 8
    struct.pack_into("<II", data, at + 4, 16384, 16384)
    with suppress(PhotoError), open_clip(bytes(data)) as opened:  # a decoder may know better
        assert opened.facts.width * opened.facts.height <= ClipLimits().max_pixels
    mp4 = clip(map(numbered, range(2)), options=X264)
    with pytest.raises(PhotoTooLarge), open_clip(mp4, ClipLimits(max_side=100)):
        pass


@pytest.mark.parametrize("rate", [1, 10**6])
def test_absurd_rates_and_sizes_are_read(rate: int) -> None:
    tiny = [np.full((2, 2, 3), 10 * n, np.uint8) for n in range(5)]
    data = clip(tiny, container="matroska", codec="ffv1", rate=rate)
    with open_clip(data) as opened:
        assert (opened.facts.width, opened.facts.height) == (2, 2)
        assert list(opened.frames(plan(opened.facts)))


def test_one_endless_group_stops_at_the_limit() -> None:
    data = clip(map(numbered, range(300)), options={**X264, "g": "100000", "sc_threshold": "0"})
    with open_clip(data, ClipLimits(max_decoded=100)) as opened:
        got = list(opened.frames(plan(opened.facts)))
        assert 5 < len(got) < 48
        assert opened.lost[-1].end_s == 12
        assert "limit" in opened.lost[-1].why


# --- no way out --------------------------------------------------------------------------------

LISTS = {
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n%s\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile '%s'\n",
    "dash": b'<?xml version="1.0"?><MPD><Period><BaseURL>%s</BaseURL></Period></MPD>',
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n%s",
    "image": b"%s%%03d.png",
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_of_other_files_is_no_clip(kind: str, tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip(map(numbered, range(3)), options=X264))
    path = tmp_path / "list.mp4"
    path.write_bytes(LISTS[kind] % str(other).encode())
    with pytest.raises(NotAPhoto, match="a clip was wanted"), open_clip(path):
        pass


def test_an_mp4_whose_pictures_lie_elsewhere_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip(map(numbered, range(6)), options=X264))
    data = bytearray(other.read_bytes())
    at = data.index(b"dref") + 12
    assert data[at + 4 : at + 8] == b"url "
    data[at + 8 : at + 12] = b"\0\0\0\0"  # no longer "in this file"
    mdat = data.index(b"mdat")
    size = int.from_bytes(data[mdat - 4 : mdat])
    data[mdat + 4 : mdat - 4 + size] = bytes(size - 8)
    path = tmp_path / "refers.mp4"
    path.write_bytes(data)
    with pytest.raises(PhotoDamaged), open_clip(path):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_text_pipes_and_folders_named_like_clips_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "text.mp4").write_text("no clip\n" * 99)
    (tmp_path / "zeros.mp4").write_bytes(bytes(10_000))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(PhotoError), open_clip(path):
            pass


def test_what_looks_like_a_transport_stream_and_is_none_is_damaged() -> None:
    data = (b"\x47" + bytes(187)) * 400
    assert clip_kind(data[:4096]) == "mpegts"
    with pytest.raises(PhotoError), open_clip(data):
        pass


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from the system")
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak")
def test_memory_stays_small_whatever_the_file_says(tmp_path: Path) -> None:
    """In a process of its own, whose peak is then its own, too."""
    for number in range(24):
        (tmp_path / f"{number}.clip").write_bytes(mutant(number))
    code = (
        "import sys\n"
        "from tests.attacks.test_video import survive\n"
        "for path in sys.argv[1:]: survive(path)\n"
        "print(next(l.split()[1] for l in open('/proc/self/status') if 'VmHWM' in l))\n"
    )
    paths = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 900 * 1024  # KiB; of which the imports of the tests are half
