import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser

import pytest

from tests.present.made import FACE, FAILURE, PHOTO, judged, report
from tests.present.test_html import HOSTILE
from veridical.present.index import Entry, below, entry, failed, index, is_ours
from veridical.present.tally import Tally
from veridical.report import Decision, Failure, Reason, Report


def of(*outcomes: Report | Failure) -> str:
    tally, entries = Tally(), list[Entry]()
    for n, one in enumerate(outcomes):
        tally.add(one)
        made = failed(one) if isinstance(one, Failure) else entry(one, PHOTO)
        entries.append(replace(made, page=f"page-{n}.html"))
    return index(entries, tally, 0.5)


class Rows(HTMLParser):
    """Reads the tags of a page, and the cells of its table."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.texts: list[str] = []
        self.within = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.within = tag

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within not in ("style", "script"):
            self.texts.append(data)
            if self.rows and self.rows[-1]:
                self.rows[-1][-1] += data


UNSURE = report(judged(Decision.UNDECIDED, Reason.BOTH_PLAUSIBLE), path="in/b.jpg")
SOME = (report(FACE, path="in/a.jpg"), UNSURE, replace(FAILURE, path="in/c.jpg"))


def test_every_picture_is_a_row_with_a_link_to_its_page() -> None:
    read = Rows(of(*SOME))
    head, *rows = [[" ".join(cell.split()) for cell in row] for row in read.rows]
    assert head == ["Picture", "Name", "Answer", "P(ai)", "Interval", "Why", "File says", "Faces"]
    assert rows == [
        ["", "a.jpg", "AI-GENERATED", "0.973", "0.912 to 0.994", "clear enough", "-", "1"],
        ["", "b.jpg", "UNDECIDED", "0.973", "0.912 to 0.994", "both plausible", "-", "1"],
        ["", "c.jpg", "NOT JUDGED", "–", "", "b.jpg: zero bytes came.", "-", "–"],
    ]
    links = [entries["href"] for tag, entries in read.tags if tag == "a"]
    assert links == ["page-0.html", "page-1.html", "page-2.html"]
    marked = [entries for tag, entries in read.tags if tag == "tr"][1:]
    assert [one["data-kind"] for one in marked] == ["ai", "undecided", "failed"]
    assert [one["data-p"] for one in marked] == ["0.973", "0.973", "-1"]
    assert sum(tag == "img" for tag, _ in read.tags) == 2


def test_it_counts_the_answers_and_says_once_what_p_ai_assumes() -> None:
    text = " ".join(" ".join(Rows(of(*SOME)).texts).split())
    assert "3 pictures 1 AI-GENERATED 1 UNDECIDED 1 NOT JUDGED" in text
    assert text.count("half of the pictures are AI-generated") == 1
    assert "1 : Real and AI-generated pictures both looked like this" in text
    assert "Look for an earlier copy" in text
    assert "Why undecided" not in " ".join(Rows(of(SOME[0])).texts)


def test_it_needs_nothing_but_the_pages_and_runs_no_script_but_ours() -> None:
    source = of(*SOME)
    (script,) = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    hashed = b64encode(sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', source)
    assert unescape(policy) == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    )
    for risky in ("innerHTML", "insertAdjacent", "document.write", "eval", "fetch", "http"):
        assert risky not in script
    for tag, entries in Rows(source).tags:
        assert not [name for name in entries if name.startswith("on")], tag
        assert (entries.get("src") or "data:image/jpeg").startswith("data:image/jpeg")
    assert not re.search(r"url\(|@import|//", source.split("</style>")[0].split("<style>")[1])


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_and_nothing_else(name: str) -> None:
    plain = [tag for tag, _ in Rows(of(*SOME)).tags]
    failure = Failure(path=name, error=f"{name}: {name}", hint=name)
    read = Rows(of(report(FACE, path=name), replace(UNSURE, path=name), failure))
    assert [tag for tag, _ in read.tags] == plain
    for text in read.texts:
        assert all(c.isprintable() or c == "\n" for c in text)


def test_names_are_told_apart_by_folders_and_shared_folders_stay_private() -> None:
    assert below(["private/a/x.jpg", "private/b/x.jpg"]) == ["a/x.jpg", "b/x.jpg"]
    assert below(["/home/anna/x.jpg"]) == ["x.jpg"]
    assert below(["x.jpg", "in/x.jpg"]) == ["x.jpg", "in/x.jpg"]
    assert below(["/home/anna/x.jpg", "in/x.jpg"]) == ["x.jpg", "x.jpg"]
    assert below(["/a/x.jpg", "/b/x.jpg"]) == ["a/x.jpg", "b/x.jpg"]
    assert below([""]) == [""]
    assert below([]) == []


def test_our_own_index_is_known() -> None:
    assert is_ours(of(*SOME).encode())
    assert not is_ours(b"<!doctype html><h1>Mine</h1>")


def test_the_same_answers_are_the_same_bytes() -> None:
    assert of(*SOME) == of(*SOME)
