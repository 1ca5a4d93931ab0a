"""One picture in, one Report out: the only place that knows all the instruments and their order.

File ─ photo ─ faces ─ crops ─ tokens ─ logits ─ verdicts ─ readings, explanations ─ Report
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from veridical._version import VERSION
from veridical.arrays import Float, Float32, UInt8, ndarray
from veridical.assembly import Parts, assemble, default_model, with_samples
from veridical.box import Box
from veridical.cues import DEFAULT_CUES, examine_all
from veridical.cues.protocol import Cue
from veridical.engines import cores, engine_of, outcome, outcomes
from veridical.explain.face import ExplainConfig, FaceTokens, Model, explain_face
from veridical.infer.decision import Judged, combine, judge, recheck
from veridical.infer.head import Forward, summarise
from veridical.infer.priors import assumed, at_prior, checked, predictive_values
from veridical.io.formats import Limits
from veridical.io.model import read_model
from veridical.io.source import File, Source, open_source
from veridical.report import (
    AtPrior,
    Decision,
    FaceResult,
    Failure,
    Reason,
    Report,
    Stability,
)
from veridical.tokens import Tokens, pool
from veridical.vision.backbone import Backbone, OnnxBackbone
from veridical.vision.crop import extract_crop
from veridical.vision.faces import Face, FaceFinder
from veridical.vision.perturb import PERTURBATIONS, Perturbation, apply
from veridical.vision.prepare import Finder, Prepared, prepare
from veridical.vision.runtime import CPU, one_blas_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a model is loaded; see `Detector.load`. With it a detector pickles."""

    model: Path
    samples: int | None = None
    threads: int = 0
    providers: tuple[str, ...] = CPU
    limits: Limits = Limits()
    recheck: bool = True
    prior: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Detector:
    """A model, ready to judge pictures. Make one with `Detector.load`; it is safe to share.

    It pickles: as the model's folder and the options, where it was loaded from one.

    Attributes:
        finder: Finds faces.
        backbone: Turns crops into tokens.
        parts: The rest of the model: crop, head, calibration, out-of-distribution score.
        model: First 12 hex digits of the SHA-256 of the model's card.
        level: Mass of the credible interval.
        limits: On what is decoded.
        perturbations: Copies in which a verdict `ai` has to stay; none, and it is not tested.
        prior: Share of AI-generated pictures that reports answer for, too; None for none.
        card: The model card.
    """

    finder: Finder
    backbone: Backbone
    parts: Parts
    model: str
    level: float = 0.9
    limits: Limits = Limits()
    perturbations: tuple[Perturbation, ...] = PERTURBATIONS
    prior: float | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    _options: Options | None = field(default=None, init=False, repr=False)

    @classmethod
    def load(
        cls,
        model: str | PathLike[str] | None = None,
        *,
        samples: int | None = None,
        threads: int = 0,
        providers: Sequence[str] = CPU,
        limits: Limits = Limits(),
        recheck: bool = True,
        prior: float | None = None,
    ) -> "Detector":
        """Load a model folder; the one in the package if none is named.

        Args:
            model: Folder that `veridical train` wrote.
            samples: Posterior samples, if other than the card's.
            threads: Threads for one picture; 0 takes every core. For many pictures at a time, 1.
            providers: Execution providers of ONNX Runtime, the preferred one first.
            limits: On what is decoded.
            recheck: Before a face is called `ai`, judge three perturbed copies of it; if the
                verdict changes, it is withdrawn.
            prior: Share of AI-generated pictures where the pictures come from, in (0, 1): reports
                then also say what P(ai) is there. Decisions stay.

        Raises:
            ModelMissing: If the folder or a file of it is absent.
            ModelDamaged: If a file is not what the card describes.
            ModelError: If the model holds fewer samples.
            DeviceMissing: If a provider is not there.
            ValueError: If `prior` is not between 0 and 1.
        """
        path = Path(model).resolve() if model is not None else default_model()
        return _load(
            Options(
                model=path,
                samples=samples,
                threads=threads,
                providers=tuple(providers),
                limits=limits,
                recheck=recheck,
                prior=None if prior is None else checked(prior),
            )
        )

    def __reduce__(self) -> Any:
        # `replace` drops the options: a changed detector is not what its folder says.
        return (_load, (self._options,)) if self._options else super().__reduce__()

    def inspect(
        self,
        source: Source | File,
        *,
        whole_image: bool = False,
        cues: bool | Sequence[Cue] = False,
        explain: bool | ExplainConfig = False,
    ) -> Report:
        """Judge one picture.

        Args:
            source: A path, the bytes of a file, a binary file, a PIL image, an array, or a
                `File`; see `io.source.open_source`.
            whole_image: Judge the frame as if it were a face, instead of the faces in it.
            cues: Also ask the forensic cues, or these, about every face that was judged.
            explain: Also explain every face that was judged, perhaps in this way.

        Raises:
            PhotoError: If the picture cannot be read.
            ValueError: If the window of an occlusion does not fit the crop.
        """
        prepared = self._prepare(source, whole_image)
        tokens = self._tokens(prepared.crops)
        return self._finish(prepared, tokens, _chosen(cues), self._config(explain))

    def inspect_many(
        self,
        sources: Iterable[Source | File | Failure],
        *,
        jobs: int | None = None,
        whole_image: bool = False,
        cues: bool | Sequence[Cue] = False,
        explain: bool | ExplainConfig = False,
    ) -> Iterator[Report | Failure]:
        """Judge many pictures: one outcome per picture, lazily, in order, in flat memory.

        On a CPU every job judges one picture at a time; load the detector with `threads=1` for
        several jobs. On other devices the faces of several pictures make one batch; a batch of
        decoded pictures and up to three per job are then held. A `Failure`
        among the sources is passed on; `jobs` of None means one per core, and the other arguments
        are those of `inspect`.
        """
        config = self._config(explain)
        engine = engine_of(jobs or cores())
        if self.backbone.batch == 1:
            work = partial(self.inspect, whole_image=whole_image, cues=cues, explain=explain)
            yield from outcomes(work, sources, engine)
            return
        prepare = partial(self._prepare, whole_image=whole_image)

        def finish(one: Prepared, tokens: Sequence[Tokens] | None) -> Report:
            # After a failed batch each picture tries alone: one must not cost the others.
            own = self._tokens(one.crops) if tokens is None else tokens
            return self._finish(one, own, _chosen(cues), config)

        prepared = outcomes(prepare, sources, engine)
        while group := tuple(islice(prepared, self.backbone.batch)):
            tokens = iter(self._batch([one for one in group if isinstance(one, Prepared)]))
            for one in group:
                if isinstance(one, Failure):
                    yield one
                else:
                    yield outcome(partial(finish, one), next(tokens), path=one.file.path)

    def logits(
        self, source: Source | File, *, whole_image: bool = False
    ) -> Float[ndarray, "faces samples"]:
        """Return the head's own logits of each face that is large enough, before any calibration.

        What a calibration is fitted on; see `veridical.train.recalibrate`. Arguments and errors
        are those of `inspect`.
        """
        prepared = self._prepare(source, whole_image)
        with one_blas_thread():
            found = [self._forward(one).logits for one in self._tokens(prepared.crops)]
            return np.array(found, np.float64).reshape(len(found), self.parts.head.samples)

    def p_ai(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, " batch"]:
        """Return the calibrated predictive P(ai) of crops."""
        with one_blas_thread():
            return np.array([summarise(logits).p_ai for logits in self._calibrated(crops)])

    def mean_logit(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, " batch"]:
        """Return the mean calibrated logit of crops: what maps are of."""
        with one_blas_thread():
            return np.array([float(logits.mean()) for logits in self._calibrated(crops)])

    def linear(
        self, features: Float32[ndarray, " features"]
    ) -> tuple[Float32[ndarray, " features"], float]:
        """Return the gradient of the mean calibrated logit at `features`, and the logit's rest."""
        return self._linear(self.parts.head.forward(features))

    # --- the steps -----------------------------------------------------------------------------

    def _prepare(self, source: Source | File, whole_image: bool) -> Prepared:
        return prepare(
            open_source(source, self.limits),
            self.finder,
            self.parts.crop,
            min_face_px=self.parts.min_face_px,
            whole_image=whole_image,
        )

    def _finish(
        self,
        prepared: Prepared,
        tokens: Sequence[Tokens],
        cues: Sequence[Cue],
        explain: ExplainConfig | None,
    ) -> Report:
        own = {
            at: (crop, one)
            for at, crop, one in zip(prepared.rows, prepared.crops, tokens, strict=True)
        }
        with one_blas_thread():
            faces = tuple(
                self._face(prepared, at, *own[at], cues, explain)
                if at in own
                else _result(box, face, Reason.FACE_TOO_SMALL)
                for at, (box, _, face) in enumerate(prepared.faces)
            )
        decision, lead, reasons = combine(faces)
        verdict = None if lead is None else faces[lead].verdict
        calibration, file = self.parts.calibration, prepared.file
        p_ai, interval = (verdict.p_ai, verdict.interval) if verdict else (None, None)
        return Report(
            path=file.path,
            sha256=file.sha256,
            decision=decision,
            p_ai=p_ai,
            interval=interval,
            reasons=reasons,
            lead_index=lead,
            faces=faces,
            coverage=calibration.coverage,
            coverage_of_reals=calibration.coverage_of_reals,
            coverage_of_ai=calibration.coverage_of_ai,
            level=self.level,
            prior=self._assumed,
            at_prior=self._at_prior(p_ai, interval),
            width=file.photo.width,
            height=file.photo.height,
            steps=file.photo.steps,
            model=self.model,
            version=VERSION,
        )

    def _face(
        self,
        prepared: Prepared,
        at: int,
        crop: UInt8[ndarray, "size size 3"],
        tokens: Tokens,
        cues: Sequence[Cue],
        explain: ExplainConfig | None,
    ) -> FaceResult:
        """Judge one face, or the whole frame."""
        box, area, face = prepared.faces[at]
        forward = self._forward(tokens)
        judged = judge(
            summarise(self.parts.calibration.logits(forward.logits), self.level),
            self.parts.ood.distance(forward.features),
            self.parts.calibration,
            whole_image=face is None and not self.parts.crop.whole,
            faceless=prepared.faceless,
        )
        if judged[0].decision is Decision.AI:
            judged = self._rechecked(judged, prepared.file.photo.image, box, area)
        verdict, reasons = judged
        result = replace(_result(box, face, *reasons), decision=verdict.decision, verdict=verdict)
        if cues:
            readings = examine_all(prepared.file, box, result.landmarks, cues=cues)
            result = replace(result, readings=readings)
        if explain:
            gradient, rest = self._linear(forward)
            seen = FaceTokens(area=area, crop=crop, tokens=tokens, gradient=gradient, rest=rest)
            result = replace(result, explanation=explain_face(seen, self._explained, explain))
        return result

    def _rechecked(self, judged: Judged, image: Image.Image, box: Box, area: Box) -> Judged:
        """Withdraw the verdict `ai` if it changes in perturbed copies.

        A copy in which the face is smaller than what we judge is left out: it would be a test of
        its size.
        """
        tried = [
            one for one in self.perturbations if box.size_px * one.scale >= self.parts.min_face_px
        ]
        if not tried:
            return judged
        crops = (extract_crop(*apply(image, area, one), self.parts.crop) for one in tried)
        stability = Stability(
            perturbations=tuple(one.name for one in tried),
            # One at a time: each gets all the threads, and no second session has to be opened.
            p_ai=tuple(float(self.p_ai(crop[None])[0]) for crop in crops),
        )
        return recheck(judged, stability, self.parts.calibration)

    def _config(self, explain: bool | ExplainConfig) -> ExplainConfig | None:
        """Return what to find out; a window that fits no crop is said before the work."""
        if isinstance(explain, bool):
            return ExplainConfig() if explain else None
        side = self.parts.crop.size_px
        if explain.occlude and explain.occlude[0] > side:
            raise ValueError(f"The window of an occlusion is at most {side} px; got {explain}.")
        return explain

    def _batch(self, pictures: Sequence[Prepared]) -> Sequence[Sequence[Tokens] | None]:
        """Return each picture's tokens, from one run; None for all of them if that failed."""
        crops = [crop for one in pictures for crop in one.crops]
        try:
            found = iter(self._tokens(np.stack(crops)) if crops else ())
        except Exception:  # each picture will say what is wrong, or be judged alone
            return [None] * len(pictures)
        return [tuple(islice(found, len(one.rows))) for one in pictures]

    def _tokens(self, crops: UInt8[ndarray, "_ size size 3"]) -> Sequence[Tokens]:
        """Return the tokens of crops: in one run, or where that is not faster, one by one."""
        if self.backbone.batch > 1 and len(crops):
            return self.backbone.tokens(crops)
        return [self.backbone.tokens(crop[None])[0] for crop in crops]

    def _forward(self, tokens: Tokens) -> Forward:
        return self.parts.head.forward(pool(tokens, self.parts.pooling))

    def _linear(self, at: Forward) -> tuple[Float32[ndarray, " features"], float]:
        gradient, rest = self.parts.head.gradient(at)
        calibration = self.parts.calibration
        scaled: ndarray = gradient * np.float32(calibration.slope)
        return scaled, rest * calibration.slope + calibration.intercept

    def _calibrated(
        self, crops: UInt8[ndarray, "batch size size 3"]
    ) -> Iterable[Float[ndarray, " samples"]]:
        for tokens in self.backbone.tokens(crops):
            yield self.parts.calibration.logits(self._forward(tokens).logits)

    @cached_property
    def _explained(self) -> Model:
        return Model(
            mean_logit=self.mean_logit,
            p_ai=self.p_ai,
            pooling=self.parts.pooling,
            baseline=self.parts.head.mean,
            slope=self.parts.calibration.slope,
            surrogate=self.parts.surrogate,
        )

    @cached_property
    def _assumed(self) -> float:
        return assumed(self.card)

    def _at_prior(self, p_ai: float | None, interval: tuple[float, float] | None) -> AtPrior | None:
        if self.prior is None or p_ai is None or interval is None:
            return None
        values = predictive_values(self.card, self.prior)
        return at_prior(p_ai, interval, self.prior, self._assumed, values)


def _load(options: Options) -> Detector:
    folder = read_model(options.model)
    parts = assemble(folder)
    if options.samples is not None:
        parts = replace(parts, head=with_samples(parts.head, options.samples))
    detector = Detector(
        finder=FaceFinder(options.threads, options.providers),
        backbone=OnnxBackbone(folder.backbone, parts.spec, options.threads, options.providers),
        parts=parts,
        model=folder.identity[:12],
        limits=options.limits,
        perturbations=PERTURBATIONS if options.recheck else (),
        prior=options.prior,
        card=folder.card,
    )
    object.__setattr__(detector, "_options", options)
    return detector


def _result(box: Box, face: Face | None, *reasons: Reason) -> FaceResult:
    return FaceResult(
        box=box,
        landmarks=face.landmarks if face else (),
        confidence=face.score if face else 0.0,
        decision=Decision.UNDECIDED,
        reasons=reasons,
        verdict=None,
    )


def _chosen(cues: bool | Sequence[Cue]) -> Sequence[Cue]:
    if isinstance(cues, bool):
        return DEFAULT_CUES if cues else ()
    return tuple(cues)
