"""Make pseudo-fakes: training reals, sent through a latent autoencoder.

    python scripts/make_reconstructions.py DATA/manifest.csv WEIGHTS OUT [--pictures 900] [--seed 0]

A reconstruction shows the same person in the same light, framing and compression as the real
picture it was made from; what differs is the trace of the decoder, and nothing else ("aligned"
data: Rajan et al., "Aligned Datasets Improve Detection of Latent Diffusion-Generated Images", ICLR
2025; Guillaro et al., "A Bias-Free Training Paradigm for More General AI-generated Image
Detection", CVPR 2025).
WEIGHTS is a folder with `taef2_encoder.safetensors` and `taef2_decoder.safetensors`, the tiny
autoencoder of FLUX.2's latent space (madebyollin/taesd, MIT). Writes PNG files and a manifest that
can be read beside DATA's. Interrupt it when you like: it goes on where it stopped.
"""

import argparse
import csv
from collections import defaultdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import interpolate

from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.source import read_photo
from veridical.vision.crop import CropConfig, crop_box
from veridical.vision.faces import FaceFinder

MARGIN = 1.7  # a little more than the widest training view
LARGEST_PX = 416  # of what is sent through; larger crops are shrunk first
STEP_PX = 8  # the autoencoder halves its input three times
NOISE = 0.15  # largest standard deviation added to latents; they lie in about [-3, 3]
COLUMNS = ("path", "split", "label", "source", "generator", "group")


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


def chosen(samples: list[Sample], count: int, seed: int) -> list[Sample]:
    """Draw reals in turn from every source, so that no source fills the set."""
    draw = np.random.default_rng(seed)
    queues: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        queues[sample.source].append(sample)
    for queue in queues.values():
        draw.shuffle(queue)
    picked: list[Sample] = []
    while len(picked) < count and any(queues.values()):
        for queue in queues.values():
            if queue and len(picked) < count:
                picked.append(queue.pop())
    return picked


def crop(path: Path, finder: FaceFinder) -> Image.Image | None:
    photo = read_photo(path)
    faces = finder.find(photo.image)
    if not faces:
        return None
    config = CropConfig(size_px=224)
    area = crop_box(faces[0].box, config, photo.width, photo.height, margin=MARGIN)
    side = int(min(area.width, LARGEST_PX)) // STEP_PX * STEP_PX
    box = (area.left, area.top, area.left + area.width, area.top + area.height)
    if area.width <= LARGEST_PX:  # whole pixels as they are: no resampling that the real one lacks
        left, top = int(area.left), int(area.top)
        box = (left, top, left + side, top + side)
    return photo.image.resize((side, side), Image.Resampling.LANCZOS, box=box)


def reconstruction(
    image: Image.Image, inward: nn.Module, outward: nn.Module, name: str
) -> Image.Image:
    """Send a picture through, its latents left alone, disturbed, or rounded."""
    draw = np.random.default_rng(int.from_bytes(sha256(name.encode()).digest()[:8], "big"))
    pixels = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
    with torch.no_grad():
        latents = inward(pixels)
        way = draw.integers(3)
        if way == 1:
            noise = torch.from_numpy(draw.standard_normal(latents.shape).astype(np.float32))
            latents = latents + float(draw.uniform(0.02, NOISE)) * noise
        elif way == 2:
            step = float(draw.uniform(0.05, 0.3))
            latents = torch.round(latents / step) * step
        out = outward(latents).clamp(0, 1)[0]
    return Image.fromarray((out.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--pictures", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    finder, inward, outward = FaceFinder(1), encoder(asked.weights), decoder(asked.weights)
    reals = [s for s in read_samples(asked.manifest, split=asked.split) if s.label == "real"]
    picked = chosen(reals, asked.pictures, asked.seed)
    rows = []
    for done, sample in enumerate(picked):
        name = f"{sample.source}/{sample.path.stem}.png"
        path = asked.out / name
        if not path.is_file():
            face = crop(sample.path, finder)
            if face is None:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            reconstruction(face, inward, outward, name).save(draft, "PNG", compress_level=1)
            draft.replace(path)
        source = f"taef2-of-{sample.source}"
        rows.append((name, asked.split, "ai", source, "taef2", sample.group))
        if done % 50 == 0:
            print(f"{done} of {len(picked)}", flush=True)
    with (asked.out / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)


if __name__ == "__main__":
    main()
