from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.io.conftest import Plant, refused
from veridical.errors import ClassNamesUnclear, DataError, ManifestError, OneClassOnly
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
    assert "'hard' (1 row)" in message
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
        ("path:label\n1.jpg:real\n", "'path:label'"),
        ("title;label\n1.jpg;real\n", "'title', 'label' (with semicolons between)"),
        ("file,image,label\n1.jpg,1.jpg,real\n", "each once"),
        ("path,label,label\n1.jpg,real,ai\n", "each once"),
        ("path,label\n\na,b.jpg,real\n2.jpg,ai\n", "lines 3"),
        ("path,label\n,real\n2.jpg,ai\n", "1 row has no path"),
        ("path,label\n1.jpg,real\n./1.jpg,ai\n", "1 picture has two labels: 1.jpg"),
        ("path,label,split\n1.jpg,real,a\nx/../1.jpg,real,b\n", "listed twice: 1.jpg"),
        (
            "path,label\n1.jpg,real\n" + "".join(f"no{n}.jpg,ai\n" for n in range(5)),
            "5 of 6 pictures are not there",
        ),
        ("path,label\n1.jpg,real\n\0,ai\n", "1 of 2 pictures are not there"),
        (f'path,label\n"{"x" * 200_000}",real\n', "a cell of it is longer"),
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
    assert "'fit' (2 rows), 'held' (1 row)" in message
    assert refused(OneClassOnly, path, split="held")


def test_a_missing_picture_outside_the_split_is_no_error(manifest: Callable[..., Path]) -> None:
    path = manifest("path,label,split\n1.jpg,real,fit\n2.jpg,ai,fit\nabsent.jpg,ai,held\n")
    assert len(read_samples(path, split="fit")) == 2


# --- as spreadsheets and other systems save it ---------------------------------------------------


def labels(path: Path, **options: Any) -> list[tuple[str, str]]:
    return [(sample.path.name, sample.label) for sample in read_samples(path, **options)]


TWO = [("1.jpg", "real"), ("2.jpg", "ai")]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("path;label\r\n1.jpg;real\r\n2.jpg;ai\r\n", "utf-8-sig"),
        ("path\tlabel\n1.jpg\treal\n2.jpg\tai\n", "utf-8"),
        ("path\tlabel\r\n1.jpg\treal\r\n2.jpg\tai\r\n", "utf-16"),
        ("path;label\n1.jpg;real\n2.jpg;ai\n", "utf-16-le"),
        ("path,label\n1.jpg,real\n2.jpg,ai\n", "utf-16-be"),
        ("sep=;\npath;label\n1.jpg;real\n2.jpg;ai\n", "utf-8"),
        ("path,label\r1.jpg,real\r2.jpg,ai\r", "utf-8"),
        (' "PATH" , "Label"\n"1.jpg", real\n2.jpg,AI \n'.replace(", ", ","), "utf-8"),
        ("File Name;LABEL;note\n1.jpg;real;a, b\n2.jpg;ai;;;\n;;\n", "utf-8"),
        ("image,class\n1.jpg,real\n2.jpg,ai\n", "utf-8"),
        ("label,filename,source\nreal,1.jpg\nai,2.jpg,web\n", "utf-8"),
        ("path,label\n.\\1.jpg,real\n..\\data\\2.jpg,ai\n", "utf-8"),
    ],
)
def test_tables_of_one_meaning_are_read_in_one_way(
    manifest: Callable[..., Path], text: str, encoding: str
) -> None:
    assert labels(manifest(text, encoding)) == TWO


def test_names_with_accents_are_found_in_any_encoding(manifest: Callable[..., Path]) -> None:
    for name in ("Jürgen.jpg", "Zoe\u0308.jpg"):
        (manifest("").parent / name).touch()
    for encoding in ("utf-8", "utf-16", "cp1252"):
        path = manifest("path;label\nJürgen.jpg;real\nZoë.jpg;fake\n", encoding)
        assert [label for _, label in labels(path)] == ["real", "ai"]


def test_labels_of_one_meaning_are_one_label(manifest: Callable[..., Path]) -> None:
    text = "path,label\n1.jpg,Human\n2.jpg, Fake\n3.jpg,FAKE \n4.jpg,fake\n"
    assert Counter(label for _, label in labels(manifest(text))) == {"ai": 3, "real": 1}
    named = labels(manifest(text.replace("Human", "x").replace("F", "Y")), real="X", ai="yake")
    assert named == [("1.jpg", "real"), ("2.jpg", "ai"), ("3.jpg", "ai")]
    again = manifest(text + "./2.jpg,ai\n")
    message = refused(ManifestError, again)
    assert "listed twice: 2.jpg (lines 3, 6)" in message
    assert "two labels" not in message


def test_paths_of_a_windows_disk_are_named_as_such(manifest: Callable[..., Path]) -> None:
    path = manifest("path,label\nC:\\sets\\data\\1.jpg,real\n2.jpg,ai\n")
    message = refused(ManifestError, path)
    assert "paths of a Windows disk" in message
    assert "such as 1.jpg, which is there" in message


def test_all_that_is_wrong_with_the_rows_is_said_at_once(manifest: Callable[..., Path]) -> None:
    path = manifest("path,label\n1.jpg,real\n,ai\n2.jpg,\nno.jpg,ai\n")
    message = refused(ManifestError, path)
    for part in ("no path (lines 3)", "no label (lines 4)", "not there", "no.jpg", "lines 5"):
        assert part in message
    path = manifest("path,label\n1.jpg,real\n1.jpg,ai\n2.jpg,ai\n2.jpg,ai\nno.jpg,ai\n")
    message = refused(ManifestError, path)
    for part in ("two labels: 1.jpg (lines 2, 3)", "twice: 2.jpg (lines 4, 5)", "no.jpg"):
        assert part in message


def test_what_is_no_text_and_what_is_a_workbook_are_named(manifest: Callable[..., Path]) -> None:
    path = manifest("")
    path.write_bytes("path,label\n".encode("utf-16") + b"x")
    assert "begins like UTF-16" in refused(ManifestError, path)
    path.write_bytes(b"path,label\n\x81\x8d.jpg,real\n")
    assert "nor Windows-1252" in refused(ManifestError, path)
    workbook = path.with_suffix(".xlsx")
    workbook.write_bytes(b"PK\3\4")
    assert "a workbook" in refused(DataError, workbook)
