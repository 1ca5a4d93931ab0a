"""The page in a browser, for everybody: by keyboard, on a phone, in the dark, read aloud."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.serve.conftest import Visit
from tests.serve.site import TEN, Site
from veridical.serve.pages import words


def test_all_can_be_done_from_the_keyboard(visit: Callable[..., Visit]) -> None:
    seen = visit()
    press = seen.page.keyboard.press
    seen.page.on("filechooser", lambda _: None)  # early: the browser has to hear of it first
    press("Tab")
    assert seen.focus() == words.SKIP
    press("Tab")
    assert seen.focus() == words.CHOOSE
    with seen.page.expect_file_chooser() as coming:
        press("Enter")
    coming.value.set_files(
        [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in TEN[:4]]
    )
    seen.settle()
    for _ in range(30):
        press("Tab")
        if seen.focus() == "photo-0.png":
            break
    assert seen.focus() == "photo-0.png"
    press("ArrowDown")
    assert seen.focus() == "photo-1.png"
    assert seen.answer() == "REAL"
    press("End")
    assert seen.focus() == "photo-3.png"
    press("Enter")
    wait_for(lambda: seen.focus() == "AI-GENERATED")
    press("Escape")
    assert seen.focus() == "photo-3.png"
    press("Tab")
    assert seen.focus() not in [name for name, _ in TEN]  # one stop for the whole table


def test_the_keyboard_reaches_an_answer_that_is_still_being_read(
    visit: Callable[..., Visit],
) -> None:
    seen = visit()
    seen.add(*TEN[:2])
    seen.settle()
    seen.page.evaluate(
        """() => {
          const { text } = Blob.prototype;
          Blob.prototype.text = async function () {
            await new Promise((done) => setTimeout(done, 300));
            return text.call(this);
          };
        }"""
    )
    seen.page.focus("tbody tr:first-child th button")
    for key in ("End", "Enter"):
        seen.page.keyboard.press(key)
    assert seen.page.get_attribute("#shown", "aria-busy") == "true"

    assert seen.answer() == "REAL"
    wait_for(lambda: seen.focus() == "REAL")


def test_a_mouse_chooses_and_leaves_the_keyboard_in_the_list(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.add(*TEN[:3])
    seen.settle()
    seen.page.click("tbody tr:nth-child(2) td.thumb")
    assert seen.answer() == "REAL"
    assert seen.focus() == "photo-1.png"
    seen.page.keyboard.press("ArrowDown")
    seen.page.wait_for_selector(".report.undecided")


def test_a_phone_shows_all_without_scrolling_sideways(visit: Callable[..., Visit]) -> None:
    seen = visit(360, 740, has_touch=True, is_mobile=True)
    wide = "() => document.documentElement.scrollWidth"
    assert seen.page.evaluate(wide) == 360
    seen.add(*TEN[:3])
    seen.settle()
    assert seen.page.evaluate(wide) == 360
    assert seen.page.is_visible(".sheet")
    assert seen.page.is_visible("tbody tr:nth-child(2) td.p")
    fits = "(sheet) => sheet.scrollWidth <= sheet.clientWidth"
    assert seen.page.eval_on_selector(".sheet", fits)
    assert seen.page.is_hidden(".details")
    seen.page.tap("tbody tr:nth-child(2)")
    assert seen.answer() == "REAL"
    assert seen.page.is_hidden(".sheet")
    for fold in seen.page.query_selector_all(".folds > details > summary"):
        fold.click()
    assert seen.page.evaluate(wide) == 360
    seen.page.tap("#back")
    assert seen.page.is_visible(".sheet")


@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [(360, 740, "light"), (1280, 900, "light"), (1280, 900, "dark"), (3840, 2160, "dark")],
)
def test_axe_finds_no_violation(
    visit: Callable[..., Visit], site: Site, scheme: str, width: int, height: int
) -> None:
    found = find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("axe-playwright-python is not installed")
    axe = (Path(found.origin).parent / "axe.min.js").read_text(encoding="utf-8")
    seen = visit(width, height, color_scheme=scheme, bypass_csp=True)
    seen.page.evaluate(axe)

    def check(where: str) -> None:
        told = seen.page.evaluate("async () => (await axe.run()).violations")
        assert not [
            (where, one["id"], [node["html"][:120] for node in one["nodes"]]) for one in told
        ]

    check("empty")
    site.held = True
    seen.add(*TEN[:3], ("letter.txt", b"Dear reader, this is no photo."))
    seen.page.wait_for_selector("text=being judged")
    check("busy")
    site.held = False
    seen.settle()
    check("list")
    seen.page.click("tbody tr:first-child th button")
    seen.page.wait_for_selector(".report.ai")
    for fold in seen.page.query_selector_all(".folds > details > summary"):
        fold.click()
    check("answer")
    if seen.page.is_visible("#back"):
        seen.page.click("#back")
    seen.page.click("text=letter.txt")
    seen.page.wait_for_selector(".report.failed")
    check("failure")


def test_dark_is_dark(visit: Callable[..., Visit]) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    dark, light = (
        sum(visit(color_scheme=scheme).page.evaluate(ground)) for scheme in ("dark", "light")
    )

    assert dark < 150 < 600 < light
