"""Labelled pictures in, a model folder out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from veridical._version import VERSION
from veridical.detector import Detector, default_model, head_to, spec_from, surrogate_to
from veridical.engines import Engine
from veridical.errors import ModelDamaged, NotAViT, OneClassOnly, TooFewPhotos
from veridical.io.model import BACKBONE, CARD, ModelFolder, read_model, write_model
from veridical.io.samples import Sample
from veridical.io.splits import subsample
from veridical.train.audit import Audit, audit, refuse_confounded
from veridical.train.audit_files import record
from veridical.train.explainer import SETS, FittedSurrogate, fit_surrogate, measure
from veridical.train.export import Export, export
from veridical.train.features import FeatureExtractor, FeatureSet, Track, untracked
from veridical.train.fit import Fitted, fit
from veridical.train.recipes import Recipe
from veridical.vision.backbone import OnnxBackbone
from veridical.vision.faces import CropConfig, FaceFinder

_MIN_FACE_PX = 40  # smaller faces are neither learnt from nor judged
_FEWEST = 20  # pictures with a face per class: below, not even the splits make sense


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What came of training.

    Attributes:
        folder: The model.
        looks: What the backbone saw; names the pictures that were left out.
        fitted: The learnt parts.
        audit: How well the class can be guessed without looking at the face.
    """

    folder: ModelFolder
    looks: FeatureSet
    fitted: Fitted
    audit: Audit


def train(
    samples: Sequence[Sample],
    out: Path,
    *,
    backbone: str | None,
    recipe: Recipe,
    engine: Engine,
    cache: Path,
    seed: int = 0,
    image_px: int | None = None,
    precision: str | None = None,
    threads: int = 1,
    track: Track[Sample] = untracked,
    say: Callable[[str], None] = lambda _: None,
    notes: Mapping[str, Any] | None = None,
    allow_confounds: bool = False,
    most: int | None = None,
) -> Trained:
    """Train a model on labelled pictures and write its folder.

    The pictures are audited first. What the audit finds goes into the card; where it refuses, no
    picture is looked at.

    Args:
        samples: Labelled pictures.
        out: Folder to write; an old model in it is replaced at the very end, and other files
            stay.
        backbone: Hugging Face name or local folder of a ViT; or a model folder, whose backbone is
            taken as it is; None for the model in the package.
        recipe: What to fit.
        engine: Pictures looked at at a time.
        cache: Folder for exported backbones and features; an interrupted run goes on from it.
        seed: Of splits, initial weights, dropout and order.
        image_px: Side of the square the backbone looks at; None for its own.
        precision: "fp32" (the default) or "int8", for a backbone that is exported.
        threads: Threads of one look; 1 where the engine has several jobs.
        track: Shows progress.
        say: Told what is being done.
        notes: Put into the card as they are (where the pictures came from, under which licence).
        allow_confounds: Train on pictures that the audit refuses.
        most: Pictures of each source (and generator) that are used, drawn by the seed; None for
            all of them.

    Raises:
        Confounded: If the class can be guessed without looking at a face.
        VeridicalError: If the backbone or the data cannot be used; see the errors' tree.
    """
    samples = samples if most is None else subsample(samples, most, seed)
    say("Preparing the backbone")
    made = _backbone(backbone, cache, recipe, image_px, precision)
    framing = CropConfig(
        size_px=made.spec.image_px, through_px=recipe.through_px, whole=recipe.whole
    )
    finder = FaceFinder(threads)
    audited = audit(
        # Pseudo-fakes are real pictures, sent through a decoder and saved anew by ourselves.
        [sample for sample in samples if sample.generator not in recipe.pseudo],
        finder=finder,
        crop_config=framing,
        views=recipe.views,
        engine=engine,
        seed=seed,
        track=track,
    )
    if not allow_confounds:
        refuse_confounded(audited)
    extractor = FeatureExtractor(
        finder=finder,
        backbone=OnnxBackbone(made.path, made.spec, threads),
        backbone_hash=made.sha256,
        crop_config=framing,
        pooling=recipe.pooling,
        views=recipe.views,
        min_face_px=float(_MIN_FACE_PX),
        cache=cache,
    )
    looks = extractor.look(samples, engine, track)
    _refuse_few(looks, len(samples))
    fitted = fit(looks, recipe, seed=seed, say=say)
    explained = _explained(extractor, fitted, looks, recipe, engine, track)
    say("Writing the model")
    head_card, tensors = head_to(fitted.head)
    tensors |= {
        "outlier.basis": fitted.outlier.basis,
        "outlier.variance": fitted.outlier.variance,
    }
    card = {
        "made": {"with": f"veridical {VERSION}", "on": datetime.now(UTC).date().isoformat()},
        "labels": {"positive": "ai", "negative": "real"},
        "backbone": asdict(made.spec),
        "parity": {
            "torch_onnx": made.parity,
            "agreement_with_fp32": made.agreement,
        },
        "framing": asdict(framing),
        "pooling": list(recipe.pooling),
        "min_face_px": _MIN_FACE_PX,
        "head": head_card,
        "calibration": asdict(fitted.calibration),
        "calibrated_on": fitted.calibrated_on,
        "outlier": {"residual": fitted.outlier.residual, "limit": fitted.outlier.limit},
        "recipe": asdict(recipe),
        "seed": seed,
        "trained_on": _tally(looks, fitted, most),
        "audit": record(audited),
        "notes": dict(notes or {}),
        "explainer": explained.record if explained else {},
    }
    rule = surrogate_to(explained.rule) if explained else None
    folder = write_model(out, card, tensors, made.path, rule)
    return Trained(folder=folder, looks=looks, fitted=fitted, audit=audited)


def _backbone(
    name: str | None, cache: Path, recipe: Recipe, image_px: int | None, precision: str | None
) -> Export:
    path = default_model() if name is None else Path(name)
    if not (path / CARD).is_file() and name is not None:
        return export(
            name,
            cache / "backbones",
            layers=recipe.blocks,
            image_px=image_px,
            precision=precision or "fp32",
        )
    folder = read_model(path)
    try:
        spec = spec_from(folder.card)
        parity = folder.card["parity"]
        measured = parity["torch_onnx"], parity["agreement_with_fp32"]
    except (AttributeError, KeyError, TypeError, ValueError) as foreign:
        raise ModelDamaged(
            f"The card in {path} does not say what its backbone is and how it was checked "
            f"({foreign!r}).",
            hint="Perturbation the whole folder again, or name a Hugging Face model with --backbone.",
        ) from foreign
    other_size = image_px not in (None, spec.image_px)
    other_precision = precision not in (None, spec.precision)
    if spec.final_norm == bool(recipe.layers) or other_size or other_precision:
        raise NotAViT(
            f"The backbone in {path} is {spec.precision}, looks at {spec.image_px} px and gives "
            f"blocks {list(spec.layers)}; recipe {recipe.name!r} and options ask for another.",
            hint="Name a Hugging Face model with --backbone; it is exported as needed.",
        )
    return Export(
        path=folder.backbone,
        spec=spec,
        parity=measured[0],
        agreement=measured[1],
        sha256=folder.card["files"][BACKBONE],
    )


def _explained(
    extractor: FeatureExtractor,
    fitted: Fitted,
    looks: FeatureSet,
    recipe: Recipe,
    engine: Engine,
    track: Track[Sample],
) -> FittedSurrogate | None:
    """Fit the rule that maps are read by; None if the recipe asks for none."""
    if not recipe.explained:
        return None
    detector = Detector(
        finder=extractor.finder,
        backbone=extractor.backbone,
        crop_config=extractor.crop_config,
        pooling=extractor.pooling,
        head=fitted.head,
        calibration=fitted.calibration,
        ood=fitted.ood,
        min_face_px=extractor.min_face_px,
        model="",
        limits=extractor.limits,
    )
    samples = [sample for sample in looks.samples if sample.generator not in recipe.pseudo]
    cells = {(sample.label, sample.source, sample.generator) for sample in samples}
    few = subsample(samples, ceil(recipe.explained / len(cells)), seed=0)
    logit_drops = measure(
        detector, few, sets=SETS, engine=engine, cache=extractor.cache, track=track
    )
    return fit_surrogate(logit_drops, len(extractor.backbone.spec.layers))


def _refuse_few(looks: FeatureSet, given: int) -> None:
    counts = Counter(sample.label for sample in looks.samples)
    lost = (
        f"{given} pictures came; {len(looks.faceless)} show no face, {len(looks.too_small)} only "
        f"faces under {_MIN_FACE_PX} px, and {len(looks.unreadable)} cannot be read"
    )
    if not (counts["ai"] and counts["real"]):
        raise OneClassOnly(
            f"Of the pictures with a face, {counts['real']} are real and {counts['ai']} are "
            f"AI-generated ({lost}).",
            hint="Both classes are needed. Check a few of the pictures with `veridical inspect`.",
        )
    if min(counts["ai"], counts["real"]) < _FEWEST:
        raise TooFewPhotos(
            f"Training needs at least {_FEWEST} pictures with a face in each class; there are "
            f"{counts['real']} real and {counts['ai']} AI-generated ones ({lost}).",
            hint="Add pictures. A useful model takes hundreds per class, from many sources.",
        )


def _tally(looks: FeatureSet, fitted: Fitted, most: int | None) -> dict[str, Any]:
    cells = Counter((s.label, s.source, s.generator) for s in looks.samples)
    return {
        "pictures": len(looks.samples),
        "most_of_a_source": most,
        "without_a_face": len(looks.faceless),
        "with_too_small_a_face": len(looks.too_small),
        "unreadable": len(looks.unreadable),
        "parts": dict(fitted.counts),
        "sources": [
            {"label": label, "source": source, "generator": generator, "pictures": count}
            for (label, source, generator), count in sorted(cells.items())
        ],
    }
