"""Files in other places: their bytes, fetched within limits, some of them ahead of the judges."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from ssl import SSLCertVerificationError

from veridical.engines import Threads
from veridical.errors import PhotoUnreadable, VeridicalError
from veridical.io.formats import Limits, refuse_bytes
from veridical.scan.plan import Item, file_system, is_address

_AHEAD = 4  # files that are fetched at the same time


def fetched(address: str, limits: Limits) -> bytes:
    """Return the bytes at an address, within limits.

    Raises:
        PhotoTooLarge: Over the limit on bytes.
        PhotoUnreadable: If they cannot be had.
    """
    try:
        system, path = file_system(address)
        with system.open(path, "rb") as stream:
            data: bytes = stream.read(limits.max_bytes + 1)
    except VeridicalError:
        raise
    except Exception as error:  # whatever a store may raise
        if refused := _certificate(error):
            raise PhotoUnreadable(
                f"{address}: the server's certificate is not trusted ({refused}).",
                hint="If it is your own server, name its certificate in SSL_CERT_FILE.",
            ) from error
        raise PhotoUnreadable(
            f"{address}: cannot be fetched ({type(error).__name__}: {error}).",
            hint="Check the address, the network and your credentials.",
        ) from error
    if len(data) > limits.max_bytes:
        refuse_bytes(address, len(data), limits)
    return data


def _certificate(error: BaseException | None) -> str:
    """Return why a certificate was refused, or nothing: stores hide it behind errors of theirs."""
    while error is not None:
        if isinstance(error, SSLCertVerificationError):
            inner = getattr(error, "certificate_error", error)  # of aiohttp
            return getattr(inner, "verify_message", "") or str(inner)
        error = error.__cause__ or error.__context__
    return ""


def ahead(items: Iterator[Item], limits: Limits) -> Iterator[Item]:
    """Yield the items, those from other places with their bytes: judges do not wait for a network.

    Up to a dozen files are held.
    """
    for item in items:
        if is_address(item.path):
            engine = Threads(_AHEAD)
            yield from engine.map(partial(_with_bytes, limits=limits), chain((item,), items))
            return
        yield item


def _with_bytes(item: Item, limits: Limits) -> Item:
    if item.failure or not is_address(item.path):
        return item
    try:
        return replace(item, data=fetched(item.path, limits))
    except VeridicalError:  # the judge tries again, and says what is wrong
        return item
