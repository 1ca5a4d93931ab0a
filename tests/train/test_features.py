import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from veridical.arrays import UInt8, ndarray
from veridical.detector import Detector, Finder
from veridical.engines import Serial, Threads
from veridical.io.samples import Label, Sample
from veridical.io.splits import near_duplicates
from veridical.report import Box
from veridical.tokens import Tokens, pool
from veridical.train.features import FeatureExtractor, FeatureSet
from veridical.train.views import view
from veridical.vision.backbone import Backbone, BackboneSpec
from veridical.vision.faces import CropConfig, crop_box, extract_crop

pytest.importorskip("imagehash")

Painter = Callable[..., ndarray]
FACE = (10.0, 10.0, 40.0, 40.0)


@dataclass(eq=False)
class Counting:
    """A backbone that counts its passes, and breaks off after `stop` of them."""

    backbone: Backbone
    passes: int = 0
    stop: float = field(default=float("inf"))

    @property
    def spec(self) -> BackboneSpec:
        return self.backbone.spec

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        if self.passes >= self.stop:
            raise KeyboardInterrupt
        self.passes += 1
        return self.backbone.tokens(crops)


@pytest.fixture
def counting(tiny_detector: Detector) -> Counting:
    return Counting(tiny_detector.backbone)


@pytest.fixture
def extractor(
    counting: Counting, fake_finder: Callable[..., Finder], tmp_path: Path
) -> FeatureExtractor:
    return FeatureExtractor(
        finder=fake_finder(FACE),
        backbone=counting,
        backbone_hash="0" * 64,
        crop_config=CropConfig(size_px=counting.spec.image_px),
        pooling=("mean",),
        views=3,
        min_face_px=40.0,
        cache=tmp_path / "cache",
    )


def sample(path: Path, label: Label = "real") -> Sample:
    return Sample(path=path, label=label, source="album", generator="", group=path.stem)


@pytest.fixture
def samples(painter: Painter, tmp_path: Path) -> list[Sample]:
    found = []
    for seed in range(5):
        path = tmp_path / f"{seed}.png"
        Image.fromarray(painter(64, 60, FACE, seed=seed)).save(path)
        found.append(sample(path, "ai" if seed % 2 else "real"))
    return found


def same(one: FeatureSet, other: FeatureSet) -> bool:
    return np.array_equal(one.features, other.features) and one.hashes == other.hashes


# --- what is seen -------------------------------------------------------------------------------


def test_the_first_view_is_what_inspection_sees(
    extractor: FeatureExtractor, samples: list[Sample], tiny_detector: Detector
) -> None:
    looks = extractor.look(samples, Serial())
    assert looks.samples == tuple(samples)
    assert looks.features.shape == (5, 3, 64)
    detector = replace(
        tiny_detector,
        finder=extractor.finder,
        crop_config=extractor.crop_config,
        pooling=extractor.pooling,
    )
    for number, one in enumerate(samples):
        pixels = np.asarray(Image.open(one.path))
        area = crop_box(extractor.finder.find(pixels)[0].box, extractor.crop_config, 60, 64)
        (tokens,) = detector.backbone.tokens(
            extract_crop(pixels, area, extractor.crop_config)[None]
        )
        # One pass holds all views: a batch may move the last bits.
        assert looks.features[number, 0] == pytest.approx(pool(tokens, ("mean",)), abs=1e-5)


def test_many_at_a_time_see_what_one_at_a_time_sees(
    extractor: FeatureExtractor, samples: list[Sample]
) -> None:
    one = extractor.look(samples, Serial())
    many = replace(extractor, cache=extractor.cache / "other").look(samples, Threads(3))
    assert same(one, many)


def test_the_same_bytes_look_the_same_whatever_they_are_called_and_labelled(
    extractor: FeatureExtractor, samples: list[Sample], tmp_path: Path
) -> None:
    (tmp_path / "fake").mkdir()
    twin = tmp_path / "fake" / "twin.png"
    copyfile(samples[0].path, twin)
    real, ai = sample(samples[0].path, "real"), sample(twin, "ai")
    both = extractor.look([real, ai], Serial())
    assert np.array_equal(both.features[0], both.features[1])
    assert both.hashes[0] == both.hashes[1]
    turned = replace(extractor, cache=tmp_path / "turned").look(
        [replace(ai, label="real"), replace(real, label="ai")], Serial()
    )
    assert np.array_equal(turned.features, both.features)


def test_a_model_of_whole_frames_finds_no_faces(
    extractor: FeatureExtractor, samples: list[Sample], fake_finder: Callable[..., Finder]
) -> None:
    blind = replace(
        extractor, finder=fake_finder(), crop_config=replace(extractor.crop_config, whole=True)
    )
    assert len(blind.look(samples, Serial()).samples) == 5


def test_pictures_that_nearly_coincide_have_close_hashes(
    extractor: FeatureExtractor, samples: list[Sample], tmp_path: Path
) -> None:
    again = tmp_path / "again.jpg"
    with Image.open(samples[0].path) as image:
        image.resize((120, 128)).save(again, quality=80)
    looks = extractor.look([*samples, sample(again)], Serial())
    assert near_duplicates(looks.hashes, distance=3) == [(0, 5)]


# --- what is left out ---------------------------------------------------------------------------


def test_what_cannot_be_used_is_named_and_costs_no_other_picture(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample], tmp_path: Path
) -> None:
    broken, empty, absent = (sample(tmp_path / f"{name}.png") for name in ("broken", "no", "gone"))
    broken.path.write_bytes(samples[0].path.read_bytes()[:300])
    empty.path.touch()
    looks = extractor.look([broken, *samples, empty, absent], Threads(2))
    assert looks.samples == tuple(samples)
    assert [one for one, _ in looks.unreadable] == [broken, empty, absent]
    for (_, why), says in zip(
        looks.unreadable, ("cannot be decoded", "zero bytes", "no such file"), strict=True
    ):
        assert says in why
    assert counting.passes == 5
    # Broken pictures are not remembered: somebody may mend them.
    copyfile(samples[0].path, broken.path)
    assert extractor.look([broken], Serial()).samples == (broken,)


def test_a_picture_without_a_face_is_named_and_remembered(
    extractor: FeatureExtractor,
    counting: Counting,
    samples: list[Sample],
    fake_finder: Callable[..., Finder],
) -> None:
    @dataclass
    class Once:
        name: str = "none"
        asked: int = 0

        def find(self, pixels: UInt8[ndarray, "height width 3"]) -> Any:
            self.asked += 1
            return fake_finder().find(pixels)

    finder = Once()
    blind = replace(extractor, finder=finder)
    for _ in range(2):
        looks = blind.look(samples, Serial())
        assert looks.faceless == tuple(samples)
        assert (looks.samples, looks.hashes, looks.unreadable) == ((), (), ())
        assert looks.features.shape == (0, 3, 0)
    assert (counting.passes, finder.asked) == (0, 5)


def test_a_face_that_is_too_small_to_judge_is_named_and_not_learnt_from(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample]
) -> None:
    all_of_them = extractor.look(samples, Serial())
    strict = replace(extractor, min_face_px=40.5)  # FACE is of 40 px
    for looks in (strict.look(samples, Serial()), strict.look(samples, Serial())):
        assert looks.too_small == tuple(samples)
        assert (looks.samples, looks.faceless, looks.unreadable) == ((), (), ())
        assert looks.features.shape == (0, 3, 0)
    assert counting.passes == 5
    assert strict.fingerprint == extractor.fingerprint
    assert all_of_them.too_small == ()
    assert same(extractor.look(samples, Serial()), all_of_them)


def test_a_small_face_costs_the_others_nothing(
    extractor: FeatureExtractor,
    samples: list[Sample],
    painter: Painter,
    tmp_path: Path,
    tiny_detector: Detector,
) -> None:
    path = tmp_path / "small.png"
    Image.fromarray(painter(50, 60)).save(path)
    sized = replace(extractor, finder=tiny_detector.finder, min_face_px=37.0)  # three fifths: 36 px
    looks = sized.look([samples[0], sample(path), *samples[1:]], Serial())
    assert looks.too_small == (sample(path),)
    assert looks.samples == tuple(samples)
    alone = replace(sized, cache=tmp_path / "other").look(samples, Serial())
    assert same(looks, alone)


def test_a_cache_that_does_not_know_the_size_of_faces_is_still_good(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample]
) -> None:
    first = extractor.look(samples, Serial())
    store = sqlite3.connect(extractor.cache / f"features-{extractor.fingerprint}.sqlite")
    store.execute("DROP TABLE faces")
    store.commit()
    store.close()
    looks = replace(extractor, min_face_px=100.0).look(samples, Serial())
    assert counting.passes == 5
    assert same(looks, first)


# --- every look is kept -------------------------------------------------------------------------


def test_a_second_run_asks_the_backbone_nothing(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample]
) -> None:
    first = extractor.look(samples, Serial())
    assert counting.passes == 5
    counting.stop = 0
    assert same(extractor.look(samples, Serial()), first)
    backwards = extractor.look(samples[::-1], Threads(2))
    assert np.array_equal(backwards.features, first.features[::-1])


def test_an_interrupted_run_goes_on_where_it_was(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample], tmp_path: Path
) -> None:
    counting.stop = 3
    with pytest.raises(KeyboardInterrupt):
        extractor.look(samples, Serial())
    assert counting.passes == 3
    counting.stop = float("inf")
    looks = extractor.look(samples, Serial())
    assert counting.passes == 5
    assert same(looks, replace(extractor, cache=tmp_path / "fresh").look(samples, Serial()))


def test_a_renamed_picture_costs_nothing(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample], tmp_path: Path
) -> None:
    first = extractor.look(samples, Serial())
    moved = [sample(one.path.rename(tmp_path / f"new-{one.path.name}"), "ai") for one in samples]
    looks = extractor.look(moved, Serial())
    assert counting.passes == 5
    assert same(looks, first)
    assert looks.samples == tuple(moved)


def test_a_changed_picture_is_looked_at_again(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample], painter: Painter
) -> None:
    first = extractor.look(samples, Serial())
    Image.fromarray(painter(64, 60, FACE, seed=99)).save(samples[0].path)
    second = extractor.look(samples, Serial())
    assert counting.passes == 6
    assert not np.array_equal(second.features[0], first.features[0])
    assert np.array_equal(second.features[1:], first.features[1:])


def test_progress_is_shown_for_every_picture(
    extractor: FeatureExtractor, samples: list[Sample]
) -> None:
    told: list[tuple[str, int, int]] = []

    def track(items: Any, what: str, total: int) -> Iterator[Sample]:
        for number, item in enumerate(items, start=1):
            told.append((what, number, total))
            yield item

    extractor.look(samples, Serial(), track)
    assert told == [("Looking at pictures", number, 5) for number in range(1, 6)]


# --- another way of looking is another cache ----------------------------------------------------


OTHER: dict[str, Callable[[FeatureExtractor], FeatureExtractor]] = {
    "graph": lambda one: replace(one, backbone_hash="1" * 64),
    "margin": lambda one: replace(one, crop_config=replace(one.crop_config, margin=1.5)),
    "whole": lambda one: replace(one, crop_config=replace(one.crop_config, whole=True)),
    "shrunk first": lambda one: replace(one, crop_config=replace(one.crop_config, through_px=16)),
    "pooling": lambda one: replace(one, pooling=("cls", "mean")),
    "order of pooling": lambda one: replace(one, pooling=("mean", "cls")),
    "views": lambda one: replace(one, views=2),
    "scaling": lambda one: replace(one, backbone=Other(one.backbone.spec)),
    "finder": lambda one: replace(one, finder=Blind()),
}


@dataclass(eq=False)
class Other:
    old: BackboneSpec

    @property
    def spec(self) -> BackboneSpec:
        return replace(self.old, mean=(0.1, 0.1, 0.1))

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        raise AssertionError


class Blind:
    name = "another"

    def find(self, pixels: UInt8[ndarray, "height width 3"]) -> Any:
        raise AssertionError


def test_another_way_of_looking_has_another_name(extractor: FeatureExtractor) -> None:
    names = [extractor.fingerprint, *(change(extractor).fingerprint for change in OTHER.values())]
    assert len(set(names)) == len(names)
    assert replace(extractor, cache=Path("elsewhere")).fingerprint == extractor.fingerprint
    assert all(len(name) == 12 for name in names)


def test_two_ways_of_looking_share_a_folder_and_nothing_else(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample]
) -> None:
    first = extractor.look(samples, Serial())
    wider = replace(extractor, crop_config=replace(extractor.crop_config, margin=1.6))
    other = wider.look(samples, Serial())
    assert counting.passes == 10
    assert not np.array_equal(first.features, other.features)
    files = sorted(path.name for path in extractor.cache.glob("*.sqlite"))
    assert files == sorted(f"features-{one.fingerprint}.sqlite" for one in (extractor, wider))
    for file in files:
        store = sqlite3.connect(extractor.cache / file)
        assert store.execute("SELECT count(*) FROM looks").fetchone() == (5,)
        store.close()


# --- views --------------------------------------------------------------------------------------


BOX = Box(left=10.0, top=10.0, width=40.0, height=40.0)
FRAMING = CropConfig(size_px=32)


def views(pixels: ndarray, picture: str, crop_config: CropConfig = FRAMING) -> list[ndarray]:
    return [view(pixels, BOX, framing, picture, number) for number in range(6)]


def test_the_same_picture_has_the_same_views_and_another_has_others(
    painter: Painter,
) -> None:
    pixels = painter(64, 60, FACE)
    first, again, other = (views(pixels, name) for name in ("aa", "aa", "bb"))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[0], other[0])  # as delivered
    assert not any(np.array_equal(a, b) for a, b in zip(first[1:], other[1:], strict=True))
    assert len({one.tobytes() for one in first}) == 6
    assert {one.shape for one in first} == {(32, 32, 3)}


def test_the_view_as_delivered_is_cut_as_at_inspection(painter: Painter) -> None:
    pixels = painter(64, 60, FACE)
    for framing in (FRAMING, replace(FRAMING, through_px=12), replace(FRAMING, whole=True)):
        area = crop_box(BOX, framing, 60, 64)
        assert np.array_equal(views(pixels, "aa", framing)[0], extract_crop(pixels, area, framing))


def test_a_view_stays_close_to_what_it_is_a_view_of(painter: Painter) -> None:
    pixels = painter(200, 200, (50.0, 50.0, 100.0, 100.0))
    box = Box(left=50.0, top=50.0, width=100.0, height=100.0)
    for number in range(1, 8):
        seen = view(pixels, box, FRAMING, "aa", number).astype(float)
        # The face is symmetric: mirrored or not, its middle keeps the colour of skin.
        middle = seen[14:18, 14:18].mean(axis=(0, 1))
        assert np.abs(middle - (210, 156, 125)).max() < 60


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_the_smallest_and_narrowest_pictures_have_views_too(size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 128, np.uint8)
    box = Box(left=0.0, top=0.0, width=float(size[1]), height=float(size[0]))
    for number in range(4):
        assert view(pixels, box, FRAMING, "aa", number).shape == (32, 32, 3)
