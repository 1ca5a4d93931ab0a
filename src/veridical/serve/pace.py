"""How long judging takes, as measured, and when a place in the line is likely to be free."""

import math
from collections import deque
from collections.abc import Iterable
from statistics import median

_LAST = 15  # so many durations are remembered of each kind
_UNKNOWN_S = 1.0  # until something was measured
_LONGEST_S = 60


class Pace:
    """Durations of pictures, and apart from them of clips, which take much longer.

    The median counts: one slow picture, or the first after a start, does not change it.
    """

    def __init__(self) -> None:
        self._took: dict[bool, deque[float]] = {kind: deque(maxlen=_LAST) for kind in (False, True)}

    def took(self, seconds: float, *, clip: bool) -> None:
        """Remember how long one took."""
        self._took[clip].append(seconds)

    def usual_s(self, *, clip: bool) -> float:
        """Return how long one usually takes, in seconds."""
        return median(self._took[clip]) if self._took[clip] else _UNKNOWN_S

    def retry_s(self, running: Iterable[tuple[float, bool]]) -> int:
        """Return after how many seconds the first of those that run has probably ended.

        Args:
            running: For each, the seconds since it was begun, and whether it is a clip.
        """
        left = [self._left(since, self.usual_s(clip=clip)) for since, clip in running]
        return min(_LONGEST_S, max(1, math.ceil(min(left, default=self.usual_s(clip=False)))))

    @staticmethod
    def _left(since: float, usual: float) -> float:
        """What took longer than usual is likely to take half as long again."""
        return usual - since if since < usual else since / 2
