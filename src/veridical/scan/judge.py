"""One item in, its rows out: what a worker does, wherever it runs."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import format_exc
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from veridical.errors import VeridicalError
from veridical.io.clip import ClipLimits
from veridical.io.clip_file import open_clip_file
from veridical.io.source import File, open_source
from veridical.io.video import moves
from veridical.report import FaceResult, Failure, Report
from veridical.scan.columns import Row
from veridical.scan.fetch import fetched
from veridical.scan.phash import phash
from veridical.scan.plan import Item, is_address
from veridical.video import Answer, Track, VideoReport

if TYPE_CHECKING:
    from veridical.detector import Detector

_NUMBERS = ("p_ai", "std", "total", "aleatoric", "epistemic", "distance")

INTERNAL = "Internal"
"""Instead of the name of an error: the fault is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What came of one item: plain values, which travel between processes.

    Attributes:
        item: What was judged.
        picture: Its row of `pictures`, without what the ledger adds.
        faces: Its rows of `faces`, likewise.
    """

    item: Item
    picture: Row
    faces: Sequence[Row] = field(default=())


Judge = Callable[[Item], Judged]


@runtime_checkable
class Maker(Protocol):
    """Makes a judge where it will work; it pickles."""

    def __call__(self) -> Judge:
        """Return a judge, with its model loaded."""
        ...


@runtime_checkable
class Sharing(Maker, Protocol):
    """A maker whose judges can share what they hold, in processes of one machine."""

    def shared(self, folder: Path) -> Maker | None:
        """Return a maker of judges that share it; None where they cannot.

        Args:
            folder: For what they share, as long as they work; nobody else may write there.
        """
        ...


@dataclass(frozen=True, slots=True)
class DetectorMaker:
    """Makes judges that share one detector in their process.

    Attributes:
        detector: It pickles as the folder of its model.
        whole_image: See `Detector.inspect`.
    """

    detector: "Detector"
    whole_image: bool = False

    def __call__(self) -> Judge:
        """Return a judge that uses this detector."""
        return _judging(self.detector, self.whole_image)

    def shared(self, folder: Path) -> Maker | None:
        """Return a maker for several processes, which share the network; see `Detector.shared`."""
        load = self.detector.shared(folder)
        return None if load is None else _Loading(load, self.whole_image)


@dataclass(frozen=True, slots=True)
class _Loading:
    """Makes judges of a detector that is loaded where they work."""

    load: Callable[[], "Detector"]
    whole_image: bool

    def __call__(self) -> Judge:
        return _judging(self.load(), self.whole_image)


def _judging(detector: "Detector", whole_image: bool) -> Judge:
    return lambda item: judged(item, lambda one: inspected(detector, one, whole_image))


def judged(item: Item, inspect: Callable[[Item], Judged]) -> Judged:
    """Judge an item; whatever goes wrong becomes a row that says so.

    Args:
        item: What to judge.
        inspect: Returns its rows.
    """
    if item.failure:
        return failed(item, item.failure, "Source")
    try:
        return inspect(item)
    except VeridicalError as error:  # raised on purpose: the file's fault
        failure = Failure(path=item.path, error=error.message, hint=error.cli_hint or error.hint)
        return failed(item, failure, type(error).__name__)
    except Exception:  # our fault, and it costs this item only
        hint = "This is a fault of veridical; please report it with the traceback."
        return failed(item, Failure(path=item.path, error=format_exc(), hint=hint), INTERNAL)


def failed(item: Item, failure: Failure, kind: str) -> Judged:
    """Return the row of an item that could not be judged."""
    row = {"decision": "failed", "error_kind": kind, "error": failure.error, "faces": 0}
    return Judged(item=_bare(item), picture={**row, "hint": failure.hint})


def _bare(item: Item) -> Item:
    """Return an item without what was only to help in judging it."""
    return replace(item, data=None, alike=()) if item.data or item.alike else item


def inspected(detector: "Detector", item: Item, whole_image: bool) -> Judged:
    """Return the rows of one picture or clip.

    Raises:
        PhotoError: If it cannot be read.
    """
    source: str | File = item.path
    if is_address(item.path):
        data = fetched(item.path, detector.limits) if item.data is None else item.data
        source = File(path=item.path, data=data, limits=detector.limits)
    if moves(source, animations=False):
        if item.alike:
            with closing(open_clip_file(source, ClipLimits())) as clip:
                found = _same(item, clip.sha256())
            if found:
                return found
        return _rows(item, detector.inspect_video(source, jobs=1), None)
    file = open_source(source, detector.limits)
    if item.alike and (found := _same(item, file.sha256)):
        return found
    report = detector.inspect(file, whole_image=whole_image)
    return _rows(item, report, phash(file.photo.smaller()))


def _same(item: Item, sha256: str) -> Judged | None:
    """Return the answer about the same bytes; None where there is none."""
    for other, answer in item.alike:
        if other == sha256:
            picture, faces = json.loads(answer)
            return Judged(item=_bare(item), picture=picture, faces=faces)
    return None


# --- rows ----------------------------------------------------------------------------------------


def _rows(item: Item, answer: Answer, seen: str | None) -> Judged:
    if isinstance(answer, VideoReport):
        rows = [_person(one) for one in answer.tracks]
    else:
        rows = [_face(one) for one in answer.faces]
    return Judged(
        item=_bare(item),
        picture={**_picture(answer), "faces": len(rows), "phash": seen},
        faces=[{"face": at, **row} for at, row in enumerate(rows, start=1)],
    )


def _picture(answer: Answer) -> Row:
    low, high = answer.interval or (None, None)
    lead = answer.lead
    row: Row = {
        "sha256": answer.sha256,
        "decision": answer.decision.value,
        "p_ai": answer.p_ai,
        "interval_low": low,
        "interval_high": high,
        "reasons": " ".join(reason.value for reason in answer.reasons),
        "lead_face": None if answer.lead_index is None else answer.lead_index + 1,
        "declared": answer.declared.value,
        "headline": answer.headline,
    }
    if isinstance(answer, Report):
        size = float(answer.lead.box.size_px) if answer.lead else None
        damage = answer.damage.kind if answer.damage else None
        shape = {"width": answer.width, "height": answer.height, "frames": answer.frames}
        return row | shape | {"media": "picture", "lead_face_px": size, "damage": damage}
    footage = answer.footage
    assert lead is None or isinstance(lead, Track)
    return row | {
        "media": "clip",
        "lead_face_px": lead.size_px if lead else None,
        "width": footage.width,
        "height": footage.height,
        "frames": footage.n_frames,
        "seconds": footage.duration_s,
        "damage": "corrupt" if answer.lost else None,
    }


def _face(face: FaceResult) -> Row:
    return {
        **_verdict(face),
        **_place(face.box),
        "turn": face.turn,
        "confidence": float(face.confidence),
    }


def _person(track: Track) -> Row:
    first = track.sightings[0]
    return {
        **_verdict(track),
        **_place(first.box),
        "turn": first.turn,
        "confidence": float(first.confidence),
        "start_s": track.start_s,
        "end_s": track.end_s,
        "looks": len(track.looks),
    }


def _verdict(one: FaceResult | Track) -> Row:
    row: Row = {
        "decision": one.decision.value,
        "reasons": " ".join(reason.value for reason in one.reasons),
    }
    if (verdict := one.verdict) is None:
        return row
    low, high = verdict.interval
    numbers = {name: float(getattr(verdict, name)) for name in _NUMBERS}
    return row | numbers | {"interval_low": low, "interval_high": high}


def _place(box: Any) -> Row:
    return {name: float(getattr(box, name)) for name in ("left", "top", "width", "height")}
