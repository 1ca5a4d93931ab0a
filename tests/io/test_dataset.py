from pathlib import Path

from tests.io.conftest import Plant, refused
from veridical.errors import ClassNamesUnclear, DataError, OneClassOnly
from veridical.io.dataset import read_samples
from veridical.io.walk import Skipped


def test_a_picture_says_where_it_comes_from(plant: Plant) -> None:
    data = plant("real/ffhq/x.jpg", "ai/sdxl/deep/y.png", "ai/z.webp", "real/w.jpg")
    rows = {
        sample.path.name: (sample.label, sample.source, sample.generator, sample.group)
        for sample in read_samples(data)
    }
    assert rows == {
        "x.jpg": ("real", "ffhq", "", "real/ffhq/x"),
        "y.png": ("ai", "sdxl", "sdxl", "ai/sdxl/deep/y"),
        "z.webp": ("ai", "ai", "", "ai/z"),
        "w.jpg": ("real", "real", "", "real/w"),
    }


def test_several_folders_may_be_one_class(plant: Plant) -> None:
    data = plant("0_real/1.jpg", "1_fake/2.jpg", "sdxl_fake/3.jpg", "docs/readme.txt", "loose.jpg")
    labels = {sample.path.name: sample.label for sample in read_samples(data)}
    assert labels == {"1.jpg": "real", "2.jpg": "ai", "3.jpg": "ai"}


def test_the_alphabet_decides_nothing(plant: Plant) -> None:
    one, other = (
        plant("a/ai/1.jpg", "a/real/2.jpg") / "a",
        plant("b/0_real/2.jpg", "b/1_fake/1.jpg"),
    )
    for data in (one, other / "b"):
        labels = {sample.path.name: sample.label for sample in read_samples(data)}
        assert labels == {"1.jpg": "ai", "2.jpg": "real"}


def test_unclear_folders_are_named_and_the_options_spelt_out(plant: Plant) -> None:
    message = refused(ClassNamesUnclear, plant("0/1.jpg", "1/2.jpg"))
    assert "'0', '1'" in message
    assert "--real NAME --ai NAME" in message
    message = refused(ClassNamesUnclear, plant("0/1.jpg", "Real Ones/2.jpg"))
    assert "--real 'Real Ones' --ai NAME" in message


def test_one_unclear_folder_among_clear_ones_is_still_an_error(plant: Plant) -> None:
    data = plant("real/1.jpg", "fake/2.jpg", "hard/3.jpg")
    assert "AI-generated: 'hard'" in refused(ClassNamesUnclear, data)
    assert len(read_samples(data, real="real", ai="fake")) == 2


def test_what_the_user_says_wins_over_what_the_names_say(plant: Plant) -> None:
    data = plant("real/1.jpg", "fake/2.jpg", "0/3.jpg")
    labels = {
        sample.path.name: sample.label for sample in read_samples(data, real="fake", ai="real")
    }
    assert labels == {"1.jpg": "ai", "2.jpg": "real"}
    labels = {sample.path.name: sample.label for sample in read_samples(data, ai="0")}
    assert labels == {"1.jpg": "real", "2.jpg": "ai", "3.jpg": "ai"}


def test_a_named_folder_that_does_not_exist_is_an_error(plant: Plant) -> None:
    data = plant("real/1.jpg", "fake/2.jpg")
    message = refused(ClassNamesUnclear, data, real="Real", ai="fake")
    assert "'Real' was named as the real class" in message
    assert "'fake', 'real'" in message
    assert "'real' was named as both classes" in refused(
        ClassNamesUnclear, data, real="real", ai="real"
    )


def test_splits_above_the_classes_must_be_chosen(plant: Plant) -> None:
    data = plant(
        *(f"{part}/{label}/1.jpg" for part in ("train", "val") for label in ("ai", "real"))
    )
    message = refused(DataError, data)
    assert "'train', 'val'" in message
    assert "--split train" in message
    assert {sample.path.parts[-3] for sample in read_samples(data, split="val")} == {"val"}
    assert "'train', 'val'" in refused(DataError, data, split="test")
    assert "--split train" in refused(DataError, data, real="real", ai="ai")


def test_a_generators_folder_that_holds_real_pictures_too_is_not_taken_for_ai(plant: Plant) -> None:
    data = plant("ai_midjourney/ai/1.jpg", "ai_midjourney/nature/2.jpg", "real/3.jpg")
    assert "--split ai_midjourney" in refused(DataError, data)


def test_a_split_of_a_plain_folder_is_an_error_that_names_what_is_there(plant: Plant) -> None:
    data = plant("real/1.jpg", "fake/2.jpg")
    assert "'fake', 'real'" in refused(DataError, data, split="train")


def test_what_is_no_data_set_is_said_to_be_none(plant: Plant) -> None:
    data = plant("a.jpg", "a.txt")
    assert "nothing is there" in refused(DataError, data / "b")
    assert "one picture" in refused(DataError, data / "a.jpg")
    assert "a file" in refused(DataError, data / "a.txt")
    assert "no sub-folders" in refused(DataError, data)


def test_one_class_alone_is_an_error_with_counts(plant: Plant) -> None:
    data = plant("real/1.jpg", "real/2.jpg")
    (data / "fake").mkdir()
    assert "2 real and 0 AI-generated" in refused(OneClassOnly, data)


def test_what_a_data_set_leaves_aside_is_told(plant: Plant) -> None:
    data = plant("real/1.jpg", "real/n.txt", "ai/2", "ai/3.001", "docs/x.pdf", "loose.jpg", ".h")
    for name in ("ai/2", "ai/3.001"):
        (data / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    (data / "docs" / "x.pdf").write_bytes(b"%PDF-1.7")
    told: list[Skipped] = []
    groups = {one.path.name: one.group for one in read_samples(data, skip=told.append)}
    assert groups == {"1.jpg": "real/1", "2": "ai/2", "3.001": "ai/3.001"}
    assert {Path(one.path).name: one.why for one in told} == {
        "n.txt": "empty",
        "x.pdf": "no picture",
        "loose.jpg": "no class",
        ".h": "hidden",
    }
