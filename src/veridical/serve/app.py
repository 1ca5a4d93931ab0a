"""The service as one ASGI app: `build_app(pool, settings)`."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from veridical.errors import NotServing, VeridicalError
from veridical.serve import api
from veridical.serve.described import FIGURES, described, problems
from veridical.serve.gate import Gate
from veridical.serve.kinds import Check, check_picture
from veridical.serve.measures import MEDIA, Measures
from veridical.serve.orders import Broken
from veridical.serve.pages import routes as pages
from veridical.serve.pool import Pool
from veridical.serve.problems import Problem, problem_of
from veridical.serve.service import Service
from veridical.serve.settings import Settings
from veridical.serve.tokens import Rates, Tokens
from veridical.serve.uploads import LONGEST_NAME


def build_app(
    pool: Pool,
    settings: Settings,
    tokens: Tokens | None = None,
    check: Check = check_picture,
) -> FastAPI:
    """Return the service. The pool is started before, and closed after it by whoever made it.

    Args:
        pool: That judges.
        settings: Limits.
        tokens: Of those who may ask; None for everybody.
        check: See `Service`.
    """
    service = Service(pool, settings, check)
    rates, measures = Rates(settings.rate), Measures(pool)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        with TemporaryDirectory(prefix="veridical-") as scratch:
            service.scratch = Path(scratch)
            yield
            await service.close()

    app = FastAPI(
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        redirect_slashes=False,
        dependencies=[Depends(_once)],
    )
    known: list[Route] = []
    app.add_middleware(
        Gate,
        pool=pool,
        settings=settings,
        measures=measures,
        tokens=tokens,
        rates=rates,
        routes=known,
    )
    _handle_errors(app, pool)
    page = pages.router(
        service.judge,
        workers=pool.size.workers,
        max_bytes=settings.max_bytes,
        retains=settings.retain is not None,
    )
    _add_probes(app, pool, measures)
    routers = (api.router(service, rates), page)
    for routes in (app.routes, *(router.routes for router in routers)):
        known += [route for route in routes if isinstance(route, Route)]
    for router in routers:
        app.include_router(router)
    shown: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not shown:
            shown.update(described(app, tokens=tokens is not None))
        return shown

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _once(request: Request) -> None:
    """Refuse an option that comes twice: nobody knows which of them is meant."""
    for name, values in Counter(key for key, _ in request.query_params.multi_items()).items():
        if values > 1:
            raise Problem(422, f"The option {name!r} came {values} times.", "Give it once.")


def _add_probes(app: FastAPI, pool: Pool, measures: Measures) -> None:
    @app.get("/healthz", summary="Whether it runs", responses=problems(400, 422, 500))
    async def healthz() -> dict[str, str]:
        """Answer, as long as the service runs."""
        return {"status": "alive"}

    @app.get("/readyz", summary="Whether it can judge", responses=problems(400, 422, 500, 503))
    async def readyz() -> dict[str, str]:
        """Answer, as long as a worker is ready."""
        if not pool.ready:
            raise NotServing("No worker is ready.", hint="Try again in some seconds.")
        return {"status": "ready"}

    @app.get(
        "/metrics",
        summary="Figures for Prometheus",
        responses=FIGURES | problems(400, 401, 422, 500, 503),
        response_class=Response,
    )
    async def metrics() -> Response:
        """Return what the service did so far."""
        return Response(measures.text(), media_type=MEDIA)


def _handle_errors(app: FastAPI, pool: Pool) -> None:
    async def told(_request: Request, error: Exception) -> Response:
        return problem_of(error, pool.retry_s).response()

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = allowed = _allowed(request, headers.get("Allow", ""))
            told = f"The method {request.method} is not allowed here."
            return Problem(405, told, f"Use one of: {allowed}.", headers).response()
        if error.status_code == 404:
            hint = "The file /openapi.json lists all paths."
            return Problem(404, "There is nothing at this address.", hint).response()
        told = str(error.detail)
        return Problem(error.status_code, told, "Mend the request.", headers).response()

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _misasked(request, error).response()

    for kind in (Problem, VeridicalError, Broken):
        app.add_exception_handler(kind, told)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _allowed(request: Request, first: str) -> str:
    """Return the methods for an address; Starlette names those of the first route there."""
    known = {method.upper() for method in _operations(request)} or {*first.split(", ")}
    return ", ".join(sorted(known | ({"HEAD"} if "GET" in known else set())))


_WANTED = {
    "prior": "a share between 0 and 1 was wanted, such as 0.01",
    "name": f"at most {LONGEST_NAME} characters were wanted",
}
_YES_OR_NO = "`true` or `false` was wanted"
_MOST_SHOWN = 40  # characters of a value


def _misasked(request: Request, error: RequestValidationError) -> Problem:
    """Return what to say of options that are none here, or have a wrong value."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        known = _options(request)
        close = get_close_matches(name, known, n=1)
        there = ", ".join(f"`{one}`" for one in known)
        hint = f"Did you mean `{close[0]}`?" if close else f"Use one of: {there}."
        return Problem(
            422, f"There is no option {name!r} here.", hint if known else "Leave it out."
        )
    came = str(first["input"])
    came = came if len(came) <= _MOST_SHOWN else f"{came[:_MOST_SHOWN]}..."
    return Problem(
        422,
        f"The option `{name}` is {came!r}; {_WANTED.get(name, _YES_OR_NO)}.",
        "Change it, or leave it out.",
    )


def _options(request: Request) -> list[str]:
    """Return the options of the address that was asked."""
    known = _operations(request).get(request.method.lower(), {}).get("parameters", ())
    return [one["name"] for one in known if one["in"] == "query"]


def _operations(request: Request) -> dict[str, Any]:
    path = getattr(request.scope.get("route"), "path", "")
    found: dict[str, Any] = request.app.openapi()["paths"].get(path, {})
    return found
