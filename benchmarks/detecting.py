"""The face finder: on every picture of the manifest, and on pictures made from them.

Faces found, and faces that are not there; by size in large scenes, turned, cut tight; and what a
portrait costs against the rule of before, which looked at two copies of the whole picture.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.common import Record
from benchmarks.crowds import (
    MILLIONS,
    SIZES,
    Cutting,
    cut_out,
    ground,
    overlap,
    scene,
    size_class,
)
from benchmarks.pages import table
from benchmarks.speed import Benchmark, Setting, rows
from benchmarks.timing import seconds
from veridical.box import Box
from veridical.engines import cores, engine_of
from veridical.errors import PhotoError
from veridical.io.source import read_photo
from veridical.stats.intervals import wilson
from veridical.vision.faces import Face, FaceFinder, _without_doubles

# Photographed one person at a time before a plain or official background: a second face in one of
# these is not there. Other collections do hold bystanders, posters and portraits within portraits.
SINGLE = ("amfd-realitybending", "londonset-webmorphr", "us-house-civilserviceusa")

SAME = 0.3  # intersection over union from which a box is that of the pasted face
LEAST_PX = 100  # longer side of a face that is shrunk and pasted
TIGHT = (-0.1, -0.05, 0.0, 0.05, 0.1)  # margin around the face, over its longer side
TURNS = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}
LARGE = 12.0  # million px of an enlarged portrait


class Before(FaceFinder):
    """The rule of before."""

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        """Return the faces in a copy of 256 px, and in one of 640 px if none of them is large."""
        found = self._whole(image, 256, 0)
        if max((face.size_px for face in found), default=0.0) < 0.15 * max(image.size):
            found = self._whole(image, 640, 0) + found
        return tuple(sorted(_without_doubles(found), key=lambda face: -face.size_px))


def measure(setting: Setting) -> Record:
    """Look for faces in all pictures, and in those made from them, one per core."""
    finder = FaceFinder(1 if cores() > 1 else 0)
    return {**_manifest(setting, finder), **_made(setting, finder)}


def _manifest(setting: Setting, finder: FaceFinder) -> Record:
    """Look for faces in the pictures as they are."""
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


def _made(setting: Setting, finder: FaceFinder) -> Record:
    """Look for faces in scenes, and in val pictures that were turned, cut tight or enlarged."""
    draw, before, listed = np.random.default_rng(0), Before(finder.threads), rows(setting)
    val = [row for row in listed if row["split"] == "val" and row["face"] == "1"]
    chosen = draw.permutation(len(val))[: setting.size(300, 4)]
    photos = [read_photo(setting.data / val[at]["path"]).image for at in chosen]
    first = [before.find(photo) for photo in photos]
    faces = [(photo, found[0]) for photo, found in zip(photos, first, strict=True) if found]
    cuttings = [
        cut_out(photo, found[0].box)
        for photo, found in zip(photos, first, strict=True)
        if len(found) == 1 and found[0].size_px >= LEAST_PX
    ]
    grounds = [
        read_photo(setting.data / row["path"]).image
        for row in listed
        if row["split"] == "hard" and row["kind"].startswith(("texture", "landscape"))
    ]
    millions = MILLIONS[: setting.size(len(MILLIONS), 1)]
    return {
        **_scenes(draw, (before, finder), cuttings, grounds, millions, setting.size(12, 1)),
        "enlarged": _empty(finder, grounds[: setting.size(len(grounds), 1)], millions),
        "turned": _turned(finder, faces),
        "tight": _tight(finder, faces),
        "ratio": _ratios(before, finder, faces[: setting.size(150, 2)]),
    }


def _scenes(
    draw: np.random.Generator,
    finders: tuple[FaceFinder, FaceFinder],
    cuttings: Sequence[Cutting],
    grounds: Sequence[Image.Image],
    millions: Sequence[int],
    each: int,
) -> Record:
    """Count the faces of each size that each finder finds, and how long a scene takes."""
    # Drawn one after the other, so that a scene is the same with any number of cores.
    plans = [
        (size, int(draw.integers(len(grounds))), at % 2 == 0, int(draw.integers(2**31)))
        for size, at in product(millions, range(each))
    ]

    def look(plan: tuple[int, int, bool, int]) -> tuple[list[tuple[str, bool, bool]], float]:
        size, behind, mosaic, seed = plan
        made = scene(
            np.random.default_rng(seed), cuttings, ground(grounds[behind], size, mosaic=mosaic)
        )
        old = finders[0].find(made.image)
        new: list[Face] = []
        took = seconds(lambda: new.extend(finders[1].find(made.image)))
        hits = [
            (size_class(box.size_px) or "", _there(box, old), _there(box, new))
            for box in made.boxes
        ]
        return hits, took

    looked = list(engine_of(cores()).map(look, plans))
    hits = [hit for found, _ in looked for hit in found]
    names = [f"{low}–{high} px" for low, high in SIZES]
    return {
        "sizes": {
            name: {
                rule: [sum(hit[at] for hit in hits if hit[0] == name), _count(hits, name)]
                for rule, at in (("before", 1), ("now", 2))
            }
            for name in names
        },
        "scene_seconds": {
            str(size): median(
                took for plan, (_, took) in zip(plans, looked, strict=True) if plan[0] == size
            )
            for size in millions
        },
    }


def _there(box: Box, found: Iterable[Face]) -> bool:
    return any(overlap(box, face.box) >= SAME for face in found)


def _count(hits: Sequence[tuple[str, bool, bool]], name: str) -> int:
    return sum(hit[0] == name for hit in hits)


def _empty(
    finder: FaceFinder, grounds: Sequence[Image.Image], millions: Sequence[int]
) -> list[int]:
    """Count the enlarged pictures without people in which a face is reported."""
    plans = [
        (behind, size, at % 2 == 0)
        for at, behind in enumerate(grounds)
        for size in millions
        if size in (millions[0], millions[-1])
    ]

    def look(plan: tuple[Image.Image, int, bool]) -> tuple[Face, ...]:
        behind, size, mosaic = plan
        return finder.find(ground(behind, size, mosaic=mosaic))

    return _hits(engine_of(cores()).map(look, plans))


def _turned(finder: FaceFinder, faces: Sequence[tuple[Image.Image, Face]]) -> Record:
    """Count the turned pictures whose largest face is found, and found to be turned so."""

    def look(turn: int) -> Callable[[tuple[Image.Image, Face]], tuple[bool, bool]]:
        def one(known: tuple[Image.Image, Face]) -> tuple[bool, bool]:
            photo, _ = known
            found = finder.find(photo.transpose(TURNS[turn]) if turn else photo)
            return bool(found), bool(found) and found[0].turn == -turn % 360

        return one

    counted = {}
    for turn in (0, *TURNS):
        both = list(engine_of(cores()).map(look(turn), faces))
        counted[str(turn)] = {
            "found": [sum(found for found, _ in both), len(both)],
            "right": [sum(right for _, right in both), sum(found for found, _ in both)],
        }
    return counted


def _tight(finder: FaceFinder, faces: Sequence[tuple[Image.Image, Face]]) -> Record:
    """Count the pictures cut to their largest face in which it is found."""

    def look(margin: float) -> Callable[[tuple[Image.Image, Face]], bool]:
        def one(known: tuple[Image.Image, Face]) -> bool:
            photo, face = known
            cut = cut_out(photo, face.box, margin)
            left, top = max(0.0, cut.box.left), max(0.0, cut.box.top)
            frame = Box(
                left=left,
                top=top,
                width=min(cut.image.width, cut.box.left + cut.box.width) - left,
                height=min(cut.image.height, cut.box.top + cut.box.height) - top,
            )
            return any(overlap(frame, found.box) >= 0.5 for found in finder.find(cut.image))

        return one

    return {
        f"{margin:+.2f}": [sum(engine_of(cores()).map(look(margin), faces)), len(faces)]
        for margin in TIGHT
    }


def _ratios(
    before: FaceFinder, now: FaceFinder, faces: Sequence[tuple[Image.Image, Face]]
) -> Record:
    """Time both rules in turns on pictures with a large face, as they are and enlarged."""
    portraits = [photo for photo, face in faces if face.size_px >= 0.15 * max(photo.size)]
    large = [ground(photo, LARGE, mosaic=False) for photo in portraits[::10]]
    timed = {}
    for name, photos in (("as they are", portraits), (f"at {LARGE:g} million px", large)):
        old, new = [], []
        for photo in photos:
            old.append(seconds(partial(before.find, photo)))
            new.append(seconds(partial(now.find, photo)))
        timed[name] = {
            "pictures": len(photos),
            "before_ms": 1e3 * sum(old) / max(1, len(old)),
            "ratio": sum(new) / sum(old) if old else 1.0,
        }
    return timed


def _hits(found: Iterable[tuple[Face, ...]]) -> list[int]:
    """Return how many of the pictures have at least one face, and how many there are."""
    flags = [bool(faces) for faces in found]
    return [sum(flags), len(flags)]


def page(found: Record) -> str:
    """Return one table of all that was counted, and what it costs in time."""
    turned = found["turned"]
    lying = [counts for turn, counts in turned.items() if turn != "0"]
    counted = {
        **{name: found["recall"][name] for name in ("val", "test", "hard")},
        **{name: counts["now"] for name, counts in found["sizes"].items()},
        "turned": _sum(counts["found"] for counts in lying),
        "turned: way up": _sum(counts["right"] for counts in lying),
        "upright: way up": turned["0"]["right"],
        "cut tight": _sum(found["tight"].values()),
        "none there": found["alarms"]["all"],
        "none there, enlarged": found["enlarged"],
        "second on portraits": found["second"],
    }
    before = ", ".join(f"{100 * _part(*one['before']):.0f}" for one in found["sizes"].values())
    times = ", ".join(f"{one['ratio']:.2f} {name}" for name, one in found["ratio"].items())
    scenes = ", ".join(f"{took:.1f}" for took in found["scene_seconds"].values())
    return "\n\n".join(
        [
            table(
                ["faces", "found", "% [95 %]"],
                [
                    [name, f"{hits:,}/{of:,}", _share(hits, of)]
                    for name, (hits, of) in counted.items()
                ],
                numbers=True,
            ),
            f"By size, with two copies alone: {before} %. Time over theirs on portraits: {times}. "
            f"Scenes of {', '.join(found['scene_seconds'])} million px: {scenes} s.",
        ]
    )


def _share(hits: int, of: int) -> str:
    if not of:
        return "none"
    share = wilson(hits, of)
    return f"{100 * share.value:.1f} [{100 * share.low:.1f}–{100 * share.high:.1f}]"


def _sum(counts: Iterable[Sequence[int]]) -> list[int]:
    hits, of = zip(*counts, strict=True)
    return [sum(hits), sum(of)]


def _part(hits: int, of: int) -> float:
    return hits / of if of else 0.0


BENCHMARK = Benchmark(name="detecting", measure=measure, table=page, page="faces.md")
