"""Forensic cues: what can be measured on a face without the network, and what that is worth.

    answers = examine_all(photo, face_report, data)

A cue looks at native pixels, or at the file, and answers with a `Reading` or a `Silence`. Its
log-likelihood ratio was fitted on labelled pictures and measured on others; where nothing was left
of it there, the reading has none (docs/cues.md).
"""

from collections.abc import Mapping, Sequence
from math import exp

from veridical.cues.jpeg import JPEG
from veridical.cues.light import LIGHT
from veridical.cues.noise import NOISE
from veridical.cues.shape import Cue, Examined, Scene
from veridical.cues.spectrum import SPECTRUM
from veridical.cues.symmetry import SYMMETRY
from veridical.cues.weights import Weights, fitted
from veridical.images import Photo
from veridical.report import FaceReport, Reading, Silence

DEFAULT_CUES: tuple[Cue, ...] = (SPECTRUM, NOISE, SYMMETRY, LIGHT, JPEG)
_FAINT = 0.1  # nats; below it a ratio is between 0.9 and 1.1, and there is no use in naming it


def examine_all(
    photo: Photo,
    face: FaceReport,
    data: bytes | None = None,
    *,
    cues: Sequence[Cue] = DEFAULT_CUES,
    weights: Mapping[str, Weights] | None = None,
) -> tuple[Examined, ...]:
    """Ask every cue about one face. One answer per cue, in the order asked.

    The cues look at the same pixels and partly at the same traces: their ratios must not simply be
    added up.

    Args:
        photo: The picture.
        face: One of its faces.
        data: The file's bytes, which `Photo` does not keep; None where there are none.
        cues: Whom to ask.
        weights: What the cues are worth; those of the package if None. A cue without weights
            informs only.
    """
    scene = Scene(pixels=photo.pixels, data=data, box=face.box, landmarks=face.landmarks)
    known = fitted() if weights is None else weights
    return tuple(examine(scene, cue, known.get(cue.name)) for cue in cues)


def examine(scene: Scene, cue: Cue, weights: Weights | None) -> Examined:
    """Ask one cue about one face; `weights` of None lets it inform only."""
    found = cue.measure(scene)
    if isinstance(found, Silence):
        return Examined(answer=found)
    known = found.known()
    llr = weights.ratio(known) if weights and weights.weighs and cue.evidence else None
    return Examined(
        answer=Reading(
            cue=cue.name,
            statistics=known,
            llr=llr,
            plain=f"{found.plain}; {_worth(llr)}.",
            technical=f"{found.technical} {_unusual(known, weights)}".rstrip(),
        ),
        drawing=found.drawing,
    )


def _worth(llr: float | None) -> str:
    if llr is None:
        return "this is information only and moves no verdict"
    if abs(llr) < _FAINT:
        return "this speaks neither way"
    whom = "AI-generated faces" if llr > 0 else "real photographs"
    return f"its measurements together are {exp(abs(llr)):.1f} times as common among {whom}"


def _unusual(known: tuple[tuple[str, float], ...], weights: Weights | None) -> str:
    names = weights.unusual(known) if weights else ()
    return f"Outside 9 in 10 of our real photographs: {', '.join(names)}." if names else ""
