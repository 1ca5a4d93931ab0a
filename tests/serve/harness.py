"""A service on a Unix socket, in a thread or as a program of its own."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx

from tests.serve.doubles import ByContent, anything
from veridical.serve.app import build_app
from veridical.serve.kinds import check_picture
from veridical.serve.orders import Maker, Size
from veridical.serve.pool import Pool
from veridical.serve.settings import Settings
from veridical.serve.tokens import Tokens
from veridical.serve.wire import bound, server

ROOT = Path(__file__).parents[2]
QUICK = Size(workers=2, queue=2, deadline_s=10.0, stop_s=0.5, start_s=60.0)
USUAL = Settings()


@dataclass(frozen=True)
class Served:
    """A service that runs.

    Attributes:
        path: Of its socket.
        pool: Its workers; None where it is another program.
    """

    path: Path
    pool: Pool | None = None

    def client(self, **options: object) -> httpx.Client:
        """Return a client of its own connections."""
        transport = httpx.HTTPTransport(uds=str(self.path))
        return httpx.Client(
            transport=transport,
            base_url="http://localhost",
            timeout=60,
            **options,  # type: ignore[arg-type]
        )

    def raw(self) -> socket.socket:
        """Return a connection."""
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(20)
        try:
            one.connect(str(self.path))
        except OSError:
            one.close()
            raise
        return one


@contextmanager
def serving(
    maker: Maker,
    size: Size = QUICK,
    settings: Settings = USUAL,
    tokens: Tokens | None = None,
) -> Iterator[Served]:
    """Serve from a thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        pool = Pool(maker, size)
        check = anything if isinstance(maker, ByContent) else check_picture
        answering = server(build_app(pool, settings, tokens, check), drain_s=5)

        async def main() -> None:
            await pool.start()
            try:
                await answering.serve([listener])
            finally:
                await pool.close()

        listener = bound("", 0, path)
        thread = Thread(target=lambda: asyncio.run(main()))
        thread.start()
        try:
            until = time.monotonic() + 60
            while not answering.started:
                assert thread.is_alive()
                assert time.monotonic() < until
                time.sleep(0.02)
            yield Served(path, pool)
        finally:
            answering.should_exit = True
            thread.join()
            listener.close()


@contextmanager
def program(*arguments: str, apart: bool = False) -> Iterator[tuple[Served, subprocess.Popen[str]]]:
    """Run `python -m ARGUMENTS --socket PATH`, until it is ready; `apart`: in its own group."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        running = subprocess.Popen(
            [sys.executable, "-m", *arguments, "--socket", str(path)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=apart,
        )
        try:
            until = time.monotonic() + 60
            while not path.exists():
                assert running.poll() is None, running.stderr.read() if running.stderr else ""
                assert time.monotonic() < until
                time.sleep(0.02)
            served = Served(path)
            with served.client() as client:
                while not client.get("/readyz").is_success:
                    assert running.poll() is None, running.stderr.read() if running.stderr else ""
                    assert time.monotonic() < until
                    time.sleep(0.02)
            yield served, running
        finally:
            running.kill()
            running.communicate()
