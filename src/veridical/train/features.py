"""Pictures to features: every picture goes through the backbone once, and its row is kept on disk.

The cache is one SQLite file per backbone, crop, pooling and number of views, its rows keyed by the
SHA-256 of the picture's bytes. A row is written as soon as it is known, so that an interrupted run
goes on where it stopped.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from hashlib import sha256
from json import dumps
from pathlib import Path

import numpy as np

from veridical.arrays import Float, Float32, ndarray
from veridical.engines import Engine
from veridical.errors import PhotoError
from veridical.io.formats import Limits
from veridical.io.samples import Sample
from veridical.io.source import open_source
from veridical.tokens import Pooling, pool
from veridical.train import prepare, views
from veridical.train.prepare import Pictures, Say, Track, unsaid, untracked
from veridical.train.store import Store
from veridical.vision.backbone import Backbone, tokens_of
from veridical.vision.crop import CropConfig
from veridical.vision.prepare import Finder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeatureSet:
    """The features of a set of pictures, and what was left out.

    Attributes:
        samples: Pictures with a face that is large enough, in the order given.
        features: Their features, by view and crop.
        sizes_px: Longer side of the face in each view, px.
        hashes: Their 64-bit perceptual hashes, for near-duplicates.
        faceless: Pictures in which no face was found; they are left out.
        too_small: Pictures whose largest face is smaller than is judged; they are left out.
        unreadable: Pictures that could not be decoded, and why; they are left out.
    """

    samples: tuple[Sample, ...]
    features: Float32[ndarray, "pictures views crops features"]
    sizes_px: Float[ndarray, "pictures views"]
    hashes: tuple[int, ...]
    faceless: tuple[Sample, ...]
    too_small: tuple[Sample, ...]
    unreadable: tuple[tuple[Sample, str], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureExtractor:
    """The fixed part of training.

    Attributes:
        finder: Finds the face.
        backbone: Turns crops into tokens.
        backbone_hash: SHA-256 of the graph.
        configs: How the face is cropped, one per crop.
        pooling: How tokens become features.
        views: Views per picture, the one as delivered included.
        min_face_px: Longer side of the smallest face that is learnt from, px. A cache serves any.
        cache: Folder of the cache.
        limits: On what is decoded.
    """

    finder: Finder
    backbone: Backbone
    backbone_hash: str
    configs: tuple[CropConfig, ...]
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
            [one.fingerprint for one in self.configs],
            self.pooling,
            self.views,
            views.VERSION,
        ]
        return sha256(dumps(facts).encode()).hexdigest()[:12]

    def extract(
        self,
        samples: Sequence[Sample],
        engine: Engine,
        track: Track[Sample] = untracked,
        say: Say = unsaid,
    ) -> FeatureSet:
        """Extract the features of every picture that is not in the cache yet, and return all.

        Pictures that cannot be decoded, or show no face that is large enough, are named in the
        result.

        Raises:
            DataError: If the cache cannot be used.
        """
        with (
            self._store() as store,
            prepare.opened(self.finder, self.configs, self.cache) as pictures,
        ):
            if done := store.count():
                say(f"Going on from earlier runs: {self.cache} has the features of {done:,}")

            def work(sample: Sample) -> "_Row | str":
                try:
                    return self._row(sample, store, pictures)
                except PhotoError as error:
                    return str(error)

            tracked = track(samples, "Extracting features", len(samples))
            rows = zip(tracked, engine.map(work, samples), strict=True)
            return self._gathered(list(rows))

    def _store(self) -> "closing[Store]":
        path = self.cache / f"features-{self.fingerprint}.sqlite"
        return closing(Store(path, ("hash", "face_px", "sizes_px", "features")))

    def _row(self, sample: Sample, store: Store, pictures: Pictures) -> "_Row":
        file = open_source(sample.path, self.limits)
        if row := store.get(file.sha256):
            number, face_px, sizes, packed = row
            return int(number, 16), face_px, sizes, packed
        found, packed = pictures.of(file, self.views), None
        if found.face_px is not None:
            chosen = found.crops[: self.views]
            tokens = [one for view in chosen for one in tokens_of(self.backbone, view)]
            pooled = [pool(one, self.pooling) for one in tokens]
            packed = np.stack(pooled).astype(np.float32).tobytes()
        sizes = np.array(found.sizes_px[: self.views]).tobytes()
        store.put(file.sha256, f"{found.hash:016x}", found.face_px, sizes, packed)
        pictures.keep(found, 1)
        return found.hash, found.face_px, sizes, packed

    def _gathered(self, rows: Sequence[tuple[Sample, "_Row | str"]]) -> FeatureSet:
        samples, features, sizes_px, hashes = [], [], [], []
        faceless, too_small, unreadable = [], [], []
        shape = self.views, len(self.configs), -1
        for sample, row in rows:
            if isinstance(row, str):
                unreadable.append((sample, row))
                continue
            number, face_px, sizes, packed = row
            if face_px is None or packed is None:
                faceless.append(sample)
            elif face_px < self.min_face_px:
                too_small.append(sample)
            else:
                samples.append(sample)
                hashes.append(number)
                features.append(np.frombuffer(packed, np.float32).reshape(shape))
                sizes_px.append(np.frombuffer(sizes))
        return FeatureSet(
            samples=tuple(samples),
            features=np.stack(features) if features else np.zeros((0, *shape[:2], 0), np.float32),
            sizes_px=np.stack(sizes_px) if sizes_px else np.zeros((0, self.views)),
            hashes=tuple(hashes),
            faceless=tuple(faceless),
            too_small=tuple(too_small),
            unreadable=tuple(unreadable),
        )


_Row = tuple[int, float | None, bytes, bytes | None]
"""Perceptual hash, size of the face as delivered, its sizes by view, features."""
