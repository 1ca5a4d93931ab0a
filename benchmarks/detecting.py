"""The face finder on every picture of the manifest: faces found, and faces that are not there."""

from collections import Counter
from collections.abc import Iterable

from benchmarks.common import Record
from benchmarks.pages import percent, table
from benchmarks.speed import Benchmark, Setting, rows
from veridical.engines import cores, engine_of
from veridical.errors import PhotoError
from veridical.io.source import read_photo
from veridical.stats.intervals import wilson
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

    def find(row: dict[str, str]) -> tuple[Face, ...] | None:
        try:
            return finder.find(read_photo(setting.data / row["path"]).image)
        except PhotoError:
            return None

    found = zip(listed, engine_of(cores()).map(find, listed), strict=True)
    judged = [(row, faces) for row, faces in found if faces is not None]
    shown = [(row, faces) for row, faces in judged if row["face"] == "1"]
    hard = [(row, faces) for row, faces in judged if row["split"] == "hard" and row["face"] == "0"]
    empty = [(row, faces) for row, faces in hard if "no face" in row["kind"]]
    recall = {"all": _hits(faces for _, faces in shown)}
    for split in ("train", "val", "test", "hard"):
        recall[split] = _hits(faces for row, faces in shown if row["split"] == split)
    alarms = {"all": _hits(faces for _, faces in empty)}
    for kind in sorted({row["kind"] for row, _ in empty}):
        alarms[kind] = _hits(faces for row, faces in empty if row["kind"] == kind)
    missed = Counter(row["source"] for row, faces in shown if not faces)
    return {
        "recall": recall,
        "alarms": alarms,
        "second": _hits(faces[1:] for row, faces in judged if row["source"] in SINGLE),
        "missed": dict(sorted(missed.items())),
    }


def _hits(found: Iterable[tuple[Face, ...]]) -> list[int]:
    """Return how many of the pictures have at least one face, and how many there are."""
    flags = [bool(faces) for faces in found]
    return [sum(flags), len(flags)]


def page(found: Record) -> str:
    """Return recall by split, false alarms by kind, and second faces."""
    missed = ", ".join(f"{name} {count}" for name, count in found["missed"].items())
    return "\n\n".join(
        [
            table(
                ["Pictures with a face", "at least one found", "share (95 % interval)"],
                [[name, *_cells(*counts)] for name, counts in found["recall"].items()],
                numbers=True,
            ),
            f"Missed, by source: {missed or 'none'}.",
            table(
                ["Pictures without a face", "a face reported", "share (95 % interval)"],
                [[name, *_cells(*counts)] for name, counts in found["alarms"].items()],
                numbers=True,
            ),
            "A second face on studio and official portraits of one person "
            f"({', '.join(SINGLE)}): {', '.join(_cells(*found['second']))}.",
        ]
    )


def _cells(hits: int, of: int) -> tuple[str, str]:
    if not of:
        return "0 of 0", ""
    share = wilson(hits, of)
    return (
        f"{hits:,} of {of:,}",
        f"{percent(share.value)} ({100 * share.low:.1f} to {100 * share.high:.1f})",
    )


BENCHMARK = Benchmark(name="detecting", measure=measure, table=page, page="faces.md")
