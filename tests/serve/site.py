"""A small service around the page, in a thread of the tests: judges with a see-through detector.

It can be told to be busy, slow, guarded by a token, or to answer about clips.
"""

import asyncio
import socket
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import FakeFinder, saved, see_through
from tests.present.test_clips import CLIP
from veridical.errors import VeridicalError
from veridical.io.source import File
from veridical.report import Report
from veridical.serve.orders import Answer, Wish
from veridical.serve.pages.render import clip_fragment, fragment
from veridical.serve.pages.routes import problem, router

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")
uvicorn = pytest.importorskip("uvicorn", reason="the extra [serve] is not installed")

from fastapi import FastAPI, Request, Response  # noqa: E402 (what is absent is skipped first)

WORKERS = 2
BELOW = "/tools/veridical"


@dataclass
class Site:
    """What the service does, and what it saw.

    Attributes:
        url: Where it is.
        token: What it asks for; nothing if it is empty.
        busy: Answers 429 that it still gives.
        held: Whether judging waits, until it is released.
        misses: Questions about a job that are not answered.
        progress: What a job of a clip says before it is done.
        reports: Of what was judged, by name.
        wishes: Of what was asked.
        most: How many were judged at the same time.
        forgotten: Jobs that the page was done with.
    """

    url: str = ""
    token: str = ""
    busy: int = 0
    held: bool = False
    misses: int = 0
    progress: deque[float] = field(default_factory=deque)
    reports: dict[str, Report] = field(default_factory=dict)
    wishes: list[Wish] = field(default_factory=list)
    now: int = 0
    most: int = 0
    forgotten: int = 0

    def reset(self) -> None:
        """Forget what was asked, and do nothing unusual."""
        fresh = Site(url=self.url)
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(fresh, name))


def judged(data: bytes, wish: Wish) -> tuple[Report, str]:
    """Judge a picture: red in the middle says AI, black says real."""
    file = File(path=wish.name, data=data, limits=DETECTOR.limits)
    detector = replace(DETECTOR, prior=wish.prior)
    report = detector.inspect(
        file, explain=wish.explain, cues=wish.cues, whole_image=wish.whole_image
    )
    return report, fragment(report, (), file, wish.name)


DETECTOR = see_through(FakeFinder())


def application(site: Site) -> Any:
    """Return an application with the page's routes, and clips."""
    app = FastAPI()

    async def judge(data: bytes, wish: Wish) -> Answer:
        site.wishes.append(wish)
        site.now += 1
        site.most = max(site.most, site.now)
        try:
            while site.held:
                await asyncio.sleep(0.02)
            report, page = await asyncio.to_thread(judged, data, wish)
        finally:
            site.now -= 1
        site.reports[wish.name] = report
        return Answer(body=report.to_json().encode(), page=page)

    @app.middleware("http")
    async def gate(request: Request, go_on: Any) -> Response:
        if request.method == "POST" or request.url.path.startswith("/v1"):
            if site.token and request.headers.get("authorization") != f"Bearer {site.token}":
                return problem(401, "No token came.", "Send one.")
            if site.busy:
                site.busy -= 1
                refused = problem(429, "The service is busy.", "Try again in 1 s.")
                refused.headers["Retry-After"] = "1"
                return refused
        answer: Response = await go_on(request)
        return answer

    @app.exception_handler(VeridicalError)
    async def told(_request: Request, error: VeridicalError) -> Response:
        return problem(422, error.message, error.hint)

    @app.post("/v1/videos", status_code=202)
    async def videos(request: Request) -> dict[str, str]:
        assert request.query_params.keys() <= {"name", "prior", "explain", "page"}
        await request.body()
        return {"id": "clip 1", "state": "queued"}

    @app.get("/v1/jobs/{job}")
    async def jobs(job: str) -> Any:
        assert job == "clip 1"
        if site.misses:
            site.misses -= 1
            return problem(503, "Too many requests are open.", "Try again later.")
        if site.progress:
            return {"id": job, "state": "running", "progress": site.progress.popleft()}
        html = clip_fragment(CLIP, "holiday.mp4")
        return {"id": job, "state": "done", "report": CLIP.to_dict(), "html": html}

    @app.delete("/v1/jobs/{job}", status_code=204)
    async def forget(job: str) -> None:
        site.forgotten += job == "clip 1"

    app.include_router(router(judge, workers=WORKERS))
    return app


def below(app: Any) -> Any:
    """Return the application, to be had below a path too, as behind a proxy."""

    async def proxy(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"].removeprefix(BELOW)
        await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    return proxy


@dataclass
class Running:
    """A service that runs in a thread."""

    site: Site
    server: Any
    thread: threading.Thread

    def end(self) -> None:
        """Stop it."""
        self.server.should_exit = True
        self.thread.join(10)
        assert not self.thread.is_alive()


def started() -> Running:
    """Start the service on a free port of this machine."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    site = Site(url=f"http://127.0.0.1:{listening.getsockname()[1]}")
    config = uvicorn.Config(below(application(site)), log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
    return Running(site, server, thread)


def photo(colour: tuple[int, int, int] = (255, 0, 0), size: tuple[int, int] = (120, 100)) -> bytes:
    """A picture whose face has that colour."""
    return saved(Image.new("RGB", size, colour), "PNG")


def lit() -> bytes:
    """A picture whose face is red on one side, so that its map shows a place."""
    pixels = np.zeros((100, 120, 3), np.uint8)
    pixels[..., 0] = np.linspace(120, 255, 120)
    return saved(Image.fromarray(pixels), "PNG")


RED, BLACK, HALF = lit(), photo((0, 0, 0)), photo((128, 0, 0))
"""What the detector calls AI-generated, real, and undecided."""
TEN = [(f"photo-{n}.png", (RED, BLACK, HALF)[n % 3]) for n in range(10)]
