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
    EDGE_PX,
    LARGE,
    MIDDLE,
    RATES,
    REAL,
    RED_LOGITS,
    SMALL,
    STRANGE,
    TINY,
    TORN,
    WIDE,
    Colour,
    Eye,
    FakeFinder,
    Painter,
    calibration,
    fitted_of,
    red_head,
    see_around,
    see_through,
    sees,
    squares,
    with_parts,
)
from veridical.arrays import Float, UInt8, ndarray
from veridical.assembly import default_model
from veridical.box import Box
from veridical.claims import Declared, Says
from veridical.cues import DEFAULT_CUES, examine_all
from veridical.detector import Detector
from veridical.errors import DeviceMissing, ModelError, PhotoTooLarge
from veridical.explain.face import ExplainConfig
from veridical.explain.faithfulness import faithfulness, random_orders
from veridical.explain.surrogate import Surrogate
from veridical.infer.priors import at_prior, predictive_values
from veridical.io.formats import Limits
from veridical.io.model import read_model, write_model
from veridical.io.source import open_source, read_photo
from veridical.report import Decision, FaceResult, NotApplicable, Reason, Report, Verdict
from veridical.scoring import score
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


def test_a_face_too_small_of_a_comparable_size_was_not_looked_at_so_nothing_is_called_real() -> (
    None
):
    detector, pixels = sees((MIDDLE, REAL), (TINY, REAL))
    report = detector.inspect(pixels)
    assert report.decision is Decision.UNDECIDED
    assert report.reasons == (Reason.FACE_TOO_SMALL, Reason.WITHIN_COVERAGE)
    assert report.lead is report.faces[0]
    assert report.lead.decision is Decision.REAL


def test_where_faces_disagree_one_that_stands_out_wins_and_the_lead_is_it() -> None:
    detector, pixels = sees((LARGE, REAL), (MIDDLE, TORN), (SMALL, AI))
    standing_out = with_parts(detector, calibration=calibration(tail=(0.9, 0.95)))
    report = standing_out.inspect(pixels)
    assert report.decision is Decision.AI
    assert report.reasons == (Reason.WITHIN_COVERAGE, Reason.FACES_DISAGREE)
    assert report.lead is report.faces[2]
    verdict = report.lead.verdict
    assert verdict is not None
    assert (report.p_ai, report.interval) == (verdict.p_ai, verdict.interval)


def test_one_ai_among_others_that_does_not_stand_out_is_one_of_many() -> None:
    detector, pixels = sees((LARGE, REAL), (MIDDLE, REAL), (SMALL, AI))
    report = detector.inspect(pixels)  # without a tail nothing is promised of several faces
    assert report.decision is Decision.UNDECIDED
    reasons = (Reason.ONE_OF_MANY, Reason.WITHIN_COVERAGE, Reason.FACES_DISAGREE)
    assert report.reasons == reasons
    assert report.lead is report.faces[2]
    assert report.lead.decision is Decision.AI
    assert report.p_ai == report.lead.verdict.p_ai  # type: ignore[union-attr]


def test_of_two_faces_with_the_same_numbers_one_leads() -> None:
    detector, pixels = sees(((20.0, 20.0, 40.0, 40.0), AI), ((120.0, 20.0, 40.0, 40.0), AI))
    report = replace(detector, perturbations=()).inspect(pixels)
    assert report.faces[0].verdict == report.faces[1].verdict
    assert report.lead is report.faces[0]
    assert report.decision is Decision.AI  # together


def test_doubt_about_one_face_outweighs_a_real_one_only_if_all_together_are_in_doubt() -> None:
    detector, pixels = sees((LARGE, REAL), (MIDDLE, TORN))
    clear = detector.inspect(pixels)
    assert (clear.decision, clear.lead_index) == (Decision.REAL, 0)
    assert clear.reasons == (Reason.WITHIN_COVERAGE, Reason.FACES_DISAGREE)
    strict = with_parts(detector, calibration=calibration(0.05, 0.2))
    report = strict.inspect(pixels)
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
    assert (report.width, report.height) == (200, 100)
    (claim,) = report.claims  # an array has no file
    assert (claim.says, report.declared) == (Says.NOTHING, Declared.NONE)


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
        # Neither has a file of its own to say something.
        alone = replace(nameless, claims=decoded.claims, headline=decoded.headline)
        assert replace(decoded, sha256=report.sha256) == alone


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
    card = {"measured": {"test": RATES}}
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
    card = {"recipe": {"balance": False}, "fusion": {"overall": {"real": 300, "ai": 100}}}
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
    parts, (branch,) = tiny_detector.parts, tiny_detector.parts.branches
    for path in pictures:
        (face,) = tiny_detector.inspect(path, explain=FAST).faces
        found = face.explanation
        assert found is not None
        crop = extract_crop(read_photo(path).image, found.area, branch.crop)
        (tokens,) = tiny_detector.backbone.tokens(crop[None])
        raw = branch.head.forward(pool(tokens, parts.pooling)).logits.astype(np.float64)
        logit = float(fitted_of(tiny_detector).logits(raw).mean())
        for one in (found.contributions, found.gradient_x_token):
            assert one.patches.shape == (4, 4)
            assert one.logit == pytest.approx(logit, abs=1e-4)
        own = score(parts, [tokens], face.box.size_px).crop(0, tiny_detector.backbone)
        assert own.mean_logit(crop[None]) == pytest.approx([logit])
        assert (found.crop, found.method) == ("face", "contributions")
        assert (found.faithfulness, found.occlusion) == (None, None)


def a_surrogate(detector: Detector, seed: int = 0) -> Surrogate:
    draw, spec = np.random.default_rng(seed), detector.parts.spec
    return Surrogate(
        share=0.5,
        weight=draw.normal(size=(len(spec.layers), spec.dim)).astype(np.float32),
        base=draw.normal(size=(spec.grid, spec.grid)),
    )


def test_calibrating_anew_scales_the_map_of_a_surrogate_and_no_more(
    tiny_detector: Detector, pictures: list[Path]
) -> None:
    """The surrogate knows the head's own logit."""
    one = with_parts(tiny_detector, surrogate=a_surrogate(tiny_detector))
    steeper = replace(fitted_of(one), slope=4.0, intercept=1.0)
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
    image, config = read_photo(pixels).image, detector.parts.configs[0]
    for face in report.faces[:2]:
        found = face.explanation
        assert found is not None
        assert face.verdict is not None
        assert found.area == crop_box(face.box, config, 200, 100)
        crop = extract_crop(image, found.area, config)
        tokens = detector.backbone.tokens(crop[None])
        own = score(detector.parts, tokens, face.box.size_px).crop(0, detector.backbone)
        orders = random_orders(crop, 4, own.mean_logit)
        assert found.faithfulness == faithfulness(found.patches, own.mean_logit, orders)
        assert own.p_ai(crop[None])[0] == face.verdict.p_ai
    assert report.faces[2].explanation is None


def test_only_the_lead_face_is_explained_if_that_is_asked() -> None:
    detector, pixels = sees((LARGE, REAL), (MIDDLE, AI), (TINY, AI))
    every = detector.inspect(pixels, explain=FAST)
    lead = detector.inspect(pixels, explain=replace(FAST, lead_only=True))
    assert lead == every  # explanations are not compared
    assert [face.explanation is not None for face in every.faces] == [True, True, False]
    for at, face in enumerate(lead.faces):
        assert (face.explanation is not None) == (at == lead.lead_index)


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


# --- several crops -----------------------------------------------------------------------------

RIGHT = (40.0, 24.0, 40.0, 40.0)  # large, with its context within a picture of 120 x 88 px


def around(
    face: Colour, context: Colour, place: tuple[float, ...] = RIGHT
) -> UInt8[ndarray, "_ _ 3"]:
    """A face of one colour on a ground of another."""
    left, top, width, height = map(int, place)
    pixels = np.zeros((88, 120, 3), np.uint8)
    pixels[:] = np.rint(np.array(context) * 255)
    # As far beyond its box as the filter of its crop reads.
    rows, columns = slice(top - 6, top + height + 6), slice(left - 6, left + width + 6)
    pixels[rows, columns] = np.rint(np.array(face) * 255)
    return pixels


GREEN = (0.0, 1.0, 0.0)


def test_every_crop_is_named_with_what_it_showed_and_what_it_added() -> None:
    detector = see_around(FakeFinder((RIGHT,)))
    (face,) = detector.inspect(around(AI, REAL)).faces
    assert face.verdict is not None
    assert [one.crop for one in face.crops] == ["face", "context"]
    for one, config in zip(face.crops, detector.parts.configs, strict=True):
        assert one.area == crop_box(face.box, config, 120, 88)
    # Red in the face says `ai`: +4; around it there is no green: -4. Weights 3/4 and 1/4, -1/2.
    assert [one.evidence for one in face.crops] == pytest.approx([3 - 0.25, -1 - 0.25])
    total = sum(one.evidence for one in face.crops)
    assert face.verdict.p_ai == pytest.approx(1 / (1 + exp(-total)))


def test_the_context_of_a_small_face_counts_more() -> None:
    small = (50.0, 34.0, 20.0, 20.0)
    assert small[2] < EDGE_PX < RIGHT[2]
    told = []
    for place in (small, RIGHT):
        pixels = around(AI, GREEN, place)
        pixels[..., 1][pixels[..., 0] > 0] = 255  # green in the face, too
        report = see_around(FakeFinder((place,))).inspect(pixels)
        told.append([one.evidence for one in report.faces[0].crops])
    assert told[0] == pytest.approx([4 * 0.25 + 0.25, 4 * 0.75 + 0.25])
    assert told[1] == pytest.approx([4 * 0.75 - 0.25, 4 * 0.25 - 0.25])


def test_a_face_is_held_to_the_thresholds_of_its_class() -> None:
    detector = replace(see_around(FakeFinder((RIGHT,))), perturbations=())
    pixels = around((0.75, 0.0, 0.0), GREEN)
    report = detector.inspect(pixels)
    assert report.p_ai is not None
    assert 0.7 < report.p_ai < 0.9  # `ai` for a small face; of a large one it takes 0.9
    assert report.reasons == (Reason.NEITHER_PLAUSIBLE,)
    as_small = replace(detector.parts.fusion, edges_px=(41.0,), weights=((0.75, 0.25),) * 2)
    fusion = replace(as_small, intercepts=(-0.5, -0.5))
    again = with_parts(detector, fusion=fusion).inspect(pixels)
    assert (again.p_ai, again.decision) == (report.p_ai, Decision.AI)


@pytest.mark.parametrize("batch", [1, 3])
def test_crops_that_show_the_same_cost_one_look(batch: int) -> None:
    """As in a picture that is hardly larger than its face."""
    backbone = Eye(batch)
    detector = see_around(FakeFinder(((0.0, 0.0, 40.0, 40.0),)), backbone)
    tight = around(REAL, REAL)[:40, :40]
    (face,) = detector.inspect(tight).faces
    assert face.crops[0].area == face.crops[1].area
    if batch == 1:
        assert backbone.runs == [1]
    again = see_around(FakeFinder((RIGHT,)), Eye())
    again.inspect(around(REAL, REAL)[:, :-1])
    assert again.backbone.runs == [1]  # type: ignore[attr-defined]
    again.inspect(around((0.2, 0.0, 0.0), REAL))
    assert again.backbone.runs == [1, 1, 1]  # type: ignore[attr-defined]


def test_a_face_too_small_has_no_crops() -> None:
    (face,) = see_around(FakeFinder((TINY,))).inspect(squares()).faces
    assert face.crops == ()


def test_either_crop_that_is_unlike_the_training_data_stops_a_decision() -> None:
    detector = see_around(FakeFinder((RIGHT,)))
    for face, context in ((AI, (0.0, 1.0, 0.9)), ((1.0, 1.0, 0.6), (0.0, 1.0, 0.0))):
        report = detector.inspect(around(face, context))
        assert Reason.UNLIKE_TRAINING in report.reasons, (face, context)


def test_the_crop_that_spoke_most_for_the_verdict_is_explained() -> None:
    detector = replace(see_around(FakeFinder((RIGHT,))), perturbations=())
    cases = (
        (AI, REAL, "face"),  # `ai` by the face
        ((0.5, 1.0, 0.0), GREEN, "context"),  # `ai` by what is around it
        (REAL, GREEN, "face"),  # `real` by the face
        ((0.6, 0.0, 0.0), REAL, "context"),  # `real` by what is around it
    )
    for face, context, wanted in cases:
        (found,) = detector.inspect(around(face, context), explain=FAST).faces
        assert found.explanation is not None
        assert found.explanation.crop == wanted, (face, context)
        areas = {one.crop: one.area for one in found.crops}
        assert found.explanation.area == areas[wanted]
        logit = sum(one.evidence for one in found.crops)
        assert found.explanation.contributions.logit == pytest.approx(logit, abs=1e-5)


def test_further_maps_are_of_the_first_crop() -> None:
    class Ours:
        name = "ours"

        def read(self, crop: UInt8[ndarray, "size size 3"]) -> Float[ndarray, "grid grid"]:
            assert (crop[..., 0] > 90).all()  # the face alone
            return np.zeros((4, 4))

    detector = replace(see_around(FakeFinder((RIGHT,))), perturbations=())
    config = replace(FAST, explainers=(Ours(),))
    (face,) = detector.inspect(around((0.5, 1.0, 0.0), GREEN), explain=config).faces
    assert face.explanation is not None
    assert face.explanation.crop == "face"


def test_the_surrogate_of_the_crop_that_is_explained_is_read(
    wide_detector: Detector, painter: Painter
) -> None:
    first, second = wide_detector.parts.branches
    branches = (
        replace(first, surrogate=a_surrogate(wide_detector)),
        replace(second, surrogate=a_surrogate(wide_detector, seed=1)),
    )
    explained = with_parts(wide_detector, branches=branches)
    seen = set()
    for seed in range(8):
        pixels = painter(120, 160, WIDE, seed=seed)
        (face,) = explained.inspect(pixels, explain=FAST).faces
        assert face.explanation is not None
        at = [one.crop for one in face.crops].index(face.explanation.crop)
        seen.add(at)
        evidence = [one.evidence for one in face.crops]
        assert evidence[at] * np.sign(sum(evidence)) == max(
            np.array(evidence) * np.sign(sum(evidence))
        )
        image, branch = read_photo(pixels).image, branches[at]
        crop = extract_crop(image, face.explanation.area, branch.crop)
        (tokens,) = explained.backbone.tokens(crop[None])
        slope = explained.parts.fusion.calibrations[1].slope * (0.8, 0.3)[at]
        plain = face.explanation.gradient_x_token.patches
        assert branch.surrogate is not None
        wanted = slope * branch.surrogate.read(tokens, plain / slope)
        np.testing.assert_allclose(face.explanation.patches, wanted, rtol=1e-4, atol=1e-6)
    assert seen == {0, 1}


@pytest.mark.parametrize("batch", [1, 5])
def test_a_picture_gets_the_same_report_in_any_company(batch: int, tmp_path: Path) -> None:
    small = (90.0, 60.0, 20.0, 20.0)
    finder = FakeFinder((RIGHT, small, (0.0, 0.0, 9.0, 9.0)))
    colours = [(AI, REAL), (AI, GREEN), (REAL, REAL), (TORN, GREEN)]
    paths = []
    for number, (face, context) in enumerate(colours):
        path = tmp_path / f"{number}.png"
        Image.fromarray(around(face, context)).save(path)
        paths.append(path)
    alone = [see_around(finder).inspect(path, explain=FAST) for path in paths]
    assert len({report.decision for report in alone}) == 3
    backbone = Eye(batch)
    many = [paths[(3 * n) % 4] for n in range(9)]
    company = see_around(finder, backbone).inspect_many(many, jobs=2, explain=FAST)
    for path, report in zip(many, company, strict=True):
        assert report == alone[paths.index(path)]  # every crop, to the bit
    if batch > 1:
        # Two faces of two crops each, of `batch` pictures at a time; copies come one by one.
        assert sorted(n for n in backbone.runs if n > 1) == [4 * 4, 4 * 5]


def test_two_crops_of_a_loaded_model_answer_alike_alone_in_company_and_pickled(
    wide_model: Path, wide_detector: Detector, painter: Painter, tmp_path: Path
) -> None:
    loaded = replace(Detector.load(wide_model, threads=1), finder=wide_detector.finder)
    paths = []
    for seed in range(3):
        path = tmp_path / f"{seed}.png"
        Image.fromarray(painter(120, 160, WIDE, seed=seed)).save(path)
        paths.append(path)
    alone = [loaded.inspect(path) for path in paths]
    assert list(loaded.inspect_many(paths, jobs=2)) == alone
    again = pickle.loads(pickle.dumps(loaded))
    assert [again.inspect(path) for path in paths] == alone


# --- the fast way ------------------------------------------------------------------------------


def test_the_fast_way_looks_at_the_first_crop_and_has_its_own_calibration(
    wide_model: Path, wide_detector: Detector, painter: Painter
) -> None:
    fast = replace(Detector.load(wide_model, threads=1, fast=True), finder=wide_detector.finder)
    assert fast.parts.branches[0].name == "face"
    assert fast.parts.fusion == wide_detector.parts.fast
    pixels = painter(120, 160, WIDE)
    report = fast.inspect(pixels)
    (face,) = report.faces
    assert [one.crop for one in face.crops] == ["face"]
    image, branch = read_photo(pixels).image, wide_detector.parts.branches[0]
    crop = extract_crop(image, face.crops[0].area, branch.crop)
    (tokens,) = fast.backbone.tokens(crop[None])
    raw = branch.head.logits(pool(tokens, fast.parts.pooling)).astype(np.float64)
    fitted = fast.parts.fusion.calibrations[1]  # of 48 px
    wanted = fitted.slope * (0.9 * raw - 0.2) + fitted.intercept
    assert report.p_ai == pytest.approx(float((1 / (1 + np.exp(-wanted))).mean()), abs=1e-6)
    slow = replace(Detector.load(wide_model, threads=1), finder=wide_detector.finder)
    assert slow.inspect(pixels).p_ai != pytest.approx(report.p_ai, abs=1e-3)


def test_error_rates_that_were_measured_with_all_crops_are_not_told_of_one(
    wide_model: Path, wide_detector: Detector, painter: Painter
) -> None:
    pixels = painter(120, 160, WIDE)
    for fast in (False, True):
        loaded = Detector.load(wide_model, threads=1, fast=fast, prior=0.01)
        assert ("measured" in loaded.card) is not fast
        report = replace(loaded, finder=wide_detector.finder).inspect(pixels)
        assert report.at_prior is not None
        assert (report.at_prior.predictive is None) is fast


def test_the_fast_way_survives_pickling(wide_model: Path) -> None:
    fast = Detector.load(wide_model, threads=1, fast=True)
    packed = pickle.dumps(fast)
    assert len(packed) < 2000
    again = pickle.loads(packed)
    assert [branch.name for branch in again.parts.branches] == ["face"]
    assert again.parts.fusion == fast.parts.fusion
    assert "measured" not in again.card


def test_a_model_of_one_crop_is_as_fast_as_it_gets(tiny_model: Path) -> None:
    assert (
        Detector.load(tiny_model, fast=True).parts.fusion == Detector.load(tiny_model).parts.fusion
    )


def test_a_fast_way_that_a_recalibrated_model_has_not_is_refused_with_a_hint(
    wide_model: Path, tmp_path: Path
) -> None:
    model = read_model(wide_model)
    card = {key: value for key, value in model.card.items() if key not in ("schema", "files")}
    write_model(tmp_path / "own", {**card, "fast": None}, model.tensors, model.backbone, None)
    assert len(Detector.load(tmp_path / "own").parts.branches) == 2
    with pytest.raises(ModelError, match="calibrated on your pictures") as caught:
        Detector.load(tmp_path / "own", fast=True)
    assert "the model that it was made from" in caught.value.hint


# --- faces that lie ----------------------------------------------------------------------------


def lying(
    pixels: UInt8[ndarray, "height width 3"], turn: int
) -> tuple[UInt8[ndarray, "_ _ 3"], tuple[float, float, float, float]]:
    """A photo that has to be turned by `turn` to be upright, and where WIDE is in it."""
    height, width = pixels.shape[:2]
    left, top, across, down = WIDE
    right, below = width - left - across, height - top - down
    place = {
        0: WIDE,
        90: (below, left, down, across),
        180: (right, below, across, down),
        270: (top, right, down, across),
    }[turn]
    return np.ascontiguousarray(np.rot90(pixels, -turn // 90)), place


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_face_that_lies_is_judged_and_explained_as_if_it_stood(
    wide_detector: Detector, painter: Painter, turn: int
) -> None:
    pixels = painter(120, 160, WIDE, seed=2)
    there, place = lying(pixels, turn)
    turned = replace(wide_detector, finder=FakeFinder((place,), turn=turn))
    explain = ExplainConfig(occlude=(16, 8))
    (upright,) = wide_detector.inspect(pixels, explain=explain).faces
    (face,) = turned.inspect(there, explain=explain).faces
    assert (face.turn, upright.turn) == (turn, 0)
    assert face.verdict == upright.verdict  # perturbed copies included, if there were any
    assert [one.evidence for one in face.crops] == [one.evidence for one in upright.crops]
    found, wanted = face.explanation, upright.explanation
    assert found is not None
    assert wanted is not None
    assert (found.crop, found.faithfulness) == (wanted.crop, wanted.faithfulness)

    def back(patches: ndarray) -> ndarray:
        return np.rot90(patches, -turn // 90)  # as the photo was turned

    np.testing.assert_array_equal(found.patches, back(wanted.patches))
    for one, other in (
        (found.contributions, wanted.contributions),
        (found.gradient_x_token, wanted.gradient_x_token),
    ):
        np.testing.assert_array_equal(one.patches, back(other.patches))
        assert (one.prefix, one.rest) == (other.prefix, other.rest)
    assert found.occlusion is not None
    assert wanted.occlusion is not None
    np.testing.assert_array_equal(found.occlusion.drop, back(wanted.occlusion.drop))
    assert found.occlusion.largest == wanted.occlusion.largest


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_an_occlusion_names_the_place_in_the_photo_as_it_lies(turn: int) -> None:
    detector, _ = sees((LARGE, AI))
    photo = squares(((0.0, 0.0, 60.0, 20.0), AI))  # the upper third of the face, as it lies
    config = replace(FAST, occlude=(4, 4))
    there = replace(detector, finder=FakeFinder((LARGE,), turn=turn))
    (face,) = there.inspect(photo, explain=config).faces
    assert face.explanation is not None
    assert face.explanation.occlusion is not None
    assert face.explanation.occlusion.at[1] < 22
    assert (face.explanation.contributions.patches[0] > 0).all()
    assert (face.explanation.contributions.patches[-1] <= 0).all()


def test_the_cues_of_a_face_that_lies_do_not_apply(portrait: Path) -> None:
    box = (150.0, 60.0, 180.0, 240.0)
    detector = see_through(FakeFinder((box,), turn=90))
    (face,) = detector.inspect(portrait, cues=True).faces
    assert face.verdict is not None
    assert face.readings is not None
    assert [one.cue for one in face.readings] == [cue.name for cue in DEFAULT_CUES]
    for one in face.readings:
        assert isinstance(one, NotApplicable)
        assert "turned by 90 degrees" in one.why


# --- logits ------------------------------------------------------------------------------------


def test_logits_are_the_head_s_own_of_every_face_that_is_large_enough() -> None:
    detector, pixels = sees((LARGE, AI), (MIDDLE, REAL), (TINY, AI))
    found = detector.logits(pixels)
    assert found.shape == (2, 64)
    np.testing.assert_allclose(found, [[RED_LOGITS / 2] * 64, [-RED_LOGITS / 2] * 64], rtol=0.05)
    steep = with_parts(detector, calibration=calibration(slope=3.0))
    np.testing.assert_array_equal(steep.logits(pixels), found)
    assert detector.logits(squares(), whole_image=True).shape == (1, 64)
    fused = see_around(FakeFinder((RIGHT,))).logits(around(AI, REAL))
    np.testing.assert_allclose(fused, [[3 - 1 - 0.5] * 64], rtol=1e-5)
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
    assert again.parts.samples == 20
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
        assert again.parts.fusion == changed.parts.fusion
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
    fusion = Detector.load().parts.fusion
    for found in (*fusion.calibrations, fusion.overall):
        assert (found.coverage_of_reals, found.coverage_of_ai) == (0.97, 0.9)


def test_a_card_is_kept_for_those_who_want_to_know_more(tiny_model: Path) -> None:
    loaded = Detector.load(tiny_model)
    (told,) = loaded.card["fusion"]["calibrations"]
    assert told["coverage_of_ai"] == fitted_of(loaded).coverage_of_ai == 0.9
    assert loaded.level == 0.9


def test_reports_of_two_pictures_differ(tiny_detector: Detector, pictures: list[Path]) -> None:
    reports: list[Report] = [tiny_detector.inspect(path) for path in pictures]
    assert reports[0] != reports[1]
    assert reports[0].p_ai != reports[1].p_ai
