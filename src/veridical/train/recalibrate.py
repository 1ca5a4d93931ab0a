"""Fit a model's calibration again, on the pictures of those who use it.

A threshold that was set on other people's pictures promises nothing about yours. A set of your own
real pictures is enough to promise one thing: how many real ones are called `ai`. With AI-generated
ones too, the probabilities are fitted again. The network and the head stay as they are.

A picture counts once, by the face with the highest P(ai): one such face makes the picture `ai`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from veridical._version import VERSION
from veridical.arrays import Float, ndarray
from veridical.errors import DataError, TooFewPhotos, VeridicalError
from veridical.infer.calibration import (
    HALVINGS,
    Calibration,
    conformal_quantile,
    conformal_rank,
)
from veridical.infer.head import sigmoid
from veridical.infer.platt import platt
from veridical.io import preflight
from veridical.io.labels import counted
from veridical.io.model import ModelFolder, write_model
from veridical.report import Estimate, Failure
from veridical.stats.intervals import share_beyond

RECALIBRATION = "veridical.recalibration/1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """What a model's head gives for a folder of pictures of one class.

    Attributes:
        folder: Its name, without where it lies.
        logits: For each picture that can be judged, samples of the head's own logit of each face.
        failures: Pictures that could not be read, or are copies of others.
        faceless: Pictures without a face that is large enough.
    """

    folder: str
    logits: tuple[Float[ndarray, "_ samples"], ...]
    failures: tuple[Failure, ...]
    faceless: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalibration:
    """A calibration fitted on the user's pictures, and what it promises.

    Attributes:
        calibration: To be used instead of the model's.
        fpr: The share of real pictures called `ai` that was asked for, at most.
        rank: Which of the sorted P(ai) of the real pictures became the threshold, from 1.
        reached: The share that is expected, and the 95 % interval of what it is for this one set
            of pictures.
        shift: What was added to the intercept so that the typical real picture gets the logit that
            the model's own did, nats; None where slope and intercept were fitted.
        real: Name of the folder of real pictures.
        ai: Name of the folder of AI-generated ones; None without.
    """

    calibration: Calibration
    fpr: float
    rank: int
    reached: Estimate
    shift: float | None
    real: str
    ai: str | None


# --- the pictures ------------------------------------------------------------------------------


def distinct(paths: Iterable[Path | Failure]) -> Iterator[Path | Failure]:
    """Pass pictures on, and a `Failure` for each that is a copy of an earlier one, to the byte.

    A promise from n pictures needs n pictures: two copies of one say no more than one.
    """
    seen: dict[bytes, Path] = {}
    for path in paths:
        try:
            digest = b"" if isinstance(path, Failure) else _digest(path)
        except OSError:  # the error comes when it is judged
            digest = b""
        if digest and digest in seen and isinstance(path, Path):
            error = f"{path}: is, to the byte, a copy of {seen[digest]}."
            yield Failure(path=str(path), error=error, hint="Nothing to do: one of them counts.")
            continue
        if digest and isinstance(path, Path):
            seen[digest] = path
        yield path


def _digest(path: Path) -> bytes:
    if not path.is_file():  # a pipe would never end
        return b""
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()


def gather(
    folder: Path,
    paths: Sequence[Path | Failure],
    outcomes: Iterable[Float[ndarray, "_ samples"] | Failure],
) -> Pictures:
    """Sort the outcomes of a folder.

    Args:
        folder: Where the pictures came from; only its last name is kept.
        paths: The pictures.
        outcomes: For each what `Detector.logits` gave, or a failure.
    """
    logits, failures, faceless = [], [], []
    for path, outcome in zip(paths, outcomes, strict=True):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        elif len(outcome):
            logits.append(outcome)
        elif isinstance(path, Path):
            faceless.append(path)
    return Pictures(
        folder=folder.resolve().name,
        logits=tuple(logits),
        failures=tuple(failures),
        faceless=tuple(faceless),
    )


# --- before the work ---------------------------------------------------------------------------


def lacking(
    real: Sequence[Path | Failure],
    ai: Sequence[Path | Failure] | None,
    out: Path,
    *,
    fpr: float,
    coverage_of_ai: float,
    model: Path,
) -> list[VeridicalError]:
    """Return an error about everything that is known to be missing for a calibration.

    Whether a picture shows a face is found out later.

    Args:
        real: Distinct real pictures.
        ai: Distinct AI-generated ones; None without.
        out: Folder to write.
        fpr: Share of real pictures that may be called `ai`, in (0, 1).
        coverage_of_ai: The model's own.
        model: Its folder, which is copied.
    """
    found: list[VeridicalError] = []
    asked = [(real, "real", checked_rate(fpr), "--reals")]
    if ai is not None:
        asked.append((ai, "AI-generated", 1 - coverage_of_ai, "--ai"))
    for paths, kind, rate, option in asked:
        own = [path for path in paths if isinstance(path, Path)]
        why = preflight.unusable(own)
        if conformal_rank(len(own) - len(why), 1 - rate) > len(own) - len(why):
            copies = len(paths) - len(own)
            left_out = f" {copies} are copies or hold no pictures." if copies else ""
            found.append(
                _few(len(own) - len(why), kind, rate, option, left_out + preflight.said(why))
            )
    return found + preflight.folders({out: preflight.size_of(model)})


# --- the calibration ---------------------------------------------------------------------------


def recalibrate(
    old: Calibration, real: Pictures, ai: Pictures | None = None, *, fpr: float = 0.01
) -> Recalibration:
    """Fit a calibration on real pictures, or on both kinds.

    With real pictures alone the intercept is moved so that the median of their logits is that of
    the model's own held-out real ones. With both, slope and intercept are fitted (`infer.platt`).
    Both classes weigh the same, and Platt's softened targets keep the slope finite where the
    classes do not overlap (Platt, 1999, section 2.2).

    `real` is then taken off the prediction set where P(ai) is above the conformal quantile of the
    real pictures' P(ai) at coverage 1 - fpr. This differs from the textbook in one way: the affine
    map was fitted on the same pictures. With one sample of the logit it would not change their
    order, and nothing would be lost; with many samples it may, a little.

    Args:
        old: The model's calibration.
        real: The user's real pictures.
        ai: The user's AI-generated pictures, if there are any.
        fpr: Share of real pictures that may be called `ai`, in (0, 1).

    Raises:
        TooFewPhotos: If there are too few pictures to promise this.
        DataError: If the model ranks real pictures above AI-generated ones.
        ValueError: If `fpr` is not between 0 and 1.
    """
    count = len(real.logits)
    rank = conformal_rank(count, 1 - checked_rate(fpr))
    if rank > count:
        raise _few(count, "real", fpr, "--reals")
    of_ai = old.coverage_of_ai
    if ai is not None and conformal_rank(len(ai.logits), of_ai) > len(ai.logits):
        raise _few(len(ai.logits), "AI-generated", 1 - of_ai, "--ai")
    shift, threshold_ai = None, old.threshold_ai
    if ai is None:
        shift = old.typical_real - _typical(real, old.slope, old.intercept)
        slope, intercept = old.slope, old.intercept + shift
    else:
        slope, intercept = _refitted(real, ai)
        threshold_ai = conformal_quantile(1 - _p_ai(ai, slope, intercept), of_ai)
    p_real = _p_ai(real, slope, intercept)
    threshold_real = conformal_quantile(p_real, 1 - fpr)
    calibration = Calibration(
        slope=slope,
        intercept=intercept,
        coverage_of_reals=1 - fpr,
        coverage_of_ai=of_ai,
        threshold_real=threshold_real,
        threshold_ai=threshold_ai,
        real=count,
        ai=old.ai if ai is None else len(ai.logits),
        typical_real=_typical(real, slope, intercept),
        # A picture counts once, by its worst face: the promise is the picture's already.
        tail=(threshold_real,) * HALVINGS,
    )
    return Recalibration(
        calibration=calibration,
        fpr=fpr,
        rank=rank,
        reached=share_beyond(count, rank),
        shift=shift,
        real=real.folder,
        ai=None if ai is None else ai.folder,
    )


def checked_rate(fpr: float) -> float:
    """Return the rate.

    Raises:
        ValueError: If it is not a share between 0 and 1.
    """
    if not 0 < fpr < 1:
        raise ValueError(
            "The rate of real pictures called ai is a share, more than 0 and less than 1; got "
            f"{fpr}. One in a hundred is 0.01."
        )
    return fpr


def _few(count: int, kind: str, rate: float, option: str, why: str = "") -> TooFewPhotos:
    needed = ceil(1 / rate - 1e-9) - 1  # the smallest n with (n + 1) * rate >= 1
    other = f", or ask for --fpr {ceil(1000 / (count + 1)) / 1000:g}" if kind == "real" else ""
    return TooFewPhotos(
        f"{counted(count, f'{kind} picture')} can be judged; to be wrong about at most "
        f"{_percent(rate)} of them takes at least {needed}.{why}",
        hint=f"Put more pictures into the folder of {option}{other if count else ''}.",
    )


def _refitted(real: Pictures, ai: Pictures) -> tuple[float, float]:
    leads = np.concatenate([_leads(real), _leads(ai)])
    reals, ais = len(real.logits), len(ai.logits)
    # Platt (1999), section 2.2: targets of 1 / (n + 2) and (n + 1) / (n + 2).
    target = np.repeat([1 / (reals + 2), (ais + 1) / (ais + 2)], [reals, ais])
    weights = np.repeat([0.5 / reals, 0.5 / ais], [reals, ais])
    slope, intercept = platt(leads, target, weights)
    if slope <= 0:
        raise DataError(
            f"The model gives the real pictures in {real.folder!r} a higher P(ai) than the "
            f"AI-generated ones in {ai.folder!r}; no calibration can correct that.",
            hint="Check that --reals and --ai are not swapped. If they are not, train a model.",
        )
    return slope, intercept


def _leads(pictures: Pictures) -> Float[ndarray, "n samples"]:
    """Return each picture's samples, of the face with the highest mean logit."""
    return np.stack([z[np.argmax(z.mean(axis=1))] for z in pictures.logits])


def _typical(pictures: Pictures, slope: float, intercept: float) -> float:
    highest = _highest(pictures, np.concatenate(pictures.logits).mean(axis=1))
    return float(np.median(slope * highest + intercept))


def _p_ai(pictures: Pictures, slope: float, intercept: float) -> Float[ndarray, " n"]:
    """Return the highest P(ai) of each picture's faces."""
    raw = np.concatenate(pictures.logits)
    return _highest(pictures, sigmoid(slope * raw + intercept).mean(axis=1))


def _highest(pictures: Pictures, of_faces: Float[ndarray, " faces"]) -> Float[ndarray, " n"]:
    """Return each picture's highest number of those of its faces."""
    starts = np.cumsum([0, *(len(z) for z in pictures.logits[:-1])])
    highest: ndarray = np.maximum.reduceat(of_faces, starts)
    return highest


# --- the model ---------------------------------------------------------------------------------


def write(out: Path, model: ModelFolder, made: Recalibration) -> ModelFolder:
    """Write the model with its new calibration; the rest is copied.

    The error rates in the old card were measured with the old calibration, and are left out.

    Args:
        out: Folder to write.
        model: The model that the pictures were judged with.
        made: What was fitted on them.
    """
    dropped = ("schema", "files", "measured")
    card = {key: value for key, value in model.card.items() if key not in dropped}
    # One calibration for all classes of quality: the user's pictures are of one kind.
    own = asdict(made.calibration)
    card["fusion"] = {**card["fusion"], "calibrations": [own], "overall": own}
    card["fast"] = None
    card |= {
        "calibrated_on": _on(made),
        "recalibrated": record(made, model.identity),
    }
    return write_model(out, card, model.tensors, model.backbone, model.explainer)


def record(made: Recalibration, identity: str) -> Mapping[str, Any]:
    """Return what a card says of a recalibration.

    Args:
        made: The recalibration.
        identity: Identity of the model that it started from.
    """
    return {
        "schema": RECALIBRATION,
        "from": identity[:12],
        "with": f"veridical {VERSION}",
        "on": datetime.now(UTC).date().isoformat(),
        "real": {"folder": made.real, "pictures": made.calibration.real},
        "ai": made.ai and {"folder": made.ai, "pictures": made.calibration.ai},
        "fpr": {
            "asked": made.fpr,
            "expected": made.reached.value,
            "interval": [made.reached.low, made.reached.high],
            "rank": made.rank,
        },
        "shift": made.shift,
    }


def describe(made: Recalibration) -> Iterator[str]:
    """Return what was done and what it promises, in sentences."""
    calibration, reached = made.calibration, made.reached
    yield f"Calibrated on {_on(made)}."
    if made.shift is not None:
        yield (
            f"The intercept moved by {made.shift:+.3f} nats: your typical real picture now gets "
            "the logit that a typical real picture got when the model was made."
        )
    else:
        yield (
            f"Slope and intercept were fitted again: {calibration.slope:.4g} and "
            f"{calibration.intercept:+.4g} nats."
        )
    yield (
        f"At most {_percent(made.fpr)} of real pictures like these are called ai, averaged over "
        f"all sets of {calibration.real} that you might have picked: {_percent(reached.value)} is "
        "expected beyond the threshold, and the other checks only take verdicts back."
    )
    yield (
        f"For the set that you picked, the share beyond the threshold lies between "
        f"{_percent(reached.low)} and {_percent(reached.high)} (95 %): there are "
        f"{calibration.real} real pictures, {calibration.real - made.rank} of them beyond it. More "
        "pictures make this range narrower."
    )


def _on(made: Recalibration) -> str:
    count = made.calibration
    ai = f" and {count.ai} AI-generated ones in {made.ai!r}" if made.ai is not None else ""
    return f"the user's own pictures: {count.real} real ones in {made.real!r}{ai}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
