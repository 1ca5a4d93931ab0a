"""The page of one photo as one HTML file that needs nothing else, and the card for notebooks.

No script, no font, no address. Whatever comes from a file is text here, never markup: the templates
escape every string, and write control characters as escapes, where it is put into the page. A
policy in the head forbids the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath

from jinja2 import Environment, PackageLoader, StrictUndefined

from veridical.io.decode import Photo
from veridical.present import claims, pictures, words
from veridical.present.maps import (
    GREY,
    HUE,
    INK,
    LINE,
    comparison_in_words,
    method_in_words,
    places_in_words,
    score_in_words,
    shown,
)
from veridical.present.numbers import percent, share, span
from veridical.present.pictures import Picture
from veridical.present.words import WORD, printable, sentence
from veridical.report import FaceResult, Failure, Report, Verdict

MOST_FACES = 8  # that get pictures; of the others the page has the numbers only

Rows = tuple[tuple[str, str], ...]


def page(report: Report, photo: Photo, *, title: str) -> str:
    """Return the page of a picture that was read; encode it as UTF-8.

    Args:
        report: On the picture.
        photo: The same, decoded.
        title: What the page calls it, such as the name of the file.
    """
    views = [_view(at, report, photo) for at in range(len(report.faces))]
    lead = report.lead
    return render(
        "page",
        title=title,
        report=report,
        answer=WORD[report.decision],
        photo=pictures.of_photo(report, photo),
        map=pictures.of_map(lead, photo, _called(report, report.lead_index)) if lead else None,
        why=_why(report, lead),
        next=words.next_step(report.decision, report.reasons),
        origin=claims.lead(report),
        frames=words.sentence(frames) if (frames := words.of_frames(report)) else "",
        claims=claims.entries(report.claims),
        about_claims=claims.ABOUT,
        lead=lead,
        views=views,
        processing=tuple(_processing(report, title)),
        limits=words.LIMITS,
    )


def failure_page(failure: Failure, *, version: str, model: str, photo: Photo | None = None) -> str:
    """Return the page of a picture that could not be judged.

    Args:
        failure: Why.
        version: Of this program.
        model: First 12 hex digits of the SHA-256 of the model's card.
        photo: The picture, if it could be decoded.
    """
    # The name alone: a page may be passed on, and folders are private.
    path = failure.path or ""
    error = failure.error.removeprefix(f"{path}: ")
    return render(
        "failure",
        title=PurePath(path).name or path or "a picture without a file name",
        answer="NOT JUDGED",
        error=f"{error[:1].upper()}{error[1:]}",
        hint=failure.hint,
        photo=pictures.bare(photo) if photo else None,
        processing=(("Model", model), ("Version", f"veridical {version}")),
        limits=words.LIMITS,
    )


def linked(text: str, *, index: str, before: str | None, after: str | None) -> str:
    """Return a page with links to the index of its folder and to its neighbours.

    Args:
        text: A page; by itself it has no address in it.
        index: Name of the index.
        before: Name of the page before it, if there is one.
        after: Name of the page after it, if there is one.
    """
    nav = render("nav", index=index, before=before, after=after)
    return text.replace("<main>\n", f"<main>\n{nav}\n", 1)


def card(report: Report) -> str:
    """Return a small piece of HTML for notebooks, complete in itself."""
    told = words.why(report.decision, report.reasons, report.promise(report.decision))
    path = report.path or ""
    return render(
        "card",
        name=PurePath(path).name or path,
        report=report,
        answer=WORD[report.decision],
        why=told,
        next=words.next_step(report.decision, report.reasons),
    )


# --- what the page says ------------------------------------------------------------------------


def _why(report: Report, lead: FaceResult | None) -> tuple[str, ...]:
    """Return three sentences: the reason, the number, the map; fewer where there is no number."""
    told = [words.why(report.decision, report.reasons, report.promise(report.decision))]
    if lead and lead.verdict:
        what = _called(report, report.lead_index)
        told.append(sentence(words.in_chances(lead.verdict, report.prior, what)))
    explanation = lead.explanation if lead else None
    if explanation:
        tested = explanation.faithfulness
        told.append(
            f"In the map, {places_in_words(explanation.patches)}"
            if shown(tested)
            else comparison_in_words(tested)
        )
    return tuple(told)


def _called(report: Report, at: int | None) -> str:
    return "this face" if len(report.faces) == 1 or at is None else f"face {at + 1}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _View:
    """What the page shows of one face, for experts.

    Attributes:
        heading: Number of the face, and its answer.
        verdict: None for a face that was not judged.
        why: In a sentence or two.
        map: Its map, where the page does not begin with it.
        maps: Further maps.
        about_maps: Sentences on the maps.
        numbers: Labels and values.
        waterfall: How P(ai) adds up.
        cues: Panels of forensic cues.
        cue_lines: What there is to say of cues without a panel.
    """

    heading: str
    verdict: Verdict | None
    why: str
    map: Picture | None
    maps: tuple[Picture, ...]
    about_maps: tuple[str, ...]
    numbers: Rows
    waterfall: Picture | None
    cues: tuple[Picture, ...]
    cue_lines: tuple[str, ...]


def _view(at: int, report: Report, photo: Photo) -> _View:
    face, drawn, first = report.faces[at], at < MOST_FACES, at == report.lead_index
    panels, lines = pictures.of_cues(face.readings or ()) if drawn else ([], [])
    answer = WORD[face.decision] if face.verdict else "not judged"
    return _View(
        heading=f"Face {at + 1}: {answer}",
        verdict=face.verdict,
        why=words.why(face.decision, face.reasons, report.promise(face.decision)),
        map=pictures.of_map(face, photo, f"face {at + 1}") if drawn and not first else None,
        maps=tuple(pictures.of_other_maps(face, photo)) if drawn else (),
        about_maps=tuple(_about_maps(face, any(one.explanation for one in report.faces))),
        numbers=tuple(_numbers(face, report)),
        waterfall=pictures.of_waterfall(face, report) if drawn else None,
        cues=tuple(panels),
        cue_lines=tuple(lines),
    )


def _about_maps(face: FaceResult, others: bool) -> Iterator[str]:
    """Say what maps are worth, or that other faces have some and this one has none."""
    explanation = face.explanation
    if explanation is None:
        if others and face.verdict:
            yield "No map was made of this face. --thorough makes one of every face."
        return
    yield comparison_in_words(explanation.faithfulness)
    if shown(explanation.faithfulness) and explanation.method == "surrogate":
        yield (
            "The map estimates how the answer would move if a place were covered. Its values do "
            "not add up to the answer: most places can support one side, and the whole face the "
            "other."
        )
    out = pictures.withheld(explanation.maps)
    if out:
        yield f"Withheld, because they are no better than random maps: {', '.join(out)}."


def _numbers(face: FaceResult, report: Report) -> Iterator[tuple[str, str]]:
    verdict, box = face.verdict, face.box
    if verdict:
        interval = f"{percent(report.level)} credible interval {span(verdict.interval)}"
        yield "P(ai)", f"{share(verdict.p_ai)}, {interval}"
        if face is report.lead and report.at_prior:
            at = report.at_prior
            yield f"At {percent(at.prior)}", words.at_share(at)
            yield "Evidence", words.weight(at)
    yield "Reasons", " ".join(map(sentence, words.because(face.reasons, report)))
    if verdict:
        told = sentence(words.in_words(verdict, face.reasons))
        yield "Uncertainty", f"{told} {words.no_suspicion(verdict)}".rstrip()
        copies = "none: they are tried only before a face is called AI-generated"
        if verdict.stability:
            copies = words.of_copies(verdict.stability, face.reasons)
        yield "Copies", sentence(copies)
        yield "Distance", sentence(words.distance(verdict))
        if len(face.crops) > 1:
            yield "Crops", sentence(words.of_crops(face))
    if face.explanation:
        yield "Map", score_in_words(face.explanation.faithfulness)
        yield "Logit", method_in_words(face.explanation)
    place = f"{box.width:.0f} x {box.height:.0f} px at {box.left:.0f}, {box.top:.0f}"
    turned = f"; {words.of_turn(face)}" if face.turn else ""
    yield "Face", f"{place}; face detector's confidence {face.confidence:.2f}{turned}"


def _processing(report: Report, title: str) -> Iterator[tuple[str, str]]:
    yield "File", title
    yield "Picture", f"{report.width} x {report.height} px"
    yield "SHA-256", report.sha256
    yield "Processing", "; ".join(report.steps) or "none"
    if report.damage:
        yield "Damage", words.of_damage(report.damage, report.height)
    yield "Model", report.model
    yield "Version", f"veridical {report.version}"
    yield (
        "Coverage",
        "the prediction sets are promised to hold the truth for "
        f"{percent(report.coverage_of_reals)} of the real pictures and for "
        f"{percent(report.coverage_of_ai)} of the AI-generated ones",
    )


# --- templates ---------------------------------------------------------------------------------


def render(template: str, /, **values: object) -> str:
    """Return a template of this package, filled; every string is escaped and printable."""
    return _environment().get_template(f"{template}.html.j2").render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("veridical.present"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "hue": {decision.value: _css(colour) for decision, colour in HUE.items()},
        "ink": _css(INK),
        "grey": _css(GREY),
        "line": _css(LINE),
        "share": share,
        "span": span,
        "percent": percent,
        "assumption": words.assumption,
    }
    return environment


def _printable(value: object) -> object:
    """Make every string of a page printable; what is markup already was made from such strings."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return printable(value)
    return value


def _css(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)
