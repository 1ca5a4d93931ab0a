import base64
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.present.made import (
    ABSENT,
    AT_1_PERCENT,
    BAD,
    COPIES,
    FACE,
    FAILURE,
    GOOD,
    INFORMS,
    PHOTO,
    SMALL,
    SPOKEN,
    covered,
    explanation,
    judged,
    report,
    spot,
)
from veridical.explanation import Faithfulness, NamedMap
from veridical.present.html import card, failure_page, linked, page
from veridical.present.sections import MOST_FACES
from veridical.present.words import LIMITS
from veridical.report import Decision, FaceResult, NotApplicable, Reason, Report

HOSTILE = (
    '"><script>alert(1)</script>.jpg',
    "' onerror='alert(1)' x='.png",
    "</title></style><img src=//evil.example/x onerror=alert(1)>",
    "&lt;b&gt;\x1b[31m\u202egpj.exe\udce9\n\x00",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "猫 é.jpg",
)


def face(tested: Faithfulness | None = GOOD, **changes: Any) -> FaceResult:
    made = explanation(
        spot(0, 0, 2.0) + spot(3, 3, -1.0),
        method="surrogate",
        forward_passes=54,
        faithfulness=tested,
        occlusion=covered(0.25),
    )
    judgement = judged(stability=COPIES)
    return replace(judgement, explanation=made, readings=(SPOKEN, INFORMS, ABSENT), **changes)


def of(*faces: FaceResult, title: str = "anna.jpg", **changes: Any) -> str:
    return page(report(*faces, **changes), PHOTO, title=title)


def of_failure(**changes: Any) -> str:
    return failure_page(replace(FAILURE, **changes), version="0.1.0", model="0123456789ab")


class Reader(HTMLParser):
    """Reads a page, and holds it to what is promised of every page."""

    VOID = ("meta", "img")

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.unfolded: list[str] = []
        self.alts: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        entries = {name: value or "" for name, value in attrs}
        self.tags.append((tag, entries))
        self.alts += [entries[name] for name in ("alt", "aria-label") if name in entries]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["title"]):
            self.texts.append(data)
            if "details" not in self.open:
                self.unfolded.append(data)

    def named(self, tag: str) -> list[dict[str, str]]:
        return [entries for name, entries in self.tags if name == tag]


def joined(texts: list[str]) -> str:
    return re.sub(r"\s+", " ", " ".join(texts))


def words(source: str) -> str:
    """All that a page says, to those who see its pictures or not."""
    read = Reader(source)
    return joined([*read.texts, *read.alts])


ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "h3", "p", "dl", "div"),
    *("dt", "dd", "ul", "li", "figure", "img", "figcaption", "small", "details", "summary"),
    *("svg", "text", "path", "circle"),
}
PAGES: dict[str, Callable[[], str]] = {
    "judged": lambda: of(face()),
    "without an explanation": lambda: of(FACE),
    "withheld": lambda: of(face(BAD)),
    "two faces": lambda: of(face(), SMALL),
    "two verdicts": lambda: of(face(), face(BAD)),
    "too small": lambda: of(SMALL),
    "no face": of,
    "failed": of_failure,
    "a bug": lambda: failure_page(
        replace(FAILURE, bug="Traceback"), version="0.1.0", model="0" * 12, photo=PHOTO
    ),
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


# --- every page ---------------------------------------------------------------------------------


@every_page
def test_a_page_needs_nothing_but_itself(make: Callable[[], str]) -> None:
    source = make()
    read = held(source)
    assert source.startswith("<!doctype html>")
    policies = [m["content"] for m in read.named("meta") if "http-equiv" in m]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert [m["content"] for m in read.named("meta") if m.get("name") == "viewport"]
    assert read.named("html") == [{"lang": "en"}]


@every_page
def test_headings_go_down_one_level_at_a_time(make: Callable[[], str]) -> None:
    levels = [int(tag[1]) for tag, _ in held(make()).tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@every_page
def test_every_picture_says_what_it_shows_and_can_be_read(make: Callable[[], str]) -> None:
    for entries in held(make()).named("img"):
        assert len(entries["alt"].split()) >= 5
        with Image.open(io.BytesIO(base64.b64decode(entries["src"].split(",")[1]))) as image:
            image.load()
            assert image.size == (int(entries["width"]), int(entries["height"]))
            assert np.asarray(image.convert("L")).std() > 0


@every_page
def test_the_same_answers_are_the_same_bytes(make: Callable[[], str]) -> None:
    assert make() == make()


@every_page
def test_the_answer_the_reason_and_what_to_do_are_not_folded(make: Callable[[], str]) -> None:
    read = Reader(make())
    order = [tag for tag, _ in read.tags if tag in ("h1", "h2", "details")]
    assert order[:3] == ["h1", "h2", "h2"]  # name, why, what to do next
    assert set(order[3::2]) == {"details"}
    text = joined(read.unfolded)
    assert re.search(
        r"^ ?[\w.-]+ (AI-GENERATED|UNDECIDED|NOT JUDGED) .*Why .* What to do next", text
    )
    assert len(text) < 900
    for limit in LIMITS:
        assert limit in joined(read.texts)
        assert limit not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    tags = [tag for tag, _ in held(of(face())).tags]
    cue = NotApplicable(cue=name, why=name)
    read = held(of(face(), title=name, steps=(name,), path=name, version=name))
    assert [tag for tag, _ in read.tags] == tags  # it added no tag, and closed none
    odd = replace(face(), readings=(replace(SPOKEN, plain=name, technical=name, cue=name), cue))
    made = of(odd)
    held(made)
    made.encode("utf-8")
    failed = held(of_failure(path=name, error=f"{name}: {name}", hint=name, bug=name))
    noted = Reader(card(report(FACE, path=name)))
    assert {tag for tag, _ in noted.tags} <= ALLOWED
    for each in (read, failed, noted, Reader(made)):
        for text in (*each.texts, *each.alts):
            assert all(c.isprintable() or c == "\n" for c in text)


def test_folders_are_private() -> None:
    assert "portraits" not in of(face())
    assert "portraits" not in card(report(FACE))
    assert "private" not in of_failure(path="private/b.jpg", error="private/b.jpg: zero bytes.")


def test_a_page_of_a_folder_links_to_its_index_and_its_neighbours() -> None:
    source = of(face(), title="<main>\n")
    made = linked(source, index="index.html", before="a.html", after=None)
    read = Reader(made)
    assert [link["href"] for link in read.named("a")] == ["index.html", "a.html"]
    assert joined(read.texts).split()[:3] == ["All", "pictures", "Previous"]
    assert read.tags[[tag for tag, _ in read.tags].index("main") + 1][0] == "nav"
    assert not Reader(source).named("a")


# --- what is said -------------------------------------------------------------------------------


def test_three_sentences_say_why() -> None:
    text = joined(Reader(of(face())).unfolded)
    for part in (
        "Why Of 100 real pictures like those in our tests, at most about 3 would be called",
        "If half of all pictures are AI-generated, the model gives this face about 97 chances "
        "in 100 to be AI-generated; if 1 % are, about 27 chances in 100.",
        "In the map, 1 of 16 places support AI-generated, the strongest in the upper left; 1 of "
        "16 places support real, the strongest in the lower right.",
        "What to do next Check the source.",
    ):
        assert part in text


def test_a_page_says_above_the_pictures_that_frames_were_not_judged() -> None:
    text = joined(Reader(of(face(), frames=12)).unfolded)
    assert text.index("Only one of 12 was judged; the others may differ.") < text.index("Why")


def test_a_page_says_what_an_expert_needs() -> None:
    text = words(of(face(), at_prior=AT_1_PERCENT))
    for part in (
        "0.973, 90 % credible interval 0.912 to 0.994",
        "At 1 % P(ai) 0.267, 0.095 to 0.626",
        "likelihood ratio 36, 10.4 to 166: 3.58 nats in support of AI-generated",
        "Only one answer is plausible at this coverage.",
        "jpeg-60 0.950 (AI-generated), screenshot-0.8 0.690 (undecided). The answer is kept",
        "0.40 from the training pictures (at most 1: like them)",
        "Its values do not add up to the answer",
        "The map beats 9 of 9 random orders (deletion +0.80, insertion +0.50 logits).",
        "Covering the upper left changed P(ai) most, by -0.25.",
        "The network: +15.6 dB (+5.2 bits).",
        "Grain, not part of P(ai): +1.7 dB by itself, not added.",
        "They do not move the verdict",
        "The grain is fine; it supports neither much.",
        "Direction of light: not measured. The face is nearly black.",
        "Processing EXIF orientation 6 applied",
        "for 97 % of the real pictures and for 90 % of the AI-generated ones",
        "ab" * 32,
        "0123456789ab",
        "veridical 0.1.0",
        "face 1, 50 x 60 px in the middle, framed: AI-GENERATED",
    ):
        assert part in text


def test_a_withheld_map_is_not_there_and_the_page_says_why() -> None:
    text = words(of(face(BAD)))
    assert "No map is shown: it won only 2 of 9 comparisons with random places" in text
    assert "grey under a map." not in text
    assert "do not add up to the answer" not in text
    assert "grey under a map." in words(of(face()))


def test_a_map_that_was_not_scored_is_shown_and_says_so() -> None:
    text = words(of(face(None)))
    assert "grey under a map." in text
    assert "The map was not scored." in text


def test_maps_by_other_methods_are_shown_or_withheld_each_by_its_own_score() -> None:
    maps = (
        NamedMap(name="grad-cam", patches=spot(0, 0, 1.0), faithfulness=GOOD),
        NamedMap(name="attention-rollout", patches=spot(0, 0, 1.0), faithfulness=BAD),
    )
    text = words(of(replace(FACE, explanation=explanation(maps=maps))))
    assert "under a map by grad-cam" in text
    assert "under a map by attention-rollout" not in text
    assert "no better than random maps: attention-rollout." in text


def test_a_picture_without_a_face_has_a_page_with_its_sentence() -> None:
    text = words(of())
    assert "No face was found, and only faces are judged." in text
    assert len(Reader(of()).named("img")) == 1
    assert "chances" not in text


def test_a_failed_picture_has_a_page_with_its_sentence() -> None:
    text = words(of_failure())
    assert "Zero bytes came." in text
    assert "What to do next Get the file again." in text
    assert "This supports neither answer." in text
    assert not Reader(of_failure()).named("img")
    assert len(Reader(PAGES["a bug"]()).named("img")) == 1


def test_a_face_that_was_not_judged_is_named_and_numbered() -> None:
    text = words(of(face(), SMALL))
    assert "Face 2: not judged" in text
    assert "The face has too few pixels to be judged." in text


def test_a_face_without_a_map_beside_one_with_a_map_says_how_to_get_one() -> None:
    says = "No map was made of this face. --thorough makes one of every face."
    assert says in words(of(face(), FACE))
    assert says not in words(of(FACE, FACE))
    assert says not in words(of(face(), SMALL))


def test_a_crowd_does_not_make_an_endless_page() -> None:
    few, crowd = of(*(face(),) * MOST_FACES), of(*(face(),) * (MOST_FACES + 2))
    assert len(Reader(few).named("img")) == len(Reader(crowd).named("img"))
    assert f"Face {MOST_FACES + 2}: AI-GENERATED" in words(crowd)


@pytest.mark.parametrize("decision", Decision)
def test_answers_are_told_apart_without_colour(decision: Decision) -> None:
    made: Report = report(judged(decision))
    for source in (page(made, PHOTO, title="a.jpg"), card(made)):
        assert re.search(rf"\b{decision.value.upper()}", joined(Reader(source).texts))


# --- notebooks ----------------------------------------------------------------------------------


def test_a_notebook_shows_the_answer_why_and_what_to_do() -> None:
    made = report(FACE)
    assert made._repr_html_() == card(made)
    text = words(card(made))
    for part in (
        "anna.jpg AI-GENERATED P(ai) 0.973, 90 % credible interval 0.912 to 0.994",
        "Of 100 real pictures",
        "Check the source.",
        "P(ai) assumes that half of the pictures are AI-generated.",
    ):
        assert part in text


def test_a_card_of_no_face_has_no_number() -> None:
    text = words(card(report(path=None)))
    assert "UNDECIDED No face was found" in text
    assert "P(ai)" not in text
    assert Reason.NO_FACE.value not in text
