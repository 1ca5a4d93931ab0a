"""Pictures and a detector in, the rule that its maps are read by out.

What becomes of the logit when a set of patches is covered is a fact, and costs a look. For some of
the training pictures it is measured for sets drawn at random. A linear rule is fitted to foretell
it from the tokens of the covered patches: the fall of the logit is the sum over the set of one
number per patch. With one picture alone these would be its Shapley values by least squares
(Lundberg and Lee, "A Unified Approach to Interpreting Model Predictions", NeurIPS 2017,
arXiv:1705.07874, section 4.1); with many pictures and one rule it is their amortised form (Jethani
et al., "FastSHAP", ICLR 2022, arXiv:2107.07436, section 3), here with a rule that is linear in the
tokens, so that the fit is in closed form, and with sets and weights of our own.

All is in the unit of the head's own logit, before calibration: calibrating a model anew leaves its
rule as it is.
"""

import io
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from veridical.arrays import Bool, Float, Float32, UInt8, ndarray
from veridical.detector import Detector, head_to
from veridical.engines import Engine
from veridical.errors import PhotoError, TooFewPhotos
from veridical.explain.attribution import Surrogate, cover, swapped
from veridical.io.images import Photo, read_bytes, read_photo
from veridical.io.samples import Sample
from veridical.train.features import Track, untracked

VERSION = 1  # part of the cache key: raise it when other sets are drawn, or covered otherwise
SETS = 8  # covered of each picture, where many pictures cannot be afforded
FEWEST = 10  # pictures; a rule fitted to fewer is none
FOLDS = 5
DIRECTIONS = 1024  # principal directions of the tokens that the rule may use
PENALTIES = tuple(float(10**k) for k in np.arange(-3.0, 3.01, 0.5))  # per equation
_FREE = 1e-2  # penalty of the contributions, as a share of that of the directions
_PLACES = 0.1  # the same, of the numbers per place
_SHARES = (0.03, 0.8)  # of the patches that are covered, drawn evenly in their logarithm
Filling = Literal["blur", "mean", "shuffle"]
_FILLS: tuple[Filling, ...] = ("blur", "blur", "mean", "shuffle")
_KEPT = 16  # tokens of each picture that the principal directions are taken of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogitDrops:
    """What covering did to the head's logit of one picture.

    Attributes:
        sets: What was covered.
        logit_drops: By how much the logit fell.
        sums: Of the tokens of each set, all blocks that are read in a row.
        contributions: Of every patch to the logit, without a baseline.
        tokens: Of some patches, all blocks in a row.
    """

    sets: Bool[ndarray, "sets patches"]
    logit_drops: Float[ndarray, " sets"]
    sums: Float32[ndarray, "sets channels"]
    contributions: Float[ndarray, " patches"]
    tokens: Float32[ndarray, "kept channels"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FittedSurrogate:
    """A rule, and how well it foretells.

    Attributes:
        rule: Fitted to all pictures.
        pictures: How many there were.
        sets: Covered of each.
        penalty: Chosen among `PENALTIES`.
        correlation: Pearson's, of logit_drops and what was foretold for pictures left out of the fit. Of
            both is taken what the size of the set alone tells, picture by picture: only the places
            are left.
        of_contributions: The same, of the contributions against an average picture.
    """

    rule: Surrogate
    pictures: int
    sets: int
    penalty: float
    correlation: float
    of_contributions: float

    @property
    def record(self) -> dict[str, Any]:
        """What a card says of it."""
        return {name: value for name, value in asdict(self).items() if name != "rule"}


# --- looking -------------------------------------------------------------------------------------


def measure(
    detector: Detector,
    samples: Sequence[Sample],
    *,
    sets: int,
    engine: Engine,
    cache: Path,
    track: Track[Sample] = untracked,
) -> dict[Sample, LogitDrops]:
    """Cover the largest face of every picture in `sets` ways; what is cached is not done again.

    Pictures that cannot be read, or show no face that is judged, are left out.
    """
    cache.mkdir(parents=True, exist_ok=True)
    one_look = replace(detector, copies=())
    store = sqlite3.connect(cache / f"falls-{fingerprint(detector, sets)}.sqlite")

    def work(sample: Sample) -> tuple[str, LogitDrops | None] | None:
        try:
            data = read_bytes(sample.path, detector.limits)
            digest = sha256(data).hexdigest()
            if digest in known:
                return digest, None
            return digest, logit_drops_of(one_look, read_photo(data, detector.limits), sets)
        except PhotoError:
            return None

    try:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE IF NOT EXISTS logit_drops (sha256 PRIMARY KEY, packed)")
        known = {row[0] for row in store.execute("SELECT sha256 FROM logit_drops")}
        found = {}
        told = track(samples, "Covering faces", len(samples))
        for sample, one in zip(told, engine.map(work, samples), strict=True):
            if one is None:
                continue
            digest, logit_drops = one
            if digest not in known:
                row = [digest, None if logit_drops is None else _packed(logit_drops)]
                store.execute("INSERT OR REPLACE INTO logit_drops VALUES (?, ?)", row)
                store.commit()
            else:
                query = "SELECT packed FROM logit_drops WHERE sha256 = ?"
                logit_drops = _unpacked(store.execute(query, [digest]).fetchone()[0])
            if logit_drops is not None:
                found[sample] = logit_drops
        return found
    finally:
        store.close()


def fingerprint(detector: Detector, sets: int) -> str:
    """Return twelve hex digits that change whenever a fall would."""
    card, tensors = head_to(detector.head)
    facts = [
        VERSION,
        sets,
        asdict(detector.backbone.spec),
        detector.finder.name,
        detector.crop_config.fingerprint,
        detector.pooling,
        detector.min_face_px,
        card,
        {
            name: sha256(np.ascontiguousarray(t).tobytes()).hexdigest()
            for name, t in tensors.items()
        },
    ]
    return sha256(dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def logit_drops_of(detector: Detector, photo: Photo, sets: int) -> LogitDrops | None:
    """Cover the largest face of a photo in `sets` ways; None if no face of it is judged.

    Args:
        detector: Without copies: verdicts are not asked for.
        photo: The same bytes are covered in the same ways.
        sets: How many.
    """
    _, explanations = detector.explain(photo, faithfulness=False)
    if not explanations:
        return None
    crop, slope = explanations[0].crop, detector.calibration.slope
    plain = explanations[0].gradient_x_token.patches / slope
    grid = len(plain)
    draw = np.random.default_rng(int(photo.sha256[:16], 16))
    chosen = np.stack([_set(draw, grid) for _ in range(sets)])
    coverings = {fill: covering(crop, fill, grid, draw) for fill in sorted(set(_FILLS))}
    crops = [crop]
    for number, one in enumerate(chosen):
        crops.append(swapped(crop, coverings[_FILLS[number % len(_FILLS)]], one))
    logits = detector.mean_logit(np.stack(crops)) / slope
    patches = detector.backbone.tokens(crop[None])[0].patches
    flat = patches.swapaxes(0, 1).reshape(grid * grid, -1)
    return LogitDrops(
        sets=chosen,
        logit_drops=logits[0] - logits[1:],
        sums=(chosen.astype(np.float32) @ flat),
        contributions=plain.ravel(),
        tokens=flat[draw.permutation(len(flat))[:_KEPT]],
    )


def _set(draw: np.random.Generator, grid: int) -> Bool[ndarray, " patches"]:
    """Draw a set of patches: few or many, scattered or in blobs."""
    share = np.exp(draw.uniform(*np.log(_SHARES)))
    coarse = int(draw.choice([max(2, grid // 4), max(2, grid // 2), grid]))
    noise = Image.fromarray(draw.normal(size=(coarse, coarse)).astype(np.float32))
    smooth = np.asarray(noise.resize((grid, grid), Image.Resampling.BICUBIC)).ravel()
    chosen = np.zeros(grid * grid, dtype=bool)
    chosen[np.argsort(-smooth, kind="stable")[: max(1, round(share * len(smooth)))]] = True
    return chosen


def covering(
    crop: UInt8[ndarray, "size size 3"], fill: Filling, grid: int, draw: np.random.Generator
) -> UInt8[ndarray, "size size 3"]:
    """Return what a crop looks like where it is covered: as `cover` does, or by its own patches."""
    if fill != "shuffle":
        return cover(crop, fill)
    edge = crop.shape[0] // grid
    inner = crop[: edge * grid, : edge * grid]
    tiles = inner.reshape(grid, edge, grid, edge, 3).swapaxes(1, 2).reshape(-1, edge, edge, 3)
    mixed = tiles[draw.permutation(len(tiles))].reshape(grid, grid, edge, edge, 3)
    out = crop.copy()
    out[: edge * grid, : edge * grid] = mixed.swapaxes(1, 2).reshape(inner.shape)
    return out


def _packed(logit_drops: LogitDrops) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{name: getattr(logit_drops, name) for name in LogitDrops.__slots__})
    return stream.getvalue()


def _unpacked(packed: bytes | None) -> LogitDrops | None:
    if packed is None:
        return None
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        return LogitDrops(**{name: arrays[name] for name in LogitDrops.__slots__})


# --- fitting -------------------------------------------------------------------------------------


def fit_surrogate(
    seen: Mapping[Sample, LogitDrops], layers: int, *, seed: int = 0
) -> FittedSurrogate:
    """Fit a rule to what covering did, with the penalty that foretells best what is left out.

    Args:
        seen: What covering did to each picture.
        layers: Blocks that are read.
        seed: Of the folds.

    Raises:
        TooFewPhotos: If there are fewer than `FEWEST`.
    """
    if len(seen) < FEWEST:
        raise TooFewPhotos(
            f"A rule for maps needs at least {FEWEST} pictures with a face; there are {len(seen)}.",
            hint="Add pictures, or train with a recipe that explains none (`explained` of 0).",
        )
    columns = _Columns.of(seen)
    folds = np.random.default_rng(seed).permutation(len(seen)) % FOLDS
    own = list(zip(seen.values(), folds, strict=True))
    sums = [_sums(columns.equations(one) for one, at in own if at == fold) for fold in range(FOLDS)]
    solved = [
        np.column_stack([columns.solve(rest, penalty) for penalty in PENALTIES])
        for fold in range(FOLDS)
        for rest in [reduce(_Sums.plus, sums[:fold] + sums[fold + 1 :])]
    ]
    # Rows are made anew rather than kept: of a thousand pictures they would take gigabytes.
    foretold = [_foretold(columns.equations(one), solved[fold]) for one, fold in own]
    *told, added, fell = np.concatenate(foretold).T
    scores = [_correlation(one, fell) for one in told]
    best = int(np.argmax(scores))
    return FittedSurrogate(
        rule=columns.rule(columns.solve(reduce(_Sums.plus, sums), PENALTIES[best]), layers),
        pictures=len(seen),
        sets=len(next(iter(seen.values())).logit_drops),
        penalty=PENALTIES[best],
        correlation=scores[best],
        of_contributions=_correlation(added, fell),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    """What a fall is foretold from, summed over the set that was covered.

    Contributions against the mean at their place; tokens along their principal directions; the
    number of patches; and how many there are of each place.

    Attributes:
        usual: Mean contribution per place.
        loud: Standard deviation of contributions around it.
        mean: Mean of the tokens.
        directions: From standardised tokens to numbers, divided by the tokens' spread.
    """

    usual: Float[ndarray, " patches"]
    loud: float
    mean: Float[ndarray, " channels"]
    directions: Float[ndarray, "channels directions"]

    @classmethod
    def of(cls, seen: Mapping[Sample, LogitDrops]) -> "_Columns":
        """Take means and directions of the pictures, classes counting alike."""
        ai = np.array([sample.label == "ai" for sample in seen])
        worth = np.where(ai, 0.5 / max(1, ai.sum()), 0.5 / max(1, (~ai).sum()))
        worth /= worth.sum()
        added = np.stack([logit_drops.contributions for logit_drops in seen.values()])
        usual = worth @ added
        tokens = np.concatenate([logit_drops.tokens for logit_drops in seen.values()]).astype(
            np.float64
        )
        each = np.repeat(worth, [len(logit_drops.tokens) for logit_drops in seen.values()])
        each /= each.sum()
        centre = each @ tokens
        tokens -= centre
        spread = np.maximum(np.sqrt(each @ tokens**2), 1e-6)
        tokens *= np.sqrt(each)[:, None] / spread
        most = min(DIRECTIONS, *tokens.shape)
        directions = _directions(tokens, most)
        return cls(
            usual=usual,
            loud=float(max(np.sqrt(worth @ ((added - usual) ** 2).mean(axis=1)), 1e-12)),
            mean=centre,
            directions=directions / spread[:, None],
        )

    def equations(self, logit_drops: LogitDrops) -> "_Equations":
        """Return one row and one fall per set."""
        sets = logit_drops.sets.astype(np.float64)
        size = sets.sum(axis=1, keepdims=True)
        added = sets @ (logit_drops.contributions - self.usual) / self.loud
        tokens = (logit_drops.sums - size * self.mean) @ self.directions
        rows = np.column_stack([added, tokens, size, sets])
        root = np.sqrt(size)  # the more is covered, the further off is any sum
        return _Equations(
            rows=rows / root, logit_drops=logit_drops.logit_drops / root[:, 0], root=root[:, 0]
        )

    def solve(self, sums: "_Sums", penalty: float) -> Float[ndarray, " columns"]:
        """Return the coefficients of ridge regression."""
        directions = self.directions.shape[1]
        own = np.ones(len(sums.gram))
        own[[0, 1 + directions]] = _FREE
        own[2 + directions :] = _PLACES
        solved: ndarray = np.linalg.solve(
            sums.gram + penalty * sums.count * np.diag(own), sums.moment
        )
        return solved

    def rule(self, solved: Float[ndarray, " columns"], layers: int) -> Surrogate:
        """Put centring and scaling into the coefficients."""
        directions = self.directions.shape[1]
        share = solved[0] / self.loud
        weight = self.directions @ solved[1 : 1 + directions]
        base = solved[2 + directions :] + solved[1 + directions]
        base = base - share * self.usual - self.mean @ weight
        grid = round(len(base) ** 0.5)
        return Surrogate(
            share=float(share),
            weight=weight.reshape(layers, -1).astype(np.float32),
            base=base.reshape(grid, grid),
        )


def _directions(
    x: Float[ndarray, "n channels"], most: int
) -> Float[ndarray, "channels directions"]:
    """Return the `most` leading right singular vectors, by the smaller of the two Gram matrices."""
    if len(x) < x.shape[1]:
        left = np.linalg.eigh(x @ x.T)[1]
        found = x.T @ left[:, ::-1][:, :most]
        unit: ndarray = found / np.maximum(np.linalg.norm(found, axis=0), 1e-12)
        return unit
    _, right = np.linalg.eigh(x.T @ x)
    leading: ndarray = right[:, ::-1][:, :most]
    return leading


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Equations:
    """Of one picture, each divided by the square root of how many patches were covered."""

    rows: Float[ndarray, "sets columns"]
    logit_drops: Float[ndarray, " sets"]
    root: Float[ndarray, " sets"]

    def placed(self, values: Float[ndarray, "sets n"]) -> Float[ndarray, "sets n"]:
        """Return what is left of values when what goes with the size alone is taken off."""
        size = np.column_stack([self.root, 1 / self.root])
        rest: ndarray = values - size @ np.linalg.lstsq(size, values, rcond=None)[0]
        return rest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """Normal equations of least squares."""

    gram: Float[ndarray, "columns columns"]
    moment: Float[ndarray, " columns"]
    count: int

    def plus(self, other: "_Sums") -> "_Sums":
        """Return the sums over both."""
        return _Sums(
            gram=self.gram + other.gram,
            moment=self.moment + other.moment,
            count=self.count + other.count,
        )


def _sums(equations: Iterable[_Equations]) -> _Sums:
    return reduce(
        _Sums.plus,
        (
            _Sums(
                gram=one.rows.T @ one.rows,
                moment=one.rows.T @ one.logit_drops,
                count=len(one.logit_drops),
            )
            for one in equations
        ),
    )


def _foretold(
    of: _Equations, solved: Float[ndarray, "columns penalties"]
) -> Float[ndarray, "sets n"]:
    """Return what each penalty foretells, what contributions do, and what was; places alone."""
    return of.placed(np.column_stack([of.rows @ solved, of.rows[:, 0], of.logit_drops]))


def _correlation(told: Float[ndarray, " n"], fell: Float[ndarray, " n"]) -> float:
    size = float(np.sqrt((told @ told) * (fell @ fell)))
    return float(told @ fell) / size if size > 0 else 0.0
