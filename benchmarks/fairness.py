"""Do error rates differ between groups of people and of pictures?

Part of `python -m benchmarks.doubt`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import groups
from benchmarks.common import Record, path_of, remembered
from benchmarks.pages import share, table
from veridical.io.samples import Sample
from veridical.io.source import read_photo
from veridical.report import Decision
from veridical.vision.prepare import Finder

FEWEST = 500  # pictures of a group below which nothing is said about parity


def appearances(samples: Sequence[Sample], finder: Finder, kept: Path) -> dict[str, Record]:
    """Return what there is to see of each largest face; goes on where it was."""

    def work(sample: Sample) -> Record:
        photo = read_photo(sample.path)
        faces = finder.find(photo.image)
        return {
            "face_px": faces[0].size_px if faces else None,
            "angle": groups.typology_angle(groups.skin(photo.pixels, faces[0])) if faces else None,
        }

    found = remembered(kept, samples, work, path_of)
    return {str(s.path): one for s, one in zip(samples, found, strict=True)}


def page(samples: Sequence[Sample], told: Mapping[str, Record], facts: Mapping[str, Record]) -> str:
    """Return one table per way to group pictures."""

    def of(sample: Sample, key: str) -> Any:
        return facts[str(sample.path)][key]

    tones = [*(name for _, name in groups.TONES), groups.NO_COLOUR]
    ways: dict[str, tuple[Sequence[str], Callable[[Sample], str]]] = {
        "apparent skin tone": (tones, lambda s: groups.tone(of(s, "angle"))),
        "longer side of the face": (groups.SIZES, lambda s: groups.size(of(s, "face_px"))),
    }
    with_face = [sample for sample in samples if of(sample, "face_px")]
    largest, parts = 0, []
    for name, (values, key) in ways.items():
        body = []
        for value in values:
            own = [sample for sample in with_face if key(sample) == value]
            calls = {
                label: [told[str(s.path)]["decision"] for s in own if s.label == label]
                for label in ("real", "ai")
            }
            largest = max(largest, *map(len, calls.values()))
            if own:
                cells = (*_cells(calls["real"], "ai"), *_cells(calls["ai"], "real"))
                body.append((value, *cells))
        header = (name, "real", "called `ai`", "no verdict", "AI", "called `real`", "no verdict")
        parts.append(table(header, body))
    claim = (
        f"No group here has {FEWEST} pictures of a class, so nothing is claimed about parity "
        "between groups."
        if largest < FEWEST
        else f"Nothing is claimed about groups of fewer than {FEWEST} pictures."
    )
    return "\n\n".join([*parts, claim])


def _cells(calls: Sequence[str | None], wrong: str) -> tuple[object, ...]:
    verdicts = (Decision.AI.value, Decision.REAL.value)
    none = sum(call not in verdicts for call in calls)
    return len(calls), share(calls.count(wrong), len(calls)), share(none, len(calls))
