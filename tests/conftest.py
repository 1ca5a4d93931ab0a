"""What all tests stand on: shape checks, no network, and small things made by code."""
# ruff: noqa: E402 (two things have to happen before the imports)

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

from jaxtyping import install_import_hook

# Every call in the package is held to the shapes and types of its signature. This has to come
# before the first import of veridical; tests/test_arrays.py proves that it is live. An int may
# stand where a float is wanted, as PEP 484 and mypy have it.
CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook("veridical", CHECKER)

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image, ImageDraw

from veridical.arrays import UInt8, ndarray
from veridical.assembly import Parts, disassemble
from veridical.box import Box
from veridical.detector import Detector
from veridical.infer.calibration import Calibration
from veridical.infer.head import DropoutHead, Layer
from veridical.infer.ood import OodScorer
from veridical.io.model import write_model
from veridical.tokens import pool
from veridical.vision.backbone import OnnxBackbone
from veridical.vision.crop import CropConfig, extract_crop
from veridical.vision.faces import Face

settings.register_profile("veridical", deadline=None)  # the first call of all pays for the checks
settings.load_profile("veridical")

TINY_VITS = ("vit", "dinov2_registers", "clip", "mae", "siglip")


def pytest_configure(config: pytest.Config) -> None:
    # torch 2.13 breaks its own rule inside torch.onnx.export; nobody here can mend that.
    config.addinivalue_line(
        "filterwarnings", r"ignore:.isinstance\(treespec, LeafSpec\). is deprecated:FutureWarning"
    )
    # beartype looks at a random item of a tuple; Hypothesis sees that, and takes it for ours.
    config.addinivalue_line(
        "filterwarnings",
        "ignore:Do not use the .random. module inside strategies:"
        "hypothesis.errors.HypothesisDeprecationWarning",
    )


# --- no network --------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuse every connection and every name: whatever a test needs is made here."""

    def guarded(name: str) -> Callable[..., Any]:
        original = getattr(socket.socket, name)

        def call(self: socket.socket, *args: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                raise RuntimeError(f"Tests are offline; socket.{name}{args} was tried.")
            return original(self, *args)

        return call

    def refused(host: Any, *_args: Any, **_options: Any) -> Any:
        raise RuntimeError(f"Tests are offline; the address of {host} was asked for.")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, guarded(name))
        patch.setattr(socket, "getaddrinfo", refused)
        yield


# --- pictures ----------------------------------------------------------------------------------


# Ellipses of a face, in order: centre and radii as shares of its box, and a colour.
_FEATURES = (
    (0.5, 0.5, 0.48, 0.5, (224, 172, 140)),
    (0.32, 0.4, 0.1, 0.05, (250, 250, 250)),
    (0.68, 0.4, 0.1, 0.05, (250, 250, 250)),
    (0.32, 0.4, 0.04, 0.04, (60, 40, 30)),
    (0.68, 0.4, 0.04, 0.04, (60, 40, 30)),
    (0.5, 0.58, 0.06, 0.08, (196, 140, 110)),
    (0.5, 0.78, 0.2, 0.05, (150, 60, 60)),
)


def paint_gradient(height: int, width: int, seed: int = 0) -> UInt8[ndarray, "height width 3"]:
    """A smooth colour field, of one wave per channel."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    channels = []
    for _ in range(3):
        a, b, phase = generator.uniform(-4, 4, 3)
        channels.append(127.5 + 110 * np.sin(a * x + b * y + phase))
    return np.stack(channels, axis=-1).astype(np.uint8)


def paint_faces(
    height: int, width: int, *boxes: tuple[float, float, float, float], seed: int = 0
) -> UInt8[ndarray, "height width 3"]:
    """Drawn faces at (left, top, width, height) px on a smooth field. They fool no detector."""
    image = Image.fromarray(paint_gradient(height, width, seed))
    pen = ImageDraw.Draw(image)
    for left, top, across, down in boxes:
        for x, y, rx, ry, colour in _FEATURES:
            x0, y0 = left + (x - rx) * across, top + (y - ry) * down
            pen.ellipse((x0, y0, x0 + 2 * rx * across, y0 + 2 * ry * down), colour)
    return np.asarray(image)


@pytest.fixture(scope="session")
def gradient_picture() -> UInt8[ndarray, "height width 3"]:
    """A smooth colour field of 96 x 128 px; nobody is in it."""
    return paint_gradient(96, 128)


@pytest.fixture(scope="session")
def face_picture() -> UInt8[ndarray, "height width 3"]:
    """One drawn face of 60 x 80 px in 120 x 160."""
    return paint_faces(120, 160, (50, 20, 60, 80))


class Painter(Protocol):
    def __call__(
        self, height: int, width: int, *boxes: tuple[float, float, float, float], seed: int = 0
    ) -> UInt8[ndarray, "height width 3"]: ...


@pytest.fixture(scope="session")
def painter() -> Painter:
    """Paint pictures: painter(height, width, (left, top, width, height), ..., seed=0)."""
    return paint_faces


# --- faces -------------------------------------------------------------------------------------


def face_at(left: float, top: float, width: float, height: float, score: float = 0.9) -> Face:
    marks = ((0.32, 0.4), (0.68, 0.4), (0.5, 0.58), (0.38, 0.78), (0.62, 0.78))
    return Face(
        box=Box(left=left, top=top, width=width, height=height),
        landmarks=tuple((left + x * width, top + y * height) for x, y in marks),
        score=score,
    )


@dataclass(frozen=True)
class FakeFinder:
    """Knows where the faces are: at `boxes`; in the middle three fifths if that is None."""

    boxes: tuple[tuple[float, float, float, float], ...] | None = None

    @property
    def name(self) -> str:
        return f"fake {self.boxes}"

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        width, height = image.size
        boxes = self.boxes
        if boxes is None:
            boxes = ((0.2 * width, 0.2 * height, 0.6 * width, 0.6 * height),)
        faces = [face_at(*box) for box in boxes]
        return tuple(sorted(faces, key=lambda face: -face.size_px))


@pytest.fixture(scope="session")
def fake_finder() -> Callable[..., FakeFinder]:
    """Make a finder: fake_finder((left, top, width, height), ...); without boxes it finds none."""
    return lambda *boxes: FakeFinder(boxes)


# --- backbones ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a seeded two-block ViT (32 px, patches of 8, 32 channels) as a Hugging Face folder.

    Kinds: TINY_VITS. Only "siglip" has no class token; "dinov2_registers" has four registers.
    """
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    shape = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "image_size": 32,
        "patch_size": 8,
    }

    def make(kind: str) -> Any:
        if kind == "vit":
            return transformers.ViTModel(transformers.ViTConfig(**shape), add_pooling_layer=False)
        if kind == "dinov2_registers":
            config = transformers.Dinov2WithRegistersConfig(**shape, num_register_tokens=4)
            return transformers.Dinov2WithRegistersModel(config)
        if kind == "clip":
            return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**shape))
        if kind == "mae":
            decoder = {
                "decoder_hidden_size": 16,
                "decoder_num_hidden_layers": 1,
                "decoder_num_attention_heads": 2,
                "decoder_intermediate_size": 32,
            }
            return transformers.ViTMAEForPreTraining(transformers.ViTMAEConfig(**shape, **decoder))
        assert kind == "siglip", f"no tiny ViT is called {kind}"
        return transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**shape))

    @cache
    def folder(kind: str) -> Path:
        path = tmp_path_factory.mktemp("vits") / kind
        with torch.random.fork_rng():
            torch.manual_seed(0)
            make(kind).save_pretrained(path)
        return path

    return folder


@pytest.fixture(scope="session")
def tiny_export(
    tiny_vit: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    """Export a tiny ViT, both of its blocks, in fp32; each kind once per session."""
    export = import_module("veridical.train.export").export
    folder = tmp_path_factory.mktemp("exports")
    return cache(lambda kind: export(str(tiny_vit(kind)), folder, layers=(1, 2)))


@pytest.fixture(scope="session")
def tiny_backbone(tiny_export: Callable[[str], Any]) -> OnnxBackbone:
    """A plain ViT on ONNX Runtime: 32 px, a grid of 4 x 4, one class token, two blocks of 32."""
    made = tiny_export("vit")
    return OnnxBackbone(made.path, made.spec, threads=1)


# --- detectors ---------------------------------------------------------------------------------


def random_head(
    features: int, *, hidden: int = 16, samples: int = 50, seed: int = 0
) -> DropoutHead:
    """Two layers with dropout 0.2, of random weights."""
    generator = np.random.default_rng(seed)

    def layer(out: int, into: int, relu: bool) -> Layer:
        return Layer(
            weight=generator.normal(0, 1 / np.sqrt(into), (out, into)).astype(np.float32),
            bias=generator.normal(0, 0.1, out).astype(np.float32),
            relu=relu,
            dropout=0.2,
        )

    return DropoutHead(
        mean=generator.normal(0, 1, features).astype(np.float32),
        scale=generator.uniform(0.5, 2, features).astype(np.float32),
        layers=(layer(hidden, features, True), layer(1, hidden, False)),
        samples=samples,
        seed=seed,
    )


@pytest.fixture(scope="session")
def tiny_detector(tiny_backbone: OnnxBackbone) -> Detector:
    """A detector of real parts, whose posterior is random and whose finder sees one face, always.

    Swap parts with dataclasses.replace: `replace(tiny_detector, finder=fake_finder())`; for what
    is in `parts` there is `with_parts`. Pictures from `painter` are like what it "was trained on".
    """
    crop = CropConfig(size_px=tiny_backbone.spec.image_px)
    frame = Box(left=0.0, top=0.0, width=64.0, height=64.0)
    face = (12.0, 12.0, 40.0, 40.0)
    painted = [Image.fromarray(paint_faces(64, 64, face, seed=seed)) for seed in range(40)]
    tokens = tiny_backbone.tokens(np.stack([extract_crop(one, frame, crop) for one in painted]))
    features = np.stack([pool(one, ("cls", "mean")) for one in tokens])
    head = replace(
        random_head(features.shape[1]), mean=features.mean(axis=0), scale=features.std(axis=0)
    )
    x = (features - head.mean) / head.scale
    _, strength, basis = np.linalg.svd(x, full_matrices=False)
    inside = x @ basis[:8].T
    scorer = OodScorer(
        mean=head.mean,
        scale=head.scale,
        basis=basis[:8],
        variance=strength[:8] ** 2 / len(x),
        residual=float(((x**2).sum(axis=1) - (inside**2).sum(axis=1)).mean()),
        limit=1.0,
    )
    return Detector(
        finder=FakeFinder(),
        backbone=tiny_backbone,
        parts=Parts(
            spec=tiny_backbone.spec,
            crop=crop,
            pooling=("cls", "mean"),
            head=head,
            calibration=Calibration(
                slope=2.0,
                intercept=-0.1,
                coverage_of_reals=0.9,
                coverage_of_ai=0.9,
                threshold_real=0.6,
                threshold_ai=0.6,
                real=20,
                ai=20,
                typical_real=-0.5,
            ),
            ood=replace(scorer, limit=2 * max(scorer.raw(one) for one in features)),
            min_face_px=16.0,
        ),
        model="0123456789ab",
    )


def with_parts(detector: Detector, **parts: Any) -> Detector:
    """Return the detector with other parts of its model: with_parts(detector, calibration=...)."""
    return replace(detector, parts=replace(detector.parts, **parts))


@pytest.fixture(scope="session")
def tiny_model(
    tiny_detector: Detector,
    tiny_export: Callable[[str], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The parts of `tiny_detector` as a model folder, for `Detector.load`. Copy before changing."""
    path = tmp_path_factory.mktemp("model")
    card, tensors, explainer = disassemble(tiny_detector.parts)
    write_model(path, card, tensors, tiny_export("vit").path, explainer)
    return path
