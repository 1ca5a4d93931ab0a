"""How a probability comes about, as a waterfall: the prior, the evidence, the total.

Log odds add up. The unit is the deciban, ten times the decimal logarithm of the odds (Good,
"Probability and the Weighing of Evidence", 1950, chapter 6): 10 decibans are odds of 10 to 1, and 3
are about 2 to 1. They are written as dB.

Forensic cues are not part of P(ai): they are hatched steps beside the sum, and do not move it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, log

from PIL import Image, ImageDraw

from veridical.infer.priors import EVEN, evidence
from veridical.present.cue_panels import TITLES
from veridical.present.maps import GREY, HUE, INK, LINE, font
from veridical.present.numbers import percent
from veridical.present.words import of_crop, sentence
from veridical.report import CropEvidence, Decision, NotApplicable, Reading, Verdict

DECIBANS = 10 / log(10)  # in one nat
_BITS = log(10) / 10 / log(2)  # in one deciban
_MOST = 60.0  # dB, odds of a million to one: a longer bar would tell nobody more
_ENDS = (10.0, 20.0, 40.0, _MOST)  # dB, of the axis
_HATCH = 7  # px between the lines of a step that does not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a waterfall.

    Attributes:
        label: What it is.
        start: Where it begins, dB.
        size: How far it goes, dB; positive supports `ai`. Infinite where P(ai) is 0 or 1.
        counts: Whether the next step begins where this one ends.
        says: Its size in words.
    """

    label: str
    start: float
    size: float
    counts: bool
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """The steps from the prior to P(ai).

    Attributes:
        prior: Log odds of the assumed share of AI-generated pictures; begins at 0.
        evidence: Log-likelihood ratios: of the network, then of the cues.
        total: The sum of all that counts; begins at 0.
        interval: The ends of the credible interval of P(ai), dB, low then high.
        level: Mass of that interval.
    """

    prior: Step
    evidence: tuple[Step, ...]
    total: Step
    interval: tuple[float, float]
    level: float

    @property
    def counted(self) -> tuple[Step, ...]:
        """The steps that the total is made of."""
        return (self.prior, *(step for step in self.evidence if step.counts))


def waterfall(
    verdict: Verdict,
    prior: float,
    level: float,
    readings: Sequence[Reading | NotApplicable] = (),
    crops: Sequence[CropEvidence] = (),
) -> Waterfall:
    """Take a verdict's P(ai) apart into steps.

    Args:
        verdict: On one face.
        prior: Share of AI-generated pictures that its P(ai) assumes.
        level: Mass of its credible interval.
        readings: What the forensic cues said about the face; none of it moves the total.
        crops: What was looked at; several share the evidence of the network.
    """
    before = decibans(prior)
    network = evidence(verdict.p_ai, prior) * DECIBANS
    after = before + network
    assumed = Step(
        label=f"Prior: {percent(prior)} are AI-generated",
        start=0.0,
        size=before,
        counts=True,
        says=amount(before),
    )
    seen = tuple(_of_network(before, network, crops))
    total = Step(
        label="Total", start=0.0, size=after, counts=True, says=f"{amount(after)}, {odds(after)}"
    )
    low, high = (decibans(end) for end in verdict.interval)
    return Waterfall(
        prior=assumed,
        evidence=(*seen, *(_beside(reading, after) for reading in readings)),
        total=total,
        interval=(low, high),
        level=level,
    )


def _of_network(before: float, network: float, crops: Sequence[CropEvidence]) -> Iterator[Step]:
    """Return a step for each crop, and one for what the heads' disagreement takes from their sum.

    P(ai) is a mean over the heads, and its logit is nearer to 0 than the mean of theirs.
    """
    sizes = [(sentence(of_crop(one))[:-1], one.evidence * DECIBANS) for one in crops]
    sizes.append(("Doubt of the network", network - sum(size for _, size in sizes)))
    if len(crops) < 2:
        sizes = [("The network", network)]
    for label, size in sizes:
        yield Step(label=label, start=before, size=size, counts=True, says=amount(size))
        before += size


def _beside(reading: Reading | NotApplicable, at: float) -> Step:
    own, says = 0.0, "not measured"
    if isinstance(reading, Reading):
        own = 0.0 if reading.llr is None else reading.llr * DECIBANS
        says = "no weight" if reading.llr is None else f"{amount(own)} by itself, not added"
    label = TITLES.get(reading.cue, reading.cue)
    return Step(label=label, start=at, size=own, counts=False, says=says)


def decibans(p: float) -> float:
    """Return ten times the decimal logarithm of a probability's odds; infinite for 0 and 1."""
    return evidence(p, EVEN) * DECIBANS


def amount(size: float) -> str:
    """Return decibans as text."""
    if abs(size) > _MOST:
        return f"more than {_MOST:+.0f} dB" if size > 0 else f"less than {-_MOST:.0f} dB"
    return f"{size:+.1f} dB" if abs(size) >= 0.05 else "0.0 dB"


def odds(size: float) -> str:
    """Return decibans as odds."""
    if abs(size) < 0.05:
        return "even odds"
    whom = "AI" if size > 0 else "real"
    if abs(size) > _MOST:
        return f"more than {10 ** (_MOST / 10):,.0f} to 1 for {whom}"
    times = 10 ** (abs(size) / 10)
    return f"{times:,.0f} to 1 for {whom}" if times >= 100 else f"{times:.2g} to 1 for {whom}"


def in_words(made: Waterfall) -> str:
    """Say all that the picture shows."""
    told = []
    for step in made.counted:
        told.append(f"{step.label}: {step.says}{_in_bits(step.size)}.")
    for step in made.evidence:
        if not step.counts:
            told.append(f"{step.label}, not part of P(ai): {step.says}.")
    low, high = made.interval
    told.append(
        f"{made.total.label}: {made.total.says}{_in_bits(made.total.size)}; "
        f"{percent(made.level)} credible interval {amount(low)} to {amount(high)}."
    )
    return " ".join(told)


def _in_bits(size: float) -> str:
    bits = size * _BITS
    if not isfinite(bits):
        return ""
    return f" ({bits:+.1f} bits)" if abs(bits) >= 0.05 else " (0.0 bits)"


# --- the picture -------------------------------------------------------------------------------


def draw(made: Waterfall, *, width: int = 720, size: int = 27) -> Image.Image:
    """Draw a waterfall: a line of words and a bar below it for every step, and an axis.

    Which side a bar is on and the sign of its number say what it supports; colour only helps.

    Args:
        made: What to draw.
        width: px.
        size: Of the letters, px.
    """
    steps = [made.prior, *made.evidence, made.total]
    row, thick = round(2.7 * size), round(0.9 * size)
    height = row * len(steps) + round(4.2 * size)
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    end = _end(made)
    edge = 2 * size  # room for half of the outer labels of the axis

    def across(value: float) -> float:
        held = min(end, max(-end, value))
        return edge + (held + end) / (2 * end) * (width - 2 * edge)

    foot = row * len(steps) + 4
    for tick in (-end, -end / 2, 0.0, end / 2, end):
        x = round(across(tick))
        if not tick:
            pen.line((x, round(1.4 * size), x, foot), GREY, 2)
        pen.line((x, foot - 6, x, foot), GREY, 2)
        pen.text((x, foot + 4), f"{tick:+.0f}" if tick else "0 dB", INK, font(size), "ma")
        times = 10 ** (abs(tick) / 10)
        ratio = f"{times:,.0f}:1" if times >= 10 else f"{times:.2g}:1"
        pen.text((x, foot + round(1.3 * size)), ratio, GREY, font(round(0.85 * size)), "ma")
    pen.line((edge, foot, width - edge, foot), GREY, 2)
    ends = foot + round(2.9 * size)
    pen.text((0, ends), "supports real", HUE[Decision.REAL], font(size))
    pen.text((width, ends), "supports AI", HUE[Decision.AI], font(size), "ra")
    for number, step in enumerate(steps):
        top = number * row
        ink = INK if step.counts else GREY
        _on_white(pen, (0, top), step.label, ink, size, "la")
        _on_white(pen, (width, top), step.says, ink, size, "ra")
        bar = top + round(1.4 * size)
        at, to = across(step.start), across(step.start + step.size)
        box = (round(min(at, to)), bar, round(max(at, to)), bar + thick)
        if not step.counts:
            _hatched(image, box)
        elif step is made.total:
            _solid(pen, box, INK)
            low, high = made.interval
            _whisker(pen, across(low), across(high), bar + thick // 2)
        else:
            _solid(pen, box, hue(step.size))
        if step is not made.total:  # where the next step begins
            left = round(across(step.start + step.size if step.counts else step.start))
            pen.line((left, bar + thick, left, bar + row), LINE, 2)
    return image


def hue(size: float) -> tuple[int, int, int]:
    """Return the colour of a step that counts."""
    if not size:
        return GREY
    return HUE[Decision.AI if size > 0 else Decision.REAL]


def _end(made: Waterfall) -> float:
    """Return where the axis ends: the first of a few round numbers that holds everything."""
    reached = [abs(end) for end in made.interval]
    for step in (made.prior, *made.evidence, made.total):
        reached += [abs(step.start), abs(step.start + step.size)]
    return next((end for end in _ENDS if max(reached) <= end), _MOST)


def _on_white(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    ink: tuple[int, int, int],
    size: int,
    anchor: str,
) -> None:
    """Write with the background wiped: a line must not run through letters."""
    left, top, right, bottom = pen.textbbox(at, text, font(size), anchor)
    pen.rectangle((left - 4, top - 2, right + 4, bottom + 2), "white")
    pen.text(at, text, ink, font(size), anchor)


def _solid(
    pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], ink: tuple[int, int, int]
) -> None:
    """Fill a step; one of no size is still a line."""
    left, top, right, bottom = box
    pen.rectangle((left - 1, top, max(right, left + 1), bottom), ink)


def _hatched(image: Image.Image, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    pen = ImageDraw.Draw(image)
    if right - left < 3:  # no size: a hollow mark where it would stand
        pen.rectangle((left - 4, top, left + 4, bottom), "white", GREY, 2)
        return
    tile = Image.new("RGB", (right - left + 1, bottom - top + 1), "white")
    lines = ImageDraw.Draw(tile)
    for x in range(-tile.height, tile.width, _HATCH):
        lines.line((x, tile.height, x + tile.height, 0), GREY, 2)
    image.paste(tile, (left, top))
    pen.rectangle(box, outline=GREY, width=2)


def _whisker(pen: ImageDraw.ImageDraw, low: float, high: float, y: int) -> None:
    """Draw an interval so that it shows on the bar and beside it."""
    lines = [(low, y, high, y), (low, y - 7, low, y + 7), (high, y - 7, high, y + 7)]
    for line in lines:
        pen.line(line, "white", 6)
    for line in lines:
        pen.line(line, GREY, 2)
