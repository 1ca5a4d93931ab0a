"""The face finder on every picture of the manifest: faces found, and faces that are not there."""

from math import sqrt

from benchmarks.common import (
    Benchmark,
    Record,
    Setting,
    cores,
    engine,
    grid,
    percent,
    rows,
)
from veridical.errors import PhotoError
from veridical.io.images import read_photo
from veridical.vision.faces import Face, FaceFinder

# Photographed one person at a time before a plain or official background: a second face in one of
# these is not there. Other collections do hold bystanders, posters and portraits within portraits.
SINGLE = ("amfd-realitybending", "londonset-webmorphr", "us-house-civilserviceusa")


def measure(setting: Setting) -> Record:
    """Look for faces in all pictures, one per core."""
    finder = FaceFinder(1 if cores() > 1 else 0)
    listed = rows(setting)
    if setting.quick:
        listed = listed[:: len(listed) // 40]

    def look(row: dict[str, str]) -> tuple[Face, ...] | None:
        try:
            return finder.find(read_photo(setting.data / row["path"]).pixels)
        except PhotoError:
            return None

    found = list(zip(listed, engine().map(look, listed), strict=True))
    judged = [(row, faces) for row, faces in found if faces is not None]
    recall = {"all": _share(faces for row, faces in judged if row["face"] == "1")}
    for split in ("train", "val", "test", "hard"):
        recall[split] = _share(
            faces for row, faces in judged if row["face"] == "1" and row["split"] == split
        )
    empty = [(row, faces) for row, faces in judged if _faceless(row)]
    alarms = {"all": _share(faces for _, faces in empty)}
    for kind in sorted({row["kind"] for row, _ in empty}):
        alarms[kind] = _share(faces for row, faces in empty if row["kind"] == kind)
    single = [(row, faces) for row, faces in judged if row["source"] in SINGLE]
    return {
        "pictures": len(listed),
        "unreadable": [row["path"] for row, faces in found if faces is None],
        "recall": recall,
        "alarms": alarms,
        "alarm_pictures": [
            {"path": row["path"], "faces": [[round(f.size_px), round(f.score, 2)] for f in faces]}
            for row, faces in empty
            if faces
        ],
        "second": _share(faces[1:] for _, faces in single),
        "missed": _by_source([row for row, faces in judged if row["face"] == "1" and not faces]),
    }


def _faceless(row: dict[str, str]) -> bool:
    return row["split"] == "hard" and row["face"] == "0" and "no face" in row["kind"]


def _share(found: object) -> Record:
    """Return how many of the pictures have at least one face, with a 95 % Wilson interval."""
    assert hasattr(found, "__iter__")
    flags = [bool(faces) for faces in found]
    low, high = wilson(sum(flags), len(flags))
    return {"hits": sum(flags), "of": len(flags), "low": low, "high": high}


def wilson(hits: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Return the score interval of a share (Wilson, JASA 22(158), 1927)."""
    if of == 0:
        return 0.0, 1.0
    share = hits / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, centre - half), min(1.0, centre + half)


def _by_source(missed: list[dict[str, str]]) -> Record:
    sources = [row["source"] for row in missed]
    return {source: sources.count(source) for source in sorted(set(sources))}


def table(found: Record) -> str:
    """Return recall by split, false alarms by kind, and second faces."""
    return "\n\n".join(
        [
            grid(
                ["Pictures with a face", "at least one found", "share (95 % interval)"],
                [_line(name, found["recall"][name]) for name in found["recall"]],
            ),
            f"Missed, by source: {_listed(found['missed'])}.",
            grid(
                ["Pictures without a face", "a face reported", "share (95 % interval)"],
                [_line(name, found["alarms"][name]) for name in found["alarms"]],
            ),
            "A second face on studio and official portraits of one person "
            f"({', '.join(SINGLE)}): {_line('', found['second'])[1]}, "
            f"{_line('', found['second'])[2]}.",
        ]
    )


def _line(name: str, share: Record) -> list[str]:
    if not share["of"]:
        return [name, "0 of 0", ""]
    return [
        name,
        f"{share['hits']:,} of {share['of']:,}",
        f"{percent(share['hits'] / share['of'])} ({100 * share['low']:.1f} to "
        f"{100 * share['high']:.1f})",
    ]


def _listed(counts: Record) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


BENCHMARK = Benchmark(name="detecting", measure=measure, table=table)
