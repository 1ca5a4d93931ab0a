"""The page in a browser, for the tests that visit it."""

import re
import shutil
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.serve.site import Running, Site

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
SOON_MS = 15_000
SHOWN = "#shown:not([aria-busy=true])"


@pytest.fixture(scope="module")
def running() -> Iterator["Running"]:
    from tests.serve.site import started  # which skips where the extra is absent

    service = started()
    yield service
    service.end()


@pytest.fixture
def site(running: "Running") -> "Site":
    running.site.reset()
    return running.site


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started_:
        try:
            made = started_.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        except playwright.Error as error:
            pytest.skip(f"no browser: {str(error).splitlines()[0]}")
        yield made
        made.close()


@dataclass
class Visit:
    """A page that was opened, and what it did on the side."""

    page: Any
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    given_up: int = 0

    def give_up(self, _request: Any) -> None:
        """Note a request that came to nothing."""
        self.given_up += 1

    def add(self, *files: tuple[str, bytes], kind: str = "image/png") -> None:
        """Choose files."""
        payload = [{"name": name, "mimeType": kind, "buffer": data} for name, data in files]
        self.page.set_input_files("#files", payload)

    def settle(self) -> None:
        """Wait until all is judged, and what was chosen is shown."""
        self.page.wait_for_selector("#results", timeout=SOON_MS)
        self.page.wait_for_selector(".queue", state="hidden", timeout=SOON_MS)
        self.page.wait_for_selector(SHOWN, state="attached", timeout=SOON_MS)  # a phone hides it

    def hand(self, event: str, *files: tuple[str, bytes, str]) -> None:
        """Drop files, or paste them."""
        coded = [[name, b64encode(data).decode(), kind] for name, data, kind in files]
        self.page.evaluate(
            """([event, files]) => {
              const data = new DataTransfer();
              for (const [name, coded, kind] of files) {
                const bytes = Uint8Array.from(atob(coded), (one) => one.charCodeAt(0));
                data.items.add(new File([bytes], name, {type: kind}));
              }
              const options = {bubbles: true, cancelable: true};
              document.body.dispatchEvent(event === "paste"
                ? new ClipboardEvent("paste", {...options, clipboardData: data})
                : new DragEvent(event, {...options, dataTransfer: data}));
            }""",
            [event, coded],
        )

    def answer(self) -> str:
        """Return the answer that is shown."""
        self.page.wait_for_selector(f"{SHOWN} .report:not(.pending) h2", timeout=SOON_MS)
        return str(self.page.inner_text(".report h2")).strip()

    def names(self) -> list[str]:
        """Return the names in the table that are to be seen, in order."""
        found = self.page.query_selector_all("tbody tr:not([hidden]) th.name button")
        return [one.text_content() for one in found]

    def focus(self) -> str:
        """Return the text, or else the id, of what the keyboard is on."""
        return str(
            self.page.evaluate(
                "() => (document.activeElement.innerText || document.activeElement.id).trim()"
            )
        )

    def saved(self, button: str) -> str:
        """Press a button, and return the file that it saves."""
        with self.page.expect_download() as coming:
            self.page.click(button)
        return Path(coming.value.path()).read_text(encoding="utf-8")


@pytest.fixture
def visit(browser: Any, site: "Site") -> Iterator[Callable[..., Visit]]:
    """Open the page; at the end, nothing went elsewhere, and nothing was refused or broken."""
    contexts, visits = [], []

    def opened(width: int = 1280, height: int = 900, below: str = "", **options: Any) -> Visit:
        viewport = {"width": width, "height": height}
        context = browser.new_context(viewport=viewport, reduced_motion="reduce", **options)
        made = Visit(context.new_page())
        context.on("request", lambda one: made.asked.append(one.url))
        context.on("requestfailed", made.give_up)
        made.page.on("pageerror", lambda one: made.complaints.append(str(one)))
        made.page.on("console", lambda one: made.complaints.append(one.text))
        made.page.set_default_timeout(SOON_MS)
        made.page.goto(f"{site.url}{below}/")
        contexts.append(context)
        visits.append(made)
        return made

    yield opened
    for context in contexts:
        context.close()
    for one in visits:
        elsewhere = [url for url in one.asked if not url.startswith((site.url, "data:", "blob:"))]
        assert not elsewhere
        refused = r"Failed to load resource: the server responded with a status of (4\d\d|503)"
        assert not [text for text in one.complaints if not re.match(refused, text)]
