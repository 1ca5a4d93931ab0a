"""Files out of requests: a form with the field `file`, or the body itself; read as they come."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from veridical.serve.problems import Problem

FIELD = "file"
LONGEST_NAME = 1024  # characters
_NO_FILES = ("application/json", "application/x-www-form-urlencoded")
_MOST_HEADER = 4096  # bytes of what a form says about one part


class Sink(Protocol):
    """Where the bytes of one file go."""

    def write(self, data: bytes) -> None:
        """Take some more."""
        ...


Opener = Callable[[str], Sink]
"""Called with the name of each file that comes; empty for none."""


class Memory:
    """Keeps a file in memory.

    Args:
        limit: Bytes; more are refused.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._data = limit, bytearray()

    def write(self, data: bytes) -> None:
        """Take some more."""
        check_size(len(self._data) + len(data), self._limit)
        self._data += data

    def bytes(self) -> bytes:
        """Return all that came."""
        return bytes(self._data)


class OnDisk:
    """Writes a file to disk.

    Args:
        path: Of a new file.
        limit: Bytes; more are refused.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._limit, self.size = limit, 0
        self._file = path.open("xb")

    def write(self, data: bytes) -> None:
        """Take some more."""
        self.size += len(data)
        check_size(self.size, self._limit)
        self._file.write(data)

    def close(self) -> None:
        """Write what is left."""
        self._file.close()


def check_size(size: int, limit: int) -> None:
    """Refuse a file that is over the limit."""
    if size > limit:
        raise Problem(
            413,
            f"A file has more than the limit of {limit:,} bytes.",
            "A smaller copy is another picture. Whoever runs the service can raise the limit.",
        )


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came.

    Attributes:
        name: As it was given; empty for none.
        data: Its bytes.
    """

    name: str
    data: bytes


async def read_one(request: Request, limit: int, name: str = "") -> Upload:
    """Return the one file of a request.

    Args:
        request: A form with one field `file`, or the bytes of the file.
        limit: Bytes.
        name: Of a file that comes without one.
    """
    found: list[tuple[str, Memory]] = []

    def opened(given: str) -> Memory:
        if found:
            raise _too_many()
        found.append((given or name, sink := Memory(limit)))
        return sink

    await read(request, opened)
    ((own, sink),) = found
    return Upload(own, sink.bytes())


async def read_form(request: Request, limit: int, most: int) -> list[Upload]:
    """Return the files of a form, in order.

    Args:
        request: A form with fields `file`.
        limit: Bytes of one file.
        most: How many files there may be.
    """
    found: list[tuple[str, Memory]] = []

    def opened(given: str) -> Memory:
        if len(found) >= most:
            raise Problem(
                413, f"More than {most} files came.", "Send the others in another request."
            )
        found.append((given, sink := Memory(limit)))
        return sink

    if not _is_form(request):
        raise Problem(415, "Several files have to come in a form.", _HOW_SEVERAL)
    await read(request, opened)
    return [Upload(name, sink.bytes()) for name, sink in found]


async def read_to(request: Request, path: Path, limit: int, name: str = "") -> str:
    """Write the one file of a request to disk, and return its name."""
    found: list[tuple[str, OnDisk]] = []

    def opened(given: str) -> OnDisk:
        if found:
            raise _too_many()
        found.append((given or name, sink := OnDisk(path, limit)))
        return sink

    try:
        await read(request, opened)
    finally:
        for _, sink in found:
            sink.close()
    return found[0][0]


async def read(request: Request, opened: Opener) -> None:
    """Read a request to its end; at least one file comes, or a Problem is raised."""
    if _is_form(request):
        await _read_form(request, opened)
        return
    media = _media(request)
    if media in _NO_FILES or media.startswith("text/"):
        raise Problem(415, f"A body of the type {media!r} came; a file was wanted.", _HOW)
    sink = opened("")
    async for chunk in _stream(request):
        sink.write(chunk)


_HOW = (
    "Send a form with the field `file` (curl -F file=@photo.jpg), or the bytes of the file with "
    "the header `Content-Type: application/octet-stream`."
)
_HOW_SEVERAL = (
    "Send a form with a field `file` for each of them: curl -F file=@a.jpg -F file=@b.jpg."
)


def _media(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _is_form(request: Request) -> bool:
    return _media(request) == "multipart/form-data"


def _too_many() -> Problem:
    return Problem(422, "More than one file came.", "Send several pictures to /v1/batch.")


async def _stream(request: Request):  # type: ignore[no-untyped-def]
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise Problem(400, "The upload broke off.", "Send it again.") from None


async def _read_form(request: Request, opened: Opener) -> None:
    _, options = parse_options_header(request.headers["content-type"])
    boundary = options.get(b"boundary")
    if not boundary:
        raise Problem(400, "A form came whose type names no boundary.", _HOW)
    form = _Form(opened)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async for chunk in _stream(request):
            parser.write(chunk)
    except FormParserError:
        raise Problem(400, "The form cannot be read.", _HOW) from None
    if not form.ended:
        raise Problem(400, "The form breaks off.", "Send it again.")
    if not form.files:
        raise Problem(422, f"The form has no field `{FIELD}` with a file.", _HOW)


class _Form:
    """What the parser of a form tells."""

    def __init__(self, opened: Opener) -> None:
        self._opened = opened
        self._sink: Sink | None = None
        self._name, self._value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self.files, self.ended = 0, False

    def callbacks(self) -> dict[str, Callable[..., None]]:
        """Return what the parser calls."""
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header,
            "on_headers_finished": self._on_part,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._check()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check()

    def _check(self) -> None:
        if len(self._name) + len(self._value) > _MOST_HEADER:
            raise Problem(400, "A part of the form has too long a header.", _HOW)

    def _on_header(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name, self._value = bytearray(), bytearray()

    def _on_part(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        field, given = options.get(b"name", b""), options.get(b"filename")
        if field != FIELD.encode() or given is None:
            raise Problem(
                422,
                f"The form has the field {_text(field)!r}"
                f"{'' if given is not None else ' without the name of a file'}; only files in "
                f"fields `{FIELD}` are read. Options belong into the address.",
                _HOW,
            )
        self._sink = self._opened(checked_name(_text(given)))
        self.files += 1

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        assert self._sink is not None
        self._sink.write(data[start:end])

    def _on_end(self) -> None:
        self.ended = True


def checked_name(name: str) -> str:
    """Return the name of a file, if it is not too long."""
    if len(name) > LONGEST_NAME:
        raise Problem(
            422, f"The name of a file has {len(name)} characters.", f"Use at most {LONGEST_NAME}."
        )
    return name


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
