"""What a cue's numbers are worth: a density ratio fitted and measured elsewhere, kept in JSON.

The ratio is a logistic regression on the cue's statistics, with classes that weigh alike: then its
logit is the log-likelihood ratio (Brümmer and du Preez, "Application-independent evaluation of
speaker detection", Computer Speech and Language 20, 2006). `scripts/make_cues.py` fits it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

LIMIT = 3.0  # standard deviations; what lies further out counts no more
FITTED = "fitted.json"
SCHEMA = "veridical.cues/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The worth of one cue.

    Attributes:
        cue: Its name.
        statistics: Their names.
        mean: Mean of each over the pictures of the fit, in its unit.
        scale: Standard deviation of each, in its unit.
        usual: Between which values the middle nine tenths of the real pictures lie, each.
        coefficients: Nats per standard deviation.
        intercept: Nats.
        cap_real: Most that the left-out pictures support for `real`, nats; not negative.
        cap_ai: Most that they support for `ai`, nats; not negative.
        weighs: Whether the measured worth lets the cue count at all.
        because: Why, or why not.
    """

    cue: str
    statistics: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    usual: tuple[tuple[float, float], ...]
    coefficients: tuple[float, ...]
    intercept: float
    cap_real: float
    cap_ai: float
    weighs: bool
    because: str

    def __post_init__(self) -> None:
        every = self.statistics, self.mean, self.scale, self.usual, self.coefficients
        lengths = {len(one) for one in every}
        if len(lengths) > 1 or not all(scale > 0 for scale in self.scale):
            raise ValueError(
                f"The weights of {self.cue!r} need one mean, positive scale, usual range and "
                f"coefficient per statistic; got {self}."
            )

    def ratio(self, known: Mapping[str, float]) -> float:
        """Return the capped log-likelihood ratio, nats. What is not known adds nothing."""
        place = {name: number for number, name in enumerate(self.statistics)}
        total = self.intercept
        for name, value in known.items():
            if name in place:
                at = place[name]
                away = (value - self.mean[at]) / self.scale[at]
                total += self.coefficients[at] * min(max(away, -LIMIT), LIMIT)
        return min(max(total, -self.cap_real), self.cap_ai)

    def unusual(self, known: Mapping[str, float]) -> tuple[str, ...]:
        """Return the names of what lies outside the middle nine tenths of the real pictures."""
        usual = dict(zip(self.statistics, self.usual, strict=True))
        return tuple(
            name
            for name, value in known.items()
            if name in usual and not usual[name][0] <= value <= usual[name][1]
        )


@cache
def fitted() -> Mapping[str, Weights]:
    """Return the weights that come with the package, by cue."""
    text = files("veridical.cues").joinpath(FITTED).read_text(encoding="utf-8")
    return read_weights(json.loads(text))


def read_weights(card: Mapping[str, Any]) -> dict[str, Weights]:
    """Return the weights of what `scripts/make_cues.py` wrote.

    Raises:
        ValueError: If it is of another shape.
    """
    cues = card.get("cues")
    if card.get("schema") != SCHEMA or not isinstance(cues, dict):
        raise ValueError(f"Weights of schema {SCHEMA!r} were wanted; got {card.get('schema')!r}.")
    return {name: _weights(name, entry["weights"]) for name, entry in cues.items()}


def _weights(cue: str, entry: Mapping[str, Any]) -> Weights:
    """JSON has lists where we have tuples."""
    told: dict[str, Any] = {name: _tuples(value) for name, value in entry.items()}
    return Weights(cue=cue, **told)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
