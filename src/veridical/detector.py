"""One picture in, one Report out: the only place that knows all the instruments and their order.

File ─ photo ─ faces ─ crops ─ tokens ─ logits ─ verdicts ─ readings, explanations ─ Report
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, partial
from itertools import groupby, islice
from os import PathLike, fsdecode
from pathlib import Path
from typing import Any

import numpy as np

from veridical._version import VERSION
from veridical.arrays import Float, UInt8, ndarray
from veridical.assembly import Parts, assemble, default_model, with_samples
from veridical.cues import DEFAULT_CUES, examine_all
from veridical.cues.protocol import Cue
from veridical.engines import Serial, Threads, cores, engine_of, outcome, outcomes
from veridical.errors import ModelMissing
from veridical.explain.face import ExplainConfig
from veridical.infer.decision import judge, together
from veridical.infer.head import summarise
from veridical.infer.priors import assumed, at_prior, checked, predictive_values
from veridical.io.clip import ClipLimits, Frame, Sampling, plan
from veridical.io.formats import Limits
from veridical.io.model import read_model
from veridical.io.source import File, Source, open_source
from veridical.io.video import moves, open_clip
from veridical.judging import FaceJudge, unjudged
from veridical.provenance import Trust, claims_of_clip, read_claims
from veridical.provenance.headline import headline
from veridical.provenance.trust import NO_OTHERS, read_trust
from veridical.report import (
    AtPrior,
    Decision,
    FaceResult,
    Failure,
    Reason,
    Report,
)
from veridical.scoring import FaceScore, score
from veridical.timeline import of_clip
from veridical.tokens import Tokens
from veridical.video import VideoReport
from veridical.vision.backbone import Backbone, OnnxBackbone, tokens_of
from veridical.vision.faces import FaceFinder
from veridical.vision.perturb import PERTURBATIONS, Perturbation
from veridical.vision.prepare import ClipFinder, Finder, Prepared, Seen, prepare
from veridical.vision.runtime import CPU, laid_out, one_blas_thread
from veridical.watch import Told, footage_of, watch


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
    fast: bool = False
    trust: Trust = NO_OTHERS
    mapped: Path | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Detector:
    """A model, ready to judge pictures. Make one with `Detector.load`; it is safe to share.

    It pickles: as the model's folder and the options, where it was loaded from one.

    Attributes:
        finder: Finds faces.
        backbone: Turns crops into tokens.
        parts: The rest of the model: crops, heads, fusion, out-of-distribution scores.
        model: First 12 hex digits of the SHA-256 of the model's card.
        level: Mass of the credible interval.
        limits: On what is decoded.
        perturbations: Copies in which a verdict `ai` has to stay; none, and it is not tested.
        prior: Share of AI-generated pictures that reports answer for, too; None for none.
        trust: Whose signatures count when a file says where it comes from.
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
    trust: Trust = NO_OTHERS
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
        fast: bool = False,
        trust_list: str | PathLike[str] | None = None,
        mapped: Path | None = None,
    ) -> "Detector":
        """Load a model folder; the one in the package if none is named.

        Args:
            model: Folder that `veridical train` wrote.
            samples: Posterior samples, if other than the card's.
            threads: Threads for one picture. 0 is every core for `inspect`, and one for each of the
                pictures that `inspect_many` judges at the same time, which costs the least.
            providers: Execution providers of ONNX Runtime, the preferred one first.
            limits: On what is decoded.
            recheck: Before a face is called `ai`, judge three perturbed copies of it; if the
                verdict changes, it is withdrawn.
            prior: Share of AI-generated pictures where the pictures come from, in (0, 1): reports
                then also say what P(ai) is there. Decisions stay.
            fast: Look at each face alone, without what is around it: half of the time, and a little
                less accurate.
            trust_list: PEM file of certificates whose credentials you trust, beside the lists in
                the package.
            mapped: The model's backbone by `vision.runtime.lay_out`: processes that name the same
                file share its memory.

        Raises:
            TrustListError: If that list cannot be used.
            ModelMissing: If the folder or a file of it is absent, or the path is empty.
            ModelDamaged: If a file is not what the card describes.
            ModelError: If the model holds fewer samples.
            DeviceMissing: If a provider is not there.
            ValueError: If `prior` is not between 0 and 1.
        """
        if model == "":  # the current folder, to pathlib
            raise ModelMissing(
                "An empty path came; a model folder was wanted.",
                hint="Check where the path comes from; None is the model in the package.",
                cli_hint="Leave --model out for the model in the package.",
            )
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
                fast=fast,
                trust=read_trust(trust_list),
                mapped=mapped,
            )
        )

    def __reduce__(self) -> Any:
        # `replace` drops the options: a changed detector is not what its folder says.
        return (_load, (self._options,)) if self._options else super().__reduce__()

    def shared(self, folder: Path) -> "Callable[[], Detector] | None":
        """Return what loads this detector in several processes, with its network in memory once.

        It pickles, and gives the same numbers to the bit. Each process has one thread where no
        `threads` were asked for: every core in each of them would be too many.

        Args:
            folder: Where the network is laid out, and stays as long as it is used; nobody else may
                be able to write there.

        Returns:
            None for a detector that was not loaded from a folder or is not on the CPU, and, with a
            warning, where nothing can be written.
        """
        options = self._options
        if options is None or options.providers != CPU:
            return None
        graph = laid_out(read_model(options.model).backbone, folder)
        if graph is None:
            return None
        return partial(_load, replace(options, mapped=graph, threads=options.threads or 1))

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
            explain: Also explain every face that was judged, or in the way of this
                `ExplainConfig`.

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

        On a CPU every job judges one picture at a time, on one thread if there are several jobs and
        no `threads` were asked for. On other devices the faces of several pictures make one batch;
        a batch of decoded pictures and up to three per job are then held. A `Failure` among the
        sources is passed on; `jobs` of None means one per core, and the other arguments
        are those of `inspect`.
        """
        config = self._config(explain)
        jobs = jobs or cores()
        engine = engine_of(jobs)
        if self.backbone.batch == 1:
            own = self._on_one_thread if jobs > 1 else self
            work = partial(own.inspect, whole_image=whole_image, cues=cues, explain=explain)
            yield from outcomes(work, sources, engine)
            return
        prepare = partial(self._prepare, whole_image=whole_image)

        def finish(one: Prepared, tokens: Sequence[Sequence[Tokens]] | None) -> Report:
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

    def inspect_all(
        self,
        sources: Iterable[Source | File | Failure],
        sampling: Sampling = Sampling(),
        *,
        jobs: int | None = None,
        clip_jobs: int | None = None,
        whole_image: bool = False,
        cues: bool | Sequence[Cue] = False,
        explain: bool | ExplainConfig = False,
    ) -> Iterator[Report | VideoReport | Failure]:
        """Judge pictures and clips, in any mixture; see `inspect_many` and `inspect_video`.

        First bytes tell what is a clip. Pictures between two clips are judged together, and clips
        one after the other: `jobs` pictures, or `clip_jobs` frames, at the same time.
        """
        config = self._config(explain)
        video = partial(
            self.inspect_video, sampling=sampling, jobs=clip_jobs, explain=config or False
        )
        is_clip = partial(moves, animations=sampling.animations)
        for clips, some in groupby(sources, key=is_clip):
            if clips:
                yield from (outcome(video, one) for one in some)
                continue
            yield from self.inspect_many(
                some, jobs=jobs, whole_image=whole_image, cues=cues, explain=explain
            )

    def inspect_video(
        self,
        source: str | PathLike[str] | bytes | File,
        sampling: Sampling = Sampling(),
        *,
        jobs: int | None = None,
        explain: bool | ExplainConfig = False,
        limits: ClipLimits = ClipLimits(),
        told: Told = lambda _stage, _share: None,
    ) -> VideoReport:
        """Judge the people of a clip: a video, or an animated GIF, WebP or PNG.

        Frames are taken all over the clip and searched for faces; faces are joined into people, and
        each is judged by up to eight looks. Sound is not judged.

        Args:
            source: A path, the bytes of a file, or a `File`. What a path names is never
                held in memory as a whole.
            sampling: Which frames are searched.
            jobs: Frames searched at the same time; None means one per core.
            explain: Also explain the most telling look of each person.
            limits: On what the clip may ask of us.
            told: Hears of each step: its name (`searching` frames, `judging` people), and the
                share of all work that is done, 0 to 1.

        Raises:
            PhotoError: If it cannot be read, or has no time that was asked for.
            MissingExtra: If the packages of `veridical[video]` are not installed.
        """
        config = self._config(explain)
        jobs = jobs or cores()
        finder, threads = self.finder, getattr(self.backbone, "threads", 0)
        if jobs > 1 and isinstance(finder, ClipFinder):
            finder = finder.on_one_thread()
        with open_clip(source, limits, threads=jobs) as clip:
            facts = clip.facts
            times = plan(facts, sampling)

            def again(time: Fraction) -> Frame | None:
                return next(clip.frames((time,)), None)

            seen = watch(
                times,
                partial(clip.frames, exact=False),
                again,
                finder,
                self._judge,
                Threads(jobs, ahead=1) if jobs > 1 else Serial(),
                Threads(jobs) if jobs > 1 and threads == 1 else Serial(),
                denser=sampling.every is None,
                explain=config,
                told=told,
            )
            lost = tuple(clip.lost)
        with one_blas_thread():
            decision, lead, reasons = of_clip(seen.tracks, self._judge, damaged=bool(lost))
        verdict = None if lead is None else seen.tracks[lead].verdict
        p_ai, interval = (verdict.p_ai, verdict.interval) if verdict else (None, None)
        claims = claims_of_clip(source, self.trust)
        said = headline(claims, decision if verdict else None)
        of_reals, of_ai = self.parts.coverage
        return VideoReport(
            path=_path(source),
            sha256=facts.sha256,
            decision=decision,
            p_ai=p_ai,
            interval=interval,
            reasons=reasons,
            lead_index=lead,
            tracks=seen.tracks,
            claims=claims,
            headline=said.text,
            declared=said.declared,
            coverage=min(of_reals, of_ai),
            coverage_of_reals=of_reals,
            coverage_of_ai=of_ai,
            level=self.level,
            prior=self._assumed,
            at_prior=self._at_prior(p_ai, interval),
            footage=footage_of(facts),
            searched_s=seen.searched_s,
            cuts_s=seen.cuts_s,
            lost=lost,
            steps=seen.steps,
            model=self.model,
            version=VERSION,
        )

    def logits(
        self, source: Source | File, *, whole_image: bool = False
    ) -> Float[ndarray, "faces samples"]:
        """Return the fused logits of each face that is large enough, before any calibration.

        What a calibration is fitted on; see `veridical.train.recalibrate`. Arguments and errors
        are those of `inspect`.
        """
        prepared = self._prepare(source, whole_image)
        with one_blas_thread():
            found = [
                score(self.parts, one, prepared.faces[at].box.size_px).raw
                for at, one in zip(prepared.rows, self._tokens(prepared.crops), strict=True)
            ]
            return np.array(found, np.float64).reshape(len(found), self.parts.samples)

    # --- the steps -----------------------------------------------------------------------------

    def _prepare(self, source: Source | File, whole_image: bool) -> Prepared:
        return prepare(
            open_source(source, self.limits),
            self.finder,
            self.parts.configs,
            min_face_px=self.parts.min_face_px,
            whole_image=whole_image,
        )

    def _finish(
        self,
        prepared: Prepared,
        tokens: Sequence[Sequence[Tokens]],
        cues: Sequence[Cue],
        explain: ExplainConfig | None,
    ) -> Report:
        own = {
            at: (crops, ones)
            for at, crops, ones in zip(prepared.rows, prepared.crops, tokens, strict=True)
        }
        with one_blas_thread():
            scores = {
                at: score(self.parts, ones, prepared.faces[at].box.size_px)
                for at, (_, ones) in own.items()
            }
            faces = tuple(
                self._face(prepared, at, scores[at], cues)
                if at in own
                else unjudged(seen, _why_not(prepared, seen))
                for at, seen in enumerate(prepared.faces)
            )
            calibrations = [self._judge.calibration(seen.box.size_px) for seen in prepared.faces]
            damaged = prepared.file.photo.damage is not None
            decision, lead, reasons = together(faces, calibrations, damaged=damaged)
            if explain:
                faces = tuple(
                    replace(
                        face,
                        explanation=self._judge.explained(seen, scores[at], *own[at], explain),
                    )
                    if at in own and (at == lead or not explain.lead_only)
                    else face
                    for at, (face, seen) in enumerate(zip(faces, prepared.faces, strict=True))
                )
        verdict = None if lead is None else faces[lead].verdict
        of_reals, of_ai = self.parts.coverage
        file, photo = prepared.file, prepared.file.photo
        p_ai, interval = (verdict.p_ai, verdict.interval) if verdict else (None, None)
        claims = read_claims(file, self.trust)
        told = headline(claims, decision if verdict else None)
        return Report(
            path=file.path,
            sha256=file.sha256,
            decision=decision,
            p_ai=p_ai,
            interval=interval,
            reasons=reasons,
            lead_index=lead,
            faces=faces,
            claims=claims,
            headline=told.text,
            declared=told.declared,
            coverage=min(of_reals, of_ai),
            coverage_of_reals=of_reals,
            coverage_of_ai=of_ai,
            level=self.level,
            prior=self._assumed,
            at_prior=self._at_prior(p_ai, interval),
            width=photo.width,
            height=photo.height,
            steps=photo.steps,
            frames=photo.frames,
            damage=photo.damage,
            model=self.model,
            version=VERSION,
        )

    def _face(
        self,
        prepared: Prepared,
        at: int,
        scored: FaceScore,
        cues: Sequence[Cue],
    ) -> FaceResult:
        """Judge one face, or the whole frame."""
        seen = prepared.faces[at]
        judged = judge(
            summarise(scored.logits, self.level),
            scored.distance,
            scored.calibration,
            whole_image=seen.face is None and not self.parts.configs[0].whole,
            faceless=prepared.faceless,
        )
        if judged[0].decision is Decision.AI:
            judged = self._judge.rechecked(judged, prepared.file.photo, seen)
        verdict, reasons = judged
        result = replace(
            unjudged(seen, *reasons),
            decision=verdict.decision,
            verdict=verdict,
            crops=self._judge.evidence(seen, scored),
        )
        if cues:
            readings = examine_all(
                prepared.file, seen.box, result.landmarks, cues=cues, turn=seen.turn
            )
            result = replace(result, readings=readings)
        return result

    def _config(self, explain: bool | ExplainConfig) -> ExplainConfig | None:
        """Return what to find out; a window that fits no crop is said before the work."""
        if isinstance(explain, bool):
            return ExplainConfig() if explain else None
        side = self.parts.configs[0].size_px
        if explain.occlude and explain.occlude[0] > side:
            raise ValueError(f"The window of an occlusion is at most {side} px; got {explain}.")
        return explain

    def _batch(self, pictures: Sequence[Prepared]) -> Sequence[Sequence[Sequence[Tokens]] | None]:
        """Return each picture's tokens, from one run; None for all of them if that failed."""
        crops = [crop for one in pictures for crop in one.crops]
        try:
            found = iter(self._tokens(np.stack(crops)) if crops else ())
        except Exception:  # each picture will say what is wrong, or be judged alone
            return [None] * len(pictures)
        return [tuple(islice(found, len(one.rows))) for one in pictures]

    def _tokens(
        self, crops: UInt8[ndarray, "rows crops size size 3"]
    ) -> Sequence[Sequence[Tokens]]:
        """Return the tokens of all crops: in one run, or where that is not faster, one by one."""
        if self.backbone.batch > 1 and len(crops):
            found = iter(self.backbone.tokens(crops.reshape(-1, *crops.shape[2:])))
            return [tuple(islice(found, crops.shape[1])) for _ in crops]
        return [tokens_of(self.backbone, face) for face in crops]

    @cached_property
    def _on_one_thread(self) -> "Detector":
        """The same detector for several pictures at a time, unless it was asked for threads."""
        if (
            self._options is None
            or self._options.threads
            or not isinstance(self.backbone, OnnxBackbone)
        ):
            return self
        finder = FaceFinder(1, self._options.providers)
        return replace(self, finder=finder, backbone=self.backbone.on_one_thread())

    @cached_property
    def _judge(self) -> FaceJudge:
        return FaceJudge(
            backbone=self.backbone,
            parts=self.parts,
            level=self.level,
            perturbations=self.perturbations,
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
        parts = with_samples(parts, options.samples)
    parts = parts.first() if options.fast else parts
    detector = Detector(
        finder=FaceFinder(options.threads, options.providers),
        backbone=OnnxBackbone(
            folder.backbone, parts.spec, options.threads, options.providers, options.mapped
        ),
        parts=parts,
        model=folder.identity[:12],
        limits=options.limits,
        perturbations=PERTURBATIONS if options.recheck else (),
        prior=options.prior,
        trust=options.trust,
        # The error rates in the card were measured with all crops.
        card=_unmeasured(folder.card) if options.fast else folder.card,
    )
    object.__setattr__(detector, "_options", options)
    return detector


def _unmeasured(card: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in card.items() if key != "measured"}


def _why_not(prepared: Prepared, seen: Seen) -> Reason:
    """Return why a face was not cropped."""
    return Reason.DAMAGED if seen.damaged(prepared.file.photo) else Reason.FACE_TOO_SMALL


def _path(source: str | PathLike[str] | bytes | File) -> str | None:
    if isinstance(source, File):
        return source.path
    return None if isinstance(source, bytes) else fsdecode(source)


def _chosen(cues: bool | Sequence[Cue]) -> Sequence[Cue]:
    if isinstance(cues, bool):
        return DEFAULT_CUES if cues else ()
    return tuple(cues)
