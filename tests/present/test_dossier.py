import io
import json
import re
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.present import made
from tests.present.filed import (
    BASIS,
    EXPLAINED,
    FILING,
    MEASURED,
    SECRETS,
    TEXT,
    file,
    filed,
    hostile,
)
from veridical.claims import Claim, ClaimSource, Credential, InTime, Says, Standing
from veridical.io.decode import Photo
from veridical.io.formats import Limits
from veridical.io.source import File
from veridical.present import dossier_conclusion as weigh
from veridical.present import dossier_words as say
from veridical.present import redaction
from veridical.present.dossier import Dossier, Filing
from veridical.present.dossier_faces import MOST_FACES
from veridical.present.dossier_forms import blocks, css, figures, to_html, to_json
from veridical.present.dossier_parts import dossier, judgement_hash
from veridical.provenance.credential import _told
from veridical.report import Decision, Estimate, Reading, Reason
from veridical.stats.intervals import exact

REAL = made.judged(Decision.REAL, p_ai=0.04, interval=(0.01, 0.09))
UNDECIDED = made.judged(Decision.UNDECIDED, Reason.BOTH_PLAUSIBLE, p_ai=0.5, interval=(0.3, 0.7))


def texts(value: Any) -> list[str]:
    """Every string in plain values, except the names of kinds and of files, and hashes."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        skipped = ("kind", "weight", "name", "media", "sha256")
        return [t for key, one in value.items() if key not in skipped for t in texts(one)]
    if isinstance(value, list | tuple):
        return [t for one in value for t in texts(one)]
    return []


def said(made: Dossier, title: str | None = None) -> str:
    """All that a section, or the whole dossier, says."""
    return "\n".join(
        text
        for section in blocks(made)
        if title is None or section["title"].startswith(title)
        for text in texts(section)
    )


class Seen(HTMLParser):
    """What a browser would make of a page: its elements, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


# --- one content, three forms --------------------------------------------------------------------


def test_page_and_json_say_all_that_the_dossier_says() -> None:
    made_ = filed(EXPLAINED)
    page = Seen(to_html(made_))
    shown = page.text + "".join(value or "" for name, value in page.attributes if name == "alt")
    record = json.loads(to_json(made_))
    assert record["sections"] == json.loads(json.dumps(blocks(made_)))
    for text in texts(blocks(made_)):
        assert text in shown


def test_a_page_is_complete_in_itself_and_runs_nothing() -> None:
    page = Seen(to_html(filed(EXPLAINED)))
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    sources = [value for name, value in page.attributes if name in ("src", "href")]
    assert sources
    assert all(value and value.startswith("data:image/") for value in sources)


def test_equal_inputs_give_equal_bytes_and_the_time_is_in_them() -> None:
    one, two = filed(EXPLAINED), filed(EXPLAINED)
    assert (to_html(one), to_json(one)) == (to_html(two), to_json(two))
    later = filed(EXPLAINED, filing=replace(FILING, at=FILING.at.replace(hour=13)))
    assert to_json(later) != to_json(one)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        Filing(at=FILING.at.replace(tzinfo=None))


def test_the_hash_of_a_judgement_does_not_depend_on_what_the_file_is_called() -> None:
    report = made.report(EXPLAINED)
    assert judgement_hash(report) == judgement_hash(replace(report, path="b.png", version="9"))
    assert judgement_hash(report) != judgement_hash(replace(report, width=121))


# --- the scale of support ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("face", "word", "says"),
    [
        (made.FACE, "supports_ai", "The examination gives moderate support for proposition 1"),
        (REAL, "supports_real", "The examination gives moderate support for proposition 2"),
        (UNDECIDED, "no_conclusion", "The examination gives no conclusion"),
    ],
)
def test_the_conclusion_follows_the_decision(face: Any, word: str, says: str) -> None:
    made_ = filed(face)
    assert made_.record["conclusion"] == word
    assert says in said(made_, "Conclusion")
    first = blocks(made_)[0]["blocks"][0]
    assert first["text"].startswith(says)
    assert first["weight"] == "strong"


def test_no_face_is_no_conclusion_and_says_so() -> None:
    made_ = filed()
    assert made_.record["conclusion"] == "no_conclusion"
    assert "No face was found" in said(made_, "Faces")
    assert "UNDECIDED (not examined)" in said(made_, "Conclusion")
    whole = said(made_)
    assert "The pixels could not be examined: no face was found" in said(made_, "Conclusion")
    for absent in ("no sign that something is wrong", "P(ai) assumes", "The interval is"):
        assert absent not in whole
    assert say.NUMBERS not in [section.title for section in made_.sections]


def test_strength_is_the_smallest_ratio_of_the_conservative_ends() -> None:
    sets = say.measured(BASIS.card)
    (test, _) = sets
    assert test.rates["real_called_ai"].high == pytest.approx(exact(2, 200).high)  # 0.02 told
    ratios = [0.5 / exact(2, 200).high, 0.6 / 0.04]
    assert weigh.conservative_ratio(Decision.AI, sets) == pytest.approx(min(ratios))
    assert weigh.worst(Decision.AI, sets) is test
    assert weigh.conservative_ratio(Decision.REAL, sets) == pytest.approx(0.5 / 0.05)
    assert weigh.worst(Decision.REAL, sets) is sets[1]
    assert weigh.conservative_ratio(Decision.UNDECIDED, sets) is None
    assert weigh.conservative_ratio(Decision.AI, ()) is None
    assert "gives moderate support for" in said(filed(made.FACE), "Conclusion")
    told = said(filed(made.FACE), "Conclusion")
    assert "180 of 300 AI-generated pictures and 2 of 200 real ones got it; allowing" in told
    assert "get this answer at least 14 times as often as real ones do" in told
    assert "every picture that gets it has the same" in told


def test_a_ratio_is_rounded_down_only() -> None:
    assert [weigh.ratio_of(x) for x in (14.99, 9.99, 1.0, 1234.5)] == ["14", "9.9", "1", "1,234"]


@pytest.mark.parametrize(
    ("low", "word"),
    [
        (0.03, "so weakly that the scale has no word for it"),
        (0.05, "gives weak support for"),
        (0.25, "gives moderate support for"),
        (1.0, "gives moderate support for"),
    ],
)
def test_words_of_strength_follow_the_ratio(low: float, word: str) -> None:
    rates = {**MEASURED["test"], "ai_called_ai": [1.0, low, 1.0], "n_real": None}
    basis = replace(BASIS, card={"measured": {"test": rates}})
    assert word in said(filed(made.FACE, basis=basis), "Conclusion")


def test_an_undecided_answer_has_no_strength() -> None:
    assert "strength means" not in said(filed(UNDECIDED), "Conclusion")
    assert filed(UNDECIDED).record["strength"] is None


def test_the_first_page_has_one_measure_and_the_numbers_section_relates_all() -> None:
    made_ = filed(made.FACE)
    assert not re.search(r"P\(ai\)|of 100 real", said(made_, "Conclusion"))
    numbers = said(made_, "The numbers")
    assert all(name in numbers for name in ("Ratio (tests)", "P(ai)", "Coverage guarantee"))
    assert weigh.THREE_MEASURES in numbers


def test_in_a_group_the_answer_and_p_ai_name_their_face() -> None:
    made_ = filed(REAL, made.FACE)
    assert "AI-GENERATED (of face 2 of 2)" in said(made_, "Conclusion")
    assert re.search(r"P\(ai\)\n.*\(of face 2 of 2\)", said(made_, "The numbers"))
    assert "of face" not in said(filed(made.FACE), "The numbers")


@pytest.mark.parametrize(
    ("face", "claimed", "told"),
    [
        (made.FACE, Says.CAPTURE, "The file says a camera took it"),
        (REAL, Says.AI, "The file says it is AI-generated"),
        (made.FACE, Says.AI, ""),
        (REAL, Says.CAPTURE, ""),
        (UNDECIDED, Says.AI, ""),
    ],
)
def test_the_conclusion_speaks_where_file_and_pixels_disagree(
    face: Any, claimed: Says, told: str
) -> None:
    claim = Claim(
        source=ClaimSource.EXIF,
        says=claimed,
        standing=Standing.UNSIGNED,
        by="Maker",
        plain="x",
        technical="x",
    )
    strong = [
        one["text"]
        for one in blocks(filed(face, claims=(claim,)))[0]["blocks"]
        if one.get("weight") == "strong"
    ]
    assert len(strong) == (2 if told else 1)
    assert not told or (told in strong[1] and "disagree" in strong[1])


def test_p_ai_is_read_as_odds_only_where_it_was_calibrated() -> None:
    whole = said(filed(made.FACE), "The numbers")
    assert 'No strength is read from that: its calibration error was 0.120 on "test"' in whole
    good = {name: {**one, "ece": [0.02, 0.01, 0.03]} for name, one in MEASURED.items()}
    told = said(filed(made.FACE, basis=replace(BASIS, card={"measured": good})), "The numbers")
    assert "was measured to be calibrated" in told
    none = said(filed(made.FACE, basis=replace(BASIS, card={})), "The numbers")
    assert "its calibration was not measured" in none


# --- error rates ---------------------------------------------------------------------------------


def test_error_rates_come_from_the_card_with_set_number_and_interval() -> None:
    told = said(filed(made.FACE), "Error rates")
    assert 'Set "test": 200 real and 300 AI-generated in 450 groups, pictures of elsewhere.' in told
    assert "0.010 (2 of 200; 0.000 to 0.036)" in told
    assert "0.020 (6 of 300; 0.007 to 0.050)" in told
    assert "0.020 (7 of 350; 0.008 to 0.041)" in told
    assert "0.000 (0 of 500; 0.000 to 0.040)" in told
    assert filed(made.FACE).record["error_rates"][0]["rates"]["real_called_ai"] == {
        "value": 0.01,
        "low": 0.0,
        "high": pytest.approx(exact(2, 200).high),
    }


def test_a_card_without_numbers_of_pictures_says_so() -> None:
    rates = {k: v for k, v in MEASURED["test"].items() if not k.startswith("n_")}
    told = said(filed(basis=replace(BASIS, card={"measured": {"test": rates}})), "Error rates")
    assert "does not say how many pictures" in told
    assert "0.010 (0.000 to 0.020)" in told


@pytest.mark.parametrize("card", [{}, {"measured": {}}, {"measured": {"test": {"ece": None}}}])
def test_unmeasured_error_rates_are_said_to_be_unknown(card: dict[str, Any]) -> None:
    made_ = filed(made.FACE, basis=replace(BASIS, card=card))
    assert say.NO_RATES in said(made_, "Error rates")
    assert "cannot be said" in said(made_, "Conclusion")


def test_the_whole_frame_has_no_error_rates_of_its_own() -> None:
    frame = replace(made.FACE, reasons=(Reason.WITHIN_COVERAGE, Reason.WHOLE_IMAGE))
    made_ = filed(frame, filing=replace(FILING, whole_image=True))
    assert say.WHOLE_IMAGE in said(made_, "Error rates")
    assert "cannot be said" in said(made_, "Conclusion")


def test_the_numbers_of_the_model_in_the_package_fit_its_rates() -> None:
    from veridical.assembly import default_model
    from veridical.io.model import CARD

    sets = say.measured(json.loads((default_model() / CARD).read_text()))
    assert [one.name for one in sets] == ["test", "val"]
    for one in sets:
        assert one.n_real
        assert one.n_ai
        assert one.n_groups
        for name, rate in one.rates.items():
            if name.startswith(("real_", "ai_")):
                hits = rate.value * (one.n_real if name.startswith("real_") else one.n_ai)
                assert hits == pytest.approx(round(hits), abs=1e-6), name
        decided = one.rates["coverage"].value * (one.n_real + one.n_ai)
        assert decided == pytest.approx(round(decided), abs=1e-6)
        assert sum(one.sources.values()) == one.n_real
        assert sum(one.generators.values()) == one.n_ai


def test_what_the_sets_are_made_of_is_told_largest_part_first() -> None:
    sources = [
        {"label": "ai", "source": "a", "generator": "sd", "pictures": 90},
        {"label": "ai", "source": "b", "generator": "gan", "pictures": 150},
        {"label": "ai", "source": "c", "generator": "sd", "pictures": 50},
        {"label": "ai", "source": "c", "generator": "", "pictures": 10},
        {"label": "real", "source": "a", "generator": "", "pictures": 200},
    ]
    learnt = [{"label": "ai", "source": "z", "generator": "sd", "pictures": 1}]
    card = {
        "measured": {"test": {**MEASURED["test"], "sources": sources}},
        "trained_on": {"sources": learnt},
    }
    told = said(filed(made.FACE, basis=replace(BASIS, card=card)), "Error rates")
    assert "gan 150, sd 140, not named 10\na 200" in told
    assert "also trained on pictures of sd, from other sources" in told
    assert say.OF_SETS not in said(filed(made.FACE), "Error rates")  # a card without them


def test_known_failures_name_the_list_that_they_mean() -> None:
    learnt = [{"label": "ai", "source": "a", "generator": "gan", "pictures": 1}]
    card = {"trained_on": {"sources": learnt}, "notes": {"known_failures": "Those not listed."}}
    told = said(filed(made.FACE, basis=replace(BASIS, card=card)), "Known limits")
    assert told.index("trained on these generators: gan.") < told.index("Those not listed.")
    assert '"those listed" are the generators' in told


def test_rates_of_any_shape_but_three_numbers_are_left_out() -> None:
    card = {"measured": {"test": {**MEASURED["test"], "auroc": None, "note": "x", "n": 3}}}
    (one,) = say.measured(card)
    assert one.rates["real_called_ai"] == Estimate(0.01, 0.0, exact(2, 200).high)
    assert not {"auroc", "note", "n"} & one.rates.keys()


# --- faces and maps ------------------------------------------------------------------------------


def test_every_face_gets_its_section_and_a_crowd_a_table() -> None:
    faces = [EXPLAINED, REAL, made.SMALL] * 4
    made_ = filed(*faces)
    titles = [section.title for section in made_.sections if section.title.startswith("Face ")]
    assert len(titles) == MOST_FACES
    assert titles[:3] == ["Face 1: AI-GENERATED", "Face 2: REAL", "Face 3: not judged"]
    (rest,) = (section for section in blocks(made_) if section["title"] == "Further faces")
    assert [row[0] for row in rest["blocks"][0]["rows"]] == ["9", "10", "11", "12"]


def test_a_map_comes_with_its_faithfulness() -> None:
    made_ = filed(EXPLAINED)
    assert [one.name for one in figures(made_)] == ["photo.jpeg", "face-1-map.jpeg"]
    assert "It won 9 of 9 comparisons with random places." in said(made_, "Face 1")
    assert "Deletion " in said(made_, "Face 1")


def test_a_map_that_is_no_better_than_random_is_withheld_and_that_is_said() -> None:
    face = replace(made.FACE, explanation=made.explanation(faithfulness=made.BAD))
    assert [one.name for one in figures(filed(face))] == ["photo.jpeg"]
    assert "No map is shown: it won only 2 of 9" in said(filed(face), "Face 1")


def test_a_file_that_says_nothing_has_one_entry_for_the_traces_in_it() -> None:
    trace = Claim(
        source=ClaimSource.FILE,
        says=Says.OTHER,
        standing=Standing.OBSERVED,
        plain="How.",
        technical="Its tables.",
        raw={"tables": "92"},
    )
    silent = Claim(
        source=ClaimSource.FILE,
        says=Says.NOTHING,
        standing=Standing.OBSERVED,
        plain="The file says nothing. That is no evidence.",
        technical="No mark. That is no evidence.",
    )
    report = replace(made.report(made.FACE), claims=(trace, silent))
    told = said(dossier(report, file(), FILING, BASIS), "What the file says")
    assert told.count("Found in") == 1
    assert "It says" not in told
    assert told.count("That is no evidence.") == 1
    hidden = dossier(report, file(), replace(FILING, redact=True), BASIS)
    assert "The file says nothing. No mark." in said(hidden, "What the file says")


def test_cues_are_told_with_their_worth() -> None:
    face = replace(made.FACE, readings=(made.SPOKEN, made.INFORMS, made.ABSENT))
    told = said(filed(face), "Face 1")
    assert "+0.40 nats" in told
    assert "not weighed" in told
    assert "Not measured. The face is nearly black." in told


def jpeg(**statistics: float) -> Reading:
    return Reading(cue="jpeg", statistics=statistics, llr=None, plain="A file", technical="Its.")


def test_what_compression_left_in_the_file_is_said_once_for_all_faces() -> None:
    readings = (jpeg(ripple=5.5, grid=7.0, elsewhere=1.0), jpeg(ripple=1.5, grid=2.0), jpeg())
    faces = [replace(made.FACE, readings=(one,)) for one in readings]
    report = made.report(*faces)
    assert say.saved_before(report) == (
        "signs of more than one JPEG compression around 1 of 2 faces (1): ripple of the "
        "coefficients' histograms, log power up to 5.50; above 4 it is a sign"
    )
    alone = say.saved_before(made.report(faces[1]))
    assert alone is not None
    assert "no sign of more than one JPEG compression around the face: " in alone
    assert say.saved_before(made.report(faces[2])) is None
    told = [said(filed(*faces), f"Face {number}") for number in (1, 2, 3)]
    assert "not the frame's own (7.0 standard errors" in told[0]
    assert "No grid of blocks shows in the face (2.0" in told[1]
    assert "too small" in told[2]
    assert not any("ripple" in one or "A file" in one for one in told)


@pytest.mark.parametrize("size", [(4000, 200), (200, 4000), (40, 40)])
def test_no_figure_is_larger_than_a_page(size: tuple[int, int]) -> None:
    from veridical.present.dossier_faces import figure_of
    from veridical.present.pictures import Picture

    picture = Picture(image=Image.new("RGB", size), says="x", shown=600, photo=True)
    figure = figure_of("x", picture, 400)
    assert 1 <= figure.shown <= 600
    assert figure.shown * figure.height / figure.width <= 401
    assert (figure.width, figure.height) == size


# --- hostile text --------------------------------------------------------------------------------


def test_hostile_text_is_text_in_every_form() -> None:
    report, one = hostile()
    made_ = dossier(report, one, replace(FILING, case=TEXT, note=TEXT, examiner=TEXT), BASIS)
    page, plain = Seen(to_html(made_)), Seen(to_html(filed(EXPLAINED)))
    assert set(page.tags) == set(plain.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(2)</script>" in page.text  # shown as it stands, and not run
    for form in (to_html(made_).decode(), to_json(made_).decode()):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u200b\u202e]", form)
    for text in texts(blocks(made_)):
        assert text.isprintable(), text
    assert r"\u202egpj.exe\u200b" in page.text
    assert r"\x1b[31m" in page.text


def test_json_is_ascii() -> None:
    assert to_json(filed(EXPLAINED, filing=replace(FILING, examiner="Zo\u00eb"))).isascii()


# --- redaction -----------------------------------------------------------------------------------


def test_a_redacted_report_holds_nothing_that_stands_in_the_file() -> None:
    report, one = hostile()
    open_, closed = (
        dossier(report, one, replace(FILING, redact=redact), BASIS) for redact in (False, True)
    )
    shown = to_json(open_).decode() + to_html(open_).decode()
    for secret in SECRETS:
        assert secret in shown
        assert secret not in to_json(closed).decode() + to_html(closed).decode()
    assert "redacted" in said(closed, "Conclusion").splitlines()[1]
    assert report.sha256 in to_json(closed).decode()
    assert closed.record["redacted"] is True
    assert closed.record["report"]["path"] == "[redacted].png"


def test_hashes_and_numbers_of_a_redacted_report_stay() -> None:
    report, one = hostile()
    open_, closed = (
        dossier(report, one, replace(FILING, redact=redact), BASIS).record
        for redact in (False, True)
    )
    for key in ("photo", "judgement_sha256", "model", "error_rates", "conclusion"):
        assert open_[key] == closed[key]
    assert open_["report"]["faces"] == closed["report"]["faces"]


def test_faces_are_covered_with_what_is_around_them() -> None:
    photo = redaction.covered(made.PHOTO, made.report(made.FACE, made.SMALL))
    assert photo is not None
    for face in (made.FACE, made.SMALL):
        box = face.box
        rows = slice(int(box.top), int(box.top + box.height))
        columns = slice(int(box.left), int(box.left + box.width))
        assert (photo.pixels[rows, columns] == redaction._COVER).all()
    changed = (photo.pixels != made.PHOTO.pixels).any(axis=-1)
    assert 0.3 < changed.mean() < 0.95
    assert (np.asarray(made.image()) == made.PHOTO.pixels).all()  # the photo itself is as it was


def test_no_shown_picture_of_a_redacted_report_depends_on_a_face() -> None:
    """Other pixels in the face, the same bytes shown."""
    report = made.report(EXPLAINED)
    box = report.faces[0].box
    pixels = made.PHOTO.pixels.copy()
    pixels[int(box.top) : int(box.top + box.height), int(box.left) : int(box.left + box.width)] = (
        np.random.default_rng(0).integers(0, 256, (int(box.height), int(box.width), 3))
    )
    shown = []
    for image in (made.image(), Image.fromarray(pixels)):
        one = file()
        one.__dict__["photo"] = Photo(stored=image, steps=())
        made_ = dossier(report, one, replace(FILING, redact=True), BASIS)
        shown.append([figure.data for figure in figures(made_)])
    assert len(shown[0]) == 2
    assert shown[0] == shown[1]


def test_a_picture_in_which_no_face_was_found_is_withheld_from_a_redacted_report() -> None:
    made_ = filed(filing=replace(FILING, redact=True))
    assert figures(made_) == ()
    assert say.WITHHELD in said(made_, "Conclusion")


# --- the file ------------------------------------------------------------------------------------


def with_fields() -> File:
    """A JPEG with a position in EXIF, and a caption in IPTC."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x8825] = {1: "S", 2: (33.0, 51.0, 36.0), 3: "E", 4: (151.0, 12.0, 0.0)}
    field = b"\x1c\x02\x78\x00\x0dSecretcaption"
    irb = b"8BIM\x04\x04\0\0" + len(field).to_bytes(4) + field + b"\0" * (len(field) % 2)
    body = b"Photoshop 3.0\0" + irb
    into = io.BytesIO()
    made.image().save(into, "JPEG", exif=exif)
    data = into.getvalue()
    data = data[:2] + b"\xff\xed" + (len(body) + 2).to_bytes(2) + body + data[2:]
    return File(path="a.jpg", data=data, limits=Limits())


def test_position_iptc_and_whole_hashes_are_facts_of_the_file() -> None:
    own = with_fields()
    told = said(dossier(made.report(made.FACE), own, FILING, BASIS), "The file")
    assert "-33.860000, 151.200000 (latitude, longitude)" in told
    assert "Caption: Secretcaption" in told
    assert own.header
    assert sha256(own.header.exif).hexdigest() in told
    hidden = replace(FILING, redact=True)
    told = said(dossier(made.report(made.FACE), own, hidden, BASIS))
    assert "-33.86" not in told
    assert "Secretcaption" not in told
    assert "Position (GPS)" in told


def test_paper_names_no_files_of_the_program() -> None:
    told = say.on_paper("called `ai` more often; see docs/doubt.md")
    assert told == 'called "ai" more often; see the program\'s documentation'


def test_the_actions_of_a_credential_are_counted_and_no_json_is_cut() -> None:
    actions = json.dumps([{"action": "c2pa.created", "when": "x" * 300}] * 3)
    claim = Claim(
        source=ClaimSource.C2PA,
        says=Says.AI,
        standing=Standing.BROKEN,
        plain="x",
        technical="x",
        raw={"actions": actions, "signature": json.dumps({"alg": "Es256", "issuer": "Anna"})},
        credential=Credential(actions=("c2pa.created",)),
    )
    told = said(filed(made.FACE, claims=(claim,)), "What the file says")
    assert "actions: 3; their kinds: c2pa.created" in told
    assert "signature: alg Es256; issuer Anna" in told
    assert "{" not in told


def test_court_paper_gives_no_advice_and_names_the_examiner_at_the_signature() -> None:
    made_ = filed(made.FACE)
    assert "accuse" not in said(made_)
    assert "A. Examiner" in said(made_, "Signature")


def test_a_claim_of_an_earlier_version_is_told_as_one() -> None:
    told = _told(Credential(ancestor_types=("trainedAlgorithmicMedia",)))
    assert told == "of an earlier version carried in it, a trained model generated it"
    both = Credential(source_types=("digitalCapture",), ancestor_types=("trainedAlgorithmicMedia",))
    assert _told(both).endswith(
        "; of an earlier version carried in it, a trained model generated it"
    )


def test_an_expired_certificate_is_told_on_the_first_page() -> None:
    claim = Claim(
        source=ClaimSource.C2PA,
        says=Says.AI,
        standing=Standing.SIGNED_UNTRUSTED,
        plain="x",
        technical="x",
        credential=Credential(in_time=InTime.EXPIRED),
    )
    made_ = filed(made.FACE, claims=(claim,), headline="The file says so.")
    assert "The file says so. Its certificate has expired." in said(made_, "Conclusion")


def test_a_hostile_header_is_only_text_in_the_style_sheet() -> None:
    assert (
        css('"; } body { x')
        == "\\000022\\00003b\\000020\\00007d\\000020body\\000020\\00007b\\000020x"
    )
