"""Forensic cues: what can be measured on a face without the network, and what that is worth.

    readings = examine_all(file, box, landmarks)

A cue measures native pixels, or the file, and answers with a `Reading` or a `NotApplicable`. Its
log-likelihood ratio was fitted on labelled pictures and measured on others; where nothing was left
of it there, the reading has none (docs/cues.md).
"""

from collections.abc import Mapping, Sequence
from math import exp

from veridical.box import Box
from veridical.cues.jpeg import JPEG
from veridical.cues.light import LIGHT
from veridical.cues.noise import NOISE
from veridical.cues.protocol import Cue, CueInput
from veridical.cues.spectrum import SPECTRUM
from veridical.cues.symmetry import SYMMETRY
from veridical.cues.weights import Weights, fitted
from veridical.explanation import Point
from veridical.io.source import File
from veridical.report import NotApplicable, Reading

DEFAULT_CUES: tuple[Cue, ...] = (SPECTRUM, NOISE, SYMMETRY, LIGHT, JPEG)
_FAINT = 0.1  # nats; below it a ratio is between 0.9 and 1.1, and there is no use in naming it


def examine_all(
    file: File,
    box: Box,
    landmarks: tuple[Point, ...] = (),
    *,
    cues: Sequence[Cue] = DEFAULT_CUES,
    turn: int = 0,
    weights: Mapping[str, Weights] | None = None,
) -> tuple[Reading | NotApplicable, ...]:
    """Ask every cue about one face. One answer per cue, in the order asked.

    The cues look at the same pixels and partly at the same traces: their ratios must not simply be
    added up. A fault in a cue costs that cue's answer and nothing else.

    Args:
        file: The picture.
        box: Of the face, px of the photo.
        landmarks: Of the face, if they are known.
        cues: Whom to ask.
        turn: Of the face; cues know upright faces only.
        weights: What the cues are worth; those of the package if None. A cue without weights
            informs only.
    """
    if turn:
        why = f"the face is turned by {turn} degrees; cues are measured on upright faces."
        return tuple(NotApplicable(cue=cue.name, why=why) for cue in cues)
    given = CueInput(pixels=file.photo.pixels, file=file, box=box, landmarks=landmarks)
    known = fitted() if weights is None else weights
    return tuple(_examine_safely(given, cue, known.get(cue.name)) for cue in cues)


def _examine_safely(given: CueInput, cue: Cue, weights: Weights | None) -> Reading | NotApplicable:
    try:
        return examine(given, cue, weights)
    except Exception as error:  # our fault: it costs this cue, says so, and the verdict stays
        why = f"internal error ({type(error).__name__}), a fault of veridical; please report it."
        return NotApplicable(cue=cue.name, why=why)


def examine(given: CueInput, cue: Cue, weights: Weights | None) -> Reading | NotApplicable:
    """Ask one cue about one face; `weights` of None lets it inform only."""
    found = cue.measure(given)
    if isinstance(found, NotApplicable):
        return found
    known = found.known()
    llr = weights.ratio(known) if weights and weights.weighs and cue.evidence else None
    return Reading(
        cue=cue.name,
        statistics=known,
        llr=llr,
        plain=f"{found.plain}; {_worth(llr)}.",
        technical=f"{found.technical} {_unusual(known, weights)}".rstrip(),
        drawing=found.drawing,
    )


def _worth(llr: float | None) -> str:
    if llr is None:
        return "information only"
    if abs(llr) < _FAINT:
        return "this supports neither answer"
    whom = "AI-generated faces" if llr > 0 else "real photographs"
    return f"its measurements together are {exp(abs(llr)):.1f} times as common among {whom}"


def _unusual(known: Mapping[str, float], weights: Weights | None) -> str:
    names = weights.unusual(known) if weights else ()
    if not names:
        return ""
    return f"{len(names)} of its {len(known)} numbers outside the middle 90 % of our real photos'."
