import json
import os
import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import save

from veridical.arrays import ndarray
from veridical.errors import ModelDamaged, ModelError, ModelMissing
from veridical.io.model import (
    BACKBONE,
    CARD,
    EXPLAINER,
    SCHEMA,
    TENSORS,
    read_model,
    write_model,
)

TYPES = [np.float32, np.float64, np.float16, np.uint8, np.int64, np.bool_]
FILES = [CARD, TENSORS, BACKBONE]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A complete folder; what the graph holds is no matter to the folder."""
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"the network" * 100)
    tensors: dict[str, ndarray] = {
        "head.mean": np.arange(6, dtype=np.float32),
        "steps": np.eye(3),
    }
    write_model(tmp_path / "model", {"trained_on": "Gesichter", "auroc": 0.9}, tensors, graph)
    return tmp_path / "model"


def rewrite_card(model: Path, **changes: Any) -> None:
    card = json.loads((model / CARD).read_text(encoding="utf-8"))
    (model / CARD).write_text(json.dumps(card | changes), encoding="utf-8")


def rehash(model: Path) -> None:
    """Make the card believe the files, as an attacker would."""
    hashes = {name: sha256((model / name).read_bytes()).hexdigest() for name in FILES[1:]}
    rewrite_card(model, files=hashes)


def refusal(model: Path, kind: type[ModelError]) -> str:
    with pytest.raises(kind) as caught:
        read_model(model)
    assert caught.value.hint.endswith(".")
    assert str(model) in caught.value.message
    return caught.value.message


# --- what is written is read -------------------------------------------------------------------


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8),
        st.sampled_from(TYPES).flatmap(
            lambda kind: arrays(kind, array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4))
        ),
        max_size=4,
    ).filter(lambda tensors: "__metadata__" not in tensors),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
)
@settings(max_examples=40)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, ndarray], extra: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("model")
    (path / BACKBONE).write_bytes(b"graph")
    card = {"extra": extra}
    written = write_model(path, card, tensors, path / BACKBONE)
    back = read_model(path)
    assert back.card["extra"] == extra
    assert back.identity == written.identity
    assert back.tensors.keys() == tensors.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(back.tensors[name], value, strict=True)


def test_views_are_written_as_what_they_show(model: Path) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    shown = {"columns": whole[:, ::2], "turned": whole.T, "row": np.broadcast_to(whole[0], (3, 6))}
    back = write_model(model, {}, shown, model / BACKBONE).tensors
    for name, value in shown.items():
        np.testing.assert_array_equal(back[name], value)


def test_the_folder_is_as_described(model: Path) -> None:
    assert sorted(path.name for path in model.iterdir()) == sorted(FILES)
    found = read_model(model)
    assert found.backbone == model / BACKBONE
    assert found.card["schema"] == SCHEMA
    assert found.card["trained_on"] == "Gesichter"
    lasting = {key: value for key, value in found.card.items() if key != "measured"}
    text = json.dumps(lasting, sort_keys=True)
    assert found.identity == sha256(text.encode()).hexdigest()
    for name, digest in found.card["files"].items():
        assert digest == sha256((model / name).read_bytes()).hexdigest()


def test_the_same_parts_have_the_same_name_and_others_another(
    model: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    def identity(graph: bytes, value: float) -> str:
        path = tmp_path_factory.mktemp("model")
        (path / BACKBONE).write_bytes(graph)
        return write_model(path, {}, {"x": np.array([value])}, path / BACKBONE).identity

    assert identity(b"a", 1.0) == identity(b"a", 1.0)
    assert len({identity(b"a", 1.0), identity(b"b", 1.0), identity(b"a", 2.0)}) == 3


# --- what is missing or damaged is named -------------------------------------------------------


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    refusal(tmp_path / "nowhere", ModelMissing)


def test_a_file_in_the_place_of_a_folder_is_no_model(model: Path) -> None:
    refusal(model / CARD, ModelMissing)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(model: Path, name: str) -> None:
    (model / name).unlink()
    assert name in refusal(model, ModelMissing)


@pytest.mark.parametrize("name", [TENSORS, BACKBONE])
@pytest.mark.parametrize("where", [0, 50, -1])
def test_a_changed_byte_is_found(model: Path, name: str, where: int) -> None:
    content = bytearray((model / name).read_bytes())
    content[where] ^= 1
    (model / name).write_bytes(content)
    assert f"{model / name} has SHA-256 {sha256(content).hexdigest()[:12]}" in refusal(
        model, ModelDamaged
    )


@pytest.mark.parametrize("name", [TENSORS, BACKBONE])
def test_files_of_another_model_are_found(model: Path, name: str) -> None:
    (model / name).write_bytes(b"of another model")
    assert "not the file the card describes" in refusal(model, ModelDamaged)


def test_a_changed_card_is_another_model(model: Path) -> None:
    before = read_model(model).identity
    rewrite_card(model, trained_on="Masken")
    assert read_model(model).identity != before


def test_measuring_a_model_does_not_make_it_another_one(model: Path) -> None:
    before = read_model(model).identity
    rewrite_card(model, measured={"auroc": 0.5})
    after = read_model(model)
    assert after.card["measured"] == {"auroc": 0.5}
    assert after.identity == before


def test_laying_a_card_out_anew_does_not_make_it_another_model(model: Path) -> None:
    before = read_model(model).identity
    card = json.loads((model / CARD).read_text(encoding="utf-8"))
    (model / CARD).write_text(json.dumps(dict(reversed(card.items()))), encoding="utf-8")
    assert read_model(model).identity == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b'{"schema": "veridical.model/3"',
        b"\xff\xfe{}",
        b"[]",
        b"null",
        b'"schema"',
        b"3",
        b"{}",
        b'{"schema": "veridical.model/3"}',
    ],
)
def test_a_card_that_is_none_is_refused(model: Path, content: bytes) -> None:
    (model / CARD).write_bytes(content)
    assert "is not a model card" in refusal(model, ModelDamaged)


@pytest.mark.parametrize("schema", ["veridical.model/2", "model/3", "", None, 3, [SCHEMA]])
def test_a_schema_of_another_version_is_refused(model: Path, schema: object) -> None:
    rewrite_card(model, schema=schema)
    assert f"schema {schema!r}" in refusal(model, ModelDamaged)


@pytest.mark.parametrize("files", [{}, {TENSORS: None}, {TENSORS: 3}])
def test_a_card_that_vouches_for_nothing_is_refused(model: Path, files: object) -> None:
    rewrite_card(model, files=files)
    assert "not the file the card describes" in refusal(model, ModelDamaged)


@pytest.mark.parametrize("files", [None, [], "none", 3])
def test_a_card_with_nonsense_for_its_files_is_refused(model: Path, files: object) -> None:
    rewrite_card(model, files=files)
    refusal(model, ModelDamaged)


def test_a_card_nested_too_deep_is_refused(model: Path) -> None:
    (model / CARD).write_bytes(b"[" * 100_000)
    refusal(model, ModelDamaged)


def truncated(packed: bytes) -> bytes:
    return packed[:-3]


def header_only(packed: bytes) -> bytes:
    return packed[: 8 + int.from_bytes(packed[:8], "little")]


def endless_header(packed: bytes) -> bytes:
    return (2**62).to_bytes(8, "little") + packed[8:]


def of_unknown_types(packed: bytes) -> bytes:
    return packed.replace(b'"F32"', b'"I32"').replace(b'"F64"', b'"XXX"')


def empty(_packed: bytes) -> bytes:
    return b""


def pickled(_packed: bytes) -> bytes:
    return b"\x80\x04cos\nsystem\n(Vtrue\ntR."


@pytest.mark.parametrize(
    "harm", [truncated, header_only, endless_header, of_unknown_types, empty, pickled]
)
def test_tensors_that_cannot_be_read_are_refused_even_if_the_card_vouches_for_them(
    model: Path, harm: Callable[[bytes], bytes]
) -> None:
    (model / TENSORS).write_bytes(harm((model / TENSORS).read_bytes()))
    rehash(model)
    assert f"{model / TENSORS} cannot be read" in refusal(model, ModelDamaged)


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3"])
def test_tensors_of_a_type_that_numpy_has_not_are_refused(model: Path, kind: str) -> None:
    size = 2 if kind == "BF16" else 1
    header = json.dumps({"x": {"dtype": kind, "shape": [1], "data_offsets": [0, size]}}).encode()
    (model / TENSORS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(size))
    rehash(model)
    refusal(model, ModelDamaged)


# --- how maps are read -------------------------------------------------------------------------


def with_explainer(model: Path) -> Path:
    folder = read_model(model)
    card = {key: value for key, value in folder.card.items() if key not in ("schema", "files")}
    card["explainer"] = {"pictures": 30}
    write_model(model, card, folder.tensors, folder.backbone, {"base": np.eye(2)})
    return model


def test_an_explainer_is_vouched_for_and_does_not_make_another_model(model: Path) -> None:
    before = read_model(model)
    assert before.explainer == {}
    after = read_model(with_explainer(model))
    assert after.explainer["base"].tolist() == [[1, 0], [0, 1]]
    assert after.card["explainer"]["pictures"] == 30
    assert after.identity == before.identity


def test_an_absent_explainer_is_missed(model: Path) -> None:
    (with_explainer(model) / EXPLAINER).unlink()
    assert EXPLAINER in refusal(model, ModelMissing)


def test_a_changed_explainer_is_found(model: Path) -> None:
    path = with_explainer(model) / EXPLAINER
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert f"{path} has SHA-256" in refusal(model, ModelDamaged)


@pytest.mark.parametrize("entry", [3, "none", [1], {"pictures": 3}])
def test_a_card_with_nonsense_for_its_explainer_is_refused(model: Path, entry: object) -> None:
    rewrite_card(model, explainer=entry)
    refusal(model, ModelDamaged)


@pytest.mark.parametrize("movable", [True, False])
def test_a_model_without_an_explainer_leaves_none_behind(
    model: Path, movable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_explainer(model)
    if not movable:
        monkeypatch.chdir(model)  # a folder that one is in cannot be renamed
    rewrite(model)
    assert read_model(model).explainer == {}
    assert not (model / EXPLAINER).exists()


# --- a write that is interrupted ---------------------------------------------------------------


def rewrite(model: Path) -> str:
    """Write another model over an old one, or where there is none, and return its name."""
    graph = model.parent / "other.onnx"
    graph.write_bytes(b"another network")
    return write_model(model, {}, {"x": np.ones(3)}, graph).identity


def inside(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_there_is_no_model_without_a_backbone(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"no backbone at .*backbone\.onnx"):
        write_model(tmp_path / "model", {}, {}, tmp_path / BACKBONE)
    assert list(tmp_path.iterdir()) == []


class PowerCut(BaseException):
    pass


CUTS = {
    "backbone": ("copyfile", 1),
    "tensors": ("write_bytes", 1),
    "card": ("write_text", 1),
    "old aside": ("rename", 1),
    "new in its place": ("rename", 2),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "halfway"])
@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "over an old model"])
def test_an_interrupted_write_leaves_the_old_model_or_none(
    model: Path, monkeypatch: pytest.MonkeyPatch, cut: str, after: bool, fresh: bool
) -> None:
    method, which = CUTS[cut]
    place = model.with_name("fresh") if fresh else model
    owner: Any = shutil if method == "copyfile" else Path
    original, calls = getattr(owner, method), 0

    def stop(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls != which:
            return original(*args, **options)
        if after:
            content = args[1][: len(args[1]) // 2] if method.startswith("write") else args[1]
            original(args[0], content, *args[2:], **options)
        raise PowerCut

    before = None if fresh else read_model(model).identity
    (model / "notes.txt").write_text("mine")
    finished = cut == "new in its place" and after
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, stop)
        with pytest.raises(PowerCut):
            rewrite(place)
    if finished:  # stopped between the last step and the cleaning up
        assert read_model(place).identity != before
    elif fresh:
        refusal(place, ModelMissing)
    else:
        assert read_model(place).identity == before
        assert (place / "notes.txt").read_text() == "mine"
    assert rewrite(place) == read_model(place).identity
    assert inside(place) == sorted(FILES if fresh else [*FILES, "notes.txt"])
    assert [path.name for path in model.parent.iterdir() if path.name.startswith(".")] == []


def test_a_run_that_was_killed_between_two_renames_costs_nothing(model: Path) -> None:
    (model / "notes.txt").write_text("mine")
    model.rename(model.with_name(".model.veridical-old"))
    draft = model.with_name(".model.veridical-new")
    draft.mkdir()
    (draft / CARD).touch()
    identity = rewrite(model)
    assert read_model(model).identity == identity
    assert inside(model) == sorted([*FILES, "notes.txt"])
    assert inside(model.parent) == sorted(
        ["graph.onnx", "model", "other.onnx", *(f"model/{one}" for one in inside(model))]
    )


def test_what_else_lies_in_an_old_model_stays_there(model: Path) -> None:
    (model / "results").mkdir()
    (model / "results" / "evaluation.md").write_text("0.9")
    (model / ".hidden").write_text("too")
    (model / "gone").symlink_to(model / "nowhere")
    rewrite(model)
    assert inside(model) == sorted([*FILES, ".hidden", "gone", "results", "results/evaluation.md"])
    assert (model / "results" / "evaluation.md").read_text() == "0.9"
    assert (model / "gone").is_symlink()


def test_the_folder_that_a_link_leads_to_is_replaced_and_keeps_its_permissions(
    model: Path, tmp_path: Path
) -> None:
    model.chmod(0o750)
    link = tmp_path / "link"
    link.symlink_to(model)
    identity = rewrite(link)
    assert link.is_symlink()
    assert read_model(model).identity == identity
    assert model.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("why", ["where we are", "a mount", "a closed parent"])
def test_a_folder_that_cannot_be_renamed_is_written_all_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    (model / "notes.txt").write_text("mine")
    before = model.stat().st_ino
    with monkeypatch.context() as patch:
        if why == "where we are":
            patch.chdir(model)
        elif why == "a mount":
            patch.setattr(Path, "is_mount", lambda _path: True)
        else:
            patch.setattr(os, "access", lambda *_asked: False)
        identity = rewrite(model)
    assert read_model(model).identity == identity
    assert model.stat().st_ino == before
    assert inside(model) == sorted([*FILES, "notes.txt"])


def test_a_file_is_not_replaced_by_a_model(model: Path) -> None:
    path = model.with_name("a file")
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        rewrite(path)
    assert path.read_text() == "mine"


def test_safetensors_that_any_program_made_are_read(model: Path) -> None:
    (model / TENSORS).write_bytes(save({"x": np.ones(2)}, metadata={"made": "elsewhere"}))
    rehash(model)
    assert read_model(model).tensors["x"].tolist() == [1, 1]
