"""What becomes of the head's logit when parts of a face are covered?

This is a fact, and it costs a forward pass. It is measured for sets of patches drawn at random, and
a surrogate is fitted to it (`explainer.py`). The unit is that of the head's own logit, before
calibration: a model that is calibrated again keeps its surrogate.
"""

import io
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from veridical.arrays import Bool, Float, Float32, UInt8, ndarray
from veridical.assembly import head_to
from veridical.detector import Detector
from veridical.engines import Engine
from veridical.errors import PhotoError
from veridical.explain.attribution import token_map
from veridical.explain.occlusion import cover, swapped
from veridical.io.samples import Sample
from veridical.io.source import open_source
from veridical.scoring import CropScore, alone
from veridical.tokens import pool
from veridical.train import prepare
from veridical.train.prepare import Pictures, Say, Track, unsaid, untracked
from veridical.train.store import Store
from veridical.vision.runtime import one_blas_thread

VERSION = 1  # part of the cache key: raise it when other sets are drawn, or covered otherwise
SETS = 8  # covered of each picture, where many pictures cannot be afforded
_SHARES = (0.03, 0.8)  # of the patches that are covered, drawn evenly in their logarithm
Filling = Literal["blur", "mean", "shuffle"]
_FILLS: tuple[Filling, ...] = ("blur", "blur", "mean", "shuffle")
_KEPT = 16  # tokens of each picture that the principal directions are taken of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogitDrops:
    """What covering did to the head's logit of one picture.

    Attributes:
        sets: What was covered.
        logit_drops: By how much the logit dropped.
        sums: Sum of the tokens of each set, all blocks that are read in a row.
        contributions: What every patch adds to the logit, without a baseline.
        tokens: Tokens of some patches, all blocks in a row.
    """

    sets: Bool[ndarray, "sets patches"]
    logit_drops: Float[ndarray, " sets"]
    sums: Float32[ndarray, "sets channels"]
    contributions: Float[ndarray, " patches"]
    tokens: Float32[ndarray, "kept channels"]


def measure(
    detector: Detector,
    samples: Sequence[Sample],
    at: int = 0,
    *,
    sets: int,
    engine: Engine,
    cache: Path,
    track: Track[Sample] = untracked,
    say: Say = unsaid,
) -> dict[Sample, LogitDrops]:
    """Cover the largest face of every picture in `sets` ways; what is cached is not done again.

    Pictures that cannot be read, or show no face that is judged, are left out.

    Args:
        detector: Whose logit is measured.
        samples: Pictures.
        at: Place of the crop that is covered.
        sets: Ways of covering each of them.
        engine: How many pictures at a time.
        cache: Folder of the cache.
        track: Shows progress.
        say: Told what is being done.

    Raises:
        DataError: If the cache cannot be used.
    """
    path = cache / f"logit-drops-{fingerprint(detector, at, sets)}.sqlite"
    with (
        closing(Store(path, ("packed",))) as store,
        prepare.opened(detector.finder, detector.parts.configs, cache) as pictures,
    ):
        if done := store.count():
            say(f"Going on from earlier runs: {cache} has {done:,} faces covered")

        def work(sample: Sample) -> LogitDrops | None:
            try:
                return _measured(detector, sample, at, sets, store, pictures)
            except PhotoError:
                return None

        tracked = track(samples, "Covering faces", len(samples))
        found = zip(tracked, engine.map(work, samples), strict=True)
        return {sample: drops for sample, drops in found if drops is not None}


def _measured(
    detector: Detector, sample: Sample, at: int, sets: int, store: Store, pictures: Pictures
) -> LogitDrops | None:
    file = open_source(sample.path, detector.limits)
    if row := store.get(file.sha256):
        return _unpacked(row[0]) if row[0] else None
    found, drops = pictures.of(file, 1), None
    if found.face_px is not None and found.face_px >= detector.parts.min_face_px:
        with one_blas_thread():
            own = alone(detector.parts, at, detector.backbone)
            drops = logit_drops_of(own, found.crops[0, at], file.sha256, sets)
    store.put(file.sha256, _packed(drops) if drops else None)
    return drops


def fingerprint(detector: Detector, at: int, sets: int) -> str:
    """Return twelve hex digits that change whenever a drop would."""
    parts = detector.parts
    branch = parts.branches[at]
    card, tensors = head_to(branch.head)
    facts = [
        VERSION,
        sets,
        asdict(detector.backbone.spec),
        detector.finder.name,
        branch.crop.fingerprint,
        parts.pooling,
        parts.min_face_px,
        card,
        {
            name: sha256(np.ascontiguousarray(t).tobytes()).hexdigest()
            for name, t in tensors.items()
        },
    ]
    return sha256(dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def logit_drops_of(
    own: CropScore, crop: UInt8[ndarray, "size size 3"], picture: str, sets: int
) -> LogitDrops:
    """Cover a crop in `sets` ways.

    Args:
        own: Whose logit is measured.
        crop: The crop of a face.
        picture: SHA-256 of the file; the same picture is covered in the same ways.
        sets: How many.
    """
    pooling = own.parts.pooling
    (tokens,) = own.backbone.tokens(crop[None])
    gradient, rest = own.linear(pool(tokens, pooling))
    grid = tokens.grid
    draw = np.random.default_rng(int(picture[:16], 16))
    chosen = np.stack([_set(draw, grid) for _ in range(sets)])
    coverings = {fill: covering(crop, fill, grid, draw) for fill in sorted(set(_FILLS))}
    crops = [crop]
    for number, one in enumerate(chosen):
        crops.append(swapped(crop, coverings[_FILLS[number % len(_FILLS)]], one))
    logits = own.mean_logit(np.stack(crops))
    flat = tokens.patches.swapaxes(0, 1).reshape(grid * grid, -1)
    return LogitDrops(
        sets=chosen,
        logit_drops=logits[0] - logits[1:],
        sums=(chosen.astype(np.float32) @ flat),
        contributions=token_map(tokens, pooling, gradient, rest).patches.ravel(),
        tokens=flat[draw.permutation(len(flat))[:_KEPT]],
    )


def _set(draw: np.random.Generator, grid: int) -> Bool[ndarray, " patches"]:
    """Draw a set of patches: few or many, scattered or in blobs."""
    share = np.exp(draw.uniform(*np.log(_SHARES)))
    coarse = int(draw.choice([max(2, grid // 4), max(2, grid // 2), grid]))
    noise = Image.fromarray(draw.normal(size=(coarse, coarse)).astype(np.float32))
    smooth = np.asarray(noise.resize((grid, grid), Image.Resampling.BICUBIC)).ravel()
    chosen = np.zeros(grid * grid, dtype=bool)
    chosen[np.argsort(-smooth, kind="stable")[: max(1, round(share * len(smooth)))]] = True
    return chosen


def covering(
    crop: UInt8[ndarray, "size size 3"], fill: Filling, grid: int, draw: np.random.Generator
) -> UInt8[ndarray, "size size 3"]:
    """Return what a crop looks like where it is covered: as `cover` does, or by its own patches."""
    if fill != "shuffle":
        return cover(crop, fill)
    edge = crop.shape[0] // grid
    inner = crop[: edge * grid, : edge * grid]
    tiles = inner.reshape(grid, edge, grid, edge, 3).swapaxes(1, 2).reshape(-1, edge, edge, 3)
    mixed = tiles[draw.permutation(len(tiles))].reshape(grid, grid, edge, edge, 3)
    out = crop.copy()
    out[: edge * grid, : edge * grid] = mixed.swapaxes(1, 2).reshape(inner.shape)
    return out


def _packed(drops: LogitDrops) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{name: getattr(drops, name) for name in LogitDrops.__slots__})
    return stream.getvalue()


def _unpacked(packed: bytes) -> LogitDrops:
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return LogitDrops(**{name: arrays[name] for name in LogitDrops.__slots__})
