"""`veridical serve`: a page and a REST interface."""

import logging
import sys
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from veridical.cli import options

if TYPE_CHECKING:
    from veridical.serve.orders import Size

_LOCAL = ("localhost", "127.0.0.1", "::1")
_NEEDED = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")


@click.command(short_help="Serve a page and a REST interface.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Likewise."
)
@click.option(
    "--socket", type=options.PATH, metavar="PATH", help="Listen at a Unix socket instead."
)
@click.option(
    "--allow-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="Also answer requests for this host name: that of a reverse proxy. Repeat it for several.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes that judge a picture each.  [default: cores]",
)
@click.option(
    "--queue",
    type=click.IntRange(min=0),
    help="Pictures that may wait; more are refused.  [default: as many as workers]",
)
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Most seconds for a picture, waiting included.",
)
@click.option(
    "--memory",
    type=click.IntRange(min=256),
    default=4096,
    show_default=True,
    metavar="MIB",
    help="Most memory of a worker; one that needs more is replaced.",
)
@click.option(
    "--drain",
    type=click.IntRange(min=0),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="After SIGTERM: most seconds for requests that were begun.",
)
@click.option(
    "--tokens", type=options.PATH, metavar="FILE", help="Answer only who has a token of this file."
)
@click.option(
    "--new-token",
    "label",
    metavar="LABEL",
    help="Add a token to the file of --tokens, print it, and end.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=1),
    metavar="N",
    help="Most pictures a minute for each token; for each address, where there are no tokens.",
)
@click.option(
    "--retain",
    type=options.FOLDER,
    metavar="DIR",
    help="Keep all that is uploaded and answered in DIR. Nothing is kept otherwise.",
)
@options.model
@options.fast
@options.recheck
@options.trust_list
@options.limits
def serve(
    host: str,
    port: int,
    socket: Path | None,
    allowed: tuple[str, ...],
    workers: int | None,
    queue: int | None,
    deadline: float,
    memory: int,
    drain: int,
    tokens: Path | None,
    label: str | None,
    rate: float | None,
    retain: Path | None,
    model: Path,
    fast: bool,
    recheck: bool,
    trust_list: Path | None,
    max_megapixels: float | None,
    max_mbytes: float | None,
    max_seconds: float | None,
) -> None:
    """Serve a page and a REST interface to this machine. Nothing leaves it, nothing is kept.

    \b
    Example:
        veridical serve
        curl -F file=@portrait.jpg http://localhost:8000/v1/inspect
    """
    from veridical._optional import need

    for module in _NEEDED:
        need(module, extra="serve", to="serve")
    if label is not None:
        _make_token(tokens, label)
        return
    from veridical.io.model import read_model
    from veridical.serve.app import build_app
    from veridical.serve.judge import DetectorMaker
    from veridical.serve.pool import Pool
    from veridical.serve.settings import Settings
    from veridical.serve.tokens import Tokens
    from veridical.serve.wire import bound, run, server

    folder = read_model(options.model_folder(model))
    limits = options.limits_of(max_megapixels, max_mbytes, max_seconds)
    size = _size(workers, queue, deadline, memory)
    if retain:
        options.ready(retain)
    settings = Settings(
        max_bytes=limits.max_bytes,
        rate=rate,
        retain=retain,
        hosts=_hosts(host, socket, allowed),
        model={"identity": folder.identity, **folder.card},
    )
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("veridical.serve").info("the model is being loaded")
    known = Tokens(tokens) if tokens else None
    with bound(host, port, socket) as listener, TemporaryDirectory(prefix="veridical-") as shared:
        if socket is None and not _is_local(host):
            _warn(host, known is not None)
        where = socket or f"http://{_named(host)}:{listener.getsockname()[1]}"
        maker = DetectorMaker(
            options={
                "model": folder.path,
                "threads": _threads(size.workers),
                "limits": limits,
                "recheck": recheck,
                "fast": fast,
                "trust_list": trust_list,
            }
        )
        pool = Pool(maker, size, partial(maker.sharing, folder.backbone, Path(shared)))
        try:
            run(
                server(build_app(pool, settings, known), drain_s=drain),
                listener,
                pool,
                ready=lambda: click.echo(
                    f"Serving at {where}, {size.workers} at a time.", err=True
                ),
            )
        finally:
            if socket:
                socket.unlink(missing_ok=True)


def _make_token(tokens: Path | None, label: str) -> None:
    from veridical.serve.tokens import new_token

    if tokens is None:
        raise click.UsageError("--new-token needs --tokens FILE: its hash goes in there.")
    click.echo(new_token(tokens, label))
    click.echo("This is shown once: only a hash of it is kept.", err=True)


def _size(workers: int | None, queue: int | None, deadline: float, memory: int) -> "Size":
    from veridical.serve.orders import Size

    usual = Size.usual(workers)
    return Size(
        workers=usual.workers,
        queue=usual.queue if queue is None else queue,
        deadline_s=deadline,
        max_mbytes=memory,
    )


def _threads(workers: int) -> int:
    """Return how many threads each worker gets, so that all of them keep the cores busy."""
    from veridical.engines import cores

    return max(1, cores() // workers)


def _hosts(host: str, socket: Path | None, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return what `Host` may say: names of this machine, where only it is listened to.

    Else another site could give itself a name that leads here, and read answers.
    """
    if allowed or (socket is None and _is_local(host)):
        return (*_LOCAL, *(name.lower() for name in allowed))
    return ()


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _warn(host: str, tokens: bool) -> None:
    options.warn(
        f"Listening at {host}: other machines can send pictures, and uploads travel unencrypted."
    )
    if not tokens:
        options.warn("Nobody needs a token: give --tokens FILE, or whoever reaches it may use it.")
