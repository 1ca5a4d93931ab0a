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
from veridical.detector import Detector
from veridical.engines import Serial, Threads
from veridical.io.samples import Label, Sample
from veridical.io.source import open_source
from veridical.io.splits import near_duplicates
from veridical.tokens import Tokens, pool
from veridical.train.features import FeatureExtractor, FeatureSet
from veridical.train.views import face_px, views
from veridical.vision.backbone import Backbone, BackboneSpec
from veridical.vision.crop import CropConfig, crop_box, extract_crop
from veridical.vision.prepare import Finder

pytest.importorskip("imagehash")

Painter = Callable[..., ndarray]
FACE = (10.0, 10.0, 40.0, 40.0)
WIDE = CropConfig(size_px=32, margin=2.4, least_px=59)
EACH = 3 * 2  # views and crops of a picture


@dataclass(eq=False)
class Counting:
    """A backbone that counts its passes, and breaks off after `stop` of them."""

    backbone: Backbone
    passes: int = 0
    stop: float = field(default=float("inf"))

    @property
    def spec(self) -> BackboneSpec:
        return self.backbone.spec

    @property
    def batch(self) -> int:
        return 1

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
        configs=(CropConfig(size_px=counting.spec.image_px), WIDE),
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
    return (
        np.array_equal(one.features, other.features)
        and np.array_equal(one.sizes_px, other.sizes_px)
        and one.hashes == other.hashes
    )


# --- what is seen -------------------------------------------------------------------------------


def test_the_first_view_is_what_inspection_sees(
    extractor: FeatureExtractor, samples: list[Sample], tiny_detector: Detector
) -> None:
    found = extractor.extract(samples, Serial())
    assert found.samples == tuple(samples)
    assert found.features.shape == (5, 3, 2, 64)
    for number, one in enumerate(samples):
        image = Image.open(one.path)
        for at, config in enumerate(extractor.configs):
            area = crop_box(extractor.finder.find(image)[0].box, config, 60, 64)
            crop = extract_crop(image, area, config)
            (tokens,) = tiny_detector.backbone.tokens(crop[None])
            # One pass holds all views: a batch may move the last bits.
            wanted = pytest.approx(pool(tokens, ("mean",)), abs=1e-5)
            assert found.features[number, 0, at] == wanted


def test_every_view_of_every_crop_has_its_features_and_the_size_of_its_face(
    extractor: FeatureExtractor, samples: list[Sample], tiny_detector: Detector
) -> None:
    found = extractor.extract(samples, Serial())
    with Image.open(samples[0].path) as image:
        box = extractor.finder.find(image)[0].box
    assert found.sizes_px.shape == (5, 3)
    for number, one in enumerate(samples):
        file = open_source(one.path)
        for view in range(3):
            assert found.sizes_px[number, view] == face_px(box, file.sha256, view)
            crops = views(file.photo.image, box, extractor.configs, file.sha256, view)
            for at, tokens in enumerate(tiny_detector.backbone.tokens(crops)):
                wanted = pytest.approx(pool(tokens, ("mean",)), abs=1e-5)
                assert found.features[number, view, at] == wanted


def test_many_at_a_time_give_what_one_at_a_time_gives(
    extractor: FeatureExtractor, samples: list[Sample]
) -> None:
    one = extractor.extract(samples, Serial())
    many = replace(extractor, cache=extractor.cache / "other").extract(samples, Threads(3))
    assert same(one, many)


def test_the_same_bytes_have_the_same_features_whatever_they_are_called_and_labelled(
    extractor: FeatureExtractor, samples: list[Sample], tmp_path: Path
) -> None:
    (tmp_path / "fake").mkdir()
    copy = tmp_path / "fake" / "copy.png"
    copyfile(samples[0].path, copy)
    real, ai = sample(samples[0].path, "real"), sample(copy, "ai")
    both = extractor.extract([real, ai], Serial())
    assert np.array_equal(both.features[0], both.features[1])
    assert both.hashes[0] == both.hashes[1]
    turned = replace(extractor, cache=tmp_path / "turned").extract(
        [replace(ai, label="real"), replace(real, label="ai")], Serial()
    )
    assert np.array_equal(turned.features, both.features)


def test_a_model_of_whole_frames_finds_no_faces(
    extractor: FeatureExtractor, samples: list[Sample], fake_finder: Callable[..., Finder]
) -> None:
    blind = replace(
        extractor,
        finder=fake_finder(),
        configs=(replace(extractor.configs[0], whole=True),),
    )
    assert len(blind.extract(samples, Serial()).samples) == 5


def test_pictures_that_nearly_coincide_have_close_hashes(
    extractor: FeatureExtractor, samples: list[Sample], tmp_path: Path
) -> None:
    again = tmp_path / "again.jpg"
    with Image.open(samples[0].path) as image:
        image.resize((120, 128)).save(again, quality=80)
    found = extractor.extract([*samples, sample(again)], Serial())
    assert near_duplicates(found.hashes, distance=3) == [(0, 5)]


# --- what is left out ---------------------------------------------------------------------------


def test_what_cannot_be_used_is_named_and_costs_no_other_picture(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample], tmp_path: Path
) -> None:
    broken, empty, absent = (sample(tmp_path / f"{name}.png") for name in ("broken", "no", "gone"))
    broken.path.write_bytes(samples[0].path.read_bytes()[:300])
    empty.path.touch()
    found = extractor.extract([broken, *samples, empty, absent], Threads(2))
    assert found.samples == tuple(samples)
    assert [one for one, _ in found.unreadable] == [broken, empty, absent]
    for (_, why), says in zip(
        found.unreadable, ("is missing or wrong", "zero bytes", "no such file"), strict=True
    ):
        assert says in why
    assert counting.passes == 5 * EACH
    # Broken pictures are not remembered: somebody may mend them.
    copyfile(samples[0].path, broken.path)
    assert extractor.extract([broken], Serial()).samples == (broken,)


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

        def find(self, image: Image.Image) -> Any:
            self.asked += 1
            return fake_finder().find(image)

    finder = Once()
    blind = replace(extractor, finder=finder)
    for _ in range(2):
        found = blind.extract(samples, Serial())
        assert found.faceless == tuple(samples)
        assert (found.samples, found.hashes, found.unreadable) == ((), (), ())
        assert found.features.shape == (0, 3, 2, 0)
        assert found.sizes_px.shape == (0, 3)
    assert (counting.passes, finder.asked) == (0, 5)


def test_a_face_that_is_too_small_to_judge_is_named_and_not_learnt_from(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample]
) -> None:
    all_of_them = extractor.extract(samples, Serial())
    strict = replace(extractor, min_face_px=40.5)  # FACE is of 40 px
    for found in (strict.extract(samples, Serial()), strict.extract(samples, Serial())):
        assert found.too_small == tuple(samples)
        assert (found.samples, found.faceless, found.unreadable) == ((), (), ())
        assert found.features.shape == (0, 3, 2, 0)
        assert found.sizes_px.shape == (0, 3)
    assert counting.passes == 5 * EACH
    assert strict.fingerprint == extractor.fingerprint
    assert all_of_them.too_small == ()
    assert same(extractor.extract(samples, Serial()), all_of_them)


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
    found = sized.extract([samples[0], sample(path), *samples[1:]], Serial())
    assert found.too_small == (sample(path),)
    assert found.samples == tuple(samples)
    alone = replace(sized, cache=tmp_path / "other").extract(samples, Serial())
    assert same(found, alone)


# --- every row is kept --------------------------------------------------------------------------


def test_a_second_run_asks_the_backbone_nothing(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample]
) -> None:
    first = extractor.extract(samples, Serial())
    assert counting.passes == 5 * EACH
    counting.stop = 0
    assert same(extractor.extract(samples, Serial()), first)
    backwards = extractor.extract(samples[::-1], Threads(2))
    assert np.array_equal(backwards.features, first.features[::-1])


def test_an_interrupted_run_goes_on_where_it_was(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample], tmp_path: Path
) -> None:
    counting.stop = 3 * EACH
    with pytest.raises(KeyboardInterrupt):
        extractor.extract(samples, Serial())
    assert counting.passes == 3 * EACH
    counting.stop = float("inf")
    found = extractor.extract(samples, Serial())
    assert counting.passes == 5 * EACH
    assert same(found, replace(extractor, cache=tmp_path / "fresh").extract(samples, Serial()))


def test_a_renamed_picture_costs_nothing(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample], tmp_path: Path
) -> None:
    first = extractor.extract(samples, Serial())
    moved = [sample(one.path.rename(tmp_path / f"new-{one.path.name}"), "ai") for one in samples]
    found = extractor.extract(moved, Serial())
    assert counting.passes == 5 * EACH
    assert same(found, first)
    assert found.samples == tuple(moved)


def test_a_changed_picture_is_extracted_again(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample], painter: Painter
) -> None:
    first = extractor.extract(samples, Serial())
    Image.fromarray(painter(64, 60, FACE, seed=99)).save(samples[0].path)
    second = extractor.extract(samples, Serial())
    assert counting.passes == 6 * EACH
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

    extractor.extract(samples, Serial(), track)
    assert told == [("Extracting features", number, 5) for number in range(1, 6)]


# --- another way of extracting is another cache----------------------------------------------------


def cropped(one: FeatureExtractor, **changes: Any) -> FeatureExtractor:
    return replace(one, configs=(replace(one.configs[0], **changes), *one.configs[1:]))


OTHER: dict[str, Callable[[FeatureExtractor], FeatureExtractor]] = {
    "graph": lambda one: replace(one, backbone_hash="1" * 64),
    "margin": lambda one: cropped(one, margin=1.5),
    "smallest crop": lambda one: cropped(one, least_px=50),
    "whole": lambda one: cropped(one, whole=True),
    "shrunk first": lambda one: cropped(one, through_px=16),
    "one crop": lambda one: replace(one, configs=one.configs[:1]),
    "order of crops": lambda one: replace(one, configs=one.configs[::-1]),
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

    @property
    def batch(self) -> int:
        return 1

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        raise AssertionError


class Blind:
    name = "another"

    def find(self, image: Image.Image) -> Any:
        raise AssertionError


def test_another_way_of_extracting_has_another_name(extractor: FeatureExtractor) -> None:
    names = [extractor.fingerprint, *(change(extractor).fingerprint for change in OTHER.values())]
    assert len(set(names)) == len(names)
    assert replace(extractor, cache=Path("elsewhere")).fingerprint == extractor.fingerprint
    assert all(len(name) == 12 for name in names)


def test_two_ways_of_extracting_share_a_folder_and_nothing_else(
    extractor: FeatureExtractor, counting: Counting, samples: list[Sample]
) -> None:
    first = extractor.extract(samples, Serial())
    wider = cropped(extractor, margin=1.4)
    other = wider.extract(samples, Serial())
    # In a few views both crops are the whole picture, which is looked at once.
    assert 9 * EACH < counting.passes <= 10 * EACH
    assert not np.array_equal(first.features, other.features)
    files = sorted(path.name for path in extractor.cache.glob("features-*.sqlite"))
    assert files == sorted(f"features-{one.fingerprint}.sqlite" for one in (extractor, wider))
    for file in files:
        store = sqlite3.connect(extractor.cache / file)
        assert store.execute("SELECT count(*) FROM rows").fetchone() == (5,)
        store.close()
