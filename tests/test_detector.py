"""What is said of one picture, and that the same picture is always answered alike."""

import io
import pickle
from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import (
    AI,
    LARGE,
    MIDDLE,
    REAL,
    RED_LOGITS,
    SMALL,
    STRANGE,
    TINY,
    TORN,
    Colour,
    FakeFinder,
    Painter,
    calibration,
    red_head,
    see_through,
    sees,
    squares,
    with_parts,
)
from veridical.arrays import Float, UInt8, ndarray
from veridical.assembly import default_model
from veridical.box import Box
from veridical.cues import DEFAULT_CUES, examine_all
from veridical.detector import Detector
from veridical.errors import DeviceMissing, PhotoTooLarge
from veridical.explain.face import ExplainConfig
from veridical.explain.faithfulness import faithfulness, random_orders
from veridical.explain.surrogate import Surrogate
from veridical.infer.priors import at_prior, predictive_values
from veridical.io.formats import Limits
from veridical.io.source import open_source, read_photo
from veridical.report import Decision, FaceResult, Reason, Report, Verdict
from veridical.tokens import pool
from veridical.vision.backbone import OnnxBackbone
from veridical.vision.crop import CropConfig, crop_box, extract_crop
from veridical.vision.faces import FaceFinder
from veridical.vision.runtime import CPU, one_blas_thread

FAST = ExplainConfig(faithfulness=False)
BLACK = np.zeros((64, 64, 3), np.uint8)


# --- the faces of a picture --------------------------------------------------------------------


def test_no_face_is_undecided_and_never_real(painter: Painter) -> None:
    detector = see_through(FakeFinder(()))
    for seed in range(3):
        report = detector.inspect(painter(40, 50, seed=seed), cues=True, explain=True)
        assert (report.decision, report.reasons) == (Decision.UNDECIDED, (Reason.NO_FACE,))
        assert (report.p_ai, report.interval, report.faces) == (None, None, ())
        assert report.lead is None


def test_each_face_has_its_verdict_and_the_largest_comes_first() -> None:
    detector, pixels = sees((SMALL, AI), (LARGE, REAL), (MIDDLE, REAL))
    report = detector.inspect(pixels)
    assert [face.box.width for face in report.faces] == [60, 40, 20]
    assert [face.decision for face in report.faces] == ["real", "real", "ai"]
    for face in report.faces:
        assert face.verdict is not None
        assert face.reasons == (Reason.WITHIN_COVERAGE,)
        assert len(face.landmarks) == 5
        assert face.confidence == 0.9


def test_a_face_too_small_is_named_and_not_judged() -> None:
    detector, pixels = sees((TINY, AI))
    report = detector.inspect(pixels, cues=True, explain=True)
    (face,) = report.faces
    assert (face.verdict, face.reasons) == (None, (Reason.FACE_TOO_SMALL,))
    assert (face.readings, face.explanation) == (None, None)
    assert (report.decision, report.p_ai, report.lead) == (Decision.UNDECIDED, None, None)
    assert report.reasons == (Reason.FACE_TOO_SMALL,)


def test_the_limit_itself_is_large_enough() -> None:
    detector, pixels = sees(((0.0, 0.0, 16.0, 5.0), AI))
    assert detector.inspect(pixels).faces[0].verdict


@pytest.mark.parametrize("colour", [AI, REAL, TORN])
def test_a_small_bystander_does_not_silence_a_portrait(colour: Colour) -> None:
    alone, joined = sees((LARGE, colour)), sees((LARGE, colour), (TINY, AI))
    portrait, group = (detector.inspect(pixels) for detector, pixels in (alone, joined))
    assert (group.decision, group.p_ai, group.reasons) == (
        portrait.decision,
        portrait.p_ai,
        portrait.reasons,
    )
    assert len(group.faces) == 2


def test_where_faces_disagree_ai_wins_and_the_lead_is_the_face_it_rests_on() -> None:
    detector, pixels = sees((LARGE, REAL), (MIDDLE, TORN), (SMALL, AI))
    report = detector.inspect(pixels)
    assert report.decision is Decision.AI
    assert report.reasons == (Reason.WITHIN_COVERAGE, Reason.FACES_DISAGREE)
    assert report.lead is report.faces[2]
    verdict = report.lead.verdict
    assert verdict is not None
    assert (report.p_ai, report.interval) == (verdict.p_ai, verdict.interval)


def test_of_two_faces_with_the_same_numbers_one_leads() -> None:
    detector, pixels = sees(((20.0, 20.0, 40.0, 40.0), AI), ((120.0, 20.0, 40.0, 40.0), AI))
    report = replace(detector, perturbations=()).inspect(pixels)
    assert report.faces[0].verdict == report.faces[1].verdict
    assert report.lead is report.faces[0]


def test_doubt_about_one_face_outweighs_a_real_one() -> None:
    detector, pixels = sees((LARGE, REAL), (MIDDLE, TORN))
    report = detector.inspect(pixels)
    assert report.decision is Decision.UNDECIDED
    assert report.reasons == (Reason.NEITHER_PLAUSIBLE, Reason.FACES_DISAGREE)
    assert report.lead is report.faces[1]


def judged(detector: Detector, colour: Colour) -> tuple[FaceResult, Verdict]:
    (face,) = detector.inspect(squares((LARGE, colour))).faces
    assert face.verdict is not None
    return face, face.verdict


def test_an_interval_across_one_half_is_undecided() -> None:
    # `ai` always fits, alone.
    detector = with_parts(see_through(FakeFinder((LARGE,))), calibration=calibration(0.0, 1.0))
    assert judged(detector, (0.8, 0.0, 0.0))[0].decision is Decision.AI
    face, verdict = judged(with_parts(detector, head=red_head(0.5)), (0.8, 0.0, 0.0))
    low, high = verdict.interval
    assert low < 0.5 < high
    assert (face.decision, face.reasons) == (Decision.UNDECIDED, (Reason.INTERVAL_TOO_WIDE,))
    assert verdict.epistemic > 0.1


def test_a_face_unlike_the_training_data_is_undecided() -> None:
    face, verdict = judged(see_through(FakeFinder((LARGE,))), STRANGE)
    assert verdict.distance > 1
    assert (face.decision, face.reasons) == (Decision.UNDECIDED, (Reason.UNLIKE_TRAINING,))
    assert verdict.p_ai > 0.95  # and yet: sure that it is AI


def test_the_level_is_the_mass_of_the_interval_and_the_report_says_what_was_used() -> None:
    wide = with_parts(see_through(FakeFinder((LARGE,))), head=red_head(0.2))
    narrow = replace(wide, level=0.2)
    ends = [judged(one, (0.6, 0.0, 0.0))[1].interval for one in (wide, narrow)]
    assert ends[0][0] < ends[1][0] <= ends[1][1] <= ends[0][1]
    report = narrow.inspect(squares())
    assert (report.level, report.coverage, report.model) == (0.2, 0.8, "0123456789ab")
    assert (report.width, report.height, report.claims) == (200, 100, ())


# --- the whole frame ---------------------------------------------------------------------------


def test_the_whole_image_is_judged_as_asked_and_says_so() -> None:
    detector, pixels = sees((LARGE, AI))
    report = detector.inspect(pixels, whole_image=True)
    (face,) = report.faces
    assert face.box == Box(left=0.0, top=0.0, width=200.0, height=100.0)
    assert (face.landmarks, face.confidence) == ((), 0.0)
    assert report.reasons[-1] is Reason.WHOLE_IMAGE
    logit = RED_LOGITS * (0.18 - 0.5)  # 18 % of the frame are red
    assert report.p_ai == pytest.approx(1 / (1 + exp(-logit)), abs=0.01)


def test_a_frame_without_a_face_gets_numbers_and_no_verdict() -> None:
    detector, pixels = sees((LARGE, AI))
    decided = detector.inspect(pixels, whole_image=True)
    assert decided.decision is not Decision.UNDECIDED
    report = replace(detector, finder=FakeFinder(())).inspect(pixels, whole_image=True)
    assert report.decision is Decision.UNDECIDED
    assert report.reasons == (Reason.NO_FACE, Reason.WHOLE_IMAGE)
    assert report.p_ai == decided.p_ai


def test_a_model_of_whole_frames_needs_no_warning_and_no_finder() -> None:
    class Never:
        name = "never"

        def find(self, image: Image.Image) -> Any:
            raise AssertionError("no face was asked for")

    whole = with_parts(see_through(Never()), crop=CropConfig(size_px=16, whole=True))
    report = whole.inspect(squares((LARGE, REAL)))
    assert report.reasons == (Reason.WITHIN_COVERAGE,)
    assert report.faces[0].box.width == 200


def test_a_frame_too_small_is_not_judged_either() -> None:
    report = see_through(FakeFinder(())).inspect(BLACK[:1, :1], whole_image=True)
    assert report.reasons == (Reason.FACE_TOO_SMALL,)


# --- the same bytes, the same answer -----------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(painter: Painter, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for seed in range(2):
        path = folder / f"{seed}.{'png' if seed else 'jpg'}"
        Image.fromarray(painter(64, 80, (12, 12, 40, 40), seed=seed)).save(path)
        paths.append(path)
    return paths


def test_the_same_model_loaded_twice_gives_the_same_report(
    tiny_model: Path, pictures: list[Path]
) -> None:
    once, again = (Detector.load(tiny_model, threads=1) for _ in range(2))
    for path in pictures:
        assert once.inspect(path, whole_image=True) == again.inspect(path, whole_image=True)


def test_however_a_picture_comes_its_numbers_are_the_same(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    for path in pictures:
        report = tiny_detector.inspect(path)
        assert report.path == str(path)
        data = path.read_bytes()
        nameless = replace(report, path=None)
        assert tiny_detector.inspect(str(path)) == report
        assert tiny_detector.inspect(open_source(path)) == report
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


def test_one_file_may_be_inspected_twice(tiny_detector: Detector, pictures: list[Path]) -> None:
    file = open_source(pictures[0])
    assert tiny_detector.inspect(file) == tiny_detector.inspect(file)


def test_what_is_asked_for_beside_it_leaves_the_verdict_as_it_is(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    plain = tiny_detector.inspect(pictures[0])
    full = tiny_detector.inspect(pictures[0], cues=True, explain=True)
    assert full.faces[0].readings is not None
    assert full.faces[0].explanation is not None
    bare = tuple(replace(face, readings=None) for face in full.faces)
    assert replace(full, faces=bare) == plain


def test_a_picture_over_the_limits_is_refused(pictures: list[Path]) -> None:
    detector = replace(see_through(FakeFinder()), limits=Limits(max_side=70))
    with pytest.raises(PhotoTooLarge):
        detector.inspect(pictures[0])


# --- another prior -----------------------------------------------------------------------------


def test_a_prior_is_answered_beside_the_verdict_and_changes_nothing_else() -> None:
    detector, pixels = sees((LARGE, AI), (MIDDLE, REAL))
    rates = {
        "real_called_ai": [0.02, 0.01, 0.04],
        "ai_called_ai": [0.6, 0.5, 0.7],
        "ai_called_real": [0.05, 0.02, 0.1],
        "real_called_real": [0.5, 0.4, 0.6],
    }
    card = {"measured": {"test": rates}}
    plain = replace(detector, card=card).inspect(pixels)
    report = replace(detector, card=card, prior=0.01).inspect(pixels)
    assert plain.at_prior is None
    assert replace(report, at_prior=None) == plain
    assert report.p_ai is not None
    assert report.interval is not None
    values = predictive_values(card, 0.01)
    assert values is not None
    assert report.at_prior == at_prior(report.p_ai, report.interval, 0.01, 0.5, values)


def test_a_prior_is_read_against_the_share_that_the_model_assumes() -> None:
    detector, pixels = sees((LARGE, AI))
    card = {"recipe": {"balance": False}, "calibration": {"real": 300, "ai": 100}}
    report = replace(detector, card=card, prior=0.25).inspect(pixels)
    assert report.prior == 0.25
    assert report.at_prior is not None
    assert report.at_prior.p_ai == report.p_ai


def test_without_a_verdict_there_is_no_answer_at_another_prior() -> None:
    detector, pixels = sees((TINY, AI))
    assert replace(detector, prior=0.01).inspect(pixels).at_prior is None


@pytest.mark.parametrize("prior", [0.0, 1.0, 50.0])
def test_a_prior_that_is_no_share_is_refused_when_loading(tiny_model: Path, prior: float) -> None:
    with pytest.raises(ValueError, match="more than 0 and less than 1"):
        Detector.load(tiny_model, prior=prior)


# --- cues --------------------------------------------------------------------------------------


@pytest.fixture
def portrait(face_picture: UInt8[ndarray, "height width 3"], tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    Image.fromarray(face_picture).resize((480, 360)).save(path, quality=90)
    return path


def test_cues_are_asked_about_every_face_that_was_judged(portrait: Path) -> None:
    boxes = ((150.0, 60.0, 180.0, 240.0), (10.0, 10.0, 60.0, 60.0), (400.0, 300.0, 9.0, 9.0))
    report = see_through(FakeFinder(boxes)).inspect(portrait, cues=True)
    with one_blas_thread():  # as in the detector: sums round alike
        for face in report.faces[:2]:
            assert face.readings == examine_all(open_source(portrait), face.box, face.landmarks)
    assert report.faces[2].readings is None
    whole = see_through(FakeFinder()).inspect(portrait, whole_image=True, cues=True)
    assert [face.readings and len(face.readings) for face in whole.faces] == [len(DEFAULT_CUES)]


def test_only_the_cues_that_were_named_are_asked(portrait: Path) -> None:
    detector = see_through(FakeFinder())
    (face,) = detector.inspect(portrait, cues=DEFAULT_CUES[3:]).faces
    assert face.readings is not None
    assert [one.cue for one in face.readings] == [cue.name for cue in DEFAULT_CUES[3:]]
    assert detector.inspect(portrait, cues=()).faces[0].readings is None
    assert detector.inspect(portrait).faces[0].readings is None


# --- explanations ------------------------------------------------------------------------------


def test_contributions_add_up_to_the_calibrated_mean_logit(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    parts = tiny_detector.parts
    for path in pictures:
        (face,) = tiny_detector.inspect(path, explain=FAST).faces
        found = face.explanation
        assert found is not None
        crop = extract_crop(read_photo(path).image, found.area, parts.crop)
        (tokens,) = tiny_detector.backbone.tokens(crop[None])
        raw = parts.head.forward(pool(tokens, parts.pooling)).logits.astype(np.float64)
        logit = float(parts.calibration.logits(raw).mean())
        for one in (found.contributions, found.gradient_x_token):
            assert one.patches.shape == (4, 4)
            assert one.logit == pytest.approx(logit, abs=1e-4)
        assert tiny_detector.mean_logit(crop[None]) == pytest.approx([logit])
        assert (found.method, found.faithfulness, found.occlusion) == ("contributions", None, None)


def test_calibrating_anew_scales_the_map_of_a_surrogate_and_no_more(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    """The surrogate knows the head's own logit."""
    draw, spec = np.random.default_rng(0), tiny_detector.parts.spec
    surrogate = Surrogate(
        share=0.5,
        weight=draw.normal(size=(len(spec.layers), spec.dim)).astype(np.float32),
        base=draw.normal(size=(spec.grid, spec.grid)),
    )
    one = with_parts(tiny_detector, surrogate=surrogate)
    steeper = replace(one.parts.calibration, slope=4.0, intercept=1.0)
    maps = [
        detector.inspect(pictures[0], explain=FAST).faces[0].explanation
        for detector in (one, with_parts(one, calibration=steeper))
    ]
    assert maps[0] is not None
    assert maps[1] is not None
    assert maps[0].method == "surrogate"
    np.testing.assert_allclose(maps[1].patches, 2 * maps[0].patches, rtol=1e-5)


def test_an_explanation_shows_what_was_judged() -> None:
    detector, pixels = sees((LARGE, AI), (MIDDLE, REAL), (TINY, AI))
    report = detector.inspect(pixels, explain=ExplainConfig(occlude=(8, 8)))
    image, config = read_photo(pixels).image, detector.parts.crop
    for face in report.faces[:2]:
        found = face.explanation
        assert found is not None
        assert face.verdict is not None
        assert found.area == crop_box(face.box, config, 200, 100)
        crop = extract_crop(image, found.area, config)
        orders = random_orders(crop, 4, detector.mean_logit)
        assert found.faithfulness == faithfulness(found.patches, detector.mean_logit, orders)
        assert detector.p_ai(crop[None])[0] == face.verdict.p_ai
    assert report.faces[2].explanation is None


def test_an_occlusion_finds_where_the_red_is() -> None:
    detector, _ = sees((LARGE, AI))
    pixels = squares(((0.0, 0.0, 60.0, 30.0), AI))  # the upper half alone
    config = replace(FAST, occlude=(4, 4))
    (face,) = detector.inspect(pixels, explain=config).faces
    assert face.explanation is not None
    found = face.explanation.occlusion
    assert found is not None
    assert found.largest > 0.05
    assert found.at[1] < 30
    assert (found.drop[:4] > 0).all()
    assert (found.drop[-4:] < 0).all()  # the mean colour is redder than black


def test_a_map_that_fails_stays_in_the_report() -> None:
    class Wrong:
        name = "wrong"

        def read(self, crop: UInt8[ndarray, "size size 3"]) -> Float[ndarray, "grid grid"]:
            red: ndarray = crop.reshape(4, 4, 4, 4, 3).mean(axis=(1, 3))[..., 0]
            return -red.astype(np.float64)

    detector, _ = sees((LARGE, AI))
    ramp = squares()
    ramp[:60, :60, 0] = np.linspace(150, 255, 60)
    (face,) = detector.inspect(ramp, explain=ExplainConfig(explainers=(Wrong(),))).faces
    assert face.explanation is not None
    (wrong,) = face.explanation.maps
    assert wrong.faithfulness is not None
    assert not wrong.faithfulness.passed
    assert wrong.patches.shape == (4, 4)


def test_a_window_that_does_not_fit_is_refused() -> None:
    detector, pixels = sees((LARGE, AI))
    with pytest.raises(ValueError, match="at most 16 px"):
        detector.inspect(pixels, explain=replace(FAST, occlude=(17, 1)))


# --- logits ------------------------------------------------------------------------------------


def test_logits_are_the_head_s_own_of_every_face_that_is_large_enough() -> None:
    detector, pixels = sees((LARGE, AI), (MIDDLE, REAL), (TINY, AI))
    found = detector.logits(pixels)
    assert found.shape == (2, 64)
    np.testing.assert_allclose(found, [[RED_LOGITS / 2] * 64, [-RED_LOGITS / 2] * 64], rtol=0.05)
    steep = with_parts(detector, calibration=calibration(slope=3.0))
    np.testing.assert_array_equal(steep.logits(pixels), found)
    assert detector.logits(squares(), whole_image=True).shape == (1, 64)
    assert replace(detector, finder=FakeFinder(())).logits(pixels).shape == (0, 64)


# --- pickling ----------------------------------------------------------------------------------


def test_a_loaded_detector_pickles_small_and_answers_alike(
    tiny_model: Path, pictures: list[Path]
) -> None:
    detector = Detector.load(
        tiny_model,
        samples=20,
        threads=1,
        limits=Limits(max_bytes=10**6),
        recheck=False,
        prior=0.1,
    )
    packed = pickle.dumps(detector)
    assert len(packed) < 2000
    again = pickle.loads(packed)
    assert (again.limits, again.perturbations, again.prior) == (detector.limits, (), 0.1)
    assert again.parts.head.samples == 20
    for path in pictures:
        report = detector.inspect(path, whole_image=True)
        assert again.inspect(path, whole_image=True) == report
        assert report.at_prior is not None
        assert report.at_prior.prior == 0.1


def test_a_changed_detector_pickles_with_its_parts(
    tiny_model: Path, tiny_detector: Detector, pictures: list[Path]
) -> None:
    loaded = Detector.load(tiny_model, threads=1)
    for changed in (
        replace(loaded, finder=tiny_detector.finder, level=0.5),
        with_parts(tiny_detector, calibration=calibration(0.5, 0.5)),
    ):
        again = pickle.loads(pickle.dumps(changed))
        assert again.level == changed.level
        assert again.parts.calibration == changed.parts.calibration
        assert again.inspect(pictures[0]) == changed.inspect(pictures[0])


# --- loading -----------------------------------------------------------------------------------


def test_a_device_that_is_absent_is_refused_when_loading(tiny_model: Path) -> None:
    with pytest.raises(DeviceMissing, match="ONNX Runtime has no NoSuchExecutionProvider here"):
        Detector.load(tiny_model, providers=("NoSuchExecutionProvider",))


def test_a_model_is_loaded_on_the_cpu_unless_asked_otherwise(tiny_model: Path) -> None:
    loaded = Detector.load(tiny_model)
    assert isinstance(loaded.backbone, OnnxBackbone)
    assert isinstance(loaded.finder, FaceFinder)
    assert loaded.backbone.providers == loaded.finder.providers == CPU


@pytest.mark.skipif(not default_model().is_dir(), reason="there is no default model")
def test_our_own_model_promises_more_to_real_pictures() -> None:
    found = Detector.load().parts.calibration
    assert (found.coverage, found.coverage_of_reals, found.coverage_of_ai) == (0.9, 0.97, 0.9)


def test_a_card_is_kept_for_those_who_want_to_know_more(tiny_model: Path) -> None:
    loaded = Detector.load(tiny_model)
    fitted = loaded.parts.calibration
    assert loaded.card["calibration"]["coverage_of_ai"] == fitted.coverage_of_ai == 0.9
    assert loaded.level == 0.9


def test_reports_of_two_pictures_differ(tiny_detector: Detector, pictures: list[Path]) -> None:
    reports: list[Report] = [tiny_detector.inspect(path) for path in pictures]
    assert reports[0] != reports[1]
    assert reports[0].p_ai != reports[1].p_ai
