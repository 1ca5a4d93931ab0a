"""Errors as `application/problem+json` (RFC 9457), in the same words as everywhere."""

import json
from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import Response

from veridical.errors import (
    DeadlinePassed,
    FolderUnusable,
    FormatNotInstalled,
    NotAPhoto,
    Overloaded,
    PhotoError,
    PhotoTooLarge,
    ServiceError,
    VeridicalError,
)
from veridical.present.words import printable

MEDIA = "application/problem+json"

STATUS: Mapping[type[VeridicalError], int] = {
    PhotoTooLarge: 413,
    NotAPhoto: 415,
    FormatNotInstalled: 415,
    PhotoError: 422,
    Overloaded: 429,
    DeadlinePassed: 504,
    ServiceError: 503,
    FolderUnusable: 503,
    VeridicalError: 500,
}
"""The first that fits counts."""


class Problem(Exception):
    """A request that cannot be answered, for a reason that only HTTP knows.

    Args:
        status: Of the answer.
        error: What came, and what was wanted.
        hint: What to do.
        headers: Further headers.
    """

    def __init__(
        self, status: int, error: str, hint: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.hint = status, error, hint
        self.headers = dict(headers or {})

    def body(self) -> dict[str, object]:
        """Return what the answer says."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "error": printable(self.error),
            "hint": printable(self.hint),
        }

    def response(self) -> Response:
        """Return the answer."""
        return Response(
            json.dumps(self.body()).encode(),
            status_code=self.status,
            headers=self.headers,
            media_type=MEDIA,
        )


def _for_visitors(error: VeridicalError) -> str:
    """Return the hint; a visitor cannot start the service with other options, but can say so."""
    hint = error.cli_hint or error.hint
    return f"Whoever runs the service can change this: {hint}" if "--" in hint else hint


def problem_of(error: Exception, retry_s: int = 1) -> Problem:
    """Return what to say of an error.

    Args:
        error: Of any kind.
        retry_s: Seconds after which to try again, where that may help.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, VeridicalError):
        status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
        headers = {"Retry-After": str(retry_s)} if status in (429, 503) else {}
        return Problem(status, error.message, _for_visitors(error), headers)
    return Problem(
        500,
        f"Internal error ({type(error).__name__}).",
        "This is a fault of veridical; please report it with the log of the service.",
    )
