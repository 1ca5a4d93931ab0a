"""What `benchmarks.explanations` measured, as the tables of docs/explanations.md."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.common import grid, percent
from benchmarks.composites import KINDS, REGIONS
from benchmarks.maps import REMOVALS, spearman
from veridical.stats.intervals import wilson

Record = dict[str, Any]

RIVALS = 9
BEATEN = 0.9  # share of the decided pictures on which the drawn map has to beat random orders
POINTED = 0.75
OF_THE_ENCODER = 0.1
CALLED = ("drawn", "rule", "edges")  # maps that are held against composites called `ai`


def share(hits: int, total: int) -> str:
    """Return a share with Wilson's 95 % interval."""
    if not total:
        return "none"
    found = wilson(hits, total)
    return f"{percent(found.value)} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def _names(records: Sequence[dict[str, Any]]) -> list[str]:
    """Return the names of all maps, in the order in which they first come."""
    return list(dict.fromkeys(name for record in records for name in record))


# --- faithful ------------------------------------------------------------------------------------


def faithful_page(records: Sequence[Record]) -> str:
    """Return the tables of deletion, insertion, sensitivity-n and time."""
    found = [one for one in records if one["maps"]]
    names = _names([one["maps"] for one in found])
    sides = [one["decision"] for one in found]
    counts = ", ".join(f"{sides.count(d)} {d}" for d in ("ai", "real", "undecided"))
    gains = grid(
        ["map", *(f"{removal}: deletion / insertion" for removal in REMOVALS), "beats all 9"],
        (
            [
                name,
                *(
                    f"{_mean(found, name, r, 'deletion'):+.2f} / "
                    f"{_mean(found, name, r, 'insertion'):+.2f}"
                    for r in REMOVALS
                ),
                " / ".join(_holding(found, name, r) for r in REMOVALS),
            ]
            for name in names
        ),
    )
    correlations = grid(
        ["map", *REMOVALS, "time, looks of the encoder"],
        (
            [
                name,
                *(f"{_mean(found, name, r, 'sensitivity'):+.2f}" for r in REMOVALS),
                _time(found, name),
            ]
            for name in names
        ),
    )
    rule = _ratio(found, "rule")
    met = "met" if rule <= OF_THE_ENCODER else "**not met**"
    return (
        f"{len(found)} pictures of `val` ({counts}). Gains over the mean of {RIVALS} random "
        "orders, in logits, signed towards the side of the picture's own logit: positive is better "
        "than chance. The last column is the share of the pictures on which the map beats all "
        f"{RIVALS} orders ({', '.join(REMOVALS)}); a random map does so on one in ten.\n\n"
        f"{gains}\n\n"
        "Sensitivity-n: how well the sum of a map over a covered region tells by how much the "
        "logit logit_drops (Pearson's correlation over regions of one size, 0 for a map that knows "
        "nothing).\n\n"
        f"{correlations}\n\n"
        f"Target: the map takes at most {percent(OF_THE_ENCODER)} of the encoder's time. Read off "
        f"tokens, by the rule alone, it takes {percent(rule)}: {met}. The map that is drawn is "
        "posterior_update by the looks that its test takes anyway, and costs nothing beside them."
    )


def _mean(records: Sequence[Record], name: str, removal: str, what: str) -> float:
    return float(np.mean([r["maps"][name][removal][what] for r in records if name in r["maps"]]))


def _holding(records: Sequence[Record], name: str, removal: str) -> str:
    n_beaten = [r["maps"][name][removal]["n_beaten"] for r in records if name in r["maps"]]
    return f"{100 * np.mean([b == RIVALS for b in n_beaten]):.0f} %"


def _ratio(records: Sequence[Record], name: str) -> float:
    ratios = [r["seconds"][name] / r["look"] for r in records if name in r["seconds"]]
    return float(np.median(ratios)) if ratios else float("nan")


def _time(records: Sequence[Record], name: str) -> str:
    ratio = _ratio(records, name)
    if np.isnan(ratio):
        return ""
    return f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.3f}"


# --- decided -------------------------------------------------------------------------------------


def decided_page(records: Sequence[Record]) -> str:
    """Return how often the drawn map beats random orders."""
    lines = []
    for name, own in (
        *((d, [r for r in records if r["decision"] == d]) for d in ("ai", "real")),
        ("all", list(records)),
    ):
        lines.append(
            [
                name,
                str(len(own)),
                share(sum(r["deletion"] + r["insertion"] > 0 for r in own), len(own)),
                share(sum(r["holds"] for r in own), len(own)),
            ]
        )
    better = float(np.mean([r["deletion"] + r["insertion"] > 0 for r in records]))
    holds = float(np.mean([r["holds"] for r in records]))
    return (
        grid(
            ["decision", "pictures", "better than the mean of 9", "better than every one: drawn"],
            lines,
        )
        + f"\n\nTarget: the drawn map beats random maps on at least {percent(BEATEN)} of the "
        f"decided pictures. The mean of nine it beats on {percent(better)}: {_met(better)}. Every "
        f"one of nine, which is what it takes to be drawn, on {percent(holds)}: {_met(holds)}."
    )


def _met(found: float) -> str:
    return "met" if found >= BEATEN else "**not met**"


# --- composites ----------------------------------------------------------------------------------


def composites_page(records: Sequence[Record]) -> str:
    """Return pointing game and intersection over union, by kind and region."""
    found = [one for record in records for one in record["found"]]
    names = _names([one["hits"] for one in found])
    parts = []
    for kind in KINDS:
        own = [one for one in found if one["kind"] == kind]
        if not own:
            continue
        called = ", ".join(
            f"{sum(o['decision'] == d for o in own)} `{d}`" for d in ("ai", "real", "undecided")
        )
        rows = [["chance", *(_chance(own, region) for region in REGIONS), _chance(own, None), ""]]
        for name in (n for n in names if any(n in o["hits"] for o in own)):
            cells = [_pointing(own, name, region) for region in REGIONS]
            rows.append([name, *cells, _pointing(own, name, None), _iou(own, name)])
        parts.append(
            f"**{kind.capitalize()}**: {len(own)} composites, called {called}.\n\n"
            + grid(["map", *REGIONS, "all", "IoU"], rows)
        )
    return "\n\n".join([*parts, _moved(found), _called_ai(found)])


def _pointing(own: Sequence[Record], name: str, region: str | None) -> str:
    hits = [
        o["hits"][name]["pointed"]
        for o in own
        if name in o["hits"] and (region is None or o["region"] == region)
    ]
    return f"{np.mean(hits):.2f} ({len(hits)})" if hits else ""


def _chance(own: Sequence[Record], region: str | None) -> str:
    areas = [o["hits"]["edges"]["area"] for o in own if region is None or o["region"] == region]
    return f"{np.mean(areas):.2f}" if areas else ""


def _iou(own: Sequence[Record], name: str) -> str:
    values = [o["hits"][name]["iou"] for o in own if name in o["hits"]]
    return f"{np.mean(values):.2f}" if values else ""


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
            rows.append([region, str(len(moved)), f"{middle:+.2f}", f"{low:+.2f} to {high:+.2f}"])
    return (
        "How far a generated region moves the logit beyond what a real one moves it, on the same "
        "face:\n\n" + grid(["region", "faces", "median", "10 % to 90 %"], rows)
    )


def _called_ai(found: Sequence[Record]) -> str:
    """Return the pointing game where the verdict was `ai`."""
    lines = []
    for kind, key, what in (
        ("generated in real", "hits", "at the generated region"),
        ("real in generated", "rest", "at what is left of the generated face"),
    ):
        own = [o[key] for o in found if o["kind"] == kind and o["decision"] == "ai"]
        lines.append(
            [
                f"{kind}, {what}",
                *(_hits([o[name]["pointed"] for o in own if name in o]) for name in CALLED),
                f"{np.mean([o['edges']['area'] for o in own]):.2f}" if own else "",
            ]
        )
    return (
        f"Target: a pointing game of at least {POINTED} on composites that are called `ai`.\n\n"
        + grid(["composites called `ai`", *CALLED, "chance"], lines)
    )


def _hits(pointed: Sequence[bool]) -> str:
    return f"{share(sum(pointed), len(pointed))} ({len(pointed)})" if pointed else "none"


# --- sanity --------------------------------------------------------------------------------------


def randomised_page(records: Sequence[Record]) -> str:
    """Return how alike maps stay when weights are drawn anew."""
    found = [one for one in records if one["levels"]]
    levels = list(found[0]["levels"])
    names = list(found[0]["maps"])
    titles = ["head" if level == "0" else f"and {level} blocks" for level in levels]
    return grid(
        ["map", *titles, "other pictures"],
        (
            [
                name,
                *(_alike(found, level, name) for level in levels),
                f"{np.mean(list(_between(found, name))):+.2f}",
            ]
            for name in names
        ),
    )


def _alike(records: Sequence[Record], level: str, name: str) -> str:
    values = [r["levels"][level][name] for r in records if name in r["levels"][level]]
    return f"{np.mean(values):+.2f}" if values else ""


def _between(records: Sequence[Record], name: str) -> Iterator[float]:
    if len(records) < 2:
        yield float("nan")
    for a, b in combinations(records, 2):
        yield spearman(np.array(a["maps"][name]), np.array(b["maps"][name]))


def labels_page(records: Sequence[Record]) -> str:
    """Return how alike maps are to those of heads that learnt other things."""
    found = [one["alike"] for one in records if one["alike"]]
    methods = list(found[0]["again"])
    kinds = {
        "fitted again, right labels": ("again",),
        "fitted to shuffled labels": tuple(n for n in found[0] if n.startswith("labels")),
        "its weights shuffled": ("weights",),
    }
    return grid(
        ["head", "heads", *(f"{method}: mean, 10 % to 90 %" for method in methods)],
        (
            [
                title,
                str(len(names)),
                *(_spread([one[name][m] for one in found for name in names]) for m in methods),
            ]
            for title, names in kinds.items()
        ),
    )


def _spread(values: Sequence[float]) -> str:
    low, high = np.quantile(values, [0.1, 0.9])
    return f"{np.mean(values):+.2f}, {low:+.2f} to {high:+.2f}"
