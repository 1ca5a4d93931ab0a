import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veridical.errors import (
    ClassNamesUnclear,
    DataError,
    ManifestError,
    OneClassOnly,
    VeridicalError,
)
from veridical.io.dataset import parse_label, photos, read_samples
from veridical.io.samples import Sample
from veridical.report import Failure

Plant = Callable[..., Path]


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Empty files with the given names below a fresh folder."""

    def plant(*names: str) -> Path:
        data = tmp_path / "data"
        for name in names:
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).touch()
        return data

    return plant


@pytest.fixture
def manifest(plant: Plant) -> Callable[[str], Path]:
    """A manifest beside the pictures 1.jpg to 4.jpg."""

    def manifest(text: str, encoding: str = "utf-8") -> Path:
        path = plant("1.jpg", "2.jpg", "3.jpg", "4.jpg") / "list.csv"
        path.write_text(text, encoding=encoding)
        return path

    return manifest


def walk(*paths: Path) -> list[Path]:
    """What `photos` yields where nothing fails."""
    return [path for path in photos(paths) if isinstance(path, Path) or pytest.fail(path.error)]


def below(data: Path, found: list[Path]) -> list[str]:
    return [path.relative_to(data).as_posix() for path in found]


def refused(kind: type[VeridicalError], data: Path, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        read_samples(data, **options)
    assert type(caught.value) is kind
    return str(caught.value)


# --- walking ---------------------------------------------------------------------------------


def test_a_walk_finds_every_picture_suffix_in_the_order_of_names(plant: Plant) -> None:
    names = ["B.JPG", "a.heic", "b/1.avif", "b/2.tif", "c.jfif", "d.png"]
    data = plant(*reversed(names), "notes.txt", "b/model.onnx", "jpg")
    assert below(data, walk(data)) == names


def test_hidden_files_and_archives_left_by_a_mac_are_passed_over(plant: Plant) -> None:
    data = plant("a.jpg", ".b.jpg", "._c.jpg", ".cache/d.jpg", "__MACOSX/e.jpg")
    assert below(data, walk(data)) == ["a.jpg"]


def test_files_are_yielded_as_given_even_without_a_suffix_or_missing(plant: Plant) -> None:
    data = plant("photo", "z.jpg")
    given = [data / "z.jpg", data / "photo", data / "absent.jpg", data / "z.jpg"]
    assert walk(*given) == given


def test_a_loop_of_links_ends_and_broken_links_are_passed_over(plant: Plant) -> None:
    data = plant("a/1.jpg", "b/2.jpg")
    (data / "a" / "up").symlink_to(data)
    (data / "again").symlink_to(data / "b")
    (data / "self.jpg").symlink_to(data / "self.jpg")
    (data / "gone.jpg").symlink_to(data / "nowhere.jpg")
    (data / "c.jpg").symlink_to(data / "b" / "2.jpg")
    assert below(data, walk(data)) == ["a/1.jpg", "again/2.jpg", "c.jpg"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_that_is_named_like_a_picture_is_not_one(plant: Plant) -> None:
    data = plant("a.jpg")
    os.mkfifo(data / "b.jpg")
    assert below(data, walk(data)) == ["a.jpg"]


def test_a_folder_that_cannot_be_opened_is_yielded_so_that_the_failure_has_a_name(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = plant("a.jpg", "locked/b.jpg", "real/locked/c.jpg", "ai/d.jpg")
    scandir = os.scandir

    def guarded(path: Path) -> object:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = below(data, walk(data))
    assert found == ["a.jpg", "ai/d.jpg", "locked", "real/locked"]
    assert "locked cannot be opened" in refused(DataError, data, real="real", ai="ai")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not allow such long paths")
def test_a_walk_goes_deeper_than_pythons_own_stack(tmp_path: Path) -> None:
    deep = [tmp_path / "/".join("d" * n) for n in range(1, sys.getrecursionlimit() + 100)]
    for folder in deep:
        folder.mkdir()
    (deep[-1] / "x.jpg").touch()
    try:
        assert [path.name for path in walk(tmp_path)] == ["x.jpg"]
    finally:  # pytest's own cleaning would run out of stack
        (deep[-1] / "x.jpg").unlink()
        for folder in reversed(deep):
            folder.rmdir()


def test_a_folder_without_pictures_is_a_failure_in_its_place(plant: Plant) -> None:
    data = plant("a/1.jpg", "empty/notes.txt", "z/2.jpg")
    (data / "bare" / "barer").mkdir(parents=True)
    first, bare, empty, last = photos(data / name for name in ("a", "bare", "empty", "z"))
    assert (first, last) == (data / "a" / "1.jpg", data / "z" / "2.jpg")
    for failure, name in ((bare, "bare"), (empty, "empty")):
        assert isinstance(failure, Failure)
        assert failure.path == str(data / name)
        assert failure.error == f"{data / name}: is a folder that holds no pictures."
        assert ".jpg" in failure.hint
    assert below(data, walk(data)) == ["a/1.jpg", "z/2.jpg"]  # who named them asked for them


# --- what a class name says ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("real", "ai"),
    [
        ("real", "ai"),
        ("real", "fake"),
        ("Real Images", "AI-Generated Images"),
        ("0_real", "1_fake"),
        ("1_real", "0_fake"),
        ("REAL", "FAKE"),
        ("training_real", "training_fake"),
        ("reals", "fakes"),
        ("genuine", "synthetic"),
        ("authentic", "deepfake"),
        ("photos", "generated"),
        ("photo", "ai photo"),
        ("photo(s)", "synthetic_photos"),
        ("nature", "ai"),
        ("human", "AI"),
        ("original", "DeepFakes"),
        ("not_ai", "ai"),
        ("non-generated", "generated"),
        ("Non AI Generated", "AI Generated"),
        ("NotAI", "AIGenerated"),
        ("no_fake", "no_real"),
        ("not a fake", "not a real photo"),
        ("real_not_fake", "fake-not-real"),
        ("nonAI", "notReal"),
        ("without.ai", "GenAI"),
        ("realFaces", "FakeFaces"),
        ("RealImages2", "fake10k"),
        ("ffhq_real", "sdxl_fake"),
        ("real_photos", "generated_portraits"),
        ("bonafide", "artificial"),
        ("not_a_fake_human", "non_human_ai"),
    ],
)
def test_class_names_are_read_by_meaning(real: str, ai: str) -> None:
    assert (parse_label(real), parse_label(ai)) == ("real", "ai")


@pytest.mark.parametrize(
    "name",
    [
        *("0", "1", "class_a", "a", "b", "", "images", "faces", "hard", "train", "true", "false"),
        *("real_vs_fake", "RealVsFake", "ai or not", "real-or-ai", "real ai", "realfake", "mixed"),
        *("unreal", "un-real", "hyper-real", "HyperReal", "photorealistic", "photo-real", "realm"),
        *("RealVisXL", "Real-ESRGAN", "Midjourney", "stylegan2", "cgi", "computer generated"),
        *("not", "not_not_ai", "no_1_real", "not_photos", "fake no", "maybe fake", "real no"),
        *("human_generated", "aint", "air", "main", "surreal", "realistic", "настоящие", "真实"),
    ],
)
def test_a_name_that_does_not_say_plainly_says_nothing(name: str) -> None:
    assert parse_label(name) is None


@given(st.text(max_size=30))
def test_any_name_at_all_has_a_meaning_or_none(name: str) -> None:
    assert parse_label(name) in ("real", "ai", None)


@given(st.sampled_from(["real", "ai", "fake", "photos"]), st.sampled_from([" ", "_", "-", ".", ""]))
def test_neither_case_nor_numbers_change_the_meaning(word: str, separator: str) -> None:
    for name in (
        f"0{separator}{word}",
        f"1{separator}{word.upper()}",
        f"{word.title()}{separator}9",
    ):
        assert parse_label(name) == parse_label(word)


# --- labelled folders ------------------------------------------------------------------------


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
    assert "--real names 'Real'" in message
    assert "'fake', 'real'" in message
    assert "both name 'real'" in refused(ClassNamesUnclear, data, real="real", ai="real")


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


# --- manifests -------------------------------------------------------------------------------


def test_a_manifest_says_everything(manifest: Callable[..., Path]) -> None:
    path = manifest(
        "Path, label,source,generator,group,kind,split\n"
        "1.jpg,Real,lfw,camera,anna,portrait,train\n\n"
        '2.jpg,1_fake,web,"SDXL, turbo",,x,train\n'
        "3.jpg,hard,web,,,x,hard\n",
        "utf-8-sig",
    )
    first, second = read_samples(path, split="train")
    assert first == Sample(
        path=path.parent / "1.jpg", label="real", source="lfw", generator="", group="anna"
    )
    assert (second.label, second.generator, second.group) == ("ai", "SDXL, turbo", "2.jpg")
    message = refused(ClassNamesUnclear, path)
    assert "'hard' (1 rows)" in message
    assert "--real Real --ai 1_fake" in message


def test_two_columns_are_enough(manifest: Callable[..., Path]) -> None:
    samples = read_samples(manifest("label,path\nreal,1.jpg\nai,../data/2.jpg\n"))
    assert [sample.source for sample in samples] == ["data", "data"]
    assert len({sample.group for sample in samples}) == 2


def test_bare_numbers_as_labels_must_be_explained(manifest: Callable[..., Path]) -> None:
    path = manifest("path,label\n1.jpg,0\n2.jpg,1\n3.jpg,2\n")
    assert "--real NAME --ai NAME" in refused(ClassNamesUnclear, path)
    labels = [sample.label for sample in read_samples(path, real="1", ai="0")]
    assert labels == ["ai", "real"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "columns are none"),
        ("path,label\n", "no rows"),
        ("path;label\n1.jpg;real\n", "'path;label'"),
        ("file,label\n1.jpg,real\n", "'file', 'label'"),
        ("path,label,label\n1.jpg,real,ai\n", "each once"),
        ("path,label\n\na,b.jpg,real\n2.jpg,ai\n", "lines 3"),
        ("path,label\n,real\n2.jpg,ai\n", "1 rows have no path"),
        ("path,label\n1.jpg,real\n./1.jpg,ai\n", "1 pictures have two labels: 1.jpg"),
        ("path,label,split\n1.jpg,real,a\nx/../1.jpg,real,b\n", "listed twice: 1.jpg"),
        (
            "path,label\n1.jpg,real\n" + "".join(f"no{n}.jpg,ai\n" for n in range(5)),
            "5 of 6 pictures are not there",
        ),
        ("path,label\n1.jpg,real\n\0,ai\n", "1 of 2 pictures are not there"),
        (f'path,label\n"{"x" * 200_000}",real\n', "not a CSV"),
    ],
)
def test_a_manifest_that_does_not_say_what_it_must_is_refused(
    manifest: Callable[..., Path], text: str, says: str
) -> None:
    assert says in refused(ManifestError, manifest(text))


def test_a_manifest_in_another_encoding_is_refused(manifest: Callable[..., Path]) -> None:
    path = manifest("path,label\n1.jpg,real\nä.jpg,ai\n", "latin-1")
    assert "UTF-8" in refused(ManifestError, path)


def test_a_split_that_names_nothing_lists_what_there_is(manifest: Callable[..., Path]) -> None:
    path = manifest("path,label,split\n1.jpg,real,fit\n2.jpg,ai,fit\n3.jpg,ai,held\n")
    message = refused(ManifestError, path, split="test")
    assert "'fit' (2 rows), 'held' (1 rows)" in message
    assert refused(OneClassOnly, path, split="held")


def test_a_missing_picture_outside_the_split_is_no_error(manifest: Callable[..., Path]) -> None:
    path = manifest("path,label,split\n1.jpg,real,fit\n2.jpg,ai,fit\nabsent.jpg,ai,held\n")
    assert len(read_samples(path, split="fit")) == 2
