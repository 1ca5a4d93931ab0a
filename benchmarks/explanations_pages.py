"""What `benchmarks.explanations` measured, as the tables of docs/explanations.md."""

from collections.abc import Sequence

import numpy as np
from research.composites import KINDS, REGIONS

from benchmarks.common import Record
from benchmarks.maps import REMOVALS
from benchmarks.pages import percent, percents, table
from veridical.explain.faithfulness import THOROUGH

N_RANDOM = THOROUGH.n_random

PASSED = 0.9  # share of the decided pictures on which the drawn map has to beat random orders


def _names(records: Sequence[Record]) -> list[str]:
    """Return the names of all maps, in the order in which they first come."""
    return list(dict.fromkeys(name for record in records for name in record))


# --- faithful ------------------------------------------------------------------------------------


def faithful_page(records: Sequence[Record]) -> str:
    """Return the table of deletion, insertion and time."""
    sides = [one["decision"] for one in records]
    counts = ", ".join(f"{sides.count(d)} {d}" for d in ("ai", "real", "undecided"))
    rows = []
    for name in _names([one["maps"] for one in records]):
        passes = [one["passes"][name] for one in records if name in one["passes"]]
        passing = " / ".join(_passing(records, name, removal) for removal in REMOVALS)
        time = f"{np.median(passes):.3g}" if passes else ""
        rows.append([name, _gains(records, name), passing, time])
    header = (
        "map",
        "blur: deletion / insertion",
        f"beats all {N_RANDOM}",
        "time, forward passes",
    )
    return (
        f"{len(records)} pictures of `val` ({counts}). Gains over the mean of {N_RANDOM} random "
        "orders, in logits, signed towards the side of the picture's own logit: positive is better "
        f"than chance. *Beats all {N_RANDOM}*: the share of the pictures on which the map beats "
        f"every order ({', '.join(REMOVALS)}); a random map does so on one in ten.\n\n"
        f"{table(header, rows, numbers=True)}"
    )


def _gains(records: Sequence[Record], name: str) -> str:
    cells = [one["maps"][name]["blur"] for one in records if name in one["maps"]]
    return " / ".join(
        f"{np.mean([cell[what] for cell in cells]):+.2f}" for what in ("deletion", "insertion")
    )


def _passing(records: Sequence[Record], name: str, removal: str) -> str:
    cells = [one["maps"][name][removal] for one in records if name in one["maps"]]
    return f"{100 * np.mean([cell['n_beaten'] == N_RANDOM for cell in cells]):.0f} %"


def _met(met: bool) -> str:
    return "met" if met else "**not met**"


# --- decided -------------------------------------------------------------------------------------


def decided_page(records: Sequence[Record]) -> str:
    """Return how often the drawn map beats random orders."""
    rows = []
    for name in ("ai", "real", "all"):
        own = [one for one in records if name in (one["decision"], "all")]
        gained, passed = (sum(hits) for hits in _hits(own))
        rows.append([name, len(own), percents(gained, len(own)), percents(passed, len(own))])
    better, passed_ = (float(np.mean(hits)) for hits in _hits(records))
    header = ("decision", "pictures", "better than the mean of 9", "better than every one: drawn")
    return (
        f"{table(header, rows, numbers=True)}\n\n"
        f"Target: the drawn map beats random maps on at least {percent(PASSED)} of the decided "
        f"pictures. The mean of nine it beats on {percent(better)}: {_met(better >= PASSED)}. "
        f"Every one of nine, which is what it takes to be drawn, on {percent(passed_)}: "
        f"{_met(passed_ >= PASSED)}."
    )


def short_page(records: Sequence[Record]) -> str:
    """Return how often a map is shown after the short test."""
    rows = []
    for name in ("ai", "real", "undecided"):
        own = [one for one in records if one["decision"] == name]
        rows.append([name, len(own), percents(sum(one["passed"] for one in own), len(own))])
    return table(["decision", "pictures", "map is shown"], rows, numbers=True)


def _hits(records: Sequence[Record]) -> tuple[list[bool], list[bool]]:
    return [one["gain"] > 0 for one in records], [one["passed"] for one in records]


# --- composites ----------------------------------------------------------------------------------


def composites_page(records: Sequence[Record]) -> str:
    """Return the pointing game by kind, and by how much the regions moved the logit."""
    found = [one for record in records for one in record["found"]]
    areas = [_mean(found, kind, "edges", "area") for kind in KINDS]
    rows = [["chance", *(area.partition(" ")[0] for area in areas)]]
    for name in _names([one["hits"] for one in found]):
        rows.append([name, *(_mean(found, kind, name, "pointed") for kind in KINDS)])
    return f"{table(['map', *KINDS], rows, numbers=True)}\n\n{_moved(found)}"


def _mean(found: Sequence[Record], kind: str, name: str, what: str) -> str:
    hits = [one["hits"] for one in found if one["kind"] == kind]
    values = [own[name][what] for own in hits if name in own]
    return f"{np.mean(values):.2f} ({len(values)})" if values else "–"


def _moved(found: Sequence[Record]) -> str:
    """Say by how much the regions moved the logit: a map of the model can show no more."""
    logits = {(o["kind"], o["region"], o["rank"]): o["logit"] for o in found}
    rows = []
    for region in REGIONS:
        moved = [
            value - logits["real in real", region, rank]
            for (kind, where, rank), value in logits.items()
            if kind == "generated in real"
            and where == region
            and ("real in real", region, rank) in logits
        ]
        if moved:
            low, middle, high = np.quantile(moved, [0.1, 0.5, 0.9])
            rows.append([region, len(moved), f"{middle:+.2f}", f"{low:+.2f} to {high:+.2f}"])
    return (
        "How far a generated region moves the logit beyond what a real one moves it, on the same "
        "face:\n\n" + table(["region", "faces", "median", "10 % to 90 %"], rows, numbers=True)
    )
