"""Pictures that come through open descriptors: `-`, /dev/stdin, and /dev/fd/63 of `<(command)`."""

import os
import re
import sys
from typing import TYPE_CHECKING, NoReturn

from veridical.errors import PhotoUnreadable

if TYPE_CHECKING:
    from veridical.io.formats import Limits
    from veridical.io.source import File
    from veridical.report import Failure

_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")


def descriptor(path: str) -> int | None:
    """Return the number of the open file that a path means; None for a path of a file."""
    if path in ("-", "/dev/stdin"):
        return 0
    found = _DESCRIPTOR.fullmatch(path)
    return int(found[1]) if found else None


class Pipes:
    """Reads each descriptor once, and keeps its bytes: they cannot be read again for a page.

    Args:
        limits: On what one picture may ask of us.
    """

    def __init__(self, limits: "Limits") -> None:
        self.limits, self._read = limits, dict[int, bytes]()

    def take(self, path: str) -> "File | Failure":
        """Return the picture that comes through `path`, or why there is none."""
        from veridical.engines import outcome

        return outcome(self.open, path)

    def open(self, path: str) -> "File":
        """Return what `path` means: an open descriptor, or else a file.

        Raises:
            PhotoError: If it cannot be read.
        """
        from veridical.io.source import File, open_source, open_stream

        number = descriptor(path)
        if number is None:
            return open_source(path, self.limits)
        if number not in self._read:
            if number == 0 and sys.stdin is None:
                _refuse(path, "standard input is closed")
            try:
                stream = os.fdopen(os.dup(number), "rb")
            except OSError as error:
                _refuse(path, f"cannot be opened ({error.strerror})")
            with stream:
                if stream.isatty():
                    _refuse(path, "is the terminal; a picture was wanted")
                read = open_stream(stream, path, self.limits).data
            assert read is not None
            self._read[number] = read
        return File(path=path, data=self._read[number], limits=self.limits)


def _refuse(path: str, why: str) -> NoReturn:
    raise PhotoUnreadable(
        f"{path}: {why}.", hint="Send it a picture: veridical inspect - < portrait.jpg"
    )
