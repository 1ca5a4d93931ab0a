"""What a worker of the service does: one picture or clip in, its answer out."""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from traceback import format_exc
from types import FrameType
from typing import TYPE_CHECKING, Any

from veridical.errors import VeridicalError
from veridical.serve.hand import STOP
from veridical.serve.orders import Answer, Fault, Heard, Order, Progress, Reply

if TYPE_CHECKING:
    from veridical.detector import Detector

Work = Callable[[Order, Heard], Answer]
"""Judges, and says how far it is."""


class _Stop(BaseException):
    """Nobody waits for the answer. No error, so that no cue takes it for a fault of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorMaker:
    """Makes what judges in a worker: a detector that has judged once, so that it is warm.

    Attributes:
        options: Arguments of `Detector.load`.
    """

    options: Mapping[str, Any] = field(default_factory=dict)

    def sharing(self, graph: Path, folder: Path) -> "DetectorMaker":
        """Return the same, whose workers share the memory of one network.

        Args:
            graph: Of the network.
            folder: That the workers share; nobody else may be able to write there.
        """
        from veridical.vision.runtime import laid_out

        return replace(self, options={**self.options, "mapped": laid_out(graph, folder)})

    def __call__(self) -> Callable[[Order], Reply]:
        """Load the model.

        Raises:
            VeridicalError: If it cannot be used.
        """
        import numpy as np

        from veridical.detector import Detector

        detector = Detector.load(**self.options)
        detector.inspect(np.zeros((64, 64, 3), np.uint8), whole_image=True)
        return Replying(lambda order, say: judged(detector, order, say))


def judged(detector: "Detector", order: Order, say: Heard = lambda _progress: None) -> Answer:
    """Judge a picture or a clip.

    Args:
        detector: That judges.
        order: What is asked.
        say: Hears how far a clip is.

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
            clip = detector.inspect_video(
                order.data,
                jobs=1,
                explain=wish.explain,
                told=lambda stage, share: say(Progress(stage, share)),
            )
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


class Replying:
    """The same work, which can be stopped, and which raises nothing.

    Args:
        work: What to do with an order.
    """

    say: Heard
    """Hears how far it is."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._working = self._saying = False
        self.say = lambda _progress: None
        if STOP is not None:
            signal.signal(STOP, self._stop)

    def __call__(self, order: Order) -> Reply:
        """Return what came of an order."""
        try:
            self._working = True
            try:
                return self._work(order, self._said)
            finally:
                self._working = False
        except _Stop:
            return None
        except VeridicalError as error:
            return error
        except Exception:  # our fault, and it costs this order only
            return Fault(format_exc())

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._working and not self._saying:  # half a word would garble the others; it is asked
            raise _Stop  # again soon

    def _said(self, progress: Progress) -> None:
        self._saying = True
        try:
            self.say(progress)
        finally:
            self._saying = False
