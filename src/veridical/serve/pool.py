"""Worker processes that judge for the service: bounded, watched, replaced.

What is asked of the pool waits in a short line. A worker that dies, hangs or grows costs the one
request that it was working on, and another takes its place. A request that nobody waits for any
more is taken out of the line, or its work is stopped.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from veridical.errors import (
    DeadlinePassed,
    NotServing,
    Overloaded,
    ServiceError,
    VeridicalError,
    WorkerLost,
)
from veridical.serve.hand import GONE, Hand
from veridical.serve.orders import Answer as Answer  # to be had from here, too
from veridical.serve.orders import Broken, Fault, Heard, Maker, Order, Size
from veridical.serve.orders import Wish as Wish
from veridical.serve.pace import Pace
from veridical.workers import STARTS

_TICK_S = 0.25  # between two looks at a worker's memory
_NUDGE_S = 0.1  # between two requests to stop
_LONGEST_PAUSE_S = 30.0  # before the next start, where starts fail
_WORN = 0.75  # of the memory that a worker may have: between two items it is replaced

_log = logging.getLogger("veridical.serve")


@dataclass(eq=False, slots=True)
class _Work:
    order: Order
    answer: "asyncio.Future[Answer]"
    heard: Heard


class Pool:
    """Judges pictures and clips in worker processes. It belongs to one event loop.

    Args:
        make: Makes what judges, in the worker; it pickles.
        size: How much at a time.
        prepare: Called first, in a thread: returns what to use instead of `make`. It may take its
            time: whoever asks meanwhile is told that the service starts.
    """

    def __init__(self, make: Maker, size: Size, prepare: Callable[[], Maker] | None = None) -> None:
        self.size = size
        self._prepare = prepare
        self.lost: Counter[str] = Counter()
        """Workers that were replaced, by cause: died, hung, grew, worn."""
        self.ready = self.busy = self.done = 0
        """Workers that have their model; that work; answers given so far."""
        self.started = False
        """Whether a worker had its model once."""
        self._make = make
        self._line: deque[_Work] = deque()
        self._arrived = asyncio.Event()
        self._changed = asyncio.Condition()
        self._places: list[asyncio.Task[None]] = []
        self._clips = asyncio.Semaphore(max(1, size.workers // 2))
        self._pace = Pace()
        self._running: dict[Hand, tuple[float, bool]] = {}  # since when; whether it is a clip
        self._failed: asyncio.Future[None] | None = None
        self._hiring = ThreadPoolExecutor(1, "hiring")
        self._sending = ThreadPoolExecutor(size.workers, "sending")

    @property
    def waiting(self) -> int:
        """How many wait for a worker."""
        return len(self._line)

    @property
    def retry_s(self) -> int:
        """Seconds after which a place in the line is likely to be free, by what was measured."""
        now = time.monotonic()
        return self._pace.retry_s((now - since, clip) for since, clip in self._running.values())

    @property
    def full(self) -> bool:
        """Whether one more request would be refused."""
        return len(self._line) + self.busy >= self.size.workers + self.size.queue

    async def start(self) -> None:
        """Start the workers, and return when all of them have loaded their model.

        Raises:
            VeridicalError: If they cannot.
        """
        if self._prepare:
            self._make = await asyncio.to_thread(self._prepare)
        self._failed = asyncio.get_running_loop().create_future()
        self._places = [asyncio.create_task(self._place()) for _ in range(self.size.workers)]
        ready = asyncio.ensure_future(self._when(lambda: self.ready == self.size.workers))
        await asyncio.wait({ready, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        failed, self._failed = self._failed, None
        if failed.done():
            await self.close()
            failed.result()

    async def close(self) -> None:
        """End the workers and whatever they do."""
        for place in self._places:
            place.cancel()
        await asyncio.gather(*self._places, return_exceptions=True)
        self._places = []
        while self._line:
            _fail(self._line.popleft(), _stopping())
        self._hiring.shutdown()
        self._sending.shutdown(wait=False)

    async def judge(self, data: bytes, wish: Wish, *, patient: bool = False) -> Answer:
        """Judge a picture.

        Args:
            data: The bytes of its file.
            wish: What to find out.
            patient: Wait for an idle worker before entering the line, instead of being refused.

        Raises:
            PhotoError: If the picture cannot be judged.
            Overloaded: If the line is full.
            DeadlinePassed: If it took too long.
            WorkerLost: If the worker died or grew.
            NotServing: If the pool is closed.
            Broken: If the fault is ours.
        """
        return await self._answered(Order(data, wish), self.size.deadline_s, patient)

    async def judge_clip(
        self,
        path: Path,
        wish: Wish,
        begun: Callable[[], None] = lambda: None,
        heard: Heard = lambda _progress: None,
    ) -> Answer:
        """Judge a clip when a worker is idle; half of the workers at most do that.

        Args:
            path: Of the clip.
            wish: What to find out.
            begun: Called when it is begun.
            heard: Hears how far it is.

        Raises:
            VeridicalError: As for `judge`.
            Broken: If the fault is ours.
        """
        async with self._clips:
            await self._idle()
            begun()
            order = Order(path, wish)
            return await self._answered(order, self.size.clip_deadline_s, True, heard)

    async def _idle(self) -> None:
        await self._when(lambda: not self._places or self.busy + self.waiting < self.ready)

    async def _answered(
        self,
        order: Order,
        seconds: float,
        patient: bool,
        heard: Heard = lambda _progress: None,
    ) -> Answer:
        if patient:
            await self._idle()
        if not self._places:
            raise _stopping()
        if self.full:
            raise Overloaded(
                f"{self.busy} pictures are being judged and {self.waiting} wait: no more can.",
                hint=f"Try again in {self.retry_s} s.",
            )
        work = _Work(order, asyncio.get_running_loop().create_future(), heard)
        self._line.append(work)
        self._arrived.set()
        try:
            async with asyncio.timeout(seconds):
                return await work.answer
        except TimeoutError:
            raise DeadlinePassed(
                f"Judging took longer than {seconds:g} s.",
                hint="Try again later. Whoever runs the service can give it more --workers.",
            ) from None
        finally:
            work.answer.cancel()  # if it is not done: whoever works on it is to stop
            with suppress(ValueError):
                self._line.remove(work)

    # --- workers -------------------------------------------------------------------------------

    async def _place(self) -> None:
        """Keep one worker at work, for ever."""
        while True:
            hand = await self._hired()
            self.ready += 1
            self.started = True
            await self._tell()
            try:
                while work := await self._next(hand):
                    if not await self._done(hand, work):
                        break
                else:
                    self._lose("died")
            finally:
                self.ready -= 1
                await self._ended(hand)

    async def _hired(self) -> Hand:
        """Return a worker that is ready; try again, more and more slowly, as long as none is."""
        loop, failures = asyncio.get_running_loop(), 0
        while True:
            hiring = loop.run_in_executor(self._hiring, Hand, self._make, loop)
            try:
                hand = await asyncio.shield(hiring)
            except asyncio.CancelledError:  # it is started all the same
                await self._ended(await hiring)
                raise
            try:
                async with asyncio.timeout(self.size.start_s):
                    said = await hand.inbox.get()
            except TimeoutError:
                said = GONE
            except BaseException:
                await self._ended(hand)
                raise
            if said is None:
                return hand
            await self._ended(hand)
            failures += 1
            why = said if isinstance(said, VeridicalError) else None
            if self._failed and not self._failed.done() and (why or failures >= STARTS):
                self._failed.set_exception(why or _never_ready(hand.worker.end))
            _log.error("a worker did not start: %s", why or hand.worker.end)
            await asyncio.sleep(min(0.25 * 2**failures, _LONGEST_PAUSE_S))

    async def _ended(self, hand: Hand) -> None:
        ending = asyncio.get_running_loop().run_in_executor(self._hiring, hand.kill)
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending
            raise

    async def _next(self, hand: Hand) -> _Work | None:
        """Return the next in the line; None if the worker ended before one came."""
        gone = asyncio.ensure_future(hand.inbox.get())
        try:
            while True:
                if gone.done():
                    return None
                if self._line:
                    return self._line.popleft()
                self._arrived.clear()
                arrived = asyncio.ensure_future(self._arrived.wait())
                try:
                    await asyncio.wait({gone, arrived}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    arrived.cancel()
        finally:
            gone.cancel()

    async def _done(self, hand: Hand, work: _Work) -> bool:
        """Have a worker judge; return whether it can go on."""
        loop = asyncio.get_running_loop()
        begun, clip = time.monotonic(), isinstance(work.order.data, Path)
        self._running[hand] = begun, clip
        hand.heard = work.heard
        self.busy += 1
        sent = loop.run_in_executor(self._sending, hand.send, work.order)
        said = asyncio.ensure_future(hand.inbox.get())
        try:
            while not said.done():
                await asyncio.wait(
                    {said, work.answer}, timeout=_TICK_S, return_when=asyncio.FIRST_COMPLETED
                )
                if said.done():
                    break
                if work.answer.done():
                    return await self._stopped(hand, said)
                if hand.mbytes() > self.size.max_mbytes:
                    self._lose("grew")
                    _fail(
                        work,
                        _without(f"Judging needed more than {self.size.max_mbytes} MiB of memory."),
                    )
                    return False
            if said.result() is GONE and not await sent:  # it was dead before
                self._line.appendleft(work)
                self._lose("died")
                return False
            if isinstance(said.result(), Answer):
                self._pace.took(time.monotonic() - begun, clip=clip)
            return self._heard(hand, work, said.result())
        except asyncio.CancelledError:
            _fail(work, _stopping())
            raise
        finally:
            said.cancel()
            sent.cancel()
            self.busy -= 1
            del self._running[hand]
            await self._tell()

    def _heard(self, hand: Hand, work: _Work, said: Any) -> bool:
        self.done += 1
        if said is GONE:
            self._lose("died")
            _fail(work, _without("The process that judged the picture has ended."))
            return False
        if work.answer.done():
            pass
        elif isinstance(said, Answer):
            work.answer.set_result(said)
        elif isinstance(said, VeridicalError):
            work.answer.set_exception(said)
        elif isinstance(said, Fault):
            _log.error("a fault of veridical:\n%s", said.trace)
            work.answer.set_exception(Broken())
        else:
            _fail(work, _without("The process that judged the picture was told to stop."))
        if hand.mbytes() > _WORN * self.size.max_mbytes:
            self._lose("worn")
            return False
        return True

    async def _stopped(self, hand: Hand, said: "asyncio.Future[Any]") -> bool:
        """Stop work that nobody waits for; return whether the worker obeyed."""
        until = asyncio.get_running_loop().time() + self.size.stop_s
        while not said.done() and asyncio.get_running_loop().time() < until:
            if not hand.nudge():
                break
            await asyncio.wait({said}, timeout=_NUDGE_S)
        if said.done() and said.result() is not GONE:
            return True
        self._lose("died" if said.done() else "hung")
        return False

    def _lose(self, why: str) -> None:
        self.lost[why] += 1
        _log.warning("a worker is replaced: %s", why)

    # --- news ----------------------------------------------------------------------------------

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _when(self, true: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(true)


def _fail(work: _Work, why: VeridicalError) -> None:
    if not work.answer.done():
        work.answer.set_exception(why)


def _stopping() -> NotServing:
    return NotServing("The service is stopping.", hint="Try again later.")


def _without(what: str) -> WorkerLost:
    return WorkerLost(what, hint="Try again; if it happens again, tell whoever runs the service.")


def _never_ready(end: str) -> ServiceError:
    return ServiceError(
        f"Workers end before they are ready ({end}).",
        hint="Use fewer --workers, or look for what ends them: is there enough memory?",
    )
