"""IPTC's vocabulary of digital source types, and what each one claims.

https://cv.iptc.org/newscodes/digitalsourcetype/ (retired terms included), and the two terms that
the C2PA specification adds (section on actions, `digitalSourceType`).
"""

from veridical.claims import Says

GENERATED = (Says.AI, Says.AI_PART, Says.AI_AND_CAPTURE)
"""What a claim says where a trained model had a part in the picture."""

SOURCE_TYPES: dict[str, tuple[Says, str]] = {
    "digitalCapture": (Says.CAPTURE, "a digital camera took it"),
    "computationalCapture": (Says.CAPTURE, "a digital camera took it, from several exposures"),
    "multiFrameComputationalCapture": (Says.CAPTURE, "a camera took it, from several frames"),
    "negativeFilm": (Says.CAPTURE, "it was digitised from a negative"),
    "positiveFilm": (Says.CAPTURE, "it was digitised from a slide"),
    "print": (Says.CAPTURE, "it was digitised from a print"),
    "compositeCapture": (Says.CAPTURE, "it was put together from pictures by cameras"),
    "trainedAlgorithmicMedia": (Says.AI, "a trained model generated it"),
    "compositeWithTrainedAlgorithmicMedia": (Says.AI_PART, "a trained model generated parts of it"),
    "compositeSynthetic": (Says.AI_PART, "it is put together, and a part of it is synthetic"),
    "trainedAlgorithmicData": (Says.AI, "a trained model generated its data"),
    "algorithmicMedia": (Says.OTHER, "an algorithm without training data made it"),
    "algorithmicallyEnhanced": (Says.OTHER, "an algorithm enhanced it"),
    "humanEdits": (Says.OTHER, "people edited it"),
    "minorHumanEdits": (Says.OTHER, "people edited it a little"),
    "digitalCreation": (Says.OTHER, "people made it with tools that do not generate"),
    "digitalArt": (Says.OTHER, "people drew it"),
    "softwareImage": (Says.OTHER, "software made it"),
    "dataDrivenMedia": (Says.OTHER, "it was drawn from data"),
    "screenCapture": (Says.OTHER, "it is a picture of a screen"),
    "virtualRecording": (Says.OTHER, "it was recorded in a virtual world"),
    "composite": (Says.OTHER, "it was put together from several pictures"),
    "empty": (Says.OTHER, "it began as an empty canvas"),
}


def term(value: str) -> str:
    """Return the last part of a term's address: the term itself."""
    return value.strip().rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1]


def meaning(value: str) -> tuple[Says, str]:
    """Return what a source type claims, and in words; an unknown term claims nothing we know."""
    return SOURCE_TYPES.get(term(value), (Says.OTHER, "its source type is one we do not know"))


def strongest(values: tuple[str, ...]) -> Says | None:
    """Return what several source types claim together; None for none."""
    said = {meaning(value)[0] for value in values}
    if not said:
        return None
    if Says.AI in said and Says.CAPTURE in said:
        return Says.AI_AND_CAPTURE
    if said & {Says.AI, Says.AI_PART}:
        return Says.AI if said == {Says.AI} else Says.AI_PART
    return Says.CAPTURE if said == {Says.CAPTURE} else Says.OTHER
