"""Labelled pictures in, a model folder out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any

from veridical._version import VERSION
from veridical.assembly import Branch, Parts, default_model, disassemble, spec_of
from veridical.detector import Detector
from veridical.engines import Engine
from veridical.errors import ModelDamaged, NotAViT, OneClassOnly, TooFewPhotos
from veridical.io.model import BACKBONE, CARD, ModelFolder, read_model, write_model
from veridical.io.preflight import refuse, written
from veridical.io.samples import Sample, composition
from veridical.io.splits import subsample
from veridical.train.audit import Audit, audit, refuse_confounded
from veridical.train.audit_files import record
from veridical.train.covering import SETS, measure
from veridical.train.explainer import FittedSurrogate, fit_surrogate
from veridical.train.export import Export, export
from veridical.train.features import FeatureExtractor, FeatureSet
from veridical.train.fit import Fitted, fit
from veridical.train.prepare import Say, Track, unsaid, untracked
from veridical.train.ready import FEWEST, lacking, model_folder, remarks
from veridical.train.recipes import Recipe
from veridical.train.weights import cell_of
from veridical.vision.backbone import OnnxBackbone
from veridical.vision.faces import FaceFinder

_MIN_FACE_PX = 40  # smaller faces are neither learnt from nor judged


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What came of training.

    Attributes:
        folder: The model.
        features: Features of the pictures; names those that were left out.
        fitted: The learnt parts.
        audit: How well the class can be guessed without looking at the face.
    """

    folder: ModelFolder
    features: FeatureSet
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
    say: Say = unsaid,
    notes: Mapping[str, Any] | None = None,
    allow_confounds: bool = False,
    per_source: int | None = None,
) -> Trained:
    """Train a model on labelled pictures and write its folder.

    What is known to be missing is said before anything is done (`ready.py`). The pictures are
    audited first. What the audit finds goes into the card; where it refuses, no
    features are extracted. Every picture is decoded once (`prepare.py`).

    Args:
        samples: Labelled pictures.
        out: Folder to write; an old model in it is replaced at the very end, and other files
            stay.
        backbone: Hugging Face name or local folder of a ViT; or a model folder, whose backbone is
            taken as it is; None for the model in the package.
        recipe: What to fit.
        engine: How many pictures at a time.
        cache: Folder for exported backbones and what is known of pictures; an interrupted run goes
            on from it.
        seed: Random seed, for splits, initial weights, dropout and order.
        image_px: Side of the square that the backbone takes; None for its own.
        precision: "fp32" (the default) or "int8", for a backbone that is exported.
        threads: Threads of one forward pass; 1 where the engine has several jobs.
        track: Shows progress.
        say: Told what is being done.
        notes: Put into the card as they are (where the pictures came from, under which licence).
        allow_confounds: Train on pictures that the audit refuses.
        per_source: Pictures of each source and generator that are used, drawn by the seed; None
            for all of them.

    Raises:
        NotReady: If several things are missing; one alone is raised as what it is.
        Confounded: If the class can be guessed without looking at a face.
        VeridicalError: If the backbone or the data cannot be used; see the errors' tree.
    """
    samples = samples if per_source is None else subsample(samples, per_source, seed)
    model = model_folder(backbone, default_model())
    refuse(lacking(samples, out, cache=cache, recipe=recipe, backbone=model, track=track, say=say))
    for note in remarks(samples, recipe):
        say(note)
    say("Preparing the backbone")
    made = _backbone(backbone, cache, recipe, image_px, precision)
    configs = recipe.configs(made.spec.image_px)
    extractor = FeatureExtractor(
        finder=FaceFinder(threads),
        backbone=OnnxBackbone(made.path, made.spec, threads),
        backbone_hash=made.sha256,
        configs=configs,
        pooling=recipe.pooling,
        views=recipe.views,
        min_face_px=float(_MIN_FACE_PX),
        cache=cache,
    )
    audited = audit(
        # Pseudo-fakes are real pictures, sent through a decoder and saved again by ourselves.
        [sample for sample in samples if sample.generator not in recipe.pseudo],
        finder=extractor.finder,
        configs=configs,
        views=recipe.views,
        engine=engine,
        seed=seed,
        track=track,
        say=say,
        cache=cache,
    )
    if not allow_confounds:
        refuse_confounded(audited)
    features = extractor.extract(samples, engine, track, say)
    _refuse_few(features, len(samples))
    fitted = fit(features, recipe, seed=seed, say=say)
    parts = Parts(
        spec=made.spec,
        pooling=recipe.pooling,
        branches=tuple(
            Branch(name=name, crop=config, head=head, ood=ood)
            for (name, _), config, head, ood in zip(
                recipe.crops, configs, fitted.heads, fitted.oods, strict=True
            )
        ),
        fusion=fitted.fusion,
        fast=fitted.fast,
        min_face_px=_MIN_FACE_PX,
    )
    explained = _explained(extractor, parts, features, recipe, engine, track, say)
    if explained:
        branches = (
            replace(branch, surrogate=one.surrogate)
            for branch, one in zip(parts.branches, explained, strict=True)
        )
        parts = replace(parts, branches=tuple(branches))
    say("Writing the model")
    entries, tensors, explainer = disassemble(parts)
    card = {
        "made": {"with": f"veridical {VERSION}", "on": datetime.now(UTC).date().isoformat()},
        "labels": {"positive": "ai", "negative": "real"},
        "parity": {"torch_onnx": made.parity, "agreement_with_fp32": made.agreement},
        **entries,
        "calibrated_on": fitted.calibrated_on,
        "recipe": asdict(recipe),
        "seed": seed,
        "trained_on": _tally(features, fitted, per_source),
        "audit": record(audited),
        "notes": dict(notes or {}),
        "explainer": {
            branch.name: one.record for branch, one in zip(parts.branches, explained, strict=False)
        },
    }
    with written(out, f"All that training learnt from is kept in {cache}."):
        folder = write_model(out, card, tensors, made.path, explainer)
    return Trained(folder=folder, features=features, fitted=fitted, audit=audited)


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
        spec = spec_of(folder.card)
        parity = folder.card["parity"]
        measured = parity["torch_onnx"], parity["agreement_with_fp32"]
    except (AttributeError, KeyError, TypeError, ValueError) as foreign:
        raise ModelDamaged(
            f"The card in {path} does not say what its backbone is and how it was checked "
            f"({foreign!r}).",
            hint="Copy the whole folder again, or name a Hugging Face model with --backbone.",
        ) from foreign
    other_size = image_px not in (None, spec.image_px)
    other_precision = precision not in (None, spec.precision)
    if spec.final_norm == bool(recipe.layers) or other_size or other_precision:
        raise NotAViT(
            f"The backbone in {path} is {spec.precision}, takes {spec.image_px} px and gives "
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
    parts: Parts,
    features: FeatureSet,
    recipe: Recipe,
    engine: Engine,
    track: Track[Sample],
    say: Say,
) -> tuple[FittedSurrogate, ...]:
    """Fit the surrogates that make maps, one per crop; none if the recipe asks for none."""
    if not recipe.explained:
        return ()
    detector = Detector(
        finder=extractor.finder,
        backbone=extractor.backbone,
        parts=parts,
        model="",
        limits=extractor.limits,
    )
    samples = [sample for sample in features.samples if sample.generator not in recipe.pseudo]
    few = subsample(samples, ceil(recipe.explained / len({*map(cell_of, samples)})), seed=0)
    layers = len(extractor.backbone.spec.layers)
    fitted = []
    for at in range(len(parts.branches)):
        drops = measure(
            detector, few, at, sets=SETS, engine=engine, cache=extractor.cache, track=track, say=say
        )
        say(f"Fitting the maps of crop {at + 1} of {len(parts.branches)}")
        fitted.append(fit_surrogate(drops, layers))
    return tuple(fitted)


def _refuse_few(features: FeatureSet, given: int) -> None:
    counts = Counter(sample.label for sample in features.samples)
    lost = (
        f"{given} pictures came; {len(features.faceless)} show no face, "
        f"{len(features.too_small)} only faces under {_MIN_FACE_PX} px, and "
        f"{len(features.unreadable)} cannot be read"
    )
    if not (counts["ai"] and counts["real"]):
        raise OneClassOnly(
            f"{counts['real']} real and {counts['ai']} AI-generated pictures show a face ({lost}); "
            "both classes are needed.",
            hint="Check a few of the pictures with `veridical inspect`.",
        )
    if min(counts["ai"], counts["real"]) < FEWEST:
        raise TooFewPhotos(
            f"Training needs at least {FEWEST} pictures with a face in each class; there are "
            f"{counts['real']} real and {counts['ai']} AI-generated ones ({lost}).",
            hint="Add pictures. A useful model takes hundreds per class, from many sources.",
        )


def _tally(features: FeatureSet, fitted: Fitted, per_source: int | None) -> dict[str, Any]:
    return {
        "pictures": len(features.samples),
        "per_source": per_source,
        "without_a_face": len(features.faceless),
        "with_too_small_a_face": len(features.too_small),
        "unreadable": len(features.unreadable),
        "parts": dict(fitted.counts),
        "sources": composition(features.samples),
    }
