"""Watch a clip: search its frames for faces, join them into people, and look at each."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.engines import Engine
from veridical.explain.face import ExplainConfig
from veridical.io.clip import ClipFacts, Frame
from veridical.io.decode import Photo
from veridical.judging import FaceJudge
from veridical.scoring import score
from veridical.timeline import (
    FEWEST,
    Copies,
    Scored,
    judged_track,
    looks_each,
    spread,
    unjudged_track,
)
from veridical.tokens import Tokens
from veridical.video import Footage, Sighting, Track
from veridical.vision.backbone import tokens_of
from veridical.vision.faces import Face
from veridical.vision.prepare import ClipFinder, Finder, Seen, areas_of, crops_of
from veridical.vision.runtime import one_blas_thread
from veridical.vision.tracking import (
    Appearance,
    Chain,
    Thumbnail,
    appearance,
    is_cut,
    link,
    thumbnail,
)

FIRST = 24  # frames that are searched first, all over the clip
ROUNDS = 2  # in which gaps between searched frames are halved where faces come and go
FULL_EVERY = 6  # searched frames, of which one is searched for small and hidden faces, too
QUICK_PX = 960  # long side of the copy in which the others are searched, at most
Told = Callable[[str, float], None]
"""Hears of each step: `searching` or `judging`, and the share of all work that is done, 0 to 1."""

_TO_SEARCH = 0.7  # share of the work that searching is, about

PEOPLE = 12  # of a frame whose crops are kept: the largest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """A face in a frame that was searched.

    Attributes:
        seen: Where it is, and what would be looked at.
        looks: For joining it with other frames' faces.
        crops: Of it; None of a face too small, or beyond the largest `PEOPLE`.
    """

    seen: Seen
    looks: Appearance
    crops: UInt8[ndarray, "crops size size 3"] | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Searched:
    """A frame after the search for faces.

    Attributes:
        time: When it is shown, seconds.
        small: For finding cuts.
        found: Its faces.
        steps: What was done to it on the way in.
    """

    time: Fraction
    small: Thumbnail
    found: tuple[Found, ...]
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Watched:
    """What was seen in a clip.

    Attributes:
        tracks: Judged ones first; in order of time, the largest face first.
        searched_s: When the searched frames are shown, seconds.
        cuts_s: Those that begin another shot.
        steps: What was done to the frames on the way in.
    """

    tracks: tuple[Track, ...]
    searched_s: tuple[float, ...]
    cuts_s: tuple[float, ...]
    steps: tuple[str, ...]


def watch(
    times: Sequence[Fraction],
    read: Callable[[Sequence[Fraction]], Iterator[Frame]],
    again: Callable[[Fraction], Frame | None],
    finder: Finder,
    model: FaceJudge,
    engine: Engine,
    looking: Engine,
    *,
    denser: bool = False,
    explain: ExplainConfig | None = None,
    told: Told = lambda _stage, _share: None,
) -> Watched:
    """Find, follow and judge the people of a clip.

    Frames are dropped as soon as they have been searched; what is kept grows with their number
    and with the people in them, never with the length of the clip.

    Args:
        times: To be searched, seconds, in order.
        read: Gives the frames at some times, in order of time.
        again: Reads the frame at a time once more, for the test in copies.
        finder: Finds faces.
        model: What judges.
        engine: How many frames are searched at the same time.
        looking: How many looks are judged at the same time. One: each gets all the threads of the
            backbone, and no second session has to be opened.
        denser: Whether to begin with fewer times, and to spend the others where faces come and go.
        explain: How to explain the most telling look of each person; None for not at all.
        told: Hears of every step.
    """
    search = _Search(
        finder,
        model,
        engine,
        lambda count: told("searching", _TO_SEARCH * min(1.0, count / len(times))),
    )
    sparse = denser and len(times) > FIRST
    begin = [times[at] for at in spread(len(times), FIRST)] if sparse else times
    searched = search(read(begin))
    cuts, chains = _people(searched)
    for _ in range(ROUNDS if sparse else 0):
        gaps = _unclear(searched, chains, model.parts.min_face_px)
        gaps = [gaps[at] for at in spread(len(gaps), len(times) - len(searched))]
        there = {one.time for one in searched}
        halves = [(searched[at].time + searched[at + 1].time) / 2 for at in gaps]
        new = search(one for one in read(halves) if one.time not in there)
        if not new:
            break
        searched = sorted([*searched, *new], key=lambda one: one.time)
        cuts, chains = _people(searched)

    def copies(one: Scored) -> Copies:
        frame = again(one.time)
        return () if frame is None else model.copies(_photo(frame), one.seen)

    seen = [[(searched[f], searched[f].found[k]) for f, k in chain.places] for chain in chains]
    known = [
        (own, sightings := tuple(_sighting(*one) for one in own), _untold(own, sightings, model))
        for own in seen
    ]
    most = looks_each(sum(track is None for _, _, track in known))
    tracks = []
    for at, (own, sightings, track) in enumerate(known):
        told("judging", _TO_SEARCH + (1 - _TO_SEARCH) * at / len(known))
        if track is None:
            kept = [(frame, found) for frame, found in own if found.crops is not None]
            chosen = [kept[at] for at in spread(len(kept), most)]
            track = _judge(sightings, chosen, model, looking, copies, explain)
        tracks.append(track)
    ordered = sorted(tracks, key=lambda one: (one.verdict is None, one.start_s, -one.size_px))
    return Watched(
        tracks=tuple(ordered),
        searched_s=tuple(float(one.time) for one in searched),
        cuts_s=tuple(float(one.time) for one, cut in zip(searched, cuts, strict=True) if cut),
        steps=tuple(dict.fromkeys(step for one in searched for step in one.steps)),
    )


def _people(searched: Sequence[Searched]) -> tuple[list[bool], list[Chain]]:
    """Return which frames begin another shot, and whose faces are one person's."""
    cuts = [at > 0 and is_cut(searched[at - 1].small, one.small) for at, one in enumerate(searched)]
    faces = [[(one.seen.box, one.looks) for one in frame.found] for frame in searched]
    return cuts, link(faces, [float(frame.time) for frame in searched], cuts)


def _unclear(
    searched: Sequence[Searched], chains: Sequence[Chain], min_face_px: float
) -> list[int]:
    """Return the gaps (each by the frame before it) in which somebody comes, goes or is brief.

    Faces that are too small to be judged do not count.
    """
    gaps = set[int]()
    for chain in chains:
        boxes = [searched[f].found[k].seen.box.size_px for f, k in chain.places]
        if max(boxes) < min_face_px:
            continue
        first, last = chain.places[0][0], chain.places[-1][0]
        brief = len(chain.places) < FEWEST
        gaps |= set(range(first - 1, last + 1)) if brief else {first - 1, last}
    return sorted(gaps & set(range(len(searched) - 1)))


class _Search:
    """Searches frames; all of them thoroughly if somebody lies in the first."""

    def __init__(
        self, finder: Finder, model: FaceJudge, engine: Engine, told: Callable[[int], None]
    ) -> None:
        self._finder, self._model, self._engine, self._told = finder, model, engine, told
        self._count, self._lying = 0, False

    def __call__(self, frames: Iterable[Frame]) -> list[Searched]:
        waiting = iter(frames)
        found = []
        if self._count == 0 and (first := next(waiting, None)):
            found = [self._work((0, first))]
            self._lying = any(one.seen.turn for one in found[0].found)
            self._told(1)
        begin = self._count + len(found)
        for one in self._engine.map(self._work, enumerate(waiting, start=begin)):
            found.append(one)
            self._told(self._count + len(found))
        self._count += len(found)
        return found

    def _work(self, one: tuple[int, Frame]) -> Searched:
        at, frame = one
        thorough = self._lying or at % FULL_EVERY == 0
        return _search(frame, self._finder, self._model, thorough=thorough)


def _untold(
    own: Sequence[tuple[Searched, Found]], sightings: Sequence[Sighting], model: FaceJudge
) -> Track | None:
    """Return the track of somebody who cannot be judged; None of others."""
    looked = sum(found.crops is not None for _, found in own)
    return unjudged_track(sightings, model.parts.min_face_px, looked)


def _judge(
    sightings: Sequence[Sighting],
    chosen: Sequence[tuple[Searched, Found]],
    model: FaceJudge,
    looking: Engine,
    copies: Callable[[Scored], Copies],
    explain: ExplainConfig | None,
) -> Track:
    looks = list(looking.map(partial(_look, model), chosen))
    scored = [one for one, _ in looks]
    with one_blas_thread():
        track = judged_track(sightings, scored, model, copies)
        if explain and track.verdict:
            means = np.array([one.score.logits.mean() for one in scored])
            at = int(np.argmax(means * np.sign(means.mean())))
            crops = chosen[at][1].crops
            assert crops is not None
            own = model.explained(scored[at].seen, scored[at].score, crops, looks[at][1], explain)
            listed = list(track.looks)
            names = [branch.name for branch in model.parts.branches]
            listed[at] = replace(
                listed[at],
                face=replace(listed[at].face, explanation=own),
                crop=crops[names.index(own.crop)].copy(),
            )
            track = replace(track, looks=tuple(listed))
    return track


def _look(model: FaceJudge, one: tuple[Searched, Found]) -> tuple[Scored, Sequence[Tokens]]:
    frame, found = one
    assert found.crops is not None
    tokens = tokens_of(model.backbone, found.crops)
    with one_blas_thread():
        scored = score(model.parts, tokens, found.seen.box.size_px)
    return (
        Scored(time=frame.time, seen=found.seen, score=scored, crop=found.crops[-1].copy()),
        tokens,
    )


def _search(frame: Frame, finder: Finder, model: FaceJudge, *, thorough: bool) -> Searched:
    photo = _photo(frame)
    image = photo.stored
    configs = model.parts.configs
    found = []
    for rank, face in enumerate(_faces(image, finder, thorough=thorough)):
        seen = Seen(box=face.box, areas=areas_of(face.box, configs, image), face=face)
        large = face.box.size_px >= model.parts.min_face_px and rank < PEOPLE
        crops = crops_of(*photo.around(seen.areas), configs, seen.turn) if large else None
        found.append(Found(seen=seen, looks=appearance(image, face), crops=crops))
    return Searched(time=frame.time, small=thumbnail(image), found=tuple(found), steps=frame.steps)


def _faces(image: Image.Image, finder: Finder, *, thorough: bool) -> Sequence[Face]:
    if thorough or not isinstance(finder, ClipFinder):
        return finder.find(image)
    scale = min(1.0, QUICK_PX / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    small = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    across, down = image.width / small.width, image.height / small.height
    return [
        replace(
            face,
            box=face.box.scaled(across, down),
            landmarks=tuple((x * across, y * down) for x, y in face.landmarks),
        )
        for face in finder.glance(small)
    ]


def _photo(frame: Frame) -> Photo:
    return Photo(stored=Image.fromarray(frame.pixels), steps=())


def _sighting(frame: Searched, found: Found) -> Sighting:
    face = found.seen.face
    return Sighting(
        time_s=float(frame.time),
        box=found.seen.box,
        turn=found.seen.turn,
        confidence=face.score if face else 0.0,
    )


def footage_of(facts: ClipFacts) -> Footage:
    """Return what a clip is, as reports tell it."""
    return Footage(
        container=facts.container,
        codec=facts.codec,
        width=facts.width,
        height=facts.height,
        fps=None if facts.fps is None else float(facts.fps),
        duration_s=float(facts.duration),
        n_frames=facts.frames,
        audio=facts.has_audio,
        tags=tuple(facts.tags.items()),
    )
