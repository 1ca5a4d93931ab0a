"""How numbers become Markdown, and where it goes: the marked blocks of the pages in docs/."""

from collections.abc import Iterable, Sequence
from math import floor, log10
from pathlib import Path

from veridical.report import Estimate
from veridical.stats.intervals import wilson

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: bool = False) -> str:
    """Return a Markdown table; with `numbers`, all but the first column go to the right."""
    rule = ["---", *["---:" if numbers else "---"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in (header, rule, *rows))


def between(text: str, name: str, inside: str) -> str:
    """Return a page with what stands between the markers of `name` replaced.

    Raises:
        SystemExit: If the page has no such block.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    head, found, rest = text.partition(begin)
    if not found or end not in rest:
        raise SystemExit(f"The page has no place for {name}: {begin} ... {end}")
    return f"{head}{begin}\n\n{inside}\n\n{end}{rest.partition(end)[2]}"


def publish(page: Path, name: str, inside: str, *, quick: bool) -> None:
    """Print a block and write it into its page; a smoke run leaves the page alone."""
    print(f"\n{inside}\n", flush=True)
    if not quick:
        page.write_text(between(page.read_text(encoding="utf-8"), name, inside), encoding="utf-8")


def number(measured: Estimate | None) -> str:
    """Return a number with its interval."""
    if measured is None:
        return "–"
    return f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"


def signed(measured: Estimate, digits: int = 4) -> str:
    """Return a difference with its interval."""
    value, low, high = (f"{x:+.{digits}f}" for x in (measured.value, measured.low, measured.high))
    return f"{value} [{low}, {high}]"


def share(hits: int, total: int) -> str:
    """Return a share with Wilson's 95 % interval."""
    return number(wilson(hits, total)) if total else "–"


def percents(hits: int, total: int) -> str:
    """Return a share in percent with Wilson's 95 % interval."""
    if not total:
        return "none"
    found = wilson(hits, total)
    return f"{percent(found.value)} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def percent(value: float) -> str:
    """Return a share."""
    return f"{100 * value:.1f} %"


def figure(value: float) -> str:
    """Return a number with three significant digits, and no exponent."""
    if value == 0:
        return "0"
    digits = 2 - floor(log10(abs(value)))
    return f"{value:,.{min(8, max(0, digits))}f}"


def target(what: str, met: bool) -> str:
    """Return a line that says whether a target is met."""
    return f"Target: {what}. {'Met.' if met else '**Not met.**'}"
