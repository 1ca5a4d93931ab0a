"""Pictures that nobody should get a verdict on: how many do, and what notices them.

Scores are compared on the first crop alone. Part of `python -m benchmarks.doubt`.
"""

import csv
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from research.oddities import filtered, patterns
from research.ood_scorers import Neighbours, VirtualLogit

from benchmarks.common import Record, remembered
from benchmarks.pages import ROOT, share, table
from veridical.arrays import Float32, UInt8, ndarray
from veridical.box import Box
from veridical.detector import Detector
from veridical.errors import PhotoError
from veridical.io.source import open_source
from veridical.report import Decision, Reason
from veridical.stats import metrics
from veridical.tokens import pool
from veridical.train.features import FeatureSet
from veridical.vision.crop import crop_box, extract_crop

VERDICTS = (Decision.AI.value, Decision.REAL.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A picture that is like nothing in training.

    Attributes:
        path: Where it is.
        kind: What it is.
        family: "patterns", "filters", "hard"; "clean" for ordinary photos.
    """

    path: Path
    kind: str
    family: str


def oddities(manifest: Path, folder: Path, quick: bool) -> list[Odd]:
    """Draw what has to be drawn into a folder, and name it with the split `hard`."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []

    def keep(kind: str, family: str, number: int, pixels: UInt8[ndarray, "h w 3"]) -> None:
        path = folder / f"{family}-{kind.replace(' ', '-').replace(',', '')}-{number}.png"
        if not path.is_file():
            Image.fromarray(pixels).save(path)
        found.append(Odd(path=path, kind=kind, family=family))

    for number, (kind, pixels) in enumerate(patterns(1 if quick else 6)):
        keep(kind, "patterns", number, pixels)
    portraits = sorted((ROOT / "examples").glob("*.jpg"))
    for number, path in enumerate(portraits[:1] if quick else portraits):
        for kind, pixels in filtered(open_source(path).photo.pixels):
            keep(kind, "filters", number, pixels)
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "hard"]
    return found + [
        Odd(path=manifest.parent / row["path"], kind=row["kind"], family="hard")
        for row in (rows[::15] if quick else rows)
    ]


# --- verdicts ------------------------------------------------------------------------------------


def judged(
    detector: Detector, odd: Sequence[Odd], reals: Sequence[Odd], kept: Path
) -> dict[tuple[str, bool], Record]:
    """Judge the faces of all pictures, and the whole frames of odd ones; goes on where it was."""
    asked = [(one, whole) for one in odd for whole in (False, True)]
    asked += [(one, False) for one in reals]

    def work(one: tuple[Odd, bool]) -> Record:
        try:
            report = detector.inspect(one[0].path, whole_image=one[1])
        except PhotoError as error:
            return {"decision": None, "reasons": [type(error).__name__]}
        reasons = [reason.value for reason in report.reasons]
        return {"decision": report.decision.value, "reasons": reasons}

    found = remembered(kept, asked, work, lambda one: f"{one[0].path} {one[1]}")
    return {(str(o.path), whole): r for (o, whole), r in zip(asked, found, strict=True)}


GROUPS: dict[str, Callable[[Odd], bool]] = {
    "patterns, pages of text, drawn faces": lambda odd: odd.family == "patterns",
    "portraits under a filter": lambda odd: odd.family == "filters",
    "places and textures without a face": lambda odd: "no face" in odd.kind,
    "drawings, paintings, 3D, toys": lambda odd: "nonphoto" in odd.kind,
    "faces that were swapped or restored": lambda odd: bool(re.search("swap|restored", odd.kind)),
    "real faces, old or degraded": lambda odd: odd.family == "hard",
    "ordinary photo of a face, unseen source": lambda odd: odd.family == "clean",
}
"""Rows of the table: a picture belongs to the first that it fits."""


def page(odd: Sequence[Odd], told: Mapping[tuple[str, bool], Record]) -> str:
    """Return the table by group: what is decided; faces first, then whole frames."""
    groups: dict[str, list[str]] = {name: [] for name in GROUPS}
    for one in odd:
        groups[next(name for name, fits in GROUPS.items() if fits(one))].append(str(one.path))
    rows = []
    for name, paths in groups.items():
        faces = [told[path, False] for path in paths]
        frames = [told[path, True] for path in paths if (path, True) in told]
        whole = (abstained(frames), calls(frames)) if frames else ("–", "–")
        rows.append((name, len(paths), abstained(faces), calls(faces), *whole))
    header = (
        "kind",
        "n",
        "abstained",
        "verdicts",
        "abstained, whole frame",
        "verdicts, whole frame",
    )
    clean = [told[str(one.path), False] for one in odd if one.family == "clean"]
    away = sum(Reason.UNLIKE_TRAINING.value in one["reasons"] for one in clean)
    return (
        f"{table(header, rows)}\n\nOrdinary photos turned away as unlike the training pictures: "
        f"{share(away, len(clean))}."
    )


def abstained(told: Sequence[Record]) -> str:
    """Return the share without a verdict; what cannot be read has none."""
    return share(sum(one["decision"] not in VERDICTS for one in told), len(told))


def calls(told: Sequence[Record]) -> str:
    """Return how many got which verdict."""
    counts = Counter(one["decision"] for one in told)
    return ", ".join(f"{counts[d]} `{d}`" for d in VERDICTS if counts[d]) or "none"


# --- scores --------------------------------------------------------------------------------------

Scores = Mapping[str, Mapping[Path, float]]
"""What each score gives each picture."""


def features_of(detector: Detector, path: Path) -> Float32[ndarray, " features"]:
    """Return features of the first crop of the largest face that is judged, else of the frame."""
    image, config = open_source(path).photo.image, detector.parts.configs[0]
    faces = [f for f in detector.finder.find(image) if f.size_px >= detector.parts.min_face_px]
    config = config if faces else replace(config, whole=True)
    frame = Box(left=0.0, top=0.0, width=float(image.width), height=float(image.height))
    area = crop_box(faces[0].box if faces else frame, config, image.width, image.height)
    crop = extract_crop(image, area, config, turn=faces[0].turn if faces else 0)
    tokens = detector.backbone.tokens(crop[None])[0]
    found: Float32[ndarray, " features"] = pool(tokens, detector.parts.pooling)
    return found


def scored(detector: Detector, train: FeatureSet, pictures: Sequence[Odd], kept: Path) -> Scores:
    """Score every picture in three ways, on the same features; goes on where it was."""
    branch, first = detector.parts.branches[0], train.features[:, 0, 0]
    head, ood, fusion = branch.head, branch.ood, (detector.parts.fast or detector.parts.fusion)
    scale = fusion.overall.slope * float(np.mean(fusion.weights))  # of all classes of quality

    def logit(one: Float32[ndarray, " features"]) -> float:
        return scale * float(head.logits(one).mean())

    near = Neighbours.of(first, head.mean, head.scale)
    logits = np.array([logit(one) for one in first], dtype=np.float64)
    virtual = VirtualLogit.of(first, logits, head.mean, head.scale, ood.basis)
    ways: dict[str, Callable[[Float32[ndarray, " features"]], float]] = {
        "Mahalanobis and residual (ships)": ood.raw,
        "50th nearest neighbour": near.distance,
        "virtual logit (ViM)": lambda one: virtual.distance(one, logit(one)),
    }

    def work(one: Odd) -> Record:
        features = features_of(detector, one.path)
        return {name: measure(features) for name, measure in ways.items()}

    found = remembered(kept, pictures, work, lambda one: str(one.path))
    return {
        name: {one.path: own[name] for one, own in zip(pictures, found, strict=True)}
        for name in ways
    }


def told_apart(
    scores: Scores, odd: Sequence[Odd], reals: Sequence[Odd]
) -> dict[str, tuple[int, float, float]]:
    """Return by score: odd pictures, AUROC, share noticed if 1 in 20 others may be turned away."""
    found = {}
    truth = np.repeat([False, True], [len(reals), len(odd)])
    for name, of in scores.items():
        both = np.array([of[one.path] for one in (*reals, *odd)], dtype=float)
        found[name] = len(odd), metrics.auroc(truth, both), metrics.tpr_at_fpr(truth, both, 0.05)
    return found


def scores_page(found: Mapping[str, tuple[int, float, float]]) -> str:
    """Return the table: AUROC, and the share noticed."""
    count = next(iter(found.values()))[0]
    cells = [f"{auroc:.3f} ({noticed:.2f})" for _, auroc, noticed in found.values()]
    return (
        "Telling odd pictures from ordinary photos by how far their features are: AUROC, and in "
        "brackets the share noticed if one ordinary photo in twenty may be turned away.\n\n"
        + table(("kind", "n", *found), [("all of these", count, *cells)])
    )
