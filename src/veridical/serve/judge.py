"""What a worker of the service does: one picture or clip in, its answer out."""

import logging
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import format_exc
from types import FrameType
from typing import TYPE_CHECKING, Any

from veridical.errors import VeridicalError
from veridical.serve.hand import STOP
from veridical.serve.orders import Answer, Fault, Order, Reply
from veridical.vision.runtime import lay_out

if TYPE_CHECKING:
    from veridical.detector import Detector

_log = logging.getLogger("veridical.serve")

Work = Callable[[Order], Answer]


class _Stop(BaseException):
    """Nobody waits for the answer. No error, so that no cue takes it for a fault of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorMaker:
    """Makes what judges in a worker: a detector that has judged once, so that it is warm.

    Attributes:
        options: Arguments of `Detector.load`.
    """

    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Callable[[Order], Reply]:
        """Load the model.

        Raises:
            VeridicalError: If it cannot be used.
        """
        import numpy as np

        from veridical.detector import Detector

        detector = Detector.load(**self.options)
        detector.inspect(np.zeros((64, 64, 3), np.uint8), whole_image=True)
        return replying(lambda order: judged(detector, order))


def laid_out(graph: Path, folder: Path) -> Path | None:
    """Return a graph whose memory the workers share; None if it cannot be written.

    See `vision.runtime.lay_out`. It is made in a process of its own: the service needs no network.
    """
    _log.info("the model is being loaded")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        try:
            return apart.submit(lay_out, graph, folder).result()
        except Exception as error:  # such as a full disk: every worker then has its own
            _log.warning("the workers share no memory (%s)", type(error).__name__)
            return None


def judged(detector: "Detector", order: Order) -> Answer:
    """Judge a picture or a clip.

    Raises:
        PhotoError: If it cannot be judged.
        ValueError: If the prior is no share.
    """
    from veridical.infer.priors import checked
    from veridical.io.formats import refuse_bytes
    from veridical.io.source import File
    from veridical.serve.pages.render import clip_fragment, fragment

    wish = order.wish
    if wish.prior is not None:
        detector = replace(detector, prior=checked(wish.prior))
    if isinstance(order.data, Path):
        with _named(order.data, wish.name or "The clip"):
            clip = detector.inspect_video(order.data, jobs=1, explain=wish.explain)
        clip = replace(clip, path=wish.name or None)
        return Answer(clip.to_json().encode(), clip_fragment(clip, wish.name) if wish.page else "")
    file = File(path=wish.name or None, data=order.data, limits=detector.limits)
    if len(order.data) > detector.limits.max_bytes:
        refuse_bytes(file.name, len(order.data), detector.limits)
    report = detector.inspect(
        file, whole_image=wish.whole_image, cues=wish.cues, explain=wish.explain
    )
    page = fragment(report, (), file, wish.name) if wish.page else ""
    return Answer(report.to_json().encode(), page)


@contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    """Speak of a clip by the name that it came with, not by that of its copy here."""
    try:
        yield
    except VeridicalError as error:
        hint = error.cli_hint or error.hint
        message, hint = (text.replace(str(path), name) for text in (error.message, hint))
        raise type(error)(message, hint=hint) from error


def replying(work: Work) -> Callable[[Order], Reply]:
    """Return the same work, which can be stopped, and which raises nothing."""
    working = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        if working:
            raise _Stop

    if STOP is not None:
        signal.signal(STOP, stop)

    def reply(order: Order) -> Reply:
        nonlocal working
        try:
            working = True
            try:
                return work(order)
            finally:
                working = False
        except _Stop:
            return None
        except VeridicalError as error:
            return error
        except Exception:  # our fault, and it costs this order only
            return Fault(format_exc())

    return reply
