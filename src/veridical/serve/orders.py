"""The nouns of the pool: what is asked, what comes of it, and how much of it at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from veridical.engines import cores
from veridical.errors import VeridicalError


@dataclass(frozen=True)
class Wish:
    """What somebody wants to know of a picture.

    Attributes:
        explain: Also a map for every judged face.
        cues: Also the forensic cues.
        prior: Share of AI-generated pictures that the report answers for, too.
        whole_image: Judge the frame instead of the faces in it.
        page: Also a fragment of HTML.
        name: What the picture is called in its report; empty for none.
    """

    explain: bool = False
    cues: bool = False
    prior: float | None = None
    whole_image: bool = False
    page: bool = False
    name: str = ""


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Attributes:
        body: JSON of the report, as on the command line.
        page: The fragment of HTML; empty unless wished.
    """

    body: bytes
    page: str = ""


@dataclass(frozen=True)
class Order:
    """What a worker is given.

    Attributes:
        data: Bytes of a picture, or the path of a clip.
        wish: What to find out.
    """

    data: bytes | Path
    wish: Wish


@dataclass(frozen=True)
class Progress:
    """A worker's word on the way: how far a clip is.

    Attributes:
        stage: `searching` frames, or `judging` people.
        share: Of all work that is done, 0 to 1.
    """

    stage: str
    share: float


Heard = Callable[[Progress], None]
"""Hears of every `Progress`."""


@dataclass(frozen=True)
class Fault:
    """A worker's word for a fault of ours.

    Attributes:
        trace: The traceback.
    """

    trace: str


class Broken(Exception):
    """A fault of ours: the pool has logged it."""


Reply = Answer | VeridicalError | Fault | None
"""What a worker says of an order; None if it was told to stop."""

Maker = Callable[[], Callable[[Order], Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much a pool does at a time, and for how long.

    Attributes:
        workers: Processes.
        queue: Pictures that may wait.
        deadline_s: For one picture, waiting included.
        clip_deadline_s: For one clip, once it is begun.
        start_s: For a worker to load its model.
        stop_s: For a worker to stop when it is asked to; then it is killed.
        max_mbytes: Memory of one worker, MiB; watched where /proc is.
    """

    workers: int = 1
    queue: int = 1
    deadline_s: float = 60.0
    clip_deadline_s: float = 900.0
    start_s: float = 120.0
    stop_s: float = 3.0
    max_mbytes: int = 4096

    @classmethod
    def usual(cls, workers: int | None = None) -> "Size":
        """Return a worker for each core, and as many places in the line."""
        count = workers or cores()
        return cls(workers=count, queue=count)
