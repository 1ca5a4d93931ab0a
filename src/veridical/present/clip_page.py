"""The page of one clip: the answer, then a timeline for each person, then what was not judged."""

from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from veridical.box import Box
from veridical.present import claims, clip_words, words
from veridical.present.html import render
from veridical.present.maps import (
    SIGNS,
    over_face,
    places_in_words,
    portrait,
    shown,
    sign,
    with_bar,
)
from veridical.present.numbers import percent, share, span
from veridical.present.pictures import Picture
from veridical.present.sections import Rows
from veridical.present.words import WORD, sentence
from veridical.video import Look, Track, VideoReport

_WIDE, _HIGH = 720, 130  # of a timeline, units of its drawing
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 10, 26  # around it
GEOMETRY = {
    "wide": _WIDE,
    "high": _HIGH,
    "left": _LEFT,
    "right": _WIDE - _RIGHT,
    "bottom": _HIGH - _BOTTOM,
}
"""What a template needs to draw a timeline."""
MOST_PEOPLE = 12  # who get pictures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """A person over the clip, as coordinates of a drawing.

    Attributes:
        band: Corners of the interval of each look.
        line: P(ai) of each look.
        dots: (x, y) of each look.
        seen: From where to where the person is in sight.
        span: The part that carries the verdict.
        ticks: (x, text) of the time axis.
        rows: (y, text) of the axis of P(ai).
        says: The same in words.
    """

    band: str
    line: str
    dots: tuple[tuple[float, float], ...]
    seen: tuple[float, float]
    span: tuple[float, float] | None
    ticks: tuple[tuple[float, str], ...]
    rows: tuple[tuple[float, str], ...]
    says: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Person:
    """What a page shows of one person.

    Attributes:
        heading: Number and answer.
        decision: For its colour.
        told: P(ai), interval and where in the clip.
        timeline: P(ai) over the clip.
        pictures: Frames that spoke most for either answer, and the map of one.
        numbers: For experts.
    """

    heading: str
    decision: str
    told: str
    timeline: Timeline
    pictures: tuple[Picture, ...]
    numbers: Rows


def clip_page(report: VideoReport, *, title: str) -> str:
    """Return the page of a clip; encode it as UTF-8.

    Args:
        report: On the clip.
        title: What the page calls it, such as the name of the file.
    """
    judged = clip_words.people(report.tracks)
    return render(
        "clip",
        title=title,
        report=report,
        answer=WORD[report.decision],
        why=clip_words.why(report),
        next=clip_words.next_step(report),
        origin=claims.lead(report),
        claims=claims.entries(report.claims),
        about_claims=claims.ABOUT,
        people=[person(n, one, report) for n, one in enumerate(judged)],
        missing=[sentence(one) for one in clip_words.not_looked_at(report)],
        footage=sentence(clip_words.footage(report)),
        processing=tuple(processing(report, title)),
        about_timeline=clip_words.ABOUT_TIMELINE,
        limits=clip_words.LIMITS,
        **GEOMETRY,
    )


def person(at: int, track: Track, report: VideoReport) -> Person:
    """Return what a page shows of one person, by their number from 0."""
    assert track.verdict
    verdict, drawn = track.verdict, at < MOST_PEOPLE
    where = clip_words.during(track.start_s, track.end_s)
    return Person(
        heading=f"Person {at + 1}: {WORD[track.decision]}",
        decision=track.decision.value,
        told=f"P(ai) {share(verdict.p_ai)}, {percent(report.level)} credible interval "
        f"{span(verdict.interval)}; in sight from {where}.",
        timeline=_timeline(track, report),
        pictures=tuple(_pictures(track, at + 1)) if drawn else (),
        numbers=tuple(_numbers(track, report)),
    )


def _timeline(track: Track, report: VideoReport) -> Timeline:
    length = max(report.footage.duration_s, 1e-6)

    def x(seconds: float) -> float:
        share_of = min(max(seconds / length, 0.0), 1.0)
        return round(_LEFT + share_of * (_WIDE - _LEFT - _RIGHT), 1)

    def y(p: float) -> float:
        return round(_TOP + (1 - p) * (_HIGH - _TOP - _BOTTOM), 1)

    looks = [(look.time_s, look.face.verdict) for look in track.looks if look.face.verdict]
    upper = [f"{x(t)},{y(v.interval[1])}" for t, v in looks]
    lower = [f"{x(t)},{y(v.interval[0])}" for t, v in reversed(looks)]
    values = [v.p_ai for _, v in looks]
    steps = [length * n / 4 for n in range(5)]
    return Timeline(
        band=" ".join(upper + lower),
        line=" ".join(f"{x(t)},{y(v.p_ai)}" for t, v in looks),
        dots=tuple((x(t), y(v.p_ai)) for t, v in looks),
        seen=(x(track.start_s), x(track.end_s)),
        span=(x(track.span.start_s), x(track.span.end_s)) if track.span else None,
        ticks=tuple((x(t), clip_words.clock(t)) for t in steps),
        rows=((y(1.0), "AI"), (y(0.5), "1/2"), (y(0.0), "real")),
        says=f"P(ai) of {len(looks)} looks over the clip: between {share(min(values))} and "
        f"{share(max(values))}.",
    )


def _pictures(track: Track, number: int) -> Iterator[Picture]:
    explained = None
    for what, look in clip_words.telling(track):
        if look.crop is None or look.face.verdict is None:
            continue
        explained = explained or (look if look.face.explanation else None)
        yield Picture(
            image=Image.fromarray(look.crop),
            says=f"Person {number} at {clip_words.clock(look.time_s)}, and what is around them.",
            caption=f"At {clip_words.clock(look.time_s)}, the look that spoke {what}: "
            f"P(ai) {share(look.face.verdict.p_ai)} on its own.",
            shown=280,
            photo=True,
        )
    for look in track.looks:
        if (picture := _map(look, number)) is not None:
            yield picture


def _map(look: Look, number: int) -> Picture | None:
    explanation, crop = look.face.explanation, look.crop
    if explanation is None or crop is None or not shown(explanation.faithfulness):
        return None
    side = float(len(crop))
    whole = Box(left=0.0, top=0.0, width=side, height=side)
    drawn, limit = over_face(
        portrait(Image.fromarray(crop), whole), explanation.patches, explanation.covered
    )
    sign(drawn, explanation.patches, explanation.covered)
    return Picture(
        image=with_bar(drawn, limit, "logit", 22),
        says=f"Person {number} in grey under a map. {places_in_words(explanation.patches)}",
        caption=f"The map of what the model used at {clip_words.clock(look.time_s)}. {SIGNS}",
        shown=400,
        photo=True,
    )


def _numbers(track: Track, report: VideoReport) -> Iterator[tuple[str, str]]:
    assert track.verdict
    yield "Looks", sentence(clip_words.of_track(track))
    if track is report.lead and report.at_prior:
        yield f"At {percent(report.at_prior.prior)}", words.at_share(report.at_prior)
    yield "Reasons", " ".join(sentence(words.says(one)) for one in track.reasons)
    yield "Uncertainty", sentence(words.in_words(track.verdict, track.reasons))
    copies = "none: they are tried only before a person is called AI-generated"
    if track.verdict.stability:
        copies = words.of_copies(track.verdict.stability, track.reasons)
    yield "Copies", sentence(copies)
    yield "Distance", sentence(words.distance(track.verdict))


def processing(report: VideoReport, title: str) -> Iterator[tuple[str, str]]:
    """Say what came, and what was done with it by which model, as (label, text)."""
    own = report.footage
    yield "File", title
    yield "Clip", f"{own.container}, {own.codec}, {own.width} x {own.height} px"
    yield "SHA-256", report.sha256
    yield "Processing", "; ".join(report.steps) or "none"
    yield "Searched", ", ".join(clip_words.clock(one) for one in report.searched_s)
    if report.cuts_s:
        yield "Cuts", ", ".join(clip_words.clock(one) for one in report.cuts_s)
    yield "Model", report.model
    yield "Version", f"veridical {report.version}"
    yield "Assumption", sentence(words.assumption(report.prior))
    yield (
        "Coverage",
        "the prediction sets are promised to hold the truth for "
        f"{percent(report.coverage_of_reals)} of the real people and for "
        f"{percent(report.coverage_of_ai)} of the AI-generated ones",
    )
