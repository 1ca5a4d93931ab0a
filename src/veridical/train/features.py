"""Pictures to features, once: every look through the backbone is kept on disk.

The cache is one SQLite file per way of looking (backbone graph, framing, pooling, views), its rows
keyed by the SHA-256 of the picture's bytes. A row is written as soon as it is known, so that an
interrupted run goes on where it stopped, and renaming or copying pictures costs nothing. How large
the face is has a table of its own, which caches of earlier versions lack; what they hold is taken
to be large enough.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from veridical._optional import need
from veridical.arrays import Float32, ndarray
from veridical.detector import Finder
from veridical.engines import Engine
from veridical.errors import DataError, PhotoError
from veridical.io.images import Limits, Photo, read_bytes, read_photo
from veridical.io.samples import Sample
from veridical.report import Box
from veridical.tokens import Pooling, pool
from veridical.train.views import VERSION, view
from veridical.vision.backbone import Backbone
from veridical.vision.faces import CropConfig

T = TypeVar("T")
Track = Callable[[Iterable[T], str, int], Iterable[T]]
"""Passes items through while showing progress: items, what is being done, how many there are."""


def untracked(items: Iterable[T], what: str, total: int) -> Iterable[T]:
    """Show nothing."""
    return items


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureSet:
    """What the backbone saw of a set of pictures.

    Attributes:
        samples: Pictures with a face that is large enough, in the order given.
        features: Their features, one row per view.
        hashes: Their 64-bit perceptual hashes, for near-duplicates.
        faceless: Pictures in which no face was found; they are left out.
        too_small: Pictures whose largest face is smaller than is judged; they are left out.
        unreadable: Pictures that could not be decoded, and why; they are left out.
    """

    samples: tuple[Sample, ...]
    features: Float32[ndarray, "pictures views features"]
    hashes: tuple[int, ...]
    faceless: tuple[Sample, ...]
    too_small: tuple[Sample, ...]
    unreadable: tuple[tuple[Sample, str], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureExtractor:
    """The fixed part of training: one way of looking at pictures.

    Attributes:
        finder: Finds the face.
        backbone: FeatureSet at it.
        backbone_hash: SHA-256 of the graph.
        crop_config: How the face is cut out.
        pooling: How tokens become features.
        views: Views per picture, the one as delivered included.
        min_face_px: Longer side of the smallest face that is learnt from, px. A cache serves any.
        cache: Folder of the cache.
        limits: On what is decoded.
    """

    finder: Finder
    backbone: Backbone
    backbone_hash: str
    crop_config: CropConfig
    pooling: tuple[Pooling, ...]
    views: int
    min_face_px: float
    cache: Path
    limits: Limits = Limits()

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits that change whenever a feature would."""
        facts = [
            self.backbone_hash,
            asdict(self.backbone.spec),
            self.finder.name,
            self.crop_config.fingerprint,
            self.pooling,
            self.views,
            VERSION,
        ]
        return sha256(dumps(facts).encode()).hexdigest()[:12]

    def look(
        self, samples: Sequence[Sample], engine: Engine, track: Track[Sample] = untracked
    ) -> FeatureSet:
        """Look at every picture that is not in the cache yet, and return all of them.

        Pictures that cannot be decoded, or show no face that is large enough, are named in the
        result, not dropped in silence.
        """
        self.cache.mkdir(parents=True, exist_ok=True)
        path = self.cache / f"features-{self.fingerprint}.sqlite"
        store = sqlite3.connect(path)
        try:
            store.execute("PRAGMA journal_mode=WAL")
            store.execute("CREATE TABLE IF NOT EXISTS looks (sha256 PRIMARY KEY, hash, features)")
            store.execute("CREATE TABLE IF NOT EXISTS faces (sha256 PRIMARY KEY, px)")
            return self._collect(samples, store, engine, track)
        except sqlite3.DatabaseError as foreign:
            raise DataError(
                f"The feature cache {path} cannot be used ({foreign}).",
                hint="Delete that file, or name another folder with --cache; it is made anew.",
            ) from foreign
        finally:
            store.close()

    def _collect(
        self,
        samples: Sequence[Sample],
        store: sqlite3.Connection,
        engine: Engine,
        track: Track[Sample],
    ) -> FeatureSet:
        found: dict[Path, _Row] = {}
        missed: dict[Path, str] = {}
        known = {row[0] for row in store.execute("SELECT sha256 FROM looks")}

        def work(sample: Sample) -> "_Look | str":
            try:
                data = read_bytes(sample.path, self.limits)
                digest = sha256(data).hexdigest()
                return _Look(digest) if digest in known else self._one(data, digest)
            except PhotoError as error:
                return f"{sample.path}: {error}"

        for sample, look in zip(
            track(samples, "Looking at pictures", len(samples)),
            engine.map(work, samples),
            strict=True,
        ):
            if isinstance(look, str):
                missed[sample.path] = look
                continue
            if look.hash is None:
                row = store.execute(
                    "SELECT hash, features, px FROM looks LEFT JOIN faces USING (sha256) "
                    "WHERE sha256 = ?",
                    [look.sha256],
                )
                found[sample.path] = row.fetchone()
            else:
                packed = None if look.features is None else look.features.tobytes()
                found[sample.path] = (look.hash, packed, look.face_px)
                store.execute(
                    "INSERT OR REPLACE INTO looks VALUES (?, ?, ?)",
                    [look.sha256, look.hash, packed],
                )
                store.execute(
                    "INSERT OR REPLACE INTO faces VALUES (?, ?)", [look.sha256, look.face_px]
                )
                store.commit()
        return self._gather(samples, found, missed)

    def _gather(
        self,
        samples: Sequence[Sample],
        found: dict[Path, "_Row"],
        missed: dict[Path, str],
    ) -> FeatureSet:
        kept, rows, hashes, faceless, too_small = [], [], [], [], []
        for sample in samples:
            if sample.path in missed:
                continue
            number, packed, face_px = found[sample.path]
            if packed is None:
                faceless.append(sample)
                continue
            if face_px is not None and face_px < self.min_face_px:
                too_small.append(sample)
                continue
            kept.append(sample)
            hashes.append(number & (2**64 - 1))
            rows.append(np.frombuffer(packed, dtype=np.float32).reshape(self.views, -1))
        return FeatureSet(
            samples=tuple(kept),
            features=np.stack(rows) if rows else np.zeros((0, self.views, 0), dtype=np.float32),
            hashes=tuple(hashes),
            faceless=tuple(faceless),
            too_small=tuple(too_small),
            unreadable=tuple((s, missed[s.path]) for s in samples if s.path in missed),
        )

    def _one(self, data: bytes, digest: str) -> "_Look":
        photo = read_photo(data, self.limits)
        box = self._box(photo)
        if box is None:
            return _Look(digest, _signed(perceptual_hash(photo)))
        crops = np.stack(
            [
                view(photo.pixels, box, self.crop_config, digest, number)
                for number in range(self.views)
            ]
        )
        features = [pool(tokens, self.pooling) for tokens in self.backbone.tokens(crops)]
        return _Look(
            digest,
            _signed(perceptual_hash(photo)),
            np.stack(features).astype(np.float32),
            max(box.width, box.height),
        )

    def _box(self, photo: Photo) -> Box | None:
        if self.crop_config.whole:
            height, width = photo.pixels.shape[:2]
            return Box(left=0.0, top=0.0, width=float(width), height=float(height))
        faces = self.finder.find(photo.pixels)
        return faces[0].box if faces else None


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One picture's row; `hash` is None if the cache has it already."""

    sha256: str
    hash: int | None = None
    features: Float32[ndarray, "views features"] | None = None
    face_px: float | None = None


_Row = tuple[int, bytes | None, float | None]  # perceptual hash, features, longer side of the face


def perceptual_hash(photo: Photo) -> int:
    """Return 64 bits that survive resizing and re-encoding (a DCT hash)."""
    imagehash = need("imagehash", extra="train", to="find near-duplicates")
    bits = imagehash.phash(Image.fromarray(photo.pixels)).hash.ravel()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def _signed(bits: int) -> int:
    """SQLite's integers have a sign."""
    return bits - 2**64 if bits >= 2**63 else bits
