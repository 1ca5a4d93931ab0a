"""The page, and what it shows of one photo or clip, as HTML without a script or a style in it.

What is said, and in which order, comes from `present`, as for the pages of one file. Whatever comes
from a file is text here: the templates escape every string.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from veridical._version import VERSION
from veridical.explanation import Explanation
from veridical.io.clip import CLIP_SUFFIXES
from veridical.io.decode import Photo
from veridical.io.formats import SUFFIXES
from veridical.io.source import File, open_source
from veridical.present import claims, clip_page, clip_words, html, index, pictures, sections, table
from veridical.present import words as said
from veridical.present.maps import places_in_words
from veridical.present.numbers import percent
from veridical.present.pictures import Picture
from veridical.present.tally import FAILED
from veridical.report import Decision, FaceResult, Reason, Report
from veridical.serve.pages import words
from veridical.video import Answer, VideoReport

_BROAD = 1.7  # width by height: from there on a photo gets the whole width
_SIDE = 1280  # px, longer side of the photo: screens are larger than printed pages


def home(*, host: str | None, workers: int, max_bytes: int, retains: bool) -> str:
    """Return the page, without any result.

    Args:
        host: Where pictures are sent to; None for the visitor's own machine.
        workers: How many files are sent at the same time.
        max_bytes: Of one file.
        retains: Whether the service keeps what it is sent.
    """
    setup = {
        "workers": workers,
        "maxBytes": max_bytes,
        "photos": sorted(SUFFIXES),
        "clips": sorted(CLIP_SUFFIXES),
        "columns": list(table.COLUMNS),
        "kinds": index.ANSWERS,
        "failed": FAILED,
    }
    place = words.PRIVATE if host is None else words.PRIVATE_HOST.format(host=host)
    return _render(
        "page",
        place=place,
        kept=words.RETAINED if retains else words.FORGOTTEN,
        said=json.dumps(words.SAID),
        setup=json.dumps(setup),
        answers=index.ANSWERS,
        failed=FAILED,
        nothing_known=said.NOTHING_KNOWN,
        limits=clip_words.LIMITS,
        accept=",".join(sorted({*SUFFIXES, *CLIP_SUFFIXES, "image/*", "video/*"})),
        version=VERSION,
    )


def fragment(
    report: Report,
    explanations: Sequence[Explanation | None],
    photo: bytes | File,
    name: str,
) -> str:
    """Return what the page shows of one photo, and its row of the table.

    Args:
        report: On the photo.
        explanations: Of its faces, in their order, if they are not in the report; else none.
        photo: Its bytes, or the file if it is open anyway.
        name: Of the file.
    """
    if explanations:
        pairs = zip(report.faces, explanations, strict=True)
        report = replace(report, faces=tuple(replace(face, explanation=one) for face, one in pairs))
    report = replace(report, path=name or None)
    decoded = open_source(photo).photo
    lead = report.lead
    why = sections.why(report)
    return _render(
        "photo",
        entry=index.entry(report, decoded),
        values=json.dumps(table.values(report)),
        name=_plain(name),
        report=report,
        answer=said.WORD[report.decision],
        decision=report.decision.value,
        why=why[0],
        sure=why[1] if lead and lead.verdict else "",
        at_prior=_at_prior(report),
        of_face=_of_face(report),
        not_meant=_not_meant(report),
        next=said.next_step(report.decision, report.reasons, commands=False),
        frames=said.sentence(frames) if (frames := said.of_frames(report)) else "",
        damage=said.sentence(said.of_damage(report.damage, report.height)) if report.damage else "",
        stage=_stage(report, decoded),
        origin=claims.lead(report),
        file_says=_file_says(report),
        claims=claims.entries(report.claims),
        about_claims=claims.ABOUT,
        faces=[_face(at, report, decoded) for at in range(len(report.faces))],
        processing=tuple(sections.processing(report, name)),
    )


def clip_fragment(report: VideoReport, name: str) -> str:
    """Return what the page shows of one clip, and its row of the table.

    Args:
        report: On the clip.
        name: Of the file.
    """
    report = replace(report, path=name or None)
    judged = clip_words.people(report.tracks)
    return _render(
        "clip",
        entry=index.of_clip(report),
        values=json.dumps(table.values(report)),
        name=_plain(name),
        report=report,
        answer=said.WORD[report.decision],
        decision=report.decision.value,
        why=clip_words.why(report),
        at_prior=_at_prior(report),
        not_meant=clip_words.NOT_MEANT[report.decision],
        next=_next_of_clip(report),
        origin=claims.lead(report),
        file_says=_file_says(report),
        claims=claims.entries(report.claims),
        about_claims=claims.ABOUT,
        people=[clip_page.person(n, one, report) for n, one in enumerate(judged)],
        about_timeline=clip_words.ABOUT_TIMELINE,
        missing=[said.sentence(one) for one in clip_words.not_looked_at(report)],
        footage=said.sentence(clip_words.footage(report)),
        processing=tuple(clip_page.processing(report, name)),
        **clip_page.GEOMETRY,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Frame:
    """A frame in the photo, in per cent of it.

    Attributes:
        number: Of the face; 0 where it is the only one.
        kind: Decision about the face, or `failed` where it was not judged.
    """

    left: float
    top: float
    width: float
    height: float
    number: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stage:
    """The photo and the frames in it.

    Attributes:
        broad: Whether it is too broad to stand beside a column of text.
    """

    picture: Picture
    frames: tuple[_Frame, ...]
    broad: bool


def _stage(report: Report, photo: Photo) -> _Stage:
    says, caption = pictures.photo_in_words(report)
    image = pictures.small(photo, _SIDE)
    seen = pictures.framed_faces(report)
    return _Stage(
        picture=Picture(image=image, says=says, caption=caption, photo=True),
        broad=image.width > _BROAD * image.height,
        frames=tuple(
            _Frame(
                left=round(100 * face.box.left / report.width, 2),
                top=round(100 * face.box.top / report.height, 2),
                width=round(100 * face.box.width / report.width, 2),
                height=round(100 * face.box.height / report.height, 2),
                number=number if len(seen) > 1 else 0,
                kind=_kind(face),
            )
            for number, face in enumerate(seen, start=1)
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Face:
    """What the page shows of one face.

    Attributes:
        view: The same as the page of one file shows.
        kind: Decision about it, or `failed` where it was not judged.
        lead: Whether the picture's decision rests on it.
        plain: Its picture, where there is a map to lay over it.
        map: The map over the same picture.
        places: What the map shows, in a sentence.
    """

    view: sections.View
    kind: str
    lead: bool
    plain: Picture | None
    map: Picture | None
    places: str


def _face(at: int, report: Report, photo: Photo) -> _Face:
    face, drawn = report.faces[at], at < sections.MOST_FACES
    called = sections.called(report, at)
    layers = pictures.of_layers(face, photo, called) if drawn else None
    plain, over = layers[:2] if layers else (None, None)
    return _Face(
        view=sections.view(at, report, photo, maps=False),
        kind=_kind(face),
        lead=at == report.lead_index,
        plain=plain,
        map=over,
        places=places_in_words(face.explanation.patches) if face.explanation else "",
    )


def _kind(face: FaceResult) -> str:
    return face.decision.value if face.verdict else FAILED


def _file_says(report: Answer) -> list[str]:
    """Say what the file says, a sentence for each claim; that it says nothing, too."""
    told = [line for _, line in claims.lines(report.claims)] if claims.lead(report) else []
    return told or [report.headline]


def _at_prior(report: Answer) -> str:
    at = report.at_prior
    if at is None:
        return ""
    return words.AT_PRIOR.format(share=percent(at.prior), at=said.at_share(at))


def _of_face(report: Report) -> str:
    """Say which of several faces a number is of."""
    if report.lead_index is None or len(report.faces) < 2:
        return ""
    return words.OF_FACE.format(n=report.lead_index + 1, total=len(report.faces))


def _not_meant(report: Report) -> str:
    """Say what the answer does not mean; of a damaged file nobody can say that nothing is wrong."""
    if report.decision is Decision.UNDECIDED and Reason.DAMAGED in report.reasons:
        return words.NOT_MEANT_DAMAGED
    return said.NOT_MEANT[report.decision]


def _next_of_clip(report: VideoReport) -> str:
    """Say what to do next, of what a visitor of the page can do."""
    if report.reasons[:1] in ((Reason.NO_FACE,), (Reason.FEW_LOOKS,)):
        return words.NEXT_NO_FACE
    return clip_words.next_step(report, commands=False)


def _plain(name: str) -> str:
    return PurePath(name).name or name


def _render(template: str, /, **values: object) -> str:
    templates = html.environment("veridical.serve.pages")
    return templates.get_template(f"{template}.html.j2").render(w=words, **values)
