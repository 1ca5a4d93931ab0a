"""Base rates: what an answer means where AI-generated pictures are rare, or common.

A calibrated P(ai) assumes a share of AI-generated pictures, the *prior*: that of the pictures it
was calibrated on, where both classes weigh alike unless a recipe says otherwise. So its odds over
the prior's odds are a likelihood ratio, whose logarithm in nats is the weight of the evidence
(Good, "Probability and the Weighing of Evidence", 1950, chapter 6), and the posterior at another
prior follows by Bayes' rule in its odds form: posterior odds = likelihood ratio * prior odds.

How many of the pictures called `ai` really are AI-generated, the predictive value, follows from the
error rates by the same rule (Altman and Bland, "Diagnostic tests 2: predictive values", BMJ 309,
1994, p. 102).
"""

from collections.abc import Mapping, Sequence
from math import inf, log, log1p
from typing import Any

from veridical.infer.rates import error_rates
from veridical.report import AtPrior, Estimate, PredictiveValues

EVEN = 0.5
"""The prior where both classes weigh alike."""

SPLITS = ("test", "val")  # where a card's error rates were measured; the first that is there counts


def checked(prior: float) -> float:
    """Return the prior.

    Raises:
        ValueError: If it is not a share between 0 and 1.
    """
    if not 0 < prior < 1:
        raise ValueError(
            f"The prior is the share of AI-generated pictures, more than 0 and less than 1; got "
            f"{prior}. One in a hundred is 0.01."
        )
    return prior


def posterior(p_ai: float, prior: float, assumed: float = EVEN) -> float:
    """Return P(ai) at another prior: Bayes' rule in odds form.

    Args:
        p_ai: Calibrated where the share of AI-generated pictures was `assumed`.
        prior: Their share where the picture came from.
        assumed: See `p_ai`.

    Raises:
        ValueError: If a prior is not between 0 and 1.
    """
    if checked(prior) == checked(assumed):
        return p_ai
    # Both sides of the odds, so that 0 and 1 need no case of their own.
    ai, real = p_ai * prior * (1 - assumed), (1 - p_ai) * (1 - prior) * assumed
    return ai / (ai + real)


def evidence(p_ai: float, assumed: float = EVEN) -> float:
    """Return the weight of evidence for AI-generated, nats: the log of the likelihood ratio.

    Args:
        p_ai: Calibrated where the share of AI-generated pictures was `assumed`.
        assumed: See `p_ai`.
    """
    if p_ai in (0, 1):
        return inf if p_ai else -inf
    return (log(p_ai) - log1p(-p_ai)) - (log(checked(assumed)) - log1p(-assumed))


def at_prior(
    p_ai: float,
    interval: tuple[float, float],
    prior: float,
    assumed: float = EVEN,
    predictive: PredictiveValues | None = None,
) -> AtPrior:
    """Return what a P(ai) says at another share of AI-generated pictures.

    Args:
        p_ai: Calibrated where the share of AI-generated pictures was `assumed`.
        interval: Its credible interval, low then high.
        prior: Their share where the picture came from.
        assumed: See `p_ai`.
        predictive: What the model's decisions are worth at `prior`, if that is known.

    Raises:
        ValueError: If a prior is not between 0 and 1.
    """
    low, high = interval
    return AtPrior(
        prior=checked(prior),
        p_ai=posterior(p_ai, prior, assumed),
        interval=(posterior(low, prior, assumed), posterior(high, prior, assumed)),
        evidence=evidence(p_ai, assumed),
        evidence_interval=(evidence(low, assumed), evidence(high, assumed)),
        predictive=predictive,
    )


def predictive_values(
    card: Mapping[str, Any], prior: float, splits: Sequence[str] = SPLITS
) -> PredictiveValues | None:
    """Return what a model's decisions are worth at a share of AI-generated pictures.

    Args:
        card: The model's, with error rates of its decisions under `measured`.
        prior: Share of AI-generated pictures.
        splits: Names of sets of pictures; the first with error rates counts.

    Returns:
        None where the card has no error rates: they were not measured.

    Raises:
        ValueError: If `prior` is not between 0 and 1.
    """
    checked(prior)
    for split in splits:
        rates = error_rates(card, split)
        false_ai, true_ai, false_real, true_real = map(rates.get, _RATES)
        if not (false_ai and true_ai and false_real and true_real):
            continue
        ppv, ppv_interval = _predictive(true_ai, prior, false_ai, 1 - prior)
        npv, npv_interval = _predictive(true_real, 1 - prior, false_real, prior)
        rightly = _times(true_ai, prior)
        wrongly = _times(false_ai, 1 - prior)
        return PredictiveValues(
            split=split,
            called_ai=Estimate(
                rightly.value + wrongly.value,
                rightly.low + wrongly.low,
                rightly.high + wrongly.high,
            ),
            rightly_ai=rightly,
            ppv=ppv,
            ppv_interval=ppv_interval,
            npv=npv,
            npv_interval=npv_interval,
        )
    return None


_RATES = ("real_called_ai", "ai_called_ai", "ai_called_real", "real_called_real")


def assumed(card: Mapping[str, Any]) -> float:
    """Return the share of AI-generated pictures that a model's P(ai) assumes.

    One half where the classes weighed alike in calibration. Under a recipe that does not balance
    them it is the share among the pictures that taught the model its probabilities: those it was
    calibrated on, or trained on where its logits are left as they are.

    Args:
        card: The model's.
    """
    recipe = card.get("recipe", {})
    if recipe.get("balance", True) or "recalibrated" in card:
        return EVEN
    if recipe.get("out_of_source", True):
        count = {label: card["fusion"]["overall"][label] for label in ("real", "ai")}
    else:
        count = {"real": 0, "ai": 0}
        for source in card["trained_on"]["sources"]:
            count[source["label"]] += source["pictures"]
    return float(count["ai"] / (count["ai"] + count["real"]))


def _times(rate: Estimate, share: float) -> Estimate:
    return Estimate(rate.value * share, rate.low * share, rate.high * share)


def _predictive(
    right: Estimate, of: float, wrong: Estimate, of_others: float
) -> tuple[float | None, tuple[float, float]]:
    """Return the share of the right among those called one thing, and its conservative ends.

    Args:
        right: Rate at which those it is true of are called so.
        of: Their share of all pictures.
        wrong: Rate at which the others are called so.
        of_others: Their share of all pictures.
    """

    def share(hit: float, miss: float) -> float | None:
        total = hit * of + miss * of_others
        return hit * of / total if total else None

    value = share(right.value, wrong.value) if wrong.value else None
    low, high = share(right.low, wrong.high), share(right.high, wrong.low)
    # Where nothing was called so, nothing is known.
    return value, (0.0 if low is None else low, 1.0 if high is None else high)
