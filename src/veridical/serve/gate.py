"""What every request passes: who asks, how much, how fast; whether they still wait; what is logged.

Nothing that came is logged: no name of a file, no query, no content.
"""

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veridical.errors import NotServing, Overloaded
from veridical.serve.measures import Measures
from veridical.serve.pool import Pool
from veridical.serve.problems import Problem, problem_of
from veridical.serve.settings import MIB, Settings
from veridical.serve.tokens import Rates, Tokens
from veridical.serve.uploads import check_size

OPEN = ("/healthz", "/readyz")
"""Paths that need no token."""

CLIPS, BATCH = "/v1/videos", "/v1/batch"
PATIENT = (BATCH, CLIPS)
"""Paths whose work waits for idle workers, so that a full line is no reason to refuse it."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLOSED = 499  # in the log and the figures: the client went away
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = logging.getLogger("veridical.serve")


@dataclass(eq=False, slots=True)
class Visit:
    """One request: `request.state.visit`.

    Attributes:
        id: Goes into the answer's header `X-Request-ID` and into the log.
        caller: Label of the token, or the address.
    """

    id: str
    caller: str
    begun: float = field(default_factory=time.monotonic)
    status: int = 0
    received: int = 0


class Gate:
    """ASGI middleware.

    Args:
        app: What is behind it.
        pool: Asked whether there is room, before an upload is read.
        settings: Limits.
        measures: Counted here.
        tokens: None lets everybody in.
        rates: How often one may ask.
        routes: All that the app has; they may be added later.
    """

    def __init__(
        self,
        app: ASGIApp,
        pool: Pool,
        settings: Settings,
        measures: Measures,
        tokens: Tokens | None,
        rates: Rates,
        routes: Sequence[Route],
    ) -> None:
        self._app, self._pool, self._settings = app, pool, settings
        self._measures, self._tokens, self._rates = measures, tokens, rates
        self._routes = routes
        self._inside = self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        address = (scope.get("client") or ("socket", 0))[0]
        visit = Visit(given if _ID.fullmatch(given) else uuid4().hex, address)
        scope.setdefault("state", {})["visit"] = visit
        intake = _Intake(self, receive, scope["path"], visit)
        answer = _Reply(send, visit, intake)
        self._inside += 1
        try:
            try:
                self._admit(scope, headers, visit)
            except Exception as error:
                await self._refuse(error, scope, receive, answer)
            else:
                await self._pass(scope, intake, answer)
        finally:
            self._inside -= 1
            self._held -= intake.held
            self._note(scope, visit)

    # --- before ----------------------------------------------------------------------------------

    def _admit(self, scope: Scope, headers: Headers, visit: Visit) -> None:
        path, posted = scope["path"], scope["method"] not in ("GET", "HEAD")
        self._check_place(headers, posted)
        if path in OPEN:
            return
        if self._tokens:
            label = self._tokens.label(headers.get("authorization", ""))
            if label is None:
                raise Problem(
                    401,
                    "No token came that is known here; this service wants one.",
                    "Send the header `Authorization: Bearer TOKEN`.",
                    {"WWW-Authenticate": 'Bearer, Basic realm="veridical", charset="UTF-8"'},
                )
            visit.caller = label
        if not self._pool.started:
            raise NotServing(
                "The service is starting: the model is being loaded.",
                hint="Try again in some seconds.",
            )
        if self._inside > self._settings.max_requests:
            raise NotServing(
                f"{self._inside - 1} requests are open: no more can be.", hint="Try again later."
            )
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit():
            self.check_size(int(length), path)
        if posted and path.startswith(("/v1/", "/page/")):
            self._rates.check(visit.caller)
            if self._pool.full and scope["method"] == "POST" and path not in PATIENT:
                raise Overloaded(
                    f"{self._pool.busy} pictures are being judged and {self._pool.waiting} wait: "
                    "no more can.",
                    hint=f"Try again in {self._pool.retry_s} s.",
                )
            self._rates.spend(visit.caller)

    def _check_place(self, headers: Headers, posted: bool) -> None:
        """Refuse what another site makes a browser send."""
        host = headers.get("host", "")
        name = _host(f"//{host}")
        if self._settings.hosts and name not in self._settings.hosts:
            raise Problem(
                400,
                "The header `Host` names another machine than this service answers for.",
                "Use the address that the service was started with, or start it with --allow-host.",
            )
        origin = headers.get("origin")
        if posted and origin is not None and urlsplit(origin).netloc != host:
            raise Problem(
                403,
                "A page of another site sent this; only pages of this service may.",
                "Behind a reverse proxy, let it pass the header `Host` on.",
            )

    def check_size(self, size: int, path: str) -> None:
        """Refuse a request that has more bytes than it may have."""
        limits = self._settings
        if path != BATCH:
            limit = limits.max_clip_bytes if path == CLIPS else limits.max_bytes
            if size > limit + MIB:  # what a form adds to the file
                check_size(size, limit)
        elif size > limits.max_batch_bytes:
            raise Problem(
                413,
                f"More bytes came than a batch may have: the limit is {limits.max_batch_bytes:,}.",
                "Send fewer pictures at a time.",
            )

    # --- within ----------------------------------------------------------------------------------

    async def _pass(self, scope: Scope, intake: "_Intake", answer: "_Reply") -> None:
        """Let the app answer; stop it when nobody waits any more."""
        if scope["method"] == "HEAD":  # as GET; the server leaves the body out
            scope = {**scope, "method": "GET"}
        pump = asyncio.create_task(intake.pump())
        work = asyncio.ensure_future(self._app(scope, intake.receive, answer.send))
        unheard = False
        try:
            await asyncio.wait({work, pump}, return_when=asyncio.FIRST_COMPLETED)
            unheard = intake.gone and not answer.complete
            if unheard:
                work.cancel()
            await work
        except asyncio.CancelledError:
            if not unheard:
                raise
        except Exception as error:
            await self._refuse(error, scope, intake.receive, answer)
        finally:
            pump.cancel()
            work.cancel()
            await asyncio.wait({pump, work})

    async def _refuse(
        self, error: Exception, scope: Scope, receive: Receive, answer: "_Reply"
    ) -> None:
        problem = problem_of(error, self._pool.retry_s)
        if problem.status == 500:
            _log.error("request %s: a fault of veridical", answer.visit.id, exc_info=error)
        if not answer.visit.status:
            await problem.response()(scope, receive, answer.send)

    def take(self, size: int) -> None:
        """Count bytes that are held in memory."""
        self._held += size
        if self._held > self._settings.max_held_bytes:
            raise Problem(
                429,
                "Other uploads fill the memory of this service.",
                f"Try again in {self._pool.retry_s} s.",
                {"Retry-After": str(self._pool.retry_s)},
            )

    @property
    def settings(self) -> Settings:
        """The limits."""
        return self._settings

    # --- after -----------------------------------------------------------------------------------

    def _note(self, scope: Scope, visit: Visit) -> None:
        fits = (one.path for one in self._routes if one.matches(scope)[0] is not Match.NONE)
        route = next(fits, "other")  # also of what was refused before it came there
        status, seconds = visit.status or _CLOSED, time.monotonic() - visit.begun
        self._measures.count(scope["method"], route, status, seconds, visit.received)
        _log.info(
            "id=%s caller=%s method=%s route=%s status=%d ms=%.0f bytes=%d",
            *(visit.id, visit.caller, scope["method"], route, status),
            *(1000 * seconds, visit.received),
        )


class _Intake:
    """The body of a request, chunk by chunk: no more than is allowed, no slower than is allowed."""

    def __init__(self, gate: Gate, receive: Receive, path: str, visit: Visit) -> None:
        self._gate, self._receive, self._visit = gate, receive, visit
        self._path, self._on_disk = path, path == CLIPS
        self._chunks: asyncio.Queue[Message | Problem] = asyncio.Queue(1)
        self._ended = asyncio.Event()
        self.complete = False  # the body has come, all of it
        self.gone = False  # and nobody waits any more
        self.held = 0

    async def receive(self) -> Message:
        """Return the next chunk, or that nobody waits any more."""
        if self._chunks.empty() and (self.complete or self.gone):
            await self._ended.wait()
            return {"type": "http.disconnect"}
        found = await self._chunks.get()
        if isinstance(found, Problem):
            raise found
        return found

    async def pump(self) -> None:
        """Take in what comes; return when nobody waits any more, or the body is refused."""
        settings, waited = self._gate.settings, 0.0
        while True:
            left = settings.grace_s + self._visit.received / settings.least_rate - waited
            since = time.monotonic()
            try:
                async with asyncio.timeout(None if self.complete else max(0.01, left)):
                    message = await self._receive()
            except TimeoutError:
                await self._chunks.put(_too_slow(self._visit.received, settings))
                return
            waited += time.monotonic() - since
            if message["type"] == "http.disconnect":
                self.gone = True
                self._ended.set()
                with suppress(asyncio.QueueFull):
                    self._chunks.put_nowait(message)
                return
            size = len(message.get("body", b""))
            self._visit.received += size
            try:
                self._gate.check_size(self._visit.received, self._path)
                if not self._on_disk:
                    self.held += size
                    self._gate.take(size)
            except Problem as problem:
                await self._chunks.put(problem)
                return
            more = message.get("more_body", False)
            await self._chunks.put(message)
            self.complete = not more


class _Reply:
    """The answer, with the headers that every answer has."""

    def __init__(self, send: Send, visit: Visit, intake: _Intake) -> None:
        self._send, self.visit, self._intake = send, visit, intake
        self.complete = False

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.visit.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.visit.id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if not self._intake.complete:  # what else comes is no request
                headers["Connection"] = "close"
        self.complete = message["type"] == "http.response.body" and not message.get("more_body")
        await self._send(message)


def _host(url: str) -> str:
    with suppress(ValueError):
        return (urlsplit(url).hostname or "").lower()
    return ""


def _too_slow(received: int, settings: Settings) -> Problem:
    return Problem(
        408,
        f"The upload was too slow: {received:,} bytes came, less than {settings.least_rate:,} a "
        "second.",
        "Use a faster connection, or a reverse proxy that collects uploads first.",
    )


def visit_of(request: Request) -> Visit:
    """Return the visit that a request is."""
    visit = request.state.visit
    assert isinstance(visit, Visit)
    return visit
