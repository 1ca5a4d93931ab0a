"""A model's card for people: what it is, what it promises, how often it was wrong."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from veridical.errors import ModelDamaged
from veridical.present.numbers import percent
from veridical.present.words import printable

_LABEL, _WIDTH = 16, 88  # columns

_RATES = {
    "real_called_ai": "real pictures called ai",
    "ai_called_real": "AI-generated pictures called real",
    "real_undecided": "real pictures left undecided",
    "ai_undecided": "AI-generated pictures left undecided",
}
_NOTES = {
    "intended_use": "Intended use",
    "known_failures": "Known failures",
    "backbone": "Backbone",
    "pictures": "Pictures",
}


def card_page(identity: str, card: Mapping[str, Any], place: str) -> str:
    """Return the page, as lines of text.

    Args:
        identity: SHA-256 of the card, in hex.
        card: Its entries.
        place: The model's folder.

    Raises:
        ModelDamaged: If an entry is absent, or not what it must be.
    """
    lines = [f"Model {identity[:12]}", ""]
    try:
        for label, text in _rows(card):
            lines += _block(label, text)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as foreign:
        raise ModelDamaged(
            f"The card of the model in {place} does not say what it must ({foreign!r}).",
            hint="Copy the whole folder again, or print the card as it is with --json.",
        ) from foreign
    lines += ["", *_block("Folder", place), *_block("All entries", "with --json")]
    return "\n".join(lines)


def _rows(card: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    made, recipe, network = card["made"], card["recipe"], card["backbone"]
    yield "Made", f"by {made['with']}, on {made['on']}, with recipe {recipe['name']!r}"
    yield (
        "Network",
        f"{network['name']}, {network['precision']}, {network['image_px']} px; frozen",
    )
    crops = " and ".join(one["name"] for one in card["crops"])
    yield "Looks at", f"each face of {card['min_face_px']:g} px or more: {crops}"
    yield "Trained on", _trained(card["trained_on"])
    overall = card["fusion"]["overall"]
    yield (
        "Calibrated on",
        f"{overall['real']:,} real and {overall['ai']:,} AI-generated pictures: "
        f"{card['calibrated_on']}",
    )
    of_reals, of_ai = (percent(1 - overall[f"coverage_of_{one}"]) for one in ("reals", "ai"))
    yield (
        "Promises",
        f"of pictures like those, at most {of_reals} of the real ones are called ai and at most "
        f"{of_ai} of the AI-generated ones real, on average",
    )
    for split, rates in card.get("measured", {}).items():
        yield f"On {split}", _measured(rates)
    if not card.get("measured"):
        yield "Measured", "not yet; `veridical evaluate` measures it on your pictures"
    for key, label in _NOTES.items():
        if note := card.get("notes", {}).get(key):
            yield label, str(note)


def _trained(told: Mapping[str, Any]) -> str:
    sources: Sequence[Mapping[str, Any]] = told["sources"]
    real = {one["source"] for one in sources if one["label"] == "real"}
    generators = {one["generator"] or one["source"] for one in sources if one["label"] == "ai"}
    return (
        f"{told['pictures']:,} pictures: real ones of {len(real)} sources, AI-generated ones of "
        f"{len(generators)} generators"
    )


def _measured(rates: Mapping[str, Sequence[float]]) -> str:
    said = (
        f"{what}: {100 * rates[name][0]:.1f} % ({100 * rates[name][1]:.1f} to "
        f"{100 * rates[name][2]:.1f})"
        for name, what in _RATES.items()
        if name in rates
    )
    return "; ".join(said)


def _block(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent=label.ljust(_LABEL),
        subsequent_indent=" " * _LABEL,
        break_long_words=False,
        break_on_hyphens=False,
    )
