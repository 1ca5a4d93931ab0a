"""What training needs, checked before it begins."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from veridical.errors import OneClassOnly, TooFewPhotos, VeridicalError
from veridical.io import preflight
from veridical.io.formats import Limits
from veridical.io.model import BACKBONE, CARD
from veridical.io.samples import Label, Sample
from veridical.train.audit import MOST, PACKAGES
from veridical.train.prepare import Say, Track, unsaid, untracked
from veridical.train.recipes import Recipe

FEWEST = 20  # pictures with a face per class: with fewer even the splits make no sense
_SOURCES = 3  # of each class, to leave some out in turn; see `folds.source_folds`

# Bytes, of the usual backbone with crops of 224 px; low rather than high.
_FEATURE, _CROP = 384 * 4, 75_000
_MODEL = 100 * 10**6  # where the backbone is not known yet

_TO = "train a model"


def lacking(
    samples: Sequence[Sample] | None,
    out: Path,
    *,
    cache: Path,
    recipe: Recipe,
    backbone: Path | None,
    track: Track[Sample] = untracked,
    say: Say = unsaid,
) -> list[VeridicalError]:
    """Return an error about everything that is known to be missing.

    Whether a picture shows a face is found out later.

    Args:
        samples: Labelled pictures; None where they are not known, and not checked.
        out: Folder to write the model into.
        cache: Folder of the cache.
        recipe: What to fit.
        backbone: Model folder whose backbone is taken; None where one is exported.
        track: Shows progress.
        say: Told which pictures will be left out.
    """
    found = preflight.packages(_packages(recipe, backbone), extra="train", to=_TO)
    if samples is not None:
        found += _too_few(samples, recipe, track, say)
    model = (backbone / BACKBONE) if backbone else None
    copied = model.stat().st_size if model and model.is_file() else _MODEL
    grown = _grown(len(samples or ()), recipe) - _size(cache)
    return found + preflight.folders({out: copied, cache: max(0, grown)})


def remarks(samples: Sequence[Sample], recipe: Recipe) -> Iterator[str]:
    """Say what training can do without, and what it does then."""
    counts = {
        label: len({s.source for s in samples if s.label == label}) for label in ("real", "ai")
    }
    if recipe.out_of_source and min(counts.values()) < _SOURCES:
        yield (
            f"There are {counts['real']} sources of real pictures and {counts['ai']} of "
            f"AI-generated ones; with {_SOURCES} of each the model would be calibrated on sources "
            "that its head does not know. Here it is on groups of pictures."
        )


def _packages(recipe: Recipe, backbone: Path | None) -> Iterator[str]:
    yield from PACKAGES
    if recipe.method == "descent":
        yield "torch"
    if backbone is None:
        yield from ("torch", "transformers", "onnx", "onnxscript")


def _too_few(
    samples: Sequence[Sample], recipe: Recipe, track: Track[Sample], say: Say
) -> Iterator[VeridicalError]:
    shown = track(samples, "Checking pictures", len(samples))
    why = preflight.unusable((sample.path for sample in shown), Limits())
    usable = [sample for sample in samples if sample.path not in why]
    counts = Counter(sample.label for sample in usable)
    there = (
        f"there are {counts['real']} real and {counts['ai']} AI-generated ones "
        f"({len(samples)} pictures came).{preflight.said(why)}"
    )
    if not (counts["real"] and counts["ai"]):
        yield OneClassOnly(
            f"Training needs pictures of both classes; {there}",
            hint="Add the other class, or check --real, --ai and --split.",
        )
    elif min(counts["real"], counts["ai"]) < FEWEST:
        yield TooFewPhotos(
            f"Training needs at least {FEWEST} pictures with a face in each class; {there}",
            hint="Add pictures. A useful model takes hundreds per class, from many sources.",
        )
    else:
        if why:
            say(preflight.left_out(why, len(samples)))
        yield from _too_close(usable, recipe)


def _too_close(usable: Sequence[Sample], recipe: Recipe) -> Iterator[VeridicalError]:
    """Groups stay together: a class needs as many as there are parts to deal them out to."""
    parts = sum(share > 0 for share in recipe.shares)
    labels: tuple[Label, Label] = ("real", "ai")
    groups = {label: len({s.group for s in usable if s.label == label}) for label in labels}
    if min(groups.values()) < parts:
        yield TooFewPhotos(
            f"The real pictures are of {groups['real']} groups and the AI-generated ones of "
            f"{groups['ai']}; {parts} of each are needed, for the parts that fit, stop and "
            "calibrate the head.",
            hint="Add pictures of other people and sources, or leave the column `group` empty "
            "where pictures do not belong together.",
        )


def _grown(count: int, recipe: Recipe) -> int:
    """Return the bytes that the cache takes for so many pictures."""
    crops, width = len(recipe.crops), max(1, len(recipe.layers)) * len(recipe.pooling)
    features = count * recipe.views * crops * width * _FEATURE
    kept = count * crops * _CROP  # the first view; the others only until there are features
    return features + kept + min(count, MOST) * (recipe.views - 1) * crops * _CROP


def _size(cache: Path) -> int:
    """Return the bytes that earlier runs left."""
    return sum(one.stat().st_size for one in cache.glob("*.sqlite")) if cache.is_dir() else 0


def model_folder(backbone: str | None, default: Path) -> Path | None:
    """Return the model folder that a backbone is taken from; None where it has to be exported."""
    if backbone is None:
        return default
    return Path(backbone) if (Path(backbone) / CARD).is_file() else None
