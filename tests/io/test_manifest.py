from collections.abc import Callable
from pathlib import Path

import pytest

from tests.io.conftest import Plant, refused
from veridical.errors import ClassNamesUnclear, ManifestError, OneClassOnly
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample


@pytest.fixture
def manifest(plant: Plant) -> Callable[[str], Path]:
    """A manifest beside the pictures 1.jpg to 4.jpg."""

    def manifest(text: str, encoding: str = "utf-8") -> Path:
        path = plant("1.jpg", "2.jpg", "3.jpg", "4.jpg") / "list.csv"
        path.write_text(text, encoding=encoding)
        return path

    return manifest


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
