"""What OpenAPI says of requests and answers; the shapes are those of the command line."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from veridical._version import VERSION
from veridical.present.records import schema
from veridical.present.sample import sample_failure, sample_report
from veridical.serve.measures import MEDIA as FIGURES_MEDIA
from veridical.serve.problems import MEDIA

Described = dict[int | str, dict[str, Any]]

_PROBLEMS: Mapping[int, tuple[str, str]] = {
    400: ("The form breaks off.", "Send it again."),
    401: (
        "No token came that is known here; this service wants one.",
        "Send the header `Authorization: Bearer TOKEN`.",
    ),
    403: (
        "A page of another site sent this; only pages of this service may.",
        "Behind a reverse proxy, let it pass the header `Host` on.",
    ),
    404: ("There is no such job.", "Answers are kept for 15 minutes. Send the clip again."),
    405: ("The method PUT is not allowed here.", "Use one of: POST."),
    408: (
        "The upload was too slow: 10 bytes came, less than 16,384 a second.",
        "Use a faster connection, or a reverse proxy that collects uploads first.",
    ),
    413: (
        "A file has more than the limit of 209,715,200 bytes.",
        "A smaller copy is another picture. Whoever runs the service can raise the limit.",
    ),
    415: (
        "letter.txt: is text; a picture was wanted.",
        "Pass a JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIC file.",
    ),
    422: ("portrait.jpg: zero bytes came.", "Get the file again."),
    429: ("2 pictures are being judged and 2 wait: no more can.", "Try again in 1 s."),
    500: (
        "Internal error (Broken).",
        "This is a fault of veridical; please report it with the log of the service.",
    ),
    503: (
        "The process that judged the picture has ended.",
        "Try again; if it happens again, tell whoever runs the service.",
    ),
    504: (
        "Judging took longer than 60 s.",
        "Try again later. Whoever runs the service can give it more --workers.",
    ),
}
_RETRY = {
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}
_PROBLEM = {
    "type": "object",
    "description": "Why there is no answer (RFC 9457), in the words of the command line.",
    "required": ["type", "title", "status", "error", "hint"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "error": {"type": "string", "description": "What came, and what was wanted."},
        "hint": {"type": "string", "description": "What to do."},
    },
}
_JOB = {
    "type": "object",
    "description": "A clip that is judged, or was.",
    "required": ["id", "state"],
    "properties": {
        "id": {"type": "string"},
        "state": {"enum": ["queued", "running", "done", "failed"]},
        "stage": {
            "enum": ["searching", "judging"],
            "description": "While it runs: frames are searched, or people are judged.",
        },
        "progress": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "While it runs: the share that is done, about.",
        },
        "report": {"$ref": "#/components/schemas/VideoReport"},
        "html": {"type": "string", "description": "Where `page` was asked for."},
        "status": {"type": "integer", "description": "As of a problem, where it failed."},
        "error": {"type": "string"},
        "hint": {"type": "string"},
    },
}
_FILE = {"type": "string", "format": "binary"}


def problems(*codes: int) -> Described:
    """Return what is said of these statuses."""
    return {
        code: {
            "description": HTTPStatus(code).phrase,
            "content": {
                MEDIA: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {
                        "type": "about:blank",
                        "title": HTTPStatus(code).phrase,
                        "status": code,
                        "error": _PROBLEMS[code][0],
                        "hint": _PROBLEMS[code][1],
                    },
                }
            },
            **({"headers": _RETRY} if code in (429, 503) else {}),
        }
        for code in codes
    }


def upload(what: str, *, several: bool = False) -> dict[str, Any]:
    """Return what is said of the body of a request."""
    files = {"type": "array", "items": _FILE, "minItems": 1} if several else _FILE
    form = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {**files, "description": what}},
        "additionalProperties": False,
    }
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    if not several:
        content["application/octet-stream"] = {"schema": _FILE}
    return {"requestBody": {"required": True, "description": what, "content": content}}


def _answer(description: str, schema: dict[str, Any], example: object, media: str) -> Described:
    content = {media: {"schema": schema, "example": example}}
    return {200: {"description": description, "content": content}}


FIGURES: Described = {
    200: {"description": "Text.", "content": {FIGURES_MEDIA: {"schema": {"type": "string"}}}}
}
_STARTED = {"id": "Zk3vXq0cYb1tq2mO4u9hVw", "state": "queued"}
INSPECTED = _answer(
    "The report.",
    {"$ref": "#/components/schemas/Report"},
    sample_report().to_dict(),
    "application/json",
)
BATCHED = _answer(
    "One Report or Failure a line, in the order of the pictures.",
    {"type": "string"},
    f"{sample_report().to_json()}\n{sample_failure().to_json()}\n",
    "application/x-ndjson",
)
JOB = _answer(
    "The job.",
    {"$ref": "#/components/schemas/Job"},
    {**_STARTED, "state": "running", "stage": "searching", "progress": 0.35},
    "application/json",
)
VIDEO: Described = {
    202: {
        **_answer("", {"$ref": "#/components/schemas/Job"}, _STARTED, "application/json")[200],
        "description": "It is begun.",
        "headers": {
            "Location": {
                "description": "Of the job, relative to this address (RFC 9110, 10.2.2).",
                "schema": {"type": "string"},
            },
        },
    }
}
MODEL = _answer(
    "The card.",
    {"type": "object", "required": ["identity"], "properties": {"identity": {"type": "string"}}},
    {"identity": "0" * 64},
    "application/json",
)


def described(app: FastAPI, *, tokens: bool) -> dict[str, Any]:
    """Return the description of a service.

    Args:
        app: All of it.
        tokens: Whether it wants tokens.
    """
    found = get_openapi(
        title="Veridical",
        version=VERSION,
        description="Tells photographs of people from AI-generated ones. Nothing leaves the "
        "machine that it runs on.",
        routes=app.routes,
    )
    for operations in found["paths"].values():
        for operation in operations.values():
            operation["responses"] |= {str(code): told for code, told in problems(405).items()}
    parts = found.setdefault("components", {})
    shapes: dict[str, Any] = {name: _moved(shape) for name, shape in schema()["$defs"].items()}
    parts["schemas"] = shapes | {"Problem": _PROBLEM, "Job": _JOB}
    if tokens:
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        found["security"] = [{"token": []}]
        for path in ("/healthz", "/readyz"):
            found["paths"][path]["get"]["security"] = []
    return found


def _moved(shape: Any) -> Any:
    """Return a schema with the references that OpenAPI wants."""
    if isinstance(shape, dict):
        return {
            key: value.replace("#/$defs/", "#/components/schemas/")
            if key == "$ref"
            else _moved(value)
            for key, value in shape.items()
        }
    return [_moved(one) for one in shape] if isinstance(shape, list) else shape
