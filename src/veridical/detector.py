"""One picture in, one Report out: the only place that knows all the instruments and their order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, get_args, runtime_checkable

import numpy as np

from veridical._version import VERSION
from veridical.arrays import Float, Float32, UInt8, ndarray
from veridical.artifact import read_model
from veridical.backbone import Backbone, BackboneSpec, OnnxBackbone
from veridical.calibration import Calibration
from veridical.errors import ModelDamaged, ModelError
from veridical.faces import Face, FaceFinder, Framing, cut, surroundings
from veridical.head import (
    BayesianHead,
    Forward,
    GaussianHead,
    Layer,
    SampledHead,
    summarise,
)
from veridical.images import Limits, Photo, Source, read_photo
from veridical.outlier import OutlierGauge
from veridical.prior import presumed
from veridical.report import Box, Decision, FaceReport, Reason, Report, Stability, Verdict
from veridical.saliency import (
    CoverRule,
    Evidence,
    Explainer,
    Faithfulness,
    Fill,
    FurtherMap,
    RandomOrders,
    TokenMap,
    channel_importance,
    faithfulness,
    mended,
    occlusion,
    random_orders,
    relative_map,
    token_map,
)
from veridical.stability import COPIES, Copy, remade
from veridical.tokens import Pooling, Tokens, pool


@runtime_checkable
class Finder(Protocol):
    """Finds faces in an upright sRGB picture, largest first."""

    @property
    def name(self) -> str:
        """Tells one way of finding faces from another."""
        ...

    def find(self, pixels: UInt8[ndarray, "height width 3"]) -> tuple[Face, ...]:
        """Return the faces."""
        ...


@runtime_checkable
class Posterior(Protocol):
    """A belief about weights: features in, samples of the logit out. The same for all pictures."""

    @property
    def centre(self) -> Float32[ndarray, " features"]:
        """Of the training features."""
        ...

    @property
    def spread(self) -> Float32[ndarray, " features"]:
        """Of the training features; positive."""
        ...

    @property
    def samples(self) -> int:
        """T, the number of samples."""
        ...

    def forward(self, features: Float32[ndarray, " features"]) -> Forward:
        """Return T samples of the logit, and what `gradient` needs of the way there."""
        ...

    def logits(self, features: Float32[ndarray, " features"]) -> Float32[ndarray, " samples"]:
        """Return T samples of the logit."""
        ...

    def gradient(self, at: Forward) -> tuple[Float32[ndarray, " features"], float]:
        """Return the gradient of the mean logit, and the rest that belongs to no feature."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explanation:
    """What in one face spoke for its verdict.

    Attributes:
        face: The face and its verdict.
        area: The part of the photo that the crop shows, px of the photo.
        crop: What the backbone looked at.
        evidence: The map that is drawn.
        contributions: Every patch's part of the logit, relative to an average training picture.
        gradient_x_token: The same without a baseline.
        channels: |d logit / d feature| for each channel of the pooled features.
        trust: How the map that is drawn did against random ones; None if it was not scored.
        occlusion: Fall of P(ai) when a place is covered; None unless asked for.
        further: Other maps that were asked for.
    """

    face: FaceReport
    area: Box
    crop: UInt8[ndarray, "size size 3"]
    evidence: Evidence
    contributions: TokenMap
    gradient_x_token: TokenMap
    channels: Float32[ndarray, " features"]
    trust: Faithfulness | None
    occlusion: Float[ndarray, "size size"] | None
    further: tuple[FurtherMap, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Detector:
    """The parts of a model, put together. Make one with `Detector.load`; it is safe to share.

    Attributes:
        finder: Finds faces.
        backbone: Looks at them.
        framing: How they are cut out.
        pooling: How tokens become features.
        head: From features to samples of the logit.
        calibration: From the head's logits to probabilities and prediction sets.
        outlier: How far the features are from the training features.
        min_face_px: Longer side of the smallest face that is judged, px.
        model: First 12 hex digits of the SHA-256 of the model's card.
        level: Mass of the credible interval.
        limits: On what is decoded.
        copies: What a verdict has to outlive; a face that is undecided anyway costs none of them.
        rule: By which the drawn map is read; None draws the contributions.
        card: The model card, for those who want to know more.
    """

    finder: Finder
    backbone: Backbone
    framing: Framing
    pooling: tuple[Pooling, ...]
    head: Posterior
    calibration: Calibration
    outlier: OutlierGauge
    min_face_px: float
    model: str
    level: float = 0.9
    limits: Limits = Limits()
    copies: tuple[Copy, ...] = COPIES
    rule: CoverRule | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        model: str | PathLike[str] | None = None,
        *,
        samples: int | None = None,
        threads: int = 0,
        limits: Limits = Limits(),
        stability: bool = True,
    ) -> "Detector":
        """Load a model folder; the one in the package if none is named.

        Args:
            model: Folder that `veridical train` wrote.
            samples: Posterior samples, if other than the card's.
            threads: Threads for one picture; 0 lets ONNX Runtime choose. For many pictures at a
                time on an engine, 1.
            limits: On what is decoded.
            stability: Look again at copies of a face that would get a verdict, saved again and
                made smaller: three more looks at it.

        Raises:
            ModelMissing: If the folder or a file of it is absent.
            ModelDamaged: If a file is not what the card describes.
        """
        path = Path(model) if model is not None else default_model()
        folder = read_model(path)
        card, tensors = folder.card, folder.tensors
        try:
            spec = spec_from(card)
            head = head_from(card["head"], tensors)
            parts: dict[str, Any] = {
                "framing": Framing(**card["framing"]),
                "pooling": tuple(card["pooling"]),
                "head": head if samples is None else resampled(head, samples),
                "calibration": calibration_from(card),
                "outlier": OutlierGauge(
                    centre=head.centre,
                    spread=head.spread,
                    basis=tensors["outlier.basis"],
                    variance=tensors["outlier.variance"],
                    **card["outlier"],
                ),
                "min_face_px": float(card["min_face_px"]),
            }
            _refuse_misfits(spec, **parts)
            rule = rule_from(folder.explainer, spec) if folder.explainer else None
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as foreign:
            raise ModelDamaged(
                f"The model in {path} does not fit together ({foreign!r}).",
                hint="Copy the whole folder again, or train the model again.",
            ) from foreign
        return cls(
            finder=FaceFinder(threads),
            backbone=OnnxBackbone(folder.backbone, spec, threads),
            model=folder.identity[:12],
            limits=limits,
            copies=COPIES if stability else (),
            rule=rule,
            card=card,
            **parts,
        )

    def inspect(self, source: Source | Photo, *, whole_image: bool = False) -> Report:
        """Judge one picture.

        Args:
            source: A path, the bytes of a file, a binary file, a PIL image, an array
                (height, width, 3) of uint8, or a `Photo` that was read before.
            whole_image: Judge the frame as if it were a face, instead of the faces in it.

        Raises:
            PhotoError: If the picture cannot be read.
        """
        return self._examine(self._read(source), whole_image)[0]

    def explain(
        self,
        source: Source | Photo,
        *,
        whole_image: bool = False,
        trust: bool = True,
        occlude: tuple[int, int] | None = None,
        fill: Fill = "mean",
        further: Sequence[Explainer] = (),
    ) -> tuple[Report, tuple[Explanation, ...]]:
        """Judge one picture and say why: one explanation for each face that was judged.

        Args:
            source: As for `inspect`.
            whole_image: As for `inspect`.
            trust: Score the maps against random ones (55 more passes per face, and 6 per map); what
                these looks find corrects the map that is drawn.
            occlude: Window and stride in px of the crop for an occlusion map; None for none.
            fill: What covers the windows.
            further: Who makes other maps of each face.

        Raises:
            PhotoError: If the picture cannot be read.
            ValueError: If window and stride do not fit the crop.
        """
        report, seen = self._examine(self._read(source), whole_image)
        return report, tuple(self._explain(one, trust, occlude, fill, further) for one in seen)

    def logits(
        self, source: Source | Photo, *, whole_image: bool = False
    ) -> Float[ndarray, "faces samples"]:
        """Return the head's own logits of each face that is large enough, before any calibration.

        What a calibration is fitted on; see `veridical.recalibrate`.

        Args:
            source: As for `inspect`.
            whole_image: As for `inspect`.

        Raises:
            PhotoError: If the picture cannot be read.
        """
        _, seen = self._examine(self._read(source), whole_image)
        found = [one.forward.logits.astype(np.float64) for one in seen]
        return np.stack(found) if found else np.zeros((0, self.head.samples))

    def p_ai(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, " batch"]:
        """Return the calibrated predictive P(ai) of crops that are already cut out."""
        return np.array([summarise(logits).p_ai for logits in self._calibrated(crops)])

    def mean_logit(self, crops: UInt8[ndarray, "batch size size 3"]) -> Float[ndarray, " batch"]:
        """Return the mean calibrated logit of crops that are already cut out: what maps are of."""
        return np.array([float(logits.mean()) for logits in self._calibrated(crops)])

    def linear(
        self, features: Float32[ndarray, " features"]
    ) -> tuple[Float32[ndarray, " features"], float]:
        """Return the gradient of the mean calibrated logit at `features`, and the logit's rest."""
        return self._linear(self.head.forward(features))

    def _linear(self, at: Forward) -> tuple[Float32[ndarray, " features"], float]:
        gradient, rest = self.head.gradient(at)
        slope = self.calibration.slope
        return gradient * np.float32(slope), rest * slope + self.calibration.intercept

    def _calibrated(
        self, crops: UInt8[ndarray, "batch size size 3"]
    ) -> Iterable[Float[ndarray, " samples"]]:
        for tokens in self.backbone.tokens(crops):
            yield self.calibration.logits(self.head.logits(pool(tokens, self.pooling)))

    def _read(self, source: Source | Photo) -> Photo:
        return source if isinstance(source, Photo) else read_photo(source, self.limits)

    def _examine(self, photo: Photo, whole_image: bool) -> tuple[Report, list["_Seen"]]:
        height, width = photo.pixels.shape[:2]
        if whole_image or self.framing.whole:
            frame = Box(left=0.0, top=0.0, width=float(width), height=float(height))
            # A frame without a face gets its numbers, and never a verdict: the model knows faces.
            faceless = not self.framing.whole and not self.finder.find(photo.pixels)
            looks = [self._look(photo, frame, frame, None, faceless=faceless)]
        else:
            looks = [
                self._look(
                    photo, face.box, surroundings(face.box, self.framing, width, height), face
                )
                for face in self.finder.find(photo.pixels)
            ]
        faces = tuple(face for face, _ in looks)
        decision, lead, reasons = together(faces)
        return (
            Report(
                path=photo.path,
                sha256=photo.sha256,
                width=width,
                height=height,
                steps=photo.steps,
                faces=faces,
                decision=decision,
                p_ai=lead.p_ai if lead else None,
                interval=lead.interval if lead else None,
                reasons=reasons,
                coverage=self.calibration.coverage,
                level=self.level,
                model=self.model,
                version=VERSION,
                prior=presumed(self.card),
                coverage_of_reals=self.calibration.coverage_of_reals,
                coverage_of_ai=self.calibration.coverage_of_ai,
            ),
            [seen for _, seen in looks if seen],
        )

    def _look(
        self, photo: Photo, box: Box, area: Box, face: Face | None, *, faceless: bool = False
    ) -> tuple[FaceReport, "_Seen | None"]:
        """Judge one face, or the whole frame where `face` is None."""
        if max(box.width, box.height) < self.min_face_px:
            small = (Reason.FACE_TOO_SMALL,)
            return _face_report(box, face, None, small), None
        crop = cut(photo.pixels, area, self.framing)
        tokens = self.backbone.tokens(crop[None])[0]
        forward = self.head.forward(pool(tokens, self.pooling))
        off_label = face is None and not self.framing.whole
        verdict = self._verdict(forward, off_label=off_label, faceless=faceless)
        if verdict.decision is not Decision.UNDECIDED:
            verdict = self._looked_again(verdict, photo, box, area)
        report = _face_report(box, face, verdict, verdict.reasons)
        return report, _Seen(report=report, area=area, crop=crop, tokens=tokens, forward=forward)

    def _verdict(self, forward: Forward, *, off_label: bool, faceless: bool) -> Verdict:
        belief = summarise(self.calibration.logits(forward.logits), self.level)
        distance = self.outlier.distance(forward.features)
        plausible = self.calibration.prediction_set(belief.p_ai)
        low, high = belief.interval
        doubts = [Reason.NO_FACE] if faceless else []
        if distance > 1:
            doubts.append(Reason.UNLIKE_TRAINING)
        if len(plausible) == 2:
            doubts.append(Reason.BOTH_PLAUSIBLE)
        if not plausible:
            doubts.append(Reason.NEITHER_PLAUSIBLE)
        if low < 0.5 < high:
            doubts.append(Reason.INTERVAL_TOO_WIDE)
        reasons = doubts or [Reason.WITHIN_COVERAGE]
        return Verdict(
            decision=Decision.UNDECIDED if doubts else plausible[0],
            p_ai=belief.p_ai,
            interval=belief.interval,
            std=belief.std,
            total=belief.total,
            aleatoric=belief.aleatoric,
            epistemic=belief.epistemic,
            distance=distance,
            reasons=(*reasons, *([Reason.WHOLE_IMAGE] if off_label else [])),
        )

    def _looked_again(self, verdict: Verdict, photo: Photo, box: Box, area: Box) -> Verdict:
        """Keep a decision only if it is the same for copies of the face.

        The numbers stay those of the picture as delivered. A copy in which the face is smaller
        than what we judge is left out: it would speak of its size.
        """
        side = max(box.width, box.height)
        copies = [copy for copy in self.copies if side * copy.scale >= self.min_face_px]
        if not copies:
            return verdict
        crops = (cut(*remade(photo.pixels, area, copy), self.framing) for copy in copies)
        stability = Stability(
            copies=tuple(copy.name for copy in copies),
            # One at a time: each gets all the threads, and no second network has to be opened.
            p_ai=tuple(float(self.p_ai(crop[None])[0]) for crop in crops),
        )
        if not any(self._changes(verdict, p) for p in stability.p_ai):
            return replace(verdict, stability=stability)
        kept = (reason for reason in verdict.reasons if reason is not Reason.WITHIN_COVERAGE)
        return replace(
            verdict,
            decision=Decision.UNDECIDED,
            reasons=(Reason.CHANGES_UNDER_RECOMPRESSION, *kept),
            stability=stability,
        )

    def _changes(self, verdict: Verdict, p_ai: float) -> bool:
        """Return whether a copy's P(ai) is on the other side of 1/2, or fits the other label only.

        The second matters where both thresholds of a calibration lie on one side of 1/2.
        """
        crosses = (p_ai - 0.5) * (verdict.p_ai - 0.5) < 0
        plausible = self.calibration.prediction_set(p_ai)
        return crosses or (len(plausible) == 1 and plausible[0] is not verdict.decision)

    def _explain(
        self,
        seen: "_Seen",
        trust: bool,
        occlude: tuple[int, int] | None,
        fill: Fill,
        further: Sequence[Explainer],
    ) -> Explanation:
        grid = self.backbone.spec.grid
        orders = random_orders(seen.crop, grid, self.mean_logit) if trust else None

        def scored(patches: Float[ndarray, "grid grid"]) -> Faithfulness | None:
            return faithfulness(patches, self.mean_logit, orders) if orders else None

        gradient, rest = self._linear(seen.forward)
        plain = token_map(seen.tokens, self.pooling, gradient, rest)
        relative = relative_map(plain, seen.tokens, self.pooling, gradient, self.head.centre)
        evidence = self._evidence(seen.tokens, plain, relative, orders)
        return Explanation(
            face=seen.report,
            area=seen.area,
            crop=seen.crop,
            evidence=evidence,
            contributions=relative,
            gradient_x_token=plain,
            channels=channel_importance(gradient),
            trust=scored(evidence.patches),
            occlusion=occlusion(
                seen.crop, self.p_ai, window=occlude[0], stride=occlude[1], fill=fill
            )
            if occlude
            else None,
            further=tuple(
                FurtherMap(name=one.name, patches=patches, trust=scored(patches))
                for one in further
                for patches in [one.read(seen.crop)]
            ),
        )

    def _evidence(
        self, tokens: Tokens, plain: TokenMap, relative: TokenMap, orders: RandomOrders | None
    ) -> Evidence:
        if self.rule is None:
            return Evidence(patches=relative.patches, method="contributions", looks=0)
        slope = self.calibration.slope  # the rule knows the head's own logit
        patches = slope * self.rule.read(tokens, plain.patches / slope)
        if orders is None:
            return Evidence(patches=patches, method="covering", looks=0)
        return Evidence(patches=mended(patches, orders), method="covering", looks=len(orders.falls))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """What was computed on the way to a face's verdict, kept for its explanation."""

    report: FaceReport
    area: Box
    crop: UInt8[ndarray, "size size 3"]
    tokens: Tokens
    forward: Forward


def together(
    faces: Sequence[FaceReport],
) -> tuple[Decision, Verdict | None, tuple[Reason, ...]]:
    """Return a picture's decision, the verdict it rests on, and why; see `Report`.

    Faces too small to judge have no say beside one that was judged: a bystander's head of twenty
    pixels must not silence the verdict on a portrait.
    """
    judged = [face.verdict for face in faces if face.verdict]
    if not faces:
        return Decision.UNDECIDED, None, (Reason.NO_FACE,)
    if not judged:
        return Decision.UNDECIDED, None, (Reason.FACE_TOO_SMALL,)
    decisions = {verdict.decision for verdict in judged}
    for decision in (Decision.AI, Decision.UNDECIDED, Decision.REAL):
        if decision in decisions:
            break
    lead = max((v for v in judged if v.decision is decision), key=lambda verdict: verdict.p_ai)
    disagree = (Reason.FACES_DISAGREE,) if len(decisions) > 1 else ()
    return decision, lead, (*lead.reasons, *disagree)


def default_model() -> Path:
    """Return the folder of the model that comes with the package."""
    return Path(str(files("veridical").joinpath("models", "default")))


def spec_from(card: Mapping[str, Any]) -> BackboneSpec:
    """Return what a model card says of its backbone."""
    return BackboneSpec(**_tuples(card["backbone"]))


def calibration_from(card: Mapping[str, Any]) -> Calibration:
    """Return the calibration of a model card, with what it promises each class if that is known.

    Older cards have one coverage in their calibration, the smaller one. What they were made with,
    which they also say, tells the two apart.
    """
    entry = card["calibration"]
    if "coverage_of_reals" in entry:
        return Calibration(**entry)
    calibration = Calibration(**entry)
    if made := card.get("recalibrated"):
        # What `allowed_ai` was fitted for is not noted after that, but was never less than this.
        reals, ai = 1 - made["fpr"]["asked"], calibration.coverage
    else:
        recipe = card.get("recipe", {})
        reals, ai = recipe.get("coverage_of_reals"), recipe.get("coverage")
    if None in (reals, ai) or min(reals, ai) != calibration.coverage:
        return calibration
    return replace(calibration, coverage_of_reals=reals, coverage_of_ai=ai)


def _refuse_misfits(
    spec: BackboneSpec,
    *,
    framing: Framing,
    pooling: tuple[Pooling, ...],
    head: Posterior,
    outlier: OutlierGauge,
    **_others: object,
) -> None:
    """Refuse parts that would fail, or mean something else, at the first picture."""
    if unknown := set(pooling) - {*get_args(Pooling)}:
        raise ValueError(f"unknown pooling {sorted(unknown)}")
    if "cls" in pooling and not spec.has_cls:
        raise ValueError("pooling by a class token that the backbone has not")
    if framing.size_px != spec.image_px:
        raise ValueError(f"crops of {framing.size_px} px for {spec.image_px} px")
    features = spec.dim * len(spec.layers) * len(pooling)
    wanted = {len(head.centre), len(head.spread), outlier.basis.shape[1]}
    if wanted != {features} or len(outlier.basis) != len(outlier.variance):
        raise ValueError(f"{features} features for parts of {sorted(wanted)}")


def head_from(card: Mapping[str, Any], tensors: Mapping[str, ndarray]) -> Posterior:
    """Put a head together from its card entry and tensors; the inverse of `head_to`."""
    centre, spread = tensors["head.centre"], tensors["head.spread"]
    kind = card.get("posterior", "dropout")  # what it was before there were others
    if kind == "samples":
        return SampledHead(
            centre=centre,
            spread=spread,
            directions=tensors["head.directions"],
            weight=tensors["head.weight"],
            bias=tensors["head.bias"],
        )
    if kind == "gaussian":
        return GaussianHead(
            centre=centre,
            spread=spread,
            mean=tensors["head.mean"],
            axes=tensors["head.axes"].astype(np.float32),
            variance=tensors["head.variance"],
            bias=card["bias"],
            remainder=card["remainder"],
            samples=card["samples"],
        )
    if kind != "dropout":
        raise ValueError(f"unknown posterior {kind!r}")
    return BayesianHead(
        centre=centre,
        spread=spread,
        layers=tuple(
            Layer(weight=tensors[f"head.{i}.weight"], bias=tensors[f"head.{i}.bias"], **layer)
            for i, layer in enumerate(card["layers"])
        ),
        samples=card["samples"],
        seed=card["seed"],
    )


def rule_from(tensors: Mapping[str, ndarray], spec: BackboneSpec) -> CoverRule:
    """Put a rule together from its tensors; the inverse of `rule_to`.

    Raises:
        KeyError: If one is absent.
        ValueError: If they do not fit the backbone.
    """
    rule = CoverRule(share=float(tensors["share"]), weight=tensors["weight"], base=tensors["base"])
    wanted = (len(spec.layers), spec.dim), (spec.grid, spec.grid)
    if (rule.weight.shape, rule.base.shape) != wanted:
        raise ValueError(f"a rule of {rule.weight.shape}, {rule.base.shape} for {wanted}")
    return rule


def rule_to(rule: CoverRule) -> dict[str, ndarray]:
    """Take a rule apart into tensors."""
    return {"share": np.array(rule.share), "weight": rule.weight, "base": rule.base}


def head_to(head: Posterior) -> tuple[dict[str, Any], dict[str, ndarray]]:
    """Take a head apart into a card entry and tensors."""
    tensors: dict[str, ndarray] = {"head.centre": head.centre, "head.spread": head.spread}
    if isinstance(head, SampledHead):
        tensors |= {
            "head.directions": head.directions,
            "head.weight": head.weight,
            "head.bias": head.bias,
        }
        return {"posterior": "samples", "samples": head.samples}, tensors
    if isinstance(head, GaussianHead):
        tensors |= {
            "head.mean": head.mean,
            "head.axes": head.axes,
            "head.variance": head.variance,
        }
        numbers = {"bias": head.bias, "remainder": head.remainder, "samples": head.samples}
        return {"posterior": "gaussian", **numbers}, tensors
    assert isinstance(head, BayesianHead)
    card = {
        "posterior": "dropout",
        "samples": head.samples,
        "seed": head.seed,
        "layers": [{"relu": layer.relu, "dropout": layer.dropout} for layer in head.layers],
    }
    for i, layer in enumerate(head.layers):
        tensors[f"head.{i}.weight"], tensors[f"head.{i}.bias"] = layer.weight, layer.bias
    return card, tensors


def resampled(head: Posterior, samples: int) -> Posterior:
    """Return the same posterior with `samples` samples.

    Raises:
        ModelError: If its samples were drawn when it was fitted, and there are not as many.
    """
    if isinstance(head, BayesianHead | GaussianHead):
        return replace(head, samples=samples)
    assert isinstance(head, SampledHead)
    if samples > head.samples:
        raise ModelError(
            f"{samples} posterior samples were asked for; this model holds {head.samples}.",
            hint=f"Ask for at most {head.samples}.",
        )
    return replace(head, weight=head.weight[:samples], bias=head.bias[:samples])


def _face_report(
    box: Box, face: Face | None, verdict: Verdict | None, reasons: tuple[Reason, ...]
) -> FaceReport:
    return FaceReport(
        box=box,
        landmarks=face.landmarks if face else (),
        detection=face.score if face else 0.0,
        verdict=verdict,
        reasons=reasons,
    )


def _tuples(entries: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where the card's owner has tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in entries.items()}
