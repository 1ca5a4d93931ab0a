import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from veridical.arrays import ndarray
from veridical.errors import ModelMissing, NotAViT
from veridical.train import export as exporting
from veridical.train.export import PARITY, Export, TorchBackbone, export, parity
from veridical.vision.backbone import Backbone, OnnxBackbone

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

Vit = Callable[[str], Path]
KINDS = ("vit", "dinov2_registers", "clip", "mae", "siglip")
PREFIX = {"vit": 1, "dinov2_registers": 5, "clip": 1, "mae": 1, "siglip": 0}


@pytest.fixture(scope="module")
def crops(painter: Callable[..., ndarray]) -> ndarray:
    return np.stack([painter(32, 32, (4.0, 4.0, 24.0, 26.0), seed=seed) for seed in range(3)])


def hidden_states(kind: str, folder: Path, pixels: Any) -> list[ndarray]:
    """What the network says when it is run as its own authors would run it, in float64."""
    if kind == "mae":
        # With nothing masked and nothing shuffled, the autoencoder's encoder sees it all.
        vit = transformers.ViTMAEModel.from_pretrained(folder, mask_ratio=0.0)
        extra = {"noise": torch.arange(16.0, dtype=torch.float64).expand(len(pixels), -1)}
    else:
        loader = {
            "vit": transformers.ViTModel,
            "dinov2_registers": transformers.Dinov2WithRegistersModel,
            "clip": transformers.CLIPVisionModel,
            "siglip": transformers.SiglipVisionModel,
        }[kind]
        vit, extra = loader.from_pretrained(folder), {}
    with torch.no_grad():
        out = vit.eval().double()(pixel_values=pixels, output_hidden_states=True, **extra)
    return [*(state.numpy() for state in out.hidden_states), out.last_hidden_state.numpy()]


def joined(backbone: Backbone, crops: ndarray) -> ndarray:
    """(batch, layers, sequence, dim)."""
    seen = backbone.tokens(crops)
    return np.stack([np.concatenate([one.prefix, one.patches], axis=1) for one in seen])


# --- the network is asked, and answers truly ---------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_spec_is_read_off_the_network(kind: str, tiny_export: Callable[[str], Export]) -> None:
    spec = tiny_export(kind).spec
    assert (spec.image_px, spec.patch_px, spec.grid, spec.dim) == (32, 8, 4, 32)
    assert spec.prefix == PREFIX[kind]
    assert spec.has_cls == (kind != "siglip")
    assert (spec.layers, spec.final_norm, spec.precision) == ((1, 2), False, "fp32")
    assert spec.mean[0] == {"clip": 0.48145466, "siglip": 0.5}.get(kind, 0.485)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_says_what_the_network_says_in_the_layers_asked_for(
    kind: str, tiny_vit: Vit, tiny_export: Callable[[str], Export], crops: ndarray
) -> None:
    made = tiny_export(kind)
    assert made.parity <= PARITY
    assert made.agreement == 1
    pixels = torch.from_numpy(made.spec.scaled(crops)).double()
    expected = np.stack(hidden_states(kind, tiny_vit(kind), pixels)[1:3], axis=1)
    got = joined(OnnxBackbone(made.path, made.spec, threads=1), crops)
    assert got.shape == (3, 2, PREFIX[kind] + 16, 32)
    for layer in range(2):
        error = np.linalg.norm(got[:, layer] - expected[:, layer])
        assert error <= PARITY * np.linalg.norm(expected[:, layer])


@pytest.mark.parametrize("kind", KINDS)
def test_pytorch_behind_the_same_seam_says_it_too(kind: str, tiny_vit: Vit, crops: ndarray) -> None:
    backbone = TorchBackbone(str(tiny_vit(kind)), layers=(2,))
    assert isinstance(backbone, Backbone)
    pixels = torch.from_numpy(backbone.spec.scaled(crops)).double()
    expected = hidden_states(kind, tiny_vit(kind), pixels)
    np.testing.assert_allclose(joined(backbone, crops)[:, 0], expected[2], rtol=1e-4, atol=1e-5)
    last = TorchBackbone(str(tiny_vit(kind)))
    assert (last.spec.layers, last.spec.final_norm) == ((2,), True)
    np.testing.assert_allclose(joined(last, crops)[:, 0], expected[-1], rtol=1e-4, atol=1e-5)
    again = joined(backbone, crops[1:2])
    np.testing.assert_allclose(again[0], joined(backbone, crops)[1], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_parity_finds_a_network_that_is_not_the_same(
    tiny_vit: Vit, tiny_export: Callable[[str], Export]
) -> None:
    original = TorchBackbone(str(tiny_vit("vit")), layers=(1, 2))
    made, other = tiny_export("vit"), tiny_export("mae")
    assert parity(original, OnnxBackbone(made.path, made.spec, threads=1), seed=5) <= PARITY
    assert parity(original, OnnxBackbone(other.path, other.spec, threads=1)) > 0.1


def test_a_preprocessor_is_believed(tiny_vit: Vit, tmp_path: Path) -> None:
    folder = tmp_path / "vit"
    TorchBackbone(str(tiny_vit("siglip"))).vit.save_pretrained(folder)
    told = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    spec = TorchBackbone(str(folder)).spec
    assert (spec.mean, spec.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_the_tower_of_a_two_tower_model_is_taken(tmp_path: Path) -> None:
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = transformers.CLIPModel(
        transformers.CLIPConfig(
            vision_config={**shape, "intermediate_size": 16, "image_size": 16, "patch_size": 8},
            text_config={**shape, "intermediate_size": 16, "vocab_size": 50},
        )
    )
    model.save_pretrained(tmp_path)
    spec = TorchBackbone(str(tmp_path)).spec
    assert (spec.image_px, spec.prefix, spec.dim) == (16, 1, 16)


# --- exports are found again -------------------------------------------------------------------


def never(*_args: object) -> float:
    raise AssertionError("exported twice")


@pytest.mark.parametrize(
    "kind",
    [
        "vit",
        *KINDS[1:],
    ],
)
def test_the_same_network_has_the_same_name(kind: str, tiny_vit: Vit) -> None:
    name = str(tiny_vit(kind))
    prints = [TorchBackbone(name, (1, 2)).fingerprint for _ in range(2)]
    assert prints[0] == prints[1]
    assert TorchBackbone(name, (1,)).fingerprint != prints[0]
    assert TorchBackbone(name).fingerprint != TorchBackbone(name, (2,)).fingerprint


def test_an_export_is_found_again(
    tiny_vit: Vit, tiny_export: Callable[[str], Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tiny_export("clip")
    monkeypatch.setattr(TorchBackbone, "export", never)
    again = export(str(tiny_vit("clip")), first.path.parent, layers=(1, 2))
    assert again == first
    assert first.sha256 == sha256(first.path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_the_same_network_gives_the_same_bytes(
    tiny_vit: Vit, tiny_export: Callable[[str], Export], tmp_path: Path
) -> None:
    again = export(str(tiny_vit("siglip")), tmp_path, layers=(1, 2))
    assert again.sha256 == tiny_export("siglip").sha256
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".onnx"]


@pytest.mark.slow
def test_eight_bits_agree_with_thirty_two(
    tiny_vit: Vit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crops: ndarray
) -> None:
    name = str(tiny_vit("dinov2_registers"))
    made = export(name, tmp_path, precision="int8")  # no layers: after the final norm
    assert (made.spec.layers, made.spec.final_norm, made.spec.precision) == ((2,), True, "int8")
    assert made.parity <= PARITY
    assert 0.98 < made.agreement < 1
    assert made.sha256 == sha256(made.path.read_bytes()).hexdigest()
    pixels = torch.from_numpy(made.spec.scaled(crops)).double()
    *_, before_norm, last = hidden_states("dinov2_registers", tiny_vit("dinov2_registers"), pixels)
    rounded = joined(OnnxBackbone(made.path, made.spec, threads=1), crops)[:, 0]
    assert 1e-4 < np.linalg.norm(rounded - last) / np.linalg.norm(last) < 0.05
    assert np.linalg.norm(rounded - before_norm) > 0.2 * np.linalg.norm(before_norm)
    monkeypatch.setattr(TorchBackbone, "export", never)
    assert export(name, tmp_path, precision="int8") == made
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".onnx"]


@pytest.mark.parametrize(("gap", "says"), [(2e-4, r"2\.0e-04"), (float("nan"), "nan")])
def test_a_graph_that_disagrees_is_refused(
    tiny_vit: Vit,
    tiny_export: Callable[[str], Export],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gap: float,
    says: str,
) -> None:
    import onnx

    made = SimpleNamespace(model_proto=onnx.load(str(tiny_export("clip").path)))
    monkeypatch.setattr(torch.onnx, "export", lambda *_args, **_options: made)
    monkeypatch.setattr(exporting, "parity", lambda *_: gap)
    with pytest.raises(NotAViT, match=f"{says} away from PyTorch; at most 1e-04 is allowed"):
        export(str(tiny_vit("clip")), tmp_path, layers=(1, 2))
    assert not list(tmp_path.glob("*.json"))


# --- what is no Vision Transformer -------------------------------------------------------------


def resnet() -> Any:
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic"
    )
    return transformers.ResNetModel(config)


def text() -> Any:
    config = transformers.BertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        vocab_size=50,
    )
    return transformers.BertModel(config)


def swin() -> Any:
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
    )
    return transformers.SwinModel(config)


@pytest.mark.parametrize("make", [resnet, text, swin])
def test_a_network_without_a_grid_of_patch_tokens_is_refused(
    tmp_path: Path, make: Callable[[], Any]
) -> None:
    make().save_pretrained(tmp_path)
    with pytest.raises(NotAViT, match="a Vision Transformer with a square grid") as caught:
        TorchBackbone(str(tmp_path))
    assert str(tmp_path) in caught.value.message


@pytest.mark.parametrize("layers", [(0,), (3,), (-1,), (1, 9)])
def test_blocks_that_are_not_there_are_refused(tiny_vit: Vit, layers: tuple[int, ...]) -> None:
    with pytest.raises(NotAViT, match="has 2 blocks") as caught:
        TorchBackbone(str(tiny_vit("clip")), layers)
    assert caught.value.hint == "Give numbers from 1 to 2."


def test_a_side_that_is_no_multiple_of_the_patch_is_refused(tiny_vit: Vit) -> None:
    with pytest.raises(NotAViT, match="30 px is no multiple of the patch") as caught:
        TorchBackbone(str(tiny_vit("clip")), image_px=30)
    assert caught.value.hint == "Use 24 px (`image_px`)."


def test_a_precision_that_we_do_not_know_is_refused(tiny_vit: Vit, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'fp32' or 'int8'; got 'int4'"):
        export(str(tiny_vit("clip")), tmp_path, precision="int4")


# --- what cannot be loaded ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/nowhere/at/all", "nobody/has-this-model"])
def test_a_missing_backbone_is_named(name: str) -> None:
    with pytest.raises(ModelMissing) as caught:
        TorchBackbone(name)
    assert name in caught.value.message
    assert "config.json and model.safetensors" in caught.value.hint


def harmed(folder: Path, tmp_path: Path, file: str, content: bytes | None) -> str:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.safetensors", None),
        ("config.json", None),
        ("config.json", b"not JSON"),
        ("config.json", b"{}"),
        pytest.param(
            "model.safetensors",
            b"",
        ),
        pytest.param(
            "model.safetensors",
            b"\x10\0\0\0\0\0\0\0not a header at all",
        ),
        pytest.param(
            "preprocessor_config.json",
            b"not JSON",
        ),
    ],
)
def test_a_broken_folder_is_named(
    tiny_vit: Vit, tmp_path: Path, file: str, content: bytes | None
) -> None:
    name = harmed(tiny_vit("clip"), tmp_path, file, content)
    with pytest.raises(ModelMissing) as caught:
        TorchBackbone(name)
    assert name in caught.value.message
