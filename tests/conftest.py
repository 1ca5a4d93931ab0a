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

import io
import socket
import struct
import time
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

from veridical.arrays import Float, UInt8, ndarray
from veridical.assembly import Branch, Parts, disassemble
from veridical.box import Box
from veridical.detector import Detector
from veridical.infer.calibration import Calibration
from veridical.infer.fusion import Fusion
from veridical.infer.head import DropoutHead, Layer
from veridical.infer.ood import OodScorer
from veridical.io.model import write_model
from veridical.tokens import Tokens, pool
from veridical.vision.backbone import BackboneSpec, OnnxBackbone
from veridical.vision.crop import CropConfig, crop_box, extract_crop
from veridical.vision.faces import Face
from veridical.vision.prepare import Finder

settings.register_profile("veridical", deadline=None)  # the first call of all pays for the checks
settings.load_profile("veridical")

TINY_VITS = ("vit", "dinov2_registers", "clip", "mae", "siglip")


def pytest_configure(config: pytest.Config) -> None:
    # torch 2.13 uses what it deprecates itself, inside torch.onnx.export.
    config.addinivalue_line(
        "filterwarnings", r"ignore:.isinstance\(treespec, LeafSpec\). is deprecated:FutureWarning"
    )
    # beartype checks a random item of a tuple, and Hypothesis takes that for ours.
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


# --- picture files -----------------------------------------------------------------------------

RED, GREEN, BLUE, GREY = (200, 30, 40), (20, 160, 60), (30, 60, 190), (120, 120, 120)


def quarters(mode: str = "RGB") -> Image.Image:
    """48 x 32 px in four flat quarters, so that lossy formats keep their colours and corners."""
    picture = Image.new("RGB", (48, 32), RED)
    for colour, corner in ((GREEN, (24, 0)), (BLUE, (0, 16)), (GREY, (24, 16))):
        picture.paste(colour, (*corner, corner[0] + 24, corner[1] + 16))
    return picture.convert(mode)


def noise_image(side: int = 24, seed: int = 3) -> Image.Image:
    """Noise in every channel: no format stores it in few bytes."""
    values = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(values)


def wait_for(true: Callable[[], bool]) -> None:
    """Wait until something is so, for a slow machine too."""
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a file in that format."""
    file = io.BytesIO()
    # Pillow keeps what an earlier save of the same image was told: JPEG's would break TIFF.
    if "append_images" in options:
        options["append_images"] = [one.copy() for one in options["append_images"]]
    picture.copy().save(file, kind, **options)
    return file.getvalue()


def heic(picture: Image.Image, **options: Any) -> bytes:
    """The bytes of a HEIC file; skips the test where its package is absent."""
    heif: Any = pytest.importorskip("pillow_heif")
    file = io.BytesIO()
    heif.from_pillow(picture).save(file, **options)
    return file.getvalue()


def exif_of(orientation: int, order: str = "<") -> bytes:
    """EXIF that says no more than the orientation."""
    mark = b"Exif\0\0" + (b"II*\0" if order == "<" else b"MM\0*")
    entry = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(f"{order}IH", 8, 1) + entry + bytes(4)


def furthest(a: ndarray, b: ndarray | Image.Image) -> int:
    """The largest difference between two pictures, levels."""
    assert a.shape == np.asarray(b).shape
    return int(np.abs(a.astype(int) - np.asarray(b)).max())


# --- faces -------------------------------------------------------------------------------------


def face_at(
    left: float, top: float, width: float, height: float, score: float = 0.9, turn: int = 0
) -> Face:
    marks = ((0.32, 0.4), (0.68, 0.4), (0.5, 0.58), (0.38, 0.78), (0.62, 0.78))
    return Face(
        box=Box(left=left, top=top, width=width, height=height),
        landmarks=tuple((left + x * width, top + y * height) for x, y in marks),
        score=score,
        turn=turn,
    )


@dataclass(frozen=True)
class FakeFinder:
    """Knows where the faces are: at `boxes`; in the middle `share` of the picture if that is None.

    All of them are turned by `turn` degrees.
    """

    boxes: tuple[tuple[float, float, float, float], ...] | None = None
    share: float = 0.6
    turn: int = 0

    @property
    def name(self) -> str:
        return f"fake {self.boxes} {self.share:g} {self.turn}"

    def find(self, image: Image.Image) -> tuple[Face, ...]:
        width, height = image.size
        boxes, edge = self.boxes, (1 - self.share) / 2
        if boxes is None:
            boxes = ((edge * width, edge * height, self.share * width, self.share * height),)
        faces = [face_at(*box, turn=self.turn) for box in boxes]
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


class Eye:
    """A backbone whose tokens are the mean colours of the patches, in [0, 1]: 16 px, 4 x 4 patches.

    Attributes:
        batch: How many crops it asks for at a time.
        runs: How many crops came in each run.
    """

    spec = BackboneSpec(
        name="eye",
        image_px=16,
        patch_px=4,
        prefix=0,
        has_cls=False,
        dim=3,
        layers=(1,),
        final_norm=False,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )

    def __init__(self, batch: int = 1) -> None:
        self.batch = batch
        self.runs: list[int] = []

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        self.runs.append(len(crops))
        return tuple(
            Tokens(prefix=np.zeros((1, 0, 3), np.float32), patches=one, grid=4, has_cls=False)
            for one in self.colours(crops).reshape(-1, 1, 16, 3).astype(np.float32)
        )

    def colours(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, "batch 4 4 3"]:
        means: ndarray = crops.reshape(-1, 4, 4, 4, 4, 3).mean(axis=(2, 4)) / 255
        return means


class Loupe(Eye):
    """A backbone that sees nothing but fine detail: "red" is how much neighbours differ."""

    def colours(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, "batch 4 4 3"]:
        steps = np.abs(np.diff(crops.astype(np.float32), axis=2)).mean(axis=(1, 2, 3)) / 255
        colours = np.zeros((len(crops), 4, 4, 3))
        colours[..., 0] = np.minimum(1, 4 * steps)[:, None, None]
        return colours


# --- detectors ---------------------------------------------------------------------------------


def calibration(
    threshold_real: float = 0.2, threshold_ai: float = 0.2, **changes: Any
) -> Calibration:
    """A calibration that leaves logits as they are and promises 80 %, with these changes."""
    made = Calibration(
        slope=1.0,
        intercept=0.0,
        coverage_of_reals=0.8,
        coverage_of_ai=0.8,
        threshold_real=threshold_real,
        threshold_ai=threshold_ai,
        real=20,
        ai=20,
        typical_real=-1.0,
    )
    return replace(made, **changes)


RED_LOGITS = 8.0  # from no red, a logit of -4, to all red


def red_head(dropout: float = 0.0) -> DropoutHead:
    """A head that says "ai" of red."""
    return colour_head((1, 0, 0), dropout)


def colour_head(colour: tuple[int, int, int], dropout: float = 0.0) -> DropoutHead:
    """A head that says "ai" of red, of green or of blue."""
    layer = Layer(
        weight=np.array([colour], np.float32) * np.float32(RED_LOGITS),
        bias=np.array([-RED_LOGITS / 2], np.float32),
        relu=False,
        dropout=dropout,
    )
    mean, scale = np.zeros(3, np.float32), np.ones(3, np.float32)
    return DropoutHead(mean=mean, scale=scale, layers=(layer,), samples=64)


def one_class(fitted: Calibration, *weights: float) -> Fusion:
    """A fusion without classes of quality; of one crop, unless weights are given."""
    return Fusion(weights=(weights or (1.0,),), calibrations=(fitted,), overall=fitted)


def eye_branch(name: str, margin: float, head: DropoutHead) -> Branch:
    """What judges crops that `Eye` sees: a blue of one half was "never seen"."""
    return Branch(
        name=name,
        crop=CropConfig(size_px=16, margin=margin),
        head=head,
        ood=OodScorer(
            mean=head.mean,
            scale=head.scale,
            basis=np.array([[0, 0, 1]], np.float32),
            variance=np.ones(1, np.float32),
            residual=1e6,
            limit=0.25,
        ),
    )


def see_through(finder: Finder, backbone: Eye | None = None) -> Detector:
    """A detector that one can see through: red says AI, a blue of one half "never seen"."""
    return Detector(
        finder=finder,
        backbone=backbone or Eye(),
        parts=Parts(
            spec=Eye.spec,
            pooling=("mean",),
            branches=(eye_branch("face", 1.0, red_head()),),
            fusion=one_class(calibration()),
            fast=None,
            min_face_px=16.0,
        ),
        model="0123456789ab",
    )


EDGE_PX = 30.0  # where large faces begin


def see_around(finder: Finder, backbone: Eye | None = None) -> Detector:
    """The same with a second, wider crop, in which green says AI.

    Of a face under `EDGE_PX` the context counts three times as much as the face; of a larger one a
    third. The fast way is that of `see_through`.
    """
    plain = see_through(finder, backbone)
    fusion = Fusion(
        edges_px=(EDGE_PX,),
        weights=((0.25, 0.75), (0.75, 0.25)),
        intercepts=(0.5, -0.5),
        calibrations=(calibration(0.3, 0.3), calibration(0.1, 0.1)),
        overall=calibration(),
    )
    branches = (*plain.parts.branches, eye_branch("context", 2.0, colour_head((0, 1, 0))))
    return replace(
        plain,
        parts=replace(plain.parts, branches=branches, fusion=fusion, fast=plain.parts.fusion),
    )


Place = tuple[float, float, float, float]
Colour = tuple[float, float, float]
LARGE, MIDDLE, SMALL = (0.0, 0.0, 60.0, 60.0), (80.0, 0.0, 40.0, 40.0), (150.0, 0.0, 20.0, 20.0)
TINY = (180.0, 50.0, 15.0, 15.0)
AI, REAL, TORN, STRANGE = (1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (1.0, 0.0, 0.6)


def squares(*faces: tuple[Place, Colour]) -> UInt8[ndarray, "100 200 3"]:
    """Squares of one colour each (in [0, 1]) on black, 200 px wide and 100 px high."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    for (left, top, width, height), colour in faces:
        place = slice(int(top), int(top + height)), slice(int(left), int(left + width))
        pixels[place] = np.rint(np.array(colour) * 255)
    return pixels


def sees(*faces: tuple[Place, Colour]) -> tuple[Detector, UInt8[ndarray, "100 200 3"]]:
    """A see-through detector that finds these faces, and the picture that shows them."""
    return see_through(FakeFinder(tuple(place for place, _ in faces))), squares(*faces)


def random_head(
    features: int, *, hidden: int = 16, samples: int = 50, seed: int = 0, relu: bool = True
) -> DropoutHead:
    """Two layers with dropout 0.2, of random weights; linear all over without the ReLU."""
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
        layers=(layer(hidden, features, relu), layer(1, hidden, False)),
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
    crops = np.stack([extract_crop(one, frame, crop) for one in painted])
    return Detector(
        finder=FakeFinder(),
        backbone=tiny_backbone,
        parts=Parts(
            spec=tiny_backbone.spec,
            pooling=("cls", "mean"),
            branches=(_branch("face", crop, crops, tiny_backbone, seed=0),),
            fusion=one_class(
                calibration(
                    0.6,
                    0.6,
                    slope=2.0,
                    intercept=-0.1,
                    coverage_of_reals=0.9,
                    coverage_of_ai=0.9,
                    typical_real=-0.5,
                )
            ),
            fast=None,
            min_face_px=16.0,
        ),
        model="0123456789ab",
    )


def _branch(
    name: str, crop: CropConfig, crops: ndarray, backbone: OnnxBackbone, seed: int
) -> Branch:
    """A branch with a random head, which knows these crops."""
    features = np.stack([pool(one, ("cls", "mean")) for one in backbone.tokens(crops)])
    head = replace(
        random_head(features.shape[1], seed=seed),
        mean=features.mean(axis=0),
        scale=features.std(axis=0),
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
    ood = replace(scorer, limit=2 * max(scorer.raw(one) for one in features))
    return Branch(name=name, crop=crop, head=head, ood=ood)


WIDE = (56.0, 36.0, 48.0, 48.0)
"""A face in 120 x 160 px, with room around it: what `wide_detector` "was trained on"."""


@pytest.fixture(scope="session")
def wide_detector(tiny_backbone: OnnxBackbone) -> Detector:
    """A detector of two crops, face and context, with heads of their own; sees one face, always.

    Faces from 40 px on weigh the crops otherwise than smaller ones, and have another calibration.
    It also has a fast way.
    """
    size, names = tiny_backbone.spec.image_px, {"face": 1.3, "context": 2.4}
    painted = [Image.fromarray(paint_faces(120, 160, WIDE, seed=seed)) for seed in range(40)]
    box = face_at(*WIDE).box
    branches = []
    for seed, (name, margin) in enumerate(names.items()):
        crop = CropConfig(size_px=size, margin=margin, least_px=round(size * margin / 1.3))
        area = crop_box(box, crop, 160, 120)
        crops = np.stack([extract_crop(one, area, crop) for one in painted])
        branches.append(_branch(name, crop, crops, tiny_backbone, seed=seed + 1))
    kept = {"coverage_of_reals": 0.9, "coverage_of_ai": 0.9}
    small, large, all_of_them, alone = (
        calibration(0.6, 0.6, slope=slope, intercept=intercept, **kept)
        for slope, intercept in ((1.5, 0.2), (2.0, -0.1), (1.8, 0.0), (1.2, 0.3))
    )
    return Detector(
        finder=FakeFinder((WIDE,)),
        backbone=tiny_backbone,
        parts=Parts(
            spec=tiny_backbone.spec,
            pooling=("cls", "mean"),
            branches=tuple(branches),
            fusion=Fusion(
                edges_px=(40.0,),
                weights=((0.4, 0.9), (0.8, 0.3)),
                intercepts=(0.2, -0.3),
                calibrations=(small, large),
                overall=all_of_them,
            ),
            fast=Fusion(
                edges_px=(40.0,),
                weights=((1.1,), (0.9,)),
                intercepts=(0.1, -0.2),
                calibrations=(alone, replace(alone, slope=1.4)),
                overall=alone,
            ),
            min_face_px=16.0,
        ),
        model="0123456789ab",
    )


OF_A_BRANCH = ("crop", "head", "ood", "surrogate")


def with_parts(detector: Detector, **parts: Any) -> Detector:
    """Return the detector with other parts of its model.

    Names are those of `Parts`; those of `Branch` are of the first crop, and `calibration` serves
    all classes of quality: with_parts(detector, calibration=..., head=...).
    """
    own = {name: parts.pop(name) for name in OF_A_BRANCH if name in parts}
    first, *others = detector.parts.branches
    if own:
        parts["branches"] = (replace(first, **own), *others)
    if "calibration" in parts:
        fitted = parts.pop("calibration")
        fusion = detector.parts.fusion
        parts["fusion"] = replace(fusion, calibrations=(fitted,), overall=fitted)
    return replace(detector, parts=replace(detector.parts, **parts))


def fitted_of(detector: Detector) -> Calibration:
    """The calibration of a detector without classes of quality."""
    (only,) = detector.parts.fusion.calibrations
    return only


@pytest.fixture(scope="session")
def tiny_model(
    tiny_detector: Detector,
    tiny_export: Callable[[str], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The parts of `tiny_detector` as a model folder, for `Detector.load`. Copy before changing."""
    return _written(tiny_detector, tiny_export, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def wide_model(
    wide_detector: Detector,
    tiny_export: Callable[[str], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The same of `wide_detector`; its card has error rates, which are of all crops."""
    return _written(wide_detector, tiny_export, tmp_path_factory.mktemp("wide"), {"test": RATES})


RATES = {
    "real_called_ai": [0.02, 0.01, 0.04],
    "ai_called_ai": [0.6, 0.5, 0.7],
    "ai_called_real": [0.05, 0.02, 0.1],
    "real_called_real": [0.5, 0.4, 0.6],
}
"""Error rates of a model, as a card has them."""


def _written(
    detector: Detector,
    tiny_export: Callable[[str], Any],
    path: Path,
    measured: dict[str, Any] | None = None,
) -> Path:
    card, tensors, explainer = disassemble(detector.parts)
    if measured:
        card["measured"] = measured
    write_model(path, card, tensors, tiny_export("vit").path, explainer)
    return path
