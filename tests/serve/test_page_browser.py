"""The page in a browser: files come in, wait, are judged, listed and shown."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.conftest import saved, wait_for
from tests.serve.conftest import Visit
from tests.serve.site import BELOW, BLACK, RED, TEN, WORKERS, Site
from tests.serve.test_page import HOSTILE
from veridical.present.table import Writer
from veridical.present.words import printable
from veridical.serve.pages import words

# --- files come in -----------------------------------------------------------------------------


def test_a_photo_that_is_dropped_is_judged(visit: Callable[..., Visit], site: Site) -> None:
    seen = visit()
    seen.hand("dragover", ("anna.png", RED, "image/png"))
    assert seen.page.is_visible(".curtain")
    seen.hand("drop", ("anna.png", RED, "image/png"))

    assert seen.answer() == "AI-GENERATED"
    text = " ".join(seen.page.inner_text(".report").split())
    for told in (words.HOW_SURE, words.DOES_NOT_MEAN, words.FILE_SAYS, words.NEXT, "anna.png"):
        assert told in text
    assert not seen.page.is_visible(".curtain")
    assert seen.page.is_hidden(".batch")  # one photo needs no table
    assert [one.name for one in site.wishes] == ["anna.png"]


def test_a_picture_that_is_pasted_is_judged(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.hand("paste", ("image.png", BLACK, "image/png"))

    assert seen.answer() == "REAL"
    assert seen.page.inner_text(".report .name") == "Pasted picture 1.png"


def test_a_folder_gives_its_photos_and_says_what_it_passed_over(
    visit: Callable[..., Visit], tmp_path: Path
) -> None:
    below = tmp_path / "summer" / "lake"
    below.mkdir(parents=True)
    for path in (below.parent / "a.png", below / "b.png", below.parent / ".hidden.png"):
        path.write_bytes(RED)
    (below / "notes.txt").write_text("none")
    seen = visit()
    seen.page.set_input_files("#folder", str(tmp_path / "summer"))
    seen.settle()

    assert sorted(seen.names()) == ["summer/a.png", "summer/lake/b.png"]
    assert "2 files of the folder were passed over" in seen.page.inner_text("#alert")


def test_a_wrong_file_costs_itself_and_says_what_to_do(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.add(("a.png", RED), ("letter.txt", b"Dear reader, this is no photo."), ("b.png", BLACK))
    seen.settle()
    kinds = seen.page.eval_on_selector_all("tbody tr", "(rows) => rows.map((r) => r.dataset.kind)")
    seen.page.click("text=letter.txt")

    assert kinds == ["ai", "failed", "real"]
    assert seen.answer() == "NOT JUDGED"
    told = seen.page.inner_text(".report")
    for place in (".report .why", "tbody tr:nth-child(2) th.name small"):  # the name is beside it
        assert seen.page.text_content(place).startswith("is text")
    assert "a picture was wanted" in told
    assert "JPEG" in told  # the hint
    assert "supports neither answer" in told


def test_a_clip_is_followed_until_it_is_judged(visit: Callable[..., Visit], site: Site) -> None:
    site.progress.extend([0.25, 0.5])
    site.misses = 1
    seen = visit()
    seen.page.click(".options summary")
    seen.page.check("#whole")
    seen.add(("holiday.mp4", b"not looked at here"), kind="video/mp4")
    seen.page.wait_for_selector(".pending >> text=being judged, 25 %")

    assert seen.answer() == "AI-GENERATED"
    assert "Person 1" in seen.page.inner_text(".report")
    assert any("/v1/videos?" in url for url in seen.asked)
    assert not site.wishes
    wait_for(lambda: site.forgotten == 1)


def test_a_proxy_may_serve_it_below_a_path(visit: Callable[..., Visit]) -> None:
    seen = visit(below=BELOW)
    seen.add(("anna.png", RED))
    assert seen.answer() == "AI-GENERATED"
    seen.add(("holiday.mp4", b"not looked at here"), kind="video/mp4")
    seen.settle()
    assert seen.names() == ["anna.png", "holiday.mp4"]
    assert seen.page.query_selector('tr[data-kind="failed"]') is None

    asked = [url for url in seen.asked if not url.startswith(("data:", "blob:"))]
    assert len(asked) > 10
    assert all(f"{BELOW}/" in url for url in asked)


def test_what_is_too_large_is_not_sent(visit: Callable[..., Visit], site: Site) -> None:
    seen = visit()
    seen.page.evaluate(
        """async () => {
          const { setup } = await import("/static/say.js");
          setup.maxBytes = 10;
        }"""
    )
    seen.add(("a.png", RED))

    assert seen.answer() == "NOT JUDGED"
    assert "takes at most" in seen.page.inner_text(".report")
    assert not site.wishes


# --- the queue ---------------------------------------------------------------------------------


def test_ten_files_are_judged_as_many_at_a_time_as_there_are_workers(
    visit: Callable[..., Visit], site: Site
) -> None:
    site.held = True
    seen = visit()
    seen.add(*TEN)
    seen.page.wait_for_selector("text=being judged")
    assert seen.page.inner_text("#progress-text").startswith("0 of 10 done")
    assert seen.page.eval_on_selector("#progress", "(bar) => bar.value") == 0
    assert seen.saved("#save").count("\n") == 1  # the head
    assert "has 0 of 10 files" in seen.page.inner_text("#alert")
    seen.page.wait_for_selector(".pending img")  # the photo itself, meanwhile
    assert seen.page.evaluate("() => document.getAnimations().length") == 0  # as was asked for
    site.held = False
    seen.settle()

    assert site.most == WORKERS
    assert seen.names() == [name for name, _ in TEN]
    assert seen.page.inner_text("#status") == "All 10 are done."
    chips = seen.page.inner_text(".chips").split()
    assert "".join(chips) == "All10REAL3AI-GENERATED4UNDECIDED3"


def test_a_busy_service_is_asked_again(visit: Callable[..., Visit], site: Site) -> None:
    site.busy = 3
    seen = visit()
    seen.add(*TEN[:4])
    seen.page.wait_for_selector("text=the service is busy")
    seen.settle()

    assert sorted(site.reports) == [name for name, _ in TEN[:4]]
    assert seen.page.query_selector('tr[data-kind="failed"]') is None


def test_to_stop_gives_up_the_work_and_one_can_try_again(
    visit: Callable[..., Visit], site: Site
) -> None:
    site.held = True
    seen = visit()
    seen.add(*TEN[:5])
    seen.page.wait_for_selector("text=being judged")
    seen.page.click("#stop")
    seen.settle()
    kinds = seen.page.eval_on_selector_all("tbody tr", "(rows) => rows.map((r) => r.dataset.kind)")
    assert kinds == ["failed"] * 5
    seen.page.click("tbody tr:first-child th button")
    assert "You stopped" in seen.page.inner_text(".report")
    site.held = False
    seen.page.click('[data-do="again"]')

    seen.page.wait_for_selector(".report.ai")
    assert seen.given_up == WORKERS


def test_a_token_is_asked_for_once_and_kept_nowhere(
    visit: Callable[..., Visit], site: Site
) -> None:
    site.token = "open sesame"
    seen = visit()
    seen.add(*TEN[:3])
    for given in ("wrong", "open sesame"):
        seen.page.wait_for_selector("#token[open]")
        seen.page.fill("#token input", given)
        seen.page.keyboard.press("Enter")
        if given == "wrong":
            seen.page.wait_for_selector("text=The token was not accepted.")
    seen.settle()

    assert len(site.reports) == 3
    kept = "() => [localStorage.length, sessionStorage.length, document.cookie]"
    assert seen.page.evaluate(kept) == [0, 0, ""]
    assert not any("sesame" in url for url in seen.asked)
    assert "sesame" not in seen.page.content()


def test_a_service_that_does_not_answer_is_told_and_can_be_tried_again(
    visit: Callable[..., Visit],
) -> None:
    seen = visit()
    seen.page.route("**/page/inspect*", lambda route: route.abort())
    seen.add(("a.png", RED))
    assert seen.answer() == "NOT JUDGED"
    assert "The service does not answer." in seen.page.inner_text(".report")
    seen.page.unroute("**/page/inspect*")
    seen.page.click('[data-do="again"]')

    seen.page.wait_for_selector(".report.ai")
    seen.complaints = [text for text in seen.complaints if "ERR_FAILED" not in text]


def test_the_options_go_with_the_photos(visit: Callable[..., Visit], site: Site) -> None:
    seen = visit()
    seen.page.click(".options summary")
    seen.page.check("#whole")
    seen.page.select_option("#prior", "0.01")
    seen.add(("a.png", RED))
    seen.settle()

    (wish,) = site.wishes
    assert (wish.whole_image, wish.prior) == (True, 0.01)
    assert "Where 1 % of the pictures are AI-generated: P(ai)" in seen.page.inner_text(".report")


# --- the table ---------------------------------------------------------------------------------


def test_the_table_sorts_and_filters(visit: Callable[..., Visit]) -> None:
    seen = visit(1700)
    seen.add(*TEN)
    seen.settle()
    for _ in range(2):
        seen.page.click('th[data-by="name"] button')
    assert seen.names() == [name for name, _ in reversed(TEN)]
    assert seen.page.get_attribute('th[data-by="name"]', "aria-sort") == "descending"
    seen.page.click('th[data-by="kind"] button')
    kinds = seen.page.eval_on_selector_all("tbody tr", "(rows) => rows.map((r) => r.dataset.kind)")
    assert kinds == ["ai"] * 4 + ["undecided"] * 3 + ["real"] * 3
    seen.page.click('[data-show="real"]')
    assert sorted(seen.names()) == ["photo-1.png", "photo-4.png", "photo-7.png"]
    assert seen.page.inner_text("#status") == "3 of 10 shown."
    seen.page.fill("#find", "photo-4")
    assert seen.names() == ["photo-4.png"]
    seen.page.fill("#find", "nobody")
    assert seen.page.is_visible("text=No result fits.")


def test_the_csv_is_that_of_the_command_line(visit: Callable[..., Visit], site: Site) -> None:
    names = [name.replace("/", "_") for name in HOSTILE] + [
        "+1.png",
        " @x",
        "'q",
        "1e5",
        "１２",
        'a,"b"',
    ]
    seen = visit()
    seen.add(*((name, RED) for name in names), ("=bad.txt", b"no picture at all, just text"))
    seen.settle()
    text = seen.saved("#save")

    assert text.startswith("\ufeffpath,decision,")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert len(rows) == len(names) + 1
    shown = io.StringIO(newline="")
    writer = Writer(shown, bom=False)
    for name in names:
        writer.add(site.reports[name])
    wanted = list(csv.DictReader(io.StringIO(shown.getvalue(), newline="")))
    numbers = {"p_ai", "interval_low", "interval_high", "prior"}
    for row, other in zip(rows, wanted, strict=False):
        for column, value in other.items():
            if column in numbers:
                assert float(row[column]) == float(value)
            else:
                assert row[column] == value, column
    failed = rows[-1]
    assert (failed["path"], failed["decision"]) == ("'=bad.txt", "failed")
    assert failed["error"]
    assert failed["next_step"]


def test_a_report_can_be_saved(visit: Callable[..., Visit], site: Site) -> None:
    seen = visit()
    seen.add(("anna.png", RED))
    seen.settle()
    seen.page.click(f"text={words.PROCESSING}")

    assert '"decision": "ai"' in seen.saved('[data-do="report"]')


def test_to_forget_leaves_nothing(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.add(*TEN[:3])
    seen.settle()
    seen.page.click("#forget")

    assert seen.page.is_visible("h1")
    assert seen.names() == []
    assert seen.page.query_selector(".report") is None
    assert seen.focus() == words.CHOOSE
    seen.add(("again.png", BLACK))
    assert seen.answer() == "REAL"


# --- what is shown -----------------------------------------------------------------------------


def test_the_slider_blends_the_map_over_the_face(visit: Callable[..., Visit]) -> None:
    seen = visit()
    seen.add(("anna.png", RED))
    seen.settle()
    opacity = "() => getComputedStyle(document.querySelector('.over')).opacity"
    seen.page.focus(".blend input")
    seen.page.keyboard.press("Home")
    assert seen.page.evaluate(opacity) == "0"
    seen.page.keyboard.press("End")
    assert seen.page.evaluate(opacity) == "1"


def test_hostile_names_are_shown_as_text(visit: Callable[..., Visit]) -> None:
    names = [name.replace("/", "_") for name in HOSTILE]
    seen = visit()
    seen.add(*((name, RED) for name in names))
    seen.settle()

    assert seen.names() == [printable(name) for name in names]
    for n, name in enumerate(names, start=1):
        seen.page.click(f"tbody tr:nth-child({n}) th button")
        assert seen.answer() == "AI-GENERATED"
        assert seen.page.inner_text(".report .name") == " ".join(printable(name).split())
    assert seen.page.query_selector("img[src*=evil], main script, [onerror]") is None


def test_what_a_hostile_file_says_of_itself_is_shown_as_text(visit: Callable[..., Visit]) -> None:
    said = PngInfo()
    said.add_text(
        "parameters", "<img src=//evil.example/x onerror=alert(1)>\nSteps: 20, Sampler: Euler"
    )
    said.add_text("Software", "</article><script>alert(1)</script>")
    seen = visit()
    seen.add(("a.png", saved(Image.open(io.BytesIO(RED)), "PNG", pnginfo=said)))
    seen.settle()
    seen.page.click(f"text={words.ABOUT_FILE}")

    assert "onerror=alert(1)" in seen.page.inner_text(".report")
    assert seen.page.query_selector("img[src*=evil], main script, [onerror]") is None
