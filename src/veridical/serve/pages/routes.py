"""The routes of the page: the page itself, its files, and the judging of one photo for it."""

import json
from collections.abc import Awaitable, Callable
from functools import cache
from hashlib import sha256
from importlib.resources import files
from ipaddress import ip_address
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from veridical.io.formats import Limits
from veridical.serve.orders import Answer, Wish
from veridical.serve.pages.render import home

Judge = Callable[[bytes, Wish], Awaitable[Answer]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_BYTES = "application/octet-stream"
MOST_NAME = 300  # characters of a name that are kept


def router(
    judge: Judge,
    *,
    workers: int = 2,
    max_bytes: int = Limits().max_bytes,
    retains: bool = False,
) -> APIRouter:
    """Return the routes of the page.

    Args:
        judge: Judges the bytes of one photo. What it raises is left to the application; so are
            limits on what is read, and to stop where nobody waits any more.
        workers: How many photos the page sends at the same time.
        max_bytes: Of one photo; the page says so of a larger one, and does not send it.
        retains: Whether the service keeps what it is sent: the page then says so.
    """
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def page(request: Request) -> Response:
        text = home(
            host=None if _is_here(request) else request.url.netloc,
            workers=workers,
            max_bytes=max_bytes,
            retains=retains,
        )
        return Response(
            text,
            media_type="text/html; charset=utf-8",
            headers=_GUARDS | {"Cache-Control": "no-cache"},
        )

    @routes.get("/static/{name}")
    async def static(name: str, request: Request) -> Response:
        found = _static().get(name)
        if found is None:
            return problem(404, "There is no such file.", "Open the page itself.")
        data, kind, tag = found
        headers = _GUARDS | {"Cache-Control": "no-cache", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=kind, headers=headers)

    @routes.post("/page/inspect")
    async def inspect(
        request: Request,
        name: str = "",
        prior: Annotated[float | None, Query(gt=0, lt=1)] = None,
        whole_image: bool = False,
    ) -> Response:
        # A page from elsewhere cannot send this type without asking first, and nobody says yes.
        if request.headers.get("content-type") != _BYTES:
            return problem(415, f"The body came without the type {_BYTES}.", "Use /v1/inspect.")
        wish = Wish(
            explain=True,
            cues=True,
            prior=prior,
            whole_image=whole_image,
            page=True,
            name=name[:MOST_NAME],
        )
        answer = await judge(await request.body(), wish)
        told = b'{"report":%b,"html":%b}' % (answer.body, json.dumps(answer.page).encode())
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return Response(told, media_type="application/json", headers=headers)

    return routes


def problem(status: int, error: str, hint: str) -> Response:
    """Return an error as `application/problem+json` (RFC 9457)."""
    told = {"status": status, "title": error, "error": error, "hint": hint}
    return Response(json.dumps(told), status, media_type="application/problem+json")


def _is_here(request: Request) -> bool:
    """Return whether browser and service are on one machine; with a proxy nobody knows."""
    if any(name in request.headers for name in ("forwarded", "x-forwarded-for", "via")):
        return False
    try:
        return ip_address(request.client.host if request.client else "").is_loopback
    except ValueError:  # a socket of the file system, say, behind which is a proxy
        return False


@cache
def _static() -> dict[str, tuple[bytes, str, str]]:
    """The page's own files, by name: bytes, type, entity tag."""
    folder = files("veridical.serve.pages") / "static"
    found = {}
    for one in folder.iterdir():
        ending = "." + one.name.rpartition(".")[2]
        if ending in _TYPES:
            data = one.read_bytes()
            kind = f"{_TYPES[ending]}; charset=utf-8"
            found[one.name] = data, kind, f'"{sha256(data).hexdigest()[:16]}"'
    return found
