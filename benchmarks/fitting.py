"""What benchmarks that fit a head share: the pictures, the recipe and the features."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from veridical.detector import Detector
from veridical.io.dataset import read_samples
from veridical.io.samples import Sample
from veridical.io.splits import subsample
from veridical.train.features import FeatureExtractor
from veridical.train.recipes import DEFAULT

PSEUDO = (
    "taef2",
    "RealESRGAN_General_x4_v3",
    "4xLSDIRCompactC3",
    "upconv_7_photo",
    "realesrgan-x4plus",
)
"""Generators of reconstructions: they help to fit, and are never judged."""
RECIPE = replace(DEFAULT, pseudo=PSEUDO)


def asked_of(what: str | None) -> argparse.ArgumentParser:
    """Return what every benchmark that fits can be asked; `what` is its docstring."""
    parser = argparse.ArgumentParser(
        description=what, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="manifests for fitting")
    parser.add_argument("--quick", action="store_true", help="a smoke run, not a measurement")
    return parser


def training_pictures(
    detector: Detector, manifest: Path, more: Sequence[Path]
) -> tuple[Sample, ...]:
    """Return what the model was trained on: the same pictures, drawn the same way."""
    samples = [
        s for m in (manifest, *more) for s in read_samples(m, split="train", one_class=m in more)
    ]
    known = detector.card.get("trained_on", {})
    most = known.get("per_source")
    return tuple(samples) if most is None else subsample(samples, most, detector.card["seed"])


def extractor_of(detector: Detector, cache: Path, views: int = RECIPE.views) -> FeatureExtractor:
    """Return what training extracts features with, for a detector's own backbone."""
    return FeatureExtractor(
        finder=detector.finder,
        backbone=detector.backbone,
        backbone_hash=detector.card["files"]["backbone.onnx"],
        configs=detector.parts.configs,
        pooling=detector.parts.pooling,
        views=views,
        min_face_px=detector.parts.min_face_px,
        cache=cache,
    )
