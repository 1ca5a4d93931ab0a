import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageDraw
from veridical.present.page_png import WIDTH, picture

from tests.present.made import BAD, GOOD, photo
from tests.present.made import REPORT as SHARED
from tests.present.made import VERDICT as UNTRIED
from veridical.cues.protocol import Examined, Map
from veridical.detector import Explanation
from veridical.explain.attribution import Evidence, Faithfulness, TokenMap
from veridical.present import page_png
from veridical.present.blocks import Figure, Gallery, Heading, Page, Words
from veridical.present.html import html
from veridical.present.page import LIMITS, MOST_FACES, of_failure, of_report
from veridical.present.page_face import map_in_words, place
from veridical.present.records import cue_record
from veridical.report import (
    Box,
    Decision,
    FaceResult,
    Failure,
    NotApplicable,
    Reading,
    Reason,
    Report,
    Stability,
)

HOSTILE = (
    '"><script>alert(1)</script>.jpg',
    "' onerror='alert(1)' x='.png",
    "</title></style><img src=//evil.example/x onerror=alert(1)>",
    "&lt;b&gt;\x1b[31m\u202egpj.exe\udce9\n\x00",
    "javascript:alert(1)",
    "猫 é.jpg",
)
VERDICT = replace(
    UNTRIED,
    stability=Stability(copies=("jpeg-60", "screenshot-0.8"), p_ai=(0.95, 0.91)),
)
FACE = FaceResult(
    box=Box(left=30.0, top=20.0, width=50.0, height=60.0),
    landmarks=(),
    confidence=0.9,
    verdict=VERDICT,
    reasons=VERDICT.reasons,
)
SMALL = replace(
    FACE,
    box=Box(left=90.0, top=70.0, width=10.0, height=12.0),
    verdict=None,
    reasons=(Reason.FACE_TOO_SMALL,),
)
REPORT = replace(
    SHARED,
    path="holiday/a.jpg",
    steps=("EXIF orientation 6 applied",),
    faces=(FACE,),
)
EMPTY = replace(
    REPORT,
    faces=(),
    decision=Decision.UNDECIDED,
    p_ai=None,
    interval=None,
    reasons=(Reason.NO_FACE,),
)
FAILURE = Failure(path="b.jpg", error="b.jpg: zero bytes came.", hint="Get the file again.")
CUES = (
    Examined(
        answer=Reading(
            cue="noise",
            statistics=(("level", 1.5),),
            llr=0.4,
            plain="the grain is fine; it speaks a little.",
            technical="Noise of 1.5 levels.",
        ),
        drawing=Map(values=np.random.default_rng(0).uniform(0, 3, (20, 20)), unit="levels"),
    ),
    Examined(
        answer=Reading(
            cue="jpeg",
            statistics=(),
            llr=None,
            plain="the file is a JPEG; this is information only.",
            technical="Quality 90.",
        )
    ),
    Examined(answer=NotApplicable(cue="light", why="The face is nearly black.")),
)


def explanation(face: FaceResult = FACE, faithfulness: Faithfulness | None = GOOD) -> Explanation:
    patches = np.zeros((4, 4))
    patches[0, 0], patches[3, 3] = 2.0, -1.0
    tokens = TokenMap(patches=patches, prefix=0.2, rest=0.1)
    return Explanation(
        face=face,
        area=Box(left=20.0, top=10.0, width=80.0, height=80.0),
        crop=np.zeros((64, 64, 3), dtype=np.uint8),
        evidence=Evidence(patches=patches, method="covering", looks=54),
        contributions=tokens,
        gradient_x_token=tokens,
        channels=np.arange(30, dtype=np.float32),
        faithfulness=trust,
        occlusion=np.full((64, 64), 0.25),
    )


def page(report: Report = REPORT, faithfulness: Faithfulness | None = GOOD) -> Page:
    judged = [face for face in report.faces if face.verdict]
    told = [explanation(face, trust) for face in judged]
    return of_report(report, told, [CUES] * len(judged), photo())


def words(made: Page) -> str:
    """All that a page says, to those who see its pictures or not."""
    read = Reader(html(made))
    return re.sub(r"\s+", " ", " ".join([*read.texts, *read.alts]))


class Reader(HTMLParser):
    """Reads a page, and holds it to what is promised of every page."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.alts: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        entries = {name: value or "" for name, value in attrs}
        self.tags.append((tag, entries))
        self.alts += [entries["alt"]] if "alt" in entries else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["title"]):
            self.texts.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [entries for name, entries in self.tags if name == tag]


ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "section", "h1", "h2", "h3", "p"),
    *("dl", "div", "dt", "dd", "ul", "li", "figure", "img", "figcaption", "small"),
}
PAGES: dict[str, Callable[[], Page]] = {
    "judged": page,
    "withheld": lambda: page(faithfulness=BAD),
    "two faces": lambda: page(replace(REPORT, faces=(FACE, SMALL))),
    "no face": lambda: page(EMPTY),
    "failed": lambda: of_failure(FAILURE, "0.1.0", "0123456789ab"),
    "a bug": lambda: of_failure(replace(FAILURE, bug="Traceback"), "0.1.0", "0" * 12, photo()),
}
every_page = pytest.mark.parametrize("make", PAGES.values(), ids=PAGES)


def held(source: str) -> Reader:
    """What is promised of every page's HTML."""
    read = Reader(source)
    assert {tag for tag, _ in read.tags} <= ALLOWED
    for _, entries in read.tags:
        assert not [name for name in entries if name.startswith("on") or name in ("href", "srcset")]
        assert entries.get("src", "data:image/").startswith("data:image/")
        assert "url(" not in entries.get("style", "")
    style = re.findall(r"<style>(.*?)</style>", source, re.DOTALL)
    assert len(style) == 1
    assert not re.search(r"url\(|@import|//", style[0])
    assert "<!--" not in source
    return read


# --- HTML ---------------------------------------------------------------------------------------


@every_page
def test_a_page_needs_nothing_but_itself(make: Callable[[], Page]) -> None:
    read = held(html(make()))
    policies = [m["content"] for m in read.named("meta") if "http-equiv" in m]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert [m["content"] for m in read.named("meta") if m.get("name") == "viewport"]
    assert read.named("html") == [{"lang": "en"}]


@every_page
def test_headings_go_down_one_level_at_a_time(make: Callable[[], Page]) -> None:
    levels = [int(tag[1]) for tag, _ in held(html(make())).tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@every_page
def test_every_picture_says_what_it_shows_and_can_be_read(make: Callable[[], Page]) -> None:
    for entries in held(html(make())).named("img"):
        assert len(entries["alt"].split()) >= 5
        with Image.open(io.BytesIO(base64.b64decode(entries["src"].split(",")[1]))) as image:
            image.load()
            assert image.size == (int(entries["width"]), int(entries["height"]))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    tags = [tag for tag, _ in held(html(page())).tags]
    report = replace(REPORT, path=f"x/{name}", steps=(name,))
    read = held(html(page(report)))
    assert [tag for tag, _ in read.tags] == tags  # it added no tag, and closed none
    html(page(report)).encode("utf-8")
    failure = Failure(path=name, error=f"{name}: {name}", hint=name, bug=name)
    assert "script" not in {t for t, _ in held(html(of_failure(failure, "1", "2"))).tags}
    for text in (*read.texts, *read.alts):
        assert all(c.isprintable() or c == "\n" for c in text)


def test_a_hostile_cue_is_text_too() -> None:
    answer = NotApplicable(cue="<i>", why="<script>alert(1)</script>")
    made = of_report(REPORT, [explanation()], [(Examined(answer=answer),)], photo())
    held(html(made))
    assert "<script>alert(1)</script>" in words(made)


def test_folders_are_nobodys_business() -> None:
    assert "holiday" not in html(page())


# --- what is said -------------------------------------------------------------------------------


def test_a_page_tells_the_two_promises_apart() -> None:
    report = replace(REPORT, coverage=0.9, coverage_of_reals=0.97, coverage_of_ai=0.9)
    text = words(page(report))
    assert "of 100 real pictures like those in our tests, at most about 3 would be" in text
    assert "for 97 % of the real pictures and for 90 % of the AI-generated ones" in text
    assert "for 95 % of the real pictures and for 95 % of" in words(page())


def test_a_page_says_what_a_person_needs() -> None:
    text = words(page())
    for part in (
        "AI-GENERATED",
        "AI-generated: of 100 real pictures like those in our tests, at most about 5 would be",
        "about 97 chances in 100 for AI-generated, if 50 % of the pictures are; if 1 % of them "
        "are, about 27 chances in 100.",
        "the number at the top is about many",
        "0.973, 90 % credible interval 0.912 to 0.994",
        "One answer alone fits at 95 % coverage.",
        "jpeg-60: 0.950, screenshot-0.8: 0.910; the verdict stays",
        "0.40 from the pictures that the model learnt from; 1 is the limit, this picture is within",
        "places speak for AI-GENERATED, the strongest in the upper left",
        "places speak for REAL, the strongest in the lower right",
        "Its places do not add up to the answer",
        "Map beats 9 of 9 random orders (deletion +0.80, insertion +0.50 logits).",
        "Covering the upper left changed P(ai) most, by -0.25.",
        "What the network saw: +15.6 dB (+5.2 bits).",
        "Grain, beside the verdict: +1.7 dB by itself, not added.",
        "They stay beside the verdict, and do not move it.",
        "The grain is fine; it speaks a little.",
        "Direction of light is silent: The face is nearly black.",
        "EXIF orientation 6 applied",
        *LIMITS,
        REPORT.sha256,
        REPORT.model,
        "veridical 0.1.0",
        "face 1, 50 x 60 px in the middle, framed: AI-GENERATED",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("aleatoric", "epistemic", "told"),
    [(0.55, 0.05, True), (0.05, 0.55, False), (0.12, 0.01, False)],
)
def test_doubt_about_a_picture_is_not_told_as_a_suspicion(
    aleatoric: float, epistemic: float, told: bool
) -> None:
    verdict = replace(
        VERDICT, total=aleatoric + epistemic, aleatoric=aleatoric, epistemic=epistemic
    )
    report = replace(REPORT, faces=(replace(FACE, verdict=verdict),))
    assert ("It is no sign that something is wrong with it." in words(page(report))) == told


def test_a_page_says_what_rare_pictures_make_of_the_number() -> None:
    assert "if 1 % of them are, about 27 chances in 100" in words(page())
    assert "if 1 % of them" not in words(page(replace(REPORT, prior=0.01)))


def test_an_undecided_page_has_no_promise_to_compare_with() -> None:
    verdict = replace(VERDICT, decision=Decision.UNDECIDED, reasons=(Reason.BOTH_PLAUSIBLE,))
    report = replace(REPORT, faces=(replace(FACE, verdict=verdict, reasons=verdict.reasons),))
    text = words(page(report))
    assert "we do not stand behind this number" in text
    assert "the number at the top" not in text


def test_a_withheld_map_is_not_there_and_the_page_says_why() -> None:
    text = words(page(faithfulness=BAD))
    assert "No map is shown." in text
    assert "more than 2 of these 9 did. A map that does not beat them all may be chance." in text
    assert "grey under a map" not in text
    assert "do not add up to the answer" not in text
    assert "grey under a map" in words(page())


def test_a_picture_without_a_face_has_a_page_with_its_sentence() -> None:
    made = page(EMPTY)
    text = words(made)
    assert "Undecided: no face was found, and only faces are judged." in text
    assert sum(isinstance(block, Figure) for block in made.blocks) == 1
    assert "chances" not in text


def test_a_failed_picture_has_a_page_with_its_sentence() -> None:
    text = words(PAGES["failed"]())
    assert "Zero bytes came. Get the file again." in text
    assert "that is no sign of either answer" in text
    assert not Reader(html(PAGES["failed"]())).named("img")
    assert len(Reader(html(PAGES["a bug"]())).named("img")) == 1


def test_a_face_that_was_not_judged_is_named_and_numbered() -> None:
    made = page(replace(REPORT, faces=(FACE, SMALL)))
    headings = [block.text for block in made.blocks if isinstance(block, Heading)]
    assert "Face 2: not judged" in headings
    assert "The face has too few pixels to be judged." in words(made)


def test_a_crowd_does_not_make_an_endless_page() -> None:
    crowd = replace(REPORT, faces=(FACE,) * (MOST_FACES + 2))
    made = page(crowd)
    assert sum(isinstance(block, Gallery) for block in made.blocks) == 2 * MOST_FACES
    assert words(made).count("in files of their own") == 2
    assert "Face 10: AI-GENERATED" in words(made)


def test_a_page_needs_an_explanation_for_every_judged_face() -> None:
    with pytest.raises(ValueError, match="for each of 1 judged faces; got 0 and 0"):
        of_report(REPORT, [], [], photo())


@pytest.mark.parametrize("decision", Decision)
def test_answers_are_told_apart_without_colour(decision: Decision) -> None:
    made = page(replace(EMPTY, decision=decision))
    answer = next(b for b in made.blocks if isinstance(b, Words) and b.role == "answer")
    assert answer.text.lower().startswith(decision.value)


def test_places_have_names() -> None:
    assert place(0.1, 0.9) == "upper right"
    assert place(0.5, 0.5) == "middle"
    assert place(1.0, 0.0) == "lower left"
    assert map_in_words(np.array([[3.0, 1.0], [0.0, -2.0]])) == (
        "2 of 4 places speak for AI-GENERATED, the strongest in the upper left; "
        "1 of 4 places speak for REAL, the strongest in the lower right."
    )
    assert map_in_words(np.zeros((2, 2))) == "No place spoke for either."


def test_the_strongest_places_have_signs_that_survive_grey() -> None:
    galleries = [block for block in page().blocks if isinstance(block, Gallery)]
    grey = np.asarray(galleries[0].figures[1].image.convert("L")).astype(int)
    cell = 448 // 4
    plus, minus = grey[:cell, :cell], grey[-cell:, 3 * cell : 4 * cell]
    for sign in (plus, minus):
        assert sign[cell // 2, cell // 2] == 255
        assert sign[cell // 2, cell // 2 - 6] == 255
    assert plus[cell // 2 - 6, cell // 2] == 255
    assert minus[cell // 2 - 6, cell // 2] != 255


# --- both files ---------------------------------------------------------------------------------


@every_page
def test_the_same_answers_are_the_same_bytes(make: Callable[[], Page]) -> None:
    assert html(make()) == html(make())
    assert picture(make()).tobytes() == picture(make()).tobytes()


@every_page
def test_the_picture_is_as_wide_as_promised_and_not_blank(make: Callable[[], Page]) -> None:
    drawn = picture(make())
    assert drawn.width == WIDTH
    assert drawn.height > 500
    pixels = np.asarray(drawn)
    assert (pixels != 255).any(axis=(1, 2)).mean() > 0.2
    rim = pixels.copy()
    rim[16:-16, 16:-16] = 255
    assert (rim == 255).all()  # nothing is cut off


@every_page
def test_the_picture_says_what_the_html_says(
    make: Callable[[], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    draw: Callable[..., None] = ImageDraw.ImageDraw.text

    def spy(self: object, at: object, text: str, *rest: object, **more: object) -> None:
        written.append(text)
        draw(self, at, text, *rest, **more)

    made = make()
    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    picture(made)
    said = "".join("".join(written).split())
    assert said == "".join("".join(Reader(html(made)).texts).split())


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 400])
def test_the_picture_takes_any_name(name: str) -> None:
    drawn = picture(page(replace(REPORT, path=name)))
    assert (np.asarray(drawn)[:, -16:] == 255).all()


def test_no_letters_are_smaller_than_a_caption() -> None:
    assert min(page_png._TEXT, page_png._SMALL, page_png._DETAIL) >= 14


# --- numbers ------------------------------------------------------------------------------------


def test_readings_and_silences_are_plain_values() -> None:
    reading, bare, silence = [cue_record(one.answer) for one in CUES]
    assert reading["statistics"] == {"level": 1.5}
    assert (reading["llr"], reading["silent"], bare["llr"]) == (0.4, None, None)
    assert silence == {"cue": "light", "silent": "The face is nearly black."}
    json.dumps([reading, bare, silence], allow_nan=False)
