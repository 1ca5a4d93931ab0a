"""The service as one ASGI app: `build_app(pool, settings)`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from veridical.errors import NotServing, VeridicalError
from veridical.serve import api
from veridical.serve.described import FIGURES, described, problems
from veridical.serve.gate import Gate
from veridical.serve.measures import MEDIA, Measures
from veridical.serve.orders import Broken
from veridical.serve.pages import routes as pages
from veridical.serve.pool import Pool
from veridical.serve.problems import Problem, problem_of
from veridical.serve.service import Service
from veridical.serve.settings import Settings
from veridical.serve.tokens import Rates, Tokens


def build_app(pool: Pool, settings: Settings, tokens: Tokens | None = None) -> FastAPI:
    """Return the service. The pool is started before, and closed after it by whoever made it.

    Args:
        pool: That judges.
        settings: Limits.
        tokens: Of those who may ask; None for everybody.
    """
    service = Service(pool, settings)
    rates, measures = Rates(settings.rate), Measures(pool)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        with TemporaryDirectory(prefix="veridical-") as scratch:
            service.scratch = Path(scratch)
            yield
            await service.close()

    app = FastAPI(docs_url=None, redoc_url=None, lifespan=life, redirect_slashes=False)
    app.add_middleware(
        Gate, pool=pool, settings=settings, measures=measures, tokens=tokens, rates=rates
    )
    _handle_errors(app, pool)
    app.include_router(api.router(service, rates))
    app.include_router(
        pages.router(
            service.judge,
            workers=pool.size.workers,
            max_bytes=settings.max_bytes,
            retains=settings.retain is not None,
        )
    )
    _add_probes(app, pool, measures)
    shown: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not shown:
            shown.update(described(app, tokens=tokens is not None))
        return shown

    app.openapi = openapi  # type: ignore[method-assign]
    return app


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

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _misasked(error).response()

    for kind in (Problem, VeridicalError, Broken):
        app.add_exception_handler(kind, told)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _allowed(request: Request, first: str) -> str:
    """Return the methods for an address; Starlette names those of the first route there."""
    path = getattr(request.scope.get("route"), "path", "")
    known = request.app.openapi()["paths"].get(path, {})
    return ", ".join(sorted(method.upper() for method in known)) or first


_OPTIONS = ("explain", "cues", "prior", "whole_image", "name")


def _misasked(error: RequestValidationError) -> Problem:
    """Return what to say of options that are none, or have a wrong value."""
    first = error.errors()[0]
    name = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        close = get_close_matches(name, _OPTIONS, n=1)
        wanted = f"Did you mean `{close[0]}`?" if close else "The file /openapi.json lists them."
        return Problem(422, f"There is no option {name!r} here.", wanted)
    return Problem(
        422, f"The option `{name}` cannot be read: {first['msg']}.", "Change it, or leave it out."
    )
