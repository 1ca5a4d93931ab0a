"""Many pictures: one outcome per picture, always, in the order asked."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from traceback import format_exc
from typing import TypeVar

from veridical.engines import Engine
from veridical.errors import VeridicalError
from veridical.report import Failure

Answer = TypeVar("Answer")
"""What is found out about one picture: a `Report`, for most."""


def scan(
    paths: Iterable[Path | Failure], judge: Callable[[Path], Answer], engine: Engine
) -> Iterator[Answer | Failure]:
    """Judge every path on `engine`, lazily. A picture that fails is an outcome like any other.

    So is what failed before it could be judged: it keeps its place among the others.
    """
    return engine.map(partial(judged, judge), paths)


def judged(judge: Callable[[Path], Answer], path: Path | Failure) -> Answer | Failure:
    """Judge one path; what goes wrong with it becomes a `Failure` that names it."""
    if isinstance(path, Failure):
        return path
    try:
        return judge(path)
    except VeridicalError as error:  # raised on purpose: the file's fault
        return Failure(path=str(path), error=error.message, hint=error.hint)
    except (
        Exception
    ) as error:  # our fault, and the one broad catch: it costs this file, and says so
        return Failure(
            path=str(path),
            error=f"internal error ({type(error).__name__})",
            hint="This is a fault of veridical; please report it with the traceback.",
            bug=format_exc(),
        )
