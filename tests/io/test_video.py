"""Frames of clips come at the times at which a player shows them."""

import hashlib
import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.io.clips import HEIGHT, WIDTH, av, clip, numbered, read_number
from veridical.errors import (
    FormatNotInstalled,
    NotAPhoto,
    PhotoDamaged,
    PhotoEmpty,
    PhotoMissing,
    PhotoTooLarge,
    PhotoTooSlow,
    PhotoUnreadable,
)
from veridical.io.clip import ClipLimits, Frame, Sampling, clip_kind, looks_like_clip, plan
from veridical.io.source import open_source
from veridical.io.video import open_clip

GOP = {"g": "12", "bf": "3", "preset": "ultrafast", "b-pyramid": "normal"}
X264 = {**GOP, "preset": "veryfast"}


def read(data: Any, times: Sequence[Fraction | float] | None = None, **options: Any) -> list[Frame]:
    exact = options.pop("exact", True)
    with open_clip(data, **options) as opened:
        wanted = plan(opened.facts, Sampling(most=1000)) if times is None else times
        frames = list(opened.frames(wanted, exact=exact))
        assert opened.lost == []
        return frames


def clips() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        ("mp4", "libx264", {"options": X264}),
        ("mov", "libx264", {"options": X264, "sound": True}),
        ("matroska", "libx264", {"options": X264}),
        ("mpegts", "libx264", {"options": X264}),
        ("flv", "libx264", {"options": X264}),
        ("mp4", "libx264", {"options": X264, "muxing": {"movflags": "frag_keyframe+empty_moov"}}),
        (
            "mp4",
            "libx265",
            {"options": {"preset": "ultrafast", "x265-params": "log-level=none:keyint=12"}},
        ),
        ("webm", "libvpx-vp9", {"options": {"cpu-used": "8", "deadline": "realtime", "g": "12"}}),
        (
            "webm",
            "libvpx",
            {"options": {"cpu-used": "8", "g": "12", "auto-alt-ref": "1", "lag-in-frames": "8"}},
        ),
        ("avi", "mpeg4", {"options": {"bf": "2", "g": "12", "qscale": "3"}}),
        ("avi", "mjpeg", {"pixel": "yuvj420p"}),
        (
            "mpeg",
            "mpeg2video",
            {"options": {"bf": "2", "g": "12"}, "stream": {"bit_rate": 3_000_000}},
        ),
        ("matroska", "ffv1", {}),
    ]


@pytest.mark.parametrize(("container", "codec", "more"), clips())
def test_every_frame_comes_at_its_time(container: str, codec: str, more: dict[str, Any]) -> None:
    data = clip(map(numbered, range(40)), container=container, codec=codec, **more)
    assert looks_like_clip(data[:4096])
    frames = read(data)
    assert [read_number(one.pixels) for one in frames] == list(range(40))
    assert [one.index for one in frames] == list(range(40))
    near = Fraction(1, 1000)
    assert all(abs(one.time - Fraction(n, 25)) <= near for n, one in enumerate(frames))
    assert frames[0].time == 0
    assert frames[0].keyframe
    few = read(data, [1.0, 0.5, 1.52])  # jumped to, not walked to
    assert [read_number(one.pixels) for one in few] == [12, 25, 38]
    for one in few:
        np.testing.assert_array_equal(one.pixels, frames[one.index].pixels)


def test_a_variable_rate_is_kept_to_the_tick() -> None:
    ticks = [0, 10, 15, 100, 101, 400, 401, 402, 900, 1000]
    data = clip(map(numbered, range(10)), pts=ticks, time_base=Fraction(1, 1000), options=X264)
    with open_clip(data) as opened:
        assert (opened.facts.constant_fps, opened.facts.frames) == (False, 10)
        assert opened.facts.fps == 9
        frames = list(opened.frames([Fraction(tick, 1000) for tick in ticks]))
    assert [one.time for one in frames] == [Fraction(tick, 1000) for tick in ticks]
    assert [read_number(one.pixels) for one in frames] == list(range(10))
    between = read(data, [0.0999, 0.399, 0.4015, 0.99])
    assert [read_number(one.pixels) for one in between] == [2, 4, 6, 8]


@pytest.mark.parametrize(
    ("container", "muxing"),
    [
        ("mpegts", {}),  # begins at 1.4 s
        ("matroska", {"output_ts_offset": "20"}),
        ("mp4", {"use_editlist": "0"}),  # B-frames push the first timestamp
    ],
)
def test_a_clip_begins_at_zero_wherever_its_clock_begins(
    container: str, muxing: dict[str, str]
) -> None:
    data = clip(map(numbered, range(20)), container=container, options=X264, muxing=muxing)
    frames = read(data)
    assert [read_number(one.pixels) for one in frames] == list(range(20))
    assert [one.time for one in frames] == [Fraction(n, 25) for n in range(20)]


def test_pictures_that_begin_after_the_sound_come_later() -> None:
    data = clip(
        map(numbered, range(20)), container="mpegts", options=X264, sound=True,
        pts=[25 + n for n in range(20)],
    )  # fmt: skip
    with open_clip(data) as opened:
        assert opened.facts.has_audio
        late = opened.facts.start
        frames = list(opened.frames(plan(opened.facts, Sampling(most=4))))
    assert 0.9 < late < 1.1
    assert [read_number(one.pixels) for one in frames] == [2, 7, 12, 17]
    assert frames[0].time == late + Fraction(2, 25)


def cut_by_edits(data: bytes, start: int) -> bytes:
    """An MP4 whose edit list begins `start` ticks into its media."""
    at = data.index(b"elst")
    assert int.from_bytes(data[at + 8 : at + 12]) == 1
    was = int.from_bytes(data[at + 16 : at + 20])
    return data[: at + 16] + (was + start).to_bytes(4) + data[at + 20 :]


def test_what_an_edit_cuts_away_is_not_shown() -> None:
    data = clip(map(numbered, range(40)), options=X264, time_base=Fraction(1, 25))
    with open_clip(data) as opened:
        assert opened.facts.frames == 40
    scale = 12800 // 25  # ticks of a frame, as the muxer has them
    frames = read(cut_by_edits(data, 15 * scale))
    assert read_number(frames[0].pixels) == 15
    assert frames[0].time == 0
    assert [read_number(one.pixels) for one in frames[:20]] == list(range(15, 35))


@pytest.mark.parametrize("threads", [2, 3])
def test_pixels_do_not_depend_on_threads(threads: int) -> None:
    data = clip(map(numbered, range(40)), options=X264)
    for one, other in zip(read(data), read(data, threads=threads), strict=True):
        assert (one.index, one.time) == (other.index, other.time)
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_keyframes_near_the_wanted_times_are_taken_where_that_is_allowed() -> None:
    data = clip(map(numbered, range(48)), options=X264)  # keyframes at 0, 12, 24, 36
    wanted = [0.1, 0.5, 1.0, 1.3]
    exact = read(data, wanted)
    near = read(data, wanted, exact=False)
    assert [one.index for one in exact] == [2, 12, 25, 32]
    assert [one.index for one in near] == [0, 12, 24, 36]
    assert all(one.keyframe for one in near)
    assert [read_number(one.pixels) for one in near] == [0, 12, 24, 36]


def test_frames_are_not_decoded_that_nobody_needs() -> None:
    data = clip(map(numbered, range(200)), options={**X264, "g": "10"})
    with open_clip(data, ClipLimits(max_decoded=40)) as opened:  # of 200
        frames = list(opened.frames([0.02, 4.02, 7.62]))
        assert opened.lost == []
    assert [one.index for one in frames] == [0, 100, 190]


def test_facts_are_those_of_the_clip() -> None:
    data = clip(
        map(numbered, range(30)), rate=Fraction(30000, 1001), options=X264, sound=True,
        tags={"title": "A\nwalk", "encoder": "x"},
    )  # fmt: skip
    with open_clip(data) as opened:
        facts = opened.facts
    assert (facts.container, facts.codec) == ("mp4", "h264")
    assert (facts.width, facts.height) == (WIDTH, HEIGHT)
    assert (facts.fps, facts.constant_fps) == (Fraction(30000, 1001), True)
    assert (facts.frames, facts.has_audio, facts.interlaced) == (30, True, False)
    assert abs(facts.duration - Fraction(1001, 1000)) < Fraction(1, 10000)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts.size == len(data)
    assert facts.tags["title"] == "A walk"
    assert (facts.colour.bits, facts.colour.hdr, facts.colour.full_range) == (8, False, False)


def test_a_path_a_file_and_bytes_are_one_clip(tmp_path: Path) -> None:
    data = clip(map(numbered, range(5)), options=X264)
    path = tmp_path / "named.txt"  # names do not count
    path.write_bytes(data)
    for source in (path, str(path), data, open_source(data)):
        assert [read_number(one.pixels) for one in read(source)] == [0, 1, 2, 3, 4]


# --- which times -------------------------------------------------------------------------------


def test_a_plan_spreads_over_the_clip_and_asks_for_no_frame_twice() -> None:
    with open_clip(clip(map(numbered, range(50)), options=X264)) as opened:
        facts = opened.facts
    assert facts.duration == 2
    assert plan(facts, Sampling(most=4)) == tuple(Fraction(n, 4) for n in (1, 3, 5, 7))
    assert plan(facts, Sampling(every=0.5)) == plan(facts, Sampling(most=4))
    assert plan(facts, Sampling(start=1, end=2, most=2)) == (Fraction(5, 4), Fraction(7, 4))
    assert len(plan(facts)) == 48
    assert len(plan(facts, Sampling(most=500))) == 50
    assert len(plan(facts, Sampling(every=0.001, most=7))) == 7
    assert plan(facts, Sampling(start=1.99, end=99, most=5)) == (Fraction(1.99) / 2 + 1,)
    wrong: list[dict[str, Any]] = [{"every": 0}, {"most": 0}, {"start": 3}, {"start": 1, "end": 1}]
    for values in wrong:
        with pytest.raises((ValueError, NotAPhoto)):
            plan(facts, Sampling(**values))


# --- animated pictures -------------------------------------------------------------------------


def animated(kind: str, lengths: Sequence[int]) -> bytes:
    file = io.BytesIO()
    first, *others = (Image.fromarray(numbered(n)) for n in range(len(lengths)))
    more: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    first.save(
        file, kind, save_all=True, append_images=others, duration=list(lengths), loop=0, **more
    )
    return file.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_keep_their_times(kind: str) -> None:
    data = animated(kind, [100, 250, 40, 1000])
    assert looks_like_clip(data[:4096])
    with open_clip(data) as opened:
        assert (opened.facts.frames, opened.facts.duration) == (4, Fraction(139, 100))
        assert not opened.facts.constant_fps
        frames = list(opened.frames([0.0, 0.12, 0.36, 1.3]))
        again = list(opened.frames([0.36]))
        assert opened.lost == []
    assert [float(one.time) for one in frames] == [0, 0.1, 0.35, 0.39]
    assert [read_number(one.pixels) for one in frames] == [0, 1, 2, 3]
    np.testing.assert_array_equal(again[0].pixels, frames[2].pixels)


def test_a_default_image_that_nobody_sees_is_no_frame() -> None:
    file = io.BytesIO()
    shown = [Image.fromarray(numbered(n)) for n in (5, 6, 7)]
    Image.new("RGB", (WIDTH, HEIGHT), "white").save(
        file, "PNG", save_all=True, default_image=True, append_images=shown, duration=200
    )
    with open_clip(file.getvalue()) as opened:
        assert (opened.facts.frames, opened.facts.duration) == (3, Fraction(6, 10))
        assert [read_number(one.pixels) for one in opened.frames(plan(opened.facts))] == [5, 6, 7]


def test_a_gif_of_a_million_frames_is_refused_at_once() -> None:
    data = animated("GIF", [100, 100])
    frame = data.rindex(b"\x21\xf9")  # one more frame, of one pixel, a million times
    tiny = b"\x2c" + bytes(4) + b"\1\0\1\0\0\2\2\x44\1\0"
    with pytest.raises(PhotoTooLarge, match="1000003 frames"):
        open_clip(data[:frame] + tiny * 1_000_001 + data[frame:]).__enter__()


def test_a_gif_in_a_hurry_is_shown_as_browsers_do() -> None:
    with open_clip(animated("GIF", [10, 10, 10])) as opened:
        assert opened.facts.duration == Fraction(3, 10)
        (frame,) = opened.frames([0.1])
    assert read_number(frame.pixels) == 1
    assert frame.steps == ("frames of 10 ms or less shown for 100 ms",)


def test_an_animation_that_breaks_off_gives_what_is_there() -> None:
    data = animated("GIF", [100] * 6)
    with open_clip(data[: len(data) * 3 // 4]) as opened:
        frames = list(opened.frames(plan(opened.facts)))
        assert 1 <= len(frames) <= 5
        assert [read_number(one.pixels) for one in frames][:3] == [0, 1, 2]
        assert opened.lost


# --- errors ------------------------------------------------------------------------------------


def test_what_is_no_clip_is_said_to_be_what_it_is(tmp_path: Path) -> None:
    jpeg = io.BytesIO()
    Image.new("RGB", (8, 8)).save(jpeg, "JPEG")
    for data, says in ((b"hello, clip\n" * 50, "text"), (jpeg.getvalue(), "no format we know")):
        assert not looks_like_clip(data)
        with pytest.raises(NotAPhoto, match=says), open_clip(data):
            pass
    with pytest.raises(PhotoEmpty), open_clip(b""):
        pass
    with pytest.raises(PhotoMissing, match="no such file"), open_clip(tmp_path / "no.mp4"):
        pass
    with pytest.raises(PhotoMissing, match="folder"), open_clip(tmp_path):
        pass
    with pytest.raises(PhotoMissing, match="network"), open_clip("https://example.org/a.mp4"):
        pass


def test_limits_are_held() -> None:
    data = clip(map(numbered, range(30)), options=X264)
    with pytest.raises(PhotoTooLarge, match="bytes"), open_clip(data, ClipLimits(max_bytes=99)):
        pass
    with pytest.raises(PhotoTooLarge, match="192 x 96"), open_clip(data, ClipLimits(max_pixels=99)):
        pass
    with (
        pytest.raises(PhotoTooLarge, match="29 frames"),
        open_clip(data, ClipLimits(max_packets=29)),
    ):
        pass
    with (
        pytest.raises(PhotoTooSlow, match="longer than 0 s"),
        open_clip(data, ClipLimits(max_seconds=0)),
    ):
        pass
    with open_clip(data, ClipLimits(max_decoded=15)) as opened:
        frames = list(opened.frames(plan(opened.facts)))
        assert 5 < len(frames) < 15
        (lost,) = opened.lost
        assert (lost.start_s, lost.end_s) == (len(frames) / 25, 1.2)
        assert "frames were decoded, which is the limit" in lost.why


def test_a_clip_that_was_closed_gives_no_more_frames() -> None:
    data = clip(map(numbered, range(30)), options=X264)
    with open_clip(data) as opened:
        frames = opened.frames([0.0, 1.0])
        next(frames)
        others = opened.frames([0.5, 0.9])
        assert read_number(next(others).pixels) == 12
        with pytest.raises(RuntimeError, match="other frames"):
            next(frames)
    with pytest.raises(RuntimeError, match="closed"):
        next(others)


def test_without_pyav_a_video_asks_for_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clip(map(numbered, range(3)), options=X264)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(FormatNotInstalled) as caught, open_clip(data):
        pass
    assert "veridical[video]" in caught.value.hint
    with open_clip(animated("GIF", [100, 100])) as opened:  # needs none
        assert opened.facts.frames == 2


def test_stills_are_no_clips() -> None:
    for brand in (b"heic", b"avif", b"mif1", b"crx "):
        head = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic"
        assert clip_kind(head) is None
    assert clip_kind(b"\0\0\0\x18ftypavis\0\0\0\0mif1avif") is None
    assert clip_kind(b"\0\0\0\x18ftypqt  \0\0\0\0qt  qt  ") == "mp4"
    still = io.BytesIO()
    Image.new("RGB", (8, 8)).save(still, "PNG")
    assert clip_kind(still.getvalue()) is None


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os: Any = pytest.importorskip("os")
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes here")
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(PhotoUnreadable, match="pipe"), open_clip(tmp_path / "clip.mp4"):
        pass


def test_sound_alone_is_no_clip() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        heard = out.add_stream("aac", rate=48000)
        for part in range(20):
            tone = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            tone.sample_rate, tone.pts = 48000, part * 1024
            out.mux(heard.encode(tone))
        out.mux(heard.encode(None))
    with pytest.raises(NotAPhoto, match="sound only"), open_clip(file.getvalue()):
        pass


def test_a_header_without_frames_is_damaged() -> None:
    data = clip(map(numbered, range(3)), options=X264, muxing={"movflags": "empty_moov"})
    with pytest.raises(PhotoDamaged), open_clip(data[: data.index(b"moof") - 4]):
        pass
