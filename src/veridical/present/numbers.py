"""Numbers for people: rounded, and never rounded to a certainty that is not there."""

import math


def percent(part: float) -> str:
    """Return a share as it was promised, in per cent: 0.9 is "90 %"."""
    return f"{100 * part:.6g} %"


def nats(entropy: float) -> str:
    """Return an entropy; only none at all reads as 0.00."""
    entropy = max(0.0, entropy)  # rounding may leave it a hair below
    return "<0.01 nats" if 0 < entropy < 0.005 else f"{entropy:.2f} nats"


def share(p: float) -> str:
    """Return a probability; only certainty itself reads as 0 or 1."""
    if 0 < p < 0.0005:
        return "<0.001"
    if 0.9995 <= p < 1:
        return ">0.999"
    return f"{p:.3f}"


def span(interval: tuple[float, float]) -> str:
    """Return the ends of an interval of probabilities."""
    return " to ".join(map(share, interval))


def chances(p: float) -> str:
    """Return a probability in whole chances."""
    if p < 0.005:
        return "less than 1 chance in 100"
    if p >= 0.995:
        return "more than 99 chances in 100"
    return f"about {round(100 * p)} chances in 100"


def ratio(evidence: float) -> str:
    """Return the likelihood ratio of a log-likelihood ratio in nats."""
    if abs(evidence) > math.log(1e6):
        return ">1,000,000" if evidence > 0 else "<0.000001"
    times = math.exp(evidence)
    return f"{times:,.0f}" if times >= 1000 else f"{times:.3g}"


def pictures(count: float) -> str:
    """Return a number of pictures in whole ones."""
    return "fewer than 1" if 0 < count < 1 else f"{round(count):,}"


def bar(p: float, interval: tuple[float, float], width: int, *, ascii_only: bool = False) -> str:
    """Draw a probability and its interval on a line from 0 to 1.

    Args:
        p: Probability, the point on the line.
        interval: Low and high, drawn as a thicker stretch around it.
        width: Columns, at least 3; with an odd width the middle is marked.
        ascii_only: For terminals that have no more.
    """
    track, middle, stretch, point = "-+=o" if ascii_only else "─┼━●"
    cells = [track] * width
    if width % 2:
        cells[width // 2] = middle
    low, at, high = (round(x * (width - 1)) for x in (interval[0], p, interval[1]))
    cells[low : high + 1] = stretch * (high + 1 - low)
    cells[at] = point
    return "".join(cells)


def progress(what: str, done: int, total: int = 0) -> str:
    """Say how far some work is.

    Args:
        what: Such as "Judging pictures".
        done: Items.
        total: Items in all; 0 where that is not known.
    """
    return f"{what}: {done:,} of {total:,}" if total else f"{what}{f': {done:,}' if done else ''}"
