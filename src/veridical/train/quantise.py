"""Eight-bit matrix products with a scale for every token, written as plain ONNX operators.

ONNX Runtime's own dynamic quantisation takes one activation scale for a whole batch: a picture's
score then depends on its company, and a single massive activation (Sun et al., "Massive Activations
in Large Language Models", arXiv:2402.17762; ViTs have them too) costs every other token its
precision. Here every row of the activations has its own scale (as "vector-wise quantisation" in
Dettmers et al., "LLM.int8()", NeurIPS 2022, section 2.1), so rows cannot influence one another.
"""

from pathlib import Path
from typing import Any

import numpy as np

from veridical._optional import need

_ZERO = 128  # of the unsigned activations: u8 x s8 products are the fast ones on x86


def to_int8(source: Path, target: Path) -> int:
    """Rewrite every product with a constant matrix to 8 bits; return how many there were.

    For a product `x @ W`: s_x = max|row| / 127, s_w = max|column| / 127,
    `x @ W ~ (round(x / s_x) @ round(W / s_w)) * s_w * s_x`.
    """
    onnx = need("onnx", extra="train", to="quantise a backbone")
    model = onnx.load(str(source))
    graph, constant = model.graph, onnx.numpy_helper.from_array
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    quantised: dict[str, tuple[str, str]] = {}
    replaced: set[str] = set()
    extra = [
        constant(np.float32(1 / 127), "int8.step"),
        constant(np.float32(1e-12), "int8.tiny"),  # an all-zero row must not divide by zero
        constant(np.float32(1), "int8.one"),
        constant(np.uint8(_ZERO), "int8.zero"),
        constant(np.array([-1], dtype=np.int64), "int8.last"),
    ]

    def add(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    for node in graph.node:
        name = node.input[1] if node.op_type == "MatMul" else ""
        if name not in weights or len(weights[name].dims) != 2:
            nodes.append(node)
            continue
        x, out = node.input[0], node.output[0]
        if x not in quantised:
            size = add("Abs", [x], f"{x}.abs")
            largest = add("ReduceMax", [size, "int8.last"], f"{x}.max", keepdims=1)
            step = add("Mul", [largest, "int8.step"], f"{x}.step")
            scale = add("Add", [step, "int8.tiny"], f"{x}.scale")
            ratio = add("Div", [x, scale], f"{x}.ratio")
            whole = add("QuantizeLinear", [ratio, "int8.one", "int8.zero"], f"{x}.int8")
            quantised[x] = (whole, scale)
        whole, scale = quantised[x]
        # A matrix that is used twice is written twice: ONNX Runtime's exact products on processors
        # without VNNI (OnnxBackbone) cannot share one.
        own = name if name not in replaced else f"{name}.{out}"
        matrix = onnx.numpy_helper.to_array(weights[name])
        columns = np.maximum(np.abs(matrix).max(axis=0) / 127, 1e-12).astype(np.float32)
        rounded = np.clip(np.round(matrix / columns), -127, 127).astype(np.int8)
        extra += [constant(rounded, f"{own}.int8"), constant(columns, f"{own}.scale")]
        replaced.add(name)
        product = add("MatMulInteger", [whole, f"{own}.int8", "int8.zero"], f"{out}.int32")
        real = add("Cast", [product], f"{out}.real", to=onnx.TensorProto.FLOAT)
        half = add("Mul", [real, f"{own}.scale"], f"{out}.half")
        add("Mul", [half, scale], out)
    kept = [tensor for tensor in graph.initializer if tensor.name not in replaced]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept + extra)
    onnx.save(model, str(target))
    return len(replaced)
