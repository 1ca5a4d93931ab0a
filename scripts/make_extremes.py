"""Make src/veridical/models/extremes.onnx: bytes times bytes, at their largest.

    python scripts/make_extremes.py

`veridical.vision.runtime` runs it to find out whether the fast 8-bit products of this processor are
exact. Needs `pip install 'veridical[train]'`.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

TARGET = Path(__file__).parent.parent / "src" / "veridical" / "models" / "extremes.onnx"
INNER, OUTER = 64, 16  # of the matrix; several steps of the widest kernels


def extremes() -> onnx.ModelProto:
    """Return `x` (rows, INNER), unsigned, times a signed matrix of the largest bytes."""
    matrix = numpy_helper.from_array(np.full((INNER, OUTER), 127, np.int8), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "extremes",
        [helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, ["rows", INNER])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.INT32, ["rows", OUTER])],
        [matrix],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def main() -> None:
    model = extremes()
    onnx.checker.check_model(model)
    onnx.save(model, str(TARGET))
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
