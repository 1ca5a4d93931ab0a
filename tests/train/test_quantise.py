from pathlib import Path
from typing import Any

import numpy as np
import pytest

from veridical.arrays import ndarray
from veridical.train.quantise import to_int8
from veridical.vision.runtime import open_session, saturates

pytest.importorskip("onnx")
WEIGHT = np.random.default_rng(0).normal(size=(16, 5)).astype(np.float32)


def graph(path: Path, weight: ndarray = WEIGHT) -> Path:
    """Two products with the same constant matrix, and one of two activations."""
    import onnx

    kind = onnx.TensorProto.FLOAT
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "weight"], ["y"]),
        onnx.helper.make_node("Neg", ["x"], ["minus"]),
        onnx.helper.make_node("MatMul", ["minus", "weight"], ["z"]),
        onnx.helper.make_node("Transpose", ["z"], ["turned"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["y", "turned"], ["square"]),
    ]
    values = [
        onnx.helper.make_tensor_value_info(name, kind, ["rows", None])
        for name in ("x", "y", "z", "square")
    ]
    body = onnx.helper.make_graph(
        nodes, "g", values[:1], values[1:], [onnx.numpy_helper.from_array(weight, "weight")]
    )
    model = onnx.helper.make_model(
        body, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )
    onnx.save(model, str(path))
    return path


def run(path: Path, x: ndarray) -> list[Any]:
    config = {"session.x64quantprecision": "1"} if saturates() else {}
    session = open_session(str(path), name=path.name, threads=0, config=config)
    return list(session.run(["y", "z", "square"], {"x": x}))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantise")
    path = folder / "small.onnx"
    assert to_int8(graph(folder / "plain.onnx"), path) == 1
    return path


def features(rows: int = 7, seed: int = 1) -> ndarray:
    return np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)


def naive(x: ndarray) -> ndarray:
    """The formula of to_int8's docstring, in double precision."""
    s_x = np.abs(x).max(axis=1, keepdims=True) / 127
    s_w = np.abs(WEIGHT).max(axis=0) / 127
    whole = np.round(np.divide(x, s_x, out=np.zeros_like(x), where=s_x > 0))
    return np.asarray((whole @ np.round(WEIGHT / s_w)) * s_w * s_x)


def test_it_is_the_formula_that_it_claims(small: Path) -> None:
    y, z, square = run(small, features())
    np.testing.assert_allclose(y, naive(features()), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(z, -y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(square, y @ z.T, rtol=1e-5, atol=1e-5)  # left in fp32


def test_the_error_stays_within_what_rounding_allows(small: Path) -> None:
    x = features(200)
    error = np.abs(run(small, x)[0] - x @ WEIGHT)
    s_x = np.abs(x).max(axis=1, keepdims=True) / 127
    s_w = np.abs(WEIGHT).max(axis=0) / 127
    bound = s_x / 2 * np.abs(WEIGHT).sum(axis=0) + s_w / 2 * np.abs(x).sum(axis=1)[:, None]
    assert np.all(error <= bound + 16 * s_x * s_w / 4 + 1e-5)
    assert error.max() > 0  # it is not fp32 in disguise


def test_rows_cannot_influence_one_another(small: Path) -> None:
    x = features()
    alone = np.concatenate([run(small, row[None])[0] for row in x])
    np.testing.assert_array_equal(run(small, x)[0], alone)
    massive = x.copy()
    massive[3] *= 1e4
    np.testing.assert_array_equal(
        np.delete(run(small, massive)[0], 3, axis=0), np.delete(alone, 3, axis=0)
    )
    np.testing.assert_allclose(run(small, massive)[0][3], alone[3] * 1e4, rtol=1e-2, atol=1e2)


def test_an_empty_row_stays_empty(small: Path) -> None:
    x = features()
    x[2] = 0
    y = run(small, x)[0]
    assert not y[2].any()
    assert np.isfinite(y).all()


def test_an_empty_column_stays_empty(tmp_path: Path) -> None:
    weight = WEIGHT.copy()
    weight[:, 1] = 0
    to_int8(graph(tmp_path / "plain.onnx", weight), tmp_path / "small.onnx")
    y = run(tmp_path / "small.onnx", features())[0]
    assert not y[:, 1].any()
    assert np.isfinite(y).all()


def test_a_matrix_takes_a_quarter_of_the_room_for_each_of_its_uses(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(16, 4096)).astype(np.float32)
    plain = graph(tmp_path / "plain.onnx", weight)
    to_int8(plain, tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 2 * 0.35 * plain.stat().st_size
