"""The page of one photo as one HTML file that needs nothing else, and the card for notebooks.

No script, no font, no address. Whatever comes from a file is text here, never markup: the templates
escape every string, and write control characters as escapes, where it is put into the page. A
policy in the head forbids the rest.
"""

from functools import cache
from pathlib import PurePath

from jinja2 import Environment, PackageLoader, StrictUndefined

from veridical.io.decode import Photo
from veridical.present import claims, clip_words, pictures, sections, words
from veridical.present.maps import GREY, HUE, INK, LINE
from veridical.present.numbers import percent, share, span
from veridical.present.words import WORD, printable
from veridical.report import Failure, Report
from veridical.video import Answer, VideoReport


def page(report: Report, photo: Photo, *, title: str) -> str:
    """Return the page of a picture that was read; encode it as UTF-8.

    Args:
        report: On the picture.
        photo: The same, decoded.
        title: What the page calls it, such as the name of the file.
    """
    views = [sections.view(at, report, photo) for at in range(len(report.faces))]
    lead, called = report.lead, sections.called(report, report.lead_index)
    return render(
        "page",
        title=title,
        report=report,
        answer=WORD[report.decision],
        photo=pictures.of_photo(report, photo),
        map=pictures.of_map(lead, photo, called) if lead else None,
        why=sections.why(report),
        next=words.what_to_do(report),
        origin=claims.lead(report),
        frames=words.sentence(frames) if (frames := words.of_frames(report)) else "",
        claims=claims.entries(report.claims),
        about_claims=claims.ABOUT,
        lead=lead,
        views=views,
        processing=tuple(sections.processing(report, title)),
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
        answer=words.NOT_JUDGED,
        error=f"{error[:1].upper()}{error[1:]}",
        hint=failure.hint,
        photo=pictures.bare(photo) if photo else None,
        processing=(("Model", model), ("Version", f"veridical {version}")),
        nothing_known=words.NOTHING_KNOWN,
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


def card(report: Answer) -> str:
    """Return a small piece of HTML for notebooks, complete in itself."""
    if isinstance(report, VideoReport):
        told, step = clip_words.why(report), clip_words.next_step(report)
    else:
        told = words.why(report.decision, report.reasons, report.promise(report.decision))
        step = words.what_to_do(report)
    path = report.path or ""
    return render(
        "card",
        name=PurePath(path).name or path,
        report=report,
        answer=WORD[report.decision],
        why=told,
        next=step,
    )


# --- templates ---------------------------------------------------------------------------------


def render(template: str, /, **values: object) -> str:
    """Return a template of this package, filled; every string is escaped and printable."""
    return environment("veridical.present").get_template(f"{template}.html.j2").render(values)


@cache
def environment(package: str) -> Environment:
    """Return the templates of a package; what they are filled with is escaped and printable."""
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "hue": {decision.value: _css(colour) for decision, colour in HUE.items()},
        "ink": _css(INK),
        "grey": _css(GREY),
        "line": _css(LINE),
        "share": share,
        "span": span,
        "percent": percent,
        "assumption": words.assumption,
        "about_cues": words.ABOUT_CUES,
    }
    return made


def _printable(value: object) -> object:
    """Make every string of a page printable; what is markup already was made from such strings."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return printable(value)
    return value


def _css(rgb: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*rgb)
