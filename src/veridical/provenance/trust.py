"""Whom a signature may come from: the two lists that ship, and the user's own.

`trust/`: the trust list and the time-stamp authority list of the C2PA conformance programme, as of
`DATE`. They are the only anchors; nothing is fetched.
"""

import os
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from veridical.errors import TrustListError

DATE = "2026-08-21"
SHIPPED = f"C2PA conformance programme, {DATE}"
_LISTS = ("c2pa-trust-list.pem", "c2pa-tsa-trust-list.pem")
_MOST = 4 * 2**20  # bytes of a list
_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Anchors of trust: the shipped lists, and certificates of the user's own.

    Attributes:
        own: PEM certificates that the user trusts too; empty for none.
    """

    own: str = ""

    @property
    def named(self) -> str:
        """Which lists were asked, in words."""
        return f"{SHIPPED}, and a list of your own" if self.own else SHIPPED


NO_OTHERS = Trust()
"""The shipped lists alone."""


def read_trust(path: str | os.PathLike[str] | None) -> Trust:
    """Read a PEM file of certificates to trust beside the shipped lists; None adds none.

    Raises:
        TrustListError: If it cannot be read, or holds no certificate.
    """
    if path is None:
        return Trust()
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MOST + 1).decode("ascii", "replace")
    except OSError as error:
        raise TrustListError(
            f"{os.fsdecode(path)}: {error.strerror or error}; a list of certificates was wanted.",
            hint="Check the path of --trust-list.",
        ) from error
    own = certificates(text)
    if not own or len(text) > _MOST:
        raise TrustListError(
            f"{os.fsdecode(path)}: no PEM certificates, or more than {_MOST} bytes of them.",
            hint="Pass a PEM file: certificates between BEGIN CERTIFICATE and END CERTIFICATE.",
        )
    return Trust(own=own)


def certificates(text: str) -> str:
    """Return the certificates in a text, without what stands between them."""
    return "\n".join(_PEM.findall(text))


@cache
def shipped() -> str:
    """Return the certificates of both lists that ship."""
    folder = files("veridical.provenance").joinpath("trust")
    return "\n".join(
        certificates(folder.joinpath(name).read_text(encoding="ascii")) for name in _LISTS
    )
