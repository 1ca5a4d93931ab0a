"""The page without a browser: what is sent, to whom, and that nothing of a file is markup."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
pytest.importorskip("httpx", reason="the extra [serve] is not installed")

from fastapi.testclient import TestClient

from tests.present.test_clips import CLIP
from tests.serve.site import BLACK, RED, Site, application, judged
from veridical.claims import Claim, ClaimSource, Says, Standing
from veridical.present import table, words
from veridical.present.html import page as page_of_one_file
from veridical.present.maps import HUE
from veridical.report import Decision, Reason
from veridical.serve.pages import words as page_words
from veridical.serve.pages.render import clip_fragment, fragment, home
from veridical.serve.pages.routes import POLICY
from veridical.serve.pool import Wish

HOSTILE = (
    '"><script>alert(1)</script>.jpg',
    "' onerror='alert(1)' x='.png",
    "</article></template></table><img src=//evil.example/x onerror=alert(1)>",
    "&lt;b&gt;\x1b[31m\u202egpj.exe\n\x00",
    "{{ 7 * 7 }}{% raw %}",
    "=cmd|'/c calc'!A0.jpg",
    "猫 é.jpg",
)
BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def client(site: Site) -> TestClient:
    return TestClient(application(site), client=("127.0.0.1", 5000))


class Elements(HTMLParser):
    """Every element and attribute of a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def told(text: str) -> str:
    """The words of a page, with single blanks."""
    return " ".join(Elements(text).text.split())


def shown(name: str = "anna.jpg", data: bytes = RED, *, explain: bool = True) -> str:
    return judged(data, Wish(explain=explain, cues=True, page=True, name=name))[1]


# --- routes ------------------------------------------------------------------------------------


def test_the_page_allows_its_own_files_and_nothing_else(client: TestClient) -> None:
    answer = client.get("/")

    assert answer.headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    found = Elements(answer.text).found
    addresses = [
        value for _, attrs in found for key, value in attrs.items() if key in ("src", "href")
    ]
    assert addresses
    assert all(one and re.match(r"static/[\w.]+$|#[\w-]+$", one) for one in addresses)
    for tag, attrs in found:
        assert "style" not in attrs
        assert not any(name.startswith("on") for name in attrs)
        assert tag != "style"
        assert tag != "script" or attrs["src"]


def test_every_file_of_the_page_is_there_and_kept_by_its_tag(client: TestClient) -> None:
    wanted = re.findall(r'"static/([\w.]+)"', client.get("/").text)
    app = client.get("/static/app.js").text
    wanted += re.findall(r'from "\./([\w.]+)"', app)
    assert len(wanted) > 6

    for name in wanted:
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200, name
        tag = answer.headers["etag"]
        again = client.get(f"/static/{name}", headers={"if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
    for name in ("..%2froutes.py", "routes.py", "__init__.py", "%00", "app.css.map"):
        assert client.get(f"/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("peer", "headers", "here"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("192.0.2.7", {}, False),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.7"}, False),
        ("testclient", {}, False),
    ],
)
def test_the_page_says_where_pictures_go(
    site: Site, peer: str, headers: dict[str, str], here: bool
) -> None:
    text = told(TestClient(application(site), client=(peer, 1)).get("/", headers=headers).text)

    assert (page_words.PRIVATE in text) is here
    assert ("Pictures are sent to testserver" in text) is not here


def test_a_service_that_keeps_pictures_says_so() -> None:
    kept, forgotten = (
        home(host=None, workers=1, max_bytes=1, retains=retains) for retains in (True, False)
    )

    assert page_words.RETAINED in told(kept)
    assert page_words.FORGOTTEN not in told(kept)
    assert page_words.FORGOTTEN in told(forgotten)


def test_a_photo_gets_its_report_and_its_html(client: TestClient, site: Site) -> None:
    answer = client.post("/page/inspect?name=anna.png&prior=0.01", content=RED, headers=BYTES)

    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["report"]["decision"] == "ai"
    assert answer.json()["report"]["path"] == "anna.png"
    assert answer.json()["html"].startswith("<article")
    (wish,) = site.wishes
    assert wish == Wish(explain=True, cues=True, prior=0.01, page=True, name="anna.png")


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data; boundary=x", ""])
def test_a_page_of_another_site_cannot_send_pictures(
    client: TestClient, site: Site, kind: str
) -> None:
    answer = client.post("/page/inspect", content=RED, headers={"content-type": kind})

    assert answer.status_code == 415
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["hint"]
    assert not site.wishes


def test_an_error_comes_with_its_hint(client: TestClient) -> None:
    answer = client.post("/page/inspect?name=a.txt", content=b"hello, world", headers=BYTES)

    assert answer.status_code == 422
    assert "a picture was wanted" in answer.json()["error"]
    assert answer.json()["hint"]


# --- what is shown -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_and_never_markup(name: str) -> None:
    plain, hostile = Elements(shown()), Elements(shown(name))

    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
    assert [sorted(attrs) for _, attrs in hostile.found] == [
        sorted(attrs) for _, attrs in plain.found
    ]
    assert words.printable(name.rpartition("/")[2] or name)[-4:] in hostile.text


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_file_says_is_text_and_never_markup(text: str) -> None:
    report, _ = judged(BLACK, Wish(name="a.png"))
    said = [
        replace(
            report,
            headline=one,
            claims=(
                Claim(
                    source=ClaimSource.TEXT,
                    says=Says.AI,
                    standing=Standing.UNSIGNED,
                    by=one,
                    plain=one,
                    technical=one,
                    raw={one: one},
                ),
            ),
        )
        for one in ("plain", text)
    ]
    plain, hostile = (Elements(fragment(one, (), BLACK, "a.png")) for one in said)

    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]


def test_no_piece_has_a_style_a_script_or_an_address() -> None:
    for text in (shown(), shown(explain=False), clip_fragment(CLIP, "a.mp4")):
        for tag, attrs in Elements(text).found:
            assert tag not in ("script", "style", "link", "iframe", "form")
            assert "style" not in attrs
            assert not any(name.startswith("on") for name in attrs)
            for key in ("src", "href"):
                assert attrs.get(key, "#").startswith(("data:image/", "#"))  # type: ignore[union-attr]


@pytest.mark.parametrize(("data", "decision"), [(RED, Decision.AI), (BLACK, Decision.REAL)])
def test_a_photo_says_what_was_found_how_sure_that_is_and_what_it_does_not_mean(
    data: bytes, decision: Decision
) -> None:
    report, text = judged(data, Wish(explain=True, cues=True, name="a.png"))
    text = told(text)

    assert report.decision is decision
    for sentence in (
        words.WORD[decision],
        words.why(decision, report.reasons, report.promise(decision)),
        words.NOT_MEANT[decision],
        words.next_step(decision, report.reasons, commands=False),
        report.headline,
        "90 % credible interval",
        "chances in 100",
    ):
        assert " ".join(sentence.split()) in text


def test_of_several_faces_the_number_says_whose_it_is() -> None:
    report, text = judged(RED, Wish(name="a.png"))
    assert "of face" not in told(text)

    other = replace(
        report.faces[0],
        verdict=None,
        decision=Decision.UNDECIDED,
        reasons=(Reason.FACE_TOO_SMALL,),
        explanation=None,
    )
    group = replace(report, faces=(other, report.faces[0]), lead_index=1)

    assert "credible interval" in (text := told(fragment(group, (), RED, "a.png")))
    assert "(of face 2 of 2)" in text


def test_of_a_damaged_picture_it_is_not_said_that_nothing_is_wrong() -> None:
    report, _ = judged(RED, Wish(name="a.png"))
    for reasons, damaged in (((Reason.DAMAGED,), True), ((Reason.BOTH_PLAUSIBLE,), False)):
        unsure = replace(report, decision=Decision.UNDECIDED, reasons=reasons)
        text = told(fragment(unsure, (), RED, "a.png"))
        assert (words.NOT_MEANT[Decision.UNDECIDED] in text) is not damaged
        assert (page_words.NOT_MEANT_DAMAGED in text) is damaged


def test_what_to_do_next_can_be_done_by_a_visitor() -> None:
    for first in (Reason.NO_FACE, Reason.FEW_LOOKS):
        nobody = replace(CLIP, decision=Decision.UNDECIDED, reasons=(first,))
        text = told(clip_fragment(nobody, "a.mp4"))
        assert "more frames" not in text
        assert page_words.NEXT_NO_FACE in text


def test_what_no_verdict_can_mean_stands_once(client: TestClient) -> None:
    assert told(client.get("/").text).count(page_words.LIMITS) == 1
    for text in (shown(), clip_fragment(CLIP, "a.mp4")):
        assert page_words.LIMITS not in text


def test_each_answer_has_one_colour_everywhere(client: TestClient) -> None:
    css = client.get("/static/app.css").text
    for decision, colour in HUE.items():
        (first, *_) = re.findall(rf"--{decision.value}: (#\w+);", css)
        assert first == "#{:02x}{:02x}{:02x}".format(*colour)
        assert f".tag.{decision.value} {{ fill: {first}; }}" in css


def test_the_page_says_of_a_photo_what_the_page_of_one_file_says() -> None:
    report, text = judged(RED, Wish(explain=True, cues=True, name="anna.jpg"))
    from veridical.io.source import read_photo

    other = told(page_of_one_file(report, read_photo(RED), title="anna.jpg"))
    numbers = re.findall(r"(?:<dd>)([^<]+)", text)

    assert len(numbers) > 10
    assert all(" ".join(one.split()) in other for one in map(_unescaped, numbers))


def _unescaped(text: str) -> str:
    return Elements(text).text


def test_a_map_lies_over_the_same_face() -> None:
    layers = re.search(r'class="layers">(.*?)</div>', shown(), re.DOTALL)
    assert layers
    plain, over = (attrs for tag, attrs in Elements(layers[1]).found if tag == "img")

    assert (plain["width"], plain["height"]) == (over["width"], over["height"])
    assert plain["alt"]
    assert "under a map" in str(over["alt"])


def test_a_row_has_the_columns_of_the_command_line() -> None:
    report, text = judged(RED, Wish(name="anna.jpg"))
    (row,) = (attrs for tag, attrs in Elements(text).found if tag == "tr")

    assert json.loads(str(row["data-values"])) == table.values(report)
    assert (row["data-kind"], row["data-p"]) == ("ai", str(report.p_ai))


def test_a_clip_shows_its_people() -> None:
    text = told(clip_fragment(CLIP, "holiday.mp4"))

    assert "Person 1: AI-GENERATED" in text
    assert "Sound is not judged" in told(home(host=None, workers=1, max_bytes=1, retains=False))
    assert "The data end" not in text or "could not be read" in text


def test_the_script_has_no_sentence_of_its_own(client: TestClient) -> None:
    for name in ("app", "csv", "details", "intake", "queue", "say", "send", "table"):
        code = client.get(f"/static/{name}.js").text
        code = re.sub(r"/\*.*?\*/|(?<![:'\"])//[^\n]*", "", code, flags=re.DOTALL)
        texts = re.findall(r"""(["'`])((?:\\.|(?!\1)[^\\\n])*)\1""", code)
        sentences = [one for _, one in texts if re.search(r"[A-Za-z]{2,} [a-z]{2,} [a-z]{2,}", one)]
        assert not sentences, name


def test_every_sentence_that_the_script_asks_for_is_there(client: TestClient) -> None:
    asked: set[str] = set()
    for name in ("app", "intake", "queue", "say", "send", "table"):
        code = client.get(f"/static/{name}.js").text
        for call in re.findall(r"say\(([^{;]*?)[,)]", code):
            asked |= set(re.findall(r'"(\w+)"', call))

    assert asked <= page_words.SAID.keys()
    assert page_words.SAID.keys() - asked == set()
