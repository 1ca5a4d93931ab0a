import pickle
import platform
import runpy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from veridical.arrays import ndarray
from veridical.assembly import assemble, default_model
from veridical.errors import ModelDamaged
from veridical.io.model import read_model
from veridical.tokens import Tokens
from veridical.vision import runtime
from veridical.vision.backbone import Backbone, BackboneSpec, OnnxBackbone, unpack

SPEC = BackboneSpec(
    name="none",
    image_px=6,
    patch_px=2,
    prefix=2,
    has_cls=True,
    dim=4,
    layers=(1,),
    final_norm=False,
    mean=(0.5, 0.25, 0.1),
    std=(0.5, 0.25, 0.2),
)


@pytest.fixture(scope="module")
def crops(painter: Callable[..., ndarray]) -> ndarray:
    face = (4.0, 4.0, 24.0, 26.0)
    return np.stack([painter(32, 32, face, seed=seed) for seed in range(5)])


@pytest.fixture(scope="module", params=["fp32", "int8"])
def graph(
    request: pytest.FixtureRequest,
    tiny_export: Callable[[str], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, BackboneSpec]:
    made = tiny_export("vit")
    if request.param == "fp32":
        return made.path, made.spec
    from veridical.train.quantise import to_int8

    path = tmp_path_factory.mktemp("int8") / "backbone.onnx"
    to_int8(made.path, path)
    return path, replace(made.spec, precision="int8")


def bits(seen: tuple[Tokens, ...]) -> list[bytes]:
    return [one.prefix.tobytes() + one.patches.tobytes() for one in seen]


# --- pixels and tokens -------------------------------------------------------------------------


def test_pixels_are_scaled_once_and_channels_come_first() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    scaled = SPEC.scaled(crops)
    assert scaled.shape == (2, 3, 6, 6)
    assert scaled.flags.c_contiguous
    for channel in range(3):
        expected = (crops[..., channel] / 255 - SPEC.mean[channel]) / SPEC.std[channel]
        np.testing.assert_allclose(scaled[:, channel], expected, atol=1e-6)


def test_tokens_are_told_apart_by_the_spec() -> None:
    states = np.arange(2 * 11 * 4, dtype=np.float32).reshape(2, 11, 4)
    seen = unpack(SPEC, states)
    assert (seen.grid, seen.has_cls) == (3, True)
    np.testing.assert_array_equal(seen.prefix, states[:, :2])
    np.testing.assert_array_equal(seen.patches, states[:, 2:])
    assert seen.patches.shape[1] == seen.grid**2


# --- the network -------------------------------------------------------------------------------


def test_it_is_a_backbone(tiny_backbone: OnnxBackbone) -> None:
    assert isinstance(tiny_backbone, Backbone)


def test_a_crop_gives_the_same_bits_in_any_company(
    graph: tuple[Path, BackboneSpec], crops: ndarray
) -> None:
    backbone = OnnxBackbone(*graph, threads=1)
    alone = [bits(backbone.tokens(crop[None]))[0] for crop in crops]
    assert len(set(alone)) == len(alone)
    assert bits(backbone.tokens(crops)) == alone
    assert bits(backbone.tokens(crops[::-1])) == alone[::-1]
    glaring = np.full_like(crops[:1], 255)
    assert (
        bits(backbone.tokens(np.concatenate([glaring, crops[:2], 0 * glaring])))[1:3] == alone[:2]
    )


def test_a_crop_gives_the_same_bits_with_any_number_of_threads(
    graph: tuple[Path, BackboneSpec], crops: ndarray
) -> None:
    one, two = (OnnxBackbone(*graph, threads=threads) for threads in (1, 2))
    assert bits(one.tokens(crops)) == bits(two.tokens(crops))


def test_a_backbone_is_shared_between_threads(
    graph: tuple[Path, BackboneSpec], crops: ndarray
) -> None:
    backbone = OnnxBackbone(*graph, threads=1)
    alone = bits(backbone.tokens(crops))
    with ThreadPoolExecutor(4) as pool:
        assert all(bits(seen) == alone for seen in pool.map(backbone.tokens, [crops] * 12))


def test_what_a_patch_shows_changes_its_own_token_most(
    tiny_backbone: OnnxBackbone, crops: ndarray
) -> None:
    spec = tiny_backbone.spec
    before = tiny_backbone.tokens(crops[:1])[0].patches[0]
    for row, column in [(0, 0), (1, 2), (3, 1)]:
        changed = crops[:1].copy()
        edge = spec.patch_px
        changed[0, row * edge : (row + 1) * edge, column * edge : (column + 1) * edge] ^= 255
        after = tiny_backbone.tokens(changed)[0].patches[0]
        moved = np.linalg.norm(after - before, axis=1)
        assert int(moved.argmax()) == row * spec.grid + column


@pytest.mark.parametrize("size", [16, 31, 33, 64])
def test_crops_of_another_size_are_refused(tiny_backbone: OnnxBackbone, size: int) -> None:
    with pytest.raises(ValueError, match=f"takes 32 px squares; got {size} px"):
        tiny_backbone.tokens(np.zeros((1, size, size, 3), dtype=np.uint8))


def test_no_crops_give_no_tokens(tiny_backbone: OnnxBackbone) -> None:
    assert tiny_backbone.tokens(np.zeros((0, 32, 32, 3), dtype=np.uint8)) == ()


# --- products of bytes -------------------------------------------------------------------------

EXTREMES = Path(str(files("veridical"))) / "models" / "extremes.onnx"


@pytest.mark.parametrize("rows", [1, 2, 8, 197])
@pytest.mark.parametrize("fast", [True, False])
def test_products_of_the_largest_bytes_are_exact(rows: int, fast: bool) -> None:
    """Two of them overflow 16 bits, where the fast kernels of x86 without VNNI stop."""
    config = {} if fast and not runtime.saturates() else {"session.x64quantprecision": "1"}
    session = runtime.open_session(str(EXTREMES), name="extremes", threads=1, config=config)
    inner = session.get_inputs()[0].shape[1]
    (y,) = session.run(None, {"x": np.full((rows, inner), 255, np.uint8)})
    assert (y == inner * 255 * 127).all()


def test_the_exact_products_of_other_processors_are_the_same(
    graph: tuple[Path, BackboneSpec], crops: ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = bits(OnnxBackbone(*graph, threads=1).tokens(crops))
    monkeypatch.setattr(runtime, "saturates", lambda: True)
    assert bits(OnnxBackbone(*graph, threads=1).tokens(crops)) == own


@pytest.mark.skipif(
    not Path("/proc/cpuinfo").is_file() or platform.machine() != "x86_64",
    reason="needs Linux to tell what an x86 processor can do",
)
def test_fast_products_are_taken_where_the_processor_has_exact_ones() -> None:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    if "avx2" not in flags:
        pytest.skip("older processors have kernels of other kinds")
    assert runtime.saturates() == (not {"avx512_vnni", "avx_vnni"} & set(flags))


def test_the_extremes_are_what_their_script_makes() -> None:
    onnx = pytest.importorskip("onnx")
    made = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "make_extremes.py"))
    assert onnx.load(str(EXTREMES)) == made["extremes"]()


# --- graphs that are none ----------------------------------------------------------------------


def truncated(graph: bytes) -> bytes:
    return graph[: len(graph) // 2]


def noise(graph: bytes) -> bytes:
    return np.random.default_rng(0).bytes(len(graph))


def zeros(graph: bytes) -> bytes:
    return bytes(len(graph))


def empty(_graph: bytes) -> bytes:
    return b""


def text(_graph: bytes) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


def of_an_unknown_operator(graph: bytes) -> bytes:
    return graph.replace(b"Softmax", b"Hardmix")


@pytest.mark.parametrize("harm", [truncated, noise, zeros, empty, text, of_an_unknown_operator])
def test_a_damaged_graph_is_refused(
    tmp_path: Path, tiny_export: Callable[[str], Any], harm: Callable[[bytes], bytes]
) -> None:
    made = tiny_export("vit")
    path = tmp_path / "backbone.onnx"
    path.write_bytes(harm(made.path.read_bytes()))
    with pytest.raises(ModelDamaged, match="not a graph that ONNX Runtime can run") as caught:
        OnnxBackbone(path, made.spec, threads=1)
    assert str(path) in caught.value.message
    assert caught.value.__cause__ is not None


def test_a_missing_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match=r"nowhere\.onnx"):
        OnnxBackbone(tmp_path / "nowhere.onnx", SPEC, threads=1)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux")
def test_a_graph_that_is_laid_out_gives_the_same_bits_and_is_mapped(tmp_path: Path) -> None:
    folder = read_model(default_model())
    spec = assemble(folder).spec
    mapped = runtime.lay_out(folder.backbone, tmp_path)
    own = OnnxBackbone(folder.backbone, spec, threads=1)
    shared = OnnxBackbone(folder.backbone, spec, threads=1, mapped=mapped)
    crops = np.random.default_rng(0).integers(
        0, 256, (1, spec.image_px, spec.image_px, 3), np.uint8
    )
    for one in (shared, pickle.loads(pickle.dumps(shared)), shared.on_one_thread()):
        for a, b in zip(own.tokens(crops), one.tokens(crops), strict=True):
            assert np.array_equal(a.patches, b.patches)
            assert np.array_equal(a.prefix, b.prefix)
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 32):
        assert str(tmp_path / "weights.bin") in Path("/proc/self/maps").read_text()


def test_a_graph_that_cannot_be_laid_out_is_said_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert runtime.laid_out(tmp_path / "none.onnx", tmp_path) is None
    assert "share no memory" in caplog.text
