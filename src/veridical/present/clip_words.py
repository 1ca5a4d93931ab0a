"""Every sentence that people read about a clip."""

from collections.abc import Iterator, Sequence

from veridical.present import words
from veridical.present.numbers import share, span
from veridical.report import Decision, Reason
from veridical.video import Look, Track, VideoReport

_SWAPPED = (
    "The model learnt from photos of whole faces. A person whose face was swapped, or whose lips "
    "were made to move, may be called real. Sound is not judged."
)
LIMITS = (_SWAPPED, *words.LIMITS)
NOT_MEANT = {**words.NOT_MEANT, Decision.REAL: f"{_SWAPPED} It is no proof."}
"""The most important of them beside each answer."""
ABOUT_TIMELINE = (
    "Dots are the looks, the band is the interval of each. The dark line below shows when the "
    "person is in sight. The grey stretch alone gives the same answer."
)
_BARS = "▁▂▃▄▅▆▇█"
_NONE = "·"

_PLAINLY = {
    Reason.FEW_LOOKS: "nobody is seen long enough to be judged",
    Reason.FACE_TOO_SMALL: "the faces have too few pixels to be judged",
    Reason.NO_FACE: "no face was found in the frames that were searched",
    Reason.FACES_DISAGREE: "the people in the clip have different verdicts",
    Reason.ONE_OF_MANY: (
        "one person looks AI-generated; of a clip with several people more is asked before it is "
        "called so"
    ),
    Reason.DAMAGED: "a part of the clip could not be read, and is not judged",
}
_NEXT_REAL = (
    "Check the source too: a swapped face, lips made to move, and a staged scene can all be called "
    "real."
)
_NEXT = {
    Reason.FACE_TOO_SMALL: "Look for the clip in a larger size.",
    Reason.NO_FACE: "Look at more frames{frames}.",
    Reason.BOTH_PLAUSIBLE: "Look for an earlier copy of the clip, less compressed.",
    Reason.INTERVAL_TOO_WIDE: "Let a person look at the frames that are named below.",
    Reason.FACES_DISAGREE: "Read the answer about each person before you act.",
    Reason.ONE_OF_MANY: "Let a person look at that part of the clip, and check the source.",
}


def clock(seconds: float) -> str:
    """Return a time as players show it: 0:07.3, 12:30.0, 1:02:03.4."""
    tenths = int(seconds * 10 + 1e-6)  # players count whole units that have passed
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{minutes:02d}:{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{tail}" if hours else f"{minutes}:{rest // 10:02d}.{rest % 10}"


def during(start_s: float, end_s: float) -> str:
    """Return a stretch of time."""
    return f"{clock(start_s)} to {clock(end_s)}"


def why(report: VideoReport) -> str:
    """Say why in a sentence or two."""
    first, *others = report.reasons
    told = _PLAINLY.get(first) or words.plainly(first)
    if first is Reason.WITHIN_COVERAGE and report.decision is not Decision.UNDECIDED:
        told = words.promised(report.decision, report.promise(report.decision), "people")
    said_too = Reason.FACES_DISAGREE, Reason.DAMAGED, Reason.FEW_LOOKS
    beside = [_PLAINLY[one] for one in others if one in said_too]
    return " ".join(map(words.sentence, [told, *beside]))


def next_step(report: VideoReport, *, commands: bool = True) -> str:
    """Say what to do about an answer.

    Args:
        report: The answer.
        commands: Name the program's commands.
    """
    first = report.reasons[0]
    if report.decision is Decision.REAL:
        step = _NEXT_REAL
    elif first in _NEXT:
        step = words.with_commands(_NEXT[first], commands)
    else:
        step = words.next_step(report.decision, report.reasons[:1], commands=commands)
    if Reason.DAMAGED in report.reasons[1:]:
        step += f" {words.next_step(Decision.UNDECIDED, (Reason.DAMAGED,))}"
    return words.after_declared(report.declared, report.decision, step)


def footage(report: VideoReport) -> str:
    """Say what was looked at."""
    own = report.footage
    rate = f", {own.fps:.4g} frames per second" if own.fps else ""
    judged = sum(len(one.looks) for one in report.tracks)
    many = len(report.searched_s)
    cuts = len(report.cuts_s)
    return (
        f"{clock(own.duration_s)}, {own.width} x {own.height} px, {own.codec}{rate}; {many} "
        f"{'frame was' if many == 1 else 'frames were'} searched, {judged} looks judged, "
        f"{cuts or 'no'} {'cut' if cuts == 1 else 'cuts'} seen"
    )


def not_looked_at(report: VideoReport) -> Iterator[str]:
    """Say what was not judged, and why; nothing that is not there."""
    for one in report.lost:
        until = "the end" if one.end_s is None else clock(one.end_s)
        yield f"{clock(one.start_s)} to {until} could not be read: {one.why}"
    small = sum(Reason.FACE_TOO_SMALL in one.reasons for one in report.tracks)
    brief = sum(one.reasons[:1] == (Reason.FEW_LOOKS,) for one in report.tracks if not one.verdict)
    if small:
        yield f"{_people(small)} too small to be judged"
    if brief:
        yield f"{_people(brief)} seen in fewer than 5 frames"
    if report.footage.audio:
        yield "the sound"


def _people(count: int) -> str:
    return "1 face that is" if count == 1 else f"{count} faces that are"


def of_track(track: Track) -> str:
    """Say how one person was judged, for experts."""
    assert track.verdict
    told = [
        f"{len(track.looks)} looks, worth {track.effective_looks:.3g} independent ones",
        f"seen in {len(track.sightings)} of the searched frames",
        f"face of {track.size_px:.0f} px",
    ]
    if track.span:
        told.append(f"the looks at {_when(track)} alone give the same answer")
    return "; ".join(told)


def _when(track: Track) -> str:
    assert track.span
    one = track.span
    return clock(one.start_s) if one.start_s == one.end_s else during(one.start_s, one.end_s)


def telling(track: Track) -> tuple[tuple[str, Look], ...]:
    """Return the looks that spoke most for either answer, each with what it is."""
    if not track.looks:
        return ()
    ranked = sorted(track.looks, key=_p_ai)
    found = [("most for real", ranked[0]), ("most for AI-generated", ranked[-1])]
    if track.decision is Decision.AI:
        found.reverse()
    return tuple(found[: len(ranked)])


def _p_ai(look: Look) -> float:
    return look.face.verdict.p_ai if look.face.verdict else 0.5


def sparkline(track: Track, duration_s: float, width: int, *, ascii_only: bool = False) -> str:
    """Draw P(ai) of a track's looks over the clip: a bar per column, high for `ai`.

    Args:
        track: Of one person.
        duration_s: Of the clip, seconds.
        width: Columns.
        ascii_only: Digits from 0 (real) to 9 (ai) instead of bars.
    """
    cells: list[list[float]] = [[] for _ in range(width)]
    for look in track.looks:
        at = int(look.time_s / duration_s * width) if duration_s > 0 else 0
        cells[min(at, width - 1)].append(_p_ai(look))
    steps = "0123456789" if ascii_only else _BARS
    return "".join(
        steps[min(int(sum(own) / len(own) * len(steps)), len(steps) - 1)]
        if own
        else ("." if ascii_only else _NONE)
        for own in cells
    )


def people(tracks: Sequence[Track]) -> list[Track]:
    """Return those who were judged."""
    return [one for one in tracks if one.verdict]


def chances(track: Track) -> str:
    """Return P(ai) of one person, with its interval."""
    assert track.verdict
    return f"{share(track.verdict.p_ai)} ({span(track.verdict.interval)})"
