import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from veridical.arrays import Float, UInt8, ndarray
from veridical.detector import (
    Detector,
    Finder,
    default_model,
    head_from,
    head_to,
    resampled,
    surrogate_to,
    together,
)
from veridical.engines import Threads
from veridical.errors import ModelDamaged, ModelMissing
from veridical.explain.attribution import Surrogate, faithfulness, posterior_update, random_orders
from veridical.infer.calibration import Calibration
from veridical.infer.head import DropoutHead, GaussianHead, Layer
from veridical.infer.ood import OodScorer
from veridical.io.images import Limits, read_photo
from veridical.io.model import BACKBONE, CARD, TENSORS, read_model, write_model
from veridical.report import Box, Decision, FaceResult, Reason, Verdict
from veridical.scan import scan
from veridical.tokens import Tokens, pool
from veridical.vision.backbone import Backbone, BackboneSpec
from veridical.vision.faces import CropConfig, Face, crop_box, extract_crop
from veridical.vision.perturb import PERTURBATIONS

Finders = Callable[..., Finder]
Painter = Callable[..., ndarray]
Place = tuple[float, float, float, float]

# --- a detector that one can see through: red says AI, blue says "never seen" -------------------


class Eye:
    """A backbone whose tokens are the mean colours of the patches, in [0, 1]."""

    spec = BackboneSpec(
        name="eye",
        image_px=16,
        patch_px=4,
        prefix=0,
        has_cls=False,
        dim=3,
        layers=(1,),
        final_norm=False,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        patches = crops.reshape(-1, 4, 4, 4, 4, 3).mean(axis=(2, 4)).reshape(-1, 1, 16, 3) / 255
        return tuple(
            Tokens(prefix=np.zeros((1, 0, 3), np.float32), patches=one, grid=4, has_cls=False)
            for one in patches.astype(np.float32)
        )


FLAT = np.zeros(3, np.float32), np.ones(3, np.float32)
SLOPE = 8.0  # logits from no red to all red


def plain_head(dropout: float = 0.0) -> DropoutHead:
    layer = Layer(
        weight=np.array([[SLOPE, 0, 0]], np.float32),
        bias=np.array([-SLOPE / 2], np.float32),
        relu=False,
        dropout=dropout,
    )
    return DropoutHead(mean=FLAT[0], scale=FLAT[1], layers=(layer,), samples=64)


def calibration(real: float, ai: float) -> Calibration:
    return Calibration(
        slope=1.0,
        intercept=0.0,
        coverage=0.8,
        threshold_real=real,
        threshold_ai=ai,
        real=20,
        ai=20,
    )


def see_through(finder: Finder) -> Detector:
    return Detector(
        finder=finder,
        backbone=Eye(),
        crop_config=CropConfig(size_px=16, margin=1.0),
        pooling=("mean",),
        head=plain_head(),
        calibration=calibration(0.2, 0.2),
        ood=OodScorer(
            mean=FLAT[0],
            scale=FLAT[1],
            basis=np.array([[0, 0, 1]], np.float32),
            variance=np.ones(1, np.float32),
            residual=1e6,
            limit=0.25,  # a blue of one half
        ),
        min_face_px=16.0,
        model="0123456789ab",
    )


def scene(*faces: tuple[Place, tuple[float, float, float]]) -> ndarray:
    """Squares of one colour each (in [0, 1]) on black, 200 px wide and 100 px high."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    for (left, top, width, height), colour in faces:
        place = slice(int(top), int(top + height)), slice(int(left), int(left + width))
        pixels[place] = np.rint(np.array(colour) * 255)
    return pixels


LARGE, MIDDLE, SMALL = (0.0, 0.0, 60.0, 60.0), (80.0, 0.0, 40.0, 40.0), (150.0, 0.0, 20.0, 20.0)
TINY = (180.0, 50.0, 15.0, 15.0)
AI, REAL, TORN, STRANGE = (1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (1.0, 0.0, 0.6)


def answers(
    fake_finder: Finders, *faces: tuple[Place, tuple[float, float, float]]
) -> tuple[Detector, ndarray]:
    return see_through(fake_finder(*(place for place, _ in faces))), scene(*faces)


# --- what is said of a picture ------------------------------------------------------------------


def test_no_face_is_undecided_and_never_real(fake_finder: Finders, painter: Painter) -> None:
    detector = see_through(fake_finder())
    for seed in range(3):
        report = detector.inspect(painter(40, 50, seed=seed))
        assert (report.decision, report.reasons) == (Decision.UNDECIDED, (Reason.NO_FACE,))
        assert (report.p_ai, report.interval, report.faces) == (None, None, ())


def test_each_face_has_its_verdict_and_the_largest_comes_first(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, (SMALL, AI), (LARGE, REAL), (MIDDLE, REAL))
    report = detector.inspect(pixels)
    assert [face.box.width for face in report.faces] == [60, 40, 20]
    assert [face.decision for face in report.faces] == ["real", "real", "ai"]
    for face in report.faces:
        assert face.verdict is not None
        assert face.verdict.reasons == face.reasons == (Reason.WITHIN_COVERAGE,)
        assert len(face.landmarks) == 5


def test_a_face_too_small_is_named_and_not_judged(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, (TINY, AI))
    report = detector.inspect(pixels)
    (face,) = report.faces
    assert (face.verdict, face.reasons) == (None, (Reason.FACE_TOO_SMALL,))
    assert (report.decision, report.p_ai) == (Decision.UNDECIDED, None)
    assert report.reasons == (Reason.FACE_TOO_SMALL,)
    assert detector.explain(pixels)[1] == ()


def test_the_limit_itself_is_large_enough(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, ((0.0, 0.0, 16.0, 5.0), AI))
    assert detector.inspect(pixels).faces[0].verdict


@pytest.mark.parametrize("colour", [AI, REAL, TORN])
def test_a_small_bystander_does_not_silence_a_portrait(
    fake_finder: Finders, colour: tuple[float, float, float]
) -> None:
    alone = answers(fake_finder, (LARGE, colour))
    joined = answers(fake_finder, (LARGE, colour), (TINY, AI))
    portrait, group = (detector.inspect(pixels) for detector, pixels in (alone, joined))
    assert (group.decision, group.p_ai, group.reasons) == (
        portrait.decision,
        portrait.p_ai,
        portrait.reasons,
    )
    assert len(group.faces) == 2


def test_where_faces_disagree_ai_wins_and_it_is_said(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, (LARGE, REAL), (MIDDLE, TORN), (SMALL, AI))
    report = detector.inspect(pixels)
    assert report.decision is Decision.AI
    assert report.reasons == (Reason.WITHIN_COVERAGE, Reason.FACES_DISAGREE)
    ai = report.faces[2].verdict
    assert ai is not None
    assert (report.p_ai, report.interval) == (ai.p_ai, ai.interval)


def test_doubt_about_one_face_outweighs_a_real_one(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, (LARGE, REAL), (MIDDLE, TORN))
    report = detector.inspect(pixels)
    assert report.decision is Decision.UNDECIDED
    assert report.reasons == (Reason.NEITHER_PLAUSIBLE, Reason.FACES_DISAGREE)


def judged(detector: Detector, colour: tuple[float, float, float]) -> Verdict:
    (face,) = detector.inspect(scene((LARGE, colour))).faces
    assert face.verdict is not None
    return face.verdict


def test_an_interval_across_one_half_is_undecided(fake_finder: Finders) -> None:
    detector = see_through(fake_finder(LARGE))
    detector = replace(detector, calibration=calibration(0.0, 1.0))  # `ai` always fits, alone
    assert judged(detector, (0.8, 0.0, 0.0)).decision is Decision.AI
    doubting = judged(replace(detector, head=plain_head(0.5)), (0.8, 0.0, 0.0))
    low, high = doubting.interval
    assert low < 0.5 < high
    assert doubting.decision is Decision.UNDECIDED
    assert doubting.reasons == (Reason.INTERVAL_TOO_WIDE,)
    assert doubting.epistemic > 0.1


def test_a_face_unlike_the_training_data_is_undecided(fake_finder: Finders) -> None:
    detector = see_through(fake_finder(LARGE))
    strange = judged(detector, STRANGE)
    assert strange.distance > 1
    assert strange.decision is Decision.UNDECIDED
    assert strange.reasons == (Reason.UNLIKE_TRAINING,)
    assert strange.p_ai > 0.95  # and yet: sure that it is AI


def test_a_level_is_the_mass_of_the_interval_and_is_told(fake_finder: Finders) -> None:
    wide = replace(see_through(fake_finder(LARGE)), head=plain_head(0.2))
    narrow = replace(wide, level=0.2)
    ends = [judged(one, (0.6, 0.0, 0.0)).interval for one in (wide, narrow)]
    assert ends[0][0] < ends[1][0] <= ends[1][1] <= ends[0][1]
    report = narrow.inspect(scene())
    assert (report.level, report.coverage, report.model) == (0.2, 0.8, "0123456789ab")


shades = st.integers(0, 20).map(lambda n: n / 20)


@settings(max_examples=50)
@given(
    red=shades, blue=shades, allowed=st.tuples(shades, shades), dropout=st.sampled_from([0, 0.3])
)
def test_we_stand_behind_one_answer_only_if_nothing_speaks_against_it(
    red: float, blue: float, allowed: tuple[float, float], dropout: float
) -> None:
    class Always:
        name = "always"

        def find(self, pixels: Any) -> Any:
            raise AssertionError("the whole frame was asked for")

    detector = replace(
        see_through(Always()),
        head=plain_head(dropout),
        calibration=calibration(*allowed),
        crop_config=CropConfig(size_px=16, whole=True),
        copies=(),
    )
    pixels = np.broadcast_to(np.rint(255 * np.array([red, 0, blue])), (16, 16, 3)).astype(np.uint8)
    (face,) = detector.inspect(pixels).faces
    verdict = face.verdict
    assert verdict is not None
    real_fits, ai_fits = verdict.p_ai <= allowed[0], 1 - verdict.p_ai <= allowed[1]
    low, high = verdict.interval
    wanted = {
        Reason.UNLIKE_TRAINING: blue >= 0.5,  # 128 of 255 is a little more
        Reason.BOTH_PLAUSIBLE: real_fits and ai_fits,
        Reason.NEITHER_PLAUSIBLE: not real_fits and not ai_fits,
        Reason.INTERVAL_TOO_WIDE: low < 0.5 < high,
    }
    doubts = tuple(reason for reason, there in wanted.items() if there)
    if doubts:
        assert (verdict.decision, verdict.reasons) == (Decision.UNDECIDED, doubts)
    else:
        assert verdict.decision is (Decision.REAL if real_fits else Decision.AI)
        assert verdict.reasons == (Reason.WITHIN_COVERAGE,)


# --- the same photo in other bytes --------------------------------------------------------------


class Loupe(Eye):
    """A backbone that looks at nothing but fine detail: "red" is how much neighbours differ."""

    def __init__(self) -> None:
        self.looks = 0

    def tokens(self, crops: UInt8[ndarray, "batch size size 3"]) -> tuple[Tokens, ...]:
        self.looks += len(crops)
        steps = np.abs(np.diff(crops.astype(np.float32), axis=2)).mean(axis=(1, 2, 3)) / 255
        colours = np.zeros((len(crops), 1, 16, 3), np.float32)
        colours[..., 0] = np.minimum(1, 4 * steps)[:, None, None]
        return tuple(
            Tokens(prefix=np.zeros((1, 0, 3), np.float32), patches=one, grid=4, has_cls=False)
            for one in colours
        )


def grainy(seed: int, colour: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> ndarray:
    """One colour with noise from pixel to pixel, alike in all channels."""
    noise = np.random.default_rng(seed).uniform(-0.45, 0.45, (64, 64, 1))
    return np.rint(255 * np.clip(np.array(colour) + noise, 0, 1)).astype(np.uint8)


@pytest.fixture
def loupe(fake_finder: Finders) -> Detector:
    """Sees AI in noise, and cuts at the native resolution, so that noise is all it sees."""
    detector = see_through(fake_finder((8.0, 8.0, 16.0, 16.0)))
    return replace(detector, backbone=Loupe(), min_face_px=8.0)


@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_a_verdict_that_rests_on_fine_detail_is_taken_back(seed: int) -> None:
    class There:
        name = "there"

        def find(self, pixels: Any) -> Any:
            return (Face(box=Box(left=8, top=8, width=16, height=16), landmarks=(), score=1.0),)

    careful = replace(see_through(There()), backbone=Loupe(), min_face_px=8.0)
    hasty = replace(careful, copies=())
    trusting, doubting = (one.inspect(grainy(seed)) for one in (hasty, careful))
    assert trusting.decision is Decision.AI
    assert doubting.decision is Decision.UNDECIDED
    assert doubting.reasons == (Reason.CHANGES_UNDER_RECOMPRESSION,)
    assert (doubting.p_ai, doubting.interval) == (trusting.p_ai, trusting.interval)
    verdict = doubting.faces[0].verdict
    assert verdict is not None
    assert verdict.stability is not None
    assert verdict.stability.low < 0.5 < verdict.p_ai
    assert verdict == replace(
        trusting.faces[0].verdict,  # type: ignore[type-var]
        decision=Decision.UNDECIDED,
        reasons=verdict.reasons,
        stability=verdict.stability,
    )


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([(0.9, 0.1, 0.1), (0.05, 0.3, 0.2)]))
def test_a_verdict_that_rests_on_colour_stays(seed: int, colour: tuple[float, ...]) -> None:
    class There:
        name = "there"

        def find(self, pixels: Any) -> Any:
            return (Face(box=Box(left=2, top=2, width=60, height=60), landmarks=(), score=1.0),)

    detector = replace(see_through(There()), calibration=calibration(0.4, 0.4))
    report = detector.inspect(grainy(seed, colour))  # type: ignore[arg-type]
    assert report.decision is (Decision.AI if colour[0] > 0.5 else Decision.REAL)
    verdict = report.faces[0].verdict
    assert verdict is not None
    assert verdict.stability is not None
    assert verdict.stability.copies == tuple(copy.name for copy in PERTURBATIONS)
    assert verdict.stability.low == pytest.approx(verdict.stability.high, abs=0.05)


def test_what_is_undecided_anyway_costs_no_second_look(loupe: Detector) -> None:
    backbone = loupe.backbone
    assert isinstance(backbone, Loupe)
    torn = replace(loupe, calibration=calibration(1.0, 1.0)).inspect(grainy(1))
    assert (torn.reasons, backbone.looks) == ((Reason.BOTH_PLAUSIBLE,), 1)
    assert torn.faces[0].verdict is not None
    assert torn.faces[0].verdict.stability is None
    loupe.inspect(grainy(1))
    assert backbone.looks == 1 + 1 + len(PERTURBATIONS)


def test_copies_in_which_the_face_is_too_small_have_no_say(loupe: Detector) -> None:
    def looked_at(min_face_px: float) -> tuple[str, ...]:
        (face,) = replace(loupe, min_face_px=min_face_px).inspect(grainy(1)).faces
        assert face.verdict is not None
        assert face.verdict.stability is not None
        return face.verdict.stability.copies

    assert looked_at(8.0) == ("jpeg-60", "half-size-jpeg-75", "screenshot-0.8")
    assert looked_at(12.0) == ("jpeg-60", "screenshot-0.8")
    assert looked_at(16.0) == ("jpeg-60",)
    only_half = replace(loupe, min_face_px=12.0, copies=PERTURBATIONS[1:2]).inspect(grainy(1))
    assert only_half.decision is Decision.AI
    assert only_half.faces[0].verdict is not None
    assert only_half.faces[0].verdict.stability is None


def test_a_verdict_is_as_stable_alone_as_in_company(loupe: Detector, tmp_path: Path) -> None:
    paths = [tmp_path / f"{seed}.png" for seed in range(4)]
    for seed, path in enumerate(paths):
        Image.fromarray(grainy(seed)).save(path)
    alone = [loupe.inspect(path) for path in paths]
    many = [paths[(3 * n) % 4] for n in range(12)]
    for path, report in zip(many, scan(many, loupe.inspect, Threads(2)), strict=True):
        assert report == alone[paths.index(path)]  # every copy, to the bit


def test_the_warning_about_the_frame_stays_with_a_verdict_taken_back(loupe: Detector) -> None:
    frame = replace(loupe, crop_config=CropConfig(size_px=16, margin=1.0))
    report = frame.inspect(grainy(3)[:16, :16], whole_image=True)
    assert report.reasons == (Reason.CHANGES_UNDER_RECOMPRESSION, Reason.WHOLE_IMAGE)


@pytest.mark.parametrize(
    ("allowed", "changes"), [((0.02, 0.99), True), ((0.005, 0.99), False), ((0.02, 1.0), False)]
)
def test_a_copy_that_fits_the_other_label_alone_is_a_change_on_either_side_of_one_half(
    fake_finder: Finders, allowed: tuple[float, float], changes: bool
) -> None:
    # All black has P(ai) 0.018, and a copy that is no copy of it has a little less.
    detector = see_through(fake_finder(LARGE))
    verdict = judged(replace(detector, calibration=calibration(0.0, 1.0), copies=()), REAL)
    assert verdict.decision is Decision.AI
    strict = replace(detector, calibration=calibration(*allowed))
    assert strict._changes(verdict, 0.009) is changes
    assert strict._changes(verdict, 0.6)


# --- faces taken together -----------------------------------------------------------------------


def face_of(decision: Decision | None, p_ai: float) -> FaceResult:
    reasons = (Reason.FACE_TOO_SMALL if decision is None else Reason.WITHIN_COVERAGE,)
    if decision is None:
        return replace(face_of(Decision.REAL, p_ai), verdict=None, reasons=reasons)
    verdict = Verdict(
        decision=decision,
        p_ai=p_ai,
        interval=(p_ai, p_ai),
        std=0.0,
        total=0.0,
        aleatoric=0.0,
        epistemic=0.0,
        distance=0.5,
        reasons=reasons,
    )
    box = Box(left=0.0, top=0.0, width=10.0, height=10.0)
    return FaceResult(box=box, landmarks=(), confidence=0.9, verdict=verdict, reasons=reasons)


faces_of = st.lists(
    st.builds(face_of, st.none() | st.sampled_from(Decision), shades), min_size=1, max_size=4
)


@settings(max_examples=50)
@given(faces_of)
def test_a_picture_is_called_real_only_if_every_judged_face_is(faces: list[FaceResult]) -> None:
    decision, lead, reasons = together(faces)
    said = {face.verdict.decision for face in faces if face.verdict}
    ranks = [Decision.AI, Decision.UNDECIDED, Decision.REAL]
    assert decision is next((one for one in ranks if one in said), Decision.UNDECIDED)
    if lead is None:
        assert not said
        assert reasons == (Reason.FACE_TOO_SMALL,)
    else:
        same = [f.verdict.p_ai for f in faces if f.verdict and f.decision is decision]
        assert (lead.decision, lead.p_ai) == (decision, max(same))
        assert (Reason.FACES_DISAGREE in reasons) == (len(said) > 1)


@settings(max_examples=50)
@given(faces_of)
def test_neither_the_order_of_faces_nor_a_bystander_matters(faces: list[FaceResult]) -> None:
    told = together(faces)
    assert all(together(order) == told for order in permutations(faces))
    if told[1] is not None:
        assert together([*faces, face_of(None, 0.0)]) == told


# --- the whole frame ----------------------------------------------------------------------------


def test_the_whole_image_is_judged_as_asked_and_says_so(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, (LARGE, AI))
    report = detector.inspect(pixels, whole_image=True)
    (face,) = report.faces
    assert face.box == Box(left=0.0, top=0.0, width=200.0, height=100.0)
    assert (face.landmarks, face.confidence) == ((), 0.0)
    assert report.reasons[-1] is Reason.WHOLE_IMAGE
    assert report.p_ai == pytest.approx(1 / (1 + np.exp(SLOPE / 2 - SLOPE * 0.18)), abs=0.01)


def test_a_frame_without_a_face_gets_numbers_and_no_verdict(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, (LARGE, AI))
    decided = detector.inspect(pixels, whole_image=True)
    assert decided.decision is not Decision.UNDECIDED
    report = replace(detector, finder=fake_finder()).inspect(pixels, whole_image=True)
    assert report.decision is Decision.UNDECIDED
    assert report.reasons == (Reason.NO_FACE, Reason.WHOLE_IMAGE)
    assert report.p_ai == decided.p_ai


def test_a_model_of_whole_frames_needs_no_warning_and_no_finder(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, (LARGE, REAL))
    trained = replace(
        detector, crop_config=CropConfig(size_px=16, whole=True), finder=fake_finder()
    )
    report = trained.inspect(pixels)
    assert report.reasons == (Reason.WITHIN_COVERAGE,)
    assert report.faces[0].box.width == 200


def test_a_frame_too_small_is_not_judged_either(fake_finder: Finders) -> None:
    report = see_through(fake_finder()).inspect(np.zeros((1, 1, 3), np.uint8), whole_image=True)
    assert report.reasons == (Reason.FACE_TOO_SMALL,)


# --- the same bytes, the same answer ------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(painter: Painter, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for seed in range(5):
        path = folder / f"{seed}.{'png' if seed % 2 else 'jpg'}"
        Image.fromarray(painter(64, 80, (12, 12, 40, 40), seed=seed)).save(path)
        paths.append(path)
    return paths


def test_the_same_bytes_get_the_same_report_alone_and_in_any_company(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    alone = [tiny_detector.inspect(path) for path in pictures]
    assert [tiny_detector.inspect(path) for path in pictures] == alone
    many = [pictures[(7 * n) % 5] for n in range(20)]
    for path, report in zip(many, scan(many, tiny_detector.inspect, Threads(2)), strict=True):
        assert report == alone[pictures.index(path)]  # every number, to the bit
    assert len({report.p_ai for report in alone}) == 5


def test_the_same_model_loaded_twice_gives_the_same_report(
    tiny_model: Path, pictures: list[Path]
) -> None:
    once, again = (Detector.load(tiny_model, threads=threads) for threads in (1, 1))
    for path in pictures[:2]:
        assert once.inspect(path, whole_image=True) == again.inspect(path, whole_image=True)


def test_however_a_picture_comes_its_numbers_are_the_same(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    for path in pictures[:2]:
        report = tiny_detector.inspect(path)
        assert report.path == str(path)
        data = path.read_bytes()
        nameless = replace(report, path=None)
        assert tiny_detector.inspect(str(path)) == report
        assert tiny_detector.inspect(read_photo(path)) == report
        assert tiny_detector.inspect(data) == nameless
        assert tiny_detector.inspect(io.BytesIO(data)) == nameless
        with path.open("rb") as file:
            assert tiny_detector.inspect(file) == nameless
        # Decoded elsewhere, the bytes are gone: the hash is of the pixels.
        with Image.open(path) as image:
            decoded = tiny_detector.inspect(image)
            assert tiny_detector.inspect(np.asarray(image)) == decoded
        assert decoded.sha256 != report.sha256
        assert replace(decoded, sha256=report.sha256) == nameless


# --- explanations -------------------------------------------------------------------------------


def test_contributions_add_up_to_the_calibrated_mean_logit(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    for path in pictures[:2]:
        report, (told,) = tiny_detector.explain(path, faithfulness=False)
        assert report == tiny_detector.inspect(path)
        assert told.face == report.faces[0]
        (tokens,) = tiny_detector.backbone.tokens(told.crop[None])
        features = pool(tokens, tiny_detector.pooling)
        raw = tiny_detector.head.logits(features).astype(np.float64)
        fitted = tiny_detector.calibration
        logit = float((fitted.slope * raw + fitted.intercept).mean())
        for parts in (told.contributions, told.gradient_x_token):
            assert parts.patches.shape == (4, 4)
            assert parts.patches.sum() + parts.prefix + parts.rest == pytest.approx(logit, abs=1e-4)
        assert told.channels.shape == features.shape
        assert (told.faithfulness, told.occlusion) == (None, None)


def test_without_a_rule_the_contributions_are_drawn(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    _, (told,) = tiny_detector.explain(pictures[0], faithfulness=False)
    assert told.evidence.method == "contributions"
    assert np.array_equal(told.evidence.patches, told.contributions.patches)


def a_rule(detector: Detector) -> Surrogate:
    draw = np.random.default_rng(0)
    spec = detector.backbone.spec
    return Surrogate(
        share=0.5,
        weight=draw.normal(size=(len(spec.layers), spec.dim)).astype(np.float32),
        base=draw.normal(size=(spec.grid, spec.grid)),
    )


def test_a_rule_is_read_in_calibrated_logits_and_scored(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    """The rule knows the head's own logit: calibrating anew scales its map, and no more."""
    rule = a_rule(tiny_detector)
    ruled = replace(tiny_detector, rule=rule)
    report, (told,) = ruled.explain(pictures[0], faithfulness=False)
    assert report == tiny_detector.inspect(pictures[0])
    (tokens,) = ruled.backbone.tokens(told.crop[None])
    slope = ruled.calibration.slope
    wanted = slope * rule.read(tokens, told.gradient_x_token.patches / slope)
    assert (told.evidence.method, told.evidence.looks) == ("covering", 0)
    np.testing.assert_allclose(told.evidence.patches, wanted)
    _, (tested,) = ruled.explain(pictures[0])
    orders = random_orders(told.crop, 4, ruled.mean_logit)
    assert (tested.evidence.method, tested.evidence.looks) == ("covering", 54)
    np.testing.assert_allclose(tested.evidence.patches, posterior_update(wanted, orders))
    assert tested.faithfulness == faithfulness(tested.evidence.patches, ruled.mean_logit, orders)
    other = replace(ruled, calibration=replace(ruled.calibration, slope=2 * slope, intercept=1.0))
    _, (again,) = other.explain(pictures[0], faithfulness=False)
    np.testing.assert_allclose(again.evidence.patches, 2 * told.evidence.patches, rtol=1e-5)


def test_further_maps_are_scored_like_the_drawn_one(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    @dataclass(frozen=True)
    class Corner:
        name: str = "corner"

        def read(self, crop: UInt8[ndarray, "size size 3"]) -> Float[ndarray, "grid grid"]:
            found = np.zeros((4, 4))
            found[0, 0] = float(crop.mean())
            return found

    _, (plain,) = tiny_detector.explain(pictures[0], faithfulness=False)
    assert plain.further == ()
    _, (told,) = tiny_detector.explain(pictures[0], further=[Corner()])
    (further,) = told.further
    assert further.name == "corner"
    assert further.patches[0, 0] == told.crop.mean()
    orders = random_orders(told.crop, 4, tiny_detector.mean_logit)
    assert further.faithfulness == faithfulness(further.patches, tiny_detector.mean_logit, orders)
    _, (unscored,) = tiny_detector.explain(pictures[0], faithfulness=False, further=[Corner()])
    assert unscored.further[0].faithfulness is None


def test_a_rule_travels_with_its_model(
    tiny_detector: Detector, tiny_model: Path, tmp_path: Path
) -> None:
    folder, rule = read_model(tiny_model), a_rule(tiny_detector)
    card = {key: value for key, value in folder.card.items() if key not in ("schema", "files")}
    write_model(tmp_path / "m", card, folder.tensors, folder.backbone, surrogate_to(rule))
    loaded = Detector.load(tmp_path / "m").rule
    assert loaded is not None
    assert loaded.share == rule.share
    assert np.array_equal(loaded.weight, rule.weight)
    assert np.array_equal(loaded.base, rule.base)
    wrong = surrogate_to(replace(rule, base=np.zeros((3, 3))))
    write_model(tmp_path / "n", card, folder.tensors, folder.backbone, wrong)
    with pytest.raises(ModelDamaged, match="a rule of"):
        Detector.load(tmp_path / "n")


def test_an_explanation_shows_what_was_judged(
    fake_finder: Finders,
) -> None:
    detector, pixels = answers(fake_finder, (LARGE, AI), (MIDDLE, REAL), (TINY, AI))
    report, told = detector.explain(pixels, occlude=(8, 8), fill="black")
    assert [one.face for one in told] == list(report.faces[:2])
    photo = read_photo(pixels)
    for one in told:
        area = crop_box(one.face.box, detector.crop_config, 200, 100)
        assert one.area == area
        assert np.array_equal(one.crop, extract_crop(photo.pixels, area, detector.crop_config))
        assert one.faithfulness is not None
        assert one.occlusion is not None
        assert detector.p_ai(one.crop[None])[0] == one.face.verdict.p_ai  # type: ignore[union-attr]
    # Covering red lowers P(ai); covering black with black does nothing.
    red, black = (np.asarray(one.occlusion) for one in told)
    assert (red > 0).all()
    assert (black == 0).all()


def test_a_window_that_does_not_fit_is_refused(fake_finder: Finders) -> None:
    detector, pixels = answers(fake_finder, (LARGE, AI))
    with pytest.raises(ValueError, match="1 <= window <= 16 px"):
        detector.explain(pixels, faithfulness=False, occlude=(17, 1))


# --- models on disk -----------------------------------------------------------------------------


def test_a_loaded_model_is_the_one_that_was_written(
    tiny_detector: Detector, tiny_model: Path, pictures: list[Path]
) -> None:
    loaded = Detector.load(tiny_model, threads=1, limits=Limits(max_bytes=10**6))
    assert isinstance(loaded.backbone, Backbone)
    loaded = replace(loaded, finder=tiny_detector.finder)
    assert loaded.limits.max_bytes == 10**6
    for path in pictures[:2]:
        report = replace(loaded.inspect(path), model=tiny_detector.model)
        assert report == tiny_detector.inspect(path)


def test_the_number_of_samples_can_be_changed(tiny_model: Path) -> None:
    assert Detector.load(tiny_model, samples=7).head.samples == 7
    assert Detector.load(tiny_model).head.samples == 50


def test_a_head_taken_apart_and_put_together_is_the_same(tiny_detector: Detector) -> None:
    entry, tensors = head_to(tiny_detector.head)
    again = head_from(json.loads(json.dumps(entry)), tensors)
    features = np.linspace(-1, 1, len(again.mean), dtype=np.float32)
    assert np.array_equal(again.logits(features), tiny_detector.head.logits(features))


def test_a_gaussian_taken_apart_and_put_together_is_the_same(tiny_detector: Detector) -> None:
    width = len(tiny_detector.head.mean)
    draw = np.random.default_rng(0)
    head = GaussianHead(
        mean=tiny_detector.head.mean,
        scale=tiny_detector.head.scale,
        mean=draw.normal(size=width).astype(np.float32),
        bias=1 / 3,
        axes=np.linalg.qr(draw.normal(size=(width + 1, 3)))[0].T.astype(np.float32),
        variance=np.full(3, 0.1, np.float32),
        remainder=2 / 3,
        samples=11,
    )
    entry, tensors = head_to(head)
    again = head_from(json.loads(json.dumps(entry)), tensors)
    features = np.linspace(-1, 1, width, dtype=np.float32)
    assert np.array_equal(again.logits(features), head.logits(features))
    assert resampled(head, 5).samples == 5
    report = replace(tiny_detector, head=again).inspect(
        np.zeros((64, 64, 3), np.uint8), whole_image=True
    )
    assert report.p_ai is not None


def test_a_missing_model_is_named(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelMissing, match=r"no model folder at .*nowhere"):
        Detector.load(tmp_path / "nowhere")
    for name in (CARD, TENSORS, BACKBONE):
        copy = tmp_path / f"without {name}"
        shutil.copytree(tiny_model, copy)
        (copy / name).unlink()
        with pytest.raises(ModelMissing, match=f"has no {name}"):
            Detector.load(copy)


def harmed(model: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a model whose card was edited by hand."""
    shutil.copytree(model, folder)
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(card))
    return folder


HARM: dict[str, Callable[[dict[str, Any]], object]] = {
    "no calibration": lambda card: card.pop("calibration"),
    "calibration in words": lambda card: card.update(calibration="good"),
    "a slope that turns answers round": lambda card: card["calibration"].update(slope=-1.0),
    "a slope that is none": lambda card: card["calibration"].update(slope=float("nan")),
    "a slope in words": lambda card: card["calibration"].update(slope="steep"),
    "coverage in per cent": lambda card: card["calibration"].update(coverage=90),
    "a threshold in words": lambda card: card["calibration"].update(threshold_real="high"),
    "a threshold that is no share": lambda card: card["calibration"].update(threshold_ai=7.0),
    "a class promised less": lambda card: card["calibration"].update(coverage_of_ai=0.5),
    "a recipe in words": lambda card: (
        card["calibration"].pop("coverage_of_reals"),
        card.update(recipe="ours"),
    ),
    "one number too many": lambda card: card["calibration"].update(offset=1),
    "no backbone": lambda card: card.pop("backbone"),
    "another pooling": lambda card: card.update(pooling=["mean"]),
    "unknown pooling": lambda card: card.update(pooling=["cls", "median"]),
    "another frame": lambda card: card["framing"].update(size_px=16),
    "other layers": lambda card: card["head"]["layers"].pop(),
    "too few samples": lambda card: card["head"].update(samples=1),
    "a size in words": lambda card: card.update(min_face_px="small"),
}


@pytest.mark.parametrize("kind", HARM)
def test_a_card_that_was_tampered_with_is_refused(
    tiny_model: Path, tmp_path: Path, kind: str
) -> None:
    folder = harmed(tiny_model, tmp_path / "model", HARM[kind])
    with pytest.raises(ModelDamaged) as caught:
        Detector.load(folder)
    assert str(folder) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", [TENSORS, BACKBONE])
def test_a_file_that_is_not_the_card_s_is_refused(
    tiny_model: Path, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    with (folder / name).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelDamaged, match=f"{name} has SHA-256"):
        Detector.load(folder)


MADE = {"coverage": 0.9, "coverage_of_reals": 0.97}
CARDS: dict[str, tuple[dict[str, Any], tuple[float | None, float | None]]] = {
    "none said": ({}, (None, None)),
    "by the recipe": ({"recipe": MADE}, (0.97, 0.9)),
    "one for all": ({"recipe": {"coverage": 0.9}}, (None, None)),
    "of another calibration": ({"recipe": {**MADE, "coverage": 0.8}}, (None, None)),
    "recalibrated": (
        {"recipe": MADE, "recalibrated": {"fpr": {"asked": 0.01}}},
        (0.99, 0.9),
    ),
}


@pytest.mark.parametrize("kind", CARDS)
def test_an_older_card_promises_what_it_was_made_with(
    tiny_model: Path, tmp_path: Path, kind: str, face_picture: ndarray
) -> None:
    says, wanted = CARDS[kind]

    def older(card: dict[str, Any]) -> None:
        for name in ("coverage_of_reals", "coverage_of_ai"):
            del card["calibration"][name]
        card.update(says)

    loaded = Detector.load(harmed(tiny_model, tmp_path / "model", older))
    found = loaded.calibration
    assert (found.coverage_of_reals, found.coverage_of_ai) == wanted
    report = loaded.inspect(face_picture)
    assert (report.coverage, report.coverage_of_reals, report.coverage_of_ai) == (0.9, *wanted)


def test_a_card_that_says_what_it_promises_is_believed(tiny_model: Path, tmp_path: Path) -> None:
    def newer(card: dict[str, Any]) -> None:
        card["calibration"].update(coverage_of_reals=0.95, coverage_of_ai=0.9)
        card["recipe"] = MADE

    found = Detector.load(harmed(tiny_model, tmp_path / "model", newer)).calibration
    assert (found.coverage_of_reals, found.coverage_of_ai) == (0.95, 0.9)


@pytest.mark.skipif(not default_model().is_dir(), reason="there is no default model")
def test_our_own_model_promises_more_to_real_pictures() -> None:
    found = Detector.load().calibration
    assert (found.coverage, found.coverage_of_reals, found.coverage_of_ai) == (0.9, 0.97, 0.9)


def test_a_card_is_kept_for_those_who_want_to_know_more(tiny_model: Path) -> None:
    loaded = Detector.load(tiny_model)
    assert loaded.card["calibration"]["coverage"] == loaded.calibration.coverage == 0.9
    assert loaded.level == 0.9
