"""uvicorn, with what it lacks: patience that ends, and a last word that arrives."""

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from veridical.errors import NotServing
from veridical.serve.pool import Pool

HEAD_S = 10.0
"""Seconds for the head of a request to come."""

UNREAD_S = 60.0
"""Seconds in which a client has to read some of its answer."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_BACKLOG = 2048

LINGER_S = 2.0
"""Seconds for which what still comes is read after the last answer, and thrown away."""


def bound(host: str, port: int, path: Path | None = None) -> socket.socket:
    """Return a socket that is listened at, before any work is done for it.

    Args:
        host: Address of this machine.
        port: 0 for one that is free.
        path: Of a Unix socket instead, for this user and group.

    Raises:
        NotServing: If somebody else has it, or we may not.
    """
    where = str(path) if path else f"{host}:{port}"
    try:
        if path is None:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=_BACKLOG)
        _remove_stale(path)
        return _bound_unix(path)
    except OSError as error:
        raise NotServing(
            f"{where}: cannot be listened at ({error.strerror or error}).",
            hint="Does it run already? Name another --port, --host or --socket.",
        ) from error


def _bound_unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove the socket of a service that was killed; never one that is in use, or a file."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def server(app: FastAPI, *, drain_s: int = 60) -> uvicorn.Server:
    """Return what answers.

    Args:
        app: See `build_app`.
        drain_s: Seconds for which requests that were begun may take after a signal.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=drain_s,
        )
    )


def run(
    answering: uvicorn.Server,
    listener: socket.socket,
    pool: Pool,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until a signal comes, then answer what was begun and return.

    Args:
        answering: See `server`.
        listener: See `bound`.
        pool: Of its app; while it starts, whoever asks is told so.
        ready: Called when the workers are ready.

    Raises:
        VeridicalError: If the workers cannot be started.
        KeyboardInterrupt: If the signal was Ctrl-C.
    """
    got: list[int] = []

    async def main() -> None:
        async def start() -> None:
            try:
                await pool.start()
            except BaseException:
                answering.should_exit = True
                raise
            ready()

        # uvicorn handles signals meanwhile, and raises them again when it is done.
        before = {one: signal.signal(one, lambda n, _: got.append(n)) for one in _SIGNALS}
        starting = asyncio.create_task(start())
        try:
            await answering.serve([listener])
            if starting.done():
                starting.result()
        finally:
            starting.cancel()
            await asyncio.wait({starting})
            await pool.close()
            for one, handler in before.items():
                signal.signal(one, handler)

    asyncio.run(main())
    if signal.SIGINT in got:
        raise KeyboardInterrupt


class Protocol(H11Protocol):
    """HTTP/1.1 on one connection.

    A head that does not come is waited for only so long, and so is a client that does not read. A
    connection that is closed while an upload comes is closed in one direction first: else the
    system would tell the client of a broken connection, and the answer that says why would be lost.
    """

    _late: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _left = 0
    _deaf = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.access_log = False  # it would hold what was asked; `gate` has its own

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(_Lingering(transport, self))  # type: ignore[arg-type]
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._unexpect()
        self._stop_checking()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Stop to answer: the client does not read."""
        super().pause_writing()
        self._left = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(UNREAD_S, self._check_read)

    def resume_writing(self) -> None:
        """Go on."""
        self._stop_checking()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take what comes."""
        if self._deaf:
            return
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._unexpect()
        elif self._late is None:
            self._expect()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless the connection is closed."""
        super().on_response_complete()
        if self._late is None and not self.transport.is_closing():
            self._expect()

    def _expect(self) -> None:
        self._late = self.loop.call_later(HEAD_S, self._give_up)

    def _unexpect(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def _check_read(self) -> None:
        left = self.transport.get_write_buffer_size()
        if left >= self._left:
            self.transport.abort()
            return
        self._left = left
        self._unread = self.loop.call_later(UNREAD_S, self._check_read)

    def _stop_checking(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def stop_listening(self) -> None:
        """Throw away what still comes."""
        self._deaf = True
        self._unexpect()


class _Lingering:
    """A transport that is closed only when the other side had time to read the answer."""

    def __init__(self, transport: Any, protocol: Protocol) -> None:
        self._transport, self._protocol, self._closing = transport, protocol, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        return self._closing or bool(self._transport.is_closing())

    def close(self) -> None:
        if self.is_closing():
            return
        self._closing = True
        cycle = self._protocol.cycle
        if cycle is None or not cycle.more_body or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._protocol.stop_listening()
        self._transport.resume_reading()
        self._transport.write_eof()
        self._protocol.loop.call_later(LINGER_S, self._transport.close)
