"""Each picture is decoded once; what the steps of training need of it is kept.

Audit, features and surrogate all need pixels of the same pictures. The step that comes to a picture
first decodes it, finds its face, and keeps in the cache: its perceptual hash, the size of its face,
the facts that the audit asks for, and the crops of its views as lossless PNG. The later steps read
these. Once the features of a picture are there, only its first crop is kept, for the surrogate: it
takes about as much space as the features.

Facts are kept of all pictures, also of those that the audit does not draw. They take a few
milliseconds, and there is one kind of row instead of two.

The cache is keyed by the SHA-256 of the picture's bytes, so that a renamed picture is known, and a
changed one is not. Pictures that cannot be decoded are tried again in every step.
"""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from veridical._optional import need
from veridical.arrays import UInt8, ndarray
from veridical.box import Box
from veridical.errors import PhotoDamaged
from veridical.io.source import File
from veridical.train import facts
from veridical.train import views as viewed
from veridical.train.facts import PROBES, STAGES, Facts, Probe, Stage, examine
from veridical.train.store import Store
from veridical.train.views import face_px, views
from veridical.vision.crop import CropConfig
from veridical.vision.prepare import Finder

T = TypeVar("T")

Say = Callable[[str], None]
"""Told what is being done."""

Track = Callable[[Iterable[T], str, int], Iterable[T]]
"""Passes items through while showing progress: items, what is being done, how many there are."""


def untracked(items: Iterable[T], what: str, total: int) -> Iterable[T]:
    """Show nothing."""
    return items


def unsaid(what: str) -> None:
    """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """What is kept of one picture.

    Attributes:
        sha256: SHA-256 of its bytes.
        hash: 64-bit perceptual hash, for near-duplicates.
        face_px: Longer side of its largest face, px (of the frame, where frames are judged whole);
            None where no face was found.
        facts: What the audit asks for, by stage and probe; empty without a face.
        sizes_px: The same in each view.
        crops: Its views, the one as delivered first, and the crops of each; none without a face.
    """

    sha256: str
    hash: int
    face_px: float | None
    sizes_px: tuple[float, ...]
    facts: Mapping[tuple[Stage, Probe], Facts]
    crops: UInt8[ndarray, "views crops size size 3"]


def prepare(file: File, finder: Finder, configs: Sequence[CropConfig], n_views: int) -> Prepared:
    """Decode a picture, and take from it what training needs.

    Args:
        file: The picture.
        finder: Finds its faces.
        configs: How the largest is cropped, one per crop.
        n_views: Views to make.

    Raises:
        PhotoError: If it cannot be decoded, or is damaged.
    """
    if damage := file.photo.damage:
        raise PhotoDamaged(
            f"{file.name}: {damage.share:.0%} of the picture is missing or wrong.",
            hint="Get an undamaged copy.",
        )
    image, picture = file.photo.image, file.sha256
    faces = finder.find(image)
    boxes, turn = [face.box for face in faces], 0
    if configs[0].whole:
        box = Box(left=0.0, top=0.0, width=float(image.width), height=float(image.height))
    elif faces:
        box, turn = faces[0].box, faces[0].turn
    else:
        side = configs[0].size_px
        return Prepared(
            sha256=picture,
            hash=perceptual_hash(image),
            face_px=None,
            sizes_px=(),
            facts={},
            crops=np.zeros((0, len(configs), side, side, 3), np.uint8),
        )
    # Facts are of the first two views, whatever training takes: a row then serves any recipe.
    crops = [views(image, box, configs, picture, n, turn=turn) for n in range(max(2, n_views))]
    return Prepared(
        sha256=picture,
        hash=perceptual_hash(image),
        face_px=float(box.size_px),
        sizes_px=tuple(face_px(box, picture, n) for n in range(n_views)),
        facts=examine(file, boxes, box, configs[0], [view[0] for view in crops[:2]]),
        crops=np.stack(crops[:n_views]),
    )


def perceptual_hash(image: Image.Image) -> int:
    """Return 64 bits that survive resizing and re-encoding (a DCT hash)."""
    imagehash = need("imagehash", extra="train", to="find near-duplicates")
    return int.from_bytes(np.packbits(imagehash.phash(image).hash).tobytes(), "big")


@contextmanager
def opened(
    finder: Finder, configs: Sequence[CropConfig], cache: Path | None
) -> Iterator["Pictures"]:
    """Open the cache of prepared pictures.

    Args:
        finder: Finds the faces.
        configs: How faces are cropped, one per crop.
        cache: Folder of the cache; None keeps nothing.
    """
    configs = tuple(configs)
    if cache is None:
        yield Pictures(finder=finder, configs=configs, store=None)
        return
    cropped = [one.fingerprint for one in configs]
    known = [finder.name, cropped, viewed.VERSION, facts.VERSION]
    name = sha256(json.dumps(known).encode()).hexdigest()[:12]
    columns = ("hash", "face_px", "sizes_px", "facts", "crops")
    with closing(Store(cache / f"pictures-{name}.sqlite", columns)) as store:
        yield Pictures(finder=finder, configs=configs, store=store)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Prepared pictures, from the cache where they are in it; made by `opened`.

    Attributes:
        finder: Finds the faces.
        configs: How faces are cropped, one per crop.
        store: The cache; None for none.
    """

    finder: Finder
    configs: tuple[CropConfig, ...]
    store: Store | None

    @property
    def known(self) -> int:
        """How many pictures are in the cache."""
        return self.store.count() if self.store else 0

    def of(
        self, file: File, n_views: int, *, to_make: int = 0, to_keep: int | None = None
    ) -> Prepared:
        """Return what is kept of a picture.

        Args:
            file: The picture.
            n_views: Views that are needed at least, if it shows a face.
            to_make: Views to make if it has to be decoded, for the steps that follow.
            to_keep: Views whose crops go into the cache then; None for all that were made.

        Raises:
            PhotoError: If it has to be decoded and cannot be.
        """
        row = self.store.get(file.sha256) if self.store else None
        if row:
            found = self._unpacked(file.sha256, *row)
            if found.face_px is None or len(found.crops) >= n_views:
                return found
        to_make = max(n_views, to_make)
        made = prepare(file, self.finder, self.configs, to_make)
        self.keep(made, to_make if to_keep is None else to_keep)
        return made

    def keep(self, made: Prepared, n_views: int) -> None:
        """Write a picture to the cache with so many of its views."""
        if self.store:
            packed = json.dumps({f"{stage}/{probe}": f for (stage, probe), f in made.facts.items()})
            crops = _png(made.crops[:n_views]) if len(made.crops[:n_views]) else None
            sizes = json.dumps(made.sizes_px[:n_views])
            self.store.put(made.sha256, f"{made.hash:016x}", made.face_px, sizes, packed, crops)

    def _unpacked(
        self,
        key: str,
        number: str,
        face_px: float | None,
        sizes: str,
        packed: str,
        crops: bytes | None,
    ) -> Prepared:
        shape = -1, len(self.configs), *[self.configs[0].size_px] * 2, 3
        found: dict[tuple[Stage, Probe], Facts] = {}
        known = json.loads(packed)
        for stage, probe in product(STAGES, PROBES):
            if (own := known.get(f"{stage}/{probe}")) is not None:
                found[stage, probe] = own
        return Prepared(
            sha256=key,
            hash=int(number, 16),
            face_px=face_px,
            sizes_px=tuple(json.loads(sizes)),
            facts=found,
            crops=_pixels(crops).reshape(shape) if crops else np.zeros((0, *shape[1:]), np.uint8),
        )


def _png(crops: UInt8[ndarray, "views crops size size 3"]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(crops.reshape(-1, *crops.shape[3:])).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def _pixels(png: bytes) -> UInt8[ndarray, "rows columns 3"]:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return np.asarray(image)
