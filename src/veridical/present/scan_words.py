"""Every sentence that people read about a scan and its results."""

from collections.abc import Iterator, Mapping

from veridical.present import words
from veridical.present.words import printable
from veridical.report import Decision, Reason

KINDS = (*(one.value for one in Decision), "failed")

ANSWERS, ALL = "Answers", "all"
BY_FOLDER, BY_DAY = "By folder", "By day of the file (UTC)"
FAILED = "Not judged, and what to do next"
WAITING = "These await a person, the most telling P(ai) first"
DECLARED = words.DECLARED
COPIES = "Copies"


def counted(decisions: Mapping[str, int]) -> str:
    """Return how many got which answer."""
    return ", ".join(f"{decisions.get(kind, 0):,} {kind}" for kind in KINDS)


def ending(decisions: Mapping[str, int], known: int, gone: int, rows: int, folder: object) -> str:
    """Say what came of a scan.

    Args:
        decisions: What this run judged.
        known: What was judged before.
        gone: Files that are no longer there.
        rows: Of pictures, in the folder.
        folder: Of the results.
    """
    judged = sum(decisions.values()) - decisions.get("failed", 0)
    parts = [f"{judged:,} judged ({counted(decisions)})."]
    parts += [f"{known:,} were judged before."] if known else []
    parts += [f"{gone:,} are gone."] if gone else []
    return " ".join([*parts, f"{rows:,} rows in {printable(str(folder))}"])


def stopped(judged: int) -> str:
    """Say how to go on."""
    return f"Stopped: {judged:,} were judged. Run it again to go on."


def judging(rate: float, decisions: Mapping[str, int]) -> str:
    """Return what the progress line says."""
    return f"Judging, {rate:.2g}/s ({counted(decisions)})"


def total(count: int, model: str, gone: int) -> Iterator[str]:
    """Say what a summary is of."""
    yield f"{count:,} {'picture' if count == 1 else 'pictures'}, model {model}"
    if gone:
        yield f"{gone:,} more are no longer there"


def more(left: int) -> str:
    """Say where the rest is."""
    return f"and {left:,} more (--json has all)"


def unnamed(left: int) -> str:
    """Say that not all are named."""
    return f"and {left:,} more (--show names more)"


def why(reasons: str) -> str:
    """Return reasons, as the tables have them, in words."""
    known = {one.value for one in Reason}
    return "; ".join(words.shortly(Reason(one)) if one in known else one for one in reasons.split())


def differing(count: int) -> str:
    """Say how many groups of copies have several decisions."""
    if count == 1:
        return "One group has several decisions."
    return f"{count:,} groups have several decisions." if count else "All groups agree."
