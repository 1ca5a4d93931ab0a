"""What a page says about a photo, as values, for the page of one file and that of the service.

Sentences are those of `words`, `maps` and `claims`; this is their choice and order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from veridical.io.decode import Photo
from veridical.present import pictures, words
from veridical.present.maps import (
    comparison_in_words,
    method_in_words,
    places_in_words,
    score_in_words,
    shown,
)
from veridical.present.numbers import percent, share, span
from veridical.present.pictures import Picture
from veridical.present.words import WORD, sentence
from veridical.report import FaceResult, Report, Verdict

MOST_FACES = 8  # that get pictures; of the others the page has the numbers only

Rows = tuple[tuple[str, str], ...]


def why(report: Report) -> tuple[str, ...]:
    """Return three sentences: the reason, the number, the map; fewer where there is no number."""
    lead = report.lead
    told = [words.why(report.decision, report.reasons, report.promise(report.decision))]
    if lead and lead.verdict:
        what = called(report, report.lead_index)
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


def called(report: Report, at: int | None) -> str:
    """Return what sentences call a face of a picture, by its place in `faces`."""
    return "this face" if len(report.faces) == 1 or at is None else f"face {at + 1}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What a page shows of one face, for experts.

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


def view(at: int, report: Report, photo: Photo, *, maps: bool = True) -> View:
    """Return what a page shows of one face.

    Args:
        at: Its place in `faces`.
        report: On the photo.
        photo: The same, decoded.
        maps: Also its map, unless the page begins with it.
    """
    face, drawn = report.faces[at], at < MOST_FACES
    mapped = maps and drawn and at != report.lead_index
    panels, lines = pictures.of_cues(face.readings or ()) if drawn else ([], [])
    answer = WORD[face.decision] if face.verdict else "not judged"
    return View(
        heading=f"Face {at + 1}: {answer}",
        verdict=face.verdict,
        why=words.why(face.decision, face.reasons, report.promise(face.decision)),
        map=pictures.of_map(face, photo, f"face {at + 1}") if mapped else None,
        maps=tuple(pictures.of_other_maps(face, photo)) if drawn else (),
        about_maps=tuple(about_maps(face, any(one.explanation for one in report.faces))),
        numbers=tuple(numbers(face, report)),
        waterfall=pictures.of_waterfall(face, report) if drawn else None,
        cues=tuple(panels),
        cue_lines=tuple(lines),
    )


def about_maps(face: FaceResult, others: bool) -> Iterator[str]:
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


def numbers(face: FaceResult, report: Report) -> Iterator[tuple[str, str]]:
    """Say what is known of a face in numbers, as (label, text)."""
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


def processing(report: Report, title: str) -> Iterator[tuple[str, str]]:
    """Say what came, and what was done with it by which model, as (label, text)."""
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
