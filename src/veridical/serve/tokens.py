"""Who may ask: tokens, of which only hashes are kept, and how often each may ask.

A file of tokens has one line for each: a label, a space, and `sha256:` with the hash in
hexadecimal. A token holds 256 random bits, so that a plain hash of it cannot be searched.
"""

import hashlib
import hmac
import logging
import math
import os
import re
import secrets
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from veridical.errors import TokensUnusable
from veridical.serve.problems import Problem

_LINE = re.compile(r"(?P<label>[A-Za-z0-9._-]{1,64}) sha256:(?P<digest>[0-9a-f]{64})")
_LABEL = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MOST_BUCKETS = 10_000

_log = logging.getLogger("veridical.serve")


def new_token(path: Path, label: str) -> str:
    """Make a token, add its hash to the file, and return it: nobody can find it out again.

    Raises:
        TokensUnusable: If the label is taken or no label, or the file is not one of tokens.
    """
    if not _LABEL.fullmatch(label):
        raise TokensUnusable(
            f"{label!r} came; a label of up to 64 letters, digits, dots, hyphens and underscores "
            "was wanted.",
            hint="Name who will use the token, such as `archive`.",
        )
    if path.exists() and label in read_tokens(path).values():
        raise TokensUnusable(
            f"{path}: there is a token {label!r} already.",
            hint="Choose another label, or delete its line first.",
        )
    token = f"vd_{secrets.token_urlsafe(32)}"
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(number, "a", encoding="ascii") as file:
        file.write(f"{label} sha256:{_digest(token).hex()}\n")
    return token


def read_tokens(path: Path) -> dict[bytes, str]:
    """Return the label of each hash.

    Raises:
        TokensUnusable: If the file cannot be read, or a line of it is something else.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "is no text"
        raise TokensUnusable(
            f"{path}: cannot be read ({why}).",
            hint="Make one with: veridical serve --tokens FILE --new-token LABEL",
        ) from error
    found: dict[bytes, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        if (match := _LINE.fullmatch(line.strip())) is None:
            raise TokensUnusable(
                f"{path}, line {number}: a label, a space and `sha256:` with 64 hex digits were "
                "wanted.",
                hint="Make tokens with: veridical serve --tokens FILE --new-token LABEL",
            )
        found[bytes.fromhex(match["digest"])] = match["label"]
    return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class Tokens:
    """The tokens of a file, read again when it changes.

    Raises:
        TokensUnusable: If the file cannot be used now. Later that is logged, and what was known
            before goes on to count.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()
        self._known = read_tokens(path)

    def label(self, authorization: str) -> str | None:
        """Return whose token a header `Authorization` brings; None if it is none of ours.

        `Bearer TOKEN`; or `Basic`, with the token as the password, which browsers ask for.
        """
        self._refresh()
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "basic":
            with suppress(ValueError):
                value = b64decode(value.strip(), validate=True).decode("utf-8").partition(":")[2]
        elif scheme.lower() != "bearer":
            return None
        own, found = _digest(value.strip()), None
        for digest, label in self._known.items():  # all of them: time must not tell which
            if hmac.compare_digest(digest, own):
                found = label
        return found

    def _refresh(self) -> None:
        if (stamp := self._stamp()) == self._seen:
            return
        self._seen = stamp
        try:
            self._known = read_tokens(self._path)
        except TokensUnusable as error:
            _log.error("the tokens stay as they were: %s", error)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


@dataclass(slots=True)
class Rates:
    """A bucket of a minute's requests for each caller, which fills steadily.

    Attributes:
        per_minute: How many a caller may ask for; None for no limit.
        clock: Seconds.
    """

    per_minute: float | None
    clock: Callable[[], float] = time.monotonic
    _buckets: "OrderedDict[str, tuple[float, float]]" = field(default_factory=OrderedDict)

    def wait_s(self, caller: str, count: int = 1) -> int:
        """Return for how many seconds a caller has to wait for so many; 0 for not at all."""
        if self.per_minute is None or (left := self._left(caller)) >= count:
            return 0
        return max(1, math.ceil((count - left) * 60 / self.per_minute))

    def check(self, caller: str, count: int = 1) -> None:
        """Refuse a caller who may not ask for so many now.

        Raises:
            Problem: 429; 413 if nobody may ever ask for so many at a time.
        """
        if self.per_minute is not None and count > max(1.0, self.per_minute):
            raise Problem(
                413,
                f"{count} pictures came; this service takes {self.per_minute:g} a minute.",
                f"Send at most {max(1, int(self.per_minute))} at a time.",
            )
        if wait_s := self.wait_s(caller, count):
            raise Problem(
                429,
                f"More than {self.per_minute:g} pictures a minute came.",
                f"Try again in {wait_s} s.",
                {"Retry-After": str(wait_s)},
            )

    def spend(self, caller: str, count: int = 1) -> None:
        """Take requests out of a bucket, which may so come to owe some."""
        if self.per_minute is None:
            return
        self._buckets[caller] = self._left(caller) - count, self.clock()
        self._buckets.move_to_end(caller)
        while len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)

    def _left(self, caller: str) -> float:
        assert self.per_minute is not None
        left, since = self._buckets.get(caller, (self.per_minute, self.clock()))
        return min(self.per_minute, left + (self.clock() - since) * self.per_minute / 60)
