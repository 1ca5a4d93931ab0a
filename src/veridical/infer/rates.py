"""A model's error rates, as its card has them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from veridical.report import Estimate
from veridical.stats.intervals import no_narrower_than_exact


def error_rates(card: Mapping[str, Any], split: str) -> dict[str, Estimate]:
    """Return what a card says was measured on a set of pictures, by name.

    Rates of answers get intervals no narrower than exact ones where the card says how many pictures
    they come from: cards made before that was so in training have bootstraps' alone, which are too
    narrow for one to three errors.

    Args:
        card: The model's.
        split: Name of the set.
    """
    entry = card.get("measured", {}).get(split, {})
    found = {
        name: Estimate(*value)
        for name, value in entry.items()
        if isinstance(value, list | tuple) and len(value) == 3
    }
    return {name: _widened(name, rate, entry, found) for name, rate in found.items()}


def composed_of(card: Mapping[str, Any], split: str, label: str) -> dict[str, int]:
    """Return what a set of pictures was made of, the largest part first; empty if not known.

    Args:
        card: The model's.
        split: Name of the set.
        label: `ai` for how many pictures there are of each generator, `real` for each source.
    """
    parts: Counter[str] = Counter()
    for one in card.get("measured", {}).get(split, {}).get("sources", ()):
        if one["label"] == label:
            name = one["generator"] if label == "ai" else one["source"]
            parts[name or "not named"] += one["pictures"]
    return dict(sorted(parts.items(), key=lambda part: (-part[1], part[0])))


def pictures_of(name: str, entry: Mapping[str, Any], rates: Mapping[str, Estimate]) -> int | None:
    """Return how many pictures a rate is a share of; None where that is not known.

    Args:
        name: Of the rate.
        entry: Of the set in the card: has `n_real` and `n_ai`.
        rates: All that were measured on the set.
    """
    n_real, n_ai = entry.get("n_real"), entry.get("n_ai")
    if n_real is None or n_ai is None:
        return None
    if name == "coverage":
        return int(n_real + n_ai)
    if name == "error_when_decided":
        coverage = rates.get("coverage")
        return round(coverage.value * (n_real + n_ai)) if coverage else None
    kind, _, rest = name.partition("_")
    of = {"real": n_real, "ai": n_ai}.get(kind)
    return int(of) if of is not None and (rest == "undecided" or "called" in rest) else None


def _widened(
    name: str, rate: Estimate, entry: Mapping[str, Any], rates: Mapping[str, Estimate]
) -> Estimate:
    of = pictures_of(name, entry, rates)
    return no_narrower_than_exact(rate, of) if of else rate
