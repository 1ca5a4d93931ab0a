"""A model's card for people: what it is, what it promises, how often it was wrong."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from veridical.infer.rates import error_rates
from veridical.present.numbers import percent
from veridical.present.words import printable
from veridical.report import Estimate

Card = Mapping[str, Any]

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


def card_page(identity: str, card: Card, place: str) -> str:
    """Return the page, as lines of text.

    Args:
        identity: SHA-256 of the card, in hex.
        card: Its entries.
        place: The model's folder.
    """
    lines = [f"Model {identity[:12]}", ""]
    for label, say in _ROWS.items():
        try:
            text = say(card)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            text = "the card does not say"
        lines += _block(label, text)
    for split in card.get("measured", {}):
        lines += _block(f"On {split}", _measured(error_rates(card, split)))
    if not card.get("measured"):
        lines += _block("Measured", "not yet; `veridical evaluate` measures it on your pictures")
    for key, label in _NOTES.items():
        if note := card.get("notes", {}).get(key):
            lines += _block(label, str(note))
    lines += ["", *_block("Folder", place), *_block("All entries", "with --json")]
    return "\n".join(lines)


def _made(card: Card) -> str:
    made = card["made"]
    return f"by {made['with']}, on {made['on']}, with recipe {card['recipe']['name']!r}"


def _network(card: Card) -> str:
    network = card["backbone"]
    return f"{network['name']}, {network['precision']}, {network['image_px']} px; frozen"


def _looks_at(card: Card) -> str:
    crops = " and ".join(one["name"] for one in card["crops"])
    return f"each face of {card['min_face_px']:g} px or more: {crops}"


def _trained(card: Card) -> str:
    told = card["trained_on"]
    sources: Sequence[Mapping[str, Any]] = told["sources"]
    real = {one["source"] for one in sources if one["label"] == "real"}
    generators = {one["generator"] or one["source"] for one in sources if one["label"] == "ai"}
    return (
        f"{told['pictures']:,} pictures: real ones of {len(real)} sources, AI-generated ones of "
        f"{len(generators)} generators"
    )


def _calibrated(card: Card) -> str:
    overall = card["fusion"]["overall"]
    return (
        f"{overall['real']:,} real and {overall['ai']:,} AI-generated pictures: "
        f"{card['calibrated_on']}"
    )


def _promises(card: Card) -> str:
    overall = card["fusion"]["overall"]
    of_reals, of_ai = (percent(1 - overall[f"coverage_of_{one}"]) for one in ("reals", "ai"))
    return (
        f"of pictures like those, at most {of_reals} of the real ones are called ai and at most "
        f"{of_ai} of the AI-generated ones real, on average"
    )


_ROWS: dict[str, Callable[[Card], str]] = {
    "Made": _made,
    "Network": _network,
    "Looks at": _looks_at,
    "Trained on": _trained,
    "Calibrated on": _calibrated,
    "Promises": _promises,
}


def _measured(rates: Mapping[str, Estimate]) -> str:
    said = (
        f"{what}: {100 * rates[name].value:.1f} % ({100 * rates[name].low:.1f} to "
        f"{100 * rates[name].high:.1f})"
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
